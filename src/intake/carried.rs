//! What the platform tells of a request when it starts, and every line of the request carries.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;

use crate::telemetry::event::{EventKind, RecordFacts};
use crate::telemetry::json::Json;

/// Longer ids are none: those of X-Ray have 35 characters, and the id stands in every line.
const TRACE_ID_BYTES_MAX: usize = 128;
/// Longer ones are none: Lambda's have at most 256 characters.
const TENANT_BYTES_MAX: usize = 256;

/// What is carried for the request in force. A copy is cheap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried(Option<Arc<Request>>);

/// What was told of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    id: String,
    /// Its trace, if that is asked for.
    pub trace_id: Option<String>,
    /// The tenant that it is for.
    pub tenant_id: Option<String>,
}

impl Carried {
    /// Takes the next event. The trace is looked for if `names_trace`.
    pub fn observe(&mut self, kind: EventKind, facts: &RecordFacts<'_>, record: Option<Json<'_>>, names_trace: bool) {
        match (kind, facts.request_id.as_deref()) {
            (EventKind::Start, Some(id)) => {
                let trace_id = record.filter(|_| names_trace).and_then(trace_id);
                let tenant_id = facts.tenant_id.as_deref().filter(|id| id.len() <= TENANT_BYTES_MAX).map(str::to_owned);
                let is_told = trace_id.is_some() || tenant_id.is_some();
                self.0 = is_told.then(|| Arc::new(Request { id: id.to_owned(), trace_id, tenant_id }));
            }
            (EventKind::InitStart, _) => self.0 = None,
            _ => {}
        }
    }

    /// What a line of that request carries.
    pub fn of(&self, request_id: Option<&str>) -> Option<&Request> {
        self.0.as_deref().filter(|told| Some(told.id.as_str()) == request_id)
    }
}

/// `Root` of an X-Ray header: `Root=1-5f35ae12-…;Parent=…;Sampled=1`.
fn trace_id(record: Json<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Start<'a> {
        #[serde(borrow)]
        tracing: Tracing<'a>,
    }
    #[derive(Deserialize)]
    struct Tracing<'a> {
        #[serde(borrow)]
        value: Cow<'a, str>,
    }
    let start: Start<'_> = serde_json::from_str(record.get()).ok()?;
    let root = start.tracing.value.split(';').find_map(|part| part.trim().strip_prefix("Root="))?;
    (1..=TRACE_ID_BYTES_MAX).contains(&root.len()).then(|| root.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe(carried: &mut Carried, kind: EventKind, record: &str, names_trace: bool) {
        let record = serde_json::from_str(record).ok();
        carried.observe(kind, &RecordFacts::of(record), record, names_trace);
    }

    const START: &str = r#"{"requestId":"a","tenantId":"blue","tracing":{"spanId":"s","type":"X-Amzn-Trace-Id",
        "value":"Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1"}}"#;

    #[test]
    fn a_request_carries_what_its_start_has_told_until_another_one_starts() {
        let mut carried = Carried::default();
        observe(&mut carried, EventKind::Start, START, true);
        let of_a = carried.of(Some("a")).expect("told");
        assert_eq!(of_a.trace_id.as_deref(), Some("1-6352a70e-1e2c502e358361800241fd45"));
        assert_eq!(of_a.tenant_id.as_deref(), Some("blue"));
        assert_eq!((carried.of(Some("b")), carried.of(None)), (None, None), "others carry nothing of it");
        observe(&mut carried, EventKind::RuntimeDone, r#"{"requestId":"a"}"#, true);
        assert!(carried.of(Some("a")).is_some());
        for (kind, record) in [(EventKind::Start, r#"{"requestId":"b"}"#), (EventKind::InitStart, "{}")] {
            let mut carried = carried.clone();
            observe(&mut carried, kind, record, true);
            assert_eq!(carried, Carried::default(), "{kind:?}");
        }
    }

    #[test]
    fn a_trace_that_nobody_asks_for_is_not_read() {
        let mut carried = Carried::default();
        observe(&mut carried, EventKind::Start, START, false);
        assert_eq!(carried.of(Some("a")).and_then(|told| told.trace_id.as_deref()), None);
    }

    #[test]
    fn odd_traces_are_none() {
        let long = format!(r#""Root={}""#, "x".repeat(TRACE_ID_BYTES_MAX + 1));
        for value in ["7", r#""""#, r#""Root=""#, r#""Parent=1;Sampled=1""#, &long] {
            let mut carried = Carried::default();
            let start = format!(r#"{{"requestId":"a","tracing":{{"value":{value}}}}}"#);
            observe(&mut carried, EventKind::Start, &start, true);
            assert_eq!(carried, Carried::default(), "{value}");
        }
    }
}
