//! What lies in the objects, line by line and byte for byte, for every format and everything that lines can say beside their
//! record; also what an adopter writes for a life that had another format.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::fs;

use sandbox::s3::{Fault, StoredObject};
use sandbox::{Fate, Sandbox, SandboxBuilder, ShutdownReason};
use serde_json::Value;
use world::wire::Wire;
use world::{World, file_name};

const TIME: &str = "2026-01-10T10:00:03.004Z";
/// Stands for a time that the process has written.
const NOW: &str = "NOW";

/// Only what is posted here is shipped: the platform of the sandbox has nothing to say in this stream.
fn quiet(world: &World, format: &str) -> SandboxBuilder {
    world
        .sandbox()
        .freeze(false)
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_TYPES", "function")
        .extension_env("LOGSPOOL_SEAL_AGE", "1h")
        .extension_env("LOGSPOOL_FORMAT", format)
}

/// An environment in which this request has begun, with its trace.
async fn begun(sandbox: SandboxBuilder, request_id: &str) -> Sandbox {
    let sandbox = sandbox.start().await.unwrap();
    sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).any(|event| event.kind == "platform.initStart")).await;
    let tracing = r#"{"type":"X-Amzn-Trace-Id","value":"Root=1-6352a70e-1e2c;Parent=35465b3a9e2f7c6a;Sampled=1"}"#;
    let start = format!(r#"{{"requestId":"{request_id}","tenantId":"blue","tracing":{tracing}}}"#);
    post(&sandbox, event("platform.start", &start)).await;
    sandbox
}

fn event(kind: &str, record: &str) -> String {
    format!(r#"[{{"time":"{TIME}","type":"{kind}","record":{record}}}]"#)
}

async fn post(sandbox: &Sandbox, body: impl AsRef<[u8]>) {
    assert_eq!(Wire::connect(sandbox).await.post(body.as_ref()).await, 200);
}

/// Ends the life, and returns the one object that it has written.
async fn the_object(world: &World, sandbox: &Sandbox) -> StoredObject {
    sandbox.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    let [object] = world.objects_of_first_life().try_into().expect("nothing seals before the end");
    object
}

/// The text with the times that the process has written replaced: they are those of no event.
fn without_now(object: &StoredObject) -> String {
    let text = std::str::from_utf8(&object.bytes).unwrap();
    let this_year = |at: &usize| {
        let time = text.get(*at..at + TIME.len()).unwrap_or_default();
        time.ends_with('Z') && time != TIME && time.as_bytes()[10] == b'T' && time.starts_with("20")
    };
    let mut out = String::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        if this_year(&at) {
            out.push_str(NOW);
            at += TIME.len();
        } else {
            out.push(character);
            at += character.len_utf8();
        }
    }
    out
}

#[track_caller]
fn assert_lines(text: &str, expected: &[String]) {
    assert!(text.ends_with('\n'), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn text_and_raw_are_lines_for_people() {
    // What is posted; time, request and message of its line.
    let rows = [
        (event("function", r#""plain""#), (TIME, "r-1", "plain")),
        (
            event("function", r#""two\nlines\r\n\ttab \u00fc \ud83d\ude00 \"q\" \\ back \u0000 \/\n""#),
            (TIME, "r-1", "two\\nlines\\r\\n\ttab ü 😀 \"q\" \\ back \\0 /"),
        ),
        (
            event("function", r#"{"level":"INFO", "requestId":"own","message":"a\nb"}"#),
            (TIME, "own", r#"{"level":"INFO", "requestId":"own","message":"a\nb"}"#),
        ),
        (event("function", "17"), (TIME, "r-1", "17")),
        (event("function", r#""""#), (TIME, "r-1", "")),
        (format!(r#"[{{"time":"{TIME}","type":"function"}}]"#), (TIME, "r-1", "")),
        (r#"[{"type":"function","record":"when?"}]"#.to_owned(), (NOW, "r-1", "when?")),
        (r#"[{"time":"no time\nat all","type":"function","record":"x"}]"#.to_owned(), (r"no_time\nat_all", "r-1", "x")),
        (event("workload", r#""x\ny""#), (TIME, "r-1", r#"workload "x\ny""#)),
        (
            event("platform.logsDropped", r#"{"droppedRecords":3,"droppedBytes":99}"#),
            (TIME, "r-1", r#"platform.logsDropped {"droppedRecords":3,"droppedBytes":99}"#),
        ),
        ("no event\nat all".to_owned(), (NOW, "r-1", r#"logspool.unparsed "no event\nat all""#)),
        (
            event("platform.report", r#"{"requestId":"r-1","metrics":{"durationMs":7.5}}"#),
            (
                TIME,
                "r-1",
                r#"logspool.invocation {"coldStart":true,"durationMs":7.5,"tracing":"Root=1-6352a70e-1e2c;Parent=35465b3a9e2f7c6a;Sampled=1","lines":7,"bytes":78}"#,
            ),
        ),
    ];
    for format in ["text", "raw"] {
        let world = World::new().await;
        let sandbox = begun(quiet(&world, format).extension_env("LOGSPOOL_INVOCATIONS", "true"), "r-1").await;
        let line = |(time, request, message): (&str, &str, &str)| match format {
            "text" => format!("{time}\t{request}\t{message}"),
            _ => message.to_owned(),
        };
        let mut expected = Vec::new();
        for (body, told) in &rows {
            post(&sandbox, body).await;
            expected.push(line(*told));
        }
        post(&sandbox, b"no \xff text").await;
        expected.push(line((NOW, "r-1", r#"logspool.unparsed {"encoding":"base64","message":"bm8g/yB0ZXh0"}"#)));
        let end =
            format!(r#"logspool.end {{"seq":{},"losses":{{"platform":{{"records":3,"bytes":99}}}}}}"#, expected.len());
        expected.push(line(("-", "-", &end)));

        let object = the_object(&world, &sandbox).await;
        assert_lines(&without_now(&object), &expected);
        let name = file_name(&object.key);
        assert!(name.ends_with("-end.log"), "{name}");
        assert_eq!(object.content_type.as_deref(), Some("text/plain"));
        let metadata = ["format", "first", "last", "records", "raw-bytes", "seal"]
            .map(|name| &object.metadata[&format!("logspool-{name}")]);
        let last = (expected.len() - 1).to_string();
        let (records, bytes) = (expected.len().to_string(), object.bytes.len().to_string());
        assert_eq!(metadata, ["1", "0", &last, &records, &bytes, "shutdown"]);
        assert_eq!(object.metadata["logspool-platform-drops"], "3 records, 99 bytes");
    }
}

#[tokio::test]
async fn fields_and_labels_stand_in_every_line_of_json_but_the_end() {
    let world = World::new().await;
    let fields = "traceId,architecture,memory,spool,account,region,version,function";
    let sandbox = quiet(&world, "json")
        .function_name("orders")
        .memory_mb(1769)
        .extension_env("LOGSPOOL_FIELDS", fields)
        .extension_env("LOGSPOOL_LABELS", "team=päyments \"A\", stage = prod");
    let sandbox = begun(sandbox, "r-1").await;
    post(&sandbox, event("function", r#"{"a": 1}"#)).await;
    post(&sandbox, event("function", r#"{"requestId":"another"}"#)).await;
    post(&sandbox, "no event").await;
    let object = the_object(&world, &sandbox).await;

    let name = file_name(&object.key);
    assert!(name.ends_with("-end.ndjson"), "{name}");
    assert_eq!(object.content_type.as_deref(), Some("application/x-ndjson"));
    let (spool, region) = (name.split('-').next().unwrap(), world.s3.region());
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let members = format!(
        r#""function":"orders","version":"$LATEST","region":"{region}","account":"123456789012","spool":"{spool}","memory":1769,"architecture":"{architecture}""#
    );
    let labels = r#""labels":{"team":"päyments \"A\"","stage":"prod"}"#;
    let expected = [
        format!(
            r#"{{"time":"{TIME}","type":"function","seq":0,"requestId":"r-1","tenantId":"blue",{members},"traceId":"1-6352a70e-1e2c",{labels},"record":{{"a": 1}}}}"#
        ),
        format!(
            r#"{{"time":"{TIME}","type":"function","seq":1,"requestId":"another",{members},{labels},"record":{{"requestId":"another"}}}}"#
        ),
        format!(
            r#"{{"time":"{NOW}","type":"logspool.unparsed","seq":2,"requestId":"r-1","tenantId":"blue",{members},"traceId":"1-6352a70e-1e2c",{labels},"message":"no event"}}"#
        ),
        r#"{"type":"logspool.end","seq":3,"losses":{}}"#.to_owned(),
    ];
    assert_lines(&without_now(&object), &expected);
}

#[tokio::test]
async fn fields_and_labels_have_no_place_in_text_and_that_is_said() {
    let world = World::new().await;
    let sandbox =
        quiet(&world, "text").extension_env("LOGSPOOL_FIELDS", "region").extension_env("LOGSPOOL_LABELS", "a=b");
    let sandbox = begun(sandbox, "r-1").await;
    post(&sandbox, event("function", r#""plain""#)).await;
    let object = the_object(&world, &sandbox).await;
    let expected = [format!("{TIME}\tr-1\tplain"), "-\t-\tlogspool.end {\"seq\":1,\"losses\":{}}".to_owned()];
    assert_lines(&without_now(&object), &expected);
    let line = world::the_line(&sandbox, "Bad settings");
    for part in
        ["LOGSPOOL_FIELDS=\"region\": only lines of FORMAT=json", "LOGSPOOL_LABELS=\"a=b\": only lines of FORMAT=json"]
    {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

/// A life that was killed while the store was down, with a file that somebody removed and half a record. What it leaves is
/// written by the next one, which has another format.
#[tokio::test]
async fn what_is_adopted_keeps_the_format_of_the_life_that_wrote_it() {
    for (own, next) in [("text", "json"), ("json", "raw"), ("raw", "text")] {
        let world = World::new().await;
        world.s3.faults().set(Fault::RefuseConnections);
        let sandbox = begun(quiet(&world, own).extension_env("LOGSPOOL_SEAL_SIZE", "1KiB"), "r-1").await;
        let [spool] = world.spools().try_into().expect("one life");
        let long = |number: usize| format!("line {number} {}", "x".repeat(1_100));
        for number in 0..3 {
            post(&sandbox, event("function", &format!("{:?}", long(number)))).await;
            // One object each.
            while !spool.join(format!("{:012}.seg", number + 1)).exists() {
                world::pause(5).await;
            }
        }
        post(&sandbox, format!(r#"[{{"time":"{TIME}","type":"function","record":"half}}]"#)).await;
        sandbox.kill_extension().await;
        fs::remove_file(spool.join(format!("{:012}.seg", 1))).unwrap();
        world.s3.faults().clear();
        let spool = spool.file_name().unwrap().to_str().unwrap().to_owned();

        // Another request: the same bytes would be taken for a body that is offered once more.
        let sandbox = begun(quiet(&world, next), "r-2").await;
        post(&sandbox, event("function", r#""of the next life""#)).await;
        sandbox.shutdown(ShutdownReason::Spindown).await;
        world.heal().await;

        let line = |format: &str, request_id: &str, seq: u64, text: &str| match format {
            "text" => format!("{TIME}\t{request_id}\t{text}\n"),
            "raw" => format!("{text}\n"),
            _ => format!(
                "{{\"time\":\"{TIME}\",\"type\":\"function\",\"seq\":{seq},\"requestId\":\"{request_id}\",\"tenantId\":\"blue\",\"message\":\"{text}\"}}\n"
            ),
        };
        let half = serde_json::to_string(&format!(r#"{{"time":"{TIME}","type":"function","record":"half"#)).unwrap();
        let losses = r#"{"vanished":{"records":1,"bytes":"#;
        let end = match own {
            "text" => [
                format!("{NOW}\tr-1\tlogspool.unparsed {half}"),
                format!("-\t-\tlogspool.end {{\"seq\":4,\"losses\":{losses}"),
            ],
            "raw" => [format!("logspool.unparsed {half}"), format!("logspool.end {{\"seq\":4,\"losses\":{losses}")],
            _ => [
                format!(
                    "{{\"time\":\"{NOW}\",\"type\":\"logspool.unparsed\",\"seq\":3,\"requestId\":\"r-1\",\"message\":{half}}}"
                ),
                format!("{{\"type\":\"logspool.end\",\"seq\":4,\"losses\":{losses}"),
            ],
        };
        let extension = |format: &str| if format == "json" { ".ndjson" } else { ".log" };
        let of_spool = |object: &StoredObject| file_name(&object.key).starts_with(&spool);
        let (mut left, others): (Vec<_>, Vec<_>) = world.objects().into_iter().partition(of_spool);
        left.sort_by(|a, b| file_name(&a.key).cmp(file_name(&b.key)));
        let [first, dropped, third, last] = &left[..] else { panic!("{own}: {left:#?}") };
        for (object, seq) in [(first, 0), (third, 2)] {
            let name = file_name(&object.key);
            assert!(name.ends_with(extension(own)), "{own}: {name}");
            let text = std::str::from_utf8(&object.bytes).unwrap();
            assert_eq!(text, line(own, "r-1", seq, &long(usize::try_from(seq).unwrap())), "{own}");
        }
        // A loss has a name and a format of its own.
        assert!(file_name(&dropped.key).ends_with("-000000000001-000000000001-vanished.dropped"), "{}", dropped.key);
        let loss: Value = serde_json::from_slice(&dropped.bytes).unwrap();
        assert_eq!((&loss["type"], &loss["records"]), (&"logspool.dropped".into(), &1.into()), "{loss}");
        assert_eq!(dropped.content_type.as_deref(), Some("application/x-ndjson"));
        let (name, text) = (file_name(&last.key), without_now(last));
        assert!(name.ends_with(&format!("-end{}", extension(own))), "{own}: {name}");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{own}: {text}");
        assert!(lines[0] == end[0] && lines[1].starts_with(&end[1]), "{own}: {text} instead of {end:#?}");
        let content_type = if own == "json" { "application/x-ndjson" } else { "text/plain" };
        assert_eq!(last.content_type.as_deref(), Some(content_type));

        let of_next =
            others.iter().find(|object| String::from_utf8_lossy(&object.bytes).contains("of the next life")).unwrap();
        assert!(file_name(&of_next.key).contains(extension(next)), "{next}: {}", of_next.key);
        let text = std::str::from_utf8(&of_next.bytes).unwrap();
        assert!(text.starts_with(&line(next, "r-2", 0, "of the next life")), "{next}: {text}");
    }
}
