//! What the platform tells of a request when it starts, and every line of the request carries.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;

use super::attribution::CONCURRENCY_MAX;
use crate::telemetry::event::{EventKind, RecordFacts};
use crate::telemetry::json::Json;

/// Longer ids are none: those of X-Ray have 35 characters, and the id stands in every line.
const TRACE_ID_BYTES_MAX: usize = 128;
/// Longer ones are none: Lambda's have at most 256 characters.
const TENANT_BYTES_MAX: usize = 256;

/// Requests of which something is carried where many run at a time: each costs some hundred bytes. Beyond that those that have
/// ended give way, then the oldest.
const REQUESTS_MAX: usize = CONCURRENCY_MAX;

/// What is carried for the request in force, or for those that run. A copy is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    requests_max: usize,
    /// Those that have ended, and then the others, each in their order. `None` if there are none: most functions have none,
    /// and this is made for every body.
    requests: Option<Arc<VecDeque<Arc<Request>>>>,
    /// How many have ended. Late records still carry what they told.
    ended: usize,
}

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
    /// One request is in force at a time.
    pub fn of_one() -> Self {
        Self { requests_max: 1, requests: None, ended: 0 }
    }

    /// Many requests run at a time.
    pub fn of_many() -> Self {
        Self { requests_max: REQUESTS_MAX, ..Self::of_one() }
    }

    /// Takes the next event. The trace is looked for if `names_trace`.
    pub fn observe(&mut self, kind: EventKind, facts: &RecordFacts<'_>, record: Option<Json<'_>>, names_trace: bool) {
        match (kind, facts.request_id.as_deref()) {
            (EventKind::Start, Some(id)) => {
                let trace_id = record.filter(|_| names_trace).and_then(trace_id);
                let tenant_id = facts.tenant_id.as_deref().filter(|id| id.len() <= TENANT_BYTES_MAX).map(str::to_owned);
                let is_told = trace_id.is_some() || tenant_id.is_some();
                self.start(id, is_told.then(|| Request { id: id.to_owned(), trace_id, tenant_id }));
            }
            (EventKind::Report, Some(id)) => self.end(id),
            (EventKind::InitStart, _) => *self = Self { requests_max: self.requests_max, ..Self::of_one() },
            _ => {}
        }
    }

    fn start(&mut self, id: &str, request: Option<Request>) {
        if self.requests.is_none() && request.is_none() {
            return;
        }
        // A second attempt has the id of the first.
        let first = self.place(id);
        let requests = Arc::make_mut(self.requests.get_or_insert_default());
        if let Some(at) = first {
            requests.remove(at);
            self.ended -= usize::from(at < self.ended);
        }
        while requests.len() >= self.requests_max {
            requests.pop_front();
            self.ended = self.ended.saturating_sub(1);
        }
        requests.extend(request.map(Arc::new));
        self.requests.take_if(|requests| requests.is_empty());
    }

    fn end(&mut self, id: &str) {
        if self.requests_max == 1 {
            return;
        }
        let at = self.place(id).filter(|at| *at >= self.ended);
        if let Some((at, requests)) = at.zip(self.requests.as_mut()) {
            let requests = Arc::make_mut(requests);
            requests.remove(at).into_iter().for_each(|request| requests.insert(self.ended, request));
            self.ended += 1;
        }
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.requests.as_ref()?.iter().rposition(|request| request.id == id)
    }

    /// What a line of that request carries.
    pub fn of(&self, request_id: Option<&str>) -> Option<&Request> {
        let at = self.place(request_id?)?;
        self.requests.as_ref()?.get(at).map(AsRef::as_ref)
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
        let mut carried = Carried::of_one();
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
            assert_eq!(carried, Carried::of_one(), "{kind:?}");
        }
    }

    #[test]
    fn where_many_run_each_carries_its_own() {
        let start = |id: &str| format!(r#"{{"requestId":"{id}","tenantId":"of {id}"}}"#);
        let mut carried = Carried::of_many();
        let tenant = |carried: &Carried, id: &str| carried.of(Some(id)).and_then(|told| told.tenant_id.clone());
        for id in ["a", "b", "c"] {
            observe(&mut carried, EventKind::Start, &start(id), false);
        }
        observe(&mut carried, EventKind::Report, r#"{"requestId":"b"}"#, false);
        for id in ["a", "b", "c"] {
            assert_eq!(tenant(&carried, id), Some(format!("of {id}")), "late records too");
        }
        observe(&mut carried, EventKind::Start, r#"{"requestId":"a"}"#, false);
        assert_eq!(tenant(&carried, "a"), None, "the second attempt has told nothing");
        observe(&mut carried, EventKind::InitStart, "{}", false);
        assert_eq!(carried, Carried::of_many());
    }

    #[test]
    fn what_has_ended_gives_way_first_then_the_oldest() {
        let mut carried = Carried::of_many();
        let start = |carried: &mut Carried, number: usize| {
            let record = format!(r#"{{"requestId":"{number}","tenantId":"t"}}"#);
            observe(carried, EventKind::Start, &record, false);
        };
        (0..REQUESTS_MAX).for_each(|number| start(&mut carried, number));
        for ended in ["7", "3", "7", "unknown"] {
            observe(&mut carried, EventKind::Report, &format!(r#"{{"requestId":"{ended}"}}"#), false);
        }
        for gone in ["7", "3", "0", "1"] {
            assert!(carried.of(Some(gone)).is_some(), "{gone}");
            start(&mut carried, 10_000 + gone.parse::<usize>().expect("a number"));
            assert!(carried.of(Some(gone)).is_none(), "{gone}");
            assert_eq!(carried.requests.as_ref().map(|requests| requests.len()), Some(REQUESTS_MAX));
        }
        // One that has ended may begin once more.
        observe(&mut carried, EventKind::Report, r#"{"requestId":"9"}"#, false);
        start(&mut carried, 9);
        assert_eq!((carried.ended, carried.place("9")), (0, Some(REQUESTS_MAX - 1)));
    }

    #[test]
    fn a_trace_that_nobody_asks_for_is_not_read() {
        let mut carried = Carried::of_one();
        observe(&mut carried, EventKind::Start, START, false);
        assert_eq!(carried.of(Some("a")).and_then(|told| told.trace_id.as_deref()), None);
    }

    #[test]
    fn odd_traces_are_none() {
        let long = format!(r#""Root={}""#, "x".repeat(TRACE_ID_BYTES_MAX + 1));
        for value in ["7", r#""""#, r#""Root=""#, r#""Parent=1;Sampled=1""#, &long] {
            let mut carried = Carried::of_one();
            let start = format!(r#"{{"requestId":"a","tracing":{{"value":{value}}}}}"#);
            observe(&mut carried, EventKind::Start, &start, true);
            assert_eq!(carried, Carried::of_one(), "{value}");
        }
    }
}
