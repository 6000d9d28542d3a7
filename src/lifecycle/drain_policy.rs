//! Whether an environment is held after its function has finished, and for how long: pure, with the time passed in.
//!
//! Holding `next` never delays the function's response; it keeps the environment busy, and billed, a little longer.

use std::time::Duration;

use crate::deadline::Deadline;

/// How segments leave while the environment lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainStrategy {
    /// At the end of the invocation: wait for it, seal, upload, then let the environment go.
    End,
    /// In the shadow of later invocations: let the environment go at once.
    Background,
}

/// When segments are uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainPolicy {
    /// The strategy.
    pub strategy: DrainStrategy,
    /// The longest that `next` is held once the function has finished.
    pub budget: Duration,
    /// Memory of the function, in MB: below 512 the CPU share is small, and margins are wider.
    pub memory_mb: Option<u64>,
}

/// What to do with an invocation that has just begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvokePlan {
    /// Call `next` at once.
    NextAtOnce,
    /// Wait for the end of the invocation, then seal what is due and upload.
    DrainAtEnd,
}

/// What is known when an invocation begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct InvokeFacts {
    /// Sealed segments that an upload may be begun for now.
    pub uploads_waiting: bool,
    /// Whether the end of this invocation will make the active segment due.
    pub seals_at_end: bool,
}

const LOW_MEMORY_MB: u64 = 512;

impl DrainPolicy {
    /// Decides when INVOKE arrives.
    pub fn on_invoke(&self, facts: InvokeFacts) -> InvokePlan {
        match self.strategy {
            DrainStrategy::Background => InvokePlan::NextAtOnce,
            DrainStrategy::End if facts.seals_at_end || facts.uploads_waiting => InvokePlan::DrainAtEnd,
            DrainStrategy::End => InvokePlan::NextAtOnce,
        }
    }

    /// Until when the end of the invocation is waited for: the function may use all its time, and we take none of it from
    /// the platform's margin.
    pub fn wait_until(&self, deadline: Deadline, now_ms: i64) -> Deadline {
        deadline.earlier_by(self.margin(deadline.remaining(now_ms)))
    }

    /// Until when the end is still waited for when there is evidence that its telemetry was lost: it may never come.
    pub fn wait_until_after_loss(&self, wait_until: Deadline, now_ms: i64) -> Deadline {
        wait_until.within(self.budget, now_ms)
    }

    /// Until when `next` is held for uploads, once the function has finished.
    pub fn drain_until(&self, wait_until: Deadline, now_ms: i64) -> Deadline {
        wait_until.within(self.budget, now_ms)
    }

    /// How long before the deadline we are out of the way: 5 % of the time, at least 100 ms; 250 ms on a small function.
    fn margin(&self, time: Duration) -> Duration {
        let least = if self.is_small() { Duration::from_millis(250) } else { Duration::from_millis(100) };
        (time / 20).max(least)
    }

    /// Uploads at a time while shutting down: a small function has the CPU for one.
    pub fn shutdown_uploads(&self) -> usize {
        if self.is_small() { 1 } else { 4 }
    }

    /// How long before the deadline of SHUTDOWN the process exits by itself.
    pub fn shutdown_margin(&self) -> Duration {
        if self.is_small() { Duration::from_millis(300) } else { Duration::from_millis(150) }
    }

    fn is_small(&self) -> bool {
        self.memory_mb.is_some_and(|memory_mb| memory_mb < LOW_MEMORY_MB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000_000;

    fn policy(strategy: DrainStrategy) -> DrainPolicy {
        DrainPolicy { strategy, budget: Duration::from_secs(2), memory_mb: Some(1_024) }
    }

    #[test]
    fn background_never_holds() {
        let facts = InvokeFacts { uploads_waiting: true, seals_at_end: true };
        assert_eq!(policy(DrainStrategy::Background).on_invoke(facts), InvokePlan::NextAtOnce);
    }

    #[test]
    fn end_holds_only_for_what_can_become_due() {
        let plan = |uploads_waiting, seals_at_end| {
            policy(DrainStrategy::End).on_invoke(InvokeFacts { uploads_waiting, seals_at_end })
        };
        assert_eq!(plan(false, false), InvokePlan::NextAtOnce);
        assert_eq!(plan(true, false), InvokePlan::DrainAtEnd);
        assert_eq!(plan(false, true), InvokePlan::DrainAtEnd);
    }

    #[test]
    fn the_wait_respects_the_deadline_and_its_margin() {
        let policy = policy(DrainStrategy::End);
        assert_eq!(policy.wait_until(Deadline::at(NOW + 1_000), NOW), Deadline::at(NOW + 900));
        assert_eq!(policy.wait_until(Deadline::at(NOW + 60_000), NOW), Deadline::at(NOW + 57_000));
        let small = DrainPolicy { memory_mb: Some(128), ..policy };
        assert_eq!(small.wait_until(Deadline::at(NOW + 1_000), NOW), Deadline::at(NOW + 750));
    }

    #[test]
    fn holding_is_bounded_by_the_budget_and_by_the_deadline() {
        let policy = policy(DrainStrategy::End);
        assert_eq!(policy.drain_until(Deadline::at(NOW + 60_000), NOW), Deadline::at(NOW + 2_000));
        assert_eq!(policy.drain_until(Deadline::at(NOW + 500), NOW), Deadline::at(NOW + 500));
    }

    #[test]
    fn an_end_whose_telemetry_may_be_lost_is_waited_for_no_longer_than_the_budget() {
        let policy = policy(DrainStrategy::End);
        assert_eq!(policy.wait_until_after_loss(Deadline::at(NOW + 800_000), NOW), Deadline::at(NOW + 2_000));
    }
}
