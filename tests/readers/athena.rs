//! What the queries for Athena must answer, computed from the lines as the sandbox's decoders see them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::output::{Line, REQUEST};

/// What `athena.py` prints.
#[derive(Debug, Deserialize)]
pub struct Athena {
    /// The members that the columns hold.
    pub members: BTreeSet<String>,
    pub partitions: BTreeSet<String>,
    pub properties: BTreeMap<String, String>,
    pub answers: BTreeMap<String, Vec<Value>>,
}

/// Of each query by its name: the rows that it must answer.
pub fn expected(lines: &[Line]) -> BTreeMap<String, Vec<Value>> {
    let answers = [
        ("one_request", one_request(lines)),
        ("errors_by_function", errors_by_function(lines)),
        ("slowest_reports", slowest_reports(lines)),
        ("invocations", invocations(lines)),
        ("lost_ranges", lost_ranges(lines)),
        ("losses_by_life", losses_by_life(lines)),
    ];
    answers.map(|(name, rows)| (name.to_owned(), rows)).into()
}

fn of<'a>(lines: &'a [Line], kind: &str) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line.kind() == kind)
}

fn one_request(lines: &[Line]) -> Vec<Value> {
    let mut mine: Vec<_> = lines.iter().filter(|line| line.text("requestId") == Some(REQUEST)).collect();
    mine.sort_by_key(|line| (line.text("time"), line.seq()));
    let row = |line: &&Line| {
        let record = ["message", "record", "value"].iter().find_map(|member| line.members.get(*member)).unwrap();
        json!({ "time": line.text("time"), "type": line.kind(), "line": record })
    };
    mine.iter().map(row).collect()
}

fn is_error(line: &Line) -> bool {
    match line.kind() {
        "function" => {
            let level = line.recorded("/level").and_then(Value::as_str).unwrap_or_default().to_uppercase();
            let text = line.text("message").unwrap_or_default();
            ["ERROR", "FATAL", "CRITICAL"].contains(&level.as_str())
                || text.starts_with("[ERROR]")
                || text.split('\t').nth(2) == Some("ERROR")
        }
        "platform.report" => line.recorded("/status").is_some_and(|status| status != "success"),
        _ => false,
    }
}

fn errors_by_function(lines: &[Line]) -> Vec<Value> {
    let mut functions: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines.iter().filter(|line| is_error(line)) {
        functions.entry(&line.function).or_default().push(line);
    }
    let count = |lines: &[&Line], kind| lines.iter().filter(|line| line.kind() == kind).count();
    let mut rows: Vec<_> = functions.into_iter().collect();
    rows.sort_by_key(|(_, lines)| std::cmp::Reverse(count(lines, "function")));
    let row = |(function, lines): (&str, Vec<&Line>)| {
        let requests = lines.iter().filter_map(|line| line.text("requestId")).collect::<BTreeSet<_>>().len();
        json!({
            "function": function,
            "logged": count(&lines, "function"),
            "failed_invocations": count(&lines, "platform.report"),
            "requests": requests, "latest": lines.iter().filter_map(|line| line.text("time")).max(),
        })
    };
    rows.into_iter().map(row).collect()
}

fn slowest_reports(lines: &[Line]) -> Vec<Value> {
    let mut reports: Vec<_> = of(lines, "platform.report").filter(|line| line.function == "orders").collect();
    reports.sort_by(|a, b| metric(b, "durationMs").total_cmp(&metric(a, "durationMs")));
    let row = |line: &Line| {
        json!({
            "time": line.text("time"), "requestid": line.text("requestId"),
            "duration_ms": line.recorded("/metrics/durationMs"),
            "init_duration_ms": line.recorded("/metrics/initDurationMs"),
            "memory_used_mb": line.recorded("/metrics/maxMemoryUsedMB"),
        })
    };
    reports.into_iter().take(20).map(row).collect()
}

fn metric(line: &Line, name: &str) -> f64 {
    line.recorded(&format!("/metrics/{name}")).and_then(Value::as_f64).unwrap()
}

fn invocations(lines: &[Line]) -> Vec<Value> {
    let mut hours: BTreeMap<(&str, &str, &str), Vec<&Line>> = BTreeMap::new();
    for line in of(lines, "platform.report") {
        hours.entry((&line.function, &line.dt, &line.hour)).or_default().push(line);
    }
    let row = |((function, dt, hour), lines): ((&str, &str, &str), Vec<&Line>)| {
        let cold = lines.iter().filter(|line| line.recorded("/metrics/initDurationMs").is_some()).count();
        let durations: Vec<f64> = lines.iter().map(|line| metric(line, "durationMs")).collect();
        let count = u32::try_from(lines.len()).unwrap();
        json!({
            "function": function, "dt": dt, "hour": hour.parse::<u8>().unwrap(),
            "invocations": count, "cold_starts": cold,
            "duration_ms_avg": (durations.iter().sum::<f64>() / f64::from(count) * 1_000.0).round() / 1_000.0,
            "duration_ms_max": durations.iter().copied().fold(0.0, f64::max),
            "billed_ms": lines.iter().map(|line| metric(line, "billedDurationMs")).sum::<f64>(),
        })
    };
    hours.into_iter().map(row).collect()
}

fn lost_ranges(lines: &[Line]) -> Vec<Value> {
    let mut ranges: Vec<_> = of(lines, "logspool.dropped").collect();
    ranges.sort_by_key(|line| (&line.spool, line.seq()));
    let row = |line: &Line| {
        let member = |name: &str| &line.members[name];
        json!({
            "spool_id": line.spool, "first_seq": line.seq(), "last_seq": member("last"), "records": member("records"),
            "bytes": member("bytes"), "cause": member("cause"),
            "maybe_delivered": line.members.contains_key("maybeDelivered"),
        })
    };
    ranges.into_iter().map(row).collect()
}

fn losses_by_life(lines: &[Line]) -> Vec<Value> {
    let mut ends: BTreeMap<&str, &Line> = BTreeMap::new();
    for line in of(lines, "logspool.end") {
        let end = ends.entry(&line.spool).or_insert(line);
        if end.seq() < line.seq() {
            *end = line;
        }
    }
    ends.retain(|_, end| end.members["losses"] != json!({}) || end.members.contains_key("unknownTail"));
    let row = |(spool, end): (&str, &Line)| {
        json!({
            "spool_id": spool, "end_seq": end.seq(), "losses": end.members["losses"],
            "dropped_by_platform": end.members["losses"].pointer("/platform/records"),
            "unknown_tail": end.members.contains_key("unknownTail"),
        })
    };
    ends.into_iter().map(row).collect()
}

/// Whether what a query has answered is what it must answer. JSON that stands in a text counts as what it says, and
/// numbers as their value.
pub fn same(answered: &Value, expected: &Value) -> bool {
    match (answered, expected) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && b.iter().all(|(name, value)| a.get(name).is_some_and(|answer| same(answer, value)))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(text), Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_)) => {
            serde_json::from_str::<Value>(text).is_ok_and(|answer| answer == *expected)
        }
        _ => answered == expected,
    }
}
