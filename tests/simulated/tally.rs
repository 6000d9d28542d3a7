//! What has happened in the simulated worlds, so that rare things are known to happen.

use std::collections::BTreeMap;

/// What has happened, by name.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    highest: BTreeMap<&'static str, u64>,
}

/// Things that must happen often for the claims to mean something.
const COMMON: [&str; 24] = [
    "adoptions",
    "answers after a freeze",
    "attempts begun anew at the end",
    "breaker opened",
    "budget used up",
    "connections died",
    "clock set back",
    "clock set forward",
    "ends lost",
    "ends with a fallback",
    "evictions",
    "failed attempts",
    "freezes noticed",
    "held",
    "held for a starved upload",
    "interrupted uploads",
    "invocations failed",
    "killed",
    "probes given time",
    "reports beside each other",
    "shutdowns",
    "stalls",
    "uploads to a fallback",
    "written to the log",
];

impl Tally {
    pub fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    /// Notes a value of which the highest counts.
    pub fn highest(&mut self, what: &'static str, value: u64) {
        let highest = self.highest.entry(what).or_default();
        *highest = value.max(*highest);
    }

    pub fn add(&mut self, other: &Self) {
        other.counts.iter().for_each(|(what, times)| self.count(what, *times));
        other.highest.iter().for_each(|(what, value)| self.highest(what, *value));
    }

    /// Something that happened less than a hundred times.
    pub fn rarest(&self) -> Option<&'static str> {
        COMMON.into_iter().find(|what| self.counts.get(what).is_none_or(|times| *times < 100))
    }
}
