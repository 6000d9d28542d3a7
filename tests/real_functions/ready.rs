//! Runtimes of real functions that are ready, and where the functions lie.

use std::path::{Path, PathBuf};

use crate::prepared::{prepared, say_skipped};

/// The directory of a runtime that is ready. If it is not, says so.
pub fn ready(runtime: &str) -> Option<PathBuf> {
    let script = format!("tests/real_functions/prepare {runtime}");
    let found = prepared(&format!("real-functions/{runtime}"), &script);
    found.map_err(|why| say_skipped(&format!("no real {runtime} function, {why}"))).ok()
}

/// Where the functions lie.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_functions")
}
