//! Cutting a telemetry body into its elements without believing that it is JSON.
//!
//! A body should be a JSON array of events. What is cut out here is handed on as bytes: a malformed element costs itself,
//! not its neighbours, and what cannot be cut is handed on whole.

use memchr::memchr2;

use super::scan::{self, Scanned};

/// A piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An element of the array; whether it is an event is for the reader to find out.
    Element(&'a [u8]),
    /// Bytes that are no element: no array, an element that does not end, something behind the array.
    Rest(&'a [u8]),
}

/// The pieces of a body in order. Nothing but white space, the brackets and the commas between elements is left out.
pub fn pieces(body: &[u8]) -> Pieces<'_> {
    let trimmed = body.trim_ascii();
    match trimmed.strip_prefix(b"[") {
        Some(inside) => pieces_inside(inside),
        None => Pieces { rest: trimmed, from: trimmed, in_array: false, text: None, is_one_line: false },
    }
}

/// The same of what stands behind the bracket that begins the array.
pub fn pieces_inside(inside: &[u8]) -> Pieces<'_> {
    Pieces { rest: inside, from: inside, in_array: true, text: None, is_one_line: false }
}

/// See [`pieces`].
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    /// From the piece that was handed on last.
    from: &'a [u8],
    in_array: bool,
    /// What the rest is the end of as long as it is in the array, if it was found to be UTF-8.
    text: Option<&'a str>,
    /// The rest holds no line break.
    is_one_line: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        self.skip_separators();
        if self.rest.is_empty() {
            return None;
        }
        self.from = self.rest;
        if !self.in_array {
            return Some(Piece::Rest(std::mem::take(&mut self.rest)));
        }
        let Some(length) = element_length(self.rest) else {
            return Some(Piece::Rest(std::mem::take(&mut self.rest)));
        };
        let (element, rest) = self.rest.split_at(length);
        self.rest = rest;
        Some(Piece::Element(element.trim_ascii_end()))
    }
}

impl<'a> Pieces<'a> {
    /// The same, with events that stand as the platform writes them read in one pass.
    #[must_use]
    pub fn scanned(mut self) -> Self {
        self.text = std::str::from_utf8(self.rest).ok();
        self.is_one_line = memchr2(b'\n', b'\r', self.rest).is_none();
        self
    }

    /// The next element, read, if it is an event that stands as the platform writes them. What is none is the next piece.
    #[inline]
    pub fn next_event(&mut self) -> Option<Scanned<'a>> {
        let text = self.text?;
        self.skip_separators();
        if !self.in_array {
            return None;
        }
        let mut scanned = scan::event(text.get(text.len() - self.rest.len()..)?)?;
        scanned.event.is_one_line = self.is_one_line;
        self.from = self.rest;
        self.rest = &self.rest[scanned.length..];
        Some(scanned)
    }

    /// The piece that was handed on last, and everything behind it.
    pub fn from_last(&self) -> &'a [u8] {
        self.from
    }

    /// Skips white space and commas, and the bracket that ends the array.
    fn skip_separators(&mut self) {
        while self.in_array
            && let [first, rest @ ..] = self.rest
        {
            match first {
                b',' => self.rest = rest,
                b']' => {
                    self.in_array = false;
                    self.rest = rest.trim_ascii();
                }
                _ if first.is_ascii_whitespace() => self.rest = rest,
                _ => return,
            }
        }
    }
}

/// Length of the element that `bytes` begins with, up to the comma or bracket behind it; `None` if it does not end.
fn element_length(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_length(&bytes[at..])?,
            b',' | b']' if depth == 0 => return Some(at),
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' => (depth, at) = (depth.saturating_sub(1), at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Length of the string that `bytes` begins with, both quotes included; `None` if it does not end.
pub(crate) fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str) -> Vec<String> {
        pieces(body.as_bytes())
            .map(|piece| match piece {
                Piece::Element(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Piece::Rest(bytes) => format!("rest {}", String::from_utf8_lossy(bytes)),
            })
            .collect()
    }

    #[test]
    fn elements_are_cut_at_the_commas_between_them() {
        assert_eq!(
            cut(r#"[{"a":[1,2]},{"b":"],}\""} , 3,"x"]"#),
            [r#"{"a":[1,2]}"#, r#"{"b":"],}\""}"#, "3", r#""x""#]
        );
        assert_eq!(cut(" [ ] \n"), Vec::<String>::new());
        assert_eq!(cut(""), Vec::<String>::new());
    }

    #[test]
    fn a_malformed_element_costs_itself() {
        assert_eq!(cut(r#"[{"a":1},{"b"=},{"c":3}]"#), [r#"{"a":1}"#, r#"{"b"=}"#, r#"{"c":3}"#]);
        assert_eq!(cut(r#"[{"a":1},,{"c":3},]"#), [r#"{"a":1}"#, r#"{"c":3}"#]);
    }

    #[test]
    fn what_does_not_end_is_handed_on_whole() {
        assert_eq!(cut(r#"[{"a":1},{"b":"cut}]"#), [r#"{"a":1}"#, r#"rest {"b":"cut}]"#]);
        assert_eq!(cut(r#"[{"a":1},{"b":2"#), [r#"{"a":1}"#, r#"rest {"b":2"#]);
        assert_eq!(cut(r#"["a\"#), [r#"rest "a\"#]);
    }

    #[test]
    fn what_is_no_array_is_handed_on_whole() {
        assert_eq!(cut(r#"{"a":1}"#), [r#"rest {"a":1}"#]);
        assert_eq!(cut(r#"[1] tail"#), ["1", "rest tail"]);
        assert_eq!(cut("hello"), ["rest hello"]);
    }

    #[test]
    fn every_byte_that_matters_is_handed_on_for_any_input() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..5_000 {
            let length = rng.usize(0..40);
            let body: Vec<u8> = (0..length).map(|_| *rng.choice(br#"[]{}",:\ ax1"#).expect("not empty")).collect();
            let significant = |bytes: &[u8]| {
                bytes.iter().filter(|byte| !matches!(byte, b' ' | b',' | b'[' | b']')).copied().collect::<Vec<u8>>()
            };
            let handed: Vec<u8> = pieces(&body)
                .flat_map(|piece| match piece {
                    Piece::Element(bytes) | Piece::Rest(bytes) => bytes.to_vec(),
                })
                .collect();
            assert_eq!(significant(&handed), significant(&body), "{}", String::from_utf8_lossy(&body));
        }
    }
}
