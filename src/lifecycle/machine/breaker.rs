//! How the store fares, and when it is asked again: pure, with time and randomness passed in.
//!
//! * One schedule for the store, not one an object: when the store is down, one attempt at a time finds out.
//! * Times are those of a clock that counts freezes: a process that was frozen finds its schedule overdue when it is thawed.
//! * While the breaker is open nobody is held for an upload: the data is safe on disk.

use crate::upload::retry::RetryPolicy;
use crate::upload::store::AttemptErrorKind;

/// Failures in a row that open the breaker.
const OPENS_AFTER: u32 = 3;
/// Probes that a freeze cut short before they could tell anything, until one is given the time that it needs. Then again
/// when there are twice as many, so that their number does not follow the length of an outage.
const BLIND_PROBES: u32 = 4;

/// An entry of the schedule, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Failures in a row before it.
    pub failures: u32,
    /// Probes since then that a freeze cut short.
    pub blind_probes: u32,
    /// From the failure until the store may be asked again, in milliseconds.
    pub wait_ms: i64,
    /// The store is taken to be down.
    pub is_open: bool,
}

/// The breaker and the schedule behind it.
#[derive(Debug)]
pub struct Breaker {
    policy: RetryPolicy,
    failures_in_a_row: u32,
    not_before_ms: i64,
    is_open: bool,
    blind_probes: u32,
    /// With so many of them one is given its time. It doubles within an outage, whatever that one tells.
    sight_after: u32,
    /// The newest entry of the schedule, until it is taken.
    new_wait: Option<Wait>,
}

impl Breaker {
    /// A store of which nothing bad is known.
    pub fn new(policy: RetryPolicy) -> Self {
        Self {
            policy,
            failures_in_a_row: 0,
            not_before_ms: i64::MIN,
            is_open: false,
            blind_probes: 0,
            sight_after: BLIND_PROBES,
            new_wait: None,
        }
    }

    /// Whether the store is taken to be down.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// When the store may be asked next.
    pub fn not_before_ms(&self) -> i64 {
        self.not_before_ms
    }

    /// The longest that a failed attempt has to wait for the next one.
    pub fn longest_wait_ms(&self) -> i64 {
        to_ms(self.policy.slow_probe_ms())
    }

    /// An attempt has failed. An error of our own bytes says nothing about the store.
    pub fn failed(&mut self, kind: AttemptErrorKind, now_ms: i64, rng: &mut fastrand::Rng) {
        if kind == AttemptErrorKind::Body {
            return;
        }
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.is_open |= self.failures_in_a_row >= OPENS_AFTER;
        self.blind_probes = 0;
        let wait_ms = match kind {
            AttemptErrorKind::Retry | AttemptErrorKind::Credentials => self.policy.wait_ms(self.failures_in_a_row, rng),
            AttemptErrorKind::Configuration | AttemptErrorKind::WrongRegion | AttemptErrorKind::Body => {
                self.policy.slow_probe_ms()
            }
        };
        self.wait(to_ms(wait_ms), now_ms);
    }

    /// A freeze cut a probe short before it could tell anything: the next one waits as long as after the last failure.
    pub fn probe_was_blind(&mut self, now_ms: i64, rng: &mut fastrand::Rng) {
        self.blind_probes = self.blind_probes.saturating_add(1);
        let wait_ms = self.policy.wait_ms(self.failures_in_a_row, rng);
        self.wait(to_ms(wait_ms), now_ms);
    }

    fn wait(&mut self, wait_ms: i64, now_ms: i64) {
        self.not_before_ms = now_ms.saturating_add(wait_ms);
        let (failures, blind_probes) = (self.failures_in_a_row, self.blind_probes);
        self.new_wait = Some(Wait { failures, blind_probes, wait_ms, is_open: self.is_open });
    }

    /// The entry of the schedule that was made since this was asked before.
    pub fn take_new_wait(&mut self) -> Option<Wait> {
        self.new_wait.take()
    }

    /// Whether so many probes were cut short that one must be given its time: else a store that is back would never be
    /// noticed by a function that runs for some milliseconds.
    pub fn needs_sight(&self) -> bool {
        self.is_open && self.blind_probes >= self.sight_after
    }

    /// A probe was given its time: the next one only when there are twice as many.
    pub fn was_given_sight(&mut self) {
        self.sight_after = self.sight_after.saturating_mul(2);
    }

    /// An attempt used up what an environment was held for.
    pub fn budget_was_used_up(&mut self) {
        self.is_open = true;
    }

    /// An object was delivered: the first success ends everything.
    pub fn succeeded(&mut self) {
        self.failures_in_a_row = 0;
        self.not_before_ms = i64::MIN;
        self.is_open = false;
        self.blind_probes = 0;
        self.sight_after = BLIND_PROBES;
    }
}

fn to_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn breaker() -> (Breaker, fastrand::Rng) {
        let policy = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), None);
        (Breaker::new(policy.expect("a schedule")), fastrand::Rng::with_seed(3))
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_one_success_closes_it() {
        let (mut breaker, mut rng) = breaker();
        for failures in 1..=4 {
            breaker.failed(AttemptErrorKind::Retry, NOW, &mut rng);
            assert_eq!(breaker.is_open(), failures >= 3);
        }
        breaker.succeeded();
        assert!(!breaker.is_open() && breaker.not_before_ms() <= NOW);
        breaker.failed(AttemptErrorKind::Retry, NOW, &mut rng);
        assert!(!breaker.is_open(), "it counts anew");
    }

    #[test]
    fn the_wait_is_uniform_below_its_ceiling_and_the_longest_after_an_error_for_a_person() {
        let (mut breaker, mut rng) = breaker();
        breaker.failed(AttemptErrorKind::Retry, NOW, &mut rng);
        assert!((NOW..=NOW + 100).contains(&breaker.not_before_ms()));
        breaker.failed(AttemptErrorKind::Configuration, NOW, &mut rng);
        assert_eq!(breaker.not_before_ms(), NOW + 20_000);
    }

    #[test]
    fn every_entry_of_the_schedule_is_told_once() {
        let (mut breaker, mut rng) = breaker();
        assert_eq!(breaker.take_new_wait(), None);
        breaker.failed(AttemptErrorKind::Configuration, NOW, &mut rng);
        let wait = Wait { failures: 1, blind_probes: 0, wait_ms: 20_000, is_open: false };
        assert_eq!((breaker.take_new_wait(), breaker.take_new_wait()), (Some(wait), None));
        breaker.failed(AttemptErrorKind::Body, NOW, &mut rng);
        assert_eq!(breaker.take_new_wait(), None, "it says nothing about the store");
        breaker.budget_was_used_up();
        breaker.probe_was_blind(NOW, &mut rng);
        let wait = breaker.take_new_wait().expect("a probe that saw nothing waits, too");
        assert_eq!((wait.failures, wait.blind_probes, wait.is_open), (1, 1, true));
        assert_eq!(breaker.not_before_ms(), NOW + wait.wait_ms);
    }

    #[test]
    fn our_own_bytes_say_nothing_about_the_store() {
        let (mut breaker, mut rng) = breaker();
        for _ in 0..9 {
            breaker.failed(AttemptErrorKind::Body, NOW, &mut rng);
        }
        assert!(!breaker.is_open() && breaker.not_before_ms() <= NOW);
    }

    #[test]
    fn probes_that_saw_nothing_are_given_their_time_ever_more_rarely() {
        let (mut breaker, mut rng) = breaker();
        breaker.budget_was_used_up();
        let mut given = |breaker: &mut Breaker, has_answer: bool| {
            let mut given = Vec::new();
            for probe in 0..300 {
                let has_sight = breaker.needs_sight();
                if has_sight {
                    breaker.was_given_sight();
                    given.push(probe);
                }
                if has_sight && has_answer {
                    breaker.failed(AttemptErrorKind::Retry, NOW, &mut rng);
                } else {
                    breaker.probe_was_blind(NOW, &mut rng);
                }
            }
            given
        };
        assert_eq!(given(&mut breaker, false), [4, 8, 16, 32, 64, 128, 256], "none of them has an answer");
        breaker.succeeded();
        breaker.budget_was_used_up();
        assert_eq!(given(&mut breaker, true), [4, 13, 30, 63, 128, 257], "each is told that the store is down");
    }
}
