//! Objects of an adopted spool that can no longer be read.

use super::adopted::Adopted;
use crate::format::tombstone::Tombstone;
use crate::loss::LossCause;
use crate::segment::sealed::{DroppedRange, Mark, SegmentKey};
use crate::storage::Storage;

impl Adopted {
    /// Declares that an object cannot be delivered, since its bytes can no longer be read: takes it out of what is to be
    /// delivered, and returns what is to be told instead. `None` if no object of this key waits.
    ///
    /// Whether an earlier life, or an attempt before the last one, delivered it is not known.
    pub fn declare_lost(&mut self, key: &SegmentKey, cause: LossCause, now_ms: i64) -> Option<DroppedRange> {
        if let Some(range) = self.declare_fragment_lost(key, cause) {
            self.leave_evidence(&Tombstone::of(&range, now_ms));
            return Some(range);
        }
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
        self.leave_evidence(&tombstone);
        self.lost_since.add(cause, facts.records, facts.raw_bytes);
        if let Some(end) = &mut self.end {
            end.losses.add(cause, facts.records, facts.raw_bytes);
        }
        self.has_ended &= facts.mark != Mark::End;
        let range = DroppedRange::from(tombstone);
        self.dropped.push(range);
        Some(range)
    }

    /// The next adopter must know that there was something. Where nothing is, a tombstone says so; a damaged file tells more than
    /// that, and stays until the end is delivered.
    fn leave_evidence(&mut self, tombstone: &Tombstone) {
        let segment = tombstone.segment;
        let Some(file) = self.files.get_mut(&segment) else { return };
        // It is declared, and gives way to nothing any more.
        file.records = None;
        self.evidence_from = Some(self.evidence_from.map_or(segment, |from| from.min(segment)));
        let Some(disk) = &self.place else { return };
        let buried = disk.create_segment(segment).and_then(|file| file.write_all_at(&tombstone.encode(), 0));
        if buried.is_ok() {
            file.set_tombstone(tombstone);
        }
    }
}
