//! Instructions of an append, counted by callgrind: what remains when the machine is busy with something else.
//!
//! Both sides run the same batches in a process of their own, once with appends and once without; the difference is what
//! the appends took. Valgrind's processor lacks some vector instructions, so checksums cost more here than they do.

use std::process::Command;

use crate::lines::bodies;
use crate::plain::Plain;
use crate::subject;
use crate::table::{heading, ratio, verdict};

/// Bytes of a batch and how many of them.
const SIZES: [(usize, usize); 4] = [(512, 3_000), (4 * 1024, 1_000), (32 * 1024, 150), (256 * 1024, 20)];
const RATIO_MAX: f64 = 1.15;

pub fn report() {
    heading("3. Append, instructions of a call (seed 3; callgrind, means)");
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return;
    }
    println!(
        "{:>8} {:>7} | {:>9} {:>9} {:>6} | {:>6} to reach",
        "batch B", "appends", "spool", "plain", "more", "ratio"
    );
    for (bytes, count) in SIZES {
        let (Some(ours), Some(theirs)) = (appends("spool", bytes, count), appends("plain", bytes, count)) else {
            println!("{bytes:>8} skipped: valgrind could not run this program");
            continue;
        };
        let times = ratio(ours, theirs);
        let each = count as u64;
        println!(
            "{bytes:>8} {count:>7} | {:>9} {:>9} {:>6} | {times:>6.3} <= {RATIO_MAX} {}",
            ours / each,
            theirs / each,
            ours.saturating_sub(theirs) / each,
            verdict(times, RATIO_MAX)
        );
    }
}

fn appends(side: &str, bytes: usize, count: usize) -> Option<u64> {
    let with = instructions(side, bytes, count, count)?;
    let without = instructions(side, bytes, count, 0)?;
    with.checked_sub(without)
}

fn instructions(side: &str, bytes: usize, generated: usize, appended: usize) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(["--instructions-of", side])
        .args([bytes, generated, appended].map(|number| number.to_string()))
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"))?;
    collected.1.trim().parse().ok()
}

/// What runs under callgrind: `SIDE BYTES GENERATED APPENDED`.
pub fn subject(arguments: &[String]) {
    let [side, numbers @ ..] = arguments else { panic!("a side is missing") };
    let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
    let &[bytes, generated, appended] = numbers.as_slice() else { panic!("three numbers are wanted") };
    let bodies = bodies(3, generated, bytes);
    let root = tempfile::tempdir().expect("tempdir");
    let appended = bodies.iter().take(appended);
    if side == "spool" {
        let mut spool = subject::create(root.path());
        appended.for_each(|body| subject::append(&mut spool, body));
    } else {
        let mut plain = Plain::create(root.path());
        appended.for_each(|body| plain.append(&body.lines));
    }
}
