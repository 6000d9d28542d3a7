//! Where everything is delivered to: objects by name, declared losses by name, ends.

use std::collections::BTreeMap;
use std::io::{self, Read};

use spool::{Codec, DroppedRange, LossCause, Losses, Mark, SealedSegment, SegmentFacts, SpoolId, StreamEnd};

use super::life::{Fate, Life, Memory};

/// Everything that was delivered, by life.
#[derive(Default, Clone)]
pub struct Bucket {
    lives: BTreeMap<SpoolId, Delivered>,
}

/// What was delivered of one life.
#[derive(Default, Clone)]
struct Delivered {
    objects: BTreeMap<String, (SegmentFacts, Vec<u8>)>,
    ranges: BTreeMap<(u64, u64, LossCause), DroppedRange>,
    /// By the numbers that adopters gave them.
    fragments: BTreeMap<u64, Vec<u8>>,
    end: Option<StreamEnd>,
}

/// How often a number was told of.
#[derive(Default, Clone)]
struct Told {
    delivered: usize,
    declared: Vec<LossCause>,
    maybe: bool,
}

impl Bucket {
    /// Takes an object, unless its bytes turn out to be damaged. The bytes are what the facts and the name say, and the
    /// same as those that came under this name before.
    pub fn put(&mut self, segment: &SealedSegment) -> io::Result<()> {
        let chunks: Vec<_> = segment.chunks().collect::<io::Result<_>>()?;
        let (bytes, facts) = (chunks.concat(), segment.facts());
        assert_eq!(bytes.len() as u64, facts.object_bytes, "{facts:?}");
        assert_eq!(spool::object_digest(&bytes), facts.digest, "{facts:?}");
        let lines = decoded(facts.codec, &bytes);
        assert_eq!(lines.len() as u64, facts.raw_bytes, "{facts:?}");
        assert_eq!(facts.records, facts.last.0 - facts.first.0 + 1, "{facts:?}");
        let objects = &mut self.lives.entry(facts.spool).or_default().objects;
        let stored = objects.entry(segment.label().to_owned()).or_insert((facts.clone(), lines.clone()));
        assert!(stored.1 == lines, "other bytes under the same name {}", segment.label());
        Ok(())
    }

    pub fn declare(&mut self, range: &DroppedRange) {
        assert!(range.first <= range.last, "{range:?}");
        let key = (range.first.0, range.last.0, range.cause);
        self.lives.entry(range.spool).or_default().ranges.insert(key, *range);
    }

    /// Takes an end, with the fragment that it ships.
    pub fn end(&mut self, end: &StreamEnd) {
        let delivered = self.lives.entry(end.spool).or_default();
        if let Some(fragment) = &end.fragment {
            assert_eq!(fragment.seq().0 + 1, end.seq.0, "its line stands before the end");
            let bytes = fragment.read().unwrap();
            let known = delivered.fragments.entry(fragment.seq().0).or_insert_with(|| bytes.clone());
            assert!(*known == bytes, "other bytes under the same number {}", fragment.seq());
        }
        if delivered.end.as_ref().is_none_or(|known| known.seq <= end.seq) {
            delivered.end = Some(end.clone());
        }
    }

    /// Everything that was told of the life is true, and everything was told that had to be.
    pub fn check(&self, life: &Life) {
        let nothing = Delivered::default();
        let delivered = self.lives.get(&life.id).unwrap_or(&nothing);
        let told = delivered.told(life);
        for (seq, (fate, told)) in life.fates.iter().zip(&told).enumerate() {
            check_number(life, seq, fate, told);
        }
        delivered.check_fragment(life);
        let has_anything = !life.fates.is_empty() || life.pending.is_some();
        if life.memory != Memory::Gone && life.untold.is_empty() && has_anything {
            delivered.check_end(life, &told);
        }
    }

    /// No number stands in two objects.
    pub fn check_once(&self, life: &Life) {
        let delivered = &self.lives.get(&life.id).map(|delivered| delivered.told(life)).unwrap_or_default();
        let twice = delivered.iter().position(|told| told.delivered > 1);
        assert_eq!(twice, None, "a number of {} was delivered twice", life.id);
    }

    /// No object of an unknown life.
    pub fn check_lives(&self, known: impl Fn(SpoolId) -> bool) {
        assert!(self.lives.keys().all(|id| known(*id)), "a life that never was");
    }

    /// The lines of all objects of a life, in order of their numbers.
    pub fn lines(&self, life: SpoolId) -> Vec<u8> {
        let objects = self.lives.get(&life).into_iter().flat_map(|delivered| delivered.objects.values());
        let by_first: BTreeMap<_, _> = objects.map(|(facts, lines)| (facts.first, &lines[..])).collect();
        by_first.into_values().collect::<Vec<_>>().concat()
    }

    /// What was delivered of a life, in words, in order of the numbers.
    pub fn words(&self, life: SpoolId) -> Vec<String> {
        let Some(delivered) = self.lives.get(&life) else { return Vec::new() };
        let mut words = BTreeMap::new();
        for (label, (facts, _)) in &delivered.objects {
            words.insert((facts.first.0, 0), format!("object {label} {} records", facts.records));
        }
        for range in delivered.ranges.values() {
            let DroppedRange { first, last, cause, raw_bytes, .. } = range;
            words.insert((first.0, 1), format!("dropped {first}-{last} {} {raw_bytes} bytes", cause.name()));
        }
        for (seq, bytes) in &delivered.fragments {
            words.insert((*seq, 0), format!("fragment {seq} {} bytes", bytes.len()));
        }
        if let Some(end) = &delivered.end {
            let losses: Vec<_> =
                end.losses.iter().map(|(cause, loss)| format!("{} {}", cause.name(), loss.records)).collect();
            words.insert((end.seq.0, 2), format!("end {} [{}]", end.seq, losses.join(", ")));
        }
        words.into_values().collect()
    }
}

impl Delivered {
    /// Every object holds exactly the lines of its numbers, and nothing lies behind the last number.
    fn told(&self, life: &Life) -> Vec<Told> {
        let mut told = vec![Told::default(); life.fates.len()];
        for (label, (facts, lines)) in &self.objects {
            let expected = life.expected(facts.first.0, facts.last.0);
            assert!(expected.as_ref() == Some(lines), "{label} does not hold the lines of its numbers");
            for told in &mut told[span(facts.first.0, facts.last.0)] {
                told.delivered += 1;
            }
        }
        // What is lost of a fragment has a number that an adopter gave.
        let is_own = |range: &&DroppedRange| range.first.0 < life.next() || !life.may_have_pending();
        for range in self.ranges.values().filter(is_own) {
            assert!(range.last.0 < life.next(), "{range:?} was never numbered; {} is next", life.next());
            for told in &mut told[span(range.first.0, range.last.0)] {
                told.declared.push(range.cause);
                told.maybe |= range.maybe_delivered;
            }
        }
        told
    }

    /// Losses of a fragment.
    fn lost_fragments(&self, life: &Life) -> impl Iterator<Item = &DroppedRange> {
        let next = life.next();
        self.ranges.values().filter(move |range| range.first.0 >= next)
    }

    /// What was pending is shipped as the last line before the end, or declared; what was completed is not shipped.
    fn check_fragment(&self, life: &Life) {
        let (id, next) = (life.id, life.next());
        for (seq, bytes) in &self.fragments {
            assert!(life.fragments.contains(bytes), "{id}: {seq} was never a fragment");
        }
        if life.memory == Memory::Gone {
            return;
        }
        let shipped: Vec<_> = self.fragments.iter().collect();
        let lost: Vec<_> = self.lost_fragments(life).collect();
        assert!(shipped.iter().all(|(seq, _)| **seq == next) && lost.iter().all(|lost| lost.first.0 == next), "{id}");
        let is_maybe = lost.iter().any(|lost| lost.maybe_delivered);
        match (&life.pending, life.memory) {
            (_, _) if life.fragment_is_untold => {}
            (None, Memory::Whole) => assert_eq!((shipped.len(), lost.len()), (0, 0), "{id}: nothing was pending"),
            (Some(_), Memory::Whole) if is_maybe => assert!(shipped.len() <= 1 && lost.len() == 1, "{id}"),
            (Some(_), Memory::Whole) => assert_eq!((shipped.len(), lost.len()), (1, 0), "{id}: it was pending"),
            (Some(_), _) => assert!(shipped.len() + lost.len() > 0, "{id}: it was lost without a word"),
            (None, _) => {}
        }
        let is_newest = |(_, bytes): &(&u64, &Vec<u8>)| life.pending.as_ref().is_none_or(|pending| pending == *bytes);
        assert!(life.memory != Memory::Whole || shipped.iter().all(is_newest), "{id}: another one was shipped");
    }

    /// The stream has an end behind its last number, and its totals are the sums of what was declared.
    fn check_end(&self, life: &Life, told: &[Told]) {
        let ended_in_order =
            self.objects.values().any(|(facts, _)| facts.mark == Mark::End && facts.last.0 + 1 == life.next());
        let has_number = !self.fragments.is_empty() || self.lost_fragments(life).next().is_some();
        let expected = life.next() + u64::from(has_number);
        let Some(end) = self.end.as_ref().filter(|end| end.seq.0 == expected) else {
            assert!(ended_in_order && !has_number, "no end behind {expected}: {:?}", self.end);
            return;
        };
        let (totals, mut declared) = (totals(&end.losses), declared(told));
        for lost in self.lost_fragments(life) {
            *declared.entry(lost.cause).or_default() += 1;
        }
        if life.memory == Memory::Whole {
            assert_eq!(totals, declared, "the totals of the end of {}", life.id);
        }
        // What a damaged tombstone told of is counted as it was lost first, and as damage.
        let is_counted = |(cause, records): (&LossCause, &u64)| totals.get(cause).is_some_and(|total| total >= records);
        assert!(declared.iter().all(is_counted), "{}: the end counts {totals:?} of {declared:?}", life.id);
    }
}

fn check_number(life: &Life, seq: usize, fate: &Fate, told: &Told) {
    let id = life.id;
    if *fate == Fate::Refused {
        assert_eq!(told.delivered, 0, "{id} {seq} was refused");
    }
    let times = told.delivered + told.declared.len();
    match life.memory {
        Memory::Gone => {}
        _ if life.untold.contains(&(seq as u64)) => {}
        Memory::Damaged => assert!(times > 0, "{id} {seq} ({fate:?}) was lost without a word"),
        Memory::Whole if told.maybe => assert!(times <= 2, "{id} {seq}"),
        Memory::Whole => {
            assert_eq!(times, 1, "{id} {seq} ({fate:?}) was delivered {} times, {:?}", told.delivered, told.declared);
            let natural = |cause: &LossCause| matches!(cause, LossCause::Quota | LossCause::Refused);
            assert!(told.declared.iter().all(natural), "{id} {seq}: nothing was damaged, {:?}", told.declared);
        }
    }
}

fn span(first: u64, last: u64) -> std::ops::RangeInclusive<usize> {
    usize::try_from(first).unwrap()..=usize::try_from(last).unwrap()
}

fn totals(losses: &Losses) -> BTreeMap<LossCause, u64> {
    let own = losses.iter().filter(|(cause, _)| *cause != LossCause::Platform);
    own.map(|(cause, loss)| (cause, loss.records)).filter(|(_, records)| *records > 0).collect()
}

fn declared(told: &[Told]) -> BTreeMap<LossCause, u64> {
    let mut causes = BTreeMap::new();
    for cause in told.iter().flat_map(|told| &told.declared) {
        *causes.entry(*cause).or_default() += 1;
    }
    causes
}

/// The lines of an object, read by a decoder that is not the spool's.
pub fn decoded(codec: Codec, object: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    match codec {
        Codec::None => lines.extend_from_slice(object),
        Codec::Gzip => {
            flate2::read::MultiGzDecoder::new(object).read_to_end(&mut lines).expect("complete gzip");
        }
        Codec::Zstd => {
            let mut rest = object;
            while !rest.is_empty() {
                let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut rest).expect("a frame");
                frame.read_to_end(&mut lines).expect("complete zstd");
            }
        }
    }
    lines
}
