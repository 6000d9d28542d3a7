use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;
use spool::LossCause;

use super::list::COUNTERS;
use super::*;

const NOW: i64 = 1_790_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const MINUTE_MS: i64 = 60_000;

fn facts() -> Facts {
    Facts::new("orders", "7")
}

/// One in which every counter is as large as can be.
fn full() -> Figures {
    let mut figures = Figures::default();
    let stand = &mut figures.stand;
    (stand.totals.records, stand.totals.raw_bytes, stand.totals.refused_bodies) = (u64::MAX, u64::MAX, u64::MAX);
    (stand.object_bytes, stand.disk_bytes) = (u64::MAX, u64::MAX);
    LossCause::ALL.into_iter().for_each(|cause| stand.losses.add(cause, u64::MAX, 0));
    let uploaded = &mut figures.uploaded;
    (uploaded.delivered, uploaded.bytes, uploaded.fallback) = (u64::MAX, u64::MAX, u64::MAX);
    let counts = &mut figures.counts;
    (counts.attempts, counts.failed_attempts, counts.invocations) = (u64::MAX, u64::MAX, u64::MAX);
    (counts.held, counts.held_for_starved_upload, counts.held_ms) = (u64::MAX, u64::MAX, u64::MAX);
    (counts.budgets_used_up, counts.outages, figures.panics) = (u64::MAX, u64::MAX, u64::MAX);
    (figures.waiting, figures.oldest_age_ms) = (u64::MAX, u64::MAX);
    figures
}

/// A line as a process would write it.
pub(crate) fn a_line() -> String {
    line::of(&facts(), &Teller::new(MINUTE, NOW).report(&full()).expect("much has happened"), NOW)
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// The metrics that a line declares, with their units and values.
fn told(line: &str) -> BTreeMap<String, (String, u64)> {
    let line = parsed(line);
    let definitions = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().expect("a list").clone();
    let told = definitions.iter().map(|definition| {
        let name = definition["Name"].as_str().expect("a name").to_owned();
        let value = line[&name].as_u64().expect("a number");
        (name, (definition["Unit"].as_str().expect("a unit").to_owned(), value))
    });
    told.collect()
}

#[test]
fn a_line_is_what_the_specification_asks_for() {
    let mut figures = Figures::default();
    figures.stand.totals.records = 123;
    figures.stand.losses.add(LossCause::Quota, 4, 1_000);
    figures.stand.disk_bytes = 4_096;
    figures.oldest_age_ms = 250;
    let report = Teller::new(MINUTE, NOW).report(&figures).expect("something has happened");
    let expected = r#"{"_aws":{"Timestamp":1790000000000,"CloudWatchMetrics":[{"Namespace":"logspool","Dimensions":[["function"]],"Metrics":[{"Name":"Records","Unit":"Count"},{"Name":"DroppedQuota","Unit":"Count"},{"Name":"SpoolBytes","Unit":"Bytes"},{"Name":"UndeliveredObjects","Unit":"Count"},{"Name":"OldestUndeliveredAge","Unit":"Milliseconds"}]}]},"function":"orders","version":"7","DroppedQuota":4,"OldestUndeliveredAge":250,"Records":123,"SpoolBytes":4096,"UndeliveredObjects":0}"#;
    assert_eq!(line::of(&facts(), &report, NOW), expected);
}

#[test]
fn the_longest_line_is_within_its_limit_and_those_of_the_specification() {
    let long = "x".repeat(10_000);
    let report = Teller::new(MINUTE, NOW).report(&full()).expect("much has happened");
    let line = line::of(&Facts::new(&long, &long), &report, i64::MAX);
    assert!(line.len() < LINE_BYTES_MAX, "{}", line.len());
    let told = told(&line);
    assert_eq!(told.len(), COUNTERS.len() + 3, "every metric has a name of its own");
    assert!(told.len() <= 100);
    assert!(
        told.values()
            .all(|(unit, value)| ["Count", "Bytes", "Milliseconds"].contains(&unit.as_str()) && *value == u64::MAX)
    );
    let members: BTreeSet<_> = parsed(&line).as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members.len(), told.len() + 3, "and none is that of another member");
}

#[test]
fn a_dimension_has_a_value_that_cloudwatch_takes() {
    for (name, value) in
        [("orders", "orders"), ("", "unknown"), ("a b\n\u{e9}\u{1f980}", "a_b___"), ("$LATEST", "$LATEST")]
    {
        let report = Teller::new(MINUTE, NOW).report(&full()).expect("much has happened");
        let line = parsed(&line::of(&Facts::new(name, name), &report, NOW));
        assert_eq!((line["function"].as_str(), line["version"].as_str()), (Some(value), Some(value)));
    }
}

#[test]
fn counters_are_told_by_how_much_they_moved_and_only_if_they_did() {
    let mut teller = Teller::new(MINUTE, NOW);
    let mut figures = Figures::default();
    assert!(teller.report(&figures).is_none(), "nothing has happened");
    (figures.stand.disk_bytes, figures.oldest_age_ms, figures.waiting) = (1, 1, 1);
    assert!(teller.report(&figures).is_none(), "how things stand is no news by itself");
    for (records, uploads, expected) in
        [(5, 0, vec![("Records", 5)]), (7, 1, vec![("Records", 2), ("Uploads", 1)]), (7, 2, vec![("Uploads", 1)])]
    {
        (figures.stand.totals.records, figures.uploaded.delivered) = (records, uploads);
        let report = teller.report(&figures).expect("something has moved");
        let moved: Vec<_> = report.moved.iter().map(|(counter, by)| (counter.name, *by)).collect();
        assert_eq!(moved, expected);
        teller.has_told(&figures, NOW);
        assert!(teller.report(&figures).is_none(), "it was told");
    }
    figures.stand.totals.records = 3;
    assert!(teller.report(&figures).is_none(), "what has gone back is not told");
    teller.has_told(&figures, NOW);
    figures.stand.totals.records = 8;
    assert_eq!(teller.report(&figures).expect("it has moved").moved[0].1, 1, "and not told twice");
}

#[test]
fn a_line_is_due_an_interval_after_the_one_before() {
    let mut teller = Teller::new(MINUTE, NOW);
    for (at_ms, is_due) in [
        (0, false),
        (MINUTE_MS - 1, false),
        (MINUTE_MS, true),
        // After a freeze.
        (100 * MINUTE_MS, true),
        // The clock was set back.
        (1 - MINUTE_MS, false),
        (-MINUTE_MS, true),
    ] {
        assert_eq!(teller.is_due(NOW + at_ms), is_due, "{at_ms}");
    }
    teller.has_told(&Figures::default(), NOW + MINUTE_MS);
    assert!(!teller.is_due(NOW + 2 * MINUTE_MS - 1) && teller.is_due(NOW + 2 * MINUTE_MS));
}

/// Adds to some counters.
fn live(figures: &mut Figures, rng: &mut fastrand::Rng) {
    let mut some = || if rng.bool() { rng.u64(..1_000) } else { 0 };
    figures.stand.totals.records += some();
    figures.stand.totals.raw_bytes += some();
    figures.stand.object_bytes += some();
    for cause in LossCause::ALL {
        figures.stand.losses.add(cause, some() / 900, 1);
    }
    figures.uploaded.delivered += some();
    figures.uploaded.bytes += some();
    figures.counts.attempts += some();
    figures.counts.failed_attempts += some();
    figures.counts.held_ms += some();
    figures.counts.invocations += some();
    figures.panics += some() / 900;
    (figures.stand.disk_bytes, figures.waiting, figures.oldest_age_ms) = (some(), some(), some());
}

#[test]
fn whenever_lines_are_written_their_sums_are_the_totals_and_none_comes_too_early() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut teller = Teller::new(MINUTE, NOW);
        let (mut figures, mut now_ms, mut told_ms) = (Figures::default(), NOW, NOW);
        let (mut sums, mut lines) = (BTreeMap::<String, u64>::new(), 0);
        let steps = rng.usize(..200);
        for step in 0..=steps {
            now_ms += rng.i64(0..20_000);
            if rng.u8(..4) == 0 {
                live(&mut figures, &mut rng);
            }
            let is_last = step == steps;
            if !is_last && !teller.is_due(now_ms) {
                continue;
            }
            let Some(report) = teller.report(&figures) else { continue };
            if !is_last && rng.u8(..3) == 0 {
                // The line before is not written yet.
                continue;
            }
            assert!(is_last || now_ms - told_ms >= MINUTE_MS, "seed {seed}");
            for (name, (_, value)) in told(&line::of(&facts(), &report, now_ms)) {
                *sums.entry(name).or_default() += value;
            }
            teller.has_told(&figures, now_ms);
            (told_ms, lines) = (now_ms, lines + 1);
        }
        for counter in &COUNTERS {
            let sum = sums.get(counter.name).copied().unwrap_or(0);
            assert_eq!(sum, (counter.total)(&figures), "seed {seed}: {} in {lines} lines", counter.name);
        }
        assert!(i64::from(lines) <= 1 + (now_ms - NOW) / MINUTE_MS, "seed {seed}: {lines}");
    }
}

/// Takes lines; blocks while it is not allowed to.
struct Pipe {
    lines: Arc<Mutex<Vec<u8>>>,
    permits: mpsc::Receiver<()>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.permits.recv();
        self.lines.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_output_that_takes_nothing_holds_up_nobody_and_costs_no_count() {
    let (permit, permits) = mpsc::channel();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let writer = Writer::new(Box::new(Pipe { lines: Arc::clone(&lines), permits }));
    let mut metrics = Metrics::new(facts(), MINUTE, writer, NOW);
    let mut figures = Figures::default();
    for minute in 1..=5 {
        figures.stand.totals.records += 10;
        assert!(minute == 1 || metrics.are_due(NOW + minute * MINUTE_MS), "what could not be told is due at once");
        metrics.tell(&figures, NOW + minute * MINUTE_MS);
    }
    metrics.tell_last(&figures, NOW).await;
    permit.send(()).expect("it waits");
    metrics.writer.settle(MINUTE).await;
    permit.send(()).expect("it waits");
    metrics.tell_last(&figures, NOW).await;
    metrics.writer.settle(MINUTE).await;
    let text = String::from_utf8(lines.lock().expect("no panic").clone()).expect("ASCII");
    let records: Vec<_> = text.lines().map(|line| told(line)["Records"].1).collect();
    assert_eq!(records, [10, 40]);
}

#[tokio::test]
async fn an_output_that_is_closed_harms_nobody() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut metrics = Metrics::new(facts(), MINUTE, Writer::new(Box::new(Closed)), NOW);
    let mut figures = Figures::default();
    for _ in 0..3 {
        figures.panics += 1;
        metrics.tell_last(&figures, NOW).await;
    }
    assert!(metrics.teller.report(&figures).is_none());
}
