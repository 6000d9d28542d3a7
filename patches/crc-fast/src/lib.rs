//! The part of [crc-fast](https://docs.rs/crc-fast/1.10.0) that the AWS SDK, s3s and the spool use: three checksums out of some sixty.
//!
//! crc-fast chooses the algorithm while the program runs, so the tables of all of them are linked: 679 KB that hardly compress, a
//! seventh of the layer. `Cargo.toml` puts this crate in its place. The interface is the same as far as it goes; without the
//! patch everything works as well, and is larger.

#![forbid(unsafe_code)]

use std::fmt;

/// A checksum by its name in the catalogue of parametrised CRC algorithms (RevEng).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// CRC-32C (Castagnoli): `x-amz-checksum-crc32c`.
    Crc32Iscsi,
    /// CRC-32 of Ethernet and gzip: `x-amz-checksum-crc32`.
    Crc32IsoHdlc,
    /// CRC-64/NVME: `x-amz-checksum-crc64nvme`.
    Crc64Nvme,
}

/// A running checksum.
#[derive(Clone)]
pub struct Digest(Running);

#[derive(Clone)]
enum Running {
    Crc32Iscsi(u32),
    Crc32IsoHdlc(crc32fast::Hasher),
    Crc64Nvme(crc64fast_nvme::Digest),
}

impl Digest {
    /// Of no bytes yet.
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32Iscsi => Running::Crc32Iscsi(0),
            CrcAlgorithm::Crc32IsoHdlc => Running::Crc32IsoHdlc(crc32fast::Hasher::new()),
            CrcAlgorithm::Crc64Nvme => Running::Crc64Nvme(crc64fast_nvme::Digest::new()),
        })
    }

    /// Takes the next bytes.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Running::Crc32Iscsi(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Running::Crc32IsoHdlc(hasher) => hasher.update(bytes),
            Running::Crc64Nvme(digest) => digest.write(bytes),
        }
    }

    /// The checksum of all bytes so far; those of 32 bits in the low ones.
    #[inline]
    pub fn finalize(&self) -> u64 {
        match &self.0 {
            Running::Crc32Iscsi(crc) => u64::from(*crc),
            Running::Crc32IsoHdlc(hasher) => u64::from(hasher.clone().finalize()),
            Running::Crc64Nvme(digest) => digest.sum64(),
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.finalize()).finish()
    }
}

/// The checksum of bytes that are all at hand.
pub fn checksum(algorithm: CrcAlgorithm, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new(algorithm);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values of the catalogue for "123456789".
    const CHECKS: [(CrcAlgorithm, u64); 3] = [
        (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
        (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
        (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888),
    ];

    #[test]
    fn the_algorithms_are_the_published_ones() {
        for (algorithm, check) in CHECKS {
            assert_eq!(checksum(algorithm, b"123456789"), check, "{algorithm:?}");
        }
    }

    #[test]
    fn bytes_in_pieces_are_the_same_bytes() {
        // Longer than what is done with vector instructions at once, and off its boundaries.
        let bytes: Vec<u8> = (0..20_011_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for (algorithm, _) in CHECKS {
            for piece in [1, 7, 64, 1_000, 19_999] {
                let mut digest = Digest::new(algorithm);
                bytes.chunks(piece).for_each(|piece| digest.update(piece));
                assert_eq!(digest.finalize(), checksum(algorithm, &bytes), "{algorithm:?} in pieces of {piece}");
            }
        }
    }
}
