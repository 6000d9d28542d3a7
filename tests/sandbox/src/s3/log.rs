//! What the server saw, for tests to look at and to wait for.

use super::fault::Fault;
use std::collections::BTreeMap;
use std::time::Instant;
use tokio::sync::watch;

/// One request that reached the server. It is noted when its head arrives and completed while it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSeen {
    /// As on the wire: `PUT`.
    pub method: String,
    /// Empty if the request names none.
    pub bucket: String,
    /// Decoded. Empty if the request names none.
    pub key: String,
    /// What stands behind the `?`, as on the wire.
    pub query: String,
    /// `None` as long as there is no answer, and for ever if the fault was not to answer.
    pub status: Option<u16>,
    /// What was done to it on purpose.
    pub fault: Option<Fault>,
    /// This request made an object, whatever it was told.
    pub stored: bool,
    /// It was a conditional PUT (`If-None-Match: *`).
    pub if_none_match: bool,
    /// Bytes of the request line and of all headers, as HTTP/1.1 writes them.
    pub head_bytes: u64,
    /// As many bytes of the body as the server took.
    pub body_bytes: u64,
    /// Names in lower case, without `authorization` and `x-amz-security-token`: tests print this.
    pub headers: BTreeMap<String, String>,
    /// The connection it came on, counted from 0.
    pub connection: u64,
    /// When its head was here.
    pub at: Instant,
    /// When its answer was on its way, if there was one.
    pub answered_at: Option<Instant>,
}

impl RequestSeen {
    /// Whether this was an upload of an object.
    #[must_use]
    pub fn is_put(&self) -> bool {
        self.method == "PUT" && !self.key.is_empty()
    }
}

/// All requests in the order of their arrival. It grows as long as the server lives, which is one test.
pub(super) struct RequestLog {
    seen: watch::Sender<Vec<RequestSeen>>,
}

impl RequestLog {
    pub(super) fn new() -> Self {
        Self { seen: watch::Sender::new(Vec::new()) }
    }

    /// Notes a request; the number is for [`RequestLog::update`].
    pub(super) fn note(&self, request: RequestSeen) -> usize {
        let mut number = 0;
        self.seen.send_modify(|seen| {
            number = seen.len();
            seen.push(request);
        });
        number
    }

    pub(super) fn update(&self, number: usize, change: impl FnOnce(&mut RequestSeen)) {
        self.seen.send_modify(|seen| change(&mut seen[number]));
    }

    pub(super) fn snapshot(&self) -> Vec<RequestSeen> {
        self.seen.borrow().clone()
    }

    /// Waits until `condition` holds of what was seen so far.
    pub(super) async fn until(&self, mut condition: impl FnMut(&[RequestSeen]) -> bool) -> Vec<RequestSeen> {
        self.seen.subscribe().wait_for(|seen| condition(seen)).await.expect("the sender lives in self").clone()
    }
}
