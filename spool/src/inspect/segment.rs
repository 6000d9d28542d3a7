//! One file of a spool directory, looked at.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::codec::{Codec, decoder};
use crate::format::segment_header::HeaderError;
use crate::format::tombstone::{TOMBSTONE_BYTES, TOMBSTONE_MAGIC, Tombstone};
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::{LossCause, Losses};
use crate::seal::SealReason;
use crate::segment::file::{Inode, SegmentFile};
use crate::segment::fragment::FragmentTrace;
use crate::segment::scan::{Hole, Scan, ScanError, scan};
use crate::segment::sealed::{DroppedRange, ObjectChunks, SealedSegment};

/// A segment file, or what stands in its place.
#[derive(Debug, Clone)]
pub struct InspectedFile {
    /// Its number, by its name.
    pub segment: SegmentId,
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it holds.
    pub what: What,
}

/// What a file holds.
#[derive(Debug, Clone)]
pub enum What {
    /// Entries.
    Segment(Box<InspectedSegment>),
    /// A declared loss.
    Tombstone(DroppedRange),
    /// It was written by a later version of the format.
    UnknownVersion(u16),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// How far a segment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentState {
    /// A living process appends to it.
    Active,
    /// It has no end: its process is gone.
    Unsealed,
    /// It will not change any more.
    Sealed,
    /// It is delivered, and waits for an older one; its entries are cut off.
    Delivered,
}

impl SegmentState {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Unsealed => "unsealed",
            Self::Sealed => "sealed",
            Self::Delivered => "delivered",
        }
    }
}

/// A segment file with an intact header.
#[derive(Debug, Clone)]
pub struct InspectedSegment {
    /// The spool and the number that stand in its header.
    pub says: (SpoolId, SegmentId),
    /// How far it has come.
    pub state: SegmentState,
    /// Number of its first record, whether or not it holds any.
    pub first: Seqno,
    /// Number behind everything that it tells of.
    pub next: Seqno,
    /// Intact records.
    pub records: u64,
    /// Bytes of their lines before compression.
    pub raw_bytes: u64,
    /// Bytes of the objects that they make.
    pub object_bytes: u64,
    /// Objects that they make: one, unless it is damaged.
    pub objects: usize,
    /// How they are compressed.
    pub codec: Codec,
    /// How their lines are written.
    pub line_format: u8,
    /// Why it was sealed, if it was.
    pub reason: Option<SealReason>,
    /// Numbers that it has taken and does not hold: damage, or refused and not declared elsewhere yet.
    pub lost: Vec<DroppedRange>,
    /// Bytes at its end that are no whole entry.
    pub torn_bytes: u64,
    /// Totals of what the spool had lost; `None` if both state slots are damaged.
    pub losses: Option<Losses>,
    /// Whether its last record is the end of the stream, or the stream had ended before it.
    pub ended: bool,
    /// What it tells of fragments.
    pub(super) fragments: FragmentTrace,
}

impl InspectedFile {
    pub(super) fn look(segment: SegmentId, path: &Path, is_active: bool) -> io::Result<Self> {
        let file: Arc<dyn SegmentFile> = Arc::new(ReadOnly::Open(File::open(path)?));
        let what = match look_inside(segment, &file, is_active) {
            Ok(What::Segment(mut segment)) => {
                if let Some(pending) = &mut segment.fragments.pending {
                    *pending = pending.clone().in_file(Arc::new(ReadOnly::Named(path.to_owned())));
                }
                What::Segment(segment)
            }
            Ok(what) => what,
            Err(ScanError::Header(HeaderError::UnknownVersion(version))) => What::UnknownVersion(version),
            Err(error) => What::Unreadable(error.to_string()),
        };
        Ok(Self { segment, path: path.to_owned(), bytes: file.length()?, what })
    }

    /// The segment, if it is one with an intact header.
    pub fn segment(&self) -> Option<&InspectedSegment> {
        match &self.what {
            What::Segment(segment) => Some(segment),
            _ => None,
        }
    }

    /// First number, and the number behind the last, of what it tells of.
    pub fn range(&self) -> Option<(Seqno, Seqno)> {
        match &self.what {
            What::Segment(segment) => Some((segment.first, segment.next)),
            What::Tombstone(range) => Some((range.first, Seqno(range.last.0 + 1))),
            What::UnknownVersion(_) | What::Unreadable(_) => None,
        }
    }

    /// Writes its intact lines, in order, as they were before compression. Nothing for what is no segment.
    ///
    /// The file is opened anew: of one that is being appended to, these are the lines of now.
    pub fn write_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.segment().is_none() {
            return Ok(());
        }
        let file: Arc<dyn SegmentFile> = Arc::new(ReadOnly::Open(File::open(&self.path)?));
        let scan = match scan(&file) {
            Ok(scan) => scan,
            Err(ScanError::Io(error)) => return Err(error),
            // A tombstone took its place meanwhile: its lines are gone.
            Err(ScanError::Header(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        for (facts, extent) in scan.runs {
            let codec = facts.codec;
            let object = ObjectReader::new(SealedSegment::new(facts, String::new(), extent).chunks());
            io::copy(&mut decoder(codec, object)?, out)?;
        }
        Ok(())
    }
}

fn look_inside(segment: SegmentId, file: &Arc<dyn SegmentFile>, is_active: bool) -> Result<What, ScanError> {
    let mut head = [0; TOMBSTONE_BYTES];
    if file.read_at(&mut head, 0)? == TOMBSTONE_BYTES && head.starts_with(&TOMBSTONE_MAGIC) {
        return Ok(What::Tombstone(Tombstone::decode(&head)?.into()));
    }
    let scan = scan(file)?;
    Ok(What::Segment(Box::new(InspectedSegment::new(segment, &scan, is_active))))
}

impl InspectedSegment {
    fn new(segment: SegmentId, scan: &Scan, is_active: bool) -> Self {
        let spool = scan.header.spool;
        let lost = |hole: &Hole| DroppedRange {
            spool,
            segment,
            first: hole.first,
            last: hole.last,
            raw_bytes: hole.raw_bytes,
            cause: hole.cause,
            maybe_delivered: false,
        };
        let is_delivered = scan.slot.is_some_and(|slot| slot.delivered);
        Self {
            says: (spool, scan.header.segment),
            state: match scan.closed {
                _ if is_delivered => SegmentState::Delivered,
                Some(_) => SegmentState::Sealed,
                None if is_active => SegmentState::Active,
                None => SegmentState::Unsealed,
            },
            first: scan.header.first_seq,
            next: scan.next_seq,
            records: scan.runs.iter().map(|(facts, _)| facts.records).sum(),
            raw_bytes: scan.runs.iter().map(|(facts, _)| facts.raw_bytes).sum(),
            object_bytes: scan.runs.iter().map(|(facts, _)| facts.object_bytes).sum(),
            objects: scan.runs.len(),
            codec: scan.header.codec,
            line_format: scan.header.line_format,
            reason: scan.closed,
            lost: scan.holes.iter().map(lost).collect(),
            torn_bytes: scan.torn_bytes,
            losses: scan.slot.map(|slot| slot.losses),
            ended: scan.ended || (scan.next_seq == scan.header.first_seq && scan.slot.is_some_and(|slot| slot.ended)),
            fragments: scan.fragments.clone(),
        }
    }

    /// Numbers that it lost to damage.
    pub fn damaged(&self) -> impl Iterator<Item = &DroppedRange> {
        self.lost.iter().filter(|range| range.cause == LossCause::Damage)
    }
}

/// A file that is only looked at.
#[derive(Debug)]
enum ReadOnly {
    Open(File),
    /// It is opened when it is read.
    Named(PathBuf),
}

impl SegmentFile for ReadOnly {
    fn write_all_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Open(file) => read_at(file, buffer, offset),
            Self::Named(path) => read_at(&File::open(path)?, buffer, offset),
        }
    }

    fn truncate(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn length(&self) -> io::Result<u64> {
        match self {
            Self::Open(file) => Ok(file.metadata()?.len()),
            Self::Named(path) => Ok(fs::metadata(path)?.len()),
        }
    }

    fn inode(&self) -> io::Result<Option<Inode>> {
        Ok(None)
    }
}

fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let length = buffer.len();
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(read) => (buffer, offset) = (&mut buffer[read..], offset + read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length - buffer.len())
}

/// The bytes of an object as a stream.
struct ObjectReader {
    chunks: ObjectChunks,
    chunk: Bytes,
}

impl ObjectReader {
    fn new(chunks: ObjectChunks) -> Self {
        Self { chunks, chunk: Bytes::new() }
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.chunks.next().transpose()?.unwrap_or_default();
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
