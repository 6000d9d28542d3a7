//! What is done with segments that are finished: adopt them, read them back, remove them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use spool::SealedSegment;

use crate::lines::{Body, bodies};
use crate::plain::Plain;
use crate::subject;
use crate::subject::SEGMENT_RAW_BYTES;
use crate::table::{heading, median, megabytes_per_second, millis, quotient};

const BATCH_BYTES: usize = 32 * 1024;
const ROUNDS: usize = 7;
const MEGABYTE: usize = 1_000_000;

pub fn report() {
    let bodies = bodies(5, 256, BATCH_BYTES);
    adoption(&bodies);
    reading(&bodies);
    removal(&bodies);
}

/// Appends so many raw bytes, sealing at the usual size.
fn fill(root: &Path, bodies: &[Body], raw_bytes: usize) -> (spool::Spool, Vec<SealedSegment>) {
    let (mut spool, mut sealed) = (subject::create(root), Vec::new());
    let (mut all, mut raw) = (0, 0);
    for body in bodies.iter().cycle() {
        if all >= raw_bytes {
            break;
        }
        subject::append(&mut spool, body);
        all += body.lines.len();
        raw += body.lines.len();
        if raw >= SEGMENT_RAW_BYTES {
            raw = 0;
            sealed.extend(subject::seal(&mut spool));
        }
    }
    (spool, sealed)
}

fn fill_plain(root: &Path, bodies: &[Body], raw_bytes: usize) -> Vec<PathBuf> {
    let (mut plain, mut sealed) = (Plain::create(root), Vec::new());
    let (mut all, mut raw) = (0, 0);
    for body in bodies.iter().cycle() {
        if all >= raw_bytes {
            break;
        }
        plain.append(&body.lines);
        all += body.lines.len();
        raw += body.lines.len();
        if raw >= SEGMENT_RAW_BYTES {
            raw = 0;
            sealed.push(plain.seal());
        }
    }
    sealed.push(plain.seal());
    sealed
}

fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).expect("fits into memory")
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn adoption(bodies: &[Body]) {
    heading(
        "5. Adopt a spool of 32 KiB batches, beside reading the plain files to their end (seed 5; medians of 7, by turns)",
    );
    println!(
        "{:>8} {:>10} | {:>8} {:>8} | {:>8} {:>8} | {:>6}",
        "lines MB", "stored B", "adopt ms", "MB/s", "plain ms", "MB/s", "ratio"
    );
    for megabytes in [0, 10, 100] {
        let (root, plain_root) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
        drop(fill(root.path(), bodies, megabytes * MEGABYTE));
        let plain = fill_plain(plain_root.path(), bodies, megabytes * MEGABYTE);
        let (mut adopted, mut read) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            // An adopter writes nothing, so it can be done again.
            adopted.push(timed(|| drop(subject::adopt(root.path()))));
            read.push(timed(|| plain.iter().for_each(|path| drain(path))));
        }
        let (took, plain_took) = (median(&mut adopted), median(&mut read));
        let stored = plain.iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum();
        println!(
            "{megabytes:>8} {stored:>10} | {:>8} {:>8} | {:>8} {:>8} | {:>6.2}",
            millis(took),
            megabytes_per_second(bytes(stored), took),
            millis(plain_took),
            megabytes_per_second(bytes(stored), plain_took),
            quotient(took, plain_took)
        );
    }
    println!(
        "         MB/s of stored bytes; an adopter opens the files, reads and verifies every entry twice, and computes the digests"
    );
}

fn drain(path: &Path) {
    let (mut file, mut buffer) = (File::open(path).expect("opened"), vec![0; 64 * 1024]);
    while file.read(&mut buffer).expect("read") > 0 {}
}

fn reading(bodies: &[Body]) {
    heading("6. Read back, remove, seal (seed 5; medians, by turns)");
    println!("{:<36} | {:>8} {:>8} | {:>8} {:>8} | {:>6}", "", "spool ms", "MB/s", "plain ms", "MB/s", "ratio");
    let (root, plain_root) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let (_spool, sealed) = fill(root.path(), bodies, SEGMENT_RAW_BYTES);
    let plain = fill_plain(plain_root.path(), bodies, SEGMENT_RAW_BYTES);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS * 5 {
        ours.push(timed(|| sealed[0].chunks().for_each(|chunk| drop(chunk.expect("intact")))));
        theirs.push(timed(|| drain(&plain[0])));
    }
    let stored = bytes(sealed[0].facts().object_bytes);
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "{:<36} | {:>8} {:>8} | {:>8} {:>8} | {:>6.2}  (the spool verifies every payload)",
        "read back 10 MiB of lines",
        millis(ours),
        megabytes_per_second(stored, ours),
        millis(theirs),
        megabytes_per_second(stored, theirs),
        quotient(ours, theirs)
    );
}

fn removal(bodies: &[Body]) {
    let (root, plain_root) = (tempfile::tempdir().expect("tempdir"), tempfile::tempdir().expect("tempdir"));
    let (mut spool, sealed) = fill(root.path(), bodies, ROUNDS * SEGMENT_RAW_BYTES);
    let plain = fill_plain(plain_root.path(), bodies, ROUNDS * SEGMENT_RAW_BYTES);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (segment, path) in sealed.into_iter().zip(&plain) {
        let key = segment.key();
        // The last descriptor must go too: blocks of a file that is open are not given back.
        ours.push(timed(|| {
            drop(segment);
            spool.remove(&key).expect("removed");
        }));
        theirs.push(timed(|| Plain::remove(path)));
    }
    let (mut seals, mut plain_seals) = (Vec::new(), Vec::new());
    let mut files = Plain::create(tempfile::tempdir_in(plain_root.path()).expect("tempdir").keep().as_path());
    for body in bodies.iter().take(200) {
        subject::append(&mut spool, body);
        files.append(&body.lines);
        seals.push(timed(|| drop(subject::seal(&mut spool))));
        plain_seals.push(timed(|| drop(files.seal())));
    }
    row("remove a segment of 10 MiB of lines", &mut ours, &mut theirs);
    row("seal a segment of one batch", &mut seals, &mut plain_seals);
}

fn row(what: &str, ours: &mut [Duration], theirs: &mut [Duration]) {
    let (ours, theirs) = (median(ours), median(theirs));
    let times = quotient(ours, theirs);
    println!("{what:<36} | {:>8} {:>8} | {:>8} {:>8} | {times:>6.2}", millis(ours), "", millis(theirs), "");
}
