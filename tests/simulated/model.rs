//! A disk as plain as can be: lists.

use std::collections::{BTreeMap, BTreeSet};

use logspool::lifecycle::machine::Waiting;
use logspool::upload::outgoing::OutgoingId;
use spool::{ActiveFacts, SealReason, Seqno, SpoolId};

use super::disk::{Change, Disk, Usage};

/// More segments than this give way: limits are small, so that rare paths are common.
const SEGMENTS_MAX: usize = 12;
const BYTES_MAX: u64 = 120_000;
const RECORD_BYTES: u64 = 100;

#[derive(Clone, Debug)]
struct Segment {
    first: u64,
    next: u64,
    first_append_ms: i64,
    /// It was sealed for a failure, or is what a life that was killed has left.
    is_urgent: bool,
    has_end: bool,
    /// It is the end that an adopter made up.
    is_made_up: bool,
    is_dropped: bool,
    in_flight: bool,
}

#[derive(Debug, Default)]
struct Spool {
    sealed: BTreeMap<u64, Segment>,
    active: Option<Segment>,
    next: u64,
    has_ended: bool,
    /// An adopter delivers the end when everything else is.
    is_adopted: bool,
}

pub struct ModelDisk {
    rng: fastrand::Rng,
    own: Option<SpoolId>,
    spools: BTreeMap<SpoolId, Spool>,
    waiting: BTreeSet<OutgoingId>,
    changes: Vec<Change>,
    acknowledged: BTreeMap<SpoolId, u64>,
}

impl ModelDisk {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            own: None,
            spools: BTreeMap::new(),
            waiting: BTreeSet::new(),
            changes: Vec::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    fn own(&mut self) -> &mut Spool {
        self.spools.get_mut(&self.own.unwrap()).unwrap()
    }

    fn add(&mut self, id: SpoolId, segment: &Segment) {
        let id = OutgoingId { spool: id, first: Seqno(segment.first) };
        self.waiting.insert(id);
        self.changes.push(Change::Added(Waiting {
            id,
            oldest_ms: segment.first_append_ms,
            is_urgent: segment.is_urgent,
        }));
    }

    /// As long as there is too much, the oldest segment that nobody uploads gives way; a range of the same numbers is told
    /// instead.
    fn evict(&mut self) {
        let own = self.own.unwrap();
        while !self.usage().fits() {
            let oldest = self.own().sealed.values_mut().find(|segment| !segment.in_flight && !segment.is_dropped);
            if let Some(segment) = oldest {
                (segment.is_dropped, segment.is_urgent) = (true, false);
                let segment = segment.clone();
                self.changes.push(Change::Removed(OutgoingId { spool: own, first: Seqno(segment.first) }));
                self.add(own, &segment);
            } else if let Some(segment) = self.own().active.take() {
                let segment = Segment { is_dropped: true, ..segment };
                self.own().sealed.insert(segment.first, segment.clone());
                self.add(own, &segment);
            } else {
                return;
            }
        }
    }

    /// An adopted spool is finished by its end.
    fn advance(&mut self, id: SpoolId) {
        let Some(spool) = self.spools.get_mut(&id).filter(|spool| spool.is_adopted && spool.sealed.is_empty()) else {
            return;
        };
        if spool.next == 0 || spool.has_ended {
            self.spools.remove(&id);
            return;
        }
        let next = spool.next;
        let end = Segment {
            first: next,
            next: next + 1,
            first_append_ms: id.unix_ms(),
            is_urgent: false,
            has_end: true,
            is_made_up: true,
            is_dropped: false,
            in_flight: false,
        };
        spool.sealed.insert(next, end.clone());
        spool.next += 1;
        spool.has_ended = true;
        self.add(id, &end);
    }
}

impl Disk for ModelDisk {
    fn kill(&mut self) {
        self.own = None;
        self.waiting.clear();
        self.changes.clear();
        for spool in self.spools.values_mut() {
            // The end that an adopter was to deliver is made up again by the next one.
            let before = spool.sealed.len();
            spool.sealed.retain(|_, segment| !segment.is_made_up);
            if spool.sealed.len() < before {
                spool.has_ended = false;
                spool.next -= 1;
            }
            spool.is_adopted = false;
            spool.sealed.values_mut().for_each(|segment| segment.in_flight = false);
        }
    }

    fn begin(&mut self, wall_ms: i64) -> Vec<SpoolId> {
        let orphans = self.spools.keys().copied().collect();
        let id = SpoolId::new(wall_ms, self.rng.u128(..));
        self.own = Some(id);
        self.spools.insert(id, Spool::default());
        orphans
    }

    fn append(&mut self, records: u32, wall_ms: i64) -> bool {
        let spool = self.own();
        let next = spool.next;
        let segment = spool.active.get_or_insert(Segment {
            first: next,
            next,
            first_append_ms: wall_ms,
            is_urgent: false,
            has_end: false,
            is_made_up: false,
            is_dropped: false,
            in_flight: false,
        });
        segment.next += u64::from(records);
        segment.has_end = false;
        spool.next = segment.next;
        spool.has_ended = false;
        let next = spool.next;
        self.acknowledged.insert(self.own.unwrap(), next);
        self.evict();
        true
    }

    fn active(&self) -> ActiveFacts {
        let spool = self.own.and_then(|own| self.spools.get(&own));
        let Some(segment) = spool.and_then(|spool| spool.active.as_ref()) else { return ActiveFacts::default() };
        let records = segment.next - segment.first;
        ActiveFacts {
            records,
            object_bytes: records * RECORD_BYTES,
            first_append_ms: Some(segment.first_append_ms),
            partition_ms: Some(segment.first_append_ms),
        }
    }

    fn seal(&mut self, reason: SealReason, _wall_ms: i64) -> bool {
        let own = self.own.unwrap();
        let Some(mut segment) = self.own().active.take() else { return false };
        segment.is_urgent = reason == SealReason::Error;
        self.own().sealed.insert(segment.first, segment.clone());
        self.add(own, &segment);
        self.evict();
        true
    }

    fn end(&mut self, wall_ms: i64) {
        if self.own().next == 0 {
            return;
        }
        self.append(1, wall_ms);
        let spool = self.own();
        spool.has_ended = true;
        spool.active.as_mut().unwrap().has_end = true;
    }

    fn adopt(&mut self, orphan: SpoolId) {
        let Some(spool) = self.spools.get_mut(&orphan) else { return };
        spool.is_adopted = true;
        if let Some(mut segment) = spool.active.take() {
            segment.is_urgent = true;
            spool.sealed.insert(segment.first, segment);
        }
        let sealed: Vec<Segment> = spool.sealed.values().cloned().collect();
        sealed.iter().for_each(|segment| self.add(orphan, segment));
        self.advance(orphan);
    }

    fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn key(&self, id: &OutgoingId) -> Option<String> {
        let segment = self.spools.get(&id.spool)?.sealed.get(&id.first.0).filter(|_| self.waiting.contains(id))?;
        let kind = match (segment.is_dropped, segment.has_end) {
            (true, _) => "quota.dropped",
            (false, true) => "0000000000000000-end.ndjson",
            (false, false) => "0000000000000000.ndjson",
        };
        Some(format!("{}-{:012}-{:012}-{kind}", id.spool, segment.first, segment.next - 1))
    }

    fn attempt_begun(&mut self, id: &OutgoingId) {
        self.mark(id, true);
    }

    fn attempt_ended(&mut self, id: &OutgoingId) {
        self.mark(id, false);
    }

    fn delivered(&mut self, id: &OutgoingId) {
        if self.waiting.remove(id)
            && let Some(spool) = self.spools.get_mut(&id.spool)
        {
            spool.sealed.remove(&id.first.0);
            self.advance(id.spool);
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn usage(&self) -> Usage {
        let Some(spool) = self.own.and_then(|own| self.spools.get(&own)) else { return Usage::default() };
        let held = spool.sealed.values().filter(|segment| !segment.is_dropped);
        let records: u64 = held.chain(&spool.active).map(|segment| segment.next - segment.first).sum();
        Usage {
            segments: spool.sealed.values().filter(|segment| !segment.is_dropped).count(),
            segments_max: SEGMENTS_MAX,
            bytes: records * RECORD_BYTES,
            bytes_max: BYTES_MAX,
        }
    }

    fn acknowledged(&self) -> &BTreeMap<SpoolId, u64> {
        &self.acknowledged
    }
}

impl ModelDisk {
    fn mark(&mut self, id: &OutgoingId, in_flight: bool) {
        let segment = self.spools.get_mut(&id.spool).and_then(|spool| spool.sealed.get_mut(&id.first.0));
        if let Some(segment) = segment {
            segment.in_flight = in_flight;
        }
    }
}
