//! Objects of an adopted spool that can no longer be read.

use super::adopted::Adopted;
use crate::format::tombstone::Tombstone;
use crate::loss::LossCause;
use crate::segment::file::SegmentFile;
use crate::segment::sealed::{DroppedRange, Mark, SegmentKey};

impl Adopted {
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
            // The next adopter must know that there was something. Only where nothing is: a damaged file tells more than this.
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
}
