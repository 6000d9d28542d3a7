//! Which metrics there are, and where each is read from.

use spool::LossCause;

use crate::intake::Stand;
use crate::lifecycle::machine::Counts;
use crate::upload::uploader;

/// How a process stands at one moment: what the summary line and the metrics are made from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// What came in, and what became of it on disk.
    pub stand: Stand,
    /// What has left.
    pub uploaded: uploader::Totals,
    /// What was decided.
    pub counts: Counts,
    /// Objects that are not delivered.
    pub waiting: u64,
    /// The age of the oldest record that is not delivered, in milliseconds; none if there is none.
    pub oldest_age_ms: u64,
    /// Panics that were caught.
    pub panics: u64,
}

/// The word for a unit in CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Bytes,
    Milliseconds,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Bytes",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// Something that only grows.
pub(super) struct Counter {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) total: fn(&Figures) -> u64,
}

/// Something that is told as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    pub(super) unit: Unit,
    /// Its value.
    pub value: u64,
}

const fn count(name: &'static str, total: fn(&Figures) -> u64) -> Counter {
    Counter { name, unit: Unit::Count, total }
}

const fn bytes(name: &'static str, total: fn(&Figures) -> u64) -> Counter {
    Counter { name, unit: Unit::Bytes, total }
}

fn lost(figures: &Figures, cause: LossCause) -> u64 {
    figures.stand.losses.of(cause).records
}

/// How many counters there are.
pub(super) const COUNTERS_LEN: usize = 22;

/// All counters, in the order in which they are told.
pub(super) static COUNTERS: [Counter; COUNTERS_LEN] = [
    count("Records", |s| s.stand.totals.records),
    bytes("RawBytes", |s| s.stand.totals.raw_bytes),
    bytes("StoredBytes", |s| s.stand.object_bytes),
    count("RefusedBodies", |s| s.stand.totals.refused_bodies),
    count("DroppedQuota", |s| lost(s, LossCause::Quota)),
    count("DroppedRefused", |s| lost(s, LossCause::Refused)),
    count("DroppedDamage", |s| lost(s, LossCause::Damage)),
    count("DroppedVanished", |s| lost(s, LossCause::Vanished)),
    count("DroppedVolatile", |s| lost(s, LossCause::Volatile)),
    count("DroppedPlatform", |s| lost(s, LossCause::Platform)),
    count("Uploads", |s| s.uploaded.delivered),
    bytes("UploadedBytes", |s| s.uploaded.bytes),
    count("FallbackUploads", |s| s.uploaded.fallback),
    count("UploadAttempts", |s| s.counts.attempts),
    count("FailedUploads", |s| s.counts.failed_attempts),
    count("Invocations", |s| s.counts.invocations),
    count("Holds", |s| s.counts.held),
    count("HoldsForStarvedUpload", |s| s.counts.held_for_starved_upload),
    Counter { name: "HeldTime", unit: Unit::Milliseconds, total: |s| s.counts.held_ms },
    count("BudgetsUsedUp", |s| s.counts.budgets_used_up),
    count("Outages", |s| s.counts.outages),
    count("Panics", |s| s.panics),
];

/// All that is told as it is.
pub(super) fn gauges(figures: &Figures) -> [Gauge; 3] {
    [
        Gauge { name: "SpoolBytes", unit: Unit::Bytes, value: figures.stand.disk_bytes },
        Gauge { name: "UndeliveredObjects", unit: Unit::Count, value: figures.waiting },
        Gauge { name: "OldestUndeliveredAge", unit: Unit::Milliseconds, value: figures.oldest_age_ms },
    ]
}
