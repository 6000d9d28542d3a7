//! Appends by turns with the plain files, and what an append costs apart from time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use spool::SealedSegment;

use crate::lines::{Body, bodies};
use crate::plain::Plain;
use crate::subject::SEGMENT_RAW_BYTES;
use crate::table::{heading, megabytes_per_second, micros, percentile, quotient, ratio, verdict};
use crate::{allocations, process, subject};

/// Bytes of a batch and how many of them: small ones are what a quiet function sends.
const SIZES: [(usize, usize); 4] = [(512, 20_000), (4 * 1024, 8_000), (32 * 1024, 1_500), (256 * 1024, 200)];
/// Batches that are generated; they come again and again, so that memory stays small.
const DISTINCT_BYTES: usize = 8 * 1024 * 1024;
const TIME_RATIO_MAX: f64 = 1.3;

struct Side<T> {
    samples: Vec<Duration>,
    sealed: Vec<T>,
}

impl<T> Side<T> {
    fn new() -> Self {
        Self { samples: Vec::new(), sealed: Vec::new() }
    }

    fn time(&mut self, work: impl FnOnce()) {
        let began = Instant::now();
        work();
        self.samples.push(began.elapsed());
    }
}

pub fn report() {
    heading("1. Append, time of a call (seed 1; both sides take turns on the same batches; us, and MB/s of lines)");
    println!(
        "{:>8} {:>7} {:>7} | {:>9} {:>9} {:>6} | {:>9} {:>9} {:>6} | {:>9} to reach",
        "batch B", "records", "batches", "spool p50", "p99", "MB/s", "plain p50", "p99", "MB/s", "p50 ratio"
    );
    for (bytes, count) in SIZES {
        let bodies = bodies(1, (DISTINCT_BYTES / bytes).min(count), bytes);
        let (mut spool, mut plain) = by_turns(&bodies, count);
        let raw: usize = bodies.iter().cycle().take(count).map(|body| body.lines.len()).sum();
        let records = bodies.iter().map(|body| u64::from(body.records)).sum();
        let (all, all_plain) = (spool.iter().sum(), plain.iter().sum());
        let (p50, p50_plain) = (percentile(&mut spool, 50), percentile(&mut plain, 50));
        let times = quotient(p50, p50_plain);
        println!(
            "{bytes:>8} {:>7.1} {count:>7} | {:>9} {:>9} {:>6} | {:>9} {:>9} {:>6} | {times:>9.2} <= {TIME_RATIO_MAX} {}",
            ratio(records, bodies.len() as u64),
            micros(p50),
            micros(percentile(&mut spool, 99)),
            megabytes_per_second(raw, all),
            micros(p50_plain),
            micros(percentile(&mut plain, 99)),
            megabytes_per_second(raw, all_plain),
            verdict(times, TIME_RATIO_MAX)
        );
    }
}

fn by_turns(bodies: &[Body], count: usize) -> (Vec<Duration>, Vec<Duration>) {
    let (root, plain_root) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let (mut spool, mut plain) = (subject::create(root.path()), Plain::create(plain_root.path()));
    let (mut ours, mut theirs) = (Side::<SealedSegment>::new(), Side::<PathBuf>::new());
    let mut raw = 0;
    for (turn, body) in bodies.iter().cycle().take(count).enumerate() {
        // Whoever comes second finds the lines in the cache, so they take turns at that too.
        if turn % 2 == 0 {
            ours.time(|| subject::append(&mut spool, body));
            theirs.time(|| plain.append(&body.lines));
        } else {
            theirs.time(|| plain.append(&body.lines));
            ours.time(|| subject::append(&mut spool, body));
        }
        raw += body.lines.len();
        if raw >= SEGMENT_RAW_BYTES {
            raw = 0;
            ours.sealed.extend(subject::seal(&mut spool));
            theirs.sealed.push(plain.seal());
            for segment in ours.sealed.drain(..) {
                spool.remove(&segment.key()).expect("removed");
            }
            theirs.sealed.drain(..).for_each(|sealed| Plain::remove(&sealed));
        }
    }
    (ours.samples, theirs.samples)
}

/// Appends behind which everything has its final size.
const WARM: usize = 200;

pub fn report_costs() {
    heading("2. Append, cost of a call apart from time (seed 2; means, without seals)");
    println!(
        "{:>8} {:>7} | {:>11} {:>11} | {:>8} {:>9} {:>7} | {:>11} {:>10} | to reach",
        "batch B", "appends", "spool calls", "plain calls", "written", "plain", "beside", "allocations", "per record"
    );
    for (bytes, count) in [(512, 4_000), (4 * 1024, 2_000), (32 * 1024, 500), (256 * 1024, 50)] {
        let bodies = bodies(2, (DISTINCT_BYTES / bytes).min(count + WARM), bytes);
        let Some(costs) = Costs::of_spool(&bodies, count) else {
            println!("{bytes:>8} skipped: /proc/self/io cannot be read");
            continue;
        };
        let plain = Costs::of_plain(&bodies, count).expect("it could be read before");
        let appends = count as u64;
        let (calls, per_record) = (ratio(costs.calls, appends), ratio(costs.allocations, costs.records));
        println!(
            "{bytes:>8} {count:>7} | {calls:>11.3} {:>11.3} | {:>8.1} {:>9.1} {:>7.1} | {:>11.3} {per_record:>10.4} | 1 call {}, 0 allocations per record {}",
            ratio(plain.calls, appends),
            ratio(costs.bytes, appends),
            ratio(plain.bytes, appends),
            ratio(costs.bytes.saturating_sub(plain.bytes), appends),
            ratio(costs.allocations, appends),
            verdict(calls, 1.0),
            verdict(per_record, 0.0),
        );
    }
    println!(
        "         calls: write system calls; written, plain: bytes; beside: what the spool writes beside the compressed lines, which\n         \
         are the same on both sides: 56 bytes of header in every entry, and 39 of request id where it has changed"
    );
}

struct Costs {
    calls: u64,
    bytes: u64,
    allocations: u64,
    records: u64,
}

impl Costs {
    fn of_spool(bodies: &[Body], count: usize) -> Option<Self> {
        let root = tempfile::tempdir().expect("tempdir");
        let mut spool = subject::create(root.path());
        Self::of(bodies, count, |body| subject::append(&mut spool, body))
    }

    fn of_plain(bodies: &[Body], count: usize) -> Option<Self> {
        let root = tempfile::tempdir().expect("tempdir");
        let mut plain = Plain::create(root.path());
        Self::of(bodies, count, |body| plain.append(&body.lines))
    }

    fn of(bodies: &[Body], count: usize, mut append: impl FnMut(&Body)) -> Option<Self> {
        let mut bodies = bodies.iter().cycle();
        bodies.by_ref().take(WARM).for_each(&mut append);
        let mut records = 0;
        let before = process::writes()?;
        let allocations = allocations::count();
        for body in bodies.take(count) {
            append(body);
            records += u64::from(body.records);
        }
        let allocations = allocations::count() - allocations;
        let after = process::writes()?;
        Some(Self { calls: after.calls - before.calls, bytes: after.bytes - before.bytes, allocations, records })
    }
}
