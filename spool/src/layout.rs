//! Names and places on disk. Everything that opens, makes or removes a file of the spool does it here.
//!
//! ```text
//! <root>/<spool id>/lock                 held by the living process
//! <root>/<spool id>/000000000007.seg     one file a segment
//! <root>/<spool id>/manifest/            sled; a hint, never needed
//! <root>/.new-<spool id>/                a spool directory that is being made
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::id::{SegmentId, SpoolId};

/// Directories are the owner's alone: other programs of the sandbox have no business in them.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const NEW_PREFIX: &str = ".new-";
const SEGMENT_SUFFIX: &str = ".seg";

/// The directory of one spool.
#[derive(Debug, Clone)]
pub(crate) struct SpoolDir(PathBuf);

/// The lock of a spool directory; free again when it is dropped or its process dies.
#[derive(Debug)]
pub(crate) struct DirLock(#[expect(dead_code, reason = "the open descriptor is the lock")] File);

impl SpoolDir {
    pub(crate) fn of(root: &Path, id: SpoolId) -> Self {
        Self(root.join(id.to_string()))
    }

    /// The place where a spool directory is made, invisible to adopters until it is [published](Self::publish).
    pub(crate) fn make_unpublished(root: &Path, id: SpoolId) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(root)?;
        let dir = Self(root.join(format!("{NEW_PREFIX}{id}")));
        DirBuilder::new().mode(DIRECTORY_MODE).create(&dir.0)?;
        Ok(dir)
    }

    /// Gives a finished directory its name. Its lock is held already, so no adopter can take it in between.
    pub(crate) fn publish(self, root: &Path, id: SpoolId) -> io::Result<Self> {
        let published = Self::of(root, id);
        fs::rename(&self.0, &published.0)?;
        Ok(published)
    }

    /// Takes the lock; `None` if another process holds it.
    pub(crate) fn try_lock(&self) -> io::Result<Option<DirLock>> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(self.0.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(DirLock(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn create_segment(&self, segment: SegmentId) -> io::Result<File> {
        OpenOptions::new().create_new(true).read(true).write(true).mode(FILE_MODE).open(self.segment(segment))
    }

    /// Opens every segment file, in order. Files with other names are left alone.
    pub(crate) fn open_segments(&self) -> io::Result<Vec<(SegmentId, File)>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if let Some(segment) = entry.file_name().to_str().and_then(segment_of_name) {
                segments.push((segment, File::open(entry.path())?));
            }
        }
        segments.sort_unstable_by_key(|(segment, _)| *segment);
        Ok(segments)
    }

    /// Removes a segment file; one that is gone already is fine.
    pub(crate) fn remove_segment(&self, segment: SegmentId) -> io::Result<()> {
        accept_missing(fs::remove_file(self.segment(segment)))
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.0.join("manifest")
    }

    /// Removes the directory and everything in it.
    pub(crate) fn remove(&self) -> io::Result<()> {
        accept_missing(fs::remove_dir_all(&self.0))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn segment(&self, segment: SegmentId) -> PathBuf {
        self.0.join(format!("{:012}{SEGMENT_SUFFIX}", segment.0))
    }
}

/// The directories below a root.
pub(crate) struct Listing {
    /// Spools, oldest first.
    pub spools: Vec<(SpoolId, SpoolDir)>,
    /// Directories that a kill left half made, or that are being made right now.
    pub unpublished: Vec<SpoolDir>,
}

/// Lists the spools below `root`. Other files and directories are left alone.
pub(crate) fn list_spools(root: &Path) -> io::Result<Listing> {
    let (mut spools, mut unpublished) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Ok(id) = name.parse::<SpoolId>() {
            spools.push((id, SpoolDir(entry.path())));
        } else if name.strip_prefix(NEW_PREFIX).is_some_and(|id| id.parse::<SpoolId>().is_ok()) {
            unpublished.push(SpoolDir(entry.path()));
        }
    }
    spools.sort_unstable_by_key(|(id, _)| *id);
    Ok(Listing { spools, unpublished })
}

fn segment_of_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let canonical = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| digits.parse().ok().map(SegmentId))?
}

fn accept_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_write_are_segments() {
        assert_eq!(segment_of_name("000000000007.seg"), Some(SegmentId(7)));
        assert_eq!(segment_of_name("1000000000007.seg"), Some(SegmentId(1_000_000_000_007)));
        for other in ["7.seg", "000000000007", "lock", "00000000000x.seg", "+00000000007.seg"] {
            assert_eq!(segment_of_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_held_lock_is_seen_and_a_dropped_one_is_free() {
        let root = tempfile::tempdir().expect("tempdir");
        let id = SpoolId::new(1, 1);
        let dir = SpoolDir::make_unpublished(root.path(), id).expect("made");
        let lock = dir.try_lock().expect("lock").expect("free");
        let dir = dir.publish(root.path(), id).expect("published");
        assert!(dir.try_lock().expect("lock").is_none());
        drop(lock);
        assert!(dir.try_lock().expect("lock").is_some());
    }
}
