//! What a delivered line says of its time and its request: pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::tools::moment::rfc3339;

/// Stands in a column for a time or a request that there is none of.
const NONE: &[u8] = b"-";

/// What a line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said<'a> {
    /// In milliseconds since 1970 UTC.
    pub(super) time_ms: Option<i64>,
    pub(super) request_id: Option<Cow<'a, str>>,
    /// Of the format `raw`: whether there is a time or a request cannot be known.
    pub(super) is_raw: bool,
}

#[derive(Deserialize)]
struct Members<'a> {
    /// A string, unless the platform had something else to say.
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "requestId")]
    request_id: Option<Cow<'a, str>>,
}

/// Reads a line of JSON. One that is damaged says nothing.
pub(super) fn json(line: &[u8]) -> Said<'_> {
    let Ok(members) = serde_json::from_slice::<Members<'_>>(line) else { return Said::default() };
    let quoted = members.time.and_then(|time| time.get().strip_prefix('"')?.strip_suffix('"'));
    Said { time_ms: quoted.and_then(rfc3339), request_id: members.request_id, is_raw: false }
}

/// Reads a line of an object that is called `.log`: `text` has a column for the time and one for the request, neither of which has a
/// space in it; what does not begin so is `raw`. (A message of `raw` may look like it: Node.js prints both columns itself, and they mean the same.)
pub(super) fn columns(line: &[u8]) -> Said<'_> {
    let mut columns = line.splitn(3, |byte| *byte == b'\t');
    let (time, request, message) = (columns.next(), columns.next(), columns.next());
    let is_column = |column: &&[u8]| !column.is_empty() && !column.contains(&b' ');
    match (time.filter(is_column), request.filter(is_column), message) {
        (Some(time), Some(request), Some(_)) => Said {
            time_ms: std::str::from_utf8(time).ok().and_then(rfc3339),
            request_id: (request != NONE).then(|| String::from_utf8_lossy(request)),
            is_raw: false,
        },
        _ => Said { is_raw: true, ..Said::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-26T12:00:00.123Z";
    const MS: i64 = 1_795_694_400_123;

    fn said(time_ms: Option<i64>, request_id: Option<&str>) -> Said<'_> {
        Said { time_ms, request_id: request_id.map(Cow::Borrowed), is_raw: false }
    }

    #[test]
    fn lines_of_json_tell_time_and_request() {
        let table = [
            (
                format!(r#"{{"time":"{TIME}","type":"function","seq":1,"requestId":"r","message":"m"}}"#),
                (Some(MS), Some("r")),
            ),
            (format!(r#"{{"time":"{TIME}","type":"function","seq":1,"message":"m"}}"#), (Some(MS), None)),
            // What the function says is no member of the line.
            (
                r#"{"type":"x","seq":1,"record":{"time":"2020-01-01T00:00:00Z","requestId":"q"}}"#.to_owned(),
                (None, None),
            ),
            (r#"{"time":"2026-11-26T13:00:00.123456+01:00","seq":1}"#.to_owned(), (Some(MS), None)),
            (r#"{"type":"x","seq":1,"requestId":"a\"b"}"#.to_owned(), (None, Some("a\"b"))),
            (r#"{"time":17,"seq":1,"requestId":"r"}"#.to_owned(), (None, Some("r"))),
            (r#"{"time":null,"seq":1,"requestId":"r"}"#.to_owned(), (None, Some("r"))),
            (r#"{"time":"soon","seq":1,"requestId":"r"}"#.to_owned(), (None, Some("r"))),
            (format!(r#"{{"time":"{TIME}","requestId":"r"#), (None, None)),
            (String::new(), (None, None)),
        ];
        for (line, (time_ms, request_id)) in &table {
            assert_eq!(json(line.as_bytes()), said(*time_ms, *request_id), "{line}");
        }
    }

    #[test]
    fn columns_of_text_tell_time_and_request_and_raw_tells_nothing() {
        let table = [
            (format!("{TIME}\tr-1\tmessage\twith tabs"), (Some(MS), Some("r-1"))),
            (format!("{TIME}\t-\t"), (Some(MS), None)),
            ("-\t-\tlogspool.end {}".to_owned(), (None, None)),
            ("no_time\\nat_all\tr-1\tx".to_owned(), (None, Some("r-1"))),
        ];
        for (line, (time_ms, request_id)) in &table {
            assert_eq!(columns(line.as_bytes()), said(*time_ms, *request_id), "{line}");
        }
        for raw in ["", "a message", "two\tcolumns", "a b\tr-1\tx", "\tr-1\tx", "a\tb c\tx"] {
            assert!(columns(raw.as_bytes()).is_raw, "{raw}");
        }
    }
}
