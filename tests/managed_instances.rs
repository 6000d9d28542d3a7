//! Lambda Managed Instances: many invocations run at the same time in one environment that is never frozen. The extension hears of
//! its end and of nothing else; what it does in between is told by telemetry and by time.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

#[path = "managed_instances/attribution.rs"]
mod attribution;
#[path = "managed_instances/told.rs"]
mod told;
#[path = "managed_instances/user.rs"]
mod user;

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{Fate, Outcome, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde_json::{Value, json};
use told::{head, lines, lines_of};
use world::{World, assert_whole};

fn managed(world: &World) -> SandboxBuilder {
    world.sandbox().managed().extension_env("LOGSPOOL_COMPRESSION", "none")
}

fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let builder = managed(world).extension_env("LOGSPOOL_SEAL_AGE", "1h");
    settings.iter().fold(builder, |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

/// Lines that the function prints and its runtime's logger does not know of: none of them is an error.
fn prints(lines: u32) -> Work {
    Work { lines, ..Work::default() }
}

async fn invoke(sandbox: &Sandbox, work: Work) -> String {
    let invocation = sandbox.invoke(work).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
    invocation.request_id
}

/// Returns as soon as the store has what is asked for. Nothing is done meanwhile that the extension could hear of.
async fn until(world: &World, mut condition: impl FnMut(&World) -> bool) {
    while !condition(world) {
        world::pause(10).await;
    }
}

fn calls(sandbox: &Sandbox, path: &str) -> Vec<Value> {
    let calls = sandbox.api_calls().into_iter().filter(|call| call.path.ends_with(path));
    calls.map(|call| json!([call.status.map(|status| status.as_u16()), body_of(&call.body)])).collect()
}

fn body_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

#[tokio::test]
async fn of_a_hundred_requests_at_a_time_every_line_arrives_once_and_says_whose_it_is_if_it_can() {
    const REQUESTS: usize = 100;
    const LINES: u32 = 6;
    let world = World::new().await;
    let sandbox = managed(&world).max_concurrency(100).start().await.unwrap();
    let work = Work { lines: LINES, json: true, raw_every: Some(3), pause_ms: 20, ..Work::default() };
    let running: Vec<_> = (0..REQUESTS).map(|_| sandbox.invoke_start(work.clone())).collect();
    let ids: BTreeSet<_> = running.iter().map(|handle| handle.request_id().to_owned()).collect();
    for running in running {
        assert_eq!(running.finished().await.outcome, Outcome::Success);
    }
    let verdict = world.end(&sandbox).await;
    assert_whole(&verdict);

    let lines = lines_of(&world.objects_of_first_life());
    let said: Vec<_> = lines.iter().filter(|line| line["type"] == "function").collect();
    let mut own = 0;
    for line in &said {
        let (id, _) = head(line);
        if line["record"].get("requestId").is_some() {
            assert_eq!(line["requestId"], id, "{line}");
            own += 1;
        } else {
            assert_eq!(line.get("requestId"), None, "{line}");
        }
    }
    let once: BTreeSet<_> = said.iter().map(|line| head(line)).collect();
    let expected = REQUESTS * LINES as usize;
    assert_eq!((said.len(), once.len(), own), (expected, expected, expected / 3 * 2));
    let changes = said.windows(2).filter(|two| head(two[0]).0 != head(two[1]).0).count();
    assert!(changes > REQUESTS, "the requests have spoken one after the other: {changes}");
    let reported = lines.iter().filter(|line| line["type"] == "platform.report");
    let reported: BTreeSet<_> = reported.map(|line| line["requestId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reported, ids);
}

#[tokio::test]
async fn it_registers_for_shutdown_alone_and_subscribes_in_the_newest_schema_at_once() {
    let world = World::new().await;
    let sandbox = managed(&world).start().await.unwrap();
    invoke(&sandbox, prints(1)).await;
    assert_eq!(calls(&sandbox, "/extension/register"), [json!([200, { "events": ["SHUTDOWN"] }])]);
    let subscriptions = calls(&sandbox, "/telemetry");
    let versions: Vec<_> = subscriptions.iter().map(|call| (&call[0], &call[1]["schemaVersion"])).collect();
    assert_eq!(versions, [(&json!(200), &json!("2025-01-29"))]);
    world.end(&sandbox).await;
    assert_eq!(calls(&sandbox, "/event/next"), [json!([200, null])], "it has asked once, and was told of the end");
}

#[tokio::test]
async fn where_the_newest_schema_is_refused_no_older_one_is_tried_and_nobody_is_harmed() {
    for (is_managed, expected) in [(true, vec!["2025-01-29"]), (false, vec!["2025-01-29", "2022-12-13", "2022-07-01"])]
    {
        let world = World::new().await;
        let builder = if is_managed { managed(&world) } else { world.sandbox() };
        let sandbox = builder.known_schemas(&[]).start().await.unwrap();
        invoke(&sandbox, prints(1)).await;
        let tried = calls(&sandbox, "/telemetry");
        let versions: Vec<_> = tried.iter().filter_map(|call| call[1]["schemaVersion"].as_str()).collect();
        assert_eq!(versions, expected);
        let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
        assert!(shutdown.exited.is_some_and(|status| status.success()), "{shutdown:?}");
    }
}

#[tokio::test]
async fn a_segment_is_sealed_and_leaves_at_its_age_although_nobody_is_told_of_any_invocation() {
    let world = World::new().await;
    let sandbox = with(&world, &[("SEAL_AGE", "1s")]).start().await.unwrap();
    for round in 1..=2 {
        let id = invoke(&sandbox, prints(3)).await;
        until(&world, |world| lines_of(&world.objects()).iter().any(|line| head_is(line, &id))).await;
        assert!(world.seals().len() >= round);
    }
    let mut seals = world.seals();
    seals.dedup();
    assert_eq!(seals, ["age"]);
    world.end(&sandbox).await;
}

fn head_is(line: &Value, id: &str) -> bool {
    line["type"] == "function" && head(line).0 == id
}

#[tokio::test]
async fn so_many_reports_seal_a_segment_and_so_does_each_where_all_shall_leave_at_the_end() {
    for (setting, reports) in [(("SEAL_INVOCATIONS", "3"), 3), (("DRAIN", "end"), 1)] {
        let world = World::new().await;
        let sandbox = with(&world, &[setting]).start().await.unwrap();
        for round in 1..=3 {
            for number in 1..=reports {
                invoke(&sandbox, prints(2)).await;
                let acknowledged =
                    |kind| move |entry: &&sandbox::Entry| entry.event.kind == kind && entry.fate == Fate::Acknowledged;
                let told = (round - 1) * reports + number;
                sandbox
                    .until(|ledger| ledger.entries().iter().filter(acknowledged("platform.report")).count() == told)
                    .await;
                if number < reports {
                    assert!(world.objects().len() < round, "{setting:?}: not before");
                }
            }
            until(&world, |world| world.objects().len() == round).await;
        }
        world.end(&sandbox).await;
        assert_eq!(world.seals(), ["invocation_end", "invocation_end", "invocation_end", "shutdown"], "{setting:?}");
    }
}

#[tokio::test]
async fn an_invocation_that_times_out_is_sealed_as_a_failure_goes_on_and_disturbs_nobody() {
    let world = World::new().await;
    let sandbox = with(&world, &[]).function_timeout(Duration::from_secs(2)).start().await.unwrap();
    let pids = [sandbox.extension_pid(), sandbox.function_pid()];
    // The last line comes when the time has long been over.
    let slow = sandbox.invoke_start(Work { lines: 3, json: true, pause_ms: 1_500, ..Work::default() });
    let id = slow.request_id().to_owned();
    assert!(matches!(slow.finished().await.outcome, Outcome::Fault(sandbox::Fault::Timeout(_))));
    until(&world, |world| world.seals() == ["error"]).await;
    let lines_so_far = lines_of(&world.objects());
    let report = lines_so_far.iter().find(|line| line["type"] == "platform.report").unwrap();
    assert_eq!((&report["requestId"], &report["record"]["status"]), (&json!(id), &json!("timeout")));

    let other = invoke(&sandbox, prints(2)).await;
    sandbox.until(|ledger| ledger.of_kind("function").filter(|it| it.fate == Fate::Acknowledged).count() == 5).await;
    assert_eq!([sandbox.extension_pid(), sandbox.function_pid()], pids, "nothing was reset");
    let lines = lines(&world, &sandbox).await;
    let of = |owner: &str| lines.iter().filter(|line| head_is(line, owner)).count();
    assert_eq!((of(&id), of(&other)), (3, 2));
    assert!(lines.iter().filter(|line| head_is(line, &id)).all(|line| line["requestId"] == id.as_str()));
    assert_whole(&world.verdict([&sandbox.ledger()]));
}

#[tokio::test]
async fn an_outage_is_noticed_and_recovered_from_by_time_alone() {
    let world = World::new().await;
    let sandbox = with(&world, &[("SEAL_AGE", "1s")]).start().await.unwrap();
    world.s3.faults().set(Fault::ServiceUnavailable);
    let before = invoke(&sandbox, prints(5)).await;
    // More than opens the breaker.
    until(&world, |world| world.puts() >= 6).await;
    let during = invoke(&sandbox, prints(5)).await;
    sandbox.until(|ledger| ledger.of_kind("function").filter(|it| it.fate == Fate::Acknowledged).count() == 10).await;
    assert_eq!(world.objects().len(), 0);
    world.s3.faults().clear();
    for id in [before, during] {
        until(&world, |world| lines_of(&world.objects()).iter().filter(|line| head_is(line, &id)).count() == 5).await;
    }
    world.end(&sandbox).await;
}

#[tokio::test]
async fn shutdown_delivers_what_is_left_and_the_end() {
    let world = World::new().await;
    let sandbox = with(&world, &[]).start().await.unwrap();
    let running = sandbox.invoke_start(Work { sleep_ms: 300, ..prints(4) });
    invoke(&sandbox, prints(4)).await;
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(shutdown.exited.is_some_and(|status| status.success()) && !shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(running.finished().await.outcome, Outcome::Success);
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
    let objects = world.objects_of_first_life();
    assert!(objects.last().unwrap().key.contains("-end."), "{:?}", objects.last().unwrap().key);
    let lines = lines_of(&objects);
    assert_eq!(lines.iter().filter(|line| line["type"] == "platform.report").count(), 2);
    assert_eq!(lines.last().unwrap()["type"], "logspool.end");
}

#[tokio::test]
async fn a_spool_that_somebody_clears_is_missed_within_a_second_or_so_without_any_event() {
    let world = World::new().await;
    let sandbox = with(&world, &[]).start().await.unwrap();
    invoke(&sandbox, prints(7)).await;
    sandbox.until(|ledger| ledger.of_kind("platform.report").all(|it| it.fate == Fate::Acknowledged)).await;
    let lost = world.spools();
    std::fs::remove_dir_all(world.spool_root()).unwrap();
    // One to go on in, and what was in the other one is written anew.
    until(&world, |world| lost.iter().all(|spool| spool.exists()) && world.spools().len() >= 2).await;
    world.end(&sandbox).await;
}
