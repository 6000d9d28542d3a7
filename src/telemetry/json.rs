//! JSON as it stands in a body.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Bytes that are looked at together to find one among them.
const WORD_BYTES: usize = 8;
/// Bytes that are looked at together to see that there is none. Most names and values end before that pays.
const BLOCK_BYTES: usize = 32;
const WORDS_BEFORE_BLOCKS: usize = 4;

/// A JSON value as it was written, without white space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// Takes a text that was read as one JSON value.
    pub(super) fn read(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value.get())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(Into::into)
    }
}

/// Whether a string can stand between quotes as it is.
pub fn is_plain(text: &str) -> bool {
    special(text.as_bytes(), 0).is_none()
}

/// Whether all of these bytes stand in a JSON string for themselves: for a few, of which there are whole words.
#[inline]
pub(super) fn is_clean(bytes: &[u8]) -> bool {
    let (words, tail) = bytes.as_chunks::<WORD_BYTES>();
    words.iter().all(|word| special_of_word(*word).is_none()) && !tail.iter().any(|byte| is_special(*byte))
}

/// Where the next quote, backslash or control character stands: what cannot stand in a JSON string for itself.
#[inline]
pub(super) fn special(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    // Of short names and values the first word is enough.
    match rest.first_chunk().and_then(|word| special_of_word(*word)) {
        Some(place) => Some(at + place),
        None => special_of_more(rest, at),
    }
}

fn special_of_more(rest: &[u8], at: usize) -> Option<usize> {
    let (words, _) = rest.as_chunks::<WORD_BYTES>();
    // The first one is known.
    let mut clean = if words.is_empty() { 0 } else { WORD_BYTES };
    for word in words.iter().take(WORDS_BEFORE_BLOCKS).skip(1) {
        if let Some(place) = special_of_word(*word) {
            return Some(at + clean + place);
        }
        clean += WORD_BYTES;
    }
    let (blocks, _) = rest[clean..].as_chunks::<BLOCK_BYTES>();
    let is_clean = |block: &&[u8; BLOCK_BYTES]| !block.iter().fold(false, |found, byte| found | is_special(*byte));
    clean += blocks.iter().take_while(is_clean).count() * BLOCK_BYTES;
    // What is left of the last block, or of all bytes.
    let (words, tail) = rest[clean..].as_chunks::<WORD_BYTES>();
    for word in words {
        if let Some(place) = special_of_word(*word) {
            return Some(at + clean + place);
        }
        clean += WORD_BYTES;
    }
    tail.iter().position(|byte| is_special(*byte)).map(|place| at + clean + place)
}

#[inline]
fn special_of_word(word: [u8; WORD_BYTES]) -> Option<usize> {
    // The highest bit of a byte that is special, and perhaps of some behind it.
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let word = u64::from_le_bytes(word);
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    // Each has borrowed where its byte is special, or was above 127 from the beginning.
    let found = (control | quote | backslash) & !word & HIGH;
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}
