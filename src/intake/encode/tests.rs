use super::*;
use crate::intake::Attribution;

const ALL: StreamTypes = StreamTypes { platform: true, function: true, extension: true };
const FUNCTION_ONLY: StreamTypes = StreamTypes { platform: false, function: true, extension: false };

fn encoded(types: StreamTypes, body: &str) -> (Encoded, Vec<serde_json::Value>) {
    let attributor = Attributor::new(Attribution::Unattributed);
    let context = Context {
        types,
        attributor: &attributor,
        half: None,
        summaries: None,
        filter: &Filter::default(),
        style: &LineStyle::default(),
        first_seq: Seqno(10),
        now_ms: 0,
    };
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
fn a_report_tells_whether_its_invocation_has_failed() {
    let report = |status: &str| format!(r#"{{"type":"platform.report","record":{{"requestId":"a"{status}}}}}"#);
    let statuses = ["", r#","status":"success""#, r#","status":"timeout""#, r#","status":"error""#];
    let (encoded, _) = encoded(ALL, &format!("[{}]", statuses.map(report).join(",")));
    let failed = encoded.observed.iter().map(|observed| matches!(observed, Observed::Report { failed: true, .. }));
    assert_eq!(failed.collect::<Vec<_>>(), [false, false, true, true]);
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
            r#"[{"type":"function","record":"x"},{"type":"function","record":"cut"#,
            vec!["function", "logspool.unparsed"],
        ),
        (
            r#"[{"time":"t","type":"function","record":lost"},{"time":"t","type":"function","record":"x"}]"#,
            vec!["logspool.unparsed", "function"],
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
        let first_seq = Seqno(first_seq);
        let context = Context {
            types: ALL,
            attributor: &attributor,
            half: None,
            summaries: None,
            filter: &Filter::default(),
            style: &LineStyle::default(),
            first_seq,
            now_ms: 5,
        };
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

/// Events of several requests, with whatever a line can say of one; some have an id that is written with escapes.
fn some_events(rng: &mut fastrand::Rng) -> Vec<String> {
    let id = |rng: &mut fastrand::Rng| rng.choice(["a", "b", "bb", r#"\"q\""#, ""]).expect("not empty");
    let event = |kind: &str, record: String| format!(r#"{{"time":"t","type":"{kind}","record":{record}}}"#);
    let mut some = || match rng.u8(..10) {
        0 => event("platform.initStart", "{}".into()),
        1 => event("platform.start", format!(r#"{{"requestId":"{}","tenantId":"{}"}}"#, id(rng), id(rng))),
        2 => event("platform.start", format!(r#"{{"requestId":"{}"}}"#, id(rng))),
        3 => event("platform.report", format!(r#"{{"requestId":"{}"}}"#, id(rng))),
        4..7 => event("function", format!(r#"{{"requestId":"{}"}}"#, id(rng))),
        7 => event("function", format!("[{}]", rng.u8(..))),
        _ => event("extension", r#""text""#.into()),
    };
    (0..20).map(|_| some()).collect()
}

#[test]
fn what_stands_in_a_line_does_not_depend_on_the_lines_before_it_in_the_body() {
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..500 {
        let events = some_events(&mut rng);
        let (mut attributor, mut singly) = (Attributor::new(Attribution::Unattributed), Vec::new());
        let encode = |attributor: &Attributor, seq: usize, body: String, lines: &mut Vec<u8>| {
            let context = Context {
                types: ALL,
                attributor,
                half: None,
                summaries: None,
                filter: &Filter::default(),
                style: &LineStyle::default(),
                first_seq: Seqno(seq as u64),
                now_ms: 5,
            };
            encode(context, body.as_bytes(), 0, lines).attributor
        };
        let mut together = Vec::new();
        encode(&attributor, 0, format!("[{}]", events.join(",")), &mut together);
        for (seq, event) in events.iter().enumerate() {
            attributor = encode(&attributor, seq, format!("[{event}]"), &mut singly);
        }
        assert_eq!(String::from_utf8_lossy(&together), String::from_utf8_lossy(&singly), "{events:#?}");
    }
}

#[test]
fn a_joined_record_that_is_stored_is_told_of_and_not_written_again() {
    let attributor = Attributor::new(Attribution::Init);
    let envelope = r#"{"time":"2022-10-12T00:00:00.000Z","type":"function","record":"#;
    let cut = CutRecord::of(format!("{envelope}\"AAA}}]").as_bytes()).expect("cut");
    let mut half = Half::new(cut, spool::FragmentId(1), Attribution::Unattributed);
    let body = format!(r#"[{envelope}BBB"}},{envelope}"C"}},{envelope}"DDD}}]"#);
    let encoded = |half: &Half| {
        let mut lines = Vec::new();
        let context = Context {
            types: ALL,
            attributor: &attributor,
            half: Some(half),
            summaries: None,
            filter: &Filter::default(),
            style: &LineStyle::default(),
            first_seq: Seqno(4),
            now_ms: 5,
        };
        let encoded = encode(context, body.as_bytes(), 0, &mut lines);
        (encoded, String::from_utf8(lines).expect("UTF-8"))
    };
    let (whole, lines) = encoded(&half);
    let Joined::Whole { records: 1, bytes } = whole.joined else { panic!("{:?}", whole.joined) };
    assert!(lines[..bytes].ends_with("\"message\":\"AAABBB\"}\n"), "{lines}");
    assert_eq!((whole.records, whole.cut.is_some()), (2, true));
    half.stored();
    let (rest, rest_lines) = encoded(&half);
    assert_eq!(rest_lines, lines[bytes..].replace("\"seq\":5", "\"seq\":4"));
    assert_eq!((rest.records, rest.joined), (1, Joined::Whole { records: 0, bytes: 0 }));
    assert_eq!((rest.cut, rest.attributor), (whole.cut, whole.attributor));
}
