//! Whose turn it is: the last words of an invocation that has failed leave first, then what is oldest.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use sandbox::s3::{Fault, RequestSeen};
use sandbox::{Sandbox, SandboxBuilder, Work};
use world::{World, file_name, pause};

/// A wait that no test lives to see, but for once in 10,000 runs: the wait after a failure is uniform below it.
const NEVER: &str = "24h";

/// An environment that is not frozen: its telemetry is handed over, and sealed, before anything else happens.
fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let common = [
        ("DRAIN", "background"),
        ("SEAL_AGE", "1h"),
        ("SEAL_INVOCATIONS", "1"),
        ("SEAL_SIZE", "4KiB"),
        ("LOG", "info"),
    ];
    let settings = common.iter().chain(settings);
    let builder = world.sandbox().freeze(false);
    settings.fold(builder, |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

/// A handler that is long enough for an upload.
fn work() -> Work {
    Work { sleep_ms: 250, ..Work::default() }
}

/// One that logs an error: it has failed, and its environment goes on.
fn failing() -> Work {
    Work { logs_error: true, ..work() }
}

/// One whose lines are sealed for their size, as also happens in an outage.
fn large() -> Work {
    Work { lines: 100, ..work() }
}

fn said(sandbox: &Sandbox, part: &str) -> usize {
    sandbox.extension_output().iter().filter(|line| line.contains(part)).count()
}

/// Invokes, and waits until something of it was sealed for this reason.
async fn invoke_until_sealed(sandbox: &Sandbox, work: Work, reason: &str) {
    let sealed = format!("reason={reason} ");
    let before = said(sandbox, &sealed);
    let invocation = sandbox.invoke(work).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
    while said(sandbox, &sealed) == before {
        pause(5).await;
    }
}

/// Names of uploads that worked, in their order, after so many requests.
fn delivered(world: &World, after: usize) -> Vec<String> {
    let puts = world.s3.requests().into_iter().filter(RequestSeen::is_put).skip(after);
    puts.filter(|put| put.status == Some(200)).map(|put| file_name(&put.key).to_owned()).collect()
}

/// The names in the order in which they should leave. Some are older than the one with the last words.
#[track_caller]
fn in_turn(world: &World, mut names: Vec<String>) -> Vec<String> {
    let objects = world.objects();
    let failed = |name: &String| {
        let object = objects.iter().find(|object| file_name(&object.key) == name).unwrap();
        object.metadata["logspool-seal"] == "error"
    };
    assert_eq!(names.iter().filter(|name| failed(name)).count(), 1, "{names:#?}");
    names.sort_unstable();
    assert!(!failed(&names[0]), "{names:#?}");
    names.sort_by_key(|name| !failed(name));
    names
}

/// A small function has the CPU for one upload at a time, so there is an order.
#[tokio::test]
async fn at_shutdown_what_has_failed_leaves_first_then_the_oldest() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::ServiceUnavailable);
    let settings = [("RETRY_BASE", NEVER), ("RETRY_MAX", NEVER)];
    let sandbox = with(&world, &settings).memory_mb(128).start().await.unwrap();
    for _ in 0..3 {
        invoke_until_sealed(&sandbox, work(), "invocation_end").await;
    }
    invoke_until_sealed(&sandbox, failing(), "error").await;
    invoke_until_sealed(&sandbox, work(), "invocation_end").await;
    let before = world.puts();
    assert_eq!(before, 1, "the schedule does not allow another one before the end");
    world.end(&sandbox).await;
    let names = delivered(&world, before);
    assert!(names.len() > 5, "{names:#?}");
    assert_eq!(names, in_turn(&world, names.clone()));
}

/// In the shadow of handlers, one after the other. Which of them finds out that the store is back is a matter of chance: in an
/// outage attempts go round.
#[tokio::test]
async fn after_an_outage_what_has_failed_leaves_first_then_the_oldest() {
    let world = World::new().await;
    let settings = [("REQUEST_TIMEOUT", "3s"), ("DRAIN_BUDGET", "200ms")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..3 {
        invoke_until_sealed(&sandbox, work(), "invocation_end").await;
    }
    world.s3.requests_until(|seen| seen.iter().filter(|request| request.status == Some(200)).count() >= 3).await;

    // While the first upload hangs, nobody knows yet that this is an outage.
    world.s3.faults().set(Fault::Hang);
    for _ in 0..2 {
        invoke_until_sealed(&sandbox, work(), "invocation_end").await;
    }
    invoke_until_sealed(&sandbox, failing(), "error").await;
    for _ in 0..2 {
        invoke_until_sealed(&sandbox, large(), "size").await;
    }
    world.s3.faults().set(Fault::ServiceUnavailable);
    world.s3.requests_until(|seen| seen.iter().filter(|request| request.status == Some(503)).count() >= 7).await;
    let before = world.puts();
    world.s3.faults().clear();
    while said(&sandbox, "A segment was delivered") < said(&sandbox, "A segment was sealed") {
        pause(5).await;
    }
    let mut names = delivered(&world, before);
    assert!(names.len() >= 5, "{names:#?}");
    let probe = names.remove(0);
    let mut expected = in_turn(&world, [vec![probe.clone()], names.clone()].concat());
    expected.retain(|name| *name != probe);
    assert_eq!(names, expected);
    world.end(&sandbox).await;
}
