//! The platform, the clocks and the process around the machine.
//!
//! What may happen: a freeze as soon as function and extension wait in `next`; telemetry that comes late, after the freeze, or
//! not at all; clocks that are set; a process that is stopped for seconds, or killed before any action; a connection that
//! dies in a freeze. What may not: two `next` at a time, a SHUTDOWN that is not an answer to `next`.

use std::collections::{BTreeMap, VecDeque};

use logspool::deadline::Deadline;
use logspool::intake::Observed;
use logspool::lifecycle::machine::drain_policy::InvokePlan;
use logspool::lifecycle::machine::{Action, Counts, Event, Machine, Moment};
use logspool::runtime_api::event::RequestId;
use logspool::upload::outgoing::OutgoingId;
use logspool::upload::store::PutErrorKind;
use spool::{SealReason, SpoolId};

use super::claims::everything_arrived;
use super::disk::{Change, Disk};
use super::profile::Profile;
use super::store::{Mood, Store};

const EPOCH_MS: i64 = 1_790_000_000_000;
const REQUEST_TIMEOUT_MS: i64 = 5_000;
/// Connections that were frozen for longer are dead.
const CONNECTION_SURVIVES_MS: i64 = 20_000;
const SHUTDOWN_MS: i64 = 1_400;
/// What is decided in one millisecond may be done in the next.
const TOLERANCE_MS: i64 = 2;

/// What has happened, by name.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

/// Things that must happen often for the claims to mean something.
const COMMON: [&str; 20] = [
    "adoptions",
    "answers after a freeze",
    "attempts begun anew at the end",
    "breaker opened",
    "budget used up",
    "connections died",
    "clock set back",
    "clock set forward",
    "ends lost",
    "evictions",
    "failed attempts",
    "freezes noticed",
    "held",
    "held for a starved upload",
    "interrupted uploads",
    "invocations failed",
    "killed",
    "probes given time",
    "shutdowns",
    "stalls",
];

impl Tally {
    fn count(&mut self, what: &'static str, by: u64) {
        *self.0.entry(what).or_default() += by;
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, times)| self.count(what, *times));
    }

    /// Something that happened less than a hundred times.
    pub fn rarest(&self) -> Option<&'static str> {
        COMMON.into_iter().find(|what| self.0.get(what).is_none_or(|times| *times < 100))
    }
}

enum Step {
    NextInvocation,
    HandlerEnds(u64),
    TimesOut(u64),
    Body { process: u64, observed: Vec<Observed>, records: u32 },
    Stores(String),
    Answers { process: u64, attempt: u64, id: OutgoingId, result: Result<(), PutErrorKind> },
    Alarm { process: u64, number: u64 },
    Adopted { process: u64, spool: SpoolId },
    MoodChanges,
    ClockIsSet(i64),
    Stalls(i64),
    StallEnds,
    OffersShutdown,
    MustBeGone { process: u64 },
}

struct Process {
    number: u64,
    machine: Machine,
    /// `next` is on its way.
    has_asked: bool,
    running: BTreeMap<u64, OutgoingId>,
    alarm: u64,
    dies_after: Option<u64>,
    actions: u64,
    inbox: VecDeque<Event>,
    gone_by_ms: Option<i64>,
    told_of_end_ms: Option<i64>,
    probes_given_time: u32,
    /// The store was taken to be down when the machine decided.
    was_down: bool,
}

struct Invocation {
    number: u64,
    began_ms: i64,
    deadline_ms: i64,
    handler_ended: bool,
    fails: bool,
    end_is_lost: bool,
    plan: Option<InvokePlan>,
    /// When the process was told that it has ended, or that it may never be told.
    told_ms: Option<i64>,
    stalled_ms: i64,
}

pub struct World<D> {
    rng: fastrand::Rng,
    profile: Profile,
    disk: D,
    store: Store,
    mood: Mood,
    tells: bool,
    now_ms: i64,
    wall_offset_ms: i64,
    stopped_ms: i64,
    /// Frozen, or stopped, since then.
    frozen_since_ms: Option<i64>,
    deferred: Vec<Step>,
    steps: BTreeMap<(i64, u64), Step>,
    steps_made: u64,
    process: Option<Process>,
    processes: u64,
    shutdown_waits: bool,
    invocation: Option<Invocation>,
    invocations: u64,
    /// After which invocation, and when.
    calm_since: Option<(u64, i64)>,
    is_last: bool,
    is_over: bool,
    finding: Option<String>,
    tally: Tally,
}

impl<D: Disk> World<D> {
    pub fn new(seed: u64, disk: D, tells: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let profile = Profile::draw(&mut rng);
        if tells {
            println!("{profile:#?}");
        }
        Self {
            rng,
            profile,
            disk,
            store: Store::default(),
            mood: Mood::Up,
            tells,
            now_ms: 0,
            wall_offset_ms: 0,
            stopped_ms: 0,
            frozen_since_ms: None,
            deferred: Vec::new(),
            steps: BTreeMap::new(),
            steps_made: 0,
            process: None,
            processes: 0,
            shutdown_waits: false,
            invocation: None,
            invocations: 0,
            calm_since: None,
            is_last: false,
            is_over: false,
            finding: None,
            tally: Tally::default(),
        }
    }

    pub fn finding(&self) -> Option<&str> {
        self.finding.as_deref()
    }

    pub fn tally(self) -> Tally {
        self.tally
    }

    /// Lives until everything is over or something is found.
    pub fn live(&mut self) {
        self.at(0, Step::MoodChanges);
        self.at(0, Step::NextInvocation);
        while let Some(((at_ms, _), step)) = self.steps.pop_first() {
            self.now_ms = at_ms;
            self.step(step);
            if self.is_over || self.finding.is_some() {
                return;
            }
            if self.steps_made > 200_000 {
                return self.find("it never ends".into());
            }
        }
        self.find("nothing happens any more".into());
    }

    fn find(&mut self, what: String) {
        self.tell(|| format!("FOUND {what}"));
        self.finding.get_or_insert(what);
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            println!("{:>9} {}", self.now_ms, what());
        }
    }

    fn at(&mut self, in_ms: i64, step: Step) {
        self.steps_made += 1;
        self.steps.insert((self.now_ms + in_ms, self.steps_made), step);
    }

    fn chance(&mut self, in_thousand: u32) -> bool {
        self.calm_since.is_none() && self.rng.u32(..1_000) < in_thousand
    }

    fn wall_ms(&self) -> i64 {
        EPOCH_MS + self.now_ms + self.wall_offset_ms
    }

    fn moment(&self) -> Moment {
        Moment { wall_ms: self.wall_ms(), monotonic_ms: self.now_ms - self.stopped_ms, active: self.disk.active() }
    }

    fn is_current(&self, process: u64) -> bool {
        self.process.as_ref().is_some_and(|current| current.number == process)
    }

    fn is_current_alarm(&self, process: u64, number: u64) -> bool {
        self.process.as_ref().is_some_and(|current| current.number == process && current.alarm == number)
    }

    fn step(&mut self, step: Step) {
        let needs_process =
            matches!(step, Step::Body { .. } | Step::Answers { .. } | Step::Alarm { .. } | Step::Adopted { .. });
        if needs_process && self.frozen_since_ms.is_some() {
            return self.deferred.push(step);
        }
        match step {
            Step::NextInvocation => self.next_invocation(),
            Step::HandlerEnds(number) => self.handler_ends(number),
            Step::TimesOut(number) => self.times_out(number),
            Step::Body { process, observed, records } if self.is_current(process) => self.body(observed, records),
            Step::Stores(name) => self.store.put(&name),
            Step::Answers { process, attempt, id, result } if self.is_current(process) => {
                self.answers(attempt, id, result);
            }
            Step::Alarm { process, number } if self.is_current_alarm(process, number) => self.feed(Event::Time),
            Step::Adopted { process, spool } if self.is_current(process) => self.adopted(spool),
            Step::MoodChanges => self.mood_changes(),
            Step::ClockIsSet(by_ms) => self.clock_is_set(by_ms),
            Step::Stalls(ms) => self.stalls(ms),
            Step::StallEnds => self.stall_ends(),
            Step::OffersShutdown => self.offer_shutdown(),
            Step::MustBeGone { process } if self.is_current(process) => self.must_be_gone(),
            _ => {}
        }
    }

    // === the platform ===

    fn next_invocation(&mut self) {
        if self.process.as_ref().is_some_and(|process| process.gone_by_ms.is_some()) {
            return self.at(100, Step::NextInvocation);
        }
        if self.frozen_since_ms.is_some() && self.process.as_ref().is_some_and(|process| !process.has_asked) {
            // Stopped in the middle of an end.
            return self.at(100, Step::NextInvocation);
        }
        if self.calm_since.is_none() && self.invocations >= u64::from(self.profile.invocations) {
            self.calm_since = Some((self.invocations, self.now_ms));
            self.mood = Mood::Up;
            self.tell(|| "the world calms down".into());
        }
        if self.calm_since.is_some() && self.is_drained() {
            self.is_last = true;
        }
        self.check_liveness();
        let shuts_down = self.is_last || self.chance(self.profile.shutdowns);
        if self.process.is_some() && shuts_down {
            self.thaw();
            self.shut_down();
        } else if self.is_last {
            self.start_process();
            self.at(50, Step::NextInvocation);
        } else {
            self.invoke();
        }
    }

    fn invoke(&mut self) {
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
        for _ in 0..self.rng.u32(0..4) {
            let records = self.rng.u32(1..20);
            self.send_body(0..handler_ms + 25, Vec::new(), records);
        }
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

    fn plan_trouble(&mut self, handler_ms: i64) {
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

    fn handler_ends(&mut self, number: u64) {
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
    fn times_out(&mut self, number: u64) {
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
    fn finish_invocation(&mut self) {
        let has_asked = self.process.as_ref().is_none_or(|process| process.has_asked);
        if !has_asked || !self.invocation.as_ref().is_some_and(|invocation| invocation.handler_ended) {
            return;
        }
        let Some(invocation) = self.invocation.take() else { return };
        self.send_body(0..25, vec![Observed::Report(request_id(invocation.number))], 1);
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

    fn shut_down(&mut self) {
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
    fn must_be_gone(&mut self) {
        let told_ms = self.process.as_ref().and_then(|process| process.told_of_end_ms);
        if told_ms.is_some_and(|told_ms| self.now_ms - told_ms > SHUTDOWN_MS - 400) {
            self.find("the process had to be killed at the deadline of SHUTDOWN".into());
        }
        self.kill();
    }

    fn offer_shutdown(&mut self) {
        if self.shutdown_waits
            && let Some(Process { has_asked: true, gone_by_ms: Some(gone_by_ms), .. }) = self.process
            && self.frozen_since_ms.is_none()
        {
            self.shutdown_waits = false;
            if let Some(process) = &mut self.process {
                process.told_of_end_ms = Some(self.now_ms);
            }
            self.answer_next(Event::Shutdown { deadline: Deadline::at(self.wall_ms() + gone_by_ms - self.now_ms) });
        }
    }

    fn answer_next(&mut self, event: Event) {
        if let Some(process) = &mut self.process {
            process.has_asked = false;
            self.feed(event);
        }
    }

    fn send_body(&mut self, within_ms: std::ops::Range<i64>, observed: Vec<Observed>, records: u32) {
        if let Some(process) = &self.process {
            let process = process.number;
            let in_ms = self.rng.i64(within_ms);
            self.at(in_ms, Step::Body { process, observed, records });
        }
    }

    fn body(&mut self, observed: Vec<Observed>, records: u32) {
        self.disk.append(records, self.wall_ms());
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

    fn thaw(&mut self) {
        let deferred = self.thaw_quietly();
        self.undefer(deferred);
    }

    fn thaw_quietly(&mut self) -> (i64, Vec<Step>) {
        let Some(since_ms) = self.frozen_since_ms.take() else { return (0, Vec::new()) };
        let frozen_ms = self.now_ms - since_ms;
        if self.profile.monotonic_stops {
            self.stopped_ms += frozen_ms;
        }
        (frozen_ms, std::mem::take(&mut self.deferred))
    }

    fn undefer(&mut self, (frozen_ms, deferred): (i64, Vec<Step>)) {
        for step in deferred {
            match step {
                Step::Answers { process, attempt, id, .. } if frozen_ms >= CONNECTION_SURVIVES_MS => {
                    self.tally.count("connections died", 1);
                    let result = Err(PutErrorKind::Retry);
                    self.at(REQUEST_TIMEOUT_MS, Step::Answers { process, attempt, id, result });
                }
                Step::Answers { .. } => {
                    self.tally.count("answers after a freeze", 1);
                    self.step(step);
                }
                step => self.step(step),
            }
        }
    }

    fn clock_is_set(&mut self, by_ms: i64) {
        if self.calm_since.is_none() {
            self.tell(|| format!("the clock is set by {by_ms}"));
            self.tally.count(if by_ms < 0 { "clock set back" } else { "clock set forward" }, 1);
            self.wall_offset_ms += by_ms;
        }
    }

    /// SIGSTOP, or a machine that is busy with others.
    fn stalls(&mut self, ms: i64) {
        let is_ending = self.process.as_ref().is_none_or(|process| process.gone_by_ms.is_some());
        if self.frozen_since_ms.is_some() || is_ending || self.invocation.is_none() {
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

    fn stall_ends(&mut self) {
        // Between invocations the platform has frozen it meanwhile.
        if self.invocation.is_some() || !self.profile.freezes || self.shutdown_waits {
            self.thaw();
            self.offer_shutdown();
        }
    }

    fn mood_changes(&mut self) {
        if self.calm_since.is_none() {
            self.mood = self.profile.moods[self.rng.usize(..self.profile.moods.len())];
            self.tell(|| format!("the store: {:?}", self.mood));
            let in_ms = self.rng.i64(100..300_000);
            self.at(in_ms, Step::MoodChanges);
        }
    }

    // === the process ===

    fn start_process(&mut self) {
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

    fn kill(&mut self) {
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

    fn gone(&mut self, process: &Process) {
        self.disk.kill();
        self.frozen_since_ms = None;
        self.deferred.clear();
        self.shutdown_waits = false;
        let counts: Counts = process.machine.counts();
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
    fn feed(&mut self, event: Event) {
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
        self.set_alarm();
    }

    fn set_alarm(&mut self) {
        let Some(process) = &mut self.process else { return };
        process.alarm += 1;
        let (in_ms, step) =
            (process.machine.alarm_in().max(1), Step::Alarm { process: process.number, number: process.alarm });
        self.at(in_ms, step);
    }

    fn collect(&mut self) {
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

    fn perform(&mut self, action: Action) {
        match action {
            Action::Seal(reason) => self.seal(reason),
            Action::WriteEnd => self.disk.end(self.wall_ms()),
            Action::StartUpload { id, attempt } => self.start_upload(id, attempt),
            Action::CancelUpload { id, attempt } => self.cancel_upload(id, attempt),
            Action::Decided(_, plan) => self.decided(plan),
            Action::CallNext => self.calls_next(),
            Action::Exit => self.exits(),
            Action::CheckPlace | Action::CloseConnections => {}
        }
    }

    fn seal(&mut self, reason: SealReason) {
        let is_down = self.process.as_ref().is_some_and(|process| process.was_down && process.machine.is_store_down());
        if is_down && !matches!(reason, SealReason::Size | SealReason::Shutdown) {
            self.find(format!("while the store is down a segment was sealed for {reason:?}"));
        }
        let held_records = self.disk.seal(reason, self.wall_ms());
        self.collect();
        if let Some(process) = &mut self.process {
            process.inbox.push_back(Event::Sealed { held_records });
        }
    }

    fn start_upload(&mut self, id: OutgoingId, attempt: u64) {
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
        let fate = self.store.fate(self.mood, &mut self.rng);
        if let Some(in_ms) = fate.stored_after_ms {
            self.at(in_ms, Step::Stores(name));
        }
        let (in_ms, result) = match fate.answered_after_ms {
            Some(in_ms) if in_ms < REQUEST_TIMEOUT_MS => (in_ms, fate.result),
            _ => (REQUEST_TIMEOUT_MS, Err(PutErrorKind::Retry)),
        };
        self.at(in_ms, Step::Answers { process: number, attempt, id, result });
    }

    fn cancel_upload(&mut self, id: OutgoingId, attempt: u64) {
        let Some(process) = &mut self.process else { return };
        if process.running.remove(&attempt).is_some() {
            if process.gone_by_ms.is_some() {
                self.tally.count("attempts begun anew at the end", 1);
            }
            self.disk.attempt_ended(&id);
        }
    }

    fn answers(&mut self, attempt: u64, id: OutgoingId, result: Result<(), PutErrorKind>) {
        let Some(process) = &mut self.process else { return };
        let was_running = process.running.remove(&attempt).is_some();
        // One that was cancelled may have ended in the same moment.
        if !was_running && (result.is_err() || self.rng.u8(..) > 25) {
            return;
        }
        match result {
            Ok(()) => self.disk.delivered(&id),
            Err(_) => self.disk.attempt_ended(&id),
        }
        self.collect();
        self.feed(Event::AttemptEnded { id, attempt, result });
    }

    fn adopted(&mut self, spool: SpoolId) {
        self.disk.adopt(spool);
        self.collect();
        self.feed(Event::AdoptionEnds);
    }

    // === claims ===

    fn decided(&mut self, plan: InvokePlan) {
        let invocations = self.invocations;
        if let Some(invocation) = &mut self.invocation {
            invocation.plan = Some(plan);
        }
        let Some(process) = self.process.as_mut().filter(|process| process.was_down) else { return };
        if matches!(plan, InvokePlan::DrainAtEnd { .. }) {
            return self.find("while the store is down an invocation is held to drain".into());
        }
        if plan != InvokePlan::NextAtOnce {
            process.probes_given_time += 1;
            let given = process.probes_given_time;
            self.tally.count("probes given time", 1);
            // Each outage may have its own; within one their number does not follow its length.
            if given > invocations.ilog2() + 8 {
                self.find(format!("{given} invocations were held while the store was down"));
            }
        }
    }

    fn calls_next(&mut self) {
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
    fn held_until_ms(&self, invocation: &Invocation) -> i64 {
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

    fn exits(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.tell(|| "exits".into());
        self.gone(&process);
        if self.is_last {
            self.is_over = true;
            if let Err(finding) = everything_arrived(&self.store, self.disk.acknowledged().iter()) {
                self.find(finding);
            }
        }
    }

    /// What the machine believes to wait is what waits.
    fn check_order(&mut self) {
        let Some(process) = &self.process else { return };
        let (believed, waits) = (process.machine.waiting(), self.disk.waiting());
        if believed != waits {
            self.find(format!("{waits} objects wait, and the machine knows of {believed}"));
        }
    }

    /// Nothing waits, and nothing is too old.
    fn is_drained(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let age_ms = i64::try_from(self.profile.policies.seal.age.as_millis()).unwrap();
        let has_calmed = self.calm_since.is_some_and(|(since, _)| self.invocations >= since + 5);
        let is_young = process.machine.oldest_age_ms().is_none_or(|oldest_ms| oldest_ms <= 2 * age_ms + 240_000);
        has_calmed && process.machine.waiting() == 0 && is_young
    }

    /// With a store that works everything leaves, whatever the rhythm of the function.
    fn check_liveness(&mut self) {
        let Some((since, since_ms)) = self.calm_since else { return };
        let patience = 80 + 3 * u64::from(self.profile.invocations);
        if !self.is_last && self.invocations > since + patience && self.now_ms > since_ms + 120_000 {
            let waiting = self.process.as_ref().map(|process| process.machine.waiting());
            self.find(format!("the store works since {patience} invocations, and {waiting:?} objects wait"));
        }
    }
}

fn request_id(number: u64) -> RequestId {
    RequestId(number.to_string())
}
