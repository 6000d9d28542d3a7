//! What an object must be: a complete standard stream for decoders that are not the ones it was written with.

use std::io::Read;

// Under a name of its own: the library that compresses is named in one place only.
use ruzstd as referee;

use crate::codec::Codec;
use crate::format::checksum::object_digest;
use crate::segment::sealed::SealedSegment;

/// The bytes of an object; they must agree with its facts.
pub(super) fn read(segment: &SealedSegment) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in segment.chunks() {
        bytes.extend_from_slice(&chunk.expect("what was scanned can be read"));
    }
    assert_eq!(bytes.len() as u64, segment.facts().object_bytes, "length of {segment:?}");
    assert_eq!(object_digest(&bytes), segment.facts().digest, "digest of {segment:?}");
    bytes
}

/// The lines of an object, all of its frames.
pub(super) fn decoded(codec: Codec, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    match codec {
        // No object is empty, and an empty file is no gzip stream.
        Codec::Gzip if object.is_empty() => {}
        Codec::None => raw.extend_from_slice(object),
        Codec::Gzip => {
            flate2::read::MultiGzDecoder::new(object).read_to_end(&mut raw).expect("a complete gzip stream");
        }
        Codec::Zstd => {
            let mut rest = object;
            while !rest.is_empty() {
                let mut frame = referee::decoding::StreamingDecoder::new(&mut rest).expect("a frame begins here");
                frame.read_to_end(&mut raw).expect("a complete frame");
            }
        }
    }
    raw
}
