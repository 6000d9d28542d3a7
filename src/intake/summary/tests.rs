use serde_json::{Value, json};
use spool::Seqno;

use super::*;
use crate::intake::attribution::{Attribution, Attributor};
use crate::intake::encode::{Context, encode};
use crate::intake::filter::{Filter, Level, MASK, Patterns, Sample};
use crate::intake::line::{Head, LineStyle};
use crate::runtime_api::event::StreamTypes;

const NOTHING: StreamTypes = StreamTypes { platform: false, function: true, extension: false };
const ALL: StreamTypes = StreamTypes { platform: true, function: true, extension: true };
const NOW_MS: i64 = 1_790_000_000_000;

/// A life: bodies in, lines out.
struct Life {
    types: StreamTypes,
    filter: Filter,
    attributor: Attributor,
    summaries: Summaries,
    lines: Vec<u8>,
    seq: u64,
}

impl Life {
    fn new(types: StreamTypes) -> Self {
        let summaries = Summaries::new(types.function);
        let attributor = Attributor::new(Attribution::Unattributed);
        Self { types, filter: Filter::default(), attributor, summaries, lines: Vec::new(), seq: 0 }
    }

    /// Encodes a body `attempts` times, as after appends that failed; only the last one counts.
    fn body(&mut self, events: &[String], attempts: u64) {
        let body = format!("[{}]", events.join(","));
        for attempt in 1..=attempts {
            let mut lines = Vec::new();
            let context = Context {
                types: self.types,
                attributor: &self.attributor,
                half: None,
                summaries: Some(&self.summaries),
                filter: &self.filter,
                style: &LineStyle::default(),
                first_seq: Seqno(if attempt == attempts { self.seq } else { 1_000 * attempt }),
                now_ms: NOW_MS,
            };
            let encoded = encode(context, body.as_bytes(), 0, &mut lines);
            if attempt == attempts {
                self.seq += u64::from(encoded.records);
                self.attributor = encoded.attributor;
                self.summaries = encoded.summaries.expect("they are summed up");
                self.lines.extend(lines);
            }
        }
    }

    fn end(&mut self) {
        let unfinished: Vec<_> = self.summaries.unfinished().collect();
        for finished in unfinished {
            let head = Head::new(self.seq, Some(&finished.request_id), &self.attributor, NOW_MS);
            write_line(&mut self.lines, &LineStyle::default(), &finished, None, &head);
            self.seq += 1;
        }
        self.summaries.clear();
    }

    fn all_lines(&self) -> Vec<Value> {
        let lines = self.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).expect("every line is JSON")).collect()
    }

    /// The lines of invocations.
    fn summaries(&self) -> Vec<Value> {
        self.all_lines().into_iter().filter(|line| line["type"] == line::INVOCATION).collect()
    }
}

/// What a life that gets these events in one body says of its invocations.
fn summaries_of(events: &[&str]) -> Vec<Value> {
    let mut life = Life::new(ALL);
    life.body(&events.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>(), 1);
    life.summaries()
}

/// The one record of these events.
#[track_caller]
fn record_of(events: &[&str]) -> Value {
    let [line] = summaries_of(events).try_into().expect("one line");
    line["record"].clone()
}

fn event(kind: &str, record: Value) -> String {
    json!({ "time": "2026-01-10T10:00:03.004Z", "type": kind, "record": record }).to_string()
}

fn start(id: &str) -> String {
    event("platform.start", json!({ "requestId": id }))
}

fn report(id: &str) -> String {
    event("platform.report", json!({ "requestId": id, "status": "success", "metrics": { "durationMs": 1.5 } }))
}

fn text(line: &str) -> String {
    event("function", json!(line))
}

const INIT_START: &str = r#"{"time":"2022-10-12T00:00:00.000Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init"}}"#;
/// As the schema reference has them, for one request.
const START: &str = r#"{"time":"2022-10-21T14:05:03.165Z","type":"platform.start","record":{"requestId":"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","version":"$LATEST","tracing":{"spanId":"24cd7d670fa455f0","type":"X-Amzn-Trace-Id","value":"Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1"}}}"#;
const RUNTIME_DONE: &str = r#"{"time":"2022-10-21T14:05:05.764Z","type":"platform.runtimeDone","record":{"requestId":"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","status":"success","tracing":{"spanId":"24cd7d670fa455f0","type":"X-Amzn-Trace-Id","value":"Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1"},"spans":[{"name":"responseLatency","start":"2022-10-21T14:05:03.165Z","durationMs":2598.0},{"name":"responseDuration","start":"2022-08-02T12:01:23:521Z","durationMs":0.0}],"metrics":{"durationMs":2599.0,"producedBytes":8}}}"#;
const REPORT: &str = r#"{"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":{"requestId":"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","status":"success","metrics":{"durationMs":693.92,"billedDurationMs":694,"memorySizeMB":128,"maxMemoryUsedMB":84,"initDurationMs":397.68},"spans":[{"name":"extensionOverhead","start":"2022-10-12T00:01:14.980Z","durationMs":12.3}]}}"#;
const ID: &str = "6d68ca91-49c9-448d-89b8-7ca3e6dc66aa";
const TRACING: &str = "Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1";

#[test]
fn an_invocation_is_told_whole_in_one_line_behind_its_report() {
    let mut life = Life::new(ALL);
    let logged = ["hello", "größer \"x\"\n"].map(text);
    let events = [INIT_START, START, &logged[0], RUNTIME_DONE, &logged[1], REPORT];
    life.body(&events.map(str::to_owned), 1);
    let line = String::from_utf8(life.lines.clone()).expect("UTF-8").lines().last().expect("lines").to_owned();
    // Members in this order, numbers as the platform gives them; the second text with its escapes.
    let expected = concat!(
        r#"{"time":"2022-10-12T00:01:15.000Z","type":"logspool.invocation","seq":6,"requestId":"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","record":{"#,
        r#""coldStart":true,"status":"success","durationMs":693.92,"billedDurationMs":694,"initDurationMs":397.68,"#,
        r#""runtimeDurationMs":2599.0,"producedBytes":8,"#,
        r#""spans":{"responseLatency":2598.0,"responseDuration":0.0,"extensionOverhead":12.3},"memorySizeMB":128,"maxMemoryUsedMB":84,"#,
        r#""tracing":"Root=1-6352a70e-1e2c502e358361800241fd45;Parent=35465b3a9e2f7c6a;Sampled=1","lines":2,"bytes":21}}"#,
    );
    assert_eq!(line, expected);
    let kinds: Vec<_> = life.all_lines().iter().map(|line| line["type"].as_str().map(str::to_owned)).collect();
    assert_eq!(kinds[5].as_deref(), Some("platform.report"));
}

#[test]
fn every_schema_version_is_summed_up_with_what_it_has() {
    let logs_api_done = format!(
        r#"{{"time":"2022-10-21T14:05:05.764Z","type":"platform.runtimeDone","record":{{"requestId":"{ID}","status":"failure"}}}}"#
    );
    let logs_api_report = format!(
        r#"{{"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":{{"requestId":"{ID}","metrics":{{"durationMs":101.51,"billedDurationMs":300,"memorySizeMB":512,"maxMemoryUsedMB":33}}}}}}"#
    );
    let managed_start = format!(
        r#"{{"time":"2026-01-10T10:00:00.000Z","type":"platform.start","record":{{"requestId":"{ID}","version":"3","functionArn":"arn","tenantId":"t"}}}}"#
    );
    let managed_report = format!(
        r#"{{"time":"2026-01-10T10:00:01.000Z","type":"platform.report","record":{{"requestId":"{ID}","status":"success","metrics":{{"durationMs":693.92}}}}}}"#
    );
    let crash = format!(
        r#"{{"time":"2026-01-10T10:00:03.004Z","type":"platform.runtimeDone","record":{{"requestId":"{ID}","status":"error","errorType":"Runtime.ExitError","metrics":{{"durationMs":933.59,"producedBytes":0}}}}}}"#
    );
    let timeout = format!(
        r#"{{"time":"2026-01-10T10:00:03.004Z","type":"platform.report","record":{{"requestId":"{ID}","status":"timeout","metrics":{{"durationMs":3000.0,"billedDurationMs":3000.0,"memorySizeMB":128,"maxMemoryUsedMB":84}},"spans":[],"tracing":{{"value":"Root=2"}}}}}}"#
    );
    let restored = format!(
        r#"{{"time":"2026-01-10T10:00:03.004Z","type":"platform.report","record":{{"requestId":"{ID}","status":"success","metrics":{{"durationMs":3,"restoreDurationMs":250.5}}}}}}"#
    );
    let none = json!({ "lines": 0, "bytes": 0 });
    let traced = json!({ "tracing": TRACING, "lines": 0, "bytes": 0 });
    for (events, common, expected) in [
        (
            [START, &logs_api_done, &logs_api_report],
            &traced,
            json!({ "status": "failure", "durationMs": 101.51, "billedDurationMs": 300, "memorySizeMB": 512, "maxMemoryUsedMB": 33 }),
        ),
        ([&managed_start, "", &managed_report], &none, json!({ "status": "success", "durationMs": 693.92 })),
        (
            [START, &crash, &timeout],
            &traced,
            json!({
                "status": "timeout", "errorType": "Runtime.ExitError", "durationMs": 3000.0, "billedDurationMs": 3000.0,
                "runtimeDurationMs": 933.59, "producedBytes": 0, "memorySizeMB": 128, "maxMemoryUsedMB": 84,
            }),
        ),
        (
            [&managed_start, "", &restored],
            &none,
            json!({ "coldStart": true, "status": "success", "durationMs": 3, "restoreDurationMs": 250.5 }),
        ),
    ] {
        let mut expected = expected;
        expected.as_object_mut().expect("an object").extend(common.as_object().expect("an object").clone());
        assert_eq!(record_of(&events.map(|event| if event.is_empty() { INIT_REPORT } else { event })), expected);
    }
}

const INIT_REPORT: &str = r#"{"type":"platform.initReport","record":{"status":"success"}}"#;

#[test]
fn the_first_invocation_behind_an_init_is_a_cold_start() {
    let cold_starts = |events: &[&str]| -> Vec<Value> {
        summaries_of(events).iter().map(|line| line["record"]["coldStart"].clone()).collect()
    };
    let [(a, ra), (b, rb), (c, rc)] = ["a", "b", "c"].map(|id| (start(id), report(id)));
    assert_eq!(cold_starts(&[INIT_START, &a, &ra, &b, &rb]), [json!(true), json!(false)]);
    assert_eq!(cold_starts(&[INIT_START, &a, &b, &rb, &ra]), [json!(false), json!(true)], "many at once");
    assert_eq!(
        cold_starts(&[&a, &ra, &b, &rb]),
        [Value::Null, json!(false)],
        "nobody has seen what was before the first"
    );
    assert_eq!(cold_starts(&[&a, &ra, INIT_START, &b, &rb, &c, &rc]), [Value::Null, json!(true), json!(false)]);
    assert_eq!(cold_starts(&[&ra, INIT_START, REPORT]), [Value::Null, json!(true)], "the report knows it, too");
}

#[test]
fn the_exception_that_the_function_logged_last_is_told() {
    let caught = text("[ERROR] KeyError: 'id'\nTraceback (most recent call last):\n");
    let uncaught = event(
        "function",
        json!({ "level": "ERROR", "errorType": "ValueError", "errorMessage": "no such order", "requestId": "a" }),
    );
    let of_an_extension = event("extension", json!({ "errorType": "E", "errorMessage": "m" }));
    let record = record_of(&[&start("a"), &caught, &uncaught, &text("then"), &of_an_extension, &report("a")]);
    assert_eq!(record["exception"], json!({ "type": "ValueError", "message": "no such order" }));
    assert_eq!(record["lines"], 3, "the extension's are not the function's");
    assert_eq!(record["status"], "success", "for the platform a handler that throws has answered");
}

#[test]
fn a_record_counts_for_the_invocation_that_it_is_attributed_to_while_that_is_open() {
    let of_b = event("function", json!({ "requestId": "b", "message": "m" }));
    let of_nobody = event("function", json!({ "requestId": "order-17" }));
    let (a, b) = (start("a"), start("b"));
    let events =
        [&text("of Init"), &of_b, &a, &b, &text("12345"), &of_b, &of_nobody, &report("b"), &of_b, &report("a")];
    let mut life = Life::new(ALL);
    life.body(&events.map(String::clone), 1);
    life.end();
    let lines = life.summaries();
    let counted: Vec<_> =
        lines.iter().map(|line| (&line["requestId"], &line["record"]["lines"], &line["record"]["bytes"])).collect();
    let of_b_bytes = r#"{"message":"m","requestId":"b"}"#.len();
    assert_eq!(counted, [(&json!("b"), &json!(2), &json!(5 + of_b_bytes)), (&json!("a"), &json!(0), &json!(0))]);
}

#[test]
fn it_is_summed_up_whatever_is_shipped() {
    let events = [start("a"), text("hello"), report("a")];
    let summaries = |types| {
        let mut life = Life::new(types);
        life.body(&events, 1);
        assert_eq!(life.seq, life.all_lines().len() as u64);
        life.summaries()[0]["record"].clone()
    };
    assert_eq!(summaries(NOTHING)["lines"], 1);
    let platform_only = summaries(StreamTypes { platform: true, function: false, extension: false });
    assert_eq!(platform_only["lines"], Value::Null, "nobody handed them over");
    assert_eq!(platform_only["durationMs"], 1.5);
}

#[test]
fn what_is_kept_out_is_counted_and_quoted_only_if_it_is_for_the_share_of_requests() {
    let exception =
        event("function", json!({ "level": "ERROR", "errorType": "ValueError", "errorMessage": "card 4711" }));
    let events = [start("a"), exception, report("a")];
    let length = json!({ "level": "ERROR", "errorType": "ValueError", "errorMessage": "card 4711" }).to_string().len();
    let patterns = |pattern| Patterns::compile([pattern]).0;
    for (filter, message) in [
        (Filter::default(), json!("card 4711")),
        (Filter { drop: patterns("card"), ..Filter::default() }, Value::Null),
        (Filter { level: Some(Level::Fatal), ..Filter::default() }, Value::Null),
        (Filter { sample: Some(Sample::new(0.0)), ..Filter::default() }, json!("card 4711")),
        (Filter { sample: Some(Sample::new(0.0)), drop: patterns("card"), ..Filter::default() }, Value::Null),
        (Filter { redact: patterns("[0-9]+"), ..Filter::default() }, json!(format!("card {MASK}"))),
        (
            Filter { sample: Some(Sample::new(0.0)), redact: patterns("[0-9]+"), ..Filter::default() },
            json!(format!("card {MASK}")),
        ),
    ] {
        let mut life = Life { filter: filter.clone(), ..Life::new(ALL) };
        life.body(&events, 1);
        let record = &life.summaries()[0]["record"];
        assert_eq!(record["exception"]["message"], message, "{filter:?}");
        assert_eq!((&record["lines"], &record["bytes"]), (&json!(1), &json!(length)), "{filter:?}: as it was logged");
    }
}

#[test]
fn a_report_whose_begin_was_not_seen_is_partial() {
    let record = record_of(&[&text("before"), REPORT]);
    assert_eq!(record["partial"], true);
    assert_eq!(
        (&record["lines"], &record["billedDurationMs"]),
        (&Value::Null, &json!(694)),
        "what is not known is not there"
    );
    let record = record_of(&[RUNTIME_DONE, &text("between"), REPORT]);
    assert_eq!((&record["partial"], &record["lines"]), (&json!(true), &Value::Null));
    assert_eq!(record["tracing"], TRACING);
}

#[test]
fn what_is_open_at_the_end_is_told_once_in_order_and_is_partial() {
    let mut life = Life::new(ALL);
    life.body(&[start("b"), text("of b"), start("a"), RUNTIME_DONE.to_owned()], 1);
    life.end();
    life.end();
    let lines = life.summaries();
    let ids: Vec<_> = lines.iter().map(|line| line["requestId"].clone()).collect();
    assert_eq!(ids, ["b", "a", ID]);
    assert!(lines.iter().all(|line| line["record"]["partial"] == true && line["time"] == "2026-09-21T14:13:20.000Z"));
    assert_eq!((&lines[0]["record"]["lines"], &lines[2]["record"]["status"]), (&json!(1), &json!("success")));
    // What is told of one of them afterwards is the rest.
    life.body(&[report("b")], 1);
    let rest = &life.summaries()[3]["record"];
    assert_eq!((&rest["partial"], &rest["lines"], &rest["durationMs"]), (&json!(true), &Value::Null, &json!(1.5)));
}

#[test]
fn a_second_attempt_under_the_same_id_is_another_invocation() {
    let lines = summaries_of(&[&start("a"), &text("1"), &start("a"), &text("2"), &text("3"), &report("a")]);
    let told: Vec<_> = lines.iter().map(|line| (&line["record"]["lines"], &line["record"]["partial"])).collect();
    assert_eq!(told, [(&json!(1), &json!(true)), (&json!(2), &Value::Null)]);
}

#[test]
fn of_too_many_open_requests_the_oldest_is_told_with_what_is_known() {
    let mut life = Life::new(NOTHING);
    let ids: Vec<_> = (0..OPEN_MAX + 3).map(|number| format!("request {number}")).collect();
    for ids in ids[..OPEN_MAX].chunks(100) {
        life.body(&ids.iter().map(|id| start(id)).collect::<Vec<_>>(), 1);
    }
    // The first two come to their ends: their places are free.
    life.body(&[text("of the last"), report(&ids[0]), report(&ids[1]), start(&ids[0]), start(&ids[1])], 1);
    assert_eq!(life.summaries().len(), 2);
    life.body(&[start(&ids[OPEN_MAX]), start(&ids[OPEN_MAX + 1]), start(&ids[5])], 2);
    let told: Vec<_> = life.summaries()[2..]
        .iter()
        .map(|line| (line["requestId"].clone(), line["record"]["partial"].clone()))
        .collect();
    let partial = |at: usize| (json!(ids[at]), json!(true));
    assert_eq!(
        told,
        [partial(2), partial(3), partial(5)],
        "the oldest two, and the first attempt of the one that begins anew"
    );
    life.body(&[RUNTIME_DONE.replace(ID, &ids[OPEN_MAX + 2])], 1);
    assert_eq!(life.summaries()[5]["requestId"], ids[4]);
    life.end();
    assert_eq!(life.summaries().len(), 6 + OPEN_MAX);
    assert_eq!(life.seq, life.all_lines().len() as u64);
}

#[test]
fn odd_events_of_the_platform_tell_what_can_be_read() {
    let long = "x".repeat(300);
    for odd in [
        event("platform.report", json!({ "status": "success" })),
        event("platform.report", json!({ "requestId": 7 })),
        event("platform.report", json!({ "requestId": long })),
        event("platform.report", json!("text")),
        r#"{"type":"platform.report"}"#.to_owned(),
        event("platform.fault", json!("RequestId: a Process exited before completing request")),
        event("platform.end", json!({ "requestId": "a" })),
    ] {
        assert_eq!(summaries_of(&[&start("a"), &odd]), Vec::<Value>::new(), "{odd}");
    }
    let spans: Vec<_> =
        (0..40).map(|number| json!({ "name": format!("span {number}"), "durationMs": number })).collect();
    let record = json!({
        "requestId": "a", "status": 3, "errorType": "x".repeat(3_000), "tracing": { "value": "x".repeat(3_000) },
        "metrics": { "durationMs": "1", "billedDurationMs": null, "memorySizeMB": 128 }, "spans": spans,
    });
    let told = record_of(&[&start("a"), &event("platform.report", record)]);
    assert_eq!(told["errorType"].as_str().map(str::len), Some(256));
    assert_eq!(told["tracing"].as_str().map(str::len), Some(512));
    assert_eq!(told["spans"].as_object().map(serde_json::Map::len), Some(16));
    let members: Vec<_> = told.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, ["bytes", "errorType", "lines", "memorySizeMB", "spans", "tracing"]);
    let timeless = "{\"time\":[\n1],\"type\":\"platform.report\",\"record\":{\"requestId\":\"a\"}}";
    assert_eq!(summaries_of(&[&start("a"), timeless])[0]["time"], "2026-09-21T14:13:20.000Z");
}

#[test]
fn a_body_that_is_encoded_again_counts_once() {
    let mut life = Life::new(ALL);
    life.body(&[INIT_START.to_owned(), start("a"), text("1")], 3);
    life.body(&[text("2"), start("b"), text("3")], 3);
    let before = format!("{:?}", life.summaries);
    let copy = life.summaries.clone();
    life.body(&[report("a"), text("4"), text("5"), report("b")], 3);
    assert_eq!(format!("{copy:?}"), before, "what was open before a body is not changed by it");
    let told: Vec<_> = life
        .summaries()
        .iter()
        .map(|line| (line["record"]["lines"].clone(), line["record"]["coldStart"].clone()))
        .collect();
    assert_eq!(told, [(json!(2), json!(true)), (json!(3), json!(false))]);
}

/// The events of some requests, each in its own order, mixed at random; some lack a begin, some an end, some wait for the next.
fn mixed(rng: &mut fastrand::Rng) -> Vec<String> {
    let mut requests: Vec<Vec<String>> = (0..rng.usize(1..=8))
        .map(|number| {
            let id = format!("request-{number}");
            let mut events = Vec::new();
            if rng.u8(..8) > 0 {
                events.push(start(&id));
            }
            for line in 0..rng.usize(0..5) {
                events.push(match rng.u8(..4) {
                    0 => text(&format!("[ERROR] E{line}: of {id}\nTraceback (most recent call last):\n")),
                    1 => event("function", json!({ "requestId": id, "errorType": "E", "errorMessage": line })),
                    2 => event("function", json!({ "requestId": id, "line": line })),
                    _ => text(&"x".repeat(line)),
                });
            }
            if rng.bool() {
                events.push(RUNTIME_DONE.replace(ID, &id));
            }
            if rng.u8(..8) > 0 {
                events.push(report(&id));
            }
            events.reverse();
            events
        })
        .collect();
    requests.push(vec![INIT_START.to_owned(); rng.usize(0..2)]);
    let mut events = Vec::new();
    while !requests.is_empty() {
        let at = rng.usize(..requests.len());
        match requests[at].pop() {
            Some(event) => events.push(event),
            None => drop(requests.swap_remove(at)),
        }
    }
    events
}

/// Lines that a simple reader of the same events counts for each request that ends.
fn counted(events: &[String]) -> Vec<(String, Option<u64>)> {
    let (mut open, mut in_force, mut told) = (HashMap::new(), None, Vec::new());
    for event in events {
        let event: Value = serde_json::from_str(event).expect("JSON");
        let own = event["record"]["requestId"].as_str().map(str::to_owned);
        match (event["type"].as_str(), own) {
            (Some("platform.initStart"), _) => in_force = None,
            (Some("platform.start"), Some(id)) => {
                open.insert(id.clone(), 0);
                in_force = Some(id);
            }
            (Some("platform.report"), Some(id)) => {
                let lines = open.remove(&id);
                told.push((id, lines));
            }
            (Some("function"), own) => {
                if let Some(lines) = own.or(in_force.clone()).and_then(|id| open.get_mut(&id)) {
                    *lines += 1;
                }
            }
            _ => {}
        }
    }
    told
}

#[test]
fn wherever_bodies_are_cut_and_however_often_they_are_encoded_the_lines_are_the_same() {
    let mut rng = fastrand::Rng::with_seed(20_261_125);
    for round in 0..2_000 {
        let events = mixed(&mut rng);
        let types = if rng.bool() { ALL } else { NOTHING };
        let (mut single, mut cut) = (Life::new(types), Life::new(types));
        for event in &events {
            single.body(std::slice::from_ref(event), 1);
        }
        let mut rest = events.as_slice();
        while !rest.is_empty() {
            let (body, behind) = rest.split_at(rng.usize(1..=rest.len()));
            cut.body(body, rng.u64(1..3));
            rest = behind;
        }
        let told: Vec<_> = single
            .summaries()
            .iter()
            .map(|line| (line["requestId"].as_str().unwrap_or_default().to_owned(), line["record"]["lines"].as_u64()))
            .collect();
        assert_eq!(told, counted(&events), "round {round}: {events:#?}");
        single.end();
        cut.end();
        assert_eq!(String::from_utf8_lossy(&cut.lines), String::from_utf8_lossy(&single.lines), "round {round}");
    }
}
