//! Looking at spool directories, for people: what is there, and whether it can be believed.
//!
//! * **Nothing is written, nothing is repaired, nothing is kept open.** Files are opened for reading, one at a time, and the
//!   manifest is not opened at all: sled writes when it opens.
//! * **A living spool may be looked at.** What changes between two looks is left out or seen at its next state; whoever wants
//!   to hold a finding against a living spool looks twice.
//! * Whether a spool lives is asked by a *shared* lock that is given back at once. The owner's lock is exclusive, so it is
//!   never taken away; an adopter that asks in the same instant takes the spool for alive and leaves it to a later life.

mod finding;
mod segment;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

pub use finding::Finding;
pub use segment::{InspectedFile, InspectedSegment, SegmentState, What};

use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::LossCause;
use crate::segment::fragment::PendingFragment;
use crate::segment::sealed::SegmentKey;
use crate::storage::disk::{SET_ASIDE, segment_of_name};

/// Whether a process writes to a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// A process holds its lock.
    Alive,
    /// Its process is gone; the next one adopts it.
    Orphan,
    /// Its lock could not be looked at.
    Unknown,
}

/// The directory could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("could not look at {}: {source}", .path.display())]
pub struct InspectError {
    path: PathBuf,
    source: io::Error,
}

/// A fragment that is pending.
#[derive(Debug, Clone)]
pub struct InspectedFragment {
    /// The fragment, with the number that an adopter would give it now.
    pub fragment: PendingFragment,
    /// Why its bytes cannot be had any more.
    pub loss: Option<LossCause>,
}

/// What one spool directory holds.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The life that wrote it.
    pub id: SpoolId,
    /// Where it lies.
    pub path: PathBuf,
    /// Whether a process writes to it.
    pub liveness: Liveness,
    /// Its segment files and tombstones, in order.
    pub files: Vec<InspectedFile>,
}

impl Inspection {
    /// The number behind everything that is known.
    pub fn next_seq(&self) -> Seqno {
        self.files.iter().filter_map(|file| file.range()).map(|(_, next)| next).max().unwrap_or(Seqno(0))
    }

    /// Whether the stream was ended in order, and nothing came behind the end.
    pub fn is_ended(&self) -> bool {
        let newest = self.files.iter().rev().find_map(InspectedFile::segment);
        newest.is_some_and(|segment| segment.ended) && self.fragment().is_none()
    }

    /// What is pending: no line yet, and the one before the end if its process is gone.
    pub fn fragment(&self) -> Option<InspectedFragment> {
        let found = self.files.iter().fold(None, |before, file| match &file.what {
            What::Segment(segment) => segment.fragments.follow(file.segment, before),
            What::Tombstone(range) => before.filter(|_| range.cause == LossCause::Refused),
            What::UnknownVersion(_) | What::Unreadable(_) => before,
        });
        let (segment, stored) = found?;
        let (loss, key) = (stored.loss, SegmentKey { spool: self.id, segment, first: self.next_seq() });
        Some(InspectedFragment { fragment: PendingFragment { key, stored, volatile: false }, loss })
    }

    /// Length of its segment files and tombstones, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What is wrong with it: bytes that cannot be believed, numbers that nobody tells of. Declared losses are none of it,
    /// nor is the torn end of a file that a kill has left. Reads every object.
    pub fn verify(&self) -> Vec<Finding> {
        finding::verify(self)
    }
}

/// Looks at a spool directory, or at all of them below a root, oldest first.
///
/// A directory is taken for a spool if it is named by a spool id, or if it holds segment files: a copy may have any name.
pub fn inspect(path: &Path) -> Result<Vec<Inspection>, InspectError> {
    look(path).map_err(|source| InspectError { path: path.to_owned(), source })
}

fn look(path: &Path) -> io::Result<Vec<Inspection>> {
    let named = path.file_name().and_then(id_of_name);
    let segments = list_segments(path)?;
    if let Some(id) = named {
        return Ok(vec![spool(id, path, &segments)?]);
    }
    if !segments.is_empty() {
        let files = look_at_files(path, &segments, Liveness::Orphan)?;
        let id = files.iter().find_map(|file| file.segment().map(|segment| segment.says.0));
        let id = id.ok_or_else(|| io::Error::other("no segment file tells which spool this is"))?;
        return Ok(vec![Inspection { id, path: path.to_owned(), liveness: Liveness::Orphan, files }]);
    }
    let mut spools = look_below(path)?;
    match look_below(&path.join(SET_ASIDE)) {
        Ok(set_aside) => spools.extend(set_aside),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    spools.sort_unstable_by_key(|spool| spool.id);
    Ok(spools)
}

fn look_below(root: &Path) -> io::Result<Vec<Inspection>> {
    let mut spools = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let Some(id) = id_of_name(&entry.file_name()) else { continue };
        match list_segments(&entry.path()).and_then(|segments| spool(id, &entry.path(), &segments)) {
            Ok(spool) => spools.push(spool),
            // It was adopted and removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(spools)
}

fn id_of_name(name: &OsStr) -> Option<SpoolId> {
    name.to_str().and_then(|name| name.parse().ok())
}

fn list_segments(path: &Path) -> io::Result<Vec<(SegmentId, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if let Some(segment) = entry.file_name().to_str().and_then(segment_of_name) {
            segments.push((segment, entry.path()));
        }
    }
    segments.sort_unstable_by_key(|(segment, _)| *segment);
    Ok(segments)
}

fn spool(id: SpoolId, path: &Path, segments: &[(SegmentId, PathBuf)]) -> io::Result<Inspection> {
    let liveness = liveness(path);
    let files = look_at_files(path, segments, liveness)?;
    Ok(Inspection { id, path: path.to_owned(), liveness, files })
}

fn look_at_files(path: &Path, segments: &[(SegmentId, PathBuf)], liveness: Liveness) -> io::Result<Vec<InspectedFile>> {
    let mut files = Vec::new();
    let last = segments.last().map(|(segment, _)| *segment);
    for (segment, file) in segments {
        let is_active = liveness == Liveness::Alive && last == Some(*segment);
        match InspectedFile::look(*segment, file, is_active) {
            Ok(file) => files.push(file),
            // Delivered and removed while we looked. If the whole directory is gone, so is the spool.
            Err(error) if error.kind() == io::ErrorKind::NotFound => _ = fs::metadata(path)?,
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

fn liveness(path: &Path) -> Liveness {
    match File::open(path.join("lock")) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Liveness::Orphan,
            Err(fs::TryLockError::WouldBlock) => Liveness::Alive,
            Err(fs::TryLockError::Error(_)) => Liveness::Unknown,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Liveness::Orphan,
        Err(_) => Liveness::Unknown,
    }
}

#[cfg(test)]
mod tests;
