//! What a segment needs of a file. A trait, because the same code also runs over memory and over files that fail on cue.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Positioned reads and writes; no cursor, so that readers and the writer share one descriptor.
pub(crate) trait SegmentFile: Debug + Send + Sync {
    /// Writes all bytes at `offset`. After an error any part of them may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills as much of `buffer` as the file has behind `offset` and returns how much that was.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// What identifies the file on its file system; `None` if it lies in memory.
    fn inode(&self) -> io::Result<Option<Inode>>;

    /// Lets go of the descriptor; the file is found again by its name. Descriptors are few.
    fn release(&self) {}

    /// Whether it would be lost with its name.
    fn is_released(&self) -> bool {
        false
    }

    /// Gives its blocks back at once, whoever else holds it. Called when its name is gone.
    fn discard(&self) {}
}

/// Identity of a file on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub device: u64,
    pub number: u64,
    /// Names that lead to it; 0 when it was removed.
    pub links: u64,
}

/// A file on disk. It keeps its descriptor, so that it can be read although its name is gone, until it is told to let go.
#[derive(Debug)]
pub(crate) struct DiskFile {
    path: PathBuf,
    held: Mutex<Option<Arc<File>>>,
}

impl DiskFile {
    /// A file that is opened when it is read.
    pub(crate) fn named(path: PathBuf) -> Self {
        Self { path, held: Mutex::new(None) }
    }

    pub(crate) fn new(path: PathBuf, file: File) -> Self {
        Self { path, held: Mutex::new(Some(Arc::new(file))) }
    }

    fn file(&self) -> io::Result<Arc<File>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(file) => Ok(Arc::clone(file)),
            None => Ok(Arc::new(OpenOptions::new().read(true).write(true).open(&self.path)?)),
        }
    }
}

impl SegmentFile for DiskFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(&*self.file()?, bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.file()?;
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(&*file, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file()?.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    fn inode(&self) -> io::Result<Option<Inode>> {
        let metadata = self.file()?.metadata()?;
        Ok(Some(Inode { device: metadata.dev(), number: metadata.ino(), links: metadata.nlink() }))
    }

    fn discard(&self) {
        // Without a descriptor nobody holds it. It must not be opened: another file has its name by now.
        if let Some(file) = &*self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            // What stays is freed when the last of its holders lets go.
            let _ = file.set_len(0);
        }
    }

    fn release(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_released(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}
