//! Bodies as the platform posts them, of one kind of record and one length. The same seed gives the same bodies.

use fastrand::Rng;

/// The request that all of it belongs to.
const REQUEST: &str = "459921b5-681c-4a96-beb0-81e0aa586026";
const LEVELS: [&str; 4] = ["INFO", "INFO", "DEBUG", "WARN"];
const WORDS: [&str; 16] = [
    "order",
    "accepted",
    "payment",
    "authorised",
    "cache",
    "miss",
    "stock",
    "reserved",
    "warehouse",
    "customer",
    "upstream",
    "timeout",
    "retry",
    "finished",
    "shard",
    "basket",
];

/// What the function writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines of text, as Node.js writes them if they have the room.
    Text,
    /// Objects, with the members of Lambda's JSON log format if they have the room.
    Json,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Text, Self::Json];

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// One shape of bodies.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub kind: Kind,
    /// Bytes of a record as it stands in a body.
    pub record_bytes: usize,
    pub body_bytes: usize,
}

impl Shape {
    /// All that are measured.
    pub fn all() -> impl Iterator<Item = Self> {
        let bodies = [256 * 1024, 1024 * 1024];
        let of = |body_bytes| {
            Kind::ALL
                .into_iter()
                .flat_map(move |kind| [20, 200, 2_048].map(|record_bytes| Self { kind, record_bytes, body_bytes }))
        };
        bodies.into_iter().flat_map(of)
    }
}

/// The event that the records of all bodies belong to.
pub fn start() -> Vec<u8> {
    let record = format!(r#"{{"requestId":"{REQUEST}","version":"$LATEST"}}"#);
    format!("[{}]", event(1_790_000_000_000, "platform.start", &record)).into_bytes()
}

/// So many bodies, with the number of records in each.
pub fn bodies(seed: u64, count: usize, shape: Shape) -> Vec<(Vec<u8>, u64)> {
    let mut rng = Rng::with_seed(seed);
    let mut time_ms = 1_790_000_000_000;
    (0..count)
        .map(|_| {
            let (mut body, mut records) = (String::from("["), 0);
            while body.len() < shape.body_bytes {
                if records > 0 {
                    body.push(',');
                }
                time_ms += rng.u64(0..3);
                body.push_str(&event(time_ms, "function", &record(&mut rng, shape, time_ms)));
                records += 1;
            }
            body.push(']');
            (body.into_bytes(), records)
        })
        .collect()
}

fn event(time_ms: u64, kind: &str, record: &str) -> String {
    format!(r#"{{"time":"{}","type":"{kind}","record":{record}}}"#, time(time_ms))
}

fn time(time_ms: u64) -> String {
    let (second, milli) = (time_ms / 1_000, time_ms % 1_000);
    let (hour, minute) = (second / 3_600 % 24, second / 60 % 60);
    format!("2026-09-21T{hour:02}:{minute:02}:{:02}.{milli:03}Z", second % 60)
}

fn record(rng: &mut Rng, shape: Shape, time_ms: u64) -> String {
    let bytes = shape.record_bytes;
    let level = LEVELS[rng.usize(..LEVELS.len())];
    let (mut record, end) = match (shape.kind, bytes < 100) {
        (Kind::Text, true) => (String::from("\""), "\""),
        (Kind::Text, false) => (format!(r#""{}\t{REQUEST}\t{level}\t"#, time(time_ms)), "\\n\""),
        (Kind::Json, true) => (String::from(r#"{"m":""#), "\"}"),
        (Kind::Json, false) => (
            format!(r#"{{"timestamp":"{}","level":"{level}","requestId":"{REQUEST}","message":""#, time(time_ms)),
            "\"}",
        ),
    };
    let mut in_message = true;
    while record.len() + end.len() < bytes {
        let word = WORDS[rng.usize(..WORDS.len())];
        let piece = match (shape.kind, rng.u8(..8)) {
            // A line break of a text that has several lines.
            (Kind::Text, 0) if bytes > 1_000 => format!("\\n    {word} "),
            (Kind::Json, 0) if bytes >= 100 && in_message => {
                in_message = false;
                format!("{word}\",\"{word}\":{{\"n\":{},\"ok\":true}},\"text\":\"", rng.u32(..100_000))
            }
            (Kind::Json, 0) if bytes > 1_000 => {
                format!("\",\"{word}_{}\":[{},null,\"{word}\"],\"t{}\":\"", rng.u8(..), rng.u16(..), rng.u8(..))
            }
            (_, 1..4) => format!("{word}={} ", rng.u32(..100_000)),
            _ => format!("{word} "),
        };
        if record.len() + piece.len() + end.len() > bytes + 8 {
            break;
        }
        record.push_str(&piece);
    }
    while record.len() + end.len() < bytes {
        record.push('.');
    }
    record + end
}
