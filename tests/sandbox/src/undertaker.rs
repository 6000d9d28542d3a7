//! Clears up behind a sandbox whose own process was killed and could not: a test that timed out, a demo that was
//! interrupted.
//!
//! It is a process of its own with a pipe from the sandbox, through which it is told what to clear up. The kernel closes
//! the pipe when the sandbox's process ends, however it ends; then the undertaker kills what is left and goes.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::roles;

/// The sandbox's end: dropping it lets the undertaker go, and waits until it is gone.
#[derive(Debug)]
pub(crate) struct Undertaker {
    process: Child,
    orders: Option<ChildStdin>,
}

impl Undertaker {
    /// Starts the process. `directory` is removed in the end.
    pub(crate) fn hire(directory: Option<&Path>) -> io::Result<Self> {
        let mut process = Command::new(roles::PROGRAM)
            .env_clear()
            .env(roles::ROLE, roles::UNDERTAKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What interrupts the sandbox from its terminal must not reach its undertaker.
            .process_group(0)
            .spawn()?;
        let mut undertaker = Self { orders: process.stdin.take(), process };
        if let Some(directory) = directory.and_then(Path::to_str) {
            undertaker.order(&format!("remove {directory}"));
        }
        Ok(undertaker)
    }

    /// A process group that must not outlive the sandbox.
    pub(crate) fn watch(&mut self, group: Pid) {
        self.order(&format!("watch {}", group.as_raw_nonzero()));
    }

    /// The group has ended; its number may come to mean another one.
    pub(crate) fn forget(&mut self, group: Pid) {
        self.order(&format!("forget {}", group.as_raw_nonzero()));
    }

    fn order(&mut self, order: &str) {
        if let Some(orders) = &mut self.orders {
            // Without an undertaker the sandbox still clears up by itself wherever it can.
            let _ = writeln!(orders, "{order}");
        }
    }
}

impl Drop for Undertaker {
    fn drop(&mut self) {
        self.orders = None;
        // An error means that it is gone already.
        let _ = self.process.wait();
    }
}

/// The undertaker's own program.
pub(crate) fn run() -> ! {
    let mut estate = Estate::default();
    for order in io::stdin().lock().lines().map_while(Result::ok) {
        estate.note(&order);
    }
    estate.clear_up();
    std::process::exit(0);
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Estate {
    groups: BTreeSet<i32>,
    directory: Option<PathBuf>,
}

impl Estate {
    fn note(&mut self, order: &str) {
        let Some((verb, object)) = order.split_once(' ') else { return };
        match (verb, object.parse()) {
            ("watch", Ok(group)) => {
                self.groups.insert(group);
            }
            ("forget", Ok(group)) => {
                self.groups.remove(&group);
            }
            ("remove", _) => self.directory = Some(object.into()),
            _ => {}
        }
    }

    fn clear_up(&self) {
        for group in self.groups.iter().filter_map(|&group| Pid::from_raw(group)) {
            // The only error is that nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Some(directory) = &self.directory {
            // After an orderly end it is gone already.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_undertaker_knows_what_is_left_at_the_end() {
        let mut estate = Estate::default();
        for order in ["remove /tmp/a b", "watch 7", "watch 8", "forget 7", "nonsense", "watch x"] {
            estate.note(order);
        }
        assert_eq!(estate, Estate { groups: BTreeSet::from([8]), directory: Some("/tmp/a b".into()) });
    }
}
