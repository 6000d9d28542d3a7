//! A sealed segment, or an intact run of a damaged one: facts that never change, and bytes that can be read any number of
//! times.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::file::SegmentFile;
use super::walk::{Step, Walker};
use super::window::WINDOW_BYTES;
use crate::codec::{Codec, FrameEnd};
use crate::format::checksum::{ObjectDigest, Salt};
use crate::format::entry::EntryKind;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::LossCause;
use crate::seal::SealReason;

/// What a name must tell of an object beside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// A whole segment.
    Whole,
    /// A whole segment whose last line is the end of the stream.
    End,
    /// A run of a segment that is damaged elsewhere.
    Cut,
}

/// The facts of a sealed segment. All of them are fixed when it is sealed, and the same for everyone who computes them
/// from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFacts {
    /// The life that wrote it.
    pub spool: SpoolId,
    /// Its number.
    pub segment: SegmentId,
    /// Number of its first record.
    pub first: Seqno,
    /// Number of its last record.
    pub last: Seqno,
    /// Number of records, at least 1.
    pub records: u64,
    /// Bytes of its lines before compression.
    pub raw_bytes: u64,
    /// Bytes of the object.
    pub object_bytes: u64,
    /// CRC-64/NVME of the object.
    pub digest: u64,
    /// Time of its first entry with a record, Unix time in milliseconds: its UTC hour is the partition.
    pub partition_ms: i64,
    /// How the object is compressed.
    pub codec: Codec,
    /// How its lines are written; the meaning belongs to the caller.
    pub line_format: u8,
    /// Why it was sealed. The only fact that an adopter may see differently (as `Adoption`).
    pub reason: SealReason,
    /// What its name must tell.
    pub mark: Mark,
    /// Records and bytes that the sender declared as dropped while the segment was active.
    pub platform_drops: (u64, u64),
    /// It was held in memory only: had the process been killed, it would be lost.
    pub volatile: bool,
}

/// What identifies an object within everything that waits to be uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// The life that wrote it.
    pub spool: SpoolId,
    /// The segment.
    pub segment: SegmentId,
    /// Number of its first record; tells runs of one damaged segment apart.
    pub first: Seqno,
}

/// Records that are lost, and declared to be: they leave as a name and a line of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DroppedRange {
    /// The life that numbered them.
    pub spool: SpoolId,
    /// The file that tells of them, or that they were in.
    pub segment: SegmentId,
    /// First lost number.
    pub first: Seqno,
    /// Last lost number.
    pub last: Seqno,
    /// Bytes of their lines before compression, as far as is known.
    pub raw_bytes: u64,
    /// Why.
    pub cause: LossCause,
    /// An upload had begun: they may be where they should be.
    pub maybe_delivered: bool,
}

impl DroppedRange {
    /// How many numbers.
    pub fn records(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }

    /// What tells it from everything else that waits.
    pub fn key(&self) -> SegmentKey {
        SegmentKey { spool: self.spool, segment: self.segment, first: self.first }
    }
}

/// A segment that will not change any more.
#[derive(Clone)]
pub struct SealedSegment {
    facts: SegmentFacts,
    label: Arc<str>,
    extent: Extent,
}

/// Where the bytes of an object lie.
#[derive(Clone)]
pub(crate) struct Extent {
    pub file: Arc<dyn SegmentFile>,
    pub salt: Salt,
    /// Offset of the first entry.
    pub start: u64,
    /// Offset behind the last entry.
    pub end: u64,
    /// Frame ends that the reader supplies, each with the offset of the entry that it goes before (or `end`), in order.
    pub frame_ends: Vec<(u64, FrameEnd)>,
}

impl SealedSegment {
    pub(crate) fn new(facts: SegmentFacts, label: String, extent: Extent) -> Self {
        Self { facts, label: label.into(), extent }
    }

    /// Its facts.
    pub fn facts(&self) -> &SegmentFacts {
        &self.facts
    }

    /// What the caller named it when it was sealed.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What tells it from every other one.
    pub fn key(&self) -> SegmentKey {
        SegmentKey { spool: self.facts.spool, segment: self.facts.segment, first: self.facts.first }
    }

    /// Frees its blocks at once: its name is gone, and whoever waits to read it holds it.
    pub(crate) fn discard(&self) {
        self.extent.file.discard();
    }

    /// Reads the whole object and tells why its bytes are lost. `None` if they are all there, or if it cannot be told now:
    /// the process may be short of descriptors.
    pub fn find_loss(&self) -> Option<LossCause> {
        let mut digest = ObjectDigest::new();
        for chunk in self.chunks() {
            match chunk {
                Ok(bytes) => digest.update(&bytes),
                Err(error) => return cause_of(&error),
            }
        }
        (digest.value() != self.facts.digest).then_some(LossCause::Damage)
    }

    /// The bytes of the object, from the beginning, in pieces of about 64 KiB.
    ///
    /// Reads through the descriptor that was kept, so it works although the file may have been removed. Every payload is
    /// verified; a piece of damaged bytes may have been handed out before the error comes, and no piece comes behind it.
    pub fn chunks(&self) -> ObjectChunks {
        let Extent { file, salt, start, end, frame_ends } = self.extent.clone();
        ObjectChunks {
            walker: Walker::new(file, salt, start, end),
            end,
            frame_ends: frame_ends.into(),
            ready: VecDeque::new(),
            partial: BytesMut::new(),
            finished: false,
        }
    }
}

impl fmt::Debug for SealedSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSegment").field("facts", &self.facts).field("label", &self.label).finish_non_exhaustive()
    }
}

/// The bytes of an object, piece by piece. See [`SealedSegment::chunks`].
pub struct ObjectChunks {
    walker: Walker,
    end: u64,
    frame_ends: VecDeque<(u64, FrameEnd)>,
    ready: VecDeque<Bytes>,
    partial: BytesMut,
    finished: bool,
}

impl Iterator for ObjectChunks {
    type Item = io::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.finished {
            if let Err(error) = self.advance() {
                self.finished = true;
                self.partial.clear();
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

impl ObjectChunks {
    /// Takes one entry. A payload is larger than a piece only if its body was: at most one payload is held.
    fn advance(&mut self) -> io::Result<()> {
        match self.walker.step()? {
            Step::Entry { at, header, .. } => {
                self.supply_frame_ends(at);
                if header.kind == EntryKind::Data && header.payload_bytes > 0 {
                    let (partial, ready) = (&mut self.partial, &mut self.ready);
                    let intact = self.walker.payload(at, &header, |bytes| put(partial, ready, bytes))?;
                    if !intact {
                        return Err(damaged(at));
                    }
                }
                Ok(())
            }
            Step::End { at, torn_bytes: 0 } if at == self.end => {
                self.supply_frame_ends(self.end);
                if !self.partial.is_empty() {
                    self.ready.push_back(self.partial.split().freeze());
                }
                self.finished = true;
                Ok(())
            }
            Step::Damaged { at, .. } | Step::End { at, .. } => Err(damaged(at)),
        }
    }

    fn supply_frame_ends(&mut self, at: u64) {
        while let Some((_, frame_end)) = self.frame_ends.pop_front_if(|(before, _)| *before <= at) {
            put(&mut self.partial, &mut self.ready, frame_end.as_slice());
        }
    }
}

fn put(partial: &mut BytesMut, ready: &mut VecDeque<Bytes>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        if partial.capacity() == 0 {
            partial.reserve(WINDOW_BYTES);
        }
        let (now, later) = bytes.split_at(bytes.len().min(WINDOW_BYTES - partial.len()));
        partial.extend_from_slice(now);
        if partial.len() == WINDOW_BYTES {
            ready.push_back(std::mem::take(partial).freeze());
        }
        bytes = later;
    }
}

/// What became of bytes that cannot be read; `None` if nothing is known of them: the process may be short of descriptors.
pub(crate) fn cause_of(error: &io::Error) -> Option<LossCause> {
    match error.kind() {
        io::ErrorKind::NotFound => Some(LossCause::Vanished),
        io::ErrorKind::InvalidData => Some(LossCause::Damage),
        // A bad sector.
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Some(LossCause::Damage),
        _ => None,
    }
}

fn damaged(at: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the entry at byte {at} is damaged"))
}
