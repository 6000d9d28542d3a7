//! The bodies of the fuzz targets. Not part of the interface: behind the feature `fuzzing`, for `fuzz/` and for the test that
//! replays its corpora on a stable toolchain.
//!
//! A body takes bytes, panics on a finding, and is deterministic: no clock, no randomness, no file system, no thread.

mod attribution;
mod recover;
mod redaction;
mod stitch;
mod telemetry_body;

pub use attribution::attribution;
pub use recover::recover;
pub use redaction::{Redaction, redaction};
pub use stitch::stitch;
pub use telemetry_body::telemetry_body;

/// The body of a target.
pub type Body = fn(&[u8]);

/// Every target of this crate by its name, as in `fuzz/fuzz_targets/` and `fuzz/corpus/`.
pub const TARGETS: [(&str, Body); 5] = [
    ("attribution", attribution),
    ("recover", recover),
    ("redaction", redaction),
    ("stitch", stitch),
    ("telemetry_body", telemetry_body),
];
