//! The first 128 bytes of a segment file: written once, never changed.

use crate::codec::Codec;
use crate::format::FORMAT_VERSION;
use crate::format::checksum::{Salt, crc32c};
use crate::format::wire::{Reader, Writer};
use crate::id::{SegmentId, Seqno, SpoolId};

/// Length of the head, in bytes.
pub(crate) const HEAD_BYTES: usize = 128;
/// Where the entries begin: behind the head and two state slots.
pub(crate) const ENTRIES_AT: u64 = 512;

const MAGIC: [u8; 8] = *b"LOGSPOOL";
const CHECKED_BYTES: usize = HEAD_BYTES - 4;

/// What a segment file says of itself.
///
/// Layout: magic `[8]`, format u16, codec u8, line format u8, zero `[4]`, spool id `[16]`, segment number u64, first seq u64,
/// opened i64 (Unix ms), salt u64, zero `[60]`, CRC-32C of all of it u32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// How payloads are compressed.
    pub codec: Codec,
    /// How a line is written; the meaning belongs to the caller.
    pub line_format: u8,
    /// The life that wrote it.
    pub spool: SpoolId,
    /// Its number.
    pub segment: SegmentId,
    /// Number of its first record.
    pub first_seq: Seqno,
    /// When the file was made, Unix time in milliseconds.
    pub opened_ms: i64,
    /// Seeds every checksum behind the head.
    pub salt: Salt,
}

/// Why a file is not a segment that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another kind of file, or a head that was never completed.
    #[error("no segment header")]
    NotASegment,
    /// Written by a later version: it is left alone for that version to read.
    #[error("format version {0} is unknown to this version, which reads {FORMAT_VERSION}")]
    UnknownVersion(u16),
    /// The checksum does not match, or a field has a value that was never written.
    #[error("damaged segment header")]
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        Writer::new(&mut bytes)
            .bytes(&MAGIC)
            .u16(FORMAT_VERSION)
            .u8(self.codec.code())
            .u8(self.line_format)
            .u32(0)
            .bytes(&self.spool.to_bytes())
            .u64(self.segment.0)
            .u64(self.first_seq.0)
            .i64(self.opened_ms)
            .u64(self.salt.0);
        let crc = crc32c(&[&bytes[..CHECKED_BYTES]]);
        bytes[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(bytes);
        if reader.array() != MAGIC {
            return Err(HeaderError::NotASegment);
        }
        let version = reader.u16();
        let stored_crc = u32::from_le_bytes(Reader::new(&bytes[CHECKED_BYTES..]).array());
        let intact = stored_crc == crc32c(&[&bytes[..CHECKED_BYTES]]);
        match (version, intact) {
            // A later version may put its checksum elsewhere: its number alone decides.
            (version, _) if version > FORMAT_VERSION => return Err(HeaderError::UnknownVersion(version)),
            (FORMAT_VERSION, true) => {}
            _ => return Err(HeaderError::Damaged),
        }
        let codec = Codec::from_code(reader.u8()).ok_or(HeaderError::Damaged)?;
        let line_format = reader.u8();
        reader.u32();
        Ok(Self {
            codec,
            line_format,
            spool: SpoolId::from_bytes(reader.array()),
            segment: SegmentId(reader.u64()),
            first_seq: Seqno(reader.u64()),
            opened_ms: reader.i64(),
            salt: Salt(reader.u64()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            codec: Codec::Zstd,
            line_format: 2,
            spool: SpoolId::new(1_790_000_000_000, 99),
            segment: SegmentId(3),
            first_seq: Seqno(1_000),
            opened_ms: 1_790_000_000_001,
            salt: Salt(0xdead_beef_0bad_cafe),
        }
    }

    #[test]
    fn a_header_reads_back_as_written() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = header().encode();
        for bit in 0..HEAD_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&damaged).is_err(), "bit {bit} was not seen");
        }
    }

    #[test]
    fn a_later_version_is_named_and_not_called_damaged() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::UnknownVersion(2)));
    }
}
