//! `stdout:`: the log of the function, as a last resort.
//!
//! What an extension writes to its standard output goes to the log group of its function, if the function's role may write
//! there (AWS Lambda Developer Guide, "Lambda Extensions API": logging). Nobody says whether it arrived, so a put ends
//! as [`PutOutcome::Unconfirmed`]. The lines are those of [`printed`](crate::upload::printed); `logspool recover` makes
//! objects of them again.
//!
//! * **Bounded**: a process writes at most [`LOG_BYTES_MAX`]. Ingestion is what CloudWatch charges for.
//! * A line is written whole, or the put has failed.
//! * Writing blocks while nobody reads, so it is done on tokio's blocking pool. A put whose future is dropped stops behind the
//!   line in hand.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::body::SizedChunks;
use super::{AttemptError, AttemptErrorKind, Object, ObjectStore, PutFuture, PutOutcome};
use crate::upload::printed::{Head, PART_BYTES};

/// The most that a process writes, in bytes of lines.
pub const LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Where lines go.
pub type Output = Box<dyn Write + Send>;

/// The log of the function.
pub struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    output: Mutex<Output>,
    /// What may still be written.
    left: Mutex<u64>,
}

impl LogStore {
    /// The standard output of the process.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    /// Any other output.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self { shared: Arc::new(Shared { output: Mutex::new(output), left: Mutex::new(LOG_BYTES_MAX) }) }
    }
}

impl Shared {
    /// Takes room for an object, or says that there is none. What was begun is paid for, however it ends.
    fn reserve(&self, bytes: u64) -> Result<(), AttemptError> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.checked_sub(bytes).ok_or_else(|| {
            let message = format!("the log takes {left} bytes more of at most {LOG_BYTES_MAX}: this needs {bytes}");
            AttemptError::new(AttemptErrorKind::Configuration, message)
        })?;
        Ok(())
    }

    fn write(&self, head: &Head, chunks: SizedChunks, is_cancelled: &AtomicBool) -> Result<PutOutcome, AttemptError> {
        // One object after the other, so that its lines are neighbours.
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut print = |part: u64, bytes: &[u8]| {
            if is_cancelled.load(Ordering::Relaxed) {
                return Err(AttemptError::new(AttemptErrorKind::Retry, "cancelled"));
            }
            let line = head.line(part, bytes);
            let written = output.write_all(line.as_bytes()).and_then(|()| output.flush());
            written
                .map_err(|error| AttemptError::new(AttemptErrorKind::Retry, format!("the log takes nothing: {error}")))
        };
        let (mut part, mut pending) = (1, Vec::with_capacity(PART_BYTES));
        for chunk in chunks {
            let chunk = chunk.map_err(|error| AttemptError::new(AttemptErrorKind::Body, error.to_string()))?;
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                if pending.len() == PART_BYTES {
                    print(part, &pending)?;
                    part += 1;
                    pending.clear();
                }
                let (now, later) = rest.split_at(rest.len().min(PART_BYTES - pending.len()));
                pending.extend_from_slice(now);
                rest = later;
            }
        }
        print(part, &pending)?;
        Ok(PutOutcome::Unconfirmed)
    }
}

/// Stops what nobody waits for any more.
struct Cancels(Arc<AtomicBool>);

impl Drop for Cancels {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl ObjectStore for LogStore {
    fn put<'a>(&'a self, object: &'a Object<'a>) -> PutFuture<'a> {
        Box::pin(async move {
            let head = Head { key: object.key.to_owned(), bytes: object.bytes, crc64_nvme: object.crc64_nvme };
            self.shared.reserve(head.lines_bytes_max())?;
            let chunks = SizedChunks::new(object.body.chunks(), object.bytes);
            let (shared, cancelled) = (Arc::clone(&self.shared), Arc::new(AtomicBool::new(false)));
            let _cancels = Cancels(Arc::clone(&cancelled));
            let write = move || shared.write(&head, chunks, &cancelled);
            tokio::task::spawn_blocking(write).await.unwrap_or_else(|stopped| {
                Err(AttemptError::new(AttemptErrorKind::Retry, format!("writing stopped: {stopped}")))
            })
        })
    }

    fn describe(&self) -> String {
        "stdout:".to_owned()
    }

    /// Nothing is kept between two puts.
    fn close_idle(&self) {}
}

#[cfg(test)]
mod tests {
    use super::super::test_body::TestBody;
    use super::*;
    use crate::upload::printed::{Finder, Part};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("no panic").clone()).expect("ASCII")
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn parts(text: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut finder = Finder::default();
        finder.take(text.as_bytes(), |part| parts.push(part.expect("whole")));
        finder.end(|part| parts.push(part.expect("whole")));
        parts
    }

    fn store() -> (LogStore, Lines) {
        let lines = Lines::default();
        (LogStore::new(Box::new(lines.clone())), lines)
    }

    #[tokio::test]
    async fn an_object_is_lines_that_it_can_be_made_of_again() {
        for length in [0, 10, PART_BYTES, 100_000] {
            let (store, lines) = store();
            let bytes: Vec<u8> = (0..length).map(|index| u8::try_from(index % 251).expect("small")).collect();
            let body = TestBody::new(bytes.clone());
            assert_eq!(store.put(&body.object("a/b")).await, Ok(PutOutcome::Unconfirmed));
            let text = lines.text();
            let parts = parts(&text);
            assert_eq!(parts.len(), text.lines().count());
            assert_eq!(parts.iter().map(|part| &part.bytes[..]).collect::<Vec<_>>().concat(), bytes);
            assert!(parts.iter().all(|part| part.head.crc64_nvme == spool::object_digest(&bytes)));
        }
    }

    #[tokio::test]
    async fn no_more_is_written_than_the_limit_and_what_fits_still_fits() {
        let (store, lines) = store();
        let (large, small) = (TestBody::new(vec![1; 300_000]), TestBody::new(vec![1; 3_000]));
        let mut outcomes = Vec::new();
        for key in ["a", "b", "c"] {
            outcomes.push(store.put(&large.object(key)).await.map_err(|error| error.kind));
        }
        let written = Ok(PutOutcome::Unconfirmed);
        assert_eq!(outcomes, [written, written, Err(AttemptErrorKind::Configuration)]);
        assert_eq!(store.put(&small.object("d")).await, Ok(PutOutcome::Unconfirmed));
        assert!(lines.text().len() as u64 <= LOG_BYTES_MAX);
        assert_eq!(lines.text().matches("key=c ").count(), 0, "what does not fit is not begun");
    }

    #[tokio::test]
    async fn a_log_that_takes_nothing_and_a_body_that_breaks_are_told_apart() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = LogStore::new(Box::new(Closed)).put(&TestBody::new("abc").object("a")).await.expect_err("closed");
        assert_eq!(
            (error.kind, error.message.as_str()),
            (AttemptErrorKind::Retry, "the log takes nothing: broken pipe")
        );
        let (store, _) = store();
        let error = store.put(&TestBody::breaking_at(vec![1; 200_000], 2).object("a")).await.expect_err("it breaks");
        assert_eq!((error.kind, error.message.as_str()), (AttemptErrorKind::Body, "bad sector"));
    }
}
