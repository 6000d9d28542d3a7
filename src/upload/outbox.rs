//! Everything that waits to be delivered, and whose it is: our own spool's, or an adopted one's.
//!
//! The only reader of sealed segments. A delivered segment is removed from the spool that it came from; when an adopted
//! spool is drained, its end goes out as an object of its own, and then its directory goes.

use std::collections::{BTreeMap, BTreeSet};

use spool::{Adopted, SealedSegment, SegmentKey, SpoolId};

use super::object_key::ObjectKeys;
use super::outgoing::{Content, Outgoing, OutgoingId};
use crate::intake::{SharedSpool, lock};

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

    /// Takes a sealed segment.
    pub fn add(&mut self, segment: SealedSegment) -> OutgoingId {
        let outgoing = Outgoing::segment(segment, &self.function_version);
        let id = outgoing.id();
        self.waiting.entry(id).or_insert(outgoing);
        id
    }

    /// Takes an adopted spool and returns what is to be delivered of it.
    pub fn adopt(&mut self, mut adopted: Adopted) -> Vec<OutgoingId> {
        let id = adopted.id();
        let (delivered, left): (Vec<_>, Vec<_>) =
            adopted.segments().iter().cloned().partition(|segment| self.early.remove(&segment.key()));
        for segment in delivered {
            report_removal(adopted.delivered(&segment.key()));
        }
        self.adopted.insert(id, adopted);
        let mut ids: Vec<_> = left.into_iter().map(|segment| self.add(segment)).collect();
        ids.extend(self.advance(id));
        ids
    }

    /// An object that waits.
    pub fn get(&self, id: &OutgoingId) -> Option<Outgoing> {
        self.waiting.get(id).cloned()
    }

    /// Notes that an attempt has begun.
    pub fn attempted(&self, outgoing: &Outgoing) {
        if let Content::Segment(segment) = outgoing.content() {
            let mut spool = lock(&self.spool);
            if spool.id() == segment.facts().spool {
                spool.attempted(&segment.key());
            }
        }
    }

    /// Notes that an object is where it should be, and returns what is to be delivered because of it.
    pub fn delivered(&mut self, id: &OutgoingId) -> Option<OutgoingId> {
        match self.waiting.remove(id)?.content() {
            Content::Segment(segment) => self.remove(&segment.key()),
            Content::End(_) => self.finish(id.spool),
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
