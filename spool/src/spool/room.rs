//! Who gives way when there is no room: what is delivered, then the oldest segment of the oldest spool.

use std::io;

use super::{Place, SealError, Spool};
use crate::format::tombstone::{Tombstone, may_merge};
use crate::loss::LossCause;
use crate::quota::{SpoolLimits, WhenFull};
use crate::seal::SealReason;
use crate::segment::active::AppendError;
use crate::storage::Space;

/// Room on the file system is measured anew after so many appended bytes, or so much time.
const SPACE_CHECK_BYTES: u64 = 1024 * 1024;
const SPACE_CHECK_MS: u64 = 1_000;

/// When room was last measured, and what it was.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SpaceCheck {
    space: Option<Space>,
    at_ms: Option<i64>,
    pub appended_bytes: u64,
}

impl Spool {
    /// The limits of the place: memory has its own bound, and takes no notice of what lies on disk. The configured ones are for
    /// the next roll.
    fn limits(&self) -> SpoolLimits {
        if matches!(self.place, Place::Memory(_)) {
            SpoolLimits { bytes_max: Some(u64::MAX), when_full: WhenFull::DropNewest, ..self.config.limits }
        } else {
            self.config.limits
        }
    }

    pub(super) fn may_bury(&self) -> bool {
        self.kept.tombstones() + self.elders.tombstones() < self.config.limits.tombstones_max
    }

    /// Makes room for so many bytes, by what the limits say.
    pub(super) fn make_room(&mut self, needed: u64, now_ms: i64) -> Result<(), AppendError> {
        while !self.has_room(needed, now_ms) {
            let full = io::Error::new(io::ErrorKind::QuotaExceeded, "its limits are reached");
            self.give_way_or(full, now_ms)?;
            self.space.at_ms = None;
        }
        Ok(())
    }

    pub(super) fn has_room(&mut self, needed: u64, now_ms: i64) -> bool {
        let limits = self.limits();
        let is_due = self.space.appended_bytes >= SPACE_CHECK_BYTES
            || self.space.at_ms.is_none_or(|at_ms| at_ms.abs_diff(now_ms) >= SPACE_CHECK_MS);
        if is_due {
            // A file system that cannot be measured is one that a write will tell of.
            let space = self.place.storage_ref().space().unwrap_or_default();
            self.space = SpaceCheck { space, at_ms: Some(now_ms), appended_bytes: 0 };
        }
        // What gave way became a tombstone: it has a limit of its own.
        let segments_fit =
            self.kept.len() < limits.segments_max || self.kept.len() - self.kept.tombstones() < limits.segments_max;
        segments_fit && limits.has_room(self.disk_bytes(), needed, self.space.space)
    }

    /// Room that is kept for the copy of what is pending, with which the next segment begins: else a seal would take more than
    /// there may be.
    pub(super) fn reserved_bytes(&self) -> u64 {
        let pending = self.active.pending().filter(|pending| pending.loss.is_none());
        pending.map_or(0, |pending| u64::from(pending.bytes))
    }

    /// Gives up the oldest segment that may give way. If there is none, the spool is full; a disk that refuses even that is
    /// a disk that fails.
    pub(super) fn give_way_or(&mut self, full: io::Error, now_ms: i64) -> Result<(), AppendError> {
        match self.give_way(now_ms) {
            Ok(true) => Ok(()),
            Ok(false) => Err(AppendError::Full(full)),
            Err(error) if is_full(&error) => Err(AppendError::Full(error)),
            Err(error) => Err(AppendError::Write(error)),
        }
    }

    fn give_way(&mut self, now_ms: i64) -> io::Result<bool> {
        if self.let_delivered_go() {
            return Ok(true);
        }
        if self.limits().when_full == WhenFull::DropNewest {
            return Ok(false);
        }
        if self.elders_give_way(now_ms) {
            return Ok(true);
        }
        if self.kept.evictable().is_none() {
            // Only the active segment is left: it gives way unless an older one is just being uploaded.
            let alone = self.kept.in_flight().next().is_none() && self.active.totals().records > 0;
            if !alone || !self.seal(SealReason::Limit, now_ms).map_err(|SealError(error)| error)? {
                return Ok(false);
            }
        }
        self.evict(now_ms)
    }

    fn elders_give_way(&mut self, now_ms: i64) -> bool {
        let events = if self.may_bury() { self.elders.give_way(now_ms) } else { Vec::new() };
        let gave_way = !events.is_empty();
        self.events.extend(events);
        gave_way
    }

    /// Nothing is given up for what is delivered and waits for its row: rather the manifest.
    fn let_delivered_go(&mut self) -> bool {
        if self.kept.oldest_is_delivered() {
            self.manifest.abandon();
        }
        self.remove_delivered().unwrap_or(false)
    }

    pub(super) fn evict(&mut self, now_ms: i64) -> io::Result<bool> {
        let Some((segment, facts)) = self.kept.evictable() else { return Ok(false) };
        let own = Tombstone {
            spool: self.identity.id,
            segment,
            first: facts.first,
            records: facts.records,
            bytes: facts.raw_bytes,
            time_ms: now_ms,
            cause: LossCause::Quota,
            maybe_delivered: facts.attempted,
        };
        let merged = self.kept.tombstone_before(segment).filter(|before| may_merge(before, &own));
        if merged.is_none() && !self.may_bury() {
            return Ok(false);
        }
        let tombstone = merged.map_or(own, |before| before.with(&own));
        let storage = self.place.storage();
        storage.bury(tombstone.segment, &tombstone.encode())?;
        if tombstone.segment != segment {
            self.covered.remove(segment, storage);
        }
        self.kept.discard(segment);
        // The range is told by its tombstone. Totals that cannot be written now go with the next ones, or the next segment.
        let was_last_end = facts.ended && own.first.plus(own.records) == self.active.header.first_seq;
        let _ = self.active.update_slot(|slot| {
            slot.losses.add(LossCause::Quota, own.records, own.bytes);
            // It has to be written anew.
            slot.ended &= !was_last_end;
        });
        if let Some(before) = merged {
            self.forget(before.segment, before.first);
        }
        self.forget(segment, own.first);
        self.bury_kept(tombstone);
        Ok(true)
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
