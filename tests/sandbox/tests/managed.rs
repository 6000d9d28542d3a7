//! Lambda Managed Instances: many invocations at a time, no INVOKE, no freeze, no reset.

mod scripted;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use sandbox::{Fail, Fate, Fault, LogFormat, Outcome, Sandbox, SandboxBuilder, SchemaVersion, ShutdownReason, Work};
use scripted::{Script, kinds, received};
use serde_json::{Value, json};
use tempfile::TempDir;

fn script() -> Script {
    Script { events: vec!["SHUTDOWN".to_owned()], ..Script::default() }
}

fn managed(script: &Script) -> (SandboxBuilder, TempDir) {
    let (builder, directory) = scripted::sandbox(script);
    // Whatever else is set.
    (builder.managed().log_format(LogFormat::Text).freeze(true), directory)
}

fn quiet() -> Work {
    Work { lines: 0, ..Work::default() }
}

fn records(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| event["record"].clone()).collect()
}

fn names(values: &Value) -> Vec<&str> {
    values.as_array().expect("an array").iter().filter_map(|value| value["name"].as_str()).collect()
}

#[tokio::test]
async fn as_many_invocations_as_the_runtime_asks_for_run_at_the_same_time() {
    let (builder, _directory) = managed(&script());
    let sandbox = builder.max_concurrency(5).start().await.expect("Init succeeds");
    // None of the first five ends before all of them have begun.
    let stuck: Vec<_> =
        (0..5).map(|_| sandbox.invoke_start(Work { lines: 1, sleep_ms: 1_500, ..Work::default() })).collect();
    let began = |sandbox: &Sandbox| sandbox.ledger().of_kind("platform.start").count();
    sandbox.until(|ledger| ledger.of_kind("platform.start").count() == 5).await;
    assert_eq!(sandbox.ledger().of_kind("platform.report").count(), 0);
    let sixth = sandbox.invoke_start(quiet());
    tokio::task::yield_now().await;
    assert_eq!(began(&sandbox), 5, "it waits for its turn");
    let ids: BTreeSet<_> = stuck.iter().map(|handle| handle.request_id().to_owned()).collect();
    for invocation in join_all(stuck.into_iter().map(sandbox::InvocationHandle::finished)).await {
        assert_eq!((invocation.outcome, invocation.suppressed_init), (Outcome::Success, false));
        let body: Value = serde_json::from_slice(&invocation.result.expect("answered").body).expect("JSON");
        assert_eq!(body["requestId"], invocation.request_id, "everybody gets the own answer");
    }
    assert_eq!(sixth.finished().await.outcome, Outcome::Success);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let reports = records(&received(sandbox.tmp()), "platform.report");
    let reported: BTreeSet<_> = reports.iter().filter_map(|report| report["requestId"].as_str()).collect();
    assert_eq!((reports.len(), reported.len()), (6, 6));
    assert!(ids.iter().all(|id| reported.contains(id.as_str())));
}

#[tokio::test]
async fn the_platform_tells_a_start_and_a_report_and_no_end_of_the_function() {
    let (builder, _directory) = managed(&script());
    let sandbox = builder.start().await.expect("Init succeeds");
    let request_id =
        sandbox.invoke(Work { lines: 2, raw_every: Some(2), json: true, ..Work::default() }).await.request_id;
    sandbox.shutdown(ShutdownReason::Spindown).await;

    let events = received(sandbox.tmp());
    let told: Vec<_> = kinds(&events).into_iter().skip_while(|kind| *kind != "platform.start").collect();
    assert_eq!(told, ["platform.start", "function", "function", "platform.report"]);
    let init = &records(&events, "platform.initStart")[0];
    assert_eq!(init["initializationType"], "lambda-managed-instances");
    let lines = records(&events, "function");
    assert_eq!((&lines[0]["requestId"], &lines[1]["requestId"]), (&Value::Null, &json!(request_id)));
    assert!(lines[0]["message"].as_str().is_some_and(|text| text.contains(&request_id)), "a raw print: {}", lines[0]);
    let report = &records(&events, "platform.report")[0];
    assert_eq!((&report["requestId"], &report["status"]), (&json!(request_id), &json!("success")));
    let metrics: Vec<_> = report["metrics"].as_object().expect("metrics").keys().collect();
    assert_eq!(metrics, ["durationMs"]);
    assert_eq!(names(&report["spans"]), ["responseLatency", "responseDuration"]);
}

#[tokio::test]
async fn shutdown_is_the_only_event_and_nothing_is_frozen_before_it() {
    let (builder, _directory) = managed(&script());
    let sandbox = builder.start().await.expect("Init succeeds");
    for _ in 0..3 {
        sandbox.invoke(quiet()).await;
        assert!(!sandbox.is_frozen());
    }
    // Nothing else makes a report leave than the time that passes.
    sandbox
        .until(|ledger| ledger.of_kind("platform.report").filter(|it| it.fate == Fate::Acknowledged).count() == 3)
        .await;
    assert!(!sandbox.is_frozen());
    let running = sandbox.invoke_start(Work { lines: 0, sleep_ms: 200, ..Work::default() });
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(shutdown.exited.is_some_and(|status| status.success()) && !shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(running.finished().await.outcome, Outcome::Success, "what runs is finished before");
    let calls = sandbox.api_calls();
    assert_eq!(calls.iter().filter(|call| call.path.ends_with("/event/next")).count(), 1);
    let output = sandbox.extension_output();
    let told: Vec<_> = output.iter().filter(|line| line.starts_with("shutdown: ")).collect();
    assert!(told.len() == 1 && told[0].contains(r#""shutdownReason":"spindown""#), "{output:?}");
}

#[tokio::test]
async fn who_wants_invoke_or_an_older_schema_is_refused() {
    let (builder, _directory) = managed(&Script::default());
    let Err(sandbox::StartError::Init { extension_output, .. }) = builder.start().await else {
        panic!("Init succeeds")
    };
    assert!(extension_output.iter().any(|line| line.contains("Extension.InvalidEventType")), "{extension_output:?}");

    for schema in ["2022-07-01", "2022-12-13", "2025-01-29"] {
        let mut subscription = scripted::subscription();
        subscription["schemaVersion"] = json!(schema);
        let (builder, _directory) = managed(&Script { subscription, ..script() });
        let sandbox = builder.start().await.expect("Init succeeds");
        let status = if schema == "2025-01-29" { "subscribe: 200" } else { "subscribe: 400" };
        let output = sandbox.extension_output();
        assert!(output.iter().any(|line| line.starts_with(status)), "{schema}: {output:?}");
        let schemas: Vec<_> = sandbox.subscriptions().iter().map(|subscription| subscription.schema).collect();
        let expected = if schema == "2025-01-29" { vec![SchemaVersion::V2025_01_29] } else { Vec::new() };
        assert_eq!(schemas, expected);
    }
}

#[tokio::test]
async fn only_the_function_is_told_how_many_run_at_the_same_time() {
    let (builder, _directory) = managed(&script());
    let sandbox = builder.max_concurrency(7).start().await.expect("Init succeeds");
    let variable = |pid: Option<u32>| {
        let environment =
            std::fs::read_to_string(format!("/proc/{}/environ", pid.expect("it runs"))).expect("readable");
        let names = environment.split('\0').filter_map(|pair| pair.strip_prefix("AWS_LAMBDA_MAX_CONCURRENCY="));
        names.map(str::to_owned).next()
    };
    assert_eq!(variable(sandbox.function_pid()).as_deref(), Some("7"));
    assert_eq!(variable(sandbox.extension_pid()), None);
}

#[tokio::test]
async fn an_invocation_that_takes_too_long_is_reported_and_goes_on() {
    let (builder, _directory) = managed(&script());
    let sandbox = builder.function_timeout(Duration::from_secs(2)).start().await.expect("Init succeeds");
    let (function, extension) = (sandbox.function_pid(), sandbox.extension_pid());
    // It writes its last line long after its time is over.
    let slow = Work { lines: 2, pause_ms: 3_000, json: true, ..Work::default() };
    let invocation = sandbox.invoke(slow).await;
    assert!(matches!(invocation.outcome, Outcome::Fault(Fault::Timeout(_))), "{invocation:?}");
    assert_eq!(invocation.result.expect_err("too late").error_type, "Sandbox.Timeout");
    assert_eq!(sandbox.invoke(quiet()).await.outcome, Outcome::Success, "nobody else is disturbed");
    sandbox.until(|ledger| ledger.of_kind("function").count() == 2).await;
    assert_eq!((sandbox.function_pid(), sandbox.extension_pid()), (function, extension));
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let reports = records(&received(sandbox.tmp()), "platform.report");
    let statuses: Vec<_> = reports.iter().map(|report| (&report["status"], &report["errorType"])).collect();
    assert_eq!(statuses, [(&json!("timeout"), &Value::Null), (&json!("success"), &Value::Null)]);
}

#[tokio::test]
async fn a_crash_of_extension_or_function_ends_the_environment_for_good() {
    for crash in ["extension", "function", "exit"] {
        let (builder, _directory) = managed(&script());
        let sandbox = builder.start().await.expect("Init succeeds");
        let running = sandbox.invoke_start(Work { fail: Some(Fail::Timeout), ..Work::default() });
        sandbox.until(|ledger| ledger.of_kind("platform.start").count() == 1).await;
        match crash {
            "extension" => sandbox.kill_extension().await,
            "function" => sandbox.kill_function().await,
            _ => drop(sandbox.invoke(Work { fail: Some(Fail::Exit), ..quiet() }).await),
        }
        let fault = match running.finished().await.outcome {
            Outcome::Fault(fault) => fault,
            Outcome::Success => panic!("{crash}: it never ends"),
        };
        let expected = if crash == "extension" { "Extension.Crash" } else { "Runtime.ExitError" };
        assert_eq!(fault.error_type(), expected, "{crash}");
        let later = sandbox.invoke(quiet()).await;
        assert_eq!((later.outcome, later.suppressed_init), (Outcome::Fault(fault), false), "{crash}");
        assert_eq!((sandbox.function_pid(), sandbox.extension_pid()), (None, None), "{crash}: nothing is begun again");
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let ledger = sandbox.ledger();
        assert_eq!(ledger.of_kind("platform.initStart").count(), 1, "{crash}");
        let output = sandbox.extension_output();
        let reasons: Vec<_> = output.iter().filter(|line| line.starts_with("shutdown: ")).collect();
        let is_told = reasons.iter().all(|line| line.contains(r#""shutdownReason":"failure""#));
        assert_eq!((reasons.len(), is_told), (usize::from(crash != "extension"), true), "{crash}: {output:?}");
    }
}
