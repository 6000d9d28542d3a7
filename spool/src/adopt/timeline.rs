//! From the files of an orphan to what is to be delivered: which ranges are there, which are lost, where the stream ends.
//!
//! The files are taken in the order of their numbers. Between two neighbours the numbers must join: a living spool removes
//! its files in order, so a gap between two of them is a loss. What lies before the first known number, or behind the last:
//!
//! * **Without the oldest files nothing is missing**: they were delivered. With the manifest's rows a file is missing that
//!   no row calls uploaded: what is delivered goes when its row says so.
//! * **An oldest file that is there and cannot be read** held the numbers up to those of the next one. Where they begin its
//!   row tells; the file with the number 0 begins with 0; else everything before the next file is declared, as what may
//!   have been delivered: it is the one range that every adopter can tell from the files.
//! * **A newest file that cannot be read, or is missing**, held what its row says. What no row tells is an unknown tail: the
//!   end takes the highest number that is known, and says so.
//! * **A file that was cut between two entries** ends before the number that its row, or the next file, tells.
//!
//! Without a row of the newest file the rows are not asked about what lies before the oldest: the manifest has lost its newest
//! rows to damage, and files that were delivered since would seem to be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::adopted::{AdoptionReport, StreamEnd};
use super::drain::{AdoptedFile, LastState, Records};
use super::fragment::{self, AdoptedFragment};
use super::hints::{self, Files};
use crate::codec::Codec;
use crate::format::tombstone::{TOMBSTONE_BYTES, TOMBSTONE_MAGIC, Tombstone};
use crate::format::wire::Reader;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{Loss, LossCause, Losses};
use crate::manifest::Rows;
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
    /// Files that somebody removed before they were read.
    missing: Vec<SegmentId>,
    report: AdoptionReport,
}

/// What one file tells, or what is known of one that tells nothing.
pub(super) struct Piece {
    pub segment: SegmentId,
    pub first: Seqno,
    pub next: Seqno,
    /// By its row it is where it should be.
    pub uploaded: bool,
    /// An upload of it may have begun.
    pub attempted: bool,
    pub content: Content,
}

pub(super) enum Content {
    Segment(Arc<dyn SegmentFile>, Box<Scan>),
    Tombstone(Tombstone),
    Lost(Lost),
}

/// The records of a file that is missing, or cannot be read.
pub(super) struct Lost {
    pub cause: LossCause,
    pub raw_bytes: u64,
    pub maybe_delivered: bool,
    /// Nobody knows where it ended.
    pub is_open: bool,
}

/// What an adoption comes to.
pub(super) struct Findings {
    pub segments: Vec<SealedSegment>,
    pub dropped: Vec<DroppedRange>,
    /// The end of the stream; `None` if it gave no number.
    pub end: Option<StreamEnd>,
    /// The last record is an end that was delivered, or is going to be.
    pub has_ended: bool,
    /// What was pending.
    pub fragment: Option<AdoptedFragment>,
    /// All files, those with nothing to deliver included.
    pub files: BTreeMap<SegmentId, AdoptedFile>,
    /// The newest segment that can be read, else the newest file that tells anything: where the stream ends.
    pub last_file: Option<SegmentId>,
    /// The newest segment whose state can be read.
    pub last_state: Option<LastState>,
    /// From this file on, the files are what tells of a loss that no slot counts.
    pub evidence_from: Option<SegmentId>,
    /// Only with the manifest can all of this be told.
    pub needs_manifest: bool,
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
        let (first, next, content) = match read_tombstone(file.as_ref())? {
            Some(tombstone) => (tombstone.first, tombstone.next_seq(), Content::Tombstone(tombstone)),
            None => {
                let scan = scan(file)?;
                self.report.torn_bytes += scan.torn_bytes;
                self.report.skipped_bytes += scan.skipped_bytes;
                (scan.header.first_seq, scan.next_seq, Content::Segment(Arc::clone(file), Box::new(scan)))
            }
        };
        self.report.files += 1;
        self.pieces.push(Piece { segment, first, next, uploaded: false, attempted: true, content });
        Ok(())
    }

    /// Notes a file that ends before its header does: a kill has torn its making, if it is the newest.
    pub(super) fn unfinished(&mut self, segment: SegmentId) {
        self.unfinished.push(segment);
    }

    /// Notes a file that could not be read.
    pub(super) fn unreadable(&mut self, segment: SegmentId, why: String) {
        self.report.unreadable.push((segment, why));
    }

    /// Notes a file that is gone; what it held shows as a gap between its neighbours.
    pub(super) fn missing(&mut self, segment: SegmentId, why: String) {
        self.missing.push(segment);
        self.unreadable(segment, why);
    }

    /// Puts everything together.
    pub(super) fn finish(mut self, rows: &Rows, label: &Labeler) -> Findings {
        self.report.rows = rows.len();
        let files = self.files();
        let needs_manifest = self.take_hints(&files, rows);
        self.add_oldest_unreadable();
        self.report.unknown_tail = self.has_unknown_tail();
        let gaps = self.gaps();
        let number = self.next_seq().unwrap_or(Seqno(0));
        let fragment = AdoptedFragment::new(fragment::pending(&self.pieces), self.spool, number);
        let mut findings = Findings {
            segments: Vec::new(),
            dropped: Vec::new(),
            end: self.end(&gaps, number, fragment.as_ref()),
            // What comes behind an end wants a further one.
            has_ended: self.has_ended() && fragment.is_none(),
            fragment: None,
            files: BTreeMap::new(),
            last_file: self.last_file(),
            last_state: self.last_state(),
            evidence_from: self.evidence_from(&gaps),
            needs_manifest,
            report: AdoptionReport::default(),
        };
        findings.dropped.extend(gaps);
        findings.dropped.extend(fragment.as_ref().and_then(AdoptedFragment::lost));
        findings.fragment = fragment;
        for piece in &self.pieces {
            self.deliver(piece, label, &mut findings);
        }
        findings.dropped.sort_unstable_by_key(|range| range.first);
        findings.files = self.adopted_files(&files, &findings);
        findings.report = self.report(&findings);
        findings
    }

    fn adopted_files(&self, files: &Files, findings: &Findings) -> BTreeMap<SegmentId, AdoptedFile> {
        let without_content = files.silent.iter().chain(&files.covered);
        let without_content = without_content.map(|segment| (*segment, AdoptedFile::empty(disk_bytes(1))));
        let mut adopted: BTreeMap<_, _> = without_content.collect();
        adopted.extend(self.pieces.iter().map(|piece| (piece.segment, piece.adopted_file())));
        let segments = findings.segments.iter().map(SealedSegment::key);
        for key in segments.chain(findings.dropped.iter().map(DroppedRange::key)) {
            adopted.entry(key.segment).or_insert_with(|| AdoptedFile::empty(0)).wait(key.first);
        }
        adopted
    }

    fn last_file(&self) -> Option<SegmentId> {
        let newest = self.newest_segment().map(|(piece, ..)| piece.segment);
        newest.or_else(|| self.pieces.last().map(|piece| piece.segment))
    }

    /// The newest segment whose state can be read: it is where losses of an adopter are counted.
    fn last_state(&self) -> Option<LastState> {
        let (_, file, scan) = self.newest_segment()?;
        let state = StateFile::of(Arc::clone(file), scan.header.salt, scan.slot?);
        Some(LastState { header: scan.header, state })
    }

    fn newest_segment(&self) -> Option<(&Piece, &Arc<dyn SegmentFile>, &Scan)> {
        self.pieces.iter().rev().find_map(|piece| match &piece.content {
            Content::Segment(file, scan) => Some((piece, file, &**scan)),
            Content::Tombstone(_) | Content::Lost(_) => None,
        })
    }

    /// The first file without which a loss that the adopter found would not be found again: a hole in it, a gap behind it, or
    /// what it held and cannot be read. Whoever adopts next must count the same.
    fn evidence_from(&self, gaps: &[DroppedRange]) -> Option<SegmentId> {
        let is_lost = |piece: &&Piece| match &piece.content {
            Content::Segment(..) => piece.damaged().records > 0,
            Content::Lost(lost) => self.lost(piece, lost).is_some(),
            Content::Tombstone(_) => false,
        };
        let found = self.pieces.iter().find(is_lost).map(|piece| piece.segment);
        gaps.first().map(|gap| gap.segment).into_iter().chain(found).min()
    }

    fn files(&mut self) -> Files {
        let covered = self.take_covered();
        let read = self.pieces.iter().map(|piece| piece.segment);
        let unreadable = self.report.unreadable.iter().map(|(segment, _)| *segment);
        let unreadable = unreadable.filter(|segment| !self.missing.contains(segment));
        let silent: BTreeSet<_> = unreadable.chain(self.unfinished.iter().copied()).collect();
        let all: BTreeSet<_> = read.chain(silent.iter().copied()).chain(covered.iter().copied()).collect();
        let (oldest, newest) = (all.first().copied(), all.last().copied());
        // The next file is made when this one is complete: one that has a successor was cut later.
        let cut = self.unfinished.extract_if(.., |segment| Some(*segment) != newest);
        self.report.unreadable.extend(cut.map(|segment| (segment, "it ends within its header".to_owned())));
        self.report.unreadable.sort_unstable();
        Files { silent, covered, oldest, newest }
    }

    /// Adds what the manifest knows. Returns whether that is more than the files tell.
    fn take_hints(&mut self, files: &Files, rows: &Rows) -> bool {
        let is_cut = hints::complete(&mut self.pieces, rows);
        let found = hints::without_content(&self.pieces, files, rows);
        self.pieces.extend(found);
        self.pieces.sort_by_key(|piece| piece.segment);
        self.fit_lost();
        let is_told = |piece: &&Piece| match &piece.content {
            Content::Lost(lost) => lost.is_open || piece.first < piece.next,
            Content::Segment(..) | Content::Tombstone(_) => false,
        };
        let told: Vec<_> = self.pieces.iter().filter(is_told).collect();
        let missing = told.iter().filter(|piece| !piece.uploaded && !files.silent.contains(&piece.segment));
        self.report.missing = missing.map(|piece| piece.segment).collect();
        is_cut || !told.is_empty()
    }

    /// What was read is believed before what a row says of other files.
    fn fit_lost(&mut self) {
        let mut limit = Seqno(u64::MAX);
        for piece in self.pieces.iter_mut().rev() {
            match piece.content {
                Content::Lost(_) => piece.next = piece.next.min(limit),
                Content::Segment(..) | Content::Tombstone(_) => limit = piece.first,
            }
        }
        let mut known = Seqno(0);
        for piece in &mut self.pieces {
            if let Content::Lost(_) = piece.content {
                piece.first = piece.first.max(known).min(piece.next.max(known));
                piece.next = piece.next.max(piece.first);
            }
            known = known.max(piece.next);
        }
    }

    /// The oldest file on disk tells nothing, and no row tells of it: it held the numbers up to those of the next file.
    fn add_oldest_unreadable(&mut self) {
        let Some(oldest) = self.report.unreadable.first().map(|(segment, _)| *segment) else { return };
        let Some(behind) = self.pieces.first().filter(|piece| piece.segment > oldest) else { return };
        let is_missing = self.missing.contains(&oldest);
        let content = Content::Lost(Lost {
            cause: if is_missing { LossCause::Vanished } else { LossCause::Damage },
            raw_bytes: 0,
            maybe_delivered: oldest > SegmentId(0),
            is_open: false,
        });
        let piece =
            Piece { segment: oldest, first: Seqno(0), next: behind.first, uploaded: false, attempted: true, content };
        self.pieces.insert(0, piece);
    }

    fn has_unknown_tail(&self) -> bool {
        let newest_piece = self.pieces.last();
        let unreadable = self.report.unreadable.last().map(|(segment, _)| *segment);
        unreadable > newest_piece.map(|piece| piece.segment)
            || newest_piece.is_some_and(|piece| matches!(&piece.content, Content::Lost(lost) if lost.is_open))
    }

    /// A tombstone that was merged with its neighbour covers it; a kill may have left the neighbour's file.
    fn take_covered(&mut self) -> BTreeSet<SegmentId> {
        let mut covered = BTreeSet::new();
        let mut until = Seqno(0);
        self.pieces.retain(|piece| {
            let is_covered = piece.next <= until && piece.next > piece.first;
            if is_covered {
                covered.insert(piece.segment);
            } else if matches!(piece.content, Content::Tombstone(_)) {
                until = until.max(piece.next);
            }
            !is_covered
        });
        covered
    }

    /// Numbers between two neighbours that no file tells of. Each belongs to the file before it, so that a kill does not
    /// leave the file behind it alone before the gap is told.
    fn gaps(&self) -> Vec<DroppedRange> {
        let neighbours = self.pieces.iter().zip(self.pieces.iter().skip(1));
        neighbours
            .filter(|(before, after)| before.next < after.first)
            .map(|(before, after)| {
                let between = |segment: &SegmentId| before.segment < *segment && *segment < after.segment;
                let unreadable = self.report.unreadable.iter().map(|(segment, _)| segment);
                let unreadable = unreadable.filter(|segment| !self.missing.contains(segment)).any(between);
                // Between two files that follow one another none is missing: the first has been cut.
                let damaged = unreadable || before.segment.next() == after.segment;
                DroppedRange {
                    spool: self.spool,
                    segment: before.segment,
                    first: before.next,
                    last: Seqno(after.first.0 - 1),
                    raw_bytes: 0,
                    cause: if damaged { LossCause::Damage } else { LossCause::Vanished },
                    maybe_delivered: false,
                }
            })
            .collect()
    }

    fn deliver(&self, piece: &Piece, label: &Labeler, findings: &mut Findings) {
        match &piece.content {
            Content::Tombstone(tombstone) if !piece.uploaded => findings.dropped.push((*tombstone).into()),
            Content::Tombstone(_) => {}
            Content::Segment(_, scan) => {
                let holes = scan.holes.iter().filter(|hole| !self.is_declared(hole));
                findings.dropped.extend(holes.map(|hole| self.dropped(piece.segment, hole)));
                findings.segments.extend(scan.runs.iter().map(|run| self.sealed(run, label)));
            }
            Content::Lost(lost) => findings.dropped.extend(self.lost(piece, lost)),
        }
    }

    fn lost(&self, piece: &Piece, lost: &Lost) -> Option<DroppedRange> {
        let is_lost = piece.first < piece.next && !piece.uploaded;
        is_lost.then(|| DroppedRange {
            spool: self.spool,
            segment: piece.segment,
            first: piece.first,
            last: Seqno(piece.next.0 - 1),
            raw_bytes: lost.raw_bytes,
            cause: lost.cause,
            maybe_delivered: lost.maybe_delivered,
        })
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
            Content::Segment(..) | Content::Lost(_) => false,
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

    /// Where the stream ends, unless no number was ever given. What was pending has the number before the end.
    fn end(&self, gaps: &[DroppedRange], next: Seqno, fragment: Option<&AdoptedFragment>) -> Option<StreamEnd> {
        let seq = fragment.map_or(next, |fragment| fragment.key.first.plus(1));
        if seq == Seqno(0) {
            return None;
        }
        let newest = self.newest_segment();
        // Without a file that tells, the end is written as it is.
        let (codec, line_format) =
            newest.map_or((Codec::None, 0), |(_, _, scan)| (scan.header.codec, scan.header.line_format));
        let mut losses = self.losses(gaps);
        let lost = fragment.and_then(AdoptedFragment::lost);
        lost.iter().for_each(|lost| losses.add(lost.cause, lost.records(), lost.raw_bytes));
        Some(StreamEnd {
            spool: self.spool,
            seq,
            losses,
            unknown_tail: self.report.unknown_tail,
            codec,
            line_format,
            fragment: fragment.and_then(|fragment| fragment.shipped(self.volatile)),
        })
    }

    /// The number behind everything that is known.
    fn next_seq(&self) -> Option<Seqno> {
        self.pieces.iter().map(|piece| piece.next).max()
    }

    /// Whether the last record is an end that was delivered, or is going to be: it may be lost, or in an object whose name
    /// does not say so.
    fn has_ended(&self) -> bool {
        let Some((newest, _, scan)) = self.newest_segment() else { return false };
        if Some(newest.next) != self.next_seq() {
            return false;
        }
        if newest.next > newest.first {
            return scan.ended;
        }
        let before = self.pieces.iter().rfind(|piece| piece.segment < newest.segment && piece.next > piece.first);
        let stands = before.map_or(self.report.unreadable.is_empty(), |before| {
            let leads_to_end = match &before.content {
                Content::Segment(_, before) => before.ended,
                Content::Lost(_) => before.uploaded,
                Content::Tombstone(_) => false,
            };
            before.next == newest.first && leads_to_end
        });
        stands && scan.slot.is_some_and(|slot| slot.ended)
    }

    /// The totals of the newest slot that can be read, and what nobody had noticed before.
    fn losses(&self, gaps: &[DroppedRange]) -> Losses {
        let newest_slot = self.pieces.iter().rev().find_map(|piece| match &piece.content {
            Content::Segment(_, scan) => scan.slot,
            Content::Tombstone(_) | Content::Lost(_) => None,
        });
        let mut losses = newest_slot.map(|slot| slot.losses).unwrap_or_default();
        for gap in gaps {
            losses.add(gap.cause, gap.records(), gap.raw_bytes);
        }
        for piece in &self.pieces {
            match &piece.content {
                Content::Segment(..) => {
                    let damaged = piece.damaged();
                    losses.add(LossCause::Damage, damaged.records, damaged.bytes);
                }
                Content::Lost(lost) => {
                    let range = self.lost(piece, lost);
                    range.iter().for_each(|range| losses.add(range.cause, range.records(), range.raw_bytes));
                }
                Content::Tombstone(_) => {}
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

impl Piece {
    fn adopted_file(&self) -> AdoptedFile {
        let (file, scan) = match &self.content {
            Content::Segment(file, scan) => (file, scan),
            Content::Tombstone(tombstone) => return AdoptedFile::tombstone(tombstone),
            Content::Lost(_) => return AdoptedFile::empty(disk_bytes(1)),
        };
        let raw_bytes = scan.runs.iter().map(|(facts, _)| facts.raw_bytes).sum();
        let runs_end = scan.runs.iter().map(|(facts, _)| facts.last).max();
        let damage_end = scan.holes.iter().filter(|hole| hole.cause == LossCause::Damage).map(|hole| hole.last).max();
        let next = runs_end.max(damage_end).map_or(self.first, |last| last.plus(1));
        let maybe_delivered = self.attempted;
        let records = Records { first: self.first, next, raw_bytes, damaged: self.damaged(), maybe_delivered };
        AdoptedFile::segment(records, Arc::clone(file))
    }

    /// What of it is damaged.
    fn damaged(&self) -> Loss {
        let Content::Segment(_, scan) = &self.content else { return Loss::default() };
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
