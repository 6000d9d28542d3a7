//! A root file system without `/proc`: the manifest cannot be opened through a descriptor, and nothing of it is made elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;
mod own_namespace;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use ledger::no_limits;
use ledger::writer::Writer;
use own_namespace::with_small_disk;
use spool::ManifestState;

const MIB: u64 = 1024 * 1024;

#[test]
fn the_spool_runs_on_its_files_alone_and_nothing_is_written_where_proc_should_be() {
    let name = "the_spool_runs_on_its_files_alone_and_nothing_is_written_where_proc_should_be";
    with_small_disk(name, 16 * MIB, |disk| {
        // An empty directory in its place, which can be written to.
        assert!(Command::new("mount").args(["-n", "-t", "tmpfs", "none", "/proc"]).status().unwrap().success());
        let root = disk.join("spools");
        let mut writer = Writer::new(&root, no_limits());
        assert!(writer.append(3));
        writer.spool.settle_in();
        let deadline = Instant::now() + Duration::from_secs(60);
        while writer.spool.manifest_state() == ManifestState::Waiting && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(writer.spool.manifest_state(), ManifestState::Abandoned);
        assert!(writer.append(4) && writer.seal() && writer.append(2));
        let ledger = writer.die();
        ledger.check(&[]);
        assert_eq!(ledger.delivered(), 9);
        assert_eq!(fs::read_dir("/proc").unwrap().count(), 0);
    });
}
