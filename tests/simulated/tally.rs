//! What has happened in the simulated worlds, so that rare things are known to happen.

use std::collections::BTreeMap;

/// What has happened, by name.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<&'static str, u64>);

/// Things that must happen often for the claims to mean something.
const COMMON: [&str; 20] = [
    "adoptions",
    "answers after a freeze",
    "attempts begun anew at the end",
    "breaker opened",
    "budget used up",
    "connections died",
    "clock set back",
    "clock set forward",
    "ends lost",
    "evictions",
    "failed attempts",
    "freezes noticed",
    "held",
    "held for a starved upload",
    "interrupted uploads",
    "invocations failed",
    "killed",
    "probes given time",
    "shutdowns",
    "stalls",
];

impl Tally {
    pub fn count(&mut self, what: &'static str, by: u64) {
        *self.0.entry(what).or_default() += by;
    }

    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, times)| self.count(what, *times));
    }

    /// Something that happened less than a hundred times.
    pub fn rarest(&self) -> Option<&'static str> {
        COMMON.into_iter().find(|what| self.0.get(what).is_none_or(|times| *times < 100))
    }
}
