//! The first part of a record of which the rest is still to come.

use spool::{Batch, FragmentId, Meta};

use super::attribution::Attribution;
use crate::telemetry::stitch::CutRecord;

/// Bodies that may come between the parts of a record: the platform has been seen to send one.
const OTHERS_MAX: u32 = 8;

/// A cut record that is in the spool as a fragment, and in memory to be joined.
#[derive(Debug)]
pub(crate) struct Half {
    cut: CutRecord,
    /// The fragment. A spool in which it is not pending knows nothing of it: an adopter ships it.
    pub id: FragmentId,
    /// Whom the record belongs to unless it says so itself: what was in force when it was cut.
    pub in_force: Attribution,
    /// Bodies that came since.
    others: u32,
    /// A part of it is lost.
    is_broken: bool,
    /// Joined and stored.
    is_stored: bool,
}

impl Half {
    pub fn new(cut: CutRecord, id: FragmentId, in_force: Attribution) -> Self {
        Self { cut, id, in_force, others: 0, is_broken: false, is_stored: false }
    }

    /// The body with this half in its place, if it goes on with it.
    pub fn join(&self, body: &[u8]) -> Option<Vec<u8>> {
        if self.is_broken { None } else { self.cut.join(body) }
    }

    /// A body came that does not go on with it.
    pub fn wait(&mut self) {
        self.others += 1;
    }

    /// A part of it could not be stored: what comes later does not fit.
    pub fn breaks(&mut self) {
        self.is_broken = true;
    }

    /// The record is whole and stored. What is left of the body that has brought its end may have to be tried again.
    pub fn stored(&mut self) {
        self.is_stored = true;
    }

    /// Whether its record is stored, and this tells only where the rest of the body begins.
    pub fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// The rest will not come any more, or does not fit.
    pub fn is_in_vain(&self) -> bool {
        self.is_broken || self.others >= OTHERS_MAX
    }

    /// What is there of it, for a line of its own if the rest does not come.
    pub fn bytes(&self) -> &[u8] {
        self.cut.bytes()
    }

    /// A batch of that line.
    pub fn batch<'a>(lines: &'a [u8], meta: &'a Meta) -> Batch<'a> {
        Batch { lines, records: 1, first_line_ms: None, body_bytes: 0, body_hash: 0, meta, end: false }
    }
}
