//! What must hold of every decision.

use super::*;

/// Beside what waits the machine keeps some invocations, and 40 durations.
const REMEMBERED_MAX: usize = machine::REMEMBERED_MAX + 40;

impl<D: Disk> World<D> {
    pub(super) fn decided(&mut self, plan: InvokePlan) {
        let invocations = self.invocations;
        if let Some(invocation) = &mut self.invocation {
            invocation.plan = Some(plan);
        }
        let Some(process) = &mut self.process else { return };
        if !process.was_down {
            process.probes_given_time = 0;
            return;
        }
        if matches!(plan, InvokePlan::DrainAtEnd { .. }) {
            return self.find("while the store is down an invocation is held to drain".into());
        }
        if plan != InvokePlan::NextAtOnce {
            process.probes_given_time += 1;
            let given = process.probes_given_time;
            self.tally.count("probes given time", 1);
            // Within one outage their number does not follow its length.
            if given > invocations.ilog2() {
                self.find(format!("{given} invocations were held while the store was down"));
            }
        }
    }

    pub(super) fn calls_next(&mut self) {
        let Some(process) = &mut self.process else { return };
        if std::mem::replace(&mut process.has_asked, true) {
            return self.find("two `next` at a time".into());
        }
        if let Some(invocation) = &self.invocation
            && self.now_ms > self.held_until_ms(invocation)
        {
            let since_ms = self.now_ms - invocation.began_ms;
            let late = format!("`next` came {since_ms} ms after INVOKE, told {:?}", invocation.told_ms);
            return self.find(late);
        }
        self.finish_invocation();
        self.at(0, Step::OffersShutdown);
    }

    /// The latest that `next` may be called: the budget counts from the end of the function as far as it was told.
    pub(super) fn held_until_ms(&self, invocation: &Invocation) -> i64 {
        let drain = &self.profile.policies.drain;
        let Invocation { began_ms, deadline_ms, .. } = *invocation;
        let budget_ms = i64::try_from(drain.budget.as_millis()).unwrap();
        let until_ms = match (invocation.plan, invocation.told_ms) {
            (Some(InvokePlan::NextAtOnce), _) => began_ms,
            (Some(InvokePlan::FinishOne { .. }), _) => began_ms + budget_ms,
            (_, Some(told_ms)) => told_ms + budget_ms,
            (_, None) => deadline_ms,
        };
        let margin_ms = (self.profile.timeout_ms / 20).max(100);
        until_ms.min(deadline_ms - margin_ms) + invocation.stalled_ms + TOLERANCE_MS
    }

    pub(super) fn exits(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.tell(|| "exits".into());
        self.check_fallback(&process);
        self.gone(&process);
        if self.is_last {
            self.is_over = true;
            if let Err(finding) = everything_arrived(&self.store, self.disk.acknowledged().iter()) {
                self.find(finding);
            }
        }
    }

    /// At the end a fallback that works takes what the destination does not, as far as there is time.
    fn check_fallback(&mut self, process: &Process) {
        let (Some(told_ms), Some(gone_by_ms)) = (process.told_of_end_ms, process.gone_by_ms) else { return };
        let has_one = self.profile.policies.route.stores().count() == 2;
        let had_time = gone_by_ms - told_ms >= SHUTDOWN_MS - 100 && process.waited_at_end <= 1;
        let worked = self.moods[1] == Mood::Up && self.troubled_ms < told_ms;
        if !has_one || !had_time || !worked || self.moods[0] == Mood::Up {
            return;
        }
        self.tally.count("ends with a fallback", 1);
        if process.adopting == 0 && process.machine.waiting() > 0 {
            self.find(format!("the fallback works, and {} objects wait at the end", process.machine.waiting()));
        }
    }

    /// What the machine believes to wait is what waits.
    pub(super) fn check_order(&mut self) {
        let Some(process) = &self.process else { return };
        let (believed, waits) = (process.machine.waiting(), self.disk.waiting());
        if believed != waits {
            self.find(format!("{waits} objects wait, and the machine knows of {believed}"));
        }
    }

    /// What is stored leaves no more on disk than may be there. What an adoption finds was within the limits of its own time,
    /// and gives way when room is needed, but for what tells of it.
    pub(super) fn check_disk(&mut self, is_stored: bool) {
        let usage = self.disk.usage();
        self.tally.highest("highest disk usage, in percent", usage.bytes * 100 / usage.bytes_max.max(1));
        // What is being uploaded may not give way.
        let uploads = self.process.as_ref().is_some_and(|process| !process.running.is_empty());
        if is_stored && !uploads && usage.bytes > usage.bytes_max {
            self.find(format!("more on disk than may be: {usage:?}"));
        }
    }

    /// Neither the number of segments, nor the active one, nor the machine's memory grows without bound, whatever happens.
    pub(super) fn check_bounds(&mut self) {
        let Some(process) = &self.process else { return };
        let usage = self.disk.usage();
        let running = process.running.len();
        if usage.segments > usage.segments_max + running {
            return self.find(format!("{usage:?} while {running} uploads run"));
        }
        let (size_bytes, active) = (self.profile.policies.seal.size_bytes, self.disk.active());
        let is_closing = process.gone_by_ms.is_some();
        if active.object_bytes >= size_bytes && !is_closing {
            return self.find(format!("the active segment has {} bytes", active.object_bytes));
        }
        let (remembered, waiting) = (process.machine.remembered(), process.machine.waiting());
        self.tally.highest("most remembered beside what waits", (remembered - waiting) as u64);
        if remembered > waiting + REMEMBERED_MAX {
            self.find(format!("the machine remembers {remembered} things, and {waiting} objects wait"));
        }
    }

    /// Nothing waits, and nothing is too old.
    pub(super) fn is_drained(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let age_ms = i64::try_from(self.profile.policies.seal.age.as_millis()).unwrap();
        let is_idle = process.machine.waiting() == 0 && process.adopting == 0;
        if self.profile.managed {
            return self.calm_since.is_some() && is_idle && process.machine.oldest_age_ms().is_none();
        }
        let has_calmed = self.calm_since.is_some_and(|(since, _)| self.invocations >= since + 5);
        let is_young = process.machine.oldest_age_ms().is_none_or(|oldest_ms| oldest_ms <= 2 * age_ms + 240_000);
        has_calmed && is_idle && is_young
    }

    /// With a store that works everything leaves, whatever the rhythm of the function.
    pub(super) fn check_liveness(&mut self) {
        let Some((since, since_ms)) = self.calm_since else { return };
        if self.profile.managed {
            return self.check_that_time_does(since_ms);
        }
        let patience = 80 + 3 * u64::from(self.profile.invocations);
        if !self.is_last && self.invocations > since + patience && self.now_ms > since_ms + 120_000 {
            let waiting = self.process.as_ref().map(|process| process.machine.waiting());
            self.find(format!("the store works since {patience} invocations, and {waiting:?} objects wait"));
        }
    }
}
