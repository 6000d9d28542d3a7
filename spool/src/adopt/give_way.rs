//! Adopted spools give way before the living one does: what they hold is older.
//!
//! A segment that gives way leaves a tombstone in its place, and its loss is counted in the newest state slot of the spool,
//! so that whoever adopts it next declares and counts the same. The newest segment gives way too, behind a successor that
//! carries its state on. A spool of which only tombstones are left is set aside: it is no orphan to be limited any more.

use std::io;
use std::sync::Arc;

use super::adopted::Adopted;
use super::drain::{AdoptedFile, LastState, Records};
use crate::format::segment_header::SegmentHeader;
use crate::format::state_slot::{StateSlot, UndeclaredRange};
use crate::format::tombstone::{Tombstone, may_merge};
use crate::id::{SegmentId, Seqno};
use crate::loss::LossCause;
use crate::segment::active::ActiveSegment;
use crate::segment::fragment::StoredFragment;
use crate::segment::sealed::{DroppedRange, SegmentKey};
use crate::spool::SpoolEvent;
use crate::storage::Storage;
use crate::storage::disk::Disk;

impl Adopted {
    /// Gives up everything that waits of a spool that is one too many. What cannot be given up is delivered like any other.
    pub fn give_up(&mut self, now_ms: i64) -> io::Result<()> {
        while !self.give_way(now_ms)?.is_empty() {}
        Ok(())
    }

    /// Gives up the oldest segment that may give way. Tells what became of what waited; nothing if there is no such segment.
    pub(crate) fn give_way(&mut self, now_ms: i64) -> io::Result<Vec<SpoolEvent>> {
        // What lies in memory takes no disk; without a state there is nowhere to count; and what only the manifest knows would
        // be known by nobody.
        let may_give_way = self.place.is_some() && !self.needs_manifest;
        let Some(last) = self.last_state.as_ref().filter(|_| may_give_way) else { return Ok(Vec::new()) };
        let oldest = self.files.iter().find(|(_, file)| file.may_give_way());
        let Some((segment, records)) = oldest.and_then(|(segment, file)| Some((*segment, file.records?))) else {
            let events = self.give_way_fragment(now_ms)?;
            self.set_aside_what_gave_way(&events);
            return Ok(events);
        };
        let newest = last.header.segment;
        let (is_newest, holds_fragment) = (newest == segment, self.fragment_file() == Some(segment));
        let needs_successor = is_newest || holds_fragment;
        if needs_successor && !self.may_add_behind(newest) {
            return Ok(Vec::new());
        }
        let refused = last.state.slot().undeclared.filter(|range| is_newest && range.first >= records.next);
        self.remove_manifest()?;
        let mut events = Vec::new();
        if needs_successor {
            let first =
                self.fragment.as_ref().filter(|_| !is_newest).map_or(records.next, |fragment| fragment.key.first);
            events.extend(self.begin_successor(first, refused, now_ms)?.1);
        }
        match self.bury(segment, records, now_ms) {
            Ok(told) => events.extend(told),
            // What has happened has to be told all the same.
            Err(error) => return if events.is_empty() { Err(error) } else { Ok(events) },
        }
        self.count(records);
        self.set_aside_what_gave_way(&events);
        Ok(events)
    }

    /// Of a spool of which nothing but declared losses is left, nothing can give way any more.
    fn set_aside_what_gave_way(&mut self, events: &[SpoolEvent]) {
        let is_left = self.files.values().any(|file| file.waiting_records().next().is_some());
        if !events.is_empty() && !is_left && !self.ships_a_fragment() {
            // If it stays where it is, it counts as an orphan.
            let _ = self.place.as_mut().map(Disk::set_aside);
        }
    }

    /// Whether a segment may be added behind the newest one: it would hide what other files behind that tell, or held.
    pub(super) fn may_add_behind(&self, newest: SegmentId) -> bool {
        let is_unreadable = self.report.unreadable.iter().any(|(unreadable, _)| *unreadable > newest);
        !is_unreadable && !self.files.range(newest.next()..).any(|(_, file)| file.is_tombstone)
    }

    /// Puts a tombstone in the place of a segment, or lets the one before it cover both.
    fn bury(&mut self, segment: SegmentId, records: Records, now_ms: i64) -> io::Result<Vec<SpoolEvent>> {
        let Some(disk) = &mut self.place else { return Ok(Vec::new()) };
        let own = records.tombstone(self.id, segment, LossCause::Quota, now_ms);
        let before = self.files.range(..segment).next_back().and_then(|(before, _)| self.untold.get(before));
        let merged = before.copied().filter(|before| may_merge(before, &own));
        let tombstone = merged.map_or(own, |before| before.with(&own));
        disk.bury(tombstone.segment, &tombstone.encode())?;
        let gone = self.files.get(&segment).into_iter().flat_map(AdoptedFile::waiting_records);
        let gone = gone.map(|first| SegmentKey { spool: self.id, segment, first });
        let told_before = merged.map(|before| DroppedRange::from(before).key());
        let mut events: Vec<_> = gone.chain(told_before).map(SpoolEvent::Gone).collect();
        events.push(SpoolEvent::Dropped(tombstone.into()));
        if merged.is_some() {
            self.covered.remove(segment, disk);
        }
        self.replace(segment, records, tombstone);
        Ok(events)
    }

    fn replace(&mut self, segment: SegmentId, records: Records, tombstone: Tombstone) {
        let buried = |key: SegmentKey| key.segment == segment && (records.first..records.next).contains(&key.first);
        self.segments.retain(|sealed| {
            let is_buried = buried(sealed.key());
            if is_buried {
                sealed.discard();
            }
            !is_buried
        });
        self.dropped.retain(|range| !buried(range.key()) && range.key() != DroppedRange::from(tombstone).key());
        self.dropped.push(tombstone.into());
        self.untold.insert(tombstone.segment, tombstone);
        if tombstone.segment == segment {
            if let Some(file) = self.files.get_mut(&segment) {
                file.bury(records, &tombstone);
            }
            return;
        }
        if let Some(before) = self.files.get_mut(&tombstone.segment) {
            before.set_tombstone(&tombstone);
        }
        if let Some(left) = self.files.remove(&segment) {
            // A gap before it, or what was refused behind it, is still to be told.
            let kept = left.without_records();
            self.files.extend((!kept.is_delivered()).then_some((segment, kept)));
            if self.evidence_from == Some(segment) {
                self.evidence_from = Some(tombstone.segment);
            }
        }
    }

    /// Counts what was given up: in the end of the stream, and on disk for whoever adopts next.
    fn count(&mut self, records: Records) {
        let (lost, damaged) = (records.loss(), records.damaged);
        self.lost_since.add(LossCause::Quota, lost.records, lost.bytes);
        if let Some(end) = &mut self.end {
            end.losses.add(LossCause::Quota, lost.records, lost.bytes);
            // The end itself may be among them.
            self.has_ended &= records.next != end.seq;
        }
        if let Some(last) = &mut self.last_state {
            // The range is told by its tombstone whether or not it is counted.
            let _ = last.state.update(|slot| {
                slot.losses.add(LossCause::Quota, lost.records, lost.bytes);
                slot.losses.add(LossCause::Damage, damaged.records, damaged.bytes);
            });
        }
    }

    /// Makes the segment behind the newest one, so that state, codec and last number are known when that one is gone, and that
    /// what was pending is lost. Tells what became of what waited; and what was the newest before.
    pub(super) fn begin_successor(
        &mut self,
        first_seq: Seqno,
        refused: Option<UndeclaredRange>,
        now_ms: i64,
    ) -> io::Result<(Option<LastState>, Vec<SpoolEvent>)> {
        let (Some(disk), Some(last)) = (&mut self.place, &self.last_state) else { return Ok((None, Vec::new())) };
        let newest = last.header.segment;
        let segment = self.last_name.unwrap_or(newest).next();
        let salt = last.header.salt.successor();
        let header = SegmentHeader { segment, first_seq, opened_ms: now_ms, salt, ..last.header };
        let next_seq = refused.map_or(first_seq, |range| range.first.plus(range.records));
        let slot = StateSlot { next_seq, undeclared: refused, ended: false, delivered: false, ..*last.state.slot() };
        let file = disk.create_segment(segment)?;
        let made = ActiveSegment::create(file, header, slot).and_then(|mut made| {
            let lost = self.fragment.as_ref().map(|fragment| &fragment.stored);
            let note = |stored: &StoredFragment| made.note_lost(stored, stored.loss.unwrap_or(LossCause::Quota));
            lost.map_or(Ok(()), note).map(|()| made)
        });
        let made = made.inspect_err(|_| {
            // Otherwise the next attempt would find the name taken.
            let _ = disk.remove_segment(segment);
        })?;
        let state = made.into_state();
        self.files.insert(segment, AdoptedFile::bare(Arc::clone(state.file())));
        let before = self.last_state.replace(LastState { header, state });
        self.last_file = Some(segment);
        self.last_name = Some(segment);
        let refused = refused.map(|range| SegmentKey { spool: self.id, segment: newest, first: range.first });
        let mut events = refused.and_then(|key| self.move_declared(key, segment)).unwrap_or_default();
        events.extend(self.fragment_gave_way(segment));
        Ok((before, events))
    }

    /// A range that waits goes with the file that declares it.
    pub(super) fn move_declared(&mut self, key: SegmentKey, to: SegmentId) -> Option<Vec<SpoolEvent>> {
        if !self.files.get_mut(&key.segment)?.forget(key.first) {
            return None;
        }
        self.files.get_mut(&to)?.wait(key.first);
        let range = self.dropped.iter_mut().find(|range| range.key() == key)?;
        range.segment = to;
        Some(vec![SpoolEvent::Gone(key), SpoolEvent::Dropped(*range)])
    }
}
