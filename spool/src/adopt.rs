//! Taking over spools whose process is gone.
//!
//! * Adoption writes to no file of the orphan: whatever it computes, another adopter computes again.
//! * Whose lock is held is alive and left alone.
//! * Files are removed one by one as their objects are delivered; the last one only when the end of the stream has been
//!   delivered too, so a kill at any point leaves what is needed to go on.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;
use crate::format::entry::EntryKind;
use crate::format::segment_header::{ENTRIES_AT, HeaderError};
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::layout::{DirLock, Listing, SpoolDir, list_spools};
use crate::loss::{LossCause, Losses};
use crate::manifest::{Row, RowState, read_rows};
use crate::segment::file::SegmentFile;
use crate::segment::scan::{Hole, Scan, ScanError, read_header, scan};
use crate::segment::sealed::{SealedSegment, SegmentKey};
use crate::segment::walk::{Step, Walker};
use crate::spool::Labeler;

/// How long an orphan's manifest may take: it is a hint.
const MANIFEST_LIMIT: Duration = Duration::from_secs(2);

/// A spool without a process. Its lock is ours.
pub struct Orphan {
    id: SpoolId,
    dir: SpoolDir,
    lock: DirLock,
    files: Vec<(SegmentId, Arc<dyn SegmentFile>)>,
}

/// What was found below a root.
#[derive(Debug, Default)]
pub struct Found {
    /// Spools to adopt, oldest first.
    pub orphans: Vec<Orphan>,
    /// Spools of living processes.
    pub alive: Vec<SpoolId>,
    /// Spools that could not be opened, and why. They are left alone.
    pub unreadable: Vec<(SpoolId, io::Error)>,
}

/// Finds the spools below `root` whose process is gone, except `own`, and takes their locks. Directories that a kill
/// left half made are removed.
pub fn find_orphans(root: &Path, own: SpoolId) -> io::Result<Found> {
    let mut found = Found::default();
    let Listing { spools, unpublished } = list_spools(root)?;
    for (id, dir) in spools {
        if id == own {
            continue;
        }
        match Orphan::open(id, dir) {
            Ok(Some(orphan)) => found.orphans.push(orphan),
            Ok(None) => found.alive.push(id),
            Err(error) => found.unreadable.push((id, error)),
        }
    }
    for dir in unpublished {
        // Its maker holds the lock from its first moment. What cannot be removed now holds nothing and can wait.
        if let Ok(Some(_lock)) = dir.try_lock() {
            let _ = dir.remove();
        }
    }
    Ok(found)
}

/// What adoption found in an orphan, for a log line.
#[derive(Debug, Default)]
pub struct AdoptionReport {
    /// Records that are intact.
    pub records: u64,
    /// Objects that they make.
    pub objects: usize,
    /// Bytes at the ends of files that a kill had torn; they were never acknowledged.
    pub torn_bytes: u64,
    /// Lost ranges.
    pub holes: Vec<Hole>,
    /// Files that could not be read, and why. They stay where they are.
    pub unreadable: Vec<(SegmentId, String)>,
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

/// The end of a stream that its own process could not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// The life that ended.
    pub spool: SpoolId,
    /// The number that the end takes: one behind the last record.
    pub seq: Seqno,
    /// What was lost, by cause.
    pub losses: Losses,
    /// How its objects are compressed.
    pub codec: Codec,
    /// How its lines are written.
    pub line_format: u8,
}

/// An orphan that is being drained.
pub struct Adopted {
    id: SpoolId,
    dir: SpoolDir,
    _lock: DirLock,
    segments: Vec<SealedSegment>,
    /// Objects of each file that are not delivered yet.
    outstanding: BTreeMap<SegmentId, usize>,
    last_file: Option<SegmentId>,
    end: Option<StreamEnd>,
    report: AdoptionReport,
}

impl Orphan {
    fn open(id: SpoolId, dir: SpoolDir) -> io::Result<Option<Self>> {
        let Some(lock) = dir.try_lock()? else { return Ok(None) };
        let mut files: Vec<(SegmentId, Arc<dyn SegmentFile>)> = Vec::new();
        for (segment, file) in dir.open_segments()? {
            files.push((segment, Arc::new(file)));
        }
        Ok(Some(Self { id, dir, lock, files }))
    }

    pub(crate) fn handed_over(
        id: SpoolId,
        dir: SpoolDir,
        lock: DirLock,
        files: Vec<(SegmentId, Arc<dyn SegmentFile>)>,
    ) -> Self {
        Self { id, dir, lock, files }
    }

    /// The life that wrote it.
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// The request id in force after its last entry, from the headers of its last segment that has entries. Reads at most
    /// `bytes_max`, since it stands in the way of a start.
    pub fn last_request_id(&self, bytes_max: u64) -> Option<String> {
        self.files.iter().rev().find_map(|(_, file)| last_request_id(file, bytes_max))
    }

    /// Reads all its files and computes what is to be delivered.
    pub fn adopt(self, label: &Labeler) -> Result<Adopted, UnknownVersion> {
        let rows = read_rows(&self.dir.manifest(), MANIFEST_LIMIT).unwrap_or_default();
        let mut adoption = Adoption::new(label, &rows);
        for (segment, file) in &self.files {
            match scan(file) {
                Ok(scan) => adoption.take(*segment, scan),
                Err(ScanError::Header(HeaderError::UnknownVersion(version))) => {
                    return Err(UnknownVersion { spool: self.id, version });
                }
                Err(ScanError::Header(HeaderError::NotASegment)) => adoption.take_unfinished(*segment),
                Err(error) => adoption.report.unreadable.push((*segment, error.to_string())),
            }
        }
        Ok(adoption.finish(self))
    }
}

impl std::fmt::Debug for Orphan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orphan")
            .field("dir", &self.dir.path())
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

fn last_request_id(file: &Arc<dyn SegmentFile>, bytes_max: u64) -> Option<String> {
    let (header, _) = read_header(file.as_ref()).ok()?;
    let end = file.length().ok()?;
    if end - ENTRIES_AT.min(end) > bytes_max {
        return None;
    }
    let mut walker = Walker::new(Arc::clone(file), header.salt, ENTRIES_AT, end);
    let mut last = None;
    loop {
        match walker.step().ok()? {
            Step::Entry { header, meta, .. } if header.kind != EntryKind::Close => last = meta.request_id.or(last),
            Step::Entry { .. } | Step::Damaged { .. } => {}
            Step::End { .. } => return last,
        }
    }
}

/// Collects the scans of an orphan's files.
struct Adoption<'a> {
    label: &'a Labeler,
    rows: &'a BTreeMap<SegmentId, Row>,
    segments: Vec<SealedSegment>,
    outstanding: BTreeMap<SegmentId, usize>,
    /// The scan of the newest file, which knows the last number and the totals.
    newest: Option<Newest>,
    ended: bool,
    report: AdoptionReport,
}

struct Newest {
    next_seq: Seqno,
    losses: Losses,
    codec: Codec,
    line_format: u8,
}

impl<'a> Adoption<'a> {
    fn new(label: &'a Labeler, rows: &'a BTreeMap<SegmentId, Row>) -> Self {
        Self {
            label,
            rows,
            segments: Vec::new(),
            outstanding: BTreeMap::new(),
            newest: None,
            ended: false,
            report: AdoptionReport::default(),
        }
    }

    fn take(&mut self, segment: SegmentId, scan: Scan) {
        let uploaded = self.rows.get(&segment).is_some_and(|row| row.state == RowState::Uploaded);
        let runs = if uploaded { Vec::new() } else { scan.runs };
        self.outstanding.insert(segment, runs.len());
        self.report.torn_bytes += scan.torn_bytes;
        self.report.holes.extend(&scan.holes);
        if scan.next_seq > scan.header.first_seq {
            self.ended = scan.ended;
        } else {
            self.ended = scan.slot.map_or(self.ended, |slot| slot.ended);
        }
        self.newest = Some(Newest {
            next_seq: scan.next_seq,
            losses: scan.slot.map(|slot| slot.losses).unwrap_or_default(),
            codec: scan.header.codec,
            line_format: scan.header.line_format,
        });
        for (facts, extent) in runs {
            self.report.records += facts.records;
            let label = (self.label)(&facts);
            self.segments.push(SealedSegment::new(facts, label, extent));
        }
    }

    /// A file whose header a kill has torn: it holds nothing.
    fn take_unfinished(&mut self, segment: SegmentId) {
        self.outstanding.insert(segment, 0);
    }

    fn finish(mut self, orphan: Orphan) -> Adopted {
        self.report.objects = self.segments.len();
        let mut losses = self.newest.as_ref().map(|newest| newest.losses).unwrap_or_default();
        for hole in &self.report.holes {
            losses.add(LossCause::Damage, hole.last.0 - hole.first.0 + 1, hole.raw_bytes);
        }
        let end = self.newest.filter(|newest| !self.ended && newest.next_seq > Seqno(0)).map(|newest| StreamEnd {
            spool: orphan.id,
            seq: newest.next_seq,
            losses,
            codec: newest.codec,
            line_format: newest.line_format,
        });
        let last_file = orphan.files.last().map(|(segment, _)| *segment);
        let mut adopted = Adopted {
            id: orphan.id,
            dir: orphan.dir,
            _lock: orphan.lock,
            segments: self.segments,
            outstanding: self.outstanding,
            last_file,
            end,
            report: self.report,
        };
        // What has no object is not waited for; a file that cannot be removed now goes with the directory.
        let _ = adopted.remove_delivered();
        adopted
    }
}

impl Adopted {
    /// The life that wrote it.
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// What is to be delivered, in order.
    pub fn segments(&self) -> &[SealedSegment] {
        &self.segments
    }

    /// What adoption found.
    pub fn report(&self) -> &AdoptionReport {
        &self.report
    }

    /// Notes that an object is delivered, and removes files that are delivered whole, the oldest first.
    pub fn delivered(&mut self, key: &SegmentKey) -> io::Result<()> {
        let Some(left) = self.outstanding.get_mut(&key.segment) else { return Ok(()) };
        *left = left.saturating_sub(1);
        self.remove_delivered()
    }

    /// Removes delivered files in order, but for the last one: it tells where the stream ends and goes with the directory.
    fn remove_delivered(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        while let Some(oldest) = self.outstanding.first_entry().filter(|oldest| *oldest.get() == 0) {
            if self.last_file == Some(*oldest.key()) {
                break;
            }
            result = result.and(self.dir.remove_segment(oldest.remove_entry().0));
        }
        result
    }

    /// Whether every object is delivered. What is left is the [end](Self::end), then [`finish`](Self::finish).
    pub fn is_drained(&self) -> bool {
        self.outstanding.values().all(|left| *left == 0)
    }

    /// The end to deliver before [`finish`](Self::finish); `None` if the life ended in order or gave no number.
    pub fn end(&self) -> Option<&StreamEnd> {
        self.end.as_ref()
    }

    /// Removes the directory, unless it holds files that could not be read. Called when everything is delivered.
    pub fn finish(self) -> io::Result<()> {
        if self.report.unreadable.is_empty() { self.dir.remove() } else { Ok(()) }
    }
}

impl std::fmt::Debug for Adopted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adopted").field("id", &self.id).field("report", &self.report).finish_non_exhaustive()
    }
}
