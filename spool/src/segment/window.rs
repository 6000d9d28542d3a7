//! A bounded window on a file: small neighbouring reads cost one system call for all of them.

use std::io;
use std::sync::Arc;

use super::file::SegmentFile;

/// Bytes read at a time.
pub(crate) const WINDOW_BYTES: usize = 64 * 1024;

/// Reads a file in order, up to [`WINDOW_BYTES`] at a time.
pub(crate) struct Window {
    file: Arc<dyn SegmentFile>,
    buffer: Box<[u8]>,
    /// Offset in the file of the buffer's first byte.
    at: u64,
    filled: usize,
}

impl Window {
    pub(crate) fn new(file: Arc<dyn SegmentFile>) -> Self {
        Self { file, buffer: vec![0; WINDOW_BYTES].into_boxed_slice(), at: 0, filled: 0 }
    }

    /// The bytes from `offset` to the end of the window, at least `wanted` (at most [`WINDOW_BYTES`]) if the file has them.
    pub(crate) fn read(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        debug_assert!(wanted <= WINDOW_BYTES);
        let start = offset.checked_sub(self.at).and_then(|start| usize::try_from(start).ok());
        let start = match start {
            Some(start) if start + wanted <= self.filled => start,
            _ => {
                self.filled = 0;
                self.filled = self.file.read_at(&mut self.buffer, offset)?;
                self.at = offset;
                0
            }
        };
        Ok(&self.buffer[start..self.filled])
    }
}
