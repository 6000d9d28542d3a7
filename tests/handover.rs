//! P7 as a property: whatever events the platform has, however it cuts them into bodies, in the middle of a record too, and
//! whatever it offers again, also to a process that is reborn: every line is delivered once, in order, byte for byte and with
//! the same request id. A record that was cut when the process died is delivered in its parts.
//!
//! `LOGSPOOL_HANDOVER_SEED=n cargo test --test handover` tells the story of one seed; `LOGSPOOL_HANDOVER_SEEDS=n` runs another
//! number.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

#[path = "handover/events.rs"]
mod events;
#[path = "handover/platform.rs"]
mod platform;
#[path = "handover/process.rs"]
mod process;

use platform::Platform;

const SEEDS: u64 = 800;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn every_line_is_delivered_once_however_it_was_handed_over() {
    let one = number("LOGSPOOL_HANDOVER_SEED");
    let seeds = one.map_or(0..number("LOGSPOOL_HANDOVER_SEEDS").unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (mut findings, mut tally) = (Vec::new(), platform::Tally::default());
    for seed in seeds {
        let mut platform = Platform::new(seed, one.is_some());
        platform.hand_everything_over();
        let (found, told) = platform.end();
        findings.extend(found.into_iter().map(|finding| format!("seed {seed}: {finding}")));
        tally.add(&told);
    }
    println!("{tally:?}");
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings[..findings.len().min(10)].join("\n"));
    assert!(one.is_some() || tally.rarest() >= 100, "something hardly ever happens: {tally:?}");
}
