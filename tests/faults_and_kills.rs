//! Thousands of segments through a store that fails in all ways, by a process that is killed again and again: every byte
//! arrives once, under one key; `verify --deep` finds nothing, and every way to take something out of it.
//!
//! `LOGSPOOL_TEST_SEGMENTS=10000 cargo test --test faults_and_kills` is the long version, with a kill for every hundred segments.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod tampering;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{ShutdownReason, Work};
use tampering::{Archive, assert_all_found};
use world::{BUCKET, World, assert_whole, file_name};

const SEGMENTS: usize = 1_000;
const SEGMENTS_PER_KILL: usize = 50;
const LONG_SEGMENTS_PER_KILL: usize = 100;
const FAILS_PER_MILLE: u32 = 300;

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Names of objects that hold lines.
fn segments(world: &World) -> usize {
    let stored = world.s3.requests().into_iter().filter(|request| request.stored);
    stored.map(|request| request.key).collect::<BTreeSet<_>>().len()
}

#[tokio::test]
async fn every_byte_of_thousands_of_segments_arrives_once_under_one_key() {
    let seed = number("LOGSPOOL_TEST_SEED").map_or_else(|| fastrand::u64(..), |seed| seed as u64);
    println!("replay with LOGSPOOL_TEST_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let wanted = number("LOGSPOOL_TEST_SEGMENTS").unwrap_or(SEGMENTS);
    let per_kill = if wanted > SEGMENTS { LONG_SEGMENTS_PER_KILL } else { SEGMENTS_PER_KILL };
    let world = World::new().await;
    // A store that has no conditional puts would be given plain ones from then on, and store what it stored before.
    let kinds: Vec<_> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::NotImplemented).collect();
    world.s3.faults().random(rng.u64(..), FAILS_PER_MILLE, &kinds);
    let sandbox = world
        .sandbox()
        // Every body is a segment.
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_SEAL_SIZE", "1KiB")
        .extension_env("LOGSPOOL_RETRY_BASE", "1ms")
        .extension_env("LOGSPOOL_RETRY_MAX", "5ms")
        // A request that is never answered costs so much.
        .extension_env("LOGSPOOL_REQUEST_TIMEOUT", "100ms")
        .start()
        .await
        .unwrap();
    let (mut kills, mut lives_end) = (0, 0);
    while segments(&world) < wanted || kills < wanted / per_kill {
        let work = Work { lines: 600, line_bytes: 300, lines_per_second: Some(600), ..Work::default() };
        let running = sandbox.invoke_start(work);
        if segments(&world) >= kills * per_kill {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..800))).await;
            sandbox.kill_extension().await;
            kills += 1;
        }
        lives_end += usize::from(running.finished().await.result.is_err());
        if kills.is_multiple_of(10) {
            println!("{} of {wanted} segments, {kills} kills, {lives_end} invocations ended by one", segments(&world));
        }
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.s3.faults().clear();
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);

    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);
    assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new());
    let requests = world.s3.requests();
    let puts: Vec<_> = requests.iter().filter(|request| request.is_put()).collect();
    let failed = puts.iter().filter(|put| put.fault.is_some()).count();
    let (mut stored, mut keys) = (BTreeMap::new(), BTreeMap::new());
    for put in &puts {
        let name = file_name(&put.key).to_owned();
        let key = keys.entry(name.clone()).or_insert_with(|| put.key.clone());
        assert_eq!(*key, put.key, "seed {seed}: one name, one key");
        *stored.entry(name).or_insert(0) += u32::from(put.stored);
    }
    assert!(stored.values().all(|times| *times == 1), "seed {seed}: each was stored, and none twice");
    let objects = world.objects();
    assert_eq!(objects.len(), stored.len(), "seed {seed}");
    for object in &objects {
        let digest = format!("{:016x}", spool::object_digest(&object.bytes));
        let name = file_name(&object.key);
        assert!(name.contains(&digest) || name.ends_with(".dropped"), "seed {seed}: {name} holds other bytes");
    }
    println!(
        "{} objects of {} bytes, {} requests, {failed} failed, {kills} kills, seed {seed}: {verdict}",
        objects.len(),
        objects.iter().map(|object| object.bytes.len()).sum::<usize>(),
        puts.len()
    );
    let verified = world.tool(&["verify", &format!("s3://{BUCKET}/it"), "--deep", "--strict"]);
    println!("{}{}", verified.out, verified.err);
    assert_eq!(verified.code, Some(0), "seed {seed}");
    println!("found: {:?}", assert_all_found(&world, &Archive::of(&world)));
    assert!(failed * 10 >= puts.len(), "seed {seed}: {failed} of {} requests failed", puts.len());
}
