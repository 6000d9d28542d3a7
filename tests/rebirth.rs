//! After a failure the platform ends the life of the extension and begins another on the same `/tmp`: the new one ships the last
//! words of what has failed before anything else, and marks the end of the life before it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::path::PathBuf;
use std::time::Duration;

use sandbox::s3::{Fault, RequestSeen};
use sandbox::{Fail, Fate, Outcome, Sandbox, SandboxBuilder, ShutdownReason, Work};
use world::{World, assert_whole, file_name, pause};

const DRAINS: [&str; 3] = ["background", "adaptive", "end"];
/// A wait that no test lives to see, but for once in 10,000 runs: the wait after a failure is uniform below it.
const NEVER: &str = "24h";

fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let common = [("SEAL_AGE", "1h"), ("REQUEST_TIMEOUT", "60s"), ("LOG", "info"), ("COMPRESSION", "none")];
    let settings = common.iter().chain(settings);
    settings.fold(world.sandbox(), |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

fn work() -> Work {
    Work { sleep_ms: 100, ..Work::default() }
}

async fn invoke(sandbox: &Sandbox) {
    let invocation = sandbox.invoke(work()).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
}

/// How often the extension has said this.
fn said(sandbox: &Sandbox, part: &str) -> usize {
    sandbox.extension_output().iter().filter(|line| line.contains(part)).count()
}

async fn until_said(sandbox: &Sandbox, part: &str, times: usize) {
    while said(sandbox, part) < times {
        pause(5).await;
    }
}

/// How an invocation takes its environment along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Timeout,
    FunctionExits,
    FunctionKilled,
    /// As the kernel does when memory is short.
    ExtensionKilled,
}

impl End {
    /// What SHUTDOWN says, if there is one.
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Timeout => Some("timeout"),
            Self::FunctionExits | Self::FunctionKilled => Some("failure"),
            Self::ExtensionKilled => None,
        }
    }

    /// Runs an invocation that ends like this, and returns its request id.
    async fn befall(self, sandbox: &Sandbox) -> String {
        let work = match self {
            Self::Timeout => Work { fail: Some(Fail::Timeout), ..work() },
            Self::FunctionExits => Work { fail: Some(Fail::Exit), ..work() },
            Self::FunctionKilled | Self::ExtensionKilled => Work { sleep_ms: 60_000, ..work() },
        };
        let invocation = sandbox.invoke_start(work);
        let request_id = invocation.request_id().to_owned();
        let has_spoken = |said: &sandbox::Event| said.kind == "function" && said.record.get().contains(&request_id);
        sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).any(has_spoken)).await;
        match self {
            Self::Timeout | Self::FunctionExits => {}
            Self::FunctionKilled => sandbox.kill_function().await,
            Self::ExtensionKilled => sandbox.kill_extension().await,
        }
        let invocation = invocation.finished().await;
        assert!(matches!(invocation.outcome, Outcome::Fault(_)), "{self:?}: {:?}", invocation.outcome);
        request_id
    }
}

#[tokio::test]
async fn a_life_that_is_reset_for_whatever_reason_ends_in_order_and_the_next_one_goes_on() {
    for reason in [ShutdownReason::Spindown, ShutdownReason::Timeout, ShutdownReason::Failure] {
        let world = World::new().await;
        let sandbox = with(&world, &[]).start().await.unwrap();
        for _ in 0..2 {
            invoke(&sandbox).await;
            let shutdown = sandbox.reset(reason).await.unwrap();
            assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
            assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0), "{shutdown:?}");
        }
        invoke(&sandbox).await;
        let verdict = world.end(&sandbox).await;
        assert!(verdict.spools.len() >= 3 && verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
        assert_eq!(said(&sandbox, "Ended: Shutdown"), 3);
    }
}

#[tokio::test]
async fn a_life_that_a_failure_of_the_function_ends_is_delivered_with_its_end_before_it_is_over() {
    for end in [End::Timeout, End::FunctionExits, End::FunctionKilled] {
        let world = World::new().await;
        let sandbox = with(&world, &[]).function_timeout(Duration::from_secs(3)).start().await.unwrap();
        invoke(&sandbox).await;
        end.befall(&sandbox).await;
        assert_eq!(said(&sandbox, &format!("reason={} The environment ends.", end.reason().unwrap())), 1, "{end:?}");
        assert_eq!(said(&sandbox, "Ended: Shutdown"), 1, "{end:?}: by itself");
        let verdict = world.verdict([&sandbox.ledger()]);
        assert_whole(&verdict);
        assert!(verdict.spools.len() == 1 && verdict.spools[0].ended, "{end:?}: {:?}", verdict.spools);
        assert_eq!(world.spools(), Vec::<PathBuf>::new(), "{end:?}");
        assert!(world.seals().contains(&"error".to_owned()), "{end:?}: {:?}", world.seals());

        invoke(&sandbox).await;
        let verdict = world.end(&sandbox).await;
        assert_eq!(verdict.spools.len(), 2);
    }
}

/// Names of uploads that worked, in their order, after so many requests.
fn delivered(world: &World, after: usize) -> Vec<String> {
    let puts = world.s3.requests().into_iter().filter(RequestSeen::is_put).skip(after);
    puts.filter(|put| put.status == Some(200)).map(|put| file_name(&put.key).to_owned()).collect()
}

fn spool_of(name: &str) -> &str {
    name.split('-').next().unwrap()
}

/// A life in an outage: some ordinary segments wait, and nothing else is tried before the end.
async fn with_a_backlog(world: &World, drain: &str) -> Sandbox {
    world.s3.faults().set(Fault::ServiceUnavailable);
    let settings = [("DRAIN", drain), ("SEAL_INVOCATIONS", "1"), ("RETRY_BASE", NEVER), ("RETRY_MAX", NEVER)];
    let sandbox = with(world, &settings).freeze(false).function_timeout(Duration::from_secs(3)).start().await.unwrap();
    add_to_backlog(&sandbox).await;
    sandbox
}

/// Three invocations, each of which is sealed before anything else is said.
async fn add_to_backlog(sandbox: &Sandbox) {
    for _ in 0..3 {
        let sealed = said(sandbox, "A segment was sealed");
        invoke(sandbox).await;
        until_said(sandbox, "A segment was sealed", sealed + 1).await;
    }
}

/// The store is back, and a reborn life is left to deliver everything.
async fn rebirth(world: &World, sandbox: &Sandbox, lives: usize) -> Vec<String> {
    let before = world.puts();
    world.s3.faults().clear();
    // Long enough for the new life to have read what the old one has left before it has anything to ship itself.
    assert!(sandbox.invoke(Work { sleep_ms: 1_000, ..work() }).await.result.is_ok());
    until_said(sandbox, "An adopted spool was delivered", lives).await;
    world.end(sandbox).await;
    delivered(world, before)
}

/// Names of objects that hold words of an invocation.
fn with_words_of(world: &World, request_id: &str) -> Vec<String> {
    let objects = world.objects().into_iter();
    let objects = objects.filter(|object| String::from_utf8_lossy(&object.bytes).contains(request_id));
    objects.map(|object| file_name(&object.key).to_owned()).collect()
}

/// Why an object was sealed.
fn seal(world: &World, name: &str) -> String {
    let object = world.objects().into_iter().find(|object| file_name(&object.key) == name).unwrap();
    object.metadata["logspool-seal"].clone()
}

#[tokio::test]
async fn the_last_words_of_what_has_failed_are_delivered_first_and_their_life_gets_its_end() {
    for drain in DRAINS {
        for end in [End::Timeout, End::FunctionExits, End::FunctionKilled, End::ExtensionKilled] {
            let world = World::new().await;
            let sandbox = with_a_backlog(&world, drain).await;
            let failed = end.befall(&sandbox).await;
            let names = rebirth(&world, &sandbox, 1).await;
            assert!(with_words_of(&world, &failed).contains(&names[0]), "{drain}, {end:?}: {names:#?}");

            let is_of_failed_life = |name: &&String| spool_of(name) == spool_of(&names[0]);
            let of_failed_life: Vec<_> = names.iter().take_while(is_of_failed_life).collect();
            assert_eq!(
                of_failed_life.len(),
                names.iter().filter(is_of_failed_life).count(),
                "before its own: {names:#?}"
            );
            let backlog = &of_failed_life[1..];
            assert!(backlog.len() > 3 && backlog[0] < &names[0] && backlog.is_sorted(), "{drain}, {end:?}: {names:#?}");
            let last = backlog.last().unwrap();
            assert!(last.contains("-end."), "{drain}, {end:?}: {names:#?}");
            // A life that was killed could not write it.
            let written_by = if end == End::ExtensionKilled { "adoption" } else { "shutdown" };
            assert_eq!(seal(&world, last), written_by, "{drain}, {end:?}");
        }
    }
}

#[tokio::test]
async fn the_last_words_of_what_has_failed_are_delivered_before_what_earlier_lives_have_left() {
    for drain in DRAINS {
        let world = World::new().await;
        let sandbox = with_a_backlog(&world, drain).await;
        for _ in 0..2 {
            sandbox.reset(ShutdownReason::Spindown).await.unwrap();
            add_to_backlog(&sandbox).await;
        }
        let failed = End::Timeout.befall(&sandbox).await;
        let names = rebirth(&world, &sandbox, 3).await;
        assert!(with_words_of(&world, &failed).contains(&names[0]), "{drain}: {names:#?}");
    }
}
