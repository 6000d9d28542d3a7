//! When a failed upload is tried again: pure, with randomness passed in.
//!
//! * Exponential ceiling, full jitter: after the n-th failure in a row the wait is uniform in `0..=ceiling(n)`, with
//!   `ceiling(n) = min(base * 2^(n-1), max)` (AWS Architecture Blog, "Exponential Backoff And Jitter"). Thousands of
//!   environments that lost the same bucket at the same moment must not come back at the same moment.
//! * The wait is a time of day to come, not a sleep: a frozen process finds its schedule overdue when it is thawed.
//! * Nothing is given up here. [`RetryPolicy::is_exhausted`] only says that another destination's turn has come.
//!
//! This is the only file that knows crate `backoff`, and it asks it once: the ceilings of a policy are a short table.

use std::fmt;
use std::time::Duration;

use backoff::SystemClock;
use backoff::backoff::Backoff as _;
use backoff::exponential::ExponentialBackoffBuilder;

/// The longest maximum: a segment that waits longer than a day for its next try is one that nobody delivers.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest base: waits are counted in whole milliseconds.
pub const MIN_BASE: Duration = Duration::from_millis(1);

/// How long to wait after how many failures, and when to look elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Ceiling of the wait after 1, 2, 3, … failures; the last one holds for all further ones. Never empty.
    ceilings_ms: Vec<u64>,
    attempts_max: Option<u32>,
}

impl RetryPolicy {
    /// Waits that double from `base` up to `max`; `attempts_max` tries in one life of the process, or any number.
    ///
    /// # Errors
    /// Limits that make no schedule: see [`RetryPolicyError`].
    pub fn try_new(base: Duration, max: Duration, attempts_max: Option<u32>) -> Result<Self, RetryPolicyError> {
        if base < MIN_BASE {
            return Err(RetryPolicyError::BaseTooShort { base });
        }
        if max < base {
            return Err(RetryPolicyError::MaxBelowBase { base, max });
        }
        if max > MAX_WAIT {
            return Err(RetryPolicyError::MaxTooLong { max });
        }
        if attempts_max == Some(0) {
            return Err(RetryPolicyError::NoAttempts);
        }
        Ok(Self { ceilings_ms: ceilings_ms(base, max), attempts_max })
    }

    /// How long to wait after `failures` failures in a row, in milliseconds. Zero failures wait for nothing.
    #[must_use]
    pub fn wait_ms(&self, failures: u32, rng: &mut fastrand::Rng) -> u64 {
        rng.u64(0..=self.ceiling_ms(failures))
    }

    /// The longest wait after `failures` failures in a row, in milliseconds.
    #[must_use]
    pub fn ceiling_ms(&self, failures: u32) -> u64 {
        let Some(step) = failures.checked_sub(1) else {
            return 0;
        };
        let last = self.ceilings_ms.len() - 1;
        let step = usize::try_from(step).map_or(last, |step| step.min(last));
        self.ceilings_ms[step]
    }

    /// How long to wait after an error that only a person can mend, in milliseconds: the longest wait at once and without
    /// jitter, since asking again sooner cannot help.
    #[must_use]
    pub fn slow_probe_ms(&self) -> u64 {
        self.ceiling_ms(u32::MAX)
    }

    /// Whether there is an end to the tries of one life.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        self.attempts_max.is_some()
    }

    /// Whether the tries of this life are used up, so that a fallback's turn has come.
    #[must_use]
    pub fn is_exhausted(&self, failures: u32) -> bool {
        self.attempts_max.is_some_and(|max| failures >= max)
    }
}

/// At most 28 steps: from a millisecond to a day.
fn ceilings_ms(base: Duration, max: Duration) -> Vec<u64> {
    let mut schedule = ExponentialBackoffBuilder::<SystemClock>::new()
        .with_initial_interval(base)
        .with_max_interval(max)
        .with_multiplier(2.0)
        .with_randomization_factor(0.0)
        .with_max_elapsed_time(None)
        .build();
    let mut ceilings = Vec::new();
    while let Some(ceiling) = schedule.next_backoff() {
        // The crate computes in floating point and may overshoot by a fraction.
        ceilings.push(whole_ms(ceiling.min(max)));
        if ceiling >= max {
            break;
        }
    }
    ceilings
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("a day has few milliseconds")
}

/// Why limits make no schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryPolicyError {
    /// The first wait is shorter than [`MIN_BASE`]: failures would be repeated without any pause.
    BaseTooShort {
        /// The first wait.
        base: Duration,
    },
    /// The longest wait is shorter than the first.
    MaxBelowBase {
        /// The first wait.
        base: Duration,
        /// The longest wait.
        max: Duration,
    },
    /// The longest wait is longer than [`MAX_WAIT`].
    MaxTooLong {
        /// The longest wait.
        max: Duration,
    },
    /// Not a single try is allowed.
    NoAttempts,
}

impl fmt::Display for RetryPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseTooShort { base } => {
                write!(f, "the first wait is {base:?}: it must be at least {MIN_BASE:?}")
            }
            Self::MaxBelowBase { base, max } => {
                write!(f, "the longest wait is {max:?}: it must not be below the first, {base:?}")
            }
            Self::MaxTooLong { max } => {
                write!(f, "the longest wait is {max:?}: it must be at most {MAX_WAIT:?}")
            }
            Self::NoAttempts => write!(f, "the number of attempts is 0: it must be at least 1"),
        }
    }
}

impl std::error::Error for RetryPolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn policy(base_ms: u32, max_ms: u32) -> RetryPolicy {
        RetryPolicy::try_new(MS * base_ms, MS * max_ms, None).expect("a sane policy")
    }

    fn rng() -> fastrand::Rng {
        let seed = std::env::var("LOGSPOOL_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| fastrand::u64(..));
        println!("replay with LOGSPOOL_TEST_SEED={seed}");
        fastrand::Rng::with_seed(seed)
    }

    #[test]
    fn the_ceiling_doubles_from_base_to_max_and_stays_there() {
        let table = [(0, 0), (1, 100), (2, 200), (3, 400), (8, 12_800), (9, 20_000), (10, 20_000), (u32::MAX, 20_000)];
        for (failures, ceiling_ms) in table {
            assert_eq!(policy(100, 20_000).ceiling_ms(failures), ceiling_ms, "after {failures} failures");
        }
        assert_eq!(policy(70, 70).ceiling_ms(1), 70);
    }

    #[test]
    fn nonsense_is_refused_with_value_and_rule() {
        let table = [
            (0, 1, None, "the first wait is 0ns: it must be at least 1ms"),
            (2, 1, None, "the longest wait is 1ms: it must not be below the first, 2ms"),
            (1, 86_400_001, None, "the longest wait is 86400.001s: it must be at most 86400s"),
            (1, 1, Some(0), "the number of attempts is 0: it must be at least 1"),
        ];
        for (base_ms, max_ms, attempts, message) in table {
            let error = RetryPolicy::try_new(MS * base_ms, MS * max_ms, attempts).expect_err("nonsense is refused");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_wait_never_exceeds_its_ceiling_and_ceilings_never_fall() {
        let mut rng = rng();
        for _ in 0..500 {
            let base_ms = 1 + rng.u32(..) % 10_000;
            let max_ms = base_ms + rng.u32(..) % (86_400_000 - base_ms);
            let policy = policy(base_ms, max_ms);
            assert!(policy.ceilings_ms.len() <= 28, "{policy:?}");

            let mut below = 0;
            for failures in (0..64).chain([u32::MAX - 1, u32::MAX]) {
                let ceiling_ms = policy.ceiling_ms(failures);
                assert!(ceiling_ms >= below && ceiling_ms <= u64::from(max_ms));
                assert!(policy.wait_ms(failures, &mut rng) <= ceiling_ms);
                below = ceiling_ms;
            }
            assert_eq!(below, u64::from(max_ms));
            assert_eq!(policy.slow_probe_ms(), u64::from(max_ms));
        }
    }

    #[test]
    fn the_jitter_is_full() {
        let mut rng = fastrand::Rng::with_seed(7);
        let policy = policy(100, 100);
        let waits: Vec<u64> = (0..2_000).map(|_| policy.wait_ms(1, &mut rng)).collect();
        for ms in 0..=100 {
            assert!(waits.contains(&ms), "{ms} ms is never waited");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        let schedule = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..20).map(|failures| policy(100, 20_000).wait_ms(failures, &mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(schedule(42), schedule(42));
        assert_ne!(schedule(42), schedule(43));
    }

    #[test]
    fn attempts_are_used_up_only_if_they_are_limited() {
        let limited = RetryPolicy::try_new(MS, MS, Some(3)).expect("a sane policy");
        assert!(!limited.is_exhausted(2));
        assert!(limited.is_exhausted(3));
        assert!(!policy(1, 1).is_exhausted(u32::MAX));
    }
}
