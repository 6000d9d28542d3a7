//! Performs uploads as it is told, and reports how they ended. What is tried when is decided by the lifecycle's machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use spool::{Adopted, LossCause, SpoolEvent};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use super::outbox::{Change, Outbox};
use super::outgoing::{Outgoing, OutgoingId};
use super::route::{Place, Route};
use super::store::{AttemptError, AttemptErrorKind, ObjectStore, PutOutcome};
use super::stores::{Fares, Stores};
use crate::deadline::now_ms;
use crate::intake::lock;
use crate::lifecycle::machine::{Arrival, Event, Waiting};

/// Totals of this life, for the summary line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Objects that were delivered, those that were there already included.
    pub delivered: u64,
    /// Bytes of delivered objects.
    pub bytes: u64,
    /// How many of them went to a fallback.
    pub fallback: u64,
    /// Objects that were written to the log of the function, and kept.
    pub handed_on: u64,
}

/// Takes what is to be uploaded and performs uploads. Cheap to clone.
#[derive(Clone)]
pub struct Uploader {
    shared: Arc<Shared>,
}

struct Shared {
    stores: Stores,
    /// Takes what happened to objects, for the machine.
    events: UnboundedSender<Event>,
    state: Mutex<State>,
}

struct State {
    outbox: Outbox,
    /// Attempts by their number.
    running: BTreeMap<u64, (OutgoingId, AbortHandle)>,
    fares: Vec<Fares>,
    totals: Totals,
}

impl Uploader {
    /// An uploader to `stores`.
    pub fn new(stores: impl Into<Stores>, outbox: Outbox, events: UnboundedSender<Event>) -> Self {
        let stores = stores.into();
        let (running, fares, totals) = (BTreeMap::new(), stores.fares(), Totals::default());
        let state = State { outbox, running, fares, totals };
        Self { shared: Arc::new(Shared { stores, events, state: Mutex::new(state) }) }
    }

    /// Where objects can go.
    pub fn route(&self) -> Route {
        self.shared.stores.route()
    }

    /// Takes what happened to a segment of the living spool.
    pub fn take(&self, event: SpoolEvent) {
        let mut state = lock(&self.shared.state);
        let change = state.outbox.take(event);
        self.report_changes(&state, change);
    }

    /// Announces an orphan: until it is adopted there is work.
    pub fn adoption_begins(&self) {
        self.report(Event::AdoptionBegins);
    }

    /// Takes an adopted spool, or learns that there is none to be had.
    pub fn adoption_ends(&self, adopted: Option<Adopted>) {
        if let Some(adopted) = adopted {
            let mut state = lock(&self.shared.state);
            let mut changes = state.outbox.adopt(adopted);
            // The first that is told of may begin at once, so it must be the one whose turn it is.
            changes.sort_by_key(|change| match change {
                Change::Removed(_) => 0,
                Change::Added(id) if state.outbox.get(id).is_some_and(|outgoing| outgoing.is_urgent()) => 1,
                Change::Added(_) => 2,
            });
            self.report_changes(&state, changes);
        }
        self.report(Event::AdoptionEnds);
    }

    /// Everything that waits, for a machine that begins anew.
    pub fn waiting(&self) -> Vec<Waiting> {
        lock(&self.shared.state).outbox.waiting().map(waiting).collect()
    }

    /// Totals of this life.
    pub fn totals(&self) -> Totals {
        lock(&self.shared.state).totals
    }

    /// Lets go of what would not survive a freeze.
    pub fn close_idle(&self) {
        self.shared.stores.close_idle();
    }

    /// Begins an upload.
    pub fn start(&self, id: OutgoingId, place: Place, attempt: u64) {
        let mut state = lock(&self.shared.state);
        let Some(outgoing) = state.outbox.get(&id) else {
            return self.report(Event::Removed(id));
        };
        state.outbox.attempt_begun(&outgoing);
        let store = Arc::clone(self.shared.stores.at(place));
        let put = tokio::spawn(put(store, outgoing.clone()));
        state.running.insert(attempt, (id, put.abort_handle()));
        let uploader = self.clone();
        tokio::spawn(async move {
            match put.await {
                Ok(end) => uploader.ended(&outgoing, place, attempt, end),
                Err(ended) if ended.is_cancelled() => {}
                Err(_) => uploader.ended(&outgoing, place, attempt, End::Failed(panicked())),
            }
        });
    }

    /// Cancels an upload. One that has ended in the meantime reports that.
    pub fn cancel(&self, id: OutgoingId, attempt: u64) {
        let mut state = lock(&self.shared.state);
        if let Some((_, running)) = state.running.remove(&attempt) {
            running.abort();
            state.outbox.attempt_failed(&id);
        }
    }

    /// Cancels whatever runs.
    pub fn cancel_all(&self) {
        let mut state = lock(&self.shared.state);
        for (id, attempt) in std::mem::take(&mut state.running).into_values() {
            attempt.abort();
            state.outbox.attempt_failed(&id);
        }
    }

    fn ended(&self, outgoing: &Outgoing, place: Place, attempt: u64, end: End) {
        let mut state = lock(&self.shared.state);
        let id = outgoing.id();
        let was_running = state.running.remove(&attempt).is_some();
        let waiting = state.outbox.get(&id);
        if waiting.as_ref().is_some_and(|waiting| waiting.key() != outgoing.key()) {
            // An adopter knows better what is there: that is tried in its place, and this attempt counts for nothing.
            return self.report_changes(&state, [Change::Removed(id), Change::Added(id)]);
        }
        let stores = &self.shared.stores;
        let store = stores.at(place).describe();
        let (changes, result) = match end {
            // One that does not wait any more was delivered by an attempt that had been cancelled and begun anew.
            End::Delivered(_) if waiting.is_none() => (Vec::new(), Ok(Arrival::Delivered)),
            End::Delivered(PutOutcome::Unconfirmed) if !stores.trusts_log() => {
                if was_running {
                    state.handed_on(&id);
                }
                (Vec::new(), Ok(Arrival::HandedOn))
            }
            End::Delivered(outcome) => (state.delivered(outgoing, place, &store, outcome), Ok(Arrival::Delivered)),
            End::Unreadable(cause) if was_running => (state.lost(outgoing, cause), Err(AttemptErrorKind::Body)),
            End::Unreadable(_) => (Vec::new(), Err(AttemptErrorKind::Body)),
            End::Failed(error) => {
                if was_running {
                    state.failed(&id, place, &error, &store);
                }
                (Vec::new(), Err(error.kind))
            }
        };
        self.report_changes(&state, changes);
        self.report(Event::AttemptEnded { id, place, attempt, result });
    }

    fn report_changes(&self, state: &State, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::Removed(id) => self.report(Event::Removed(id)),
                Change::Added(id) => {
                    if let Some(outgoing) = state.outbox.get(&id) {
                        self.report(Event::Added(waiting(&outgoing)));
                    }
                }
            }
        }
    }

    fn report(&self, event: Event) {
        // Without a receiver the process is ending.
        let _ = self.shared.events.send(event);
    }
}

/// How an attempt ended.
enum End {
    Delivered(PutOutcome),
    Failed(AttemptError),
    /// Its bytes can no longer be read.
    Unreadable(LossCause),
}

async fn put(store: Arc<dyn ObjectStore>, outgoing: Outgoing) -> End {
    match store.put(&outgoing.object()).await {
        Ok(outcome) => End::Delivered(outcome),
        Err(error) if error.kind == AttemptErrorKind::Body => {
            outgoing.find_loss().map_or(End::Failed(error), End::Unreadable)
        }
        Err(error) => End::Failed(error),
    }
}

fn waiting(outgoing: &Outgoing) -> Waiting {
    Waiting { id: outgoing.id(), oldest_ms: outgoing.oldest_ms(), is_urgent: outgoing.is_urgent() }
}

/// The hook has said where. As with bytes that cannot be read, it is most likely this object's own fault.
fn panicked() -> AttemptError {
    AttemptError { kind: AttemptErrorKind::Body, code: None, status: None, message: "the upload panicked".into() }
}

impl State {
    fn delivered(&mut self, outgoing: &Outgoing, place: Place, store: &str, outcome: PutOutcome) -> Vec<Change> {
        let (id, bytes) = (outgoing.id(), outgoing.bytes());
        self.totals.delivered += 1;
        self.totals.bytes += bytes;
        self.totals.fallback += u64::from(place != Place::DESTINATION);
        let changes = self.outbox.delivered(&id);
        self.fares[place.index()].well(store, self.outbox.waiting().count());
        crate::info!("first={} bytes={bytes} store={store} outcome={outcome:?} A segment was delivered.", id.first);
        changes
    }

    /// An object that was written to a place that nobody trusts stays where it is, for the next life.
    fn handed_on(&mut self, id: &OutgoingId) {
        self.totals.handed_on += 1;
        self.outbox.attempt_failed(id);
    }

    /// An object that can never be delivered makes way for the declaration of its loss.
    fn lost(&mut self, outgoing: &Outgoing, cause: LossCause) -> Vec<Change> {
        let (id, key, cause_name) = (outgoing.id(), outgoing.key(), cause.name());
        crate::error!(
            "first={} key={key} cause={cause_name} A segment can no longer be read; its logs are lost.",
            id.first
        );
        self.outbox.attempt_failed(&id);
        self.outbox.declare_lost(&id, cause, now_ms())
    }

    fn failed(&mut self, id: &OutgoingId, place: Place, error: &AttemptError, store: &str) {
        self.outbox.attempt_failed(id);
        self.fares[place.index()].badly(error, store, self.outbox.waiting().count());
    }
}
