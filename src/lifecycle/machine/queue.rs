//! What waits to be delivered, and whose turn it is: pure, with the time passed in.
//!
//! The order: the last words of what failed, then the oldest. Within an outage attempts go round, so that one object that can
//! never be stored does not stand for the store; one that fails again although others were delivered in between comes last.

use std::collections::BTreeMap;

use super::event::Waiting;
use crate::upload::outgoing::OutgoingId;
use crate::upload::retry::RetryPolicy;
use crate::upload::route::{Place, Route};
use crate::upload::store::PutErrorKind;

/// Freezes after which an upload is given its time.
const INTERRUPTIONS_MAX: u32 = 2;

/// All objects that wait.
#[derive(Debug)]
pub struct Queue {
    policy: RetryPolicy,
    route: Route,
    waiting: BTreeMap<OutgoingId, Item>,
    attempts: u64,
    /// Deliveries of this life to the destination.
    delivered: u64,
    /// Set at the end of the environment, to where everything is tried now: each object gets one more attempt at each place,
    /// whatever the schedule says.
    last_round: Option<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    since_ms: i64,
    is_urgent: bool,
    in_flight: Option<InFlight>,
    /// Where it is tried.
    place: Place,
    /// Failures there.
    failures: u32,
    /// Failures since anything was delivered.
    failures_this_round: u32,
    /// Failures although others were delivered since the one before.
    strikes: u32,
    delivered_at_failure: Option<u64>,
    interruptions: u32,
    not_before_ms: i64,
    /// Where it was tried last in the last round.
    last_attempt: Option<Place>,
    was_begun_anew: bool,
}

impl Item {
    /// The attempts of another place are not those of this one.
    fn begin_at(&mut self, place: Place) {
        self.place = place;
        (self.failures, self.failures_this_round, self.strikes) = (0, 0, 0);
        self.delivered_at_failure = None;
    }
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InFlight {
    /// The object.
    pub id: OutgoingId,
    /// Where it goes.
    pub place: Place,
    /// Tells attempts apart.
    pub attempt: u64,
    /// When it began.
    pub began_ms: i64,
    /// Whether its duration tells how fast the store is: it ran without an interruption.
    pub is_measurable: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(policy: RetryPolicy, route: Route) -> Self {
        Self { policy, route, waiting: BTreeMap::new(), attempts: 0, delivered: 0, last_round: None }
    }

    /// Adds an object whose oldest record is from `since_ms`. One that waits already stays as it is.
    pub fn add(&mut self, waiting: &Waiting, since_ms: i64) {
        self.waiting.entry(waiting.id).or_insert(Item {
            since_ms,
            is_urgent: waiting.is_urgent,
            in_flight: None,
            place: Place::DESTINATION,
            failures: 0,
            failures_this_round: 0,
            strikes: 0,
            delivered_at_failure: None,
            interruptions: 0,
            not_before_ms: i64::MIN,
            last_attempt: None,
            was_begun_anew: false,
        });
    }

    /// Forgets an object, and returns the attempt that runs for it.
    pub fn remove(&mut self, id: &OutgoingId) -> Option<InFlight> {
        self.waiting.remove(id).and_then(|item| item.in_flight)
    }

    /// Objects that were delivered to the destination in this life.
    pub fn deliveries(&self) -> u64 {
        self.delivered
    }

    /// Objects that are not delivered.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whose turn it is at a place, whatever runs already.
    pub fn candidate(&self, place: Place, now_ms: i64) -> Option<OutgoingId> {
        let here = self.eligible().filter(|(_, item)| self.place(item) == place);
        here.filter(|(_, item)| item.not_before_ms <= now_ms).min_by_key(turn).map(|(id, _)| *id)
    }

    /// Where an object is tried next.
    pub fn place_of(&self, id: &OutgoingId) -> Place {
        self.waiting.get(id).map_or(Place::DESTINATION, |item| self.place(item))
    }

    fn place(&self, item: &Item) -> Place {
        self.last_round.unwrap_or(item.place)
    }

    /// The same object, if it may be tried now.
    pub fn turn_of(&self, id: &OutgoingId, now_ms: i64) -> Option<OutgoingId> {
        self.eligible().find(|(other, item)| *other == id && item.not_before_ms <= now_ms).map(|(id, _)| *id)
    }

    /// When an object that keeps itself waiting may be tried again.
    pub fn next_not_before_ms(&self, now_ms: i64) -> Option<i64> {
        self.eligible().map(|(_, item)| item.not_before_ms).filter(|at_ms| *at_ms > now_ms).min()
    }

    fn eligible(&self) -> impl Iterator<Item = (&OutgoingId, &Item)> {
        self.waiting.iter().filter(|(_, item)| item.in_flight.is_none() && self.has_attempts(item))
    }

    fn has_attempts(&self, item: &Item) -> bool {
        match self.last_round {
            Some(place) => item.last_attempt < Some(place),
            None => !self.policy.is_exhausted(item.failures),
        }
    }

    /// What keeps somebody waiting: an object that can never be stored, or not in this life, does not, nor does one that a
    /// fallback is to take.
    fn awaited(&self) -> impl Iterator<Item = (&OutgoingId, &Item)> {
        let is_for_destination = |item: &Item| item.place == Place::DESTINATION || self.last_round.is_some();
        let is_awaited = move |item: &Item| is_for_destination(item) && item.strikes == 0 && self.has_attempts(item);
        self.waiting.iter().filter(move |(_, item)| is_awaited(item))
    }

    /// The age of the oldest record that waits.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.awaited().map(|(_, item)| item.since_ms).min()
    }

    /// Whether last words of something that failed wait.
    pub fn urgent(&self) -> Option<OutgoingId> {
        self.awaited().filter(|(_, item)| item.is_urgent).min_by_key(turn).map(|(id, _)| *id)
    }

    /// One that freezes have interrupted too often, or that waits since before `overdue_ms`.
    pub fn starved(&self, overdue_ms: i64) -> Option<OutgoingId> {
        let is_starved = |item: &Item| item.interruptions >= INTERRUPTIONS_MAX || item.since_ms < overdue_ms;
        self.awaited().filter(|(_, item)| is_starved(item)).min_by_key(turn).map(|(id, _)| *id)
    }

    /// Attempts that run.
    pub fn in_flight(&self) -> impl Iterator<Item = InFlight> + '_ {
        self.waiting.values().filter_map(|item| item.in_flight)
    }

    /// The attempt that runs for an object.
    pub fn flight_of(&self, id: &OutgoingId) -> Option<InFlight> {
        self.waiting.get(id).and_then(|item| item.in_flight)
    }

    /// Notes that an attempt begins, and returns it.
    pub fn begin(&mut self, id: &OutgoingId, now_ms: i64) -> InFlight {
        self.attempts += 1;
        let place = self.place_of(id);
        let flight = InFlight { id: *id, place, attempt: self.attempts, began_ms: now_ms, is_measurable: true };
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = Some(flight);
            item.last_attempt = self.last_round;
        }
        flight
    }

    /// An environment may have been frozen: what runs now tells nothing about the speed of the store.
    pub fn mark_unmeasurable(&mut self) {
        for flight in self.waiting.values_mut().filter_map(|item| item.in_flight.as_mut()) {
            flight.is_measurable = false;
        }
    }

    /// Notes that an object is where it should be, or at a fallback, and returns the attempt that runs for it.
    pub fn delivered(&mut self, id: &OutgoingId, place: Place) -> Option<InFlight> {
        let item = self.waiting.remove(id)?;
        if place == Place::DESTINATION {
            self.delivered += 1;
            self.waiting.values_mut().for_each(|item| item.failures_this_round = 0);
        }
        item.in_flight
    }

    /// Notes that an object was written to a place that nobody trusts: it goes on waiting.
    pub fn handed_on(&mut self, id: &OutgoingId) {
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = None;
        }
    }

    /// Notes that an attempt has failed. An object whose own bytes are at fault waits for `own_wait_ms`.
    pub fn failed(&mut self, id: &OutgoingId, kind: PutErrorKind, now_ms: i64, own_wait_ms: i64) {
        let (delivered, next) = (self.delivered, self.next_place(id, kind));
        let Some(item) = self.waiting.get_mut(id) else { return };
        item.in_flight = None;
        item.failures = item.failures.saturating_add(1);
        item.failures_this_round = item.failures_this_round.saturating_add(1);
        let others_were_delivered = item.delivered_at_failure.is_some_and(|before| before < delivered);
        if others_were_delivered || kind == PutErrorKind::Body {
            item.strikes = item.strikes.saturating_add(1);
        }
        if kind == PutErrorKind::Body {
            item.not_before_ms = now_ms.saturating_add(own_wait_ms);
        }
        item.delivered_at_failure = Some(delivered);
        if let Some(next) = next.filter(|_| self.policy.is_exhausted(item.failures)) {
            item.begin_at(next);
        }
    }

    /// Where an object goes when its attempts are used up. At the end of the environment all go together.
    fn next_place(&self, id: &OutgoingId, kind: PutErrorKind) -> Option<Place> {
        let item = self.waiting.get(id).filter(|_| kind != PutErrorKind::Body && self.last_round.is_none())?;
        self.route.next_store(item.place)
    }

    /// Notes that a store which is down has failed an attempt for `id`: it would have failed whatever else waits for it, too, so
    /// that is one attempt less before the fallback's turn.
    pub fn failed_for_all(&mut self, id: &OutgoingId, place: Place) {
        let Some(next) = self.route.next_store(place).filter(|_| self.last_round.is_none()) else { return };
        for (other, item) in &mut self.waiting {
            if other != id && item.place == place && item.in_flight.is_none() {
                item.failures = item.failures.saturating_add(1);
                if self.policy.is_exhausted(item.failures) {
                    item.begin_at(next);
                }
            }
        }
    }

    /// Notes that a freeze interrupted an attempt.
    pub fn interrupted(&mut self, id: &OutgoingId) {
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = None;
            item.interruptions = item.interruptions.saturating_add(1);
        }
    }

    /// Notes that an attempt was cancelled: it counts for nothing.
    pub fn cancelled(&mut self, id: &OutgoingId) {
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = None;
            item.last_attempt = None;
        }
    }

    /// Attempts of the last round that have run without an answer for so long, and were not begun anew before.
    pub fn begin_anew(&mut self, is_hanging: impl Fn(&InFlight) -> bool) -> Vec<InFlight> {
        let hanging = |item: &&mut Item| !item.was_begun_anew && item.in_flight.as_ref().is_some_and(&is_hanging);
        let cut = self.waiting.values_mut().filter(hanging).filter_map(|item| {
            item.was_begun_anew = true;
            item.last_attempt = None;
            item.in_flight.take()
        });
        cut.collect()
    }

    /// Attempts that were begun anew already, or may still be.
    pub fn may_be_begun_anew(&self) -> impl Iterator<Item = InFlight> + '_ {
        self.waiting.values().filter(|item| !item.was_begun_anew).filter_map(|item| item.in_flight)
    }

    /// The environment is about to end: everything gets one more attempt, whatever the schedule says, and in the order of a
    /// first one.
    pub fn begin_last_round(&mut self) {
        self.last_round = Some(Place::DESTINATION);
        for item in self.waiting.values_mut() {
            item.not_before_ms = i64::MIN;
            item.failures_this_round = 0;
        }
    }

    /// From here on everything that waits is tried there.
    pub fn go_on_to(&mut self, place: Place) {
        self.last_round = Some(place);
        for item in self.waiting.values_mut() {
            item.failures_this_round = 0;
            item.was_begun_anew = false;
        }
    }
}

/// Lower comes first.
fn turn((id, item): &(&OutgoingId, &Item)) -> (u32, u32, bool, OutgoingId) {
    (item.strikes, item.failures_this_round, !item.is_urgent, **id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spool::{Seqno, SpoolId};

    use super::*;

    const NOW: i64 = 1_790_000_000_000;
    const OWN_WAIT_MS: i64 = 20_000;
    const HERE: Place = Place::DESTINATION;

    fn id(first: u64) -> OutgoingId {
        OutgoingId { spool: SpoolId::new(NOW, 1), first: Seqno(first) }
    }

    fn add(queue: &mut Queue, first: u64, is_urgent: bool) {
        queue.add(&Waiting { id: id(first), oldest_ms: 0, is_urgent }, NOW);
    }

    fn queue(attempts: Option<u32>, ids: &[u64]) -> Queue {
        let policy = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), attempts);
        let mut queue = Queue::new(policy.expect("a schedule"), Route::new(1, false));
        ids.iter().for_each(|first| add(&mut queue, *first, false));
        queue
    }

    fn fail(queue: &mut Queue, first: u64, kind: PutErrorKind) {
        queue.begin(&id(first), NOW);
        queue.failed(&id(first), kind, NOW, OWN_WAIT_MS);
    }

    fn deliver(queue: &mut Queue, first: u64) {
        queue.begin(&id(first), NOW);
        queue.delivered(&id(first), HERE);
    }

    #[test]
    fn the_last_words_of_what_failed_are_first_then_the_oldest() {
        let mut queue = queue(None, &[5, 3]);
        add(&mut queue, 9, true);
        for first in [9, 3, 5] {
            assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
            deliver(&mut queue, first);
        }
        assert_eq!((queue.candidate(HERE, NOW), queue.len()), (None, 0));
    }

    #[test]
    fn what_runs_is_nobodys_turn() {
        let mut queue = queue(None, &[1, 2]);
        let attempt = queue.begin(&id(1), NOW).attempt;
        assert_eq!(queue.candidate(HERE, NOW), Some(id(2)));
        assert_eq!(queue.flight_of(&id(1)).map(|flight| flight.attempt), Some(attempt));
        assert_eq!(queue.in_flight().count(), 1);
    }

    #[test]
    fn in_an_outage_attempts_go_round_and_afterwards_the_order_is_the_old_one() {
        let mut queue = queue(None, &[1, 2, 3]);
        add(&mut queue, 7, true);
        for first in [7, 1, 2, 3, 7] {
            assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
            fail(&mut queue, first, PutErrorKind::Retry);
        }
        deliver(&mut queue, 1);
        for first in [7, 2, 3] {
            assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
            deliver(&mut queue, first);
        }
    }

    #[test]
    fn one_that_fails_while_others_are_delivered_comes_last_and_keeps_nobody_waiting() {
        let mut queue = queue(None, &[1, 2, 3, 4]);
        fail(&mut queue, 1, PutErrorKind::Retry);
        deliver(&mut queue, 2);
        assert_eq!(queue.candidate(HERE, NOW), Some(id(1)));
        fail(&mut queue, 1, PutErrorKind::Retry);
        deliver(&mut queue, 3);
        assert_eq!(queue.candidate(HERE, NOW), Some(id(4)));
        deliver(&mut queue, 4);
        assert_eq!((queue.candidate(HERE, NOW), queue.oldest_ms(), queue.starved(i64::MAX)), (Some(id(1)), None, None));
    }

    #[test]
    fn an_object_that_cannot_be_read_waits_by_itself() {
        let mut queue = queue(None, &[1, 2]);
        fail(&mut queue, 1, PutErrorKind::Body);
        assert_eq!(queue.candidate(HERE, NOW), Some(id(2)));
        deliver(&mut queue, 2);
        assert_eq!((queue.candidate(HERE, NOW), queue.next_not_before_ms(NOW)), (None, Some(NOW + OWN_WAIT_MS)));
        assert_eq!(queue.candidate(HERE, NOW + OWN_WAIT_MS), Some(id(1)));
    }

    #[test]
    fn attempts_may_be_bounded_then_the_fallbacks_turn_has_come_and_then_the_next_lifes() {
        let mut queue = queue(Some(2), &[1, 2]);
        let fallback = Route::new(1, false).next(HERE).expect("a fallback");
        fail(&mut queue, 1, PutErrorKind::Retry);
        assert_eq!(queue.candidate(fallback, NOW), None);
        fail(&mut queue, 1, PutErrorKind::Retry);
        assert_eq!((queue.candidate(HERE, NOW), queue.candidate(fallback, NOW)), (Some(id(2)), Some(id(1))));
        assert_eq!((queue.place_of(&id(1)), queue.starved(i64::MAX)), (fallback, Some(id(2))), "nobody is held for it");
        deliver(&mut queue, 2);
        fail(&mut queue, 1, PutErrorKind::Retry);
        fail(&mut queue, 1, PutErrorKind::Retry);
        assert_eq!((queue.candidate(fallback, NOW), queue.oldest_ms(), queue.len()), (None, None, 1));
    }

    #[test]
    fn what_a_store_that_is_down_fails_counts_for_all_that_wait_for_it() {
        let mut queue = queue(Some(3), &[1, 2, 3]);
        let fallback = Route::new(1, false).next(HERE).expect("a fallback");
        queue.begin(&id(3), NOW);
        for _ in 0..3 {
            fail(&mut queue, 1, PutErrorKind::Retry);
            queue.failed_for_all(&id(1), HERE);
        }
        assert_eq!([1, 2, 3].map(|first| queue.place_of(&id(first))), [fallback, fallback, HERE], "3 may still arrive");
        // There is no place behind the last one: what waits there is given each of its attempts.
        for _ in 0..3 {
            queue.failed_for_all(&id(1), fallback);
        }
        assert_eq!(queue.candidate(fallback, NOW), Some(id(1)));
        fail(&mut queue, 1, PutErrorKind::Retry);
        assert_eq!(queue.candidate(fallback, NOW), Some(id(2)));
    }

    #[test]
    fn in_the_last_round_everything_gets_one_more_attempt_at_each_place() {
        let mut queue = queue(Some(1), &[1]);
        let fallback = Route::new(1, false).next(HERE).expect("a fallback");
        fail(&mut queue, 1, PutErrorKind::Retry);
        fail(&mut queue, 1, PutErrorKind::Retry);
        queue.begin_last_round();
        for place in [HERE, fallback] {
            queue.go_on_to(place);
            assert_eq!(queue.candidate(place, NOW), Some(id(1)));
            assert_eq!(queue.begin(&id(1), NOW).place, place);
            queue.failed(&id(1), PutErrorKind::Retry, NOW, OWN_WAIT_MS);
            assert_eq!((queue.candidate(place, NOW), queue.len()), (None, 1));
        }
    }

    #[test]
    fn what_was_written_to_a_place_that_nobody_trusts_goes_on_waiting() {
        let mut queue = queue(None, &[1]);
        let log = Route::new(0, true).next(HERE).expect("a log");
        queue.begin_last_round();
        queue.go_on_to(log);
        queue.begin(&id(1), NOW);
        queue.handed_on(&id(1));
        assert_eq!((queue.candidate(log, NOW), queue.in_flight().count(), queue.len()), (None, 0, 1));
    }

    #[test]
    fn what_a_fallback_takes_says_nothing_about_the_destination() {
        let mut queue = queue(Some(2), &[1, 2]);
        let fallback = Route::new(1, false).next(HERE).expect("a fallback");
        for _ in 0..2 {
            fail(&mut queue, 1, PutErrorKind::Retry);
        }
        fail(&mut queue, 2, PutErrorKind::Retry);
        queue.begin(&id(1), NOW);
        queue.delivered(&id(1), fallback);
        assert_eq!((queue.deliveries(), queue.len()), (0, 1));
    }

    #[test]
    fn the_last_round_begins_with_what_has_failed_however_often_its_upload_did() {
        let mut queue = queue(None, &[1, 2]);
        add(&mut queue, 7, true);
        for first in [7, 1] {
            fail(&mut queue, first, PutErrorKind::Retry);
        }
        queue.begin_last_round();
        for first in [7, 1, 2] {
            assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
            queue.begin(&id(first), NOW);
        }
    }

    #[test]
    fn one_that_freezes_interrupt_twice_or_that_is_overdue_is_starved() {
        let mut queue = queue(None, &[1, 2]);
        assert_eq!(queue.starved(NOW), None);
        assert_eq!(queue.starved(NOW + 1), Some(id(1)));
        for expected in [None, Some(id(2))] {
            queue.begin(&id(2), NOW);
            queue.interrupted(&id(2));
            assert_eq!(queue.starved(NOW), expected);
        }
    }

    #[test]
    fn a_hanging_attempt_is_begun_anew_once() {
        let mut queue = queue(None, &[1, 2]);
        queue.begin_last_round();
        queue.begin(&id(1), NOW);
        queue.begin(&id(2), NOW + 10);
        let cut = queue.begin_anew(|flight| flight.began_ms <= NOW);
        assert_eq!(cut.iter().map(|flight| flight.id).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(queue.candidate(HERE, NOW), Some(id(1)));
        queue.begin(&id(1), NOW);
        assert_eq!(queue.begin_anew(|flight| flight.began_ms <= NOW), []);
    }
}
