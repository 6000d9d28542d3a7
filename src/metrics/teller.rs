//! What is told when: pure, with the time passed in.

use std::time::Duration;

use super::list::{COUNTERS, COUNTERS_LEN, Counter, Figures, Gauge, gauges};
use crate::deadline::millis;

/// What has been told, and when.
#[derive(Debug)]
pub struct Teller {
    interval_ms: i64,
    told: [u64; COUNTERS_LEN],
    told_ms: i64,
}

/// What is to be told.
pub struct Report {
    /// Counters that have moved, and by how much.
    pub(super) moved: Vec<(&'static Counter, u64)>,
    /// How things stand.
    pub(super) gauges: [Gauge; 3],
}

impl Teller {
    /// A process that begins now, and has an interval before its first line.
    pub fn new(interval: Duration, now_ms: i64) -> Self {
        Self { interval_ms: millis(interval), told: [0; COUNTERS_LEN], told_ms: now_ms }
    }

    /// Whether the interval is over since the last line. A clock that was set back by as much says so, too: else there would be none
    /// until it is as late again.
    pub fn is_due(&self, now_ms: i64) -> bool {
        now_ms.abs_diff(self.told_ms) >= self.interval_ms.unsigned_abs()
    }

    /// What has come since the last line; `None` if nothing has. How things stand is no news by itself: an age grows by itself.
    pub fn report(&self, figures: &Figures) -> Option<Report> {
        let moved = COUNTERS
            .iter()
            .zip(self.told)
            .map(|(counter, told)| (counter, (counter.total)(figures).saturating_sub(told)));
        let moved: Vec<_> = moved.filter(|(_, by)| *by > 0).collect();
        (!moved.is_empty()).then(|| Report { moved, gauges: gauges(figures) })
    }

    /// A report of this figures is on its way.
    pub fn has_told(&mut self, figures: &Figures, now_ms: i64) {
        for (counter, told) in COUNTERS.iter().zip(&mut self.told) {
            // A total that was told is never told again.
            *told = (counter.total)(figures).max(*told);
        }
        self.told_ms = now_ms;
    }
}
