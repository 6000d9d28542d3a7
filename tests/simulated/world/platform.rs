//! The platform: invocations, their handlers and timeouts, telemetry, SHUTDOWN.

use super::*;

impl<D: Disk> World<D> {
    pub(super) fn next_invocation(&mut self) {
        if self.process.as_ref().is_some_and(|process| process.gone_by_ms.is_some()) {
            return self.at(100, Step::NextInvocation);
        }
        if self.frozen_since_ms.is_some() && self.process.as_ref().is_some_and(|process| !process.has_asked) {
            // Stopped in the middle of an end.
            return self.at(100, Step::NextInvocation);
        }
        if self.calm_since.is_none() && self.invocations >= u64::from(self.profile.invocations) {
            self.calm_since = Some((self.invocations, self.now_ms));
            self.moods = [Mood::Up; 3];
            self.tell(|| "the world calms down".into());
        }
        if self.calm_since.is_some() && self.is_drained() {
            self.is_last = true;
        }
        self.check_liveness();
        let shuts_down = self.is_last || self.needs_another_life() || self.chance(self.profile.shutdowns);
        if self.process.is_some() && shuts_down {
            self.thaw();
            self.shut_down();
        } else if self.is_last {
            self.start_process();
            self.at(50, Step::NextInvocation);
        } else if self.profile.managed {
            self.invoke_beside_others();
        } else {
            self.invoke();
        }
    }

    /// What has used up its attempts waits for the next life, also when all stores work again.
    fn needs_another_life(&mut self) -> bool {
        let is_bounded = self.profile.policies.retry.is_bounded();
        let is_time = match self.calm_since {
            Some((_, since_ms)) if self.profile.managed => self.now_ms - since_ms > 30_000 && self.rng.u8(..10) == 0,
            Some(_) => self.invocations.is_multiple_of(10),
            None => false,
        };
        is_bounded && is_time
    }

    pub(super) fn invoke(&mut self) {
        if self.process.is_none() {
            self.start_process();
        }
        self.invocations += 1;
        let number = self.invocations;
        let handler_ms = self.profile.handlers.draw(&mut self.rng);
        let deadline_ms = self.now_ms + self.profile.timeout_ms;
        self.tell(|| format!("invocation {number} with a handler of {handler_ms} ms"));
        let fails = self.chance(self.profile.failures);
        let end_is_lost = self.chance(self.profile.losses);
        self.tally.count("invocations failed", u64::from(fails));
        self.tally.count("ends lost", u64::from(end_is_lost));
        self.invocation = Some(Invocation {
            number,
            began_ms: self.now_ms,
            deadline_ms,
            handler_ended: false,
            fails,
            end_is_lost,
            plan: None,
            told_ms: None,
            stalled_ms: 0,
        });
        self.plan_trouble(handler_ms);
        self.at(handler_ms.min(self.profile.timeout_ms), Step::HandlerEnds(number));
        self.at(self.profile.timeout_ms, Step::TimesOut(number));
        let start = Observed::Start { request_id: request_id(number), at_ms: Some(self.wall_ms()) };
        self.send_body(0..25, vec![start], 1);
        self.log(number, handler_ms);
        let event = Event::Invoke {
            request_id: request_id(number),
            deadline: Deadline::at(self.wall_ms() + self.profile.timeout_ms),
        };
        if self.rng.bool() {
            self.thaw();
            self.answer_next(event);
        } else {
            let deferred = self.thaw_quietly();
            self.answer_next(event);
            self.undefer(deferred);
        }
    }

    /// The handler says something, or nothing.
    pub(super) fn log(&mut self, number: u64, handler_ms: i64) {
        for _ in 0..self.rng.u32(0..4) {
            let records = self.rng.u32(1..20);
            let logs_error = self.chance(self.profile.failures);
            self.tally.count("errors logged", u64::from(logs_error));
            let observed = logs_error.then(|| Observed::ErrorLogged(request_id(number)));
            self.send_body(0..handler_ms + 25, observed.into_iter().collect(), records);
        }
    }

    pub(super) fn plan_trouble(&mut self, handler_ms: i64) {
        if self.chance(self.profile.jumps) {
            let far_ms = self.rng.i64(-7_200_000..7_200_000);
            let by_ms = if self.rng.bool() { far_ms } else { far_ms / 1_000 };
            let in_ms = self.rng.i64(0..handler_ms + 2_000);
            self.at(in_ms, Step::ClockIsSet(by_ms));
        }
        if self.chance(self.profile.stalls) {
            let (in_ms, ms) = (self.rng.i64(0..handler_ms + 500), self.rng.i64(100..8_000));
            self.at(in_ms, Step::Stalls(ms));
        }
        if self.chance(self.profile.kills) {
            let after = self.rng.u64(0..12);
            if let Some(process) = &mut self.process {
                process.dies_after.get_or_insert(process.actions + after);
            }
        }
    }

    pub(super) fn handler_ends(&mut self, number: u64) {
        let wall_ms = self.wall_ms();
        let Some(invocation) = self.invocation.as_mut().filter(|invocation| invocation.number == number) else {
            return;
        };
        if self.now_ms >= invocation.deadline_ms {
            return;
        }
        invocation.handler_ended = true;
        let (fails, end_is_lost) = (invocation.fails, invocation.end_is_lost);
        let done = Observed::RuntimeDone { request_id: request_id(number), failed: fails, at_ms: Some(wall_ms) };
        if end_is_lost {
            if self.rng.bool() {
                self.send_body(0..50, vec![Observed::Lost], 1);
            }
        } else {
            self.send_body(0..25, vec![done], 1);
        }
        self.finish_invocation();
    }

    /// The platform resets an environment whose function takes too long. One that we hold for so long is our fault.
    pub(super) fn times_out(&mut self, number: u64) {
        let Some(invocation) = self.invocation.take_if(|invocation| invocation.number == number) else { return };
        if invocation.handler_ended && invocation.stalled_ms == 0 {
            return self.find("an invocation was held until it timed out".into());
        }
        self.tell(|| "a timeout".into());
        let done = Observed::RuntimeDone { request_id: request_id(number), failed: true, at_ms: Some(self.wall_ms()) };
        self.send_body(0..25, vec![done], 1);
        self.shut_down();
    }

    /// An invocation is over when function and extension wait in `next`.
    pub(super) fn finish_invocation(&mut self) {
        let has_asked = self.process.as_ref().is_none_or(|process| process.has_asked);
        if !has_asked || !self.invocation.as_ref().is_some_and(|invocation| invocation.handler_ended) {
            return;
        }
        let Some(invocation) = self.invocation.take() else { return };
        self.send_body(0..25, vec![Observed::Report { request_id: request_id(invocation.number), failed: false }], 1);
        let calm_ms = if self.calm_since.is_some() { 300 } else { 0 };
        let gap_ms = self.profile.gaps.draw(&mut self.rng).max(calm_ms);
        self.at(gap_ms, Step::NextInvocation);
        if self.process.is_none() {
            return;
        }
        if invocation.fails && self.rng.bool() {
            return self.shut_down();
        }
        if self.profile.freezes {
            self.frozen_since_ms.get_or_insert(self.now_ms);
        }
    }

    pub(super) fn shut_down(&mut self) {
        let number = self.processes;
        self.tally.count("shutdowns", 1);
        self.tell(|| "SHUTDOWN".into());
        self.at(SHUTDOWN_MS, Step::MustBeGone { process: number });
        if let Some(process) = &mut self.process {
            process.gone_by_ms = Some(self.now_ms + SHUTDOWN_MS);
        }
        if !self.steps.values().any(|step| matches!(step, Step::NextInvocation)) {
            self.at(SHUTDOWN_MS + 100, Step::NextInvocation);
        }
        self.shutdown_waits = true;
        self.at(0, Step::OffersShutdown);
    }

    /// One that was stopped meanwhile, or still held `next`, could not know.
    pub(super) fn must_be_gone(&mut self) {
        let told_ms = self.process.as_ref().and_then(|process| process.told_of_end_ms);
        if told_ms.is_some_and(|told_ms| self.now_ms - told_ms > SHUTDOWN_MS - 400) {
            self.find("the process had to be killed at the deadline of SHUTDOWN".into());
        }
        self.kill();
    }

    pub(super) fn offer_shutdown(&mut self) {
        if self.shutdown_waits
            && let Some(Process { has_asked: true, gone_by_ms: Some(gone_by_ms), .. }) = self.process
            && self.frozen_since_ms.is_none()
        {
            self.shutdown_waits = false;
            if let Some(process) = &mut self.process {
                process.told_of_end_ms = Some(self.now_ms);
                // What an adoption finds in the last second is more than can be counted on.
                let waits = process.machine.waiting();
                process.waited_at_end = if process.adopting == 0 { waits } else { usize::MAX };
            }
            self.answer_next(Event::Shutdown { deadline: Deadline::at(self.wall_ms() + gone_by_ms - self.now_ms) });
        }
    }

    pub(super) fn answer_next(&mut self, event: Event) {
        if let Some(process) = &mut self.process {
            process.has_asked = false;
            self.feed(event);
        }
    }

    pub(super) fn send_body(&mut self, within_ms: std::ops::Range<i64>, observed: Vec<Observed>, records: u32) {
        if let Some(process) = &self.process {
            let process = process.number;
            let in_ms = self.rng.i64(within_ms);
            self.at(in_ms, Step::Body { process, observed, records });
        }
    }

    pub(super) fn body(&mut self, observed: Vec<Observed>, records: u32) {
        let is_stored = self.disk.append(records, self.wall_ms());
        self.check_disk(is_stored);
        self.collect();
        if let Some(invocation) = self.invocation.as_mut().filter(|invocation| invocation.plan.is_some()) {
            let tells = |observed: &Observed| match observed {
                Observed::RuntimeDone { request_id: done, .. } => *done == request_id(invocation.number),
                other => *other == Observed::Lost,
            };
            if observed.iter().any(tells) {
                invocation.told_ms.get_or_insert(self.now_ms);
            }
        }
        for observed in observed.into_iter().chain([Observed::Stored]) {
            self.feed(Event::Observed(observed));
        }
    }

    // === clocks and freezes ===
}
