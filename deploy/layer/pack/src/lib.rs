//! A layer with exactly one file, `extensions/logspool`, which everybody may run. The same binary gives the same bytes.

use std::io::{Cursor, Write as _};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Lambda executes every file in `extensions/` of a layer (AWS Lambda Developer Guide, "Lambda extensions").
const NAME: &str = "extensions/logspool";

/// Above 9 is Zopfli: what it makes any zip reader understands, and it is a fortieth smaller, for some twenty seconds. More rounds
/// than these gain less than a thousandth.
const LEVEL: i64 = 15;

/// The layer of a binary.
///
/// # Errors
/// It does not fit into a zip without extensions: 4 GiB.
pub fn pack(binary: &[u8]) -> Result<Vec<u8>, ZipError> {
    pack_with(binary, LEVEL)
}

fn pack_with(binary: &[u8], level: i64) -> Result<Vec<u8>, ZipError> {
    let mut layer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(level))
        .unix_permissions(0o755)
        // The earliest that a zip can tell: when it was packed is nobody's business.
        .last_modified_time(DateTime::default());
    layer.start_file(NAME, options)?;
    layer.write_all(binary)?;
    Ok(layer.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of the only entry of the central directory (PKWARE, APPNOTE.TXT 4.3.12), and its compressed bytes.
    fn entry(layer: &[u8]) -> (&str, u32, &[u8]) {
        let u16_at = |at: usize| usize::from(u16::from_le_bytes([layer[at], layer[at + 1]]));
        let u32_at = |at: usize| u32::from_le_bytes(layer[at..at + 4].try_into().expect("four bytes"));
        let end = layer.len() - 22;
        assert_eq!((&layer[end..end + 4], u16_at(end + 10)), (&b"PK\x05\x06"[..], 1), "one file, and no comment");
        let directory = u32_at(end + 16) as usize;
        let name = std::str::from_utf8(&layer[directory + 46..directory + 46 + u16_at(directory + 28)]).expect("text");
        // The local header, which has a name and may have more.
        let data = 30 + u16_at(26) + u16_at(28);
        let packed = &layer[data..data + u32_at(directory + 20) as usize];
        (name, u32_at(directory + 38) >> 16, packed)
    }

    #[test]
    fn a_layer_is_one_file_that_everybody_may_run_and_the_same_bytes_each_time() {
        let binary = b"\x7fELF and so on".repeat(1_000);
        let layer = pack(&binary).expect("packed");
        assert_eq!(layer, pack(&binary).expect("packed"));
        let (name, mode, packed) = entry(&layer);
        assert_eq!((name, mode), ("extensions/logspool", 0o100_755));
        let mut unpacked = Vec::new();
        std::io::copy(&mut flate2::read::DeflateDecoder::new(packed), &mut unpacked).expect("deflate");
        assert_eq!(unpacked, binary);
    }

    #[test]
    fn it_is_packed_as_small_as_deflate_can() {
        let source = include_bytes!("lib.rs");
        let mut usual = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        usual.write_all(source).expect("written");
        let layer = pack(source).expect("packed");
        assert!(entry(&layer).2.len() < usual.finish().expect("deflated").len());
    }
}
