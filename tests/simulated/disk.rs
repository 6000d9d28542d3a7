//! What the world asks of a disk: the spools on it, and the outbox of the process that lives.

use std::collections::BTreeMap;

use logspool::lifecycle::machine::Waiting;
use logspool::upload::outgoing::OutgoingId;
use spool::{ActiveFacts, SealReason, SpoolId};

/// Something that happened to what waits.
pub enum Change {
    Added(Waiting),
    Removed(OutgoingId),
}

/// How much a spool takes, and may take.
#[derive(Debug, Default)]
pub struct Usage {
    /// Segments that wait; neither the active one nor what is told of lost ones.
    pub segments: usize,
    pub segments_max: usize,
    pub bytes: u64,
    pub bytes_max: u64,
}

impl Usage {
    pub fn fits(&self) -> bool {
        self.segments <= self.segments_max && self.bytes <= self.bytes_max
    }
}

pub trait Disk {
    /// The process dies, at whatever it was.
    fn kill(&mut self);
    /// A process begins, and returns the spools that it finds.
    fn begin(&mut self, wall_ms: i64) -> Vec<SpoolId>;
    /// A body is acknowledged. Returns whether it was stored; else its numbers were taken and declared lost.
    fn append(&mut self, records: u32, wall_ms: i64) -> bool;
    fn active(&self) -> ActiveFacts;
    fn seal(&mut self, reason: SealReason, wall_ms: i64) -> bool;
    fn end(&mut self, wall_ms: i64);
    /// Reads a spool of an earlier life.
    fn adopt(&mut self, orphan: SpoolId);
    /// What happened since this was asked before.
    fn changes(&mut self) -> Vec<Change>;
    /// The key under which an object leaves; none if it does not wait.
    fn key(&self, id: &OutgoingId) -> Option<String>;
    fn attempt_begun(&mut self, id: &OutgoingId);
    fn attempt_ended(&mut self, id: &OutgoingId);
    fn delivered(&mut self, id: &OutgoingId);
    /// Objects that wait in the living process.
    fn waiting(&self) -> usize;
    /// What lies on the disk of the living process.
    fn usage(&self) -> Usage;
    /// How many records each life has acknowledged.
    fn acknowledged(&self) -> &BTreeMap<SpoolId, u64>;
}
