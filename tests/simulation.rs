//! Whole lives of the lifecycle's machine in a world that is made from a seed: invocations, freezes, clocks that are set, a
//! store that is up, slow, hanging, failing or silent about what it did, SIGKILL before any action, resets, SHUTDOWN at any
//! time. No clock is looked at and nothing waits, so a life takes a fraction of a millisecond.
//!
//! `LOGSPOOL_SIM_SEED=n cargo test --test simulation` tells the story of one seed; `LOGSPOOL_SIM_SEEDS=n` runs another number.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod simulated;

use simulated::disk::Disk;
use simulated::model::ModelDisk;
use simulated::real::RealDisk;
use simulated::tally::Tally;
use simulated::world::World;

const MODEL_SEEDS: u64 = 20_000;
const REAL_SEEDS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Lives out every seed, or the one that is asked for, and returns what has happened in all of them.
fn live<D: Disk>(seeds: u64, disk: impl Fn(u64) -> D) -> Tally {
    let mut tally = Tally::default();
    let one = number("LOGSPOOL_SIM_SEED");
    let seeds = one.map_or(0..number("LOGSPOOL_SIM_SEEDS").unwrap_or(seeds), |seed| seed..seed + 1);
    let mut findings = Vec::new();
    for seed in seeds {
        let mut world = World::new(seed, disk(seed), one.is_some());
        world.live();
        if let Some(finding) = world.finding() {
            findings.push(format!("seed {seed}: {finding}"));
        }
        tally.add(&world.tally());
    }
    println!("{tally:#?}");
    let shown = findings.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(findings.is_empty(), "{} seeds have findings:\n{shown}", findings.len());
    tally
}

#[test]
fn in_every_world_nothing_is_lost_doubled_held_too_long_or_left_behind() {
    let tally = live(MODEL_SEEDS, ModelDisk::new);
    if number("LOGSPOOL_SIM_SEED").is_none() {
        assert_eq!(tally.rarest(), None, "something hardly ever happens: {tally:#?}");
    }
}

#[test]
fn the_same_holds_with_the_real_spool_on_a_directory() {
    live(REAL_SEEDS, RealDisk::new);
}
