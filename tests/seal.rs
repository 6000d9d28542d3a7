//! When a segment ends: after so many invocations, at an age, at a size, at the hour, at a failure, at the end; in any
//! combination, the first rule that applies. What is counted are the objects and the reasons in their metadata.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandbox::{Fail, Fate, Sandbox, SandboxBuilder, ShutdownReason, Work};
use world::wire::Wire;
use world::{World, pause};

const DRAINS: [&str; 2] = ["end", "background"];

/// An extension of which no rule applies but those that a story names. The platform drops nothing, however slow the machine
/// is: what is counted here depends on every line.
fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let builder = world.sandbox().queue_rule(false).extension_env("LOGSPOOL_SEAL_AGE", "1h");
    settings.iter().fold(builder, |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

/// An invocation that lasts long enough for the platform to hand over, while it runs, what was said before: telemetry is
/// buffered for 25 ms, and a frozen environment is handed nothing.
fn work(lines: u32) -> Work {
    Work { lines, sleep_ms: 100, ..Work::default() }
}

/// One whose lines fill more than 64 KiB, compressed.
fn large() -> Work {
    Work { line_bytes: 1_000, ..work(1_500) }
}

async fn invoke(sandbox: &Sandbox, work: Work) {
    let invocation = sandbox.invoke(work).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
}

/// Ends the life, checks that everything arrived, and returns why each object was sealed, in order.
async fn seals(world: &World, sandbox: &Sandbox) -> Vec<String> {
    world.end(sandbox).await;
    world.seals()
}

/// Several in a row for the same reason count as one: how large a segment is at the moment it is looked at is no promise.
async fn seals_in_turn(world: &World, sandbox: &Sandbox) -> Vec<String> {
    let mut seals = seals(world, sandbox).await;
    seals.dedup();
    seals
}

/// Without order and number: how often an age is reached depends on the machine.
async fn seals_in_all(world: &World, sandbox: &Sandbox) -> Vec<String> {
    let mut seals = seals(world, sandbox).await;
    assert_eq!(seals.last().map(String::as_str), Some("shutdown"));
    seals.sort_unstable();
    seals.dedup();
    seals
}

#[tokio::test]
async fn without_a_rule_that_applies_a_life_is_one_object() {
    let world = World::new().await;
    let sandbox = with(&world, &[("DRAIN", "background")]).start().await.unwrap();
    for lines in [5, 0, 300, 1] {
        invoke(&sandbox, work(lines)).await;
    }
    assert_eq!(seals(&world, &sandbox).await, ["shutdown"]);
}

#[tokio::test]
async fn with_end_and_no_other_word_every_invocation_is_an_object() {
    let world = World::new().await;
    let sandbox = with(&world, &[("DRAIN", "end")]).start().await.unwrap();
    for lines in [5, 0, 300] {
        invoke(&sandbox, work(lines)).await;
    }
    assert_eq!(seals(&world, &sandbox).await, ["invocation_end", "invocation_end", "invocation_end", "shutdown"]);
}

#[tokio::test]
async fn after_so_many_invocations_a_segment_is_sealed() {
    for drain in DRAINS {
        let world = World::new().await;
        let sandbox = with(&world, &[("DRAIN", drain), ("SEAL_INVOCATIONS", "3")]).start().await.unwrap();
        for _ in 0..7 {
            invoke(&sandbox, work(5)).await;
        }
        assert_eq!(seals(&world, &sandbox).await, ["invocation_end", "invocation_end", "shutdown"], "{drain}");
    }
}

/// However short they are: what the platform has not handed over yet is waited for at the end of the last one.
#[tokio::test]
async fn with_end_the_lines_of_so_many_short_invocations_make_one_object() {
    let world = World::new().await;
    let settings = [("DRAIN", "end"), ("SEAL_INVOCATIONS", "3"), ("COMPRESSION", "none")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    let mut requests = Vec::new();
    for _ in 0..6 {
        requests.push(sandbox.invoke(Work { lines: 5, ..Work::default() }).await.request_id);
    }
    assert_eq!(seals(&world, &sandbox).await, ["invocation_end", "invocation_end", "shutdown"]);
    for (object, requests) in world.objects_of_first_life().iter().zip(requests.chunks(3)) {
        let lines = String::from_utf8_lossy(&object.bytes);
        let of_request = |request: &String| {
            lines
                .lines()
                .filter(|line| line.contains("\"type\":\"function\"") && line.contains(request.as_str()))
                .count()
        };
        assert_eq!(requests.iter().map(of_request).collect::<Vec<_>>(), [5, 5, 5], "{}", object.key);
    }
}

#[tokio::test]
async fn at_an_age_a_segment_is_sealed_by_the_next_event() {
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "100"), ("SEAL_AGE", "1s")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        for _ in 0..3 {
            // Frozen meanwhile: nothing can be sealed before the next invocation.
            invoke(&sandbox, work(5)).await;
            pause(1_100).await;
        }
        invoke(&sandbox, work(5)).await;
        let seals = seals(&world, &sandbox).await;
        let (last, aged) = seals.split_last().unwrap();
        assert!(aged.len() >= 3 && aged.iter().all(|seal| seal == "age") && last == "shutdown", "{drain}: {seals:?}");
    }
}

#[tokio::test]
async fn an_environment_that_is_not_frozen_seals_at_an_age_by_itself() {
    let world = World::new().await;
    let settings = [("DRAIN", "background"), ("SEAL_AGE", "1s")];
    let sandbox = with(&world, &settings).freeze(false).start().await.unwrap();
    invoke(&sandbox, work(5)).await;
    world.s3.requests_until(|seen| seen.iter().any(|request| request.is_put() && request.status == Some(200))).await;
    assert_eq!(world.seals()[0], "age");
    world.end(&sandbox).await;
}

#[tokio::test]
async fn at_a_size_a_segment_is_sealed() {
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "100"), ("SEAL_SIZE", "1KiB")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        for _ in 0..3 {
            invoke(&sandbox, work(100)).await;
        }
        let seals = seals(&world, &sandbox).await;
        let (last, sized) = seals.split_last().unwrap();
        assert!(
            sized.len() >= 3 && sized.iter().all(|seal| seal == "size") && last == "shutdown",
            "{drain}: {seals:?}"
        );
    }
}

/// A function that runs for minutes must not make one object of minutes.
#[tokio::test]
async fn a_segment_is_sealed_and_delivered_while_its_invocation_runs() {
    for drain in DRAINS {
        for (rule, value, reason) in [("SEAL_SIZE", "1KiB", "size"), ("SEAL_AGE", "1s", "age")] {
            let world = World::new().await;
            let sandbox = with(&world, &[("DRAIN", drain), (rule, value)]);
            let sandbox = sandbox.function_timeout(Duration::from_secs(60)).start().await.unwrap();
            let mut invocation = sandbox.invoke_start(Work { sleep_ms: 6_000, ..work(100) });
            let is_sealed = || world.seals().iter().any(|seal| seal == reason);
            tokio::select! {
                _ = world.s3.requests_until(|_| is_sealed()) => {}
                _ = invocation.response() => panic!("{drain} {rule}: nothing was sealed before the function was done"),
            }
            assert!(invocation.finished().await.result.is_ok());
            world.end(&sandbox).await;
        }
    }
}

/// How far a segment outgrows its size is bounded by what arrives at once: one body.
#[tokio::test]
async fn no_object_outgrows_its_size_by_more_than_a_body() {
    const SIZE: usize = 64 << 10;
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_SIZE", "64KiB"), ("COMPRESSION", "none")];
        let sandbox = with(&world, &settings).freeze(false).start().await.unwrap();
        let mut wire = Wire::connect(&sandbox).await;
        let event = format!(r#"{{"time":"{}","type":"function","record":"{}"}}"#, time(0), "x".repeat(1_000));
        let body = format!("[{}]", vec![event; 40].join(","));
        for _ in 0..30 {
            assert_eq!(wire.post(body.as_bytes()).await, 200);
        }
        sandbox.shutdown(ShutdownReason::Spindown).await;
        world.heal().await;
        let sizes: Vec<usize> = world.objects_of_first_life().iter().map(|object| object.bytes.len()).collect();
        assert!(sizes.iter().sum::<usize>() > 30 * body.len(), "{drain}: {sizes:?}");
        // A line is longer than its event by a number and a request id.
        let longest = SIZE + body.len() + 40 * 100;
        assert!(sizes.iter().all(|bytes| *bytes <= longest), "{drain}: at most {longest}, but {sizes:?}");
    }
}

#[tokio::test]
async fn a_failed_invocation_is_sealed_at_once() {
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "100")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        invoke(&sandbox, work(5)).await;
        let failed = sandbox.invoke(Work { fail: Some(Fail::Exit), ..work(5) }).await;
        assert!(failed.result.is_err());
        world.end(&sandbox).await;
        assert_eq!(world.seals()[0], "error", "{drain}: {:?}", world.seals());
    }
}

#[tokio::test]
async fn an_invocation_that_logs_an_error_is_sealed_when_it_ends() {
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "100")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        invoke(&sandbox, work(5)).await;
        invoke(&sandbox, Work { logs_error: true, ..work(5) }).await;
        invoke(&sandbox, work(5)).await;
        assert_eq!(seals_in_turn(&world, &sandbox).await, ["error", "shutdown"], "{drain}");
    }
}

#[tokio::test]
async fn invocations_and_size_together_seal_whichever_comes_first() {
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "2"), ("SEAL_SIZE", "64KiB")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        // The quiet one is handed the end of the second: a body with both that end and large lines is sealed for its size.
        for work in [work(5), work(5), work(0), large(), work(5), work(5)] {
            invoke(&sandbox, work).await;
        }
        let expected = ["invocation_end", "size", "invocation_end", "shutdown"];
        assert_eq!(seals_in_turn(&world, &sandbox).await, expected, "{drain}");
    }
}

#[tokio::test]
async fn invocations_and_age_together_seal_whichever_comes_first() {
    for drain in DRAINS {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "3"), ("SEAL_AGE", "3s")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        invoke(&sandbox, work(5)).await;
        pause(3_100).await;
        for _ in 0..4 {
            invoke(&sandbox, work(5)).await;
        }
        assert_eq!(seals_in_all(&world, &sandbox).await, ["age", "invocation_end", "shutdown"], "{drain}");
    }
}

#[tokio::test]
async fn size_and_age_together_seal_whichever_comes_first() {
    let world = World::new().await;
    let settings = [("DRAIN", "background"), ("SEAL_SIZE", "64KiB"), ("SEAL_AGE", "3s")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    invoke(&sandbox, large()).await;
    invoke(&sandbox, work(5)).await;
    pause(3_100).await;
    invoke(&sandbox, work(5)).await;
    assert_eq!(seals_in_all(&world, &sandbox).await, ["age", "shutdown", "size"]);
}

/// An object holds no record of a later hour than that of its folder.
#[tokio::test]
async fn a_body_of_a_later_hour_goes_into_an_object_of_its_own() {
    let world = World::new().await;
    let settings = [("DRAIN", "background"), ("COMPRESSION", "none")];
    let sandbox = with(&world, &settings).freeze(false).start().await.unwrap();
    // The words of Init are of this hour, and come first.
    sandbox.until(|ledger| ledger.with_fate(Fate::Pending).count() == 0).await;
    let mut wire = Wire::connect(&sandbox).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let hours: Vec<_> = (1..=2).map(|hours| time(now + hours * 3_600)).collect();
    for hour in &hours {
        for _ in 0..2 {
            let body = format!(r#"[{{"time":"{hour}","type":"function","record":"posted at {hour}"}}]"#);
            assert_eq!(wire.post(body.as_bytes()).await, 200);
        }
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    assert_eq!(world.seals(), ["hour", "hour", "shutdown"]);
    for hour in hours {
        let folder = format!("/dt={}/hour={}/", &hour[..10], &hour[11..13]);
        let holds = |object: &sandbox::s3::StoredObject| {
            String::from_utf8_lossy(&object.bytes).contains(&format!("posted at {hour}"))
        };
        let folders: Vec<_> = world.objects().into_iter().filter(holds).map(|object| object.key).collect();
        assert!(folders.len() == 1 && folders[0].contains(&folder), "{folder}: {folders:?}");
    }
}

/// As the platform writes times.
fn time(unix_seconds: u64) -> String {
    let ms = i64::try_from(unix_seconds).unwrap() * 1_000;
    logspool::telemetry::event::format_time(ms)
}

#[tokio::test]
async fn objects_are_named_after_their_codec() {
    for (codec, ending) in [("zstd", ".ndjson.zst"), ("gzip", ".ndjson.gz"), ("none", ".ndjson")] {
        let world = World::new().await;
        let sandbox = with(&world, &[("COMPRESSION", codec)]).start().await.unwrap();
        invoke(&sandbox, work(5)).await;
        seals(&world, &sandbox).await;
        let objects = world.objects_of_first_life();
        assert_eq!(objects.len(), 2);
        for object in objects {
            let name = world::file_name(&object.key);
            assert_eq!(&name[name.find('.').unwrap()..], ending);
            assert_eq!(object.content_type.as_deref(), Some("application/x-ndjson"));
            assert_eq!(object.content_encoding, None, "the name says it; a reader must get the bytes that were stored");
        }
    }
}

/// How a zstd frame begins (RFC 8878, 3.1.1).
const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[tokio::test]
async fn an_object_is_one_frame_unless_frames_are_bounded() {
    for (frame_size, bounded) in [("off", false), ("64KiB", true)] {
        let world = World::new().await;
        let settings = [("DRAIN", "background"), ("FRAME_SIZE", frame_size)];
        let sandbox = with(&world, &settings).start().await.unwrap();
        invoke(&sandbox, large()).await;
        assert_eq!(seals(&world, &sandbox).await, ["shutdown"]);
        let object = world.objects_of_first_life().remove(0);
        let frames = object.bytes.windows(4).filter(|bytes| *bytes == FRAME_MAGIC).count() as u64;
        let raw_bytes: u64 = object.metadata["logspool-raw-bytes"].parse().unwrap();
        let expected = if bounded { raw_bytes.div_ceil(64 << 10) } else { 1 };
        assert_eq!(frames, expected, "{frame_size}: {raw_bytes} bytes");
    }
}

#[tokio::test]
async fn the_metadata_say_what_the_name_and_the_lines_say() {
    let world = World::new().await;
    let sandbox = with(&world, &[("COMPRESSION", "none")]).function_name("orders").start().await.unwrap();
    invoke(&sandbox, work(25)).await;
    seals(&world, &sandbox).await;
    for object in world.objects_of_first_life() {
        let name: Vec<_> = world::file_name(&object.key).split('-').collect();
        let (metadata, lines) = (&object.metadata, object.bytes.iter().filter(|byte| **byte == b'\n').count());
        for (told, digits) in [("logspool-first", name[1]), ("logspool-last", name[2])] {
            assert_eq!(metadata[told].parse::<u64>().unwrap(), digits.parse::<u64>().unwrap());
        }
        assert_eq!(metadata["logspool-records"], lines.to_string());
        assert_eq!(metadata["logspool-raw-bytes"], object.bytes.len().to_string());
        assert_eq!(metadata["logspool-function-version"], "$LATEST");
        assert!(object.key.starts_with("it/function=orders/dt="), "{}", object.key);
    }
}
