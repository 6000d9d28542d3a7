//! How intake and its spool stand, over all spools of this life of the process.

use spool::{ActiveFacts, Losses, Spool};

use super::{Intake, Totals, lock};

/// How things stand, at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stand {
    /// What came in.
    pub totals: Totals,
    /// What the spools of this life lost, and what spools of earlier lives lost since this one adopted them.
    pub losses: Losses,
    /// Bytes that lines have become, compressed.
    pub object_bytes: u64,
    /// Bytes that all spools take on disk.
    pub disk_bytes: u64,
    /// The active segment.
    pub active: ActiveFacts,
}

/// What is known of spools that this life has rolled away from: each counts from nought.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Parted {
    losses: Losses,
    object_bytes: u64,
}

impl Parted {
    /// With one more spool.
    pub(super) fn with(&self, spool: &Spool) -> Self {
        Self {
            losses: self.losses.and(&spool.losses()),
            object_bytes: self.object_bytes.saturating_add(spool.object_bytes()),
        }
    }
}

impl Intake {
    /// How things stand now.
    pub fn stand(&self) -> Stand {
        let state = lock(&self.state);
        let spool = lock(&self.spool);
        let all = state.parted.with(&spool);
        Stand {
            totals: state.totals,
            losses: all.losses.and(&spool.losses_of_adopted()),
            object_bytes: all.object_bytes,
            disk_bytes: spool.disk_bytes(),
            active: spool.active(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use spool::{LossCause, SpoolConfig, SpoolLimits};

    use super::*;
    use crate::identity;
    use crate::intake::{EarlierLife, Outputs, Rules};
    use crate::lifecycle::machine::seal_policy::SealPolicy;
    use crate::runtime_api::event::StreamTypes;
    use crate::telemetry::listener::Body;

    const NOW: i64 = 1_790_000_000_000;

    #[test]
    fn what_was_counted_stays_counted_when_the_spool_is_left() {
        let root = tempfile::tempdir().expect("tempdir");
        let config = SpoolConfig {
            root: root.path().join("spools"),
            compression: spool::Compression::default(),
            line_format: 0,
            label: Arc::new(|_| String::new()),
            limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
        };
        let spool = Arc::new(Mutex::new(Spool::create(config, identity::fresh(NOW), NOW).expect("created")));
        let types = StreamTypes { platform: true, function: true, extension: false };
        let seal = SealPolicy { invocations: None, age: Duration::from_secs(60), size_bytes: 1 << 22 };
        let outputs = Outputs { events: Arc::new(|_| ()), orphans: Arc::new(|_| ()), observed: Arc::new(|_| ()) };
        let intake = Intake::new(spool, Rules::new(types, seal), EarlierLife::default(), outputs);
        let dropped = br#"[{"time":"2026-09-21T14:13:20.000Z","type":"platform.logsDropped","record":{"droppedRecords":3,"droppedBytes":30,"reason":"x"}}]"#;
        let mut bytes = 0;
        for lives in 1..=3 {
            let life = intake.spool_id();
            intake.store(
                &Body { bytes: dropped.to_vec(), cut_bytes: 0, sequence_id: Some(lives.to_string().into()) },
                NOW,
            );
            let stand = intake.stand();
            assert_eq!((stand.totals.records, stand.losses.of(LossCause::Platform).records), (lives, 3 * lives));
            assert!(stand.object_bytes > bytes, "{stand:?}");
            std::fs::remove_dir_all(root.path().join("spools")).expect("cleared");
            intake.check_place(NOW);
            assert_ne!(intake.spool_id(), life, "it was left");
            let after = intake.stand();
            assert_eq!((after.losses, after.object_bytes), (stand.losses, stand.object_bytes));
            bytes = after.object_bytes;
        }
    }
}
