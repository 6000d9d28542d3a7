//! What the kernel counted for this process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Write calls and the bytes they were given.
#[derive(Debug, Clone, Copy)]
pub struct Writes {
    pub calls: u64,
    pub bytes: u64,
}

/// All write calls so far, of every kind and thread; `None` where the kernel does not count.
pub fn writes() -> Option<Writes> {
    let io = fs::read_to_string("/proc/self/io").ok()?;
    Some(Writes { calls: number(&io, "syscw:")?, bytes: number(&io, "wchar:")? })
}

/// Resident anonymous memory in KiB.
pub fn anonymous_kib() -> Option<u64> {
    number(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What a directory and everything in it takes in blocks, in bytes, the directories themselves not counted.
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 })
    });
    sizes.sum()
}
