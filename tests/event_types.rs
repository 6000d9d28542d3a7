//! P7 by table: every event type of every schema version, and what no schema knows. Each is posted to the listener, goes through
//! a spool on disk, and is read back from its object: number, type, time and request id as the reference has them, and the record
//! byte for byte.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

#[path = "event_types/logs_api.rs"]
mod logs_api;
#[path = "event_types/odd.rs"]
mod odd;
#[path = "handover/process.rs"]
mod process;
#[path = "event_types/schema_2022.rs"]
mod schema_2022;
#[path = "event_types/schema_2025_01_29.rs"]
mod schema_2025_01_29;
#[path = "event_types/table.rs"]
mod table;
#[path = "world/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use logspool::telemetry::listener::{Listener, ListenerSettings};
use process::{Process, deliver};
use serde_json::value::RawValue;
use spool::Codec;
use table::Row;
use wire::Wire;

#[rustfmt::skip]
const TABLES: [(&str, &[Row]); 5] = [
    ("2025-01-29", schema_2025_01_29::ROWS),
    ("2022-12-13", schema_2022::OF_DECEMBER),
    ("2022-07-01", schema_2022::OF_JULY),
    ("Logs API", logs_api::ROWS),
    ("odd", odd::ROWS),
];

/// What the reference names, as `platform.…`.
const PLATFORM_TYPES: [&str; 13] = [
    "initStart",
    "initRuntimeDone",
    "initReport",
    "restoreStart",
    "restoreRuntimeDone",
    "restoreReport",
    "start",
    "runtimeDone",
    "report",
    "extension",
    "telemetrySubscription",
    "logsSubscription",
    "logsDropped",
];

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Members in the order in which they stand, also those that stand there twice.
fn members(json: &str) -> Vec<(String, &RawValue)> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: serde::de::MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let members = serde::Deserializer::deserialize_map(&mut reader, Members).unwrap();
    reader.end().unwrap();
    members
}

/// Posts these bodies to a process with a spool on a directory, and returns the lines that it has left, without the end.
async fn delivered(bodies: &[String], codec: Codec) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    let process = Process::begin(root.path(), 0, codec);
    let settings = ListenerSettings { port: None, body_bytes_max: 8 << 20 };
    let listener = Arc::new(Listener::bind(settings).await.unwrap());
    let port = listener.port();
    let serving = tokio::spawn(listener.serve(process.handler()));
    let mut wire = Wire::to(port).await;
    for body in bodies {
        assert_eq!(wire.post(body.as_bytes()).await, 200, "{body}");
        process.seal();
    }
    serving.abort();
    let _ = serving.await;
    // The connection's task still holds the handler; it ends with the connection.
    drop(wire);
    while process.is_held() {
        tokio::task::yield_now().await;
    }
    process.end();
    let root_path = root.path().to_owned();
    let objects = tokio::task::spawn_blocking(move || deliver(&root_path, 1)).await.unwrap();
    let mut lines = Vec::new();
    for (name, bytes) in objects {
        let text = String::from_utf8(decoded(&bytes, codec)).unwrap();
        assert!(text.ends_with('\n'), "{name}");
        lines.extend(text.lines().map(str::to_owned));
    }
    assert!(lines.pop().unwrap().contains("logspool.end"));
    lines
}

/// With a decoder that is not ours.
fn decoded(bytes: &[u8], codec: Codec) -> Vec<u8> {
    match codec {
        Codec::None => bytes.to_vec(),
        Codec::Zstd => {
            let mut text = Vec::new();
            ruzstd::decoding::StreamingDecoder::new(bytes).unwrap().read_to_end(&mut text).unwrap();
            text
        }
        Codec::Gzip => unreachable!("no table is written with it"),
    }
}

/// What is wrong with the line of a row.
fn findings(row: &Row, seq: usize, line: &str) -> Vec<String> {
    let sent = members(row.event);
    let found: Members<'_> = members(line).into_iter().collect();
    let get = |name: &str| found.get(name).map(|value| value.get());
    let sent_first = |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
    let text = |value: &str| serde_json::from_str::<String>(value).unwrap();
    let mut findings = Vec::new();
    let mut same = |what: &str, found: Option<String>, expected: Option<String>| {
        if found != expected {
            findings.push(format!("{what} is {found:?}, not {expected:?}"));
        }
    };
    same("seq", get("seq").map(str::to_owned), Some(seq.to_string()));
    same("type", get("type").map(text), sent_first("type").map(text));
    same("requestId", get("requestId").map(text), row.request_id.map(str::to_owned));
    match sent_first("time") {
        Some(time) => same("time", get("time").map(str::to_owned), Some(time.to_owned())),
        // The moment at which it came, as the platform writes times.
        None => same("length of the time", get("time").map(|time| text(time).len().to_string()), Some("24".into())),
    }
    let record = row.column.map(|_| sent_first("record").unwrap().to_owned());
    for column in [table::MESSAGE, table::RECORD, table::VALUE] {
        let expected = record.clone().filter(|_| row.column == column);
        same(column.unwrap(), get(column.unwrap()).map(str::to_owned), expected);
    }
    // What the reference does not know stands in an object of its own, each member as it was.
    let mut known = vec!["time", "type", "record"];
    let mut unknown = Vec::new();
    for (name, value) in &sent {
        match known.iter().position(|known| known == name) {
            Some(at) => drop(known.swap_remove(at)),
            None => unknown.push((name.clone(), value.get().to_owned())),
        }
    }
    let extra = get("extra").map_or_else(Vec::new, members);
    let extra: Vec<_> = extra.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect();
    same("extra", Some(format!("{extra:?}")), Some(format!("{unknown:?}")));
    findings
}

async fn assert_table(bodies_of: fn(&[Row]) -> Vec<String>, codec: Codec) {
    let mut wrong = Vec::new();
    for (table, rows) in TABLES {
        let lines = delivered(&bodies_of(rows), codec).await;
        assert_eq!(lines.len(), rows.len(), "{table}: {lines:#?}");
        for (seq, (row, line)) in rows.iter().zip(&lines).enumerate() {
            let found = findings(row, seq, line).into_iter();
            wrong.extend(found.map(|finding| format!("{table}, {}: {finding}, in {line}", row.name)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn array(events: &[&str]) -> String {
    format!("[{}]", events.join(","))
}

#[tokio::test]
async fn every_event_of_every_schema_comes_back_from_one_body() {
    let one_body = |rows: &[Row]| vec![array(&rows.iter().map(|row| row.event).collect::<Vec<_>>())];
    for codec in [Codec::Zstd, Codec::None] {
        assert_table(one_body, codec).await;
    }
}

#[tokio::test]
async fn every_event_of_every_schema_comes_back_from_a_body_and_an_object_of_its_own() {
    let each_its_own = |rows: &[Row]| rows.iter().map(|row| array(&[row.event])).collect();
    for codec in [Codec::Zstd, Codec::None] {
        assert_table(each_its_own, codec).await;
    }
}

#[test]
fn the_tables_hold_every_type_that_the_reference_names() {
    for (table, left_out) in [
        ("2025-01-29", &[][..]),
        ("2022-12-13", &["logsSubscription"]),
        // It is older than SnapStart.
        ("2022-07-01", &["logsSubscription", "restoreStart", "restoreRuntimeDone", "restoreReport"]),
    ] {
        let (_, rows) = TABLES.iter().find(|(name, _)| *name == table).unwrap();
        let has = |kind: String| rows.iter().any(|row| row.event.contains(&format!(r#""type":"{kind}""#)));
        for kind in PLATFORM_TYPES.iter().filter(|kind| !left_out.contains(kind)) {
            assert!(has(format!("platform.{kind}")), "{table}: {kind}");
        }
        assert!(has("function".into()) && has("extension".into()), "{table}");
    }
}
