//! How a line of an object is written.
//!
//! In the format `json`: `{"time":…,"type":…,"seq":…,"requestId":…`, what the request carries (`"tenantId"`), the extra
//! members that were asked for, `"labels"`, and then `"message"` if the record is a string, `"record"` if it is an object,
//! `"value"` otherwise, so that every column has one type.
//!
//! Values stand as they were received, byte for byte, with one exception: a carriage return or line feed between JSON
//! tokens becomes a space, since a line ends at a line feed. For `text` and `raw` see [`plain`].
//!
//! Lines that an adopter may have to write (the end, a fragment) say nothing that only the process knew which should have
//! written them: no extra members, and the format of the spool that they end.

mod plain;
mod style;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr2;
pub use style::{Field, FieldFacts, LineSettings, LineStyle};

use super::attribution::{Attribution, Attributor};
use crate::telemetry::event::{RawEvent, write_time};
use crate::telemetry::json::{Json, is_plain};
use crate::upload::object_key::LineFormat;

/// Type of a line that holds bytes which could not be read as an event.
pub const UNPARSED: &str = "logspool.unparsed";
/// Type of a line that tells how many bytes of a body were beyond the limit.
pub const TRUNCATED: &str = "logspool.truncated";
/// Type of the line of a declared loss, in an object of its own.
pub const DROPPED: &str = "logspool.dropped";
/// Type of the line that ends a spool's stream.
pub const END: &str = "logspool.end";

/// What a line says beside its record.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Its number.
    pub seq: u64,
    /// The request, or `init`.
    pub request_id: Option<&'a str>,
    /// The request's tenant.
    pub tenant_id: Option<&'a str>,
    /// The request's trace.
    pub trace_id: Option<&'a str>,
    /// Time of a line that brings none along.
    pub now_ms: i64,
}

impl<'a> Head<'a> {
    /// The head of a line of that request.
    pub fn new(seq: u64, request_id: Option<&'a str>, attributor: &'a Attributor, now_ms: i64) -> Self {
        Self::bare(seq, request_id, now_ms).told_by(attributor)
    }

    /// The same without what is known of the request.
    pub fn bare(seq: u64, request_id: Option<&'a str>, now_ms: i64) -> Self {
        Self { seq, request_id, tenant_id: None, trace_id: None, now_ms }
    }

    fn told_by(self, attributor: &'a Attributor) -> Self {
        match attributor.carried.of(self.request_id) {
            Some(told) => Self { tenant_id: told.tenant_id.as_deref(), trace_id: told.trace_id.as_deref(), ..self },
            None => self,
        }
    }

    /// The head of a line of what is in force.
    pub fn in_force(seq: u64, attributor: &'a Attributor, now_ms: i64) -> Self {
        Self::new(seq, attributor.in_force().as_str(), attributor, now_ms)
    }
}

/// Where in the lines the members of the line before stand, which one of the same request repeats.
#[derive(Debug)]
pub struct Repeated {
    members: Range<usize>,
    request_id: Range<usize>,
}

/// Writes the line of an event. What is known of the request is asked of `attributor` where the line before does not tell:
/// `repeated` holds as long as nothing new is told of the request.
pub fn event(
    out: &mut Vec<u8>,
    style: &LineStyle,
    event: &RawEvent<'_>,
    bare: Head<'_>,
    attributor: &Attributor,
    repeated: &mut Option<Repeated>,
) {
    if style.format() != LineFormat::Json {
        return plain::event(out, style.format(), event, &bare);
    }
    match event.head {
        Some(written) => {
            out.extend_from_slice(written.as_bytes());
            number(out, "\"seq\":", bare.seq);
            repeated_members(out, style, bare, attributor, repeated);
        }
        None => begin(out, style, &event.kind, event.time, &bare.told_by(attributor)),
    }
    if let Some(record) = event.record {
        out.extend_from_slice(match record.get().as_bytes().first() {
            Some(b'"') => b",\"message\":".as_slice(),
            Some(b'{') => b",\"record\":",
            _ => b",\"value\":",
        });
        if event.is_one_line {
            out.extend_from_slice(record.get().as_bytes());
        } else {
            raw(out, record.get());
        }
    }
    extra(out, event);
    out.extend_from_slice(b"}\n");
}

/// Writes the line of bytes that are no event: as a string if they are UTF-8, else in base64 (RFC 4648), which a member
/// `encoding` says.
pub fn unparsed(out: &mut Vec<u8>, style: &LineStyle, bytes: &[u8], head: &Head<'_>) {
    begin(out, style, UNPARSED, None, head);
    let is_json = style.format() == LineFormat::Json;
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            out.extend_from_slice(if is_json { b",\"message\":" } else { b"" });
            string(out, text);
            out.extend_from_slice(if is_json { b"}\n" } else { b"\n" });
        }
        Err(_) => {
            out.push(if is_json { b',' } else { b'{' });
            out.extend_from_slice(b"\"encoding\":\"base64\",\"message\":");
            string(out, &STANDARD.encode(bytes));
            out.extend_from_slice(b"}\n");
        }
    }
}

/// Writes the line of a fragment that its own process did not complete, in the format of its spool: of its bytes, as every
/// adopter finds them, with what the spool says of them and no clock.
pub fn fragment(out: &mut Vec<u8>, format: LineFormat, fragment: &spool::PendingFragment, bytes: &[u8]) {
    let attribution = Attribution::restore(fragment.request_id().map(str::to_owned));
    let style = LineStyle::new(&LineSettings { format, ..LineSettings::default() }, &FieldFacts::default());
    let head = Head {
        seq: fragment.seq().0,
        request_id: attribution.as_str(),
        tenant_id: None,
        trace_id: None,
        now_ms: fragment.time_ms(),
    };
    unparsed(out, &style, bytes, &head);
}

/// Writes the line of a body that was longer than the limit.
pub fn truncated(out: &mut Vec<u8>, style: &LineStyle, bytes: u64, head: &Head<'_>) {
    own(out, style, TRUNCATED, None, head, |out| {
        number(out, "{\"bytes\":", bytes);
        out.push(b'}');
    });
}

/// Writes a line of our own whose record is the object that `record` writes.
pub fn own(
    out: &mut Vec<u8>,
    style: &LineStyle,
    kind: &str,
    time: Option<Json<'_>>,
    head: &Head<'_>,
    record: impl FnOnce(&mut Vec<u8>),
) {
    begin(out, style, kind, time, head);
    let is_json = style.format() == LineFormat::Json;
    out.extend_from_slice(if is_json { b",\"record\":" } else { b"" });
    record(out);
    out.extend_from_slice(if is_json { b"}\n" } else { b"\n" });
}

/// Writes the line of a declared loss, in an object that has a name and a format of its own. It holds no time: everyone who
/// finds the loss writes the same one.
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
pub fn end(out: &mut Vec<u8>, format: LineFormat, seq: u64, losses: &spool::Losses, unknown_tail: bool) {
    out.extend_from_slice(match format {
        LineFormat::Json => b"{\"type\":\"".as_slice(),
        LineFormat::Text => b"-\t-\t",
        LineFormat::Raw => b"",
    });
    out.extend_from_slice(END.as_bytes());
    number(out, if format == LineFormat::Json { "\",\"seq\":" } else { " {\"seq\":" }, seq);
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

/// Writes everything that stands before the record.
fn begin(out: &mut Vec<u8>, style: &LineStyle, kind: &str, time: Option<Json<'_>>, head: &Head<'_>) {
    if style.format() != LineFormat::Json {
        plain::columns(out, style.format(), time.map(Json::get), head);
        out.extend_from_slice(kind.as_bytes());
        return out.push(b' ');
    }
    out.extend_from_slice(b"{\"time\":");
    match time {
        Some(time) => raw(out, time.get()),
        None => {
            out.push(b'"');
            clock(out, head.now_ms);
            out.push(b'"');
        }
    }
    out.extend_from_slice(b",\"type\":");
    string(out, kind);
    number(out, ",\"seq\":", head.seq);
    members(out, style, head);
}

/// Writes what stands between the number and the record, by copying it where it is the same as in the line before.
fn repeated_members(
    out: &mut Vec<u8>,
    style: &LineStyle,
    bare: Head<'_>,
    attributor: &Attributor,
    repeated: &mut Option<Repeated>,
) {
    let request_id = bare.request_id.unwrap_or_default();
    if let Some(repeated) = repeated
        && !request_id.is_empty()
        && out.get(repeated.request_id.clone()) == Some(request_id.as_bytes())
    {
        return out.extend_from_within(repeated.members.clone());
    }
    let start = out.len();
    members(out, style, &bare.told_by(attributor));
    // An id that needs escapes does not stand there as it is.
    let id = start + REQUEST_ID.len();
    *repeated =
        is_plain(request_id).then(|| Repeated { members: start..out.len(), request_id: id..id + request_id.len() });
}

/// How the members between number and record begin, if the request is known.
const REQUEST_ID: &str = ",\"requestId\":\"";

/// Writes what stands between the number and the record.
fn members(out: &mut Vec<u8>, style: &LineStyle, head: &Head<'_>) {
    for (name, value) in [("requestId", head.request_id), ("tenantId", head.tenant_id)] {
        if let Some(value) = value {
            style::member(out, name, value);
        }
    }
    style.extra_members(out, head.trace_id);
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
        raw(out, value.get());
    }
    out.push(b'}');
}

/// Copies JSON. Inside strings line breaks are escaped, so one that is found stands between tokens.
fn raw(out: &mut Vec<u8>, json: &str) {
    let start = out.len();
    out.extend_from_slice(json.as_bytes());
    if !json.starts_with('"') && memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
        for byte in &mut out[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// Writes a time of our own, as the platform writes its.
fn clock(out: &mut Vec<u8>, unix_ms: i64) {
    write_time(&mut Clock(out), unix_ms).expect("memory does not fail");
}

struct Clock<'a>(&'a mut Vec<u8>);

impl fmt::Write for Clock<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a string is always JSON, and memory does not fail");
    }
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
