//! How often an environment waits for us while the store works.

use std::time::Duration;

use sandbox::Work;

use crate::diary::{Decision, Diary};
use crate::stage::{Seen, invoke_and_freeze, ours, progress};
use crate::table::heading;
use crate::world::World;

/// A store within the region. Longer than a handler of 5 ms, so that a hold is one that can be seen.
const LATENCY: Duration = Duration::from_millis(50);

struct Scenario {
    name: &'static str,
    handler_ms: u64,
    settings: &'static [(&'static str, &'static str)],
    promise: &'static str,
    keeps: fn(&Counted) -> bool,
}

const LONG: [Scenario; 2] = [
    Scenario {
        name: "background",
        handler_ms: 200,
        settings: &[("DRAIN", "background"), ("SEAL_AGE", "1s")],
        promise: "never last",
        keeps: |counted| counted.last == 0 && counted.held == 0 && counted.uploads > 0,
    },
    Scenario {
        name: "adaptive",
        handler_ms: 200,
        settings: &[("DRAIN", "adaptive"), ("SEAL_AGE", "1s")],
        promise: "last as decided",
        keeps: Counted::is_as_decided,
    },
];
const SHORT: [Scenario; 3] = [
    Scenario {
        name: "background",
        handler_ms: 5,
        settings: &[("DRAIN", "background"), ("SEAL_INVOCATIONS", "10")],
        promise: "last as starved",
        keeps: |counted| counted.is_as_decided() && counted.last == counted.starved,
    },
    Scenario {
        name: "end",
        handler_ms: 5,
        settings: &[("DRAIN", "end")],
        promise: "last as decided",
        keeps: Counted::is_as_decided,
    },
    Scenario {
        name: "adaptive",
        handler_ms: 5,
        settings: &[("DRAIN", "adaptive"), ("SEAL_AGE", "1s")],
        promise: "last as decided",
        keeps: Counted::is_as_decided,
    },
];

/// What was counted of a scenario.
pub struct Counted {
    scenario: &'static Scenario,
    invocations: usize,
    last: u64,
    held: u64,
    starved: u64,
    /// Plans that hold.
    planned: u64,
    /// Invocations in which we were last and no plan holds.
    last_unplanned: u64,
    /// Invocations whose plan holds and in which we were not last.
    planned_not_last: u64,
    uploads: usize,
    delivered: u64,
    freezes: usize,
}

impl Counted {
    fn is_as_decided(&self) -> bool {
        (self.last, self.held) == (self.planned, self.planned)
            && self.last_unplanned + self.planned_not_last == 0
            && self.uploads > 0
    }
}

/// Runs everything. Long handlers run beside each other, since they mostly sleep; a busy machine makes short ones long.
pub async fn measure(invocations: usize) -> Vec<Counted> {
    let [first, second] = &LONG;
    let (first, second) = tokio::join!(run(first, invocations), run(second, invocations));
    let mut counted = vec![first, second];
    for scenario in &SHORT {
        counted.push(run(scenario, invocations).await);
    }
    counted
}

async fn run(scenario: &'static Scenario, invocations: usize) -> Counted {
    let world = World::new().await;
    world.s3.set_latency(LATENCY);
    let settings: Vec<_> = scenario.settings.iter().copied().chain([("LOG", "debug")]).collect();
    let sandbox = ours(&world, &settings).await;
    let mut seen = Vec::new();
    for done in 1..=invocations {
        let work = Work { sleep_ms: scenario.handler_ms, ..Work::default() };
        seen.push(invoke_and_freeze(&sandbox, work).await);
        progress(&format!("{} with {} ms", scenario.name, scenario.handler_ms), done, invocations);
    }
    let uploads = world.puts();
    world.end(&sandbox).await;
    let diary = Diary::read(&sandbox.extension_output());
    assert_eq!(diary.decisions.len(), invocations, "every invocation is decided on");
    let (planned_not_last, last_unplanned) = compare(&diary.decisions, &seen);
    Counted {
        scenario,
        invocations,
        last: seen.iter().filter(|seen| seen.we_were_last()).count() as u64,
        held: diary.summary("held"),
        starved: diary.summary("held_for_starved_upload"),
        planned: diary.holds() as u64,
        last_unplanned,
        planned_not_last,
        uploads,
        delivered: diary.summary("delivered"),
        freezes: seen.len(),
    }
}

/// Invocation by invocation: holds in which we were not last, and invocations without a hold in which we were.
fn compare(decisions: &[Decision], seen: &[Seen]) -> (u64, u64) {
    let (mut not_last, mut unplanned) = (0, 0);
    for (decision, seen) in decisions.iter().zip(seen) {
        assert_eq!(decision.request_id, seen.request_id, "decisions come in the order of invocations");
        not_last += u64::from(decision.holds() && !seen.we_were_last());
        unplanned += u64::from(!decision.holds() && seen.we_were_last());
    }
    (not_last, unplanned)
}

pub fn report(all: &[Counted]) {
    heading("1. How often an environment waits for us (the store answers after 50 ms)");
    println!(
        "{:<11} {:>7} | {:>5} {:>5} {:>5} {:>7} {:>5} | {:>9} {:>9} | {:>4} {:>9} {:>6} | as promised",
        "drain",
        "handler",
        "calls",
        "last",
        "held",
        "starved",
        "plans",
        "unplanned",
        "not last",
        "PUTs",
        "delivered",
        "frozen"
    );
    for counted in all {
        let Counted { scenario, invocations, last, held, starved, planned, .. } = counted;
        println!(
            "{:<11} {:>4} ms | {invocations:>5} {last:>5} {held:>5} {starved:>7} {planned:>5} | {:>9} {:>9} | {:>4} {:>9} {:>6} | {}: {}",
            scenario.name,
            scenario.handler_ms,
            counted.last_unplanned,
            counted.planned_not_last,
            counted.uploads,
            counted.delivered,
            counted.freezes,
            scenario.promise,
            if (scenario.keeps)(counted) { "yes" } else { "NO" }
        );
    }
    println!(
        "         held, starved: `held` and `held_for_starved_upload` of the summary line; plans: those of the decision log that hold;\n         \
         unplanned, not last: invocations in which log and environment differ; PUTs: seen by the store before SHUTDOWN;\n         \
         delivered: objects, those of SHUTDOWN included"
    );
}
