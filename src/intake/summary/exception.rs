//! The exception that a function has logged, in the forms in which Lambda's managed runtimes report one: pure.
//!
//! | runtime | text log format | JSON log format |
//! |---|---|---|
//! | Node.js | `…<TAB>ERROR<TAB>Invoke Error <TAB>{"errorType":…,"stack":[…]}` | the same object in `message`, or its members beside a text |
//! | Python | `[ERROR] Type: message<LF>Traceback (most recent call last):…` | `errorType`, `errorMessage`, `stackTrace` |
//! | Java | `message: Class<LF>Class: message<LF><TAB>at …` | that text in `message`, or as Python |
//! | .NET | `…<TAB>fail<TAB>Class: message<LF>   at …` | as Python |
//! | Ruby | `Error raised from handler method<LF>{"errorType":…}` | that object |
//!
//! A runtime that has no other stream than stdout writes CR for LF, so that its report stays one line. What a function logs
//! itself in one of these forms is taken for the same. Text that comes in several records is not put together.

use serde::{Deserialize, Serialize};

use super::cut;
use crate::telemetry::json::Json;
use crate::telemetry::severity::is_error;

/// The longest names of classes have some two hundred characters.
const TYPE_BYTES_MAX: usize = 256;
/// What a person reads of a message in a list. The whole of it stands in the function's own line.
const MESSAGE_BYTES_MAX: usize = 1024;
/// How much of a text is looked at, in bytes: a stack trace begins behind the message, which Java writes twice.
const HEAD_BYTES: usize = 8 * 1024;

const TRACEBACK: &str = "Traceback (most recent call last):";
/// How the first line of a stack trace begins in Java and in .NET, and how that looks in a JSON string.
const FRAMES: [(&str, &str); 2] = [("\n\tat ", "\\n\\tat "), ("\n   at ", "\\n   at ")];
/// .NET writes an inner exception behind the message of the outer one.
const INNER: &str = "\n ---> ";

/// What is kept of it. The stack is not: it stands in the function's own line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exception {
    #[serde(rename = "type")]
    kind: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<str>>,
}

impl Exception {
    fn new(kind: &str, message: &str) -> Self {
        let message = Some(cut(message, MESSAGE_BYTES_MAX)).filter(|message| !message.is_empty());
        Self { kind: cut(kind, TYPE_BYTES_MAX).into(), message: message.map(Into::into) }
    }

    /// Reads it out of a record of the function, if there is one. `level` is the record's member of that name.
    pub fn of(record: Json<'_>, level: Option<&str>) -> Option<Self> {
        let json = record.get();
        match json.as_bytes().first() {
            Some(b'"') if may_be_in_text(json) => in_text(&text(record)?),
            Some(b'{') if may_be_in_object(record, level) => in_object(json),
            _ => None,
        }
    }
}

/// Looks at a JSON string as it stands, so that an ordinary line is not copied. Every form holds an escape.
fn may_be_in_text(json: &str) -> bool {
    let text = cut(&json[1..], HEAD_BYTES);
    text.contains('\\')
        && (text.contains("\\\"errorType\\\"")
            || FRAMES.iter().any(|(_, escaped)| text.contains(escaped))
            || (text.starts_with("[ERROR] ") && text.contains(TRACEBACK)))
}

/// An object that calls itself something else than an error is none.
fn may_be_in_object(record: Json<'_>, level: Option<&str>) -> bool {
    match level {
        Some(level) => is_error(Some(record), Some(level)),
        None => record.get().contains("\"errorType\""),
    }
}

fn in_text(text: &str) -> Option<Exception> {
    of_python(text).or_else(|| in_object(object_in(text)?)).or_else(|| before_frames(text))
}

fn of_python(text: &str) -> Option<Exception> {
    let (first, _) = text.strip_prefix("[ERROR] ")?.split_once(TRACEBACK)?;
    let first = first.trim_end();
    let (kind, message) = first.split_once(": ").unwrap_or((first, ""));
    is_name(kind).then(|| Exception::new(kind, message))
}

/// The object that a text is, or that stands behind its first tab or line feed.
fn object_in(text: &str) -> Option<&str> {
    let object = match text.strip_prefix('{') {
        Some(_) => text,
        None => &text[["\t{", "\n{", "\r{"].iter().filter_map(|begin| text.find(begin)).min()? + 1..],
    };
    Some(object.trim_end())
}

/// `Class: message` before the first line of a stack trace. Java writes both once more, the other way round, in a line of
/// their own before that; .NET writes time, request id and level before it: so the last place counts that fits.
fn before_frames(text: &str) -> Option<Exception> {
    let text = cut(text, HEAD_BYTES);
    let end = FRAMES.iter().filter_map(|(frame, _)| text.find(frame)).min()?;
    let before = &text[..end];
    let behind_breaks = before.rmatch_indices(['\n', '\t']).map(|(at, _)| at + 1);
    behind_breaks.chain([0]).find_map(|at| class_and_message(&before[at..]))
}

fn class_and_message(text: &str) -> Option<Exception> {
    let end = text.find([':', '\n']).unwrap_or(text.len());
    let (class, rest) = text.split_at(end);
    let message = match rest.strip_prefix(": ") {
        Some(message) => message,
        None if rest.is_empty() => "",
        None => return None,
    };
    let message = message.split(INNER).next().unwrap_or_default();
    is_class(class).then(|| Exception::new(class, message))
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && word.chars().all(|c| c.is_alphanumeric() || "._$+`".contains(c))
}

/// With its package or namespace, or by the name that exceptions have everywhere.
fn is_class(word: &str) -> bool {
    let qualified = word.rsplit_once('.').is_some_and(|(_, last)| last.starts_with(char::is_uppercase));
    is_name(word) && (qualified || word.ends_with("Exception") || word.ends_with("Error"))
}

/// The members that say it, whatever else the object holds.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow, rename = "errorType")]
    kind: Option<Json<'a>>,
    #[serde(borrow, rename = "errorMessage")]
    error_message: Option<Json<'a>>,
    #[serde(borrow, rename = "stackTrace")]
    stack_trace: Option<Json<'a>>,
    #[serde(borrow)]
    stack: Option<Json<'a>>,
    #[serde(borrow)]
    message: Option<Json<'a>>,
}

impl Shape<'_> {
    fn exception(&self) -> Option<Exception> {
        let kind = text(self.kind?).filter(|kind| !kind.is_empty())?;
        let message = self.error_message.and_then(text);
        let is_reported = message.is_some() || self.stack_trace.is_some() || self.stack.is_some();
        is_reported.then(|| Exception::new(&kind, &message.unwrap_or_default()))
    }
}

fn in_object(json: &str) -> Option<Exception> {
    let shape = shape(json)?;
    shape.exception().or_else(|| {
        let message = shape.message?;
        match message.get().as_bytes().first() {
            Some(b'{') => self::shape(message.get())?.exception(),
            Some(b'"') => in_text(&text(message)?),
            _ => None,
        }
    })
}

fn shape(json: &str) -> Option<Shape<'_>> {
    serde_json::from_str(json).ok()
}

fn text(value: Json<'_>) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::event::RecordFacts;

    fn of_record(record: &str) -> Option<Exception> {
        let record: Json<'_> = serde_json::from_str(record).expect("JSON");
        Exception::of(record, RecordFacts::of(Some(record)).level.as_deref())
    }

    fn of_text(text: &str) -> Option<Exception> {
        of_record(&serde_json::to_string(text).expect("a text"))
    }

    fn exception(kind: &str, message: &str) -> Option<Exception> {
        Some(Exception::new(kind, message))
    }

    #[test]
    fn the_reports_of_the_runtimes_in_text_are_known() {
        for (text, kind, message) in [
            (
                "2026-01-10T10:00:03.004Z\t6d68ca91-49c9-448d-89b8-7ca3e6dc66aa\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"Cannot read properties of undefined (reading 'id')\",\"stack\":[\"TypeError: Cannot read …\",\"    at Runtime.handler (file:///var/task/index.mjs:2:9)\"]}\n",
                "TypeError",
                "Cannot read properties of undefined (reading 'id')",
            ),
            (
                "2026-01-10T10:00:03.004Z\tundefined\tERROR\tUncaught Exception \t{\"errorType\":\"Runtime.ImportModuleError\",\"errorMessage\":\"Error: Cannot find module 'x'\",\"stack\":[]}",
                "Runtime.ImportModuleError",
                "Error: Cannot find module 'x'",
            ),
            (
                "[ERROR] ValueError: no such order: 17\nTraceback (most recent call last):\n\u{a0}\u{a0}File \"/var/task/app.py\", line 3, in handler\n",
                "ValueError",
                "no such order: 17",
            ),
            (
                "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'x'\rTraceback (most recent call last):",
                "Runtime.ImportModuleError",
                "Unable to import module 'app': No module named 'x'",
            ),
            ("[ERROR] KeyError\rTraceback (most recent call last):\r\u{a0}\u{a0}File", "KeyError", ""),
            ("[ERROR] E: two\nlines\nTraceback (most recent call last):\n", "E", "two\nlines"),
            (
                "/ by zero: java.lang.ArithmeticException\njava.lang.ArithmeticException: / by zero\n\tat example.Handler.handleRequest(Handler.java:10)\n",
                "java.lang.ArithmeticException",
                "/ by zero",
            ),
            (
                "java.io.IOException: disk: java.lang.RuntimeException\njava.lang.RuntimeException: java.io.IOException: disk\n\tat example.Handler.run(Handler.java:10)\nCaused by: java.io.IOException: disk\n\tat x",
                "java.lang.RuntimeException",
                "java.io.IOException: disk",
            ),
            (
                "example.Handler$OrderException: example.Handler$OrderException\nexample.Handler$OrderException\n\tat example.Handler.run(Handler.java:10)\n",
                "example.Handler$OrderException",
                "",
            ),
            (
                "2026-01-10T10:00:03.004Z\t6d68ca91-49c9-448d-89b8-7ca3e6dc66aa\tfail\tSystem.InvalidOperationException: no such order\n ---> System.FormatException: 17\n   at Orders.Function.Find(String id) in /src/Function.cs:line 12\n   --- End of inner exception stack trace ---\n   at Orders.Function.Handler(String id)",
                "System.InvalidOperationException",
                "no such order",
            ),
            (
                "Error raised from handler method\n{\n  \"errorMessage\": \"no implicit conversion of String into Integer\",\n  \"errorType\": \"Function<TypeError>\",\n  \"stackTrace\": [\n    \"/var/task/function.rb:3:in `first'\"\n  ]\n}\n",
                "Function<TypeError>",
                "no implicit conversion of String into Integer",
            ),
            ("{\"errorMessage\":\"m\",\"errorType\":\"Function<E>\",\"stackTrace\":[]}", "Function<E>", "m"),
        ] {
            assert_eq!(of_text(text), exception(kind, message), "{text}");
        }
    }

    #[test]
    fn the_reports_of_the_runtimes_in_json_are_known() {
        for (record, kind, message) in [
            (
                r#"{"timestamp":"2026-01-10T10:00:03.004Z","level":"ERROR","requestId":"6d68ca91-49c9-448d-89b8-7ca3e6dc66aa","message":{"errorType":"ReferenceError","errorMessage":"x is not defined","stackTrace":["ReferenceError: x is not defined","    at Runtime.handler (file:///var/task/index.mjs:2:9)"]}}"#,
                "ReferenceError",
                "x is not defined",
            ),
            (
                r#"{"timestamp":"2026-01-10T10:00:03.004Z","level":"FATAL","requestId":"6d68ca91","message":"Failed: Error: x\n    at a","errorType":"Error","errorMessage":"x","stackTrace":["Error: x"]}"#,
                "Error",
                "x",
            ),
            (
                r#"{"timestamp":"2026-01-10T10:00:03Z","level":"ERROR","errorMessage":"division by zero","errorType":"ZeroDivisionError","requestId":"6d68ca91","stackTrace":["  File \"/var/task/app.py\", line 3, in handler\n    1 / 0\n"]}"#,
                "ZeroDivisionError",
                "division by zero",
            ),
            (
                r#"{"timestamp":"2026-01-10T10:00:03.004Z","message":"/ by zero: java.lang.ArithmeticException\njava.lang.ArithmeticException: / by zero\n\tat example.Handler.handleRequest(Handler.java:10)\n","level":"ERROR","AWSRequestId":"6d68ca91"}"#,
                "java.lang.ArithmeticException",
                "/ by zero",
            ),
            (
                r#"{"level":"ERROR","message":"failed","errorType":"java.lang.RuntimeException","stackTrace":"java.lang.RuntimeException\n\tat a.B.c(B.java:1)"}"#,
                "java.lang.RuntimeException",
                "",
            ),
            (
                r#"{"timestamp":"2026-01-10T10:00:03.004Z","level":"Error","requestId":"6d68ca91","message":"","errorType":"System.Exception","errorMessage":"größer \u003c 3","stackTrace":["System.Exception: größer"]}"#,
                "System.Exception",
                "größer < 3",
            ),
            (
                r#"{"errorMessage":"boom","errorType":"Function<RuntimeError>","stackTrace":["/var/task/f.rb:4:in `handler'"]}"#,
                "Function<RuntimeError>",
                "boom",
            ),
        ] {
            assert_eq!(of_record(record), exception(kind, message), "{record}");
        }
    }

    #[test]
    fn what_has_no_such_form_is_no_exception() {
        for text in [
            "",
            "[ERROR] the order was refused",
            "[ERROR] two words: x\nTraceback (most recent call last):",
            "[ERROR]\t2026-01-10T10:00:03.004Z\tid\thandled\nTraceback (most recent call last):\nValueError: x",
            "2026-01-10T10:00:03.004Z\tid\tERROR\tInvoke Error \t{\"errorType\":\"E\"",
            "2026-01-10T10:00:03.004Z\tid\tERROR\t{\"errorType\":3,\"errorMessage\":\"m\"}",
            "we meet\n\tat noon",
            "version 1.2: released\n   at last",
            "{\"errorType\":\"E\"}",
            "{not json \"errorType\"",
            "\ttabs\tonly\n\n",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
        for record in [
            r#"{"level":"INFO","errorType":"E","errorMessage":"m"}"#,
            r#"{"level":"ERROR","message":"the order was refused"}"#,
            r#"{"level":"ERROR","errorType":"","errorMessage":"m"}"#,
            r#"{"level":"ERROR","errorType":{"a":1},"errorMessage":"m"}"#,
            r#"{"level":"ERROR","message":["errorType"]}"#,
            r#"{"inner":{"errorType":"E","errorMessage":"m"}}"#,
            r#""\ud800 \"errorType\"""#,
            "[1]",
            "17",
            "null",
        ] {
            assert_eq!(of_record(record), None, "{record}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_no_character_is_cut() {
        let kept = |kind: String, message: String| {
            let record = serde_json::json!({ "errorType": kind, "errorMessage": message });
            let exception = of_record(&record.to_string()).expect("an exception");
            (exception.kind.len(), exception.message.expect("a message").len())
        };
        let odd = |characters| format!("x{}", "ü".repeat(characters));
        assert_eq!(kept(odd(127), odd(511)), (255, 1023), "whole");
        assert_eq!(kept(odd(128), odd(512)), (255, 1023), "one byte and characters of two");
        assert_eq!(kept("E".repeat(300), "m".repeat(3_000)), (TYPE_BYTES_MAX, MESSAGE_BYTES_MAX));
    }

    #[test]
    fn a_text_is_looked_at_up_to_a_limit() {
        let far = format!("java.lang.Error: {}\n\tat a", "x".repeat(HEAD_BYTES));
        assert_eq!(of_text(&far), None);
        let near = format!("java.lang.Error: {}\n\tat a", "x".repeat(HEAD_BYTES / 2));
        assert_eq!(of_text(&near), exception("java.lang.Error", &"x".repeat(MESSAGE_BYTES_MAX)));
    }

    #[test]
    fn no_text_of_any_kind_makes_it_panic() {
        let parts = [
            "{",
            "}",
            "\"errorType\":",
            "\"E\"",
            "\t",
            "\n",
            "\r",
            "\n\tat ",
            "\n   at ",
            "ü",
            ": ",
            "[ERROR] ",
            TRACEBACK,
            "a.B",
            INNER,
            "\\",
        ];
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..20_000 {
            let text: String = (0..rng.usize(0..12)).map(|_| *rng.choice(&parts).expect("not empty")).collect();
            of_text(&text);
        }
    }
}
