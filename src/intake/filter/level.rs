//! How important a record is, as far as it says so itself.
//!
//! [`severity`](crate::telemetry::severity) asks a similar question, and a wrong guess costs it an earlier seal. Here it costs a
//! record. So only what can hardly mean anything else is a level, and a record without one is shipped:
//!
//! * an object, also as text: its member `level`, or one that is called so elsewhere ([`MEMBERS`]), if it is a string. Numbers
//!   are none: 30 is `info` for some loggers and `warn` for others;
//! * `[INFO] …` at the beginning (Python);
//! * `time<TAB>request id<TAB>INFO<TAB>…` (Node.js, .NET);
//! * a first word in capitals, or in any case with a colon behind it: `INFO …`, `info: …`, `WARN[0000] …`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A level, the least important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `trace`
    Trace,
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `warn`
    Warn,
    /// `error`
    Error,
    /// `fatal`
    Fatal,
}

/// Members that hold a level, in lower case. The first one that does counts.
const MEMBERS: [&str; 6] = ["level", "log_level", "loglevel", "log.level", "levelname", "severity"];

/// What loggers call their levels, in lower case: those of Lambda's runtimes, of .NET's console and of syslog.
const NAMES: [(&str, Level); 21] = [
    ("trace", Level::Trace),
    ("trce", Level::Trace),
    ("verbose", Level::Trace),
    ("debug", Level::Debug),
    ("dbug", Level::Debug),
    ("info", Level::Info),
    ("information", Level::Info),
    ("notice", Level::Info),
    ("warn", Level::Warn),
    ("warning", Level::Warn),
    ("error", Level::Error),
    ("err", Level::Error),
    ("fail", Level::Error),
    ("severe", Level::Error),
    ("fatal", Level::Fatal),
    ("critical", Level::Fatal),
    ("crit", Level::Fatal),
    ("alert", Level::Fatal),
    ("emergency", Level::Fatal),
    ("emerg", Level::Fatal),
    ("panic", Level::Fatal),
];

impl Level {
    /// All levels by the names that the setting has for them.
    pub const ALL: [(&str, Self); 6] = [
        ("trace", Self::Trace),
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("warn", Self::Warn),
        ("error", Self::Error),
        ("fatal", Self::Fatal),
    ];

    /// The level of a text.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let text = text.trim_start();
        match text.as_bytes().first()? {
            b'{' => Self::of_object(text),
            b'[' => text[1..].split_once(']').and_then(|(word, _)| Self::named(word.trim())),
            _ => Self::of_first_word(text).or_else(|| Self::of_third_column(text)),
        }
    }

    /// The level of a JSON object. None if it is not JSON.
    pub(super) fn of_object(json: &str) -> Option<Self> {
        let Members(levels) = serde_json::from_str(json).ok()?;
        levels.into_iter().flatten().next()
    }

    pub(super) fn named(word: &str) -> Option<Self> {
        NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, level)| *level)
    }

    fn of_first_word(text: &str) -> Option<Self> {
        let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, rest) = text.split_at(length);
        let level = Self::named(word)?;
        match rest.chars().next() {
            Some(':') => Some(level),
            None | Some('[' | '|') if is_capital(word) => Some(level),
            Some(behind) if behind.is_whitespace() && is_capital(word) => Some(level),
            _ => None,
        }
    }

    fn of_third_column(text: &str) -> Option<Self> {
        let mut columns = text.splitn(4, '\t');
        let (time, _request_id, level) = (columns.next()?, columns.next()?, columns.next()?);
        if is_time(time) { Self::named(level.trim()) } else { None }
    }
}

fn is_capital(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// `2026-01-10T10:00:03.004Z`, as the runtimes write it.
fn is_time(text: &str) -> bool {
    text.len() == 24 && [(4, b'-'), (10, b'T'), (13, b':'), (23, b'Z')].iter().all(|(at, c)| text.as_bytes()[*at] == *c)
}

/// The level that each of [`MEMBERS`] tells.
struct Members([Option<Level>; MEMBERS.len()]);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
        let mut levels = [None; MEMBERS.len()];
        while let Some(name) = map.next_key::<Text<'de>>()? {
            match MEMBERS.iter().position(|member| name.0.eq_ignore_ascii_case(member)) {
                Some(index) => {
                    let value: &RawValue = map.next_value()?;
                    let word = serde_json::from_str::<Text<'_>>(value.get());
                    levels[index] = levels[index].or_else(|| Level::named(&word.ok()?.0));
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Members(levels))
    }
}

/// A string that is borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_say_it_as_the_runtimes_and_common_loggers_write_it() {
        for (text, level) in [
            ("[INFO] a\nb", Level::Info),
            ("[WARNING]\t2026-01-10T10:00:03.004Z\tid\tx", Level::Warn),
            ("[critical ] x", Level::Fatal),
            ("2026-01-10T10:00:03.004Z\t6d68ca91-49c9-448d-89b8-7ca3e6dc66aa\tERROR\tInvoke Error \t{}", Level::Error),
            ("2026-01-10T10:00:03.004Z\tundefined\tDEBUG\tbefore any request", Level::Debug),
            ("2026-01-10T10:00:03.004Z\tid\tdbug\tof .NET", Level::Debug),
            ("DEBUG cache miss", Level::Debug),
            ("  INFO orders: accepted", Level::Info),
            ("info: accepted", Level::Info),
            ("Error: no such order", Level::Error),
            ("WARN[0003] slow", Level::Warn),
            ("FATAL", Level::Fatal),
            ("TRACE\tx", Level::Trace),
            ("{\"time\":1, \"level\" : \"debug\", \"msg\":\"m\"}\n", Level::Debug),
        ] {
            assert_eq!(Level::of_text(text), Some(level), "{text}");
        }
    }

    #[test]
    fn what_may_mean_something_else_is_no_level() {
        for text in [
            "",
            " ",
            "Debug mode is on",
            "information about the order",
            "INFORMATIVE",
            "ERROR_CODE=5",
            "INFO5",
            "an INFO in free text",
            "[",
            "[INFO",
            "[order] INFO",
            "[]",
            "one\ttwo\tDEBUG\tthree columns of somebody else's table",
            "2026-01-10\tid\tDEBUG\tx",
            "größe\tid\tDEBUG\tx",
            "2026-01-10T10:00:03.004Z\tid",
            "{\"level\":\"debug\"",
            "{not json}",
        ] {
            assert_eq!(Level::of_text(text), None, "{text}");
        }
    }

    #[test]
    fn objects_say_it_by_a_member_of_their_own() {
        for (json, level) in [
            (r#"{"level":"INFO"}"#, Some(Level::Info)),
            (r#"{"Level":"Information"}"#, Some(Level::Info)),
            (r#"{"logLevel":"warn"}"#, Some(Level::Warn)),
            (r#"{"log_level":"warning"}"#, Some(Level::Warn)),
            (r#"{"log.level":"error"}"#, Some(Level::Error)),
            (r#"{"levelname":"DEBUG"}"#, Some(Level::Debug)),
            (r#"{"severity":"EMERGENCY"}"#, Some(Level::Fatal)),
            (r#"{"\u006cevel":"tr\u0061ce"}"#, Some(Level::Trace)),
            (r#"{"severity":"debug","level":"error"}"#, Some(Level::Error)),
            (r#"{"level":"boss","severity":"debug"}"#, Some(Level::Debug)),
            (r#"{"context":{"level":"debug"},"message":"level: debug"}"#, None),
            (r#"{"level":30}"#, None),
            (r#"{"level":{"name":"debug"}}"#, None),
            (r#"{"level":"\ud800"}"#, None),
            (r#"{"message":"DEBUG"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(Level::of_object(json), level, "{json}");
        }
    }

    #[test]
    fn levels_are_ordered_and_known_by_their_names() {
        assert!(Level::ALL.windows(2).all(|pair| pair[0].1 < pair[1].1));
        assert!(Level::ALL.iter().all(|(name, level)| Level::named(name) == Some(*level)));
    }
}
