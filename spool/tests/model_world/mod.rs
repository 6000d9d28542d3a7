//! What the stories of these tests are told with: lines that can be computed again, a life as it should have been
//! remembered, a place that everything is delivered to, and a reader of the format that is not the spool's own.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

pub mod bucket;
pub mod layout;
pub mod life;
pub mod process;
pub mod story;
pub mod written;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use spool::{
    Batch, Codec, Compression, Identity, Labeler, Mark, Meta, Orphan, SegmentFacts, SpoolConfig, SpoolId, SpoolLimits,
    find_orphans,
};

/// The clock of the stories.
pub const NOW_MS: i64 = 1_790_000_000_000;

const fn compression(codec: Codec, frame_bytes_max: Option<u64>) -> Compression {
    Compression { codec, level: 1, frame_bytes_max }
}

/// Every codec, with one frame and with many, by name.
pub const COMPRESSIONS: [(&str, Compression); 4] = [
    ("zstd", compression(Codec::Zstd, None)),
    ("zstd-frames", compression(Codec::Zstd, Some(300))),
    ("gzip", compression(Codec::Gzip, None)),
    ("none", compression(Codec::None, None)),
];

/// A directory for one story: in memory where there is such a place, since thousands of stories wait for a disk most of
/// the time, and no claim here is about what outlives a machine.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let in_memory = if memory.is_dir() { tempfile::tempdir_in(memory).ok() } else { None };
    in_memory.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

/// A number from the environment: seeds and counts can be given from outside.
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

pub fn config(root: &Path, compression: Compression) -> SpoolConfig {
    let limits = SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() };
    SpoolConfig { root: root.to_owned(), compression, line_format: 0, label: labeler(), limits }
}

/// Life number `n` of a story that began with `seed`.
pub fn identity(seed: u64, n: u64) -> Identity {
    let time_ms = NOW_MS + i64::try_from(n).unwrap();
    let salt_seed = fastrand::Rng::with_seed(seed ^ n).u64(..);
    Identity { id: SpoolId::new(time_ms, u128::from(seed)), salt_seed }
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
        format!("{spool}-{:012}-{:012}-{digest:016x}-{partition_ms}{mark}", first.0, last.0)
    })
}

pub fn batch<'a>(lines: &'a [u8], records: u32, meta: &'a Meta) -> Batch<'a> {
    Batch { lines, records, first_line_ms: None, body_bytes: 7, body_hash: 9, meta, end: false }
}

/// The directory of a spool.
pub fn dir(root: &Path, spool: SpoolId) -> PathBuf {
    root.join(spool.to_string())
}

/// The segment files of a spool, wherever it lies below the root.
pub fn files_of(root: &Path, spool: SpoolId) -> Vec<PathBuf> {
    [dir(root, spool), dir(&root.join("dropped"), spool)].iter().flat_map(|dir| segment_files(dir)).collect()
}

/// The names in a directory, sorted; none if it is not there.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The segment files and tombstones of a spool, in order.
pub fn segment_files(spool_dir: &Path) -> Vec<PathBuf> {
    names(spool_dir).into_iter().filter(|name| name.ends_with(".seg")).map(|name| spool_dir.join(name)).collect()
}

/// Copies a directory with everything in it. The copy's lock is free.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if entry.is_dir() { copy(&entry, &to) } else { fs::copy(entry, to).map(drop).unwrap() }
    }
}

/// The one spool below a root whose process is gone.
pub fn only_orphan(root: &Path) -> Orphan {
    let mut found = find_orphans(root, SpoolId::new(0, 0)).unwrap();
    assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
    assert_eq!(found.orphans.len(), 1, "{found:?}");
    found.orphans.remove(0)
}
