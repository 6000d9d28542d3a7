//! What all keys of a destination begin with.

use std::fmt;

use super::KEY_BYTES_MAX;

/// Longest prefix, in bytes: half of a key, the rest has room in the other half.
pub(super) const PREFIX_BYTES_MAX: usize = KEY_BYTES_MAX / 2;

/// A prefix: empty, or parts with `/` between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Reads a prefix; slashes at its ends are ignored.
    ///
    /// # Errors
    /// A prefix that a file system would read as another folder, that no listing could show, or that leaves too little room.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let prefix = text.trim_matches('/');
        if prefix.is_empty() {
            return Ok(Self::default());
        }
        if prefix.len() > PREFIX_BYTES_MAX {
            return Err(PrefixError::TooLong { bytes: prefix.len() });
        }
        if prefix.chars().any(char::is_control) {
            return Err(PrefixError::ControlCharacter);
        }
        match prefix.split('/').find(|part| matches!(*part, "" | "." | "..")) {
            None => Ok(Self(prefix.to_owned())),
            Some(part) => Err(PrefixError::Part { part: part.to_owned() }),
        }
    }

    /// The whole key of what is called `key` below the prefix.
    #[must_use]
    pub fn join(&self, key: &str) -> String {
        if self.0.is_empty() { key.to_owned() } else { format!("{}/{key}", self.0) }
    }

    /// `place`, with the prefix behind it: for log lines.
    #[must_use]
    pub fn below(&self, place: &str) -> String {
        if self.0.is_empty() { place.to_owned() } else { format!("{place}/{}", self.0) }
    }
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrefixError {
    /// It is longer than half of a key.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A part between slashes is empty, `.` or `..`.
    Part {
        /// The part.
        part: String,
    },
    /// It has a control character.
    ControlCharacter,
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "the prefix has {bytes} bytes: at most {PREFIX_BYTES_MAX} are allowed")
            }
            Self::Part { part } => {
                write!(f, "the prefix has the part `{part}`: none may be empty, `.` or `..`")
            }
            Self::ControlCharacter => write!(f, "the prefix has a control character: none is allowed"),
        }
    }
}

impl std::error::Error for PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_ends_of_a_prefix_are_ignored() {
        for (text, key) in [("", "k"), ("/", "k"), ("a", "a/k"), ("a/b/", "a/b/k"), ("//a", "a/k")] {
            assert_eq!(Prefix::parse(text).expect(text).join("k"), key, "{text}");
        }
    }

    #[test]
    fn a_bad_prefix_is_refused_with_the_rule() {
        let long = "p".repeat(PREFIX_BYTES_MAX + 1);
        let table = [
            ("a//b", "the prefix has the part ``: none may be empty, `.` or `..`"),
            ("a/../b", "the prefix has the part `..`: none may be empty, `.` or `..`"),
            ("./a", "the prefix has the part `.`: none may be empty, `.` or `..`"),
            ("a\nb", "the prefix has a control character: none is allowed"),
            (&long, "the prefix has 513 bytes: at most 512 are allowed"),
        ];
        for (prefix, message) in table {
            assert_eq!(Prefix::parse(prefix).expect_err(prefix).to_string(), message);
        }
        assert!(Prefix::parse(&long[1..]).is_ok());
    }
}
