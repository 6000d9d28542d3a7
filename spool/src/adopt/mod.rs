//! Taking over spools whose process is gone.
//!
//! * Adoption writes to no file of the orphan: whatever it computes, another adopter computes again. What has to give way while
//!   it is drained leaves a tombstone and is counted in the newest slot, so that holds from then on, too.
//! * Whose lock is held is alive and left alone.
//! * Files are removed one by one as their objects are delivered, in order; the last one only when the end of the stream has
//!   been delivered too, so a kill at any point leaves what is needed to go on.
//! * Every hole between known ranges is declared, whether or not there is a manifest.
//! * What was pending is shipped with the end of the stream, or declared.

mod adopted;
mod drain;
mod fragment;
mod give_way;
mod hints;
mod lost;
mod orphan;
mod tail;
mod timeline;

use std::io;
use std::path::Path;

pub use adopted::{Adopted, AdoptionReport, StreamEnd};
pub use orphan::{NotAdopted, Orphan, UnknownVersion};
pub use tail::{BodyId, Tail, TailBudget};

use crate::id::SpoolId;
use crate::storage::disk::{DESCRIPTORS_MAX, Listing, SET_ASIDE, SpoolDir, list_spools};

/// What was found below a root.
#[derive(Debug, Default)]
pub struct Found {
    /// Spools to adopt, oldest first.
    pub orphans: Vec<Orphan>,
    /// Spools of which only declared losses are left, oldest first. They are adopted like any other, and have no limit: their
    /// tombstones have one.
    pub set_aside: Vec<Orphan>,
    /// Spools of living processes.
    pub alive: Vec<SpoolId>,
    /// Spools that could not be opened, and why. They are left alone.
    pub unreadable: Vec<(SpoolId, io::Error)>,
}

impl Found {
    /// Each may hold as many descriptors as a living spool, but not all of them together.
    fn open(&mut self, id: SpoolId, dir: SpoolDir, descriptors_left: &mut usize) -> Option<Orphan> {
        match Orphan::open(id, dir, *descriptors_left) {
            Ok(Some(orphan)) => {
                *descriptors_left = descriptors_left.saturating_sub(orphan.files.len());
                return Some(orphan);
            }
            Ok(None) => self.alive.push(id),
            // Removed while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable.push((id, error)),
        }
        None
    }

    /// Takes out the oldest orphans that are more than `orphans_max`: they have to [give up](Adopted::give_up) what they
    /// hold.
    pub fn take_excess(&mut self, orphans_max: usize) -> Vec<Orphan> {
        let excess = self.orphans.len().saturating_sub(orphans_max);
        self.orphans.drain(..excess).collect()
    }
}

/// Finds the spools below `root` whose process is gone, except `own`, and takes their locks. Directories that a kill
/// left half made are removed.
pub fn find_orphans(root: &Path, own: SpoolId) -> io::Result<Found> {
    let mut found = Found::default();
    let Listing { spools, mut unpublished } = list_spools(root)?;
    let mut descriptors_left = DESCRIPTORS_MAX;
    for (id, dir) in spools.into_iter().filter(|(id, _)| *id != own) {
        let orphan = found.open(id, dir, &mut descriptors_left);
        found.orphans.extend(orphan);
    }
    // Most often there is none.
    if let Ok(set_aside) = list_spools(&root.join(SET_ASIDE)) {
        unpublished.extend(set_aside.unpublished);
        for (id, dir) in set_aside.spools {
            let orphan = found.open(id, dir, &mut descriptors_left);
            found.set_aside.extend(orphan);
        }
    }
    for dir in unpublished {
        // Its maker holds the lock from its first moment. What cannot be removed now holds nothing and can wait.
        if let Ok(Some(_lock)) = dir.try_lock() {
            let _ = dir.remove();
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
