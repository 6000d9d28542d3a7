//! Whatever a body holds: it becomes lines of JSON with numbers in a row, the same ones when it is encoded again, and bytes
//! that are no event are kept as they came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use spool::Seqno;

use crate::intake::encode::{Context, Encoded, encode};
use crate::intake::{Attribution, Attributor, Filter, LineStyle};
use crate::runtime_api::event::StreamTypes;

/// Input: a body.
pub fn telemetry_body(data: &[u8]) {
    let (encoded, lines) = encoded(data, 7);
    let text = String::from_utf8(lines).expect("lines are text");
    assert!(text.is_empty() || text.ends_with('\n'));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(lines.len(), encoded.records as usize);
    for (line, seq) in lines.iter().zip(7_u64..) {
        assert_eq!(line["seq"].as_u64(), Some(seq));
        if line["type"] == "logspool.unparsed" && line.get("value").is_none() && line.get("record").is_none() {
            is_of_body(line, data);
        }
    }
    let (_, again) = self::encoded(data, 7);
    assert_eq!(text.as_bytes(), again, "the same again");
    let (_, moved) = self::encoded(data, 100_000);
    let moved = String::from_utf8(moved).expect("text");
    assert_eq!(
        text.len() + lines.len() * "100000".len(),
        moved.len() + digits(7..7 + lines.len() as u64),
        "only numbers differ"
    );
}

fn digits(numbers: std::ops::Range<u64>) -> usize {
    numbers.map(|number| number.to_string().len()).sum()
}

fn encoded(body: &[u8], first: u64) -> (Encoded, Vec<u8>) {
    let context = Context {
        types: StreamTypes { platform: true, function: true, extension: true },
        attributor: &Attributor::new(Attribution::Unattributed),
        half: None,
        summaries: None,
        filter: &Filter::default(),
        style: &LineStyle::default(),
        first_seq: Seqno(first),
        now_ms: 0,
    };
    let mut lines = Vec::new();
    let encoded = encode(context, body, 0, &mut lines);
    (encoded, lines)
}

/// What a line of ours keeps stands in the body. A customer's record may call itself one of ours.
fn is_of_body(line: &Value, body: &[u8]) {
    let Some(message) = line["message"].as_str() else { return };
    let kept = match line.get("encoding").and_then(Value::as_str) {
        Some("base64") => STANDARD.decode(message).unwrap_or_default(),
        _ => message.as_bytes().to_vec(),
    };
    let claims_to_be_ours = body.windows(17).any(|window| window == b"logspool.unparsed");
    let is_there = kept.is_empty() || body.windows(kept.len()).any(|window| window == kept);
    assert!(is_there || claims_to_be_ours || has_escapes(body), "not in the body: {message:?}");
}

/// The type may be written in escapes, too.
fn has_escapes(body: &[u8]) -> bool {
    body.windows(2).any(|window| window == b"\\u")
}
