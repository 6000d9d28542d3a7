//! The life of an environment: Init, invocations, shutdown, with real processes.

mod scripted;

use std::time::Duration;

use sandbox::{Fail, Fate, Fault, Happening, LogFormat, Outcome, Sandbox, ShutdownReason, Work};
use scripted::{Script, kinds, received};
use serde_json::{Value, json};

/// The records of a type, in order.
fn records(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).map(|event| event["record"].clone()).collect()
}

fn quiet() -> Work {
    Work { lines: 0, ..Work::default() }
}

#[tokio::test]
async fn a_function_without_an_extension_is_invoked_and_ends() {
    let sandbox = Sandbox::builder().start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(Work::default()).await;
    let response = invocation.result.expect("the function answers");
    let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(answer, json!({"lines": 5, "requestId": invocation.request_id}));
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(shutdown.exited, None);
    assert_eq!(sandbox.ledger().with_fate(Fate::NotSubscribed).count(), sandbox.ledger().entries().len());
}

#[tokio::test]
async fn the_course_of_an_environment_is_told_in_the_order_of_time() {
    let (builder, _directory) = scripted::sandbox(&Script { hold_next_ms: 30, ..Script::default() });
    let sandbox = builder.start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(Work { lines: 3, ..Work::default() }).await;
    sandbox.until_frozen().await;
    sandbox.kill_extension().await;
    sandbox.invoke(quiet()).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;

    let course = sandbox.course();
    assert!(course.is_sorted_by_key(|happened| happened.at));
    let is_body = |what: &Happening| matches!(what, Happening::BodySent { .. } | Happening::BodyAnswered { .. });
    let is_freeze = |what: &Happening| matches!(what, Happening::Frozen | Happening::Thawed);
    let said = |what: &Happening| matches!(what, Happening::ExtensionSaid(_));
    let all: Vec<_> = course.into_iter().map(|happened| happened.what).collect();
    let told: Vec<_> = all.iter().filter(|what| !is_body(what) && !is_freeze(what) && !said(what)).cloned().collect();
    let [first, second] = ["signal: 9 (SIGKILL)", "exit status: 0"].map(|it| Happening::ExtensionEnded(it.to_owned()));
    let request_id = || invocation.request_id.clone();
    let expected = [
        Happening::ExtensionStarted,
        Happening::Initialized,
        Happening::Invoked { request_id: request_id() },
        Happening::FunctionDone { request_id: request_id(), error: None },
        Happening::ExtensionDone { request_id: request_id() },
    ];
    assert_eq!(told[..expected.len()], expected);
    let rest = &told[expected.len()..];
    let at =
        |what: &Happening| rest.iter().position(|told| told == what).unwrap_or_else(|| panic!("{what:?}: {rest:#?}"));
    let ends = [first, Happening::ExtensionStarted, Happening::Shutdown(ShutdownReason::Spindown), second];
    assert!(ends.iter().map(at).is_sorted(), "{rest:#?}");

    let freezes: Vec<_> = all.iter().filter(|what| is_freeze(what)).collect();
    assert!(freezes.chunks(2).all(|pair| pair == [&Happening::Frozen, &Happening::Thawed]), "{freezes:?}");
    assert!(!freezes.is_empty() && all.iter().any(said));

    let bodies: Vec<_> = all.into_iter().filter(is_body).collect();
    let sent = bodies.iter().map(|what| if let Happening::BodySent { events, .. } = what { *events } else { 0 });
    let acknowledged = sandbox.ledger().with_fate(Fate::Acknowledged).count();
    assert_eq!(sent.sum::<usize>(), acknowledged, "every body of this run is answered with 200");
    assert!(bodies.chunks(2).all(|pair| matches!(pair[1], Happening::BodyAnswered { acknowledged: true })));
}

#[tokio::test]
async fn telemetry_of_one_invocation_arrives_in_the_platforms_order() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(Work { lines: 3, ..Work::default() }).await;
    assert!(invocation.result.is_ok(), "{invocation:?}");
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(shutdown.exited.is_some_and(|status| status.success()), "{shutdown:?}");

    let events = received(sandbox.tmp());
    assert_eq!(
        kinds(&events),
        [
            "platform.initStart",
            "platform.telemetrySubscription",
            "platform.initRuntimeDone",
            "platform.extension",
            "platform.initReport",
            "platform.start",
            "function",
            "function",
            "function",
            "platform.runtimeDone",
            "platform.report",
        ]
    );
    let ledger = sandbox.ledger();
    assert_eq!(ledger.with_fate(Fate::Acknowledged).count(), events.len(), "{ledger}");
}

#[tokio::test]
async fn platform_events_carry_the_fields_of_the_schema() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.function_name("orders").memory_mb(1_024).start().await.expect("Init succeeds");
    let request_id = sandbox.invoke(quiet()).await.request_id;
    sandbox.shutdown(ShutdownReason::Spindown).await;

    let events = received(sandbox.tmp());
    let init = &records(&events, "platform.initStart")[0];
    assert_eq!((&init["phase"], &init["functionName"]), (&json!("init"), &json!("orders")));
    assert_eq!(
        records(&events, "platform.extension"),
        [json!({"name": "scripted-extension", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]})]
    );
    assert_eq!(
        records(&events, "platform.telemetrySubscription"),
        [json!({"name": "scripted-extension", "state": "Subscribed", "types": ["platform", "function"]})]
    );
    assert_eq!(records(&events, "platform.start")[0]["requestId"], request_id);
    let done = &records(&events, "platform.runtimeDone")[0];
    assert_eq!((&done["requestId"], &done["status"]), (&json!(request_id), &json!("success")));
    let spans: Vec<&Value> = done["spans"].as_array().expect("spans").iter().map(|span| &span["name"]).collect();
    assert_eq!(spans, ["responseLatency", "responseDuration", "runtimeOverhead"]);
    let report = &records(&events, "platform.report")[0];
    assert_eq!((&report["requestId"], &report["status"]), (&json!(request_id), &json!("success")));
    assert_eq!(report["metrics"]["memorySizeMB"], 1_024);
    assert!(report["metrics"]["billedDurationMs"].is_u64());
    assert!(report["metrics"]["initDurationMs"].is_f64(), "the first report tells of Init");
}

#[tokio::test]
async fn the_last_report_waits_in_the_platform_until_shutdown() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.invoke(quiet()).await;
    sandbox.until_frozen().await;
    let report =
        |sandbox: &Sandbox| sandbox.ledger().of_kind("platform.report").map(|entry| entry.fate).collect::<Vec<_>>();
    assert_eq!(report(&sandbox), [Fate::Pending]);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(report(&sandbox), [Fate::Acknowledged]);
}

#[tokio::test]
async fn the_caller_is_answered_before_the_extension_is_done() {
    let script = Script { hold_next_ms: 500, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    let mut handle = sandbox.invoke_start(quiet());
    handle.response().await.expect("the function answers");
    assert_eq!(sandbox.ledger().of_kind("platform.report").count(), 0);
    let invocation = handle.finished().await;
    assert!(invocation.extension_held > Duration::from_millis(100), "{invocation:?}");
    assert_eq!(sandbox.ledger().of_kind("platform.report").count(), 1);
}

#[tokio::test]
async fn an_error_of_the_handler_is_the_callers_and_no_fault_of_the_environment() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    for fail in [Fail::Error, Fail::Panic] {
        let invocation = sandbox.invoke(Work { fail: Some(fail), ..Work::default() }).await;
        let error = invocation.result.expect_err("the function fails");
        assert!(error.message.contains("the payload asked for"), "{error}");
        assert_eq!(invocation.outcome, Outcome::Success);
    }
    assert!(!sandbox.invoke(quiet()).await.suppressed_init);
}

#[tokio::test]
async fn a_crashed_function_resets_the_environment_with_reason_failure() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(Work { fail: Some(Fail::Exit), lines: 2, ..Work::default() }).await;
    assert_eq!(invocation.result.expect_err("the function dies").error_type, "Runtime.ExitError");
    assert!(sandbox.extension_output().iter().any(|line| line.contains(r#""shutdownReason":"failure""#)));

    let events = received(sandbox.tmp());
    let done = &records(&events, "platform.runtimeDone")[0];
    assert_eq!((&done["status"], &done["errorType"]), (&json!("error"), &json!("Runtime.ExitError")));
    assert_eq!(records(&events, "platform.report")[0]["status"], "error", "the report arrives during SHUTDOWN");
    assert_eq!(records(&events, "function").len(), 2, "lines from before the crash are kept");

    assert!(sandbox.invoke(quiet()).await.suppressed_init);
}

#[tokio::test]
async fn a_function_that_takes_too_long_resets_the_environment_with_reason_timeout() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.function_timeout(Duration::from_millis(700)).start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(Work { fail: Some(Fail::Timeout), ..Work::default() }).await;
    let error = invocation.result.expect_err("no answer in time");
    assert!(error.message.ends_with("Task timed out after 0.70 seconds"), "{error}");
    assert!(matches!(invocation.outcome, Outcome::Fault(Fault::Timeout(_))));
    assert!(sandbox.extension_output().iter().any(|line| line.contains(r#""shutdownReason":"timeout""#)));
    let done = &records(&received(sandbox.tmp()), "platform.runtimeDone")[0];
    assert_eq!((&done["status"], &done["errorType"]), (&json!("timeout"), &Value::Null));
}

#[tokio::test]
async fn an_extension_that_holds_next_past_the_timeout_is_a_timeout_although_the_caller_has_its_answer() {
    let script = Script { hold_next_ms: 60_000, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.function_timeout(Duration::from_millis(700)).start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(quiet()).await;
    assert!(invocation.result.is_ok());
    assert!(matches!(invocation.outcome, Outcome::Fault(Fault::Timeout(_))));
    let ledger = sandbox.ledger();
    let done: Vec<&str> = ledger.of_kind("platform.runtimeDone").map(|entry| entry.event.record.get()).collect();
    assert!(done.len() == 1 && done[0].contains(r#""status":"success""#), "{done:?}");
}

#[tokio::test]
async fn an_extension_that_exits_outside_shutdown_is_a_crash_even_with_code_0() {
    let script = Script { exit_at_invoke: Some(0), ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(Work { sleep_ms: 60_000, ..Work::default() }).await;
    assert_eq!(invocation.result.expect_err("the environment is reset").error_type, "Extension.Crash");
    assert_eq!(invocation.outcome, Outcome::Fault(Fault::ExtensionCrash("exit status: 0".to_owned())));
}

#[tokio::test]
async fn an_extension_killed_in_the_middle_fails_the_invocation_and_the_next_one_begins_with_an_init() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let first_life = sandbox.extension_pid().expect("it runs");
    let handle = sandbox.invoke_start(Work { lines: 3, sleep_ms: 60_000, ..Work::default() });
    sandbox.until(|ledger| ledger.of_kind("function").count() == 3).await;
    sandbox.kill_extension().await;
    let invocation = handle.finished().await;
    assert_eq!(invocation.result.expect_err("the environment is reset").error_type, "Extension.Crash");

    let second = sandbox.invoke(quiet()).await;
    assert!(second.suppressed_init && second.result.is_ok(), "{second:?}");
    assert_ne!(sandbox.extension_pid().expect("it runs"), first_life);
    let ledger = sandbox.ledger();
    let phases: Vec<bool> = ledger
        .of_kind("platform.initStart")
        .map(|entry| entry.event.record.get().contains(r#""phase":"invoke""#))
        .collect();
    assert_eq!(phases, [false, true]);
}

#[tokio::test]
async fn an_extension_killed_while_idle_is_noticed_at_the_next_invocation_which_succeeds() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.invoke(quiet()).await;
    sandbox.until_frozen().await;
    sandbox.kill_extension().await;
    let invocation = sandbox.invoke(quiet()).await;
    assert!(invocation.suppressed_init && invocation.result.is_ok(), "{invocation:?}");
}

#[tokio::test]
async fn a_killed_function_fails_the_invocation() {
    let sandbox = Sandbox::builder().start().await.expect("Init succeeds");
    let handle = sandbox.invoke_start(Work { lines: 1, sleep_ms: 60_000, ..Work::default() });
    sandbox.until(|ledger| ledger.of_kind("function").count() == 1).await;
    sandbox.kill_function().await;
    assert_eq!(handle.finished().await.result.expect_err("killed").error_type, "Runtime.ExitError");
    assert!(sandbox.invoke(quiet()).await.result.is_ok());
}

#[tokio::test]
async fn a_reset_starts_new_processes_on_the_same_tmp() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let (extension, function) = (sandbox.extension_pid(), sandbox.function_pid());
    std::fs::write(sandbox.tmp().join("witness"), "still here").expect("written");
    sandbox.reset(ShutdownReason::Failure).await.expect("Init succeeds again");
    assert_ne!(sandbox.extension_pid(), extension);
    assert_ne!(sandbox.function_pid(), function);
    assert_eq!(std::fs::read_to_string(sandbox.tmp().join("witness")).expect("kept"), "still here");
    let subscriptions = sandbox.subscriptions();
    assert_eq!(subscriptions.len(), 2);
    assert!(sandbox.invoke(quiet()).await.result.is_ok());
}

#[tokio::test]
async fn an_extension_that_ignores_shutdown_is_killed_at_the_deadline() {
    let script = Script { ignore_shutdown: true, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.map(|status| status.to_string()).as_deref(), Some("signal: 9 (SIGKILL)"));
}

#[tokio::test]
async fn an_extension_that_did_not_register_for_shutdown_is_killed_at_once() {
    let script = Script { events: vec!["INVOKE".to_owned()], ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.map(|status| status.to_string()).as_deref(), Some("signal: 9 (SIGKILL)"));
}

#[tokio::test]
async fn an_extension_without_events_takes_no_part_in_invocations() {
    let script = Script { events: Vec::new(), ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    let invocation = sandbox.invoke(quiet()).await;
    assert!(invocation.result.is_ok());
    assert_eq!(invocation.extension_held, Duration::ZERO);
}

#[tokio::test]
async fn the_exit_code_after_shutdown_is_told() {
    let script = Script { exit_code: 3, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(3));
}

#[tokio::test]
async fn any_command_can_be_the_function_and_its_last_words_arrive_during_shutdown() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.function(scripted::function_with_last_words()).start().await.expect("Init succeeds");
    let response = sandbox.invoke(json!({"echo": true})).await.result.expect("the function answers");
    assert_eq!(response.body, r#"{"echo":true}"#);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let lines = records(&received(sandbox.tmp()), "function");
    assert_eq!(lines, ["invalid \u{fffd} UTF-8", "without newlinelast words"]);
}

#[tokio::test]
async fn the_end_of_the_functions_output_makes_what_is_buffered_due() {
    let mut subscription = scripted::subscription();
    subscription["buffering"]["timeoutMs"] = json!(30_000);
    let (builder, _directory) = scripted::sandbox(&Script { subscription, ..Script::default() });
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.invoke(Work { lines: 2, ..Work::default() }).await;
    assert_eq!(received(sandbox.tmp()), [Value::Null; 0]);
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(records(&received(sandbox.tmp()), "function").len(), 2);
}

#[tokio::test]
async fn json_lines_are_delivered_as_objects_in_the_json_log_format() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.log_format(LogFormat::Json).start().await.expect("Init succeeds");
    let request_id = sandbox.invoke(Work { lines: 2, json: true, stderr: true, ..Work::default() }).await.request_id;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let lines = records(&received(sandbox.tmp()), "function");
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["requestId"] == request_id));
}
