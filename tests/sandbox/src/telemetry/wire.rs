//! JSON as the platform writes it.
//!
//! AWS's daemon is a Go program: its encoder escapes `<`, `>`, `&`, U+2028 and U+2029 inside strings. Extensions that
//! promise to keep bytes as received must meet such bytes here, so this encoder does the same.

use std::io;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, special) = rest.split_at(at);
            let special_char = special.chars().next().expect("`find` points at a character");
            CompactFormatter.write_string_fragment(writer, before)?;
            write!(writer, "\\u{:04x}", u32::from(special_char))?;
            rest = &special[special_char.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// Serializes a record of ours the way the platform does.
pub(crate) fn to_raw(value: &impl Serialize) -> Box<RawValue> {
    let mut json = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut json, GoFormatter))
        .expect("records are plain structs: nothing in them can fail to serialize");
    let json = String::from_utf8(json).expect("a JSON serializer writes UTF-8");
    RawValue::from_string(json).expect("a JSON serializer writes JSON")
}

/// `time` of an event: UTC with milliseconds and `Z`.
pub(crate) fn timestamp(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn strings_are_escaped_as_the_platform_escapes_them() {
        let raw = to_raw(&"<a href=\"x\">&\u{2028}é\n</a>");
        assert_eq!(raw.get(), r#""\u003ca href=\"x\"\u003e\u0026\u2028é\n\u003c/a\u003e""#);
        assert_eq!(serde_json::from_str::<String>(raw.get()).expect("valid"), "<a href=\"x\">&\u{2028}é\n</a>");
    }

    #[test]
    fn times_have_milliseconds_and_a_z() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_666_361_103_165_999);
        assert_eq!(timestamp(at), "2022-10-21T14:05:03.165Z");
    }
}
