//! A spool without a process: its lock is ours, its files are open, nothing is read yet.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::adopted::Adopted;
use super::timeline::Timeline;
use crate::format::segment_header::{ENTRIES_AT, HeaderError};
use crate::id::{SegmentId, SpoolId};
use crate::kept::StandIns;
use crate::manifest::{Closing, Rows, read_rows};
use crate::segment::file::{DiskFile, SegmentFile};
use crate::segment::scan::ScanError;
use crate::spool::Labeler;
use crate::storage::disk::{DESCRIPTORS_MAX, DirLock, SpoolDir};
use crate::storage::memory::MemoryFile;

/// How long an orphan's manifest may take: it is a hint.
const MANIFEST_LIMIT: Duration = Duration::from_secs(2);
/// Bytes copied at a time when files are rescued.
const COPY_BYTES: usize = 64 * 1024;

/// A spool without a process. Its lock is ours.
pub struct Orphan {
    /// The manifest of a spool that this process rolled away from: its thread may still be at work in the directory. Let go of
    /// before the lock.
    manifest: Closing,
    id: SpoolId,
    /// `None` for a spool that lived in memory.
    place: Option<(SpoolDir, DirLock)>,
    pub(super) files: Vec<(SegmentId, Arc<dyn SegmentFile>)>,
    /// What is told of files that turn out to be gone, as far as the process that wrote them is this one.
    stand_ins: StandIns,
    is_beyond_rescue: bool,
}

/// The orphan was written by a later version of the format. It is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("spool {spool} has format version {version}, which this version does not know; it is left alone")]
pub struct UnknownVersion {
    /// The spool.
    pub spool: SpoolId,
    /// Its version.
    pub version: u16,
}

/// Why an orphan was not adopted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    /// It is left alone.
    #[error(transparent)]
    UnknownVersion(#[from] UnknownVersion),
    /// This process has no descriptor or memory left to read it with. Its files are sound for all that is known: it is to be
    /// adopted later, by this process or the next.
    #[error("spool {} cannot be read now, and is left as it is: {error}", .orphan.id)]
    NotNow {
        /// The orphan, unchanged.
        orphan: Box<Orphan>,
        /// What the system said.
        error: io::Error,
    },
}

impl Orphan {
    pub(super) fn open(id: SpoolId, dir: SpoolDir, descriptors_max: usize) -> io::Result<Option<Self>> {
        let Some(lock) = dir.try_lock()? else { return Ok(None) };
        let files = dir
            .open_segments(descriptors_max)?
            .into_iter()
            .map(|(segment, file)| (segment, Arc::new(file) as _))
            .collect();
        Ok(Some(Self::with(id, Some((dir, lock)), files)))
    }

    /// A spool that this process rolled away from, with the descriptors that it still had.
    pub(crate) fn handed_over(
        id: SpoolId,
        place: Option<(SpoolDir, DirLock)>,
        mut files: Vec<(SegmentId, Arc<dyn SegmentFile>)>,
    ) -> Self {
        // What stands on disk is better than what stands in for it: tombstones have no descriptor.
        let on_disk = place.as_ref().and_then(|(dir, _)| dir.open_segments(DESCRIPTORS_MAX).ok()).unwrap_or_default();
        for (segment, file) in on_disk {
            match files.iter_mut().find(|(known, _)| *known == segment) {
                None => files.push((segment, Arc::new(file))),
                Some((_, held)) if matches!(held.inode(), Ok(None)) => *held = Arc::new(file),
                Some(_) => {}
            }
        }
        files.sort_unstable_by_key(|(segment, _)| *segment);
        Self::with(id, place, files)
    }

    fn with(id: SpoolId, place: Option<(SpoolDir, DirLock)>, files: Vec<(SegmentId, Arc<dyn SegmentFile>)>) -> Self {
        Self { id, place, files, stand_ins: StandIns::new(), is_beyond_rescue: false, manifest: Closing::default() }
    }

    /// With what its process knows of its files.
    pub(crate) fn with_stand_ins(self, stand_ins: StandIns) -> Self {
        Self { stand_ins, ..self }
    }

    /// With the manifest that its process had opened.
    pub(crate) fn with_manifest(self, manifest: Closing) -> Self {
        Self { manifest, ..self }
    }

    /// The life that wrote it.
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// If somebody has cleared the directory: copies what the descriptors still hold into a new directory of the same name,
    /// so that it survives this process. Returns whether there was anything to do.
    ///
    /// After an error the descriptors still serve: everything can be delivered as long as the process lives.
    pub fn rescue(&mut self) -> io::Result<bool> {
        let rescued = self.restore();
        self.is_beyond_rescue = rescued.is_err();
        rescued
    }

    fn restore(&mut self) -> io::Result<bool> {
        let Some((dir, lock)) = &self.place else { return Ok(false) };
        let has_names = self.files.iter().all(|(segment, file)| dir.holds(*segment, file.as_ref()));
        if has_names && dir.holds_lock(lock) {
            return Ok(false);
        }
        let root = dir.root();
        // An earlier attempt may have left something.
        SpoolDir::unpublished(&root, self.id).remove()?;
        let copy = SpoolDir::make_unpublished(&root, self.id)?;
        let (dir, lock, files) = self.copy_to(&copy).inspect_err(|_| drop(copy.remove()))?;
        self.place = Some((dir, lock));
        self.files = files;
        Ok(true)
    }

    #[expect(clippy::type_complexity, reason = "a directory, its lock and the files in it, used once")]
    fn copy_to(&mut self, copy: &SpoolDir) -> io::Result<(SpoolDir, DirLock, Vec<(SegmentId, Arc<dyn SegmentFile>)>)> {
        let lock = copy.try_lock()?.ok_or(io::ErrorKind::WouldBlock)?;
        let mut files: Vec<(SegmentId, Arc<dyn SegmentFile>)> = Vec::new();
        for (segment, file) in &self.files {
            let Some(copied) = copy_file(copy, *segment, file.as_ref(), self.stand_ins.get(segment))? else { continue };
            if file.is_released() {
                copied.release();
            }
            files.push((*segment, Arc::new(copied)));
        }
        // A thread that still makes files in the old directory would go on in the new one.
        self.manifest.wait(MANIFEST_LIMIT);
        Ok((copy.publish_over()?, lock, files))
    }

    /// Reads all its files and computes what is to be delivered.
    pub fn adopt(self, label: &Labeler) -> Result<Adopted, NotAdopted> {
        self.adopt_with(label, |manifest| read_rows(manifest, MANIFEST_LIMIT))
    }

    /// The same with a reader of the manifest that may do what it likes.
    pub(crate) fn adopt_with(
        mut self,
        label: &Labeler,
        rows: impl FnOnce(&Path) -> Option<Rows>,
    ) -> Result<Adopted, NotAdopted> {
        self.manifest.wait(MANIFEST_LIMIT);
        let rows = self.place.as_ref().and_then(|(dir, _)| rows(&dir.manifest())).unwrap_or_default();
        let mut timeline = Timeline::new(self.id, self.place.is_none());
        for (segment, file) in &self.files {
            match self.read_into(&mut timeline, *segment, file) {
                Ok(()) => {}
                Err(ScanError::Header(HeaderError::UnknownVersion(version))) => {
                    return Err(UnknownVersion { spool: self.id, version }.into());
                }
                // Nothing is wrong with the file: read as damage, its records would be given up, and removed.
                Err(ScanError::Io(error)) if is_want_of_resources(&error) => {
                    return Err(NotAdopted::NotNow { orphan: Box::new(self), error });
                }
                // A kill has torn the making of the file: nothing was ever in it.
                Err(ScanError::Header(HeaderError::NotASegment)) if is_unfinished(file.as_ref()) => {
                    timeline.unfinished(*segment);
                }
                Err(error) if error.is_missing() => timeline.missing(*segment, error.to_string()),
                Err(error) => timeline.unreadable(*segment, error.to_string()),
            }
        }
        let last_name = self.files.last().map(|(segment, _)| *segment);
        let mut findings = timeline.finish(&rows, label);
        // What tells nothing is evidence of a loss, and has to be there for the next one, too.
        for (segment, file) in self.files {
            if let Some(known) = findings.files.get_mut(&segment) {
                known.handle.get_or_insert(file);
            }
        }
        Ok(Adopted::new(self.id, self.place, last_name, self.is_beyond_rescue, findings))
    }

    fn read_into(
        &self,
        timeline: &mut Timeline,
        segment: SegmentId,
        file: &Arc<dyn SegmentFile>,
    ) -> Result<(), ScanError> {
        match (timeline.read(segment, file), self.stand_ins.get(&segment)) {
            (Err(error), Some(bytes)) if error.is_missing() => {
                let stand_in: Arc<dyn SegmentFile> = Arc::new(MemoryFile::holding(bytes.clone()));
                timeline.read(segment, &stand_in)
            }
            (read, _) => read,
        }
    }
}

/// Whether this process, or the machine, has run out of what it takes to open or read a file.
fn is_want_of_resources(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

fn is_unfinished(file: &dyn SegmentFile) -> bool {
    file.length().is_ok_and(|length| length < ENTRIES_AT)
}

/// Copies a file into a directory that is being made. One that is gone is replaced by what stands in for it, or left out:
/// then the gap will be declared.
fn copy_file(
    dir: &SpoolDir,
    segment: SegmentId,
    from: &dyn SegmentFile,
    stand_in: Option<&Vec<u8>>,
) -> io::Result<Option<DiskFile>> {
    let copy = dir.create_segment(segment)?;
    match (copy_bytes(from, &copy), stand_in) {
        (Ok(()), _) => Ok(Some(copy)),
        (Err(error), Some(bytes)) if error.kind() == io::ErrorKind::NotFound => {
            copy.truncate(0)?;
            copy.write_all_at(bytes, 0)?;
            Ok(Some(copy))
        }
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => dir.remove_segment(segment).map(|()| None),
        (Err(error), _) => Err(error),
    }
}

fn copy_bytes(from: &dyn SegmentFile, to: &dyn SegmentFile) -> io::Result<()> {
    let (mut buffer, mut at) = (vec![0; COPY_BYTES], 0);
    loop {
        let read = from.read_at(&mut buffer, at)?;
        if read == 0 {
            return Ok(());
        }
        to.write_all_at(&buffer[..read], at)?;
        at += read as u64;
    }
}

impl fmt::Debug for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orphan").field("id", &self.id).field("files", &self.files.len()).finish_non_exhaustive()
    }
}
