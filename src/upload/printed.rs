//! Objects as lines of text, for a log: pure, in both directions.
//!
//! ```text
//! logspool-part v1 key=function=f/dt=2026-11-23/hour=04/….ndjson.zst part=2of7 bytes=52310 crc64=adf59bc7a83fe2f1 data=KLUv_QQ…
//! ```
//!
//! * **Each line stands for itself**: it says which object it belongs to, how long that is and what its digest is, so lines may
//!   come in any order, twice, and among other text.
//! * **No letter of a line needs an escape** in JSON, CSV or a shell (base64url without padding; keys escaped byte by byte), so
//!   it is found in whatever an export has wrapped around it.
//! * **All parts but the last are of the same length**, so one that was cut is noticed, and named.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a part begins with.
pub const MARK: &str = "logspool-part v1 ";
/// Bytes of an object in a line: with its base64 and its head a line is some 33 KB, an eighth of what CloudWatch takes for
/// an event (Amazon CloudWatch Logs User Guide, "CloudWatch Logs quotas": 256 KB before it was raised).
pub const PART_BYTES: usize = 24 * 1024;
/// The longest head of a line: a key of 1,024 bytes, each escaped, and the numbers.
pub const HEAD_BYTES_MAX: usize = 3 * 1024 + 256;

/// What stays as it is in a key.
const KEY_ESCAPES: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'=').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What every part says of its object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// Its key, below the prefix of any store.
    pub key: String,
    /// Its length.
    pub bytes: u64,
    /// CRC-64/NVME of its bytes.
    pub crc64_nvme: u64,
}

impl Head {
    /// How many parts the object has; an empty one has one.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.bytes.div_ceil(PART_BYTES as u64).max(1)
    }

    /// How many bytes a part has, the first one being 1.
    fn part_bytes(&self, part: u64) -> u64 {
        if part < self.parts() { PART_BYTES as u64 } else { self.bytes - (self.parts() - 1) * PART_BYTES as u64 }
    }

    /// How long the lines of the object are at most, all together.
    #[must_use]
    pub fn lines_bytes_max(&self) -> u64 {
        let data = self.bytes.div_ceil(3) * 4 + 4 * self.parts();
        data + self.parts() * HEAD_BYTES_MAX.min(self.key.len() * 3 + 256) as u64
    }

    /// A line, with the line feed at its end. `part` counts from 1.
    #[must_use]
    pub fn line(&self, part: u64, bytes: &[u8]) -> String {
        let key = utf8_percent_encode(&self.key, KEY_ESCAPES);
        let (parts, length, crc64) = (self.parts(), self.bytes, self.crc64_nvme);
        let mut line = format!("{MARK}key={key} part={part}of{parts} bytes={length} crc64={crc64:016x} data=");
        BASE64.encode_string(bytes, &mut line);
        line.push('\n');
        line
    }
}

/// A part that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its object.
    pub head: Head,
    /// Its number, from 1.
    pub number: u64,
    /// Its bytes.
    pub bytes: Bytes,
}

/// Why something that begins like a part is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// What can still be read of its head.
    pub what: String,
    /// What is wrong.
    pub why: &'static str,
}

impl std::fmt::Display for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Finds parts in a text of any length, of which a piece at a time is in memory. Lines mean nothing to it: an export may have
/// all of them in one.
#[derive(Debug, Default)]
pub struct Finder {
    window: Vec<u8>,
}

impl Finder {
    /// Takes the next piece of the text, and hands on what has been found in it.
    pub fn take(&mut self, piece: &[u8], mut found: impl FnMut(Result<Part, Damaged>)) {
        self.window.extend_from_slice(piece);
        let is_whole = |start: usize, length: usize| start + LINE_BYTES_MAX <= length;
        self.find(&mut found, is_whole);
    }

    /// The text has ended.
    pub fn end(mut self, mut found: impl FnMut(Result<Part, Damaged>)) {
        self.find(&mut found, |_, _| true);
    }

    /// Reads every part that is there whole, and keeps what could be the beginning of one.
    fn find(&mut self, found: &mut impl FnMut(Result<Part, Damaged>), is_whole: impl Fn(usize, usize) -> bool) {
        let length = self.window.len();
        let mut keep_from = length.saturating_sub(MARK.len() - 1);
        let mut starts = memchr::memmem::find_iter(&self.window, MARK).peekable();
        while let Some(start) = starts.next() {
            if !is_whole(start, length) {
                keep_from = start;
                break;
            }
            // One that was cut ends where the next begins.
            let end = starts.peek().copied().unwrap_or(length).min(start + LINE_BYTES_MAX);
            found(part(&String::from_utf8_lossy(&self.window[start + MARK.len()..end])));
            keep_from = keep_from.max(start + MARK.len()).min(length);
        }
        self.window.drain(..keep_from);
    }
}

/// The longest line, with an escape for each slash in its key.
const LINE_BYTES_MAX: usize = PART_BYTES / 3 * 4 + 2 * HEAD_BYTES_MAX;

/// Reads what stands behind [`MARK`].
fn part(text: &str) -> Result<Part, Damaged> {
    let mut rest = text;
    let mut field = |name: &str| -> Option<&str> {
        let value = rest.strip_prefix(name)?.strip_prefix('=')?;
        let end =
            value.find(|c: char| c.is_whitespace() || c.is_control() || "\"',".contains(c)).unwrap_or(value.len());
        rest = value[end..].strip_prefix(' ').unwrap_or("");
        Some(&value[..end])
    };
    // Some exports escape a slash.
    let key = field("key").map(|key| key.replace('\\', ""));
    let (number, bytes, crc64, data) = (field("part"), field("bytes"), field("crc64"), field("data"));
    let mut what = String::new();
    let _ = write!(what, "part {} of {}", number.unwrap_or("?"), key.as_deref().unwrap_or("?"));
    let damaged = |why| Damaged { what: what.chars().filter(|c| !c.is_control()).take(400).collect(), why };
    let head = || {
        let key = percent_decode_str(key.as_deref()?).decode_utf8().ok()?.into_owned();
        let crc64_nvme = u64::from_str_radix(crc64?, 16).ok()?;
        Some(Head { key, bytes: bytes?.parse().ok()?, crc64_nvme })
    };
    let head = head().ok_or_else(|| damaged("its head cannot be read"))?;
    let number = number
        .and_then(|number| number.split_once("of"))
        .filter(|(_, parts)| parts.parse() == Ok(head.parts()))
        .and_then(|(number, _)| number.parse().ok())
        .filter(|number| (1..=head.parts()).contains(number))
        .ok_or_else(|| damaged("its number cannot be read"))?;
    // An escape behind the data (`\n` in JSON) is none of it.
    let data = data.unwrap_or_default();
    let data = data.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).next().unwrap_or_default();
    let bytes = BASE64.decode(data).map_err(|_| damaged("its data cannot be read: the line was cut or changed"))?;
    if bytes.len() as u64 != head.part_bytes(number) {
        return Err(damaged("it has another length than it says: the line was cut or changed"));
    }
    Ok(Part { head, number, bytes: bytes.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: u64) -> Head {
        Head { key: "function=a%2Fb/dt=2026-11-23/x ü.zst".to_owned(), bytes, crc64_nvme: 0xab }
    }

    fn read(text: &str) -> Vec<Result<Part, Damaged>> {
        read_in_pieces(text, text.len().max(1))
    }

    fn read_in_pieces(text: &str, length: usize) -> Vec<Result<Part, Damaged>> {
        let (mut finder, mut found) = (Finder::default(), Vec::new());
        for piece in text.as_bytes().chunks(length) {
            finder.take(piece, |part| found.push(part));
            assert!(finder.window.len() <= LINE_BYTES_MAX + length, "what cannot be a part is not kept");
        }
        finder.end(|part| found.push(part));
        found
    }

    #[test]
    fn parts_are_found_however_the_text_comes_in() {
        let heads = [head(10), head(PART_BYTES as u64 + 1)];
        let objects: Vec<String> = heads
            .iter()
            .map(|head| lines(head, &content(usize::try_from(head.bytes).expect("small"))).concat())
            .collect();
        let text =
            format!("x\u{fc}{}logspool-part v1{}logspool-part v1 {}", objects[0], "y".repeat(100_000), objects[1]);
        let whole = read(&text);
        assert_eq!(whole.iter().filter(|part| part.is_ok()).count(), 3);
        assert_eq!(whole.iter().filter(|part| part.is_err()).count(), 1, "a mark without a part");
        for length in [1, 7, 1_000, 32_768, 100_000] {
            assert_eq!(read_in_pieces(&text, length), whole, "pieces of {length}");
        }
    }

    fn content(length: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(length as u64);
        std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
    }

    fn lines(head: &Head, content: &[u8]) -> Vec<String> {
        let chunks: Vec<&[u8]> = if content.is_empty() { vec![&[]] } else { content.chunks(PART_BYTES).collect() };
        chunks.into_iter().zip(1..).map(|(chunk, part)| head.line(part, chunk)).collect()
    }

    #[test]
    fn an_object_comes_back_from_its_lines_whatever_stands_around_them() {
        for length in [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES - 1] {
            let (head, content) = (head(length as u64), content(length));
            let lines = lines(&head, &content);
            assert_eq!(lines.len() as u64, head.parts());
            assert!(lines.concat().len() as u64 <= head.lines_bytes_max(), "{length}");
            let wrapped = |line: &str| {
                let message = line.trim_end();
                let escaped = message.replace('/', "\\/");
                [
                    format!("2026-11-23T04:05:06.789Z {line}"),
                    format!("{{\"timestamp\":1,\"message\":\"{escaped}\\n\"}}"),
                    format!("1,\"{message}\"\n"),
                    format!("'{message}'"),
                ]
            };
            for form in 0..4 {
                let text: String = lines.iter().map(|line| wrapped(line)[form].clone()).collect();
                let found: Vec<_> = read(&text).into_iter().map(|part| part.expect("whole")).collect();
                assert!(found.iter().all(|part| part.head == head), "{text}");
                let numbers: Vec<_> = found.iter().map(|part| part.number).collect();
                assert_eq!(numbers, (1..=head.parts()).collect::<Vec<_>>());
                assert_eq!(found.iter().map(|part| &part.bytes[..]).collect::<Vec<_>>().concat(), content);
            }
        }
    }

    #[test]
    fn no_letter_of_a_line_needs_an_escape_and_every_line_is_short() {
        let head = Head { key: "\"'\\,\n/ü".repeat(93), bytes: PART_BYTES as u64, crc64_nvme: u64::MAX };
        let line = head.line(1, &content(PART_BYTES));
        assert!(line.len() < PART_BYTES * 4 / 3 + HEAD_BYTES_MAX, "{}", line.len());
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~%/= ".contains(c);
        assert_eq!(line.trim_end().find(|c| !plain(c)), None);
        assert_eq!(read(&line)[0].as_ref().map(|part| &part.head), Ok(&head));
    }

    #[test]
    fn what_was_cut_or_changed_is_named() {
        let head = head(PART_BYTES as u64 + 10);
        let lines = lines(&head, &content(PART_BYTES + 10));
        let line = lines[0].trim_end();
        let table = [
            (line[..line.len() - 1].to_owned(), "its data cannot be read: the line was cut or changed"),
            (line[..line.len() - 4].to_owned(), "it has another length than it says: the line was cut or changed"),
            (line[..line.find(" crc64").expect("a field")].to_owned(), "its head cannot be read"),
            (line.replace("part=1of2", "part=1of3"), "its number cannot be read"),
            (line.replace("part=1of2", "part=3of2"), "its number cannot be read"),
            (line.replace("part=1of2", "part=0of2"), "its number cannot be read"),
            (line.replace("bytes=", "bytes=-"), "its head cannot be read"),
            (MARK.to_owned(), "its head cannot be read"),
        ];
        for (text, why) in table {
            let found = read(&text);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].as_ref().map_err(|damaged| damaged.why), Err(why), "{text:.200}");
        }
        assert_eq!(read("logspool-part v2 key=x"), [], "of another version");
        assert_eq!(read("no part"), []);
    }
}
