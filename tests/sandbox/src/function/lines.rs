//! Log lines that look like those of a real service: a few fields, recurring words, some randomness, so that they
//! compress as logs do. The same request id gives the same lines.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

const LEVELS: [&str; 6] = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];
const MESSAGES: [&str; 8] = [
    "order accepted",
    "payment authorised",
    "cache miss, asking the database",
    "retrying after <timeout> & backoff",
    "stock reserved in warehouse",
    "customer \"VIP\" notified",
    "price list größer als erwartet",
    "request finished",
];
const WORDS: [&str; 12] = [
    "sku",
    "customer",
    "latency_ms",
    "status",
    "region",
    "basket",
    "items",
    "total",
    "currency",
    "shard",
    "attempt",
    "trace",
];

/// The lines of one invocation.
#[derive(Debug)]
pub(super) struct Lines {
    request_id: String,
    seed: u64,
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLine<'a> {
    level: &'a str,
    request_id: &'a str,
    line: u32,
    message: &'a str,
}

impl Lines {
    pub(super) fn new(request_id: &str, json: bool) -> Self {
        let mut hasher = DefaultHasher::new();
        request_id.hash(&mut hasher);
        Self { request_id: request_id.to_owned(), seed: hasher.finish(), json }
    }

    /// A line of `bytes` bytes: a byte or two less where a character would be cut, more where the head needs them.
    pub(super) fn line(&self, number: u32, bytes: usize) -> String {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ u64::from(number));
        let level = LEVELS[rng.usize(..LEVELS.len())];
        let head = format!("{level} {} {number:06} {}", self.request_id, MESSAGES[rng.usize(..MESSAGES.len())]);
        let text = fill(head, bytes, &mut rng);
        if !self.json {
            return text;
        }
        let line = JsonLine { level, request_id: &self.request_id, line: number, message: &text };
        serde_json::to_string(&line).expect("strings and a number can be serialized")
    }
}

/// Level, request id and number: they make the line unique and are never cut.
const HEAD_BYTES: usize = 5 + 1 + 36 + 1 + 6;

fn fill(mut line: String, bytes: usize, rng: &mut fastrand::Rng) -> String {
    let bytes = bytes.max(HEAD_BYTES);
    while line.len() < bytes {
        line.push(' ');
        line.push_str(WORDS[rng.usize(..WORDS.len())]);
        line.push('=');
        line.push_str(&rng.u32(..100_000).to_string());
    }
    line.truncate(line.floor_char_boundary(bytes));
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const REQUEST: &str = "459921b5-681c-4a96-beb0-81e0aa586026";

    #[test]
    fn every_line_differs_and_has_the_length_asked_for() {
        let lines = Lines::new(REQUEST, false);
        let all: Vec<String> = (0..1_000).map(|number| lines.line(number, 200)).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|line| (198..=200).contains(&line.len())));
    }

    #[test]
    fn even_the_shortest_lines_differ() {
        let lines = Lines::new(REQUEST, false);
        let all: HashSet<String> = (0..1_000).map(|number| lines.line(number, 0)).collect();
        assert_eq!(all.len(), 1_000);
    }
}
