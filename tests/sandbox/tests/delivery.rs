//! Telemetry between a platform that buffers little and extensions that do not do as they should.

mod scripted;

use sandbox::{Fate, Ledger, Sandbox, ShutdownReason, Work};
use scripted::{Script, bodies, eventually, kinds, raw_bodies, received};

/// One line, so that its body is on its way while the handler sleeps, and a pause for further batches to become due.
fn slow() -> Work {
    Work { lines: 1, sleep_ms: 300, ..Work::default() }
}

fn declared(ledger: &Ledger) -> Vec<serde_json::Value> {
    let dropped = ledger.of_kind("platform.logsDropped");
    dropped.map(|entry| serde_json::from_str(entry.event.record.get()).expect("JSON")).collect()
}

fn function_fates(sandbox: &Sandbox) -> Vec<Fate> {
    sandbox.ledger().of_kind("function").map(|entry| entry.fate).collect()
}

#[tokio::test]
async fn what_is_due_while_a_slow_listener_has_a_body_is_dropped_and_declared() {
    let script = Script { answer_after_ms: 400, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.queue_rule(true).start().await.expect("Init succeeds");
    // The body of Init is in flight when the line's batch becomes due.
    sandbox.invoke(slow()).await;
    sandbox.until(|ledger| ledger.with_fate(Fate::Dropped).count() > 0).await;
    let ledger = sandbox.ledger();
    let declared = declared(&ledger);
    assert_eq!(
        declared[0]["reason"],
        "Some logs were dropped because the downstream consumer is slower than the logs production rate"
    );
    let records: u64 = declared.iter().filter_map(|record| record["droppedRecords"].as_u64()).sum();
    assert_eq!(usize::try_from(records), Ok(ledger.with_fate(Fate::Dropped).count()));
}

#[tokio::test]
async fn a_refused_body_is_dropped_and_declared_with_the_status() {
    let script = Script { answer_status: 503, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.invoke(slow()).await;
    let reasons = declared(&sandbox.ledger());
    assert!(
        reasons[0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("could not send events: http request failed with status 503")),
        "{reasons:?}"
    );
    assert_eq!(sandbox.ledger().with_fate(Fate::Acknowledged).count(), 0);
}

#[tokio::test]
async fn a_killed_extension_leaves_its_body_in_doubt_and_the_buffer_never_handed_over() {
    let script = Script { never_answer: true, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.freeze(false).start().await.expect("Init succeeds");
    eventually(|| !received(sandbox.tmp()).is_empty()).await;
    let sent = received(sandbox.tmp()).len();
    sandbox.kill_extension().await;
    let ledger = sandbox.ledger();
    assert_eq!(ledger.with_fate(Fate::InDoubt).count(), sent, "{ledger}");
    assert_eq!(ledger.with_fate(Fate::Acknowledged).count(), 0, "{ledger}");
    assert_eq!(ledger.with_fate(Fate::Pending).count(), 0, "{ledger}");
    assert_eq!(declared(&ledger).len(), 0, "a dead extension is no slow one");
}

#[tokio::test]
async fn lines_written_while_no_extension_lives_are_never_handed_over() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let handle = sandbox.invoke_start(Work { lines: 2, sleep_ms: 60_000, ..Work::default() });
    sandbox
        .until(|ledger| ledger.of_kind("function").filter(|entry| entry.fate == Fate::Acknowledged).count() == 2)
        .await;
    sandbox.kill_extension().await;
    handle.finished().await;
    let ledger = sandbox.ledger();
    let done: Vec<Fate> = ledger.of_kind("platform.runtimeDone").map(|entry| entry.fate).collect();
    assert_eq!(done, [Fate::NeverHandedOver]);
}

#[tokio::test]
async fn with_redelivery_the_next_life_gets_the_same_body_again() {
    let script = Script { never_answer: true, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.redeliver(true).start().await.expect("Init succeeds");
    sandbox.invoke(slow()).await;
    sandbox.kill_extension().await;
    sandbox.invoke(slow()).await;
    eventually(|| bodies(sandbox.tmp()).len() == 2).await;
    let bodies = bodies(sandbox.tmp());
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn with_redelivery_nothing_is_dropped_for_a_listener_that_comes_to_its_senses() {
    let script = Script { answer_status: 500, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.redeliver(true).freeze(false).start().await.expect("Init succeeds");
    eventually(|| bodies(sandbox.tmp()).len() >= 2).await;
    let bodies = bodies(sandbox.tmp());
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(sandbox.ledger().with_fate(Fate::Dropped).count(), 0);
}

#[tokio::test]
async fn a_line_as_large_as_a_full_batch_arrives_as_it_was_written() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let work = Work { lines: 0, large_line_bytes: Some(1_000_000), ..Work::default() };
    sandbox.invoke(work).await.result.expect("the function answers");
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let events = received(sandbox.tmp());
    let line = events.iter().find(|event| event["type"] == "function").expect("delivered");
    assert_eq!(line["record"].as_str().map(str::len), Some(1_000_000));
    assert_eq!(function_fates(&sandbox), [Fate::Acknowledged]);
}

/// None of the bodies is JSON (platform reference, section 3.4); what they hold of the record, one behind the other, is.
#[tokio::test]
async fn a_line_larger_than_a_full_batch_comes_in_several_bodies() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let work = Work { lines: 0, large_line_bytes: Some(2_500_000), ..Work::default() };
    sandbox.invoke(work).await.result.expect("the function answers");
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let is_part = |body: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(body).is_err();
    let parts: Vec<_> = raw_bodies(sandbox.tmp()).into_iter().filter(is_part).collect();
    assert_eq!(parts.len(), 3);
    let value = |body: &Vec<u8>| {
        let text = String::from_utf8_lossy(body);
        let (_, behind) = text.split_once(r#""type":"function","record":"#).expect("the same envelope");
        let end = behind.find("}]").into_iter().chain(behind.find("\"},{\"time\"").map(|at| at + 1)).min();
        behind[..end.expect("the end of the value")].to_owned()
    };
    let line: String = serde_json::from_str(&parts.iter().map(value).collect::<String>()).expect("a string");
    assert_eq!(line.len(), 2_500_000);
    assert_eq!(function_fates(&sandbox), [Fate::Acknowledged]);
}

#[tokio::test]
async fn bodies_that_are_due_in_the_invocation_leave_before_the_freeze() {
    let script = Script { hold_next_ms: 200, ..Script::default() };
    let (builder, _directory) = scripted::sandbox(&script);
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.invoke(Work { lines: 1, ..Work::default() }).await;
    sandbox.until_frozen().await;
    let events = received(sandbox.tmp());
    assert!(kinds(&events).contains(&"platform.runtimeDone"), "{:?}", kinds(&events));
    assert!(!kinds(&events).contains(&"platform.report"), "{:?}", kinds(&events));
}
