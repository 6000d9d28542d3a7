//! Performs uploads: one at a time while the environment lives, some at a time when it ends. What is tried when is the
//! queue's decision; this is the shell that carries it out.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use spool::{Adopted, LossCause, SpoolEvent};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::outbox::Outbox;
use super::outgoing::{Outgoing, OutgoingId};
use super::queue::{Next, Queue};
use super::store::{ObjectStore, PutError, PutErrorKind, PutOutcome};
use crate::deadline::{Deadline, now_ms};
use crate::intake::lock;

/// Totals of this life, for the summary line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Objects that were delivered, those that were there already included.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Bytes of delivered objects.
    pub bytes: u64,
}

/// Takes what is to be uploaded and knows how it fares. Cheap to clone.
#[derive(Clone)]
pub struct Uploader {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn ObjectStore>,
    state: Mutex<State>,
    /// Something was added, or a round begins.
    wake: Notify,
    /// An attempt has ended.
    progress: Notify,
}

struct State {
    outbox: Outbox,
    queue: Queue,
    rng: fastrand::Rng,
    parallel: usize,
    /// Raised when running attempts are to be cancelled and begun anew.
    cancel: bool,
    /// Orphans whose files are being read.
    adoptions: usize,
    told_configuration: bool,
    in_outage: bool,
    totals: Totals,
}

/// How one attempt ended.
struct Attempt {
    outgoing: Outgoing,
    result: Result<PutOutcome, PutError>,
    /// Why its bytes can no longer be read, if that is what has failed.
    loss: Option<LossCause>,
}

impl Attempt {
    async fn make(store: Arc<dyn ObjectStore>, outgoing: Outgoing) -> Self {
        let result = store.put(&outgoing.object()).await;
        let is_suspect = result.as_ref().is_err_and(|error| error.kind == PutErrorKind::Body);
        let loss = if is_suspect { outgoing.find_loss() } else { None };
        Self { outgoing, result, loss }
    }
}

impl Uploader {
    /// An uploader to `store`. `rng` must be seeded from the kernel, so that clones of a snapshot do not retry in step.
    pub fn new(store: Arc<dyn ObjectStore>, outbox: Outbox, queue: Queue, rng: fastrand::Rng) -> Self {
        let state = State {
            outbox,
            queue,
            rng,
            parallel: 1,
            cancel: false,
            adoptions: 0,
            told_configuration: false,
            in_outage: false,
            totals: Totals::default(),
        };
        let shared = Shared { store, state: Mutex::new(state), wake: Notify::new(), progress: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Takes what happened to a segment of the living spool.
    pub fn take(&self, event: SpoolEvent) {
        let mut state = lock(&self.shared.state);
        let change = state.outbox.take(event);
        state.queue.apply(change);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Announces an orphan: until it is adopted there is work.
    pub fn adoption_begins(&self) {
        lock(&self.shared.state).adoptions += 1;
    }

    /// Takes an adopted spool, or learns that there is none to be had.
    pub fn adoption_ends(&self, adopted: Option<Adopted>) {
        let mut state = lock(&self.shared.state);
        state.adoptions = state.adoptions.saturating_sub(1);
        let changes = adopted.map(|adopted| state.outbox.adopt(adopted));
        state.queue.apply(changes.into_iter().flatten());
        drop(state);
        self.shared.wake.notify_one();
        self.shared.progress.notify_waiters();
    }

    /// Whether an attempt runs or could be made now, or will be possible when an orphan has been read.
    pub fn has_work(&self, now_ms: i64) -> bool {
        let state = lock(&self.shared.state);
        let may_attempt = matches!(state.queue.next(1, now_ms), Next::Attempt(_));
        state.adoptions > 0 || state.queue.in_flight() > 0 || may_attempt
    }

    /// Objects that are not delivered.
    pub fn waiting(&self) -> usize {
        lock(&self.shared.state).queue.len()
    }

    /// Totals of this life.
    pub fn totals(&self) -> Totals {
        lock(&self.shared.state).totals
    }

    /// Looks at the clock again: called when the process may have been frozen, since timers then lie.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Lets go of what would not survive a freeze.
    pub fn close_idle(&self) {
        self.shared.store.close_idle();
    }

    /// Returns when nothing can be attempted any more for now, or at the deadline.
    pub async fn drained(&self, until: Deadline) {
        let drained = async {
            loop {
                let progress = self.shared.progress.notified();
                if !self.has_work(now_ms()) {
                    return;
                }
                progress.await;
            }
        };
        // At the deadline what is left stays in the spool.
        let _ = tokio::time::timeout(until.remaining(now_ms()), drained).await;
    }

    /// The environment ends: whatever runs is cancelled and begun anew, since its connection may have died in a freeze,
    /// and everything gets one attempt, `parallel` at a time.
    pub fn begin_last_round(&self, parallel: usize) {
        let mut state = lock(&self.shared.state);
        state.parallel = parallel;
        state.cancel = true;
        state.queue.begin_last_round();
        drop(state);
        self.shared.store.close_idle();
        self.shared.wake.notify_one();
    }

    /// Works for as long as the process lives.
    pub async fn run(self) {
        let mut attempts = JoinSet::new();
        let mut running: Vec<OutgoingId> = Vec::new();
        loop {
            self.cancel_if_asked(&mut attempts, &mut running).await;
            let pause = self.begin_attempts(&mut attempts, &mut running);
            tokio::select! {
                Some(ended) = attempts.join_next(), if !attempts.is_empty() => {
                    match ended {
                        Ok(attempt) => {
                            running.retain(|id| *id != attempt.outgoing.id());
                            self.ended(attempt);
                        }
                        // A panic inside an attempt: the object waits for its next one.
                        Err(_) => self.lost_attempts(&mut running, attempts.len()),
                    }
                }
                () = self.shared.wake.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn cancel_if_asked(&self, attempts: &mut JoinSet<Attempt>, running: &mut Vec<OutgoingId>) {
        if !std::mem::take(&mut lock(&self.shared.state).cancel) {
            return;
        }
        attempts.shutdown().await;
        let mut state = lock(&self.shared.state);
        for id in running.drain(..) {
            state.queue.cancelled(&id);
            state.outbox.attempt_failed(&id);
        }
    }

    /// Begins what may be begun and returns how long there is nothing more to begin.
    fn begin_attempts(&self, attempts: &mut JoinSet<Attempt>, running: &mut Vec<OutgoingId>) -> Option<Duration> {
        let mut state = lock(&self.shared.state);
        loop {
            let now_ms = now_ms();
            match state.queue.next(state.parallel, now_ms) {
                Next::Idle => return None,
                Next::WaitUntil(at_ms) => return Some(Deadline::at(at_ms).remaining(now_ms)),
                Next::Attempt(id) => {
                    let Some(outgoing) = state.outbox.get(&id) else {
                        state.queue.delivered(&id);
                        continue;
                    };
                    state.queue.begun(&id);
                    state.outbox.attempt_begun(&outgoing);
                    running.push(id);
                    let store = Arc::clone(&self.shared.store);
                    attempts.spawn(Attempt::make(store, outgoing));
                }
            }
        }
    }

    fn ended(&self, Attempt { outgoing, result, loss }: Attempt) {
        let mut state = lock(&self.shared.state);
        let id = outgoing.id();
        match (result, loss) {
            // Meanwhile something else waits under its name: an adopter knows better what is there.
            _ if state.outbox.get(&id).is_some_and(|waiting| waiting.key() != outgoing.key()) => {
                state.queue.cancelled(&id);
            }
            (Ok(outcome), _) => state.delivered(&id, outgoing.bytes(), outcome),
            (Err(_), Some(cause)) => state.lost(&outgoing, cause),
            (Err(error), None) => state.failed(&id, &error, &self.shared.store.describe()),
        }
        drop(state);
        self.shared.progress.notify_waiters();
    }

    /// One of the running attempts has ended without saying which: all that are not known to run count as failed.
    fn lost_attempts(&self, running: &mut Vec<OutgoingId>, still_running: usize) {
        if still_running > 0 {
            return;
        }
        let mut state = lock(&self.shared.state);
        for id in running.drain(..) {
            let State { queue, rng, totals, outbox, .. } = &mut *state;
            totals.failed_attempts += 1;
            outbox.attempt_failed(&id);
            queue.failed(&id, PutErrorKind::Body, now_ms(), rng);
        }
        drop(state);
        crate::warn!("An upload panicked; its segment waits for the next attempt.");
        self.shared.progress.notify_waiters();
    }
}

impl State {
    fn delivered(&mut self, id: &OutgoingId, bytes: u64, outcome: PutOutcome) {
        self.totals.delivered += 1;
        self.totals.bytes += bytes;
        if std::mem::take(&mut self.in_outage) {
            crate::warn!("waiting={} Uploads work again.", self.queue.len() - 1);
        }
        self.told_configuration = false;
        crate::info!("first={} bytes={bytes} outcome={outcome:?} A segment was delivered.", id.first);
        self.queue.delivered(id);
        let changes = self.outbox.delivered(id);
        self.queue.apply(changes);
    }

    /// An object that can never be delivered makes way for the declaration of its loss.
    fn lost(&mut self, outgoing: &Outgoing, cause: LossCause) {
        self.totals.failed_attempts += 1;
        let (id, key, cause_name) = (outgoing.id(), outgoing.key(), cause.name());
        crate::error!(
            "first={} key={key} cause={cause_name} A segment can no longer be read; its logs are lost.",
            id.first
        );
        self.outbox.attempt_failed(&id);
        let changes = self.outbox.declare_lost(&id, cause, now_ms());
        self.queue.apply(changes);
    }

    fn failed(&mut self, id: &OutgoingId, error: &PutError, store: &str) {
        self.totals.failed_attempts += 1;
        self.outbox.attempt_failed(id);
        let wait_ms = self.queue.failed(id, error.kind, now_ms(), &mut self.rng);
        let waiting = self.queue.len();
        match error.kind {
            PutErrorKind::Configuration | PutErrorKind::WrongRegion => {
                if !std::mem::replace(&mut self.told_configuration, true) {
                    crate::warn!(
                        "store={store} waiting={waiting} error=\"{error}\" Uploads need a person; logs stay in the spool meanwhile."
                    );
                }
            }
            _ => {
                if !std::mem::replace(&mut self.in_outage, true) {
                    crate::warn!(
                        "store={store} waiting={waiting} error=\"{error}\" An upload failed and is tried again later."
                    );
                } else {
                    crate::debug!(
                        "store={store} waiting={waiting} wait_ms={wait_ms} error=\"{error}\" An upload failed again."
                    );
                }
            }
        }
    }
}

/// Sleeps for a time, or for ever.
async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
