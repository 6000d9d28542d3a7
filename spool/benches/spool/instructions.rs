//! Instructions of an append: both sides run the same batches, each in a process of its own.

use crate::lines::bodies;
use crate::plain::Plain;
use crate::table::{heading, ratio, verdict};
use crate::{callgrind, subject};

/// Bytes of a batch and how many of them.
const SIZES: [(usize, usize); 4] = [(512, 3_000), (4 * 1024, 1_000), (32 * 1024, 150), (256 * 1024, 20)];
const RATIO_MAX: f64 = 1.15;

pub fn report() {
    heading("3. Append, instructions of a call (seed 3; callgrind, means)");
    if callgrind::is_missing() {
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
    let arguments = |appended: usize| {
        let numbers = [bytes, count, appended].map(|number| number.to_string());
        ["--instructions-of".to_owned(), side.to_owned()].into_iter().chain(numbers).collect::<Vec<_>>()
    };
    callgrind::difference(&arguments(count), &arguments(0))
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
