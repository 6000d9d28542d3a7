//! The bodies of the fuzz targets. Not part of the interface: behind the feature `fuzzing`, for `fuzz/` and for the test that
//! replays its corpora on a stable toolchain.
//!
//! * A body takes bytes, panics on a finding, and is deterministic: no clock, no randomness, no file system, no thread.
//! * Everything lies in memory and there is no manifest: libFuzzer aborts before a panic in sled could be caught.
//! * Bytes come in two kinds: as they are, and *mended* (with valid magic and checksums), since no fuzzer guesses a
//!   checksum and everything behind it would stay dark.

mod entry_decode;
mod frame_ends;
mod honest;
mod object;
mod segment_read;
mod spool_ops;

pub use entry_decode::entry_decode;
pub use frame_ends::frame_ends;
pub use segment_read::segment_read;
pub use spool_ops::spool_ops;

/// The body of a target.
pub type Body = fn(&[u8]);

/// Every target by its name, as in `fuzz/fuzz_targets/` and `fuzz/corpus/`.
pub const TARGETS: [(&str, Body); 4] = [
    ("entry_decode", entry_decode),
    ("frame_ends", frame_ends),
    ("segment_read", segment_read),
    ("spool_ops", spool_ops),
];
