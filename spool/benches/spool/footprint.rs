//! Memory and disk of a spool that lives for a while: appends, seals, removals, its manifest open.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use spool::{ManifestState, SealedSegment, Spool};

use crate::lines::bodies;
use crate::subject::SEGMENT_RAW_BYTES;
use crate::table::{heading, ratio, verdict};
use crate::{process, subject};

const BATCH_BYTES: [usize; 4] = [512, 4 * 1024, 32 * 1024, 256 * 1024];
/// Batches that are generated; they come again and again.
const DISTINCT_BYTES: usize = 4 * 1024 * 1024;
/// Lines appended for a row.
const RAW_BYTES: usize = 100 * 1024 * 1024;
/// Segments that wait for their upload.
const WAITING_MAX: usize = 4;
const ANONYMOUS_KIB_MAX: u64 = 4 * 1024;
const DISK_RATIO_MAX: f64 = 1.1;

pub fn report() {
    heading("footprint: segments of 10 MiB raw, at most 4 wait, the manifest open");
    println!(
        "{:>8} | {:>11} {:>12} {:>8} (<= {ANONYMOUS_KIB_MAX}) | {:>12} {:>12} {:>6} (<= {DISK_RATIO_MAX})",
        "batch B", "created KiB", "settled KiB", "peak KiB", "disk B", "live B", "x"
    );
    for bytes in BATCH_BYTES {
        // A process of its own: what the allocator keeps from one row would be in the next.
        let row = Command::new(std::env::current_exe().expect("this program"))
            .args(["--footprint-of", &bytes.to_string()])
            .output()
            .expect("this program runs");
        print!("{}", String::from_utf8_lossy(&row.stdout));
    }
}

/// What runs in a process of its own: `BYTES`.
pub fn subject(arguments: &[String]) {
    let bytes = arguments.first().and_then(|bytes| bytes.parse().ok()).expect("the bytes of a batch");
    let Some(footprint) = Footprint::measure(bytes) else {
        println!("{bytes:>8} | skipped: /proc/self/status cannot be read");
        return;
    };
    let Footprint { created_kib, settled_kib, peak_kib, disk: (disk, live) } = footprint;
    let within = if peak_kib <= ANONYMOUS_KIB_MAX { "ok" } else { "MISSED" };
    let times = ratio(disk, live);
    println!(
        "{bytes:>8} | {created_kib:>11} {settled_kib:>12} {peak_kib:>8} {within:>9} | {disk:>12} {live:>12} {times:>6.3} {}",
        verdict(times, DISK_RATIO_MAX)
    );
}

struct Footprint {
    created_kib: u64,
    settled_kib: u64,
    peak_kib: u64,
    /// Bytes in blocks and bytes of the objects that wait, when the two were furthest apart.
    disk: (u64, u64),
}

impl Footprint {
    fn measure(batch_bytes: usize) -> Option<Self> {
        let bodies = bodies(4, DISTINCT_BYTES / batch_bytes, batch_bytes);
        let root = tempfile::tempdir().expect("tempdir");
        let before_kib = process::anonymous_kib()?;
        let mut spool = subject::create(root.path());
        let created_kib = grown_kib(before_kib);
        spool.settle_in();
        wait_for_manifest(&spool);
        let mut footprint = Self { created_kib, settled_kib: grown_kib(before_kib), peak_kib: 0, disk: (0, 1) };
        let (meta, mut raw, mut all, mut waiting) = (subject::meta(), 0, 0, Vec::new());
        for body in bodies.iter().cycle() {
            subject::append(&mut spool, body, &meta);
            all += body.lines.len();
            raw += body.lines.len();
            if raw < SEGMENT_RAW_BYTES {
                continue;
            }
            raw = 0;
            waiting.extend(subject::seal(&mut spool));
            footprint.peak_kib = footprint.peak_kib.max(grown_kib(before_kib));
            footprint.look_at_disk(root.path(), &waiting);
            if waiting.len() >= WAITING_MAX {
                spool.remove(&waiting.remove(0).key()).expect("removed");
            }
            if all >= RAW_BYTES {
                break;
            }
        }
        Some(footprint)
    }

    fn look_at_disk(&mut self, root: &Path, waiting: &[SealedSegment]) {
        let live = waiting.iter().map(|segment| segment.facts().object_bytes).sum();
        let disk = process::disk_bytes(root);
        if waiting.len() >= WAITING_MAX && ratio(disk, live) > ratio(self.disk.0, self.disk.1) {
            self.disk = (disk, live);
        }
    }
}

fn grown_kib(before_kib: u64) -> u64 {
    process::anonymous_kib().unwrap_or(0).saturating_sub(before_kib)
}

/// It opens on a thread of its own; a memory that is measured before would not be the whole.
fn wait_for_manifest(spool: &Spool) {
    for _ in 0..2_000 {
        if spool.manifest_state() != ManifestState::Waiting {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}
