//! P2 at the door: a body that the platform offers once more is stored once, and two bodies of the same bytes twice.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::time::Duration;

use sandbox::{Fate, Sandbox, SandboxBuilder, ShutdownReason, Work};
use world::World;
use world::wire::{Wire, request};

fn unfrozen(world: &World) -> SandboxBuilder {
    world.sandbox().freeze(false).extension_env("LOGSPOOL_COMPRESSION", "none").extension_env("LOGSPOOL_LOG", "debug")
}

fn body(text: &str) -> Vec<u8> {
    format!(r#"[{{"time":"2026-01-01T00:00:00.000Z","type":"function","record":"{text}"}}]"#).into_bytes()
}

/// How often each line was delivered, over all lives.
async fn delivered(world: &World, sandbox: &Sandbox, texts: &[&str]) -> Vec<usize> {
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    let objects = world.objects();
    let text: String = objects.iter().map(|object| String::from_utf8_lossy(&object.bytes).into_owned()).collect();
    texts.iter().map(|line| text.matches(&format!("\"message\":\"{line}\"")).count()).collect()
}

/// Waits until the extension has said so: its output comes through a pipe. That it never does is no reason to hang.
async fn said(sandbox: &Sandbox, part: &str) {
    let is_said = async {
        while !sandbox.extension_output().iter().any(|line| line.contains(part)) {
            world::pause(5).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(60), is_said).await;
    assert!(said.is_ok(), "{part:?} is not in {:#?}", sandbox.extension_output());
}

#[tokio::test]
async fn bodies_of_the_same_bytes_are_two_when_both_were_answered() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    let mut wire = Wire::connect(&sandbox).await;
    for _ in 0..2 {
        assert_eq!(wire.post(&body("twice")).await, 200);
    }
    assert_eq!(Wire::connect(&sandbox).await.post(&body("twice")).await, 200);
    assert_eq!(delivered(&world, &sandbox, &["twice"]).await, [3]);
}

#[tokio::test]
async fn a_body_whose_sender_did_not_wait_for_the_answer_is_stored_once() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    for _ in 0..2 {
        let mut wire = Wire::connect(&sandbox).await;
        // The process cannot answer before the end of the connection is there.
        world::signal(&sandbox, "STOP");
        wire.send(&request("POST", "/", &body("once"))).await;
        wire.close().await;
        world::signal(&sandbox, "CONT");
        // A later one, so that this one has been handled.
        assert_eq!(Wire::connect(&sandbox).await.post(&body("other")).await, 200);
    }
    said(&sandbox, "A body was offered once more").await;
    assert_eq!(delivered(&world, &sandbox, &["once", "other"]).await, [1, 2]);
}

#[tokio::test]
async fn a_body_that_a_killed_life_has_stored_is_not_stored_again_by_the_next_one() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    assert_eq!(Wire::connect(&sandbox).await.post(&body("before the kill")).await, 200);
    sandbox.kill_extension().await;
    // It notices, and is reborn.
    while sandbox.invoke(Work { lines: 0, ..Work::default() }).await.result.is_err() {}
    let mut wire = Wire::connect(&sandbox).await;
    assert_eq!(wire.post(&body("before the kill")).await, 200);
    assert_eq!(wire.post(&body("after it")).await, 200);
    assert_eq!(delivered(&world, &sandbox, &["before the kill", "after it"]).await, [1, 1]);
}

/// What stands in the way of a start is not read at any price.
#[tokio::test]
async fn a_tail_that_is_too_long_for_a_start_costs_a_repetition_and_nothing_else() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    assert_eq!(Wire::connect(&sandbox).await.post(&body("before the kill")).await, 200);
    sandbox.kill_extension().await;
    let [spool] = world.spools().try_into().unwrap();
    let files = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
    let newest = files.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).max().unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(newest).unwrap();
    file.set_len(file.metadata().unwrap().len() + (9 << 20)).unwrap();
    while sandbox.invoke(Work { lines: 0, ..Work::default() }).await.result.is_err() {}
    let mut wire = Wire::connect(&sandbox).await;
    for text in ["before the kill", "after it"] {
        assert_eq!(wire.post(&body(text)).await, 200);
    }
    assert_eq!(delivered(&world, &sandbox, &["before the kill", "after it"]).await, [2, 1]);
}

#[tokio::test]
async fn a_sequence_id_tells_a_repetition_on_any_connection() {
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    for _ in 0..3 {
        let mut wire = Wire::connect(&sandbox).await;
        let body = body("named");
        let head = format!("POST / HTTP/1.1\r\nsequence-id: bmFtZWQ=\r\ncontent-length: {}\r\n\r\n", body.len());
        wire.send(&[head.as_bytes(), &body].concat()).await;
        assert_eq!(wire.status().await, 200);
    }
    assert_eq!(delivered(&world, &sandbox, &["named"]).await, [1]);
}

/// Kills that are likely to strike while a body is under way: many are, one behind the other.
const KILLS: u32 = 8;
/// While a life begins they wait, and come in one body then: it has to be shorter than what the extension takes of one.
const LINES: u32 = 8_000;

/// With a platform that offers again whatever was not answered, also to the next life. The seed is printed;
/// `LOGSPOOL_REDELIVERY_SEED=n` runs one again.
#[tokio::test]
async fn what_is_offered_again_after_a_kill_is_delivered_once() {
    let given = std::env::var("LOGSPOOL_REDELIVERY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("LOGSPOOL_REDELIVERY_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let world = World::new().await;
    let sandbox = unfrozen(&world).redeliver(true).extension_env("LOGSPOOL_BUFFER_BYTES", "256KiB");
    let sandbox = sandbox.start().await.unwrap();
    for kill in 0..KILLS {
        let (lines, line_bytes, json) = (LINES, rng.usize(150..400), rng.bool());
        let work = Work { lines, line_bytes, json, sleep_ms: 60_000, ..Work::default() };
        let invocation = sandbox.invoke_start(work);
        let request_id = invocation.request_id().to_owned();
        let is_of_it = |event: &sandbox::Event| event.kind == "function" && event.record.get().contains(&request_id);
        let stored = rng.usize(1..LINES as usize / 2);
        sandbox
            .until(|ledger| ledger.with_fate(Fate::Acknowledged).filter(|event| is_of_it(event)).count() >= stored)
            .await;
        world::pause(rng.u64(0..8)).await;
        sandbox.kill_extension().await;
        assert!(invocation.finished().await.result.is_err(), "kill {kill}: its environment is reset");
        // Between kills, one that the platform has to cut.
        let work = Work { large_line_bytes: Some(rng.usize(300_000..900_000)), ..Work::default() };
        assert!(sandbox.invoke(work).await.result.is_ok());
    }
    let verdict = world.end(&sandbox).await;
    println!("{verdict}");
    assert!(verdict.spools.len() > KILLS as usize && verdict.doubled.is_empty(), "{verdict}");
}
