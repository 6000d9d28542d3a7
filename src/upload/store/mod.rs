//! The outside half of delivery: what a store must be able to do, and what its failures mean.
//!
//! * **A put is atomic**: the whole object is there under its key, or nothing is.
//! * **A put is idempotent**: key and bytes of an object are fixed before the first attempt, so an attempt whose answer
//!   was lost may be repeated by anyone. An object that is there already is done: [`PutOutcome::AlreadyThere`].
//! * **One attempt per call.** No store repeats a failed attempt by itself: when to try again is decided by whoever
//!   calls, from the kind of the error. (The one exception, a kept connection that the peer had closed, is inside
//!   `s3` and explained there.)
//! * **Memory stays flat**: a body is read in chunks of at most [`CHUNK_BYTES_MAX`], anew for each attempt.
//! * **Dropping the future of a put cancels it**, in the sense that nobody waits any more; the object may still appear.
//! * No message names a byte of payload, a credential or a signed header; each is one line.
//!
//! Only `s3` and what lies beneath it knows the AWS SDK; no type of it leaves this module.

mod body;
mod connector;
pub mod credentials;
mod early_answer;
pub mod file;
pub mod file_reading;
pub mod log;
pub mod meaning;
pub mod peer;
pub mod proxy;
pub mod reading;
pub mod s3;
mod tls;
pub mod witness;

#[cfg(test)]
mod recording_server;
#[cfg(test)]
mod test_body;
#[cfg(test)]
mod test_proxy;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// Chunks of a body have at most so many bytes: one fits the socket's buffer, and several uploads at a time still fit
/// into a small function's memory.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// What [`ObjectStore::put`] returns.
pub type PutFuture<'a> = Pin<Box<dyn Future<Output = Result<PutOutcome, AttemptError>> + Send + 'a>>;

/// A place for objects.
pub trait ObjectStore: Send + Sync {
    /// Makes one attempt to store `object` under its key.
    ///
    /// # Errors
    /// [`AttemptError`]; after every kind of it the object may be there nevertheless.
    fn put<'a>(&'a self, object: &'a Object<'a>) -> PutFuture<'a>;

    /// Where the objects go, for log lines: `s3://bucket/prefix`, `file:///path`.
    fn describe(&self) -> String;

    /// Lets go of what would not survive a freeze: called before the process may be frozen.
    fn close_idle(&self);
}

/// One object to store.
pub struct Object<'a> {
    /// Its key below the prefix of the store; parts are joined by `/`.
    pub key: &'a str,
    /// Its length in bytes: a body of another length is refused as [`AttemptErrorKind::Body`].
    pub bytes: u64,
    /// CRC-64/NVME of its bytes.
    pub crc64_nvme: u64,
    /// MIME type of its bytes.
    pub content_type: &'static str,
    /// User metadata: names and values in printable ASCII, at most 2 KB together. A store may have no place for it.
    pub metadata: &'a [(&'static str, String)],
    /// Its bytes.
    pub body: &'a dyn ObjectBody,
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("key", &self.key).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// The chunks of a body in order; the first error ends it.
pub type Chunks = Box<dyn Iterator<Item = std::io::Result<Bytes>> + Send>;

/// The bytes of an object.
pub trait ObjectBody: Send + Sync {
    /// Reads them from the beginning, in chunks of at most [`CHUNK_BYTES_MAX`] and never the whole object at once. Each
    /// attempt asks anew. A chunk may be read where other tasks wait, so it must come from a local file or from memory.
    fn chunks(&self) -> Chunks;
}

/// How an attempt ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PutOutcome {
    /// The object was stored.
    Stored,
    /// An object of this key was there. The key contains the digest of the bytes: it is the same object.
    AlreadyThere,
    /// It was handed on, and nobody says whether it arrived.
    Unconfirmed,
}

/// How an attempt ended badly. Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptError {
    /// What to do about it.
    pub kind: AttemptErrorKind,
    /// The store's own name for it, if it gave one: `AccessDenied`.
    pub code: Option<String>,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// One line for a person.
    pub message: String,
}

/// What to do about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptErrorKind {
    /// It may pass: try again when the schedule says so.
    Retry,
    /// A person must change something: keep the object, say so once, ask again seldom.
    Configuration,
    /// The credentials were refused as old or unknown: fetch fresh ones, then try again.
    Credentials,
    /// The bucket is elsewhere: the message says where if the store did.
    WrongRegion,
    /// Our own bytes could not be read, or are not those that the key promises: no store will ever take them as they are.
    Body,
}

impl AttemptError {
    fn new(kind: AttemptErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: None, status: None, message: one_line(&message.into()) }
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, self.status) {
            (Some(code), Some(status)) => write!(f, "{code} (HTTP {status}): {}", self.message),
            (Some(code), None) => write!(f, "{code}: {}", self.message),
            (None, Some(status)) => write!(f, "HTTP {status}: {}", self.message),
            (None, None) => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for AttemptError {}

/// Makes text from outside fit for a log line: control characters become spaces, and it ends after
/// [`MESSAGE_BYTES_MAX`] bytes.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MESSAGE_BYTES_MAX));
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MESSAGE_BYTES_MAX {
            line.truncate(line.floor_char_boundary(MESSAGE_BYTES_MAX));
            line.push('…');
            break;
        }
    }
    line
}

/// S3's longest useful message (`AccessDenied` with principal, action and resource) has some 400 bytes.
const MESSAGE_BYTES_MAX: usize = 512;

/// An error and everything beneath it on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors print their source themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::AttemptErrorKind::Retry;
    use super::*;

    #[test]
    fn a_message_is_one_bounded_line() {
        let error = AttemptError::new(Retry, "a\r\nb\t c\u{0}d \n");
        assert_eq!(error.message, "a b c d");
        for text in ["é".repeat(2_000), "word ".repeat(2_000)] {
            let message = AttemptError::new(Retry, text).message;
            assert!(message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
            assert!(message.ends_with('…'));
        }
    }

    #[test]
    fn an_error_prints_what_is_known_of_it() {
        let error = |code: Option<&str>, status| AttemptError {
            kind: Retry,
            code: code.map(str::to_owned),
            status,
            message: "text".to_owned(),
        };
        let table = [
            (error(Some("SlowDown"), Some(503)), "SlowDown (HTTP 503): text"),
            (error(Some("StorageFull"), None), "StorageFull: text"),
            (error(None, Some(502)), "HTTP 502: text"),
            (error(None, None), "text"),
        ];
        for (error, line) in table {
            assert_eq!(error.to_string(), line);
        }
    }
}
