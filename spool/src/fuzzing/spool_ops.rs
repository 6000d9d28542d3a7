//! Operations on a living spool in lockstep with a plain model: whatever the order, every number is delivered with its
//! own line or declared with its cause, once, and an adopter sees the objects that the living process saw.
//!
//! The place is small, so eviction and refusal are common; writes fail on cue, once each. After a failed write of a state
//! slot a delivered object may come a second time, and the totals that an adopter finds may lag; nothing may be lost or
//! invented, and the living process forgets none of its totals.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};

use super::honest::{NOW_MS, batch, compression, config, identity, labeler, line};
use super::object;
use crate::adopt::{Adopted, Orphan};
use crate::codec::Compression;
use crate::format::meta::Meta;
use crate::id::{FragmentId, Seqno};
use crate::loss::LossCause;
use crate::quota::{SpoolLimits, WhenFull};
use crate::seal::SealReason;
use crate::segment::active::AppendError;
use crate::segment::fragment::Fragment;
use crate::segment::sealed::{DroppedRange, SealedSegment, SegmentKey};
use crate::spool::{Spool, SpoolConfig, SpoolEvent};
use crate::storage::faulty::{Fault, Faulty};

/// Operations of one input; more only take longer.
const OPS_MAX: usize = 64;
/// From these numbers of records on an append means a fragment, or a line that completes one.
const FRAGMENT: u8 = 240;
const RESOLVE: u8 = 224;

#[derive(Debug, Arbitrary)]
struct Input {
    codec: u8,
    frame_bytes_max: Option<u16>,
    place_bytes: u16,
    quota_bytes: Option<u16>,
    segments_max: u8,
    tombstones_max: u8,
    drop_newest: bool,
    ops: Vec<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    /// The highest numbers of records mean something else, so that older inputs stay what they were.
    Append {
        records: u8,
        width: u8,
        end: bool,
    },
    Refuse {
        records: u8,
    },
    PlatformDrops {
        records: u8,
    },
    Seal,
    AttemptBegun {
        nth: u8,
    },
    AttemptFailed {
        nth: u8,
    },
    Remove {
        nth: u8,
    },
    FailNext {
        after_bytes: u16,
        stuck: bool,
    },
    RollIntoMemory,
    Kill,
}

/// Input: a structure by `arbitrary`.
pub fn spool_ops(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let Some(mut world) = World::new(&input) else { return };
    for op in input.ops.iter().take(OPS_MAX) {
        world.run(*op);
    }
    world.kill();
}

/// What became of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Acknowledged, and still in the spool.
    Kept { width: u8 },
    /// Taken by a refused batch.
    Refused,
    /// Its line came out.
    Delivered { width: u8 },
    /// Told to be lost.
    Declared(LossCause),
}

/// What may come out a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    Declarations,
    /// A write has failed in this life.
    All,
}

/// What one life acknowledged, by number.
struct Life {
    number: u64,
    fates: Vec<Fate>,
    /// Whether the last number belongs to an end of the stream.
    ended: bool,
    /// Totals by cause, as the living process must know them.
    lost: BTreeMap<LossCause, u64>,
    /// The fragment that is pending.
    pending: Option<Vec<u8>>,
    /// Numbers behind the last one that a refusal took whose write failed: the disk may know of them all the same.
    untold: u64,
}

/// What waits to be uploaded, as the living process tells of it.
enum Waiting {
    Object(SealedSegment),
    Loss(DroppedRange),
}

struct World {
    place_bytes: u64,
    config: SpoolConfig,
    spool: Spool,
    /// `None` while the spool is in memory.
    place: Option<Faulty>,
    life: Life,
    waiting: BTreeMap<SegmentKey, Waiting>,
    in_flight: Vec<SegmentKey>,
    /// Every object that was ever sealed in this life.
    sealed: BTreeMap<SegmentKey, (Seqno, u64)>,
}

impl World {
    fn new(input: &Input) -> Option<Self> {
        let limits = SpoolLimits {
            bytes_max: Some(input.quota_bytes.map_or(u64::MAX, |quota| u64::from(quota) + 4_096)),
            keep_free_bytes: 0,
            segments_max: usize::from(input.segments_max).max(1),
            tombstones_max: usize::from(input.tombstones_max),
            when_full: if input.drop_newest { WhenFull::DropNewest } else { WhenFull::DropOldest },
            ..SpoolLimits::default()
        };
        let compression: Compression = compression(input.codec, input.frame_bytes_max);
        let config = config(compression, limits);
        let place_bytes = u64::from(input.place_bytes);
        let place = Faulty::new(place_bytes);
        let spool = Spool::create_on(Box::new(place.clone()), config.clone(), identity(1), NOW_MS).ok()?;
        Some(Self {
            place_bytes,
            config,
            spool,
            place: Some(place),
            life: Life::new(1),
            waiting: BTreeMap::new(),
            in_flight: Vec::new(),
            sealed: BTreeMap::new(),
        })
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Append { records: FRAGMENT.., width, end } => self.fragment(width, end),
            Op::Append { records: RESOLVE.., width, end } => self.append(1, width, end, self.spool.pending_fragment()),
            Op::Append { records, width, end } => self.append(records % 8, width, end, None),
            Op::Refuse { records } => self.refuse(u64::from(records)),
            Op::PlatformDrops { records } => {
                let _ = self.spool.count_platform_drops(u64::from(records), 1);
                self.life.lost(LossCause::Platform, u64::from(records));
            }
            Op::Seal => {
                let _ = self.spool.seal(SealReason::Size, NOW_MS);
            }
            Op::AttemptBegun { nth } => {
                if let Some(key) = self.nth(nth) {
                    self.spool.attempt_begun(&key);
                    self.in_flight.push(key);
                }
            }
            Op::AttemptFailed { nth } => {
                if let Some(key) = self.nth(nth) {
                    self.spool.attempt_failed(&key);
                    self.in_flight.retain(|in_flight| *in_flight != key);
                }
            }
            Op::Remove { nth } => self.remove(nth),
            Op::FailNext { after_bytes, stuck } => {
                if let Some(place) = &self.place {
                    place.fail_next(Fault { after_bytes: usize::from(after_bytes), stuck });
                }
            }
            Op::RollIntoMemory => self.roll_into_memory(),
            Op::Kill => self.kill(),
        }
        self.hear();
        assert_eq!(self.spool.next_seq().0, self.life.fates.len() as u64, "the next number after {op:?}");
        assert_eq!(
            self.spool.pending_fragment().is_some(),
            self.life.pending.is_some(),
            "what is pending after {op:?}"
        );
        for (cause, records) in &self.life.lost {
            assert_eq!(self.spool.losses().of(*cause).records, *records, "{cause:?} after {op:?}");
        }
    }

    fn append(&mut self, records: u8, width: u8, end: bool, resolves: Option<FragmentId>) {
        let first = self.life.fates.len() as u64;
        let lines: Vec<u8> = (0..u64::from(records)).flat_map(|n| line(self.life.number, first + n, width)).collect();
        let meta = Meta { request_id: end.then(|| "a".into()), resolves, ..Meta::default() };
        match self.spool.append(&batch(&lines, u32::from(records), &meta, end), NOW_MS) {
            Ok(()) => {
                self.life.fates.extend((0..records).map(|_| Fate::Kept { width }));
                if records > 0 {
                    self.life.ended = end;
                }
                self.life.pending.take_if(|_| resolves.is_some());
            }
            Err(AppendError::Full(_)) => self.refuse(u64::from(records)),
            Err(AppendError::Write(_)) => {}
            Err(AppendError::Stuck(_)) => self.kill(),
            Err(error) => panic!("{error} cannot come from here"),
        }
    }

    /// In the place of the one that is pending, or as if there were none.
    fn fragment(&mut self, width: u8, replaces: bool) {
        let pending = self.spool.pending_fragment();
        let meta = Meta { resolves: pending.filter(|_| replaces), ..Meta::default() };
        let bytes = line(self.life.number, u64::MAX, width);
        let fragment = Fragment { bytes: &bytes, line_ms: None, body_bytes: 0, body_hash: 0, meta: &meta };
        match self.spool.append_fragment(&fragment, NOW_MS) {
            Ok(_) => self.life.pending = Some(bytes),
            Err(AppendError::FragmentPending(other)) => assert_eq!((pending, replaces), (Some(other), false)),
            Err(AppendError::Full(_) | AppendError::Write(_)) => {}
            Err(AppendError::Stuck(_)) => self.kill(),
            Err(error) => panic!("{error} cannot come from here"),
        }
    }

    /// After an error nothing was taken, and the spool has to be left.
    fn refuse(&mut self, records: u64) {
        if self.spool.refuse(records, records, NOW_MS).is_err() {
            self.life.untold = records;
            self.kill();
        } else if records > 0 {
            self.life.fates.extend((0..records).map(|_| Fate::Refused));
            self.life.ended = false;
            self.life.lost(LossCause::Refused, records);
        }
    }

    fn nth(&self, nth: u8) -> Option<SegmentKey> {
        let keys: Vec<_> = self.waiting.keys().collect();
        let index = usize::from(nth).checked_rem(keys.len())?;
        Some(*keys[index])
    }

    fn remove(&mut self, nth: u8) {
        let Some(key) = self.nth(nth) else { return };
        match self.waiting.remove(&key).expect("it waits") {
            Waiting::Object(segment) => self.life.deliver(&segment, Again::Never),
            Waiting::Loss(range) => self.life.declare(&range, Again::Never),
        }
        self.in_flight.retain(|in_flight| *in_flight != key);
        let _ = self.spool.remove(&key);
    }

    /// Takes note of what happened to segments.
    fn hear(&mut self) {
        for event in self.spool.take_events() {
            match event {
                SpoolEvent::Sealed(segment) => {
                    let (key, facts) = (segment.key(), segment.facts());
                    self.sealed.insert(key, (facts.last, facts.digest));
                    let before = self.waiting.insert(key, Waiting::Object(segment));
                    assert!(before.is_none(), "{key:?} was sealed twice");
                }
                SpoolEvent::Dropped(range) => {
                    assert!(
                        self.waiting.insert(range.key(), Waiting::Loss(range)).is_none(),
                        "{range:?} is there already"
                    );
                }
                SpoolEvent::Gone(key) => {
                    assert!(self.waiting.remove(&key).is_some(), "{key:?} was never there");
                    assert!(!self.in_flight.contains(&key), "{key:?} gave way while it was uploaded");
                }
                SpoolEvent::Drained(id, _) => unreachable!("{id} was never taken in"),
            }
        }
        assert_eq!(self.spool.undelivered(), self.waiting.len(), "what waits");
    }

    /// Leaves the place for memory; whoever was there is adopted from its files.
    fn roll_into_memory(&mut self) {
        let number = self.life.number + 1;
        let orphan = self.spool.roll_into_memory(identity(number), NOW_MS).expect("memory has room");
        // What the old spool said last is seen by its adopter.
        self.spool.take_events();
        self.next_life(orphan, number, None);
    }

    /// The process ends at once, and the next one begins where it was. What is in memory only is handed over instead.
    fn kill(&mut self) {
        let number = self.life.number + 1;
        let place = Faulty::new(self.place_bytes);
        let storage = Box::new(place.clone());
        let next =
            Spool::create_on(storage, self.config.clone(), identity(number), NOW_MS).expect("there was room before");
        let orphan = match &self.place {
            Some(_) => Orphan::handed_over(identity(self.life.number).id, None, Vec::new()),
            None => self.spool.roll_into_memory(identity(number), NOW_MS).expect("memory has room"),
        };
        self.spool = next;
        self.next_life(orphan, number, Some(place));
    }

    fn next_life(&mut self, orphan: Orphan, number: u64, place: Option<Faulty>) {
        let old_place = std::mem::replace(&mut self.place, place);
        let old = std::mem::replace(&mut self.life, Life::new(number));
        let forgiving = old_place.as_ref().is_some_and(Faulty::has_failed);
        let orphan = match old_place {
            Some(place) => Orphan::handed_over(identity(old.number).id, None, place.files()),
            None => orphan,
        };
        self.waiting.clear();
        self.in_flight.clear();
        let sealed = std::mem::take(&mut self.sealed);
        old.adopted(orphan.adopt(&labeler()).expect("our own version"), &sealed, forgiving);
    }
}

impl Life {
    fn new(number: u64) -> Self {
        Self { number, fates: Vec::new(), ended: false, lost: BTreeMap::new(), pending: None, untold: 0 }
    }

    fn fates(&mut self, first: Seqno, last: Seqno) -> impl Iterator<Item = &mut Fate> {
        assert!(last.0 < self.fates.len() as u64, "{first}-{last} was never given");
        let first = usize::try_from(first.0).expect("a number that was given");
        let last = usize::try_from(last.0).expect("a number that was given");
        self.fates[first..=last].iter_mut()
    }

    /// An object came out: its lines must be those of its numbers.
    fn deliver(&mut self, segment: &SealedSegment, again: Again) {
        let facts = segment.facts();
        let (number, first) = (self.number, facts.first.0);
        let mut expected = Vec::new();
        for (fate, seq) in self.fates(facts.first, facts.last).zip(first..) {
            let width = match *fate {
                Fate::Kept { width } => width,
                Fate::Delivered { width } if again == Again::All => width,
                other => panic!("{seq} is {other:?} and came out in {segment:?}"),
            };
            *fate = Fate::Delivered { width };
            expected.extend(line(number, seq, width));
        }
        assert_eq!(facts.records, facts.last.0 - facts.first.0 + 1, "records of {segment:?}");
        assert_eq!(facts.raw_bytes, expected.len() as u64, "raw bytes of {segment:?}");
        assert!(object::decoded(facts.codec, &object::read(segment)) == expected, "lines of {segment:?}");
    }

    fn declare(&mut self, range: &DroppedRange, again: Again) {
        let given = self.fates.len() as u64;
        if range.cause == LossCause::Refused && (given..given + self.untold).contains(&range.last.0) {
            // Told here, and once more by the next spool: more loss than there was, and none that is silent.
            self.fates.extend((given..=range.last.0).map(|_| Fate::Refused));
            self.ended = false;
        }
        for fate in self.fates(range.first, range.last) {
            match (*fate, range.cause) {
                (Fate::Refused, LossCause::Refused) | (Fate::Kept { .. }, LossCause::Quota) => {}
                // A tombstone that was told while an older file waited: nothing on disk says that it was. Its name is the same.
                (Fate::Declared(cause), now) if again != Again::Never && cause == now => {}
                (fate, _) => panic!("{range:?} tells of a number that is {fate:?}"),
            }
            *fate = Fate::Declared(range.cause);
        }
    }

    /// Everything is delivered that an adopter finds; then nothing may be left.
    fn adopted(mut self, adopted: Adopted, sealed: &BTreeMap<SegmentKey, (Seqno, u64)>, forgiving: bool) {
        let again = if forgiving { Again::All } else { Again::Declarations };
        disjoint(&adopted);
        for segment in adopted.segments() {
            let facts = segment.facts();
            if let Some(seen) = sealed.get(&segment.key()) {
                assert_eq!(*seen, (facts.last, facts.digest), "another object than the living process saw");
            }
            self.deliver(segment, again);
        }
        for range in adopted.dropped() {
            self.declare(range, again);
        }
        assert!(adopted.report().unreadable.is_empty() || forgiving, "{:?}", adopted.report().unreadable);
        for (seq, fate) in self.fates.iter().enumerate() {
            assert!(matches!(fate, Fate::Delivered { .. } | Fate::Declared(_)), "{seq} is {fate:?} in the end");
        }
        self.end(&adopted);
        drained(adopted);
    }

    /// An end that has given way is written anew, unless its loss was told of before: then no file knows of it. What is pending
    /// has the number before it.
    fn end(&self, adopted: &Adopted) {
        let given = self.fates.len() as u64;
        let shipped = adopted.end().and_then(|end| end.fragment.as_ref());
        assert_eq!(shipped.map(|half| half.read().expect("memory does not fail")), self.pending, "what was pending");
        if let Some(half) = shipped {
            let end = adopted.end().map(|end| end.seq);
            return assert_eq!((half.seq(), end), (Seqno(given), Some(Seqno(given + 1))), "its number");
        }
        let is_lost = matches!(self.fates.last(), Some(Fate::Declared(_)));
        match adopted.end() {
            Some(end) => assert!(end.seq.0 == given && given > 0 && (!self.ended || is_lost), "{end:?} is not due"),
            None => assert!(given == 0 || self.ended, "an end is missing behind {given} numbers"),
        }
    }

    fn lost(&mut self, cause: LossCause, records: u64) {
        *self.lost.entry(cause).or_default() += records;
    }
}

/// One adoption tells of a number once.
fn disjoint(adopted: &Adopted) {
    let objects = adopted.segments().iter().map(|segment| (segment.facts().first, segment.facts().last));
    let mut ranges: Vec<_> = objects.chain(adopted.dropped().iter().map(|range| (range.first, range.last))).collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "{ranges:?} overlap");
}

fn drained(mut adopted: Adopted) {
    let objects = adopted.segments().iter().map(SealedSegment::key);
    let keys: Vec<_> = objects.chain(adopted.dropped().iter().map(DroppedRange::key)).collect();
    for key in keys {
        adopted.delivered(&key).expect("memory does not fail");
    }
    assert!(adopted.is_drained(), "everything was delivered");
}
