//! Arbitrary bytes as the files of an orphan, opened and adopted.
//!
//! Three kinds of files. *Raw* and *mended* ones were never written by a spool: adoption must not panic, and what it finds must
//! be readable and consistent. *Damaged* ones were: beyond that, every line that is found must be the line of its number,
//! and nothing between two known numbers may be missing without being declared.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};

use super::honest::{NOW_MS, batch, compression, config, identity, labeler, line};
use super::object;
use crate::adopt::{Adopted, Orphan, TailBudget};
use crate::codec::Codec;
use crate::format::checksum::Salt;
use crate::format::entry::{EntryFlags, EntryHeader, EntryKind};
use crate::format::meta::{META_BYTES_MAX, Meta};
use crate::format::segment_header::SegmentHeader;
use crate::format::state_slot::{StateSlot, UndeclaredRange};
use crate::format::tombstone::Tombstone;
use crate::id::{SegmentId, Seqno};
use crate::loss::{LossCause, Losses};
use crate::quota::SpoolLimits;
use crate::seal::SealReason;
use crate::segment::file::SegmentFile;
use crate::segment::fragment::Fragment;
use crate::spool::Spool;
use crate::storage::Storage;
use crate::storage::memory::Memory;

const FILES_MAX: usize = 6;
const STEPS_MAX: usize = 40;
const LIFE: u64 = 1;

#[derive(Debug, Arbitrary)]
enum Input {
    Strange(Vec<FileSpec>),
    Damaged(Writing, Vec<Edit>),
}

#[derive(Debug, Arbitrary)]
enum FileSpec {
    Raw(Vec<u8>),
    Tombstone { first: u64, records: u64, cause: u8, maybe_delivered: bool },
    Segment(SegmentSpec),
}

#[derive(Debug, Arbitrary)]
struct SegmentSpec {
    codec: u8,
    first_seq: Number,
    slots: Vec<SlotSpec>,
    entries: Vec<EntrySpec>,
    tail: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
struct SlotSpec {
    generation: u8,
    next_seq: Number,
    lost: u64,
    undeclared: Option<(Number, u64, u64)>,
    cause: u8,
    ended: bool,
    delivered: bool,
}

#[derive(Debug, Arbitrary)]
struct EntrySpec {
    kind: u8,
    flags: u8,
    first_seq: Number,
    count: u16,
    raw_bytes: u32,
    meta: Vec<u8>,
    payload: Vec<u8>,
    /// Otherwise the checksum of the payload does not match.
    intact: bool,
    /// Bytes that are no entry in front of it.
    before: Vec<u8>,
}

/// A number relative to the one that would follow, or any.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Number {
    Next,
    Later(u8),
    Any(u64),
}

impl Number {
    fn from(self, next: u64) -> Seqno {
        Seqno(match self {
            Self::Next => next,
            Self::Later(by) => next.saturating_add(u64::from(by)),
            Self::Any(number) => number,
        })
    }
}

#[derive(Debug, Arbitrary)]
struct Writing {
    codec: u8,
    frame_bytes_max: Option<u16>,
    steps: Vec<Step>,
}

#[derive(Debug, Arbitrary)]
enum Step {
    /// The highest numbers of records mean a fragment, or a line that completes one.
    Append {
        records: u8,
        width: u8,
    },
    Seal,
    Refuse(u8),
}

/// Damage that a checksum is certain to see, or all but: a fuzzer that may write what it likes forges checksums.
#[derive(Debug, Arbitrary)]
enum Edit {
    Flip { file: u8, at: u16, bit: u8 },
    Zero { file: u8, at: u16, length: u8 },
    Truncate { file: u8, to: u16 },
    Remove { file: u8 },
}

/// Input: a structure by `arbitrary`.
pub fn segment_read(data: &[u8]) {
    match Input::arbitrary_take_rest(Unstructured::new(data)) {
        Ok(Input::Strange(files)) => strange(&files),
        Ok(Input::Damaged(writing, edits)) => damaged(&writing, &edits),
        Err(_) => {}
    }
}

fn strange(specs: &[FileSpec]) {
    let mut next_seq = 0;
    let files: Vec<_> = specs.iter().take(FILES_MAX).zip(0..).collect();
    let files = files.into_iter().map(|(spec, index)| (SegmentId(index), spec.bytes(SegmentId(index), &mut next_seq)));
    if let Some(adopted) = adopt(files.collect()) {
        drained(adopted);
    }
}

/// Opens and adopts files; `None` if they are left to a later version.
fn adopt(files: Vec<(SegmentId, Vec<u8>)>) -> Option<Adopted> {
    let memory = Memory::new(u64::MAX);
    let mut handles: Vec<(SegmentId, Arc<dyn SegmentFile>)> = Vec::new();
    for (segment, bytes) in files {
        let file = memory.create_segment(segment).expect("a new file");
        file.write_all_at(&bytes, 0).expect("memory has room");
        handles.push((segment, file));
    }
    let orphan = Orphan::handed_over(identity(LIFE).id, None, handles);
    let _ = orphan.tail(&mut TailBudget::new(u64::MAX, &|| false));
    let adopted = orphan.adopt(&labeler()).ok()?;
    consistent(&adopted);
    Some(adopted)
}

/// What must hold of every adoption.
fn consistent(adopted: &Adopted) {
    let mut by_file: BTreeMap<SegmentId, Vec<(Seqno, Seqno)>> = BTreeMap::new();
    for segment in adopted.segments() {
        let facts = segment.facts();
        assert!(facts.records > 0, "{segment:?} holds nothing");
        object::read(segment);
        by_file.entry(facts.segment).or_default().push((facts.first, facts.last));
    }
    for ranges in by_file.values_mut() {
        ranges.sort_unstable();
        assert!(ranges.iter().all(|(first, last)| first <= last), "{ranges:?} run backwards");
        assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?} overlap");
    }
    for range in adopted.dropped() {
        assert!(range.first <= range.last, "{range:?} runs backwards");
        assert!(range.records() > 0);
    }
}

/// Whoever delivers everything is done.
fn drained(mut adopted: Adopted) {
    let objects = adopted.segments().iter().map(crate::segment::sealed::SealedSegment::key);
    let keys: Vec<_> = objects.chain(adopted.dropped().iter().map(|range| range.key())).collect();
    for key in keys {
        adopted.delivered(&key).expect("memory does not fail");
    }
    assert!(adopted.is_drained(), "everything was delivered");
    adopted.finish().expect("memory does not fail");
}

impl FileSpec {
    fn bytes(&self, segment: SegmentId, next_seq: &mut u64) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.clone(),
            Self::Tombstone { first, records, cause, maybe_delivered } => {
                *next_seq = first.saturating_add(*records);
                let tombstone = Tombstone {
                    spool: identity(LIFE).id,
                    segment,
                    first: Seqno(*first),
                    records: *records,
                    bytes: 1,
                    time_ms: NOW_MS,
                    cause: cause_of(*cause),
                    maybe_delivered: *maybe_delivered,
                };
                tombstone.encode().to_vec()
            }
            Self::Segment(spec) => spec.bytes(segment, next_seq),
        }
    }
}

impl SegmentSpec {
    fn bytes(&self, segment: SegmentId, next_seq: &mut u64) -> Vec<u8> {
        let salt = Salt(segment.0);
        let header = SegmentHeader {
            codec: [Codec::None, Codec::Zstd, Codec::Gzip][usize::from(self.codec % 3)],
            line_format: 0,
            spool: identity(LIFE).id,
            segment,
            first_seq: self.first_seq.from(*next_seq),
            opened_ms: NOW_MS,
            salt,
        };
        *next_seq = header.first_seq.0;
        let mut bytes = header.encode().to_vec();
        bytes.resize(512, 0);
        let mut entries = Vec::new();
        for entry in self.entries.iter().take(STEPS_MAX) {
            entry.write(salt, next_seq, &mut entries);
        }
        for spec in self.slots.iter().take(2) {
            let slot = spec.slot(*next_seq);
            let at = usize::try_from(StateSlot::offset(slot.generation)).expect("within the header");
            let slot = slot.encode(salt);
            bytes[at..at + slot.len()].copy_from_slice(&slot);
        }
        bytes.extend_from_slice(&entries);
        bytes.extend_from_slice(&self.tail);
        bytes
    }
}

impl SlotSpec {
    fn slot(&self, next_seq: u64) -> StateSlot {
        let mut losses = Losses::default();
        losses.add(cause_of(self.cause), self.lost, self.lost);
        let undeclared = self.undeclared.map(|(first, records, bytes)| UndeclaredRange {
            first: first.from(next_seq),
            records,
            bytes,
            time_ms: NOW_MS,
            cause: cause_of(self.cause),
        });
        StateSlot {
            generation: u64::from(self.generation),
            next_seq: self.next_seq.from(next_seq),
            losses,
            undeclared,
            ended: self.ended,
            delivered: self.delivered,
        }
    }
}

impl EntrySpec {
    fn write(&self, salt: Salt, next_seq: &mut u64, out: &mut Vec<u8>) {
        let meta = &self.meta[..self.meta.len().min(META_BYTES_MAX)];
        let flag = |bit: u8| self.flags & bit != 0;
        let header = EntryHeader {
            kind: [EntryKind::Data, EntryKind::Data, EntryKind::Fragment, EntryKind::Close][usize::from(self.kind % 4)],
            flags: EntryFlags { starts_frame: flag(1), ends_frame: flag(2), end: flag(4), resolves: flag(8) },
            meta_bytes: u16::try_from(meta.len()).expect("at most 4 KiB"),
            payload_bytes: u32::try_from(self.payload.len()).expect("small"),
            raw_bytes: self.raw_bytes,
            body_bytes: 0,
            count: u32::from(self.count),
            first_seq: self.first_seq.from(*next_seq),
            time_ms: NOW_MS,
            body_hash: 0,
            payload_crc: salt.crc32c(&[&self.payload]) ^ u32::from(!self.intact),
        };
        *next_seq = header.first_seq.0.saturating_add(u64::from(header.count));
        out.extend_from_slice(&self.before);
        out.extend_from_slice(&header.encode(salt, meta));
        out.extend_from_slice(meta);
        out.extend_from_slice(&self.payload);
    }
}

fn cause_of(code: u8) -> LossCause {
    LossCause::ALL[usize::from(code) % LossCause::ALL.len()]
}

fn damaged(writing: &Writing, edits: &[Edit]) {
    let Written { memory, lines, fragments } = write(writing);
    let mut files: Vec<_> = memory.files().iter().map(|(segment, file)| (*segment, contents(file.as_ref()))).collect();
    for edit in edits.iter().take(STEPS_MAX) {
        edit.apply(&mut files);
    }
    if let Some(adopted) = adopt(files) {
        truthful(&adopted, &lines, &fragments);
        drained(adopted);
    }
}

/// A spool on memory and what it acknowledged.
struct Written {
    memory: Memory,
    /// By number; `None` was refused.
    lines: Vec<Option<Vec<u8>>>,
    fragments: Vec<Vec<u8>>,
}

fn write(writing: &Writing) -> Written {
    let memory = Memory::new(u64::MAX);
    let limits = SpoolLimits { bytes_max: Some(u64::MAX), keep_free_bytes: 0, ..SpoolLimits::default() };
    let config = config(compression(writing.codec, writing.frame_bytes_max), limits);
    let mut spool =
        Spool::create_on(Box::new(memory.clone()), config, identity(LIFE), NOW_MS).expect("memory has room");
    let (mut lines, mut fragments) = (Vec::new(), Vec::new());
    for step in writing.steps.iter().take(STEPS_MAX) {
        match step {
            Step::Append { records: 240.., width } => {
                let bytes = line(LIFE, u64::MAX - fragments.len() as u64, *width);
                let meta = Meta { resolves: spool.pending_fragment(), ..Meta::default() };
                let fragment = Fragment { bytes: &bytes, line_ms: None, body_bytes: 0, body_hash: 0, meta: &meta };
                spool.append_fragment(&fragment, NOW_MS).expect("memory has room");
                fragments.push(bytes);
            }
            Step::Append { records: step_records, width } => {
                let new: Vec<_> =
                    (0..u64::from(*step_records % 8)).map(|n| line(LIFE, lines.len() as u64 + n, *width)).collect();
                let records = u32::try_from(new.len()).expect("at most 7");
                let resolves = spool.pending_fragment().filter(|_| *step_records >= 224);
                let meta = Meta { resolves, ..Meta::default() };
                spool.append(&batch(&new.concat(), records, &meta, false), NOW_MS).expect("memory has room");
                lines.extend(new.into_iter().map(Some));
            }
            Step::Seal => {
                spool.seal(SealReason::Size, NOW_MS).expect("memory has room");
            }
            Step::Refuse(records) => {
                spool.refuse(u64::from(*records), 1, NOW_MS).expect("memory has room");
                lines.extend((0..*records).map(|_| None));
            }
        }
    }
    Written { memory, lines, fragments }
}

fn contents(file: &dyn SegmentFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.length().expect("memory")).expect("small")];
    file.read_at(&mut bytes, 0).expect("memory does not fail");
    bytes
}

impl Edit {
    fn apply(&self, files: &mut Vec<(SegmentId, Vec<u8>)>) {
        let (Self::Flip { file, .. } | Self::Zero { file, .. } | Self::Truncate { file, .. } | Self::Remove { file }) =
            self;
        let index = usize::from(*file);
        if let Self::Remove { .. } = self
            && index < files.len()
        {
            files.remove(index);
            return;
        }
        let Some((_, bytes)) = files.get_mut(index) else { return };
        match *self {
            Self::Flip { at, bit, .. } => {
                if let Some(byte) = bytes.get_mut(usize::from(at)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Zero { at, length, .. } => {
                bytes.iter_mut().skip(usize::from(at)).take(usize::from(length)).for_each(|byte| *byte = 0);
            }
            Self::Truncate { to, .. } => bytes.truncate(usize::from(to)),
            Self::Remove { .. } => {}
        }
    }
}

/// What was found of a true spool is true, and what was not found between two known numbers is declared.
fn truthful(adopted: &Adopted, lines: &[Option<Vec<u8>>], fragments: &[Vec<u8>]) {
    if let Some(fragment) = adopted.end().and_then(|end| end.fragment.as_ref()) {
        assert!(fragments.contains(&fragment.read().expect("memory does not fail")), "{fragment:?} never was");
    }
    let mut known = vec![false; lines.len()];
    let mut learn = |first: Seqno, last: Seqno| {
        for seq in first.0..=last.0 {
            let known = &mut known[usize::try_from(seq).expect("a number that was given")];
            assert!(!std::mem::replace(known, true), "{seq} was told twice");
        }
    };
    for segment in adopted.segments() {
        let facts = segment.facts();
        learn(facts.first, facts.last);
        let numbers = usize::try_from(facts.first.0).expect("small")..=usize::try_from(facts.last.0).expect("small");
        let expected: Vec<u8> =
            lines[numbers].iter().flat_map(|line| line.as_deref().expect("was acknowledged").to_vec()).collect();
        assert!(object::decoded(facts.codec, &object::read(segment)) == expected, "lines of {segment:?}");
    }
    let behind = Seqno(lines.len() as u64);
    for range in adopted.dropped() {
        // The number of a fragment that is damaged.
        let is_fragment = !fragments.is_empty() && range.first == behind && range.last == behind;
        if !is_fragment {
            learn(range.first, range.last);
        }
    }
    let first = known.iter().position(|known| *known).unwrap_or(0);
    let behind = known.iter().rposition(|known| *known).map_or(0, |last| last + 1);
    assert!(known[first.min(behind)..behind].iter().all(|known| *known), "a hole is not declared: {known:?}");
}
