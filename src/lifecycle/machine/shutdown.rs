//! From SHUTDOWN to the end: by the platform's deadline, whatever the store does.

use spool::SealReason;

use super::breaker::Breaker;
use super::event::Action;
use super::queue::InFlight;
use super::{Machine, Phase};
use crate::deadline::Deadline;
use crate::upload::route::Place;

/// Before the end of the stream is written: telemetry that the platform still holds comes within this time.
const SETTLE_MS: i64 = 150;
/// Silence that ends the wait once every invocation has been reported.
const SILENCE_MS: i64 = 25;

/// Where everything is tried now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stage {
    pub(super) place: Place,
    until_ms: i64,
    /// An attempt has failed there since.
    pub(super) has_failed: bool,
}

impl Machine {
    /// The schedule and the breaker are ignored once for everything that waits. What runs is begun anew: its connection may
    /// have died in the freeze before.
    pub(super) fn shut_down(&mut self, deadline: Deadline) {
        let now_ms = self.time_ms();
        let margin_ms = self.policies.drain.shutdown_margin_ms();
        let deadline_ms = self.clock.deadline_ms(deadline).saturating_sub(margin_ms);
        let flights: Vec<InFlight> = self.queue.in_flight().collect();
        self.queue.begin_last_round();
        for flight in flights {
            self.queue.cancelled(&flight.id);
            self.cancel(Some(flight));
        }
        self.ask(Action::CloseConnections);
        self.begin_stage(Place::DESTINATION, deadline_ms);
        let until_ms = deadline_ms.min(now_ms.saturating_add(SETTLE_MS));
        self.phase = Phase::Settling { began_ms: now_ms, until_ms, deadline_ms };
    }

    /// Nobody is left to wait for, and nobody to be harmed: what is here is closed, and left to the next life.
    pub(super) fn end_at_once(&mut self) {
        self.ask(Action::WriteEnd);
        self.ask(Action::Seal(SealReason::Shutdown));
        self.exit();
    }

    fn exit(&mut self) {
        self.phase = Phase::Ended;
        self.ask(Action::Exit);
    }

    pub(super) fn advance_shutdown(&mut self) {
        if let Phase::Settling { deadline_ms, .. } = self.phase
            && self.time_ms() >= self.settled_ms().unwrap_or(i64::MIN)
        {
            self.phase = Phase::LastRound { deadline_ms };
            self.end_stream();
        }
        if let Phase::Settling { deadline_ms, .. } | Phase::LastRound { deadline_ms } = self.phase {
            self.go_on_to_fallbacks(deadline_ms);
        }
        let Phase::LastRound { deadline_ms } = self.phase else { return };
        if self.time_ms() >= deadline_ms {
            return self.exit();
        }
        if self.late_body_ms().is_some_and(|at_ms| self.time_ms() >= at_ms) {
            self.end_stream();
        }
        self.cut_what_hangs();
        self.begin_uploads();
        if self.is_drained() && self.late_body_ms().is_none() {
            self.exit();
        }
    }

    fn begin_stage(&mut self, place: Place, deadline_ms: i64) {
        let until_ms = self.policies.route.until_ms(place, self.time_ms(), deadline_ms);
        self.stage = Stage { place, until_ms, has_failed: false };
    }

    /// A place whose time is over, that is down, or that was tried for everything, makes way for the next one.
    fn go_on_to_fallbacks(&mut self, deadline_ms: i64) {
        while let Some(next) = self.policies.route.next(self.stage.place).filter(|_| self.stage_is_over()) {
            let flights: Vec<InFlight> = self.queue.in_flight().collect();
            for flight in flights {
                self.queue.cancelled(&flight.id);
                self.cancel(Some(flight));
            }
            self.begin_stage(next, deadline_ms);
            self.queue.go_on_to(next);
            self.begin_uploads();
        }
    }

    fn stage_is_over(&self) -> bool {
        // What comes yet is tried here first.
        let is_closing = matches!(self.phase, Phase::LastRound { .. }) && self.late_body_ms().is_none();
        let was_tried = is_closing && self.queue.len() > 0 && self.is_drained();
        self.place_is_given_up() || was_tried
    }

    /// Whether nothing more is begun where everything is tried now: its time is over, or it is down.
    pub(super) fn place_is_given_up(&self) -> bool {
        let is_out_of_time = self.time_ms() >= self.stage.until_ms;
        is_out_of_time || self.stage.has_failed && self.is_down(self.stage.place)
    }

    pub(super) fn is_down(&self, place: Place) -> bool {
        self.breakers.get(place.index()).is_some_and(Breaker::is_open)
    }

    /// At most so many uploads at a time. A place that is down is asked with one, if there is another one behind it; what is
    /// written to the log of the function is written one after the other.
    pub(super) fn last_round_uploads(&self) -> usize {
        let (route, place) = (self.policies.route, self.stage.place);
        let is_probe = self.is_down(place) && route.next(place).is_some();
        if is_probe || route.is_log(place) { 1 } else { self.policies.drain.shutdown_uploads() }
    }

    fn end_stream(&mut self) {
        self.ask(Action::WriteEnd);
        self.seal(SealReason::Shutdown);
    }

    /// When the platform has handed over what it still held: every started invocation is reported, and then some silence;
    /// bounded.
    fn settled_ms(&self) -> Option<i64> {
        let Phase::Settling { began_ms, until_ms, .. } = self.phase else { return None };
        let silent_ms = self.last_body_ms.max(began_ms).saturating_add(SILENCE_MS);
        Some(if self.invocations.all_reported() { until_ms.min(silent_ms) } else { until_ms })
    }

    /// When what came after the end of the stream gets a further end.
    fn late_body_ms(&self) -> Option<i64> {
        let is_late = self.active.records > 0 && !self.is_sealing && !self.end_cannot_be_sealed;
        is_late.then(|| self.last_body_ms.saturating_add(SILENCE_MS))
    }

    /// A segment that could not be sealed is left to an adopter.
    pub(super) fn seal_failed(&mut self) {
        self.end_cannot_be_sealed |= matches!(self.phase, Phase::LastRound { .. });
    }

    /// An attempt that had half of the time and no answer is begun anew on a connection of its own, once.
    fn cut_what_hangs(&mut self) {
        let (now_ms, until_ms, upload_ms) = (self.time_ms(), self.stage.until_ms, self.pace.upload_ms());
        for flight in self.queue.begin_anew(|flight| now_ms >= hangs_from_ms(flight, until_ms, upload_ms)) {
            self.cancel(Some(flight));
        }
    }

    pub(super) fn shutdown_alarm_ms(&self) -> Option<i64> {
        let until_ms = self.stage.until_ms;
        let Phase::LastRound { deadline_ms } = self.phase else {
            return self.settled_ms().map(|settled_ms| settled_ms.min(until_ms));
        };
        let upload_ms = self.pace.upload_ms();
        let hanging = self.queue.may_be_begun_anew().map(|flight| hangs_from_ms(&flight, until_ms, upload_ms));
        let stage_ms = Some(until_ms).filter(|until_ms| *until_ms > self.time_ms());
        hanging.chain(self.late_body_ms()).chain(stage_ms).chain([deadline_ms]).min()
    }
}

/// A store that is slow, and known to be, is given more than half of the time.
fn hangs_from_ms(flight: &InFlight, until_ms: i64, upload_ms: i64) -> i64 {
    let half_ms = until_ms.saturating_sub(flight.began_ms) / 2;
    flight.began_ms.saturating_add(half_ms.max(upload_ms.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spool::{Seqno, SpoolId};

    use super::super::drain_policy::{DrainPolicy, DrainStrategy};
    use super::super::seal_policy::SealPolicy;
    use super::super::{Arrival, Event, Moment, Policies, Waiting};
    use super::*;
    use crate::upload::outgoing::OutgoingId;
    use crate::upload::retry::RetryPolicy;
    use crate::upload::route::Route;
    use crate::upload::store::AttemptErrorKind;

    const WALL: i64 = 1_790_000_000_000;
    /// What a function of so much memory has from SHUTDOWN to the last upload.
    const TIME_MS: i64 = 1_300 - 150;

    fn id(first: u64) -> OutgoingId {
        OutgoingId { spool: SpoolId::new(WALL, 1), first: Seqno(first) }
    }

    struct World {
        machine: Machine,
        now_ms: i64,
        /// When what was begun where.
        begun: Vec<(i64, u64, usize)>,
        flights: Vec<(OutgoingId, Place, u64)>,
        has_ended: bool,
    }

    impl World {
        /// So many objects wait when SHUTDOWN comes.
        fn new(route: Route, objects: u64, is_down: bool) -> Self {
            let seal = SealPolicy { invocations: None, age: Duration::from_secs(60), size_bytes: 1 << 22 };
            let (strategy, budget) = (DrainStrategy::Background, Duration::from_secs(2));
            let drain = DrainPolicy { strategy, budget, memory_mb: Some(1_024) };
            let retry = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), None);
            let policies = Policies { seal, drain, retry: retry.expect("a schedule"), route, freezes: true };
            let at = Moment { wall_ms: WALL, ..Moment::default() };
            let machine = Machine::new(policies, fastrand::Rng::with_seed(1), &at);
            let mut world = Self { machine, now_ms: 0, begun: Vec::new(), flights: Vec::new(), has_ended: false };
            if is_down {
                world.machine.open_breaker();
            }
            for first in 0..objects {
                world.on(Event::Added(Waiting { id: id(first), oldest_ms: WALL, is_urgent: false }));
            }
            world.begun.clear();
            world.flights.clear();
            world.on(Event::Shutdown { deadline: Deadline::at(WALL + 1_300) });
            world
        }

        fn on(&mut self, event: Event) {
            let ms = self.now_ms;
            let at = Moment { wall_ms: WALL + ms, monotonic_ms: ms, ..Moment::default() };
            for action in self.machine.on(event, &at) {
                match action {
                    Action::StartUpload { id, place, attempt } => {
                        self.begun.push((ms, id.first.0, place.index()));
                        self.flights.push((id, place, attempt));
                    }
                    Action::CancelUpload { attempt, .. } => self.flights.retain(|flight| flight.2 != attempt),
                    Action::Seal(_) => self.on(Event::Sealed { held_records: false }),
                    Action::Exit => self.has_ended = true,
                    _ => {}
                }
            }
        }

        fn answer(&mut self, result: Result<Arrival, AttemptErrorKind>) {
            for (id, place, attempt) in std::mem::take(&mut self.flights) {
                self.on(Event::AttemptEnded { id, place, attempt, result });
            }
        }

        /// Time passes until the machine wants to be told.
        fn wait(&mut self) {
            self.now_ms += self.machine.alarm_in().max(1);
            self.on(Event::Time);
        }

        fn places(&self) -> Vec<usize> {
            let mut places: Vec<_> = self.begun.iter().map(|(_, _, place)| *place).collect();
            places.dedup();
            places
        }
    }

    #[test]
    fn what_no_store_answers_goes_from_place_to_place_by_the_clock() {
        let mut world = World::new(Route::new(1, true), 1, false);
        while !world.has_ended {
            world.wait();
        }
        assert_eq!(world.places(), [0, 1, 2]);
        let first = |place| world.begun.iter().find(|begun| begun.2 == place).map(|begun| begun.0);
        let stores_ms = TIME_MS - 100;
        assert_eq!((first(1), first(2)), (Some(stores_ms / 2), Some(stores_ms)));
        assert_eq!(world.now_ms, TIME_MS);
    }

    #[test]
    fn a_destination_that_is_down_is_asked_once_and_then_the_fallback_is() {
        let mut world = World::new(Route::new(1, false), 8, true);
        assert_eq!(world.begun, [(0, 0, 0)], "one probe");
        world.answer(Err(AttemptErrorKind::Retry));
        assert_eq!(world.begun[1..], [(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1)]);
    }

    #[test]
    fn a_destination_that_works_keeps_everything() {
        let mut world = World::new(Route::new(1, true), 8, true);
        world.answer(Ok(Arrival::Delivered));
        while !world.has_ended {
            world.wait();
            world.answer(Ok(Arrival::Delivered));
        }
        assert_eq!((world.places(), world.machine.waiting()), (vec![0], 0));
    }

    #[test]
    fn what_one_place_refuses_is_tried_at_the_next_before_its_time_is_over() {
        let mut world = World::new(Route::new(2, true), 1, false);
        while !world.has_ended {
            while let Some((_, place, _)) = world.flights.first() {
                let is_log = place.index() == 3;
                world.answer(if is_log { Ok(Arrival::HandedOn) } else { Err(AttemptErrorKind::Configuration) });
            }
            if !world.has_ended {
                world.wait();
            }
        }
        assert_eq!(world.begun.iter().map(|begun| begun.2).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(world.now_ms < 200, "as soon as the stream has ended: {}", world.now_ms);
        assert_eq!(world.machine.waiting(), 1, "nobody confirmed it");
    }

    #[test]
    fn the_log_is_written_one_object_after_the_other() {
        let mut world = World::new(Route::new(0, true), 3, true);
        world.answer(Err(AttemptErrorKind::Retry));
        assert_eq!(world.begun[1..], [(0, 0, 1)]);
        world.answer(Ok(Arrival::Delivered));
        assert_eq!(world.begun[2..], [(0, 1, 1)]);
    }
}
