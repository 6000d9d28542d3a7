//! SnapStart: the environment is copied behind Init, memory and disk, and brought to life any number of times. What was said before
//! is shipped once, by whichever copy comes first; what is said afterwards belongs to one copy alone.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::{Fate, Ledger, Sandbox, SandboxBuilder, ShutdownReason, StartError, Work};
use serde_json::json;
use tempfile::TempDir;
use world::{World, assert_whole, file_name, pause, signal};

fn snap_start(world: &World) -> SandboxBuilder {
    world.sandbox().snap_start().extension_env("LOGSPOOL_LOG", "debug")
}

/// Says something, and waits until the extension has it.
async fn say(sandbox: &Sandbox, words: &str) {
    sandbox.says("platform.sandboxTest", &json!({ "words": words }));
    acknowledged(sandbox, words).await;
}

async fn acknowledged(sandbox: &Sandbox, words: &str) {
    let has = |event: &sandbox::Event| event.kind.contains(words) || event.record.get().contains(words);
    sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).any(has)).await;
}

/// Behind Init, with nothing under way.
async fn started(builder: SandboxBuilder) -> Sandbox {
    let sandbox = builder.start().await.unwrap();
    acknowledged(&sandbox, "initReport").await;
    sandbox
}

fn credentials_asked(sandbox: &Sandbox) -> usize {
    sandbox.api_calls().iter().filter(|call| call.path.contains("credentials")).count()
}

fn threads(sandbox: &Sandbox) -> usize {
    let tasks = format!("/proc/{}/task", sandbox.extension_pid().unwrap());
    std::fs::read_dir(tasks).unwrap().count()
}

async fn live_on(sandbox: &Sandbox, invocations: usize) {
    for _ in 0..invocations {
        assert!(sandbox.invoke(Work::default()).await.result.is_ok());
    }
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0), "{shutdown:?}");
}

#[tokio::test]
async fn before_the_first_invocation_nothing_is_asked_for_nothing_runs_and_no_two_bodies_share_a_spool() {
    let world = World::new().await;
    let metrics = [("LOGSPOOL_EMF", "true"), ("LOGSPOOL_EMF_INTERVAL", "1s")];
    let with_metrics = metrics.iter().fold(snap_start(&world), |it, (name, value)| it.extension_env(*name, *value));
    let sandbox = started(with_metrics).await;
    for words in ["first words", "second words", "third words"] {
        say(&sandbox, words).await;
    }
    // Longer than an upload is taken to need when nothing is known of handlers, and than metrics wait for.
    pause(2_500).await;
    assert_eq!((world.s3.requests().len(), credentials_asked(&sandbox)), (0, 0), "a snapshot holds neither");
    assert_eq!(threads(&sandbox), 1, "nor a thread, whose state nobody knows");
    let sled = world.spools().iter().flat_map(|spool| std::fs::read_dir(spool).unwrap()).any(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().contains("manifest")
    });
    assert!(!sled, "nor an open manifest");
    live_on(&sandbox, 2).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);
    assert!(credentials_asked(&sandbox) > 0);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);

    // Each of them is one object, end and all.
    let said = ["first words", "second words", "third words"];
    for object in world.objects().iter().filter(|object| said.iter().any(|words| text(&object.bytes).contains(words))) {
        assert!(object.key.contains("-end"), "{}", object.key);
        assert_eq!(object.metadata["logspool-seal"], "snapshot");
    }

    // Who said what: one spool for each.
    let spool_of = |words: &str| {
        let objects = world.objects();
        let says = |object: &&sandbox::s3::StoredObject| text(&object.bytes).contains(words);
        file_name(&objects.iter().find(says).unwrap().key).split('-').next().unwrap().to_owned()
    };
    let words = ["initStart", "first words", "second words", "third words", "platform.start\""];
    let spools: BTreeSet<_> = words.map(spool_of).into();
    assert_eq!(spools.len(), words.len(), "{spools:?}");
}

fn text(object: &[u8]) -> String {
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(object).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    text
}

#[tokio::test]
async fn an_init_that_is_never_invoked_is_delivered_at_the_end() {
    let world = World::new().await;
    let sandbox = started(snap_start(&world)).await;
    say(&sandbox, "goodbye").await;
    live_on(&sandbox, 0).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

/// The disk alone, wherever a running process cannot be copied: whoever finds it ships the same.
#[tokio::test]
async fn three_copies_of_the_disk_are_shipped_once_by_whoever_finds_them() {
    let world = World::new().await;
    let original = started(snap_start(&world)).await;
    say(&original, "before the snapshot").await;
    // As it is when a process is stopped, and goes no further.
    signal(&original, "STOP");
    let disks = [(); 3].map(|()| TempDir::new().unwrap());
    for disk in &disks {
        let copied = Command::new("cp").arg("--archive").arg(world.tmp().join(".")).arg(disk.path()).status().unwrap();
        assert!(copied.success());
    }
    let mut ledgers = vec![original.ledger()];
    drop(original);
    for disk in &disks {
        let spool = disk.path().join("spool").display().to_string();
        let copy = snap_start(&world).tmp(disk.path()).extension_env("LOGSPOOL_DIR", spool);
        let copy = started(copy).await;
        live_on(&copy, 2).await;
        ledgers.push(copy.ledger());
    }
    let left = disks.iter().flat_map(|disk| std::fs::read_dir(disk.path().join("spool")).unwrap()).count();
    assert_eq!(left, 0, "all is delivered");
    assert_whole(&world.verdict(&ledgers));
}

/// CRIU, if there is one that works here.
fn criu() -> Option<PathBuf> {
    match prepared::prepared("snapshots", "tests/snapshots/prepare") {
        Ok(directory) => Some(directory.join("criu")),
        Err(why) => {
            prepared::say_skipped(&format!("copies of a running process: {why}"));
            None
        }
    }
}

/// What the copies of one snapshot have left.
struct Copies {
    world: World,
    ledgers: Vec<Ledger>,
}

/// Copies a running process, and lets each copy live its life, one after the other, with its own words before the first
/// invocation.
async fn copies(criu: &Path, lives: &[(&[&str], Life)]) -> Copies {
    for _ in 0..TRIES {
        match try_copies(criu, lives).await {
            Ok(copies) => return copies,
            Err(error) if is_taken(&error) => println!("once more, since somebody else has taken it: {error}"),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{TRIES} times somebody else had taken the process id or a port");
}

/// A copy has the process id and the ports of the original. Between two lives anybody on this machine may take them.
const TRIES: u32 = 5;

fn is_taken(error: &StartError) -> bool {
    let error = error.to_string();
    ["Address already in use", "File exists", "bind"].iter().any(|taken| error.contains(taken))
}

async fn try_copies(criu: &Path, lives: &[(&[&str], Life)]) -> Result<Copies, StartError> {
    let (world, directory) = (World::new().await, TempDir::new().unwrap());
    let original = started(snap_start(&world)).await;
    say(&original, "before the snapshot").await;
    let snapshot = original.snapshot(criu, directory.path()).await.unwrap();
    let mut ledgers = vec![original.ledger()];
    drop(original);
    for (number, (words, life)) in lives.iter().enumerate() {
        let copy = Sandbox::restore(&snapshot).await?;
        for words in *words {
            say(&copy, &format!("{words} of {number}")).await;
        }
        match life {
            Life::Whole => live_on(&copy, 2).await,
            Life::Killed => {
                assert!(copy.invoke(Work::default()).await.result.is_ok());
                copy.kill_extension().await;
            }
        }
        ledgers.push(copy.ledger());
        drop(copy);
        ledgers.extend(world.heal().await);
    }
    Ok(Copies { world, ledgers })
}

#[derive(Debug, Clone, Copy)]
enum Life {
    Whole,
    Killed,
}

#[tokio::test]
async fn three_copies_of_one_snapshot_ship_what_they_share_once_and_all_that_is_their_own() {
    let Some(criu) = criu() else { return };
    let lives: [(&[&str], Life); 3] =
        [(&[], Life::Whole), (&["first"], Life::Whole), (&["first", "second"], Life::Whole)];
    let Copies { world, ledgers } = copies(&criu, &lives).await;
    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
    let mut said = BTreeMap::new();
    for object in world.objects().iter().map(|object| text(&object.bytes)) {
        for words in ["initStart", "before the snapshot", "first of 1", "first of 2", "second of 2"] {
            *said.entry(words).or_insert(0) += object.matches(words).count();
        }
    }
    assert!(said.values().all(|times| *times == 1), "{said:?}");
    let again = world.s3.requests().iter().filter(|request| request.status == Some(412)).count();
    assert!(again >= 2, "each copy ships what it shares, and finds it there");
    println!("{} spools, {} lines, {again} objects found there already", verdict.spools.len(), verdict.delivered);
}

#[tokio::test]
async fn a_copy_that_is_killed_leaves_what_it_shares_to_the_others_and_its_own_to_the_next_life() {
    let Some(criu) = criu() else { return };
    let lives: [(&[&str], Life); 3] = [(&["first"], Life::Killed), (&[], Life::Killed), (&["first"], Life::Whole)];
    let Copies { world, ledgers } = copies(&criu, &lives).await;
    assert_whole(&world.verdict(&ledgers));
}
