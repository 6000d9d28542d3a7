//! Folders of keys: what a template becomes for one function, and then for one segment.

use std::fmt::Write as _;

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::KEY_BYTES_MAX;
use super::file_name::{FILE_NAME_BYTES_MAX, SPOOL_ID_LEN};
use super::prefix::PREFIX_BYTES_MAX;
use super::template::{Field, KeyTemplate, Part, TemplateError};

/// The longest folder, in bytes, without a prefix and without the slash behind it.
pub(super) const FOLDER_BYTES_MAX: usize = KEY_BYTES_MAX - PREFIX_BYTES_MAX - FILE_NAME_BYTES_MAX - "//".len();
/// The longest part of a key between slashes, in bytes: a file system's limit for a name.
pub(super) const SEGMENT_BYTES_MAX: usize = 255;
/// Stands for what nobody told.
const UNKNOWN: &str = "unknown";

/// The hours in which everything before and after them is filed.
const FIRST_HOUR: OffsetDateTime = edge(0, Month::January, 1, 0);
const LAST_HOUR: OffsetDateTime = edge(9999, Month::December, 31, 23);

const fn edge(year: i32, month: Month, day: u8, hour: u8) -> OffsetDateTime {
    match (Date::from_calendar_date(year, month, day), Time::from_hms(hour, 0, 0)) {
        (Ok(date), Ok(time)) => PrimitiveDateTime::new(date, time).assume_utc(),
        _ => panic!("both edges are dates"),
    }
}

/// What is known of a function; what is empty stands as `unknown`.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFacts<'a> {
    /// See [`Field::Function`].
    pub function: &'a str,
    /// See [`Field::Version`].
    pub version: &'a str,
    /// See [`Field::Region`].
    pub region: &'a str,
    /// See [`Field::Account`].
    pub account: &'a str,
}

/// A template with the facts of one function in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    parts: Vec<Part>,
}

impl Folder {
    pub(super) fn new(template: &KeyTemplate, facts: &KeyFacts<'_>) -> Result<Self, TemplateError> {
        let constant = |field| match field {
            Field::Function => Some(facts.function),
            Field::Version => Some(facts.version),
            Field::Region => Some(facts.region),
            Field::Account => Some(facts.account),
            Field::Date | Field::Year | Field::Month | Field::Day | Field::Hour | Field::Shard => None,
        };
        let parts = template.parts.iter().map(|part| match part {
            Part::Field(field) => constant(*field).map_or(Part::Field(*field), |value| Part::Text(safe(value))),
            Part::Text(text) => Part::Text(text.clone()),
        });
        let folder = Self { parts: parts.collect() };
        // What a segment adds has the same length for each.
        let example = folder.of(0, &"0".repeat(SPOOL_ID_LEN));
        if example.len() > FOLDER_BYTES_MAX {
            return Err(TemplateError::FolderTooLong { bytes: example.len() });
        }
        match example.split('/').map(str::len).find(|bytes| *bytes > SEGMENT_BYTES_MAX) {
            Some(bytes) => Err(TemplateError::SegmentTooLong { bytes }),
            None => Ok(folder),
        }
    }

    /// The folder of what happened at `ms` in a spool, without a slash at its end.
    pub(super) fn of(&self, ms: i64, spool_id: &str) -> String {
        let (at, mut out) = (utc(ms), String::with_capacity(96));
        for part in &self.parts {
            let written = match part {
                Part::Text(text) => out.write_str(text),
                Part::Field(Field::Date) => {
                    write!(out, "{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
                }
                Part::Field(Field::Year) => write!(out, "{:04}", at.year()),
                Part::Field(Field::Month) => write!(out, "{:02}", u8::from(at.month())),
                Part::Field(Field::Day) => write!(out, "{:02}", at.day()),
                Part::Field(Field::Hour) => write!(out, "{:02}", at.hour()),
                Part::Field(Field::Shard) => write!(out, "{:02x}", shard(spool_id)),
                Part::Field(Field::Function | Field::Version | Field::Region | Field::Account) => {
                    unreachable!("facts of the function were filled in")
                }
            };
            written.expect("writing to a String cannot fail");
        }
        out
    }
}

/// One of 256, the same everywhere and for ever. All objects of a life are in one, so that it can be verified by itself.
fn shard(spool_id: &str) -> u8 {
    xxhash_rust::xxh3::xxh3_64(spool_id.as_bytes()).to_be_bytes()[0]
}

/// Escapes each byte outside `A-Z a-z 0-9 - _ .` as `%XX`, and a dot at the beginning, so that a value can neither open a
/// folder nor lead out of one, nor look like another.
fn safe(value: &str) -> String {
    let value = if value.is_empty() { UNKNOWN } else { value };
    let mut out = String::with_capacity(value.len());
    for (index, byte) in value.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte == b'.' && index > 0 {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

/// The UTC time of `ms`, held within the years 0 to 9999: a date with a sign or a fifth digit would not sort.
fn utc(ms: i64) -> OffsetDateTime {
    let seconds = ms.div_euclid(1000);
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(time) if (0..=9999).contains(&time.year()) => time,
        _ if seconds < 0 => FIRST_HOUR,
        _ => LAST_HOUR,
    }
}
