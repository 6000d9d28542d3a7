//! Credentials from the endpoint that containers and restored snapshots have (AWS SDKs and Tools Reference Guide, "Container
//! credential provider").
//!
//! * **A stranger is sent nothing.** The request carries a token in plain HTTP, so it goes to loopback and link-local addresses
//!   only, never through a proxy, and whatever else a URL names is refused before there is a connection.
//! * The token is sent as it is. A file that holds it is read anew for each fetch: it is replaced while the process lives.
//! * A fetch is bounded in time and size, and no error repeats the URL, the token or what was answered.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_smithy_types::body::SdkBody;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, StatusCode, Uri};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::connector::Connector;
use super::super::peer::{is_near, without_brackets};
use super::super::{AttemptError, AttemptErrorKind};
use super::cache::Fetched;
use super::{AccessKeys, CONTAINER_FULL_URI, CONTAINER_TOKEN, CONTAINER_TOKEN_FILE};

/// Where [`super::CONTAINER_RELATIVE_URI`] leads.
const KNOWN_ADDRESS: &str = "http://169.254.170.2";
/// The endpoint of EKS in clusters with IPv6: on the machine's own link, whatever its prefix says.
const EKS_ADDRESS: &str = "fd00:ec2::23";
/// The endpoint is on this machine and answers within milliseconds; what takes longer is left for the next attempt.
const LIMIT: Duration = Duration::from_secs(2);
/// An answer has some 1.5 KB, most of it the token of the session.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// A token is a JSON Web Token or shorter, and has to fit into a header.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// An endpoint, and what it wants to see.
#[derive(Clone)]
pub struct ContainerEndpoint {
    uri: String,
    token: Option<String>,
    token_file: Option<PathBuf>,
    pub(super) limit: Duration,
}

impl ContainerEndpoint {
    pub(super) fn at(uri: String, token: Option<String>, token_file: Option<String>) -> Self {
        Self { uri, token, token_file: token_file.map(PathBuf::from), limit: LIMIT }
    }

    pub(super) fn at_known_address(path: &str, token: Option<String>, token_file: Option<String>) -> Self {
        let separator = if path.starts_with('/') { "" } else { "/" };
        Self::at(format!("{KNOWN_ADDRESS}{separator}{path}"), token, token_file)
    }

    #[cfg(test)]
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.token.as_deref().into_iter()
    }

    /// Asks once.
    pub(super) async fn fetch(&self, connector: &Connector) -> Result<Fetched, AttemptError> {
        let request = self.request()?;
        match tokio::time::timeout(self.limit, connector.send(request)).await {
            Ok(Ok(response)) => read(&response),
            Ok(Err(error)) => {
                let kind =
                    if error.is_configuration() { AttemptErrorKind::Configuration } else { AttemptErrorKind::Retry };
                Err(failed(kind, &error.to_string()))
            }
            Err(_elapsed) => Err(failed(AttemptErrorKind::Retry, &format!("no answer within {:?}", self.limit))),
        }
    }

    fn request(&self) -> Result<Request<SdkBody>, AttemptError> {
        let uri = self.uri.parse().ok().filter(is_allowed).ok_or_else(|| {
            let rule = "http:// and a loopback or link-local address is expected";
            configuration(&format!("{CONTAINER_FULL_URI}: {rule}"))
        })?;
        let mut request =
            Request::get(uri).body(SdkBody::empty()).map_err(|error| configuration(&error.to_string()))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = self.authorization()? {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        Ok(request)
    }

    /// The file wins over the value: it is the newer one.
    fn authorization(&self) -> Result<Option<HeaderValue>, AttemptError> {
        let (token, name) = match (&self.token_file, &self.token) {
            (Some(path), _) => (read_token(path)?, CONTAINER_TOKEN_FILE),
            (None, Some(token)) => (token.clone(), CONTAINER_TOKEN),
            (None, None) => return Ok(None),
        };
        // Line breaks first of all: with one a token could add headers of its own.
        let mut token = HeaderValue::try_from(token)
            .map_err(|_| configuration(&format!("{name}: the token is not one line of text")))?;
        token.set_sensitive(true);
        Ok(Some(token))
    }
}

/// Nothing of the values: a URL may hold a secret, too.
impl std::fmt::Debug for ContainerEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerEndpoint").finish_non_exhaustive()
    }
}

fn is_allowed(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTP)
        && uri.host().is_some_and(|host| is_near(host) || without_brackets(host) == EKS_ADDRESS)
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

fn read_token(path: &PathBuf) -> Result<String, AttemptError> {
    let unreadable = |what: &dyn std::fmt::Display| configuration(&format!("{CONTAINER_TOKEN_FILE}: {what}"));
    // Anything else than a file (a pipe) might be waited for.
    let is_file = std::fs::metadata(path).map_err(|error| unreadable(&error))?.is_file();
    if !is_file {
        return Err(unreadable(&"it is not a file"));
    }
    let mut token = String::new();
    let most = TOKEN_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(most).read_to_string(&mut token)).map_err(|error| unreadable(&error))?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(unreadable(&format_args!("the token is longer than {TOKEN_BYTES_MAX} bytes")));
    }
    Ok(token)
}

/// What the endpoint answers; members that nobody knows are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

fn read(response: &Response<Bytes>) -> Result<Fetched, AttemptError> {
    let status = response.status();
    if status != StatusCode::OK {
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => AttemptErrorKind::Retry,
            status if status.is_server_error() => AttemptErrorKind::Retry,
            _ => AttemptErrorKind::Configuration,
        };
        return Err(AttemptError { status: Some(status.as_u16()), ..failed(kind, "they were refused") });
    }
    let body = response.body();
    if body.len() > ANSWER_BYTES_MAX {
        return Err(configuration(&format!("the answer is longer than {ANSWER_BYTES_MAX} bytes")));
    }
    // An error of the parser may quote what it read.
    let unreadable = || configuration("the answer is not as documented");
    let answer: Answer = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if answer.access_key_id.is_empty() || answer.secret_access_key.is_empty() {
        return Err(unreadable());
    }
    let ends = match answer.expiration {
        None => None,
        Some(text) => Some(SystemTime::from(OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| unreadable())?)),
    };
    let keys = AccessKeys {
        id: answer.access_key_id,
        secret: answer.secret_access_key,
        session_token: answer.token.filter(|token| !token.is_empty()),
    };
    Ok(Fetched { keys: Arc::new(keys), ends })
}

fn failed(kind: AttemptErrorKind, what: &str) -> AttemptError {
    AttemptError::new(kind, format!("no credentials from the container's endpoint: {what}"))
}

fn configuration(what: &str) -> AttemptError {
    failed(AttemptErrorKind::Configuration, what)
}

#[cfg(test)]
mod tests;
