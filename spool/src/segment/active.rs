//! The segment that is being appended to. Nothing else ever writes a segment file.

mod fragments;

use std::io;
use std::sync::Arc;

use super::file::SegmentFile;
use super::fragment::StoredFragment;
use super::sealed::{Extent, Mark, SegmentFacts};
use crate::codec::{CodecError, Encoder, FrameEnd};
use crate::format::checksum::{ObjectDigest, Salt};
use crate::format::entry::{ENTRY_HEADER_BYTES, EntryFlags, EntryHeader, EntryKind, PAYLOAD_BYTES_MAX};
use crate::format::meta::{InForce, Meta};
use crate::format::segment_header::{ENTRIES_AT, SegmentHeader};
use crate::format::state_slot::{StateSlot, UndeclaredRange};
use crate::id::{FragmentId, Seqno};
use crate::loss::LossCause;
use crate::seal::SealReason;

/// How far the time of a batch's first line may be from the clock before the clock is taken instead: a line with a wrong
/// clock must not choose the partition.
const LINE_TIME_TOLERANCE_MS: i64 = 24 * 60 * 60 * 1000;

/// The time that stands in an entry: that of its first line, unless it has none or is more than 24 h from the clock.
fn entry_time(line_ms: Option<i64>, now_ms: i64) -> i64 {
    let is_near = |line_ms: &i64| line_ms.abs_diff(now_ms) <= LINE_TIME_TOLERANCE_MS.unsigned_abs();
    line_ms.filter(is_near).unwrap_or(now_ms)
}

/// One batch: the lines of one body.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The lines as they shall stand in the object, each ended by a line feed. Empty if the body left none.
    pub lines: &'a [u8],
    /// How many records the lines hold.
    pub records: u32,
    /// Time of the first line, Unix time in milliseconds, if it has one that can be read.
    pub first_line_ms: Option<i64>,
    /// Length of the body in bytes.
    pub body_bytes: u32,
    /// Hash of the body as received.
    pub body_hash: u64,
    /// What else the entry carries.
    pub meta: &'a Meta,
    /// Whether the last line is the end of the stream.
    pub end: bool,
}

impl Batch<'_> {
    /// The time that stands in the entry: that of the first line, unless it has none or is more than 24 h from the clock.
    pub fn time_ms(&self, now_ms: i64) -> i64 {
        entry_time(self.first_line_ms, now_ms)
    }
}

/// An append that did not happen. Nothing of the batch is in the spool; numbers were not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// It is larger than an entry can be, or a fragment may be. Appending it again cannot work.
    #[error("{0} bytes are more than an entry can hold")]
    TooLarge(usize),
    /// Another fragment is pending, and this one does not say that it takes its place. Lines have to complete that one
    /// first; or else the spool be rolled, which hands it to an adopter.
    #[error("fragment {0} is pending, and would be lost")]
    FragmentPending(FragmentId),
    /// The write failed; the file was cut back to its last good end, and the next append begins a new frame.
    #[error("could not write to the spool: {0}")]
    Write(#[source] io::Error),
    /// The write failed, and so did cutting the file back: nothing may be appended behind it. The spool has to be rolled.
    #[error("could not write to the spool, nor cut back what was half written: {0}")]
    Stuck(#[source] io::Error),
    /// There is no room, and nothing that may give way. The numbers can be taken and the batch be refused.
    #[error("the spool is full: {0}")]
    Full(#[source] io::Error),
    /// Compression failed; the next append begins a new frame.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The state of the file that is appended to.
pub(crate) struct ActiveSegment {
    pub(crate) header: SegmentHeader,
    state: StateFile,
    /// Offset behind the last good entry.
    end: u64,
    /// Set when bytes behind `end` could not be cut off.
    stuck: bool,
    next_seq: Seqno,
    totals: Totals,
    digest: ObjectDigest,
    /// What completes the frame that is open at `end`.
    open_frame: Option<FrameEnd>,
    frame_ends: Vec<(u64, FrameEnd)>,
    in_force: InForce,
    /// The fragment that is pending.
    pending: Option<StoredFragment>,
}

/// A segment file and its state slots.
pub(crate) struct StateFile {
    file: Arc<dyn SegmentFile>,
    salt: Salt,
    /// As it should be on disk, but for its generation, which is that on disk.
    slot: StateSlot,
    /// A write has failed: the file knows less.
    is_behind: bool,
}

impl StateFile {
    /// The state of a file that somebody else wrote.
    pub(crate) fn of(file: Arc<dyn SegmentFile>, salt: Salt, slot: StateSlot) -> Self {
        Self { file, salt, slot, is_behind: false }
    }

    pub(crate) fn slot(&self) -> &StateSlot {
        &self.slot
    }

    pub(crate) fn file(&self) -> &Arc<dyn SegmentFile> {
        &self.file
    }

    /// Changes the slot and writes it in place. After an error the one before it is in force on disk, and the change goes
    /// there with the next one: over the same place, since what was half written stands there.
    pub(crate) fn update(&mut self, change: impl FnOnce(&mut StateSlot)) -> io::Result<()> {
        change(&mut self.slot);
        let slot = StateSlot { generation: self.slot.generation + 1, ..self.slot };
        self.is_behind = true;
        self.file.write_all_at(&slot.encode(self.salt), StateSlot::offset(slot.generation))?;
        (self.slot, self.is_behind) = (slot, false);
        Ok(())
    }

    /// Notes that the segment up to `next_seq` is delivered, then lets go of its entries. A kill in between leaves the
    /// entries, which nobody reads any more.
    pub(crate) fn mark_delivered(&mut self, next_seq: Seqno, ended: bool) -> io::Result<()> {
        self.update(|slot| deliver(slot, next_seq, ended))?;
        self.file.truncate(ENTRIES_AT)
    }

    /// What [`mark_delivered`](Self::mark_delivered) leaves of the file, for one that is gone.
    pub(crate) fn delivered_file(&self, header: &SegmentHeader, next_seq: Seqno, ended: bool) -> Vec<u8> {
        let mut slot = self.slot;
        deliver(&mut slot, next_seq, ended);
        first_bytes(header, &slot)
    }
}

fn deliver(slot: &mut StateSlot, next_seq: Seqno, ended: bool) {
    slot.next_seq = next_seq;
    slot.ended |= ended;
    slot.delivered = true;
}

/// The bytes before the entries: the header, and the slot where its generation says.
fn first_bytes(header: &SegmentHeader, slot: &StateSlot) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(ENTRIES_AT).expect("512")];
    let head = header.encode();
    bytes[..head.len()].copy_from_slice(&head);
    let slot_at = usize::try_from(StateSlot::offset(slot.generation)).expect("within the header");
    let slot = slot.encode(header.salt);
    bytes[slot_at..slot_at + slot.len()].copy_from_slice(&slot);
    bytes
}

/// Sums over the entries of the active segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub entries: u64,
    pub records: u64,
    pub raw_bytes: u64,
    /// When the first entry was appended, by the caller's clock.
    pub first_append_ms: Option<i64>,
    /// Time of the first entry with a record.
    pub partition_ms: Option<i64>,
    pub ended: bool,
    pub platform_drops: (u64, u64),
}

impl ActiveSegment {
    /// Writes the header and the first state slot of a new file.
    pub(crate) fn create(file: Arc<dyn SegmentFile>, header: SegmentHeader, slot: StateSlot) -> io::Result<Self> {
        let slot = StateSlot { generation: 1, ..slot };
        file.write_all_at(&first_bytes(&header, &slot), 0)?;
        Ok(Self {
            next_seq: header.first_seq,
            header,
            state: StateFile { file, salt: header.salt, slot, is_behind: false },
            end: ENTRIES_AT,
            stuck: false,
            totals: Totals::default(),
            digest: ObjectDigest::new(),
            open_frame: None,
            frame_ends: Vec::new(),
            in_force: InForce::default(),
            pending: None,
        })
    }

    pub(crate) fn next_seq(&self) -> Seqno {
        self.next_seq
    }

    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(crate) fn slot(&self) -> &StateSlot {
        &self.state.slot
    }

    /// The file, for whoever keeps it when the segment is sealed.
    pub(crate) fn into_state(self) -> StateFile {
        self.state
    }

    /// Length of the file, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.end
    }

    /// Length that the object has so far, without the end of its open frame.
    pub(crate) fn object_bytes(&self) -> u64 {
        self.digest.bytes()
    }

    /// Takes numbers for records that are refused, into the one range that waits for its declaration. Nothing may be
    /// appended to this segment any more. After an error nothing was taken.
    pub(crate) fn refuse(&mut self, records: u64, bytes: u64, now_ms: i64) -> io::Result<()> {
        let (first, slot) = (self.next_seq, self.state.slot);
        self.next_seq = first.plus(records);
        let written = self.update_slot(|slot| {
            slot.losses.add(LossCause::Refused, records, bytes);
            let range = slot.undeclared.get_or_insert(UndeclaredRange {
                first,
                records: 0,
                bytes: 0,
                time_ms: now_ms,
                cause: LossCause::Refused,
            });
            range.records += records;
            range.bytes += bytes;
        });
        if written.is_err() {
            (self.next_seq, self.state.slot) = (first, slot);
        }
        written
    }

    /// Tries once more to write what an earlier write of the slot could not.
    pub(crate) fn catch_up(&mut self) -> io::Result<()> {
        if self.state.is_behind { self.update_slot(|_| ()) } else { Ok(()) }
    }

    /// Number behind the last record that is in the segment, and not refused.
    fn next_kept(&self) -> Seqno {
        self.state.slot.undeclared.map_or(self.next_seq, |range| range.first)
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<dyn SegmentFile> {
        &self.state.file
    }

    /// Writes a state slot in place.
    pub(crate) fn update_slot(&mut self, change: impl FnOnce(&mut StateSlot)) -> io::Result<()> {
        let next_seq = self.next_seq;
        self.state.update(|slot| {
            change(slot);
            slot.next_seq = next_seq;
        })
    }

    pub(crate) fn count_platform_drops(&mut self, records: u64, bytes: u64) {
        let drops = &mut self.totals.platform_drops;
        *drops = (drops.0.saturating_add(records), drops.1.saturating_add(bytes));
    }

    /// Appends a batch with one write. `scratch` is reused from append to append.
    pub(crate) fn append(
        &mut self,
        encoder: &mut Encoder,
        scratch: &mut Vec<u8>,
        batch: &Batch<'_>,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let Ok(raw_bytes) = u32::try_from(batch.lines.len()) else {
            return Err(AppendError::TooLarge(batch.lines.len()));
        };
        let (meta_bytes, encoded) = encode_body(encoder, scratch, batch, &self.in_force)?;
        let flags = EntryFlags {
            starts_frame: encoded.starts_frame,
            ends_frame: encoded.ends_frame,
            end: batch.end,
            resolves: batch.meta.resolves.is_some(),
        };
        let header = EntryHeader {
            kind: EntryKind::Data,
            flags,
            meta_bytes,
            payload_bytes: 0,
            raw_bytes,
            body_bytes: batch.body_bytes,
            count: batch.records,
            first_seq: self.next_seq,
            time_ms: batch.time_ms(now_ms),
            body_hash: batch.body_hash,
            payload_crc: 0,
        };
        let at = self.end;
        // What was not written is part of the context's history.
        let header = self.write_entry(header, scratch).inspect_err(|_| encoder.abandon_frame())?;
        self.account(at, &header, &scratch[header.payload_offset()..], encoder, now_ms);
        self.in_force.note(batch.meta);
        self.pending.take_if(|pending| batch.meta.resolves == Some(pending.id));
        Ok(())
    }

    /// Notes why the segment ends. If that fails nothing is lost: an adopter will call the reason `adoption`.
    pub(crate) fn close(&mut self, reason: SealReason, scratch: &mut Vec<u8>, now_ms: i64) {
        let drops = self.totals.platform_drops;
        let meta =
            Meta { seal_reason: Some(reason), platform_drops: (drops != (0, 0)).then_some(drops), ..Meta::default() };
        scratch.clear();
        scratch.resize(ENTRY_HEADER_BYTES, 0);
        meta.encode(scratch);
        let header = EntryHeader {
            kind: EntryKind::Close,
            flags: EntryFlags::default(),
            meta_bytes: u16::try_from(scratch.len() - ENTRY_HEADER_BYTES).expect("bounded by META_BYTES_MAX"),
            payload_bytes: 0,
            raw_bytes: 0,
            body_bytes: 0,
            count: 0,
            // A refused range stands in the slot; a jump of the numbers here would look like damage.
            first_seq: self.next_kept(),
            time_ms: now_ms,
            body_hash: 0,
            payload_crc: 0,
        };
        // Ignored on purpose: see above.
        let _ = self.write_entry(header, scratch);
    }

    /// Completes the header in front of meta and payload, writes all three, and returns it.
    fn write_entry(&mut self, mut header: EntryHeader, entry: &mut [u8]) -> Result<EntryHeader, AppendError> {
        if self.stuck {
            return Err(AppendError::Stuck(io::Error::other("an earlier write could not be undone")));
        }
        let payload_at = header.payload_offset();
        let payload_bytes = entry.len() - payload_at;
        header.payload_bytes = u32::try_from(payload_bytes)
            .ok()
            .filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX)
            .ok_or(AppendError::TooLarge(payload_bytes))?;
        header.payload_crc = self.header.salt.crc32c(&[&entry[payload_at..]]);
        let head = header.encode(self.header.salt, &entry[ENTRY_HEADER_BYTES..payload_at]);
        entry[..ENTRY_HEADER_BYTES].copy_from_slice(&head);
        if let Err(error) = self.state.file.write_all_at(entry, self.end) {
            return Err(self.cut_back(error));
        }
        self.end += entry.len() as u64;
        Ok(header)
    }

    fn cut_back(&mut self, error: io::Error) -> AppendError {
        match self.state.file.truncate(self.end) {
            Ok(()) => AppendError::Write(error),
            Err(_) => {
                self.stuck = true;
                AppendError::Stuck(error)
            }
        }
    }

    /// Takes a written entry into the sums. Nothing here can fail: the entry is durable.
    fn account(&mut self, at: u64, header: &EntryHeader, payload: &[u8], encoder: &Encoder, now_ms: i64) {
        if header.flags.starts_frame
            && let Some(frame_end) = self.open_frame.take()
        {
            self.digest.update(frame_end.as_slice());
            self.frame_ends.push((at, frame_end));
        }
        self.digest.update(payload);
        if header.raw_bytes > 0 {
            self.open_frame = encoder.frame_end();
        }
        self.next_seq = header.next_seq();
        let totals = &mut self.totals;
        totals.entries += 1;
        totals.records += u64::from(header.count);
        totals.raw_bytes += u64::from(header.raw_bytes);
        totals.first_append_ms.get_or_insert(now_ms);
        if header.count > 0 {
            totals.partition_ms.get_or_insert(header.time_ms);
            totals.ended = header.flags.end;
        }
    }

    /// The facts and the bytes of the object that this segment is, if it holds a record.
    pub(crate) fn sealed(&self, reason: SealReason) -> Option<(SegmentFacts, Extent)> {
        let totals = &self.totals;
        let partition_ms = totals.partition_ms?;
        let (mut digest, mut frame_ends) = (self.digest.clone(), self.frame_ends.clone());
        if let Some(frame_end) = self.open_frame {
            digest.update(frame_end.as_slice());
            frame_ends.push((self.end, frame_end));
        }
        let facts = SegmentFacts {
            spool: self.header.spool,
            segment: self.header.segment,
            first: self.header.first_seq,
            last: Seqno(self.next_kept().0 - 1),
            records: totals.records,
            raw_bytes: totals.raw_bytes,
            object_bytes: digest.bytes(),
            digest: digest.value(),
            partition_ms,
            codec: self.header.codec,
            line_format: self.header.line_format,
            reason,
            mark: if totals.ended { Mark::End } else { Mark::Whole },
            platform_drops: totals.platform_drops,
            volatile: false,
        };
        let extent = Extent {
            file: Arc::clone(&self.state.file),
            salt: self.header.salt,
            start: ENTRIES_AT,
            end: self.end,
            frame_ends,
        };
        Some((facts, extent))
    }
}

/// Lays out room for the header, the meta and the compressed lines.
fn encode_body(
    encoder: &mut Encoder,
    scratch: &mut Vec<u8>,
    batch: &Batch<'_>,
    in_force: &InForce,
) -> Result<(u16, crate::codec::Encoded), AppendError> {
    scratch.clear();
    scratch.resize(ENTRY_HEADER_BYTES, 0);
    batch.meta.encode_news(in_force, scratch);
    let meta_bytes = u16::try_from(scratch.len() - ENTRY_HEADER_BYTES).expect("bounded by META_BYTES_MAX");
    let encoded = encoder.encode(batch.lines, scratch)?;
    Ok((meta_bytes, encoded))
}
