//! JSON as it stands in a body.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The first eight bytes of a long string are looked at one way, the rest another: most names and values end before.
const WORD_BYTES: usize = 8;
const BLOCK_BYTES: usize = 32;

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

/// Where the next quote, backslash or control character stands: what cannot stand in a JSON string for itself.
pub(super) fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..2 {
        if let Some(found) = special_of_word(bytes, at) {
            return found.place();
        }
        at += WORD_BYTES;
    }
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK_BYTES>) {
        if block.iter().fold(false, |found, byte| found | is_special(*byte)) {
            break;
        }
        at += BLOCK_BYTES;
    }
    loop {
        if let Some(found) = special_of_word(bytes, at) {
            return found.place();
        }
        at += WORD_BYTES;
    }
}

/// The end of a search.
enum Found {
    At(usize),
    Nothing,
}

impl Found {
    fn place(self) -> Option<usize> {
        match self {
            Self::At(at) => Some(at),
            Self::Nothing => None,
        }
    }
}

/// `None` if there are eight bytes, and none of them is special.
fn special_of_word(bytes: &[u8], at: usize) -> Option<Found> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(word) = rest.first_chunk::<WORD_BYTES>() else {
        let place = rest.iter().position(|byte| is_special(*byte));
        return Some(place.map_or(Found::Nothing, |place| Found::At(at + place)));
    };
    // The bits of a word whose bytes are special, from the lowest one that is.
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let word = u64::from_le_bytes(*word);
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    let found = (control | quote | backslash) & HIGH;
    (found != 0).then(|| Found::At(at + found.trailing_zeros() as usize / 8))
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}
