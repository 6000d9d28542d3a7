//! An object on its way: name, bytes and metadata, all fixed before the first attempt.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use spool::{
    Codec, DroppedRange, Labeler, LossCause, Mark, PendingFragment, SealReason, SealedSegment, SegmentFacts,
    SegmentKey, Seqno, SpoolId, StreamEnd, compress_whole, object_digest,
};

use super::object_key::{self, LineFormat, ObjectKeys};
use super::store::{CHUNK_BYTES_MAX, Chunks, Object, ObjectBody};
use crate::intake::{dropped_line, end_line, fragment_line};

/// The line format of segments by default, as stored in their headers.
pub const LINE_FORMAT_JSON: u8 = LineFormat::Json.code();
/// Version of names, lines and metadata, for readers.
const OBJECT_FORMAT: &str = "1";

/// Names an object among all that wait: ranges of one spool do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutgoingId {
    /// The life that wrote it.
    pub spool: SpoolId,
    /// Number of its first record.
    pub first: Seqno,
}

/// An object on its way.
#[derive(Clone)]
pub struct Outgoing {
    id: OutgoingId,
    key: Arc<str>,
    bytes: u64,
    digest: u64,
    content_type: &'static str,
    metadata: Arc<[(&'static str, String)]>,
    content: Content,
}

/// Where its bytes come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// A sealed segment on disk.
    Segment(SealedSegment),
    /// A declared loss: one line.
    Dropped(SegmentKey, Bytes),
    /// An end that an adopter writes for a life that could not, with what was pending. Computed anew when it is read: a
    /// fragment may be large, and wait for a long time.
    End(Arc<StreamEnd>),
}

impl Outgoing {
    /// The object of a sealed segment.
    pub fn segment(segment: SealedSegment, function_version: &str) -> Self {
        let facts = segment.facts();
        Self {
            id: OutgoingId { spool: facts.spool, first: facts.first },
            key: segment.label().into(),
            bytes: facts.object_bytes,
            digest: facts.digest,
            content_type: content_type(LineFormat::of_code(facts.line_format)),
            metadata: metadata(facts, function_version).into(),
            content: Content::Segment(segment),
        }
    }

    /// A declared loss as an object of its own. Everyone who finds the loss makes the same one.
    pub fn dropped(range: &DroppedRange, keys: &ObjectKeys) -> Self {
        let mut line = Vec::new();
        dropped_line(&mut line, range);
        let facts = object_key::DroppedFacts {
            spool_id: &range.spool.to_string(),
            first: range.first.0,
            last: range.last.0,
            cause: range.cause.name(),
        };
        Self {
            id: OutgoingId { spool: range.spool, first: range.first },
            key: keys.dropped(&facts).into(),
            bytes: line.len() as u64,
            digest: object_digest(&line),
            content_type: content_type(LineFormat::Json),
            metadata: [("logspool-format", OBJECT_FORMAT.to_owned())].into(),
            content: Content::Dropped(range.key(), line.into()),
        }
    }

    /// The end of a stream as an object of its own, with the line of what was pending before it. It is computed from the
    /// orphan's files alone, without a clock, so every adopter makes the same one. Fails if the fragment cannot be read.
    pub fn end(end: StreamEnd, keys: &ObjectKeys) -> io::Result<Self> {
        let bytes = end_object(&end)?;
        let first = end.fragment.as_ref().map_or(end.seq, PendingFragment::seq);
        let facts = object_key::SegmentFacts {
            spool_id: &end.spool.to_string(),
            first: first.0,
            last: end.seq.0,
            digest: object_digest(&bytes),
            partition_ms: end.spool.unix_ms(),
            codec: compression(end.codec),
            format: LineFormat::of_code(end.line_format),
            mark: object_key::Mark::End,
        };
        let mut metadata =
            vec![("logspool-format", OBJECT_FORMAT.to_owned()), ("logspool-seal", "adoption".to_owned())];
        if end.fragment.as_ref().is_some_and(PendingFragment::is_volatile) {
            metadata.push(volatile());
        }
        Ok(Self {
            id: OutgoingId { spool: end.spool, first },
            key: keys.segment(&facts).into(),
            bytes: bytes.len() as u64,
            digest: facts.digest,
            content_type: content_type(LineFormat::of_code(end.line_format)),
            metadata: metadata.into(),
            content: Content::End(end.into()),
        })
    }

    /// Its name among all that wait.
    pub fn id(&self) -> OutgoingId {
        self.id
    }

    /// Its key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The segment, the tombstone or the fragment that it is the object of; none for the end of a stream alone.
    pub fn segment_key(&self) -> Option<SegmentKey> {
        match &self.content {
            Content::Segment(segment) => Some(segment.key()),
            Content::Dropped(key, _) => Some(*key),
            Content::End(end) => end.fragment.as_ref().map(PendingFragment::key),
        }
    }

    /// Why its bytes can no longer be read. Reads all of them.
    pub fn find_loss(&self) -> Option<LossCause> {
        match &self.content {
            Content::Segment(segment) => segment.find_loss(),
            Content::Dropped(..) => None,
            Content::End(end) => end.fragment.as_ref().and_then(PendingFragment::find_loss),
        }
    }

    /// Time of its oldest record, as far as it is known; else of the life that wrote it.
    pub fn oldest_ms(&self) -> i64 {
        match &self.content {
            Content::Segment(segment) => segment.facts().partition_ms,
            Content::Dropped(..) => self.id.spool.unix_ms(),
            Content::End(end) => end.fragment.as_ref().map_or(self.id.spool.unix_ms(), PendingFragment::time_ms),
        }
    }

    /// Whether it holds the last words of an invocation that failed, or of a life that did not end in order.
    pub fn is_urgent(&self) -> bool {
        match &self.content {
            Content::Segment(segment) => matches!(segment.facts().reason, SealReason::Error | SealReason::Adoption),
            Content::Dropped(..) => false,
            Content::End(end) => end.fragment.is_some(),
        }
    }

    /// What a store is given.
    pub fn object(&self) -> Object<'_> {
        Object {
            key: &self.key,
            bytes: self.bytes,
            crc64_nvme: self.digest,
            content_type: self.content_type,
            metadata: &self.metadata,
            body: &self.content,
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("key", &self.key).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl ObjectBody for Content {
    fn chunks(&self) -> Chunks {
        match self {
            Self::Segment(segment) => Box::new(segment.chunks()),
            Self::Dropped(_, bytes) => Box::new(pieces(bytes.clone())),
            Self::End(end) => match end_object(end) {
                Ok(bytes) => Box::new(pieces(bytes.into())),
                Err(error) => Box::new(std::iter::once(Err(error))),
            },
        }
    }
}

fn pieces(mut rest: Bytes) -> impl Iterator<Item = io::Result<Bytes>> + Send {
    std::iter::from_fn(move || {
        let next = rest.split_to(rest.len().min(CHUNK_BYTES_MAX));
        (!next.is_empty()).then_some(Ok(next))
    })
}

/// Names segments for the spool: the key is a function of the segment's facts and the settings alone.
pub fn labeler(keys: ObjectKeys) -> Labeler {
    Arc::new(move |facts: &SegmentFacts| {
        keys.segment(&object_key::SegmentFacts {
            spool_id: &facts.spool.to_string(),
            first: facts.first.0,
            last: facts.last.0,
            digest: facts.digest,
            partition_ms: facts.partition_ms,
            codec: compression(facts.codec),
            format: LineFormat::of_code(facts.line_format),
            mark: match facts.mark {
                Mark::Whole => object_key::Mark::None,
                Mark::End => object_key::Mark::End,
                Mark::Cut => object_key::Mark::Cut,
            },
        })
    })
}

/// User metadata: less than 2 KB by far. None of it is needed to read an object.
fn metadata(facts: &SegmentFacts, function_version: &str) -> Vec<(&'static str, String)> {
    let mut metadata = vec![
        ("logspool-format", OBJECT_FORMAT.to_owned()),
        ("logspool-first", facts.first.to_string()),
        ("logspool-last", facts.last.to_string()),
        ("logspool-records", facts.records.to_string()),
        ("logspool-raw-bytes", facts.raw_bytes.to_string()),
        ("logspool-seal", facts.reason.name().to_owned()),
        ("logspool-function-version", printable(function_version)),
    ];
    let (records, bytes) = facts.platform_drops;
    if (records, bytes) != (0, 0) {
        metadata.push(("logspool-platform-drops", format!("{records} records, {bytes} bytes")));
    }
    if facts.volatile {
        metadata.push(volatile());
    }
    metadata
}

fn volatile() -> (&'static str, String) {
    ("logspool-volatile", "true".to_owned())
}

fn end_object(end: &StreamEnd) -> io::Result<Vec<u8>> {
    let (format, mut lines) = (LineFormat::of_code(end.line_format), Vec::new());
    if let Some(fragment) = &end.fragment {
        fragment_line(&mut lines, format, fragment, &fragment.read()?);
    }
    end_line(&mut lines, format, end.seq.0, &end.losses, end.unknown_tail);
    Ok(compress_whole(end.codec, &lines))
}

/// Header values are printable ASCII.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(64).collect()
}

fn content_type(format: LineFormat) -> &'static str {
    match format {
        LineFormat::Json => "application/x-ndjson",
        LineFormat::Text | LineFormat::Raw => "text/plain",
    }
}

fn compression(codec: Codec) -> object_key::Compression {
    match codec {
        Codec::None => object_key::Compression::None,
        Codec::Zstd => object_key::Compression::Zstd,
        Codec::Gzip => object_key::Compression::Gzip,
    }
}
