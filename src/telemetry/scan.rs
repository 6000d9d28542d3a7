//! Events that stand as the platform writes them, cut out of a body and read in one pass: pure.
//!
//! The platform writes `{"time":"…","type":"…","record":…}` without white space in between, and a body is read before it is
//! answered. Whatever stands in another way is left to [`pieces`](super::body::pieces), [`RawEvent::parse`] and
//! [`RecordFacts::of`]; what is read here is what they would read.

use std::borrow::Cow;

use super::event::{RawEvent, RecordFacts, number, text};
use super::json::{Json, is_clean, special};

/// Values that lie deeper are left to the other way.
const DEPTH_MAX: u32 = 64;

/// An event, and where it ends.
#[derive(Debug)]
pub struct Scanned<'a> {
    /// The event.
    pub event: RawEvent<'a>,
    /// What its record tells.
    pub facts: RecordFacts<'a>,
    /// Its bytes.
    pub length: usize,
}

/// Nearly all that there is much of.
const FUNCTION: &[u8] = b",\"type\":\"function\"";
const TYPE: &[u8] = b",\"type\":";
/// `"2022-10-12T00:00:00.000Z"`.
const TIME_BYTES: usize = 26;

/// Reads the event that a text begins with, if a comma or bracket follows right behind it.
#[inline]
pub fn event(text: &str) -> Option<Scanned<'_>> {
    let bytes = text.as_bytes();
    let time = behind(bytes, 0, b"{\"time\":")?;
    let time_end = time_end(bytes, time)?;
    let (kind, kind_end) = kind(text, time_end)?;
    let record = behind(bytes, kind_end, b",\"record\":")?;
    let mut facts = RecordFacts::default();
    let record_end = match bytes.get(record)? {
        b'"' => string(bytes, record)?.end,
        b'{' => members(bytes, record, DEPTH_MAX, |name, value| facts.take(text, name, value))?,
        _ => return None,
    };
    let length = behind(bytes, record_end, b"}")?;
    if !matches!(bytes.get(length), Some(b',' | b']')) {
        return None;
    }
    let event = RawEvent {
        time: Some(Json::read(text.get(time..time_end)?)),
        kind: Cow::Borrowed(kind),
        record: Some(Json::read(text.get(record..record_end)?)),
        extra: Vec::new(),
        head: text.get(..=kind_end),
        is_one_line: false,
    };
    Some(Scanned { event, facts, length })
}

/// The end of the time, which has 24 characters as a rule.
#[inline]
fn time_end(bytes: &[u8], time: usize) -> Option<usize> {
    let usual = bytes.get(time..time + TIME_BYTES)?;
    if usual[0] == b'"' && usual[TIME_BYTES - 1] == b'"' && is_clean(&usual[1..TIME_BYTES - 1]) {
        return Some(time + TIME_BYTES);
    }
    plain(bytes, time)
}

/// The type, and where it ends.
#[inline]
fn kind(text: &str, time_end: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    if let Some(end) = behind(bytes, time_end, FUNCTION) {
        return Some(("function", end));
    }
    let kind = behind(bytes, time_end, TYPE)?;
    let end = plain(bytes, kind)?;
    Some((text.get(kind + 1..end - 1)?, end))
}

impl<'a> RecordFacts<'a> {
    /// Takes a member of the record. `None` if the other way has to read it.
    fn take(&mut self, json: &'a str, name: Token, value: Token) -> Option<()> {
        if name.has_escape {
            return None;
        }
        let value_of = |value: Token| Json::read(json.get(value.start..value.end).unwrap_or_default());
        let text = |value: Token| match json.as_bytes()[value.start] {
            b'"' if !value.has_escape => json.get(value.start + 1..value.end - 1).map(Cow::Borrowed),
            b'"' => text(value_of(value)),
            _ => None,
        };
        match json.as_bytes().get(name.start + 1..name.end - 1)? {
            b"requestId" => self.request_id = text(value),
            b"level" => self.level = text(value),
            b"status" => self.status = text(value),
            b"tenantId" => self.tenant_id = text(value),
            b"droppedRecords" => self.dropped_records = number(value_of(value)),
            b"droppedBytes" => self.dropped_bytes = number(value_of(value)),
            _ => {}
        }
        Some(())
    }
}

/// Where a string or another value stands, its quotes included.
#[derive(Debug, Clone, Copy)]
struct Token {
    start: usize,
    end: usize,
    has_escape: bool,
}

/// Where it goes on behind these bytes, if they stand there.
#[inline]
fn behind(bytes: &[u8], at: usize, part: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(part).then_some(at + part.len())
}

/// The end of a string that holds no escape.
fn plain(bytes: &[u8], at: usize) -> Option<usize> {
    string(bytes, at).filter(|string| !string.has_escape).map(|string| string.end)
}

#[inline]
fn string(bytes: &[u8], start: usize) -> Option<Token> {
    if bytes.get(start) != Some(&b'"') {
        return None;
    }
    let (mut at, mut has_escape) = (start + 1, false);
    loop {
        at = special(bytes, at)?;
        match bytes[at] {
            b'"' => return Some(Token { start, end: at + 1, has_escape }),
            b'\\' => at = escape(bytes, at)?,
            _ => return None,
        }
        has_escape = true;
    }
}

/// Where it goes on behind an escape. Halves of surrogate pairs are left alone.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 6),
        _ => None,
    }
}

fn value(bytes: &[u8], start: usize, depth_left: u32) -> Option<Token> {
    let end = match bytes.get(start)? {
        b'"' => return string(bytes, start),
        b'{' => members(bytes, start, depth_left, |_, _| Some(()))?,
        b'[' => elements(bytes, start, depth_left)?,
        b't' => behind(bytes, start, b"true")?,
        b'f' => behind(bytes, start, b"false")?,
        b'n' => behind(bytes, start, b"null")?,
        _ => number_end(bytes, start)?,
    };
    Some(Token { start, end, has_escape: false })
}

/// The end of an object, whose members are handed over one by one.
fn members(
    bytes: &[u8],
    start: usize,
    depth_left: u32,
    mut take: impl FnMut(Token, Token) -> Option<()>,
) -> Option<usize> {
    let depth_left = depth_left.checked_sub(1)?;
    let mut at = skip_space(bytes, start + 1);
    if bytes.get(at) == Some(&b'}') {
        return Some(at + 1);
    }
    loop {
        let name = string(bytes, at)?;
        at = behind(bytes, skip_space(bytes, name.end), b":")?;
        let value = value(bytes, skip_space(bytes, at), depth_left)?;
        take(name, value)?;
        at = skip_space(bytes, value.end);
        match bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of an array.
fn elements(bytes: &[u8], start: usize, depth_left: u32) -> Option<usize> {
    let depth_left = depth_left.checked_sub(1)?;
    let mut at = skip_space(bytes, start + 1);
    if bytes.get(at) == Some(&b']') {
        return Some(at + 1);
    }
    loop {
        at = skip_space(bytes, value(bytes, at, depth_left)?.end);
        match bytes.get(at)? {
            b',' => at = skip_space(bytes, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of a number (RFC 8259, section 6).
fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = |at: usize| {
        let count = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(at + count)
    };
    let first = behind(bytes, start, b"-").unwrap_or(start);
    let mut end = if bytes.get(first) == Some(&b'0') { first + 1 } else { digits(first)? };
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(end + 1 + sign)?;
    }
    Some(end)
}

#[inline]
fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests;
