//! What is tried when: pure, with time and randomness passed in.
//!
//! * One schedule for the store, not one an object: when the store is down, one attempt at a time finds out.
//! * The object with the fewest failures is next, then the oldest: one that can never be stored keeps nobody waiting.
//! * Times are wall-clock times: a process that was frozen finds its schedule overdue when it is thawed.

use std::collections::BTreeMap;

use super::outgoing::OutgoingId;
use super::retry::RetryPolicy;
use super::store::PutErrorKind;

/// A failed attempt after which the clock went back by more than this must not make the queue wait for the old time.
const CLOCK_STEP_BACK_MS: i64 = 60 * 60 * 1000;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Attempt this object now.
    Attempt(OutgoingId),
    /// Nothing before this time, Unix milliseconds.
    WaitUntil(i64),
    /// Nothing that this life could still do.
    Idle,
}

/// What became of an object that waits, or did not wait before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This is to be delivered.
    Added(OutgoingId),
    /// This is not to be delivered any more.
    Removed(OutgoingId),
}

/// All objects that wait.
#[derive(Debug)]
pub struct Queue {
    policy: RetryPolicy,
    waiting: BTreeMap<OutgoingId, Item>,
    failures_in_a_row: u32,
    not_before_ms: Option<i64>,
    failed_at_ms: i64,
    /// Set at the end of the environment: everything gets one more attempt, whatever the schedule says.
    last_round: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Item {
    failures: u32,
    in_flight: bool,
    had_last_attempt: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            waiting: BTreeMap::new(),
            failures_in_a_row: 0,
            not_before_ms: None,
            failed_at_ms: 0,
            last_round: false,
        }
    }

    /// Takes note of what has changed.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            match change {
                Change::Added(id) => self.add(id),
                Change::Removed(id) => drop(self.waiting.remove(&id)),
            }
        }
    }

    /// Adds an object. One that waits already stays as it is.
    fn add(&mut self, id: OutgoingId) {
        self.waiting.entry(id).or_default();
    }

    /// Objects that are not delivered.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether everything is delivered.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What to do now. `parallel` attempts may run at a time.
    pub fn next(&self, parallel: usize, now_ms: i64) -> Next {
        if self.in_flight() >= parallel {
            return Next::Idle;
        }
        let candidate =
            self.waiting.iter().filter(|(_, item)| self.is_eligible(item)).min_by_key(|(_, item)| item.failures);
        let Some((id, _)) = candidate else { return Next::Idle };
        match self.blocked_until(now_ms) {
            Some(at_ms) => Next::WaitUntil(at_ms),
            None => Next::Attempt(*id),
        }
    }

    fn is_eligible(&self, item: &Item) -> bool {
        let has_attempts = !self.policy.is_exhausted(item.failures);
        !item.in_flight && if self.last_round { !item.had_last_attempt } else { has_attempts }
    }

    fn blocked_until(&self, now_ms: i64) -> Option<i64> {
        let at_ms = self.not_before_ms.filter(|_| !self.last_round)?;
        let clock_went_back = now_ms < self.failed_at_ms.saturating_sub(CLOCK_STEP_BACK_MS);
        (now_ms < at_ms && !clock_went_back).then_some(at_ms)
    }

    /// Attempts that have begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.waiting.values().filter(|item| item.in_flight).count()
    }

    /// Notes that an attempt has begun.
    pub fn begun(&mut self, id: &OutgoingId) {
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = true;
            item.had_last_attempt = self.last_round;
        }
    }

    /// Notes that an object is where it should be. The first success ends every wait.
    pub fn delivered(&mut self, id: &OutgoingId) {
        self.waiting.remove(id);
        self.failures_in_a_row = 0;
        self.not_before_ms = None;
    }

    /// Notes a failed attempt and returns the wait that follows, in milliseconds.
    pub fn failed(&mut self, id: &OutgoingId, kind: PutErrorKind, now_ms: i64, rng: &mut fastrand::Rng) -> u64 {
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = false;
            item.failures = item.failures.saturating_add(1);
        }
        if kind == PutErrorKind::Body && self.others_fared_better(id) {
            // Its own bytes, not the store: those need not wait.
            return 0;
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let wait_ms = match kind {
            PutErrorKind::Retry | PutErrorKind::Credentials | PutErrorKind::Body => {
                self.policy.wait_ms(self.failures_in_a_row, rng)
            }
            PutErrorKind::Configuration | PutErrorKind::WrongRegion => self.policy.slow_probe_ms(),
        };
        self.failed_at_ms = now_ms;
        self.not_before_ms = Some(now_ms.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX)));
        wait_ms
    }

    /// Whether there is something to attempt that has failed less often.
    fn others_fared_better(&self, id: &OutgoingId) -> bool {
        let failures = self.waiting.get(id).map_or(0, |item| item.failures);
        self.waiting.values().any(|other| other.failures < failures && self.is_eligible(other))
    }

    /// Notes an attempt that was cancelled: it counts for nothing.
    pub fn cancelled(&mut self, id: &OutgoingId) {
        if let Some(item) = self.waiting.get_mut(id) {
            item.in_flight = false;
            item.had_last_attempt = false;
        }
    }

    /// The environment is about to end: everything gets one more attempt, whatever the schedule says.
    pub fn begin_last_round(&mut self) {
        self.last_round = true;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use spool::{Seqno, SpoolId};

    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn id(first: u64) -> OutgoingId {
        OutgoingId { spool: SpoolId::new(NOW, 1), first: Seqno(first) }
    }

    fn queue(attempts: Option<u32>, ids: &[u64]) -> Queue {
        let policy = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), attempts);
        let mut queue = Queue::new(policy.expect("a schedule"));
        ids.iter().for_each(|first| queue.add(id(*first)));
        queue
    }

    fn fail(queue: &mut Queue, first: u64, kind: PutErrorKind, now_ms: i64) -> u64 {
        queue.begun(&id(first));
        queue.failed(&id(first), kind, now_ms, &mut fastrand::Rng::with_seed(3))
    }

    #[test]
    fn the_oldest_object_is_first() {
        let mut queue = queue(None, &[5, 3]);
        assert_eq!(queue.next(1, NOW), Next::Attempt(id(3)));
        queue.begun(&id(3));
        assert_eq!(queue.next(1, NOW), Next::Idle, "one at a time");
        assert_eq!(queue.next(2, NOW), Next::Attempt(id(5)));
        queue.delivered(&id(3));
        assert_eq!(queue.next(1, NOW), Next::Attempt(id(5)));
        queue.delivered(&id(5));
        assert_eq!((queue.next(1, NOW), queue.is_empty()), (Next::Idle, true));
    }

    #[test]
    fn after_a_failure_nothing_is_tried_before_the_schedule_says_so() {
        let mut queue = queue(None, &[1, 2]);
        let wait_ms = i64::try_from(fail(&mut queue, 1, PutErrorKind::Retry, NOW)).expect("small");
        assert!((1..=100).contains(&wait_ms));
        assert_eq!(queue.next(1, NOW + wait_ms - 1), Next::WaitUntil(NOW + wait_ms));
        assert_eq!(queue.next(1, NOW + wait_ms), Next::Attempt(id(2)), "the other one has failed less often");
    }

    #[test]
    fn a_success_ends_the_wait() {
        let mut queue = queue(None, &[1, 2]);
        queue.begun(&id(2));
        fail(&mut queue, 1, PutErrorKind::Retry, NOW);
        queue.delivered(&id(2));
        assert_eq!(queue.next(1, NOW), Next::Attempt(id(1)));
    }

    #[test]
    fn a_configuration_error_waits_as_long_as_it_gets() {
        let mut queue = queue(None, &[1]);
        assert_eq!(fail(&mut queue, 1, PutErrorKind::Configuration, NOW), 20_000);
    }

    #[test]
    fn an_object_that_cannot_be_read_keeps_nobody_waiting() {
        let mut queue = queue(None, &[1, 2]);
        assert_eq!(fail(&mut queue, 1, PutErrorKind::Body, NOW), 0);
        assert_eq!(queue.next(1, NOW), Next::Attempt(id(2)));
    }

    #[test]
    fn an_object_whose_bytes_are_refused_again_and_again_is_not_tried_without_a_pause() {
        let mut queue = queue(None, &[1]);
        let wait_ms = i64::try_from(fail(&mut queue, 1, PutErrorKind::Body, NOW)).expect("small");
        assert_eq!(queue.next(1, NOW), Next::WaitUntil(NOW + wait_ms));
    }

    #[test]
    fn attempts_may_be_bounded_and_the_last_round_gives_one_more() {
        let mut queue = queue(Some(2), &[1]);
        fail(&mut queue, 1, PutErrorKind::Retry, NOW);
        fail(&mut queue, 1, PutErrorKind::Retry, NOW);
        assert_eq!(queue.next(1, NOW + 100_000), Next::Idle);
        queue.begin_last_round();
        assert_eq!(queue.next(1, NOW), Next::Attempt(id(1)));
        fail(&mut queue, 1, PutErrorKind::Retry, NOW);
        assert_eq!(queue.next(1, NOW + 100_000), Next::Idle);
        assert_eq!(queue.len(), 1, "it waits for the next life");
    }

    #[test]
    fn the_last_round_ignores_the_schedule_once_for_each_object() {
        let mut queue = queue(None, &[1, 2]);
        fail(&mut queue, 1, PutErrorKind::Retry, NOW);
        queue.begun(&id(2));
        queue.begin_last_round();
        queue.cancelled(&id(2));
        assert_eq!(queue.next(4, NOW), Next::Attempt(id(2)));
        queue.begun(&id(2));
        assert_eq!(queue.next(4, NOW), Next::Attempt(id(1)));
        fail(&mut queue, 1, PutErrorKind::Retry, NOW);
        fail(&mut queue, 2, PutErrorKind::Retry, NOW);
        assert_eq!(queue.next(4, NOW), Next::Idle);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_stop_the_queue() {
        let mut queue = queue(None, &[1]);
        fail(&mut queue, 1, PutErrorKind::Configuration, NOW);
        assert_eq!(queue.next(1, NOW - 2 * CLOCK_STEP_BACK_MS), Next::Attempt(id(1)));
    }
}
