//! Counts how often each thing was said and delivered.

use std::collections::BTreeMap;

use super::line::Said;
use super::verdict::Verdict;
use crate::ledger::{Entry, Event, Fate};

#[derive(Debug, Default)]
struct Count<'a> {
    acknowledged: Vec<&'a Event>,
    in_doubt: usize,
    others: usize,
    delivered: usize,
}

/// One count for each different thing.
#[derive(Debug, Default)]
pub(super) struct Tally<'a> {
    counts: BTreeMap<Said, Count<'a>>,
    fates: BTreeMap<Fate, usize>,
}

impl<'a> Tally<'a> {
    pub(super) fn said(&mut self, entry: &'a Entry) {
        let event = &entry.event;
        *self.fates.entry(entry.fate).or_default() += 1;
        let said = Said {
            time: format!("\"{}\"", event.time),
            kind: format!("\"{}\"", event.kind),
            record: event.record.get().to_owned(),
        };
        let count = self.counts.entry(said).or_default();
        match entry.fate {
            Fate::Acknowledged => count.acknowledged.push(event),
            Fate::InDoubt => count.in_doubt += 1,
            Fate::NotSubscribed | Fate::Pending | Fate::NeverHandedOver | Fate::Dropped => count.others += 1,
        }
    }

    pub(super) fn delivered(&mut self, said: Said) {
        self.counts.entry(said).or_default().delivered += 1;
    }

    pub(super) fn compare(self, verdict: &mut Verdict) {
        let fate = |fate| self.fates.get(&fate).copied().unwrap_or_default();
        verdict.acknowledged = fate(Fate::Acknowledged);
        verdict.in_doubt = fate(Fate::InDoubt);
        verdict.never_handed_over = fate(Fate::NeverHandedOver);
        verdict.dropped = fate(Fate::Dropped);
        verdict.pending = fate(Fate::Pending);
        verdict.emitted = self.fates.values().sum::<usize>() - fate(Fate::NotSubscribed);
        for (said, count) in self.counts {
            count.compare(&said, verdict);
        }
    }
}

impl Count<'_> {
    fn compare(&self, said: &Said, verdict: &mut Verdict) {
        let handed_over = self.acknowledged.len() + self.in_doubt;
        let text = || format!(r#"{{"time":{},"type":{},"record":{}}}"#, said.time, said.kind, said.record);
        if handed_over + self.others == 0 {
            verdict.foreign.extend((0..self.delivered).map(|_| format!("never said: {}", text())));
        } else if self.delivered > handed_over + self.others {
            let times = self.delivered - handed_over - self.others;
            verdict.doubled.extend((0..times).map(|_| text()));
        } else if self.delivered > handed_over {
            let times = self.delivered - handed_over;
            verdict.foreign.extend((0..times).map(|_| format!("said, but never handed over: {}", text())));
        }
        verdict.lost.extend(self.acknowledged.iter().skip(self.delivered).map(|&event| event.clone()));
    }
}
