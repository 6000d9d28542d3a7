//! P7 and half of P1: whatever a body holds and however it is sent, it is answered 200, kept and shipped.
//!
//! The bodies come from beside the platform, straight to the listener of the running extension, which is never frozen here.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::oracle::Verdict;
use sandbox::{Ledger, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde::Deserialize;
use serde_json::value::RawValue;
use world::World;
use world::wire::{Wire, chunk_of, chunked, chunked_head, request};

/// An extension that can be posted to at any time, and to which the platform itself hands over everything.
fn unfrozen(world: &World) -> SandboxBuilder {
    world.sandbox().freeze(false).queue_rule(false)
}

/// An extension that stores lines as they are, so that objects can be compared byte for byte.
fn plain(world: &World) -> SandboxBuilder {
    unfrozen(world).extension_env("LOGSPOOL_COMPRESSION", "none")
}

/// What became of something that was posted.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    /// A line of its own type, with the JSON of its columns as they stand, but for `seq` and `requestId`.
    Event(String, BTreeMap<String, String>),
    /// A line of type `logspool.unparsed`, with the bytes that it stands for.
    Unparsed(Vec<u8>),
}

fn event(kind: &str, columns: &[(&str, &str)]) -> Kept {
    let columns = columns.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned()));
    Kept::Event(kind.to_owned(), columns.collect())
}

fn unparsed(bytes: impl AsRef<[u8]>) -> Kept {
    Kept::Unparsed(bytes.as_ref().to_vec())
}

impl Kept {
    fn read(line: &str) -> Self {
        let mut columns: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let text = |json: Box<RawValue>| String::deserialize(&*json).unwrap();
        let kind = text(columns.remove("type").unwrap());
        if kind == "logspool.unparsed" {
            let message = text(columns.remove("message").unwrap());
            return Self::Unparsed(match columns.remove("encoding").map(text).as_deref() {
                None => message.into_bytes(),
                Some("base64") => STANDARD.decode(message).unwrap(),
                Some(other) => panic!("{other}?"),
            });
        }
        columns.remove("seq").unwrap();
        columns.remove("requestId");
        Self::Event(kind, columns.into_iter().map(|(name, json)| (name, json.get().to_owned())).collect())
    }
}

/// Ends a life in which bodies were posted. Returns what it kept beside what the platform itself said.
async fn kept(world: &World, sandbox: &Sandbox) -> Vec<Kept> {
    let ledgers = end_undisturbed(world, sandbox).await;
    assert_sound(world, &ledgers);
    delivered(world, &ledgers)
}

/// Ends a life with an invocation and SHUTDOWN, none of which notices what was posted. Returns what the platform said.
async fn end_undisturbed(world: &World, sandbox: &Sandbox) -> Vec<Ledger> {
    let invocation = sandbox.invoke(Work { lines: 0, ..Work::default() }).await;
    assert!(invocation.result.is_ok(), "{:?}", invocation.result);
    assert_eq!(sandbox.extension_output(), Vec::<String>::new(), "nothing of it is worth a word");
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0));
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    ledgers
}

/// Nothing speaks against the delivery but the lines that the platform never said.
#[track_caller]
fn assert_sound(world: &World, ledgers: &[Ledger]) -> Verdict {
    let mut verdict = world.verdict(ledgers);
    let foreign = std::mem::take(&mut verdict.foreign);
    if let Err(findings) = verdict.holds() {
        panic!("{findings}");
    }
    Verdict { foreign, ..verdict }
}

/// What was delivered beside what the platform itself said.
fn delivered(world: &World, ledgers: &[Ledger]) -> Vec<Kept> {
    let said: BTreeSet<_> = ledgers.iter().flat_map(Ledger::entries).map(|entry| entry.event.kind.as_str()).collect();
    let is_ours = |kept: &Kept| match kept {
        Kept::Event(kind, _) => !said.contains(kind.as_str()) && kind != "logspool.end",
        Kept::Unparsed(_) => true,
    };
    let objects = world.objects_of_first_life();
    let lines = objects.iter().flat_map(|object| std::str::from_utf8(&object.bytes).unwrap().lines());
    lines.map(Kept::read).filter(is_ours).collect()
}

const TIME: &str = r#""2022-10-12T00:03:50.000Z""#;

/// An event of type `function` with this record.
fn function(record: &str) -> String {
    format!(r#"{{"time":{TIME},"type":"function","record":{record}}}"#)
}

/// What becomes of it: the record in the column of its type.
fn shipped(record: &str) -> Kept {
    let column = match record.as_bytes()[0] {
        b'"' => "message",
        b'{' => "record",
        _ => "value",
    };
    event("function", &[("time", TIME), (column, record)])
}

/// Posts each body on one connection, and checks what each has left.
async fn check(cases: Vec<(Vec<u8>, Vec<Kept>)>) {
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    let mut wire = Wire::connect(&sandbox).await;
    for (number, (body, _)) in cases.iter().enumerate() {
        assert_eq!(wire.post(body).await, 200, "{}", String::from_utf8_lossy(body));
        // Tells the lines of one body from those of the next.
        let marker = format!(r#"[{{"time":{TIME},"type":"test.marker","record":{number}}}]"#);
        assert_eq!(wire.post(marker.as_bytes()).await, 200);
    }
    let mut kept = kept(&world, &sandbox).await.into_iter();
    for (number, (body, expected)) in cases.iter().enumerate() {
        let marker = event("test.marker", &[("time", TIME), ("value", &number.to_string())]);
        let found: Vec<_> = kept.by_ref().take_while(|kept| *kept != marker).collect();
        let shown: String = String::from_utf8_lossy(body).chars().take(200).collect();
        assert!(found == *expected, "{shown:?} left {found:.300?}, not {expected:.300?}");
    }
    assert_eq!(kept.next(), None);
}

fn case(body: impl AsRef<[u8]>, kept: impl IntoIterator<Item = Kept>) -> (Vec<u8>, Vec<Kept>) {
    (body.as_ref().to_vec(), kept.into_iter().collect())
}

#[tokio::test]
async fn a_body_that_is_no_array_is_kept_whole() {
    let whole = [
        "null",
        "17",
        "\"text\"",
        "not JSON at all",
        "{\"broken\":",
        &function("\"an object instead of an array\""),
        // A byte order mark.
        &format!("\u{feff}[{}]", function("1")),
        "\0\0\0\0",
        "<xml/>",
        "line\nline\r\nline",
    ];
    let mut cases: Vec<_> = whole.iter().map(|body| case(body, [unparsed(body)])).collect();
    let every_byte: Vec<u8> = (0..=255).collect();
    cases.push(case(&every_byte, [unparsed(&every_byte)]));
    check(cases).await;
}

#[tokio::test]
async fn a_body_without_content_leaves_no_line() {
    check(["", " \r\n\t ", "[]", " [ ] ", "[,,]"].iter().map(|body| case(body, [])).collect()).await;
}

#[tokio::test]
async fn a_malformed_element_costs_its_neighbours_nothing() {
    let (first, last) = (function("\"first\""), function("\"last\""));
    let between = |malformed: &[u8]| [b"[", first.as_bytes(), b",", malformed, b",", last.as_bytes(), b"]"].concat();
    let mut cases: Vec<_> = [
        b"{\"type\":}".as_slice(),
        b"{}",
        b"null",
        b"17",
        b"\"text\"",
        b"[1,2,3]",
        b"{\"time\":\"t\"}",
        b"{\"type\":3,\"record\":\"a number for a type\"}",
        b"{\"type\":\"function\" \"record\":\"no comma\"}",
        b"{\"type\":\"function\",\"record\":\"a raw NUL \0\"}",
        b"{\"type\":\"function\",\"record\":\"a raw line\nfeed\"}",
        b"{\"type\":\"function\",\"record\":\"\xff\xfe no UTF-8\"}",
        b"{\"type\":\"function\",\"record\":\"\\x\"}",
        b"\x00\x01\x02",
    ]
    .iter()
    .map(|malformed| case(between(malformed), [shipped("\"first\""), unparsed(malformed), shipped("\"last\"")]))
    .collect();
    // What does not end, or lies behind the end.
    cases.push(case(format!("[{first},{{\"type\":\"cut"), [shipped("\"first\""), unparsed("{\"type\":\"cut")]));
    cases.push(case(format!("[{first}] tail"), [shipped("\"first\""), unparsed("tail")]));
    cases.push(case(format!("[{first}][{last}]"), [shipped("\"first\""), unparsed(format!("[{last}]"))]));
    cases.push(case(format!("[{first}"), [unparsed(&first)]));
    check(cases).await;
}

#[tokio::test]
async fn any_record_is_shipped_byte_for_byte() {
    let deep_array = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let records = [
        "17",
        "-0.0",
        "1e999",
        "123456789012345678901234567890",
        "null",
        "true",
        "[]",
        "[1, [2,\t3]]",
        "{}",
        "\"\"",
        r#""[INFO] \"quoted\" \u00e9 \ud83d\ude00 \\ \/ ü \r\n""#,
        r#""a lone surrogate \ud800""#,
        r#"{"b": 1.50,  "a":{"nested":[{}]},"a":"twice"}"#,
        r#"{"requestId":7,"status":[],"droppedRecords":"many"}"#,
        &deep_array,
        &deep_object,
        &format!(r#"{{"requestId":{deep_array}}}"#),
    ];
    let mut cases: Vec<_> = records.iter().map(|it| case(format!("[{}]", function(it)), [shipped(it)])).collect();
    let all: Vec<_> = records.iter().map(|it| function(it)).collect();
    cases.push(case(format!("[{}]", all.join(" ,\n")), records.iter().map(|it| shipped(it))));
    check(cases).await;
}

#[tokio::test]
async fn nesting_without_an_end_is_kept_as_it_came() {
    let opened = format!("[{}", "[".repeat(10_000));
    let objects = "[{\"a\":".repeat(10_000);
    check(vec![case(&opened, [unparsed(&opened[1..])]), case(&objects, [unparsed(&objects[1..])])]).await;
}

#[tokio::test]
async fn types_and_members_that_nobody_knows_are_shipped() {
    let as_sent = |kind: &str, columns: &[(&str, &str)]| event(kind, &[&[("time", TIME)], columns].concat());
    check(vec![
        case(
            format!(r#"[{{"time":{TIME},"type":"platform.fromTheFuture","record":{{"a":1}}}}]"#),
            [as_sent("platform.fromTheFuture", &[("record", "{\"a\":1}")])],
        ),
        case(format!(r#"[{{"time":{TIME},"type":"brand-new","record":[]}}]"#), [as_sent("brand-new", &[("value", "[]")])]),
        case(format!(r#"[{{"time":{TIME},"type":"","record":0}}]"#), [as_sent("", &[("value", "0")])]),
        case(
            format!(r#"[{{"record":"any order","seq":5,"type":"function","new":{{"x":[]}},"time":{TIME}}}]"#),
            [as_sent("function", &[("message", "\"any order\""), ("extra", r#"{"seq":5,"new":{"x":[]}}"#)])],
        ),
        case(
            format!(r#"[{{"time":{TIME},"type":"function","record":"a","type":"again","record":"b","time":1}}]"#),
            [as_sent("function", &[("message", "\"a\""), ("extra", r#"{"type":"again","record":"b","time":1}"#)])],
        ),
        case(
            format!(r#"[{{"ti\u006de":{TIME},"t\u0079pe":"func\u0074ion","record":1}}]"#),
            [as_sent("function", &[("value", "1")])],
        ),
        case(
            format!(r#"[{{"time":{TIME},"type":"platform.logsDropped","record":{{"droppedRecords":-1,"droppedBytes":"?"}}}}]"#),
            [as_sent("platform.logsDropped", &[("record", r#"{"droppedRecords":-1,"droppedBytes":"?"}"#)])],
        ),
    ])
    .await;
}

#[tokio::test]
async fn odd_times_are_shipped_and_missing_ones_are_ours() {
    let times =
        ["null", "5", "\"yesterday\"", "\"2022-08-02T12:01:23:521Z\"", "[\"2022\"]", "\"9999-12-31T23:59:59.999Z\""];
    let mut cases: Vec<_> = times
        .iter()
        .map(|time| {
            let body = format!(r#"[{{"time":{time},"type":"function","record":1}}]"#);
            case(body, [event("function", &[("time", time), ("value", "1")])])
        })
        .collect();
    cases.push(case(r#"[{"type":"function","record":1}]"#, []));
    let missing = cases.pop().unwrap();
    check(cases).await;

    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    assert_eq!(Wire::connect(&sandbox).await.post(&missing.0).await, 200);
    let kept = kept(&world, &sandbox).await;
    let [Kept::Event(kind, columns)] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((kind.as_str(), columns["value"].as_str()), ("function", "1"));
    assert!(columns["time"].starts_with("\"20") && columns["time"].ends_with("Z\""), "{columns:?}");
}

/// Told apart from `null`: there is no column at all. (The oracle knows no such event, so it is not asked.)
#[tokio::test]
async fn an_event_without_a_record_is_shipped_without_one() {
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    let body = format!(r#"[{{"time":{TIME},"type":"function"}},{}]"#, function("null"));
    assert_eq!(Wire::connect(&sandbox).await.post(body.as_bytes()).await, 200);
    let ledgers = end_undisturbed(&world, &sandbox).await;
    assert_eq!(delivered(&world, &ledgers), [event("function", &[("time", TIME)]), shipped("null")]);
}

/// The one exception from byte for byte: a line ends at a line feed.
#[tokio::test]
async fn line_breaks_between_tokens_become_spaces() {
    let record = "{\r\n  \"a\":\n[1,\r2]}";
    let body = format!("[\r\n{{\"time\":{TIME},\r\n\"type\":\r\"function\",\n\"record\":{record}\n}}\r\n]\n");
    check(vec![case(body, [shipped("{    \"a\": [1, 2]}")])]).await;
}

#[tokio::test]
async fn a_body_of_5_mib_is_stored_whole() {
    let huge = function(&format!("\"{}\"", "x".repeat(5 << 20)));
    let small: Vec<_> = (0..20_000).map(|n| function(&format!("\"{n:06} {}\"", "small ".repeat(40)))).collect();
    assert!(small.iter().map(String::len).sum::<usize>() > 5 << 20);
    let world = World::new().await;
    let sandbox = unfrozen(&world).start().await.unwrap();
    let mut wire = Wire::connect(&sandbox).await;
    assert_eq!(wire.post(format!("[{huge}]").as_bytes()).await, 200);
    assert_eq!(wire.post(format!("[{}]", small.join(",")).as_bytes()).await, 200);
    let ledgers = end_undisturbed(&world, &sandbox).await;
    // The oracle reads with decoders of its own, and names what the platform never said by its bytes.
    let mut delivered = assert_sound(&world, &ledgers).foreign;
    delivered.sort_unstable();
    let mut posted: Vec<_> = small.iter().chain([&huge]).map(|event| format!("never said: {event}")).collect();
    posted.sort_unstable();
    assert!(delivered == posted, "{} of {} lines, or others", delivered.len(), posted.len());
}

#[tokio::test]
async fn of_a_body_beyond_the_limit_the_beginning_is_kept_and_the_rest_is_counted() {
    const LIMIT: usize = 1 << 20;
    let records: Vec<_> = (0..3_000).map(|n| format!("\"{n:06} {}\"", "long ".repeat(200))).collect();
    let events: Vec<_> = records.iter().map(|record| function(record)).collect();
    let body = format!("[{}]", events.join(","));
    assert!(body.len() > 3 * LIMIT);
    for request in [request("POST", "/", body.as_bytes()), chunked(body.as_bytes(), 10_000)] {
        let world = World::new().await;
        let sandbox = plain(&world).extension_env("LOGSPOOL_BODY_MAX", "1MiB").start().await.unwrap();
        let mut wire = Wire::connect(&sandbox).await;
        wire.send(&request).await;
        assert_eq!(wire.status().await, 200);
        assert_eq!(wire.post(format!("[{}]", function("\"next\"")).as_bytes()).await, 200, "the connection goes on");

        let mut kept = kept(&world, &sandbox).await;
        assert_eq!(kept.pop(), Some(shipped("\"next\"")));
        let Some(Kept::Event(kind, columns)) = kept.pop() else { panic!("the last line of the body") };
        let cut = format!("{{\"bytes\":{}}}", body.len() - LIMIT);
        assert_eq!((kind.as_str(), &columns["record"]), ("logspool.truncated", &cut));
        let Some(Kept::Unparsed(piece)) = kept.pop() else { panic!("the event that the limit cut") };
        let whole = kept.len();
        assert!(kept.iter().zip(&records).all(|(kept, record)| *kept == shipped(record)), "{whole} whole events");
        let stored = format!("[{},{}", events[..whole].join(","), String::from_utf8(piece).unwrap());
        assert!(stored == body[..LIMIT], "not a byte of the beginning is missing");
    }
}

#[tokio::test]
async fn a_body_is_taken_however_it_is_sent() {
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    let body = |n: u32| format!("[{}]", function(&n.to_string()));
    let head = |start: &str, n: u32, more: &str| {
        format!("{start}\r\nhost: x\r\ncontent-length: {}\r\n{more}\r\n{}", body(n).len(), body(n)).into_bytes()
    };
    let trailing = [chunked_head(), chunk_of(body(8).as_bytes()), b"0\r\nx-trailer: 1\r\n\r\n".to_vec()].concat();
    let requests = [
        request("POST", "/", body(0).as_bytes()),
        request("PUT", "/", body(1).as_bytes()),
        request("POST", "/any/path//../%00?query=[]#x", body(2).as_bytes()),
        request("POST", "http://sandbox.localdomain:4243/telemetry", body(3).as_bytes()),
        request("POST", "*", body(4).as_bytes()),
        chunked(body(5).as_bytes(), 1),
        chunked(body(6).as_bytes(), 1 << 20),
        head("POST / HTTP/1.1", 7, "content-type: application/octet-stream\r\ncontent-encoding: identity\r\n"),
        trailing,
        head("POST / HTTP/1.0", 9, ""),
        head("POST / HTTP/1.1", 10, "connection: close\r\n"),
    ];
    for (n, request) in requests.iter().enumerate() {
        let mut wire = Wire::connect(&sandbox).await;
        wire.send(request).await;
        assert_eq!(wire.status().await, 200, "request {n}");
    }
    let mut patient = Wire::connect(&sandbox).await;
    let expecting = head("POST / HTTP/1.1", 11, "expect: 100-continue\r\n");
    patient.send(&expecting[..expecting.len() - body(11).len()]).await;
    assert_eq!(patient.status().await, 100);
    patient.send(body(11).as_bytes()).await;
    assert_eq!(patient.status().await, 200);
    let mut lengthless = Wire::connect(&sandbox).await;
    lengthless.send(b"POST / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(lengthless.status().await, 200, "no body at all is an empty one");

    let expected: Vec<_> = (0..12u32).map(|n| shipped(&n.to_string())).collect();
    assert_eq!(kept(&world, &sandbox).await, expected);
}

#[tokio::test]
async fn only_post_and_put_bring_bodies() {
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PATCH"] {
        let mut wire = Wire::connect(&sandbox).await;
        wire.send(&request(method, "/", b"")).await;
        assert_eq!(wire.status().await, 405, "{method}");
    }
    assert_eq!(kept(&world, &sandbox).await, []);
}

#[tokio::test]
async fn requests_that_follow_one_another_on_one_connection_are_all_answered() {
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    let mut wire = Wire::connect(&sandbox).await;
    let body = |n: u32| format!("[{}]", function(&n.to_string()));
    // Sent at once: the second is there before the first is answered.
    wire.send(&[request("POST", "/", body(0).as_bytes()), chunked(body(1).as_bytes(), 7)].concat()).await;
    assert_eq!((wire.status().await, wire.status().await), (200, 200));
    for n in 2..50 {
        assert_eq!(wire.post(body(n).as_bytes()).await, 200);
    }
    let expected: Vec<_> = (0..50u32).map(|n| shipped(&n.to_string())).collect();
    assert_eq!(kept(&world, &sandbox).await, expected);
}

#[tokio::test]
async fn bodies_on_several_connections_at_once_are_all_stored() {
    const CONNECTIONS: u32 = 8;
    const BODIES: u32 = 25;
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    let mut posts = tokio::task::JoinSet::new();
    for connection in 0..CONNECTIONS {
        let mut wire = Wire::connect(&sandbox).await;
        posts.spawn(async move {
            for n in 0..BODIES {
                let body = format!("[{},{}]", function(&format!("[{connection},{n}]")), function("\"filler\""));
                assert_eq!(wire.post(body.as_bytes()).await, 200);
            }
        });
    }
    posts.join_all().await;
    let kept = kept(&world, &sandbox).await;
    let filler = shipped("\"filler\"");
    for connection in 0..CONNECTIONS {
        let of_connection = |n| shipped(&format!("[{connection},{n}]"));
        let places: Vec<_> =
            (0..BODIES).map(|n| kept.iter().position(|kept| *kept == of_connection(n)).expect("stored")).collect();
        assert!(places.is_sorted(), "in the order in which they were sent");
        assert!(places.iter().all(|place| kept[place + 1] == filler), "one body is one run of lines");
    }
    assert_eq!(kept.len(), usize::try_from(2 * CONNECTIONS * BODIES).unwrap());
}

#[tokio::test]
async fn a_body_that_the_peer_cuts_is_not_stored_and_disturbs_nothing() {
    let world = World::new().await;
    let sandbox = plain(&world).start().await.unwrap();
    let cut = format!("[{}]", function("\"cut\""));
    let announced = request("POST", "/", cut.as_bytes());
    let in_chunks = [chunked_head(), chunk_of(cut.as_bytes())].concat();
    for part in [&announced[..announced.len() - 1], &announced[..20], &in_chunks, b""] {
        let mut wire = Wire::connect(&sandbox).await;
        wire.send(part).await;
        wire.cut().await;
    }
    let mut slow = Wire::connect(&sandbox).await;
    let body = request("POST", "/", format!("[{}]", function("\"slow\"")).as_bytes());
    slow.send(&body[..body.len() / 2]).await;
    let mut quick = Wire::connect(&sandbox).await;
    assert_eq!(quick.post(format!("[{}]", function("\"quick\"")).as_bytes()).await, 200, "it does not wait for others");
    slow.send(&body[body.len() / 2..]).await;
    assert_eq!(slow.status().await, 200);
    assert_eq!(kept(&world, &sandbox).await, [shipped("\"quick\""), shipped("\"slow\"")]);
}
