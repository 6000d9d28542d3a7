//! Two slots behind the head of a segment file, written alternately in place.
//!
//! They lie in bytes that the file already has, so writing one allocates nothing and works on a full disk. Generation `g`
//! goes into slot `g mod 2`; the valid slot with the higher generation is in force. A kill in the middle of a write
//! leaves the other slot.

use crate::format::checksum::Salt;
use crate::format::segment_header::HEAD_BYTES;
use crate::format::wire::{Reader, Writer};
use crate::id::Seqno;
use crate::loss::{LossCause, Losses};

/// Length of one slot, in bytes.
pub(crate) const SLOT_BYTES: usize = 192;
const CHECKED_BYTES: usize = SLOT_BYTES - 4;
const FLAG_ENDED: u8 = 1;
const FLAG_DELIVERED: u8 = 2;

/// A run of numbers that is lost and has not been declared in a name or a line of its own yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UndeclaredRange {
    /// First number of the run.
    pub first: Seqno,
    /// How many numbers, at least 1.
    pub records: u64,
    /// How many bytes, uncompressed.
    pub bytes: u64,
    /// When the first of them was lost, Unix time in milliseconds.
    pub time_ms: i64,
    /// Why.
    pub cause: LossCause,
}

/// What a spool knows beside its entries.
///
/// Layout: generation u64, next seq u64, six pairs of (records u64, bytes u64) in the order of [`LossCause`], the range:
/// first u64, records u64 (0 = none), bytes u64, time i64 (Unix ms), cause u8; flags u8 (1 = ended,
/// 2 = delivered), zero `[42]`, CRC-32C
/// seeded with the salt u32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateSlot {
    /// Counts the writes of one segment file from 1.
    pub generation: u64,
    /// The number that the next record takes.
    pub next_seq: Seqno,
    /// Totals of the spool from its beginning.
    pub losses: Losses,
    /// At most one range waits for its declaration.
    pub undeclared: Option<UndeclaredRange>,
    /// Every number before `next_seq` lies before an end that has been written.
    pub ended: bool,
    /// The segment is where it should be; its entries were cut off. It waits for older ones, so that files vanish in order
    /// and a gap between two of them always means a loss.
    pub delivered: bool,
}

impl StateSlot {
    /// Where the slot of a generation lies in the file.
    pub(crate) fn offset(generation: u64) -> u64 {
        (HEAD_BYTES + SLOT_BYTES * usize::from(generation % 2 == 1)) as u64
    }

    pub(crate) fn encode(&self, salt: Salt) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let mut writer = Writer::new(&mut bytes);
        writer.u64(self.generation).u64(self.next_seq.0);
        for cause in LossCause::ALL {
            let loss = self.losses.of(cause);
            writer.u64(loss.records).u64(loss.bytes);
        }
        match self.undeclared {
            Some(range) => {
                writer.u64(range.first.0).u64(range.records).u64(range.bytes).i64(range.time_ms).u8(range.cause.code())
            }
            None => writer.u64(0).u64(0).u64(0).i64(0).u8(0),
        };
        let flag = |set, bit| if set { bit } else { 0 };
        writer.u8(flag(self.ended, FLAG_ENDED) | flag(self.delivered, FLAG_DELIVERED));
        let crc = salt.crc32c(&[&bytes[..CHECKED_BYTES]]);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SLOT_BYTES], salt: Salt) -> Option<Self> {
        let stored_crc = u32::from_le_bytes(Reader::new(&bytes[CHECKED_BYTES..]).array());
        if stored_crc != salt.crc32c(&[&bytes[..CHECKED_BYTES]]) {
            return None;
        }
        let mut reader = Reader::new(bytes);
        let generation = reader.u64();
        let next_seq = Seqno(reader.u64());
        let mut losses = Losses::default();
        for cause in LossCause::ALL {
            losses.add(cause, reader.u64(), reader.u64());
        }
        let (first, records, lost_bytes) = (Seqno(reader.u64()), reader.u64(), reader.u64());
        let (time_ms, cause) = (reader.i64(), LossCause::from_code(reader.u8())?);
        // A range that runs over the end of all numbers was never written.
        first.0.checked_add(records)?;
        let undeclared = (records > 0).then_some(UndeclaredRange { first, records, bytes: lost_bytes, time_ms, cause });
        let flags = reader.u8();
        let (ended, delivered) = (flags & FLAG_ENDED != 0, flags & FLAG_DELIVERED != 0);
        Some(Self { generation, next_seq, losses, undeclared, ended, delivered })
    }

    /// The slot in force of a file's two.
    pub(crate) fn in_force(slots: &[u8; 2 * SLOT_BYTES], salt: Salt) -> Option<Self> {
        let mut reader = Reader::new(slots);
        let [even, odd] = [reader.array(), reader.array()].map(|slot| Self::decode(&slot, salt));
        [even, odd].into_iter().flatten().max_by_key(|slot| slot.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(17);

    fn slot(generation: u64) -> StateSlot {
        let mut losses = Losses::default();
        losses.add(LossCause::Quota, 5, 500);
        losses.add(LossCause::Platform, 7, 700);
        StateSlot {
            generation,
            next_seq: Seqno(40 + generation),
            losses,
            undeclared: Some(UndeclaredRange {
                first: Seqno(30),
                records: 4,
                bytes: 99,
                time_ms: -1,
                cause: LossCause::Refused,
            }),
            ended: true,
            delivered: generation == 2,
        }
    }

    fn file_with(slots: &[StateSlot]) -> [u8; 2 * SLOT_BYTES] {
        let mut bytes = [0; 2 * SLOT_BYTES];
        for slot in slots {
            let at = usize::try_from(StateSlot::offset(slot.generation)).expect("small") - HEAD_BYTES;
            bytes[at..at + SLOT_BYTES].copy_from_slice(&slot.encode(SALT));
        }
        bytes
    }

    #[test]
    fn a_slot_reads_back_as_written() {
        let bare = StateSlot { undeclared: None, ended: false, ..slot(3) };
        for slot in [slot(1), bare] {
            assert_eq!(StateSlot::decode(&slot.encode(SALT), SALT), Some(slot));
        }
    }

    #[test]
    fn the_newest_valid_slot_is_in_force() {
        assert_eq!(StateSlot::in_force(&file_with(&[slot(1), slot(2)]), SALT), Some(slot(2)));
        assert_eq!(StateSlot::in_force(&file_with(&[slot(2), slot(3)]), SALT), Some(slot(3)));
        assert_eq!(StateSlot::in_force(&[0; 2 * SLOT_BYTES], SALT), None);
    }

    #[test]
    fn a_torn_write_leaves_the_slot_before_it_in_force() {
        let mut bytes = file_with(&[slot(1), slot(2)]);
        bytes[20] ^= 1; // in slot 0, which holds generation 2
        assert_eq!(StateSlot::in_force(&bytes, SALT), Some(slot(1)));
    }

    #[test]
    fn a_range_beyond_the_last_number_is_no_slot() {
        let mut slot = slot(1);
        slot.undeclared = slot.undeclared.map(|range| UndeclaredRange { records: u64::MAX, ..range });
        assert_eq!(StateSlot::decode(&slot.encode(SALT), SALT), None);
    }
}
