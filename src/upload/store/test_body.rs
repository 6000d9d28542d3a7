//! Bodies for tests: bytes in memory, handed out in chunks.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::{CHUNK_BYTES_MAX, Chunks, Object, ObjectBody};

/// Bytes that can be read any number of times.
pub(super) struct TestBody {
    bytes: Bytes,
    breaks_at_chunk: Option<usize>,
    reads: AtomicUsize,
}

impl TestBody {
    pub(super) fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), breaks_at_chunk: None, reads: AtomicUsize::new(0) }
    }

    /// A body whose chunk with this number cannot be read.
    pub(super) fn breaking_at(bytes: impl Into<Bytes>, chunk: usize) -> Self {
        Self { breaks_at_chunk: Some(chunk), ..Self::new(bytes) }
    }

    /// How often it was read from the beginning.
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// An object with this body, its right length and its right digest.
    pub(super) fn object<'a>(&'a self, key: &'a str) -> Object<'a> {
        Object {
            key,
            bytes: self.bytes.len() as u64,
            crc64_nvme: spool::object_digest(&self.bytes),
            content_type: "application/x-ndjson",
            metadata: &[],
            body: self,
        }
    }
}

impl ObjectBody for TestBody {
    fn chunks(&self) -> Chunks {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let bytes = self.bytes.clone();
        let breaks_at_chunk = self.breaks_at_chunk;
        let starts = (0..bytes.len()).step_by(CHUNK_BYTES_MAX);
        Box::new(starts.enumerate().map(move |(number, start)| {
            if Some(number) == breaks_at_chunk {
                return Err(io::Error::other("bad sector"));
            }
            Ok(bytes.slice(start..bytes.len().min(start + CHUNK_BYTES_MAX)))
        }))
    }
}
