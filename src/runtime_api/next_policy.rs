//! What to do when the platform does not answer as it should: pure, with the time passed in.

use std::time::Duration;

use super::client::ApiError;

const WAIT_MIN: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Nobody listens on the platform's port any more: the environment is being taken down, or an emulator has ended.
const GONE_AFTER_MS: i64 = 5_000;

/// Consecutive failures of `next`.
#[derive(Debug, Clone, Copy, Default)]
pub struct NextFailures {
    in_a_row: u32,
    refused_since_ms: Option<i64>,
}

/// What to do after a failed `next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailedNext {
    /// Call it again after this time. For ever: a process that ends is `Extension.Crash` for the function.
    RetryAfter(Duration),
    /// The platform is gone; nobody is left to be harmed by an exit.
    PlatformGone,
}

impl NextFailures {
    /// Takes a failure into account.
    pub fn failed(&mut self, error: &ApiError, now_ms: i64) -> AfterFailedNext {
        let wait = WAIT_MIN.saturating_mul(1 << self.in_a_row.min(10)).min(WAIT_MAX);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if !error.is_connection_refused() {
            self.refused_since_ms = None;
            return AfterFailedNext::RetryAfter(wait);
        }
        let since_ms = *self.refused_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since_ms) >= GONE_AFTER_MS {
            AfterFailedNext::PlatformGone
        } else {
            AfterFailedNext::RetryAfter(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn refused() -> ApiError {
        ApiError::Transport(io::ErrorKind::ConnectionRefused.into())
    }

    fn unavailable() -> ApiError {
        ApiError::Refused { status: 500, error_type: "InternalServerError".into(), message: String::new() }
    }

    #[test]
    fn waits_double_up_to_a_second_and_never_end() {
        let mut failures = NextFailures::default();
        let waits: Vec<_> = (0..8)
            .map(|_| match failures.failed(&unavailable(), 0) {
                AfterFailedNext::RetryAfter(wait) => wait.as_millis(),
                AfterFailedNext::PlatformGone => panic!("an answering platform is not gone"),
            })
            .collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_000, 1_000, 1_000]);
        assert_eq!(failures.failed(&unavailable(), i64::MAX), AfterFailedNext::RetryAfter(WAIT_MAX));
    }

    #[test]
    fn five_seconds_of_refused_connections_are_the_end_and_an_answer_in_between_is_not() {
        let mut failures = NextFailures::default();
        assert_ne!(failures.failed(&refused(), 1_000), AfterFailedNext::PlatformGone);
        assert_ne!(failures.failed(&refused(), 5_999), AfterFailedNext::PlatformGone);
        assert_eq!(failures.failed(&refused(), 6_000), AfterFailedNext::PlatformGone);
        failures.failed(&unavailable(), 6_001);
        assert_ne!(failures.failed(&refused(), 7_000), AfterFailedNext::PlatformGone);
    }
}
