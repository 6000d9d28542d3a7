//! What is uploaded when, and what an ended, failed or interrupted upload means.

use super::breaker::Breaker;
use super::event::{Action, Arrival, Waiting};
use super::queue::InFlight;
use super::{Machine, Phase};
use crate::deadline::millis;
use crate::upload::outgoing::OutgoingId;
use crate::upload::route::Place;
use crate::upload::store::AttemptErrorKind;

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
    pub(super) fn attempt_ended(
        &mut self,
        id: &OutgoingId,
        place: Place,
        attempt: u64,
        result: Result<Arrival, AttemptErrorKind>,
    ) {
        let now_ms = self.time_ms();
        let is_current = |flight: &InFlight| flight.attempt == attempt;
        match result {
            Ok(Arrival::Delivered) => {
                let flight = self.queue.delivered(id, place);
                let tells_pace = |flight: &InFlight| flight.is_measurable && place == Place::DESTINATION;
                if let Some(flight) = flight.filter(is_current).filter(tells_pace) {
                    self.pace.upload_took(now_ms.saturating_sub(flight.began_ms));
                }
                self.cancel(flight.filter(|flight| !is_current(flight)));
                if let Some(breaker) = self.breakers.get_mut(place.index()) {
                    breaker.succeeded();
                }
            }
            Ok(Arrival::HandedOn) if self.queue.flight_of(id).as_ref().is_some_and(is_current) => {
                self.queue.handed_on(id);
            }
            Err(kind) if self.queue.flight_of(id).as_ref().is_some_and(is_current) => {
                self.counts.failed_attempts += 1;
                self.store_failed(place, kind);
                self.queue.failed(id, kind, now_ms, self.breaker().longest_wait_ms());
                if kind != AttemptErrorKind::Body && self.is_down(place) {
                    self.queue.failed_for_all(id, place);
                }
            }
            Ok(Arrival::HandedOn) | Err(_) => {}
        }
    }

    /// The log of the function has no schedule.
    fn store_failed(&mut self, place: Place, kind: AttemptErrorKind) {
        let now_ms = self.time_ms();
        self.stage.has_failed |= self.stage.place == place && kind != AttemptErrorKind::Body;
        if let Some(breaker) = self.breakers.get_mut(place.index()) {
            let was_open = breaker.is_open();
            breaker.failed(kind, now_ms, &mut self.rng);
            self.counts.outages += u64::from(!was_open && breaker.is_open());
        }
    }

    pub(super) fn open_breaker(&mut self) {
        self.counts.outages += u64::from(!self.breaker().is_open());
        self.breaker_mut().budget_was_used_up();
    }

    /// The process was frozen since `since_ms`: no connection is trusted any more. What ran is begun anew.
    pub(super) fn interrupt_uploads(&mut self, since_ms: i64) {
        let flights: Vec<InFlight> = self.queue.in_flight().collect();
        for flight in flights {
            self.counts.interrupted_attempts += 1;
            self.cancel(Some(flight));
            let was_given_time = since_ms.saturating_sub(flight.began_ms) >= self.pace.upload_ms();
            let breaker = self.breakers.get_mut(flight.place.index()).filter(|breaker| breaker.is_open());
            match (breaker, was_given_time) {
                // It had the time that uploads take, and no answer: that is one more failure.
                (Some(breaker), true) => {
                    self.counts.failed_attempts += 1;
                    breaker.failed(AttemptErrorKind::Retry, self.clock.time_ms(), &mut self.rng);
                    self.queue.failed(&flight.id, AttemptErrorKind::Retry, self.clock.time_ms(), 0);
                }
                (Some(breaker), false) => {
                    breaker.probe_was_blind(self.clock.time_ms(), &mut self.rng);
                    self.queue.interrupted(&flight.id);
                }
                (None, _) => self.queue.interrupted(&flight.id),
            }
        }
        self.ask(Action::CloseConnections);
    }

    pub(super) fn cancel(&mut self, flight: Option<InFlight>) {
        if let Some(InFlight { id, attempt, .. }) = flight {
            self.ask(Action::CancelUpload { id, attempt });
        }
    }

    /// Whether nothing runs, and nothing could be begun now or when a spool of an earlier life was read. Only at the end of the
    /// environment a fallback is waited for.
    pub(super) fn is_drained(&self) -> bool {
        let is_awaited = |place: Place| self.is_last_round() || place == Place::DESTINATION;
        let mut places = self.places().filter(|place| is_awaited(*place));
        let may_begin = places.any(|place| self.turn_at(place).is_some());
        let runs = self.queue.in_flight().any(|flight| is_awaited(flight.place));
        !self.is_sealing && self.adoptions == 0 && !runs && !may_begin
    }

    /// Whether the schedule of a place allows an attempt now. The end of the environment does not wait for it.
    pub(super) fn may_attempt(&self, place: Place) -> bool {
        let not_before_ms = self.breakers.get(place.index()).map_or(i64::MIN, Breaker::not_before_ms);
        self.is_last_round() || self.time_ms() >= not_before_ms
    }

    /// What may be begun now, whatever runs already: for the destination first.
    fn turn(&self) -> Option<OutgoingId> {
        self.places().find_map(|place| self.turn_at(place))
    }

    /// What may be begun now at a place.
    pub(super) fn turn_at(&self, place: Place) -> Option<OutgoingId> {
        self.queue.candidate(place, self.time_ms()).filter(|_| self.may_attempt(place))
    }

    /// Where something can be tried now.
    fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let only = self.is_last_round().then_some(self.stage.place);
        let stores = self.policies.route.stores().filter(move |_| only.is_none());
        only.into_iter().chain(stores)
    }

    fn is_last_round(&self) -> bool {
        matches!(self.phase, Phase::Settling { .. } | Phase::LastRound { .. })
    }

    /// What `next` must be held for, since no handler is long enough for it.
    pub(super) fn starved(&self) -> Option<OutgoingId> {
        let now_ms = self.time_ms();
        let here = Place::DESTINATION;
        if !self.may_attempt(here) || self.breaker().is_open() && !self.breaker().needs_sight() {
            return None;
        }
        let runs = self.queue.in_flight().next().map(|flight| flight.id);
        let turn = runs.or_else(|| self.queue.candidate(here, now_ms));
        if self.breaker().is_open() || self.handlers_are_too_short() {
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
            let InFlight { place, attempt, .. } = self.queue.begin(&id, self.time_ms());
            self.counts.attempts += 1;
            self.ask(Action::StartUpload { id, place, attempt });
        }
    }

    fn next_upload(&self) -> Option<OutgoingId> {
        let parallel = if self.is_last_round() { self.last_round_uploads() } else { 1 };
        if self.holds_back || self.queue.in_flight().count() >= parallel || self.phase == Phase::Ended {
            return None;
        }
        let has_next = self.policies.route.next(self.stage.place).is_some();
        if self.is_last_round() && has_next && self.place_is_given_up() {
            return None;
        }
        match self.phase {
            Phase::FinishingOne(id, _) => {
                let id = self.queue.turn_of(&id, self.time_ms())?;
                self.may_attempt(self.queue.place_of(&id)).then_some(id)
            }
            Phase::Free => self.turn().filter(|id| self.may_begin_in_shadow(id)),
            _ => self.turn(),
        }
    }

    /// Whether an upload may be begun although `next` is on its way and a freeze may come: probes and the words of a failure
    /// at once, anything else only if handlers are long enough for it. One that has run for so long already is.
    fn may_begin_in_shadow(&self, id: &OutgoingId) -> bool {
        let is_urgent = self.queue.urgent() == Some(*id);
        self.breaker().is_open() || is_urgent || self.time_ms() >= self.shadow_from_ms()
    }

    pub(super) fn handlers_are_too_short(&self) -> bool {
        self.pace.handler_ms() < self.pace.upload_ms()
    }

    fn shadow_from_ms(&self) -> i64 {
        if !self.policies.freezes || !self.handlers_are_too_short() {
            return i64::MIN;
        }
        self.awake_since_ms.saturating_add(self.pace.upload_ms())
    }

    pub(super) fn upload_alarm_ms(&self) -> Option<i64> {
        let now_ms = self.time_ms();
        let own_ms = self.queue.next_not_before_ms(now_ms);
        if self.queue.in_flight().next().is_some() {
            return own_ms;
        }
        let waits = |place: &Place| self.queue.candidate(*place, now_ms).is_some();
        let breakers = self.places().filter(waits).filter_map(|place| self.breakers.get(place.index()));
        let Some(soonest_ms) = breakers.map(Breaker::not_before_ms).min() else { return own_ms };
        let shadow_ms = if self.phase == Phase::Free { self.shadow_from_ms() } else { i64::MIN };
        Some(soonest_ms.max(shadow_ms))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spool::{Seqno, SpoolId};

    use super::super::drain_policy::{DrainPolicy, DrainStrategy};
    use super::super::seal_policy::SealPolicy;
    use super::super::{Event, Moment, Policies};
    use super::*;
    use crate::upload::retry::RetryPolicy;
    use crate::upload::route::Route;

    const WALL: i64 = 1_790_000_000_000;

    #[test]
    fn where_nothing_freezes_an_upload_waits_for_no_handler() {
        let begun = |freezes| {
            let seal = SealPolicy { invocations: None, age: Duration::from_secs(60), size_bytes: 1 << 22 };
            let drain =
                DrainPolicy { strategy: DrainStrategy::Adaptive, budget: Duration::from_secs(2), memory_mb: None };
            let retry = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(1), None);
            let retry = retry.expect("a schedule");
            let policies = Policies { seal, drain, retry, route: Route::new(0, false), freezes };
            let at = |ms| Moment { wall_ms: WALL + ms, monotonic_ms: ms, ..Moment::default() };
            let mut machine = Machine::new(policies, fastrand::Rng::with_seed(1), &at(0));
            let id = OutgoingId { spool: SpoolId::new(WALL, 1), first: Seqno(1) };
            let mut actions = machine.on(Event::Added(Waiting { id, oldest_ms: WALL, is_urgent: false }), &at(0));
            let mut now_ms = 0;
            while !actions.iter().any(|action| matches!(action, Action::StartUpload { .. })) {
                now_ms += machine.alarm_in();
                actions = machine.on(Event::Time, &at(now_ms));
            }
            now_ms
        };
        assert_eq!((begun(false), begun(true)), (0, 150), "time alone drives both");
    }

    #[test]
    fn in_an_outage_a_backlog_reaches_its_fallback_after_a_few_attempts_and_not_a_few_for_each_object() {
        let seal = SealPolicy { invocations: None, age: Duration::from_secs(60), size_bytes: 1 << 22 };
        let drain =
            DrainPolicy { strategy: DrainStrategy::Background, budget: Duration::from_secs(2), memory_mb: None };
        let retry = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(1), Some(3));
        let policies =
            Policies { seal, drain, retry: retry.expect("a schedule"), route: Route::new(1, false), freezes: true };
        let mut now_ms = 0;
        let at = |ms| Moment { wall_ms: WALL + ms, monotonic_ms: ms, ..Moment::default() };
        let mut machine = Machine::new(policies, fastrand::Rng::with_seed(1), &at(0));
        for first in 0..100 {
            let id = OutgoingId { spool: SpoolId::new(WALL, 1), first: Seqno(first) };
            machine.on(Event::Added(Waiting { id, oldest_ms: WALL, is_urgent: false }), &at(0));
        }
        let mut to_destination = 0;
        while machine.waiting() > 0 {
            now_ms += 1_000;
            let mut events = vec![Event::Time];
            while let Some(event) = events.pop() {
                for action in machine.on(event, &at(now_ms)) {
                    let Action::StartUpload { id, place, attempt } = action else { continue };
                    let is_destination = place == Place::DESTINATION;
                    to_destination += u32::from(is_destination);
                    let result = if is_destination { Err(AttemptErrorKind::Retry) } else { Ok(Arrival::Delivered) };
                    events.push(Event::AttemptEnded { id, place, attempt, result });
                }
            }
            assert!(to_destination <= 6, "{to_destination} attempts, {} objects wait", machine.waiting());
        }
    }
}
