//! One clock out of two that lie: pure.
//!
//! The wall clock may be set, in either direction. The monotonic clock may stand still while the process is frozen, or may
//! not; reports contradict each other. What has passed is what the one that went further says, so time never goes back and
//! a freeze always counts. Ages, holds and schedules are counted by this clock; only what comes from outside (`deadlineMs`, the
//! times of records) is converted.

use super::event::Moment;
use crate::deadline::Deadline;

/// How often the machine is told the time while the process runs.
pub const TICK_MS: i64 = 1_000;
/// A process that runs is told the time every [`TICK_MS`]; one that was not told for so long did not run. What is shorter
/// does no harm to a connection.
const FROZEN_AFTER_MS: i64 = TICK_MS + 2_000;
/// Each clock is read in whole milliseconds: by that much they differ for no other reason.
const JITTER_MS: i64 = 5;
/// The clocks drift apart by that much only when one of them stands still, or the other is set.
const DRIFT_MS: i64 = 1_000;

/// The clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now_ms: i64,
    wall_ms: i64,
    monotonic_ms: i64,
    /// The three when the clocks went apart for the last time.
    parted: Reading,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    now_ms: i64,
    wall_ms: i64,
    monotonic_ms: i64,
}

/// What has passed since the clock was looked at before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// When that was.
    pub since_ms: i64,
    /// Whether the process was frozen meanwhile, so that its connections may be dead.
    pub was_frozen: bool,
}

impl Clock {
    /// A clock that begins with the wall clock's time.
    pub fn new(at: &Moment) -> Self {
        let (now_ms, wall_ms, monotonic_ms) = (at.wall_ms, at.wall_ms, at.monotonic_ms);
        Self { now_ms, wall_ms, monotonic_ms, parted: Reading { now_ms, wall_ms, monotonic_ms } }
    }

    /// Looks at both clocks.
    pub fn advance(&mut self, at: &Moment) -> Passed {
        let by_wall_ms = at.wall_ms.saturating_sub(self.wall_ms);
        let by_monotonic_ms = at.monotonic_ms.saturating_sub(self.monotonic_ms).max(0);
        let passed_ms = by_wall_ms.max(by_monotonic_ms);
        let since_ms = self.now_ms;
        self.wall_ms = at.wall_ms;
        self.monotonic_ms = at.monotonic_ms.max(self.monotonic_ms);
        if by_wall_ms.abs_diff(by_monotonic_ms) > JITTER_MS.unsigned_abs() {
            self.now_ms = self.now_ms.saturating_add(passed_ms);
            let (now_ms, wall_ms, monotonic_ms) = (self.now_ms, self.wall_ms, self.monotonic_ms);
            self.parted = Reading { now_ms, wall_ms, monotonic_ms };
        } else {
            self.now_ms = self.now_ms.max(self.parted.until(self.wall_ms, self.monotonic_ms));
        }
        let was_frozen = passed_ms >= FROZEN_AFTER_MS || by_wall_ms.saturating_sub(by_monotonic_ms) >= DRIFT_MS;
        Passed { since_ms, was_frozen }
    }

    /// Now, by this clock.
    pub fn time_ms(&self) -> i64 {
        self.now_ms
    }

    /// A deadline of the wall clock, by this clock.
    pub fn deadline_ms(&self, deadline: Deadline) -> i64 {
        self.now_ms.saturating_add(crate::deadline::millis(deadline.remaining(self.wall_ms)))
    }

    /// A time of the wall clock that has passed, by this clock. One that is to come is now.
    pub fn past_ms(&self, wall_ms: i64) -> i64 {
        self.now_ms.saturating_sub(self.wall_ms.saturating_sub(wall_ms).max(0))
    }
}

impl Reading {
    /// Now, if the clocks went together since. Counted from there and not from event to event: the larger of two rounded
    /// steps is too large by half a millisecond, and there are many events.
    fn until(&self, wall_ms: i64, monotonic_ms: i64) -> i64 {
        let by_wall_ms = wall_ms.saturating_sub(self.wall_ms);
        self.now_ms.saturating_add(by_wall_ms.max(monotonic_ms.saturating_sub(self.monotonic_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_790_000_000_000;

    fn at(wall_ms: i64, monotonic_ms: i64) -> Moment {
        Moment { wall_ms: WALL + wall_ms, monotonic_ms, ..Moment::default() }
    }

    #[test]
    fn time_never_goes_back_and_the_faster_clock_counts() {
        let mut clock = Clock::new(&at(0, 0));
        for (wall_ms, monotonic_ms, now_ms, was_frozen) in [
            (100, 100, 100, false),
            // A wall clock that is set back.
            (-3_600_000, 150, 150, false),
            (-3_599_900, 250, 250, false),
            // A freeze that the monotonic clock did not see, and one that it did.
            (-3_539_900, 251, 60_250, true),
            (-3_479_900, 60_251, 120_250, true),
            // As long as it takes from tick to tick, on a busy machine.
            (-3_477_000, 63_151, 123_150, false),
        ] {
            let passed = clock.advance(&at(wall_ms, monotonic_ms));
            assert_eq!((clock.time_ms() - WALL, passed.was_frozen), (now_ms, was_frozen), "{wall_ms} {monotonic_ms}");
        }
    }

    #[test]
    fn many_events_within_a_millisecond_do_not_make_time_run() {
        let mut clock = Clock::new(&at(0, 0));
        for tenths in 0..100_000 {
            // The fractions that are cut off differ.
            clock.advance(&at(tenths / 10, (tenths + 5) / 10));
        }
        assert_eq!(clock.time_ms() - WALL, 10_000);
    }

    #[test]
    fn times_of_the_wall_clock_are_converted_when_they_come_in() {
        let mut clock = Clock::new(&at(0, 0));
        clock.advance(&at(-10_000, 500));
        assert_eq!(clock.deadline_ms(Deadline::at(WALL - 10_000 + 70)) - WALL, 570);
        assert_eq!(clock.past_ms(WALL - 10_000 - 30) - WALL, 470);
        assert_eq!(clock.past_ms(WALL) - WALL, 500, "what is to come is now");
    }
}
