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
    heading(
        "4. Memory and disk of a living spool (seed 4; 100 MiB of lines, 10 MiB a segment, 4 segments wait, manifest open)",
    );
    println!(
        "{:>8} | {:>7} {:>7} {:>7} {:<16} | {:>10} {:>10} {:>6} {:<13} | {:>13}",
        "batch B",
        "created",
        "settled",
        "peak",
        "KiB to reach",
        "disk B",
        "live B",
        "ratio",
        "to reach",
        "beside/entry B"
    );
    for bytes in BATCH_BYTES {
        // A process of its own: what the allocator keeps from one row would be in the next.
        let row = Command::new(std::env::current_exe().expect("this program"))
            .args(["--footprint-of", &bytes.to_string()])
            .output()
            .expect("this program runs");
        print!("{}", String::from_utf8_lossy(&row.stdout));
    }
    println!(
        "         memory: anonymous KiB more than before the spool was made; disk: blocks of everything in the spool directory;\n         \
         live: compressed lines not yet delivered; beside: the difference, blocks and ballast too, by entries that wait. An\n         \
         entry takes 56 bytes beside its lines, 95 if the request id has changed: 1.1 is within reach from 560, or 950, bytes of\n         \
         compressed lines on, which are some 3, or 6, KB of lines"
    );
}

/// What runs in a process of its own: `BYTES`.
pub fn subject(arguments: &[String]) {
    let bytes = arguments.first().and_then(|bytes| bytes.parse().ok()).expect("the bytes of a batch");
    let Some(footprint) = Footprint::measure(bytes) else {
        println!("{bytes:>8} | skipped: /proc/self/status cannot be read");
        return;
    };
    let Footprint { created_kib, settled_kib, peak_kib, disk } = footprint;
    let within = if peak_kib <= ANONYMOUS_KIB_MAX { "ok" } else { "MISSED" };
    let times = disk.ratio();
    println!(
        "{bytes:>8} | {created_kib:>7} {settled_kib:>7} {peak_kib:>7} {:<16} | {:>10} {:>10} {times:>6.3} {:<13} | {:>13.1}",
        format!("<= {ANONYMOUS_KIB_MAX} {within}"),
        disk.bytes,
        disk.live_bytes,
        format!("<= {DISK_RATIO_MAX} {}", verdict(times, DISK_RATIO_MAX)),
        ratio(disk.bytes - disk.live_bytes, disk.entries)
    );
}

struct Footprint {
    created_kib: u64,
    settled_kib: u64,
    peak_kib: u64,
    disk: DiskUse,
}

/// What the disk holds and what of it is still needed, when the two were furthest apart.
#[derive(Clone, Copy)]
struct DiskUse {
    bytes: u64,
    live_bytes: u64,
    entries: u64,
}

impl DiskUse {
    const NONE: Self = Self { bytes: 0, live_bytes: 1, entries: 1 };

    fn ratio(self) -> f64 {
        ratio(self.bytes, self.live_bytes)
    }
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
        let mut footprint = Self { created_kib, settled_kib: grown_kib(before_kib), peak_kib: 0, disk: DiskUse::NONE };
        let (mut raw, mut all, mut entries, mut waiting) = (0, 0, 0, Vec::new());
        for body in bodies.iter().cycle() {
            subject::append(&mut spool, body);
            all += body.lines.len();
            raw += body.lines.len();
            entries += 1;
            if raw < SEGMENT_RAW_BYTES {
                continue;
            }
            raw = 0;
            waiting.extend(subject::seal(&mut spool).map(|segment| (segment, std::mem::take(&mut entries))));
            footprint.peak_kib = footprint.peak_kib.max(grown_kib(before_kib));
            footprint.look_at_disk(root.path(), &waiting);
            if waiting.len() >= WAITING_MAX {
                spool.remove(&waiting.remove(0).0.key()).expect("removed");
            }
            if all >= RAW_BYTES {
                break;
            }
        }
        Some(footprint)
    }

    fn look_at_disk(&mut self, root: &Path, waiting: &[(SealedSegment, u64)]) {
        let now = DiskUse {
            bytes: process::disk_bytes(root),
            live_bytes: waiting.iter().map(|(segment, _)| segment.facts().object_bytes).sum(),
            entries: waiting.iter().map(|(_, entries)| entries).sum(),
        };
        if waiting.len() >= WAITING_MAX && now.ratio() > self.disk.ratio() {
            self.disk = now;
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
