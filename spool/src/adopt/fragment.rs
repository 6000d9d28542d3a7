//! What was pending when a process died: it takes the number behind all others, for the line that ships it in the object of
//! the end, or for its loss.
//!
//! * **The file that holds it is the last to go**, with all that lie behind it: whoever adopts next must give it the same
//!   number.
//! * It gives way when nothing else of its spool can: a segment is added that says so, as whoever adopts next will see. Whether
//!   it was delivered before is not known then.

use std::io;

use super::adopted::{Adopted, StreamEnd};
use super::timeline::{Content, Piece};
use crate::format::segment_header::ENTRIES_AT;
use crate::id::{SegmentId, Seqno};
use crate::loss::LossCause;
use crate::quota::disk_bytes;
use crate::segment::fragment::{Found, PendingFragment, StoredFragment};
use crate::segment::sealed::{DroppedRange, SegmentKey};
use crate::spool::SpoolEvent;

/// A fragment that was pending.
pub(super) struct AdoptedFragment {
    /// The file that it lies in, and its number.
    pub key: SegmentKey,
    pub stored: StoredFragment,
    /// The end that ships it is just being uploaded.
    in_flight: bool,
}

/// What is pending behind all files. A tombstone stands where a segment was that had a complete one behind it, to which what was
/// pending had been copied on; only that of a refused range is made before the segment behind it.
pub(super) fn pending(pieces: &[Piece]) -> Option<Found> {
    pieces.iter().fold(None, |before, piece| match &piece.content {
        Content::Segment(_, scan) => scan.fragments.follow(piece.segment, before),
        Content::Tombstone(tombstone) => before.filter(|_| tombstone.cause == LossCause::Refused),
        Content::Lost(_) => before,
    })
}

impl AdoptedFragment {
    /// With the number that it takes; `None` if there is none left, so that it cannot have been written.
    pub(super) fn new(found: Option<Found>, spool: crate::SpoolId, number: Seqno) -> Option<Self> {
        let (segment, stored) = found.filter(|_| number < Seqno(u64::MAX))?;
        Some(Self { key: SegmentKey { spool, segment, first: number }, stored, in_flight: false })
    }

    /// What the end ships.
    pub(super) fn shipped(&self, volatile: bool) -> Option<PendingFragment> {
        let is_there = self.stored.loss.is_none();
        is_there.then(|| PendingFragment { key: self.key, stored: self.stored.clone(), volatile })
    }

    /// The declaration of its loss.
    pub(super) fn lost(&self) -> Option<DroppedRange> {
        self.stored.loss.map(|cause| DroppedRange {
            spool: self.key.spool,
            segment: self.key.segment,
            first: self.key.first,
            last: self.key.first,
            raw_bytes: u64::from(self.stored.bytes),
            cause,
            maybe_delivered: cause == LossCause::Quota,
        })
    }
}

impl Adopted {
    /// The fragment that the end ships, unless it is delivered.
    fn shipped_fragment(&mut self, key: &SegmentKey) -> Option<&mut AdoptedFragment> {
        let is_due = !self.has_ended;
        self.fragment.as_mut().filter(|fragment| is_due && fragment.stored.loss.is_none() && fragment.key == *key)
    }

    /// Notes that an upload of the end that ships a fragment has begun or ended; `false` if this is no such key.
    pub(super) fn set_fragment_in_flight(&mut self, key: &SegmentKey, in_flight: bool) -> bool {
        let fragment = self.shipped_fragment(key);
        fragment.map(|fragment| fragment.in_flight = in_flight).is_some()
    }

    /// Notes that the end that ships a fragment is delivered; `false` if this is no such key.
    pub(super) fn fragment_delivered(&mut self, key: &SegmentKey) -> bool {
        let is_delivered = self.set_fragment_in_flight(key, false);
        self.has_ended |= is_delivered;
        is_delivered
    }

    pub(super) fn fragment_in_flight(&self) -> Option<SegmentKey> {
        self.fragment.as_ref().filter(|fragment| fragment.in_flight).map(|fragment| fragment.key)
    }

    pub(super) fn ships_a_fragment(&self) -> bool {
        self.fragment.as_ref().is_some_and(|fragment| fragment.stored.loss.is_none())
    }

    /// Whether its loss waits to be told.
    pub(super) fn waits_as_lost(&self) -> bool {
        self.fragment.as_ref().is_some_and(|fragment| fragment.stored.loss.is_some() && self.waits(&fragment.key))
    }

    /// The file from which on nothing may go before the end is delivered.
    pub(super) fn fragment_file(&self) -> Option<SegmentId> {
        self.fragment.as_ref().map(|fragment| fragment.key.segment)
    }

    /// Declares that a fragment can no longer be read. The end, if it was told of, goes out anew behind the declaration.
    pub(super) fn declare_fragment_lost(&mut self, key: &SegmentKey, cause: LossCause) -> Option<DroppedRange> {
        let fragment = self.shipped_fragment(key)?;
        (fragment.stored.loss, fragment.in_flight) = (Some(cause), false);
        let range = DroppedRange { maybe_delivered: true, ..fragment.lost()? };
        self.tell_fragment_lost(range);
        Some(range)
    }

    fn tell_fragment_lost(&mut self, range: DroppedRange) {
        if let Some(StreamEnd { fragment, losses, .. }) = &mut self.end {
            *fragment = None;
            losses.add(range.cause, 1, range.raw_bytes);
        }
        self.lost_since.add(range.cause, 1, range.raw_bytes);
        self.end_is_told = false;
        self.dropped.push(range);
        if let Some(file) = self.files.get_mut(&range.segment) {
            file.wait(range.first);
        }
    }

    /// What was pending is lost in a segment that was just added: what it lay in gives way.
    pub(super) fn fragment_gave_way(&mut self, to: SegmentId) -> Vec<SpoolEvent> {
        let Some(fragment) = &mut self.fragment else { return Vec::new() };
        let before = fragment.key;
        fragment.key.segment = to;
        if fragment.stored.loss.is_some() {
            return self.move_declared(before, to).unwrap_or_default();
        }
        fragment.stored.loss = Some(LossCause::Quota);
        let Some(range) = fragment.lost() else { return Vec::new() };
        let gone = self.end_is_told.then_some(SpoolEvent::Gone(before));
        self.tell_fragment_lost(range);
        gone.into_iter().chain([SpoolEvent::Dropped(range)]).collect()
    }

    /// What is pending gives way by itself, when nothing else of its spool waits in its file.
    pub(super) fn give_way_fragment(&mut self, now_ms: i64) -> io::Result<Vec<SpoolEvent>> {
        let Some(file) = self.fragment.as_ref().filter(|fragment| !self.has_ended && fragment.may_give_way()) else {
            return Ok(Vec::new());
        };
        let SegmentKey { segment, first: number, .. } = file.key;
        let is_newest = self.last_state.as_ref().is_some_and(|last| last.header.segment == segment);
        let is_alone = self.files.get(&segment).is_some_and(|file| file.is_delivered())
            && self.evidence_from.is_none_or(|from| from > segment);
        if !is_newest || !is_alone || !self.may_add_behind(segment) {
            return Ok(Vec::new());
        }
        self.remove_manifest()?;
        let (before, events) = self.begin_successor(number, None, now_ms)?;
        // Until its entries are cut off they take room, no more.
        let emptied = before.map(|mut before| before.state.mark_delivered(number, false).is_ok()).unwrap_or_default();
        if let Some(file) = self.files.get_mut(&segment).filter(|_| emptied) {
            file.disk_bytes = disk_bytes(ENTRIES_AT);
        }
        let _ = self.remove_delivered();
        Ok(events)
    }

    /// Removes what lies behind the file of a fragment: without it, they would tell of an end before it.
    pub(super) fn remove_behind_fragment(&mut self) -> io::Result<()> {
        let Some(from) = self.fragment_file() else { return Ok(()) };
        self.remove_manifest()?;
        let Some(disk) = &self.place else { return Ok(()) };
        self.files.range(from.next()..).rev().try_for_each(|(segment, _)| disk.dir().remove_segment(*segment))
    }
}

impl AdoptedFragment {
    fn may_give_way(&self) -> bool {
        self.stored.loss.is_none() && !self.in_flight
    }
}
