//! What must stay inside: own log lines hold no payload, no credential and no signed header, and what lies on disk is for its
//! owner alone.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sandbox::s3::Fault;
use sandbox::{Fate, ShutdownReason, Work};
use world::{World, assert_whole};

#[tokio::test]
async fn own_log_lines_hold_no_payload_no_credential_and_no_signature() {
    let seed = std::env::var("LOGSPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(fastrand::u64(..));
    println!("replay with LOGSPOOL_TEST_SEED={seed}");
    let world = World::new().await;
    let kinds: Vec<_> = Fault::COUNTABLE.into_iter().filter(|fault| *fault != Fault::Hang).collect();
    world.s3.faults().random(seed, 500, &kinds);
    let token = "FwoGZXIvYXdzEBYaDKV1nKRl5x0a";
    let sandbox = world
        .sandbox()
        .extension_env("LOGSPOOL_LOG", "debug")
        .extension_env("AWS_SESSION_TOKEN", token)
        .extension_env("LOGSPOOL_LEVEL", "no level")
        .start()
        .await
        .unwrap();
    for lines in 1..20 {
        sandbox.invoke(Work { lines, line_bytes: 200, ..Work::default() }).await;
    }
    world.s3.faults().clear();
    sandbox.shutdown(ShutdownReason::Spindown).await;

    let output = sandbox.extension_output().join("\n");
    assert!(output.lines().count() > 20, "much was said: {output}");
    let never =
        [world.s3.secret_access_key(), token, "Signature=", "AWS4-HMAC", "Authorization", "x-amz-security-token"];
    for secret in never {
        assert!(!output.contains(secret), "{secret} is in {output}");
    }
    let mut payloads = 0;
    for event in sandbox.ledger().with_fate(Fate::Acknowledged).filter(|event| event.kind == "function") {
        let text = event.record.get().trim_matches('"');
        // The end of a line is nobody's id.
        let tail: String = text.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        payloads += 1;
        assert!(!output.contains(&tail), "{tail} is in {output}");
    }
    assert!(payloads > 100, "{payloads} lines were looked for");
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

#[tokio::test]
async fn passwords_in_settings_are_not_shown() {
    for (name, value) in [
        ("LOGSPOOL_S3_ENDPOINT", "https://user:pa55word@store.example.com/"),
        ("LOGSPOOL_S3_ENDPOINT", "user:pa55word@store.example.com"),
        ("LOGSPOOL_S3_PROXY", "https://user:pa55word@proxy.example.com:3128"),
        ("HTTPS_PROXY", "https://user:pa55word@proxy.example.com:3128"),
        ("LOGSPOOL_FALLBACK", "s3://Other?proxy=http://user:pa55word@proxy.example.com"),
    ] {
        let world = World::new().await;
        let sandbox = world.sandbox().extension_env(name, value).start().await.unwrap();
        assert!(sandbox.invoke(Work::default()).await.result.is_ok());
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let said = world::the_line(&sandbox, "Bad settings");
        assert!(said.contains(name) || said.contains("the endpoint is not of the form"), "{said}");
        assert!(sandbox.extension_output().iter().all(|line| !line.contains("pa55word")), "{said}");
    }
}

/// Everything below a directory, itself included, that others than its owner could use. They get no further than to a
/// directory that is closed to them, but what we write is closed itself.
fn open_to_others(root: &Path) -> Vec<PathBuf> {
    let (mut found, mut paths) = (Vec::new(), vec![root.to_owned()]);
    while let Some(path) = paths.pop() {
        if path.metadata().unwrap().permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        if path.is_dir() && !path.ends_with("manifest") {
            paths.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[tokio::test]
async fn what_lies_on_disk_is_for_its_owner_alone() {
    let world = World::new().await;
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox = world.sandbox().start().await.unwrap();
    for lines in [10, 3, 5] {
        sandbox.invoke(Work { lines, ..Work::default() }).await;
    }
    let has_manifest = world.spools()[0].read_dir().unwrap().count() > 3;
    assert!(
        has_manifest,
        "files of every kind are there: {:?}",
        world.spools()[0].read_dir().unwrap().collect::<Vec<_>>()
    );
    assert_eq!(open_to_others(&world.spool_root()), Vec::<PathBuf>::new());
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(open_to_others(&world.spool_root()), Vec::<PathBuf>::new());
}
