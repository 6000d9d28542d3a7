//! What is known of each file of an adopted spool while it is drained.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::format::segment_header::SegmentHeader;
use crate::format::tombstone::{TOMBSTONE_BYTES, Tombstone};
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{Loss, LossCause};
use crate::quota::disk_bytes;
use crate::segment::active::StateFile;
use crate::segment::file::SegmentFile;
use crate::storage::memory::MemoryFile;

/// The newest segment of an adopted spool and its state: where losses are counted that happen while it is drained.
pub(super) struct LastState {
    pub header: SegmentHeader,
    pub state: StateFile,
}

/// One file.
pub(super) struct AdoptedFile {
    /// What waits to be delivered of it, by the number of its first record; whether an upload of it is under way.
    waiting: BTreeMap<Seqno, bool>,
    /// What it holds, if it is a segment that may give way.
    pub records: Option<Records>,
    pub is_tombstone: bool,
    pub disk_bytes: u64,
    /// What it holds, should somebody remove it.
    pub handle: Option<Arc<dyn SegmentFile>>,
}

/// The records of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records {
    pub first: Seqno,
    /// Number behind the last one. What was refused behind it is declared by the slot, not here.
    pub next: Seqno,
    /// Bytes of the lines that are intact.
    pub raw_bytes: u64,
    /// What of it adoption has found damaged already.
    pub damaged: Loss,
    /// Some of it may be where it should be.
    pub maybe_delivered: bool,
}

impl Records {
    /// What stands in their place when they are lost.
    pub(super) fn tombstone(&self, spool: SpoolId, segment: SegmentId, cause: LossCause, time_ms: i64) -> Tombstone {
        let Loss { records, bytes } = self.loss();
        let (first, maybe_delivered) = (self.first, self.maybe_delivered);
        Tombstone { spool, segment, first, records, bytes, time_ms, cause, maybe_delivered }
    }

    /// All of it, whether intact or damaged.
    pub(super) fn loss(&self) -> Loss {
        let bytes = self.raw_bytes.saturating_add(self.damaged.bytes);
        Loss { records: self.next.0 - self.first.0, bytes }
    }
}

impl AdoptedFile {
    /// A file without a record.
    pub(super) fn empty(disk_bytes: u64) -> Self {
        Self { waiting: BTreeMap::new(), records: None, is_tombstone: false, disk_bytes, handle: None }
    }

    pub(super) fn tombstone(tombstone: &Tombstone) -> Self {
        let mut file = Self::empty(0);
        file.set_tombstone(tombstone);
        file
    }

    /// A tombstone stands in its place.
    pub(super) fn set_tombstone(&mut self, tombstone: &Tombstone) {
        (self.records, self.is_tombstone, self.disk_bytes) = (None, true, disk_bytes(TOMBSTONE_BYTES as u64));
        self.handle = Some(Arc::new(MemoryFile::holding(tombstone.encode().to_vec())));
    }

    /// A segment with these records, if there are any.
    pub(super) fn segment(records: Records, handle: Arc<dyn SegmentFile>) -> Self {
        let records = (records.next > records.first).then_some(records);
        Self { records, ..Self::bare(handle) }
    }

    /// A segment without a record.
    pub(super) fn bare(handle: Arc<dyn SegmentFile>) -> Self {
        let length = handle.length().unwrap_or_default();
        Self { handle: Some(handle), ..Self::empty(disk_bytes(length)) }
    }

    /// Something of it is to be delivered.
    pub(super) fn wait(&mut self, first: Seqno) {
        self.waiting.insert(first, false);
    }

    pub(super) fn attempt_begun(&mut self, first: Seqno) {
        if let Some(in_flight) = self.waiting.get_mut(&first) {
            *in_flight = true;
            if let Some(records) = &mut self.records {
                records.maybe_delivered = true;
            }
        }
    }

    pub(super) fn attempt_failed(&mut self, first: Seqno) {
        if let Some(in_flight) = self.waiting.get_mut(&first) {
            *in_flight = false;
        }
    }

    pub(super) fn delivered(&mut self, first: Seqno) {
        if self.waiting.remove(&first).is_some()
            && let Some(records) = &mut self.records
        {
            records.maybe_delivered = true;
        }
    }

    /// Lets go of something that waits; `false` if it does not.
    pub(super) fn forget(&mut self, first: Seqno) -> bool {
        self.waiting.remove(&first).is_some()
    }

    pub(super) fn waits(&self, first: Seqno) -> bool {
        self.waiting.contains_key(&first)
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What waits within its own records: a gap before them is declared for itself.
    pub(super) fn waiting_records(&self) -> impl Iterator<Item = Seqno> + '_ {
        let range = self.records.map_or(Seqno(0)..Seqno(0), |records| records.first..records.next);
        self.waiting.range(range).map(|(first, _)| *first)
    }

    /// Whether it may give way: something of its records waits, and nothing of it is just being uploaded.
    pub(super) fn may_give_way(&self) -> bool {
        self.waiting_records().next().is_some() && !self.waiting.values().any(|in_flight| *in_flight)
    }

    /// What waits beside its records, which are told of by another file now.
    pub(super) fn without_records(mut self) -> Self {
        (self.disk_bytes, self.handle) = (0, None);
        if let Some(records) = self.records.take() {
            self.waiting.retain(|first, _| !(records.first..records.next).contains(first));
        }
        self
    }

    /// A tombstone stands in its place: its records wait no more, the tombstone does.
    pub(super) fn bury(&mut self, records: Records, tombstone: &Tombstone) {
        self.waiting.retain(|first, _| !(records.first..records.next).contains(first));
        self.waiting.insert(tombstone.first, false);
        self.set_tombstone(tombstone);
    }

    /// What is just being uploaded of it.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = Seqno> + '_ {
        self.waiting.iter().filter(|(_, in_flight)| **in_flight).map(|(first, _)| *first)
    }
}
