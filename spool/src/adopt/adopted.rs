//! An orphan that is being drained.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::drain::{AdoptedFile, LastState};
use super::fragment::AdoptedFragment;
use super::orphan::Orphan;
use super::timeline::Findings;
use crate::codec::Codec;
use crate::format::tombstone::Tombstone;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{LossCause, Losses};
use crate::segment::fragment::PendingFragment;
use crate::segment::sealed::{DroppedRange, SealedSegment, SegmentKey};
use crate::storage::disk::{DirLock, Disk, SpoolDir};
use crate::storage::{Covered, Storage};

/// What adoption found in an orphan, for a log line.
#[derive(Debug, Default)]
pub struct AdoptionReport {
    /// Files that could be read.
    pub files: usize,
    /// Rows of its manifest; none if there is no manifest, or it could not be read in time.
    pub rows: usize,
    /// Records that are intact and not delivered.
    pub records: u64,
    /// Objects that they make.
    pub objects: usize,
    /// Repaired: bytes at the ends of files that a kill had torn; they were never acknowledged.
    pub torn_bytes: u64,
    /// Repaired: damaged bytes that were stepped over to the next valid header.
    pub skipped_bytes: u64,
    /// Lost ranges, those that the spool itself had declared included.
    pub lost: Vec<DroppedRange>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<(SegmentId, String)>,
    /// Files that have a row and are not there, but for those that were delivered.
    pub missing: Vec<SegmentId>,
    /// The newest file cannot be read or is missing: nobody knows how many numbers were given.
    pub unknown_tail: bool,
}

impl AdoptionReport {
    /// Records that are lost, or may be.
    pub fn lost_records(&self) -> u64 {
        self.lost.iter().map(DroppedRange::records).fold(0, u64::saturating_add)
    }

    /// Bytes of their lines, as far as is known.
    pub fn lost_bytes(&self) -> u64 {
        self.lost.iter().map(|range| range.raw_bytes).fold(0, u64::saturating_add)
    }
}

/// The end of a stream that its own process could not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEnd {
    /// The life that ended.
    pub spool: SpoolId,
    /// The number that the end takes: one behind the last record, or behind the fragment.
    pub seq: Seqno,
    /// What was pending when the process died: its line stands before the end, in the same object. Together they are one of
    /// the things that wait, with the fragment's key.
    pub fragment: Option<PendingFragment>,
    /// What was lost, by cause.
    pub losses: Losses,
    /// The newest file could not be read: there may have been records behind this number.
    pub unknown_tail: bool,
    /// How its objects are compressed.
    pub codec: Codec,
    /// How its lines are written.
    pub line_format: u8,
}

/// An orphan that is being drained.
pub struct Adopted {
    pub(super) id: SpoolId,
    /// `None` for a spool that lived in memory.
    pub(super) place: Option<Disk>,
    pub(super) segments: Vec<SealedSegment>,
    pub(super) dropped: Vec<DroppedRange>,
    pub(super) files: BTreeMap<SegmentId, AdoptedFile>,
    /// From this file on, nothing is removed before the end is delivered: it says where the stream ends.
    pub(super) last_file: Option<SegmentId>,
    /// The newest name that was ever used.
    pub(super) last_name: Option<SegmentId>,
    pub(super) last_state: Option<LastState>,
    /// Only the manifest knows of some of it: it stays to the end, and all files with it.
    pub(super) needs_manifest: bool,
    has_removed_manifest: bool,
    /// From this file on, nothing is removed before the end is delivered: it is the evidence of a loss.
    pub(super) evidence_from: Option<SegmentId>,
    pub(super) covered: Covered,
    /// Tombstones that were made since adoption and that nobody has been told of.
    pub(super) untold: BTreeMap<SegmentId, Tombstone>,
    /// What was lost since adoption, and not before.
    pub(super) lost_since: Losses,
    /// The end of the stream; `None` if it gave no number.
    pub(super) end: Option<StreamEnd>,
    /// Its own process has written the end, or the one that ships a fragment is delivered.
    pub(super) has_ended: bool,
    /// The end was handed out to be delivered.
    pub(super) end_is_told: bool,
    /// What was pending, whether or not it is lost.
    pub(super) fragment: Option<AdoptedFragment>,
    /// Its files could not be restored once: they are held by their descriptors.
    is_beyond_rescue: bool,
    pub(super) report: AdoptionReport,
}

impl Adopted {
    pub(super) fn new(
        id: SpoolId,
        place: Option<(SpoolDir, DirLock)>,
        last_name: Option<SegmentId>,
        is_beyond_rescue: bool,
        findings: Findings,
    ) -> Self {
        let mut adopted = Self {
            id,
            place: place.map(|(dir, lock)| Disk::new(dir, lock)),
            segments: findings.segments,
            dropped: findings.dropped,
            files: findings.files,
            last_file: findings.last_file.or(last_name),
            last_name,
            last_state: findings.last_state,
            evidence_from: findings.evidence_from,
            covered: Covered::default(),
            untold: BTreeMap::new(),
            lost_since: Losses::default(),
            needs_manifest: findings.needs_manifest,
            has_removed_manifest: false,
            end: findings.end,
            has_ended: findings.has_ended,
            end_is_told: false,
            fragment: findings.fragment,
            is_beyond_rescue,
            report: findings.report,
        };
        // A file that cannot be removed now goes with the directory.
        let _ = adopted.remove_delivered();
        adopted
    }

    /// The life that wrote it.
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// What is to be delivered, in order.
    pub fn segments(&self) -> &[SealedSegment] {
        &self.segments
    }

    /// What is to be told, in order.
    pub fn dropped(&self) -> &[DroppedRange] {
        &self.dropped
    }

    /// What adoption found.
    pub fn report(&self) -> &AdoptionReport {
        &self.report
    }

    /// What was lost since it was adopted: what its adopter has given up, or could not read any more.
    pub fn lost_since_adoption(&self) -> Losses {
        self.lost_since
    }

    /// Bytes that it takes on disk.
    pub fn disk_bytes(&self) -> u64 {
        if self.place.is_some() { self.files.values().map(|file| file.disk_bytes).sum() } else { 0 }
    }

    /// How many declared losses wait to be told.
    pub(crate) fn tombstones(&self) -> usize {
        self.files.values().filter(|file| file.is_tombstone).count() + usize::from(self.waits_as_lost())
    }

    /// Whether this is still to be delivered.
    pub(crate) fn waits(&self, key: &SegmentKey) -> bool {
        self.files.get(&key.segment).is_some_and(|file| file.waits(key.first))
    }

    /// Notes that an upload was begun: the segment does not give way until it has ended.
    pub(crate) fn attempt_begun(&mut self, key: &SegmentKey) {
        if self.set_fragment_in_flight(key, true) {
            return;
        }
        self.untold.remove(&key.segment);
        if let Some(file) = self.files.get_mut(&key.segment) {
            file.attempt_begun(key.first);
        }
    }

    /// Notes that an upload has ended without success.
    pub(crate) fn attempt_failed(&mut self, key: &SegmentKey) {
        if self.set_fragment_in_flight(key, false) {
            return;
        }
        if let Some(file) = self.files.get_mut(&key.segment) {
            file.attempt_failed(key.first);
        }
    }

    /// Notes that an object is delivered, and removes files that are delivered whole, the oldest first. The end that ships a
    /// fragment is an object, too, by the fragment's key.
    pub fn delivered(&mut self, key: &SegmentKey) -> io::Result<()> {
        if self.fragment_delivered(key) {
            return Ok(());
        }
        let Some(file) = self.files.get_mut(&key.segment) else { return Ok(()) };
        file.delivered(key.first);
        self.remove_delivered()
    }

    /// Removes delivered files in order, but for the last one, which tells where the stream ends, and for those that tell of
    /// a loss: they go with the directory.
    pub(super) fn remove_delivered(&mut self) -> io::Result<()> {
        while let Some((segment, file)) = self.files.first_key_value().filter(|(_, file)| file.is_delivered()) {
            let (segment, is_tombstone) = (*segment, file.is_tombstone);
            let evidence_from = self.evidence_from.into_iter().chain(self.fragment_file()).min();
            let is_evidence = self.needs_manifest
                || evidence_from.is_some_and(|from| from <= segment)
                || (is_tombstone && self.tells_of_a_lost_end(segment));
            if is_evidence || self.last_file == Some(segment) {
                break;
            }
            self.remove_manifest()?;
            if let Some(disk) = &self.place {
                // Those behind it wait for it: a gap would look like a loss.
                self.covered.remove_all(disk)?;
                disk.remove_segment(segment)?;
            }
            self.files.remove(&segment);
        }
        Ok(())
    }

    /// The process has written an end, and it was given up. The file behind it says that it was written; that it is lost says
    /// only the tombstone before.
    fn tells_of_a_lost_end(&self, segment: SegmentId) -> bool {
        let was_written = self.last_state.as_ref().is_some_and(|last| last.state.slot().ended);
        let behind = self.files.range(segment.next()..).next().map(|(behind, _)| *behind);
        was_written && !self.has_ended && behind == self.last_file
    }

    /// The manifest goes before the first file does: nobody writes its rows any more, and to the next adopter a file that was
    /// removed would look like one that has vanished.
    pub(super) fn remove_manifest(&mut self) -> io::Result<()> {
        if let Some(disk) = self.place.as_ref().filter(|_| !self.has_removed_manifest) {
            disk.dir().remove_manifest()?;
        }
        self.has_removed_manifest = true;
        Ok(())
    }

    /// Whether somebody has cleared its directory, and what was there may be restored. Looks at the lock and at the newest
    /// segment alone: this is asked once a second, for every spool, and appends wait meanwhile.
    pub(crate) fn is_cleared(&self) -> bool {
        let Some(disk) = self.place.as_ref().filter(|_| !self.is_beyond_rescue) else { return false };
        let newest = self.last_state.as_ref().map(|last| (last.header.segment, last.state.file()));
        let has_newest = newest.is_none_or(|(segment, file)| disk.is_in_place(segment, file.as_ref()));
        !disk.holds_lock() || !has_newest
    }

    /// What is just being uploaded.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = SegmentKey> + '_ {
        let key = |segment: SegmentId, first| SegmentKey { spool: self.id, segment, first };
        let objects = self.files.iter().flat_map(move |(segment, file)| {
            let in_flight = file.in_flight();
            in_flight.map(move |first| key(*segment, first))
        });
        objects.chain(self.fragment_in_flight())
    }

    /// An orphan again, to be restored and adopted anew: all that is not delivered, as far as anything holds it. What nothing
    /// holds is declared from what is known of it here.
    pub(crate) fn into_orphan(self) -> Orphan {
        let (id, time_ms) = (self.id, self.id.unix_ms());
        let vanished = |(segment, file): (&SegmentId, &AdoptedFile)| {
            let records = file.records.filter(|_| file.waiting_records().next().is_some())?;
            let tombstone = records.tombstone(id, *segment, LossCause::Vanished, time_ms);
            Some((*segment, tombstone.encode().to_vec()))
        };
        let stand_ins = self.files.iter().filter_map(vanished).collect();
        let files = self.files.into_iter().filter_map(|(segment, file)| Some((segment, file.handle?)));
        Orphan::handed_over(id, self.place.map(Disk::into_parts), files.collect()).with_stand_ins(stand_ins)
    }

    /// Whether every object is delivered. What is left is the [end](Self::end), then [`finish`](Self::finish).
    pub fn is_drained(&self) -> bool {
        self.files.values().all(AdoptedFile::is_delivered)
    }

    /// The end to deliver before [`finish`](Self::finish); `None` if the life ended in order or gave no number.
    pub fn end(&self) -> Option<&StreamEnd> {
        self.end.as_ref().filter(|_| !self.has_ended)
    }

    /// Notes that the end is handed out.
    pub(crate) fn end_is_told(&mut self) {
        self.end_is_told = true;
    }

    /// Removes the directory. Called when everything is delivered: what could not be read has been declared lost.
    pub fn finish(mut self) -> io::Result<()> {
        self.remove_behind_fragment()?;
        self.place.map_or(Ok(()), |disk| disk.remove_all())
    }
}

impl fmt::Debug for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopted").field("id", &self.id).field("report", &self.report).finish_non_exhaustive()
    }
}
