//! Every kill point: each call by which a fixed workload changes the disk is made the one that a kill keeps from happening,
//! one run a call. Then the next process adopts: nothing acknowledged is lost, nothing is invented, no start fails.
//!
//! A kill *before* call k is a kill *after* call k-1, so all calls together are all states that a kill can leave, torn single
//! writes aside (these are cut at every byte elsewhere). What the workload reports (a delivery, an end) is a call among them:
//! it stands for what an uploader does to the world outside.
//!
//! The test runs itself as the workload, under `strace --inject`. Calls are named by system call and ordinal; the workload
//! without a manifest has one thread, so they are the same in every run. With a manifest there are several threads, whose
//! order varies: the ordinal counts in each of them, and whoever comes to it first ends the process.
//!
//! All calls are made kill points; it takes less than a minute. Where tracing is forbidden the test says `SKIPPED` and proves
//! nothing.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;
mod strace;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

use ledger::{Ledger, NOW, append, append_half, append_resolving, identity, labeler, no_limits, shipped_half};
use spool::{LossCause, SealReason, SealedSegment, Spool, SpoolConfig, SpoolEvent, SpoolLimits};
use strace::Point;

/// Set in the environment of the process that is to be the workload: the spool root, and whether there is a manifest.
const WORKLOAD: &str = "SPOOL_TEST_WORKLOAD";
const WITH_MANIFEST: &str = "SPOOL_TEST_WORKLOAD_MANIFEST";
/// Runs in which a call of several threads should be reached.
const RUNS_MAX: usize = 50;

fn main() {
    if let Ok(root) = std::env::var(WORKLOAD) {
        return workload(Path::new(&root), std::env::var_os(WITH_MANIFEST).is_some());
    }
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    if let Err(why) = strace::works() {
        println!("kill_points: SKIPPED, {why}");
        return;
    }
    for with_manifest in [false, true] {
        supervise(with_manifest);
    }
}

// ---- the workload ----

/// Two earlier lives' worth of everything that writes: its output is what it vouches for.
fn workload(root: &Path, with_manifest: bool) {
    let mut earlier = create(root, 1);
    acknowledged(&mut earlier, 2);
    half(&mut earlier, 0);
    earlier.seal(SealReason::Size, NOW).unwrap();
    acknowledged(&mut earlier, 1);
    earlier.refuse(2, 20, NOW).unwrap();
    drop(earlier);

    let mut spool = create(root, 2);
    if with_manifest {
        spool.settle_in();
    }
    adopt(root, &spool);
    for records in [1, 3] {
        acknowledged(&mut spool, records);
    }
    half(&mut spool, 1);
    spool.seal(SealReason::Age, NOW).unwrap();
    deliver(&mut spool);
    half(&mut spool, 2);
    acknowledged(&mut spool, 2);
    spool.refuse(3, 30, NOW).unwrap();
    spool.refuse(1, 10, NOW).unwrap();
    acknowledged(&mut spool, 1);
    spool.count_platform_drops(5, 500).unwrap();
    // Evicts, by the limit of segments; neighbours are merged.
    for _ in 0..5 {
        acknowledged(&mut spool, 2);
        spool.seal(SealReason::InvocationEnd, NOW).unwrap();
    }
    deliver_newest_first(&mut spool);
    completed(&mut spool, 1);
    spool.seal(SealReason::Hour, NOW).unwrap();
    half(&mut spool, 3);
    acknowledged(&mut spool, 1);

    let left = spool.roll(identity(3), NOW).unwrap();
    drain(left);
    half(&mut spool, 4);
    acknowledged(&mut spool, 4);
    spool.refuse(2, 20, NOW).unwrap();
    completed(&mut spool, 1);
    let end = spool.next_seq().0;
    append(&mut spool, 1, true, NOW).unwrap();
    println!("ack {} {end} 1", spool.id());
    spool.seal(SealReason::Shutdown, NOW).unwrap();
    deliver(&mut spool);
    assert!(spool.remove_if_empty().unwrap(), "an orderly end leaves nothing");
}

fn config(root: &Path) -> SpoolConfig {
    ledger::config(root, SpoolLimits { segments_max: 4, ..no_limits() })
}

fn create(root: &Path, life: u32) -> Spool {
    Spool::create(config(root), identity(life), NOW).expect("no start fails")
}

fn acknowledged(spool: &mut Spool, records: u32) {
    // Nothing is refused at the moment of the append: the numbers are those that are next.
    append(spool, records, false, NOW).unwrap();
    println!("ack {} {} {records}", spool.id(), spool.next_seq().0 - u64::from(records));
}

/// The n-th half of a record, in the place of what is pending.
fn half(spool: &mut Spool, n: u64) {
    println!("half? {} {n}", spool.id());
    append_half(spool, n, NOW).unwrap();
    println!("half {} {n}", spool.id());
}

/// Lines that complete what is pending.
fn completed(spool: &mut Spool, records: u32) {
    let (id, first) = (spool.id(), spool.next_seq().0);
    println!("whole? {id} {first}");
    let pending = spool.pending_fragment();
    append_resolving(spool, records, false, pending, NOW).unwrap();
    println!("ack {id} {first} {records}");
}

fn waiting(spool: &mut Spool) -> Vec<SpoolEvent> {
    let mut waiting: BTreeMap<_, SpoolEvent> = BTreeMap::new();
    for event in spool.take_events() {
        match &event {
            SpoolEvent::Sealed(segment) => drop(waiting.insert(segment.key(), event)),
            SpoolEvent::Dropped(range) => drop(waiting.insert(range.key(), event)),
            SpoolEvent::Gone(key) => drop(waiting.remove(key)),
            SpoolEvent::Drained(..) => {}
        }
    }
    waiting.into_values().collect()
}

fn deliver(spool: &mut Spool) {
    waiting(spool).into_iter().for_each(|event| deliver_one(spool, event));
}

fn deliver_newest_first(spool: &mut Spool) {
    waiting(spool).into_iter().rev().for_each(|event| deliver_one(spool, event));
}

fn deliver_one(spool: &mut Spool, event: SpoolEvent) {
    let key = match event {
        SpoolEvent::Sealed(segment) => {
            spool.attempt_begun(&segment.key());
            put(&segment);
            segment.key()
        }
        SpoolEvent::Dropped(range) => {
            told(&range);
            range.key()
        }
        SpoolEvent::Gone(_) | SpoolEvent::Drained(..) => return,
    };
    spool.remove(&key).unwrap();
}

/// The object is where it should be from here on.
fn put(segment: &SealedSegment) {
    Ledger::default().deliver(segment).expect("it can be read");
    let facts = segment.facts();
    println!("put {} {} {} {}", facts.spool, facts.first, facts.last, segment.label());
}

fn told(range: &spool::DroppedRange) {
    println!("told {} {} {} {}", range.spool, range.first, range.last, range.cause.name());
}

fn adopt(root: &Path, own: &Spool) {
    let found = spool::find_orphans(root, own.id()).unwrap();
    found.orphans.into_iter().for_each(drain);
}

fn drain(orphan: spool::Orphan) {
    let mut adopted = orphan.adopt(&labeler()).unwrap();
    for segment in adopted.segments().to_vec() {
        put(&segment);
        adopted.delivered(&segment.key()).unwrap();
    }
    for range in adopted.dropped().to_vec() {
        told(&range);
        adopted.delivered(&range.key()).unwrap();
    }
    if let Some(end) = adopted.end() {
        if let Some(n) = shipped_half(end) {
            println!("ship {} {} {n}", end.spool, end.seq.0 - 1);
        }
        println!("end {} {}", end.spool, end.seq);
    }
    adopted.finish().unwrap();
}

// ---- the supervisor ----

fn supervise(with_manifest: bool) {
    let words = if with_manifest { "with a manifest" } else { "files alone" };
    let points = kill_points(with_manifest);
    let (mut runs, mut acknowledged, mut delivered, mut missed) = (0, 0, 0, Vec::new());
    for point in &points {
        let (was_killed, runs_needed, ledger) = kill_at(point, with_manifest);
        if !was_killed {
            missed.push(point);
        }
        runs += runs_needed;
        acknowledged += ledger.acknowledged();
        delivered += ledger.delivered();
    }
    println!(
        "kill_points ({words}): {} calls, a kill at {} of them in {runs} runs; {acknowledged} records acknowledged, \
         {delivered} delivered, rest declared",
        points.len(),
        points.len() - missed.len()
    );
    if !missed.is_empty() {
        println!("kill_points ({words}): no thread came as far as {missed:?} in {RUNS_MAX} runs");
    }
    let may_miss = if with_manifest { points.len() / 20 } else { 0 };
    assert!(missed.len() <= may_miss, "{missed:?} were not reached");
}

/// Runs the workload until the kill has come; every run is judged. One thread makes the same calls in every run. Several share
/// theirs out anew each time: the call that was one's fifth may be another's first, and it takes some runs until one of them
/// has a fifth again.
fn kill_at(point: &Point, with_manifest: bool) -> (bool, usize, Ledger) {
    let runs_max = if with_manifest { RUNS_MAX } else { 1 };
    for runs in 1..runs_max {
        let (was_killed, ledger) = run(point, with_manifest);
        if was_killed {
            return (true, runs, ledger);
        }
    }
    let (was_killed, ledger) = run(point, with_manifest);
    (was_killed, runs_max, ledger)
}

/// What the whole workload does, by one run to its end.
fn kill_points(with_manifest: bool) -> BTreeSet<Point> {
    let root = tempfile::tempdir().unwrap();
    let trace = root.path().join("trace");
    let spools = root.path().join("spools");
    let calls = format!("trace={}", strace::CALLS);
    let output = start(&["-o", trace.to_str().unwrap(), "-e", &calls], &spools, with_manifest);
    assert!(output.status.success(), "the workload runs to its end: {}", String::from_utf8_lossy(&output.stderr));
    let mut ledger = read(&output);
    ledger.adopt_all(&spools, identity(99).id);
    ledger.check(&[LossCause::Refused, LossCause::Quota]);
    strace::points(&trace)
}

/// One run with a kill, and what the next process makes of it.
fn run((call, ordinal): &Point, with_manifest: bool) -> (bool, Ledger) {
    let root = tempfile::tempdir().unwrap();
    let inject = format!("inject={call}:signal=KILL:when={ordinal}");
    let trace = format!("trace={call}");
    let output = start(&["-o", "/dev/null", "-e", &trace, "-e", &inject], root.path(), with_manifest);
    let was_killed = output.status.signal() == Some(9) || output.status.code() == Some(128 + 9);
    let context = format!("killed at {call} number {ordinal}, manifest: {with_manifest}");
    assert!(
        was_killed || output.status.success(),
        "{context}: {:?} {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let checked = std::panic::catch_unwind(|| {
        let mut ledger = read(&output);
        let own = create(root.path(), 90);
        ledger.adopt_all(root.path(), own.id());
        ledger.check(&[LossCause::Refused, LossCause::Quota]);
        drop(own);
        let left = std::fs::read_dir(root.path()).unwrap().count();
        assert_eq!(left, 1, "only the new life is left");
        ledger
    });
    let ledger = checked.unwrap_or_else(|_| panic!("{context}: see above; it had said\n{}", text(&output)));
    (was_killed, ledger)
}

fn start(options: &[&str], root: &Path, with_manifest: bool) -> Output {
    let mut command = strace::this_binary(options);
    if with_manifest {
        command.env(WITH_MANIFEST, "1");
    }
    command.env(WORKLOAD, root).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the workload vouched for before it ended.
fn read(output: &Output) -> Ledger {
    let mut ledger = Ledger::default();
    for line in text(output).split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let words: Vec<_> = line.split(' ').collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        let id = words[1].parse().unwrap();
        match words[0] {
            "ack" => ledger.acknowledge(id, number(2), number(3)),
            "put" => ledger.deliver_range(id, number(2), number(3), words[4]),
            "told" => {
                let cause = LossCause::ALL.into_iter().find(|cause| cause.name() == words[4]).unwrap();
                ledger.declare_range(id, number(2), number(3), cause, false);
            }
            "end" => ledger.end(id, spool::Seqno(number(2))),
            "half?" => ledger.half_tried(id, number(2)),
            "half" => ledger.half_acknowledged(id, number(2)),
            "whole?" => ledger.completing(id, Some(number(2))),
            "ship" => ledger.ship_half(id, number(2), number(3)),
            other => panic!("{other:?}"),
        }
    }
    ledger
}
