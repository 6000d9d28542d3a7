//! The platform, the clocks and the process around the machine.
//!
//! What may happen: a freeze as soon as function and extension wait in `next`; telemetry that comes late, after the freeze, or
//! not at all; clocks that are set; a process that is stopped for seconds, or killed before any action; a connection that
//! dies in a freeze. What may not: two `next` at a time, a SHUTDOWN that is not an answer to `next`.

mod checks;
mod freeze;
mod managed;
mod platform;
mod process;

use std::collections::{BTreeMap, VecDeque};

use logspool::deadline::Deadline;
use logspool::intake::Observed;
use logspool::lifecycle::machine::drain_policy::InvokePlan;
use logspool::lifecycle::machine::{self, Action, Arrival, Counts, Event, Machine, Moment};
use logspool::runtime_api::event::RequestId;
use logspool::upload::outgoing::OutgoingId;
use logspool::upload::route::Place;
use logspool::upload::store::AttemptErrorKind;
use spool::{SealReason, SpoolId};

use super::claims::everything_arrived;
use super::disk::{Change, Disk};
use super::profile::Profile;
use super::store::{Mood, Store};
use super::tally::Tally;

const EPOCH_MS: i64 = 1_790_000_000_000;
const REQUEST_TIMEOUT_MS: i64 = 5_000;
/// Connections that were frozen for longer are dead.
const CONNECTION_SURVIVES_MS: i64 = 20_000;
const SHUTDOWN_MS: i64 = 1_400;
/// What is decided in one millisecond may be done in the next.
const TOLERANCE_MS: i64 = 2;

enum Step {
    NextInvocation,
    HandlerEnds(u64),
    TimesOut(u64),
    Reports { number: u64, failed: bool },
    Body { process: u64, observed: Vec<Observed>, records: u32 },
    Stores(String),
    Answers { process: u64, attempt: u64, id: OutgoingId, place: Place, result: Result<Arrival, AttemptErrorKind> },
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
    /// What waited when it was told of the end.
    waited_at_end: usize,
    adopting: usize,
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
    /// By place.
    moods: [Mood; 3],
    /// When moods have changed, or the clock was set.
    troubled_ms: i64,
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
            moods: [Mood::Up; 3],
            troubled_ms: 0,
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
            Step::Reports { number, failed } => self.reports(number, failed),
            Step::Body { process, observed, records } if self.is_current(process) => self.body(observed, records),
            Step::Stores(name) => self.store.put(&name),
            Step::Answers { process, attempt, id, place, result } if self.is_current(process) => {
                self.answers(attempt, id, place, result);
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

    fn mood_changes(&mut self) {
        if self.calm_since.is_none() {
            let moods = self.profile.moods;
            self.moods = std::array::from_fn(|_| moods[self.rng.usize(..moods.len())]);
            self.troubled_ms = self.now_ms;
            self.tell(|| format!("the stores: {:?}", self.moods));
            let in_ms = self.rng.i64(100..300_000);
            self.at(in_ms, Step::MoodChanges);
        }
    }

    // === the process ===
}

fn request_id(number: u64) -> RequestId {
    RequestId(number.to_string())
}
