//! What is known of one invocation: the members of its line.

use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

use super::cut;
use super::exception::Exception;
use crate::telemetry::json::Json;

/// Longest status and error type, in bytes: those of the platform have some dozens.
const WORD_BYTES_MAX: usize = 256;
/// Longest trace header, in bytes: X-Ray's have about a hundred, and a caller may add to it.
const TRACING_BYTES_MAX: usize = 512;
/// Spans that are kept: the platform has four kinds.
const SPANS_MAX: usize = 16;
const SPAN_NAME_BYTES_MAX: usize = 64;

/// One invocation, in the names of the platform's own events. What is not known is not there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    /// Its `platform.start` was seen.
    #[serde(skip)]
    pub started: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cold_start: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billed_duration_ms: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_duration_ms: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_duration_ms: Option<Number>,
    /// `durationMs` of `platform.runtimeDone`: without what extensions took.
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_duration_ms: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    produced_bytes: Option<Number>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "by_name")]
    spans: Vec<Span>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "memorySizeMB")]
    memory_size_mb: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "maxMemoryUsedMB")]
    max_memory_used_mb: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<Exception>,
    /// Something is missing: its begin or its end was not seen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Span {
    name: Box<str>,
    duration_ms: Number,
}

impl Invocation {
    /// Takes the record of its `platform.start`.
    pub fn start(&mut self, record: &Value, cold_start: Option<bool>, counts_lines: bool) {
        self.started = true;
        self.cold_start = cold_start;
        (self.lines, self.bytes) = if counts_lines { (Some(0), Some(0)) } else { (None, None) };
        self.trace(record);
    }

    /// Takes the record of its `platform.runtimeDone`.
    pub fn runtime_done(&mut self, record: &Value) {
        self.ended(record);
        let metrics = &record["metrics"];
        self.runtime_duration_ms = number(metrics, "durationMs");
        self.produced_bytes = number(metrics, "producedBytes");
    }

    /// Takes the record of its `platform.report`.
    pub fn report(&mut self, record: &Value) {
        self.ended(record);
        let metrics = &record["metrics"];
        self.duration_ms = number(metrics, "durationMs");
        self.billed_duration_ms = number(metrics, "billedDurationMs");
        self.init_duration_ms = number(metrics, "initDurationMs");
        self.restore_duration_ms = number(metrics, "restoreDurationMs");
        self.memory_size_mb = number(metrics, "memorySizeMB");
        self.max_memory_used_mb = number(metrics, "maxMemoryUsedMB");
        if self.init_duration_ms.is_some() || self.restore_duration_ms.is_some() {
            self.cold_start = Some(true);
        }
    }

    /// Takes a record that the function has logged, and what may be quoted of it.
    pub fn logged(&mut self, record: Option<Json<'_>>, quotable: Option<Json<'_>>, level: Option<&str>) {
        if let (Some(lines), Some(bytes)) = (&mut self.lines, &mut self.bytes) {
            *lines += 1;
            *bytes += record.map_or(0, length);
        }
        // The last one: what ends an invocation is logged after what was caught.
        if let Some(exception) = quotable.and_then(|record| Exception::of(record, level)) {
            self.exception = Some(exception);
        }
    }

    /// What `platform.runtimeDone` and `platform.report` both tell. The report comes last and knows more.
    fn ended(&mut self, record: &Value) {
        self.trace(record);
        self.status = word(record, "status", WORD_BYTES_MAX).or(self.status.take());
        self.error_type = word(record, "errorType", WORD_BYTES_MAX).or(self.error_type.take());
        for span in record["spans"].as_array().into_iter().flatten().filter_map(Span::read) {
            match self.spans.iter().position(|known| known.name == span.name) {
                Some(at) => self.spans[at] = span,
                None if self.spans.len() < SPANS_MAX => self.spans.push(span),
                None => {}
            }
        }
    }

    fn trace(&mut self, record: &Value) {
        if self.tracing.is_none() {
            self.tracing = word(&record["tracing"], "value", TRACING_BYTES_MAX);
        }
    }
}

impl Span {
    fn read(span: &Value) -> Option<Self> {
        Some(Self { name: word(span, "name", SPAN_NAME_BYTES_MAX)?, duration_ms: number(span, "durationMs")? })
    }
}

/// Bytes of a record as it was received, a text without its quotes.
fn length(record: Json<'_>) -> u64 {
    let json = record.get();
    let quotes = if json.starts_with('"') { 2 } else { 0 };
    (json.len() - quotes) as u64
}

fn word(record: &Value, name: &str, bytes_max: usize) -> Option<Box<str>> {
    record[name].as_str().map(|text| cut(text, bytes_max).into())
}

fn number(record: &Value, name: &str) -> Option<Number> {
    record[name].as_number().cloned()
}

fn by_name<S: Serializer>(spans: &[Span], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(spans.iter().map(|span| (&span.name, &span.duration_ms)))
}
