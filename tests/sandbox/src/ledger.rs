//! The ledger: everything the platform said, and what became of it.
//!
//! One entry an event, in the order the platform generated them; entries are only added and only change their fate. The
//! record is kept as the exact JSON bytes that were (or would have been) posted, so that a later comparison needs no
//! idea of equality between JSON values.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The three streams that an extension can subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Events of the platform: `platform.*`.
    Platform,
    /// Lines of the function's stdout and stderr.
    Function,
    /// Lines of the extension's stdout and stderr.
    Extension,
}

/// One telemetry event as the platform generated it.
#[derive(Debug, Clone)]
pub struct Event {
    /// Position in the ledger: the event's identity, since equal events are legal.
    pub id: usize,
    /// The stream that it belongs to.
    pub category: Category,
    /// `time` of the event: UTC, RFC 3339 with milliseconds.
    pub time: String,
    /// `type` of the event, such as `function` or `platform.start`.
    pub kind: String,
    /// `record` of the event: the JSON bytes that go over the wire.
    pub record: Box<RawValue>,
}

impl Event {
    /// The event as it stands in the array of a telemetry body.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Neither a formatted time nor the name of a type has a character that JSON escapes.
        format!(r#"{{"time":"{}","type":"{}","record":{}}}"#, self.time, self.kind, self.record)
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.time == other.time
            && self.kind == other.kind
            && self.record.get() == other.record.get()
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// Nobody asked for its stream: it was never addressed to the extension.
    NotSubscribed,
    /// Waits in a buffer of the platform, or is just being posted.
    Pending,
    /// Its POST was answered with success.
    Acknowledged,
    /// Its POST was sent and never answered: the extension may have it or not.
    InDoubt,
    /// Buffered when the extension ended, or generated while none lived.
    NeverHandedOver,
    /// Given up by the platform while the extension lived, and declared by a `platform.logsDropped`.
    Dropped,
}

/// An event with its fate.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What was said.
    pub event: Event,
    /// What became of it.
    pub fate: Fate,
}

/// Everything that was said in one environment, over all lives of its extension.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// All entries, in the order in which the platform generated their events.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The events with a given fate.
    pub fn with_fate(&self, fate: Fate) -> impl Iterator<Item = &Event> {
        self.entries.iter().filter(move |entry| entry.fate == fate).map(|entry| &entry.event)
    }

    /// The events of a type, whatever became of them.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.event.kind == kind)
    }

    /// How many events have each fate.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Fate, usize> {
        let mut counts = BTreeMap::new();
        for entry in &self.entries {
            *counts.entry(entry.fate).or_default() += 1;
        }
        counts
    }

    pub(crate) fn add(
        &mut self,
        category: Category,
        time: String,
        kind: &str,
        record: Box<RawValue>,
        fate: Fate,
    ) -> usize {
        let id = self.entries.len();
        let event = Event { id, category, time, kind: kind.to_owned(), record };
        self.entries.push(Entry { event, fate });
        id
    }

    pub(crate) fn event(&self, id: usize) -> &Event {
        &self.entries[id].event
    }

    pub(crate) fn replace_record(&mut self, id: usize, record: Box<RawValue>) {
        self.entries[id].event.record = record;
    }

    pub(crate) fn settle(&mut self, ids: &[usize], fate: Fate) {
        for &id in ids {
            self.entries[id].fate = fate;
        }
    }

    /// Gives a final fate to what still waits: called when the environment is gone.
    pub(crate) fn close(&mut self) {
        for entry in &mut self.entries {
            if entry.fate == Fate::Pending {
                entry.fate = Fate::NeverHandedOver;
            }
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        let count = |fate| counts.get(&fate).copied().unwrap_or_default();
        write!(
            f,
            "{} events: {} acknowledged, {} in doubt, {} never handed over, {} dropped and declared, {} pending, {} not subscribed",
            self.entries.len(),
            count(Fate::Acknowledged),
            count(Fate::InDoubt),
            count(Fate::NeverHandedOver),
            count(Fate::Dropped),
            count(Fate::Pending),
            count(Fate::NotSubscribed),
        )
    }
}
