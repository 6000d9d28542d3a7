//! The process: the machine, and a shell that performs what it asks for.

use super::*;

impl<D: Disk> World<D> {
    pub(super) fn start_process(&mut self) {
        self.processes += 1;
        let number = self.processes;
        self.frozen_since_ms = None;
        self.deferred.clear();
        self.shutdown_waits = false;
        let orphans = self.disk.begin(self.wall_ms());
        self.tell(|| format!("process {number} begins with {} orphans", orphans.len()));
        self.tally.count("adoptions", orphans.len() as u64);
        let rng = fastrand::Rng::with_seed(self.rng.u64(..));
        let machine = Machine::new(self.profile.policies.clone(), rng, &self.moment());
        self.process = Some(Process {
            number,
            machine,
            has_asked: true,
            running: BTreeMap::new(),
            alarm: 0,
            dies_after: None,
            actions: 0,
            inbox: VecDeque::new(),
            gone_by_ms: None,
            told_of_end_ms: None,
            waited_at_end: 0,
            adopting: orphans.len(),
            probes_given_time: 0,
            was_down: false,
        });
        let mut in_ms = 0;
        for spool in orphans {
            in_ms += self.rng.i64(0..20);
            self.at(in_ms, Step::Adopted { process: number, spool });
            self.feed(Event::AdoptionBegins);
        }
        self.feed(Event::Observed(Observed::InitReport));
    }

    pub(super) fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.tell(|| "killed".into());
        self.tally.count("killed", 1);
        self.gone(&process);
        // What a crash means for the invocation that runs: it fails, and the environment is reset.
        self.invocation = None;
        if !self.steps.values().any(|step| matches!(step, Step::NextInvocation)) {
            self.at(200, Step::NextInvocation);
        }
    }

    pub(super) fn gone(&mut self, process: &Process) {
        self.disk.kill();
        self.frozen_since_ms = None;
        self.deferred.clear();
        self.shutdown_waits = false;
        let counts: Counts = process.machine.counts();
        if self.profile.managed && counts.held + counts.invocations > 0 {
            self.find(format!("nobody has told of an invocation: {counts:?}"));
        }
        self.tally.count("held", counts.held);
        self.tally.count("held for a starved upload", counts.held_for_starved_upload);
        self.tally.count("budget used up", counts.budgets_used_up);
        self.tally.count("breaker opened", counts.outages);
        self.tally.count("failed attempts", counts.failed_attempts);
        self.tally.count("interrupted uploads", counts.interrupted_attempts);
        self.tally.count("freezes noticed", counts.freezes);
        self.tally.count("uploads", counts.attempts);
    }

    /// Tells the machine what happened, and does what it asks for.
    pub(super) fn feed(&mut self, event: Event) {
        let Some(process) = &mut self.process else { return };
        process.inbox.push_back(event);
        while let Some(event) = self.process.as_mut().and_then(|process| process.inbox.pop_front()) {
            self.tell(|| format!("  {event:?}"));
            let at = self.moment();
            let Some(process) = &mut self.process else { return };
            process.was_down = process.machine.is_store_down();
            let actions = process.machine.on(event, &at);
            for action in actions {
                let Some(process) = &mut self.process else { return };
                process.actions += 1;
                if process.dies_after.is_some_and(|last| process.actions > last) && self.calm_since.is_none() {
                    return self.kill();
                }
                self.tell(|| format!("    {action:?}"));
                self.perform(action);
            }
        }
        self.check_order();
        self.check_bounds();
        self.set_alarm();
    }

    pub(super) fn set_alarm(&mut self) {
        let Some(process) = &mut self.process else { return };
        process.alarm += 1;
        let (in_ms, step) =
            (process.machine.alarm_in().max(1), Step::Alarm { process: process.number, number: process.alarm });
        self.at(in_ms, step);
    }

    pub(super) fn collect(&mut self) {
        let changes = self.disk.changes();
        let Some(process) = &mut self.process else { return };
        for change in changes {
            process.inbox.push_back(match change {
                Change::Added(waiting) => Event::Added(waiting),
                Change::Removed(id) => {
                    self.tally.count("evictions", 1);
                    Event::Removed(id)
                }
            });
        }
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Seal(reason) => self.seal(reason),
            Action::WriteEnd => self.disk.end(self.wall_ms()),
            Action::StartUpload { id, place, attempt } => self.start_upload(id, place, attempt),
            Action::CancelUpload { id, attempt } => self.cancel_upload(id, attempt),
            Action::Decided(_, plan) => self.decided(plan),
            Action::CallNext => self.calls_next(),
            Action::Exit => self.exits(),
            Action::CheckPlace | Action::CloseConnections => {}
        }
    }

    pub(super) fn seal(&mut self, reason: SealReason) {
        let is_down = self.process.as_ref().is_some_and(|process| process.was_down && process.machine.nothing_leaves());
        let active = self.disk.active();
        let is_ending = self.process.as_ref().is_some_and(|process| process.gone_by_ms.is_some());
        let may_seal = match reason {
            SealReason::Size | SealReason::Shutdown => true,
            SealReason::Error => is_ending || self.profile.policies.seal.is_large(&active),
            _ => false,
        };
        if is_down && !may_seal {
            self.find(format!("while the store is down a segment was sealed for {reason:?}"));
        }
        let held_records = self.disk.seal(reason, self.wall_ms());
        self.collect();
        if let Some(process) = &mut self.process {
            process.inbox.push_back(Event::Sealed { held_records });
        }
    }

    pub(super) fn start_upload(&mut self, id: OutgoingId, place: Place, attempt: u64) {
        let Some(process) = &mut self.process else { return };
        let Some(name) = self.disk.key(&id) else { return process.inbox.push_back(Event::Removed(id)) };
        if process.running.values().any(|running| *running == id) {
            return self.find(format!("two uploads of {name} at a time"));
        }
        process.running.insert(attempt, id);
        let is_small = self.profile.policies.drain.memory_mb.is_some_and(|memory_mb| memory_mb < 512);
        let parallel = if process.gone_by_ms.is_some() && !is_small { 4 } else { 1 };
        let (number, running) = (process.number, process.running.len());
        if running > parallel {
            self.find(format!("{running} uploads at a time"));
        }
        self.disk.attempt_begun(&id);
        let route = self.profile.policies.route;
        if route.is_log(place) {
            return self.print(number, &name, id, place, attempt);
        }
        self.tally.count("uploads to a fallback", u64::from(place != Place::DESTINATION));
        let fate = self.store.fate(self.moods[place.index()], &mut self.rng);
        if let Some(in_ms) = fate.stored_after_ms {
            self.at(in_ms, Step::Stores(name));
        }
        let (in_ms, result) = match fate.answered_after_ms {
            Some(in_ms) if in_ms < REQUEST_TIMEOUT_MS => (in_ms, fate.result),
            _ => (REQUEST_TIMEOUT_MS, Err(AttemptErrorKind::Retry)),
        };
        let result = result.map(|()| Arrival::Delivered);
        self.at(in_ms, Step::Answers { process: number, attempt, id, place, result });
    }

    /// The log of the function takes everything at once; whether it keeps it only the operator knows.
    fn print(&mut self, process: u64, name: &str, id: OutgoingId, place: Place, attempt: u64) {
        self.tally.count("written to the log", 1);
        if self.process.as_ref().is_some_and(|process| process.gone_by_ms.is_none()) {
            self.find(format!("{name} was written to the log before the end"));
        }
        let arrival = if self.profile.trusts_log { Arrival::Delivered } else { Arrival::HandedOn };
        if self.profile.trusts_log {
            self.store.put(name);
        }
        let in_ms = self.rng.i64(0..3);
        self.at(in_ms, Step::Answers { process, attempt, id, place, result: Ok(arrival) });
    }

    pub(super) fn cancel_upload(&mut self, id: OutgoingId, attempt: u64) {
        let Some(process) = &mut self.process else { return };
        if process.running.remove(&attempt).is_some() {
            if process.gone_by_ms.is_some() {
                self.tally.count("attempts begun anew at the end", 1);
            }
            self.disk.attempt_ended(&id);
        }
    }

    pub(super) fn answers(
        &mut self,
        attempt: u64,
        id: OutgoingId,
        place: Place,
        result: Result<Arrival, AttemptErrorKind>,
    ) {
        let Some(process) = &mut self.process else { return };
        let was_running = process.running.remove(&attempt).is_some();
        // One that was cancelled may have ended in the same moment.
        if !was_running && (result != Ok(Arrival::Delivered) || self.rng.u8(..) > 25) {
            return;
        }
        match result {
            Ok(Arrival::Delivered) => self.disk.delivered(&id),
            Ok(Arrival::HandedOn) | Err(_) => self.disk.attempt_ended(&id),
        }
        self.collect();
        self.feed(Event::AttemptEnded { id, place, attempt, result });
    }

    pub(super) fn adopted(&mut self, spool: SpoolId) {
        if let Some(process) = &mut self.process {
            process.adopting -= 1;
        }
        self.disk.adopt(spool);
        self.collect();
        self.feed(Event::AdoptionEnds);
    }

    // === claims ===
}
