use spool::Seqno;

use super::*;
use crate::fuzzing::Redaction;
use crate::intake::attribution::{Attribution, Attributor};
use crate::intake::encode::{Context, Encoded, Observed, encode};
use crate::intake::line::LineStyle;
use crate::intake::summary::Summaries;
use crate::runtime_api::event::{RequestId, StreamTypes};

fn patterns(texts: &[&str]) -> Patterns {
    let (patterns, refused) = Patterns::compile(texts.iter().copied());
    assert_eq!(refused, []);
    patterns
}

fn read(json: &str) -> Json<'_> {
    serde_json::from_str(json).expect("JSON")
}

fn excluded_of(filter: &Filter, kind: EventKind, record: &str, attribution: &Attribution) -> Option<Exclusion> {
    let record = Some(read(record));
    filter.excludes(kind, record, &RecordFacts::of(record), attribution.owner(), &mut Scratch::new())
}

/// The fate of a record of the function in the start of the environment.
fn excluded(filter: &Filter, record: &str) -> Option<Exclusion> {
    excluded_of(filter, EventKind::Function, record, &Attribution::Init)
}

fn invocation(id: &str) -> Attribution {
    Attribution::Invocation(RequestId(id.into()))
}

const REQUEST: &str = "79b4f56e-95b1-4643-9700-2807f4e68189";

#[test]
fn records_below_the_level_are_kept_out_and_those_without_one_pass() {
    let filter = Filter { level: Some(Level::Warn), ..Filter::default() };
    for record in [
        r#""[INFO] a\nb""#,
        r#""2026-01-10T10:00:03.004Z\tid\tINFO\tx""#,
        r#""{\"level\":\"debug\"}""#,
        r#"{"level":"INFO","message":"ERROR"}"#,
        r#"{"log_level":"trace"}"#,
        r#"{"level":"loud","severity":"debug"}"#,
    ] {
        assert_eq!(excluded(&filter, record), Some(Exclusion::Level), "{record}");
    }
    for record in [
        r#""[WARN] a""#,
        r#""FATAL""#,
        r#"{"level":"error"}"#,
        r#"{"level":30}"#,
        r#""free text""#,
        r#""""#,
        "17",
        "null",
        r#"["INFO"]"#,
        r#""\ud800""#,
    ] {
        assert_eq!(excluded(&filter, record), None, "{record}");
    }
}

#[test]
fn patterns_are_looked_for_in_what_a_text_means_and_in_an_object_as_it_was_received() {
    let filter = Filter { drop: patterns(&["^GET /health", "\"path\": ?\"/health\"", "größe"]), ..Filter::default() };
    for record in [
        r#""GET /health 200""#,
        r#""GET \/he\u0061lth""#,
        r#"{"path":"/health","status":200}"#,
        r#"{"path": "/health"}"#,
        r#"{"größe":1}"#,
        r#""gr\u00f6\u00dfe""#,
    ] {
        assert_eq!(excluded(&filter, record), Some(Exclusion::Drop), "{record}");
    }
    for record in [r#""POST GET /health""#, r#"{"path":"\/health"}"#, r#"{"gr\u00f6\u00dfe":1}"#, "17"] {
        assert_eq!(excluded(&filter, record), None, "{record}");
    }
}

#[test]
fn of_a_sample_only_what_belongs_to_a_request_is_kept_out() {
    let none = Filter { sample: Some(Sample::new(0.0)), ..Filter::default() };
    let of = |attribution: &Attribution| excluded_of(&none, EventKind::Function, r#""x""#, attribution);
    assert_eq!(of(&invocation(REQUEST)), Some(Exclusion::Sample));
    assert_eq!(of(&Attribution::Init), None);
    assert_eq!(of(&Attribution::Unattributed), None);
    let without_record = none.excludes(
        EventKind::Function,
        None,
        &RecordFacts::default(),
        invocation(REQUEST).owner(),
        &mut Scratch::new(),
    );
    assert_eq!(without_record, Some(Exclusion::Sample));
}

#[test]
fn only_what_function_and_extensions_write_is_kept_out() {
    let filter = Filter {
        level: Some(Level::Fatal),
        drop: patterns(&["x"]),
        sample: Some(Sample::new(0.0)),
        redact: patterns(&["x"]),
        own_metrics: false,
    };
    let record = r#"{"level":"INFO","x":"x"}"#;
    for (kind, is_excluded, is_redacted) in [
        (EventKind::Function, true, true),
        (EventKind::Extension, true, true),
        (EventKind::Unknown, false, true),
        (EventKind::LogsDropped, false, false),
        (EventKind::Start, false, false),
        (EventKind::RuntimeDone, false, false),
        (EventKind::Report, false, false),
        (EventKind::InitStart, false, false),
        (EventKind::InitReport, false, false),
        (EventKind::OtherPlatform, false, false),
    ] {
        assert_eq!(excluded_of(&filter, kind, record, &invocation("a")).is_some(), is_excluded, "{kind:?}");
        let redacted = filter.redacted(kind, read(record), &mut Scratch::new());
        assert_eq!(redacted.is_some(), is_redacted, "{kind:?}");
    }
}

#[test]
fn the_first_rule_that_says_so_is_the_one_that_counts() {
    let mut filter = Filter {
        level: Some(Level::Warn),
        drop: patterns(&["INFO"]),
        sample: Some(Sample::new(0.0)),
        redact: patterns(&["INFO"]),
        own_metrics: false,
    };
    let of = |filter: &Filter| excluded_of(filter, EventKind::Function, r#""[INFO] x""#, &invocation("a"));
    assert_eq!(of(&filter), Some(Exclusion::Level));
    filter.level = None;
    assert_eq!(of(&filter), Some(Exclusion::Drop));
    filter.drop = Patterns::default();
    assert_eq!(of(&filter), Some(Exclusion::Sample));
    filter.sample = None;
    assert_eq!(of(&filter), None);
}

#[test]
fn without_a_rule_nothing_happens() {
    let (filter, record) = (Filter::default(), read(r#"{"level":"TRACE"}"#));
    assert_eq!(excluded(&filter, record.get()), None);
    assert!(filter.redacted(EventKind::Function, record, &mut Scratch::new()).is_none());
    assert!(matches!(filter.redacted_bytes(b"\xff"), Cow::Borrowed(_)));
}

#[test]
fn counts_are_told_as_fields() {
    let mut counts = FilterCounts { redacted: 7, ..FilterCounts::default() };
    counts.excluded(Exclusion::Level);
    counts.excluded(Exclusion::Drop);
    counts.excluded(Exclusion::Sample);
    counts.excluded(Exclusion::OwnMetrics);
    counts += FilterCounts { level: 11, drop: 2, sample: 4, redacted: 1, own_metrics: 6 };
    assert_eq!(counts.to_string(), "filtered=level:12,drop:3,sample:5 redacted=8 own_metrics=7");
}

/// Pieces that patterns are made of: together they span quotes and escapes, match nothing at all, and look around.
const PATTERN_PIECES: [&str; 22] = [
    "a", "b", "secret", "\\w+", "\\d", ".", ".*", "[^a]", "\"", "\\\\", "\\n", "\\b", "^", "$", "|", "(?i)s", "é",
    "😀", "\\*", "x?", "\u{fffd}", ",",
];

/// Pieces that strings are written with, escapes of every kind among them.
const STRING_PIECES: [&str; 20] = [
    "a",
    "b",
    "secret",
    "SECRET",
    " ",
    "12",
    "\\n",
    "\\\"",
    "\\\\",
    "\\u0061",
    "\\u0022",
    "\\u005c",
    "é",
    "\\u00e9",
    "😀",
    "\\ud83d\\ude00",
    "\\ud83d",
    "\\ude00",
    "\\/",
    ":",
];

fn some(rng: &mut fastrand::Rng, pieces: &[&str], most: usize) -> String {
    (0..rng.usize(0..=most)).map(|_| *rng.choice(pieces).expect("not empty")).collect()
}

fn record(rng: &mut fastrand::Rng, depth: u32) -> String {
    let space = *rng.choice(&["", " ", "\r\n"]).expect("not empty");
    match rng.u32(0..if depth == 0 { 3 } else { 5 }) {
        0 => (*rng.choice(&["1", "-1.50e3", "true", "null"]).expect("not empty")).to_owned(),
        1 | 2 => format!("\"{}\"", some(rng, &STRING_PIECES, 8)),
        3 => {
            let items: Vec<_> = (0..rng.usize(0..4)).map(|_| record(rng, depth - 1)).collect();
            format!("[{space}{}]", items.join(&format!("{space},")))
        }
        _ => {
            let member = |rng: &mut fastrand::Rng| {
                format!("\"{}\"{space}:{space}{}", some(rng, &STRING_PIECES, 3), record(rng, depth - 1))
            };
            let members: Vec<_> = (0..rng.usize(0..4)).map(|_| member(rng)).collect();
            format!("{{{}{space}}}", members.join(","))
        }
    }
}

#[test]
fn for_any_record_and_any_patterns_the_claims_of_redaction_hold() {
    let mut rng = fastrand::Rng::with_seed(20_261_124);
    for _ in 0..400 {
        let patterns: Vec<_> = (0..rng.usize(1..4)).map(|_| some(&mut rng, &PATTERN_PIECES, 4)).collect();
        let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
        let redaction = Redaction::with(&patterns);
        for _ in 0..20 {
            let record = record(&mut rng, 3);
            read(&record);
            redaction.holds_for(&record);
        }
    }
}

fn encoded(filter: &Filter, body: &str) -> (Encoded, Vec<serde_json::Value>) {
    let attributor = Attributor::new(Attribution::Unattributed);
    let summaries = Summaries::new(true);
    let context = Context {
        types: StreamTypes { platform: true, function: true, extension: true },
        attributor: &attributor,
        half: None,
        summaries: Some(&summaries),
        filter,
        style: &LineStyle::default(),
        first_seq: Seqno(7),
        now_ms: 0,
    };
    let mut lines = Vec::new();
    let encoded = encode(context, body.as_bytes(), 0, &mut lines);
    let lines = serde_json::Deserializer::from_slice(&lines).into_iter().map(|line| line.expect("JSON")).collect();
    (encoded, lines)
}

const INVOCATION: &str = r#"[
    {"time":"2022-10-12T00:00:00.000Z","type":"function","record":"[INFO] before"},
    {"time":"2022-10-12T00:00:01.000Z","type":"platform.start","record":{"requestId":"a"}},
    {"time":"2022-10-12T00:00:02.000Z","type":"function","record":"[INFO] secret"},
    {"time":"2022-10-12T00:00:03.000Z","type":"function","record":{"level":"ERROR","errorType":"E","errorMessage":"my secret","stackTrace":[]}},
    {"time":"2022-10-12T00:00:04.000Z","type":"function","record":"a secret\u0020of sec\u0072ets"},
    {"type":,"record":"secret"},
    {"time":"2022-10-12T00:00:05.000Z","type":"platform.report","record":{"requestId":"a","status":"success","metrics":{"durationMs":1}}}
]"#;

#[test]
fn what_is_kept_out_takes_no_number_and_is_observed_all_the_same() {
    let filter = Filter { level: Some(Level::Warn), drop: patterns(&["my secret"]), ..Filter::default() };
    let (encoded, lines) = encoded(&filter, INVOCATION);
    let seqs: Vec<_> = lines.iter().map(|line| line["seq"].as_u64()).collect();
    assert_eq!(seqs, (7..7 + lines.len() as u64).map(Some).collect::<Vec<_>>());
    assert_eq!(lines[0]["type"], "platform.start");
    assert_eq!(encoded.first_line_ms, Some(1_665_532_801_000), "of the first line that there is");
    assert_eq!(lines[1]["requestId"], "a");
    assert_eq!(encoded.filtered, FilterCounts { level: 2, drop: 1, ..FilterCounts::default() });
    assert!(encoded.observed.contains(&Observed::ErrorLogged(RequestId("a".into()))));
}

#[test]
fn nothing_that_is_written_holds_what_is_redacted() {
    let redact = || Filter { redact: patterns(&["secret"]), ..Filter::default() };
    for (filter, quoted, redacted) in [
        (redact(), true, 4),
        (Filter { sample: Some(Sample::new(0.0)), ..redact() }, true, 1),
        (Filter { drop: patterns(&["errorType"]), ..redact() }, false, 3),
    ] {
        let (encoded, lines) = encoded(&filter, INVOCATION);
        let text = serde_json::to_string(&lines).expect("JSON");
        assert!(!text.contains("secret"), "{text}");
        let of_type = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
        let is_shipped = filter.sample.is_none();
        assert_eq!(of_type("function").iter().any(|line| line["message"] == "a *** of ***s"), is_shipped, "{text}");
        assert_eq!(of_type("logspool.unparsed")[0]["message"], r#"{"type":,"record":"***"}"#);
        let summary = of_type("logspool.invocation");
        assert_eq!(summary.len(), 1, "{text}");
        assert_eq!(summary[0].to_string().contains("my ***"), quoted, "what a summary quotes is masked too: {text}");
        assert_eq!(encoded.filtered.redacted, redacted, "records that are shipped with masks");
    }
}

#[test]
fn a_body_that_is_encoded_again_has_the_same_fate() {
    let filter = Filter { redact: patterns(&["secret"]), sample: Some(Sample::new(0.0)), ..Filter::default() };
    let (first, second) = (encoded(&filter, INVOCATION), encoded(&filter, INVOCATION));
    assert_eq!(first.1, second.1);
    assert_eq!(first.0.filtered, second.0.filtered);
    assert_eq!(first.0.filtered.sample, 3);
}

#[test]
fn own_metrics_are_kept_out_only_where_they_come_back() {
    let line = crate::metrics::tests::a_line();
    let (ours, other) = (serde_json::to_string(&line).expect("JSON"), r#""some other line""#);
    let (on, off) = (Filter { own_metrics: true, ..Filter::default() }, Filter::default());
    assert!(!on.is_empty());
    for (filter, kind, record, expected) in [
        (&on, EventKind::Extension, ours.as_str(), Some(Exclusion::OwnMetrics)),
        (&on, EventKind::Extension, line.as_str(), Some(Exclusion::OwnMetrics)),
        (&on, EventKind::Extension, other, None),
        // A function may say what it likes.
        (&on, EventKind::Function, ours.as_str(), None),
        (&on, EventKind::Unknown, ours.as_str(), None),
        (&off, EventKind::Extension, ours.as_str(), None),
    ] {
        assert_eq!(excluded_of(filter, kind, record, &Attribution::Init), expected, "{kind:?} {record}");
    }
}
