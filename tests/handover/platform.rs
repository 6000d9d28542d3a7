//! The platform: it cuts events into bodies, offers some of them again, and starts a process anew.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use spool::Codec;
use tempfile::TempDir;

use crate::events::{Event, own_request_id, story};
use crate::process::{Process, cut_behind_entry, deliver, newest_file};

/// What has happened, so that rare things are known to happen.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, times)| *self.0.entry(what).or_default() += times);
    }

    pub fn rarest(&self) -> u64 {
        self.0.values().copied().min().unwrap_or(0)
    }
}

/// A record that comes in parts.
struct CutRecord {
    event: Event,
    parts: Vec<Vec<u8>>,
}

/// A body, and what stands in it.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    /// Its first bytes go on with this part of the cut record.
    goes_on: Option<usize>,
    /// The rest of a cut record, or nothing, and then these.
    whole: Vec<Event>,
    /// Its last bytes are the first part of a cut record.
    begins: Option<CutRecord>,
}

/// A cut record that is under way.
struct Underway {
    cut: CutRecord,
    /// The life that has all parts so far.
    life: i64,
    is_broken: bool,
}

pub struct Platform {
    rng: fastrand::Rng,
    root: TempDir,
    process: Option<Process>,
    /// The body that was handed over last.
    last: Vec<u8>,
    tells: bool,
    underway: Option<Underway>,
    /// Lines that must be there, in order.
    expected: VecDeque<Event>,
    /// Parts of records that were cut when a process died, to be found in any line.
    parts: Vec<Vec<u8>>,
    tally: Tally,
}

impl Platform {
    pub fn new(seed: u64, tells: bool) -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let root = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let process = Some(Process::begin(root.path(), 0, Codec::None));
        Self {
            rng: fastrand::Rng::with_seed(seed),
            root,
            process,
            last: Vec::new(),
            tells,
            underway: None,
            expected: VecDeque::new(),
            parts: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub fn hand_everything_over(&mut self) {
        for body in self.bodies() {
            self.hand_over(body);
        }
    }

    // === cutting ===

    fn bodies(&mut self) -> Vec<Body> {
        let mut events = story(&mut self.rng).into_iter().peekable();
        let (mut bodies, mut body, mut others) = (Vec::new(), Body::default(), 0);
        // What has begun between the parts of a record, and is in force behind it.
        let mut begun_between = None;
        while let Some(mut event) = events.next() {
            if matches!(event.kind, "platform.start" | "platform.initStart") {
                begun_between = None;
            } else if begun_between.is_some() && own_request_id(&event.record).is_none() {
                event.request_id.clone_from(&begun_between);
            }
            match self.cut(&event).filter(|_| self.rng.u8(..4) == 0) {
                None => {
                    body.add(event.json().as_bytes());
                    body.whole.push(event);
                }
                Some(parts) => {
                    self.tally.count("records cut");
                    body.add(&[event.envelope.as_bytes(), &parts[0]].concat());
                    body.bytes.push(b'}');
                    let first = CutRecord { event: event.clone(), parts: parts.clone() };
                    bodies.push(Body { begins: Some(first), ..std::mem::take(&mut body).end() });
                    for (number, part) in parts.iter().enumerate().skip(1) {
                        if self.rng.u8(..4) == 0 {
                            self.tally.count("bodies between parts");
                            others += 1;
                            let kind = *self.rng.choice(&["extension", "platform.start"]).unwrap();
                            let between = between(others, kind);
                            if kind == "platform.start" {
                                self.tally.count("starts between parts");
                                begun_between.clone_from(&between.request_id);
                            }
                            bodies.push(Body::of(between));
                        }
                        body.add(&[event.envelope.as_bytes(), part, b"}"].concat());
                        body.goes_on = Some(number);
                        if number + 1 < parts.len() {
                            self.tally.count("records cut again");
                            bodies.push(std::mem::take(&mut body).end());
                        }
                    }
                }
            }
            if self.rng.u8(..3) == 0 || events.peek().is_none() {
                bodies.push(std::mem::take(&mut body).end());
            }
        }
        bodies
    }

    /// The parts of a record that is cut somewhere: only those that people write are large enough. None that looks like a
    /// beginning: alone it could not be told from one.
    fn cut(&mut self, event: &Event) -> Option<Vec<Vec<u8>>> {
        if event.kind.starts_with("platform.") {
            return None;
        }
        let value = event.record.as_bytes();
        let mut cuts: BTreeSet<usize> = (0..self.rng.usize(1..4)).map(|_| self.rng.usize(1..value.len())).collect();
        cuts.insert(value.len());
        let mut from = 0;
        let parts: Vec<_> = cuts.iter().map(|to| value[std::mem::replace(&mut from, *to)..*to].to_vec()).collect();
        (!parts[1..].iter().any(|part| matches!(part[0], b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')))
            .then_some(parts)
    }

    // === handing over ===

    fn hand_over(&mut self, body: Body) {
        if self.chance(20) {
            self.tally.count("killed before");
            self.begin_anew();
        }
        // Then the first that is written of it is the part of a record that is cut.
        let begins_with_part = body.begins.is_some() && body.goes_on.is_none() && self.underway.is_none();
        let id = match begins_with_part && self.chance(4) {
            true => self.store_with_a_kill_behind_the_part(&body.bytes),
            false => self.store(&body.bytes),
        };
        let twin = body.twin();
        self.note(body);
        match self.rng.u8(..20) {
            0..=2 => {
                self.tally.count("offered again");
                let (process, bytes) = (self.process.as_ref().unwrap(), self.last.clone());
                process.answer_is_lost(id);
                self.store(&bytes);
                // That was the one time. Whatever has the same bytes now is another body.
                if let Some(events) = twin {
                    self.tally.count("twins");
                    self.store(&bytes);
                    self.expected.extend(events);
                }
            }
            3 => {
                self.tally.count("killed before the answer");
                let bytes = self.last.clone();
                self.begin_anew();
                self.store(&bytes);
            }
            4 => {
                self.tally.count("killed");
                self.begin_anew();
            }
            5 => {
                self.tally.count("sealed");
                self.process.as_ref().unwrap().seal();
            }
            _ => {}
        }
    }

    /// The process is killed when it has written the part of a record that is cut, and not yet the rest of the body.
    fn store_with_a_kill_behind_the_part(&mut self, bytes: &[u8]) -> spool::BodyId {
        let (file, end) = newest_file(self.root.path());
        let id = self.store(bytes);
        if newest_file(self.root.path()).0 != file {
            return id;
        }
        self.tally.count("killed behind a part");
        let number = self.process.take().unwrap().number() + 1;
        cut_behind_entry(&file, end);
        self.process = Some(Process::begin(self.root.path(), number, Codec::None));
        self.store(bytes)
    }

    fn chance(&mut self, one_in: u8) -> bool {
        self.rng.u8(..one_in) == 0
    }

    fn store(&mut self, bytes: &[u8]) -> spool::BodyId {
        self.last = bytes.to_vec();
        let process = self.process.as_ref().unwrap();
        if self.tells {
            println!("life {}: {}", process.number(), String::from_utf8_lossy(bytes));
        }
        process.store(bytes)
    }

    fn begin_anew(&mut self) {
        let number = self.process.take().map_or(0, |process| process.number()) + 1;
        self.process = Some(Process::begin(self.root.path(), number, Codec::None));
        if self.tells {
            println!("life {number} begins");
        }
    }

    /// What a body that was stored makes of the lines that must be there.
    fn note(&mut self, body: Body) {
        let life = self.process.as_ref().unwrap().number();
        if let (Some(number), Some(underway)) = (body.goes_on, &mut self.underway) {
            underway.is_broken |= underway.life != life;
            let is_last = number + 1 == underway.cut.parts.len();
            match (is_last, underway.is_broken) {
                (true, false) => self.expected.extend(self.underway.take().map(|underway| underway.cut.event)),
                (true, true) => {
                    self.tally.count("records in their parts");
                    self.parts.extend(self.underway.take().into_iter().flat_map(|underway| underway.cut.parts));
                }
                (false, _) => {}
            }
        }
        self.expected.extend(body.whole);
        if let Some(cut) = body.begins {
            self.underway = Some(Underway { cut, life, is_broken: false });
        }
    }

    // === what became of it ===

    /// Ends the last life, lets everything be delivered, and returns what is wrong.
    pub fn end(mut self) -> (Vec<String>, Tally) {
        let number = self.process.as_ref().unwrap().number() + 1;
        self.process.take().unwrap().end();
        let objects = deliver(self.root.path(), number);
        let mut findings = Vec::new();
        let mut next: BTreeMap<String, u64> = BTreeMap::new();
        let mut lines = Vec::new();
        for (name, bytes) in &objects {
            if self.tells {
                println!("{name}\n{}", String::from_utf8_lossy(bytes));
            }
            if name.ends_with(".dropped") {
                findings.push(format!("lost: {name}"));
            }
            let next = next.entry(name.split('-').next().unwrap().to_owned()).or_default();
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: Value = serde_json::from_slice(line).unwrap();
                if line["seq"].as_u64() != Some(*next) {
                    findings.push(format!("{next} is followed by {line}"));
                }
                *next += 1;
                lines.push(line);
            }
        }
        for part in &self.parts {
            if !lines.iter().any(|line| holds(line, part)) {
                findings.push(format!("nowhere: {}", String::from_utf8_lossy(part)));
            }
        }
        let is_event = |line: &&Value| !line["type"].as_str().unwrap().starts_with("logspool.");
        let mut delivered = lines.iter().filter(is_event).peekable();
        for event in &self.expected {
            // The rest of a record whose beginning is known to an earlier life may look whole.
            while delivered.peek().is_some_and(|line| !is_line_of(line, event) && self.is_of_parts(line)) {
                delivered.next();
            }
            match delivered.next() {
                Some(line) if is_line_of(line, event) => {}
                other => {
                    findings.push(format!("expected {event:?}, found {other:?}"));
                    break;
                }
            }
        }
        findings.extend(delivered.find(|line| !self.is_of_parts(line)).map(|line| format!("too many: {line}")));
        (findings, self.tally)
    }

    fn is_of_parts(&self, line: &Value) -> bool {
        self.parts.iter().any(|part| holds(line, part))
    }
}

impl Body {
    fn of(event: Event) -> Self {
        let mut body = Self::default();
        body.add(event.json().as_bytes());
        body.whole.push(event);
        body.end()
    }

    /// What another body of the same bytes would tell, if that does not depend on what comes before it.
    fn twin(&self) -> Option<Vec<Event>> {
        let is_whole = self.begins.is_none() && self.goes_on.is_none() && !self.whole.is_empty();
        let begins_nothing = |event: &Event| !matches!(event.kind, "platform.start" | "platform.initStart");
        (is_whole && self.whole.iter().all(begins_nothing)).then(|| self.whole.clone())
    }

    fn add(&mut self, element: &[u8]) {
        self.bytes.push(if self.bytes.is_empty() { b'[' } else { b',' });
        self.bytes.extend_from_slice(element);
    }

    fn end(mut self) -> Self {
        if self.bytes.is_empty() {
            self.bytes.push(b'[');
        }
        self.bytes.push(b']');
        self
    }
}

/// An event of another stream, with an id of its own.
fn between(number: u32, kind: &'static str) -> Event {
    let id = format!("between-{number}");
    Event {
        envelope: format!(r#"{{"time":"2026-09-03T14:29:59.000Z","type":"{kind}","record":"#),
        kind,
        record: format!(r#"{{"requestId":"{id}"}}"#),
        request_id: Some(id),
    }
}

fn is_line_of(line: &Value, event: &Event) -> bool {
    let record: Value = serde_json::from_str(&event.record).unwrap();
    let column = if record.is_string() { "message" } else { "record" };
    line["type"] == event.kind && line[column] == record && line["requestId"].as_str() == event.request_id.as_deref()
}

/// Whether the bytes stand in a line: in one of ours that keeps them as they came, or in one that they look like.
fn holds(line: &Value, part: &[u8]) -> bool {
    let text = line["message"].as_str().unwrap_or_default();
    let bytes = match line["encoding"].as_str() {
        Some("base64") => STANDARD.decode(text).unwrap(),
        _ if line["type"] == "logspool.unparsed" => text.as_bytes().to_vec(),
        _ => line.to_string().into_bytes(),
    };
    bytes.windows(part.len()).any(|window| window == part)
}
