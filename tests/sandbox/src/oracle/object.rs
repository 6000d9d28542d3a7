//! Delivered objects: what their names say, and their bytes decoded.
//!
//! ```text
//! <spool id>-<first>-<last>-<digest>[-end|-cut].ndjson[.zst|.gz]    lines
//! <spool id>-<first>-<last>-<cause>.dropped                         a declared loss
//! ```
//!
//! Numbers have 12 digits, the digest is the CRC-64/NVME of the object's bytes in 16 hex digits.

use std::io::Read;
use std::ops::RangeInclusive;

use crc_fast::{CrcAlgorithm, checksum};
use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

const ULID_CHARACTERS: usize = 26;
const NUMBER_DIGITS: usize = 12;
const DIGEST_DIGITS: usize = 16;

/// An object as it lies in the bucket: key or path, and bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredObject {
    /// Key or path; only the part behind the last `/` is read.
    pub name: String,
    /// The object's bytes.
    pub bytes: Vec<u8>,
}

impl DeliveredObject {
    /// The lines, decoded as the name says; those of a declared loss are not compressed.
    ///
    /// # Errors
    /// What is wrong with the name or the bytes.
    pub fn text(&self) -> Result<Vec<u8>, String> {
        match Name::parse(&self.name)?.content {
            Content::Lines { codec, .. } => decode(&self.bytes, codec),
            Content::Dropped => Ok(self.bytes.clone()),
        }
    }
}

/// What the name of an object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) spool: String,
    pub(super) range: RangeInclusive<u64>,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Lines { digest: u64, end: bool, cut: bool, codec: Codec },
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Plain,
    Zstd,
    Gzip,
}

/// The part of a key that identifies an object wherever it lies.
pub(super) fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

impl Name {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        Self::read(base_name(name)).ok_or_else(|| "its name is not that of an object".to_owned())
    }

    fn read(base: &str) -> Option<Self> {
        let (stem, extension) = base.split_once('.')?;
        let (spool, rest) = stem.split_at_checked(ULID_CHARACTERS)?;
        let (first, rest) = number(rest.strip_prefix('-')?)?;
        let (last, rest) = number(rest.strip_prefix('-')?)?;
        let rest = rest.strip_prefix('-')?;
        if !spool.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) || first > last {
            return None;
        }
        let content = match extension {
            "dropped" => Content::Dropped,
            "ndjson" => lines(rest, Codec::Plain)?,
            "ndjson.zst" => lines(rest, Codec::Zstd)?,
            "ndjson.gz" => lines(rest, Codec::Gzip)?,
            _ => return None,
        };
        Some(Self { spool: spool.to_owned(), range: first..=last, content })
    }
}

fn number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at_checked(NUMBER_DIGITS)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| Some((digits.parse().ok()?, rest)))?
}

fn lines(text: &str, codec: Codec) -> Option<Content> {
    let (digest, marks) = text.split_at_checked(DIGEST_DIGITS)?;
    let digest = u64::from_str_radix(digest, 16).ok()?;
    let marks: Vec<&str> = marks.split('-').filter(|mark| !mark.is_empty()).collect();
    marks.iter().all(|mark| matches!(*mark, "end" | "cut")).then(|| Content::Lines {
        digest,
        end: marks.contains(&"end"),
        cut: marks.contains(&"cut"),
        codec,
    })
}

/// CRC-64/NVME, as S3 computes it.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

pub(super) fn decode(bytes: &[u8], codec: Codec) -> Result<Vec<u8>, String> {
    match codec {
        Codec::Plain => Ok(bytes.to_vec()),
        Codec::Zstd => decode_zstd(bytes),
        Codec::Gzip => {
            let mut text = Vec::new();
            MultiGzDecoder::new(bytes).read_to_end(&mut text).map_err(|error| format!("gzip: {error}"))?;
            Ok(text)
        }
    }
}

/// All frames: a decoder that stops behind the first one would miss lines.
fn decode_zstd(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match StreamingDecoder::new(&mut rest) {
            Ok(mut frame) => {
                frame.read_to_end(&mut text).map_err(|error| format!("zstd: {error}"))?;
                let decoder = frame.into_frame_decoder();
                if let (Some(told), Some(found)) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum())
                    && told != found
                {
                    return Err("zstd: the checksum of a frame is wrong".to_owned());
                }
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest = rest.get(length..).ok_or("zstd: a skippable frame is cut short")?;
            }
            Err(error) => return Err(format!("zstd: {error}")),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    const SPOOL: &str = "01JZ8K4M3N5P6Q7R8S9T0V1W2X";

    #[test]
    fn names_of_objects_are_read() {
        let object = |digest, end, cut, codec| Content::Lines { digest, end, cut, codec };
        let cases = [
            ("000000000000-000000000041-00000000000000ff.ndjson.zst", 0..=41, object(255, false, false, Codec::Zstd)),
            (
                "000000000042-000000000042-00000000000000ff-end.ndjson.gz",
                42..=42,
                object(255, true, false, Codec::Gzip),
            ),
            (
                "000000000007-000000000009-ffffffffffffffff-cut.ndjson",
                7..=9,
                object(u64::MAX, false, true, Codec::Plain),
            ),
            ("000000000010-000000000012-quota.dropped", 10..=12, Content::Dropped),
        ];
        for (rest, range, content) in cases {
            let name = format!("logs/function=f/dt=2026-01-01/hour=00/{SPOOL}-{rest}");
            assert_eq!(Name::parse(&name), Ok(Name { spool: SPOOL.to_owned(), range, content }), "{name}");
        }
    }

    #[test]
    fn other_names_are_no_objects() {
        for rest in [
            "000000000000-000000000041-00000000000000ff.ndjson.zst.tmp",
            "00000000000-000000000041-00000000000000ff.ndjson.zst",
            "000000000042-000000000041-00000000000000ff.ndjson.zst",
            "000000000000-000000000041-00000000000000fg.ndjson.zst",
            "000000000000-000000000041-00000000000000ff-odd.ndjson.zst",
            "000000000000-000000000041.ndjson.zst",
        ] {
            assert!(Name::parse(&format!("{SPOOL}-{rest}")).is_err(), "{rest}");
        }
        assert!(Name::parse("README.ndjson").is_err());
    }

    #[test]
    fn all_frames_and_all_members_are_decoded() {
        let mut zstd = compress_to_vec(&b"one\n"[..], CompressionLevel::Fastest);
        // A skippable frame of three bytes.
        zstd.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        zstd.extend(compress_to_vec(&b"two\n"[..], CompressionLevel::Fastest));
        assert_eq!(decode(&zstd, Codec::Zstd).expect("valid"), b"one\ntwo\n");

        let member = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).expect("in memory");
            encoder.finish().expect("in memory")
        };
        let gzip = [member(b"one\n"), member(b"two\n")].concat();
        assert_eq!(decode(&gzip, Codec::Gzip).expect("valid"), b"one\ntwo\n");
    }

    #[test]
    fn what_is_cut_short_is_no_object() {
        let zstd = compress_to_vec(&b"one\n"[..], CompressionLevel::Fastest);
        assert!(decode(&zstd[..zstd.len() - 3], Codec::Zstd).is_err());
        assert!(decode(&zstd[..2], Codec::Zstd).is_err());
    }

    #[test]
    fn the_digest_is_the_catalogued_crc_64_nvme() {
        assert_eq!(digest(b"123456789"), 0xae8b_1486_0a79_9888);
    }
}
