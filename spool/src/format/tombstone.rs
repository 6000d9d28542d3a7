//! What stands in the place of a segment file whose records are lost: 128 bytes that say which, and why.
//!
//! A tombstone is renamed over the file of a segment, or takes a number of its own for a range that was refused. Its length
//! fits into one block, which lies ready before it is needed.

use crate::format::FORMAT_VERSION;
use crate::format::checksum::crc32c;
use crate::format::segment_header::HeaderError;
use crate::format::wire::{Reader, Writer};
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::LossCause;
use crate::segment::sealed::DroppedRange;

/// Length of a tombstone, in bytes.
pub(crate) const TOMBSTONE_BYTES: usize = 128;
/// How a tombstone begins.
pub(crate) const TOMBSTONE_MAGIC: [u8; 8] = *b"LOGSDROP";
const CHECKED_BYTES: usize = TOMBSTONE_BYTES - 4;
const FLAG_MAYBE_DELIVERED: u8 = 1;

/// A declared loss.
///
/// Layout: magic `[8]`, format u16, cause u8, flags u8 (1 = may have been delivered), zero `[4]`, spool id `[16]`, segment
/// number u64, first seq u64, records u64, bytes u64, time i64 (Unix ms), zero `[52]`, CRC-32C of all of it u32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tombstone {
    pub spool: SpoolId,
    pub segment: SegmentId,
    pub first: Seqno,
    /// At least 1.
    pub records: u64,
    /// Bytes of the lines before compression.
    pub bytes: u64,
    pub time_ms: i64,
    pub cause: LossCause,
    /// An upload had begun: the records may be where they should be.
    pub maybe_delivered: bool,
}

impl Tombstone {
    /// The number behind the range.
    pub(crate) fn next_seq(&self) -> Seqno {
        self.first.plus(self.records)
    }

    /// Both as one. They must be allowed to [merge](may_merge).
    pub(crate) fn with(&self, after: &Self) -> Self {
        Self { records: self.records + after.records, bytes: self.bytes.saturating_add(after.bytes), ..*self }
    }

    /// What tells of this range.
    pub(crate) fn of(range: &DroppedRange, time_ms: i64) -> Self {
        Self {
            spool: range.spool,
            segment: range.segment,
            first: range.first,
            records: range.records(),
            bytes: range.raw_bytes,
            time_ms,
            cause: range.cause,
            maybe_delivered: range.maybe_delivered,
        }
    }

    pub(crate) fn encode(&self) -> [u8; TOMBSTONE_BYTES] {
        let mut bytes = [0; TOMBSTONE_BYTES];
        Writer::new(&mut bytes)
            .bytes(&TOMBSTONE_MAGIC)
            .u16(FORMAT_VERSION)
            .u8(self.cause.code())
            .u8(if self.maybe_delivered { FLAG_MAYBE_DELIVERED } else { 0 })
            .u32(0)
            .bytes(&self.spool.to_bytes())
            .u64(self.segment.0)
            .u64(self.first.0)
            .u64(self.records)
            .u64(self.bytes)
            .i64(self.time_ms);
        let crc = crc32c(&[&bytes[..CHECKED_BYTES]]);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; TOMBSTONE_BYTES]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(bytes);
        if reader.array() != TOMBSTONE_MAGIC {
            return Err(HeaderError::NotASegment);
        }
        let version = reader.u16();
        if version > FORMAT_VERSION {
            return Err(HeaderError::UnknownVersion(version));
        }
        let stored_crc = u32::from_le_bytes(Reader::new(&bytes[CHECKED_BYTES..]).array());
        if version != FORMAT_VERSION || stored_crc != crc32c(&[&bytes[..CHECKED_BYTES]]) {
            return Err(HeaderError::Damaged);
        }
        let cause = LossCause::from_code(reader.u8()).ok_or(HeaderError::Damaged)?;
        let flags = reader.u8();
        reader.u32();
        let tombstone = Self {
            spool: SpoolId::from_bytes(reader.array()),
            segment: SegmentId(reader.u64()),
            first: Seqno(reader.u64()),
            records: reader.u64(),
            bytes: reader.u64(),
            time_ms: reader.i64(),
            cause,
            maybe_delivered: flags & FLAG_MAYBE_DELIVERED != 0,
        };
        let plausible = tombstone.records > 0 && tombstone.first.0.checked_add(tombstone.records).is_some();
        if plausible { Ok(tombstone) } else { Err(HeaderError::Damaged) }
    }
}

/// Tombstones side by side become one, unless that would say of records that are lost for certain that they may not be.
pub(crate) fn may_merge(before: &Tombstone, after: &Tombstone) -> bool {
    let alike = before.cause == after.cause && before.maybe_delivered == after.maybe_delivered;
    alike && before.next_seq() == after.first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone() -> Tombstone {
        Tombstone {
            spool: SpoolId::new(1_790_000_000_000, 4),
            segment: SegmentId(9),
            first: Seqno(100),
            records: 23,
            bytes: 4_567,
            time_ms: 1_790_000_000_123,
            cause: LossCause::Quota,
            maybe_delivered: true,
        }
    }

    #[test]
    fn a_tombstone_reads_back_as_written() {
        assert_eq!(Tombstone::decode(&tombstone().encode()), Ok(tombstone()));
        assert_eq!(tombstone().next_seq(), Seqno(123));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = tombstone().encode();
        for bit in 0..TOMBSTONE_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Tombstone::decode(&damaged).is_err(), "bit {bit} was not seen");
        }
    }
}
