//! What a life leaves behind is delivered by the next one on the same disk: once, whole, by files that nobody else owns.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::fs;
use std::path::{Path, PathBuf};

use sandbox::s3::{Fault, RequestSeen};
use sandbox::{Ledger, Sandbox, SandboxBuilder, ShutdownReason, Work};
use tempfile::TempDir;
use world::{World, assert_whole, file_name};

/// An extension to which the platform hands over everything, however slow the machine is.
fn extension_in(world: &World) -> SandboxBuilder {
    world.sandbox().queue_rule(false)
}

fn work(lines: u32) -> Work {
    Work { lines, ..Work::default() }
}

/// One life from beginning to end, in which everything that was left is delivered. Returns what its platform said.
async fn heal(world: &World) -> Ledger {
    world.s3.faults().clear();
    let sandbox = extension_in(world).start().await.unwrap();
    let invocation = sandbox.invoke(work(1)).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    sandbox.ledger()
}

/// A life that the store did not help, and that was killed: its spool stays. Returns its name and what its platform said.
async fn killed_in_an_outage(world: &World) -> (String, Ledger) {
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox = extension_in(world).start().await.unwrap();
    for lines in [10, 3] {
        assert!(sandbox.invoke(work(lines)).await.result.is_ok());
    }
    sandbox.kill_extension().await;
    let left = names(&world.spool_root());
    assert_eq!(left.len(), 1, "{left:?}");
    (left[0].clone(), sandbox.ledger())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Names, bytes and metadata of everything that was delivered of one spool.
type Objects = Vec<(String, Vec<u8>, Vec<(String, String)>)>;

fn objects_of(world: &World, spool: &str) -> Objects {
    let of_spool = world.objects().into_iter().filter(|object| file_name(&object.key).starts_with(spool));
    of_spool.map(|object| (object.key, object.bytes, object.metadata.into_iter().collect())).collect()
}

#[tokio::test]
async fn several_lives_that_were_killed_are_delivered_by_one() {
    let world = World::new().await;
    let sandbox = extension_in(&world).start().await.unwrap();
    world.s3.faults().set(Fault::RefuseConnections);
    for round in 0..5u32 {
        assert!(sandbox.invoke(work(10 + round)).await.result.is_ok());
        if round % 2 == 0 {
            // In the middle of an invocation, instead of while it is frozen.
            let invocation = sandbox.invoke_start(Work { sleep_ms: 2_000, ..work(20) });
            sandbox
                .until(|ledger| {
                    ledger.of_kind("function").any(|said| said.event.record.get().contains(invocation.request_id()))
                })
                .await;
            sandbox.kill_extension().await;
            assert!(invocation.finished().await.result.is_err());
        } else {
            sandbox.kill_extension().await;
        }
    }
    assert_eq!(world.spools().len(), 5, "each life has left its spool: {:?}", world.spools());
    assert!(world.objects().is_empty());

    world.s3.faults().clear();
    assert!(sandbox.invoke(work(1)).await.result.is_ok());
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let verdict = world.verdict([&sandbox.ledger()]);
    assert_whole(&verdict);
    assert_eq!(verdict.spools.len(), 6);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
    assert_eq!(world.spools(), Vec::<PathBuf>::new());
}

/// A lock that is held is a process that lives.
#[tokio::test]
async fn two_processes_on_one_directory_leave_each_other_alone() {
    let world = World::new().await;
    world.s3.faults().set(Fault::RefuseConnections);
    let first = extension_in(&world).start().await.unwrap();
    first.invoke(work(10)).await;
    let of_first = names(&world.spool_root());
    let second = extension_in(&world).start().await.unwrap();
    second.invoke(work(10)).await;
    world.s3.faults().clear();
    second.invoke(work(10)).await;
    second.shutdown(ShutdownReason::Spindown).await;
    assert_whole(&world.verdict([&second.ledger()]));
    assert_eq!(names(&world.spool_root()), of_first, "the spool of the first is where it was, and nothing else");
    assert_eq!(objects_of(&world, &of_first[0]), []);

    first.invoke(work(10)).await;
    first.shutdown(ShutdownReason::Spindown).await;
    assert_whole(&world.verdict([&first.ledger(), &second.ledger()]));
    assert_eq!(world.spools(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn an_orphan_whose_lock_is_held_waits_for_the_life_that_finds_it_free() {
    let world = World::new().await;
    let (spool, left) = killed_in_an_outage(&world).await;
    let lock = fs::File::open(world.spool_root().join(&spool).join("lock")).unwrap();
    lock.lock().unwrap();
    let before = names(&world.spool_root().join(&spool));
    let meanwhile = heal(&world).await;
    assert_whole(&world.verdict([&meanwhile]));
    assert_eq!(names(&world.spool_root().join(&spool)), before, "not a file of it was touched");

    drop(lock);
    let after = heal(&world).await;
    assert_whole(&world.verdict([&left, &meanwhile, &after]));
    assert_eq!(world.spools(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_is_no_spool_of_ours_is_left_alone() {
    let world = World::new().await;
    let root = world.spool_root();
    let not_ours = [
        "lost+found/inode",
        "backup/01M83MM78RQWXFQDGWP584B4EG/000000000000.seg",
        // Another spelling of an id would be a second directory of one life.
        "01m83mm78rqwxfqdgwp584b4eg/000000000000.seg",
        ".new-backup/file",
        ".hidden/file",
    ];
    for path in not_ours {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), path).unwrap();
    }
    fs::write(root.join("notes.txt"), "notes").unwrap();
    let before = names(&root);
    let (spool, left) = {
        world.s3.faults().set(Fault::RefuseConnections);
        let sandbox = extension_in(&world).start().await.unwrap();
        sandbox.invoke(work(10)).await;
        sandbox.kill_extension().await;
        let spool = names(&root).into_iter().find(|name| !before.contains(name)).unwrap();
        (spool, sandbox.ledger())
    };
    let after = heal(&world).await;
    assert_whole(&world.verdict([&left, &after]));
    assert!(!root.join(spool).exists(), "the orphan between them was drained");
    assert_eq!(names(&root), before);
    for path in not_ours {
        assert_eq!(fs::read_to_string(root.join(path)).unwrap(), path);
    }
}

#[tokio::test]
async fn a_file_with_the_name_of_a_spool_is_said_and_left_alone() {
    let world = World::new().await;
    let name = "01M83MM78RQWXFQDGWP584B4EG";
    fs::create_dir_all(world.spool_root()).unwrap();
    fs::write(world.spool_root().join(name), "a file").unwrap();
    let sandbox = extension_in(&world).start().await.unwrap();
    assert!(sandbox.invoke(work(10)).await.result.is_ok());
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_whole(&world.verdict([&sandbox.ledger()]));
    assert!(world::the_line(&sandbox, "could not be opened").contains(name));
    assert_eq!(names(&world.spool_root()), [name]);
}

/// Foreign files in a spool of ours do not keep it from being delivered.
#[tokio::test]
async fn a_foreign_file_in_an_orphan_keeps_nothing_from_being_delivered() {
    let world = World::new().await;
    let (spool, left) = killed_in_an_outage(&world).await;
    for name in ["7.seg", "000000000000.seg.bak", "core"] {
        fs::write(world.spool_root().join(&spool).join(name), [0x5a; 4_096]).unwrap();
    }
    let after = heal(&world).await;
    assert_whole(&world.verdict([&left, &after]));
}

#[tokio::test]
async fn what_a_kill_left_half_made_or_half_removed_is_cleared_away() {
    let world = World::new().await;
    let root = world.spool_root();
    // Killed before the directory had its name, with and without a first segment in it.
    fs::create_dir_all(root.join(".new-01M83MM78RQWXFQDGWP584B4EG")).unwrap();
    fs::create_dir_all(root.join(".new-01M83MM78RQWXFQDGWP584B4EH")).unwrap();
    fs::write(root.join(".new-01M83MM78RQWXFQDGWP584B4EH/lock"), "").unwrap();
    fs::write(root.join(".new-01M83MM78RQWXFQDGWP584B4EH/000000000000.seg"), [0; 512]).unwrap();
    // Killed while a drained directory was removed, wherever that had come to.
    fs::create_dir_all(root.join("01M83MM78RQWXFQDGWP584B4EJ")).unwrap();
    fs::create_dir_all(root.join("01M83MM78RQWXFQDGWP584B4EK/manifest")).unwrap();
    fs::write(root.join("01M83MM78RQWXFQDGWP584B4EK/lock"), "").unwrap();
    let sandbox = extension_in(&world).start().await.unwrap();
    assert!(sandbox.invoke(work(10)).await.result.is_ok());
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let verdict = world.verdict([&sandbox.ledger()]);
    assert_whole(&verdict);
    assert_eq!(verdict.spools.len(), 1, "nothing was delivered for what held nothing: {:?}", verdict.spools);
    assert_eq!(names(&root), Vec::<String>::new());
    assert_eq!(sandbox.extension_output(), Vec::<String>::new());
}

/// A kill between the last upload and the removal of what was uploaded; or a disk that was restored from a copy.
#[tokio::test]
async fn an_orphan_that_was_delivered_already_is_not_delivered_again() {
    for ended in [false, true] {
        let world = World::new().await;
        let (spool, left) = if ended { left_by_shutdown(&world).await } else { killed_in_an_outage(&world).await };
        let copies = TempDir::new().unwrap();
        copy(&world.spool_root().join(&spool), &copies.path().join(&spool));
        let mut ledgers = vec![left, heal(&world).await];
        let delivered = objects_of(&world, &spool);
        assert!(delivered.len() > 1, "segments and an end");

        copy(&copies.path().join(&spool), &world.spool_root().join(&spool));
        let before = world.puts();
        ledgers.push(heal(&world).await);
        assert_whole(&world.verdict(&ledgers));
        assert_eq!(objects_of(&world, &spool), delivered, "ended {ended}: the same objects, byte for byte");
        let again: Vec<_> = world.s3.requests().into_iter().filter(RequestSeen::is_put).skip(before).collect();
        let of_spool: Vec<_> = again.iter().filter(|put| file_name(&put.key).starts_with(&spool)).collect();
        assert_eq!(of_spool.len(), delivered.len(), "ended {ended}: each was offered once");
        assert!(of_spool.iter().all(|put| put.status == Some(412)), "ended {ended}: and found there");
        assert_eq!(world.spools(), Vec::<PathBuf>::new());
    }
}

/// A life that ended in order while the store was down: its spool stays, with its end.
async fn left_by_shutdown(world: &World) -> (String, Ledger) {
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox: Sandbox = extension_in(world).start().await.unwrap();
    for lines in [10, 3] {
        assert!(sandbox.invoke(work(lines)).await.result.is_ok());
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let left = names(&world.spool_root());
    assert_eq!(left.len(), 1, "{left:?}");
    (left[0].clone(), sandbox.ledger())
}

/// Whoever adopts computes the same: two disks that were copied from one deliver the same names, bytes and metadata.
#[tokio::test]
async fn every_adopter_of_a_copy_delivers_the_same_objects() {
    for codec in ["zstd", "gzip", "none"] {
        let (one, other) = (World::new().await, World::new().await);
        one.s3.faults().set(Fault::RefuseConnections);
        let sandbox = extension_in(&one).extension_env("LOGSPOOL_COMPRESSION", codec).start().await.unwrap();
        for lines in [10, 300] {
            assert!(sandbox.invoke(work(lines)).await.result.is_ok());
        }
        // The last segment is open, and what it holds is in the middle of a frame.
        sandbox.kill_extension().await;
        let spool = names(&one.spool_root()).remove(0);
        copy(&one.spool_root(), &other.spool_root());

        // An adopter's own settings are its own affair.
        heal(&one).await;
        let second = extension_in(&other).extension_env("LOGSPOOL_COMPRESSION", "none").start().await.unwrap();
        second.invoke(work(7)).await;
        second.shutdown(ShutdownReason::Spindown).await;
        let objects = objects_of(&one, &spool);
        assert!(objects.len() >= 3, "{codec}: {} objects", objects.len());
        assert_eq!(objects.iter().filter(|(key, ..)| key.contains("-end.")).count(), 1, "{codec}");
        assert!(objects == objects_of(&other, &spool), "{codec}: another name, another byte or other metadata");
    }
}

/// The request id in force stands in the spool: what follows in the next life, before its first invocation, is attributed.
#[tokio::test]
async fn a_life_that_was_killed_costs_the_next_one_no_attribution() {
    let world = World::new().await;
    let sandbox = extension_in(&world).extension_env("LOGSPOOL_COMPRESSION", "none").start().await.unwrap();
    sandbox.invoke(work(5)).await;
    sandbox.kill_extension().await;
    sandbox.invoke(work(5)).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_whole(&world.verdict([&sandbox.ledger()]));
    for object in world.objects() {
        for line in String::from_utf8(object.bytes).unwrap().lines().filter(|line| !line.contains("logspool.end")) {
            assert!(line.contains("\"requestId\":\""), "{line}");
        }
    }
}
