//! From the events of a batch to the bodies that carry them: one, unless a record is larger than the subscription allows.
//!
//! Such a record is cut in the middle of its value (observed, not documented; platform reference 3.4). A body ends with
//! `}]` behind the cut; the next one repeats what stands before the value, byte for byte, and goes on within it.

use bytes::Bytes;

/// The least `maxBytes` that a subscription may ask for. Nothing smaller is cut.
const BYTES_MAX_LEAST: usize = 256 * 1024;
const RECORD: &[u8] = b"\"record\":";

/// A body, and the events that are whole with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) events: Vec<usize>,
    pub(crate) json: Bytes,
}

/// The bodies of these events, in the order in which they have to be posted.
pub(crate) fn parts(events: Vec<(usize, String)>, bytes_max: usize) -> Vec<Part> {
    let bytes_max = bytes_max.max(BYTES_MAX_LEAST);
    let (mut parts, mut open, mut json) = (Vec::new(), Vec::new(), vec![b'[']);
    for (event, text) in events {
        if json.len() > 1 {
            json.push(b',');
        }
        let text = text.into_bytes();
        let envelope = text.windows(RECORD.len()).position(|window| window == RECORD);
        if let Some(envelope) = envelope.map(|at| at + RECORD.len()).filter(|_| text.len() > bytes_max) {
            let mut rest = &text[envelope..];
            while rest.len() > bytes_max {
                let (part, further) = rest.split_at(bytes_max);
                json.extend([&text[..envelope], part, b"}]"].concat());
                parts.push(Part {
                    events: std::mem::take(&mut open),
                    json: std::mem::replace(&mut json, vec![b'[']).into(),
                });
                rest = further;
            }
            json.extend([&text[..envelope], rest].concat());
        } else {
            json.extend(text);
        }
        open.push(event);
    }
    json.push(b']');
    parts.push(Part { events: open, json: json.into() });
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: &str) -> String {
        format!(r#"{{"time":"t","type":"function","record":{value}}}"#)
    }

    fn texts(parts: &[Part]) -> Vec<(Vec<usize>, String)> {
        parts.iter().map(|part| (part.events.clone(), String::from_utf8_lossy(&part.json).into_owned())).collect()
    }

    #[test]
    fn events_that_fit_are_one_body() {
        let (first, second) = (event("\"a\""), event("\"b\""));
        let body = format!("[{first},{second}]");
        assert_eq!(texts(&parts(vec![(3, first), (4, second)], 1)), [(vec![3, 4], body)]);
    }

    #[test]
    fn a_record_that_is_too_large_is_cut_as_often_as_it_takes_and_what_surrounds_it_stays_whole() {
        let value = format!("\"{}\"", "0123456789abcdef".repeat(2 * BYTES_MAX_LEAST / 16 + 1));
        let (before, after) = (event("\"a\""), event("\"b\""));
        let cut = parts(vec![(0, before.clone()), (1, event(&value)), (2, after.clone())], BYTES_MAX_LEAST);
        let events: Vec<_> = cut.iter().map(|part| part.events.as_slice()).collect();
        assert_eq!(events, [[0].as_slice(), &[], &[1, 2]]);
        let envelope = r#"{"time":"t","type":"function","record":"#;
        let texts = texts(&cut);
        let piece = |text: &str, begins: &str, ends: &str| {
            let begins = format!("[{begins}{envelope}");
            text.strip_prefix(&begins).and_then(|text| text.strip_suffix(ends)).expect(&begins).to_owned()
        };
        let joined = [
            piece(&texts[0].1, &format!("{before},"), "}]"),
            piece(&texts[1].1, "", "}]"),
            piece(&texts[2].1, "", &format!("}},{after}]")),
        ];
        assert_eq!(joined.concat(), value);
    }
}
