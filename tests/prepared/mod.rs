//! What a `prepare` script of the tests has made ready, and what it could not.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The directory `name` below the target directory, if `script` has made it ready.
///
/// # Errors
/// Why it is not ready, in the words of the script.
pub fn prepared(name: &str, script: &str) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(name);
    if directory.with_extension("ready").exists() {
        return Ok(directory);
    }
    let why = fs::read_to_string(directory.with_extension("skipped")).unwrap_or_default();
    Err(match why.trim() {
        "" => format!("`{script}` was not run"),
        why => why.to_owned(),
    })
}

/// Says what was not tested, whether the output of tests is shown or not: a test that did nothing must not look like one that
/// has passed.
pub fn say_skipped(what: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the capture of the test harness, which takes what `eprintln!` prints; in one piece, since tests speak at the same time.
    io::stderr().write_all(format!("SKIPPED {test}: {what}\n").as_bytes()).unwrap();
}
