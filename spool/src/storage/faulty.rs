//! A place in memory that survives its spool, as a disk survives a process, and whose writes fail on cue.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::Memory;
use super::{Space, Storage};
use crate::format::tombstone::TOMBSTONE_BYTES;
use crate::id::SegmentId;
use crate::segment::file::{Inode, SegmentFile};

/// How the next write fails: once, behind so many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub after_bytes: usize,
    /// Cutting the file back behind that write fails as well.
    pub stuck: bool,
}

#[derive(Debug, Default)]
struct Cue {
    /// Writes that succeed before.
    calm: u32,
    next: Option<Fault>,
    truncate_fails: bool,
    fired: bool,
}

impl Cue {
    /// The fault of this write.
    fn take(&mut self) -> Option<Fault> {
        match self.calm.checked_sub(1) {
            Some(calm) if self.next.is_some() => {
                self.calm = calm;
                None
            }
            _ => self.next.take(),
        }
    }
}

/// Storage over memory. Clones share their files and their cue.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    memory: Memory,
    cue: Arc<Mutex<Cue>>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn SegmentFile>,
    cue: Arc<Mutex<Cue>>,
}

impl Faulty {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { memory: Memory::new(bytes_max), cue: Arc::default() }
    }

    pub(crate) fn fail_next(&self, fault: Fault) {
        self.fail_after(0, fault);
    }

    /// Fails a write behind so many that succeed.
    pub(crate) fn fail_after(&self, calm: u32, fault: Fault) {
        let mut cue = self.cue();
        (cue.calm, cue.next) = (calm, Some(fault));
    }

    /// Whether any write has failed on cue.
    pub(crate) fn has_failed(&self) -> bool {
        self.cue().fired
    }

    /// The files as the next process finds them.
    pub(crate) fn files(&self) -> Vec<(SegmentId, Arc<dyn SegmentFile>)> {
        self.memory.files()
    }

    fn cue(&self) -> MutexGuard<'_, Cue> {
        self.cue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Faulty {
    fn create_segment(&self, segment: SegmentId) -> io::Result<Arc<dyn SegmentFile>> {
        let file = self.memory.create_segment(segment)?;
        Ok(Arc::new(FaultyFile { file, cue: Arc::clone(&self.cue) }))
    }

    fn remove_segment(&self, segment: SegmentId) -> io::Result<()> {
        self.memory.remove_segment(segment)
    }

    /// In one step, as a rename is: it happens or it does not.
    fn bury(&mut self, segment: SegmentId, tombstone: &[u8; TOMBSTONE_BYTES]) -> io::Result<()> {
        if self.cue().take().is_some() {
            self.cue().fired = true;
            return Err(io::Error::other("on cue"));
        }
        self.memory.bury(segment, tombstone)
    }

    fn refill(&mut self) {}

    fn is_in_place(&self, segment: SegmentId, file: &dyn SegmentFile) -> bool {
        self.memory.is_in_place(segment, file)
    }

    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }

    fn remove_all(&self) -> io::Result<()> {
        self.memory.remove_all()
    }

    fn is_volatile(&self) -> bool {
        false
    }
}

impl FaultyFile {
    fn cue(&self) -> MutexGuard<'_, Cue> {
        self.cue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentFile for FaultyFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let Some(fault) = self.cue().take() else { return self.file.write_all_at(bytes, offset) };
        // Never the whole of it: a write that reports an error has not written everything.
        let written = fault.after_bytes.min(bytes.len().saturating_sub(1));
        self.file.write_all_at(&bytes[..written], offset)?;
        *self.cue() = Cue { calm: 0, next: None, truncate_fails: fault.stuck, fired: true };
        Err(io::Error::other("on cue"))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        if std::mem::take(&mut self.cue().truncate_fails) {
            return Err(io::Error::other("on cue"));
        }
        self.file.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn inode(&self) -> io::Result<Option<Inode>> {
        self.file.inode()
    }
}
