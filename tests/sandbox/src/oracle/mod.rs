//! Compares what was said with what was delivered.
//!
//! The oracle shares no code with the product: it decodes objects with decoders of its own and compares the JSON bytes
//! of time, type and record with the ledger's, as multisets. It knows of the product only what a reader of the bucket
//! is told: names, lines, numbers.
//!
//! What it holds against a delivery:
//! * **lost**: acknowledged by the extension, neither delivered nor covered by a declared loss;
//! * **doubled**: delivered more often than said, or one number of a spool in two objects or with two contents;
//! * **foreign**: delivered but never handed over, such as a line that was changed on its way;
//! * **unreadable**: an object whose name, digest, compression or JSON is wrong;
//! * **gaps**: numbers of a spool that are neither delivered nor declared lost, or that contradict a name.
//!
//! What is no finding: the same file in two places; a piece (`-cut`) beside the whole; a declared loss over a delivered
//! range; a spool without an end.

mod line;
mod object;
mod tally;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

pub use object::{DeliveredObject, digest};
pub use verdict::{SpoolSummary, Verdict};

use crate::ledger::{Category, Ledger};
use line::{Line, Said};
use object::{Content, Name, base_name, decode};
use tally::Tally;

/// All streams: for products that ship everything that they are given.
pub const EVERYTHING: &[Category] = &[Category::Platform, Category::Function, Category::Extension];

/// Reads every file below a directory, for destinations that are directories. Names are paths below it.
///
/// # Errors
/// When a file or a directory cannot be read.
pub fn delivered_under(directory: &Path) -> io::Result<Vec<DeliveredObject>> {
    let mut objects = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(current) = directories.pop() {
        for entry in fs::read_dir(current)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().into_owned();
                objects.push(DeliveredObject { name, bytes: fs::read(&path)? });
            }
        }
    }
    objects.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(objects)
}

/// Judges a delivery by everything that was said in one or more environments.
///
/// Events of other streams than `shipped` are left out: the extension was told not to ship them.
pub fn judge<'a>(
    ledgers: impl IntoIterator<Item = &'a Ledger>,
    objects: &[DeliveredObject],
    shipped: &[Category],
) -> Verdict {
    let mut verdict = Verdict::default();
    let spools = read(objects, &mut verdict);
    let mut tally = Tally::default();
    for entry in ledgers.into_iter().flat_map(Ledger::entries) {
        if shipped.contains(&entry.event.category) {
            tally.said(entry);
        }
    }
    for (id, spool) in &spools {
        spool.check(id, &mut verdict);
        for said in spool.said() {
            tally.delivered(said.clone());
        }
    }
    tally.compare(&mut verdict);
    verdict
}

/// Everything that objects tell about one spool.
#[derive(Debug, Default)]
struct Spool {
    /// By number: what was delivered, and whether an object other than a piece has it.
    lines: BTreeMap<u64, (Line, bool)>,
    declared: BTreeSet<u64>,
    ended: bool,
}

impl Spool {
    fn said(&self) -> impl Iterator<Item = &Said> {
        self.lines.values().filter(|(line, _)| !line.is_own()).map(|(line, _)| &line.said)
    }

    fn add(&mut self, line: Line, piece: bool, object: &str, verdict: &mut Verdict) {
        let seq = line.seq;
        match self.lines.get_mut(&seq) {
            None => {
                self.lines.insert(seq, (line, !piece));
            }
            Some((other, _)) if other.said != line.said => {
                verdict.doubled.push(format!("number {seq} has a second content in {object}: {:?}", line.said));
            }
            Some((_, whole)) => {
                if *whole && !piece {
                    verdict.doubled.push(format!("number {seq} is delivered again in {object}"));
                }
                *whole |= !piece;
            }
        }
    }

    fn check(&self, id: &str, verdict: &mut Verdict) {
        let own = self.lines.values().filter(|(line, _)| line.is_own()).count();
        verdict.own_lines += own;
        verdict.delivered += self.lines.len() - own;
        verdict.declared += self.declared.iter().filter(|seq| !self.lines.contains_key(seq)).count();

        let known: BTreeSet<u64> = self.lines.keys().chain(&self.declared).copied().collect();
        let mut expected = 0;
        for &seq in &known {
            if seq > expected {
                verdict.gaps.push(format!("spool {id} misses the numbers {expected} to {}", seq - 1));
            }
            expected = seq + 1;
        }
        verdict.spools.push(SpoolSummary { id: id.to_owned(), numbers: expected, ended: self.ended });
    }
}

fn read(objects: &[DeliveredObject], verdict: &mut Verdict) -> BTreeMap<String, Spool> {
    let mut spools: BTreeMap<String, Spool> = BTreeMap::new();
    let mut seen: BTreeMap<&str, &DeliveredObject> = BTreeMap::new();
    for object in objects {
        let base = base_name(&object.name);
        match seen.insert(base, object) {
            Some(other) if other.bytes == object.bytes => continue,
            Some(_) => verdict.doubled.push(format!("object {base} exists with two contents")),
            None => {}
        }
        if let Err(why) = read_object(object, &mut spools, verdict) {
            verdict.unreadable.push(format!("{}: {why}", object.name));
        }
    }
    spools
}

fn read_object(
    object: &DeliveredObject,
    spools: &mut BTreeMap<String, Spool>,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let name = Name::parse(&object.name)?;
    let spool = spools.entry(name.spool.clone()).or_default();
    match name.content {
        Content::Dropped => {
            let line = object.bytes.strip_suffix(b"\n").unwrap_or(&object.bytes);
            serde_json::from_slice::<serde_json::Value>(line).map_err(|error| format!("a declared loss: {error}"))?;
            spool.declared.extend(name.range);
        }
        Content::Lines { digest: told, end, cut, codec } => {
            let found = digest(&object.bytes);
            if found != told {
                verdict.unreadable.push(format!("{}: the digest of its bytes is {found:016x}", object.name));
            }
            let text = decode(&object.bytes, codec)?;
            let lines = parse_lines(&text)?;
            check_numbers(&lines, &name, &object.name, verdict);
            spool.ended |= end;
            for line in lines {
                spool.add(line, cut, &object.name, verdict);
            }
        }
    }
    Ok(())
}

fn parse_lines(text: &[u8]) -> Result<Vec<Line>, String> {
    let text = match text {
        [] => return Ok(Vec::new()),
        [lines @ .., b'\n'] => lines,
        _ => return Err("its last line is cut short".to_owned()),
    };
    let parse =
        |(index, text): (usize, &[u8])| line::parse(text).map_err(|error| format!("line {}: {error}", index + 1));
    text.split(|&byte| byte == b'\n').enumerate().map(parse).collect()
}

fn check_numbers(lines: &[Line], name: &Name, object: &str, verdict: &mut Verdict) {
    let numbers: Vec<u64> = lines.iter().map(|line| line.seq).collect();
    if !numbers.iter().copied().eq(name.range.clone()) {
        let found = match (numbers.first(), numbers.last()) {
            (Some(first), Some(last)) => format!("{} lines with numbers from {first} to {last}", numbers.len()),
            _ => "no lines".to_owned(),
        };
        verdict.gaps.push(format!("{object} holds {found}, which are not those of its name"));
    }
}
