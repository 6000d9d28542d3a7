//! However a record is cut, its parts are joined to what they were; and what is no part makes nobody stumble.

use serde_json::Value;

use crate::telemetry::body::{Piece, pieces};
use crate::telemetry::stitch::{CutRecord, events_behind};

const ENVELOPE: &str = r#"{"time":"2026-09-03T14:29:52.929Z","type":"function","record":"#;
const BEHIND: &str = r#"{"time":"2026-09-03T14:29:52.930Z","type":"platform.runtimeDone","record":{}}"#;

/// Input: three bytes that say where it is cut, then the record; what is no JSON becomes a text.
pub fn stitch(data: &[u8]) {
    let Some((cuts, rest)) = data.split_first_chunk::<3>() else { return };
    whatever_it_is(rest);
    let text = String::from_utf8_lossy(rest);
    let record = match serde_json::from_str::<Value>(&text) {
        Ok(Value::String(_) | Value::Object(_)) => text.trim().to_owned(),
        _ => serde_json::to_string(&text).expect("text"),
    };
    let value = record.as_bytes();
    let mut at: Vec<usize> = cuts.iter().map(|cut| 1 + usize::from(*cut) % (value.len() - 1)).collect();
    at.sort_unstable();
    at.dedup();
    at.push(value.len());
    let mut from = 0;
    let parts: Vec<&[u8]> = at.iter().map(|to| &value[std::mem::replace(&mut from, *to)..*to]).collect();
    // The middle of a record may be a record by itself: then nobody can tell.
    if !parts[1..].iter().any(|part| is_record(part)) {
        are_joined(&parts, value);
    }
}

/// By itself, or with the end of an event behind it.
fn is_record(part: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(part).into_iter::<Value>();
    let is_value = matches!(values.next(), Some(Ok(Value::String(_) | Value::Object(_))));
    let behind = part[values.byte_offset()..].trim_ascii_start();
    is_value && (behind.is_empty() || behind.starts_with(b"}"))
}

fn are_joined(parts: &[&[u8]], value: &[u8]) {
    let body = |part: &[u8], behind: &str| [b"[", ENVELOPE.as_bytes(), part, behind.as_bytes()].concat();
    let (last, cut) = parts.split_last().expect("one at least");
    let Some((first, middle)) = cut.split_first() else { return };
    let mut half = cut_of(&body(first, "}]")).expect("it is seen to be cut");
    for part in middle {
        let joined = half.join(&body(part, "}]")).expect("it goes on");
        half = cut_of(&joined).expect("it is seen to be cut again");
    }
    let joined = half.join(&body(last, &format!("}},{BEHIND}]"))).expect("it comes to its end");
    assert_eq!(joined, body(value, &format!("}},{BEHIND}]")));
}

fn cut_of(body: &[u8]) -> Option<CutRecord> {
    match pieces(body).last()? {
        Piece::Rest(rest) => CutRecord::of(rest),
        Piece::Element(_) => None,
    }
}

fn whatever_it_is(bytes: &[u8]) {
    let (one, other) = bytes.split_at(bytes.len() / 2);
    if let Some(half) = CutRecord::of(one) {
        let _ = (half.join(other), half.join(bytes), half.time_ms());
    }
    if let Some((before, events)) = events_behind(bytes) {
        assert_eq!(before.len() + 1 + events.len(), bytes.len());
    }
}
