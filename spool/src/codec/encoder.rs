//! The writing side of a codec: lines in, whole blocks out.

use flate2::{Compress, Crc, FlushCompress};
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, zstd_sys::ZSTD_EndDirective};

use super::gzip::{MEMBER_HEADER, MEMBER_RAW_BYTES_MAX};
use super::{Codec, Compression, FrameEnd};

/// 128 KiB of history: as good as larger windows on log lines, and a context of 0.9 MiB instead of 1.3.
const ZSTD_WINDOW_LOG: u32 = 17;

/// Compression failed. The context is dropped; the next append begins a new frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("compression failed: {0}")]
pub struct CodecError(String);

/// Where the encoded bytes stand in the stream of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub starts_frame: bool,
    pub ends_frame: bool,
}

/// A compression context and the frame that it is in.
pub(crate) struct Encoder {
    stream: Stream,
    frame_bytes_max: u64,
    /// Raw bytes of the open frame; `None` when no frame is open.
    open_raw_bytes: Option<u64>,
}

enum Stream {
    Plain,
    Zstd(Box<CCtx<'static>>),
    Gzip(Box<Gzip>),
}

struct Gzip {
    deflate: Compress,
    crc: Crc,
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Self {
        let level =
            compression.codec.levels().map_or(0, |levels| compression.level.clamp(*levels.start(), *levels.end()));
        let (stream, frame_bytes_max) = match compression.codec {
            Codec::None => (Stream::Plain, u64::MAX),
            Codec::Zstd => (Stream::Zstd(zstd_context(level)), compression.frame_bytes_max.unwrap_or(u64::MAX).max(1)),
            Codec::Gzip => {
                let level = flate2::Compression::new(level.unsigned_abs());
                let gzip = Gzip { deflate: Compress::new(level, false), crc: Crc::new() };
                (Stream::Gzip(Box::new(gzip)), MEMBER_RAW_BYTES_MAX)
            }
        };
        Self { stream, frame_bytes_max, open_raw_bytes: None }
    }

    /// Appends the compressed form of `raw`, ended by a flush. On an error `out` holds bytes that must not be used.
    pub(crate) fn encode(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<Encoded, CodecError> {
        if raw.is_empty() {
            return Ok(Encoded::default());
        }
        let starts_frame = self.open_raw_bytes.is_none();
        let result = self.encode_frames(raw, out);
        if result.is_err() {
            self.abandon_frame();
        }
        result?;
        if matches!(self.stream, Stream::Plain) {
            // Without compression every entry can be read alone.
            self.abandon_frame();
            return Ok(Encoded { starts_frame: true, ends_frame: true });
        }
        Ok(Encoded { starts_frame, ends_frame: self.open_raw_bytes.is_none() })
    }

    fn encode_frames(&mut self, mut raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        while !raw.is_empty() {
            if self.open_raw_bytes.is_none() {
                self.stream.begin_frame(out)?;
            }
            let used = self.open_raw_bytes.unwrap_or(0);
            let room = usize::try_from(self.frame_bytes_max - used).unwrap_or(usize::MAX);
            let (piece, rest) = raw.split_at(raw.len().min(room));
            self.stream.compress(piece, out)?;
            self.open_raw_bytes = Some(used + piece.len() as u64);
            if piece.len() == room {
                let end = self.frame_end().expect("a frame is open");
                out.extend_from_slice(end.as_slice());
                self.abandon_frame();
            }
            raw = rest;
        }
        Ok(())
    }

    /// What completes the open frame; `None` when none is open or the codec has no frames.
    pub(crate) fn frame_end(&self) -> Option<FrameEnd> {
        self.open_raw_bytes?;
        match &self.stream {
            Stream::Plain => None,
            Stream::Zstd(_) => Some(FrameEnd::ZSTD),
            Stream::Gzip(gzip) => Some(FrameEnd::gzip(gzip.crc.sum(), gzip.crc.amount())),
        }
    }

    /// Forgets the open frame: what is appended next begins a new one. Called when a segment is sealed, and after a failed
    /// write, since the bytes that did not reach the disk are part of the context's history.
    pub(crate) fn abandon_frame(&mut self) {
        self.open_raw_bytes = None;
    }
}

impl Stream {
    fn begin_frame(&mut self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Plain => {}
            Self::Zstd(context) => {
                context.reset(ResetDirective::SessionOnly).map_err(zstd_error)?;
            }
            Self::Gzip(gzip) => {
                gzip.deflate.reset();
                gzip.crc.reset();
                out.extend_from_slice(&MEMBER_HEADER);
            }
        }
        Ok(())
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Plain => out.extend_from_slice(raw),
            Self::Zstd(context) => compress_zstd(context, raw, out)?,
            Self::Gzip(gzip) => gzip.compress(raw, out)?,
        }
        Ok(())
    }
}

fn zstd_context(level: i32) -> Box<CCtx<'static>> {
    let mut context = CCtx::create();
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(ZSTD_WINDOW_LOG),
        CParameter::ChecksumFlag(false),
        CParameter::ContentSizeFlag(false),
    ] {
        context.set_parameter(parameter).expect("the parameters are constants within zstd's bounds");
    }
    Box::new(context)
}

fn compress_zstd(context: &mut CCtx<'static>, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut input = InBuffer::around(raw);
    out.reserve(zstd_safe::compress_bound(raw.len()));
    loop {
        let filled = out.len();
        let mut output = OutBuffer::around_pos(out, filled);
        let left =
            context.compress_stream2(&mut output, &mut input, ZSTD_EndDirective::ZSTD_e_flush).map_err(zstd_error)?;
        if left == 0 && input.pos() == raw.len() {
            return Ok(());
        }
        out.reserve(left.max(1024));
    }
}

fn zstd_error(code: zstd_safe::ErrorCode) -> CodecError {
    CodecError(zstd_safe::get_error_name(code).to_owned())
}

impl Gzip {
    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let before = self.deflate.total_in();
        loop {
            let done = usize::try_from(self.deflate.total_in() - before).expect("not more than was given");
            out.reserve((raw.len() - done) / 2 + 1024);
            self.deflate
                .compress_vec(&raw[done..], out, FlushCompress::Sync)
                .map_err(|error| CodecError(error.to_string()))?;
            let consumed = self.deflate.total_in() - before == raw.len() as u64;
            // A flush is complete when it left room in the output.
            if consumed && out.len() < out.capacity() {
                self.crc.update(raw);
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decoded(codec: Codec, bytes: &[u8]) -> Vec<u8> {
        let mut raw = Vec::new();
        match codec {
            Codec::None => raw.extend_from_slice(bytes),
            Codec::Gzip => {
                flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut raw).expect("complete gzip");
            }
            Codec::Zstd => {
                // ruzstd is an independent implementation; it decodes one frame at a time.
                let mut rest = bytes;
                while !rest.is_empty() {
                    let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut rest).expect("a frame");
                    frame.read_to_end(&mut raw).expect("complete zstd");
                }
            }
        }
        raw
    }

    fn lines(seed: u64, bytes: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lines = Vec::new();
        while lines.len() < bytes {
            lines.extend_from_slice(format!("{{\"level\":\"INFO\",\"id\":{}}}\n", rng.u64(..)).as_bytes());
        }
        lines.truncate(bytes);
        lines
    }

    fn all() -> [Compression; 4] {
        let zstd = Compression::default();
        [
            zstd,
            Compression { frame_bytes_max: Some(10_000), ..zstd },
            Compression { codec: Codec::Gzip, level: 6, ..zstd },
            Compression { codec: Codec::None, ..zstd },
        ]
    }

    #[test]
    fn every_prefix_of_appends_is_complete_with_its_frame_end() {
        for compression in all() {
            let mut encoder = Encoder::new(compression);
            let (mut raw, mut stored) = (Vec::new(), Vec::new());
            for (seed, size) in [1usize, 300, 0, 9_000, 70_000, 5, 1_200_000, 17].into_iter().enumerate() {
                let batch = lines(seed as u64, size);
                raw.extend_from_slice(&batch);
                encoder.encode(&batch, &mut stored).expect("encodes");
                let mut object = stored.clone();
                object.extend_from_slice(encoder.frame_end().as_ref().map_or(&[][..], FrameEnd::as_slice));
                assert_eq!(decoded(compression.codec, &object).len(), raw.len(), "{compression:?} at {size}");
                assert!(decoded(compression.codec, &object) == raw);
            }
        }
    }

    #[test]
    fn an_abandoned_frame_can_be_completed_and_the_next_append_begins_another() {
        for compression in all() {
            let mut encoder = Encoder::new(compression);
            let (first, second) = (lines(1, 5_000), lines(2, 5_000));
            let mut object = Vec::new();
            encoder.encode(&first, &mut object).expect("encodes");
            object.extend_from_slice(encoder.frame_end().as_ref().map_or(&[][..], FrameEnd::as_slice));
            encoder.abandon_frame();
            let encoded = encoder.encode(&second, &mut object).expect("encodes");
            assert!(encoded.starts_frame);
            object.extend_from_slice(encoder.frame_end().as_ref().map_or(&[][..], FrameEnd::as_slice));
            assert!(decoded(compression.codec, &object) == [first, second].concat());
        }
    }

    #[test]
    fn frames_are_bounded_where_asked_for() {
        let mut encoder = Encoder::new(Compression { frame_bytes_max: Some(1_000), ..Compression::default() });
        let mut out = Vec::new();
        let encoded = encoder.encode(&lines(1, 999), &mut out).expect("encodes");
        assert_eq!(encoded, Encoded { starts_frame: true, ends_frame: false });
        let encoded = encoder.encode(b"x", &mut out).expect("encodes");
        assert_eq!(encoded, Encoded { starts_frame: false, ends_frame: true });
        assert_eq!(encoder.frame_end(), None);
        let encoded = encoder.encode(&lines(1, 2_001), &mut out).expect("encodes");
        assert_eq!(encoded, Encoded { starts_frame: true, ends_frame: false });
    }

    #[test]
    fn nothing_compresses_to_nothing() {
        for compression in all() {
            let mut out = Vec::new();
            let encoded = Encoder::new(compression).encode(b"", &mut out).expect("encodes");
            assert_eq!((encoded, out.len()), (Encoded::default(), 0));
        }
    }

    #[test]
    fn a_whole_object_is_the_same_from_every_process() {
        for codec in [Codec::None, Codec::Zstd, Codec::Gzip] {
            let object = super::super::compress_whole(codec, b"{\"a\":1}\n");
            assert_eq!(object, super::super::compress_whole(codec, b"{\"a\":1}\n"));
            assert_eq!(decoded(codec, &object), b"{\"a\":1}\n");
        }
    }
}
