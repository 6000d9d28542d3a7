//! What never reaches the disk: records that a setting keeps out, and the pieces of records that one masks.
//!
//! Pure: the same record has the same fate however often it is encoded. What is kept out is observed before all the same,
//! since attribution and the end of an invocation depend on it, and it takes no number: it is no loss.

pub(super) mod json_text;
mod level;
mod own_metrics;
mod patterns;
mod redaction;
mod sampling;

use std::borrow::Cow;
use std::fmt;
use std::ops::AddAssign;

pub use level::Level;
pub use patterns::{COMPILED_BYTES_MAX, PATTERNS_MAX, Patterns, RefusedPattern};
pub use redaction::MASK;
pub use sampling::Sample;
use serde_json::value::RawValue;

use super::attribution::Owner;
use crate::telemetry::event::{EventKind, RecordFacts};
use crate::telemetry::json::Json;

/// The rules. Without any, nothing is looked at.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Records that say they are less important are kept out.
    pub level: Option<Level>,
    /// Records with one of these are kept out.
    pub drop: Patterns,
    /// Records of other requests are kept out.
    pub sample: Option<Sample>,
    /// What these find is masked.
    pub redact: Patterns,
    /// Lines of our own metrics are kept out, which come back as records of an extension: each would be a reason for more.
    pub own_metrics: bool,
}

/// Why a record is kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exclusion {
    Level,
    Drop,
    Sample,
    OwnMetrics,
}

/// Memory that is used again for every record.
pub(super) type Scratch = String;

impl Filter {
    /// Whether there is no rule.
    pub(super) fn is_empty(&self) -> bool {
        let is_open = self.level.is_none() && self.drop.is_empty() && self.sample.is_none();
        is_open && self.redact.is_empty() && !self.own_metrics
    }

    /// Whether a record is kept out, by the first rule that says so. What the platform tells is never, and neither is what
    /// nobody knows.
    pub(super) fn excludes(
        &self,
        kind: EventKind,
        record: Option<Json<'_>>,
        facts: &RecordFacts<'_>,
        owner: Owner<'_>,
        scratch: &mut Scratch,
    ) -> Option<Exclusion> {
        if !matches!(kind, EventKind::Function | EventKind::Extension) {
            return None;
        }
        let may_be_own = self.own_metrics && kind == EventKind::Extension;
        if let Some(record) = record.filter(|_| may_be_own)
            && own_metrics::are_in(Record::of(record.get(), scratch).searched())
        {
            return Some(Exclusion::OwnMetrics);
        }
        if let Some(record) = record.filter(|_| self.level.is_some() || !self.drop.is_empty()) {
            let record = Record::of(record.get(), scratch);
            if self.level.is_some_and(|least| record.level(facts).is_some_and(|level| level < least)) {
                return Some(Exclusion::Level);
            }
            if self.drop.are_in(record.searched()) {
                return Some(Exclusion::Drop);
            }
        }
        // The share is one of requests: what belongs to none is not part of it.
        match (self.sample, owner) {
            (Some(sample), Owner::Invocation(id)) if !sample.takes(id) => Some(Exclusion::Sample),
            _ => None,
        }
    }

    /// The record with masks, if there is anything to mask. What the platform tells holds no secret of the function.
    pub(super) fn redacted(&self, kind: EventKind, record: Json<'_>, scratch: &mut Scratch) -> Option<Box<RawValue>> {
        let is_looked_at = matches!(kind, EventKind::Function | EventKind::Extension | EventKind::Unknown);
        if !is_looked_at || self.redact.is_empty() {
            return None;
        }
        match redaction::json(&self.redact, record.get(), scratch) {
            Cow::Borrowed(_) => None,
            Cow::Owned(json) => Some(RawValue::from_string(json).expect("masks in string values leave JSON")),
        }
    }

    /// A JSON text with masks in its string values.
    pub fn redacted_json<'a>(&self, json: &'a str) -> Cow<'a, str> {
        redaction::json(&self.redact, json, &mut Scratch::new())
    }

    /// Bytes that could not be read as a record, with masks.
    pub(super) fn redacted_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.redact.is_empty() { Cow::Borrowed(bytes) } else { redaction::bytes(&self.redact, bytes) }
    }
}

/// What the rules look at.
enum Record<'a> {
    /// What a string means.
    Text(&'a str),
    /// Anything else, as it was received.
    Json(&'a str),
}

impl<'a> Record<'a> {
    fn of(json: &'a str, scratch: &'a mut Scratch) -> Self {
        match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(written) => Self::Text(json_text::meaning(written, scratch)),
            None => Self::Json(json),
        }
    }

    fn level(&self, facts: &RecordFacts<'_>) -> Option<Level> {
        match self {
            Self::Text(text) => Level::of_text(text),
            Self::Json(json) => facts.level.as_deref().and_then(Level::named).or_else(|| Level::of_object(json)),
        }
    }

    /// An object is searched as it was received, so that a pattern can name a member and its value.
    fn searched(&self) -> &'a str {
        match self {
            Self::Text(text) | Self::Json(text) => text,
        }
    }
}

/// What the rules did, in records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterCounts {
    /// Kept out by their level.
    pub level: u64,
    /// Kept out by a pattern.
    pub drop: u64,
    /// Kept out with their request.
    pub sample: u64,
    /// Shipped with masks.
    pub redacted: u64,
    /// Lines of our own metrics.
    pub own_metrics: u64,
}

impl FilterCounts {
    pub(super) fn excluded(&mut self, exclusion: Exclusion) {
        match exclusion {
            Exclusion::Level => self.level += 1,
            Exclusion::Drop => self.drop += 1,
            Exclusion::Sample => self.sample += 1,
            Exclusion::OwnMetrics => self.own_metrics += 1,
        }
    }
}

impl AddAssign for FilterCounts {
    fn add_assign(&mut self, other: Self) {
        self.level += other.level;
        self.drop += other.drop;
        self.sample += other.sample;
        self.redacted += other.redacted;
        self.own_metrics += other.own_metrics;
    }
}

/// As fields of a log line.
impl fmt::Display for FilterCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, drop, sample, redacted, own_metrics } = self;
        write!(f, "filtered=level:{level},drop:{drop},sample:{sample} redacted={redacted} own_metrics={own_metrics}")
    }
}

#[cfg(test)]
mod tests;
