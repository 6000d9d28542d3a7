//! The verdict on one spool, from its names in order: pure.
//!
//! A spool numbers its lines from 0. Objects hold ranges of numbers, `.dropped` objects declare ranges as lost, the highest object with an
//! end says where the numbers stop. So a number below the highest one that is in no range is missing, and nobody has said so.
//!
//! No finding is: the same file in two places; a declared loss over a delivered range; a piece (`-cut`) within a whole object; an
//! end behind an end.

use std::collections::BTreeMap;

use super::name::Known;
use crate::archive::located::{Located, base_name};
use crate::upload::object_key::{Content, Mark};

/// A spool has at most so many findings in memory; further ones are counted.
const FINDINGS_MAX: usize = 50;

/// What is known of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Verdict {
    /// From 0 to its end.
    Complete,
    /// It joins so far, and may still be written.
    Open,
    /// It joins, has no end, and nothing has come for a long time: how many lines are missing behind its last one nobody knows.
    UnknownTail,
    /// Numbers are missing.
    Gap,
    /// Numbers are there more than once.
    Overlap,
    /// Objects do not hold what their names say.
    Damage,
}

impl Verdict {
    pub(super) const ALL: [Self; 6] =
        [Self::Complete, Self::Open, Self::UnknownTail, Self::Gap, Self::Overlap, Self::Damage];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Open => "open",
            Self::UnknownTail => "ended without notice",
            Self::Gap => "gap",
            Self::Overlap => "overlap",
            Self::Damage => "damage",
        }
    }

    pub(super) fn is_finding(self) -> bool {
        matches!(self, Self::Gap | Self::Overlap | Self::Damage)
    }
}

/// Something that is wrong with a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// [`Verdict::Gap`], [`Verdict::Overlap`] or [`Verdict::Damage`].
    pub(super) kind: Verdict,
    /// One line for a person, which names the objects.
    pub(super) text: String,
}

/// The verdict on a spool, and what it was drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpoolVerdict {
    pub(super) spool: String,
    pub(super) verdict: Verdict,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Numbers that are in objects.
    pub(super) delivered: u64,
    /// Numbers that are declared lost and in no object, by cause.
    pub(super) lost: BTreeMap<String, u64>,
    /// Number of the end line.
    pub(super) end: Option<u64>,
    pub(super) findings: Vec<Finding>,
    /// Findings beyond those.
    pub(super) more_findings: u64,
    /// A gap that may still close: when the spool is young.
    pub(super) is_waited_for: bool,
}

/// What is seen of one spool so far, in the order of its first numbers.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    spool: String,
    last_file: String,
    /// Every number below is known: delivered, lost or missing.
    at: u64,
    /// From [`Self::at`] on, up to there.
    delivered_until: u64,
    lost_until: BTreeMap<String, u64>,
    whole: Option<Range>,
    cut: Option<Range>,
    farthest: Option<Range>,
    objects: u64,
    bytes: u64,
    delivered: u64,
    lost: BTreeMap<String, u64>,
    end: Option<u64>,
    newest_ms: i64,
    has_gap: bool,
    is_unknown_tail: bool,
    findings: Vec<Finding>,
    more_findings: u64,
}

/// The range of an object, up to `until`, which is not in it.
#[derive(Clone, Debug)]
struct Range {
    first: u64,
    until: u64,
    file: String,
}

impl Sweep {
    pub(super) fn new(spool: &str) -> Self {
        Self { spool: spool.to_owned(), newest_ms: i64::MIN, ..Self::default() }
    }

    pub(super) fn spool(&self) -> &str {
        &self.spool
    }

    pub(super) fn take(&mut self, known: &Known) {
        match known {
            Known::Object(located) => self.object(located),
            Known::Finding(text) => self.find(Verdict::Damage, text.clone()),
            Known::UnknownTail => self.is_unknown_tail = true,
        }
    }

    fn object(&mut self, located: &Located) {
        let name = located.name();
        let file = base_name(&located.object.key);
        self.newest_ms = self.newest_ms.max(located.object.modified_ms);
        self.objects += 1;
        self.bytes += located.object.bytes;
        if self.last_file == file {
            // In two places.
            return;
        }
        file.clone_into(&mut self.last_file);
        let range = Range { first: name.first, until: name.last.saturating_add(1), file: file.to_owned() };
        self.advance(range.first, Some(&range));
        match name.content {
            Content::Dropped { cause } => {
                let until = self.lost_until.entry(cause.to_owned()).or_default();
                *until = range.until.max(*until);
            }
            Content::Lines { mark, .. } => {
                self.delivered_until = self.delivered_until.max(range.until);
                if mark == Mark::Cut {
                    self.cut(&range)
                } else {
                    self.whole(&range)
                }
                if mark == Mark::End {
                    self.end = self.end.max(Some(name.last));
                }
            }
        }
        if self.farthest.as_ref().is_none_or(|farthest| farthest.until < range.until) {
            self.farthest = Some(range);
        }
    }

    /// A whole object meets no other one, and no piece that is not all within it.
    fn whole(&mut self, range: &Range) {
        let meets = |other: &&Range| range.first < other.until;
        let within = |other: &&Range| range.first <= other.first && other.until <= range.until;
        let other =
            self.whole.as_ref().filter(meets).or_else(|| self.cut.as_ref().filter(meets).filter(|it| !within(it)));
        if let Some(other) = other.cloned() {
            self.overlap(&other, range);
        }
        if self.whole.as_ref().is_none_or(|whole| whole.until < range.until) {
            self.whole = Some(range.clone());
        }
    }

    /// A piece is all within a whole object, or meets none.
    fn cut(&mut self, range: &Range) {
        let crosses = |whole: &&Range| range.first < whole.until && whole.until < range.until;
        let meets = |cut: &&Range| range.first < cut.until;
        let other = self.whole.as_ref().filter(crosses).or_else(|| self.cut.as_ref().filter(meets));
        if let Some(other) = other.cloned() {
            self.overlap(&other, range);
        }
        if self.cut.as_ref().is_none_or(|cut| cut.until < range.until) {
            self.cut = Some(range.clone());
        }
    }

    fn overlap(&mut self, one: &Range, other: &Range) {
        let (first, last) = (other.first, one.until.min(other.until) - 1);
        let what = if (one.first, one.until) == (other.first, other.until) {
            format!("two bodies under one range, {}", numbers(first, last))
        } else {
            format!("{} twice", numbers(first, last))
        };
        self.find(Verdict::Overlap, format!("{what}: {} and {}", one.file, other.file));
    }

    /// Everything below `to` is known now.
    fn advance(&mut self, to: u64, next: Option<&Range>) {
        let delivered = self.delivered_until.clamp(self.at, to.max(self.at));
        self.delivered += delivered - self.at;
        let mut at = delivered;
        for (cause, &until) in &self.lost_until {
            let until = until.clamp(at, to.max(at));
            if until > at {
                *self.lost.entry(cause.clone()).or_default() += until - at;
                at = until;
            }
        }
        self.lost_until.retain(|_, until| *until > to);
        if at < to {
            let text = match (&self.farthest, next) {
                (Some(before), Some(behind)) => format!("between {} and {}", before.file, behind.file),
                (None, Some(behind)) => format!("before {}", behind.file),
                (_, None) => String::new(),
            };
            self.has_gap = true;
            let range = numbers(at, to - 1);
            self.find(Verdict::Gap, format!("{range} missing, {text}"));
        }
        self.at = self.at.max(to);
    }

    fn find(&mut self, kind: Verdict, text: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { kind, text });
        } else {
            self.more_findings += 1;
        }
    }

    /// Nothing more is known. Before `settled_ms` what is not complete may still become so.
    pub(super) fn end(mut self, settled_ms: i64) -> SpoolVerdict {
        let until = self.farthest.as_ref().map_or(0, |farthest| farthest.until);
        self.advance(until, None);
        let is_young = self.newest_ms > settled_ms;
        let is_waited_for = is_young && self.has_gap;
        let worst =
            self.findings.iter().map(|finding| finding.kind).filter(|kind| !is_young || *kind != Verdict::Gap).max();
        let ends = self.end.is_some_and(|end| end + 1 == until);
        let verdict = worst.unwrap_or(match () {
            () if is_waited_for => Verdict::Open,
            () if ends && !self.is_unknown_tail => Verdict::Complete,
            () if ends => Verdict::UnknownTail,
            () if is_young => Verdict::Open,
            () => Verdict::UnknownTail,
        });
        SpoolVerdict {
            spool: self.spool,
            verdict,
            objects: self.objects,
            bytes: self.bytes,
            delivered: self.delivered,
            lost: self.lost,
            end: self.end,
            findings: self.findings,
            more_findings: self.more_findings,
            is_waited_for,
        }
    }
}

fn numbers(first: u64, last: u64) -> String {
    if first == last { format!("number {first}") } else { format!("numbers {first} to {last}") }
}

#[cfg(test)]
mod tests;
