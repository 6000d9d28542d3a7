//! From the files of an orphan to what is to be delivered: which ranges are there, which are lost, where the stream ends.
//!
//! The files are taken in the order of their numbers. Between two neighbours the numbers must join: a living spool removes
//! its files in order, so a gap between two of them is a loss.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::adopted::{AdoptionReport, StreamEnd};
use super::drain::{AdoptedFile, LastState, Records};
use crate::format::tombstone::{TOMBSTONE_BYTES, TOMBSTONE_MAGIC, Tombstone};
use crate::format::wire::Reader;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{Loss, LossCause, Losses};
use crate::manifest::{Row, RowState};
use crate::quota::disk_bytes;
use crate::segment::active::StateFile;
use crate::segment::file::SegmentFile;
use crate::segment::scan::{Hole, Scan, ScanError, scan};
use crate::segment::sealed::{DroppedRange, Extent, SealedSegment, SegmentFacts};
use crate::spool::Labeler;

/// Everything that the files of an orphan tell, collected file by file.
pub(super) struct Timeline {
    spool: SpoolId,
    volatile: bool,
    pieces: Vec<Piece>,
    /// Files that end before their header does.
    unfinished: Vec<SegmentId>,
    report: AdoptionReport,
}

/// What one file tells.
struct Piece {
    segment: SegmentId,
    file: Arc<dyn SegmentFile>,
    first: Seqno,
    next: Seqno,
    content: Content,
}

enum Content {
    Segment(Box<Scan>),
    Tombstone(Tombstone),
}

/// What an adoption comes to.
pub(super) struct Findings {
    pub segments: Vec<SealedSegment>,
    pub dropped: Vec<DroppedRange>,
    /// The end of the stream; `None` if it gave no number.
    pub end: Option<StreamEnd>,
    /// The last record is an end that was delivered, or is going to be.
    pub has_ended: bool,
    /// All files, those with nothing to deliver included.
    pub files: BTreeMap<SegmentId, AdoptedFile>,
    /// The newest segment whose state can be read.
    pub last_state: Option<LastState>,
    /// From this file on, the files are what tells of a loss that no slot counts.
    pub evidence_from: Option<SegmentId>,
    pub report: AdoptionReport,
}

impl Timeline {
    pub(super) fn new(spool: SpoolId, volatile: bool) -> Self {
        Self { spool, volatile, pieces: Vec::new(), unfinished: Vec::new(), report: AdoptionReport::default() }
    }

    /// Reads the next file.
    pub(super) fn read(&mut self, segment: SegmentId, file: &Arc<dyn SegmentFile>) -> Result<(), ScanError> {
        if let Some(tombstone) = read_tombstone(file.as_ref())? {
            let (first, next) = (tombstone.first, tombstone.next_seq());
            let file = Arc::clone(file);
            self.pieces.push(Piece { segment, file, first, next, content: Content::Tombstone(tombstone) });
            return Ok(());
        }
        let scan = scan(file)?;
        self.report.torn_bytes += scan.torn_bytes;
        let (first, next) = (scan.header.first_seq, scan.next_seq);
        let file = Arc::clone(file);
        self.pieces.push(Piece { segment, file, first, next, content: Content::Segment(Box::new(scan)) });
        Ok(())
    }

    /// Notes a file that ends before its header does. Between two others it shows as a gap.
    pub(super) fn unfinished(&mut self, segment: SegmentId) {
        self.unfinished.push(segment);
    }

    /// Notes a file that could not be read; what it held shows as a gap between its neighbours.
    pub(super) fn unreadable(&mut self, segment: SegmentId, why: String) {
        self.report.unreadable.push((segment, why));
    }

    /// Puts everything together.
    pub(super) fn finish(mut self, rows: &BTreeMap<SegmentId, Row>, label: &Labeler) -> Findings {
        let covered = self.take_covered();
        let without_content = covered.iter().chain(&self.unfinished);
        let mut files: BTreeMap<_, _> =
            without_content.map(|segment| (*segment, AdoptedFile::empty(disk_bytes(1)))).collect();
        let gaps = self.gaps();
        let mut findings = Findings {
            segments: Vec::new(),
            dropped: Vec::new(),
            end: self.end(&gaps),
            has_ended: self.has_ended(),
            files: BTreeMap::new(),
            last_state: self.last_state(),
            evidence_from: self.evidence_from(&gaps),
            report: AdoptionReport::default(),
        };
        findings.dropped.extend(gaps);
        for piece in &self.pieces {
            let row = rows.get(&piece.segment);
            files.insert(piece.segment, piece.adopted_file(row));
            let uploaded = row.is_some_and(|row| row.state == RowState::Uploaded);
            self.deliver(piece, uploaded, label, &mut findings);
        }
        findings.dropped.sort_unstable_by_key(|range| range.first);
        let segments = findings.segments.iter().map(SealedSegment::key);
        for key in segments.chain(findings.dropped.iter().map(DroppedRange::key)) {
            files.entry(key.segment).or_insert_with(|| AdoptedFile::empty(0)).wait(key.first);
        }
        findings.files = files;
        findings.report = self.report(&findings);
        findings
    }

    /// The newest segment whose state can be read: it is where losses of an adopter are counted.
    fn last_state(&self) -> Option<LastState> {
        let (piece, scan) = self.newest_segment()?;
        let state = StateFile::of(Arc::clone(&piece.file), scan.header.salt, scan.slot?);
        Some(LastState { header: scan.header, state })
    }

    fn newest_segment(&self) -> Option<(&Piece, &Scan)> {
        self.pieces.iter().rev().find_map(|piece| match &piece.content {
            Content::Segment(scan) => Some((piece, &**scan)),
            Content::Tombstone(_) => None,
        })
    }

    /// The first file without which a loss that the adopter found would not be found again: a hole in it, or a gap behind
    /// it. Whoever adopts next must count the same.
    fn evidence_from(&self, gaps: &[DroppedRange]) -> Option<SegmentId> {
        let before = |gap: &DroppedRange| self.pieces.iter().rfind(|piece| piece.segment < gap.segment);
        let gap = gaps.first().and_then(before).map(|piece| piece.segment);
        let damaged = self.pieces.iter().find(|piece| piece.damaged().records > 0).map(|piece| piece.segment);
        gap.into_iter().chain(damaged).min()
    }

    /// A tombstone that was merged with its neighbour covers it; a kill may have left the neighbour's file.
    fn take_covered(&mut self) -> Vec<SegmentId> {
        let mut covered = Vec::new();
        let mut until = Seqno(0);
        self.pieces.retain(|piece| {
            let is_covered = piece.next <= until && piece.next > piece.first;
            if is_covered {
                covered.push(piece.segment);
            } else if matches!(piece.content, Content::Tombstone(_)) {
                until = until.max(piece.next);
            }
            !is_covered
        });
        covered
    }

    /// Numbers between two neighbours that no file tells of.
    fn gaps(&self) -> Vec<DroppedRange> {
        let neighbours = self.pieces.iter().zip(self.pieces.iter().skip(1));
        neighbours
            .filter(|(before, after)| before.next < after.first)
            .map(|(before, after)| {
                let between = |segment: SegmentId| before.segment < segment && segment < after.segment;
                let unreadable = self.report.unreadable.iter().map(|(segment, _)| segment);
                let damaged = unreadable.chain(&self.unfinished).any(|segment| between(*segment));
                DroppedRange {
                    spool: self.spool,
                    segment: after.segment,
                    first: before.next,
                    last: Seqno(after.first.0 - 1),
                    raw_bytes: 0,
                    cause: if damaged { LossCause::Damage } else { LossCause::Vanished },
                    maybe_delivered: false,
                }
            })
            .collect()
    }

    fn deliver(&self, piece: &Piece, uploaded: bool, label: &Labeler, findings: &mut Findings) {
        match &piece.content {
            Content::Tombstone(tombstone) => findings.dropped.push((*tombstone).into()),
            Content::Segment(scan) => {
                let holes = scan.holes.iter().filter(|hole| !self.is_declared(hole));
                findings.dropped.extend(holes.map(|hole| self.dropped(piece.segment, hole)));
                if !uploaded {
                    findings.segments.extend(scan.runs.iter().map(|run| self.sealed(run, label)));
                }
            }
        }
    }

    fn sealed(&self, (facts, extent): &(SegmentFacts, Extent), label: &Labeler) -> SealedSegment {
        let facts = SegmentFacts { volatile: self.volatile, ..facts.clone() };
        let label = label(&facts);
        SealedSegment::new(facts, label, extent.clone())
    }

    /// A refused range stands in the slot of its segment until the end; its tombstone tells of it too.
    fn is_declared(&self, hole: &Hole) -> bool {
        self.pieces.iter().any(|piece| match &piece.content {
            Content::Tombstone(tombstone) => tombstone.first <= hole.first && hole.last < tombstone.next_seq(),
            Content::Segment(_) => false,
        })
    }

    fn dropped(&self, segment: SegmentId, hole: &Hole) -> DroppedRange {
        DroppedRange {
            spool: self.spool,
            segment,
            first: hole.first,
            last: hole.last,
            raw_bytes: hole.raw_bytes,
            cause: hole.cause,
            maybe_delivered: false,
        }
    }

    /// Where the stream ends, unless no number was ever given.
    fn end(&self, gaps: &[DroppedRange]) -> Option<StreamEnd> {
        let next_seq = self.next_seq().filter(|next| *next > Seqno(0))?;
        let (_, scan) = self.newest_segment()?;
        Some(StreamEnd {
            spool: self.spool,
            seq: next_seq,
            losses: self.losses(gaps),
            codec: scan.header.codec,
            line_format: scan.header.line_format,
        })
    }

    /// The number behind everything that is known.
    fn next_seq(&self) -> Option<Seqno> {
        self.pieces.iter().map(|piece| piece.next).max()
    }

    /// Whether the last record is an end that was delivered, or is going to be: it may be lost, or in an object whose name
    /// does not say so.
    fn has_ended(&self) -> bool {
        let Some((newest, scan)) = self.newest_segment() else { return false };
        if Some(newest.next) != self.next_seq() {
            return false;
        }
        if newest.next > newest.first {
            return scan.ended;
        }
        let before = self.pieces.iter().rfind(|piece| piece.segment < newest.segment && piece.next > piece.first);
        let stands = match before.map(|piece| (piece.next == newest.first, &piece.content)) {
            None => self.report.unreadable.is_empty(),
            Some((joins, Content::Segment(before))) => joins && before.ended,
            Some((_, Content::Tombstone(_))) => false,
        };
        stands && scan.slot.is_some_and(|slot| slot.ended)
    }

    /// The totals of the newest slot that can be read, and what nobody had noticed before.
    fn losses(&self, gaps: &[DroppedRange]) -> Losses {
        let newest_slot = self.pieces.iter().rev().find_map(|piece| match &piece.content {
            Content::Segment(scan) => scan.slot,
            Content::Tombstone(_) => None,
        });
        let mut losses = newest_slot.map(|slot| slot.losses).unwrap_or_default();
        for gap in gaps {
            losses.add(gap.cause, gap.records(), gap.raw_bytes);
        }
        for damaged in self.pieces.iter().map(Piece::damaged) {
            losses.add(LossCause::Damage, damaged.records, damaged.bytes);
        }
        losses
    }

    fn report(&mut self, findings: &Findings) -> AdoptionReport {
        let mut report = std::mem::take(&mut self.report);
        report.records = findings.segments.iter().map(|segment| segment.facts().records).sum();
        report.objects = findings.segments.len();
        report.lost.clone_from(&findings.dropped);
        report
    }
}

impl Piece {
    fn adopted_file(&self, row: Option<&Row>) -> AdoptedFile {
        let disk_bytes = disk_bytes(self.file.length().unwrap_or_default());
        let Content::Segment(scan) = &self.content else { return AdoptedFile::tombstone(disk_bytes) };
        let raw_bytes = scan.runs.iter().map(|(facts, _)| facts.raw_bytes).sum();
        let runs_end = scan.runs.iter().map(|(facts, _)| facts.last).max();
        let damage_end = scan.holes.iter().filter(|hole| hole.cause == LossCause::Damage).map(|hole| hole.last).max();
        let next = runs_end.max(damage_end).map_or(self.first, |last| last.plus(1));
        // Without a row nobody knows whether an upload had begun.
        let maybe_delivered = row.is_none_or(|row| row.attempts > 0);
        let records = Records { first: self.first, next, raw_bytes, damaged: self.damaged(), maybe_delivered };
        AdoptedFile::segment(records, disk_bytes)
    }

    /// What of it is damaged.
    fn damaged(&self) -> Loss {
        let Content::Segment(scan) = &self.content else { return Loss::default() };
        let holes = scan.holes.iter().filter(|hole| hole.cause == LossCause::Damage);
        let lost = holes.map(|hole| Loss { records: hole.last.0 - hole.first.0 + 1, bytes: hole.raw_bytes });
        lost.fold(Loss::default(), Loss::and)
    }
}

fn read_tombstone(file: &dyn SegmentFile) -> Result<Option<Tombstone>, ScanError> {
    let mut bytes = [0; TOMBSTONE_BYTES];
    let read = file.read_at(&mut bytes, 0)?;
    if read < TOMBSTONE_BYTES || Reader::new(&bytes).array() != TOMBSTONE_MAGIC {
        return Ok(None);
    }
    Ok(Some(Tombstone::decode(&bytes)?))
}
