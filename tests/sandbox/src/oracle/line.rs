//! One delivered line: `{"time":…,"type":…,"seq":…,…}` with the record in the column of its JSON type.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// What makes a delivered line and an event the same: the JSON bytes of time, type and record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Said {
    pub(super) time: String,
    pub(super) kind: String,
    pub(super) record: String,
}

/// A parsed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) said: Said,
}

impl Line {
    /// Lines that the product wrote about itself are in no ledger.
    pub(super) fn is_own(&self) -> bool {
        self.said.kind.starts_with("\"logspool.")
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: &'a RawValue,
    seq: u64,
    #[serde(borrow, default, deserialize_with = "even_null")]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    record: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    value: Option<&'a RawValue>,
}

/// A column that is there counts, also when it holds `null`.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

pub(super) fn parse(line: &[u8]) -> Result<Line, String> {
    let wire: Wire = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let kind = wire.kind.get().to_owned();
    let time = wire.time.map_or_else(|| "null".to_owned(), |time| time.get().to_owned());
    let record = if kind.starts_with("\"logspool.") { String::new() } else { record(&wire)?.to_owned() };
    Ok(Line { seq: wire.seq, said: Said { time, kind, record } })
}

fn record<'a>(wire: &Wire<'a>) -> Result<&'a str, String> {
    match (wire.message, wire.record, wire.value) {
        (Some(message), None, None) if message.get().starts_with('"') => Ok(message.get()),
        (None, Some(record), None) if record.get().starts_with('{') => Ok(record.get()),
        (None, None, Some(value)) if !value.get().starts_with(['"', '{']) => Ok(value.get()),
        _ => Err("the record is not in the one column of its type".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_taken_byte_for_byte_from_its_column() {
        let cases = [
            (r#""message":"a\u003cb""#, r#""a\u003cb""#),
            (r#""record":{"b": 1e2,"a":1}"#, r#"{"b": 1e2,"a":1}"#),
            (r#""value":null"#, "null"),
            (r#""value":[1]"#, "[1]"),
        ];
        for (column, record) in cases {
            let line = format!(r#"{{"time":"t","type":"function","seq":7,"requestId":"r",{column}}}"#);
            let line = parse(line.as_bytes()).expect("valid");
            assert_eq!(line.seq, 7);
            assert_eq!(line.said.record, record);
        }
    }

    #[test]
    fn a_record_in_the_wrong_column_or_in_two_is_refused() {
        for columns in [r#""message":{}"#, r#""record":"a""#, r#""value":"a""#, r#""message":"a","value":1"#] {
            let line = format!(r#"{{"time":"t","type":"function","seq":7,{columns}}}"#);
            assert!(parse(line.as_bytes()).is_err(), "{columns}");
        }
    }

    #[test]
    fn lines_of_the_product_itself_need_no_record() {
        let line = parse(br#"{"time":"t","type":"logspool.end","seq":7,"losses":{}}"#).expect("valid");
        assert!(line.is_own());
    }
}
