//! Every decision of the lifecycle as one state machine: when to seal, when to call `next`, what to upload when, when to
//! end. Pure: events, times and a generator of random numbers go in, actions come out. No socket, clock, task or disk.
//!
//! ```text
//!            INVOKE                    its end, or too late        drained, or budget used up
//!   Free ------------> AwaitingEnd ------------------------> Draining ---------------------> Free
//!     |\-------------> FinishingOne ---- upload ended, or budget used up ------------------> Free
//!     | SHUTDOWN
//!     +--------------> Settling ---- silence ----> LastRound ---- drained, or deadline ----> Ended
//! ```
//!
//! * `next` is on its way in `Free` and in no other phase.
//! * Every wait has an end in time; [`Machine::alarm_in`] tells when the machine wants to be told the time.
//! * While the process lives one upload runs at a time; at the end some.

mod breaker;
mod clock;
pub mod drain_policy;
mod event;
mod hold;
mod invocations;
mod pace;
mod queue;
pub mod seal_policy;
mod shutdown;
mod uploads;

use breaker::Breaker;
pub use breaker::Wait;
use clock::Clock;
pub use clock::TICK_MS;
use drain_policy::DrainPolicy;
pub use event::{Action, Arrival, Event, Moment, Waiting};
use hold::{Held, Hold};
pub use invocations::REMEMBERED_MAX;
use invocations::{Invocations, Meaning};
use pace::Pace;
use queue::Queue;
use seal_policy::SealPolicy;
use shutdown::Stage;
use spool::{ActiveFacts, SealReason};

use crate::deadline::millis;
use crate::intake::Observed;
use crate::runtime_api::event::RequestId;
use crate::upload::outgoing::OutgoingId;
use crate::upload::retry::RetryPolicy;
use crate::upload::route::{Place, Route};

/// Where nothing is frozen many invocations run at a time, and those that fail within so long share an object: one for each
/// would be as many objects, and requests that are paid for, as failures.
const FAILURES_APART_MS: i64 = 1_000;

/// What the machine decides by.
#[derive(Debug, Clone)]
pub struct Policies {
    /// When a segment is sealed.
    pub seal: SealPolicy,
    /// What `next` is held for.
    pub drain: DrainPolicy,
    /// When a failed upload is tried again.
    pub retry: RetryPolicy,
    /// Where objects can go.
    pub route: Route,
    /// Whether the environment may be frozen while nothing runs in it.
    pub freezes: bool,
}

/// What was decided so far, for the summary line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Invocations.
    pub invocations: u64,
    /// How often `next` was held.
    pub held: u64,
    /// How long it was held after the function had finished, in milliseconds, as far as its end was told.
    pub held_ms: u64,
    /// How often of these for one upload that no handler is long enough for.
    pub held_for_starved_upload: u64,
    /// Holds that ended because their time was over.
    pub budgets_used_up: u64,
    /// Uploads that were begun.
    pub attempts: u64,
    /// Uploads that have failed.
    pub failed_attempts: u64,
    /// Uploads that a freeze has interrupted.
    pub interrupted_attempts: u64,
    /// Freezes that were long enough to notice.
    pub freezes: u64,
    /// How often the breaker opened.
    pub outages: u64,
}

/// The state machine.
#[derive(Debug)]
pub struct Machine {
    policies: Policies,
    rng: fastrand::Rng,
    clock: Clock,
    wall_ms: i64,
    active: ActiveFacts,
    /// When the active segment got its first record.
    active_since_ms: Option<i64>,
    /// A seal was asked for and not answered.
    is_sealing: bool,
    /// An invocation has failed and its words are not sealed.
    has_unsealed_failure: bool,
    /// The same, sealed or not, since the last INVOKE.
    has_new_failure: bool,
    /// When the words of a failure were last sealed.
    failure_sealed_ms: Option<i64>,
    invocations: Invocations,
    pace: Pace,
    queue: Queue,
    /// By place: of the destination, of each fallback.
    breakers: Vec<Breaker>,
    /// Spools of earlier lives that are being read.
    adoptions: usize,
    /// When the process began to run: at its start, at INVOKE, after a freeze.
    awake_since_ms: i64,
    /// When it was last asked whether the spool is where it should be.
    place_checked_ms: i64,
    last_body_ms: i64,
    phase: Phase,
    /// The invocation whose end is waited for.
    awaited: Option<RequestId>,
    /// The invocation that `next` is held in.
    held: Option<Held>,
    /// Where everything is tried now that the environment ends.
    stage: Stage,
    /// Nothing is uploaded before the first event: see [`Machine::hold_back`].
    holds_back: bool,
    /// The segment behind the end of the stream cannot be sealed.
    end_cannot_be_sealed: bool,
    counts: Counts,
    actions: Vec<Action>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: `next` is on its way.
    Free,
    /// The end of an invocation.
    AwaitingEnd(Hold),
    /// Everything that may be delivered now.
    Draining(Hold),
    /// One upload.
    FinishingOne(OutgoingId, Hold),
    /// The last telemetry.
    Settling { began_ms: i64, until_ms: i64, deadline_ms: i64 },
    /// Everything that may still be delivered.
    LastRound { deadline_ms: i64 },
    /// Nothing any more.
    Ended,
}

impl Machine {
    /// A process that has just called its first `next`. `rng` must be seeded from the kernel, so that clones of a snapshot do
    /// not retry in step.
    pub fn new(policies: Policies, rng: fastrand::Rng, at: &Moment) -> Self {
        let clock = Clock::new(at);
        Self {
            queue: Queue::new(policies.retry.clone(), policies.route),
            breakers: policies.route.stores().map(|_| Breaker::new(policies.retry.clone())).collect(),
            policies,
            rng,
            wall_ms: at.wall_ms,
            active: at.active,
            active_since_ms: None,
            is_sealing: false,
            has_unsealed_failure: false,
            has_new_failure: false,
            failure_sealed_ms: None,
            invocations: Invocations::default(),
            pace: Pace::default(),
            adoptions: 0,
            awake_since_ms: clock.time_ms(),
            place_checked_ms: clock.time_ms(),
            last_body_ms: clock.time_ms(),
            clock,
            phase: Phase::Free,
            awaited: None,
            held: None,
            stage: Stage::default(),
            holds_back: false,
            end_cannot_be_sealed: false,
            counts: Counts::default(),
            actions: Vec::new(),
        }
    }

    /// Goes on with the counts of a machine that was before this one.
    #[must_use]
    pub fn counting_from(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }

    /// Uploads nothing before the first INVOKE or SHUTDOWN: the process may be copied meanwhile, and neither connections nor
    /// credentials must be.
    pub fn hold_back(&mut self) {
        self.holds_back = true;
    }

    /// The process is one of a kind: decides by chance that no copy of it shares.
    pub fn reseed(&mut self, rng: fastrand::Rng) {
        self.rng = rng;
    }

    /// Takes what happened, and returns what is to be done about it, in order.
    pub fn on(&mut self, event: Event, at: &Moment) -> Vec<Action> {
        self.look_at_the_clocks(at);
        self.holds_back &= !matches!(event, Event::Invoke { .. } | Event::Shutdown { .. } | Event::PlatformGone);
        match event {
            Event::Invoke { request_id, deadline } => self.invoke(request_id, deadline),
            Event::Shutdown { deadline } => self.shut_down(deadline),
            Event::PlatformGone => self.end_at_once(),
            Event::Observed(observed) => self.observe(&observed),
            Event::Sealed { held_records } => self.sealed(held_records),
            Event::Added(waiting) => self.added(&waiting),
            Event::Removed(id) => self.removed(&id),
            Event::AttemptEnded { id, place, attempt, result } => self.attempt_ended(&id, place, attempt, result),
            Event::AdoptionBegins => self.adoptions += 1,
            Event::AdoptionEnds => self.adoptions = self.adoptions.saturating_sub(1),
            Event::Time => {}
        }
        if self.time_ms().saturating_sub(self.place_checked_ms) >= TICK_MS {
            self.check_place();
        }
        self.seal_if_due();
        self.begin_uploads();
        // What was held is let go only when nothing more can be begun under the hold.
        self.advance_hold();
        self.advance_shutdown();
        self.begin_uploads();
        std::mem::take(&mut self.actions)
    }

    /// How long until the machine wants to be told the time, in milliseconds; at most a tick.
    pub fn alarm_in(&self) -> i64 {
        let now_ms = self.time_ms();
        let alarms = [
            self.hold_alarm_ms(),
            self.shutdown_alarm_ms(),
            self.upload_alarm_ms(),
            self.age_alarm_ms(),
            self.failure_alarm_ms(),
        ];
        let next_ms = alarms.into_iter().flatten().filter(|at_ms| *at_ms > now_ms).min().unwrap_or(i64::MAX);
        next_ms.saturating_sub(now_ms).min(TICK_MS)
    }

    /// What was decided so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Objects that are not delivered.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// How many things the machine keeps in memory: objects that wait, and a bounded number of what was seen of late.
    pub fn remembered(&self) -> usize {
        self.queue.len() + self.invocations.remembered() + self.pace.remembered()
    }

    /// The age of the oldest record that is not delivered, in milliseconds.
    pub fn oldest_age_ms(&self) -> Option<i64> {
        Some(self.time_ms().saturating_sub(self.oldest_ms()?))
    }

    /// Whether the store is taken to be down, so that nobody is held for it.
    pub fn is_store_down(&self) -> bool {
        self.breaker().is_open()
    }

    /// When the store is asked again, if that was decided since this was asked before; for the log.
    pub fn take_new_wait(&mut self) -> Option<Wait> {
        self.breakers.iter_mut().find_map(Breaker::take_new_wait)
    }

    /// That of the destination: it alone decides what anybody is held for.
    fn breaker(&self) -> &Breaker {
        &self.breakers[Place::DESTINATION.index()]
    }

    fn breaker_mut(&mut self) -> &mut Breaker {
        &mut self.breakers[Place::DESTINATION.index()]
    }

    fn time_ms(&self) -> i64 {
        self.clock.time_ms()
    }

    fn ask(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn look_at_the_clocks(&mut self, at: &Moment) {
        let passed = self.clock.advance(at);
        self.wall_ms = at.wall_ms;
        if passed.was_frozen {
            self.counts.freezes += 1;
            self.awake_since_ms = self.time_ms();
            self.interrupt_uploads(passed.since_ms);
        }
        let is_another = at.active.first_append_ms != self.active.first_append_ms;
        self.active = at.active;
        if at.active.records == 0 {
            self.active_since_ms = None;
        } else if self.active_since_ms.is_none() || is_another {
            let first_append_ms = at.active.first_append_ms.unwrap_or(at.wall_ms);
            self.active_since_ms = Some(self.clock.past_ms(first_append_ms));
        }
    }

    fn oldest_ms(&self) -> Option<i64> {
        self.active_since_ms.into_iter().chain(self.queue.oldest_ms()).min()
    }

    fn observe(&mut self, observed: &Observed) {
        self.last_body_ms = self.time_ms();
        let Meaning { handler_ms, is_failure } = self.invocations.observe(observed);
        handler_ms.into_iter().for_each(|ms| self.pace.handler_took(ms));
        self.note_finish(observed);
        if is_failure {
            self.has_unsealed_failure = true;
            self.has_new_failure = true;
        }
        if *observed == Observed::Lost {
            self.end_may_be_lost();
        }
    }

    // === sealing ===

    /// Whether what is sealed now can only wait: the destination is down, and no fallback takes it while the process lives.
    pub fn nothing_leaves(&self) -> bool {
        let goes_on = self.policies.retry.is_bounded();
        let takes = |place: Place| place != Place::DESTINATION && goes_on && !self.is_down(place);
        self.breaker().is_open() && !self.policies.route.stores().any(takes)
    }

    /// In an outage only size seals: more segments would help nobody, and their number is bounded. At SHUTDOWN the last words
    /// of a failure are sealed all the same: everything gets an attempt, and they are the first to leave.
    fn seal_if_due(&mut self) {
        let is_closing = matches!(self.phase, Phase::LastRound { .. } | Phase::Ended);
        if self.is_sealing || is_closing || self.active.records == 0 {
            return;
        }
        let seal = &self.policies.seal;
        let only_size_seals = self.nothing_leaves();
        let is_ending = matches!(self.phase, Phase::Settling { .. });
        let due = if only_size_seals {
            seal.is_large(&self.active).then_some(SealReason::Size)
        } else {
            let age_ms = self.active_since_ms.map_or(0, |since_ms| self.time_ms().saturating_sub(since_ms));
            seal.due(&self.active, age_ms, self.invocations.ended_since_seal(), self.wall_ms)
        };
        let is_urgent = is_ending || !only_size_seals && self.failure_due_ms() <= self.time_ms();
        if self.has_unsealed_failure && (is_urgent || due.is_some()) {
            // The words of a failed invocation are the ones that somebody waits for, whatever else is due.
            self.failure_sealed_ms = Some(self.time_ms());
            self.seal(SealReason::Error);
        } else if let Some(reason) = due {
            self.seal(reason);
        }
    }

    /// When the words of a failure may be sealed.
    fn failure_due_ms(&self) -> i64 {
        let sealed_ms = self.failure_sealed_ms.filter(|_| !self.policies.freezes);
        sealed_ms.map_or(i64::MIN, |sealed_ms| sealed_ms.saturating_add(FAILURES_APART_MS))
    }

    fn failure_alarm_ms(&self) -> Option<i64> {
        Some(self.failure_due_ms()).filter(|_| self.has_unsealed_failure && !self.nothing_leaves())
    }

    /// Whoever has cleared the spool directory may have done so since INVOKE, and some environments are told of none. At the end
    /// there is no time to begin anew.
    fn check_place(&mut self) {
        if !matches!(self.phase, Phase::Settling { .. } | Phase::LastRound { .. } | Phase::Ended) {
            self.place_checked_ms = self.time_ms();
            self.ask(Action::CheckPlace);
        }
    }

    fn seal(&mut self, reason: SealReason) {
        self.is_sealing = true;
        if self.place_checked_ms < self.time_ms() {
            self.check_place();
        }
        self.ask(Action::Seal(reason));
    }

    fn sealed(&mut self, held_records: bool) {
        self.is_sealing = false;
        if held_records {
            self.has_unsealed_failure = false;
            self.invocations.sealed();
        } else {
            self.seal_failed();
        }
    }

    fn age_alarm_ms(&self) -> Option<i64> {
        let age_ms = millis(self.policies.seal.age);
        self.active_since_ms.filter(|_| !self.nothing_leaves()).map(|since_ms| since_ms.saturating_add(age_ms))
    }
}

#[cfg(test)]
mod tests;
