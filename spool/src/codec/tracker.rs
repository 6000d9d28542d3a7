//! The reading side of frames: what must be inserted so that the payloads of a file are complete streams.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::gzip::{MEMBER_HEADER, MEMBER_TRAILER_BYTES};
use super::{Codec, FrameEnd};
use crate::format::entry::EntryFlags;

/// Follows the payloads of a file in order and tells where a frame was left open.
pub(crate) struct FrameTracker {
    frame_is_open: bool,
    codec: Codec,
    member: Member,
}

impl FrameTracker {
    pub(crate) fn new(codec: Codec) -> Self {
        Self { frame_is_open: false, codec, member: Member::new() }
    }

    /// The end to insert before an entry with these flags.
    pub(crate) fn before(&mut self, flags: EntryFlags) -> Option<FrameEnd> {
        if flags.starts_frame { self.finish() } else { None }
    }

    /// Takes a piece of an entry's payload.
    pub(crate) fn payload(&mut self, bytes: &[u8]) {
        if self.codec == Codec::Gzip {
            self.member.follow(bytes);
        }
    }

    /// Called behind an entry that has a payload.
    pub(crate) fn after(&mut self, flags: EntryFlags) {
        self.frame_is_open = !flags.ends_frame;
    }

    /// The end to insert at a cut or at the end of the file.
    pub(crate) fn finish(&mut self) -> Option<FrameEnd> {
        let was_open = std::mem::take(&mut self.frame_is_open);
        let end = match self.codec {
            Codec::None => None,
            Codec::Zstd => Some(FrameEnd::ZSTD),
            Codec::Gzip => Some(self.member.end()),
        };
        self.member.restart();
        end.filter(|_| was_open)
    }
}

/// Where in a gzip member the next byte lies. The CRC and length of the raw bytes are not stored, so they are recomputed.
struct Member {
    part: Part,
    inflate: Decompress,
    crc: Crc,
    raw: Box<[u8; Self::RAW_BYTES]>,
}

#[derive(Clone, Copy)]
enum Part {
    Header { left: usize },
    Deflate,
    Trailer { left: usize },
}

impl Member {
    const RAW_BYTES: usize = 16 * 1024;

    fn new() -> Self {
        Self {
            part: Part::Header { left: MEMBER_HEADER.len() },
            inflate: Decompress::new(false),
            crc: Crc::new(),
            raw: Box::new([0; Self::RAW_BYTES]),
        }
    }

    fn restart(&mut self) {
        self.part = Part::Header { left: MEMBER_HEADER.len() };
        self.inflate.reset(false);
        self.crc.reset();
    }

    fn end(&self) -> FrameEnd {
        FrameEnd::gzip(self.crc.sum(), self.crc.amount())
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.part {
                Part::Header { left } => {
                    let taken = left.min(bytes.len());
                    self.part = if taken == left { Part::Deflate } else { Part::Header { left: left - taken } };
                    &bytes[taken..]
                }
                Part::Deflate => self.inflate(bytes),
                Part::Trailer { left } => {
                    let taken = left.min(bytes.len());
                    self.part = Part::Trailer { left: left - taken };
                    if taken == left {
                        self.restart();
                    }
                    &bytes[taken..]
                }
            };
        }
    }

    /// Inflates some of `bytes` and returns the rest. The checksum has vouched for the bytes, so a deflate error means
    /// that they were never a stream; nothing sensible can be computed and the rest is skipped.
    fn inflate<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        loop {
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(bytes, &mut self.raw[..], FlushDecompress::Sync);
            let taken = usize::try_from(self.inflate.total_in() - before_in).expect("not more than was given");
            let made = usize::try_from(self.inflate.total_out() - before_out).expect("not more than there was room");
            self.crc.update(&self.raw[..made]);
            bytes = &bytes[taken..];
            match status {
                Ok(Status::StreamEnd) => {
                    self.part = Part::Trailer { left: MEMBER_TRAILER_BYTES };
                    return bytes;
                }
                Ok(_) if made == self.raw.len() => {}
                Ok(_) if bytes.is_empty() => return bytes,
                Ok(_) if taken > 0 || made > 0 => {}
                Ok(_) | Err(_) => return &[],
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Encoder};
    use super::*;

    fn flags(starts_frame: bool, ends_frame: bool) -> EntryFlags {
        EntryFlags { starts_frame, ends_frame, ..EntryFlags::default() }
    }

    #[test]
    fn the_reader_supplies_the_same_end_as_the_writer() {
        for codec in [Codec::Zstd, Codec::Gzip, Codec::None] {
            for batch_bytes in [10, 4_000, 700_000, 1_048_576, 3_000_000] {
                let mut encoder = Encoder::new(Compression { codec, ..Compression::default() });
                let mut tracker = FrameTracker::new(codec);
                for round in 0u8..3 {
                    let raw: Vec<u8> = (0..=250).cycle().take(batch_bytes).map(|byte: u8| byte ^ round).collect();
                    let mut stored = Vec::new();
                    let encoded = encoder.encode(&raw, &mut stored).expect("encodes");
                    let flags = flags(encoded.starts_frame, encoded.ends_frame);
                    assert_eq!(tracker.before(flags), None);
                    for piece in stored.chunks(777) {
                        tracker.payload(piece);
                    }
                    tracker.after(flags);
                }
                assert_eq!(tracker.finish(), encoder.frame_end(), "{codec:?} {batch_bytes}");
            }
        }
    }

    #[test]
    fn a_frame_left_open_is_ended_before_the_next_one() {
        let mut encoder = Encoder::new(Compression { codec: Codec::Gzip, ..Compression::default() });
        let mut tracker = FrameTracker::new(Codec::Gzip);
        let mut stored = Vec::new();
        encoder.encode(b"first", &mut stored).expect("encodes");
        let end = encoder.frame_end();
        tracker.payload(&stored);
        tracker.after(flags(true, false));
        assert_eq!(tracker.before(flags(false, false)), None);
        assert_eq!(tracker.before(flags(true, false)), end);
        assert_eq!(tracker.finish(), None);
    }
}
