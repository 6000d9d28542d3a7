//! What each invocation did is told in one line behind its report, and what could not be seen is said to be missing.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sandbox::{Fail, Fate, Ledger, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde_json::{Value, json};
use world::wire::Wire;
use world::{World, file_name};

const INVOCATION: &str = "logspool.invocation";

fn summing_up(world: &World) -> SandboxBuilder {
    world
        .sandbox()
        .extension_env("LOGSPOOL_INVOCATIONS", "true")
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_LOG", "info")
}

/// The lines of every life, each in the order of their numbers.
fn lines_of_lives(world: &World) -> Vec<Vec<Value>> {
    let mut lives = BTreeMap::<String, BTreeMap<u64, Value>>::new();
    for object in world.objects() {
        let spool = file_name(&object.key).split('-').next().unwrap().to_owned();
        let lines = object.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()) {
            lives.entry(spool.clone()).or_default().insert(line["seq"].as_u64().unwrap(), line);
        }
    }
    lives.into_values().map(|lines| lines.into_values().collect()).collect()
}

fn all_lines(world: &World) -> Vec<Value> {
    lines_of_lives(world).concat()
}

/// The records of the lines about one invocation.
fn told(lines: &[Value], request_id: &str) -> Vec<Value> {
    let about = lines.iter().filter(|line| line["type"] == INVOCATION && line["requestId"] == request_id);
    about.map(|line| line["record"].clone()).collect()
}

/// What the function has said from each start to the report of it, as the platform knows it: lines and bytes.
fn said(ledger: &Ledger) -> BTreeMap<String, (u64, u64)> {
    let (mut said, mut open) = (BTreeMap::new(), None);
    for event in ledger.entries().iter().map(|entry| &entry.event) {
        let record: Value = serde_json::from_str(event.record.get()).unwrap();
        match event.kind.as_str() {
            "platform.start" => {
                open = Some(record["requestId"].as_str().unwrap().to_owned());
                said.insert(open.clone().unwrap(), (0, 0));
            }
            "platform.report" => open = None,
            "function" => {
                if let Some(count) = open.as_ref().and_then(|id| said.get_mut(id)) {
                    *count = (count.0 + 1, count.1 + event.record.get().len() as u64 - 2);
                }
            }
            _ => {}
        }
    }
    said
}

/// The report of an invocation comes with the next one.
async fn thaw_again(sandbox: &Sandbox) {
    sandbox.invoke(Work { lines: 0, ..Work::default() }).await;
}

fn event(kind: &str, record: Value) -> Vec<u8> {
    json!([{ "time": "2026-01-10T10:00:03.004Z", "type": kind, "record": record }]).to_string().into_bytes()
}

#[tokio::test]
async fn every_invocation_is_told_whatever_became_of_it() {
    let world = World::new().await;
    let sandbox = summing_up(&world).function_timeout(Duration::from_secs(3)).start().await.unwrap();
    let exception =
        "[ERROR] ValueError: no such order\rTraceback (most recent call last):\r\u{a0}\u{a0}File \"app.py\"";
    let works = [
        Work { lines: 3, ..Work::default() },
        Work { lines: 2, fail: Some(Fail::Error), ..Work::default() },
        Work { lines: 1, fail: Some(Fail::Panic), ..Work::default() },
        Work { lines: 0, says: Some(exception.into()), ..Work::default() },
        Work { lines: 4, fail: Some(Fail::Timeout), ..Work::default() },
        // In a new life.
        Work { lines: 5, ..Work::default() },
    ];
    let mut ids = Vec::new();
    for work in works {
        ids.push(sandbox.invoke(work).await.request_id);
    }
    thaw_again(&sandbox).await;
    world.end(&sandbox).await;

    // On a busy machine the platform may kill a life before it has said what it knows.
    let ended = sandbox.extension_output().iter().filter(|line| line.contains("Ended")).count();
    let (ledger, lines) = (sandbox.ledger(), all_lines(&world));
    let said = said(&ledger);
    for (number, id) in ids.iter().enumerate() {
        let told = told(&lines, id);
        // The life that the timeout has ended may not have seen the report: then it tells what it knows, and so does the next.
        if number == 4 {
            if ended < 2 {
                continue;
            }
            assert_eq!(told[0]["status"], "timeout", "{told:?}");
            assert_eq!(told[0]["lines"], said[id].0, "{told:?}");
            continue;
        }
        assert_eq!(told.len(), 1, "{number}: {told:?}");
        let told = &told[0];
        assert_eq!((&told["status"], &told["partial"]), (&json!("success"), &Value::Null), "{number}: {told}");
        assert_eq!((told["lines"].as_u64(), told["bytes"].as_u64()), (Some(said[id].0), Some(said[id].1)), "{number}");
        assert_eq!(told["coldStart"], number == 0 || number == 5, "{number}: {told}");
        assert_eq!(told["initDurationMs"].is_number(), number == 0 || number == 5, "{number}: {told}");
        let report = ledger.of_kind("platform.report").find(|entry| entry.event.record.get().contains(id)).unwrap();
        let report: Value = serde_json::from_str(report.event.record.get()).unwrap();
        for name in ["durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB"] {
            assert_eq!(told[name], report["metrics"][name], "{number}: {name}");
        }
        assert_eq!(told["tracing"], report["tracing"]["value"]);
        assert!(told["spans"]["responseLatency"].is_number() && told["runtimeDurationMs"].is_number(), "{told}");
    }
    assert_eq!(told(&lines, &ids[3])[0]["exception"], json!({ "type": "ValueError", "message": "no such order" }));
    assert!(said[&ids[2]].0 > 1, "a panic is logged");
}

#[tokio::test]
async fn the_line_stands_behind_the_report_of_which_it_has_the_time() {
    let world = World::new().await;
    let sandbox = summing_up(&world).start().await.unwrap();
    for lines in [1, 0, 40] {
        sandbox.invoke(Work { lines, ..Work::default() }).await;
    }
    world.end(&sandbox).await;
    let lines = all_lines(&world);
    let reports: Vec<_> = (0..lines.len()).filter(|at| lines[*at]["type"] == "platform.report").collect();
    assert!(reports.len() >= 3);
    for at in reports {
        let (report, behind) = (&lines[at], &lines[at + 1]);
        assert_eq!(behind["type"], INVOCATION, "{behind}");
        assert_eq!((&behind["time"], &behind["requestId"]), (&report["time"], &report["requestId"]));
    }
}

#[tokio::test]
async fn without_the_setting_there_is_no_such_line_and_without_the_events_there_is() {
    for (settings, expected) in [
        (&[("LOGSPOOL_INVOCATIONS", "false")][..], [("platform.report", 2), (INVOCATION, 0), ("function", 6)]),
        (&[("LOGSPOOL_TYPES", "function")][..], [("platform.report", 0), (INVOCATION, 2), ("function", 6)]),
        (&[("LOGSPOOL_TYPES", "extension")][..], [("platform.report", 0), (INVOCATION, 2), ("function", 0)]),
    ] {
        let world = World::new().await;
        let mut sandbox = summing_up(&world);
        for (name, value) in settings {
            sandbox = sandbox.extension_env(*name, *value);
        }
        let sandbox = sandbox.start().await.unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(sandbox.invoke(Work { lines: 3, ..Work::default() }).await.request_id);
        }
        thaw_again(&sandbox).await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        world.heal().await;
        let lines = all_lines(&world);
        for (kind, count) in expected {
            let about = |line: &&Value| line["type"] == kind && ids.iter().any(|id| line["requestId"] == id.as_str());
            assert_eq!(lines.iter().filter(about).count(), count, "{settings:?}: {kind}");
        }
        for told in ids.iter().flat_map(|id| told(&lines, id)) {
            let counted = if expected[2].1 > 0 { json!(3) } else { Value::Null };
            assert_eq!((&told["lines"], &told["status"]), (&counted, &json!("success")));
        }
    }
}

#[tokio::test]
async fn what_is_open_when_the_environment_ends_is_told_before_the_end_line() {
    let world = World::new().await;
    let sandbox = summing_up(&world).freeze(false).start().await.unwrap();
    sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).any(|event| event.kind == "platform.initStart")).await;
    let mut wire = Wire::connect(&sandbox).await;
    for body in [event("platform.start", json!({ "requestId": "open" })), event("function", json!("hello"))] {
        assert_eq!(wire.post(&body).await, 200);
    }
    drop(wire);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    let lives = lines_of_lives(&world);
    let lines = &lives[0];
    let [.., before, end] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(end["type"], "logspool.end");
    assert_eq!((&before["type"], &before["requestId"]), (&json!(INVOCATION), &json!("open")));
    assert_eq!(before["record"], json!({ "coldStart": true, "lines": 1, "bytes": 5, "partial": true }));
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (0..lines.len() as u64).collect::<Vec<_>>(), "every line has its number");
}

#[tokio::test]
async fn an_invocation_that_a_killed_life_has_seen_begin_is_told_in_part() {
    let world = World::new().await;
    let sandbox = summing_up(&world).freeze(false).start().await.unwrap();
    let begin = event("platform.start", json!({ "requestId": "survivor" }));
    assert_eq!(Wire::connect(&sandbox).await.post(&begin).await, 200);
    sandbox.kill_extension().await;
    sandbox.invoke(Work { lines: 1, ..Work::default() }).await;
    let report = json!({ "requestId": "survivor", "status": "error", "errorType": "Extension.Crash", "metrics": { "durationMs": 7.5 } });
    assert_eq!(Wire::connect(&sandbox).await.post(&event("platform.report", report)).await, 200);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    let expected = json!({ "status": "error", "errorType": "Extension.Crash", "durationMs": 7.5, "partial": true });
    assert_eq!(told(&all_lines(&world), "survivor"), [expected]);
}

/// A limit of the length of files makes appends fail, and the spool is left for a new one again and again.
#[tokio::test]
async fn a_body_that_had_to_be_appended_again_is_counted_once() {
    let world = World::new().await;
    let wrapper = world.tmp().join("logspool");
    // A process that does not ignore the signal would be ended by it. With 512 or 1,024 bytes a unit every body fits.
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f 1024\nexec '{}' \"$@\"\n", world::extension());
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let sandbox = summing_up(&world)
        .extension(&wrapper)
        .extension_env("LOGSPOOL_DRAIN", "background")
        .extension_env("LOGSPOOL_SEAL_AGE", "1h")
        .start()
        .await
        .unwrap();
    let rolls =
        || sandbox.extension_output().iter().filter(|line| line.contains("The spool was left for a new one")).count();
    let mut ids = Vec::new();
    while rolls() < 3 && ids.len() < 500 {
        ids.push(sandbox.invoke(Work { lines: 100, line_bytes: 300, ..Work::default() }).await.request_id);
    }
    assert!(rolls() >= 3, "{:#?}", sandbox.extension_output());
    thaw_again(&sandbox).await;
    world.end(&sandbox).await;
    let lines = all_lines(&world);
    for id in &ids {
        let told = told(&lines, id);
        assert_eq!((told.len(), &told[0]["lines"]), (1, &json!(100)), "{told:?}");
    }
}
