//! P4: never in the way, always drained. Freezes, handlers of some milliseconds, outages; told with the real process.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::process::Command;

use sandbox::s3::Fault;
use sandbox::{Sandbox, SandboxBuilder, ShutdownReason, Work};
use world::{World, assert_whole, pause, the_line};

fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let builder = world.sandbox().extension_env("LOGSPOOL_LOG", "info");
    settings.iter().fold(builder, |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

async fn invoke(sandbox: &Sandbox, work: Work) -> String {
    let invocation = sandbox.invoke(work).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
    invocation.request_id
}

fn signal(sandbox: &Sandbox, name: &str) {
    let pid = sandbox.extension_pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// A number of the summary line.
fn summary(sandbox: &Sandbox, field: &str) -> u64 {
    let line = the_line(sandbox, "Ended");
    let value = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{field} is not in {line}"))
}

/// After a freeze the other end of a connection may be gone without a trace. Its request would time out in a minute; the
/// process must not wait for that.
#[tokio::test]
async fn an_upload_that_is_stopped_in_the_middle_is_begun_anew_and_delivered_once() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::Hang);
    let settings = [("DRAIN", "background"), ("SEAL_AGE", "100ms"), ("REQUEST_TIMEOUT", "60s")];
    let sandbox = with(&world, &settings).freeze(false).start().await.unwrap();
    invoke(&sandbox, Work { sleep_ms: 300, ..Work::default() }).await;
    world.s3.requests_until(|seen| seen.iter().any(|request| request.is_put())).await;
    signal(&sandbox, "STOP");
    pause(3_500).await;
    signal(&sandbox, "CONT");
    let is_stored = |request: &sandbox::s3::RequestSeen| request.is_put() && request.status == Some(200);
    world.s3.requests_until(|seen| seen.iter().any(is_stored)).await;
    world.end(&sandbox).await;
    assert!(summary(&sandbox, "interrupted") >= 1);
    assert_eq!(summary(&sandbox, "failed_attempts"), 0, "{}", the_line(&sandbox, "Ended"));
}

/// Scaled: a handler of 5 ms every half second, and logs that must not be older than a second.
#[tokio::test]
async fn logs_of_a_handler_of_five_milliseconds_are_delivered_while_it_is_called() {
    let story = async |drain: &str| {
        let world = World::new().await;
        let sandbox = with(&world, &[("DRAIN", drain), ("SEAL_AGE", "1s")]).start().await.unwrap();
        let mut requests = Vec::new();
        for _ in 0..50 {
            requests.push(invoke(&sandbox, Work { sleep_ms: 5, ..Work::default() }).await);
            pause(500).await;
        }
        // The last ones may be younger than they may be old.
        let lost = world.verdict([&sandbox.ledger()]).lost;
        let late = requests[..42].iter().filter(|id| lost.iter().any(|event| event.record.get().contains(*id)));
        assert_eq!(late.count(), 0, "{drain}: not delivered before the end");
        world.end(&sandbox).await;
        assert!(summary(&sandbox, "held") > 0, "{drain}: {}", the_line(&sandbox, "Ended"));
    };
    tokio::join!(story("adaptive"), story("background"));
}

/// When the store is down an environment is held until that is known, and then for nothing.
#[tokio::test]
async fn how_often_an_environment_is_held_does_not_follow_the_length_of_an_outage() {
    for drain in ["adaptive", "end"] {
        for invocations in [10, 40] {
            let world = World::new().await;
            world.s3.faults().set(Fault::ServiceUnavailable);
            let settings = [("DRAIN", drain), ("SEAL_AGE", "100ms")];
            let sandbox = with(&world, &settings).start().await.unwrap();
            for _ in 0..invocations {
                invoke(&sandbox, Work { sleep_ms: 20, ..Work::default() }).await;
            }
            world.s3.faults().clear();
            world.end(&sandbox).await;
            let held = summary(&sandbox, "held");
            assert!((1..=4).contains(&held), "{drain}, {invocations}: {}", the_line(&sandbox, "Ended"));
            assert_eq!(summary(&sandbox, "outages"), 1);
        }
    }
}

/// What a reborn process finds is old: it is delivered under the first invocation, not in the shadow of some later one.
#[tokio::test]
async fn a_reborn_process_ships_what_it_finds_with_its_first_invocation() {
    let world = World::new().await;
    let sandbox = with(&world, &[("SEAL_AGE", "1h"), ("DRAIN", "background")]).start().await.unwrap();
    let request_id = invoke(&sandbox, Work { sleep_ms: 100, ..Work::default() }).await;
    sandbox.kill_extension().await;
    let killed = sandbox.ledger();
    let reborn = with(&world, &[]).start().await.unwrap();
    invoke(&reborn, Work { sleep_ms: 50, ..Work::default() }).await;
    let lost = world.verdict([&killed, &reborn.ledger()]).lost;
    assert!(!lost.iter().any(|event| event.record.get().contains(&request_id)), "{lost:?}");
    reborn.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![killed, reborn.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

/// What is held is what the log says was decided, invocation by invocation.
#[tokio::test]
async fn an_environment_is_held_exactly_when_the_decision_log_says_so() {
    for drain in ["adaptive", "end", "background"] {
        let world = World::new().await;
        let settings = [("DRAIN", drain), ("SEAL_AGE", "300ms"), ("LOG", "debug")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        for sleep_ms in [5, 5, 200, 200, 200, 5, 5, 200, 5] {
            invoke(&sandbox, Work { sleep_ms, ..Work::default() }).await;
        }
        world.end(&sandbox).await;
        let output = sandbox.extension_output();
        let plans: Vec<_> = output.iter().filter(|line| line.contains("plan=")).collect();
        let held = plans.iter().filter(|plan| !plan.contains("plan=NextAtOnce")).count();
        assert_eq!((plans.len(), held as u64), (9, summary(&sandbox, "held")), "{drain}: {output:#?}");
    }
}

/// While handlers are long enough for an upload, the function is the last one to call `next`, not we.
#[tokio::test]
async fn in_the_background_of_long_handlers_nobody_waits_for_us() {
    let world = World::new().await;
    let settings = [("DRAIN", "background"), ("SEAL_AGE", "1s")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    let mut last = 0;
    for _ in 0..40 {
        let invocation = sandbox.invoke(Work { sleep_ms: 200, ..Work::default() }).await;
        last += u64::from(!invocation.extension_held.is_zero());
    }
    assert!(world.puts() > 2, "uploads happened meanwhile");
    world.end(&sandbox).await;
    let starved = summary(&sandbox, "held_for_starved_upload");
    assert!(last <= starved, "{last} times we were the last: {}", the_line(&sandbox, "Ended"));
}
