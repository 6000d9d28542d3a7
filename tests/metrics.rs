//! Own metrics in CloudWatch's embedded metric format: every line obeys the specification, sums are what the summary line says, and
//! no line is the reason for another.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{Fate, LogFormat, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde_json::Value;
use world::{World, assert_whole, pause, the_line};

/// One of CloudWatch Logs' events.
const EVENT_BYTES_MAX: usize = 256 * 1024;
const INTERVAL_MS: i64 = 1_000;

fn with_metrics(world: &World) -> SandboxBuilder {
    world
        .sandbox()
        .function_name("orders")
        .extension_env("LOGSPOOL_EMF", "true")
        .extension_env("LOGSPOOL_EMF_INTERVAL", "1s")
}

/// A line of metrics: what it declares, with units and values.
#[derive(Debug)]
struct Line {
    time_ms: i64,
    metrics: BTreeMap<String, (String, u64)>,
}

impl Line {
    fn value(&self, name: &str) -> u64 {
        self.metrics.get(name).map_or(0, |(_, value)| *value)
    }
}

/// Reads a line by the rules of "Specification: Embedded metric format" (Amazon CloudWatch User Guide).
fn read(text: &str) -> Line {
    assert!(text.len() < EVENT_BYTES_MAX);
    let line: Value = serde_json::from_str(text).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&line["_aws"]), ["CloudWatchMetrics", "Timestamp"]);
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1);
    let directive = &directives[0];
    assert_eq!(names(directive), ["Dimensions", "Metrics", "Namespace"]);
    assert_eq!(directive["Namespace"], "logspool");
    for dimensions in directive["Dimensions"].as_array().unwrap() {
        let dimensions = dimensions.as_array().unwrap();
        assert!(dimensions.len() <= 30);
        for dimension in dimensions {
            let value = line[dimension.as_str().unwrap()].as_str().unwrap();
            assert!(
                (1..=1_024).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()),
                "{value:?}"
            );
        }
    }
    assert_eq!((&line["function"], &line["version"]), (&"orders".into(), &"$LATEST".into()));
    let definitions = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&definitions.len()));
    let mut metrics = BTreeMap::new();
    for definition in definitions {
        assert_eq!(names(definition), ["Name", "Unit"]);
        let (name, unit) = (definition["Name"].as_str().unwrap(), definition["Unit"].as_str().unwrap());
        assert!((1..=1_024).contains(&name.len()));
        assert!(["Count", "Bytes", "Milliseconds"].contains(&unit), "{unit}");
        let before = metrics.insert(name.to_owned(), (unit.to_owned(), line[name].as_u64().unwrap()));
        assert!(before.is_none(), "{name} is declared twice");
    }
    Line { time_ms: line["_aws"]["Timestamp"].as_i64().unwrap(), metrics }
}

fn is_metrics(line: &str) -> bool {
    line.contains("CloudWatchMetrics")
}

fn lines(sandbox: &Sandbox) -> Vec<Line> {
    sandbox.extension_output().iter().filter(|line| is_metrics(line)).map(|line| read(line)).collect()
}

fn sum(lines: &[Line], name: &str) -> u64 {
    lines.iter().map(|line| line.value(name)).sum()
}

/// The fields of the summary line.
fn summary(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let line = the_line(sandbox, "Ended: ");
    line.split(' ').filter_map(|word| word.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

#[tokio::test]
async fn sums_over_an_outage_with_drops_are_what_the_summary_line_says() {
    let world = World::new().await;
    let sandbox = with_metrics(&world)
        .extension_env("LOGSPOOL_LOG", "info")
        .extension_env("LOGSPOOL_DRAIN", "end")
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_SEAL_SIZE", "16KiB")
        .extension_env("LOGSPOOL_SPOOL_MAX", "256KiB")
        .start()
        .await
        .unwrap();
    let invoke = async |lines| {
        let work = Work { lines, line_bytes: 500, sleep_ms: 200, ..Work::default() };
        assert!(sandbox.invoke(work).await.result.is_ok());
    };
    world.s3.set_latency(Duration::from_millis(50));
    for _ in 0..6 {
        invoke(10).await;
    }
    world.s3.faults().set(Fault::SlowDown);
    for _ in 0..12 {
        invoke(100).await;
    }
    world.s3.faults().clear();
    for _ in 0..6 {
        invoke(10).await;
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;

    let (lines, summary) = (lines(&sandbox), summary(&sandbox));
    let said = |name: &str| summary[name].parse::<u64>().unwrap();
    println!("{} lines; the last one: {:?}", lines.len(), lines.last());
    for (metric, field) in [
        ("Records", "records"),
        ("RawBytes", "raw_bytes"),
        ("StoredBytes", "stored_bytes"),
        ("RefusedBodies", "refused"),
        ("Uploads", "delivered"),
        ("UploadedBytes", "bytes"),
        ("FallbackUploads", "fallback"),
        ("UploadAttempts", "attempts"),
        ("FailedUploads", "failed_attempts"),
        ("Invocations", "invocations"),
        ("Holds", "held"),
        ("HoldsForStarvedUpload", "held_for_starved_upload"),
        ("HeldTime", "held_ms"),
        ("BudgetsUsedUp", "budgets_used_up"),
        ("Outages", "outages"),
        ("Panics", "panics"),
    ] {
        assert_eq!(sum(&lines, metric), said(field), "{metric} is {field}");
    }
    let dropped: BTreeMap<_, _> = summary["dropped"].split(',').filter_map(|cause| cause.split_once(':')).collect();
    for cause in ["quota", "refused", "damage", "vanished", "volatile", "platform"] {
        let metric = format!("Dropped{}{}", cause[..1].to_uppercase(), &cause[1..]);
        let said = dropped.get(cause).map_or(0, |records| records.parse().unwrap());
        assert_eq!(sum(&lines, &metric), said, "{metric}");
    }
    // It was a story.
    assert!(sum(&lines, "DroppedQuota") > 0 && sum(&lines, "FailedUploads") > 0 && sum(&lines, "Uploads") > 0);
    assert!(sum(&lines, "HeldTime") >= 50, "an upload takes longer");
    assert!(sum(&lines, "StoredBytes") >= sum(&lines, "UploadedBytes") / 2 && sum(&lines, "RawBytes") > 0);
    assert!(lines.iter().any(|line| line.value("OldestUndeliveredAge") > 0 && line.value("UndeliveredObjects") > 0));
    assert!(lines.iter().all(|line| line.value("SpoolBytes") > 0));
    // The last one comes whenever the end does.
    assert!(lines.len() >= 3);
    let times: Vec<_> = lines[..lines.len() - 1].iter().map(|line| line.time_ms).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL_MS), "{times:?}");
}

/// Until it says nothing any more for some intervals. Returns how many lines it has written by then, or `None` if it goes on for ever.
async fn until_quiet(sandbox: &Sandbox) -> Option<usize> {
    let mut written = lines(sandbox).len();
    for _ in 0..6 {
        pause(3 * INTERVAL_MS.unsigned_abs()).await;
        let now = lines(sandbox).len();
        if now == written {
            return Some(now);
        }
        written = now;
    }
    None
}

#[tokio::test]
async fn no_line_is_the_reason_for_another_where_they_come_back_as_telemetry() {
    let story = async |format: LogFormat| {
        let world = World::new().await;
        // It runs all the time, and what it ships leaves soon.
        let sandbox = with_metrics(&world)
            .log_format(format)
            .freeze(false)
            .extension_env("LOGSPOOL_TYPES", "platform,function,extension")
            .extension_env("LOGSPOOL_COMPRESSION", "none")
            .extension_env("LOGSPOOL_SEAL_AGE", "100ms")
            .start()
            .await
            .unwrap();
        assert!(sandbox.invoke(Work::default()).await.result.is_ok());
        let before = until_quiet(&sandbox).await;
        assert!(before.is_some_and(|lines| lines > 0), "{format:?}: {:#?}", lines(&sandbox));
        assert!(sandbox.invoke(Work::default()).await.result.is_ok());
        let after = until_quiet(&sandbox).await;
        assert!(after > before, "{format:?}: what is new is told");

        let came_back = sandbox.ledger();
        let came_back = came_back.with_fate(Fate::Acknowledged);
        let came_back = came_back.filter(|event| event.kind == "extension" && is_metrics(event.record.get())).count();
        assert_eq!(Some(came_back), after, "{format:?}: all of them came back");
        assert_whole(&world.end(&sandbox).await);
        for object in world.objects() {
            assert!(!is_metrics(&String::from_utf8_lossy(&object.bytes)), "{format:?}: none is shipped");
        }
    };
    tokio::join!(story(LogFormat::Text), story(LogFormat::Json));
}

#[tokio::test]
async fn a_life_in_which_nothing_happened_says_nothing_and_neither_does_one_without_the_setting() {
    let world = World::new().await;
    let idle = with_metrics(&world).extension_env("LOGSPOOL_TYPES", "function").start().await.unwrap();
    idle.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(idle.extension_output(), Vec::<String>::new());

    let without = world.sandbox().start().await.unwrap();
    assert!(without.invoke(Work::default()).await.result.is_ok());
    without.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(without.extension_output(), Vec::<String>::new());

    let short = with_metrics(&world).extension_env("LOGSPOOL_EMF_INTERVAL", "1h").start().await.unwrap();
    assert!(short.invoke(Work::default()).await.result.is_ok());
    short.shutdown(ShutdownReason::Spindown).await;
    let lines = lines(&short);
    assert_eq!((lines.len(), sum(&lines, "Invocations")), (1, 1), "the end is told, however short the life was");
}
