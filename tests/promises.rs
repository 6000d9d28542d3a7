//! P1, P2, P3: what was acknowledged is delivered, once, through kills and outages.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{Fail, Fate, ShutdownReason, Work};
use world::{World, assert_whole};

fn work(lines: u32) -> Work {
    Work { lines, ..Work::default() }
}

#[tokio::test]
async fn a_quiet_life_is_delivered_whole_and_leaves_nothing_behind() {
    let world = World::new().await;
    let sandbox = world.sandbox().start().await.unwrap();
    for lines in [5, 0, 120] {
        assert!(sandbox.invoke(work(lines)).await.result.is_ok());
    }
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    let verdict = world.verdict([&sandbox.ledger()]);
    assert_whole(&verdict);
    assert_eq!(verdict.delivered, verdict.emitted, "{verdict}");
    assert!(verdict.spools.iter().all(|spool| spool.ended), "the listing shows the end: {:?}", verdict.spools);
    assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new());
    assert_eq!(sandbox.extension_output(), Vec::<String>::new(), "nothing to say about a quiet life");
}

#[tokio::test]
async fn every_codec_is_read_back_by_decoders_that_are_not_ours() {
    for codec in ["zstd", "gzip", "none"] {
        let world = World::new().await;
        let sandbox = world.sandbox().extension_env("LOGSPOOL_COMPRESSION", codec).start().await.unwrap();
        for lines in [40, 3] {
            sandbox.invoke(work(lines)).await;
        }
        sandbox.kill_extension().await;
        sandbox.invoke(work(7)).await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        assert_whole(&world.verdict(&ledgers));
    }
}

/// How many times the extension is killed in CI; `LOGSPOOL_TEST_KILLS` asks for more.
fn kills() -> u64 {
    std::env::var("LOGSPOOL_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(60)
}

#[tokio::test]
async fn acknowledged_lines_survive_sigkill_at_a_random_instant() {
    let seed = std::env::var("LOGSPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123);
    let world = World::new().await;
    let sandbox = world.sandbox().start().await.unwrap();
    let mut rng = fastrand::Rng::with_seed(seed);
    // On a busy machine many kills come before anything was acknowledged: those prove nothing, and others take their place.
    let mut round = 0;
    while round < kills() || (sandbox.ledger().with_fate(Fate::Acknowledged).count() <= 500 && round < 5 * kills()) {
        // A fresh process each time: its init runs inside the invocation, so short delays kill it while it starts and adopts.
        let span_us = *rng.choice(&[20_000, 60_000, 120_000]).expect("not empty");
        let delay = Duration::from_micros(rng.u64(0..span_us));
        let work = Work {
            lines: rng.u32(1..200),
            line_bytes: rng.usize(80..600),
            sleep_ms: rng.u64(0..60),
            ..Work::default()
        };
        let invocation = sandbox.invoke_start(work);
        tokio::time::sleep(delay).await;
        sandbox.kill_extension().await;
        invocation.finished().await;
        if round % 10 == 9 {
            // Some rounds are left to end, so that lives of every length are adopted.
            assert!(sandbox.invoke(Work { lines: 20, ..Work::default() }).await.result.is_ok(), "seed {seed}");
        }
        round += 1;
    }
    assert!(sandbox.invoke(Work::default()).await.result.is_ok(), "seed {seed}");
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    if let Err(findings) = verdict.holds() {
        panic!("seed {seed}: {findings}");
    }
    assert_eq!((verdict.lost.len(), verdict.pending), (0, 0), "seed {seed}: {verdict}");
    assert!(verdict.acknowledged > 500, "seed {seed}: the kills left something to prove: {verdict}");
    let ended = verdict.spools.iter().filter(|spool| spool.ended).count();
    assert_eq!(ended, verdict.spools.len(), "seed {seed}: every life has an end in the listing");
    assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new(), "seed {seed}: everything adopted is gone");
    println!("{round} kills, seed {seed}: {verdict}");
}

#[tokio::test]
async fn an_outage_beyond_shutdown_is_healed_by_the_next_process() {
    let world = World::new().await;
    let first = world.sandbox().start().await.unwrap();
    first.invoke(work(10)).await;
    world.s3.faults().set(Fault::RefuseConnections);
    for lines in [10, 50, 3] {
        assert!(first.invoke(work(lines)).await.result.is_ok(), "the function does not notice");
    }
    let shutdown = first.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    let before = world.verdict([&first.ledger()]);
    assert!(!before.lost.is_empty(), "the outage left something to heal: {before}");

    world.s3.faults().clear();
    let mut ledgers = vec![first.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
    assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn an_ambiguous_answer_makes_no_second_object() {
    for fault in [Fault::InternalErrorAfterStoring, Fault::ResetAfterStoring] {
        let world = World::new().await;
        world.s3.faults().next(1, fault);
        let sandbox = world.sandbox().start().await.unwrap();
        sandbox.invoke(work(10)).await;
        sandbox.invoke(work(10)).await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        assert_whole(&world.verdict([&sandbox.ledger()]));
        let puts: Vec<_> = world.s3.requests().into_iter().filter(sandbox::s3::RequestSeen::is_put).collect();
        let objects = world.objects().len();
        assert_eq!(puts.len(), objects + 1, "one attempt was repeated, under the same key");
        assert!(puts.iter().all(|put| put.if_none_match));
        assert!(puts.iter().any(|put| put.status == Some(412)), "the repetition found the object there");
    }
}

#[tokio::test]
async fn a_failing_store_costs_nothing() {
    let world = World::new().await;
    let kinds: Vec<_> = Fault::COUNTABLE.into_iter().filter(|fault| *fault != Fault::Hang).collect();
    world.s3.faults().random(7, 400, &kinds);
    let sandbox = world.sandbox().start().await.unwrap();
    for lines in 1..30 {
        assert!(sandbox.invoke(work(lines)).await.result.is_ok());
    }
    world.s3.faults().clear();
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

#[tokio::test]
async fn the_last_words_of_a_function_that_dies_are_delivered() {
    for fail in [Fail::Error, Fail::Panic, Fail::Exit, Fail::Timeout] {
        let world = World::new().await;
        let sandbox = world.sandbox().function_timeout(Duration::from_secs(2)).start().await.unwrap();
        let mut failed = Vec::new();
        // The platform may drop the words of a process that dies, and says so; what it hands over must be delivered.
        let words_are_acknowledged = |sandbox: &sandbox::Sandbox, failed: &[String]| {
            sandbox.ledger().with_fate(Fate::Acknowledged).any(|event| {
                event.kind == "function" && failed.iter().any(|id| event.record.get().contains(id.as_str()))
            })
        };
        for _ in 0..5 {
            let invocation = sandbox.invoke(Work { lines: 5, fail: Some(fail), ..Work::default() }).await;
            assert!(invocation.result.is_err(), "{fail:?}");
            failed.push(invocation.request_id);
            sandbox.invoke(work(2)).await;
            if words_are_acknowledged(&sandbox, &failed) {
                break;
            }
        }
        sandbox.shutdown(ShutdownReason::Spindown).await;
        assert!(words_are_acknowledged(&sandbox, &failed), "{fail:?}: the failed invocation left words to deliver");
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        assert_whole(&world.verdict(&ledgers));
    }
}
