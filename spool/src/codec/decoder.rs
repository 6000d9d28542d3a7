//! Objects back to lines, for people who look at a spool or at what was delivered. Nothing that ships records needs it.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::Codec;

/// Reads the lines of an object, all of its frames (zstd) or members (gzip).
///
/// # Errors
/// When the codec has no memory to begin with; reading fails where the object is damaged or cut short.
pub fn decoder<'a>(codec: Codec, object: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        Codec::None => Box::new(object),
        Codec::Zstd => Box::new(zstd::stream::read::Decoder::new(object)?),
        Codec::Gzip => Box::new(MultiGzDecoder::new(object)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::compress_whole;
    use super::*;

    #[test]
    fn objects_of_several_frames_are_read_to_their_end() {
        for codec in [Codec::None, Codec::Zstd, Codec::Gzip] {
            let object = [compress_whole(codec, b"a\nb\n"), compress_whole(codec, b"c\n")].concat();
            let mut lines = String::new();
            decoder(codec, object.as_slice()).expect("made").read_to_string(&mut lines).expect("decoded");
            assert_eq!(lines, "a\nb\nc\n", "{codec:?}");
        }
    }
}
