//! The strings of a JSON text, and where each of their characters stands in it.
//!
//! The text is JSON already: a parser has cut it out of a body. Nothing here fails on one that is not, it only means nothing.

use std::ops::Range;

use crate::telemetry::body::string_length;

/// The strings of a JSON text that are values, not names of members: where each stands, without its quotes.
pub(super) fn string_values(json: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + json.as_bytes().get(at..)?.iter().position(|byte| *byte == b'"')?;
            let end = start + string_length(&json.as_bytes()[start..])?;
            at = end;
            let behind = json.as_bytes()[end..].trim_ascii_start();
            if behind.first() != Some(&b':') {
                return Some(start + 1..end - 1);
            }
        }
    })
}

/// What a string means, from how it is written between its quotes: borrowed, if it is written without escapes.
///
/// Half of a surrogate pair means nothing; it counts as U+FFFD, as a reader would see it.
pub(super) fn meaning<'a>(written: &'a str, scratch: &'a mut String) -> &'a str {
    let Some(first) = written.find('\\') else { return written };
    scratch.clear();
    scratch.push_str(&written[..first]);
    scratch.extend(characters(&written[first..]).map(|(_, character)| character));
    scratch
}

/// The characters of a string, each with the number of bytes that it is written with.
fn characters(written: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut rest = written;
    std::iter::from_fn(move || {
        let (length, character) = first_character(rest)?;
        rest = rest.get(length..).unwrap_or_default();
        Some((length, character))
    })
}

/// The first character of a string, with the number of bytes that it is written with.
pub(in crate::intake) fn first_character(written: &str) -> Option<(usize, char)> {
    let Some(escape) = written.strip_prefix('\\') else {
        let character = written.chars().next()?;
        return Some((character.len_utf8(), character));
    };
    let short = match escape.as_bytes().first()? {
        b'u' => return Some(unicode_escape(escape)),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => escape.chars().next()?,
    };
    Some((1 + escape.chars().next()?.len_utf8(), short))
}

/// The character of `uXXXX`, or of `uXXXX\uXXXX`, behind a backslash.
fn unicode_escape(escape: &str) -> (usize, char) {
    let unit = |text: &str| u16::from_str_radix(text.get(1..5)?, 16).ok();
    let Some(first) = unit(escape) else { return (2, char::REPLACEMENT_CHARACTER) };
    let second = escape.get(5..).and_then(|rest| rest.strip_prefix("\\u").map(|_| &rest[1..])).and_then(unit);
    match char::decode_utf16([first].into_iter().chain(second)).next() {
        Some(Ok(character)) if character.len_utf16() == 2 => (12, character),
        Some(Ok(character)) => (6, character),
        _ => (6, char::REPLACEMENT_CHARACTER),
    }
}

/// Finds where a place in the meaning of a string is written. Asked in ascending order, it walks the string once.
pub(super) struct Written<'a> {
    text: &'a str,
    /// Bytes passed in the text as written, and in its meaning.
    passed: usize,
    meant: usize,
}

impl<'a> Written<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, passed: 0, meant: 0 }
    }

    /// Where the character at `place` begins; behind the last one, where the text ends.
    pub(super) fn at(&mut self, place: usize) -> usize {
        for (length, character) in characters(&self.text[self.passed..]) {
            if self.meant >= place {
                break;
            }
            self.passed += length;
            self.meant += character.len_utf8();
        }
        self.passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(json: &str) -> Vec<&str> {
        string_values(json).map(|at| &json[at]).collect()
    }

    #[test]
    fn values_are_told_from_names() {
        assert_eq!(values(r#""a""#), ["a"]);
        assert_eq!(values(r#"{"n":"v","\"m\":" : ["x",{"o":{}},"y:" ,""],"p":":", "q":7}"#), ["v", "x", "y:", "", ":"]);
        assert_eq!(values("[1,null,{}]"), Vec::<&str>::new());
        assert_eq!(values("{\"n\"\r\n:\"v\\\\\"}"), ["v\\\\"]);
        assert_eq!(values("\"does not end"), Vec::<&str>::new());
    }

    fn meant(written: &str) -> String {
        let mut scratch = String::from("left over");
        meaning(written, &mut scratch).to_owned()
    }

    #[test]
    fn escapes_mean_what_a_reader_sees() {
        for (written, expected) in [
            ("größe", "größe"),
            (r"a\n\t\r\b\f\/\\\u0022", "a\n\t\r\u{8}\u{c}/\\\""),
            (r"\u00e9\u20AC", "é€"),
            (r"x\ud83d\ude00y", "x😀y"),
            (r"\ud83dx", "\u{fffd}x"),
            (r"\ude00\ud83d\ud83d\ude00", "\u{fffd}\u{fffd}😀"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            assert_eq!(meant(written), expected, "{written}");
        }
    }

    #[test]
    fn what_is_no_string_means_something_all_the_same() {
        for written in ["\\", "\\u", "\\u12", "\\uzzzz", "\\ud800\\u", "\\ü", "\\ud800\\uüüüü", "\\u+123"] {
            meant(written);
            Written::new(written).at(100);
        }
    }

    #[test]
    fn places_are_found_in_the_text_as_written() {
        let written = r"a\u00e9\ud83d\ude00\n\ud800z";
        let meant = meant(written);
        let mut places = Written::new(written);
        let found: Vec<_> = meant.char_indices().map(|(at, _)| places.at(at)).collect();
        assert_eq!(found, [0, 1, 7, 19, 21, 27]);
        assert_eq!(places.at(meant.len()), written.len());
        assert_eq!(places.at(meant.len()), written.len());
    }
}
