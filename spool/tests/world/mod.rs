//! What the stories of the spool are told with: records that can be computed again from their number, names that hold
//! all that a name may depend on, copies of directories, and decoders that are not the spool's own.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spool::{
    Batch, Codec, Compression, Identity, Labeler, ManifestState, Mark, Meta, Orphan, SealReason, SealedSegment,
    SegmentFacts, Spool, SpoolConfig, SpoolEvent, SpoolId, SpoolLimits, find_orphans,
};

/// The clock of the stories; the spool has none of its own.
pub const NOW_MS: i64 = 1_790_000_000_000;

/// Every codec, and zstd with frames that end inside batches.
pub const COMPRESSIONS: [Compression; 5] = [
    Compression { codec: Codec::Zstd, level: 1, frame_bytes_max: None },
    Compression { codec: Codec::Zstd, level: 3, frame_bytes_max: Some(64 * 1024) },
    Compression { codec: Codec::Zstd, level: 1, frame_bytes_max: Some(1_000) },
    Compression { codec: Codec::Gzip, level: 6, frame_bytes_max: None },
    Compression { codec: Codec::None, level: 1, frame_bytes_max: None },
];

/// The seed of a random story: given from outside to replay one, else fixed, so that a run in CI can be repeated.
pub fn seed(default: u64) -> u64 {
    number("SPOOL_TEST_SEED").unwrap_or(default)
}

/// A number from the environment.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// An identity as the caller would make it, but from a seed.
pub fn identity(rng: &mut fastrand::Rng) -> Identity {
    Identity { id: SpoolId::new(NOW_MS, rng.u128(..)), salt_seed: rng.u64(..) }
}

pub fn config(root: &Path, compression: Compression) -> SpoolConfig {
    SpoolConfig { root: root.to_owned(), compression, line_format: 0, label: labeler(), limits: SpoolLimits::default() }
}

pub fn create(root: &Path, compression: Compression, rng: &mut fastrand::Rng) -> Spool {
    Spool::create(config(root, compression), identity(rng), NOW_MS).unwrap()
}

/// Names an object after everything that a name may depend on.
pub fn labeler() -> Labeler {
    Arc::new(|facts: &SegmentFacts| {
        let mark = match facts.mark {
            Mark::Whole => "",
            Mark::End => "-end",
            Mark::Cut => "-cut",
        };
        let SegmentFacts { spool, first, last, digest, partition_ms, .. } = facts;
        format!("{spool}-{first:012}-{last:012}-{digest:016x}-{partition_ms}{mark}")
    })
}

/// The record with a number, line feed included: always the same, and different from every other one. One in eight is
/// long and hardly compresses, so that entries of many pages are common.
pub fn record(spool: SpoolId, seq: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seq ^ 0x5f00_1bad);
    let words = if rng.u8(..) < 32 { rng.usize(0..200) } else { rng.usize(0..6) };
    let filler: String = (0..words).map(|_| format!(" {:016x}", rng.u64(..))).collect();
    format!("{spool} {seq}{filler}\n")
}

/// The records with these numbers, one line each.
pub fn records(spool: SpoolId, numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(|seq| record(spool, seq).into_bytes()).collect()
}

/// Appends the next `count` records as one batch.
pub fn append(spool: &mut Spool, count: u32) {
    let first = spool.next_seq().0;
    let lines = records(spool.id(), first..first + u64::from(count));
    spool.append(&batch(&lines, count, &Meta::default()), NOW_MS).unwrap();
}

pub fn batch<'a>(lines: &'a [u8], records: u32, meta: &'a Meta) -> Batch<'a> {
    Batch { lines, records, first_line_ms: None, body_bytes: 0, body_hash: 0, meta, end: false }
}

/// The line that ends a stream in these stories.
pub const END_LINE: &str = "end\n";

/// Appends the end of the stream.
pub fn append_end(spool: &mut Spool) {
    let meta = Meta::default();
    spool.append(&Batch { end: true, ..batch(END_LINE.as_bytes(), 1, &meta) }, NOW_MS).unwrap();
}

/// The object of a sealed segment.
pub fn object(segment: &SealedSegment) -> Vec<u8> {
    segment.chunks().flat_map(|chunk| chunk.unwrap()).collect()
}

/// The lines of an object, read by a decoder that is not the spool's.
pub fn decoded(codec: Codec, object: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    match codec {
        Codec::None => lines.extend_from_slice(object),
        Codec::Gzip => {
            flate2::read::MultiGzDecoder::new(object).read_to_end(&mut lines).unwrap();
        }
        Codec::Zstd => {
            let mut rest = object;
            while !rest.is_empty() {
                let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut rest).unwrap();
                frame.read_to_end(&mut lines).unwrap();
            }
        }
    }
    lines
}

/// How the manifest fares once it is open or has failed.
pub fn settled_manifest(spool: &Spool) -> ManifestState {
    let patience = Instant::now() + Duration::from_secs(20);
    while spool.manifest_state() == ManifestState::Waiting && Instant::now() < patience {
        std::thread::yield_now();
    }
    spool.manifest_state()
}

/// The directory of a spool.
pub fn dir(root: &Path, spool: SpoolId) -> PathBuf {
    root.join(spool.to_string())
}

/// Everything below a root, sorted.
pub fn names(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Copies a directory with everything in it: what a process finds that is restored from a copy, or one that begins where
/// another was killed at this instant. The copy's lock is free.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The one spool below a root whose process is gone.
pub fn only_orphan(root: &Path) -> Orphan {
    let nobody = SpoolId::new(0, 0);
    let mut found = find_orphans(root, nobody).unwrap();
    assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
    assert_eq!(found.orphans.len(), 1, "{found:?}");
    found.orphans.remove(0)
}

/// Seals and returns what was sealed.
pub fn seal(spool: &mut Spool, reason: SealReason) -> Option<SealedSegment> {
    spool.seal(reason, NOW_MS).unwrap();
    spool.take_events().into_iter().find_map(|event| match event {
        SpoolEvent::Sealed(segment) => Some(segment),
        SpoolEvent::Dropped(_) | SpoolEvent::Gone(_) | SpoolEvent::Drained(..) => None,
    })
}
