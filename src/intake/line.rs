//! How a line of an object is written: `{"time":…,"type":…,"seq":…,"requestId":…}` and then `"message"` if the record is a
//! string, `"record"` if it is an object, `"value"` otherwise, so that every column has one type.
//!
//! Values stand as they were received, byte for byte, with one exception: a carriage return or line feed between JSON
//! tokens becomes a space, since a line ends at a line feed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::attribution::Attribution;
use crate::telemetry::event::{RawEvent, format_time};

/// Type of a line that holds bytes which could not be read as an event.
pub const UNPARSED: &str = "logspool.unparsed";
/// Type of a line that tells how many bytes of a body were beyond the limit.
pub const TRUNCATED: &str = "logspool.truncated";
/// Type of the line of a declared loss, in an object of its own.
pub const DROPPED: &str = "logspool.dropped";
/// Type of the line that ends a spool's stream.
pub const END: &str = "logspool.end";

/// Writes the line of an event.
pub fn event(out: &mut Vec<u8>, event: &RawEvent<'_>, seq: u64, attribution: &Attribution, now_ms: i64) {
    out.extend_from_slice(b"{\"time\":");
    match event.time {
        Some(time) => raw(out, time.get().as_bytes()),
        None => string(out, &format_time(now_ms)),
    }
    out.extend_from_slice(b",\"type\":");
    string(out, &event.kind);
    number(out, ",\"seq\":", seq);
    request_id(out, attribution);
    if let Some(record) = event.record {
        out.extend_from_slice(match record.get().as_bytes().first() {
            Some(b'"') => b",\"message\":".as_slice(),
            Some(b'{') => b",\"record\":",
            _ => b",\"value\":",
        });
        raw(out, record.get().as_bytes());
    }
    extra(out, event);
    out.extend_from_slice(b"}\n");
}

/// Writes the line of bytes that are no event: as a string if they are UTF-8, else in base64 (RFC 4648), which a member
/// `encoding` says.
pub fn unparsed(out: &mut Vec<u8>, bytes: &[u8], seq: u64, attribution: &Attribution, now_ms: i64) {
    own(out, UNPARSED, seq, attribution, now_ms);
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(b",\"message\":");
            string(out, text);
        }
        Err(_) => {
            out.extend_from_slice(b",\"encoding\":\"base64\",\"message\":");
            string(out, &STANDARD.encode(bytes));
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Writes the line of a body that was longer than the limit.
pub fn truncated(out: &mut Vec<u8>, bytes: u64, seq: u64, attribution: &Attribution, now_ms: i64) {
    own(out, TRUNCATED, seq, attribution, now_ms);
    number(out, ",\"record\":{\"bytes\":", bytes);
    out.extend_from_slice(b"}}\n");
}

/// Writes the line of a declared loss. It holds no time: everyone who finds the loss writes the same one.
pub fn dropped(out: &mut Vec<u8>, range: &spool::DroppedRange) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(DROPPED.as_bytes());
    number(out, "\",\"seq\":", range.first.0);
    number(out, ",\"last\":", range.last.0);
    number(out, ",\"records\":", range.records());
    number(out, ",\"bytes\":", range.raw_bytes);
    out.extend_from_slice(b",\"cause\":");
    string(out, range.cause.name());
    if range.maybe_delivered {
        out.extend_from_slice(b",\"maybeDelivered\":true");
    }
    out.extend_from_slice(b"}\n");
}

/// Writes the line that ends a stream: its own process and an adopter write the same one, so it holds no time.
pub fn end(out: &mut Vec<u8>, seq: u64, losses: &spool::Losses, unknown_tail: bool) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(END.as_bytes());
    number(out, "\",\"seq\":", seq);
    out.extend_from_slice(b",\"losses\":{");
    for (index, (cause, loss)) in losses.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, cause.name());
        number(out, ":{\"records\":", loss.records);
        number(out, ",\"bytes\":", loss.bytes);
        out.push(b'}');
    }
    out.push(b'}');
    if unknown_tail {
        out.extend_from_slice(b",\"unknownTail\":true");
    }
    out.extend_from_slice(b"}\n");
}

fn own(out: &mut Vec<u8>, kind: &str, seq: u64, attribution: &Attribution, now_ms: i64) {
    out.extend_from_slice(b"{\"time\":");
    string(out, &format_time(now_ms));
    out.extend_from_slice(b",\"type\":");
    string(out, kind);
    number(out, ",\"seq\":", seq);
    request_id(out, attribution);
}

fn request_id(out: &mut Vec<u8>, attribution: &Attribution) {
    if let Some(request_id) = attribution.as_str() {
        out.extend_from_slice(b",\"requestId\":");
        string(out, request_id);
    }
}

/// Members that the reference does not know stand behind all others, in an object of their own: whatever they are called,
/// they cannot collide with ours.
fn extra(out: &mut Vec<u8>, event: &RawEvent<'_>) {
    if event.extra.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"extra\":{");
    for (index, (name, value)) in event.extra.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        raw(out, RawValue::get(value).as_bytes());
    }
    out.push(b'}');
}

/// Copies JSON. Inside strings line breaks are escaped, so one that is found stands between tokens.
fn raw(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is always JSON, and memory does not fail");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use spool::{LossCause, Losses};

    use super::*;
    use crate::runtime_api::event::RequestId;

    fn written(element: &str) -> String {
        let mut out = Vec::new();
        let attribution = Attribution::Invocation(RequestId("r\"1".into()));
        event(&mut out, &RawEvent::parse(element.as_bytes()).expect("an event"), 7, &attribution, 0);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_kind_of_record_has_a_column_of_its_own() {
        for (record, column) in [
            (r#""a \u00e9\n""#, r#""message":"a \u00e9\n""#),
            (r#"{"b": 1, "a":[2]}"#, r#""record":{"b": 1, "a":[2]}"#),
            ("17", r#""value":17"#),
            ("null", r#""value":null"#),
            ("[1,2]", r#""value":[1,2]"#),
        ] {
            let line = written(&format!(r#"{{"time":"t","type":"function","record":{record}}}"#));
            assert_eq!(
                line,
                format!("{{\"time\":\"t\",\"type\":\"function\",\"seq\":7,\"requestId\":\"r\\\"1\",{column}}}\n")
            );
        }
    }

    #[test]
    fn line_breaks_between_tokens_become_spaces() {
        let line = written("{\"time\":\"t\",\"type\":\"x\",\"record\":{\r\n\"a\":\n1}}");
        assert!(line.ends_with("\"record\":{  \"a\": 1}}\n"), "{line}");
    }

    #[test]
    fn unknown_members_are_kept_apart_and_a_missing_time_is_ours() {
        let line = written(r#"{"type":"x","seq":9,"more":{"k":1}}"#);
        let expected = r#"{"time":"1970-01-01T00:00:00.000Z","type":"x","seq":7,"requestId":"r\"1","extra":{"seq":9,"more":{"k":1}}}"#;
        assert_eq!(line.trim_end(), expected);
    }

    #[test]
    fn unparsed_bytes_come_back_whatever_they_are() {
        for bytes in [b"{\"a\":\n".as_slice(), b"\xff\x00[", b""] {
            let mut out = Vec::new();
            unparsed(&mut out, bytes, 0, &Attribution::Unattributed, 0);
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            let line: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            let message = line["message"].as_str().expect("a string");
            let back = match line.get("encoding") {
                Some(_) => STANDARD.decode(message).expect("base64"),
                None => message.as_bytes().to_vec(),
            };
            assert_eq!(back, bytes);
        }
    }

    #[test]
    fn the_end_tells_losses_by_cause() {
        let mut losses = Losses::default();
        let mut out = Vec::new();
        end(&mut out, u64::MAX, &losses, true);
        losses.add(LossCause::Quota, 3, 10);
        losses.add(LossCause::Platform, 1, 0);
        end(&mut out, 0, &losses, false);
        let expected = "{\"type\":\"logspool.end\",\"seq\":18446744073709551615,\"losses\":{},\"unknownTail\":true}\n\
            {\"type\":\"logspool.end\",\"seq\":0,\"losses\":{\"quota\":{\"records\":3,\"bytes\":10},\"platform\":{\"records\":1,\"bytes\":0}}}\n";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
