//! Reading a segment file that somebody else wrote: which runs of it are intact, which numbers are lost.

use std::io;
use std::sync::Arc;

use super::file::SegmentFile;
use super::fragment::{FragmentTrace, StoredFragment};
use super::sealed::{Extent, Mark, SegmentFacts};
use super::walk::{Step, Walker};
use crate::codec::{FrameEnd, FrameTracker};
use crate::format::checksum::ObjectDigest;
use crate::format::entry::{EntryHeader, EntryKind};
use crate::format::meta::Meta;
use crate::format::segment_header::{ENTRIES_AT, HEAD_BYTES, HeaderError, SegmentHeader};
use crate::format::state_slot::{SLOT_BYTES, StateSlot};
use crate::id::Seqno;
use crate::loss::LossCause;
use crate::seal::SealReason;

/// Numbers whose records cannot be read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// First lost number.
    pub first: Seqno,
    /// Last lost number.
    pub last: Seqno,
    /// Bytes of their lines before compression, as far as intact headers tell.
    pub raw_bytes: u64,
    /// Why.
    pub cause: LossCause,
}

/// What a segment file holds.
pub(crate) struct Scan {
    pub header: SegmentHeader,
    /// The state slot in force; `None` if both are damaged.
    pub slot: Option<StateSlot>,
    /// Intact runs with at least one record, in order. One in all but damaged files.
    pub runs: Vec<(SegmentFacts, Extent)>,
    /// Lost ranges, in order.
    pub holes: Vec<Hole>,
    /// The number behind everything that is known.
    pub next_seq: Seqno,
    /// Whether the last record is the end of the stream.
    pub ended: bool,
    /// Why it was sealed, if it was.
    pub closed: Option<SealReason>,
    /// Bytes at the end of the file that a kill has torn; never acknowledged.
    pub torn_bytes: u64,
    /// Bytes that were stepped over: no entries, or entries that cannot be decoded any more.
    pub skipped_bytes: u64,
    /// What it tells of fragments.
    pub fragments: FragmentTrace,
}

impl Scan {
    /// What is left of a segment that was delivered and waits for older ones.
    fn delivered(header: SegmentHeader, slot: StateSlot) -> Self {
        Self {
            header,
            slot: Some(slot),
            runs: Vec::new(),
            holes: Vec::new(),
            next_seq: slot.next_seq,
            ended: slot.ended,
            closed: None,
            torn_bytes: 0,
            skipped_bytes: 0,
            fragments: FragmentTrace::delivered(),
        }
    }
}

/// Why a file could not be scanned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ScanError {
    /// Whether the file is not there any more.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads the 512 bytes at the beginning of a segment file.
pub(crate) fn read_header(file: &dyn SegmentFile) -> Result<(SegmentHeader, Option<StateSlot>), ScanError> {
    let mut bytes = [0; HEAD_BYTES + 2 * SLOT_BYTES];
    if file.read_at(&mut bytes, 0)? < bytes.len() {
        return Err(HeaderError::NotASegment.into());
    }
    let (head, slots) = bytes.split_first_chunk::<HEAD_BYTES>().expect("the array is longer than the head");
    let header = SegmentHeader::decode(head)?;
    let slots: &[u8; 2 * SLOT_BYTES] = slots.try_into().expect("the array is head and slots");
    Ok((header, StateSlot::in_force(slots, header.salt)))
}

/// Scans a whole file. Every payload is read once.
pub(crate) fn scan(file: &Arc<dyn SegmentFile>) -> Result<Scan, ScanError> {
    let (header, slot) = read_header(file.as_ref())?;
    if let Some(slot) = slot.filter(|slot| slot.delivered) {
        return Ok(Scan::delivered(header, slot));
    }
    let mut walker = Walker::new(Arc::clone(file), header.salt, ENTRIES_AT, file.length()?);
    let mut scanner = Scanner::new(file, header);
    let torn_bytes = loop {
        match walker.step()? {
            Step::Entry { at, header, meta } => scanner.entry(&mut walker, at, &header, meta)?,
            // What was lost shows in the numbers of the next entry.
            Step::Damaged { at, bytes } => {
                scanner.skipped_bytes += bytes;
                scanner.cut(at);
            }
            Step::End { at, torn_bytes } => {
                scanner.cut(at);
                break torn_bytes;
            }
        }
    };
    scanner.fragments.pending.as_mut().map_or(Ok(()), StoredFragment::verify)?;
    Ok(scanner.finish(slot, torn_bytes))
}

struct Scanner<'a> {
    file: &'a Arc<dyn SegmentFile>,
    header: SegmentHeader,
    run: Option<Run>,
    runs: Vec<Run>,
    holes: Vec<Hole>,
    next_seq: Seqno,
    /// Whether the next entry can be decoded although it does not start a frame.
    in_frame: bool,
    closed: Option<Meta>,
    skipped_bytes: u64,
    fragments: FragmentTrace,
}

struct Run {
    first: Seqno,
    next: Seqno,
    start: u64,
    end: u64,
    records: u64,
    raw_bytes: u64,
    partition_ms: Option<i64>,
    ended: bool,
    digest: ObjectDigest,
    tracker: FrameTracker,
    frame_ends: Vec<(u64, FrameEnd)>,
}

impl<'a> Scanner<'a> {
    fn new(file: &'a Arc<dyn SegmentFile>, header: SegmentHeader) -> Self {
        Self {
            file,
            header,
            run: None,
            runs: Vec::new(),
            holes: Vec::new(),
            next_seq: header.first_seq,
            in_frame: false,
            closed: None,
            skipped_bytes: 0,
            fragments: FragmentTrace::default(),
        }
    }

    fn entry(&mut self, walker: &mut Walker, at: u64, header: &EntryHeader, meta: Meta) -> io::Result<()> {
        if header.first_seq < self.next_seq {
            // Never written: a number that was told cannot be told again with another line.
            self.skipped_bytes += header.entry_bytes();
            self.cut(at);
            return Ok(());
        }
        if header.first_seq > self.next_seq {
            self.cut(at);
            self.lose(header.first_seq, 0, LossCause::Damage);
        }
        self.fragment(at, header, &meta);
        match header.kind {
            EntryKind::Data if header.count == 0 && header.payload_bytes == 0 => {}
            EntryKind::Data => self.data(walker, at, header)?,
            EntryKind::Fragment => {}
            EntryKind::Close => self.closed = Some(meta),
        }
        Ok(())
    }

    fn fragment(&mut self, at: u64, header: &EntryHeader, meta: &Meta) {
        if at == ENTRIES_AT {
            self.fragments.begins();
        }
        meta.resolves.iter().for_each(|id| self.fragments.ended(*id));
        if header.kind == EntryKind::Fragment
            && let Some(stored) = StoredFragment::of(self.file, self.header.salt, at, header, meta)
        {
            self.fragments.pending = Some(stored);
        }
    }

    fn data(&mut self, walker: &mut Walker, at: u64, header: &EntryHeader) -> io::Result<()> {
        let decodable = self.in_frame || header.flags.starts_frame;
        if !decodable || !walker.payload(at, header, |_| {})? {
            self.skipped_bytes += header.entry_bytes();
            self.cut(at);
            self.lose(header.next_seq(), u64::from(header.raw_bytes), LossCause::Damage);
            return Ok(());
        }
        let run = self.run.get_or_insert_with(|| Run::begin(&self.header, header, at));
        run.add(walker, at, header)?;
        self.in_frame = !header.flags.ends_frame;
        self.next_seq = header.next_seq();
        Ok(())
    }

    /// Ends the run before `at`. What follows can be decoded only from the next start of a frame.
    fn cut(&mut self, at: u64) {
        self.in_frame = false;
        if let Some(mut run) = self.run.take() {
            run.end_at(at);
            self.runs.push(run);
        }
    }

    fn lose(&mut self, next: Seqno, raw_bytes: u64, cause: LossCause) {
        if next <= self.next_seq {
            return;
        }
        let (first, last) = (self.next_seq, Seqno(next.0 - 1));
        self.next_seq = next;
        match self.holes.last_mut() {
            Some(hole) if hole.last.next_is(first) && hole.cause == cause => {
                hole.last = last;
                hole.raw_bytes = hole.raw_bytes.saturating_add(raw_bytes);
            }
            _ => self.holes.push(Hole { first, last, raw_bytes, cause }),
        }
    }

    fn finish(mut self, slot: Option<StateSlot>, torn_bytes: u64) -> Scan {
        let next_stored = self.next_seq;
        if let Some(slot) = slot {
            // Numbers that were taken and refused stand in the slot alone; what else it knows of is damaged.
            let refused = slot.undeclared.filter(|range| range.first >= self.next_seq);
            self.lose(refused.map_or(slot.next_seq, |range| range.first), 0, LossCause::Damage);
            if let Some(range) = refused {
                self.lose(range.first.plus(range.records), range.bytes, range.cause);
            }
        }
        let damaged = self.holes.iter().any(|hole| hole.cause == LossCause::Damage);
        let whole = !damaged && self.runs.len() <= 1;
        let closed = self.closed.as_ref().map(|meta| meta.seal_reason.unwrap_or(SealReason::Adoption));
        let reason = closed.unwrap_or(SealReason::Adoption);
        let platform_drops = self.closed.as_ref().and_then(|meta| meta.platform_drops).unwrap_or((0, 0));
        let ends = whole && self.runs.last().is_some_and(|run| run.ended);
        let mark = match (whole, ends) {
            (false, _) => Mark::Cut,
            (true, true) => Mark::End,
            (true, false) => Mark::Whole,
        };
        let runs = self
            .runs
            .into_iter()
            .filter_map(|run| run.sealed(self.file, &self.header, reason, mark, platform_drops))
            .collect();
        // Numbers that were taken behind an end want a further one.
        let ended = ends && self.next_seq == next_stored;
        Scan {
            header: self.header,
            slot,
            runs,
            holes: self.holes,
            next_seq: self.next_seq,
            ended,
            closed,
            torn_bytes,
            skipped_bytes: self.skipped_bytes,
            fragments: self.fragments,
        }
    }
}

impl Seqno {
    fn next_is(self, other: Self) -> bool {
        self.0.checked_add(1) == Some(other.0)
    }
}

impl Run {
    fn begin(segment: &SegmentHeader, entry: &EntryHeader, at: u64) -> Self {
        Self {
            first: entry.first_seq,
            next: entry.first_seq,
            start: at,
            end: at,
            records: 0,
            raw_bytes: 0,
            partition_ms: None,
            ended: false,
            digest: ObjectDigest::new(),
            tracker: FrameTracker::new(segment.codec),
            frame_ends: Vec::new(),
        }
    }

    /// Takes an entry whose payload has been verified.
    fn add(&mut self, walker: &mut Walker, at: u64, header: &EntryHeader) -> io::Result<()> {
        self.supply(at, |tracker| tracker.before(header.flags));
        let (digest, tracker) = (&mut self.digest, &mut self.tracker);
        walker.payload(at, header, |bytes| {
            digest.update(bytes);
            tracker.payload(bytes);
        })?;
        self.tracker.after(header.flags);
        self.next = header.next_seq();
        self.end = at + header.entry_bytes();
        self.records += u64::from(header.count);
        self.raw_bytes += u64::from(header.raw_bytes);
        if header.count > 0 {
            self.partition_ms.get_or_insert(header.time_ms);
            self.ended = header.flags.end;
        }
        Ok(())
    }

    fn end_at(&mut self, at: u64) {
        debug_assert!(self.end <= at);
        self.supply(self.end, FrameTracker::finish);
    }

    fn supply(&mut self, at: u64, end: impl FnOnce(&mut FrameTracker) -> Option<FrameEnd>) {
        if let Some(frame_end) = end(&mut self.tracker) {
            self.digest.update(frame_end.as_slice());
            self.frame_ends.push((at, frame_end));
        }
    }

    fn sealed(
        self,
        file: &Arc<dyn SegmentFile>,
        header: &SegmentHeader,
        reason: SealReason,
        mark: Mark,
        platform_drops: (u64, u64),
    ) -> Option<(SegmentFacts, Extent)> {
        let facts = SegmentFacts {
            spool: header.spool,
            segment: header.segment,
            first: self.first,
            last: Seqno(self.next.0.checked_sub(1)?),
            records: self.records,
            raw_bytes: self.raw_bytes,
            object_bytes: self.digest.bytes(),
            digest: self.digest.value(),
            partition_ms: self.partition_ms?,
            codec: header.codec,
            line_format: header.line_format,
            reason,
            mark,
            platform_drops,
            volatile: false,
        };
        let extent = Extent {
            file: Arc::clone(file),
            salt: header.salt,
            start: self.start,
            end: self.end,
            frame_ends: self.frame_ends,
        };
        Some((facts, extent))
    }
}
