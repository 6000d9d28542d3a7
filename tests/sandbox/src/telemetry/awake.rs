//! Time as the environment lives it: it stands still while the environment is frozen.
//!
//! The platform's `timeoutMs` does not run during a freeze, so every decision about batches is made in this time.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that stops with the environment.
#[derive(Debug)]
pub(crate) struct AwakeClock {
    origin: Instant,
    frozen_since: Option<Instant>,
    frozen: Duration,
}

impl AwakeClock {
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, frozen_since: None, frozen: Duration::ZERO }
    }

    /// Time awake since the origin, at the instant `now` of the machine.
    pub(crate) fn at(&self, now: Instant) -> Duration {
        let now = self.frozen_since.unwrap_or(now);
        now.saturating_duration_since(self.origin).saturating_sub(self.frozen)
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_since.is_some()
    }

    pub(crate) fn freeze(&mut self, now: Instant) {
        self.frozen_since.get_or_insert(now);
    }

    pub(crate) fn thaw(&mut self, now: Instant) {
        if let Some(since) = self.frozen_since.take() {
            self.frozen += now.saturating_duration_since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_frozen_and_goes_on_where_it_stood() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut clock = AwakeClock::new(origin);
        assert_eq!(clock.at(at(10)), Duration::from_millis(10));

        clock.freeze(at(10));
        clock.freeze(at(20));
        assert_eq!(clock.at(at(500)), Duration::from_millis(10));

        clock.thaw(at(1_000));
        assert_eq!(clock.at(at(1_005)), Duration::from_millis(15));
        clock.thaw(at(1_100));
        assert_eq!(clock.at(at(1_105)), Duration::from_millis(115));
    }
}
