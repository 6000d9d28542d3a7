//! Every error point: each call by which a fixed workload changes the disk fails, once or from then on, with each error that a
//! disk gives. What was acknowledged is delivered or declared, at most one batch is refused for one fault, and the spool
//! works again when the fault is over.
//!
//! The test runs itself as the workload, under `strace --inject`: what fails is the call itself, not a stand-in. The workload
//! does what the extension does: a batch that finds no place takes its numbers, a place that fails is left for a new one, or
//! for memory. `SPOOL_TEST_ERROR_POINTS=all`: all of them instead of a part. `SPOOL_TEST_SEED` chooses the part again.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;
mod strace;

use std::path::Path;

use ledger::no_limits;
use ledger::writer::Writer;
use spool::{LossCause, SpoolLimits};
use strace::Point;

/// Set in the environment of the process that is to be the workload: the spool root.
const WORKLOAD: &str = "SPOOL_TEST_WORKLOAD";
/// Batches that the workload appends.
const BATCHES: u32 = 24;
/// One of so many error points is tried unless all are asked for.
const SHARE: usize = 6;

fn main() {
    if let Ok(root) = std::env::var(WORKLOAD) {
        return workload(Path::new(&root));
    }
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    if let Err(why) = strace::works() {
        println!("error_points: SKIPPED, {why}");
        return;
    }
    let all = std::env::var("SPOOL_TEST_ERROR_POINTS").is_ok_and(|points| points == "all");
    let seed = std::env::var("SPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    supervise(all, seed);
}

// ---- the workload ----

/// A life with everything in it that writes. Says at its end how it fared; a claim that does not hold is a panic.
fn workload(root: &Path) {
    let limits = SpoolLimits { segments_max: 4, ..no_limits() };
    let mut writer = Writer::new(root, limits);
    writer.ledger.disk_fails = true;
    for batch in 0..BATCHES {
        writer.append(1 + batch % 3);
        match batch % 8 {
            0 => writer.half(),
            1 | 3 | 4 => drop(writer.seal()),
            2 if batch < 16 => writer.complete(),
            // Evicts, by the limit of segments.
            5 => (0..6).for_each(|_| {
                writer.append(1);
                writer.seal();
            }),
            6 => writer.deliver(),
            7 => {
                writer.check_place();
                writer.rescue();
            }
            _ => {}
        }
    }
    let (refused, fled) = (writer.refused_batches, writer.fled);
    // Memory gives nothing up: it may be full.
    writer.deliver();
    writer.check_place();
    let works = writer.append(2);
    writer.seal();
    let ledger = writer.end();
    ledger.check(&[LossCause::Quota, LossCause::Refused]);
    println!("acknowledged={} refused={refused} fled={fled} works={}", ledger.acknowledged(), u32::from(works));
}

// ---- the supervisor ----

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Once,
    FromThenOn,
}

/// What the system call can fail with on a disk that is full, over its quota, broken or read-only, or in a process that has no
/// descriptors left.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "pwrite64" => &["ENOSPC", "EDQUOT", "EIO"],
        "openat" => &["ENOSPC", "EMFILE", "EIO", "EROFS"],
        "mkdir" | "rename" => &["ENOSPC", "EIO", "EROFS"],
        "unlink" | "unlinkat" | "rmdir" | "ftruncate" => &["EIO", "EROFS"],
        // The workload's words, which are no part of the spool.
        _ => &[],
    }
}

/// What can fail for good: a process that can open nothing any more cannot be asked what it knows.
fn may_last(call: &str) -> bool {
    matches!(call, "pwrite64" | "mkdir" | "rename")
}

fn supervise(all: bool, seed: u64) {
    let mut faults = Vec::new();
    for point in error_points() {
        for error in errors(&point.0) {
            faults.push((point.clone(), *error, Lasting::Once));
            if may_last(&point.0) {
                faults.push((point.clone(), *error, Lasting::FromThenOn));
            }
        }
    }
    let total = faults.len();
    if !all {
        fastrand::Rng::with_seed(seed).shuffle(&mut faults);
        faults.truncate(total.div_ceil(SHARE));
    }
    println!("error_points: {} of {total} faults, seed {seed}", faults.len());
    let (mut refused, mut fled) = (0, 0);
    for (point, error, lasting) in &faults {
        let told = run(point, error, *lasting);
        let is_bounded = *lasting == Lasting::FromThenOn || told.fled > 0 || told.refused <= 1;
        assert!(is_bounded, "{point:?} failed once with {error}, and {} batches were refused", told.refused);
        // A disk that stays full is full; any other is left for memory.
        let may_refuse = *lasting == Lasting::FromThenOn && matches!(*error, "ENOSPC" | "EDQUOT");
        assert!(
            told.works || may_refuse,
            "{point:?} failed with {error} ({lasting:?}), and nothing is stored any more"
        );
        refused += told.refused;
        fled += u32::from(told.fled > 0);
    }
    println!("error_points: 0 lost silently; {refused} batches refused and declared, {fled} lives went on in memory");
}

fn error_points() -> Vec<Point> {
    let root = tempfile::tempdir().unwrap();
    let trace = root.path().join("trace");
    let calls = format!("trace={}", strace::CALLS);
    let output = strace::this_binary(&["-o", trace.to_str().unwrap(), "-e", &calls])
        .env(WORKLOAD, root.path().join("spools"))
        .output()
        .unwrap();
    assert!(output.status.success(), "without a fault: {}", String::from_utf8_lossy(&output.stderr));
    strace::points(&trace).into_iter().collect()
}

/// What a workload said at its end.
struct Told {
    refused: u32,
    fled: u32,
    /// The last batch was stored.
    works: bool,
}

fn run((call, ordinal): &Point, error: &str, lasting: Lasting) -> Told {
    let root = tempfile::tempdir().unwrap();
    let when = if lasting == Lasting::FromThenOn { format!("{ordinal}+") } else { ordinal.to_string() };
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={when}"));
    let output = strace::this_binary(&["-o", "/dev/null", "-e", &trace, "-e", &inject])
        .env(WORKLOAD, root.path().join("spools"))
        .output()
        .unwrap();
    let context = format!("{call} number {when} fails with {error}");
    assert!(output.status.success(), "{context}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let number = |name: &str| {
        let word = said.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{context}: it said {said:?}"))
    };
    Told { refused: number("refused"), fled: number("fled"), works: number("works") == 1 }
}
