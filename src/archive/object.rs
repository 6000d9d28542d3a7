//! One object, read from its first byte to its last: its digest, and its lines.

use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use spool::{Codec, ObjectDigest};

use super::source::{ReadError, Source};
use crate::upload::object_key::Compression;
use crate::upload::store::reading::{Listed, PIECE_BYTES_MAX};

/// A line of a body that the platform sent whole has at most the length of a body, 12 MiB, and as much again if every byte is escaped; this
/// bounds what damage can make of one.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The bytes of an object, in pieces, with their digest.
struct Pieces<'a> {
    source: &'a mut Source,
    object: &'a Listed,
    at: u64,
    piece: Bytes,
    digest: ObjectDigest,
    /// What a decoder that met it says of it is of no use.
    failed: Option<ReadError>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.object.bytes {
            let end = self.object.bytes.min(self.at + PIECE_BYTES_MAX as u64);
            match self.source.read(&self.object.key, self.at..end) {
                Ok(piece) => self.piece = piece,
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
            self.at = end;
            self.digest.update(&self.piece);
        }
        let length = out.len().min(self.piece.len());
        out[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// How reading an object ended.
#[derive(Debug)]
pub struct WasRead {
    /// CRC-64/NVME of all of its bytes.
    pub digest: u64,
    /// What its bytes, once decompressed, have wrong; the lines before that were told.
    pub damage: Option<String>,
}

/// Reads an object, and tells each of its lines, without the line break. What cannot be decompressed is no reason to stop
/// before the digest of all bytes is known.
///
/// # Errors
/// When its bytes cannot be had, or `each` fails.
pub fn read<E: From<ReadError>>(
    source: &mut Source,
    object: &Listed,
    codec: Compression,
    mut each: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<WasRead, E> {
    let mut pieces =
        Pieces { source, object, at: 0, piece: Bytes::new(), digest: ObjectDigest::default(), failed: None };
    let damage = match spool::decoder(codec_of(codec), &mut pieces) {
        Ok(lines) => read_lines(lines, &mut each)?,
        Err(error) => Some(error.to_string()),
    };
    // Behind the damage, or behind the end of what is compressed.
    let rest = io::copy(&mut pieces, &mut io::sink());
    if let Some(failed) = pieces.failed {
        return Err(failed.into());
    }
    let damage = damage.or_else(|| rest.err().map(|error| error.to_string()));
    Ok(WasRead { digest: pieces.digest.value(), damage })
}

/// What ends the lines before their end.
fn read_lines<E>(lines: impl Read, each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<Option<String>, E> {
    let (mut lines, mut line) = (BufReader::new(lines), Vec::new());
    loop {
        line.clear();
        match lines.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) if line.pop_if(|last| *last == b'\n').is_some() => each(&line)?,
            Ok(LINE_BYTES_MAX) => return Ok(Some(format!("a line has more than {} MiB", LINE_BYTES_MAX >> 20))),
            Ok(_) => return Ok(Some("its last line is cut short".to_owned())),
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
}

fn codec_of(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::None,
        Compression::Zstd => Codec::Zstd,
        Compression::Gzip => Codec::Gzip,
    }
}
