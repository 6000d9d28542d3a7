//! How fast a function may log: the real process under the platform's queue rule, which drops a body that is due while the one
//! before has no answer.

use std::time::Duration;

use sandbox::{Fate, Ledger, Work};
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
const RUNS: u32 = 3;
/// A function that reaches less of its rate than this is held up by whoever reads its lines: the sandbox is at its end.
const REACHED_MIN: f64 = 0.9;
/// Halvings of the range between the highest rate without a drop and the lowest with one.
const HALVINGS: u32 = 3;

struct Storm {
    rate: u32,
    lines: u32,
    /// Lines a second, from the first event to the last.
    reached: f64,
    bodies: usize,
    dropped: usize,
    dropped_bodies: usize,
}

impl Storm {
    async fn run(rate: u32) -> Self {
        let world = World::new().await;
        let sandbox = world
            .sandbox()
            .queue_rule(true)
            .function_timeout(Duration::from_secs(60))
            .extension_env("LOGSPOOL_DRAIN", "background")
            .start()
            .await
            .expect("the environment starts");
        sandbox.invoke(Work::default()).await;
        let lines = u32::try_from(u128::from(rate) * STORM.as_millis() / 1_000).expect("a storm is short");
        let work = Work { lines, line_bytes: LINE_BYTES, lines_per_second: Some(rate), ..Work::default() };
        let storm = sandbox.invoke_start(work);
        let request_id = storm.request_id().to_owned();
        storm.finished().await;
        let ledger = sandbox.ledger();
        let (first, last) = span(&ledger, &request_id);
        sandbox.shutdown(sandbox::ShutdownReason::Spindown).await;
        let ledger = sandbox.ledger();
        let storm = Self {
            rate,
            lines,
            reached: f64::from(lines) / (last - first).as_seconds_f64().max(1e-3),
            bodies: world.segments(),
            dropped: ledger.with_fate(Fate::Dropped).filter(|event| event.kind == "function").count(),
            dropped_bodies: ledger.of_kind("platform.logsDropped").count(),
        };
        eprintln!("storm: {rate} lines/s offered, {:.0} reached, {} dropped", storm.reached, storm.dropped);
        storm
    }

    fn is_reached(&self) -> bool {
        self.reached >= REACHED_MIN * f64::from(self.rate)
    }

    fn print(&self, verdict: &str) {
        println!(
            "{:>9} {:>9} {:>9.0} | {:>8} {:>9} | {verdict}",
            self.rate, self.lines, self.reached, self.dropped, self.dropped_bodies
        );
    }
}
