//! Instructions of a piece of work, counted by callgrind: what remains when the machine is busy with something else.
//!
//! This program is run again as a process of its own, once with the work and once without; the difference is what the work
//! took. Valgrind's processor lacks some vector instructions, so checksums cost more here than they do.

use std::process::Command;

/// Whether there is no valgrind on this machine.
pub fn is_missing() -> bool {
    Command::new("valgrind").arg("--version").output().is_err()
}

/// What this program takes with the arguments `with` more than with `without`.
pub fn difference(with: &[String], without: &[String]) -> Option<u64> {
    instructions(with)?.checked_sub(instructions(without)?)
}

fn instructions(arguments: &[String]) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(arguments)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :"))?;
    collected.1.trim().parse().ok()
}
