use super::*;
use crate::telemetry::body::{Piece, pieces};

/// What is read of a body's first element: its bytes, its event, its facts.
type Read = (String, String, String);

fn described(element: &str, event: &RawEvent<'_>, facts: &RecordFacts<'_>) -> Read {
    let RawEvent { time, kind, record, extra, .. } = event;
    (element.to_owned(), format!("{time:?} {kind} {record:?} {extra:?}"), format!("{facts:?}"))
}

fn one_way(text: &str) -> Option<Read> {
    let Scanned { event, facts, length } = event(text)?;
    Some(described(&text[..length], &event, &facts))
}

fn the_other_way(text: &str) -> Option<Read> {
    let body = format!("[{text}");
    let Some(Piece::Element(element)) = pieces(body.as_bytes()).next() else { return None };
    let event = RawEvent::parse(element)?;
    Some(described(std::str::from_utf8(element).ok()?, &event, &RecordFacts::of(event.record)))
}

#[test]
fn events_of_the_platform_are_read_in_one_pass() {
    for record in [
        r#""""#,
        r#""text \" \\ \/ \b\f\n\r\t \u00e9 \ud800 ü and more than thirty-two bytes of it""#,
        "{}",
        r#"{"requestId":"a","level":"ERROR","status":"success","tenantId":"blue","droppedRecords":3,"droppedBytes":7}"#,
        r#"{"requestId":"a","requestId":7}"#,
        r#"{"level":"INF\u004f","x":{"requestId":"n","é":[1,-0.5e+3,true,false,null,{"\u0061":[]}]}}"#,
        "{ \"a\" : [ 1 , 2 ] ,\r\n\t\"level\" : \"INFO\" }",
    ] {
        for end in [",", "]"] {
            let text = format!(r#"{{"time":"2022-10-12T00:03:50.000Z","type":"function","record":{record}}}{end}"#);
            let read = one_way(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(Some(read), the_other_way(&text), "{text}");
            let head = event(&text).and_then(|scanned| scanned.event.head);
            assert_eq!(head, Some(r#"{"time":"2022-10-12T00:03:50.000Z","type":"function","#));
        }
    }
}

#[test]
fn what_stands_in_another_way_is_left_to_the_other() {
    let deep = format!(r#"{{"time":"t","type":"x","record":{{"a":{}{}}}}},"#, "[".repeat(64), "]".repeat(64));
    for text in [
        r#"{"time":"t","type":"x","record":1},"#,
        r#"{"time":"t","type":"x","record":"a","more":1},"#,
        r#"{"time":"t","type":"x"},"#,
        r#"{"type":"x","time":"t","record":"a"},"#,
        r#"{"time":"t", "type":"x","record":"a"},"#,
        r#"{"time":"\u0074","type":"x","record":"a"},"#,
        r#"{"time":"t","type":"\u0078","record":"a"},"#,
        r#"{"time":"t","type":"x","record":{"\u006cevel":"a"}},"#,
        r#"{"time":"t","type":"x","record":"a"} ,"#,
        r#"{"time":"t","type":"x","record":"a"}"#,
        &deep,
    ] {
        assert_eq!(one_way(text), None, "{text}");
    }
}

/// Pieces of which events are made that are nearly right.
const PARTS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    " ",
    "\n",
    "\u{b}",
    "0",
    "01",
    "-",
    "1.5",
    "1e",
    "e+7",
    "true",
    "nul",
    "null",
    "\\u00e9",
    "\\ud800",
    "\\u12",
    "\\x",
    "ü",
    "\u{7f}",
    "\"requestId\":\"r\"",
    "\"level\":\"IN\\u0046O\"",
    "\"droppedBytes\":12",
    "\"status\":",
    "{\"a\":[1,{}]}",
    "[true,\"b\"]",
    "\"x\":",
    "abcdefgh",
    "ijklmnopqrstuvwxyz012345",
    "\",\"",
    "{\"time\":\"t\",\"type\":\"x\",\"record\":",
    "\"plain text\"",
    "}}",
    "\u{1}",
];

#[test]
fn whatever_is_read_in_one_pass_is_read_the_same_in_the_other_way() {
    let mut rng = fastrand::Rng::with_seed(11);
    let (mut read, mut left) = (0, 0);
    for _ in 0..200_000 {
        let mut text = String::from(r#"{"time":"2022-10-12T00:03:50.000Z","type":"function","record":"#);
        let is_object = rng.bool();
        text.push_str(if is_object { "{\"a\":1" } else { "\"" });
        for _ in 0..rng.usize(0..5) {
            if is_object && rng.u8(..3) > 0 {
                text.push_str(",\"m\":");
            }
            text.push_str(rng.choice(PARTS).expect("not empty"));
        }
        text.push_str(if is_object { "}},{" } else { "\"},{" });
        match one_way(&text) {
            None => left += 1,
            Some(one) => {
                read += 1;
                assert_eq!(Some(one), the_other_way(&text), "{text}");
            }
        }
    }
    assert!(read > 20_000 && left > 20_000, "{read} read, {left} left");
}

#[test]
fn what_is_special_is_found_wherever_it_stands() {
    for length in 0..100 {
        let plain = "x".repeat(length);
        assert_eq!(special(plain.as_bytes(), 0), None);
        for at in 0..length {
            for byte in [b'"', b'\\', 0, 0x1f, b' ', 0x7f, 0x80, 0xff] {
                let mut bytes = plain.clone().into_bytes();
                bytes[at] = byte;
                let is_special = byte < b' ' || byte == b'"' || byte == b'\\';
                assert_eq!(special(&bytes, 0), is_special.then_some(at), "{byte} at {at} of {length}");
                assert_eq!(special(&bytes, at + 1), None);
            }
        }
    }
}
