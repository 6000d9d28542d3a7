//! P7: records that the platform cuts in two (platform reference 3.4), told with the real process.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use sandbox::{Fate, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde_json::Value;
use world::World;
use world::wire::Wire;

const START: &str =
    r#"{"time":"2026-09-03T14:29:52.000Z","type":"platform.start","record":{"requestId":"the-one-that-is-cut"}}"#;
const ENVELOPE: &str = r#"{"time":"2026-09-03T14:29:52.929Z","type":"function","record":"#;
const NEXT: &str =
    r#"{"time":"2026-09-03T14:29:53.000Z","type":"platform.start","record":{"requestId":"the-next-one"}}"#;

fn unfrozen(world: &World) -> SandboxBuilder {
    world.sandbox().freeze(false).extension_env("LOGSPOOL_COMPRESSION", "none")
}

/// A record of so many bytes, in parts of this size.
fn parts(bytes: usize, part_bytes: usize) -> (String, Vec<String>) {
    let record = format!(r#"{{"message":"{}","n":1}}"#, "0123456789abcdef".repeat(bytes / 16));
    let parts = record.as_bytes().chunks(part_bytes).map(|part| String::from_utf8(part.to_vec()).unwrap());
    let parts = parts.collect();
    (record, parts)
}

async fn post(sandbox: &Sandbox, body: &str) {
    assert_eq!(Wire::connect(sandbox).await.post(body.as_bytes()).await, 200);
}

/// Lines of these types that hold what was posted, over all lives.
async fn lines(world: &World, sandbox: &Sandbox, kinds: &[&str]) -> Vec<Value> {
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    assert!(!world.objects().iter().any(|object| object.key.ends_with(".dropped")), "nothing is lost");
    let mut lines = Vec::new();
    for object in world.objects() {
        let text = String::from_utf8(object.bytes).unwrap();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    let is_ours = |line: &Value| kinds.contains(&line["type"].as_str().unwrap());
    lines.into_iter().filter(|line| is_ours(line) && line.to_string().contains("0123456789")).collect()
}

#[tokio::test]
async fn a_record_of_two_megabytes_is_one_line_again() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    let (record, parts) = parts(2 << 20, 900_000);
    assert!(parts.len() > 2, "it is cut again");
    post(&sandbox, &format!("[{START},{ENVELOPE}{}}}]", parts[0])).await;
    // Another stream's batch may come between.
    post(&sandbox, &format!("[{NEXT}]")).await;
    let (last, middle) = parts[1..].split_last().unwrap();
    for part in middle {
        post(&sandbox, &format!("[{ENVELOPE}{part}}}]")).await;
    }
    post(&sandbox, &format!("[{ENVELOPE}{last}}},{ENVELOPE}\"0123456789 behind it\"}}]")).await;
    let lines = lines(&world, &sandbox, &["function", "logspool.unparsed"]).await;
    let told: Vec<_> = lines.iter().map(|line| (line["record"].is_object(), line["requestId"].as_str())).collect();
    // What comes behind it belongs to whatever the platform itself has begun meanwhile.
    assert_eq!((told.len(), told[0]), (2, (true, Some("the-one-that-is-cut"))));
    assert!(lines[0]["record"] == serde_json::from_str::<Value>(&record).unwrap(), "not the same record");
}

/// Through the platform's own cutting, with lines before and behind, and with answers that get lost.
#[tokio::test]
async fn what_the_platform_cuts_is_delivered_byte_for_byte() {
    for redeliver in [false, true] {
        let world = World::new().await;
        let sandbox = world.sandbox().extension_env("LOGSPOOL_BUFFER_BYTES", "256KiB").redeliver(redeliver);
        let sandbox = sandbox.start().await.unwrap();
        for kib in [300, 700] {
            let work = Work { large_line_bytes: Some(kib << 10), lines: 20, ..Work::default() };
            assert!(sandbox.invoke(work).await.result.is_ok());
        }
        let large = |sandbox: &Sandbox| {
            let is_large = |event: &sandbox::Event| event.record.get().len() > 256 << 10;
            sandbox.ledger().with_fate(Fate::Acknowledged).filter(|event| is_large(event)).count()
        };
        world.end(&sandbox).await;
        assert_eq!(large(&sandbox), 2);
    }
}

#[tokio::test]
async fn the_halves_of_a_record_that_a_kill_has_parted_are_both_kept() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    let (record, parts) = parts(10_000, 6_000);
    post(&sandbox, &format!("[{START},{ENVELOPE}{}}}]", parts[0])).await;
    sandbox.kill_extension().await;
    while sandbox.invoke(Work { lines: 0, ..Work::default() }).await.result.is_err() {}
    post(&sandbox, &format!("[{ENVELOPE}{}}},{NEXT},{ENVELOPE}\"0123456789 behind it\"}}]", parts[1])).await;
    let lines = lines(&world, &sandbox, &["function", "logspool.unparsed"]).await;
    let told: Vec<_> = lines.iter().map(|line| (line["type"].as_str(), line["requestId"].as_str())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    let text = |at: usize| lines[at]["message"].as_str().unwrap();
    assert!(text(0) == format!("{ENVELOPE}{}", parts[0]), "the first half");
    assert!(text(1) == format!("{ENVELOPE}{}}}", parts[1]), "the second half");
    assert_eq!((told[0].0, told[0].1), (Some("logspool.unparsed"), Some("the-one-that-is-cut")));
    assert_eq!(told[2], (Some("function"), Some("the-next-one")), "what follows is read");
    assert_eq!(format!("{}{}", parts[0], parts[1]), record);
}

#[tokio::test]
async fn a_half_whose_rest_does_not_come_is_kept() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    let (_, parts) = parts(10_000, 6_000);
    post(&sandbox, &format!("[{START},{ENVELOPE}{}}}]", parts[0])).await;
    let lines = lines(&world, &sandbox, &["function", "logspool.unparsed"]).await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0]["message"] == format!("{ENVELOPE}{}", parts[0]), "{}", lines[0]);
    assert_eq!(
        (lines[0]["type"].as_str(), lines[0]["requestId"].as_str()),
        (Some("logspool.unparsed"), Some("the-one-that-is-cut"))
    );
}
