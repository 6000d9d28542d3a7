//! Functions clear their `/tmp`. Whatever they remove while appends run, nothing acknowledged is lost, unless the process is
//! killed before it has looked; of more segments than keep their descriptors, what is lost is told.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ledger::writer::Writer;
use ledger::{Ledger, no_limits};
use spool::LossCause;

/// Appends between two looks: far more than a second's worth may go into files without a name.
const APPENDS_BETWEEN_LOOKS: u32 = 40;
/// Segments that keep their descriptors.
const DESCRIPTORS: usize = 64;
const SEEDS: u64 = 6;

/// A program that is just being started holds all descriptors of this process until it runs, which may be after `spawn` has
/// returned, and with them the locks of a life that has died meanwhile. A real one dies with all of its threads.
static STARTS: Mutex<()> = Mutex::new(());

fn no_starts() -> MutexGuard<'static, ()> {
    STARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Another program, which clears a directory whenever it is told to.
struct Clearer {
    child: Child,
    orders: Option<ChildStdin>,
    cleared: Receiver<()>,
}

const FIND_DELETE: [&str; 3] = ["sh", "-c", "echo; while read -r _; do find \"$0\" -mindepth 1 -delete; echo; done"];
const RMTREE: [&str; 3] = [
    "python3",
    "-c",
    "import shutil, sys; print(flush=True)\nfor _ in sys.stdin: shutil.rmtree(sys.argv[1], ignore_errors=True); print(flush=True)",
];

impl Clearer {
    /// `None`, with a line, where the program is missing.
    fn start(program: [&str; 3], root: &Path) -> Option<Self> {
        let mut command = Command::new(program[0]);
        // What it says about files that vanish under it too is its own affair.
        command.args(&program[1..]).arg(root).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let _no_other = no_starts();
        let started = command.spawn().inspect_err(|error| println!("SKIPPED, {}: {error}", program[0]));
        let mut child = started.ok()?;
        let (orders, mut lines) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()).lines());
        lines.next().unwrap().unwrap();
        let (sender, cleared) = channel();
        std::thread::spawn(move || lines.for_each(|_| _ = sender.send(())));
        Some(Self { child, orders, cleared })
    }

    fn begin(&mut self) {
        self.orders.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn has_cleared(&self) -> bool {
        self.cleared.try_recv().is_ok()
    }

    fn clear(&mut self) {
        self.begin();
        self.cleared.recv().unwrap();
    }
}

impl Drop for Clearer {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// How a life goes on between two looks.
struct Habits {
    /// One append in so many is the last of its segment.
    appends_a_segment: u32,
    /// One look in so many is followed by a delivery.
    looks_a_delivery: u32,
    /// Segments that may wait to be delivered.
    waiting_max: usize,
    /// Looks, at most, before somebody clears again.
    quiet_looks: u32,
}

/// Everything that waits has its descriptor.
const DELIVERS: Habits = Habits { appends_a_segment: 8, looks_a_delivery: 5, waiting_max: DESCRIPTORS, quiet_looks: 2 };
/// Most of what waits has none.
const HOARDS: Habits = Habits { appends_a_segment: 2, looks_a_delivery: 40, waiting_max: 200, quiet_looks: 20 };

/// Appends, seals and delivers while another program clears the root again and again, until the process is killed. Returns
/// what became of it.
fn life_in_a_cleared_directory(program: [&str; 3], habits: &Habits, clearings: u32, seed: u64) -> Option<Ledger> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spools");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut writer = Writer::new(&root, no_limits());
    writer.spool.settle_in();
    let mut clearer = Clearer::start(program, &root)?;
    for _ in 0..clearings {
        for _ in 0..rng.u32(0..habits.quiet_looks) {
            step(&mut writer, habits, &mut rng);
        }
        clearer.begin();
        let mut has_cleared = false;
        while !has_cleared {
            has_cleared = clearer.has_cleared();
            step(&mut writer, habits, &mut rng);
        }
        if rng.u32(0..4) == 0 {
            writer.deliver_orphans();
        }
    }
    // The last look, and what it leads to. Then the process is killed.
    writer.check_place();
    writer.rescue();
    assert!(!writer.spool.is_volatile() && writer.spool.is_in_place(), "seed {seed}");
    let (fled, refused) = (writer.fled, writer.refused);
    let ledger = {
        let _no_other = no_starts();
        writer.die()
    };
    println!(
        "{} seed {seed}: {clearings} times cleared, {} acknowledged, {} delivered, {} vanished, {fled} times in memory",
        program[0],
        ledger.acknowledged(),
        ledger.delivered(),
        ledger.declared(LossCause::Vanished),
    );
    assert_eq!(refused, 0, "seed {seed}: an append does not notice");
    Some(ledger)
}

fn step(writer: &mut Writer, habits: &Habits, rng: &mut fastrand::Rng) {
    for _ in 0..rng.u32(0..APPENDS_BETWEEN_LOOKS) {
        assert!(writer.append(rng.u32(1..4)), "an append does not notice");
        if rng.u32(0..habits.appends_a_segment) == 0 {
            writer.seal();
        }
        if writer.spool.undelivered() >= habits.waiting_max {
            writer.deliver();
        }
    }
    writer.check_place();
    if rng.bool() {
        writer.rescue();
    }
    if rng.u32(0..habits.looks_a_delivery) == 0 {
        writer.deliver();
    }
    if rng.u32(0..20) == 0 {
        writer.deliver_orphans();
    }
}

fn seeds() -> std::ops::Range<u64> {
    let seed = std::env::var("SPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123);
    seed..seed + SEEDS
}

fn nothing_is_lost(program: [&str; 3]) {
    for seed in seeds() {
        let Some(ledger) = life_in_a_cleared_directory(program, &DELIVERS, 25, seed) else { return };
        ledger.check(&[]);
        assert!(ledger.delivered() >= ledger.acknowledged(), "seed {seed}");
    }
}

fn nothing_is_lost_silently(program: [&str; 3]) {
    let mut vanished = 0;
    for seed in seeds() {
        let Some(ledger) = life_in_a_cleared_directory(program, &HOARDS, 5, seed) else { return };
        ledger.check(&[LossCause::Vanished]);
        vanished += ledger.declared(LossCause::Vanished);
    }
    assert!(vanished > 0, "files without a descriptor were cleared");
}

#[test]
fn find_delete_while_appends_run_loses_nothing() {
    nothing_is_lost(FIND_DELETE);
}

#[test]
fn rmtree_of_the_root_while_appends_run_loses_nothing() {
    nothing_is_lost(RMTREE);
}

#[test]
fn find_delete_of_more_files_than_descriptors_loses_nothing_silently() {
    nothing_is_lost_silently(FIND_DELETE);
}

#[test]
fn rmtree_of_more_files_than_descriptors_loses_nothing_silently() {
    nothing_is_lost_silently(RMTREE);
}

#[test]
fn what_was_cleared_before_a_kill_without_a_look_is_all_that_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spools");
    let mut writer = Writer::new(&root, no_limits());
    let Some(mut clearer) = Clearer::start(FIND_DELETE, &root) else { return };
    assert!(writer.append(5));
    clearer.clear();
    assert!(writer.append(5));
    writer.check_place();
    writer.rescue();
    assert!(writer.append(3));
    clearer.clear();
    // Killed before the next look: the life that was in the directory is gone with it, and so is the one before it.
    let _no_other = no_starts();
    let ledger = writer.die();
    assert_eq!((ledger.acknowledged(), ledger.delivered()), (13, 0));
}
