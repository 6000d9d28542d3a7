//! What waits to be delivered, and whose turn it is: pure, with the time passed in.
//!
//! The order: the last words of what failed, then the oldest. Within an outage attempts go round, so that one object that can
//! never be stored does not stand for the store; one that fails again although others were delivered in between comes last.

use std::collections::BTreeMap;

use super::event::Waiting;
use crate::upload::outgoing::OutgoingId;
use crate::upload::retry::RetryPolicy;
use crate::upload::route::{Place, Route};
use crate::upload::store::AttemptErrorKind;

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
    pub fn failed(&mut self, id: &OutgoingId, kind: AttemptErrorKind, now_ms: i64, own_wait_ms: i64) {
        let (delivered, next) = (self.delivered, self.next_place(id, kind));
        let Some(item) = self.waiting.get_mut(id) else { return };
        item.in_flight = None;
        item.failures = item.failures.saturating_add(1);
        item.failures_this_round = item.failures_this_round.saturating_add(1);
        let others_were_delivered = item.delivered_at_failure.is_some_and(|before| before < delivered);
        if others_were_delivered || kind == AttemptErrorKind::Body {
            item.strikes = item.strikes.saturating_add(1);
        }
        if kind == AttemptErrorKind::Body {
            item.not_before_ms = now_ms.saturating_add(own_wait_ms);
        }
        item.delivered_at_failure = Some(delivered);
        if let Some(next) = next.filter(|_| self.policy.is_exhausted(item.failures)) {
            item.begin_at(next);
        }
    }

    /// Where an object goes when its attempts are used up. At the end of the environment all go together.
    fn next_place(&self, id: &OutgoingId, kind: AttemptErrorKind) -> Option<Place> {
        let item = self.waiting.get(id).filter(|_| kind != AttemptErrorKind::Body && self.last_round.is_none())?;
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
mod tests;
