//! What never reaches the disk: records below a level, with a pattern, of requests outside of the sample; and what is masked in
//! the others. Told by the settings file, with the real process.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use regex::Regex;
use sandbox::{Category, Event, Fate, LogFormat, Sandbox, ShutdownReason, Work};
use serde_json::Value;
use world::wire::Wire;
use world::{World, the_line};
use xxhash_rust::xxh3::xxh3_64;

/// A settings file beside the spool.
fn settings_file(world: &World, contents: &str) -> PathBuf {
    let path = world.tmp().join("logspool.toml");
    std::fs::write(&path, contents).unwrap();
    path
}

const SETTINGS: &str = r#"
level = "trace"
drop = ['nobody says this', 'stock reserved in \w+']
redact = ['customer "VIP"', 'latency_ms=\d+']
compression = "none"
log = "info"
"#;

/// What the settings above make of a record, worked out by other means than theirs. `LEVEL` and `SAMPLE` come from the environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Expected {
    BelowLevel,
    Dropped,
    OutsideSample,
    Redacted(String),
    Whole,
}

/// The words of a record of the built-in function, which begin with its level and its request, also in an object.
fn words(record: &Value) -> &str {
    record.as_str().or_else(|| record["message"].as_str()).unwrap()
}

fn is_sampled(request_id: &str) -> bool {
    ((xxh3_64(request_id.as_bytes()) >> 11) as f64) < 0.5 * (1_u64 << 53) as f64
}

fn expected(event: &Event) -> Expected {
    let record: Value = serde_json::from_str(event.record.get()).unwrap();
    let words = words(&record);
    let mut parts = words.split(' ');
    let (level, request) = (parts.next().unwrap(), parts.next().unwrap());
    let masked = Regex::new(r"latency_ms=[0-9]+").unwrap().replace_all(words, "***").replace("customer \"VIP\"", "***");
    match () {
        () if level == "DEBUG" => Expected::BelowLevel,
        () if words.contains("stock reserved in warehouse") => Expected::Dropped,
        () if !is_sampled(request) => Expected::OutsideSample,
        () if masked != words => Expected::Redacted(masked),
        () => Expected::Whole,
    }
}

/// Lines of the function that were delivered, by their words.
fn delivered(world: &World) -> BTreeMap<String, Value> {
    let objects = world.objects();
    let lines = objects.iter().flat_map(|object| object.bytes.split(|byte| *byte == b'\n'));
    let lines = lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_slice::<Value>(line).unwrap());
    let of_function = lines.filter(|line| line["type"] == "function");
    of_function
        .map(|line| {
            let record = line.get("message").or_else(|| line.get("record")).unwrap();
            (words(record).to_owned(), line)
        })
        .collect()
}

/// Waits until the platform has handed over everything that the function has said.
async fn until_handed_over(sandbox: &Sandbox, lines: usize) {
    sandbox
        .until(|ledger| {
            let acknowledged = ledger.with_fate(Fate::Acknowledged);
            acknowledged.filter(|event| event.category == Category::Function).count() == lines
        })
        .await;
}

#[tokio::test]
async fn every_rule_does_what_it_says_counts_it_and_leaves_no_gap() {
    for (log_format, json) in [(LogFormat::Text, false), (LogFormat::Json, true)] {
        let world = World::new().await;
        let file = settings_file(&world, SETTINGS);
        let sandbox = world
            .sandbox()
            .freeze(false)
            .log_format(log_format)
            .extension_env("LOGSPOOL_CONFIG", file.display().to_string())
            .extension_env("LOGSPOOL_LEVEL", "info")
            .extension_env("LOGSPOOL_SAMPLE", "0.5")
            .start()
            .await
            .unwrap();
        let (mut lines, mut sampled) = (0, Vec::new());
        // Half of all request ids are in the sample.
        while sampled.len() < 6 || !sampled.contains(&true) || !sampled.contains(&false) {
            let invocation = sandbox.invoke(Work { lines: 60, json, ..Work::default() }).await;
            assert!(invocation.result.is_ok());
            lines += 60;
            sampled.push(is_sampled(&invocation.request_id));
        }
        until_handed_over(&sandbox, lines).await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);

        let ledger = &ledgers[0];
        let said: Vec<_> = ledger.of_kind("function").map(|entry| expected(&entry.event)).collect();
        let count = |wanted: fn(&Expected) -> bool| said.iter().filter(|expected| wanted(expected)).count();
        let (level, drop) = (count(|e| *e == Expected::BelowLevel), count(|e| *e == Expected::Dropped));
        let (sample, redacted) =
            (count(|e| *e == Expected::OutsideSample), count(|e| matches!(e, Expected::Redacted(_))));
        let whole = count(|e| *e == Expected::Whole);
        assert!([level, drop, sample, redacted, whole].iter().all(|count| *count > 10), "{said:?}");

        // Every record that is not kept out is there, as it was said or with its masks, and no other.
        let arrived = delivered(&world);
        let words_of = |event: &Event| words(&serde_json::from_str(event.record.get()).unwrap()).to_owned();
        let shipped: BTreeSet<_> = ledger
            .of_kind("function")
            .filter_map(|entry| match expected(&entry.event) {
                Expected::Redacted(masked) => Some(masked),
                Expected::Whole => Some(words_of(&entry.event)),
                _ => None,
            })
            .collect();
        assert_eq!(arrived.keys().collect::<BTreeSet<_>>(), shipped.iter().collect());
        for (words, line) in &arrived {
            assert_eq!(line["requestId"].as_str(), words.split(' ').nth(1), "whoever is masked keeps its request");
        }

        // The oracle knows of no filter: it misses what was kept out, and what was masked is foreign to it. Nothing else.
        let verdict = world.verdict(&ledgers);
        assert_eq!(verdict.lost.len(), level + drop + sample + redacted, "{verdict}");
        assert!(verdict.lost.iter().all(|event| event.category == Category::Function), "{verdict}");
        assert_eq!(verdict.foreign.len(), redacted, "{verdict}");
        let others = [&verdict.doubled, &verdict.unreadable, &verdict.gaps];
        assert!(others.iter().all(|findings| findings.is_empty()), "{others:?}");
        assert_eq!((verdict.pending, verdict.declared), (0, 0), "what is kept out is no loss: {verdict}");

        let summary = the_line(&sandbox, " filtered=");
        let counts = format!(" filtered=level:{level},drop:{drop},sample:{sample} redacted={redacted} ");
        assert!(summary.contains(&counts), "{counts} is not in {summary}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_settings_file_is_said_in_one_line_and_the_rest_works() {
    let world = World::new().await;
    let contents =
        "drop = ['(order', 'order']\nseal_ages = '5s'\nlevel = 'loud'\ncompression = 'none'\n[s3]\nregion = 'x'";
    let path = settings_file(&world, contents).display().to_string();
    let sandbox = world.sandbox().freeze(false).extension_env("LOGSPOOL_CONFIG", &path).start().await.unwrap();
    assert!(sandbox.invoke(Work { lines: 60, ..Work::default() }).await.result.is_ok());
    until_handed_over(&sandbox, 60).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let line = the_line(&sandbox, "Bad settings");
    for part in [
        format!("{path}: drop=\"(order\": unclosed group; using the others"),
        format!("{path}: seal_ages: there is no such setting"),
        format!(
            "{path}: level=\"loud\": one of trace, debug, info, warn, error, fatal is expected (or all); using all"
        ),
        format!("{path}: s3: a text, a number, true, false or a list of those is expected"),
    ] {
        assert!(line.contains(&part), "{part} is not in {line}");
    }
    world.heal().await;
    let arrived = delivered(&world);
    assert!(!arrived.is_empty() && arrived.keys().all(|words| !words.contains("order")), "{arrived:?}");
    assert!(arrived.keys().any(|words| words.starts_with("DEBUG")));
}

#[tokio::test]
async fn what_cannot_be_read_as_a_record_is_masked_too() {
    let world = World::new().await;
    let settings = [("LOGSPOOL_REDACT", "secret-[0-9]+"), ("LOGSPOOL_COMPRESSION", "none")];
    let sandbox = settings
        .iter()
        .fold(world.sandbox().freeze(false), |sandbox, (name, value)| sandbox.extension_env(*name, *value));
    let sandbox = sandbox.start().await.unwrap();
    let malformed = r#"[{"type":,"record":"first secret-1"}]"#;
    // The platform has cut it, and the rest never comes.
    let cut = r#"[{"time":"2026-09-03T14:29:52.929Z","type":"function","record":"second secret-2 of}]"#;
    for body in [malformed, cut] {
        assert_eq!(Wire::connect(&sandbox).await.post(body.as_bytes()).await, 200);
    }
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    let objects = world.objects();
    let text: String = objects.iter().map(|object| String::from_utf8_lossy(&object.bytes)).collect();
    for words in ["first ***", "second *** of"] {
        assert!(text.lines().any(|line| line.contains("logspool.unparsed") && line.contains(words)), "{text}");
    }
    assert!(!text.contains("secret-"), "{text}");
}
