//! Running a test binary again under `strace`, which makes single system calls fail, or the last ones.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

/// System calls that change what is on disk. `openat` counts where it may make a file.
pub const CALLS: &str = "write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,renameat,renameat2,\
                         unlink,unlinkat,rmdir,mkdir,mkdirat,openat,fsync,fdatasync,sync_file_range,msync,link,linkat,\
                         symlink,symlinkat,copy_file_range,sendfile";

/// A system call and how often a thread has made it before, counted from 1.
pub type Point = (String, usize);

/// Why it cannot be used here, if it cannot.
pub fn works() -> Result<(), String> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "-e", "inject=fsync:signal=KILL", "true"]).output();
    match tried {
        Err(error) => Err(format!("strace cannot be started: {error}")),
        Ok(output) if !output.status.success() => {
            Err(format!("strace may not trace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Ok(_) => Ok(()),
    }
}

/// This binary again, with these options of strace.
pub fn this_binary(options: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(options).arg(std::env::current_exe().unwrap()).stdin(Stdio::null());
    command
}

/// The calls of a trace that was written with [`CALLS`], each as often as one thread has made it.
pub fn points(trace: &Path) -> BTreeSet<Point> {
    let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut points = BTreeSet::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        if name.contains(' ') || name.starts_with(['<', '+', '-']) {
            continue;
        }
        let ordinal = made.entry((thread.to_owned(), name.to_owned())).or_default();
        *ordinal += 1;
        if name != "openat" || arguments.contains("O_CREAT") {
            points.insert((name.to_owned(), *ordinal));
        }
    }
    points
}
