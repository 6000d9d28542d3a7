//! Every call of the three APIs, for tests that ask what was called, how often, and with which answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use hyper::{Method, StatusCode};

/// One call of an API.
#[derive(Debug, Clone)]
pub struct ApiCall {
    /// HTTP method.
    pub method: Method,
    /// Path, such as `/2020-01-01/extension/event/next`.
    pub path: String,
    /// The request's body.
    pub body: Bytes,
    /// Status of the answer; `None` while the call waits, or when its connection broke before the answer.
    pub status: Option<StatusCode>,
    /// When the call came.
    pub at: Instant,
}

/// The calls so far, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<ApiCall>>>);

impl Journal {
    fn calls<T>(&self, f: impl FnOnce(&mut Vec<ApiCall>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn came(&self, method: Method, path: String, body: Bytes) -> usize {
        self.calls(|calls| {
            calls.push(ApiCall { method, path, body, status: None, at: Instant::now() });
            calls.len() - 1
        })
    }

    pub(crate) fn answered(&self, call: usize, status: StatusCode) {
        self.calls(|calls| calls[call].status = Some(status));
    }

    pub(crate) fn snapshot(&self) -> Vec<ApiCall> {
        self.calls(|calls| calls.clone())
    }
}
