//! What is left of a run, as values: the report is made of nothing else.

use std::time::Duration;

use sandbox::oracle::Verdict;
use sandbox::s3::StoredObject;
use sandbox::{Invocation, Ledger, Shutdown};

use crate::picture::observed::Observed;

/// Everything that is left of a run.
pub struct Session {
    /// What was said, and what became of it.
    pub ledger: Ledger,
    /// What lies in the bucket.
    pub objects: Vec<StoredObject>,
    /// What the one says of the other.
    pub verdict: Verdict,
    /// Every invocation, in order.
    pub invocations: Vec<Seen>,
    /// From the start of the extension's process to its first `next`, of each life.
    pub start_ups: Vec<Duration>,
    /// `VmHWM` of the extension, the most of all lives.
    pub peak_rss_kib: u64,
    /// What the extension wrote to stderr.
    pub extension_output: Vec<String>,
    /// How the environment ended.
    pub shutdown: Shutdown,
    /// Spool directories that are still in `/tmp`.
    pub spools_left: usize,
    /// What was noted for a picture, if there is to be one.
    pub observed: Option<Observed>,
}

/// What was seen of a run that was interrupted.
pub struct Unfinished {
    /// What was noted for a picture.
    pub observed: Observed,
    /// What lies in the bucket.
    pub objects: Vec<StoredObject>,
}

/// An invocation and the weather it ran in.
pub struct Seen {
    /// What the platform saw of it.
    pub invocation: Invocation,
    /// Whether S3 was down.
    pub in_outage: bool,
    /// Whether the extension was killed in it.
    pub killed: bool,
}

/// Whether the extension would have said it without being asked: a warning, an error, or no line of its own format.
pub fn matters(line: &str) -> bool {
    !["logspool INFO ", "logspool DEBUG "].iter().any(|level| line.starts_with(level))
}
