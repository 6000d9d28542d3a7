//! Kinds of environments and functions that differ in what comes when: initialized long before the first invocation, with timeouts
//! that are hardly longer than an Init, with responses that are streamed.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

use std::path::Path;
use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{Fail, Function, Sandbox, Work};
use world::{World, assert_whole, pause};

/// What the extension has said that is no summary.
fn complaints(sandbox: &Sandbox) -> Vec<String> {
    sandbox.extension_output().into_iter().filter(|line| !line.contains("INFO")).collect()
}

/// With provisioned concurrency the environment sleeps between Init and its first invocation: what Init has said comes late.
#[tokio::test]
async fn an_environment_that_sleeps_before_its_first_invocation_delivers_what_init_said() {
    let world = World::new().await;
    let sandbox = world.sandbox().initialization_type("provisioned-concurrency").start().await.unwrap();
    sandbox.until_frozen().await;
    // Long enough to be taken for a freeze.
    pause(4_000).await;
    for _ in 0..3 {
        assert!(sandbox.invoke(Work::default()).await.result.is_ok());
    }
    let verdict = world.end(&sandbox).await;
    assert!(verdict.spools[0].ended, "{:?}", verdict.spools);
    assert_eq!(complaints(&sandbox), Vec::<String>::new());
}

/// After a timeout extension and function are started within the next invocation, whose timeout counts for both. Every life leaves a
/// spool; while the bucket is away they pile up, and a start must not take longer for it.
#[tokio::test]
async fn with_a_short_timeout_every_life_starts_in_time_however_many_have_timed_out_before() {
    let world = World::new().await;
    let timeout = Duration::from_millis(1_500);
    let sandbox = world.sandbox().function_timeout(timeout).start().await.unwrap();
    world.s3.faults().set(Fault::RefuseConnections);
    let mut first_calls = 0;
    for round in 0..8 {
        let timed_out = sandbox.invoke(Work { fail: Some(Fail::Timeout), ..Work::default() }).await;
        assert!(timed_out.result.is_err(), "{round}: {timed_out:?}");
        let next = sandbox.invoke(Work::default()).await;
        assert!(next.result.is_ok() && next.suppressed_init, "{round}: {next:?}");
        first_calls = sandbox.api_calls().iter().filter(|call| call.path.ends_with("/register")).count();
    }
    assert_eq!(first_calls, 9, "one start for each life, at the first try");
    world.s3.faults().clear();
    let verdict = world.end(&sandbox).await;
    assert!(verdict.spools.len() >= 9, "{:?}", verdict.spools);
}

/// The response of a streaming function ends long after it began; the invocation is over when it has.
#[tokio::test]
async fn a_response_that_is_streamed_is_neither_cut_nor_held() {
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return prepared::say_skipped("a response that is streamed: there is no python3");
    }
    for drain in ["end", "adaptive", "background"] {
        let world = World::new().await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds/streaming.py");
        let function = Function::command(["python3".into(), script.into_os_string()]);
        let sandbox = world.sandbox().function(function).extension_env("LOGSPOOL_DRAIN", drain).start().await.unwrap();
        for _ in 0..3 {
            let invocation = sandbox.invoke(Work::default()).await;
            let body = String::from_utf8(invocation.result.unwrap().body.to_vec()).unwrap();
            assert_eq!(body.lines().count(), 5, "{drain}: {body:?}");
        }
        let verdict = world.end(&sandbox).await;
        assert_whole(&verdict);
        assert!(verdict.delivered >= 15, "{drain}: {verdict}");
        assert_eq!(complaints(&sandbox), Vec::<String>::new(), "{drain}");
    }
}
