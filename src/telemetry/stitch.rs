//! Records that the platform has cut in two: pure.
//!
//! A record that is larger than the subscription's `maxBytes` comes in several bodies (observed, not documented; platform
//! reference 3.4). Each ends with `}]` behind the cut, and each further one begins with the same members before `"record":`
//! as the one before, byte for byte, and goes on in the middle of the value. None of them is JSON.
//!
//! ```text
//! [{"time":"…","type":"function","record":{"message":"AAAA}]
//! [{"time":"…","type":"function","record":BBBB"}},{"time":"…","type":"platform.runtimeDone","record":{…}}]
//! ```

use super::body::{Piece, pieces, pieces_inside};
use super::event::{RawEvent, time_ms};
use super::json::Json;

const RECORD: &[u8] = b"\"record\":";
/// What the platform writes behind a cut.
const CLOSING: &[u8] = b"}]";
/// How every event of the platform begins.
const NEXT_EVENT: &[u8] = b",{\"time\":";
/// Places at which an event is looked for behind bytes that are none: each costs a reading of what is left.
const PLACES_MAX: usize = 32;

/// A record of which the rest is still to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutRecord {
    /// The event up to the cut.
    bytes: Vec<u8>,
    /// Length of what comes before the record's value.
    envelope: usize,
}

impl CutRecord {
    /// Reads the last piece of a body, which does not end. `None` if it was not the platform that cut it.
    pub fn of(rest: &[u8]) -> Option<Self> {
        let bytes = rest.strip_suffix(CLOSING)?;
        Some(Self { bytes: bytes.to_vec(), envelope: envelope(bytes)? })
    }

    /// Whether it is the first part, as far as it can be told alone: what a function writes is a string or an object.
    pub fn is_first_part(&self) -> bool {
        matches!(self.bytes.get(self.envelope), Some(b'"' | b'{'))
    }

    /// The event up to the cut.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The time of the event, if it can be read.
    pub fn time_ms(&self) -> Option<i64> {
        let whole = [&self.bytes[..self.envelope], b"null}"].concat();
        RawEvent::parse(&whole).and_then(|event| event.time.and_then(time_ms))
    }

    /// The body with the beginning of this record in its place, if it goes on with it. Whether it comes to an end, or is cut
    /// once more, shows when it is read.
    pub fn join(&self, body: &[u8]) -> Option<Vec<u8>> {
        let inside = body.trim_ascii_start().strip_prefix(b"[")?.trim_ascii_start();
        let further = inside.strip_prefix(&self.bytes[..self.envelope])?;
        let joined = [b"[".as_slice(), &self.bytes, further].concat();
        let goes_on = match pieces(&joined).next()? {
            Piece::Element(element) => RawEvent::parse(element).is_some(),
            Piece::Rest(rest) => Self::of(rest).is_some() && !begins_with_an_event(inside, self.envelope),
        };
        goes_on.then_some(joined)
    }
}

/// Length of what comes before the value of a record, if these bytes begin like an event that has one.
pub fn envelope(bytes: &[u8]) -> Option<usize> {
    let envelope = position(bytes, RECORD)? + RECORD.len();
    // Everything before the value has to be there: a member by that name within another one would not fit.
    RawEvent::parse(&[&bytes[..envelope], b"null}"].concat())?;
    Some(envelope)
}

/// Another event of the same type and millisecond, and not the rest of this one: what a function writes is a string or an
/// object, while the middle of a long number is a number; the record ends the event; and what follows on an event is an event.
fn begins_with_an_event(inside: &[u8], envelope: usize) -> bool {
    let mut pieces = pieces_inside(inside);
    let Some(Piece::Element(element)) = pieces.next() else { return false };
    let record = RawEvent::parse(element).and_then(|event| event.record);
    let ends_it = |record: &Json<'_>| element.get(envelope..element.len() - 1) == Some(record.get().as_bytes());
    let is_event = record.filter(ends_it).is_some_and(|record| record.get().starts_with(['"', '{']));
    is_event
        && match pieces.next() {
            None => true,
            Some(Piece::Element(next)) => RawEvent::parse(next).is_some() || begins_like_an_event(next),
            Some(Piece::Rest(rest)) => begins_like_an_event(rest),
        }
}

/// However early it was cut.
fn begins_like_an_event(bytes: &[u8]) -> bool {
    let beginning = &NEXT_EVENT[1..];
    let uncut = bytes.strip_suffix(CLOSING).or_else(|| bytes.strip_suffix(&CLOSING[..1])).unwrap_or(bytes);
    bytes.starts_with(beginning) || beginning.starts_with(uncut)
}

/// Splits bytes that are no event, as the second half of a record is whose first half is not known, from the events that
/// follow: those run to the end of the body, so nothing within a record can be taken for one.
pub fn events_behind(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut from = 0;
    for _ in 0..PLACES_MAX {
        let at = from + position(bytes.get(from..)?, NEXT_EVENT)?;
        if are_events(&bytes[at + 1..]) {
            return Some((&bytes[..at], &bytes[at + 1..]));
        }
        from = at + 1;
    }
    None
}

/// Whether these are events up to the bracket that ends their array, the last one perhaps cut, and nothing behind it.
fn are_events(bytes: &[u8]) -> bool {
    let is_event = |piece: Piece<'_>| match piece {
        Piece::Element(element) => RawEvent::parse(element).is_some(),
        Piece::Rest(rest) => CutRecord::of(rest).is_some(),
    };
    bytes.trim_ascii_end().ends_with(b"]") && pieces_inside(bytes).all(is_event)
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"time":"2026-09-03T14:29:52.928Z","type":"platform.start","record":{"requestId":"a"}}"#;
    const DONE: &str =
        r#"{"time":"2026-09-03T14:29:52.930Z","type":"platform.runtimeDone","record":{"requestId":"a"}}"#;
    const ENVELOPE: &str = r#"{"time":"2026-09-03T14:29:52.929Z","type":"function","record":"#;

    fn cut_of(body: &str) -> Option<CutRecord> {
        match pieces(body.as_bytes()).last()? {
            Piece::Rest(rest) => CutRecord::of(rest),
            Piece::Element(_) => None,
        }
    }

    /// The bodies that a record comes in which is cut behind these bytes of its value.
    fn bodies(value: &str, cuts: &[usize]) -> Vec<String> {
        let ends: Vec<_> = cuts.iter().copied().chain([value.len()]).collect();
        let mut from = 0;
        ends.iter()
            .enumerate()
            .map(|(at, to)| {
                let before = if at == 0 { format!("{START},") } else { String::new() };
                let behind = if *to == value.len() { format!("}},{DONE}]") } else { "}]".to_owned() };
                let body = format!("[{before}{ENVELOPE}{}{behind}", &value[from..*to]);
                from = *to;
                body
            })
            .collect()
    }

    const VALUES: [&str; 4] = [
        r#"{"message":"AAAA","deep":[{"time":"t","type":"x","record":"{\"a\":[1]}"},{"b":null}],"n":-1.5}"#,
        r#""text with \" and \\ and \u00e9 and ,{\"time\":\"no event\"}]""#,
        r#"[[1,2],["}]","{"]]"#,
        r#"{"record":{"record":"x"}}"#,
    ];

    #[test]
    fn a_record_that_is_cut_anywhere_comes_out_whole() {
        for value in VALUES {
            for cut in 1..value.len() {
                let [first, second] = bodies(value, &[cut]).try_into().expect("two");
                let cut = cut_of(&first).unwrap_or_else(|| panic!("not seen to be cut: {first}"));
                let joined = cut.join(second.as_bytes()).unwrap_or_else(|| panic!("{first} and {second}"));
                assert_eq!(String::from_utf8_lossy(&joined), format!("[{ENVELOPE}{value}}},{DONE}]"));
            }
        }
    }

    #[test]
    fn a_record_may_be_cut_again_and_again() {
        for value in VALUES {
            for at in 1..value.len() - 2 {
                let parts = bodies(value, &[at, at + 1, at + 2]);
                let mut cut = cut_of(&parts[0]).expect("cut");
                for part in &parts[1..3] {
                    let joined = cut.join(part.as_bytes()).unwrap_or_else(|| panic!("{part}"));
                    cut = cut_of(&String::from_utf8_lossy(&joined)).expect("cut again");
                }
                let joined = cut.join(parts[3].as_bytes()).expect("the last part");
                assert!(String::from_utf8_lossy(&joined).starts_with(&format!("[{ENVELOPE}{value}}},")));
            }
        }
    }

    #[test]
    fn another_body_is_not_the_rest_of_a_record() {
        let [first, rest] = bodies(VALUES[1], &[5]).try_into().expect("two");
        let cut = cut_of(&first).expect("cut");
        assert!(cut.join(rest.as_bytes()).is_some());
        for body in [
            format!("[{START}]"),
            "[]".into(),
            "x".into(),
            format!("[{ENVELOPE}\"of the same millisecond\"}}]"),
            format!("[{ENVELOPE}\"of the same millisecond\"}},{ENVELOPE}\"and cut}}]"),
            format!("[{ENVELOPE}\"cut at its end\"}},{{\"time\"}}]"),
            rest.replace("14:29:52.929Z", "14:29:52.931Z"),
            rest.replace("\"function\"", "\"extension\""),
        ] {
            assert_eq!(cut.join(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn what_begins_like_an_event_and_goes_on_like_none_is_the_middle_of_a_record() {
        let cut = cut_of(&format!("[{ENVELOPE}\"}}]")).expect("cut");
        for middle in ["{}},_", "\"a\"},{\"b\":", "{}},3", "\"a\",\"b\":\"c\"", "\"a\",\"type\":\"c\""] {
            let joined = cut.join(format!("[{ENVELOPE}{middle}}}]").as_bytes());
            assert_eq!(joined, Some(format!("[{ENVELOPE}\"{middle}}}]").into_bytes()), "{middle}");
        }
    }

    #[test]
    fn what_somebody_else_cut_is_no_cut_record() {
        for body in [
            format!("[{ENVELOPE}\"AAAA"),
            format!("[{ENVELOPE}\"AAAA}}"),
            r#"[{"time":"t","other":{"record":"AAAA}]"#.to_owned(),
            r#"[{"record":"AAAA}]"#.to_owned(),
        ] {
            if let Some(cut) = cut_of(&body) {
                panic!("{body}: {cut:?}");
            }
        }
    }

    #[test]
    fn events_behind_half_a_record_are_found() {
        for value in VALUES {
            for cut in 1..value.len() {
                let second = &bodies(value, &[cut])[1];
                let half = &second[1..];
                let (garbage, events) = events_behind(half.as_bytes()).unwrap_or_else(|| panic!("{half}"));
                assert_eq!(String::from_utf8_lossy(events), format!("{DONE}]"));
                assert_eq!(garbage.len() + 1 + events.len(), half.len());
            }
        }
    }

    #[test]
    fn what_lies_within_a_record_is_no_event() {
        let nested = format!("{ENVELOPE}1,{DONE},{DONE}]}}}}]");
        assert_eq!(events_behind(nested.as_bytes()), None);
        assert_eq!(events_behind(b",{\"time\":]"), None);
        assert_eq!(events_behind(b"plain text"), None);
    }
}
