//! P4: when segments leave, and what an environment is held for. No clock is looked at: what counts are the requests that
//! the store has seen, and whether an invocation that was held too long would have timed out.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::oracle::Verdict;
use sandbox::s3::{Fault, RequestSeen};
use sandbox::{Fail, Fate, Outcome, Sandbox, SandboxBuilder, Shutdown, ShutdownReason, Work};
use world::{World, assert_whole, the_line};

/// A wait that no test lives to see, but for once in 10,000 runs: the wait after a failure is uniform below it.
const NEVER: &str = "24h";

fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let builder = world.sandbox().queue_rule(false).extension_env("LOGSPOOL_SEAL_AGE", "1h");
    settings.iter().fold(builder, |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

/// Long enough for the platform to hand over, while it runs, what was said before.
fn work(lines: u32) -> Work {
    Work { lines, sleep_ms: 100, ..Work::default() }
}

/// An invocation that the extension did not disturb.
async fn invoke(sandbox: &Sandbox, work: Work) -> String {
    let invocation = sandbox.invoke(work).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
    assert_eq!(invocation.outcome, Outcome::Success, "it was not held beyond its timeout");
    invocation.request_id
}

/// An end that the process came to by itself.
async fn shut_down(sandbox: &Sandbox) -> Shutdown {
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0), "{shutdown:?}");
    shutdown
}

fn verdict(world: &World, sandbox: &Sandbox) -> Verdict {
    world.verdict([&sandbox.ledger()])
}

// === background ===

#[tokio::test]
async fn background_delivers_everything_at_the_end() {
    let world = World::new().await;
    let sandbox = with(&world, &[("DRAIN", "background"), ("LOG", "info")]).start().await.unwrap();
    for lines in [5, 0, 200, 1] {
        invoke(&sandbox, work(lines)).await;
    }
    assert_eq!(world.puts(), 0, "nothing was due");
    shut_down(&sandbox).await;
    assert_whole(&verdict(&world, &sandbox));
    assert_eq!(world.puts(), 1);
    assert!(the_line(&sandbox, "Ended").contains("held=0 "), "{:?}", sandbox.extension_output());
}

/// Everything that could hold an environment waits here: sealed segments, and a store that does not answer. If one of them
/// held `next`, it would be for longer than the function's timeout.
#[tokio::test]
async fn background_never_holds_an_environment_whose_handlers_are_long_enough() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let settings = [
        ("DRAIN", "background"),
        // With the fourth invocation it is known how long they take.
        ("SEAL_INVOCATIONS", "4"),
        ("DRAIN_BUDGET", "60s"),
        ("REQUEST_TIMEOUT", "60s"),
        ("LOG", "info"),
    ];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..8 {
        invoke(&sandbox, Work { sleep_ms: 250, ..Work::default() }).await;
    }
    assert!(world.puts() > 0, "an upload was under way meanwhile");
    world.s3.faults().clear();
    world.end(&sandbox).await;
    assert!(the_line(&sandbox, "Ended").contains("held=0 "), "{:?}", sandbox.extension_output());
}

/// Handlers of a moment are too short for any upload, so `next` is held for it; but once, if the store hangs.
#[tokio::test]
async fn background_holds_for_what_no_handler_is_long_enough_for_until_the_breaker_opens() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let settings = [
        ("DRAIN", "background"),
        ("SEAL_INVOCATIONS", "1"),
        ("DRAIN_BUDGET", "400ms"),
        ("REQUEST_TIMEOUT", "60s"),
        ("LOG", "info"),
    ];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..10 {
        invoke(&sandbox, Work { sleep_ms: 60, ..Work::default() }).await;
    }
    world.s3.faults().clear();
    world.end(&sandbox).await;
    let ended = the_line(&sandbox, "Ended");
    assert!(ended.contains("held=1 ") && ended.contains("held_for_starved_upload=1 "), "{ended}");
}

/// An environment is frozen wherever an upload may be. What is under way when it thaws may be dead, and is not lost.
#[tokio::test]
async fn background_uploads_survive_the_freezes_that_interrupt_them() {
    let world = World::new().await;
    let settings = [("DRAIN", "background"), ("SEAL_INVOCATIONS", "1")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for lines in 0..25 {
        invoke(&sandbox, Work { lines, sleep_ms: u64::from(lines % 5) * 15, ..Work::default() }).await;
    }
    assert!(!world.objects().is_empty(), "some left in the shadow of later invocations");
    world.end(&sandbox).await;
}

#[tokio::test]
async fn background_seals_and_uploads_a_failed_invocation_without_being_asked() {
    let world = World::new().await;
    let sandbox = with(&world, &[("DRAIN", "background")]).start().await.unwrap();
    let failed = sandbox.invoke(Work { fail: Some(Fail::Exit), ..work(5) }).await;
    assert!(failed.result.is_err());
    let lines_of_failed = |world: &World| {
        let lost = verdict(world, &sandbox).lost;
        lost.iter().filter(|event| event.record.get().contains(&failed.request_id)).count()
    };
    assert_eq!(lines_of_failed(&world), 0, "its life has ended: everything acknowledged is delivered");
    invoke(&sandbox, work(1)).await;
    world.end(&sandbox).await;
}

// === end ===

#[tokio::test]
async fn with_end_the_lines_of_an_invocation_are_delivered_when_it_is_over() {
    let world = World::new().await;
    let sandbox = with(&world, &[("DRAIN", "end")]).start().await.unwrap();
    for (n, lines) in [5, 0, 700, 1, 30].into_iter().enumerate() {
        let request_id = invoke(&sandbox, Work { lines, ..Work::default() }).await;
        let ledger = sandbox.ledger();
        let of_request = |kind| ledger.of_kind(kind).filter(|entry| entry.event.record.get().contains(&request_id));
        // Its report is said afterwards, and comes with the next invocation.
        for entry in of_request("function").chain(of_request("platform.runtimeDone")) {
            assert_eq!(entry.fate, Fate::Acknowledged, "{:?}", entry.event);
        }
        assert_eq!(of_request("platform.runtimeDone").count(), 1);
        let lost = world.verdict([&ledger]).lost;
        assert!(lost.is_empty(), "acknowledged, and not in the bucket: {lost:?}");
        assert_eq!(world.objects().len(), n + 1, "one object an invocation");
    }
    world.end(&sandbox).await;
}

#[tokio::test]
async fn with_end_and_nothing_that_could_be_due_nobody_is_held() {
    let world = World::new().await;
    let settings = [("DRAIN", "end"), ("SEAL_INVOCATIONS", "100"), ("LOG", "debug")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..4 {
        invoke(&sandbox, work(5)).await;
    }
    assert_eq!(world.puts(), 0);
    shut_down(&sandbox).await;
    let output = sandbox.extension_output();
    assert_eq!(output.iter().filter(|line| line.contains("plan=NextAtOnce")).count(), 4, "{output:#?}");
    assert!(the_line(&sandbox, "Ended").contains("held=0 "));
    assert_whole(&verdict(&world, &sandbox));
}

// === a store that fails ===

/// In an outage the time added to an invocation tends to zero: the schedule decides when the store is asked again, not the
/// invocations.
#[tokio::test]
async fn an_upload_that_failed_is_tried_again_only_when_its_schedule_says_so() {
    for drain in ["end", "background"] {
        let world = World::new().await;
        world.s3.faults().set(Fault::ServiceUnavailable);
        let settings =
            [("DRAIN", drain), ("SEAL_INVOCATIONS", "1"), ("RETRY_BASE", NEVER), ("RETRY_MAX", NEVER), ("LOG", "info")];
        let sandbox = with(&world, &settings).start().await.unwrap();
        for _ in 0..10 {
            invoke(&sandbox, work(5)).await;
        }
        assert_eq!(world.puts(), 1, "{drain}: the first failure ended the attempts of ten invocations");
        shut_down(&sandbox).await;
        let output = sandbox.extension_output();
        let sealed = output.iter().filter(|line| line.contains("A segment was sealed")).count();
        assert!(sealed >= 10, "{drain}: {output:#?}");
        assert_eq!(world.puts(), 1 + sealed, "{drain}: and one more for every segment at the end");
        assert!(the_line(&sandbox, "Not everything was delivered").contains(&format!("waiting={sealed} ")));
        assert_eq!(output.iter().filter(|line| line.contains("An upload failed and is tried again")).count(), 1);
        assert_eq!(world.spools().len(), 1, "{drain}: it waits for the next life");
    }
}

#[tokio::test]
async fn a_store_that_comes_back_gets_everything_in_the_last_round() {
    for drain in ["end", "background"] {
        let world = World::new().await;
        world.s3.faults().set(Fault::ServiceUnavailable);
        let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "1"), ("RETRY_BASE", NEVER), ("RETRY_MAX", NEVER)];
        let sandbox = with(&world, &settings).start().await.unwrap();
        for _ in 0..5 {
            invoke(&sandbox, work(5)).await;
        }
        world.s3.faults().clear();
        shut_down(&sandbox).await;
        assert_whole(&verdict(&world, &sandbox));
        assert_eq!(
            world.puts(),
            1 + world.objects().len(),
            "{drain}: one attempt for each, beside the one that failed"
        );
    }
}

#[tokio::test]
async fn what_only_a_person_can_mend_is_said_once_and_asked_rarely() {
    let world = World::new().await;
    world.s3.faults().set(Fault::AccessDenied);
    // The wait after such an error is the longest one, at once.
    let settings = [("DRAIN", "end"), ("RETRY_BASE", "1ms"), ("RETRY_MAX", "1h")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..5 {
        invoke(&sandbox, work(5)).await;
    }
    assert_eq!(world.puts(), 1);
    shut_down(&sandbox).await;
    assert!(the_line(&sandbox, "Uploads need a person").contains("AccessDenied"));
}

#[tokio::test]
async fn with_so_many_attempts_spent_a_segment_waits_for_the_end() {
    let world = World::new().await;
    world.s3.faults().set(Fault::InternalError);
    let settings = [("DRAIN", "end"), ("SEAL_INVOCATIONS", "1"), ("RETRY_ATTEMPTS", "2"), ("RETRY_MAX", "10ms")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..5 {
        invoke(&sandbox, work(5)).await;
    }
    let mut attempts = BTreeMap::<String, u32>::new();
    for put in world.s3.requests().into_iter().filter(RequestSeen::is_put) {
        *attempts.entry(put.key).or_default() += 1;
    }
    assert!(attempts.len() > 1 && attempts.values().all(|attempts| *attempts <= 2), "{attempts:?}");
    world.s3.faults().clear();
    world.end(&sandbox).await;
}

// === a store that hangs ===

/// Where the budget is not kept, the request ends first: by its own timeout, which is said.
#[tokio::test]
async fn a_hanging_store_holds_an_invocation_no_longer_than_the_budget() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let settings = [("DRAIN", "end"), ("DRAIN_BUDGET", "200ms"), ("REQUEST_TIMEOUT", "10s")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    invoke(&sandbox, work(5)).await;
    assert_eq!(world.puts(), 1, "an upload was begun");
    assert_eq!(sandbox.extension_output(), Vec::<String>::new(), "and had not failed when the invocation was over");
    invoke(&sandbox, work(5)).await;
    shut_down(&sandbox).await;
    assert_eq!(world.objects().len(), 0);
}

/// A budget longer than what is left of the invocation is cut down to that.
#[tokio::test]
async fn a_hanging_store_never_makes_an_invocation_time_out() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let settings = [("DRAIN", "end"), ("DRAIN_BUDGET", "60s"), ("REQUEST_TIMEOUT", "60s")];
    // The margin is a twentieth of the timeout: half a second, room for a slow machine.
    let sandbox = with(&world, &settings).function_timeout(Duration::from_secs(10)).start().await.unwrap();
    invoke(&sandbox, Work::default()).await;
    shut_down(&sandbox).await;
    assert_eq!(world.objects().len(), 0);
}

#[tokio::test]
async fn a_request_that_hangs_at_the_end_is_cut_and_begun_anew() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::Hang);
    let settings =
        [("DRAIN", "background"), ("SEAL_INVOCATIONS", "1"), ("REQUEST_TIMEOUT", "60s"), ("DRAIN_BUDGET", "200ms")];
    let sandbox = with(&world, &settings).start().await.unwrap();
    for _ in 0..3 {
        invoke(&sandbox, work(5)).await;
    }
    assert_eq!(world.puts(), 1, "it hangs, and the next one waits for it");
    shut_down(&sandbox).await;
    assert_whole(&verdict(&world, &sandbox));
}

#[tokio::test]
async fn with_a_hanging_store_the_process_ends_before_the_deadline_and_leaves_its_spool() {
    for memory_mb in [128, 512] {
        let world = World::new().await;
        world.s3.faults().set(Fault::Hang);
        let settings =
            [("DRAIN", "background"), ("SEAL_INVOCATIONS", "1"), ("REQUEST_TIMEOUT", "60s"), ("DRAIN_BUDGET", "200ms")];
        let sandbox = with(&world, &settings).memory_mb(memory_mb).start().await.unwrap();
        for _ in 0..4 {
            invoke(&sandbox, work(5)).await;
        }
        shut_down(&sandbox).await;
        the_line(&sandbox, "Not everything was delivered");
        assert_eq!(world.spools().len(), 1);

        world.s3.faults().clear();
        let next = with(&world, &[]).start().await.unwrap();
        invoke(&next, work(1)).await;
        shut_down(&next).await;
        assert_whole(&world.verdict([&sandbox.ledger(), &next.ledger()]));
    }
}

// === short lives ===

#[tokio::test]
async fn an_init_without_an_invocation_delivers_its_events() {
    for drain in ["end", "background"] {
        let world = World::new().await;
        let sandbox = with(&world, &[("DRAIN", drain)]).freeze(false).start().await.unwrap();
        sandbox.until(|ledger| ledger.with_fate(Fate::Pending).count() == 0).await;
        shut_down(&sandbox).await;
        let verdict = verdict(&world, &sandbox);
        assert_whole(&verdict);
        assert_eq!(verdict.delivered, verdict.emitted, "{drain}: {verdict}");
        assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new());
    }
}

/// The platform hands over what it still holds together with SHUTDOWN: there is a moment to take it.
#[tokio::test]
async fn what_comes_with_shutdown_is_delivered_too() {
    for (drain, invocations) in [("end", 0), ("background", 0), ("background", 1), ("background", 4)] {
        let world = World::new().await;
        let sandbox = with(&world, &[("DRAIN", drain)]).start().await.unwrap();
        for _ in 0..invocations {
            // So short that they are over, and the environment frozen, before anything is handed over.
            invoke(&sandbox, Work { lines: 3, ..Work::default() }).await;
        }
        // As long as an environment is idle in practice: the process has been silent for long.
        world::pause(300).await;
        shut_down(&sandbox).await;
        let verdict = verdict(&world, &sandbox);
        assert_whole(&verdict);
        assert_eq!(verdict.delivered, verdict.emitted, "{drain} after {invocations}: {verdict}");
        assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new());
    }
}
