//! What was acknowledged, and what became of it, by spool and number. The plain truth that spools are held against.
//!
//! Every line can be told from its spool and its number alone, so nothing has to be remembered to know that a delivered line
//! is the one that was stored.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

pub mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use spool::{
    Adopted, AppendError, Batch, Codec, Compression, DroppedRange, Fragment, FragmentId, Identity, Labeler, LossCause,
    Meta, SealedSegment, SegmentFacts, SegmentKey, Seqno, Spool, SpoolConfig, SpoolEvent, SpoolId, SpoolLimits,
    StreamEnd, find_orphans,
};

pub const NOW: i64 = 1_790_000_000_000;

/// The n-th life of a test.
pub fn identity(life: u32) -> Identity {
    Identity { id: SpoolId::new(NOW + i64::from(life), u128::from(life)), salt_seed: u64::from(life) }
}

pub fn labeler() -> Labeler {
    Arc::new(|facts: &SegmentFacts| {
        format!("{}-{}-{}-{:016x}-{:?}", facts.spool, facts.first, facts.last, facts.digest, facts.mark)
    })
}

/// Limits that leave everything to the test.
pub fn no_limits() -> SpoolLimits {
    SpoolLimits { bytes_max: Some(u64::MAX), keep_free_bytes: 0, ..SpoolLimits::default() }
}

/// Spools below a root, within these limits.
pub fn config(root: &Path, limits: SpoolLimits) -> SpoolConfig {
    SpoolConfig { root: root.into(), compression: Compression::default(), line_format: 0, label: labeler(), limits }
}

/// The line of a number: 40 to 1,000 bytes that compress by half.
pub fn line(spool: SpoolId, seq: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seq.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let noise: String = (0..rng.usize(1..60)).map(|_| format!("{:016x}", rng.u64(..))).collect();
    format!("{spool} {seq} {noise}\n")
}

/// Appends the next lines of a spool.
pub fn append(spool: &mut Spool, records: u32, end: bool, now_ms: i64) -> Result<(), AppendError> {
    append_resolving(spool, records, end, None, now_ms)
}

/// Appends lines that complete a fragment.
pub fn append_resolving(
    spool: &mut Spool,
    records: u32,
    end: bool,
    resolves: Option<FragmentId>,
    now_ms: i64,
) -> Result<(), AppendError> {
    let (id, first) = (spool.id(), spool.next_seq().0);
    let lines: String = (first..first + u64::from(records)).map(|seq| line(id, seq)).collect();
    let meta = Meta { request_id: Some("request".into()), resolves, ..Meta::default() };
    let lines = lines.as_bytes();
    let batch = Batch { lines, records, first_line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta, end };
    spool.append(&batch, now_ms)
}

/// The n-th half of a record in a spool: 100 to 9,000 bytes.
pub fn half(spool: SpoolId, n: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(n);
    let noise: String = (0..rng.usize(1..500)).map(|_| format!("{:016x} ", rng.u64(..))).collect();
    format!("{spool} half {n} {noise}").into_bytes()
}

/// Appends the n-th half, in the place of the one that is pending.
pub fn append_half(spool: &mut Spool, n: u64, now_ms: i64) -> Result<(), AppendError> {
    let meta = Meta { resolves: spool.pending_fragment(), ..Meta::default() };
    let bytes = half(spool.id(), n);
    let fragment = Fragment { bytes: &bytes, line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta };
    spool.append_fragment(&fragment, now_ms).map(drop)
}

/// Which half an end ships, if any.
pub fn shipped_half(end: &StreamEnd) -> Option<u64> {
    let bytes = end.fragment.as_ref()?.read().expect("it can be read");
    let n = std::str::from_utf8(&bytes).ok()?.split(' ').nth(2)?.parse().ok()?;
    assert!(half(end.spool, n) == bytes, "{}: other bytes than were stored", end.spool);
    Some(n)
}

/// The bytes of an object.
fn object(segment: &SealedSegment) -> io::Result<Vec<u8>> {
    let chunks: io::Result<Vec<_>> = segment.chunks().collect();
    Ok(chunks?.concat())
}

/// The lines of an object, read by decoders that are not ours.
fn decode(segment: &SealedSegment, object: Vec<u8>) -> String {
    assert_eq!(object.len() as u64, segment.facts().object_bytes);
    let mut lines = String::new();
    match segment.facts().codec {
        Codec::None => lines = String::from_utf8(object).unwrap(),
        Codec::Gzip => drop(flate2::read::MultiGzDecoder::new(&object[..]).read_to_string(&mut lines).unwrap()),
        Codec::Zstd => {
            let mut rest = &object[..];
            while !rest.is_empty() {
                let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut rest).expect("a frame");
                frame.read_to_string(&mut lines).expect("a whole frame");
            }
        }
    }
    lines
}

/// What a living spool says is to be delivered: objects, and losses.
fn waiting(spool: &mut Spool) -> BTreeMap<SegmentKey, Result<SealedSegment, DroppedRange>> {
    let mut waiting = BTreeMap::new();
    for event in spool.take_events() {
        match event {
            SpoolEvent::Sealed(segment) => drop(waiting.insert(segment.key(), Ok(segment))),
            SpoolEvent::Dropped(range) => drop(waiting.insert(range.key(), Err(range))),
            SpoolEvent::Gone(key) => drop(waiting.remove(&key)),
            SpoolEvent::Drained(..) => {}
        }
    }
    waiting
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// The disk may refuse to remove what is delivered: it is delivered again, then.
    pub disk_fails: bool,
    spools: BTreeMap<SpoolId, Book>,
    /// Delivered objects of spools that were rolled away from and are not adopted yet.
    early: BTreeSet<SegmentKey>,
    /// Adopted spools: what their adopter found takes the place of what they had said themselves.
    adopted: BTreeSet<SpoolId>,
}

#[derive(Debug, Default)]
struct Book {
    acknowledged: BTreeSet<u64>,
    /// By number: the object that it came in.
    delivered: BTreeMap<u64, String>,
    declared: BTreeMap<u64, (LossCause, bool)>,
    /// The number that the end took, or the one behind a last line that was the end.
    end: Option<u64>,
    halves: Halves,
}

/// Halves of records.
#[derive(Debug, Default)]
struct Halves {
    /// The last one that was appended, whether or not that was acknowledged.
    tried: Option<u64>,
    /// The last one that was acknowledged.
    acknowledged: Option<u64>,
    /// The number of a line that was to complete it, whether or not that was acknowledged.
    completing: Option<u64>,
    /// By the end: its number, and which.
    shipped: Option<(u64, u64)>,
}

/// Runs of numbers, for people.
impl std::fmt::Display for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut objects: Vec<_> = self.delivered.values().collect();
        objects.dedup();
        let declared: Vec<_> = self.declared.keys().collect();
        write!(
            f,
            "{} acknowledged; objects {objects:#?}; declared {declared:?}; end {:?}",
            self.acknowledged.len(),
            self.end
        )
    }
}

impl Halves {
    /// What was acknowledged is completed by a line, or shipped by the end: once.
    #[track_caller]
    fn check(&self, spool: SpoolId, is_line: impl Fn(u64) -> bool, acknowledged: &BTreeSet<u64>) {
        let is_completed = self.completing.is_some_and(is_line);
        if let Some((seq, n)) = self.shipped {
            assert!(!is_completed, "{spool}: {n} was completed, and is shipped as {seq}: {self:?}");
            assert!(self.acknowledged == Some(n) || self.tried == Some(n), "{spool}: {n} is shipped: {self:?}");
            let is_told = |number| acknowledged.contains(&number);
            assert!(!self.completing.is_some_and(is_told), "{spool}: {n} was acknowledged as completed: {self:?}");
        }
        let has_come = self.shipped.is_some() || is_completed;
        assert!(has_come || self.acknowledged.is_none(), "{spool}: a half is lost silently: {self:?}");
    }
}

impl Ledger {
    pub fn acknowledge(&mut self, spool: SpoolId, first: u64, records: u64) {
        let book = self.spools.entry(spool).or_default();
        for seq in first..first + records {
            assert!(book.acknowledged.insert(seq), "{spool}: number {seq} was given twice");
        }
    }

    /// Takes an object whose lines have been compared.
    pub fn deliver_range(&mut self, spool: SpoolId, first: u64, last: u64, label: &str) {
        let book = self.spools.entry(spool).or_default();
        for seq in first..=last {
            let other = book.delivered.insert(seq, label.to_owned());
            assert!(
                other.as_deref().is_none_or(|other| other == label),
                "{spool}: number {seq} is in {other:?} and {label}"
            );
        }
        if label.ends_with("End") {
            book.end = Some(last + 1);
        }
    }

    /// Takes an object, or tells why it can never be read again.
    pub fn deliver(&mut self, segment: &SealedSegment) -> Result<(), LossCause> {
        let object = object(segment).map_err(|error| segment.find_loss().unwrap_or_else(|| panic!("{error}")))?;
        let facts = segment.facts();
        let expected: String = (facts.first.0..=facts.last.0).map(|seq| line(facts.spool, seq)).collect();
        assert!(decode(segment, object) == expected, "{}: other lines than were stored", segment.label());
        self.deliver_range(facts.spool, facts.first.0, facts.last.0, segment.label());
        Ok(())
    }

    pub fn declare_range(&mut self, spool: SpoolId, first: u64, last: u64, cause: LossCause, maybe_delivered: bool) {
        let book = self.spools.entry(spool).or_default();
        book.declared.extend((first..=last).map(|seq| (seq, (cause, maybe_delivered))));
    }

    pub fn declare(&mut self, range: &DroppedRange) {
        self.declare_range(range.spool, range.first.0, range.last.0, range.cause, range.maybe_delivered);
    }

    pub fn end(&mut self, spool: SpoolId, seq: Seqno) {
        self.spools.entry(spool).or_default().end = Some(seq.0);
    }

    /// A half is being appended.
    pub fn half_tried(&mut self, spool: SpoolId, n: u64) {
        let halves = &mut self.spools.entry(spool).or_default().halves;
        if halves.completing.is_some() {
            // By a line that was acknowledged: it is held against that.
            *halves = Halves::default();
        }
        halves.tried = Some(n);
    }

    pub fn half_acknowledged(&mut self, spool: SpoolId, n: u64) {
        let halves = &mut self.spools.entry(spool).or_default().halves;
        (halves.acknowledged, halves.completing) = (Some(n), None);
    }

    /// A line with this number is being appended that completes what is pending, or could not be: then nothing is.
    pub fn completing(&mut self, spool: SpoolId, seq: Option<u64>) {
        self.spools.entry(spool).or_default().halves.completing = seq;
    }

    pub fn ship_half(&mut self, spool: SpoolId, seq: u64, n: u64) {
        let halves = &mut self.spools.entry(spool).or_default().halves;
        assert!(halves.shipped.is_none_or(|shipped| shipped == (seq, n)), "{spool}: shipped as {:?}", halves.shipped);
        halves.shipped = Some((seq, n));
    }

    /// Delivers what a living spool says, in order. What can no longer be read is declared, and the declaration is delivered.
    pub fn take_events(&mut self, spool: &mut Spool) {
        loop {
            let waiting = waiting(spool);
            if waiting.is_empty() {
                return;
            }
            for (key, object) in waiting {
                if self.adopted.contains(&key.spool) {
                    continue;
                }
                let delivered = match object {
                    Ok(segment) => self.deliver(&segment),
                    Err(range) => {
                        self.declare(&range);
                        Ok(())
                    }
                };
                // A spool that was rolled away from is adopted, which delivers the same object again, or declares it.
                if key.spool != spool.id() {
                    self.early.extend(delivered.is_ok().then_some(key));
                    continue;
                }
                match delivered {
                    Ok(()) => self.removed(spool.remove(&key)),
                    Err(cause) => assert!(spool.declare_lost(&key, cause, NOW), "{key:?} waits"),
                }
            }
        }
    }

    fn removed(&self, result: std::io::Result<()>) {
        assert!(result.is_ok() || self.disk_fails, "{result:?}");
    }

    /// Delivers an orphan and ends it.
    pub fn drain(&mut self, mut adopted: Adopted) {
        self.adopted.insert(adopted.id());
        let segments: Vec<_> = adopted.segments().to_vec();
        for segment in segments {
            match self.deliver(&segment) {
                Ok(()) => self.removed(adopted.delivered(&segment.key())),
                Err(cause) => drop(adopted.declare_lost(&segment.key(), cause, NOW).expect("it waits")),
            }
        }
        let dropped: Vec<_> = adopted.dropped().to_vec();
        for range in dropped {
            if !self.early.contains(&range.key()) {
                self.declare(&range);
            }
            self.removed(adopted.delivered(&range.key()));
        }
        assert!(adopted.is_drained());
        if let Some(end) = adopted.end() {
            if let Some(n) = shipped_half(end) {
                self.ship_half(end.spool, end.seq.0 - 1, n);
            }
            self.end(end.spool, end.seq);
        }
        self.removed(adopted.finish());
    }

    /// Adopts everything below a root, as the next life would, and leaves nothing.
    pub fn adopt_all(&mut self, root: &Path, own: SpoolId) {
        let mut found = find_orphans(root, own).expect("listed");
        // A process that another test is just starting holds our locks until it runs its program.
        for _ in 0..1_000 {
            if found.alive.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
            drop(found);
            found = find_orphans(root, own).expect("listed");
        }
        assert!(found.unreadable.is_empty(), "{:?}", found.unreadable);
        assert!(found.alive.is_empty(), "{:?}", found.alive);
        for orphan in found.set_aside.into_iter().chain(found.orphans) {
            self.drain(orphan.adopt(&labeler()).expect("a version that we know"));
        }
    }

    /// Every acknowledged number is delivered, or declared by one of these causes; nothing is invented; no number is missing
    /// up to the end.
    #[track_caller]
    pub fn check(&self, causes: &[LossCause]) {
        for (spool, book) in &self.spools {
            let is_line = |seq: u64| book.delivered.contains_key(&seq) || book.declared.contains_key(&seq);
            book.halves.check(*spool, is_line, &book.acknowledged);
            let shipped = book.halves.shipped.map(|(seq, _)| seq);
            let known = |seq: u64| is_line(seq) || shipped == Some(seq);
            for seq in &book.acknowledged {
                assert!(is_line(*seq), "{spool}: acknowledged number {seq} is lost silently; {book}");
            }
            for (seq, (cause, maybe_delivered)) in &book.declared {
                assert!(causes.contains(cause), "{spool}: number {seq} is declared lost by {cause:?}");
                let twice = book.delivered.contains_key(seq) && !maybe_delivered;
                assert!(!twice, "{spool}: number {seq} is delivered and declared lost");
            }
            let last = book.delivered.keys().chain(book.declared.keys()).chain(shipped.as_ref()).max();
            let last = last.map_or(0, |last| last + 1);
            for seq in 0..last {
                assert!(known(seq), "{spool}: nobody tells of number {seq}; {book}");
            }
            if last > 0 {
                assert_eq!(book.end, Some(last), "{spool}: its end");
            }
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.spools.values().map(|book| book.acknowledged.len()).sum()
    }

    pub fn delivered(&self) -> usize {
        self.spools.values().map(|book| book.delivered.len()).sum()
    }

    /// Numbers declared lost by a cause.
    pub fn declared(&self, cause: LossCause) -> usize {
        let of_cause = |book: &Book| book.declared.values().filter(|(own, _)| *own == cause).count();
        self.spools.values().map(of_cause).sum()
    }
}
