//! Own metrics, for whoever wants an alarm on lost logs: lines in CloudWatch's embedded metric format, which CloudWatch makes
//! metrics of.
//!
//! * Never a line for a record: at most one in an [interval](Teller::new), and one at the end. A time in which nothing has
//!   happened has none, and neither has a life in which nothing has.
//! * A counter is told as what has come to it since the line before, so that sums over any number of environments are right; what
//!   stands still is left out, since CloudWatch charges for each metric that it is told of.
//! * Nobody waits for a line: while one cannot be written, what the next one would tell goes on to grow.
//! * Lines come back as telemetry; the filter of [intake](crate::intake) keeps them out, so that none is the reason for another.

mod line;
mod list;
mod teller;
mod writer;

use std::time::Duration;

pub use line::{Facts, LINE_BYTES_MAX};
pub use list::{Figures, Gauge};
pub use teller::{Report, Teller};
pub use writer::Writer;

/// What CloudWatch files the metrics under.
pub const NAMESPACE: &str = "logspool";

/// The longest that the end of a process waits for its last line. A pipe that has room takes microseconds.
const LAST_LINE_TIMEOUT: Duration = Duration::from_millis(50);

/// Tells how a process fares.
pub struct Metrics {
    facts: Facts,
    teller: Teller,
    writer: Writer,
}

impl Metrics {
    /// Metrics of a process that begins now, with at most one line in `interval`.
    pub fn new(facts: Facts, interval: Duration, writer: Writer, now_ms: i64) -> Self {
        Self { facts, teller: Teller::new(interval, now_ms), writer }
    }

    /// Whether it is time for a line, if there is anything to tell.
    pub fn are_due(&self, now_ms: i64) -> bool {
        self.teller.is_due(now_ms)
    }

    /// Writes a line, if there is anything to tell and the one before is written.
    pub fn tell(&mut self, figures: &Figures, now_ms: i64) {
        if let Some(report) = self.teller.report(figures)
            && self.writer.begin(line::of(&self.facts, &report, now_ms))
        {
            self.teller.has_told(figures, now_ms);
        }
    }

    /// Writes the last line, whenever the one before it was; gives up where nobody reads.
    pub async fn tell_last(&mut self, figures: &Figures, now_ms: i64) {
        self.writer.settle(LAST_LINE_TIMEOUT).await;
        self.tell(figures, now_ms);
        self.writer.settle(LAST_LINE_TIMEOUT).await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
