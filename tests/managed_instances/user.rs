//! Nothing in the extension needs root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use super::{invoke, managed, prints};
use crate::world::{World, extension};

/// Anybody but root and the owner of the files of this test.
const USER: u32 = 60_993;

fn am_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

#[tokio::test]
async fn the_extension_works_as_any_user_and_its_spool_is_nobody_elses() {
    if !am_root() {
        eprintln!("skipped: only root can start a process as another user");
        return;
    }
    let world = World::new().await;
    // As /tmp is. And the program has to be where everybody can execute it.
    fs::set_permissions(world.tmp(), Permissions::from_mode(0o1777)).unwrap();
    let opt = TempDir::new().unwrap();
    fs::set_permissions(opt.path(), Permissions::from_mode(0o755)).unwrap();
    let program = opt.path().join("logspool");
    fs::copy(extension(), &program).unwrap();
    let sandbox = managed(&world).extension(&program).extension_user(USER).start().await.unwrap();
    let pid = sandbox.extension_pid().unwrap();
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), USER);
    invoke(&sandbox, prints(5)).await;
    let spools = world.spools();
    assert_eq!(spools.len(), 1);
    for directory in [&world.spool_root(), &spools[0]] {
        let metadata = fs::metadata(directory).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (USER, 0o700), "{}", directory.display());
    }
    let output = sandbox.extension_output();
    world.end(&sandbox).await;
    assert!(!output.iter().any(|line| line.contains("WARN")), "{output:#?}");
}
