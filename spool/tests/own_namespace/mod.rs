//! Tests that need a process, a mount table or limits of their own run themselves once more inside them.
//!
//! A mount in a namespace of its own is gone with the last process in it: even a test that is killed leaves nothing.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the environment of a test that runs inside.
const INSIDE: &str = "SPOOL_TEST_INSIDE";

/// Runs a story with a file system of so many bytes. `test` is the name of the calling test.
///
/// Where no file system can be mounted the story is skipped, and a line says so.
pub fn with_small_disk(test: &str, bytes: u64, story: impl FnOnce(&Path)) {
    if std::env::var_os(INSIDE).is_some() {
        let dir = tempfile::tempdir().unwrap();
        mount(dir.path(), bytes);
        story(dir.path());
        // Gone with the namespace in any case.
        let _ = Command::new("umount").args(["-l".as_ref(), dir.path().as_os_str()]).status();
        return;
    }
    match unshare() {
        Ok(unshare) => run_again(test, &unshare),
        Err(why) => println!("{test}: SKIPPED, {why}"),
    }
}

/// Runs a story in a process that may open so many files.
pub fn with_few_descriptors(test: &str, descriptors: u32, story: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return story();
    }
    run_again(test, &["sh".into(), "-c".into(), format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")]);
}

fn mount(dir: &Path, bytes: u64) {
    let options = format!("size={bytes},mode=0777");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir).status().unwrap();
    assert!(mounted.success(), "a namespace that can be made can be mounted in");
}

/// How a mount namespace of our own is had: as root, or as the root of a user namespace.
pub fn unshare() -> Result<Vec<String>, String> {
    let mut why = String::new();
    for options in ["-m", "-rm"] {
        let words = ["unshare", options, "--propagation", "private"];
        let tried = Command::new(words[0])
            .args(&words[1..])
            .args(["sh", "-c", "mount -t tmpfs -o size=64k none /tmp"])
            .output()
            .map_err(|error| format!("unshare cannot be started: {error}"))?;
        if tried.status.success() {
            return Ok(words.map(String::from).to_vec());
        }
        why = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    }
    Err(format!("no file system can be mounted: {why}"))
}

fn run_again(test: &str, wrapper: &[String]) {
    let output = Command::new(&wrapper[0])
        .args(&wrapper[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}, run inside:\n{out}\n{err}");
    assert!(out.contains("1 passed"), "{test} is the name of a test:\n{out}");
    out.lines().filter(|line| line.starts_with("  ")).for_each(|line| println!("{line}"));
}
