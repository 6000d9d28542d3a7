//! What `prepare` has made ready, and what it could not.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The directory of a runtime that is ready. If it is not, says so, whether the output of tests is shown or not: a test that
/// did nothing must not look like one that has passed.
pub fn ready(runtime: &str) -> Option<PathBuf> {
    let directory = target().join("real-functions").join(runtime);
    if directory.with_extension("ready").exists() {
        return Some(directory);
    }
    let why = fs::read_to_string(directory.with_extension("skipped")).unwrap_or_default();
    let why = match why.trim() {
        "" => format!("`tests/real_functions/prepare {runtime}` was not run"),
        why => why.to_owned(),
    };
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the capture of the test harness.
    #[expect(clippy::explicit_write, reason = "the harness captures what eprintln! prints")]
    writeln!(io::stderr(), "SKIPPED {test}: no real {runtime} function, {why}").unwrap();
    None
}

/// Where the functions lie.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_functions")
}

fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}
