//! How often an environment waits for us while the store is down, and how often the store is asked.

use std::time::{Duration, Instant};

use sandbox::Work;
use sandbox::s3::{Fault, RequestSeen};

use crate::diary::{Decision, Diary, Plan};
use crate::stage::{invoke, invoke_and_freeze, ours, progress};
use crate::table::heading;
use crate::world::World;

const HANDLER_MS: u64 = 5;
/// The last invocation is long enough for the store to see what is due when it begins.
const LAST_HANDLER_MS: u64 = 100;
/// A freeze that the process notices: its connections may be dead.
const PAUSE: Duration = Duration::from_millis(3_100);
/// A wait counts from the moment in which the process has noticed the failure, by two clocks in whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

#[derive(Clone, Copy)]
struct Scenario {
    drain: &'static str,
    invocations: usize,
    rhythm: Rhythm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rhythm {
    /// One invocation after the other, a store that answers 503.
    Dense,
    /// A freeze after each that cuts every probe short, a store that does not answer.
    Sparse,
}

impl Rhythm {
    fn fault(self) -> Fault {
        match self {
            Self::Dense => Fault::ServiceUnavailable,
            Self::Sparse => Fault::Hang,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dense => "503",
            Self::Sparse => "hangs, pauses",
        }
    }

    fn retries(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Dense => [("RETRY_BASE", "50ms"), ("RETRY_MAX", "1s")],
            // So short that there is a probe in every invocation: an outage of many hours in some minutes.
            Self::Sparse => [("RETRY_BASE", "1ms"), ("RETRY_MAX", "1ms")],
        }
    }
}

/// What was counted of an outage.
pub struct Counted {
    scenario: Scenario,
    held_before: usize,
    held_for_probes: usize,
    held_after: usize,
    attempts: usize,
    waits: usize,
    called_for: CalledFor,
    too_early: Vec<Duration>,
    outages: u64,
    /// `held` of the summary line.
    held: usize,
}

/// How many attempts the schedule called for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CalledFor {
    at_least: usize,
    at_most: usize,
}

impl Counted {
    fn is_as_promised(&self) -> bool {
        let CalledFor { at_least, at_most } = self.called_for;
        let is_counted = self.held == self.held_before + self.held_for_probes + self.held_after;
        let is_scheduled = (at_least..=at_most).contains(&self.attempts) && self.too_early.is_empty();
        // After 4 probes that saw nothing one is given its time, then after 8, 16, and so on.
        let probes_max = self.attempts.max(1).ilog2().saturating_sub(1) as usize;
        let is_let_go = self.held_after == 0 && self.held_for_probes <= probes_max;
        is_counted && is_scheduled && is_let_go && self.outages == 1
    }
}

/// A short outage and one ten times as long, for each strategy; and a sparse one, twice as long.
pub async fn measure(invocations: usize) -> Vec<Counted> {
    let (short, long) = ((invocations / 4).max(30), (invocations * 5 / 2).max(60));
    let dense = async {
        let mut counted = Vec::new();
        for drain in ["adaptive", "end", "background"] {
            let of = |invocations| run(Scenario { drain, invocations, rhythm: Rhythm::Dense });
            counted.extend(<[Counted; 2]>::from(tokio::join!(of(short), of(long))));
        }
        counted
    };
    let sparse = |invocations| run(Scenario { drain: "adaptive", invocations, rhythm: Rhythm::Sparse });
    let (short, long) = ((invocations / 10).max(2), (invocations / 5).max(4));
    let (mut counted, short, long) = tokio::join!(dense, sparse(short), sparse(long));
    counted.extend([short, long]);
    counted
}

async fn run(scenario: Scenario) -> Counted {
    let Scenario { drain, invocations, rhythm } = scenario;
    let world = World::new().await;
    world.s3.faults().set(rhythm.fault());
    let [base, max] = rhythm.retries();
    let sandbox = ours(&world, &[("DRAIN", drain), ("SEAL_AGE", "100ms"), ("LOG", "debug"), base, max]).await;
    for done in 1..invocations {
        let work = Work { sleep_ms: HANDLER_MS, ..Work::default() };
        if rhythm == Rhythm::Sparse {
            invoke_and_freeze(&sandbox, work).await;
            tokio::time::sleep(PAUSE).await;
        } else {
            invoke(&sandbox, work).await;
        }
        progress(&format!("outage ({}) with {drain}", rhythm.name()), done, invocations);
    }
    let last_began = Instant::now();
    invoke_and_freeze(&sandbox, Work { sleep_ms: LAST_HANDLER_MS, ..Work::default() }).await;
    let (ended, puts) = (Instant::now(), puts(&world));
    world.s3.faults().clear();
    world.end(&sandbox).await;
    let diary = Diary::read(&sandbox.extension_output());
    let held = |what: fn(&Decision) -> bool| diary.decisions.iter().filter(|it| it.holds() && what(it)).count();
    Counted {
        scenario,
        held_before: held(|decision| !decision.in_outage),
        held_for_probes: held(|decision| decision.in_outage && decision.plan == Plan::Starved),
        held_after: held(|decision| decision.in_outage && decision.plan != Plan::Starved),
        attempts: puts.len(),
        waits: diary.waits.len(),
        called_for: called_for(&puts, &diary.waits, last_began, ended),
        too_early: too_early(&puts, &diary.waits),
        outages: diary.summary("outages"),
        held: usize::try_from(diary.summary("held")).expect("so many invocations"),
    }
}

fn puts(world: &World) -> Vec<RequestSeen> {
    world.s3.requests().into_iter().filter(RequestSeen::is_put).collect()
}

/// When the wait after this attempt began, or shortly before: an attempt without an answer was given up some time later.
fn failed_at(put: &RequestSeen) -> Instant {
    put.answered_at.unwrap_or(put.at)
}

/// The first attempt, and one for every wait that was over when the last invocation began. A wait that is over in that
/// invocation may be followed by an attempt or not.
fn called_for(puts: &[RequestSeen], waits: &[Duration], last_began: Instant, ended: Instant) -> CalledFor {
    let over_by = |at: Instant| puts.iter().zip(waits).filter(|(put, wait)| failed_at(put) + **wait <= at).count();
    let first = usize::from(!puts.is_empty());
    CalledFor { at_least: first + over_by(last_began), at_most: first + over_by(ended) }
}

/// Attempts that came before the wait after the attempt before was over, each with how much too early it came.
fn too_early(puts: &[RequestSeen], waits: &[Duration]) -> Vec<Duration> {
    let early = |(pair, wait): (&[RequestSeen], &Duration)| {
        let due = failed_at(&pair[0]) + *wait;
        Some(due.saturating_duration_since(pair[1].at)).filter(|early| *early > ROUNDING)
    };
    puts.windows(2).zip(waits).filter_map(early).collect()
}

fn early(too_early: &[Duration]) -> String {
    let worst = too_early.iter().max().map(|worst| format!(" by {:.0} ms", worst.as_secs_f64() * 1e3));
    format!("{}{}", too_early.len(), worst.unwrap_or_default())
}

pub fn report(all: &[Counted]) {
    heading("2. Outages (handlers of 5 ms; the store is down from the first invocation to the last)");
    println!(
        "{:<11} {:<13} {:>5} | {:>11} {:>10} {:>10} | {:>8} {:>10} {:>7} {:>13} {:>7} | as promised",
        "drain",
        "the store",
        "calls",
        "held before",
        "for probes",
        "held after",
        "attempts",
        "called for",
        "waits",
        "too early",
        "outages"
    );
    for counted in all {
        let Counted { scenario, held_before, held_for_probes, held_after, attempts, waits, called_for, .. } = counted;
        let CalledFor { at_least, at_most } = *called_for;
        let called_for = if at_least == at_most { at_most.to_string() } else { format!("{at_least}..{at_most}") };
        println!(
            "{:<11} {:<13} {:>5} | {held_before:>11} {held_for_probes:>10} {held_after:>10} | {attempts:>8} {called_for:>10} {waits:>7} {:>13} {:>7} | {}",
            scenario.drain,
            scenario.rhythm.name(),
            scenario.invocations,
            early(&counted.too_early),
            counted.outages,
            if counted.is_as_promised() { "yes" } else { "NO" }
        );
    }
    println!(
        "         held before, after: plans that hold before and after the breaker opened; for probes: after it, one is given its time\n         \
         because freezes cut others short, when those are 4, then 8, 16, and so on; attempts: PUTs that the store saw; called for:\n         \
         the first, and one for every wait of the log that was over when the last invocation began, or in it; too early: attempts\n         \
         within such a wait, and the worst of them"
    );
}
