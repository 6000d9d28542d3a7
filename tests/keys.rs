//! `KEY`: the folder of an object is what its operator wants, and the same from every process that computes it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;

use sandbox::s3::Fault;
use sandbox::{Sandbox, ShutdownReason, Work};
use world::{World, assert_whole, file_name};

const KEY: &str = "{shard}/{account}-{region}/{function}/{version}/{year}-{month}-{day}T{hour}";

/// The sandbox's.
const ACCOUNT: &str = "123456789012";

async fn start(world: &World) -> Sandbox {
    // In an outage only size seals: every body is a segment.
    let builder =
        world.sandbox().extension_env("LOGSPOOL_COMPRESSION", "none").extension_env("LOGSPOOL_SEAL_SIZE", "1KiB");
    builder.extension_env("LOGSPOOL_KEY", KEY).start().await.unwrap()
}

#[tokio::test]
async fn keys_computed_again_without_a_manifest_are_identical() {
    let world = World::new().await;
    // The first life stores objects and is told that it does not, so it never lets go of a segment.
    world.s3.faults().set(Fault::InternalErrorAfterStoring);
    let sandbox = start(&world).await;
    let mut invocations = 0;
    while world.objects().len() < 3 {
        invocations += 1;
        assert!(invocations < 200, "{invocations} invocations, {} objects", world.objects().len());
        sandbox.invoke(Work { lines: 30, line_bytes: 200, sleep_ms: 50, ..Work::default() }).await;
    }
    sandbox.kill_extension().await;
    let before: BTreeMap<_, _> = world.objects().into_iter().map(|object| (object.key, object.bytes)).collect();
    for spool in world.spools() {
        let _ = std::fs::remove_dir_all(spool.join("manifest"));
    }
    world.s3.faults().clear();
    sandbox.invoke(Work { lines: 3, ..Work::default() }).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![sandbox.ledger()];
    while !world.spools().is_empty() && ledgers.len() < 20 {
        let sandbox = start(&world).await;
        sandbox.invoke(Work { lines: 0, ..Work::default() }).await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        ledgers.push(sandbox.ledger());
    }
    assert_whole(&world.verdict(&ledgers));

    let after: BTreeMap<_, _> = world.objects().into_iter().map(|object| (object.key, object.bytes)).collect();
    assert!(before.len() >= 3 && before.iter().all(|(key, bytes)| after.get(key) == Some(bytes)));
    let names: std::collections::BTreeSet<_> = after.keys().map(|key| file_name(key)).collect();
    assert_eq!(names.len(), after.len(), "each name stands in one folder: {:#?}", after.keys());
    let found: Vec<_> =
        world.s3.requests().into_iter().filter(|request| before.contains_key(&request.key)).map(|r| r.status).collect();
    assert!(found.contains(&Some(412)), "the next life found what was there: {found:?}");
}

#[tokio::test]
async fn every_field_is_told_by_lambda() {
    let world = World::new().await;
    let sandbox = start(&world).await;
    sandbox.invoke(Work { lines: 3, ..Work::default() }).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let objects = world.objects();
    assert!(!objects.is_empty());
    for object in objects {
        let parts: Vec<_> = object.key.split('/').collect();
        let ["it", shard, place, function, version, hour, name] = parts[..] else { panic!("{}", object.key) };
        assert!(shard.len() == 2 && u8::from_str_radix(shard, 16).is_ok(), "{shard}");
        assert_eq!(
            (place, version),
            (format!("{ACCOUNT}-{}", world.s3.region()).as_str(), "%24LATEST"),
            "{}",
            object.key
        );
        assert!(!function.is_empty() && hour.len() == "2026-11-23T04".len() && name.contains('-'), "{}", object.key);
    }
}
