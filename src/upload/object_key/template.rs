//! The folder part of a key as its operator wants it: pure, and the same from every process that computes it.
//!
//! * **A template cannot be other than deterministic.** Its fields are facts of the function, which no process of an environment
//!   sees differently, and facts of the segment, which are fixed when it is sealed. What differs from process to process or from
//!   attempt to attempt is refused by name, with the reason.
//! * **No value opens a folder or leaves one**: values are made safe byte by byte.
//! * The file name is no part of it: it is what a listing proves completeness by.

use std::fmt;

use super::folder::{FOLDER_BYTES_MAX, SEGMENT_BYTES_MAX};

/// The folder unless somebody wants another: Hive's way of writing partitions.
pub const DEFAULT: &str = "function={function}/dt={date}/hour={hour}";

/// The longest template, in bytes: no shorter folder comes of a longer one, but for fields, and their names are short.
const TEMPLATE_BYTES_MAX: usize = FOLDER_BYTES_MAX;

/// What a template can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Name of the function.
    Function,
    /// Its version.
    Version,
    /// Region that it runs in.
    Region,
    /// Account that it belongs to, as the platform tells at registration.
    Account,
    /// `2026-11-23`, UTC like all that follow.
    Date,
    /// `2026`.
    Year,
    /// `11`.
    Month,
    /// `23`.
    Day,
    /// `04`.
    Hour,
    /// Two hexadecimal digits: a hash of the spool id. It spreads many environments over 256 prefixes, of which S3 takes 3,500
    /// puts a second each.
    Shard,
}

impl Field {
    /// All of them by their names.
    pub const ALL: [(&'static str, Self); 10] = [
        ("function", Self::Function),
        ("version", Self::Version),
        ("region", Self::Region),
        ("account", Self::Account),
        ("date", Self::Date),
        ("year", Self::Year),
        ("month", Self::Month),
        ("day", Self::Day),
        ("hour", Self::Hour),
        ("shard", Self::Shard),
    ];
}

/// What operators know from elsewhere and would ask for, and what it depends on.
const NOT_DETERMINISTIC: [(&str, &str); 20] = [
    ("now", "the time of the attempt"),
    ("time", "the time of the attempt"),
    ("timestamp", "the time of the attempt"),
    ("epoch", "the time of the attempt"),
    ("attempt", "the attempt"),
    ("uuid", "chance"),
    ("random", "chance"),
    ("random-string", "chance"),
    ("pid", "the process"),
    ("host", "the process"),
    ("hostname", "the process"),
    ("environment", "the process"),
    ("instance", "the process"),
    ("stream", "the process"),
    ("logstream", "the process"),
    ("log_stream", "the process"),
    ("request", "the invocation, of which a segment has many"),
    ("requestid", "the invocation, of which a segment has many"),
    ("request_id", "the invocation, of which a segment has many"),
    ("trace", "the invocation, of which a segment has many"),
];

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Field(Field),
}

/// A template that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    pub(super) parts: Vec<Part>,
}

impl Default for KeyTemplate {
    fn default() -> Self {
        Self::parse(DEFAULT).expect("the default obeys the rules")
    }
}

impl KeyTemplate {
    /// Reads a template: text with fields in braces, folders with `/` between them.
    ///
    /// # Errors
    /// What is no template, or could name one object differently from time to time.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        // A field counts as one letter: what it stands for is safe.
        let mut shape = String::new();
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(open);
            let (name, after) = from_brace
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .filter(|(name, _)| !name.contains('{'))
                .ok_or(TemplateError::Brace)?;
            add_text(&mut parts, before);
            parts.push(Part::Field(field(name)?));
            shape.push_str(before);
            shape.push('x');
            rest = after;
        }
        add_text(&mut parts, rest);
        shape.push_str(rest);
        check_text(&shape)?;
        Ok(Self { parts })
    }

    /// Whether it names a field.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.parts.contains(&Part::Field(field))
    }
}

fn add_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn field(name: &str) -> Result<Field, TemplateError> {
    if let Some((_, field)) = Field::ALL.into_iter().find(|(known, _)| *known == name) {
        return Ok(field);
    }
    let lower = name.to_ascii_lowercase();
    match NOT_DETERMINISTIC.into_iter().find(|(known, _)| *known == lower) {
        Some((_, depends_on)) => Err(TemplateError::NotDeterministic { field: name.to_owned(), depends_on }),
        None => Err(TemplateError::UnknownField { field: name.to_owned() }),
    }
}

fn check_text(shape: &str) -> Result<(), TemplateError> {
    if shape.chars().any(char::is_control) {
        return Err(TemplateError::ControlCharacter);
    }
    match shape.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
        Some(segment) => Err(TemplateError::Segment { segment: segment.to_owned() }),
        None => Ok(()),
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is longer than any folder may be.
    TooLong,
    /// A brace has no partner.
    Brace,
    /// A field depends on more than the segment and the function.
    NotDeterministic {
        /// Its name.
        field: String,
        /// On what.
        depends_on: &'static str,
    },
    /// There is no such field.
    UnknownField {
        /// Its name.
        field: String,
    },
    /// A part between slashes is empty, `.` or `..`.
    Segment {
        /// The part.
        segment: String,
    },
    /// There is a control character, which no listing could show.
    ControlCharacter,
    /// With the facts of this function a folder would be longer than a key has room for.
    FolderTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// With the facts of this function a part between slashes would be longer than a file system has room for.
    SegmentTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it must have at most {TEMPLATE_BYTES_MAX} bytes"),
            Self::Brace => write!(f, "each {{ needs its }}, with the name of a field between them"),
            Self::NotDeterministic { field, depends_on } => write!(
                f,
                "{{{field}}} depends on {depends_on}: every retry, restart and adopter must write one segment under one key"
            ),
            Self::UnknownField { field } => {
                let known: Vec<_> = Field::ALL.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                write!(f, "there is no field {{{}}}, there are {}", field.escape_debug(), known.join(", "))
            }
            Self::Segment { segment } => {
                write!(f, "a part between slashes is `{segment}`: none may be empty, `.` or `..`")
            }
            Self::ControlCharacter => write!(f, "it has a control character: none is allowed"),
            Self::FolderTooLong { bytes } => {
                write!(f, "it makes a folder of {bytes} bytes: at most {FOLDER_BYTES_MAX} are allowed")
            }
            Self::SegmentTooLong { bytes } => {
                write!(f, "a part between slashes has {bytes} bytes: at most {SEGMENT_BYTES_MAX} are allowed")
            }
        }
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        KeyTemplate::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn text_and_fields_are_told_apart() {
        let text = |text: &str| Part::Text(text.to_owned());
        let parts = KeyTemplate::parse("a/{function}{shard}-{hour}").expect("a template").parts;
        let expected =
            [text("a/"), Part::Field(Field::Function), Part::Field(Field::Shard), text("-"), Part::Field(Field::Hour)];
        assert_eq!(parts, expected);
        assert!(KeyTemplate::default().has(Field::Hour) && !KeyTemplate::default().has(Field::Account));
    }

    #[test]
    fn what_could_name_one_segment_twice_is_refused_with_the_reason() {
        for (name, depends_on) in NOT_DETERMINISTIC {
            let message = error(&format!("a={{{name}}}/dt={{date}}"));
            assert!(message.starts_with(&format!("{{{name}}} depends on {depends_on}: every retry")), "{message}");
        }
        assert!(error("{UUID}").starts_with("{UUID} depends on chance"), "however it is written");
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_rule() {
        let table = [
            ("", "a part between slashes is ``"),
            ("/a", "a part between slashes is ``"),
            ("a/", "a part between slashes is ``"),
            ("a//{hour}", "a part between slashes is ``"),
            ("a/../{hour}", "a part between slashes is `..`"),
            ("./a", "a part between slashes is `.`"),
            ("{hour", "each { needs its }"),
            ("hour}", "each { needs its }"),
            ("{{hour}}", "each { needs its }"),
            ("{}", "there is no field {}, there are {function}, {version}, "),
            ("{minute}", "there is no field {minute}"),
            ("{Function}", "there is no field {Function}"),
            ("{a\nb}", "there is no field {a\\nb}"),
            ("a\tb", "it has a control character"),
        ];
        for (text, message) in table {
            assert!(error(text).starts_with(message), "{text}: {}", error(text));
        }
        assert_eq!(
            error(&"x".repeat(TEMPLATE_BYTES_MAX + 1)),
            format!("it must have at most {FOLDER_BYTES_MAX} bytes")
        );
    }
}
