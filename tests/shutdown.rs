//! The end of an environment: whatever its reason and whatever the store does, the process ends by itself before the deadline,
//! delivers what can be delivered until then, and says what waits.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use sandbox::oracle::Verdict;
use sandbox::s3::{Fault, RequestSeen};
use sandbox::{Fate, Function, Ledger, Sandbox, SandboxBuilder, ShutdownReason, Work};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use world::wire::{Wire, request};
use world::{World, assert_whole, file_name, the_line};

const REASONS: [(ShutdownReason, &str); 3] = [
    (ShutdownReason::Spindown, "spindown"),
    (ShutdownReason::Timeout, "timeout"),
    (ShutdownReason::Failure, "failure"),
];
/// A wait that no test lives to see, but for once in 10,000 runs: the wait after a failure is uniform below it.
const NEVER: &str = "24h";

/// An extension that leaves everything to the end, unless a story says otherwise.
fn with(world: &World, settings: &[(&str, &str)]) -> SandboxBuilder {
    let common = [("DRAIN", "background"), ("SEAL_AGE", "1h"), ("REQUEST_TIMEOUT", "60s"), ("LOG", "info")];
    let settings = common.iter().chain(settings);
    settings.fold(world.sandbox(), |builder, (name, value)| builder.extension_env(format!("LOGSPOOL_{name}"), *value))
}

async fn invoke(sandbox: &Sandbox) {
    let invocation = sandbox.invoke(Work { sleep_ms: 100, ..Work::default() }).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
}

/// An end that the process came to by itself.
async fn shut_down(sandbox: &Sandbox, reason: ShutdownReason) {
    let shutdown = sandbox.shutdown(reason).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0), "{shutdown:?}");
}

/// A number of the summary line.
fn summary(sandbox: &Sandbox, field: &str) -> usize {
    let line = the_line(sandbox, "Ended: Shutdown");
    let value = line.split(' ').find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{field} is not in {line}"))
}

fn puts(world: &World) -> Vec<RequestSeen> {
    world.s3.requests().into_iter().filter(RequestSeen::is_put).collect()
}

/// Names of objects that end a stream.
fn ends(world: &World) -> usize {
    world.objects().iter().filter(|object| file_name(&object.key).contains("-end.")).count()
}

#[tokio::test]
async fn for_every_reason_a_life_ends_in_the_same_way() {
    for (reason, name) in REASONS {
        for invocations in [0, 2] {
            let world = World::new().await;
            let sandbox = with(&world, &[]).start().await.unwrap();
            for _ in 0..invocations {
                invoke(&sandbox).await;
            }
            shut_down(&sandbox, reason).await;
            let verdict = world.verdict([&sandbox.ledger()]);
            assert_whole(&verdict);
            assert_eq!(verdict.delivered, verdict.emitted, "{name} after {invocations}: {verdict}");
            assert_eq!((verdict.spools.len(), ends(&world)), (1, 1), "{name} after {invocations}: {verdict}");
            assert_eq!(world.spools(), Vec::<PathBuf>::new());
            the_line(&sandbox, &format!("reason={name} The environment ends."));
            assert_eq!(summary(&sandbox, "invocations"), invocations);
        }
    }
}

#[tokio::test]
async fn a_life_that_was_told_nothing_leaves_nothing_behind() {
    for (reason, name) in REASONS {
        let world = World::new().await;
        let sandbox = with(&world, &[]).telemetry_unsupported(true).start().await.unwrap();
        shut_down(&sandbox, reason).await;
        assert_eq!((world.puts(), world.spools()), (0, Vec::<PathBuf>::new()), "{name}");
        assert_eq!(summary(&sandbox, "waiting"), 0);
    }
}

/// Its connection may be dead without a trace, and there is time for one more.
#[tokio::test]
async fn an_upload_that_hangs_in_the_last_round_is_begun_anew_on_a_connection_of_its_own() {
    for memory_mb in [128, 512] {
        let world = World::new().await;
        let sandbox = with(&world, &[]).memory_mb(memory_mb).start().await.unwrap();
        invoke(&sandbox).await;
        world.s3.faults().next(1, Fault::Hang);
        shut_down(&sandbox, ShutdownReason::Spindown).await;
        assert_whole(&world.verdict([&sandbox.ledger()]));
        let [hanging, anew] = <[RequestSeen; 2]>::try_from(puts(&world)).unwrap();
        assert_eq!((hanging.status, anew.status), (None, Some(200)), "{memory_mb} MB");
        assert_eq!(hanging.key, anew.key);
        assert_ne!(hanging.connection, anew.connection);
        assert_eq!(world.spools(), Vec::<PathBuf>::new());
    }
}

/// A small function has the CPU for one upload at a time.
#[tokio::test]
async fn with_a_store_that_hangs_for_good_the_summary_says_what_waits_and_the_next_life_delivers_it() {
    for (memory_mb, at_a_time) in [(128, 1), (512, 4)] {
        let world = World::new().await;
        world.s3.faults().next(1, Fault::ServiceUnavailable);
        let settings = [("SEAL_INVOCATIONS", "1"), ("RETRY_BASE", NEVER), ("RETRY_MAX", NEVER)];
        let sandbox = with(&world, &settings).memory_mb(memory_mb).start().await.unwrap();
        for _ in 0..6 {
            invoke(&sandbox).await;
        }
        assert_eq!(world.puts(), 1, "the schedule does not allow another one before the end");
        world.s3.faults().set(Fault::Hang);
        shut_down(&sandbox, ShutdownReason::Spindown).await;

        let mut connections = BTreeMap::<String, Vec<u64>>::new();
        for put in puts(&world).into_iter().skip(1) {
            connections.entry(put.key).or_default().push(put.connection);
        }
        assert_eq!(connections.len(), at_a_time, "{memory_mb} MB: {connections:?}");
        let mut all: Vec<_> = connections.values().flatten().collect();
        assert_eq!(all.len(), 2 * at_a_time, "{memory_mb} MB: each was begun anew: {connections:?}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * at_a_time, "{memory_mb} MB: on a connection of its own: {connections:?}");

        let output = sandbox.extension_output();
        let sealed = output.iter().filter(|line| line.contains("A segment was sealed")).count();
        assert!(sealed > 4, "{output:#?}");
        assert_eq!((summary(&sandbox, "waiting"), summary(&sandbox, "after_end")), (sealed, 0));
        the_line(&sandbox, &format!("waiting={sealed} Not everything was delivered"));

        world.s3.faults().clear();
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        let verdict = world.verdict(&ledgers);
        assert_whole(&verdict);
        assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
    }
}

// === late telemetry ===

/// A function with something to say when its environment ends.
fn with_last_words(words: &str) -> Function {
    // The built-in function is this test, which looks for its role before it looks for anything else.
    let script = format!("trap 'echo {words}; exit 0' TERM\n\"$0\" &\nwait");
    Function::command(["sh".into(), "-c".into(), script.into(), std::env::current_exe().unwrap().into_os_string()])
        .env("SANDBOX_ROLE", "function")
}

#[tokio::test]
async fn the_last_words_of_a_function_that_is_told_to_end_are_delivered_before_the_end() {
    for invocations in [0, 1] {
        let world = World::new().await;
        let sandbox = with(&world, &[]).function(with_last_words("these are the last words")).start().await.unwrap();
        for _ in 0..invocations {
            invoke(&sandbox).await;
        }
        shut_down(&sandbox, ShutdownReason::Spindown).await;
        let ledger = sandbox.ledger();
        let said = |ledger: &Ledger| {
            ledger.with_fate(Fate::Acknowledged).filter(|said| said.record.get().contains("the last words")).count()
        };
        assert_eq!(said(&ledger), 1, "they were said, and taken");
        assert_whole(&world.verdict([&ledger]));
        assert_eq!(ends(&world), 1, "and there was no need for a further end");
        assert_eq!(summary(&sandbox, "after_end"), 0);
    }
}

fn body(text: &str) -> String {
    format!(r#"[{{"time":"2022-10-12T00:03:50.000Z","type":"function","record":"{text}"}}]"#)
}

/// Posts a body as the platform does, for as long as somebody answers.
async fn post(stream: &mut TcpStream, body: &str) -> io::Result<()> {
    stream.write_all(&request("POST", "/", body.as_bytes())).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Nothing speaks against the delivery but so many lines that the platform never said.
#[track_caller]
fn assert_whole_but_for(posted: RangeInclusive<usize>, mut verdict: Verdict) {
    let foreign = std::mem::take(&mut verdict.foreign);
    assert!(posted.contains(&foreign.len()), "{} of {posted:?}: {verdict}", foreign.len());
    assert_whole(&verdict);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
}

/// The process is still there because an upload hangs.
#[tokio::test]
async fn a_body_that_comes_after_the_end_is_delivered_with_a_further_end() {
    let world = World::new().await;
    let sandbox = with(&world, &[]).start().await.unwrap();
    invoke(&sandbox).await;
    world.s3.faults().next(1, Fault::Hang);
    let late = async {
        // What is uploaded first was sealed with the end in it.
        world.s3.requests_until(|seen| seen.iter().any(RequestSeen::is_put)).await;
        Wire::connect(&sandbox).await.post(body("too late").as_bytes()).await
    };
    let ((), status) = tokio::join!(shut_down(&sandbox, ShutdownReason::Spindown), late);
    assert_eq!(status, 200);
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole_but_for(1..=1, world.verdict(&ledgers));
    assert_eq!(world.objects_of_first_life().len(), 2);
    assert_eq!(ends(&world) - (ledgers.len() - 1), 2, "the end, and a further one");
}

/// Bodies that leave no moment of silence, until nobody listens any more: there is no time to seal the last of them.
#[tokio::test]
async fn what_is_left_behind_the_end_is_in_the_summary_and_delivered_by_the_next_life() {
    let mut left = 0;
    // On a busy machine there may be a moment of silence nevertheless.
    for _ in 0..10 {
        let world = World::new().await;
        let sandbox = with(&world, &[]).start().await.unwrap();
        invoke(&sandbox).await;
        world.s3.faults().set(Fault::Hang);
        let mut posted = 0;
        let late = async {
            world.s3.requests_until(|seen| seen.iter().any(RequestSeen::is_put)).await;
            let port = sandbox.subscriptions().last().unwrap().port;
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            while post(&mut stream, &body(&format!("late {posted}"))).await.is_ok() {
                posted += 1;
            }
        };
        tokio::join!(shut_down(&sandbox, ShutdownReason::Spindown), late);
        left = summary(&sandbox, "after_end");
        world.s3.faults().clear();
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        // The last one was perhaps stored and not answered.
        assert_whole_but_for(posted..=posted + 1, world.verdict(&ledgers));
        if left > 0 {
            break;
        }
    }
    assert!(left > 0);
}
