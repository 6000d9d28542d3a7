//! Everything that waits to be delivered, and whose it is: our own spool's, or an adopted one's.
//!
//! The only reader of sealed segments. A delivered segment is removed from the spool that it came from; when an adopted
//! spool is drained, its end goes out as an object of its own, and then its directory goes.

use std::collections::{BTreeMap, BTreeSet};

use spool::{Adopted, LossCause, SegmentKey, Spool, SpoolEvent, SpoolId};

use super::object_key::ObjectKeys;
use super::outgoing::{Outgoing, OutgoingId};
use crate::intake::{SharedSpool, lock};

/// What an event means for the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This is to be delivered.
    Added(OutgoingId),
    /// This is not to be delivered any more.
    Removed(OutgoingId),
}

/// Everything that waits.
pub struct Outbox {
    spool: SharedSpool,
    keys: ObjectKeys,
    function_version: String,
    waiting: BTreeMap<OutgoingId, Outgoing>,
    adopted: BTreeMap<SpoolId, Adopted>,
    /// Delivered objects of a spool that we rolled away from and have not adopted yet.
    early: BTreeSet<SegmentKey>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(spool: SharedSpool, keys: ObjectKeys, function_version: String) -> Self {
        Self {
            spool,
            keys,
            function_version,
            waiting: BTreeMap::new(),
            adopted: BTreeMap::new(),
            early: BTreeSet::new(),
        }
    }

    /// Takes what happened to a segment of the living spool, and tells what that means for the queue.
    pub fn take(&mut self, event: SpoolEvent) -> Change {
        match event {
            SpoolEvent::Sealed(segment) => Change::Added(self.add(Outgoing::segment(segment, &self.function_version))),
            SpoolEvent::Dropped(range) => Change::Added(self.add(Outgoing::dropped(&range, &self.keys))),
            SpoolEvent::Gone(key) => {
                let id = OutgoingId { spool: key.spool, first: key.first };
                self.waiting.remove(&id);
                Change::Removed(id)
            }
        }
    }

    fn add(&mut self, outgoing: Outgoing) -> OutgoingId {
        let id = outgoing.id();
        self.waiting.insert(id, outgoing);
        id
    }

    /// Takes an adopted spool and returns what is to be delivered of it.
    pub fn adopt(&mut self, mut adopted: Adopted) -> Vec<OutgoingId> {
        let id = adopted.id();
        let segments = adopted.segments().iter().cloned();
        let segments = segments.map(|segment| Outgoing::segment(segment, &self.function_version));
        let dropped = adopted.dropped().iter().map(|range| Outgoing::dropped(range, &self.keys));
        let outgoing: Vec<_> = segments.chain(dropped).collect();
        // What the spool said itself before it was left may be there no more.
        self.waiting.retain(|waiting, _| waiting.spool != id);
        let mut ids = Vec::new();
        for outgoing in outgoing {
            match outgoing.segment_key().filter(|key| self.early.remove(key)) {
                Some(key) => report_removal(adopted.delivered(&key)),
                None => ids.push(self.add(outgoing)),
            }
        }
        self.adopted.insert(id, adopted);
        ids.extend(self.advance(id));
        ids
    }

    /// An object that waits.
    pub fn get(&self, id: &OutgoingId) -> Option<Outgoing> {
        self.waiting.get(id).cloned()
    }

    /// Notes that an attempt has begun.
    pub fn attempt_begun(&self, outgoing: &Outgoing) {
        self.with_own(outgoing, |spool, key| spool.attempt_begun(key));
    }

    /// Notes that an attempt has ended without success.
    pub fn attempt_failed(&self, id: &OutgoingId) {
        if let Some(outgoing) = self.waiting.get(id) {
            self.with_own(outgoing, |spool, key| spool.attempt_failed(key));
        }
    }

    fn with_own(&self, outgoing: &Outgoing, work: impl FnOnce(&mut Spool, &SegmentKey)) {
        let mut spool = lock(&self.spool);
        if let Some(key) = outgoing.segment_key().filter(|key| key.spool == spool.id()) {
            work(&mut spool, &key);
        }
    }

    /// Notes that an object is where it should be, and returns what is to be delivered because of it.
    pub fn delivered(&mut self, id: &OutgoingId) -> Option<OutgoingId> {
        match self.waiting.remove(id)?.segment_key() {
            Some(key) => self.remove(&key),
            None => self.finish(id.spool),
        }
        self.advance(id.spool)
    }

    fn remove(&mut self, key: &SegmentKey) {
        let mut spool = lock(&self.spool);
        if spool.id() == key.spool {
            report_removal(spool.remove(key));
            return;
        }
        drop(spool);
        match self.adopted.get_mut(&key.spool) {
            Some(adopted) => report_removal(adopted.delivered(key)),
            None => {
                self.early.insert(*key);
            }
        }
    }

    /// Gives up an object that can no longer be read, and tells what that means for the queue.
    pub fn declare_lost(&mut self, id: &OutgoingId, cause: LossCause, now_ms: i64) -> Vec<Change> {
        let mut changes = vec![Change::Removed(*id)];
        let Some(key) = self.waiting.remove(id).and_then(|outgoing| outgoing.segment_key()) else { return changes };
        let events = {
            let mut spool = lock(&self.spool);
            // What it says for itself already is on its way, or will be.
            spool.declare_lost(&key, cause, now_ms);
            spool.take_events()
        };
        changes.extend(events.into_iter().map(|event| self.take(event)));
        // A spool that was left and is not adopted yet: its adopter finds the same.
        if let Some(range) =
            self.adopted.get_mut(&key.spool).and_then(|adopted| adopted.declare_lost(&key, cause, now_ms))
        {
            changes.push(Change::Added(self.add(Outgoing::dropped(&range, &self.keys))));
        }
        changes
    }

    /// The end of an adopted spool goes out when everything before it is delivered.
    fn advance(&mut self, id: SpoolId) -> Option<OutgoingId> {
        let adopted = self.adopted.get(&id).filter(|adopted| adopted.is_drained())?;
        let Some(end) = adopted.end() else {
            self.finish(id);
            return None;
        };
        let outgoing = Outgoing::end(end, &self.keys);
        let id = outgoing.id();
        self.waiting.entry(id).or_insert(outgoing);
        Some(id)
    }

    fn finish(&mut self, id: SpoolId) {
        if let Some(adopted) = self.adopted.remove(&id) {
            crate::info!("spool={id} An adopted spool was delivered.");
            report_removal(adopted.finish());
        }
    }
}

/// What cannot be removed is delivered again by the next life, which finds it there already.
fn report_removal(removed: std::io::Result<()>) {
    if let Err(error) = removed {
        crate::warn!("error={error:?} A delivered file of the spool could not be removed.");
    }
}
