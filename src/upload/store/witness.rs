//! What requests met on their way, noted by the connector for whoever looks for trouble. The extension itself has no
//! witness.
//!
//! An error tells one line; this tells what it does not: how far a request came before its time was up, which kind of
//! trouble
//! it was, and what an answer says beside its body, the store's clock above all.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use hyper::Response;
use hyper::header::HeaderMap;
use tokio_rustls::rustls;

use super::connector::TransportError;
use super::one_line;
use crate::deadline::now_ms;

/// Headers of an answer that tell what the store did with an object.
const HEADERS: [&str; 5] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-crc32",
    "x-amz-bucket-region",
];
/// How the system's resolver begins what it says of a name; the standard library has no kind for it.
const NO_NAME: &str = "failed to lookup address information";

/// How far a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A connection is being made: name, proxy, TLS.
    Connecting,
    /// There is a connection, and the request is on its way.
    Sent,
    /// It got an answer, whatever it was.
    Answered,
}

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The name has no address.
    Name,
    /// Nobody listens there.
    Refused,
    /// There is no way there, or nobody who says no.
    Unreachable,
    /// The certificate is signed by an authority that nobody trusts here.
    UnknownAuthority,
    /// The certificate is not good: of another name, or out of its time.
    Certificate,
    /// The other end does not speak TLS, or not ours.
    Tls,
    /// The proxy makes no tunnel.
    Proxy,
    /// The file with the trusted authorities cannot be used.
    CaFile,
    /// A connection broke off.
    Lost,
    /// The request or its answer makes no sense.
    Nonsense,
}

impl Trouble {
    pub(super) fn of(error: &TransportError) -> Self {
        match error {
            TransportError::Request(_) | TransportError::Response(_) => Self::Nonsense,
            TransportError::CaFile(_) => Self::CaFile,
            TransportError::Proxy { .. } => Self::Proxy,
            TransportError::Exchange { .. } => Self::Lost,
            TransportError::Connect { source, .. } => Self::of_connect(source),
        }
    }

    fn of_connect(error: &io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return match tls {
                rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => Self::UnknownAuthority,
                rustls::Error::InvalidCertificate(_) => Self::Certificate,
                _ => Self::Tls,
            };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => {
                Self::Lost
            }
            _ if error.to_string().starts_with(NO_NAME) => Self::Name,
            _ => Self::Unreachable,
        }
    }
}

/// An answer, as far as it tells of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The store's clock, in milliseconds since 1970 UTC; whole seconds.
    pub date_ms: Option<i64>,
    /// Our clock when the request left, and when the answer was there.
    pub asked_ms: i64,
    /// As above.
    pub received_ms: i64,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    fn new(status: u16, headers: &HeaderMap, asked_ms: i64, received_ms: i64) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date = text("date").and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        Self {
            status,
            date_ms: date.and_then(|date| date.to_millis().ok()),
            asked_ms,
            received_ms,
            headers: HEADERS.into_iter().filter_map(|name| Some((name, one_line(text(name)?)))).collect(),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(date_ms: Option<i64>, asked_ms: i64, received_ms: i64) -> Self {
        Self { status: 200, date_ms, asked_ms, received_ms, headers: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn with_headers_for_tests(headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { headers, ..Self::for_tests(None, 0, 0) }
    }

    /// A header that is kept.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// What was met since it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How far the last request came.
    pub stage: Option<Stage>,
    /// Why it got no answer.
    pub trouble: Option<Trouble>,
    /// The last answer.
    pub answer: Option<Answer>,
}

/// Notes what requests meet.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    seen: Seen,
    asked_ms: i64,
}

impl Witness {
    pub(super) fn connects(&self) {
        self.state().seen.stage = Some(Stage::Connecting);
    }

    pub(super) fn sends(&self) {
        let mut state = self.state();
        state.seen.stage = Some(Stage::Sent);
        state.asked_ms = now_ms();
    }

    pub(super) fn ends(&self, outcome: &Result<Response<Bytes>, TransportError>) {
        let mut state = self.state();
        match outcome {
            Ok(response) => {
                let answer = Answer::new(response.status().as_u16(), response.headers(), state.asked_ms, now_ms());
                state.seen = Seen { stage: Some(Stage::Answered), trouble: None, answer: Some(answer) };
            }
            Err(error) => state.seen.trouble = Some(Trouble::of(error)),
        }
    }

    /// What was met, which is forgotten then.
    pub(super) fn take(&self) -> Seen {
        std::mem::take(&mut self.state().seen)
    }

    /// Each change is a whole one, so a panic elsewhere leaves nothing half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&'static str, &'static str)]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), hyper::header::HeaderValue::from_static(value)));
        Answer::new(200, &headers.collect(), 1, 2)
    }

    #[test]
    fn an_answer_tells_the_stores_clock_and_what_it_did() {
        let told = answer(&[
            ("date", "Mon, 23 Nov 2026 10:00:01 GMT"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("set-cookie", "session=secret"),
        ]);
        assert_eq!(told.date_ms, Some(1_795_428_001_000));
        assert_eq!(told.header("x-amz-server-side-encryption"), Some("aws:kms"));
        assert!(!format!("{told:?}").contains("secret"), "only what is listed is kept");
        for date in ["yesterday", "", "2026-11-23T10:00:01Z"] {
            let headers = [("date", date)];
            assert_eq!(answer(&headers).date_ms, None, "{date}");
        }
    }

    #[test]
    fn each_way_to_get_no_answer_has_its_name() {
        use rustls::{CertificateError, Error};
        let connect = |source: io::Error| TransportError::Connect { peer: "peer".to_owned(), source };
        let tls = |error: Error| connect(io::Error::new(io::ErrorKind::InvalidData, error));
        let table = [
            (connect(io::ErrorKind::ConnectionRefused.into()), Trouble::Refused),
            (connect(io::ErrorKind::ConnectionReset.into()), Trouble::Lost),
            (connect(io::ErrorKind::HostUnreachable.into()), Trouble::Unreachable),
            (connect(io::ErrorKind::TimedOut.into()), Trouble::Unreachable),
            (tls(Error::InvalidCertificate(CertificateError::UnknownIssuer)), Trouble::UnknownAuthority),
            (tls(Error::InvalidCertificate(CertificateError::Expired)), Trouble::Certificate),
            (tls(Error::General("no".to_owned())), Trouble::Tls),
            (
                TransportError::Proxy {
                    proxy: "http://proxy:1".to_owned(),
                    peer: "peer".to_owned(),
                    status: hyper::StatusCode::FORBIDDEN,
                },
                Trouble::Proxy,
            ),
            (TransportError::Request("no host".to_owned()), Trouble::Nonsense),
        ];
        for (error, trouble) in table {
            assert_eq!(Trouble::of(&error), trouble, "{error}");
        }
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_told_by_the_resolver_as_expected() {
        // RFC 6761: nobody may ever own a name below `invalid`.
        let error = tokio::net::TcpStream::connect(("logspool.invalid", 443)).await.expect_err("no such name");
        assert_eq!(Trouble::of_connect(&error), Trouble::Name, "{error}");
    }
}
