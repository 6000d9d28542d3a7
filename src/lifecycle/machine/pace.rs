//! How fast the function and the store are, as far as this process has seen it: pure.

use std::collections::VecDeque;

/// From start to start of invocations.
const GAPS: usize = 8;
const HANDLERS: usize = 16;
const UPLOADS: usize = 16;
/// Fewer values than this say nothing.
const ENOUGH: usize = 3;
/// A PUT within a region, with its TLS handshake, as long as nothing is known.
const UPLOAD_ASSUMED_MS: i64 = 150;

/// What was seen.
#[derive(Debug, Default)]
pub struct Pace {
    begun_ms: Option<i64>,
    gaps_ms: Recent<GAPS>,
    handlers_ms: Recent<HANDLERS>,
    uploads_ms: Recent<UPLOADS>,
}

impl Pace {
    /// An invocation has begun.
    pub fn invocation_began(&mut self, now_ms: i64) {
        if let Some(before_ms) = self.begun_ms.replace(now_ms) {
            self.gaps_ms.push(now_ms.saturating_sub(before_ms));
        }
    }

    /// A function has finished after so long.
    pub fn handler_took(&mut self, ms: i64) {
        self.handlers_ms.push(ms.max(0));
    }

    /// An object was delivered after so long.
    pub fn upload_took(&mut self, ms: i64) {
        self.uploads_ms.push(ms.max(0));
    }

    /// How many values are kept.
    pub fn remembered(&self) -> usize {
        self.gaps_ms.0.len() + self.handlers_ms.0.len() + self.uploads_ms.0.len()
    }

    /// From one start to the next, as three out of four are: infinite as long as little is known.
    pub fn gap_ms(&self) -> i64 {
        self.gaps_ms.percentile(75).unwrap_or(i64::MAX)
    }

    /// The usual time of a handler: none as long as little is known.
    pub fn handler_ms(&self) -> i64 {
        self.handlers_ms.percentile(50).unwrap_or(0)
    }

    /// The longest that a handler took of late, if anything is known.
    pub fn handler_longest_ms(&self) -> Option<i64> {
        self.handlers_ms.percentile(100)
    }

    /// The time in which nine out of ten uploads are done.
    pub fn upload_ms(&self) -> i64 {
        self.uploads_ms.percentile(90).unwrap_or(UPLOAD_ASSUMED_MS)
    }
}

/// The last `N` values.
#[derive(Debug)]
struct Recent<const N: usize>(VecDeque<i64>);

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self(VecDeque::with_capacity(N))
    }
}

impl<const N: usize> Recent<N> {
    fn push(&mut self, value: i64) {
        if self.0.len() == N {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// The smallest value that so many of a hundred do not exceed, if there are [`ENOUGH`].
    fn percentile(&self, percent: usize) -> Option<i64> {
        if self.0.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<i64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_few_values_the_cautious_answer_is_given() {
        let mut pace = Pace::default();
        for n in 0..3 {
            assert_eq!((pace.gap_ms(), pace.handler_ms(), pace.upload_ms()), (i64::MAX, 0, UPLOAD_ASSUMED_MS));
            pace.invocation_began(n * 100);
            if n < 2 {
                pace.handler_took(40);
                pace.upload_took(30);
            }
        }
        assert_eq!(pace.gap_ms(), i64::MAX, "three starts are two gaps");
    }

    #[test]
    fn the_last_values_count_by_rank() {
        let mut pace = Pace::default();
        for ms in [9_999, 9_999, 0, 100, 300, 600, 1_000, 1_500, 2_100, 2_800, 3_600] {
            pace.invocation_began(ms);
        }
        assert_eq!(pace.gap_ms(), 600, "the sixth of 100 to 800");
        for ms in 1..=20 {
            pace.handler_took(ms);
            pace.upload_took(ms * 10);
        }
        assert_eq!((pace.handler_ms(), pace.handler_longest_ms()), (12, Some(20)), "of 5 to 20");
        assert_eq!(pace.upload_ms(), 190, "the fifteenth of 50 to 200");
    }
}
