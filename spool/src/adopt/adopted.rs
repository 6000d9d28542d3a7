//! An orphan that is being drained.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::timeline::Findings;
use crate::codec::Codec;
use crate::format::tombstone::Tombstone;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{LossCause, Losses};
use crate::segment::file::SegmentFile;
use crate::segment::sealed::{DroppedRange, Mark, SealedSegment, SegmentKey};
use crate::storage::disk::{DirLock, SpoolDir};

/// What adoption found in an orphan, for a log line.
#[derive(Debug, Default)]
pub struct AdoptionReport {
    /// Records that are intact.
    pub records: u64,
    /// Objects that they make.
    pub objects: usize,
    /// Bytes at the ends of files that a kill had torn; they were never acknowledged.
    pub torn_bytes: u64,
    /// Lost ranges, those that the spool itself had declared included.
    pub lost: Vec<DroppedRange>,
    /// Files that could not be read, and why.
    pub unreadable: Vec<(SegmentId, String)>,
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
    /// `None` for a spool that lived in memory.
    place: Option<(SpoolDir, DirLock)>,
    segments: Vec<SealedSegment>,
    dropped: Vec<DroppedRange>,
    /// Objects of each file that are not delivered yet.
    outstanding: BTreeMap<SegmentId, usize>,
    last_file: Option<SegmentId>,
    end: Option<StreamEnd>,
    /// Its own process has ended it.
    has_ended: bool,
    report: AdoptionReport,
}

impl Adopted {
    pub(super) fn new(
        id: SpoolId,
        place: Option<(SpoolDir, DirLock)>,
        last_file: Option<SegmentId>,
        findings: Findings,
    ) -> Self {
        let mut outstanding: BTreeMap<SegmentId, usize> =
            findings.empty.into_iter().map(|segment| (segment, 0)).collect();
        let keys = findings.segments.iter().map(SealedSegment::key);
        for key in keys.chain(findings.dropped.iter().map(DroppedRange::key)) {
            *outstanding.entry(key.segment).or_default() += 1;
        }
        let mut adopted = Self {
            id,
            place,
            segments: findings.segments,
            dropped: findings.dropped,
            outstanding,
            last_file,
            end: findings.end,
            has_ended: findings.has_ended,
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
            let segment = oldest.remove_entry().0;
            if let Some((dir, _)) = &self.place {
                result = result.and(dir.remove_segment(segment));
            }
        }
        result
    }

    /// Whether every object is delivered. What is left is the [end](Self::end), then [`finish`](Self::finish).
    pub fn is_drained(&self) -> bool {
        self.outstanding.values().all(|left| *left == 0)
    }

    /// The end to deliver before [`finish`](Self::finish); `None` if the life ended in order or gave no number.
    pub fn end(&self) -> Option<&StreamEnd> {
        self.end.as_ref().filter(|_| !self.has_ended)
    }

    /// Declares that an object cannot be delivered, since its bytes can no longer be read: takes it out of what is to be
    /// delivered, and returns what is to be told instead. `None` if no object of this key waits.
    ///
    /// Whether an earlier life, or an attempt before the last one, delivered it is not known.
    pub fn declare_lost(&mut self, key: &SegmentKey, cause: LossCause, now_ms: i64) -> Option<DroppedRange> {
        let index = self.segments.iter().position(|segment| segment.key() == *key)?;
        let lost = self.segments.remove(index);
        let facts = lost.facts();
        let tombstone = Tombstone {
            spool: facts.spool,
            segment: facts.segment,
            first: facts.first,
            records: facts.records,
            bytes: facts.raw_bytes,
            time_ms: now_ms,
            cause,
            maybe_delivered: true,
        };
        if let Some((dir, _)) = &self.place {
            // The next adopter must know that there was something. A file that is there, damaged, tells more than this.
            let _ = dir.create_segment(key.segment).and_then(|file| file.write_all_at(&tombstone.encode(), 0));
        }
        if let Some(end) = &mut self.end {
            end.losses.add(cause, facts.records, facts.raw_bytes);
        }
        self.has_ended &= facts.mark != Mark::End;
        let range = DroppedRange::from(tombstone);
        self.dropped.push(range);
        Some(range)
    }

    /// Removes the directory. Called when everything is delivered: what could not be read has been declared lost.
    pub fn finish(self) -> io::Result<()> {
        self.place.map_or(Ok(()), |(dir, _)| dir.remove())
    }
}

impl fmt::Debug for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopted").field("id", &self.id).field("report", &self.report).finish_non_exhaustive()
    }
}
