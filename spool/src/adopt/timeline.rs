//! From the files of an orphan to what is to be delivered: which ranges are there, which are lost, where the stream ends.
//!
//! The files are taken in the order of their numbers. Between two neighbours the numbers must join: a living spool removes
//! its files in order, so a gap between two of them is a loss.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::adopted::{AdoptionReport, StreamEnd};
use crate::format::tombstone::{TOMBSTONE_BYTES, TOMBSTONE_MAGIC, Tombstone};
use crate::format::wire::Reader;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{LossCause, Losses};
use crate::manifest::{Row, RowState};
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
    /// Files that somebody removed before they were read.
    missing: Vec<SegmentId>,
    report: AdoptionReport,
}

/// What one file tells.
struct Piece {
    segment: SegmentId,
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
    /// Files that hold nothing to deliver.
    pub empty: Vec<SegmentId>,
    pub report: AdoptionReport,
}

impl Timeline {
    pub(super) fn new(spool: SpoolId, volatile: bool) -> Self {
        Self {
            spool,
            volatile,
            pieces: Vec::new(),
            unfinished: Vec::new(),
            missing: Vec::new(),
            report: AdoptionReport::default(),
        }
    }

    /// Reads the next file.
    pub(super) fn read(&mut self, segment: SegmentId, file: &Arc<dyn SegmentFile>) -> Result<(), ScanError> {
        if let Some(tombstone) = read_tombstone(file.as_ref())? {
            let (first, next) = (tombstone.first, tombstone.next_seq());
            self.pieces.push(Piece { segment, first, next, content: Content::Tombstone(tombstone) });
            return Ok(());
        }
        let scan = scan(file)?;
        self.report.torn_bytes += scan.torn_bytes;
        let (first, next) = (scan.header.first_seq, scan.next_seq);
        self.pieces.push(Piece { segment, first, next, content: Content::Segment(Box::new(scan)) });
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

    /// Notes a file that is gone; what it held shows as a gap between its neighbours.
    pub(super) fn missing(&mut self, segment: SegmentId, why: String) {
        self.missing.push(segment);
        self.unreadable(segment, why);
    }

    /// Puts everything together.
    pub(super) fn finish(mut self, rows: &BTreeMap<SegmentId, Row>, label: &Labeler) -> Findings {
        let mut empty = self.take_covered();
        empty.extend(&self.unfinished);
        let gaps = self.gaps();
        let mut findings = Findings {
            segments: Vec::new(),
            dropped: Vec::new(),
            end: self.end(&gaps),
            has_ended: self.has_ended(),
            empty,
            report: AdoptionReport::default(),
        };
        findings.dropped.extend(gaps);
        for piece in &self.pieces {
            let uploaded = rows.get(&piece.segment).is_some_and(|row| row.state == RowState::Uploaded);
            self.deliver(piece, uploaded, label, &mut findings);
        }
        findings.dropped.sort_unstable_by_key(|range| range.first);
        findings.report = self.report(&findings);
        findings
    }

    fn newest_segment(&self) -> Option<(&Piece, &Scan)> {
        self.pieces.iter().rev().find_map(|piece| match &piece.content {
            Content::Segment(scan) => Some((piece, &**scan)),
            Content::Tombstone(_) => None,
        })
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
                let damaged = unreadable.filter(|segment| !self.missing.contains(segment));
                let damaged = damaged.chain(&self.unfinished).any(|segment| between(*segment));
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
        let before = findings.segments.len() + findings.dropped.len();
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
        if findings.segments.len() + findings.dropped.len() == before {
            findings.empty.push(piece.segment);
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
        for piece in &self.pieces {
            let Content::Segment(scan) = &piece.content else { continue };
            for hole in scan.holes.iter().filter(|hole| hole.cause == LossCause::Damage) {
                losses.add(hole.cause, hole.last.0 - hole.first.0 + 1, hole.raw_bytes);
            }
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

fn read_tombstone(file: &dyn SegmentFile) -> Result<Option<Tombstone>, ScanError> {
    let mut bytes = [0; TOMBSTONE_BYTES];
    let read = file.read_at(&mut bytes, 0)?;
    if read < TOMBSTONE_BYTES || Reader::new(&bytes).array() != TOMBSTONE_MAGIC {
        return Ok(None);
    }
    Ok(Some(Tombstone::decode(&bytes)?))
}
