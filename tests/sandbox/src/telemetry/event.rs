//! The records of platform events, one struct each, fields in the order of AWS's schema reference, and the shape of
//! lines.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;

use super::subscription::SchemaVersion;
use super::wire;
use crate::ledger::Category;

/// Log format of the function, as in its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// A line is a string.
    #[default]
    Text,
    /// A line that is a JSON object is delivered as that object, any other line wrapped into one.
    Json,
}

impl LogFormat {
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// `record` of a line of output.
pub(crate) fn line_record(line: &str, time: &str, format: LogFormat, schema: SchemaVersion) -> Box<RawValue> {
    if format == LogFormat::Text || schema < SchemaVersion::V2022_12_13 {
        return wire::to_raw(&line);
    }
    if line.trim_start().starts_with('{')
        && let Ok(object) = RawValue::from_string(line.trim().to_owned())
    {
        return object;
    }
    wire::to_raw(&WrappedLine { timestamp: time, level: "INFO", message: line })
}

#[derive(Serialize)]
struct WrappedLine<'a> {
    timestamp: &'a str,
    level: &'a str,
    message: &'a str,
}

/// Milliseconds with microsecond precision, as the platform writes durations.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Which part of the environment's life an Init belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InitPhase {
    /// The first Init of an environment.
    Init,
    /// A suppressed Init, inside an invocation that follows a reset.
    Invoke,
}

/// `status` of the events that end something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The runtime did its part; a handler that reported an error counts as success.
    Success,
    /// A crash, or an error with a type.
    Error,
    /// The function's timeout.
    Timeout,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitStart<'a> {
    pub(crate) initialization_type: &'a str,
    pub(crate) phase: InitPhase,
    pub(crate) runtime_version: &'a str,
    pub(crate) runtime_version_arn: &'a str,
    pub(crate) function_name: &'a str,
    pub(crate) function_version: &'a str,
    pub(crate) instance_id: &'a str,
    pub(crate) instance_max_memory: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitRuntimeDone<'a> {
    pub(crate) initialization_type: &'a str,
    pub(crate) phase: InitPhase,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InitReport<'a> {
    pub(crate) initialization_type: &'a str,
    pub(crate) status: Status,
    pub(crate) phase: InitPhase,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
    pub(crate) metrics: DurationMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DurationMetrics {
    pub(crate) duration_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExtensionInit<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: &'static str,
    pub(crate) events: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
}

#[derive(Serialize)]
pub(crate) struct TelemetrySubscription<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: &'static str,
    pub(crate) types: &'a [Category],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogsDropped {
    pub(crate) dropped_bytes: usize,
    pub(crate) dropped_records: usize,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tracing {
    pub(crate) span_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Start<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) version: &'a str,
    pub(crate) tracing: &'a Tracing,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) start: String,
    pub(crate) duration_ms: f64,
}

impl Span {
    pub(crate) fn new(name: &'static str, start: SystemTime, duration: Duration) -> Self {
        Self { name, start: wire::timestamp(start), duration_ms: milliseconds(duration) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuntimeDone<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
    pub(crate) tracing: &'a Tracing,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) spans: Vec<Span>,
    pub(crate) metrics: RuntimeDoneMetrics,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuntimeDoneMetrics {
    pub(crate) duration_ms: f64,
    pub(crate) produced_bytes: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
    pub(crate) metrics: ReportMetrics,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) spans: Vec<Span>,
    pub(crate) tracing: &'a Tracing,
}

/// `platform.report` of a managed instance.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManagedReport<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<&'a str>,
    pub(crate) metrics: DurationMetrics,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) spans: Vec<Span>,
    pub(crate) tracing: &'a Tracing,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportMetrics {
    pub(crate) duration_ms: f64,
    pub(crate) billed_duration_ms: u128,
    #[serde(rename = "memorySizeMB")]
    pub(crate) memory_size_mb: u32,
    #[serde(rename = "maxMemoryUsedMB")]
    pub(crate) max_memory_used_mb: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init_duration_ms: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_shape_that_format_and_schema_ask_for() {
        const TIME: &str = "2026-01-01T00:00:00.000Z";
        const OLD: SchemaVersion = SchemaVersion::V2022_07_01;
        const NEW: SchemaVersion = SchemaVersion::V2022_12_13;
        let object = r#"{"b":1e2, "a":"<x>"}"#;
        let object_as_string = r#""{\"b\":1e2, \"a\":\"\u003cx\u003e\"}""#;
        let wrapped = r#"{"timestamp":"2026-01-01T00:00:00.000Z","level":"INFO","message":"[1]"}"#;
        let cases = [
            ("plain", LogFormat::Text, NEW, r#""plain""#),
            (object, LogFormat::Text, NEW, object_as_string),
            (object, LogFormat::Json, OLD, object_as_string),
            (object, LogFormat::Json, NEW, object),
            ("[1]", LogFormat::Json, NEW, wrapped),
            ("{broken", LogFormat::Json, NEW, &wrapped.replace("[1]", "{broken")),
        ];
        for (line, format, schema, expected) in cases {
            assert_eq!(line_record(line, TIME, format, schema).get(), expected, "{line} {format:?} {schema:?}");
        }
    }
}
