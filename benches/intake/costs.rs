//! Time and allocations of a body, from its bytes to the entry in the file.

use std::time::{Duration, Instant};

use spool::SealReason;

use crate::allocations;
use crate::bodies::{Shape, bodies, start};
use crate::subject::{NOW_MS, Setup, body, intake};
use crate::table::{heading, median, megabytes_per_second, ratio, verdict};

/// Bytes of bodies that are generated for a row.
const DISTINCT_BYTES: usize = 4 * 1024 * 1024;
/// How often they are stored: first until everything has its final size, then to be measured.
const WARM_ROUNDS: usize = 1;
const ROUNDS: usize = 5;
/// What a body may allocate itself: nothing of it grows with its records.
const OF_A_BODY_MAX: f64 = 8.0;

pub fn report() {
    heading("1. A body, from its bytes to the entry in the file (seed 5; MB of body in a second; allocations)");
    println!(
        "{:>8} {:<5} {:>8} {:>8} | {:>9} {:>11} | {:>8} {:>10} | to reach",
        "body KiB", "kind", "record B", "records", "best MB/s", "median MB/s", "per body", "per record"
    );
    for shape in Shape::all() {
        let Costs { mut times, allocations, bodies, records, bytes } = Costs::of(shape);
        let (median, best) = (median(&mut times), times[0]);
        let per_body = ratio(allocations, bodies);
        println!(
            "{:>8} {:<5} {:>8} {:>8} | {:>9} {:>11} | {per_body:>8.2} {:>10.4} | 0 a record {}",
            shape.body_bytes / 1024,
            shape.kind.name(),
            shape.record_bytes,
            records / bodies,
            megabytes_per_second(bytes, best),
            megabytes_per_second(bytes, median),
            ratio(allocations, records),
            verdict(per_body, OF_A_BODY_MAX),
        );
    }
    println!(
        "         allocations: of the steady state; 0 a record: at most {OF_A_BODY_MAX} a body, however many records it has; per record: those of\n         \
         the body, divided; best, median: of bodies, compression and write included, on this machine now"
    );
}

struct Costs {
    times: Vec<Duration>,
    allocations: u64,
    bodies: u64,
    records: u64,
    /// Of a body, as the shortest has it.
    bytes: usize,
}

impl Costs {
    fn of(shape: Shape) -> Self {
        let bodies = bodies(5, DISTINCT_BYTES / shape.body_bytes, shape);
        let root = tempfile::tempdir().expect("tempdir");
        let (intake, _) = intake(root.path(), &Setup::default());
        intake.store(&body(&start()), NOW_MS);
        let mut costs = Self { times: Vec::new(), allocations: 0, bodies: 0, records: 0, bytes: shape.body_bytes };
        for round in 0..WARM_ROUNDS + ROUNDS {
            for (bytes, records) in &bodies {
                let body = body(bytes);
                let (allocations, began) = (allocations::count(), Instant::now());
                intake.store(&body, NOW_MS);
                let (took, allocations) = (began.elapsed(), allocations::count() - allocations);
                if round >= WARM_ROUNDS {
                    costs.times.push(took);
                    costs.allocations += allocations;
                    costs.bodies += 1;
                    costs.records += records;
                }
            }
            intake.seal(SealReason::Size, NOW_MS);
        }
        costs
    }
}
