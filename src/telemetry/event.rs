//! The events of the Telemetry API (AWS Lambda Developer Guide, "Lambda Telemetry API Event schema reference"), read
//! leniently: an unknown type, an unknown field or an odd record is data like any other.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::json::Json;

/// An event as it stands in the body: every value is a piece of the body.
#[derive(Debug, Clone)]
pub struct RawEvent<'a> {
    /// `time`, a JSON value.
    pub time: Option<Json<'a>>,
    /// `type`.
    pub kind: Cow<'a, str>,
    /// `record`, a JSON value.
    pub record: Option<Json<'a>>,
    /// Members that the reference does not know.
    pub extra: Vec<(Cow<'a, str>, Json<'a>)>,
    /// The event up to its record, if it stands there as `{"time":…,"type":…,` without anything in between.
    pub head: Option<&'a str>,
    /// Known to hold no line break between its tokens.
    pub is_one_line: bool,
}

impl<'a> RawEvent<'a> {
    /// Reads one element of a body. `None` if it is no event: not JSON, no object, without a type.
    pub fn parse(element: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(element).ok()
    }
}

impl<'de> Deserialize<'de> for RawEvent<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = RawEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a telemetry event")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RawEvent<'de>, M::Error> {
        let (mut time, mut kind, mut record, mut extra) = (None, None, None, Vec::new());
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "time" if time.is_none() => time = Some(map.next_value()?),
                "type" if kind.is_none() => kind = Some(map.next_value::<Text<'de>>()?.0),
                "record" if record.is_none() => record = Some(map.next_value()?),
                _ => extra.push((name, map.next_value()?)),
            }
        }
        let kind = kind.ok_or_else(|| serde::de::Error::missing_field("type"))?;
        Ok(RawEvent { time, kind, record, extra, head: None, is_one_line: false })
    }
}

/// A string that is borrowed where it holds no escape.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What an event's type says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// `platform.initStart`: what follows belongs to Init.
    InitStart,
    /// `platform.initReport`: Init is over.
    InitReport,
    /// `platform.start`: what follows belongs to this invocation.
    Start,
    /// `platform.runtimeDone`: the function has finished.
    RuntimeDone,
    /// `platform.report`: the invocation is over.
    Report,
    /// `platform.logsDropped`: the only evidence of what the platform lost.
    LogsDropped,
    /// Another event of the platform, known or not.
    OtherPlatform,
    /// What the function wrote.
    Function,
    /// What an extension wrote.
    Extension,
    /// A type of none of these streams.
    Unknown,
}

impl EventKind {
    /// Classifies a type.
    pub fn of(kind: &str) -> Self {
        match kind {
            "platform.initStart" => Self::InitStart,
            "platform.initReport" => Self::InitReport,
            "platform.start" => Self::Start,
            "platform.runtimeDone" => Self::RuntimeDone,
            "platform.report" => Self::Report,
            "platform.logsDropped" => Self::LogsDropped,
            "function" => Self::Function,
            "extension" => Self::Extension,
            _ if kind.starts_with("platform.") => Self::OtherPlatform,
            _ => Self::Unknown,
        }
    }
}

/// What we read out of a record, where it is there and has the type of the reference.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecordFacts<'a> {
    /// `requestId`.
    pub request_id: Option<Cow<'a, str>>,
    /// `status`.
    pub status: Option<Cow<'a, str>>,
    /// `level`, of a structured log line.
    pub level: Option<Cow<'a, str>>,
    /// `tenantId`.
    pub tenant_id: Option<Cow<'a, str>>,
    /// `droppedRecords`.
    pub dropped_records: Option<u64>,
    /// `droppedBytes`.
    pub dropped_bytes: Option<u64>,
}

impl<'a> RecordFacts<'a> {
    /// Reads a record; one that is no object has no facts.
    pub fn of(record: Option<Json<'a>>) -> Self {
        let object = record.filter(|record| record.get().starts_with('{'));
        object.and_then(|record| serde_json::from_str(record.get()).ok()).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for RecordFacts<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FactsVisitor)
    }
}

struct FactsVisitor;

impl<'de> Visitor<'de> for FactsVisitor {
    type Value = RecordFacts<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<RecordFacts<'de>, M::Error> {
        let mut facts = RecordFacts::default();
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "requestId" => facts.request_id = text(map.next_value()?),
                "level" => facts.level = text(map.next_value()?),
                "status" => facts.status = text(map.next_value()?),
                "tenantId" => facts.tenant_id = text(map.next_value()?),
                "droppedRecords" => facts.dropped_records = number(map.next_value()?),
                "droppedBytes" => facts.dropped_bytes = number(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(facts)
    }
}

/// A customer's record may hold anything under these names.
pub(super) fn text(value: Json<'_>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

pub(super) fn number(value: Json<'_>) -> Option<u64> {
    serde_json::from_str(value.get()).ok()
}

/// Unix time in milliseconds of a `time` as the reference writes it (`2022-10-12T00:03:50.000Z`). `None` for anything else,
/// such as the examples of the reference that have a colon before the milliseconds.
pub fn time_ms(time: Json<'_>) -> Option<i64> {
    let text = text(time)?;
    let time = time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// Writes a time as the reference does.
pub fn format_time(unix_ms: i64) -> String {
    let mut text = String::new();
    write_time(&mut text, unix_ms).expect("a string takes everything");
    text
}

/// The same, to where it is wanted.
pub fn write_time(out: &mut impl fmt::Write, unix_ms: i64) -> fmt::Result {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_every_value_as_it_stands() {
        let element =
            br#"{"time":"2022-10-12T00:03:50.000Z","type":"function","record":{"b": 1,"a":"\u00e9"},"new":[1]}"#;
        let event = RawEvent::parse(element).expect("an event");
        assert_eq!(event.kind, "function");
        assert_eq!(event.record.map(Json::get), Some(r#"{"b": 1,"a":"\u00e9"}"#));
        assert_eq!(event.extra.len(), 1);
        assert_eq!(event.time.and_then(time_ms), Some(1_665_533_030_000));
    }

    #[test]
    fn what_is_no_event_is_told_apart() {
        for element in ["3", "null", "{}", r#"{"time":"x"}"#, r#"{"type":3}"#, r#"{"type":"function""#, "\u{0}"] {
            assert!(RawEvent::parse(element.as_bytes()).is_none(), "{element}");
        }
    }

    #[test]
    fn odd_facts_are_no_facts_and_cost_nothing_else() {
        let record = r#"{"requestId":7,"status":"success","droppedRecords":-1,"x":{"requestId":"n"}}"#;
        let facts = RecordFacts::of(Some(Json::read(record)));
        assert_eq!(facts, RecordFacts { status: Some("success".into()), ..RecordFacts::default() });
    }

    #[test]
    fn times_are_read_and_written_as_the_reference_has_them() {
        let read = |text: &str| time_ms(Json::read(&format!("{text:?}")));
        assert_eq!(read("2022-08-02T12:01:23:521Z"), None, "a misprint of the reference");
        for ms in [0, 1_665_533_030_001, -1, 253_402_300_799_999] {
            assert_eq!(read(&format_time(ms)), Some(ms));
        }
        assert_eq!(format_time(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
