//! How fast a function may log: the real process under the platform's queue rule, which drops a body that is due while the one
//! before has no answer.

use std::time::Duration;

use sandbox::{Fate, Ledger, ReferenceExtension, Sandbox, ShutdownReason, Work};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::table::heading;
use crate::world::World;

const LINE_BYTES: usize = 200;
/// What is promised without a drop, in lines a second.
const RATE_TO_REACH: u32 = 50_000;
const RATE_MAX: u32 = 1_600_000;
/// How long a storm lasts, as far as the function can write that fast.
const STORM: Duration = Duration::from_millis(1_500);
const RUNS: u32 = 5;
/// A rate goes if it goes once: what else runs on the machine takes its share of the 25 ms, too.
const TRIES: u32 = 2;
/// A function that reaches less of its rate than this is held up by whoever reads its lines: the sandbox is at its end.
const REACHED_MIN: f64 = 0.9;
/// Halvings of the range between the highest rate without a drop and the lowest with one.
const HALVINGS: u32 = 3;

/// Who takes the telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taker {
    Ours,
    /// An extension that answers 200 and keeps nothing: what it loses is lost by the machine.
    Empty,
}

struct Storm {
    taker: Taker,
    rate: u32,
    lines: u32,
    /// Lines a second, from the first event to the last.
    reached: f64,
    /// Events that the platform dropped, its own among them, and in how many bodies.
    dropped: usize,
    dropped_bodies: usize,
}

impl Storm {
    async fn run(taker: Taker, rate: u32) -> Self {
        let world = World::new().await;
        let builder = match taker {
            Taker::Ours => world.sandbox().extension_env("LOGSPOOL_DRAIN", "background"),
            Taker::Empty => Sandbox::builder().reference_extension(ReferenceExtension::Loops),
        };
        let builder = builder.queue_rule(true).function_timeout(Duration::from_secs(60));
        let sandbox = builder.start().await.expect("the environment starts");
        sandbox.invoke(Work::default()).await;
        let lines = u32::try_from(u128::from(rate) * STORM.as_millis() / 1_000).expect("a storm is short");
        let work = Work { lines, line_bytes: LINE_BYTES, lines_per_second: Some(rate), ..Work::default() };
        let storm = sandbox.invoke_start(work);
        let request_id = storm.request_id().to_owned();
        storm.finished().await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let ledger = sandbox.ledger();
        let storm = Self {
            taker,
            rate,
            lines,
            reached: f64::from(lines) / took(&ledger, &request_id).as_seconds_f64().max(1e-3),
            dropped: ledger.with_fate(Fate::Dropped).count(),
            dropped_bodies: ledger.of_kind("platform.logsDropped").count(),
        };
        eprintln!("storm, {taker:?}: {rate} lines/s offered, {:.0} reached, {} dropped", storm.reached, storm.dropped);
        storm
    }

    fn is_reached(&self) -> bool {
        self.reached >= REACHED_MIN * f64::from(self.rate)
    }

    fn print(&self, verdict: &str) {
        println!(
            "{:<6} {:>9} {:>9} {:>9.0} | {:>8} {:>9} | {verdict}",
            format!("{:?}", self.taker).to_lowercase(),
            self.rate,
            self.lines,
            self.reached,
            self.dropped,
            self.dropped_bodies
        );
    }
}

/// From the first line of a request to the last, by the times of their events.
fn took(ledger: &Ledger, request_id: &str) -> time::Duration {
    let is_its = |record: &str| record.contains(request_id);
    let lines = ledger.of_kind("function").map(|entry| &entry.event).filter(|event| is_its(event.record.get()));
    let times = lines.map(|event| OffsetDateTime::parse(&event.time, &Rfc3339).expect("the platform writes times"));
    let (first, last) = times.fold((None, None), |(first, _), time| (first.or(Some(time)), Some(time)));
    first.zip(last).map_or(time::Duration::ZERO, |(first, last)| last - first)
}

pub fn report() {
    heading(
        "3. A function that logs at a rate (lines of 200 bytes for 1.5 s; one body on its way at a time, the next one due is dropped)",
    );
    println!(
        "{:<6} {:>9} {:>9} {:>9} | {:>8} {:>9} | to reach",
        "", "lines/s", "lines", "reached/s", "dropped", "in bodies"
    );
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime").block_on(async {
        let (highest, lowest) = rows().await;
        match lowest {
            Some(lowest) => println!("         highest rate without a drop: {highest}; lowest that was tried with one, or that the sandbox could not keep: {lowest}"),
            None => println!("         no drop up to {highest}"),
        }
    });
    println!(
        "         the real process, the sandbox that plays platform and store, and the function share this machine; empty: an extension that\n         \
         answers 200 and keeps nothing, by turns: what it loses is the machine's; dropped: events, the platform's own too; reached: from the\n         \
         first event to the last; a row is SLOW if the function was held up by the reader of its lines, which is the sandbox"
    );
}

/// The highest rate that went without a drop, and the lowest that did not.
async fn rows() -> (u32, Option<u32>) {
    let mut highest = 0;
    for _ in 0..RUNS {
        for taker in [Taker::Empty, Taker::Ours] {
            let storm = Storm::run(taker, RATE_TO_REACH).await;
            storm.print(match (taker, storm.is_reached(), storm.dropped) {
                (Taker::Empty, ..) => "",
                (_, false, _) => "0 SLOW",
                (_, _, 0) => "0 ok",
                _ => "0 MISSED",
            });
        }
        highest = RATE_TO_REACH;
    }
    let mut rate = 2 * RATE_TO_REACH;
    while goes(rate).await {
        highest = rate;
        rate *= 2;
        if rate > RATE_MAX {
            return (highest, None);
        }
    }
    let mut lowest = rate;
    for _ in 0..HALVINGS {
        let middle = highest.midpoint(lowest);
        if goes(middle).await { highest = middle } else { lowest = middle }
    }
    (highest, Some(lowest))
}

async fn goes(rate: u32) -> bool {
    for _ in 0..TRIES {
        let storm = Storm::run(Taker::Ours, rate).await;
        storm.print(if storm.is_reached() { "" } else { "SLOW" });
        if storm.dropped == 0 && storm.is_reached() {
            return true;
        }
    }
    false
}
