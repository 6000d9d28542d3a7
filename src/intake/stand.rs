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
