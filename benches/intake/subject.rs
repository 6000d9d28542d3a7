//! An intake over a spool of its own, made as the extension makes it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use logspool::intake::{EarlierLife, FieldFacts, Intake, LineSettings, LineStyle, Outputs, Rules, SharedSpool};
use logspool::lifecycle::machine::seal_policy::SealPolicy;
use logspool::runtime_api::event::StreamTypes;
use logspool::telemetry::listener::Body;
use spool::{Compression, Identity, Labeler, SegmentFacts, Spool, SpoolConfig, SpoolId, SpoolLimits};

/// The clock of everything, Unix time in milliseconds: that of the records.
pub const NOW_MS: i64 = 1_790_000_000_000;

/// How the intake is set up, where it is not by default.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    pub compression: Compression,
    pub lines: LineSettings,
    /// Invocations are summed up.
    pub sums_up: bool,
}

/// An intake whose spool lies below `root`. Nothing is sealed unless it is asked for.
pub fn intake(root: &Path, setup: &Setup) -> (Intake, SharedSpool) {
    let labeler: Labeler = Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last));
    let config = SpoolConfig {
        root: root.into(),
        compression: setup.compression,
        line_format: 0,
        label: labeler,
        limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
    };
    let identity = Identity { id: SpoolId::new(NOW_MS, 1), salt_seed: 1 };
    let spool = Arc::new(Mutex::new(Spool::create(config, identity, NOW_MS).expect("created")));
    let types = StreamTypes { platform: true, function: true, extension: false };
    let seal = SealPolicy { invocations: None, age: Duration::MAX, size_bytes: u64::MAX };
    let outputs = Outputs { events: Arc::new(drop), orphans: Arc::new(drop), observed: Arc::new(drop) };
    let facts = FieldFacts {
        function: Some("orders"),
        version: Some("$LATEST"),
        region: Some("eu-central-1"),
        account: Some("123456789012"),
        memory_mb: Some(512),
    };
    let style = LineStyle::new(&setup.lines, &facts);
    let rules = Rules { sums_up: setup.sums_up, style, ..Rules::new(types, seal) };
    (Intake::new(Arc::clone(&spool), rules, EarlierLife::default(), outputs), spool)
}

/// A body as the listener hands it over.
pub fn body(bytes: &[u8]) -> Body {
    Body { bytes: bytes.to_vec(), cut_bytes: 0, sequence_id: None }
}
