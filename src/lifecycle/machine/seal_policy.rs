//! When the active segment is sealed: pure, with the time passed in.

use std::num::NonZeroU32;
use std::time::Duration;

use spool::{ActiveFacts, SealReason};

use crate::deadline::millis;

const HOUR_MS: i64 = 60 * 60 * 1000;

/// When a segment is sealed. The rules hold in any combination: the first that applies seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealPolicy {
    /// After so many invocations.
    pub invocations: Option<NonZeroU32>,
    /// At the first moment the process runs at or after this age, from the first append.
    pub age: Duration,
    /// At so many bytes, compressed.
    pub size_bytes: u64,
}

impl SealPolicy {
    /// Whether the segment must be sealed before a batch whose first line has this time is appended: an object holds
    /// records of one UTC hour, the hour of its partition, and none of a later one.
    pub fn before_append(&self, active: &ActiveFacts, first_line_ms: i64) -> Option<SealReason> {
        let partition_ms = active.partition_ms?;
        (hour_of(first_line_ms) > hour_of(partition_ms)).then_some(SealReason::Hour)
    }

    /// Whether the segment is due now. `age_ms` is counted from its first append by a clock that nobody sets back;
    /// `invocations` are those that ended since the last seal; the hours are those of the wall clock.
    pub fn due(&self, active: &ActiveFacts, age_ms: i64, invocations: u32, wall_ms: i64) -> Option<SealReason> {
        if self.is_large(active) {
            return Some(SealReason::Size);
        }
        if active.records == 0 {
            return None;
        }
        if age_ms >= millis(self.age) {
            return Some(SealReason::Age);
        }
        // A late record opens a segment of an hour that is over already; that alone must not seal it at once.
        let first_append_ms = active.first_append_ms.unwrap_or(wall_ms);
        let opened_hour = hour_of(active.partition_ms.unwrap_or(first_append_ms).max(first_append_ms));
        if hour_of(wall_ms) > opened_hour {
            return Some(SealReason::Hour);
        }
        let enough = self.invocations.is_some_and(|limit| invocations >= limit.get());
        enough.then_some(SealReason::InvocationEnd)
    }

    /// Whether the segment has reached its size: the one rule that also holds in an outage, where each of the others would
    /// only add to the number of segments that wait.
    pub fn is_large(&self, active: &ActiveFacts) -> bool {
        active.records > 0 && active.object_bytes >= self.size_bytes
    }
}

fn hour_of(unix_ms: i64) -> i64 {
    unix_ms.div_euclid(HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = HOUR_MS * 500_000;

    fn policy() -> SealPolicy {
        SealPolicy { invocations: NonZeroU32::new(3), age: Duration::from_secs(60), size_bytes: 1_000 }
    }

    fn active() -> ActiveFacts {
        ActiveFacts { records: 5, object_bytes: 100, first_append_ms: Some(HOUR + 10), partition_ms: Some(HOUR + 5) }
    }

    #[test]
    fn each_rule_seals_by_itself() {
        let due = |active: &ActiveFacts, age_ms, invocations, now_ms| policy().due(active, age_ms, invocations, now_ms);
        assert_eq!(due(&active(), 10, 2, HOUR + 20), None);
        assert_eq!(due(&ActiveFacts { object_bytes: 1_000, ..active() }, 10, 0, HOUR + 20), Some(SealReason::Size));
        assert_eq!(due(&active(), 60_000, 0, HOUR + 20), Some(SealReason::Age));
        assert_eq!(due(&active(), 10, 3, HOUR + 20), Some(SealReason::InvocationEnd));
        let late = ActiveFacts { first_append_ms: Some(HOUR + HOUR_MS - 1), ..active() };
        assert_eq!(due(&late, 0, 0, HOUR + HOUR_MS - 1), None);
        assert_eq!(due(&late, 1, 0, HOUR + HOUR_MS), Some(SealReason::Hour));
    }

    #[test]
    fn nothing_is_sealed_that_holds_no_record() {
        let empty = ActiveFacts { object_bytes: 5_000, first_append_ms: Some(0), ..ActiveFacts::default() };
        assert_eq!(policy().due(&empty, i64::MAX, 100, HOUR), None);
    }

    #[test]
    fn a_batch_of_a_later_hour_goes_into_a_segment_of_its_own() {
        assert_eq!(policy().before_append(&active(), HOUR + HOUR_MS), Some(SealReason::Hour));
        assert_eq!(policy().before_append(&active(), HOUR + HOUR_MS - 1), None);
        assert_eq!(policy().before_append(&active(), HOUR - 1), None, "a late batch stays with the rest");
        assert_eq!(policy().before_append(&ActiveFacts::default(), HOUR), None);
    }

    #[test]
    fn a_late_record_does_not_seal_its_segment_at_once() {
        let late = ActiveFacts { partition_ms: Some(HOUR - 5), ..active() };
        assert_eq!(policy().due(&late, 10, 0, HOUR + 20), None);
    }

    #[test]
    fn a_clock_that_jumps_back_seals_nothing() {
        assert_eq!(policy().due(&active(), 10, 0, HOUR - 10 * HOUR_MS), None);
    }
}
