//! Names and places on disk. Everything that opens, makes or removes a file of the spool does it here.
//!
//! ```text
//! <root>/<spool id>/lock                 held by the living process
//! <root>/<spool id>/000000000007.seg     one file a segment, or a tombstone in its place
//! <root>/<spool id>/ballast-0            a block that a tombstone can be written into on a full disk
//! <root>/<spool id>/manifest/            sled; a hint, never needed
//! <root>/<spool id>/manifest-removed/    it, being removed
//! <root>/.new-<spool id>/                a spool directory that is being made
//! <root>/dropped/<spool id>/             a spool of which only declared losses are left
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Space, Storage};
use crate::format::tombstone::TOMBSTONE_BYTES;
use crate::id::{SegmentId, SpoolId};
use crate::manifest;
use crate::segment::file::{DiskFile, SegmentFile};

/// Directories are the owner's alone: other programs of the sandbox have no business in them.
pub(crate) const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const NEW_PREFIX: &str = ".new-";
/// The directory of spools of which only declared losses are left.
pub(crate) const SET_ASIDE: &str = "dropped";
const SEGMENT_SUFFIX: &str = ".seg";
const BALLAST_PREFIX: &str = "ballast-";

/// The directory of one spool.
#[derive(Debug, Clone)]
pub(crate) struct SpoolDir {
    path: PathBuf,
    /// The name that it gets when it is [published](Self::publish), and by which its files are found again.
    published: PathBuf,
}

/// The lock of a spool directory; free again when it is dropped or its process dies. A child of this process that is just
/// being started holds it too, until it runs its program.
#[derive(Debug)]
pub(crate) struct DirLock(File);

impl SpoolDir {
    pub(crate) fn of(root: &Path, id: SpoolId) -> Self {
        Self::at(root.join(id.to_string()))
    }

    /// A directory that is being made, if there is one.
    pub(crate) fn unpublished(root: &Path, id: SpoolId) -> Self {
        Self { path: root.join(format!("{NEW_PREFIX}{id}")), published: Self::of(root, id).path }
    }

    fn at(path: PathBuf) -> Self {
        Self { published: path.clone(), path }
    }

    /// The place where a spool directory is made, invisible to adopters until it is [published](Self::publish).
    pub(crate) fn make_unpublished(root: &Path, id: SpoolId) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(root)?;
        refuse_network(root)?;
        let dir = Self::unpublished(root, id);
        DirBuilder::new().mode(DIRECTORY_MODE).create(&dir.path)?;
        Ok(dir)
    }

    /// Gives a finished directory its name. Its lock is held already, so no adopter can take it in between.
    pub(crate) fn publish(&self) -> io::Result<Self> {
        fs::rename(&self.path, &self.published)?;
        Ok(Self::at(self.published.clone()))
    }

    /// Gives a finished directory the name of another one, of which something may be left, in one step: whoever looks, and
    /// whoever comes after a kill, finds the one or the other. What was left is removed.
    pub(crate) fn publish_over(&self) -> io::Result<Self> {
        let published = Self::at(self.published.clone());
        match renameat_with(CWD, &self.path, CWD, &published.path, RenameFlags::EXCHANGE) {
            Ok(()) => {
                // If it stays, it has the name of one that is being made, and the next adopter removes it.
                let _ = self.remove();
                Ok(published)
            }
            Err(Errno::NOENT) => self.publish(),
            // A file system that cannot exchange two names.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                published.remove()?;
                self.publish()
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The directory that it lies in.
    pub(crate) fn root(&self) -> PathBuf {
        self.published.parent().map(Path::to_owned).unwrap_or_default()
    }

    /// Moves it to where the spools lie of which only declared losses are left.
    fn set_aside(&mut self) -> io::Result<()> {
        let (Some(root), Some(name)) = (self.path.parent(), self.path.file_name()) else { return Ok(()) };
        if root.ends_with(SET_ASIDE) {
            return Ok(());
        }
        let aside = root.join(SET_ASIDE);
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&aside)?;
        let moved = aside.join(name);
        fs::rename(&self.path, &moved)?;
        *self = Self::at(moved);
        Ok(())
    }

    /// Takes the lock; `None` if another process holds it.
    pub(crate) fn try_lock(&self) -> io::Result<Option<DirLock>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(self.lock())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(DirLock(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    pub(crate) fn create_segment(&self, segment: SegmentId) -> io::Result<DiskFile> {
        let path = self.segment(segment);
        let file = OpenOptions::new().create_new(true).read(true).write(true).mode(FILE_MODE).open(path)?;
        Ok(DiskFile::new(self.published.join(segment_name(segment)), file))
    }

    /// The segments that have files, in order. Files with other names are left alone.
    fn list_segments(&self) -> io::Result<Vec<SegmentId>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            segments.extend(entry?.file_name().to_str().and_then(segment_of_name));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// The files of all segments, in order. The newest `descriptors_max` are held open; the others are opened when they are
    /// read, so that a start does not open thousands of files.
    pub(crate) fn open_segments(&self, descriptors_max: usize) -> io::Result<Vec<(SegmentId, DiskFile)>> {
        let segments = self.list_segments()?;
        let newest = segments.len().saturating_sub(descriptors_max);
        let mut files = Vec::new();
        for (index, segment) in segments.into_iter().enumerate() {
            let path = self.segment(segment);
            if index < newest {
                files.push((segment, DiskFile::named(path)));
                continue;
            }
            match OpenOptions::new().read(true).write(true).open(&path) {
                // Somebody has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                file => files.push((segment, DiskFile::new(path, file?))),
            }
        }
        Ok(files)
    }

    /// Removes a segment file; one that is gone already is fine.
    pub(crate) fn remove_segment(&self, segment: SegmentId) -> io::Result<()> {
        accept_missing(fs::remove_file(self.segment(segment)))
    }

    /// Whether a segment's name still leads to this file.
    pub(crate) fn holds(&self, segment: SegmentId, file: &dyn SegmentFile) -> bool {
        file.inode()
            .is_ok_and(|inode| inode.is_some_and(|inode| leads_to(&self.segment(segment), inode.device, inode.number)))
    }

    /// Whether the name of the lock still leads to this one: else somebody could take another one.
    pub(crate) fn holds_lock(&self, lock: &DirLock) -> bool {
        lock.0.metadata().is_ok_and(|held| leads_to(&self.lock(), held.dev(), held.ino()))
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.path.join("manifest")
    }

    fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Removes the directory and everything in it, in an order of which a kill may leave any part: the manifest first, since
    /// rows without files look like a loss, then the segments, since the last one tells where the stream ends.
    pub(crate) fn remove(&self) -> io::Result<()> {
        self.remove_manifest()?;
        for segment in accept_missing(self.list_segments())? {
            self.remove_segment(segment)?;
        }
        accept_missing(fs::remove_dir_all(&self.path))
    }

    /// Removes the manifest, in one step for whoever reads it later.
    pub(crate) fn remove_manifest(&self) -> io::Result<()> {
        manifest::remove(&self.manifest())
    }

    pub(crate) fn segment(&self, segment: SegmentId) -> PathBuf {
        self.path.join(segment_name(segment))
    }
}

fn segment_name(segment: SegmentId) -> String {
    format!("{:012}{SEGMENT_SUFFIX}", segment.0)
}

fn leads_to(path: &Path, device: u64, inode: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (device, inode))
}

/// The directories below a root.
pub(crate) struct Listing {
    /// Spools, oldest first.
    pub spools: Vec<(SpoolId, SpoolDir)>,
    /// Directories that a kill left half made, or that are being made right now.
    pub unpublished: Vec<SpoolDir>,
}

/// Files of one spool that keep their descriptors: a Lambda environment has 1,024 for all its processes.
pub(crate) const DESCRIPTORS_MAX: usize = 64;
/// Blocks that lie ready for tombstones. Evicting a segment frees more than a tombstone takes, so two are enough.
const BALLAST_FILES: usize = 2;

/// A spool directory that is ours: its lock, and its ballast.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: SpoolDir,
    lock: DirLock,
    ballast: Vec<PathBuf>,
}

impl Disk {
    pub(crate) fn new(dir: SpoolDir, lock: DirLock) -> Self {
        Self { dir, lock, ballast: Vec::new() }
    }

    pub(crate) fn dir(&self) -> &SpoolDir {
        &self.dir
    }

    /// Whether the lock still has its name: without it, somebody has cleared the directory.
    pub(crate) fn holds_lock(&self) -> bool {
        self.dir.holds_lock(&self.lock)
    }

    pub(crate) fn into_parts(self) -> (SpoolDir, DirLock) {
        // An adopter lays its own ballast.
        for ballast in &self.ballast {
            let _ = fs::remove_file(ballast);
        }
        (self.dir, self.lock)
    }

    /// Moves the directory out of the way of other spools: nothing but declared losses is left in it.
    pub(crate) fn set_aside(&mut self) -> io::Result<()> {
        for ballast in self.ballast.drain(..) {
            let _ = fs::remove_file(ballast);
        }
        self.dir.set_aside()
    }

    fn lay_ballast(&self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(FILE_MODE).open(path)?;
        // Written, not only sized: the block must be ours. No magic number, so it is never taken for anything.
        file.write_all_at(&[0xff; TOMBSTONE_BYTES], 0).inspect_err(|_| {
            let _ = fs::remove_file(path);
        })
    }
}

impl Storage for Disk {
    fn create_segment(&self, segment: SegmentId) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(self.dir.create_segment(segment)?))
    }

    fn remove_segment(&self, segment: SegmentId) -> io::Result<()> {
        self.dir.remove_segment(segment)
    }

    fn bury(&mut self, segment: SegmentId, tombstone: &[u8; TOMBSTONE_BYTES]) -> io::Result<()> {
        self.refill();
        let ballast = self.ballast.last().ok_or(io::ErrorKind::StorageFull)?;
        OpenOptions::new().write(true).open(ballast)?.write_all_at(tombstone, 0)?;
        fs::rename(ballast, self.dir.segment(segment))?;
        self.ballast.pop();
        Ok(())
    }

    fn refill(&mut self) {
        // Somebody may have removed it.
        self.ballast.retain(|ballast| ballast.exists());
        for index in 0..BALLAST_FILES {
            let path = self.dir.path.join(format!("{BALLAST_PREFIX}{index}"));
            // One that an earlier process has laid serves as well; on a full disk it could not be made again.
            let lies_ready = || fs::metadata(&path).is_ok_and(|metadata| metadata.len() == TOMBSTONE_BYTES as u64);
            if !self.ballast.contains(&path) && (lies_ready() || self.lay_ballast(&path).is_ok()) {
                self.ballast.push(path);
            }
        }
    }

    fn is_in_place(&self, segment: SegmentId, file: &dyn SegmentFile) -> bool {
        self.dir.holds(segment, file) && self.dir.holds_lock(&self.lock)
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let stat = rustix::fs::statvfs(&self.dir.path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Some(Space { total: bytes(stat.f_blocks), available: bytes(stat.f_bavail) }))
    }

    fn remove_all(&self) -> io::Result<()> {
        self.dir.remove()
    }

    fn is_volatile(&self) -> bool {
        false
    }
}

/// File systems over a network, by the magic number of `statfs(2)`: their locks are leases, which a frozen process loses.
pub(crate) const NETWORK_FILE_SYSTEMS: [(u64, &str); 8] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x0102_1997, "9P"),
];

/// Refuses a directory on a network file system.
pub(crate) fn refuse_network(root: &Path) -> io::Result<()> {
    let stat = rustix::fs::statfs(root)?;
    let magic = u64::try_from(stat.f_type).unwrap_or(0) & 0xffff_ffff;
    match NETWORK_FILE_SYSTEMS.iter().find(|(known, _)| *known == magic) {
        None => Ok(()),
        Some((_, name)) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{} is on a network file system ({name}), whose locks a frozen environment loses", root.display()),
        )),
    }
}

/// Lists the spools below `root`. Other files and directories are left alone.
pub(crate) fn list_spools(root: &Path) -> io::Result<Listing> {
    let (mut spools, mut unpublished) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Ok(id) = name.parse::<SpoolId>() {
            spools.push((id, SpoolDir::at(entry.path())));
        } else if name.strip_prefix(NEW_PREFIX).is_some_and(|id| id.parse::<SpoolId>().is_ok()) {
            unpublished.push(SpoolDir::at(entry.path()));
        }
    }
    spools.sort_unstable_by_key(|(id, _)| *id);
    Ok(Listing { spools, unpublished })
}

pub(crate) fn segment_of_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let canonical = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    canonical.then(|| digits.parse().ok().map(SegmentId))?
}

fn accept_missing<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
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
        let dir = dir.publish().expect("published");
        assert!(dir.try_lock().expect("lock").is_none());
        drop(lock);
        assert!(dir.try_lock().expect("lock").is_some());
    }
}
