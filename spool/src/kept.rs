//! Segments and tombstones that are not active any more and whose files are still there, in order.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::format::segment_header::{ENTRIES_AT, SegmentHeader};
use crate::format::tombstone::{TOMBSTONE_BYTES, Tombstone};
use crate::id::{SegmentId, Seqno};
use crate::loss::LossCause;
use crate::manifest::{Row, RowState, Ticket};
use crate::quota::disk_bytes;
use crate::segment::active::{ActiveSegment, StateFile};
use crate::segment::file::SegmentFile;
use crate::segment::sealed::{SealedSegment, SegmentKey};
use crate::storage::disk::DESCRIPTORS_MAX;
use crate::storage::memory::MemoryFile;

/// One of them.
pub(crate) struct Kept {
    what: What,
    row: Row,
    disk_bytes: u64,
    delivered: bool,
    in_flight: bool,
    /// When its row is on disk that says so.
    ticket: Option<Ticket>,
}

enum What {
    Segment(Box<Segment>),
    Tombstone(Tombstone),
}

struct Segment {
    header: SegmentHeader,
    state: StateFile,
    next: Seqno,
    records: u64,
    raw_bytes: u64,
    ended: bool,
}

impl Segment {
    fn vanished(&self, maybe_delivered: bool) -> Tombstone {
        Tombstone {
            spool: self.header.spool,
            segment: self.header.segment,
            first: self.header.first_seq,
            records: self.records,
            bytes: self.raw_bytes,
            time_ms: self.header.opened_ms,
            cause: LossCause::Vanished,
            maybe_delivered,
        }
    }
}

/// Bytes of files that are told of instead of those that are gone.
pub(crate) type StandIns = BTreeMap<SegmentId, Vec<u8>>;

/// A segment whose bytes can no longer be read.
pub(crate) struct Loss {
    pub tombstone: Tombstone,
    /// Its last record was the end of the stream.
    pub ended: bool,
}

/// What eviction needs to know of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EvictionFacts {
    pub first: Seqno,
    pub records: u64,
    pub raw_bytes: u64,
    /// An upload has begun at some time.
    pub attempted: bool,
    /// Its last record is the end of the stream.
    pub ended: bool,
}

impl Kept {
    /// A retired segment. One without a record has nothing to deliver.
    pub(crate) fn segment(retired: ActiveSegment, sealed: Option<&SealedSegment>, row: Row) -> Self {
        let (totals, header) = (*retired.totals(), retired.header);
        let disk_bytes = disk_bytes(retired.file_bytes());
        let segment = Segment {
            header,
            state: retired.into_state(),
            next: sealed.map_or(header.first_seq, |sealed| Seqno(sealed.facts().last.0 + 1)),
            records: totals.records,
            raw_bytes: totals.raw_bytes,
            ended: totals.ended,
        };
        let what = What::Segment(Box::new(segment));
        Self { what, row, disk_bytes, delivered: sealed.is_none(), in_flight: false, ticket: None }
    }

    /// A declared loss.
    pub(crate) fn tombstone(tombstone: Tombstone, row: Row) -> Self {
        let disk_bytes = disk_bytes(TOMBSTONE_BYTES as u64);
        Self { what: What::Tombstone(tombstone), row, disk_bytes, delivered: false, in_flight: false, ticket: None }
    }

    /// What is to be told of it when its file is gone: a loss, or that there is none.
    fn stand_in(&self) -> Vec<u8> {
        match &self.what {
            What::Tombstone(tombstone) => tombstone.encode().to_vec(),
            What::Segment(segment) if self.delivered => {
                segment.state.delivered_file(&segment.header, segment.next, segment.ended)
            }
            What::Segment(segment) => segment.vanished(self.row.attempts > 0).encode().to_vec(),
        }
    }

    fn is_evictable(&self) -> bool {
        matches!(self.what, What::Segment(_)) && !self.delivered && !self.in_flight
    }
}

/// All of them, in order.
#[derive(Default)]
pub(crate) struct KeptSegments {
    by_segment: BTreeMap<SegmentId, Kept>,
    disk_bytes: u64,
}

impl KeptSegments {
    pub(crate) fn insert(&mut self, segment: SegmentId, kept: Kept) {
        self.disk_bytes += kept.disk_bytes;
        self.by_segment.insert(segment, kept);
        // The newest keep their descriptors, in case somebody clears the directory.
        if let Some(What::Segment(older)) = self.by_segment.values().nth_back(DESCRIPTORS_MAX).map(|kept| &kept.what) {
            older.state.file().release();
        }
    }

    pub(crate) fn take(&mut self, segment: SegmentId) {
        if let Some(kept) = self.by_segment.remove(&segment) {
            self.disk_bytes -= kept.disk_bytes;
        }
    }

    /// Whether the newest, which have their descriptors, have their names too.
    pub(crate) fn have_names(&self) -> bool {
        self.by_segment.values().rev().take(DESCRIPTORS_MAX).all(|kept| match &kept.what {
            What::Segment(segment) => {
                segment.state.file().inode().is_ok_and(|inode| inode.is_none_or(|inode| inode.links > 0))
            }
            What::Tombstone(_) => true,
        })
    }

    /// Frees the blocks of a segment whose name is gone: an uploader that waits for its turn holds it too.
    pub(crate) fn discard(&self, segment: SegmentId) {
        if let Some(What::Segment(segment)) = self.by_segment.get(&segment).map(|kept| &kept.what) {
            segment.state.file().discard();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_segment.len()
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    pub(crate) fn undelivered(&self) -> usize {
        self.by_segment.values().filter(|kept| !kept.delivered).count()
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.by_segment.values().filter(|kept| matches!(kept.what, What::Tombstone(_))).count()
    }

    /// What is just being uploaded, with the number of its first record.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (SegmentId, Seqno)> + '_ {
        let in_flight = self.by_segment.iter().filter(|(_, kept)| kept.in_flight);
        in_flight.map(|(segment, kept)| {
            let first = match &kept.what {
                What::Segment(segment) => segment.header.first_seq,
                What::Tombstone(tombstone) => tombstone.first,
            };
            (*segment, first)
        })
    }

    /// Notes that an upload has begun; returns the row to write.
    pub(crate) fn attempt_begun(&mut self, segment: SegmentId) -> Option<Row> {
        let kept = self.by_segment.get_mut(&segment)?;
        kept.in_flight = true;
        kept.row.attempts = kept.row.attempts.saturating_add(1);
        Some(kept.row.clone())
    }

    pub(crate) fn attempt_ended(&mut self, segment: SegmentId) {
        if let Some(kept) = self.by_segment.get_mut(&segment) {
            kept.in_flight = false;
        }
    }

    /// Notes that something is delivered; returns the row to write, and whether what waits for older ones could be marked
    /// and emptied.
    pub(crate) fn delivered(&mut self, segment: SegmentId) -> Option<(Row, io::Result<()>)> {
        let older_waits = self.by_segment.range(..segment).any(|(_, kept)| !kept.delivered);
        let kept = self.by_segment.get_mut(&segment)?;
        (kept.delivered, kept.in_flight) = (true, false);
        kept.row.state = RowState::Uploaded;
        let marked = match &mut kept.what {
            What::Segment(segment) if older_waits => {
                let marked = segment.state.mark_delivered(segment.next, segment.ended);
                if marked.is_ok() {
                    self.disk_bytes -= kept.disk_bytes;
                    kept.disk_bytes = disk_bytes(ENTRIES_AT);
                    self.disk_bytes += kept.disk_bytes;
                }
                marked
            }
            _ => Ok(()),
        };
        Some((kept.row.clone(), marked))
    }

    /// Notes when the row is on disk that says that a segment is delivered.
    pub(crate) fn row_is_sent(&mut self, segment: SegmentId, ticket: Ticket) {
        if let Some(kept) = self.by_segment.get_mut(&segment) {
            kept.ticket = Some(ticket);
        }
    }

    /// Whether the oldest is delivered, and waits for its row.
    pub(crate) fn oldest_is_delivered(&self) -> bool {
        self.by_segment.first_key_value().is_some_and(|(_, oldest)| oldest.delivered)
    }

    /// The oldest of all, if it is delivered and its row says so: its file may vanish.
    pub(crate) fn removable(&self, has_row: impl FnOnce(Ticket) -> bool) -> Option<(SegmentId, Row)> {
        let (segment, kept) = self.by_segment.first_key_value()?;
        let may_go = kept.delivered && kept.ticket.is_none_or(has_row);
        may_go.then(|| (*segment, kept.row.clone()))
    }

    /// The oldest segment that may give way: not delivered, not just being uploaded.
    pub(crate) fn evictable(&self) -> Option<(SegmentId, EvictionFacts)> {
        self.by_segment.iter().find(|(_, kept)| kept.is_evictable()).and_then(|(id, kept)| match &kept.what {
            What::Tombstone(_) => None,
            What::Segment(segment) => {
                let facts = EvictionFacts {
                    first: segment.header.first_seq,
                    records: segment.records,
                    raw_bytes: segment.raw_bytes,
                    attempted: kept.row.attempts > 0,
                    ended: segment.ended,
                };
                Some((*id, facts))
            }
        })
    }

    /// The tombstone right before a segment, unless an upload of it has begun.
    pub(crate) fn tombstone_before(&self, segment: SegmentId) -> Option<Tombstone> {
        let (_, kept) = self.by_segment.range(..segment).next_back()?;
        match kept.what {
            What::Tombstone(tombstone) if kept.row.attempts == 0 && !kept.delivered => Some(tombstone),
            _ => None,
        }
    }

    /// What stands in for one of them if its file turns out to be gone.
    pub(crate) fn stand_in(&self, segment: SegmentId) -> Option<Vec<u8>> {
        self.by_segment.get(&segment).map(Kept::stand_in)
    }

    /// What stands in for each of them if its file turns out to be gone.
    pub(crate) fn stand_ins(&self) -> StandIns {
        self.by_segment.iter().map(|(id, kept)| (*id, kept.stand_in())).collect()
    }

    /// The files of all of them, for an adopter. A tombstone has no descriptor, but its bytes are at hand.
    pub(crate) fn into_files(self) -> Vec<(SegmentId, Arc<dyn SegmentFile>)> {
        let file = |kept: Kept| match kept.what {
            What::Segment(segment) => Arc::clone(segment.state.file()),
            What::Tombstone(tombstone) => Arc::new(MemoryFile::holding(tombstone.encode().to_vec())),
        };
        self.by_segment.into_iter().map(|(id, kept)| (id, file(kept))).collect()
    }

    /// The loss of a segment that is not delivered and whose bytes can no longer be read.
    pub(crate) fn lost(&self, key: &SegmentKey) -> Option<Loss> {
        let kept = self.by_segment.get(&key.segment).filter(|kept| !kept.delivered)?;
        let What::Segment(segment) = &kept.what else { return None };
        // The last attempt found that it cannot be read, and has delivered nothing.
        let loss = Loss { tombstone: segment.vanished(kept.row.attempts > 1), ended: segment.ended };
        (segment.header.first_seq == key.first).then_some(loss)
    }
}
