//! What the oracle found.

use std::fmt;

use crate::ledger::Event;

/// Findings shown of each kind; the rest is counted.
const EXAMPLES: usize = 3;

/// Longest text shown of one finding, in characters.
const EXAMPLE_CHARACTERS: usize = 300;

/// What a listing tells about one spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSummary {
    /// The spool's id.
    pub id: String,
    /// Numbers known: delivered or declared lost, from 0 on.
    pub numbers: u64,
    /// Whether an object says that the spool ended.
    pub ended: bool,
}

/// The oracle's findings.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Events addressed to the extension.
    pub emitted: usize,
    /// Events whose body was answered with success.
    pub acknowledged: usize,
    /// Events whose body was sent and not answered: delivered or not, both is right.
    pub in_doubt: usize,
    /// Events that the extension was never given.
    pub never_handed_over: usize,
    /// Events that the platform dropped and declared.
    pub dropped: usize,
    /// Events still on their way: the sandbox was judged before its end.
    pub pending: usize,
    /// Delivered lines, those of the product itself left out.
    pub delivered: usize,
    /// Delivered lines that the product wrote about itself.
    pub own_lines: usize,
    /// Numbers that are declared lost and not delivered.
    pub declared: usize,
    /// Acknowledged, not delivered. A declared loss covers as many of them as it has numbers.
    pub lost: Vec<Event>,
    /// Delivered more often than said.
    pub doubled: Vec<String>,
    /// Delivered, but never handed over.
    pub foreign: Vec<String>,
    /// Objects that are damaged.
    pub unreadable: Vec<String>,
    /// Numbers that are missing, or contradict a name.
    pub gaps: Vec<String>,
    /// Every spool that objects name.
    pub spools: Vec<SpoolSummary>,
}

impl Verdict {
    /// Acknowledged events that are neither delivered nor declared lost.
    #[must_use]
    pub fn silently_lost(&self) -> usize {
        self.lost.len().saturating_sub(self.declared)
    }

    /// Whether nothing speaks against the delivery.
    ///
    /// # Errors
    /// The findings, in words for people.
    pub fn holds(&self) -> Result<(), String> {
        let mut findings = Findings::default();
        if self.silently_lost() > 0 {
            let what = format!("acknowledged events were not delivered ({} declared lost)", self.declared);
            findings.add(&what, self.lost.iter().map(Event::to_json));
        }
        findings.add("lines were delivered more than once", self.doubled.iter().cloned());
        findings.add("delivered lines were never handed over", self.foreign.iter().cloned());
        findings.add("objects are damaged", self.unreadable.iter().cloned());
        findings.add("numbers are missing or wrong", self.gaps.iter().cloned());
        if findings.0.is_empty() { Ok(()) } else { Err(format!("{self}{}", findings.0)) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events emitted: {} acknowledged, {} in doubt, {} never handed over, {} dropped by the platform, {} pending; \
             {} lines delivered; {} lost, {} declared lost, {} doubled",
            self.emitted,
            self.acknowledged,
            self.in_doubt,
            self.never_handed_over,
            self.dropped,
            self.pending,
            self.delivered,
            self.lost.len(),
            self.declared,
            self.doubled.len(),
        )
    }
}

#[derive(Default)]
struct Findings(String);

impl Findings {
    fn add(&mut self, what: &str, examples: impl ExactSizeIterator<Item = String>) {
        let count = examples.len();
        if count == 0 {
            return;
        }
        self.0.push_str(&format!("\n  {count} {what}:"));
        for example in examples.take(EXAMPLES) {
            let shown: String = example.chars().take(EXAMPLE_CHARACTERS).collect();
            self.0.push_str(&format!("\n    {shown}"));
        }
        if count > EXAMPLES {
            self.0.push_str(&format!("\n    and {} more", count - EXAMPLES));
        }
    }
}
