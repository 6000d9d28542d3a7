//! Freezes, processes that are stopped, clocks that are set.

use super::*;

impl<D: Disk> World<D> {
    pub(super) fn thaw(&mut self) {
        let deferred = self.thaw_quietly();
        self.undefer(deferred);
    }

    pub(super) fn thaw_quietly(&mut self) -> (i64, Vec<Step>) {
        let Some(since_ms) = self.frozen_since_ms.take() else { return (0, Vec::new()) };
        let frozen_ms = self.now_ms - since_ms;
        if self.profile.monotonic_stops {
            self.stopped_ms += frozen_ms;
        }
        (frozen_ms, std::mem::take(&mut self.deferred))
    }

    pub(super) fn undefer(&mut self, (frozen_ms, deferred): (i64, Vec<Step>)) {
        for step in deferred {
            match step {
                Step::Answers { process, attempt, id, place, .. } if frozen_ms >= CONNECTION_SURVIVES_MS => {
                    self.tally.count("connections died", 1);
                    let result = Err(AttemptErrorKind::Retry);
                    self.at(REQUEST_TIMEOUT_MS, Step::Answers { process, attempt, id, place, result });
                }
                Step::Answers { .. } => {
                    self.tally.count("answers after a freeze", 1);
                    self.step(step);
                }
                step => self.step(step),
            }
        }
    }

    pub(super) fn clock_is_set(&mut self, by_ms: i64) {
        if self.calm_since.is_none() {
            self.tell(|| format!("the clock is set by {by_ms}"));
            self.tally.count(if by_ms < 0 { "clock set back" } else { "clock set forward" }, 1);
            self.wall_offset_ms += by_ms;
            self.troubled_ms = self.now_ms;
        }
    }

    /// SIGSTOP, or a machine that is busy with others.
    pub(super) fn stalls(&mut self, ms: i64) {
        let is_ending = self.process.as_ref().is_none_or(|process| process.gone_by_ms.is_some());
        if self.frozen_since_ms.is_some() || is_ending || self.invocation.is_none() && !self.profile.managed {
            return;
        }
        self.tally.count("stalls", 1);
        self.tell(|| format!("stopped for {ms} ms"));
        if let Some(invocation) = &mut self.invocation {
            invocation.stalled_ms += ms;
        }
        self.frozen_since_ms = Some(self.now_ms);
        self.at(ms, Step::StallEnds);
    }

    pub(super) fn stall_ends(&mut self) {
        // Between invocations the platform has frozen it meanwhile.
        if self.invocation.is_some() || !self.profile.freezes || self.shutdown_waits {
            self.thaw();
            self.offer_shutdown();
        }
    }
}
