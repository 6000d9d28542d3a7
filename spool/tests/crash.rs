//! Acknowledged records survive SIGKILL at a random instant.
//!
//! The supervisor runs this program again as a child over one directory, kills it, and runs the next one, which adopts what
//! it finds. A child delivers as the product does: objects go into a directory under their label, and one that is there
//! already must have the same bytes. It tells on its standard output what it is about to do and what was acknowledged.
//!
//! * Every record can be computed from its spool and its number, so what is delivered is checked byte for byte: for each
//!   spool the ranges join from 0 to its end, and the end lies between what was acknowledged and what was tried.
//! * SIGKILL by the supervisor and an orderly end are the ways to die; anything else is a failed start or a bug.
//! * Half of the kills fall into creation and into adoption of what the last one left: the supervisor sees where a kill fell
//!   and aims the next one by it, and the test fails if they did not.
//! * `SPOOL_TEST_KILLS` asks for more kills than 500, `SPOOL_TEST_SEED` replays the decisions of a run. The instants of the kills
//!   are the machine's.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod crash_world;
mod world;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use crash_world::PLACE;
use crash_world::aim::Aim;
use crash_world::child::Child;
use crash_world::life::{Life, confess_panics};
use crash_world::tally::Tally;

const SIGKILL: i32 = 9;
/// Kills, unless others are asked for.
const KILLS: u64 = 500;
/// A line is printed after so many kills.
const PROGRESS_KILLS: u64 = 1_000;

fn main() {
    match std::env::var_os(PLACE) {
        Some(place) => {
            confess_panics();
            Life::new(Path::new(&place)).run();
        }
        None => supervise(),
    }
}

fn supervise() {
    let seed = world::seed(20_261_123);
    let kills = world::number("SPOOL_TEST_KILLS").unwrap_or(KILLS);
    println!("acknowledged_records_survive_sigkill_at_a_random_instant: {kills} kills, seed {seed}");
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("objects")).unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut tally, mut aim) = (Tally::default(), Aim::new());
    while aim.kills() < kills {
        let (target, delay) = aim.next(&mut rng);
        let child = Child::start(place.path(), rng.u64(..), false);
        let end = child.killed_after(delay, &mut tally);
        let was_killed = end.status.signal() == Some(SIGKILL);
        assert!(was_killed || end.status.success(), "a life ended by itself with {}; seed {seed}, {aim}", end.status);
        aim.fell(target, was_killed.then(|| end.phase()));
        if was_killed && aim.kills() % PROGRESS_KILLS == 0 {
            println!("{aim}");
        }
    }
    let last = Child::start(place.path(), rng.u64(..), true).killed_after(Duration::MAX, &mut tally);
    assert!(last.status.success(), "the last life ended with {}; seed {seed}", last.status);
    assert_eq!(world::names(&place.path().join("spools")), Vec::<String>::new(), "seed {seed}: nothing is left");
    let delivered = tally.judge(&place.path().join("objects"), seed);
    println!("{aim}");
    aim.judge(seed);
    let (spools, torn) = (tally.spools.len(), tally.torn);
    println!("ok: {delivered} records of {spools} spools delivered once, 0 lost, 0 invented, {torn} torn tails");
}
