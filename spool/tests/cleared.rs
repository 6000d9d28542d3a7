//! Functions clear their `/tmp`. Whatever they remove while appends run, nothing acknowledged is lost, unless the process is
//! killed before it has looked.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use ledger::no_limits;
use ledger::writer::Writer;

/// Appends between two looks: far more than a second's worth may go into files without a name.
const APPENDS_BETWEEN_LOOKS: u32 = 40;

fn find_delete(root: &Path) -> Command {
    let mut command = Command::new("find");
    command.arg(root).args(["-mindepth", "1", "-delete"]);
    command
}

fn rmtree(root: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"]).arg(root);
    command
}

fn start(mut command: Command) -> Option<Child> {
    // What it says about files that vanish under it too is its own affair.
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

/// Appends, seals and delivers while another process clears the root again and again. Returns how often it did.
fn life_in_a_cleared_directory(clear: fn(&Path) -> Command, clearings: u32, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spools");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut writer = Writer::new(&root, no_limits());
    writer.spool.settle_in();
    for _ in 0..clearings {
        let Some(mut clearer) = start(clear(&root)) else {
            println!("SKIPPED, {:?} cannot be started", clear(&root).get_program());
            return;
        };
        let mut is_clearing = true;
        while is_clearing {
            is_clearing = clearer.try_wait().unwrap().is_none();
            step(&mut writer, &mut rng);
        }
        if rng.u32(0..4) == 0 {
            writer.deliver_orphans();
        }
    }
    // The last look, and what it leads to. Then the process is killed.
    writer.check_place();
    writer.rescue();
    assert!(!writer.spool.is_volatile() && writer.spool.is_in_place(), "seed {seed}");
    let fled = writer.fled;
    let ledger = writer.die();
    ledger.check(&[]);
    assert_eq!(ledger.acknowledged() as u64 > 0, ledger.delivered() > 0);
    println!(
        "seed {seed}: {clearings} times cleared, {} acknowledged and delivered, {fled} times in memory",
        ledger.delivered()
    );
}

fn step(writer: &mut Writer, rng: &mut fastrand::Rng) {
    for _ in 0..rng.u32(0..APPENDS_BETWEEN_LOOKS) {
        assert!(writer.append(rng.u32(1..4)), "an append does not notice");
        if rng.u32(0..8) == 0 {
            writer.seal();
        }
    }
    writer.check_place();
    if rng.bool() {
        writer.rescue();
    }
    if rng.u32(0..5) == 0 {
        writer.deliver();
    }
}

fn seed() -> u64 {
    std::env::var("SPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123)
}

#[test]
fn find_delete_while_appends_run_loses_nothing() {
    for seed in seed()..seed() + 4 {
        life_in_a_cleared_directory(find_delete, 12, seed);
    }
}

#[test]
fn rmtree_of_the_root_while_appends_run_loses_nothing() {
    life_in_a_cleared_directory(rmtree, 12, seed());
}

#[test]
fn what_was_cleared_before_a_kill_without_a_look_is_all_that_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spools");
    let mut writer = Writer::new(&root, no_limits());
    assert!(writer.append(5));
    assert!(find_delete(&root).status().unwrap().success());
    assert!(writer.append(5));
    writer.check_place();
    writer.rescue();
    assert!(writer.append(3));
    assert!(find_delete(&root).status().unwrap().success());
    // Killed before the next look: the life that was in the directory is gone with it, and so is the one before it.
    let ledger = writer.die();
    assert_eq!((ledger.acknowledged(), ledger.delivered()), (13, 0));
}
