//! A point in wall-clock time that work must not pass.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock: Unix time in milliseconds.
///
/// Ages and deadlines are taken from this clock, never from `Instant`: a frozen environment may or may not advance its
/// monotonic clock, and Lambda's deadlines are wall-clock times.
pub fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds of a duration, saturating.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Values of `deadlineMs` below this are relative: AWS's own documentation shows one (`676051`), and no deadline since
/// September 2001 is smaller.
const RELATIVE_BELOW_MS: i64 = 1_000_000_000_000;

/// A point in wall-clock time that work must not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at_ms: i64,
}

impl Deadline {
    /// A deadline at a Unix time in milliseconds.
    pub fn at(at_ms: i64) -> Self {
        Self { at_ms }
    }

    /// The `deadlineMs` of an event that was received at `now_ms`.
    pub fn of_event(deadline_ms: i64, now_ms: i64) -> Self {
        if deadline_ms < RELATIVE_BELOW_MS {
            Self { at_ms: now_ms.saturating_add(deadline_ms.max(0)) }
        } else {
            Self { at_ms: deadline_ms }
        }
    }

    /// The same deadline with a margin before it.
    #[must_use]
    pub fn earlier_by(self, margin: Duration) -> Self {
        Self { at_ms: self.at_ms.saturating_sub(millis(margin)) }
    }

    /// The earlier of this deadline and `budget` from `now_ms` on.
    #[must_use]
    pub fn within(self, budget: Duration, now_ms: i64) -> Self {
        Self { at_ms: self.at_ms.min(now_ms.saturating_add(millis(budget))) }
    }

    /// How long it is until then; zero when it has passed.
    pub fn remaining(self, now_ms: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.at_ms.saturating_sub(now_ms)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    #[test]
    fn a_passed_deadline_leaves_nothing() {
        assert_eq!(Deadline::at(NOW - 1).remaining(NOW), Duration::ZERO);
        assert_eq!(Deadline::at(NOW + 7).remaining(NOW), Duration::from_millis(7));
    }

    #[test]
    fn small_values_of_an_event_are_relative() {
        assert_eq!(Deadline::of_event(3_000, NOW), Deadline::at(NOW + 3_000));
        assert_eq!(Deadline::of_event(NOW + 5, NOW), Deadline::at(NOW + 5));
        assert_eq!(Deadline::of_event(-5, NOW), Deadline::at(NOW));
    }

    #[test]
    fn a_budget_never_moves_a_deadline_back() {
        let deadline = Deadline::at(NOW + 1_000);
        assert_eq!(deadline.within(Duration::from_secs(2), NOW), deadline);
        assert_eq!(deadline.within(Duration::from_millis(400), NOW), Deadline::at(NOW + 400));
        assert_eq!(deadline.earlier_by(Duration::from_millis(250)), Deadline::at(NOW + 750));
    }
}
