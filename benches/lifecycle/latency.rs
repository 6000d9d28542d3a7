//! From the end of the function to our `next`, beside an extension that only waits for that end.

use std::time::Duration;

use sandbox::s3::RequestSeen;
use sandbox::{ReferenceExtension, Sandbox, ShutdownReason, Work};

use crate::stage::{invoke_and_freeze, ours, progress, reference};
use crate::table::{heading, median, millis, percentile, quotient, verdict};
use crate::world::World;

const RATIO_MAX: f64 = 1.5;
/// What runs before everything is in place.
const WARM: usize = 5;

struct Scenario {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    lines: u32,
    handler_ms: u64,
}

/// The platform hands over what it has 25 ms after the first event of a batch. The end of a function that has logged nothing
/// for so long waits for all of it; the end of one that takes 20 ms leaves with what was said at its beginning: of all
/// handlers it is the one that shows our own time most.
const SCENARIOS: [Scenario; 6] = [
    Scenario { name: "5 lines, a PUT each", settings: &[("DRAIN", "end")], lines: 5, handler_ms: 200 },
    Scenario { name: "5 lines, a PUT each", settings: &[("DRAIN", "end")], lines: 5, handler_ms: 40 },
    Scenario { name: "1,000 lines, a PUT each", settings: &[("DRAIN", "end")], lines: 1_000, handler_ms: 40 },
    Scenario { name: "5 lines, a PUT each", settings: &[("DRAIN", "end")], lines: 5, handler_ms: 20 },
    Scenario { name: "5 lines, a PUT each", settings: &[("DRAIN", "end")], lines: 5, handler_ms: 5 },
    Scenario {
        name: "nothing to deliver",
        settings: &[("DRAIN", "end"), ("TYPES", "function")],
        lines: 0,
        handler_ms: 40,
    },
];

pub async fn report(invocations: usize) {
    heading(
        "3. From the function's `next` to ours, with DRAIN=end, by turns with an extension that only waits for runtimeDone (ms)",
    );
    println!(
        "{:<23} {:>7} | {:>5} {:>5} | {:>8} {:>8} {:>8} | {:>8} {:>8} | {:>9} {:<13} {:>9}",
        "an invocation",
        "handler",
        "calls",
        "PUTs",
        "ours p50",
        "p90",
        "in store",
        "ref. p50",
        "p90",
        "p50 ratio",
        "to reach",
        "p90 ratio"
    );
    for scenario in &SCENARIOS {
        let world = World::new().await;
        let (mine, other) =
            (ours(&world, scenario.settings).await, reference(ReferenceExtension::WaitsForRuntimeDone).await);
        let work = Work { lines: scenario.lines, sleep_ms: scenario.handler_ms, ..Work::default() };
        by_turns(&mine, &other, &work, WARM).await;
        let before = world.s3.requests().len();
        let (mut mine_held, mut other_held) = by_turns(&mine, &other, &work, invocations).await;
        let mut in_store = in_store(&world.s3.requests()[before..]);
        let puts = in_store.len();
        let in_store = if puts > 0 { millis(median(&mut in_store)) } else { "-".to_owned() };
        let times = quotient(median(&mut mine_held), median(&mut other_held));
        println!(
            "{:<23} {:>4} ms | {invocations:>5} {puts:>5} | {:>8} {:>8} {in_store:>8} | {:>8} {:>8} | {times:>9.2} {:<13} {:>9.2}",
            scenario.name,
            scenario.handler_ms,
            millis(median(&mut mine_held)),
            millis(percentile(&mut mine_held, 90)),
            millis(median(&mut other_held)),
            millis(percentile(&mut other_held, 90)),
            format!("<= {RATIO_MAX} {}", verdict(times, RATIO_MAX)),
            quotient(percentile(&mut mine_held, 90), percentile(&mut other_held, 90)),
        );
        mine.shutdown(ShutdownReason::Spindown).await;
    }
    println!(
        "         the platform hands over what it has 25 ms after the first event of a batch, to both: all of it is in the times of\n         \
         handlers of 40 and 200 ms, most of it in those of 5 ms, little of it in those of 20 ms; in store: from the head of a PUT at the S3 server\n         \
         to its answer, p50"
    );
}

/// From the head of each upload to its answer.
fn in_store(seen: &[RequestSeen]) -> Vec<Duration> {
    let puts = seen.iter().filter(|request| request.is_put());
    puts.filter_map(|put| Some(put.answered_at?.saturating_duration_since(put.at))).collect()
}

async fn by_turns(mine: &Sandbox, other: &Sandbox, work: &Work, turns: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (mut mine_held, mut other_held) = (Vec::new(), Vec::new());
    for turn in 1..=turns {
        // Whoever comes second finds a machine that is awake, so they take turns at that too.
        for is_mine in [turn % 2 == 0, turn % 2 != 0] {
            let (sandbox, held) = if is_mine { (mine, &mut mine_held) } else { (other, &mut other_held) };
            held.push(invoke_and_freeze(sandbox, work.clone()).await.held);
        }
        if turns > WARM {
            progress("latency", turn, turns);
        }
    }
    (mine_held, other_held)
}
