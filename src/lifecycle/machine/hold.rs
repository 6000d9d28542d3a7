//! From INVOKE to `next`: what an environment is held for, and until when.

use spool::SealReason;

use super::drain_policy::{InvokeFacts, InvokePlan};
use super::event::Action;
use super::{Machine, Phase};
use crate::deadline::{Deadline, millis};
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
