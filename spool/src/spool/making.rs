//! Making the files of a spool, and the rows that tell of them.

use std::io;
use std::sync::Arc;

use super::{Identity, SpoolConfig};
use crate::format::checksum::Salt;
use crate::format::segment_header::SegmentHeader;
use crate::format::state_slot::StateSlot;
use crate::id::{SegmentId, Seqno};
use crate::loss::Losses;
use crate::manifest::{Row, RowState, SealedRow};
use crate::segment::active::ActiveSegment;
use crate::segment::sealed::SealedSegment;
use crate::storage::Storage;
use crate::storage::disk::{DirLock, Disk, SpoolDir};

pub(super) fn make_directory(
    config: &SpoolConfig,
    identity: Identity,
    now_ms: i64,
) -> io::Result<(Disk, ActiveSegment)> {
    let dir = SpoolDir::make_unpublished(&config.root, identity.id)?;
    let made = fill_directory(config, identity, now_ms, &dir);
    // A half-made directory holds nothing; if it stays, the next adopter tries again to remove it.
    let (lock, active) = made.inspect_err(|_| drop(dir.remove()))?;
    Ok((Disk::new(dir.publish()?, lock), active))
}

fn fill_directory(
    config: &SpoolConfig,
    identity: Identity,
    now_ms: i64,
    dir: &SpoolDir,
) -> io::Result<(DirLock, ActiveSegment)> {
    let lock = dir.try_lock()?.ok_or(io::ErrorKind::WouldBlock)?;
    let file = Arc::new(dir.create_segment(SegmentId(0))?);
    let header = header(config, identity, SegmentId(0), Seqno(0), now_ms);
    Ok((lock, ActiveSegment::create(file, header, first_slot())?))
}

pub(super) fn first_segment(
    config: &SpoolConfig,
    identity: Identity,
    now_ms: i64,
    storage: &dyn Storage,
) -> io::Result<ActiveSegment> {
    let file = storage.create_segment(SegmentId(0))?;
    ActiveSegment::create(file, header(config, identity, SegmentId(0), Seqno(0), now_ms), first_slot())
}

/// Makes the segment that follows the active one, with the totals that are known so far and what is pending.
pub(super) fn next_segment(
    config: &SpoolConfig,
    identity: Identity,
    active: &ActiveSegment,
    segment: SegmentId,
    now_ms: i64,
    storage: &dyn Storage,
) -> io::Result<ActiveSegment> {
    let first = active.next_seq();
    let ended = active.totals().ended && active.slot().undeclared.is_none();
    let slot = StateSlot { next_seq: first, undeclared: None, ended, ..*active.slot() };
    let file = storage.create_segment(segment)?;
    let made = ActiveSegment::create(file, header(config, identity, segment, first, now_ms), slot);
    let made = made.and_then(|mut next| next.carry_on(active).map(|()| next));
    made.inspect_err(|_| {
        // Otherwise the next attempt would find the name taken.
        let _ = storage.remove_segment(segment);
    })
}

fn header(
    config: &SpoolConfig,
    identity: Identity,
    segment: SegmentId,
    first_seq: Seqno,
    now_ms: i64,
) -> SegmentHeader {
    SegmentHeader {
        codec: config.compression.codec,
        line_format: config.line_format,
        spool: identity.id,
        segment,
        first_seq,
        opened_ms: now_ms,
        salt: Salt::nth(identity.salt_seed, segment.0),
    }
}

fn first_slot() -> StateSlot {
    StateSlot {
        generation: 0,
        next_seq: Seqno(0),
        losses: Losses::default(),
        undeclared: None,
        ended: false,
        delivered: false,
    }
}

pub(super) fn active_row(active: &ActiveSegment) -> Row {
    Row {
        state: RowState::Active,
        first_seq: active.header.first_seq.0,
        opened_ms: active.header.opened_ms,
        sealed: None,
        label: String::new(),
        attempts: 0,
    }
}

pub(super) fn retired_row(active: &ActiveSegment, segment: Option<&SealedSegment>) -> Row {
    let sealed = segment.map(SealedSegment::facts).map(|facts| SealedRow {
        reason: facts.reason.code(),
        last_seq: facts.last.0,
        records: facts.records,
        raw_bytes: facts.raw_bytes,
        file_bytes: active.file_bytes(),
        object_bytes: facts.object_bytes,
        digest: facts.digest,
    });
    let label = segment.map(|segment| segment.label().to_owned()).unwrap_or_default();
    Row { state: RowState::Sealed, sealed, label, ..active_row(active) }
}
