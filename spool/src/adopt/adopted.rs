//! An orphan that is being drained.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::timeline::Findings;
use crate::codec::Codec;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::Losses;
use crate::segment::sealed::{DroppedRange, SealedSegment, SegmentKey};
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
    pub(super) place: Option<(SpoolDir, DirLock)>,
    pub(super) segments: Vec<SealedSegment>,
    pub(super) dropped: Vec<DroppedRange>,
    /// Objects of each file that are not delivered yet.
    outstanding: BTreeMap<SegmentId, usize>,
    last_file: Option<SegmentId>,
    /// The end of the stream; `None` if it gave no number.
    pub(super) end: Option<StreamEnd>,
    /// Its own process has written the end.
    pub(super) has_ended: bool,
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
