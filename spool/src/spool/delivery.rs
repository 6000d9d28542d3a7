//! What leaves the spool: what is delivered, of its own and of adopted spools, and what can no longer be read because somebody
//! removed the file after its descriptor was let go, or because its bytes are damaged.

use std::io;

use super::Spool;
use crate::adopt::{Adopted, Orphan};
use crate::format::state_slot::StateSlot;
use crate::format::tombstone::Tombstone;
use crate::id::{SegmentId, SpoolId};
use crate::loss::{LossCause, Losses};
use crate::segment::sealed::SegmentKey;

impl Spool {
    /// Takes in an adopted spool, to be drained beside this one: what it takes counts in the quota, and it gives way first.
    /// What is to be delivered of it comes as [events](Self::take_events); of a spool that was rolled away from, some of it
    /// has come before.
    pub fn take_in(&mut self, adopted: Adopted) {
        self.events.extend(self.elders.take_in(adopted));
    }

    /// Takes out adopted spools whose directory somebody has cleared. Their files are held by descriptors, and have to be
    /// [rescued](Orphan::rescue), adopted and taken in again before this process may die.
    pub fn take_cleared(&mut self) -> Vec<Orphan> {
        self.elders.take_cleared()
    }

    /// What adopted spools lost since they were adopted: they give way first. What was lost before is told by their ends.
    pub fn losses_of_adopted(&self) -> Losses {
        self.elders.losses()
    }

    /// Bytes of the objects of this spool, that of the active segment as far as it goes.
    pub fn object_bytes(&self) -> u64 {
        self.sealed_bytes + self.active.object_bytes()
    }

    /// Removes an adopted spool of which everything is delivered.
    pub fn finish(&mut self, adopted: SpoolId) -> io::Result<()> {
        self.elders.finish(adopted)
    }

    /// Notes that an upload was begun: the segment does not give way until it has ended.
    pub fn attempt_begun(&mut self, key: &SegmentKey) {
        if key.spool != self.id() {
            return self.elders.attempt_begun(key);
        }
        if let Some(row) = self.kept.attempt_begun(key.segment) {
            self.manifest.put(key.segment, row);
        }
    }

    /// Notes that an upload has ended without success.
    pub fn attempt_failed(&mut self, key: &SegmentKey) {
        if key.spool != self.id() {
            return self.elders.attempt_failed(key);
        }
        self.kept.attempt_ended(key.segment);
    }

    /// Lets go of a segment or of a declared loss that is where it should be.
    ///
    /// Files vanish in order, so that a gap between two of them always means a loss: while an older one waits, this one is
    /// only marked and emptied. Its row says that it is delivered before it goes, so it may go a moment later; an adopter
    /// will not upload it again, and a row without a file always means a loss, too. One that cannot be removed is tried
    /// again with the next one that is delivered.
    pub fn remove(&mut self, key: &SegmentKey) -> io::Result<()> {
        if key.spool != self.id() {
            let (removed, event) = self.elders.delivered(key);
            self.events.extend(event);
            return removed;
        }
        let Some((row, marked)) = self.kept.delivered(key.segment) else { return Ok(()) };
        let ticket = self.manifest.put(key.segment, row);
        self.kept.row_is_sent(key.segment, ticket);
        let marked = marked.or_else(|error| self.mark_in_place_of(key.segment, error));
        marked.and(self.remove_delivered().map(drop))
    }

    /// Removes delivered files that nothing holds back. Returns whether there were any.
    pub(super) fn remove_delivered(&mut self) -> io::Result<bool> {
        let mut were_any = false;
        self.covered.remove_all(self.place.storage())?;
        while let Some((segment, row)) = self.kept.removable(|ticket| self.manifest.settle(ticket)) {
            if let Err(error) = self.place.storage().remove_segment(segment) {
                // Those behind it wait for it: a gap would look like a loss.
                self.manifest.put(segment, row);
                return Err(error);
            }
            self.kept.take(segment);
            self.manifest.remove(segment);
            were_any = true;
        }
        Ok(were_any)
    }

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
    fn mark_in_place_of(&mut self, segment: SegmentId, error: io::Error) -> io::Result<()> {
        let stand_in = self.kept.stand_in(segment).filter(|_| error.kind() == io::ErrorKind::NotFound);
        let Some(stand_in) = stand_in else { return Err(error) };
        match self.place.storage().create_segment(segment).and_then(|file| file.write_all_at(&stand_in, 0)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
