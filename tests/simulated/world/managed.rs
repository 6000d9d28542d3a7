//! Lambda Managed Instances: invocations beside each other, of which the process hears by their records alone.

use super::*;

/// With a store that works everything leaves within this time: the highest age of a segment, and what a breaker waits before it
/// asks again, for each of the stores, some times over.
const PATIENCE_MS: i64 = 300_000;

impl<D: Disk> World<D> {
    pub(super) fn invoke_beside_others(&mut self) {
        if self.process.is_none() {
            self.start_process();
        }
        if self.calm_since.is_some() {
            // Nobody says anything any more.
            return self.at(1_000, Step::NextInvocation);
        }
        self.invocations += 1;
        let (number, handler_ms) = (self.invocations, self.profile.handlers.draw(&mut self.rng));
        self.tell(|| format!("invocation {number} with a handler of {handler_ms} ms"));
        let (fails, report_is_lost) = (self.chance(self.profile.failures), self.chance(self.profile.losses));
        self.tally.count("invocations failed", u64::from(fails));
        self.plan_trouble(handler_ms);
        let start = Observed::Start { request_id: request_id(number), at_ms: Some(self.wall_ms()) };
        self.send_body(0..25, vec![start], 1);
        self.log(number, handler_ms);
        // One whose time is over goes on, and what it says comes behind its report.
        let timeout_ms = self.profile.timeout_ms;
        if !report_is_lost {
            let failed = fails || handler_ms > timeout_ms;
            self.at(handler_ms.min(timeout_ms), Step::Reports { number, failed });
        }
        let gap_ms = self.profile.gaps.draw(&mut self.rng);
        self.at(gap_ms, Step::NextInvocation);
    }

    pub(super) fn reports(&mut self, number: u64, failed: bool) {
        self.tally.count("reports beside each other", 1);
        self.send_body(0..25, vec![Observed::Report { request_id: request_id(number), failed }], 1);
    }

    pub(super) fn check_that_time_does(&mut self, since_ms: i64) {
        if !self.is_last && self.now_ms > since_ms + PATIENCE_MS {
            let waiting = self.process.as_ref().map(|process| process.machine.waiting());
            self.find(format!("the store works since {PATIENCE_MS} ms, and {waiting:?} objects wait"));
        }
    }
}
