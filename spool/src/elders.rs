//! Adopted spools that are drained beside the living one. What they take counts in its quota, and they give way first: what
//! they hold is older.

use std::collections::BTreeMap;
use std::io;

use crate::adopt::{Adopted, Orphan};
use crate::id::SpoolId;
use crate::loss::{LossCause, Losses};
use crate::segment::sealed::SegmentKey;
use crate::spool::SpoolEvent;

/// All of them, oldest first.
#[derive(Default)]
pub(crate) struct Elders {
    by_id: BTreeMap<SpoolId, Adopted>,
    /// What all of them take: asked for by every append.
    disk_bytes: u64,
    /// What those lost that are not among them any more.
    lost_before: Losses,
    /// What became of objects of spools that were rolled away from and are not adopted yet.
    early: BTreeMap<SegmentKey, Early>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Early {
    InFlight,
    Delivered,
}

impl Elders {
    /// Takes a spool in, and tells what is to be delivered of it.
    pub(crate) fn take_in(&mut self, mut adopted: Adopted) -> Vec<SpoolEvent> {
        let id = adopted.id();
        for (key, early) in self.early.extract_if(.., |key, _| key.spool == id) {
            match early {
                Early::InFlight => adopted.attempt_begun(&key),
                // What cannot be removed now goes with the directory.
                Early::Delivered => drop(adopted.delivered(&key)),
            }
        }
        let waiting = |key: SegmentKey| adopted.waits(&key);
        let segments = adopted.segments().iter().filter(|segment| waiting(segment.key())).cloned();
        let dropped = adopted.dropped().iter().filter(|range| waiting(range.key())).copied();
        let mut events: Vec<_> = segments.map(SpoolEvent::Sealed).chain(dropped.map(SpoolEvent::Dropped)).collect();
        self.by_id.insert(id, adopted);
        self.measure();
        events.extend(self.advance(id));
        events
    }

    fn measure(&mut self) {
        self.disk_bytes = self.by_id.values().map(Adopted::disk_bytes).sum();
    }

    /// Takes out those whose directory somebody has cleared: they are orphans again.
    pub(crate) fn take_cleared(&mut self) -> Vec<Orphan> {
        let cleared: Vec<_> = self.by_id.extract_if(.., |_, adopted| adopted.is_cleared()).collect();
        for (_, adopted) in &cleared {
            self.early.extend(adopted.in_flight().map(|key| (key, Early::InFlight)));
            self.lost_before = self.lost_before.and(&adopted.lost_since_adoption());
        }
        self.measure();
        cleared.into_iter().map(|(_, adopted)| adopted.into_orphan()).collect()
    }

    pub(crate) fn attempt_begun(&mut self, key: &SegmentKey) {
        match self.by_id.get_mut(&key.spool) {
            Some(adopted) => adopted.attempt_begun(key),
            None => drop(self.early.insert(*key, Early::InFlight)),
        }
    }

    pub(crate) fn attempt_failed(&mut self, key: &SegmentKey) {
        match self.by_id.get_mut(&key.spool) {
            Some(adopted) => adopted.attempt_failed(key),
            None => drop(self.early.remove(key)),
        }
    }

    /// Declares that an object can no longer be read. Tells what became of it; nothing if none of this key waits.
    pub(crate) fn declare_lost(&mut self, key: &SegmentKey, cause: LossCause, now_ms: i64) -> Vec<SpoolEvent> {
        let lost = self.by_id.get_mut(&key.spool).and_then(|adopted| adopted.declare_lost(key, cause, now_ms));
        self.measure();
        lost.map_or(Vec::new(), |range| vec![SpoolEvent::Gone(*key), SpoolEvent::Dropped(range)])
    }

    /// Notes that something is delivered. Tells when nothing of its spool waits any more.
    pub(crate) fn delivered(&mut self, key: &SegmentKey) -> (io::Result<()>, Option<SpoolEvent>) {
        let Some(adopted) = self.by_id.get_mut(&key.spool) else {
            self.early.insert(*key, Early::Delivered);
            return (Ok(()), None);
        };
        let removed = adopted.delivered(key);
        self.measure();
        (removed, self.advance(key.spool))
    }

    fn advance(&mut self, id: SpoolId) -> Option<SpoolEvent> {
        let adopted = self.by_id.get_mut(&id).filter(|adopted| adopted.is_drained())?;
        adopted.end_is_told();
        Some(SpoolEvent::Drained(id, adopted.end().cloned()))
    }

    /// Removes a spool of which everything is delivered.
    pub(crate) fn finish(&mut self, id: SpoolId) -> io::Result<()> {
        let finished = self.by_id.remove(&id);
        let lost = finished.as_ref().map(Adopted::lost_since_adoption).unwrap_or_default();
        self.lost_before = self.lost_before.and(&lost);
        let finished = finished.map_or(Ok(()), Adopted::finish);
        self.measure();
        finished
    }

    /// What they lost since they were adopted.
    pub(crate) fn losses(&self) -> Losses {
        self.by_id.values().fold(self.lost_before, |losses, adopted| losses.and(&adopted.lost_since_adoption()))
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.by_id.values().map(Adopted::tombstones).sum()
    }

    /// Gives up the oldest segment of the oldest spool that may give way. Tells what became of what waited; nothing if there
    /// is none. A spool whose disk refuses even that is passed over.
    pub(crate) fn give_way(&mut self, now_ms: i64) -> Vec<SpoolEvent> {
        let gave_way = |adopted: &mut Adopted| adopted.give_way(now_ms).ok().filter(|events| !events.is_empty());
        let events = self.by_id.values_mut().find_map(gave_way).unwrap_or_default();
        self.measure();
        events
    }
}
