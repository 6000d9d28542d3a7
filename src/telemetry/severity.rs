//! Whether a record of the function says that something went wrong: the words that a team looks for first.
//!
//! The formats are those that Lambda's own runtimes and structured loggers write: an object with a `level` (Lambda Developer
//! Guide, "JSON log format"), the same object as text, `[ERROR] …` (Python) and `time<TAB>request id<TAB>ERROR<TAB>…`
//! (Node.js; uncaught errors come this way too). Free text that holds the word is no error report. A wrong guess costs
//! nothing but an earlier seal.

use memchr::memchr_iter;
use memchr::memmem::find;

use super::json::Json;

/// How much of a text is looked at, in bytes: what says the level stands at its beginning, and this stands before the answer
/// to the platform.
const HEAD_BYTES: usize = 512;

/// Names of the levels that count, in lower case.
const LEVELS: [&str; 3] = ["error", "fatal", "critical"];

/// Whether a record reports an error. `level` is its member of that name, where it is an object.
pub fn is_error(record: Option<Json<'_>>, level: Option<&str>) -> bool {
    let Some(record) = record else { return false };
    match record.get().strip_prefix('"') {
        Some(text) => text_is_error(head(text)),
        None => level.is_some_and(is_level),
    }
}

/// Looks at the text as it stands in its JSON string, with its escapes, so that no record is copied.
fn text_is_error(text: &str) -> bool {
    if let Some(object) = text.strip_prefix('{') {
        return member_level(object).is_some_and(is_level);
    }
    let bracketed = text.strip_prefix('[').and_then(|text| text.split_once(']')).map(|(level, _)| level);
    let third_column = third_column(text);
    [bracketed, third_column].into_iter().flatten().any(is_level)
}

/// What stands between the second and the third tab, or behind the second. A tab is written `\t`.
fn third_column(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut tabs = memchr_iter(b'\\', bytes).filter(|at| bytes.get(at + 1) == Some(&b't'));
    let start = tabs.nth(1)? + 2;
    text.get(start..tabs.next().unwrap_or(text.len()))
}

/// The string behind the first `"level":`.
fn member_level(object: &str) -> Option<&str> {
    const NAME: &str = "\\\"level\\\"";
    let behind = object.get(find(object.as_bytes(), NAME.as_bytes())? + NAME.len()..)?;
    let value = behind.trim_start().strip_prefix(':')?.trim_start().strip_prefix("\\\"")?;
    value.split_once("\\\"").map(|(level, _)| level)
}

fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level))
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(HEAD_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::RecordFacts;

    fn is_error_record(record: &str) -> bool {
        let record = Some(Json::read(record));
        is_error(record, RecordFacts::of(record).level.as_deref())
    }

    fn is_error_text(text: &str) -> bool {
        is_error_record(&serde_json::to_string(text).expect("text"))
    }

    #[test]
    fn objects_say_it_by_their_level() {
        for level in ["ERROR", "error", "Error", "FATAL", "critical"] {
            assert!(is_error_record(&format!(r#"{{"timestamp":"t","level":"{level}","message":"m"}}"#)), "{level}");
            let as_text = format!(r#"{{"time": 1, "level" : "{level}", "msg": "größer"}}"#);
            assert!(is_error_text(&as_text), "{as_text}");
        }
        for record in [r#"{"level":"INFO"}"#, r#"{"level":50}"#, r#"{"message":"ERROR"}"#, "[1]", "null"] {
            assert!(!is_error_record(record), "{record}");
        }
    }

    #[test]
    fn texts_say_it_as_the_runtimes_write_it() {
        for text in [
            "[ERROR] ValueError: no such order\nTraceback (most recent call last):",
            "[CRITICAL]\t2026-01-10T10:00:03.004Z\t6d68ca91-49c9-448d-89b8-7ca3e6dc66aa\tthe end",
            "2026-01-10T10:00:03.004Z\t6d68ca91-49c9-448d-89b8-7ca3e6dc66aa\tERROR\tInvoke Error \t{\"errorType\":\"E\"}",
        ] {
            assert!(is_error_text(text), "{text}");
        }
        for text in [
            "",
            "[INFO] no ERROR here",
            "2026-01-10T10:00:03.004Z\tid\tINFO\tERROR",
            "an ERROR in free text",
            "{\"level\"",
            "{\"level\":\"err",
            "[",
            "{not json",
        ] {
            assert!(!is_error_text(text), "{text}");
        }
    }

    #[test]
    fn only_the_beginning_is_looked_at() {
        let far = format!("{{\"x\":\"{}\",\"level\":\"ERROR\"}}", "ü".repeat(HEAD_BYTES));
        assert!(!is_error_text(&far));
    }
}
