//! Everything that waits to be delivered, of our own spool and of the adopted ones that it has taken in.
//!
//! The only reader of sealed segments. What is delivered is let go of by the spool; when an adopted spool is drained, its end
//! goes out as an object of its own, and then its directory goes.

use std::collections::BTreeMap;
use std::io;

use spool::{Adopted, LossCause, SegmentKey, Spool, SpoolEvent, SpoolId};

use super::object_key::ObjectKeys;
use super::outgoing::{Outgoing, OutgoingId};
use crate::intake::{SharedSpool, lock};

/// What became of an object that waits, or did not wait before.
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
}

impl Outbox {
    /// An empty outbox.
    pub fn new(spool: SharedSpool, keys: ObjectKeys, function_version: String) -> Self {
        Self { spool, keys, function_version, waiting: BTreeMap::new() }
    }

    /// Takes what happened to a segment, and tells what that means for the queue, if anything.
    pub fn take(&mut self, event: SpoolEvent) -> Option<Change> {
        match event {
            SpoolEvent::Sealed(segment) => Some(self.add(Outgoing::segment(segment, &self.function_version))),
            SpoolEvent::Dropped(range) => Some(self.add(Outgoing::dropped(&range, &self.keys))),
            SpoolEvent::Gone(key) => {
                let id = OutgoingId { spool: key.spool, first: key.first };
                self.waiting.remove(&id);
                Some(Change::Removed(id))
            }
            SpoolEvent::Drained(_, Some(end)) => Some(self.add(Outgoing::end(&end, &self.keys))),
            SpoolEvent::Drained(id, None) => {
                self.finish(id);
                None
            }
        }
    }

    /// What waits under the same id already is the same object, or the same one in another place.
    fn add(&mut self, outgoing: Outgoing) -> Change {
        let id = outgoing.id();
        self.waiting.insert(id, outgoing);
        Change::Added(id)
    }

    /// Takes an adopted spool, and tells what that means for the queue.
    pub fn adopt(&mut self, adopted: Adopted) -> Vec<Change> {
        let id = adopted.id();
        // What the spool said itself before it was left may be there no more.
        self.waiting.retain(|waiting, _| waiting.spool != id);
        self.with_spool(|spool| spool.take_in(adopted)).1
    }

    /// An object that waits.
    pub fn get(&self, id: &OutgoingId) -> Option<Outgoing> {
        self.waiting.get(id).cloned()
    }

    /// Everything that waits.
    pub fn waiting(&self) -> impl Iterator<Item = &Outgoing> {
        self.waiting.values()
    }

    /// Notes that an attempt has begun.
    pub fn attempt_begun(&self, outgoing: &Outgoing) {
        if let Some(key) = outgoing.segment_key() {
            lock(&self.spool).attempt_begun(&key);
        }
    }

    /// Notes that an attempt has ended without success.
    pub fn attempt_failed(&self, id: &OutgoingId) {
        if let Some(key) = self.waiting.get(id).and_then(Outgoing::segment_key) {
            lock(&self.spool).attempt_failed(&key);
        }
    }

    /// Notes that an object is where it should be, and tells what that means for the queue.
    pub fn delivered(&mut self, id: &OutgoingId) -> Vec<Change> {
        match self.waiting.remove(id).map(|outgoing| outgoing.segment_key()) {
            None => Vec::new(),
            Some(Some(key)) => self.remove(&key),
            Some(None) => {
                self.finish(id.spool);
                Vec::new()
            }
        }
    }

    /// Gives up an object that can no longer be read, and tells what that means for the queue.
    pub fn declare_lost(&mut self, id: &OutgoingId, cause: LossCause, now_ms: i64) -> Vec<Change> {
        let mut changes = vec![Change::Removed(*id)];
        // Of a spool that was left and is not adopted yet, the adopter will find the same.
        if let Some(key) = self.waiting.remove(id).and_then(|outgoing| outgoing.segment_key()) {
            changes.extend(self.with_spool(|spool| spool.declare_lost(&key, cause, now_ms)).1);
        }
        changes
    }

    fn remove(&mut self, key: &SegmentKey) -> Vec<Change> {
        let (removed, changes) = self.with_spool(|spool| spool.remove(key));
        report_removal(removed);
        changes
    }

    fn finish(&mut self, id: SpoolId) {
        crate::info!("spool={id} An adopted spool was delivered.");
        report_removal(lock(&self.spool).finish(id));
    }

    /// Does something to the spool, and takes what came of it.
    fn with_spool<R>(&mut self, work: impl FnOnce(&mut Spool) -> R) -> (R, Vec<Change>) {
        let (result, events) = {
            let mut spool = lock(&self.spool);
            (work(&mut spool), spool.take_events())
        };
        (result, events.into_iter().filter_map(|event| self.take(event)).collect())
    }
}

/// What cannot be removed is delivered again by the next life, which finds it there already.
fn report_removal(removed: io::Result<()>) {
    if let Err(error) = removed {
        crate::warn!("error={error:?} A delivered file of the spool could not be removed.");
    }
}
