//! A bounded piece of memory in the place of a disk. What lies here is gone with the process, and its objects say so.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Space, Storage};
use crate::format::tombstone::TOMBSTONE_BYTES;
use crate::id::SegmentId;
use crate::segment::file::{Inode, SegmentFile};

/// Files in memory. A write that would go over the limit fails as it would on a full disk.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    shared: Arc<Mutex<Files>>,
}

#[derive(Debug)]
struct Files {
    by_segment: BTreeMap<SegmentId, MemoryFile>,
    budget: Arc<Mutex<Budget>>,
}

#[derive(Debug)]
struct Budget {
    used: u64,
    max: u64,
}

/// One file in memory.
#[derive(Debug, Clone)]
pub(crate) struct MemoryFile {
    bytes: Arc<Mutex<Vec<u8>>>,
    budget: Arc<Mutex<Budget>>,
}

impl MemoryFile {
    /// A file of its own that stands in for one whose bytes are known.
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        let used = bytes.len() as u64;
        Self { bytes: Arc::new(Mutex::new(bytes)), budget: Arc::new(Mutex::new(Budget { used, max: used })) }
    }
}

impl Memory {
    /// At most `bytes_max` over all files.
    pub(crate) fn new(bytes_max: u64) -> Self {
        let budget = Arc::new(Mutex::new(Budget { used: 0, max: bytes_max }));
        Self { shared: Arc::new(Mutex::new(Files { by_segment: BTreeMap::new(), budget })) }
    }

    /// The files, in order.
    pub(crate) fn files(&self) -> Vec<(SegmentId, Arc<dyn SegmentFile>)> {
        let files = lock(&self.shared);
        files.by_segment.iter().map(|(segment, file)| (*segment, Arc::new(file.clone()) as _)).collect()
    }
}

impl Storage for Memory {
    fn create_segment(&self, segment: SegmentId) -> io::Result<Arc<dyn SegmentFile>> {
        let mut files = lock(&self.shared);
        if files.by_segment.contains_key(&segment) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = MemoryFile { bytes: Arc::default(), budget: Arc::clone(&files.budget) };
        files.by_segment.insert(segment, file.clone());
        Ok(Arc::new(file))
    }

    fn remove_segment(&self, segment: SegmentId) -> io::Result<()> {
        if let Some(file) = lock(&self.shared).by_segment.remove(&segment) {
            // Readers keep the file itself; its bytes no longer count.
            let length = file.length()?;
            lock(&file.budget).used -= length;
        }
        Ok(())
    }

    fn bury(&mut self, segment: SegmentId, tombstone: &[u8; TOMBSTONE_BYTES]) -> io::Result<()> {
        self.remove_segment(segment)?;
        self.create_segment(segment)?.write_all_at(tombstone, 0).inspect_err(|_| {
            // An empty file in its place would be taken for a damaged one.
            let _ = self.remove_segment(segment);
        })
    }

    fn refill(&mut self) {}

    fn is_in_place(&self, segment: SegmentId, _file: &dyn SegmentFile) -> bool {
        lock(&self.shared).by_segment.contains_key(&segment)
    }

    fn space(&self) -> io::Result<Option<Space>> {
        Ok(None)
    }

    fn remove_all(&self) -> io::Result<()> {
        let segments: Vec<_> = lock(&self.shared).by_segment.keys().copied().collect();
        segments.into_iter().try_for_each(|segment| self.remove_segment(segment))
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

impl SegmentFile for MemoryFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut held = lock(&self.bytes);
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = offset + bytes.len();
        let grows = end.saturating_sub(held.len()) as u64;
        let mut budget = lock(&self.budget);
        if budget.used + grows > budget.max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        budget.used += grows;
        if grows > 0 {
            held.resize(end, 0);
        }
        held[offset..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let held = lock(&self.bytes);
        let rest = usize::try_from(offset).ok().and_then(|offset| held.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut held = lock(&self.bytes);
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let freed = held.len().saturating_sub(length) as u64;
        held.truncate(length);
        held.shrink_to_fit();
        lock(&self.budget).used -= freed;
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.bytes).len() as u64)
    }

    fn inode(&self) -> io::Result<Option<Inode>> {
        Ok(None)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_refuses_like_a_full_disk_and_takes_again_what_was_freed() {
        let memory = Memory::new(1_000);
        let first = memory.create_segment(SegmentId(0)).expect("made");
        let second = memory.create_segment(SegmentId(1)).expect("made");
        first.write_all_at(&[1; 900], 0).expect("fits");
        let error = second.write_all_at(&[2; 101], 0).expect_err("does not fit");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        first.write_all_at(&[3; 900], 0).expect("overwriting takes nothing");
        first.truncate(100).expect("cut");
        second.write_all_at(&[2; 900], 0).expect("fits now");
        memory.remove_segment(SegmentId(1)).expect("removed");
        first.write_all_at(&[4; 900], 100).expect("fits again");
        let mut buffer = [0; 3];
        assert_eq!(first.read_at(&mut buffer, 99).expect("read"), 3);
        assert_eq!(buffer, [3, 4, 4]);
    }

    #[test]
    fn a_tombstone_that_finds_no_room_leaves_no_file() {
        let mut memory = Memory::new(100);
        memory.bury(SegmentId(0), &[0; TOMBSTONE_BYTES]).expect_err("does not fit");
        assert!(memory.files().is_empty());
    }
}
