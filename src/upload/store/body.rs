//! The bytes of an object on their way into a store: exactly as many as were promised.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Chunks;

/// The chunks of a body, checked against the promised length: more bytes than promised are an error before one too many
/// is handed on, fewer are an error at the end.
pub(super) struct SizedChunks {
    chunks: Chunks,
    remaining: u64,
}

impl SizedChunks {
    pub(super) fn new(chunks: Chunks, bytes: u64) -> Self {
        Self { chunks, remaining: bytes }
    }
}

impl Iterator for SizedChunks {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.chunks.next() {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    let bytes = chunk.len() as u64;
                    let Some(remaining) = self.remaining.checked_sub(bytes) else {
                        return Some(Err(wrong_length("longer")));
                    };
                    self.remaining = remaining;
                    return Some(Ok(chunk));
                }
                Some(Err(error)) => return Some(Err(error)),
                None if self.remaining > 0 => {
                    self.remaining = 0;
                    return Some(Err(wrong_length("shorter")));
                }
                None => return None,
            }
        }
    }
}

fn wrong_length(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the object is {how} than when it was sealed"))
}

/// Why a body failed, seen from outside: whatever the HTTP layers make of an error that came from our own bytes, this tells
/// it from one of the network.
pub(super) type BodyFailure = Arc<OnceLock<String>>;

/// The same chunks as the body of an HTTP request: of known length, hence sent with `content-length` and uncopied.
pub(super) struct RequestBody {
    /// Never locked: the mutex makes the iterator `Sync`, which the SDK demands, and `get_mut` costs nothing.
    chunks: Mutex<SizedChunks>,
    remaining: u64,
    failure: BodyFailure,
}

impl RequestBody {
    pub(super) fn new(chunks: Chunks, bytes: u64, failure: BodyFailure) -> Self {
        Self { chunks: Mutex::new(SizedChunks::new(chunks, bytes)), remaining: bytes, failure }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let chunks = this.chunks.get_mut().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(chunks.next().map(|chunk| {
            match &chunk {
                Ok(bytes) => this.remaining -= bytes.len() as u64,
                // A second failure is a consequence of the first.
                Err(error) => _ = this.failure.set(error.to_string()),
            }
            chunk.map(Frame::data)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: Vec<io::Result<&'static [u8]>>, bytes: u64) -> Result<Vec<u8>, String> {
        let chunks = Box::new(chunks.into_iter().map(|chunk| chunk.map(Bytes::from_static)));
        SizedChunks::new(chunks, bytes)
            .try_fold(Vec::new(), |mut all, chunk| {
                all.extend_from_slice(&chunk?);
                io::Result::Ok(all)
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_body_of_the_promised_length_passes_unchanged() {
        assert_eq!(read(vec![Ok(b"ab"), Ok(b""), Ok(b"c"), Ok(b"")], 3), Ok(b"abc".to_vec()));
        assert_eq!(read(vec![], 0), Ok(vec![]));
    }

    #[test]
    fn a_body_of_another_length_is_an_error() {
        let shorter = "the object is shorter than when it was sealed";
        let longer = "the object is longer than when it was sealed";
        assert_eq!(read(vec![Ok(b"ab")], 3), Err(shorter.to_owned()));
        assert_eq!(read(vec![], 1), Err(shorter.to_owned()));
        assert_eq!(read(vec![Ok(b"ab"), Ok(b"cd")], 3), Err(longer.to_owned()));
        assert_eq!(read(vec![Ok(b"a")], 0), Err(longer.to_owned()));
    }

    #[test]
    fn a_read_error_passes_and_is_remembered() {
        let failure = BodyFailure::default();
        let chunks = Box::new([Ok(Bytes::from_static(b"a")), Err(io::Error::other("bad sector"))].into_iter());
        let mut body = RequestBody::new(chunks, 2, failure.clone());
        let mut next = || Pin::new(&mut body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()));
        assert!(matches!(next(), Poll::Ready(Some(Ok(_)))));
        assert!(failure.get().is_none());
        assert!(matches!(next(), Poll::Ready(Some(Err(_)))));
        assert_eq!(failure.get().map(String::as_str), Some("bad sector"));
    }
}
