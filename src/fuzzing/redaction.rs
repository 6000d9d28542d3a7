//! Whatever the patterns and the record: what comes out is JSON of the same shape, in which no pattern finds anything but
//! masks and every byte outside of them stands as it was; and what holds nothing to mask is not even copied.

use std::borrow::Cow;
use std::fmt;

use regex::{Regex, RegexBuilder};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::intake::filter::{COMPILED_BYTES_MAX, Filter, MASK, PATTERNS_MAX, Patterns};

/// Deeper records find nothing that these do not, and the check follows them by recursion.
const DEPTH_MAX: usize = 64;

/// Input: a line of patterns with `;;` between them, then a record, or a text that becomes one.
pub fn redaction(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Some((patterns, rest)) = text.split_once('\n') else { return };
    let patterns: Vec<_> = patterns.split(";;").take(PATTERNS_MAX).collect();
    let redaction = Redaction::with(&patterns);
    redaction.holds_for(rest.trim());
    let plain = serde_json::to_string(rest).expect("text");
    let units: String = rest.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    redaction.holds_for(&plain);
    redaction.holds_for(&format!("{{{plain}:[1,\"{units}\"]}}"));
}

/// The claims for some patterns.
#[derive(Debug)]
pub struct Redaction {
    filter: Filter,
    /// The same patterns, compiled by themselves.
    regexes: Vec<Regex>,
}

impl Redaction {
    /// Patterns that do not compile are left out.
    pub fn with(patterns: &[&str]) -> Self {
        let (redact, _) = Patterns::compile(patterns.iter().copied());
        let filter = Filter { redact, ..Filter::default() };
        Self { filter, regexes: patterns.iter().filter_map(|pattern| compile(pattern)).collect() }
    }

    /// Checks every claim for a record. What is no JSON makes no claim.
    pub fn holds_for(&self, record: &str) {
        let json = serde_json::from_str::<&RawValue>(record).map(RawValue::get);
        if json.ok() != Some(record) || depth(record) > DEPTH_MAX {
            return;
        }
        let redacted = self.filter.redacted_json(record);
        let mut values = Vec::new();
        pair(&Tree::of(record), &Tree::of(&redacted), &mut values);
        let mut holds_something = false;
        for (before, after) in &values {
            holds_something |= self.holds_for_value(before, after);
        }
        match &redacted {
            Cow::Borrowed(text) => assert!(!holds_something && std::ptr::eq(*text, record)),
            Cow::Owned(_) => assert!(holds_something),
        }
        if !record.contains('*') {
            differs_by_masks_only(record, &redacted);
        }
    }

    /// Returns whether there was anything to mask.
    fn holds_for_value(&self, before: &str, after: &str) -> bool {
        let finds = |regex: &Regex| regex.find_iter(before).any(|found| !found.is_empty());
        if !self.regexes.iter().any(finds) {
            assert_eq!(before, after, "nothing was found in it");
            return false;
        }
        // With asterisks of its own it does not tell which are masks.
        if !before.contains('*') {
            assert!(after.contains(MASK), "{before:?} holds something");
            for found in self.regexes.iter().flat_map(|regex| regex.find_iter(after)) {
                let is_of_a_mask = found.as_str().bytes().all(|byte| byte == b'*');
                assert!(is_of_a_mask, "{:?} is still found in {after:?}, which was {before:?}", found.as_str());
            }
        }
        true
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build().ok()
}

/// Brackets that are open at a time, at most; those in strings make it only more.
fn depth(json: &str) -> usize {
    let mut open = 0_usize;
    let mut most = 0;
    for byte in json.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// The pieces between the masks stand in the record, in order, from its first byte to its last.
fn differs_by_masks_only(record: &str, redacted: &str) {
    let pieces: Vec<_> = redacted.split(MASK).collect();
    let [first, between @ .., last] = pieces.as_slice() else {
        assert_eq!(record, redacted);
        return;
    };
    let mut rest = record.strip_prefix(first).expect("it begins as the record does");
    for piece in between {
        rest = rest.split_once(piece).expect("it goes on as the record does").1;
    }
    assert!(rest.ends_with(last), "it ends as the record does");
}

/// A JSON value as another reader understands it.
#[derive(Debug)]
enum Tree {
    Text(Text),
    Object(Vec<(Text, Tree)>),
    List(Vec<Tree>),
    /// A number or a word, as it is written.
    Other(String),
}

impl Tree {
    fn of(json: &str) -> Self {
        let read = "what is redacted is JSON";
        match json.as_bytes().first() {
            Some(b'"') => Self::Text(serde_json::from_str(json).expect(read)),
            Some(b'{') => Self::Object(serde_json::from_str::<Members>(json).expect(read).0),
            Some(b'[') => Self::List(serde_json::from_str::<Items>(json).expect(read).0),
            _ => Self::Other(serde_json::from_str::<&RawValue>(json).expect(read).get().to_owned()),
        }
    }
}

/// Both are of the same shape; their texts are collected in pairs.
fn pair(before: &Tree, after: &Tree, texts: &mut Vec<(String, String)>) {
    match (before, after) {
        (Tree::Text(before), Tree::Text(after)) => texts.push((before.0.clone(), after.0.clone())),
        (Tree::Other(before), Tree::Other(after)) => assert_eq!(before, after),
        (Tree::List(before), Tree::List(after)) => {
            assert_eq!(before.len(), after.len());
            before.iter().zip(after).for_each(|(before, after)| pair(before, after, texts));
        }
        (Tree::Object(before), Tree::Object(after)) => {
            assert_eq!(before.len(), after.len());
            for ((name, before), (same, after)) in before.iter().zip(after) {
                assert_eq!(name.0, same.0, "names stand");
                pair(before, after, texts);
            }
        }
        _ => panic!("{before:?} has become {after:?}"),
    }
}

/// A string in which halves of surrogate pairs are U+FFFD.
#[derive(Debug)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(from_wtf_8(bytes)))
            }
        }
        // The one way to read such halves: they come as three bytes each (WTF-8).
        deserializer.deserialize_bytes(Bytes)
    }
}

fn from_wtf_8(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // Of a half the decoder refuses the first byte, then each of the others.
        if chunk.invalid() == [0xed] {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

struct Members(Vec<(Text, Tree)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text, &RawValue>()? {
                    members.push((name, Tree::of(value.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

struct Items(Vec<Tree>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Items, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<&RawValue>()? {
                    items.push(Tree::of(item.get()));
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(List)
    }
}
