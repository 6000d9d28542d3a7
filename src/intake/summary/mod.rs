//! What each invocation did: a fold over the events in the order in which they came, like attribution.
//!
//! A request is open from the event that names it first, `platform.start` as a rule, to its `platform.report`. What belongs
//! to it in between is counted, whatever is shipped. Records that the function logs open nothing: an id in them may be
//! anything.
//!
//! A copy is cheap, and what encoding changes are copies: a body that has to be encoded again begins where it began before.
//! An open request itself is copied when a body first tells something of it.

mod exception;
mod invocation;
mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use invocation::Invocation;
pub use line::write as write_line;
use serde_json::Value;

use super::attribution::{CONCURRENCY_MAX, Owner};
use crate::telemetry::event::{EventKind, RecordFacts};
use crate::telemetry::json::Json;

/// Requests that may be open. Each takes some hundred bytes, at the very most 4 KiB.
const OPEN_MAX: usize = CONCURRENCY_MAX;

/// Requests of which the report is still to come.
#[derive(Debug, Clone)]
pub struct Summaries {
    /// In the order in which they were opened.
    open: BTreeMap<u64, Open>,
    /// Where each of them stands there.
    places: HashMap<Arc<str>, u64>,
    next_place: u64,
    init: Init,
    counts_lines: bool,
}

#[derive(Debug, Clone)]
struct Open {
    request_id: Arc<str>,
    invocation: Arc<Invocation>,
}

/// An event, and what is known of it.
#[derive(Debug)]
pub struct Told<'a> {
    /// What its type says.
    pub kind: EventKind,
    /// Its record as it was received.
    pub record: Option<Json<'a>>,
    /// Its record as far as it may be quoted: with masks, and none that is kept out for what it holds.
    pub quotable: Option<Json<'a>>,
    /// What was read out of the record.
    pub facts: &'a RecordFacts<'a>,
    /// Whom it belongs to.
    pub owner: Owner<'a>,
}

/// A request of which nothing more is expected.
#[derive(Debug)]
pub struct Finished {
    /// The request.
    pub request_id: Arc<str>,
    invocation: Invocation,
}

/// Whether an invocation is the first one behind an Init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Init {
    /// This life has seen neither an Init nor an invocation.
    Unknown,
    /// The next invocation is the first.
    Before,
    /// There was one.
    Behind,
}

impl Summaries {
    /// No request is open. `counts_lines`: what the function logs is handed over at all.
    pub fn new(counts_lines: bool) -> Self {
        Self { open: BTreeMap::new(), places: HashMap::new(), next_place: 0, init: Init::Unknown, counts_lines }
    }

    /// Takes the next event, and returns the request that has come to its end by it.
    pub fn observe(&mut self, told: &Told<'_>) -> Option<Finished> {
        let Told { kind, record, facts, owner, .. } = *told;
        if kind == EventKind::InitStart {
            self.init = Init::Before;
        }
        let Owner::Invocation(id) = owner else { return None };
        if kind == EventKind::Function {
            if let Some(invocation) = self.find(id) {
                invocation.logged(record, told.quotable, facts.level.as_deref());
            }
            return None;
        }
        // An event of the platform that does not name its request tells nothing of the one that it was attributed to.
        if !matches!(kind, EventKind::Start | EventKind::RuntimeDone | EventKind::Report)
            || facts.request_id.as_deref() != Some(id)
        {
            return None;
        }
        let record = record.and_then(|record| serde_json::from_str(record.get()).ok()).unwrap_or_default();
        match kind {
            EventKind::Start => self.start(id, &record),
            EventKind::RuntimeDone => self.runtime_done(id, &record),
            _ => Some(self.report(id, &record)),
        }
    }

    /// What is known of the requests that are open.
    pub fn unfinished(&self) -> impl Iterator<Item = Finished> {
        self.open.values().cloned().map(Finished::partial)
    }

    /// Their lines are written.
    pub fn clear(&mut self) {
        self.open.clear();
        self.places.clear();
    }

    fn start(&mut self, id: &str, record: &Value) -> Option<Finished> {
        let (cold_start, counts_lines) = (self.init.next_start(), self.counts_lines);
        // A second attempt has the id of the first: its report was lost.
        let first = if self.find(id).is_some_and(|invocation| invocation.started) { self.close(id) } else { None };
        let evicted = self.make_room_for(id);
        self.find_or_open(id).start(record, cold_start, counts_lines);
        first.or(evicted).map(Finished::partial)
    }

    fn runtime_done(&mut self, id: &str, record: &Value) -> Option<Finished> {
        let evicted = self.make_room_for(id);
        self.find_or_open(id).runtime_done(record);
        evicted.map(Finished::partial)
    }

    fn report(&mut self, id: &str, record: &Value) -> Finished {
        let open = self.close(id).unwrap_or_else(|| Open::new(id.into()));
        let mut invocation = Arc::unwrap_or_clone(open.invocation);
        invocation.report(record);
        invocation.partial = !invocation.started;
        Finished { request_id: open.request_id, invocation }
    }

    fn find(&mut self, id: &str) -> Option<&mut Invocation> {
        let open = self.open.get_mut(self.places.get(id)?)?;
        Some(Arc::make_mut(&mut open.invocation))
    }

    fn find_or_open(&mut self, id: &str) -> &mut Invocation {
        let next = self.next_place;
        let place = match self.places.get(id) {
            Some(place) => *place,
            None => next,
        };
        let open = self.open.entry(place).or_insert_with(|| {
            let id: Arc<str> = id.into();
            self.places.insert(Arc::clone(&id), next);
            self.next_place += 1;
            Open::new(id)
        });
        Arc::make_mut(&mut open.invocation)
    }

    fn close(&mut self, id: &str) -> Option<Open> {
        self.open.remove(&self.places.remove(id)?)
    }

    /// The oldest gives way.
    fn make_room_for(&mut self, id: &str) -> Option<Open> {
        if self.open.len() < OPEN_MAX || self.places.contains_key(id) {
            return None;
        }
        let (_, oldest) = self.open.pop_first()?;
        self.places.remove(&oldest.request_id);
        Some(oldest)
    }
}

impl Init {
    /// Whether the invocation that begins now is the first behind an Init, if that is known.
    fn next_start(&mut self) -> Option<bool> {
        match std::mem::replace(self, Self::Behind) {
            Self::Unknown => None,
            Self::Before => Some(true),
            Self::Behind => Some(false),
        }
    }
}

impl Open {
    fn new(request_id: Arc<str>) -> Self {
        Self { request_id, invocation: Arc::default() }
    }
}

impl Finished {
    fn partial(open: Open) -> Self {
        let mut invocation = Arc::unwrap_or_clone(open.invocation);
        invocation.partial = true;
        Self { request_id: open.request_id, invocation }
    }
}

/// The beginning of a text, cut between two characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
