//! Replaces what patterns find in the strings of a record.
//!
//! * Only string values are changed, so the record stays JSON of the same shape: names, numbers and every byte outside a
//!   match stand as they were received. A pattern is matched against what a string means, so no escape hides a
//!   secret, and no match begins or ends within one.
//! * All patterns look at the value as it was received. Matches that overlap or touch become one mask.
//! * Afterwards no pattern finds anything but masks. Where a mask makes a new match (by a word boundary next to it, say), the
//!   whole value becomes a mask: looking again and again would take a time that the text can choose. So it does if more is
//!   found than can be told apart.

use std::borrow::Cow;
use std::ops::Range;

use super::json_text::{Written, meaning, string_values};
use super::patterns::Patterns;

/// What stands for a match.
pub const MASK: &str = "***";
/// Bytes that may be looked at for the matches of one value, if each match costs a look at the whole of it. A search is linear,
/// but there are patterns (`a.*b|a`) for which each of its matches looks at all that follows: then this takes some two seconds. It
/// is a thousand matches in a value of 1 MiB, a hundred thousand in one of 10 KiB.
const WORK_BYTES_MAX: usize = 1 << 30;

/// A JSON text without what the patterns find in its string values.
pub(super) fn json<'a>(patterns: &Patterns, json: &'a str, scratch: &mut String) -> Cow<'a, str> {
    let mut masked = Masked::new(json);
    for value in string_values(json) {
        let written = &json[value.clone()];
        let spans = spans(patterns, meaning(written, scratch));
        let mut places = Written::new(written);
        for span in spans {
            let (start, end) = (places.at(span.start), places.at(span.end));
            masked.mask(value.start + start..value.start + end);
        }
    }
    masked.finish()
}

/// A text without what the patterns find in it.
fn text<'a>(patterns: &Patterns, text: &'a str) -> Cow<'a, str> {
    mask_all(text, &spans(patterns, text))
}

/// Bytes without what the patterns find in the pieces that are UTF-8.
pub(super) fn bytes<'a>(patterns: &Patterns, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    if let Ok(valid) = std::str::from_utf8(bytes) {
        return match text(patterns, valid) {
            Cow::Borrowed(_) => Cow::Borrowed(bytes),
            Cow::Owned(masked) => Cow::Owned(masked.into_bytes()),
        };
    }
    let mut out = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(text(patterns, chunk.valid()).as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
    if out == bytes { Cow::Borrowed(bytes) } else { Cow::Owned(out) }
}

/// What is to be masked of a text, in order, with something between each two. Allocates nothing if that is nothing.
fn spans(patterns: &Patterns, text: &str) -> Vec<Range<usize>> {
    let matches_max = matches_max(text);
    let mut spans: Vec<_> = patterns.places(text).take(matches_max + 1).collect();
    if spans.is_empty() {
        return spans;
    }
    if spans.len() > matches_max {
        return whole(text);
    }
    spans.sort_unstable_by_key(|span| span.start);
    spans.dedup_by(|next, span| {
        let joins = next.start <= span.end;
        if joins {
            span.end = span.end.max(next.end);
        }
        joins
    });
    if shows_more(patterns, text, &spans) { whole(text) } else { spans }
}

fn whole(text: &str) -> Vec<Range<usize>> {
    std::iter::once(0..text.len()).collect()
}

/// How many matches are told apart in a text.
fn matches_max(text: &str) -> usize {
    WORK_BYTES_MAX / text.len().max(1)
}

/// Whether the patterns find something in the masked text that is more than a piece of a mask.
fn shows_more(patterns: &Patterns, text: &str, spans: &[Range<usize>]) -> bool {
    let masked = mask_all(text, spans);
    let mut masks = Vec::with_capacity(spans.len());
    let mut saved_bytes = 0_usize;
    for (index, span) in spans.iter().enumerate() {
        let start = span.start - saved_bytes + index * MASK.len();
        masks.push(start..start + MASK.len());
        saved_bytes += span.len();
    }
    let is_in_a_mask = |place: &Range<usize>| {
        let next = masks.partition_point(|mask| mask.start <= place.start);
        next.checked_sub(1).is_some_and(|index| place.end <= masks[index].end)
    };
    let matches_max = matches_max(&masked);
    patterns.places(&masked).enumerate().any(|(count, place)| count >= matches_max || !is_in_a_mask(&place))
}

fn mask_all<'a>(text: &'a str, spans: &[Range<usize>]) -> Cow<'a, str> {
    let mut masked = Masked::new(text);
    spans.iter().for_each(|span| masked.mask(span.clone()));
    masked.finish()
}

/// A text that is copied when the first mask comes.
struct Masked<'a> {
    text: &'a str,
    out: Option<String>,
    /// How much of the text stands in `out`, or is masked there.
    done: usize,
}

impl<'a> Masked<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, out: None, done: 0 }
    }

    /// Masks a piece behind all that were masked before.
    fn mask(&mut self, piece: Range<usize>) {
        let out = self.out.get_or_insert_with(|| String::with_capacity(self.text.len() + MASK.len()));
        out.push_str(&self.text[self.done..piece.start]);
        out.push_str(MASK);
        self.done = piece.end;
    }

    fn finish(self) -> Cow<'a, str> {
        match self.out {
            None => Cow::Borrowed(self.text),
            Some(mut out) => {
                out.push_str(&self.text[self.done..]);
                Cow::Owned(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Patterns {
        let (patterns, refused) = Patterns::compile(texts.iter().copied());
        assert_eq!(refused, []);
        patterns
    }

    fn redacted(texts: &[&str], record: &str) -> String {
        json(&patterns(texts), record, &mut String::new()).into_owned()
    }

    #[test]
    fn what_is_found_in_string_values_is_masked_and_nothing_else_changes() {
        for (pattern, record, expected) in [
            (r"\d{4}", r#""pin 1234, code 567890""#, r#""pin ***, code ***90""#),
            (
                r"(?i)token=\S+",
                r#"{"Token=n": "x TOKEN=abc y" , "n":[1234,"token=z"]}"#,
                r#"{"Token=n": "x *** y" , "n":[1234,"***"]}"#,
            ),
            (
                "secret",
                r#"{"secret":"public","a":{"secret":["secret"]}}"#,
                r#"{"secret":"public","a":{"secret":["***"]}}"#,
            ),
            ("a", r#""a""#, r#""***""#),
            ("^a|b$", r#"["ab","ba"]"#, r#"["***","ba"]"#),
            (".", r#""""#, r#""""#),
            ("[0-9]+", "[17,-1.5e3,true,null]", "[17,-1.5e3,true,null]"),
        ] {
            assert_eq!(redacted(&[pattern], record), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_see_what_a_string_means_and_masks_keep_escapes_whole() {
        for (pattern, record, expected) in [
            ("secret", r#""s\u0065cret \u00e9""#, r#""*** \u00e9""#),
            ("n", r#""a\nb\u006e""#, r#""a\nb***""#),
            (r"\n", r#""a\nb\u000ac""#, r#""a***b***c""#),
            ("\"", r#""say \"hi\" \u0022""#, r#""say ***hi*** ***""#),
            (r"\\", r#""C:\\temp""#, r#""C:***temp""#),
            ("😀", r#""\ud83d\ude00\ud83d""#, r#""***\ud83d""#),
            ("x", r#""\ud83dx\ude00""#, r#""\ud83d***\ude00""#),
            ("\u{fffd}", r#""a\ud83db""#, r#""a***b""#),
            ("ö", r#""gr\u00f6ße ö""#, r#""gr***ße ***""#),
        ] {
            assert_eq!(redacted(&[pattern], record), expected, "{pattern} in {record}");
        }
    }

    #[test]
    fn matches_that_overlap_or_touch_are_one_mask() {
        assert_eq!(redacted(&["abc", "cde"], r#""xabcdex""#), r#""x***x""#);
        assert_eq!(redacted(&["ab", "cd"], r#""xabcdx""#), r#""x***x""#);
        assert_eq!(redacted(&["b", "abcd"], r#""xabcdx""#), r#""x***x""#);
        assert_eq!(redacted(&["a"], r#""aaba""#), r#""***b***""#);
    }

    #[test]
    fn a_match_that_only_a_mask_makes_costs_the_whole_value() {
        assert_eq!(redacted(&[r"x1|\bfoo"], r#"["x1foo bar","foo bar"]"#), r#"["***","*** bar"]"#);
        assert_eq!(redacted(&["a", r"\*b"], r#""ab c""#), r#""***""#);
        assert_eq!(redacted(&[r"\*+"], r#""a*b***""#), r#""a***b***""#, "a mask in a mask is no match");
    }

    #[test]
    fn more_than_can_be_told_apart_is_masked_as_a_whole() {
        // The most matches are those of the square root of half of the limit.
        let (few, many) = ("a,".repeat(23_170), "a,".repeat(23_171));
        assert_eq!(redacted(&["a"], &format!("\"{few}\"")), format!("\"{}\"", few.replace('a', MASK)));
        assert_eq!(redacted(&["a"], &format!("[\"{many}\",\"ab\"]")), r#"["***","***b"]"#);
    }

    #[test]
    fn bytes_that_are_no_text_are_looked_at_piece_by_piece() {
        let patterns = patterns(&["secret"]);
        for (input, expected) in [
            (b"a secret {".as_slice(), b"a *** {".as_slice()),
            (b"\xffsecret\xfe", b"\xff***\xfe"),
            (b"sec\xffret", b"sec\xffret"),
            (b"", b""),
        ] {
            assert_eq!(bytes(&patterns, input), expected);
        }
    }

    #[test]
    fn what_holds_nothing_is_borrowed() {
        let patterns = patterns(&["secret"]);
        let record = r#"{"secret":"public \u00e9"}"#;
        assert!(
            matches!(json(&patterns, record, &mut String::new()), Cow::Borrowed(text) if std::ptr::eq(text, record))
        );
        assert!(matches!(text(&patterns, record), Cow::Owned(_)), "the name too, where it is text");
        assert!(matches!(bytes(&patterns, b"\xffpublic"), Cow::Borrowed(_)));
    }
}
