//! One stored batch: a header of 56 bytes, its meta, its payload. Written by one `pwrite`, never changed.

use crate::format::checksum::Salt;
use crate::format::meta::META_BYTES_MAX;
use crate::format::wire::{Reader, Writer};
use crate::id::Seqno;

/// Length of an entry header, in bytes.
pub(crate) const ENTRY_HEADER_BYTES: usize = 56;
/// The longest payload that is written or believed, in bytes: a batch of 8 MiB grows when it becomes lines, and a
/// damaged length must not make a reader wait for gigabytes.
pub(crate) const PAYLOAD_BYTES_MAX: u32 = 256 * 1024 * 1024;

/// The first byte never stands in UTF-8 text, so a search for it skips log lines quickly.
pub(crate) const ENTRY_MAGIC: [u8; 4] = [0xf5, b'L', b'S', b'E'];
const PAYLOAD_CRC_AT: usize = 48;
const HEADER_CRC_AT: usize = 52;

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EntryKind {
    /// Lines. Its payload is part of the object.
    Data = 1,
    /// Bytes that must be durable but are no line yet, as they are; `count` is 0 and `first_seq` is the next number. An
    /// empty payload and a raw length mean that they are gone.
    Fragment = 2,
    /// The segment was sealed; no payload. Nothing follows.
    Close = 3,
}

/// Facts about a `data` entry's place in the compressed stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EntryFlags {
    /// Its first byte begins a compressed frame. If the frame before it was not ended, the reader ends it here.
    pub starts_frame: bool,
    /// Its last byte ends a compressed frame.
    pub ends_frame: bool,
    /// Its last line is the end of the spool's stream.
    pub end: bool,
    /// A fragment ends here, which is named in the meta.
    pub resolves: bool,
}

impl EntryFlags {
    fn bits(self) -> u8 {
        u8::from(self.starts_frame)
            | u8::from(self.ends_frame) << 1
            | u8::from(self.end) << 2
            | u8::from(self.resolves) << 3
    }

    fn from_bits(bits: u8) -> Option<Self> {
        (bits < 16).then_some(Self {
            starts_frame: bits & 1 != 0,
            ends_frame: bits & 2 != 0,
            end: bits & 4 != 0,
            resolves: bits & 8 != 0,
        })
    }
}

/// The header of an entry.
///
/// Layout: magic `[4]`, kind u8, flags u8, meta length u16, payload length u32, raw length u32, body length u32, count u32,
/// first seq u64, time i64, body hash u64, CRC-32C of the payload u32, CRC-32C of header and meta u32; both checksums are
/// seeded with the segment's salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHeader {
    pub kind: EntryKind,
    pub flags: EntryFlags,
    pub meta_bytes: u16,
    pub payload_bytes: u32,
    /// Length of the lines before compression.
    pub raw_bytes: u32,
    /// Length of the body that the lines came in.
    pub body_bytes: u32,
    /// Number of records, 0 allowed: a body that leaves no line is remembered by its hash.
    pub count: u32,
    pub first_seq: Seqno,
    /// Time of the first line if it is within 24 h of the clock at the append, else that clock. Unix ms.
    pub time_ms: i64,
    /// 64-bit hash of the body as received; the algorithm belongs to the caller.
    pub body_hash: u64,
    pub payload_crc: u32,
}

impl EntryHeader {
    /// The number behind this entry's last record.
    pub(crate) fn next_seq(&self) -> Seqno {
        self.first_seq.plus(u64::from(self.count))
    }

    /// Where in the entry its payload begins.
    pub(crate) fn payload_offset(&self) -> usize {
        ENTRY_HEADER_BYTES + usize::from(self.meta_bytes)
    }

    /// Length of the whole entry on disk.
    pub(crate) fn entry_bytes(&self) -> u64 {
        ENTRY_HEADER_BYTES as u64 + u64::from(self.meta_bytes) + u64::from(self.payload_bytes)
    }

    pub(crate) fn encode(&self, salt: Salt, meta: &[u8]) -> [u8; ENTRY_HEADER_BYTES] {
        let mut bytes = [0; ENTRY_HEADER_BYTES];
        let mut writer = Writer::new(&mut bytes);
        writer
            .bytes(&ENTRY_MAGIC)
            .u8(self.kind as u8)
            .u8(self.flags.bits())
            .u16(self.meta_bytes)
            .u32(self.payload_bytes)
            .u32(self.raw_bytes)
            .u32(self.body_bytes)
            .u32(self.count)
            .u64(self.first_seq.0)
            .i64(self.time_ms)
            .u64(self.body_hash);
        debug_assert_eq!(writer.at(), PAYLOAD_CRC_AT);
        writer.u32(self.payload_crc);
        let crc = salt.crc32c(&[&bytes[..HEADER_CRC_AT], meta]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header that may be none. The checksum is still to be verified, with the meta at hand.
    pub(crate) fn parse(bytes: &[u8; ENTRY_HEADER_BYTES]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.array() != ENTRY_MAGIC {
            return None;
        }
        let kind = match reader.u8() {
            1 => EntryKind::Data,
            2 => EntryKind::Fragment,
            3 => EntryKind::Close,
            _ => return None,
        };
        let flags = EntryFlags::from_bits(reader.u8())?;
        let header = Self {
            kind,
            flags,
            meta_bytes: reader.u16(),
            payload_bytes: reader.u32(),
            raw_bytes: reader.u32(),
            body_bytes: reader.u32(),
            count: reader.u32(),
            first_seq: Seqno(reader.u64()),
            time_ms: reader.i64(),
            body_hash: reader.u64(),
            payload_crc: reader.u32(),
        };
        let plausible = usize::from(header.meta_bytes) <= META_BYTES_MAX
            && header.payload_bytes <= PAYLOAD_BYTES_MAX
            && header.first_seq.0.checked_add(u64::from(header.count)).is_some();
        plausible.then_some(header)
    }

    /// Whether header and meta are what was written into the segment with this salt.
    pub(crate) fn verify(bytes: &[u8; ENTRY_HEADER_BYTES], meta: &[u8], salt: Salt) -> bool {
        let stored = u32::from_le_bytes(Reader::new(&bytes[HEADER_CRC_AT..]).array());
        stored == salt.crc32c(&[&bytes[..HEADER_CRC_AT], meta])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(5);

    fn header() -> EntryHeader {
        EntryHeader {
            kind: EntryKind::Data,
            flags: EntryFlags { starts_frame: true, end: true, ..EntryFlags::default() },
            meta_bytes: 3,
            payload_bytes: 1_000,
            raw_bytes: 8_000,
            body_bytes: 7_000,
            count: 12,
            first_seq: Seqno(88),
            time_ms: -1,
            body_hash: u64::MAX,
            payload_crc: 4,
        }
    }

    #[test]
    fn a_header_reads_back_as_written() {
        let bytes = header().encode(SALT, b"abc");
        assert_eq!(EntryHeader::parse(&bytes), Some(header()));
        assert!(EntryHeader::verify(&bytes, b"abc", SALT));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = header().encode(SALT, b"abc");
        for bit in 0..ENTRY_HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            let taken = EntryHeader::parse(&damaged).is_some() && EntryHeader::verify(&damaged, b"abc", SALT);
            assert!(!taken, "bit {bit} was not seen");
        }
    }

    #[test]
    fn a_header_of_another_segment_is_not_taken_for_one_of_this() {
        let bytes = header().encode(Salt(6), b"abc");
        assert!(!EntryHeader::verify(&bytes, b"abc", SALT));
    }

    #[test]
    fn lengths_beyond_the_limits_are_not_believed() {
        for header in [
            EntryHeader { payload_bytes: PAYLOAD_BYTES_MAX + 1, ..header() },
            EntryHeader { meta_bytes: u16::MAX, ..header() },
            EntryHeader { first_seq: Seqno(u64::MAX), ..header() },
        ] {
            assert_eq!(EntryHeader::parse(&header.encode(SALT, b"")), None);
        }
    }
}
