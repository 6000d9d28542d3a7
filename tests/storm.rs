//! P3 when a function logs faster than can be taken in: what the platform drops by its queue rule is counted, shipped and told,
//! and everything that was said is delivered or declared, at any rate.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::{Category, Event, Fate, Ledger, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde_json::Value;
use world::{World, assert_whole, signal};

const DROPPED: &str = "platform.logsDropped";

/// Under the queue rule, with objects that can be read as they are.
fn stormy(world: &World) -> SandboxBuilder {
    world
        .sandbox()
        .queue_rule(true)
        .function_timeout(Duration::from_secs(60))
        .extension_env("LOGSPOOL_DRAIN", "background")
        .extension_env("LOGSPOOL_COMPRESSION", "none")
}

/// Records and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    records: u64,
    bytes: u64,
}

impl Count {
    fn sum(counts: impl IntoIterator<Item = Self>) -> Self {
        let add = |sum: Self, one: Self| Self { records: sum.records + one.records, bytes: sum.bytes + one.bytes };
        counts.into_iter().fold(Self::default(), add)
    }

    /// What a declaration declares.
    fn declared(record: &Value) -> Self {
        let number = |name: &str| record[name].as_u64().unwrap();
        Self { records: number("droppedRecords"), bytes: number("droppedBytes") }
    }

    fn of_event(event: &Event) -> Self {
        Self { records: 1, bytes: event.to_json().len() as u64 }
    }
}

fn declarations(ledger: &Ledger, has_fate: impl Fn(Fate) -> bool) -> Count {
    let declarations = ledger.of_kind(DROPPED).filter(|entry| has_fate(entry.fate));
    Count::sum(declarations.map(|entry| Count::declared(&serde_json::from_str(entry.event.record.get()).unwrap())))
}

/// What objects tell of the platform's drops, in each of the three places where it stands.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    lines: Count,
    metadata: Count,
    end: Count,
}

fn told(world: &World) -> Told {
    let (mut lines, mut metadata, mut ends) = (Count::default(), Count::default(), BTreeMap::new());
    for object in world.objects() {
        if let Some(text) = object.metadata.get("logspool-platform-drops") {
            let numbers: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
            metadata = Count::sum([metadata, Count { records: numbers[0], bytes: numbers[1] }]);
        }
        for line in object.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            if line["type"] == DROPPED {
                lines = Count::sum([lines, Count::declared(&line["record"])]);
            } else if line["type"] == "logspool.end" {
                let spool = world::file_name(&object.key).split('-').next().unwrap().to_owned();
                let loss = &line["losses"]["platform"];
                let number = |name: &str| loss[name].as_u64().unwrap_or(0);
                ends.insert(
                    (spool, line["seq"].as_u64()),
                    Count { records: number("records"), bytes: number("bytes") },
                );
            }
        }
    }
    // Of each spool the highest end counts.
    let highest: BTreeMap<_, _> = ends.into_iter().map(|((spool, _), count)| (spool, count)).collect();
    Told { lines, metadata, end: Count::sum(highest.into_values()) }
}

/// Ends the life, and checks that all that was said is delivered or declared.
async fn everything_is_accounted_for(world: &World, sandbox: &Sandbox) -> Told {
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);

    let is_addressed = |event: &&Event| event.category != Category::Extension;
    let of_fate = |fate: Fate| ledgers.iter().flat_map(move |ledger| ledger.with_fate(fate)).filter(is_addressed);
    let emitted = ledgers.iter().flat_map(|ledger| ledger.entries()).filter(|entry| is_addressed(&&entry.event));
    assert_eq!(of_fate(Fate::InDoubt).count(), 0);
    let never = of_fate(Fate::NeverHandedOver).count();
    // A declaration may be dropped itself, and is one of the records of the next one: so all of them count, while what can be
    // shipped is what those declare that arrived.
    let all = Count::sum(ledgers.iter().map(|ledger| declarations(ledger, |_| true)));
    let dropped = Count::sum(of_fate(Fate::Dropped).map(Count::of_event));
    assert_eq!(all, dropped, "the platform declares what it drops");
    assert_eq!(emitted.count(), verdict.delivered + usize::try_from(all.records).unwrap() + never);

    let arrived = Count::sum(ledgers.iter().map(|ledger| declarations(ledger, |fate| fate == Fate::Acknowledged)));
    let told = told(world);
    assert_eq!(told, Told { lines: arrived, metadata: arrived, end: arrived });
    told
}

fn lines_dropped(ledger: &Ledger) -> usize {
    ledger.with_fate(Fate::Dropped).filter(|event| event.kind == "function").count()
}

#[tokio::test]
async fn what_comes_while_the_extension_takes_nothing_in_is_declared_and_the_rest_delivered() {
    let world = World::new().await;
    let sandbox = stormy(&world).start().await.unwrap();
    sandbox.invoke(Work::default()).await;
    for _ in 0..2 {
        // The first body waits for its answer, so the next one that is due has no place.
        let storm = sandbox.invoke_start(Work { lines: 20_000, sleep_ms: 100, ..Work::default() });
        let (request_id, before) = (storm.request_id().to_owned(), lines_dropped(&sandbox.ledger()));
        sandbox.until(|ledger| has_said(ledger, &request_id)).await;
        signal(&sandbox, "STOP");
        sandbox.until(|ledger| lines_dropped(ledger) > before).await;
        signal(&sandbox, "CONT");
        storm.finished().await;
    }
    sandbox.invoke(Work::default()).await;
    let told = everything_is_accounted_for(&world, &sandbox).await;
    assert!(told.lines.records > 0, "{told:?}");
}

/// The function has begun to write: it is awake, and so is the extension.
fn has_said(ledger: &Ledger, request_id: &str) -> bool {
    ledger.of_kind("function").any(|entry| entry.event.record.get().contains(request_id))
}

#[tokio::test]
async fn at_any_rate_everything_is_delivered_or_declared() {
    let world = World::new().await;
    let sandbox = stormy(&world).start().await.unwrap();
    for (lines, lines_per_second) in
        [(500, Some(1_000)), (5_000, Some(10_000)), (10_000, Some(50_000)), (20_000, None), (0, None)]
    {
        for (json, line_bytes) in [(false, 200), (true, 60)] {
            let lines = lines / 2;
            let invocation =
                sandbox.invoke(Work { lines, lines_per_second, line_bytes, json, ..Work::default() }).await;
            assert!(invocation.result.is_ok(), "{invocation:?}");
        }
    }
    everything_is_accounted_for(&world, &sandbox).await;
}
