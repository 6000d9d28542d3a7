//! What is uploaded when, and what an ended, failed or interrupted upload means.

use super::event::{Action, Waiting};
use super::queue::InFlight;
use super::{Machine, Phase};
use crate::deadline::millis;
use crate::upload::outgoing::OutgoingId;
use crate::upload::store::PutErrorKind;

impl Machine {
    pub(super) fn added(&mut self, waiting: &Waiting) {
        self.has_new_failure |= waiting.is_urgent;
        self.queue.add(waiting, self.clock.past_ms(waiting.oldest_ms));
    }

    pub(super) fn removed(&mut self, id: &OutgoingId) {
        let flight = self.queue.remove(id);
        self.cancel(flight);
    }

    /// A success counts whichever attempt it belongs to; a failure only if its attempt was not cancelled meanwhile.
    pub(super) fn attempt_ended(&mut self, id: &OutgoingId, attempt: u64, result: Result<(), PutErrorKind>) {
        let now_ms = self.time_ms();
        let is_current = |flight: &InFlight| flight.attempt == attempt;
        match result {
            Ok(()) => {
                let flight = self.queue.delivered(id);
                if let Some(flight) = flight.filter(is_current).filter(|flight| flight.is_measurable) {
                    self.pace.upload_took(now_ms.saturating_sub(flight.began_ms));
                }
                self.cancel(flight.filter(|flight| !is_current(flight)));
                self.breaker.succeeded();
            }
            Err(kind) if self.queue.flight_of(id).as_ref().is_some_and(is_current) => {
                self.counts.failed_attempts += 1;
                let was_open = self.breaker.is_open();
                self.breaker.failed(kind, now_ms, &mut self.rng);
                self.counts.outages += u64::from(!was_open && self.breaker.is_open());
                self.queue.failed(id, kind, now_ms, self.breaker.longest_wait_ms());
            }
            Err(_) => {}
        }
    }

    pub(super) fn open_breaker(&mut self) {
        self.counts.outages += u64::from(!self.breaker.is_open());
        self.breaker.budget_was_used_up();
    }

    /// The process was frozen since `since_ms`: no connection is trusted any more. What ran is begun anew.
    pub(super) fn interrupt_uploads(&mut self, since_ms: i64) {
        let flights: Vec<InFlight> = self.queue.in_flight().collect();
        for flight in flights {
            self.counts.interrupted_attempts += 1;
            self.cancel(Some(flight));
            let was_given_time = since_ms.saturating_sub(flight.began_ms) >= self.pace.upload_ms();
            match (self.breaker.is_open(), was_given_time) {
                // It had the time that uploads take, and no answer: that is one more failure.
                (true, true) => {
                    self.counts.failed_attempts += 1;
                    self.breaker.failed(PutErrorKind::Retry, self.clock.time_ms(), &mut self.rng);
                    self.queue.failed(&flight.id, PutErrorKind::Retry, self.clock.time_ms(), 0);
                }
                (true, false) => {
                    self.breaker.probe_was_blind(self.clock.time_ms(), &mut self.rng);
                    self.queue.interrupted(&flight.id);
                }
                (false, _) => self.queue.interrupted(&flight.id),
            }
        }
        self.ask(Action::CloseConnections);
    }

    pub(super) fn cancel(&mut self, flight: Option<InFlight>) {
        if let Some(InFlight { id, attempt, .. }) = flight {
            self.ask(Action::CancelUpload { id, attempt });
        }
    }

    /// Whether nothing runs, and nothing could be begun now or when a spool of an earlier life was read.
    pub(super) fn is_drained(&self) -> bool {
        let may_begin = self.may_attempt() && self.queue.candidate(self.time_ms()).is_some();
        !self.is_sealing && self.adoptions == 0 && self.queue.in_flight().next().is_none() && !may_begin
    }

    /// Whether the schedule allows an attempt now. The end of the environment does not wait for it.
    pub(super) fn may_attempt(&self) -> bool {
        self.is_last_round() || self.time_ms() >= self.breaker.not_before_ms()
    }

    fn is_last_round(&self) -> bool {
        matches!(self.phase, Phase::Settling { .. } | Phase::LastRound { .. })
    }

    /// What `next` must be held for, since no handler is long enough for it.
    pub(super) fn starved(&self) -> Option<OutgoingId> {
        let now_ms = self.time_ms();
        if !self.may_attempt() || self.breaker.is_open() && !self.breaker.needs_sight() {
            return None;
        }
        let runs = self.queue.in_flight().next().map(|flight| flight.id);
        let turn = runs.or_else(|| self.queue.candidate(now_ms));
        if self.breaker.is_open() || self.handlers_are_too_short() {
            return turn;
        }
        let overdue_ms = now_ms.saturating_sub(millis(self.policies.seal.age).saturating_mul(2));
        let starved = self.queue.starved(overdue_ms);
        // One runs at a time.
        starved.filter(|id| runs.is_none_or(|runs| runs == *id))
    }

    /// Begins what may be begun now.
    pub(super) fn begin_uploads(&mut self) {
        while let Some(id) = self.next_upload() {
            let attempt = self.queue.begin(&id, self.time_ms());
            self.counts.attempts += 1;
            self.ask(Action::StartUpload { id, attempt });
        }
    }

    fn next_upload(&self) -> Option<OutgoingId> {
        let now_ms = self.time_ms();
        let running = self.queue.in_flight().count();
        let parallel = if self.is_last_round() { self.policies.drain.shutdown_uploads() } else { 1 };
        if running >= parallel || self.phase == Phase::Ended || !self.may_attempt() {
            return None;
        }
        match self.phase {
            Phase::FinishingOne(id, _) => self.queue.turn_of(&id, now_ms),
            Phase::Free => self.queue.candidate(now_ms).filter(|id| self.may_begin_in_shadow(id)),
            _ => self.queue.candidate(now_ms),
        }
    }

    /// Whether an upload may be begun although `next` is on its way and a freeze may come: probes and the words of a failure
    /// at once, anything else only if handlers are long enough for it. One that has run for so long already is.
    fn may_begin_in_shadow(&self, id: &OutgoingId) -> bool {
        let is_urgent = self.queue.urgent() == Some(*id);
        self.breaker.is_open() || is_urgent || self.time_ms() >= self.shadow_from_ms()
    }

    pub(super) fn handlers_are_too_short(&self) -> bool {
        self.pace.handler_ms() < self.pace.upload_ms()
    }

    fn shadow_from_ms(&self) -> i64 {
        if !self.handlers_are_too_short() {
            return i64::MIN;
        }
        self.awake_since_ms.saturating_add(self.pace.upload_ms())
    }

    pub(super) fn upload_alarm_ms(&self) -> Option<i64> {
        let now_ms = self.time_ms();
        let own_ms = self.queue.next_not_before_ms(now_ms);
        if self.queue.candidate(now_ms).is_none() || self.queue.in_flight().next().is_some() {
            return own_ms;
        }
        let shadow_ms = if self.phase == Phase::Free { self.shadow_from_ms() } else { i64::MIN };
        Some(self.breaker.not_before_ms().max(shadow_ms))
    }
}
