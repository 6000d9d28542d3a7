//! Lines for people and their tools: `text` is time, request id and message with tabs between them, `raw` the message alone.
//!
//! * One record is one line, always: line breaks and NUL (it would make `grep` take a file for binary) are written with a
//!   backslash. Other backslashes stay as they are, so that JSON in a text can be read by what reads JSON; `json` is the format
//!   that keeps both apart. One line break at the end of a message is left out.
//! * What the function and extensions say stands for itself. Any other record stands behind its type, as JSON.

use super::{Head, clock, raw};
use crate::intake::filter::json_text::first_character;
use crate::telemetry::event::{EventKind, RawEvent};
use crate::upload::object_key::LineFormat;

/// Stands for a time or a request id that there is none of.
pub(super) const NONE: &str = "-";

/// Writes the line of an event.
pub(super) fn event(out: &mut Vec<u8>, format: LineFormat, event: &RawEvent<'_>, head: &Head<'_>) {
    columns(out, format, event.time.map(|time| time.get()), head);
    let is_said = matches!(EventKind::of(&event.kind), EventKind::Function | EventKind::Extension);
    if !is_said {
        column(out, &event.kind);
        if event.record.is_some() {
            out.push(b' ');
        }
    }
    let record = event.record.map_or("", |record| record.get());
    match inside_quotes(record).filter(|_| is_said) {
        Some(text) => message(out, text),
        None => raw(out, record),
    }
    out.push(b'\n');
}

/// Writes the columns before the message.
pub(super) fn columns(out: &mut Vec<u8>, format: LineFormat, time: Option<&str>, head: &Head<'_>) {
    if format == LineFormat::Raw {
        return;
    }
    match time {
        Some(time) => column(out, inside_quotes(time).unwrap_or(time)),
        None => clock(out, head.now_ms),
    }
    out.push(b'\t');
    column(out, head.request_id.unwrap_or(NONE));
    out.push(b'\t');
}

/// Writes a text without white space and control characters, so that it stays one column.
fn column(out: &mut Vec<u8>, text: &str) {
    if text.is_empty() {
        out.extend_from_slice(NONE.as_bytes());
    }
    out.extend(text.bytes().map(|byte| if byte <= b' ' || byte == 0x7f { b'_' } else { byte }));
}

fn inside_quotes(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// Writes what a JSON string means, from how it is written between its quotes.
fn message(out: &mut Vec<u8>, written: &str) {
    let mut rest = written;
    while let Some((before, escape)) = rest.find('\\').map(|at| rest.split_at(at)) {
        out.extend_from_slice(before.as_bytes());
        let Some((length, character)) = first_character(escape) else { break };
        rest = escape.get(length..).unwrap_or_default();
        match character {
            '\n' if rest.is_empty() => {}
            '\r' if rest == "\\n" => return,
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\0' => out.extend_from_slice(b"\\0"),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.extend_from_slice(rest.as_bytes());
}
