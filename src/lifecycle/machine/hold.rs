//! From INVOKE to `next`: what an environment is held for, and until when.

use spool::SealReason;

use super::drain_policy::{InvokeFacts, InvokePlan};
use super::event::Action;
use super::{Machine, Phase};
use crate::deadline::{Deadline, millis};
use crate::intake::Observed;
use crate::runtime_api::event::RequestId;
use crate::upload::outgoing::OutgoingId;
use crate::upload::route::Place;

/// `next` is not called yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// When this wait is over.
    until_ms: i64,
    /// When any wait of this invocation is over.
    at_most_until_ms: i64,
    /// Seal at the end whatever the rules say.
    seals: bool,
    /// Deliveries before the hold.
    delivered: u64,
    /// Handlers are too short for any upload: whatever else waits is uploaded too.
    takes_others: bool,
}

/// Whose environment is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    request_id: RequestId,
    began_ms: i64,
    /// When the function has finished, but not before the hold began; as far as it was told.
    finished_ms: Option<i64>,
}

impl Machine {
    pub(super) fn invoke(&mut self, request_id: RequestId, deadline: Deadline) {
        let now_ms = self.time_ms();
        self.counts.invocations += 1;
        self.pace.invocation_began(now_ms);
        self.invocations.begun(&request_id);
        self.awake_since_ms = now_ms;
        // The environment may have been frozen, too shortly to notice.
        self.queue.mark_unmeasurable();
        self.ask(Action::CloseConnections);
        self.check_place();
        let plan = self.policies.drain.on_invoke(&self.invoke_facts(), millis(self.policies.seal.age));
        self.has_new_failure = false;
        self.ask(Action::Decided(request_id.clone(), plan));
        self.hold_for(plan, request_id, deadline);
    }

    fn invoke_facts(&self) -> InvokeFacts {
        let now_ms = self.time_ms();
        let age_ms = self.oldest_ms().map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms));
        let limit = self.policies.seal.invocations.map(std::num::NonZeroU32::get);
        InvokeFacts {
            breaker_is_open: self.breaker().is_open(),
            uploads_wait: !self.is_drained(),
            seals_at_end: limit.is_some_and(|limit| self.invocations.at_end_since_seal() >= limit),
            age_at_next_ms: age_ms.saturating_add(self.pace.gap_ms()),
            failure: self.queue.urgent().filter(|_| self.has_new_failure && self.may_attempt(Place::DESTINATION)),
            starved: self.starved(),
        }
    }

    fn hold_for(&mut self, plan: InvokePlan, request_id: RequestId, deadline: Deadline) {
        let now_ms = self.time_ms();
        let finished_ms = self.invocations.is_done(&request_id).then_some(now_ms);
        let held = Held { request_id: request_id.clone(), began_ms: now_ms, finished_ms };
        let drain = &self.policies.drain;
        let at_most_until_ms = drain.wait_until_ms(self.clock.deadline_ms(deadline), now_ms);
        let mut hold = Hold {
            until_ms: at_most_until_ms,
            at_most_until_ms,
            seals: false,
            delivered: self.queue.deliveries(),
            takes_others: false,
        };
        match plan {
            InvokePlan::NextAtOnce => return self.ask(Action::CallNext),
            InvokePlan::DrainAtEnd { seal } => {
                hold.seals = seal;
                hold.until_ms = drain.wait_for_end_until_ms(at_most_until_ms, self.pace.handler_longest_ms(), now_ms);
                self.phase = Phase::AwaitingEnd(hold);
                self.awaited = Some(request_id);
            }
            InvokePlan::FinishOne { id, is_starved } => {
                hold.until_ms = drain.hold_until_ms(at_most_until_ms, now_ms);
                hold.takes_others = self.handlers_are_too_short();
                self.counts.held_for_starved_upload += u64::from(is_starved);
                if self.breaker().is_open() {
                    self.breaker_mut().was_given_sight();
                }
                self.phase = Phase::FinishingOne(id, hold);
            }
        }
        self.counts.held += 1;
        self.held = Some(held);
    }

    /// Until the function has finished it is not held up by anybody.
    pub(super) fn note_finish(&mut self, observed: &Observed) {
        let (now_ms, clock) = (self.time_ms(), self.clock);
        let Some(held) = &mut self.held else { return };
        match observed {
            Observed::RuntimeDone { request_id, at_ms, .. } if *request_id == held.request_id => {
                let at_ms = at_ms.map_or(now_ms, |at_ms| clock.past_ms(at_ms));
                held.finished_ms = Some(at_ms.max(held.began_ms));
            }
            // One that is tried again has the id of the first try.
            Observed::Start { request_id, .. } if *request_id == held.request_id => held.finished_ms = None,
            _ => {}
        }
    }

    /// Telemetry was lost, perhaps the event that is waited for: from now on the budget counts, one half for the end and the
    /// rest for uploads.
    pub(super) fn end_may_be_lost(&mut self) {
        let now_ms = self.time_ms();
        if let Phase::AwaitingEnd(hold) = &mut self.phase {
            let drain = &self.policies.drain;
            hold.at_most_until_ms = drain.hold_until_ms(hold.at_most_until_ms, now_ms);
            let half_ms = now_ms.saturating_add(millis(drain.budget / 2));
            hold.until_ms = hold.until_ms.min(half_ms).min(hold.at_most_until_ms);
        }
    }

    /// Goes on with what `next` is held for, and lets the environment go when it is over.
    pub(super) fn advance_hold(&mut self) {
        let now_ms = self.time_ms();
        if let Phase::AwaitingEnd(hold) = self.phase {
            let is_done = self.awaited.as_ref().is_none_or(|request_id| self.invocations.is_done(request_id));
            if !is_done && now_ms < hold.until_ms {
                return;
            }
            self.begin_drain(hold);
        }
        match self.phase {
            Phase::Draining(hold) if now_ms >= hold.until_ms => self.budget_is_used_up(hold),
            Phase::Draining(_) if self.is_drained() || self.breaker().is_open() => self.let_go(),
            Phase::FinishingOne(_, hold) if now_ms >= hold.until_ms => self.budget_is_used_up(hold),
            Phase::FinishingOne(id, hold) if self.has_finished(&id) => self.finished_one(hold),
            _ => {}
        }
    }

    fn finished_one(&mut self, hold: Hold) {
        match self.turn_at(Place::DESTINATION) {
            Some(id) if hold.takes_others && !self.breaker().is_open() => {
                self.phase = Phase::FinishingOne(id, hold);
                self.begin_uploads();
            }
            _ => self.let_go(),
        }
    }

    fn has_finished(&self, id: &OutgoingId) -> bool {
        let may_attempt = self.may_attempt(self.queue.place_of(id));
        let may_begin = may_attempt && self.queue.turn_of(id, self.time_ms()).is_some();
        self.queue.flight_of(id).is_none() && !may_begin
    }

    fn begin_drain(&mut self, hold: Hold) {
        let until_ms = self.policies.drain.hold_until_ms(hold.at_most_until_ms, self.time_ms());
        self.phase = Phase::Draining(Hold { until_ms, ..hold });
        if hold.seals && !self.is_sealing && self.active.records > 0 && !self.breaker().is_open() {
            self.seal(SealReason::InvocationEnd);
        }
        self.begin_uploads();
    }

    /// An upload that was given more time than uploads take, and kept everything else waiting: the store hangs.
    fn budget_is_used_up(&mut self, hold: Hold) {
        self.counts.budgets_used_up += 1;
        let patience_ms = self.pace.upload_ms();
        let hangs = self.queue.in_flight().any(|flight| self.time_ms().saturating_sub(flight.began_ms) >= patience_ms);
        if hangs && self.queue.deliveries() == hold.delivered {
            self.open_breaker();
        }
        // One that takes so long is not waited for again: its objects will be.
        self.adoptions = 0;
        self.let_go();
    }

    fn let_go(&mut self) {
        if let Some(finished_ms) = self.held.take().and_then(|held| held.finished_ms) {
            let held_ms = self.time_ms().saturating_sub(finished_ms);
            self.counts.held_ms += u64::try_from(held_ms).unwrap_or(0);
        }
        self.phase = Phase::Free;
        self.awaited = None;
        self.ask(Action::CloseConnections);
        self.ask(Action::CallNext);
    }

    pub(super) fn hold_alarm_ms(&self) -> Option<i64> {
        match self.phase {
            Phase::AwaitingEnd(hold) | Phase::Draining(hold) | Phase::FinishingOne(_, hold) => Some(hold.until_ms),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spool::{ActiveFacts, Seqno, SpoolId};

    use super::super::drain_policy::{DrainPolicy, DrainStrategy};
    use super::super::seal_policy::SealPolicy;
    use super::super::{Arrival, Event, Moment, Policies, Waiting};
    use super::*;
    use crate::upload::retry::RetryPolicy;
    use crate::upload::route::Route;

    const WALL: i64 = 1_790_000_000_000;

    fn machine() -> Machine {
        let invocations = std::num::NonZeroU32::new(1);
        let seal = SealPolicy { invocations, age: Duration::from_secs(60), size_bytes: 1 << 22 };
        let drain = DrainPolicy { strategy: DrainStrategy::End, budget: Duration::from_secs(2), memory_mb: None };
        let retry = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(1), None);
        let policies =
            Policies { seal, drain, retry: retry.expect("a schedule"), route: Route::default(), freezes: true };
        Machine::new(policies, fastrand::Rng::with_seed(1), &Moment { wall_ms: WALL, ..Moment::default() })
    }

    fn at(ms: i64) -> Moment {
        let active =
            ActiveFacts { records: 1, object_bytes: 10, first_append_ms: Some(WALL), partition_ms: Some(WALL) };
        Moment { wall_ms: WALL + ms, monotonic_ms: ms, active }
    }

    fn id() -> RequestId {
        RequestId("r1".into())
    }

    fn invoke() -> Event {
        Event::Invoke { request_id: id(), deadline: Deadline::at(WALL + 30_000) }
    }

    fn done(at_ms: Option<i64>) -> Event {
        let at_ms = at_ms.map(|ms| WALL + ms);
        Event::Observed(Observed::RuntimeDone { request_id: id(), failed: false, at_ms })
    }

    /// What an invocation adds that is told of in this order; its upload takes until 180.
    fn held_ms(told: &[(i64, Event)]) -> u64 {
        let mut machine = machine();
        let mut actions: Vec<_> = told.iter().flat_map(|(ms, event)| machine.on(event.clone(), &at(*ms))).collect();
        let segment = OutgoingId { spool: SpoolId::new(WALL, 1), first: Seqno(0) };
        if actions.contains(&Action::Seal(SealReason::InvocationEnd)) {
            let waiting = Waiting { id: segment, oldest_ms: WALL, is_urgent: false };
            let sealed = Moment { active: ActiveFacts::default(), ..at(120) };
            actions.extend(machine.on(Event::Added(waiting), &sealed));
            actions.extend(machine.on(Event::Sealed { held_records: true }, &sealed));
        }
        for action in actions.clone() {
            if let Action::StartUpload { id, place, attempt } = action {
                let ended = Event::AttemptEnded { id, place, attempt, result: Ok(Arrival::Delivered) };
                actions.extend(machine.on(ended, &Moment { active: ActiveFacts::default(), ..at(180) }));
            }
        }
        assert_eq!(actions.last(), Some(&Action::CallNext), "{actions:?}");
        assert_eq!(machine.counts().held, 1);
        machine.counts().held_ms
    }

    #[test]
    fn held_is_the_time_from_the_end_of_the_function_to_next() {
        let start = |ms| (ms, Event::Observed(Observed::Start { request_id: id(), at_ms: None }));
        for (told, expected) in [
            (vec![(0, invoke()), (120, done(Some(100)))], 80),
            (vec![(0, invoke()), (120, done(None))], 60),
            // Telemetry was faster than the event of the invocation, which is when the hold began.
            (vec![(90, done(Some(80))), (100, invoke())], 80),
            // The platform's clock is behind.
            (vec![(50, invoke()), (120, done(Some(-100)))], 130),
            // The same request once more.
            (vec![(0, done(Some(0))), start(1), (10, invoke()), (120, done(Some(110)))], 70),
        ] {
            assert_eq!(held_ms(&told), expected, "{told:?}");
        }
    }

    #[test]
    fn a_function_whose_end_is_never_told_is_not_counted_as_held_up() {
        let mut machine = machine();
        machine.on(invoke(), &at(0));
        let mut now_ms = 0;
        while machine.counts().budgets_used_up == 0 && now_ms < 60_000 {
            now_ms += machine.alarm_in().max(1);
            machine.on(Event::Time, &at(now_ms));
        }
        assert_eq!((machine.counts().held, machine.counts().held_ms), (1, 0));
        let machine =
            Machine::new(machine.policies.clone(), fastrand::Rng::with_seed(1), &at(0)).counting_from(machine.counts());
        assert_eq!(machine.counts().held, 1, "another machine goes on counting");
    }
}
