//! Checksums of the format, and the digest of an object.

use crc_fast::{CrcAlgorithm, Digest};

/// Random number of a segment that goes into every checksum behind its header.
///
/// It keeps bytes that *look* like an entry from being taken for one when damage is skipped: a log line may hold a copy
/// of an entry header, but not one that was computed with this segment's salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub u64);

/// CRC-32C (Castagnoli) over the parts in order.
pub(crate) fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    low_32_bits(digest.finalize())
}

impl Salt {
    /// The salt of the n-th segment: one step of SplitMix64 (Steele, Lea, Flood 2014), whose output function is a bijection,
    /// so two segments of a spool never share one.
    pub(crate) fn nth(seed: u64, n: u64) -> Self {
        let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self(z ^ (z >> 31))
    }

    /// For a segment that is added to a spool whose seed is not known any more.
    pub(crate) fn successor(self) -> Self {
        Self::nth(self.0, 0)
    }

    /// CRC-32C over the salt (8 bytes, little-endian) and then the parts in order.
    pub(crate) fn crc32c(self, parts: &[&[u8]]) -> u32 {
        let mut digest = self.digest();
        for part in parts {
            digest.update(part);
        }
        digest.finalize()
    }

    /// The same, for bytes that come in pieces.
    pub(crate) fn digest(self) -> SaltedCrc {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&self.0.to_le_bytes());
        SaltedCrc(digest)
    }
}

/// A running CRC-32C that began with a salt.
#[derive(Debug)]
pub(crate) struct SaltedCrc(Digest);

impl SaltedCrc {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finalize(&self) -> u32 {
        low_32_bits(self.0.finalize())
    }
}

fn low_32_bits(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits")
}

/// The running digest of an object: CRC-64/NVME, the checksum that S3 itself verifies (`x-amz-checksum-crc64nvme`).
#[derive(Debug, Clone)]
pub struct ObjectDigest {
    crc: Digest,
    bytes: u64,
}

impl ObjectDigest {
    /// Of no bytes yet.
    pub(crate) fn new() -> Self {
        Self { crc: Digest::new(CrcAlgorithm::Crc64Nvme), bytes: 0 }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The digest of all bytes so far.
    pub fn value(&self) -> u64 {
        self.crc.finalize()
    }

    /// How many bytes there were.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Default for ObjectDigest {
    fn default() -> Self {
        Self::new()
    }
}

/// CRC-64/NVME of bytes that are all at hand.
pub fn object_digest(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The check values of the catalogue of parametrised CRC algorithms (RevEng) for "123456789".
    #[test]
    fn the_algorithms_are_the_published_ones() {
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xe306_9283);
        assert_eq!(object_digest(b"123456789"), 0xae8b_1486_0a79_9888);
    }

    #[test]
    fn another_salt_gives_another_checksum() {
        assert_ne!(Salt(1).crc32c(&[b"entry"]), Salt(2).crc32c(&[b"entry"]));
    }

    #[test]
    fn pieces_and_whole_agree() {
        let mut digest = ObjectDigest::new();
        digest.update(b"1234");
        digest.update(b"56789");
        assert_eq!((digest.value(), digest.bytes()), (0xae8b_1486_0a79_9888, 9));
    }
}
