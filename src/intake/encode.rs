//! From a body to the lines of one entry: pure, with the time passed in. Encoding the same body again, under another first
//! number, gives the same lines but for that number.

use spool::Seqno;

use super::attribution::{Attribution, Attributor};
use super::line;
use crate::runtime_api::event::{RequestId, StreamTypes};
use crate::telemetry::body::{Piece, pieces};
use crate::telemetry::event::{EventKind, RawEvent, RecordFacts, time_ms};
use crate::telemetry::severity::is_error;

/// Something in the telemetry that decisions are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Init is over for the platform.
    InitReport,
    /// An invocation has begun.
    Start {
        /// The invocation.
        request_id: RequestId,
        /// When, by the event's own time.
        at_ms: Option<i64>,
    },
    /// The function has logged an error on behalf of an invocation. Told once for a run of such records.
    ErrorLogged(RequestId),
    /// The function has finished.
    RuntimeDone {
        /// The invocation.
        request_id: RequestId,
        /// Its status is not `success`.
        failed: bool,
        /// When, by the event's own time.
        at_ms: Option<i64>,
    },
    /// The invocation is over for the platform.
    Report(RequestId),
    /// A body was stored: the segment has grown.
    Stored,
    /// Telemetry was lost on its way, perhaps an event that somebody waits for.
    Lost,
}

/// What a body came to.
#[derive(Debug)]
pub(super) struct Encoded {
    pub records: u32,
    pub first_line_ms: Option<i64>,
    pub attributor: Attributor,
    pub tenant: Option<String>,
    pub observed: Vec<Observed>,
    /// Records and bytes that the platform declared as dropped.
    pub platform_drops: (u64, u64),
}

/// What encoding needs beside the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub types: StreamTypes,
    pub attributor: &'a Attributor,
    pub first_seq: Seqno,
    pub now_ms: i64,
}

/// Appends the lines of a body to `lines`.
pub(super) fn encode(context: Context<'_>, body: &[u8], cut_bytes: u64, lines: &mut Vec<u8>) -> Encoded {
    let mut encoder = Encoder {
        context,
        lines,
        encoded: Encoded {
            records: 0,
            first_line_ms: None,
            attributor: context.attributor.clone(),
            tenant: None,
            observed: Vec::new(),
            platform_drops: (0, 0),
        },
    };
    for piece in pieces(body) {
        encoder.piece(piece);
    }
    if cut_bytes > 0 {
        encoder.truncated(cut_bytes);
    }
    encoder.encoded
}

struct Encoder<'a> {
    context: Context<'a>,
    lines: &'a mut Vec<u8>,
    encoded: Encoded,
}

impl Encoder<'_> {
    fn piece(&mut self, piece: Piece<'_>) {
        let (Piece::Element(bytes) | Piece::Rest(bytes)) = piece;
        let event = match piece {
            Piece::Element(element) => RawEvent::parse(element),
            Piece::Rest(_) => None,
        };
        match event {
            Some(event) => self.event(&event),
            None => self.unparsed(bytes),
        }
    }

    fn event(&mut self, event: &RawEvent<'_>) {
        let kind = EventKind::of(&event.kind);
        let facts = RecordFacts::of(event.record);
        let attribution = self.encoded.attributor.observe(kind, &facts);
        let at_ms = event.time.and_then(time_ms);
        self.observe(kind, &facts, at_ms);
        if kind == EventKind::Function && is_error(event.record, facts.level.as_deref()) {
            self.error_logged(&attribution);
        }
        if self.is_shipped(kind) {
            let seq = self.next_seq();
            line::event(self.lines, event, seq, &attribution, self.context.now_ms);
            self.counted(at_ms);
        }
    }

    fn observe(&mut self, kind: EventKind, facts: &RecordFacts<'_>, at_ms: Option<i64>) {
        let request_id = || facts.request_id.as_deref().map(|id| RequestId(id.to_owned()));
        let observed = match kind {
            EventKind::Start => {
                self.encoded.tenant = facts.tenant_id.as_deref().map(str::to_owned);
                request_id().map(|request_id| Observed::Start { request_id, at_ms })
            }
            EventKind::RuntimeDone => {
                let failed = facts.status.as_deref().is_some_and(|status| status != "success");
                request_id().map(|request_id| Observed::RuntimeDone { request_id, failed, at_ms })
            }
            EventKind::InitReport => Some(Observed::InitReport),
            EventKind::Report => request_id().map(Observed::Report),
            EventKind::LogsDropped => {
                let drops = &mut self.encoded.platform_drops;
                drops.0 = drops.0.saturating_add(facts.dropped_records.unwrap_or(0));
                drops.1 = drops.1.saturating_add(facts.dropped_bytes.unwrap_or(0));
                Some(Observed::Lost)
            }
            _ => None,
        };
        self.encoded.observed.extend(observed);
    }

    fn error_logged(&mut self, attribution: &Attribution) {
        let Attribution::Invocation(request_id) = attribution else { return };
        let observed = Observed::ErrorLogged(request_id.clone());
        if self.encoded.observed.last() != Some(&observed) {
            self.encoded.observed.push(observed);
        }
    }

    /// What the platform lost is shipped whatever was asked for: it is the only evidence. So is what nobody knows.
    fn is_shipped(&self, kind: EventKind) -> bool {
        let types = self.context.types;
        match kind {
            EventKind::Function => types.function,
            EventKind::Extension => types.extension,
            EventKind::LogsDropped | EventKind::Unknown => true,
            _ => types.platform,
        }
    }

    fn unparsed(&mut self, bytes: &[u8]) {
        let seq = self.next_seq();
        line::unparsed(self.lines, bytes, seq, self.encoded.attributor.in_force(), self.context.now_ms);
        self.counted(None);
        // It may have been the event that somebody waits for.
        self.encoded.observed.push(Observed::Lost);
    }

    fn truncated(&mut self, cut_bytes: u64) {
        let seq = self.next_seq();
        line::truncated(self.lines, cut_bytes, seq, self.encoded.attributor.in_force(), self.context.now_ms);
        self.counted(None);
    }

    fn next_seq(&self) -> u64 {
        self.context.first_seq.plus(u64::from(self.encoded.records)).0
    }

    fn counted(&mut self, line_ms: Option<i64>) {
        if self.encoded.records == 0 {
            self.encoded.first_line_ms = line_ms;
        }
        self.encoded.records += 1;
    }
}

/// The attribution in force after a body, as it stands in the meta of its entry.
pub(super) fn in_force(attributor: &Attributor) -> Option<String> {
    Attribution::as_str(attributor.in_force()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: StreamTypes = StreamTypes { platform: true, function: true, extension: true };
    const FUNCTION_ONLY: StreamTypes = StreamTypes { platform: false, function: true, extension: false };

    fn encoded(types: StreamTypes, body: &str) -> (Encoded, Vec<serde_json::Value>) {
        let attributor = Attributor::new(Attribution::Unattributed);
        let context = Context { types, attributor: &attributor, first_seq: Seqno(10), now_ms: 0 };
        let mut lines = Vec::new();
        let encoded = encode(context, body.as_bytes(), 0, &mut lines);
        let lines: Vec<_> = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("every line is JSON"))
            .collect();
        assert_eq!(lines.len(), usize::try_from(encoded.records).expect("small"));
        (encoded, lines)
    }

    const INVOCATION: &str = r#"[
        {"time":"2022-10-12T00:00:00.000Z","type":"platform.start","record":{"requestId":"a"}},
        {"time":"2022-10-12T00:00:00.001Z","type":"function","record":"hello"},
        {"time":"2022-10-12T00:00:00.002Z","type":"platform.runtimeDone","record":{"requestId":"a","status":"timeout"}},
        {"time":"2022-10-12T00:00:00.003Z","type":"platform.logsDropped","record":{"droppedRecords":3,"droppedBytes":99,"reason":"slow"}}
    ]"#;

    #[test]
    fn lines_are_numbered_without_gaps_and_attributed_in_order() {
        let (encoded, lines) = encoded(ALL, INVOCATION);
        let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64()).collect();
        assert_eq!(seqs, [Some(10), Some(11), Some(12), Some(13)]);
        assert!(lines.iter().all(|line| line["requestId"] == "a"));
        assert_eq!(encoded.first_line_ms, Some(1_665_532_800_000));
        assert_eq!(encoded.platform_drops, (3, 99));
        let id = || RequestId("a".into());
        assert_eq!(
            encoded.observed,
            [
                Observed::Start { request_id: id(), at_ms: Some(1_665_532_800_000) },
                Observed::RuntimeDone { request_id: id(), failed: true, at_ms: Some(1_665_532_800_002) },
                Observed::Lost
            ]
        );
    }

    #[test]
    fn errors_that_the_function_logs_are_told_once_for_each_invocation() {
        let function = |record: &str| format!(r#"{{"type":"function","record":{record}}}"#);
        let start = r#"{"type":"platform.start","record":{"requestId":"a"}}"#.to_owned();
        let extension = r#"{"type":"extension","record":"[ERROR] not the function's"}"#.to_owned();
        let of_another = function(r#"{"level":"ERROR","requestId":"b"}"#);
        let (error, info) = (function(r#""[ERROR] x""#), function(r#""[INFO] x""#));
        let events = [&error, &start, &info, &error, &error, &info, &error, &extension, &of_another];
        let body = format!("[{}]", events.map(String::as_str).join(","));
        let (encoded, _) = encoded(FUNCTION_ONLY, &body);
        let logged = |id: &str| Observed::ErrorLogged(RequestId(id.into()));
        let start = Observed::Start { request_id: RequestId("a".into()), at_ms: None };
        assert_eq!(encoded.observed, [start, logged("a"), logged("b")], "the first one belongs to no invocation");
    }

    #[test]
    fn what_is_not_shipped_takes_no_number_and_is_observed_all_the_same() {
        let (encoded, lines) = encoded(FUNCTION_ONLY, INVOCATION);
        let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().expect("a type")).collect();
        assert_eq!(types, ["function", "platform.logsDropped"]);
        assert_eq!(lines[0]["requestId"], "a");
        assert_eq!(encoded.observed.len(), 3);
    }

    #[test]
    fn bad_input_becomes_lines() {
        for (body, kinds) in [
            ("", vec![]),
            ("[]", vec![]),
            ("hello", vec!["logspool.unparsed"]),
            (r#"{"type":"function"}"#, vec!["logspool.unparsed"]),
            (
                r#"[{"type":"function","record":"x"},{"type":},{"type":"a.b"}]"#,
                vec!["function", "logspool.unparsed", "a.b"],
            ),
            (
                r#"[{"type":"function","record":"x"},{"type":"function","record":"cut}]"#,
                vec!["function", "logspool.unparsed"],
            ),
        ] {
            let (_, lines) = encoded(ALL, body);
            let seen: Vec<_> = lines.iter().map(|line| line["type"].as_str().expect("a type")).collect();
            assert_eq!(seen, kinds, "{body}");
        }
    }

    #[test]
    fn another_first_number_changes_nothing_else() {
        let attributor = Attributor::new(Attribution::Init);
        let lines = |first_seq| {
            let mut lines = Vec::new();
            let context = Context { types: ALL, attributor: &attributor, first_seq: Seqno(first_seq), now_ms: 5 };
            encode(context, INVOCATION.as_bytes(), 7, &mut lines);
            String::from_utf8(lines).expect("UTF-8")
        };
        let moved = lines(20).replace("\"seq\":20", "\"seq\":30").replace("\"seq\":21", "\"seq\":31");
        let moved = moved
            .replace("\"seq\":22", "\"seq\":32")
            .replace("\"seq\":23", "\"seq\":33")
            .replace("\"seq\":24", "\"seq\":34");
        assert_eq!(moved, lines(30));
    }
}
