//! How lines are compressed, one stream a segment, so that every append leaves whole blocks on disk.
//!
//! A *frame* is what a decoder can begin with: a zstd frame (RFC 8878), a gzip member (RFC 1952). Every append ends with a
//! flush, so the payloads of a frame in order are a valid beginning of it, and a few known bytes make it complete
//! ([`FrameEnd`]). Sealing therefore writes nothing that could fail, and a process that adopts the file later makes the
//! same object as the one that wrote it.

mod decoder;
mod encoder;
mod gzip;
mod tracker;

pub use decoder::decoder;
pub use encoder::CodecError;
pub(crate) use encoder::{Encoded, Encoder};
pub(crate) use tracker::FrameTracker;

/// The compression of a segment's payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Lines as they are.
    None = 0,
    /// Zstandard, RFC 8878.
    Zstd = 1,
    /// gzip, RFC 1952.
    Gzip = 2,
}

impl Codec {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::None, Self::Zstd, Self::Gzip].into_iter().find(|codec| codec.code() == code)
    }

    /// The levels that this codec has; `None` has none.
    pub fn levels(self) -> Option<std::ops::RangeInclusive<i32>> {
        match self {
            Self::None => None,
            Self::Zstd => Some(1..=19),
            Self::Gzip => Some(1..=9),
        }
    }
}

/// What to compress with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// The level; see [`Codec::levels`]. A value outside is moved to the nearest one inside.
    pub level: i32,
    /// The most raw bytes of one zstd frame; `None` makes one frame a segment. Smaller frames let damage reach less far
    /// and compress a little worse. (gzip members are at most 1 MiB in any case.)
    pub frame_bytes_max: Option<u64>,
}

impl Default for Compression {
    /// zstd at level 1, one frame a segment: measured on Lambda telemetry, level 3 stores no less and takes longer.
    fn default() -> Self {
        Self { codec: Codec::Zstd, level: 1, frame_bytes_max: None }
    }
}

/// The bytes that complete a frame whose last payload ended with a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameEnd {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl FrameEnd {
    const BYTES_MAX: usize = 10;

    /// zstd: an empty last block (RFC 8878, 3.1.1.2).
    pub(crate) const ZSTD: Self = Self { bytes: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], length: 3 };

    /// gzip: an empty last block with fixed codes (RFC 1951, 3.2.6), then the trailer (RFC 1952, 2.3.1).
    pub(crate) fn gzip(crc32: u32, raw_bytes_mod_2_32: u32) -> Self {
        let mut bytes = [0; Self::BYTES_MAX];
        bytes[0] = 3;
        bytes[2..6].copy_from_slice(&crc32.to_le_bytes());
        bytes[6..].copy_from_slice(&raw_bytes_mod_2_32.to_le_bytes());
        Self { bytes, length: 10 }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Lines compressed as one frame of their own, complete.
///
/// The same lines give the same bytes: the level is fixed, so that two processes with different settings agree.
pub fn compress_whole(codec: Codec, lines: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(Compression { codec, level: 1, frame_bytes_max: None });
    let mut bytes = Vec::new();
    encoder.encode(lines, &mut bytes).expect("compression into memory with valid parameters does not fail");
    if let Some(end) = encoder.frame_end() {
        bytes.extend_from_slice(end.as_slice());
    }
    bytes
}
