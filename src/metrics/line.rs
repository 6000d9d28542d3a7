//! A report as a line of CloudWatch's embedded metric format.
//!
//! Its rules (Amazon CloudWatch User Guide, "Specification: Embedded metric format"): one JSON object and nothing else; at most 100 metrics
//! in a directive; a dimension is a member whose value is a string of at most 1,024 characters, ASCII without control characters and not
//! blank; an event of CloudWatch Logs has at most 256 KB.

use std::collections::BTreeMap;

use serde::Serialize;

use super::NAMESPACE;
use super::teller::Report;

/// No line is longer, in bytes. All metrics that there are take less, and a write of so many into a pipe is one piece.
pub const LINE_BYTES_MAX: usize = 4096;
/// The longest name of a function is 64 characters (Lambda API reference, `CreateFunction`), and its version is a number.
const NAME_CHARS_MAX: usize = 256;
/// The dimension, of which each value makes metrics of its own: what differs between environments or versions is none.
const DIMENSION: &str = "function";

/// What a line says of the process.
#[derive(Debug, Clone)]
pub struct Facts {
    function: String,
    version: String,
}

impl Facts {
    /// The function, and its version: a member to search by, and no dimension.
    pub fn new(function: &str, version: &str) -> Self {
        Self { function: name(function), version: name(version) }
    }
}

/// A name as a dimension may have it.
fn name(text: &str) -> String {
    let printable = |char: char| if char.is_ascii_graphic() { char } else { '_' };
    let name: String = text.chars().take(NAME_CHARS_MAX).map(printable).collect();
    if name.is_empty() { "unknown".into() } else { name }
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    function: &'a str,
    version: &'a str,
    #[serde(flatten)]
    values: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

/// The line, without its end.
pub(super) fn of(facts: &Facts, report: &Report, now_ms: i64) -> String {
    let moved = report.moved.iter().map(|(counter, by)| (counter.name, counter.unit, *by));
    let gauges = report.gauges.iter().map(|gauge| (gauge.name, gauge.unit, gauge.value));
    let told: Vec<_> = moved.chain(gauges).collect();
    let metrics = told.iter().map(|(name, unit, _)| Definition { name, unit: unit.name() }).collect();
    let line = Line {
        aws: Metadata {
            timestamp: now_ms,
            cloud_watch_metrics: [Directive { namespace: NAMESPACE, dimensions: [[DIMENSION]], metrics }],
        },
        function: &facts.function,
        version: &facts.version,
        values: told.iter().map(|(name, _, value)| (*name, *value)).collect(),
    };
    serde_json::to_string(&line).expect("texts and numbers are JSON")
}
