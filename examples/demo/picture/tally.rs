//! What the events of a run come to.

use std::time::Duration;

use super::event::{Event, Outcome, What};

/// Counts over all events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Invocations.
    pub invocations: usize,
    /// Attempts to upload.
    pub attempts: usize,
    /// Those that failed, or were cut off by a kill.
    pub failed: usize,
    /// Those that found the object there (412).
    pub already_there: usize,
    /// For so long the store was down.
    pub outage: Duration,
    /// SIGKILLs.
    pub kills: usize,
    /// Processes of the extension.
    pub lives: usize,
    /// For so long `next` was held, in all.
    pub held: Duration,
    /// The most that lay in the spool.
    pub spooled_max: u64,
}

impl Tally {
    /// Counts.
    pub fn of(events: &[Event]) -> Self {
        let mut tally = Self::default();
        for event in events {
            let length = event.end.saturating_sub(event.begin);
            match &event.what {
                What::Invocation { .. } => tally.invocations += 1,
                What::Attempt { outcome, .. } => {
                    tally.attempts += 1;
                    tally.failed += usize::from(matches!(outcome, Outcome::Failed | Outcome::Unanswered));
                    tally.already_there += usize::from(*outcome == Outcome::AlreadyThere);
                }
                What::Outage => tally.outage += length,
                What::Killed => tally.kills += 1,
                What::Life { .. } => tally.lives += 1,
                What::Held { .. } => tally.held += length,
                What::Spooled(bytes) => tally.spooled_max = tally.spooled_max.max(*bytes),
                _ => {}
            }
        }
        tally
    }
}
