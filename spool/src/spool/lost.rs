//! Segments that are sealed, not delivered, and can no longer be read: somebody removed the file after its descriptor was
//! let go, or its bytes are damaged.

use std::io;

use super::{LossCause, SegmentId, SegmentKey, Spool, StateSlot, Tombstone};

impl Spool {
    /// Declares that a segment cannot be delivered, since its bytes can no longer be read. All its records count as lost, also
    /// those before the damage. Returns `false` if nothing of this key waits to be delivered.
    ///
    /// The loss is told by an event at once, and by a tombstone from then on, as far as one can be written: a cleared
    /// directory has no place for it, but is left for a new one at the next look, and what is known goes along.
    pub fn declare_lost(&mut self, key: &SegmentKey, cause: LossCause, now_ms: i64) -> bool {
        if key.spool != self.identity.id {
            let events = self.elders.declare_lost(key, cause, now_ms);
            let is_declared = !events.is_empty();
            self.events.extend(events);
            return is_declared;
        }
        let Some(loss) = self.kept.lost(key) else { return false };
        let tombstone = Tombstone { cause, time_ms: now_ms, ..loss.tombstone };
        if self.place.storage().bury(key.segment, &tombstone.encode()).is_ok() {
            self.kept.discard(key.segment);
        }
        // The totals are told by the end and by every later segment. A lost end has to be written anew.
        let _ = self.active.update_slot(|slot: &mut StateSlot| {
            slot.losses.add(cause, tombstone.records, tombstone.bytes);
            slot.ended &= !loss.ended;
        });
        self.forget(key.segment, key.first);
        self.bury_kept(tombstone);
        true
    }

    /// A delivered segment whose file is gone cannot be marked: what the mark would have left is written in its place, so that
    /// nobody takes the gap for a loss. If the directory is gone too, it is left for a new one at the next look.
    pub(super) fn mark_in_place_of(&mut self, segment: SegmentId, error: io::Error) -> io::Result<()> {
        let stand_in = self.kept.stand_in(segment).filter(|_| error.kind() == io::ErrorKind::NotFound);
        let Some(stand_in) = stand_in else { return Err(error) };
        match self.place.storage().create_segment(segment).and_then(|file| file.write_all_at(&stand_in, 0)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
