//! Whether an environment is held after its function has finished, and for how long: pure, with the time passed in.
//!
//! Holding `next` never delays the function's response; it keeps the environment busy, and billed, a little longer.

use std::time::Duration;

use crate::deadline::millis;
use crate::upload::outgoing::OutgoingId;

/// How segments leave while the environment lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainStrategy {
    /// At the end of the invocation if something would grow too old before the next one, else in the background.
    Adaptive,
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
    DrainAtEnd {
        /// Seal whatever the rules say: what is there would be due before the next invocation.
        seal: bool,
    },
    /// Call `next` when one upload has ended.
    FinishOne {
        /// Of this object.
        id: OutgoingId,
        /// Handlers are too short for it, or freezes have interrupted it too often.
        is_starved: bool,
    },
}

/// What is known when an invocation begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct InvokeFacts {
    /// The store is taken to be down: nobody is held to drain.
    pub breaker_is_open: bool,
    /// An upload runs or may be begun now, or a spool of an earlier life is being read.
    pub uploads_wait: bool,
    /// The end of this invocation will make the active segment due by a rule.
    pub seals_at_end: bool,
    /// How old the oldest record that waits will be when the next invocation begins, in milliseconds.
    pub age_at_next_ms: i64,
    /// Last words of a failure that was seen since the last invocation.
    pub failure: Option<OutgoingId>,
    /// What no handler is long enough for.
    pub starved: Option<OutgoingId>,
}

const LOW_MEMORY_MB: u64 = 512;
/// An invocation whose end is not seen after so many times the longest handler may have lost it.
const LONGEST_HANDLERS: i64 = 10;

impl DrainPolicy {
    /// Decides when INVOKE arrives. `seal_age_ms` is the age at which a segment is sealed.
    pub fn on_invoke(&self, facts: &InvokeFacts, seal_age_ms: i64) -> InvokePlan {
        let at_end = match self.strategy {
            DrainStrategy::Background => false,
            DrainStrategy::End => facts.seals_at_end || facts.uploads_wait,
            DrainStrategy::Adaptive => facts.failure.is_some() || facts.age_at_next_ms > seal_age_ms,
        };
        if at_end && !facts.breaker_is_open {
            return InvokePlan::DrainAtEnd { seal: self.strategy == DrainStrategy::Adaptive };
        }
        match (facts.failure, facts.starved) {
            (Some(id), _) if !facts.breaker_is_open => InvokePlan::FinishOne { id, is_starved: false },
            (_, Some(id)) => InvokePlan::FinishOne { id, is_starved: true },
            _ => InvokePlan::NextAtOnce,
        }
    }

    /// Until when `next` may be held at all: the function may use all its time, and we take none of it from the platform's
    /// margin.
    pub fn wait_until_ms(&self, deadline_ms: i64, now_ms: i64) -> i64 {
        deadline_ms.saturating_sub(self.margin_ms(deadline_ms.saturating_sub(now_ms)))
    }

    /// Until when the end of an invocation is waited for, if handlers of late took no longer than `longest_ms`: its
    /// telemetry may be lost without a trace.
    pub fn wait_for_end_until_ms(&self, wait_until_ms: i64, longest_ms: Option<i64>, now_ms: i64) -> i64 {
        let Some(longest_ms) = longest_ms else { return wait_until_ms };
        let patience_ms = longest_ms.saturating_mul(LONGEST_HANDLERS).saturating_add(millis(self.budget));
        wait_until_ms.min(now_ms.saturating_add(patience_ms))
    }

    /// Until when `next` is held from now on: the function has finished, or there is evidence that its end was lost.
    pub fn hold_until_ms(&self, wait_until_ms: i64, now_ms: i64) -> i64 {
        wait_until_ms.min(now_ms.saturating_add(millis(self.budget)))
    }

    /// How long before the deadline we are out of the way: 5 % of the time, at least 100 ms; 250 ms on a small function.
    fn margin_ms(&self, time_ms: i64) -> i64 {
        let least_ms = if self.is_small() { 250 } else { 100 };
        (time_ms / 20).max(least_ms)
    }

    /// Uploads at a time while shutting down: a small function has the CPU for one.
    pub fn shutdown_uploads(&self) -> usize {
        if self.is_small() { 1 } else { 4 }
    }

    /// How long before the deadline of SHUTDOWN the process exits by itself, in milliseconds.
    pub fn shutdown_margin_ms(&self) -> i64 {
        if self.is_small() { 300 } else { 150 }
    }

    fn is_small(&self) -> bool {
        self.memory_mb.is_some_and(|memory_mb| memory_mb < LOW_MEMORY_MB)
    }
}

#[cfg(test)]
mod tests {
    use spool::{Seqno, SpoolId};

    use super::*;

    const NOW: i64 = 1_790_000_000_000;
    const SEAL_AGE_MS: i64 = 60_000;

    fn policy(strategy: DrainStrategy) -> DrainPolicy {
        DrainPolicy { strategy, budget: Duration::from_secs(2), memory_mb: Some(1_024) }
    }

    fn id(first: u64) -> OutgoingId {
        OutgoingId { spool: SpoolId::new(NOW, 1), first: Seqno(first) }
    }

    fn plan(strategy: DrainStrategy, facts: InvokeFacts) -> InvokePlan {
        policy(strategy).on_invoke(&facts, SEAL_AGE_MS)
    }

    #[test]
    fn background_holds_for_nothing_but_a_failure_and_what_is_starved() {
        let all =
            InvokeFacts { uploads_wait: true, seals_at_end: true, age_at_next_ms: i64::MAX, ..Default::default() };
        assert_eq!(plan(DrainStrategy::Background, all), InvokePlan::NextAtOnce);
        let starved = InvokeFacts { starved: Some(id(1)), ..all };
        let finish = InvokePlan::FinishOne { id: id(1), is_starved: true };
        assert_eq!(plan(DrainStrategy::Background, starved), finish);
        let failure = InvokeFacts { failure: Some(id(2)), ..starved };
        let finish = InvokePlan::FinishOne { id: id(2), is_starved: false };
        assert_eq!(plan(DrainStrategy::Background, failure), finish);
    }

    #[test]
    fn end_holds_only_for_what_can_become_due() {
        let plan = |uploads_wait, seals_at_end| {
            plan(DrainStrategy::End, InvokeFacts { uploads_wait, seals_at_end, ..Default::default() })
        };
        let at_end = InvokePlan::DrainAtEnd { seal: false };
        assert_eq!(
            (plan(false, false), plan(true, false), plan(false, true)),
            (InvokePlan::NextAtOnce, at_end, at_end)
        );
    }

    #[test]
    fn adaptive_holds_for_what_would_grow_too_old_and_for_a_failure() {
        let at_end = InvokePlan::DrainAtEnd { seal: true };
        let of_age = |age_at_next_ms| InvokeFacts { age_at_next_ms, ..Default::default() };
        assert_eq!(plan(DrainStrategy::Adaptive, of_age(SEAL_AGE_MS)), InvokePlan::NextAtOnce);
        assert_eq!(plan(DrainStrategy::Adaptive, of_age(SEAL_AGE_MS + 1)), at_end);
        assert_eq!(plan(DrainStrategy::Adaptive, InvokeFacts { failure: Some(id(1)), ..of_age(0) }), at_end);
        let starved = InvokeFacts { starved: Some(id(1)), ..of_age(0) };
        assert_eq!(plan(DrainStrategy::Adaptive, starved), InvokePlan::FinishOne { id: id(1), is_starved: true });
    }

    #[test]
    fn while_the_breaker_is_open_every_invocation_is_background() {
        for strategy in [DrainStrategy::Adaptive, DrainStrategy::End, DrainStrategy::Background] {
            let facts = InvokeFacts {
                breaker_is_open: true,
                uploads_wait: true,
                seals_at_end: true,
                age_at_next_ms: i64::MAX,
                failure: Some(id(1)),
                starved: None,
            };
            assert_eq!(plan(strategy, facts), InvokePlan::NextAtOnce);
        }
    }

    #[test]
    fn the_wait_respects_the_deadline_and_its_margin() {
        let policy = policy(DrainStrategy::End);
        assert_eq!(policy.wait_until_ms(NOW + 1_000, NOW), NOW + 900);
        assert_eq!(policy.wait_until_ms(NOW + 60_000, NOW), NOW + 57_000);
        let small = DrainPolicy { memory_mb: Some(128), ..policy };
        assert_eq!(small.wait_until_ms(NOW + 1_000, NOW), NOW + 750);
    }

    #[test]
    fn holding_is_bounded_by_the_budget_and_by_the_deadline() {
        let policy = policy(DrainStrategy::End);
        assert_eq!(policy.hold_until_ms(NOW + 60_000, NOW), NOW + 2_000);
        assert_eq!(policy.hold_until_ms(NOW + 500, NOW), NOW + 500);
    }

    #[test]
    fn an_end_that_may_be_lost_without_a_trace_is_not_waited_for_until_the_timeout() {
        let policy = policy(DrainStrategy::End);
        assert_eq!(policy.wait_for_end_until_ms(NOW + 800_000, Some(100), NOW), NOW + 3_000);
        assert_eq!(policy.wait_for_end_until_ms(NOW + 800, Some(100), NOW), NOW + 800);
        assert_eq!(policy.wait_for_end_until_ms(NOW + 800_000, None, NOW), NOW + 800_000);
    }
}
