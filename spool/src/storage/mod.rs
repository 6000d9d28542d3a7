//! What a spool needs of the place where its files lie. Two kinds: a directory, and a bounded piece of memory for a process
//! that has no disk. Tests add a third, which fails on cue.

pub(crate) mod disk;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod faulty;
pub(crate) mod memory;

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use crate::format::tombstone::TOMBSTONE_BYTES;
use crate::id::SegmentId;
use crate::segment::file::SegmentFile;

/// Room on the file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Size of the whole file system.
    pub total: u64,
    /// What an unprivileged process may still take.
    pub available: u64,
}

/// Files that a tombstone covers and that could not be removed when it was written. They go before any other file does: without
/// their tombstone they would look like a loss.
#[derive(Debug, Default)]
pub(crate) struct Covered(Vec<SegmentId>);

impl Covered {
    pub(crate) fn remove(&mut self, segment: SegmentId, storage: &dyn Storage) {
        self.0.push(segment);
        // It is tried again before any other file goes.
        let _ = self.remove_all(storage);
    }

    pub(crate) fn remove_all(&mut self, storage: &dyn Storage) -> io::Result<()> {
        while let Some(segment) = self.0.last() {
            storage.remove_segment(*segment)?;
            self.0.pop();
        }
        Ok(())
    }
}

/// The place of one spool's files.
pub(crate) trait Storage: Debug + Send {
    /// Makes the file of a segment; it must not exist.
    fn create_segment(&self, segment: SegmentId) -> io::Result<Arc<dyn SegmentFile>>;

    /// Removes the file of a segment; one that is gone already is fine.
    fn remove_segment(&self, segment: SegmentId) -> io::Result<()>;

    /// Puts a tombstone in the place of a segment's file, in one step, whether or not there is one. Works on a full disk
    /// as long as ballast lies ready.
    fn bury(&mut self, segment: SegmentId, tombstone: &[u8; TOMBSTONE_BYTES]) -> io::Result<()>;

    /// Lays ballast ready again, as far as there is room.
    fn refill(&mut self);

    /// Whether a segment's name still leads to this file: other programs may clear the directory.
    fn is_in_place(&self, segment: SegmentId, file: &dyn SegmentFile) -> bool;

    /// Room on the file system; `None` where there is nothing to measure.
    fn space(&self) -> io::Result<Option<Space>>;

    /// Removes everything.
    fn remove_all(&self) -> io::Result<()>;

    /// Whether what lies here is gone when the process ends.
    fn is_volatile(&self) -> bool;
}
