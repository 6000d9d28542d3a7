//! What the lifecycle does with the real process, beside what it promises: `cargo bench --bench lifecycle`. Prints tables;
//! needs no network and leaves nothing. `LIFECYCLE_INVOCATIONS=n` makes it shorter or longer (default 200); `-- latency` or
//! other words of [`SECTIONS`] run a part of it.
//!
//! * Counts do not depend on the machine, and must be as promised: `NO` marks a row that is not.
//! * Times and CPU say how it is on this machine now, beside an extension that does nothing, by turns. A target that is missed
//!   is marked `MISSED`; nothing fails, since a clock must not decide over a build.
//! * Between invocations the environment is frozen, as on Lambda.

mod counts;
mod cpu;
mod diary;
mod latency;
mod outage;
mod stage;
#[path = "../../spool/benches/spool/table.rs"]
#[allow(dead_code, reason = "shared with the benchmark of the spool")]
mod table;
#[path = "../../tests/world/mod.rs"]
mod world;

use std::time::Instant;

const INVOCATIONS: usize = 200;

fn invocations() -> usize {
    let Ok(text) = std::env::var("LIFECYCLE_INVOCATIONS") else { return INVOCATIONS };
    text.parse().ok().filter(|invocations| *invocations > 0).unwrap_or_else(|| {
        eprintln!("LIFECYCLE_INVOCATIONS={text:?} is no number of invocations; using {INVOCATIONS}");
        INVOCATIONS
    })
}

/// Parts that can be asked for.
const SECTIONS: [&str; 4] = ["counts", "outages", "latency", "cpu"];

/// What is asked for; everything by default.
fn sections() -> Vec<&'static str> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked: Vec<_> = SECTIONS.into_iter().filter(|section| words.iter().any(|word| word == section)).collect();
    if asked.is_empty() { SECTIONS.to_vec() } else { asked }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (began, invocations, sections) = (Instant::now(), invocations(), sections());
    let is_asked = |section: &str| sections.contains(&section);
    println!(
        "logspool: the real process in a local Lambda environment, with a local S3 server; {invocations} invocations a row."
    );
    // What is counted does not depend on what else runs; what is timed runs alone.
    let (counts, outages) = tokio::join!(
        async { if is_asked("counts") { counts::measure(invocations).await } else { Vec::new() } },
        async { if is_asked("outages") { outage::measure(invocations).await } else { Vec::new() } },
    );
    if is_asked("counts") {
        counts::report(&counts);
    }
    if is_asked("outages") {
        outage::report(&outages);
    }
    if is_asked("latency") {
        latency::report((invocations / 2).max(1)).await;
    }
    if is_asked("cpu") {
        cpu::report(invocations).await;
    }
    eprintln!("It took {:.0} s.", began.elapsed().as_secs_f64());
}
