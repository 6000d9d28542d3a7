//! Instructions of a body beside those of zstd alone.
//!
//! The reference compresses the lines that the body becomes, by the same settings, in one stream that is flushed once a body:
//! what nobody can do without who stores them compressed. Lines are longer than their events (number, request id) or shorter,
//! so both sides are also given per byte of the body as it came.

use std::path::Path;

use spool::{Codec, Compression, ObjectChunks, SealReason, SpoolEvent};

use crate::bodies::{Kind, Shape, bodies, start};
use crate::callgrind;
use crate::plain::Plain;
use crate::subject::{NOW_MS, Setup, body, intake};
use crate::table::{heading, ratio, verdict};

/// Bytes of bodies that are measured: about one stream of zstd.
const MEASURED_BYTES: usize = 4 * 1024 * 1024;
/// Bodies before those.
const WARM: usize = 1;
const RATIO_MAX: f64 = 2.0;
const RATIO_GOOD: f64 = 1.5;

pub fn report() {
    heading("2. A body, instructions (seed 6; callgrind; 4 MiB of bodies behind a first one)");
    if callgrind::is_missing() {
        println!("skipped: valgrind is not installed");
        return;
    }
    println!(
        "{:>8} {:<5} {:>8} | {:>9} {:>9} {:>9} | {:>11} {:>11} | {:>10} | {:>6} to reach",
        "body KiB",
        "kind",
        "record B",
        "lines/body",
        "ours/B",
        "zstd/B",
        "ours/line B",
        "zstd/line B",
        "own/record",
        "ratio"
    );
    for shape in Shape::all() {
        let (Some(ours), Some(theirs)) = (stores("intake", shape), stores("zstd", shape)) else {
            println!("{:>8} skipped: valgrind could not run this program", shape.body_bytes / 1024);
            continue;
        };
        let Sizes { body_bytes, line_bytes, records } = Sizes::of(shape);
        let times = ratio(ours, theirs);
        let good = if times <= RATIO_GOOD { "good" } else { verdict(times, RATIO_MAX) };
        println!(
            "{:>8} {:<5} {:>8} | {:>10.2} {:>9.2} {:>9.2} | {:>11.2} {:>11.2} | {:>10.0} | {times:>6.3} <= {RATIO_MAX:.1} {good}",
            shape.body_bytes / 1024,
            shape.kind.name(),
            shape.record_bytes,
            ratio(line_bytes, body_bytes),
            ratio(ours, body_bytes),
            ratio(theirs, body_bytes),
            ratio(ours, line_bytes),
            ratio(theirs, line_bytes),
            ratio(ours.saturating_sub(theirs), records),
        );
    }
    println!(
        "         lines/body: bytes of lines by bytes of bodies; ours: parse, attribute, encode, compress, append; zstd: the same lines,\n         \
         level 1, window 17, one flush a body, nothing else; /B: per byte of the body; own/record: what is ours of a record;\n         \
         good: <= {RATIO_GOOD}"
    );
}

fn stores(side: &str, shape: Shape) -> Option<u64> {
    let count = MEASURED_BYTES / shape.body_bytes;
    let arguments = |stored: usize| {
        let numbers = [shape.record_bytes, shape.body_bytes, WARM + count, WARM + stored];
        let words = ["--instructions-of", side, shape.kind.name()].map(str::to_owned);
        words.into_iter().chain(numbers.map(|number| number.to_string())).collect::<Vec<_>>()
    };
    callgrind::difference(&arguments(count), &arguments(0))
}

/// What runs under callgrind: `SIDE KIND RECORD_BYTES BODY_BYTES GENERATED STORED`.
pub fn subject(arguments: &[String]) {
    let [side, kind, numbers @ ..] = arguments else { panic!("a side and a kind are wanted") };
    let numbers: Vec<usize> = numbers.iter().map(|number| number.parse().expect("a number")).collect();
    let &[record_bytes, body_bytes, generated, stored] = numbers.as_slice() else { panic!("four numbers are wanted") };
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind).expect("a kind");
    let bodies = bodies(6, generated, Shape { kind, record_bytes, body_bytes });
    let root = tempfile::tempdir().expect("tempdir");
    if side == "intake" {
        let bodies: Vec<_> = bodies.iter().map(|(bytes, _)| body(bytes)).collect();
        let (intake, _spool) = intake(root.path(), &Setup::default());
        intake.store(&body(&start()), NOW_MS);
        bodies[..stored].iter().for_each(|body| {
            intake.store(body, NOW_MS);
        });
    } else {
        let lines = lines(root.path(), &bodies);
        let mut plain = Plain::create(root.path());
        lines[..stored].iter().for_each(|lines| plain.append(lines));
    }
}

/// What measured bodies come to.
struct Sizes {
    body_bytes: u64,
    line_bytes: u64,
    records: u64,
}

impl Sizes {
    fn of(shape: Shape) -> Self {
        let bodies = bodies(6, WARM + MEASURED_BYTES / shape.body_bytes, shape);
        let root = tempfile::tempdir().expect("tempdir");
        let lines = lines(root.path(), &bodies);
        Self {
            body_bytes: bodies[WARM..].iter().map(|(body, _)| body.len() as u64).sum(),
            line_bytes: lines[WARM..].iter().map(|lines| lines.len() as u64).sum(),
            records: bodies[WARM..].iter().map(|(_, records)| records).sum(),
        }
    }
}

/// The lines that each body becomes.
fn lines(root: &Path, bodies: &[(Vec<u8>, u64)]) -> Vec<Vec<u8>> {
    let plain = Compression { codec: Codec::None, ..Compression::default() };
    let (intake, spool) = intake(root, &Setup { compression: plain, ..Setup::default() });
    intake.store(&body(&start()), NOW_MS);
    let mut ends = vec![intake.totals().raw_bytes];
    for (bytes, _) in bodies {
        intake.store(&body(bytes), NOW_MS);
        ends.push(intake.totals().raw_bytes);
    }
    let mut spool = spool.lock().expect("no panic before");
    spool.seal(SealReason::Size, NOW_MS).expect("sealed");
    let sealed = |event| match event {
        SpoolEvent::Sealed(segment) => Some(segment),
        _ => None,
    };
    let segment = spool.take_events().into_iter().find_map(sealed).expect("a segment");
    let object = whole(segment.chunks());
    ends.windows(2).map(|ends| object[place(ends[0])..place(ends[1])].to_vec()).collect()
}

fn whole(chunks: ObjectChunks) -> Vec<u8> {
    chunks.flat_map(|chunk| chunk.expect("readable").to_vec()).collect()
}

fn place(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it is in memory")
}
