//! A process that uses the spool as the extension does: it appends, it delivers what waits, it adopts, it dies. Beside each
//! of its spools runs the plain model of it.

mod fragments;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::PathBuf;

use spool::{
    Adopted, AppendError, Batch, Compression, DroppedRange, Meta, Orphan, SealReason, SealedSegment, SegmentKey, Seqno,
    Spool, SpoolConfig, SpoolEvent, SpoolId, SpoolLimits, StreamEnd, find_orphans,
};

use super::bucket::Bucket;
use super::life::{Life, Memory};
use super::story::{Clear, Op, Story};
use super::{NOW_MS, batch, config, dir, files_of, identity, labeler, layout, names, segment_files};

/// Something that waits to be delivered.
#[derive(Clone)]
enum Outgoing {
    Segment(Box<SealedSegment>),
    Dropped(DroppedRange),
    /// An end that ships a fragment.
    End(Box<StreamEnd>, SegmentKey),
}

type OutgoingId = (SpoolId, Seqno);

impl Outgoing {
    fn key(&self) -> SegmentKey {
        match self {
            Self::Segment(segment) => segment.key(),
            Self::Dropped(range) => range.key(),
            Self::End(_, key) => *key,
        }
    }

    fn id(&self) -> OutgoingId {
        (self.key().spool, self.key().first)
    }
}

/// What it delivers to, what it should have remembered, and what it holds while it lives.
pub struct Process {
    root: PathBuf,
    config: SpoolConfig,
    bounds_bytes: u64,
    seed: u64,
    born: u64,
    pub bucket: Bucket,
    lives: BTreeMap<SpoolId, Life>,
    /// What was let go of: no adopter finds it again.
    removed: BTreeSet<SegmentKey>,
    now: Now,
}

/// What dies with the process.
struct Now {
    spool: Spool,
    waiting: BTreeMap<OutgoingId, Outgoing>,
    in_flight: BTreeSet<OutgoingId>,
    /// The longest batch of the spool, in bytes.
    longest_batch: u64,
    orphans: VecDeque<Orphan>,
    /// Taken in, and not delivered whole.
    adopted: BTreeSet<SpoolId>,
    /// Of these, or of those that were left, files have no names any more.
    nameless: BTreeSet<SpoolId>,
    cleared: bool,
}

impl Now {
    fn of(spool: Spool, orphans: VecDeque<Orphan>) -> Self {
        Self {
            spool,
            waiting: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            longest_batch: 0,
            orphans,
            adopted: BTreeSet::new(),
            nameless: BTreeSet::new(),
            cleared: false,
        }
    }
}

impl Process {
    pub fn begin(root: PathBuf, compression: Compression, story: &Story) -> Self {
        let bounds = story.bounds;
        let limits = SpoolLimits {
            bytes_max: Some(bounds.bytes_max),
            keep_free_bytes: bounds.keep_free_bytes,
            segments_max: bounds.segments_max,
            orphans_max: bounds.orphans_max,
            tombstones_max: bounds.tombstones_max,
            when_full: bounds.when_full,
        };
        let config = SpoolConfig { limits, ..config(&root, compression) };
        let first = identity(story.seed, 0);
        let spool = Spool::create(config.clone(), first, NOW_MS).unwrap();
        let lives = BTreeMap::from([(first.id, Life::new(first.id))]);
        Self {
            root,
            config,
            bounds_bytes: bounds.bytes_max,
            seed: story.seed,
            born: 0,
            bucket: Bucket::default(),
            lives,
            removed: BTreeSet::new(),
            now: Now::of(spool, VecDeque::new()),
        }
    }

    pub fn step(&mut self, op: Op) {
        match op {
            Op::Append { records, nonce } => {
                self.append(u32::from(records), u64::from(nonce), &Meta::default(), false);
            }
            Op::Fragment { nonce, replaces } => self.fragment(u64::from(nonce), replaces),
            Op::Resolve { records, nonce } => self.resolve(u32::from(records), u64::from(nonce)),
            Op::Refuse(records) => self.refuse(u32::from(records)),
            Op::Seal => self.seal(SealReason::Size),
            Op::PlatformDrops(records) => {
                self.now.spool.count_platform_drops(u64::from(records), 10).unwrap();
            }
            Op::Begin(which) => self.begin_upload(which),
            Op::Delivered(which) => self.end_upload(which, Some(true)),
            Op::Failed(which) => self.end_upload(which, Some(false)),
            Op::Unanswered(which) => self.end_upload(which, None),
            Op::Drain => self.drain(),
            Op::Adopt => self.adopt(),
            Op::Roll => self.roll(),
            Op::RollIntoMemory => self.roll_into_memory(),
            Op::End => self.end(),
            Op::Kill => self.kill(None),
            Op::Damage { file, at } => self.kill(Some((file, at))),
            Op::Clear(clear) => self.clear(clear),
            Op::Look => self.look(),
        }
        self.take_events();
        self.check();
    }

    /// Kills it and lets the next one deliver everything; then all must be told, and nothing be left.
    pub fn finish(mut self) {
        self.look();
        self.kill(None);
        while !self.now.orphans.is_empty() {
            self.adopt();
        }
        self.now.in_flight.clear();
        while !self.now.waiting.is_empty() {
            self.drain();
            self.take_events();
        }
        assert!(self.now.adopted.is_empty(), "everything is delivered: {:?}", self.now.adopted);
        let own = self.now.spool.id();
        assert!(self.now.spool.remove_if_empty().unwrap());
        let left: Vec<_> = self.lives.keys().filter(|id| !files_of(&self.root, **id).is_empty()).collect();
        assert_eq!(left, Vec::<&SpoolId>::new(), "nothing is left of the lives before {own}");
        self.lives.values().for_each(|life| self.bucket.check(life));
        self.bucket.check_lives(|id| self.lives.contains_key(&id));
    }

    fn life(&mut self) -> &mut Life {
        self.lives.get_mut(&self.now.spool.id()).unwrap()
    }

    /// Returns whether it was stored, and not refused.
    fn append(&mut self, records: u32, nonce: u64, meta: &Meta, end: bool) -> bool {
        for _attempt in 0..2 {
            let lines = self.life().lines(records, nonce);
            self.now.longest_batch = self.now.longest_batch.max(lines.len() as u64);
            let meta = Meta { request_id: Some(format!("request {nonce}")), ..meta.clone() };
            let result = self.now.spool.append(&Batch { end, ..batch(&lines, records, &meta) }, NOW_MS);
            match result {
                Ok(()) => {
                    self.life().keep(records, nonce);
                    return true;
                }
                Err(AppendError::Full(error)) if !self.now.cleared => {
                    assert!(self.may_be_full(), "{error}");
                    break;
                }
                Err(error) => {
                    assert!(self.now.cleared, "{error}");
                    self.look();
                }
            }
        }
        self.refuse(records);
        false
    }

    /// Whether the story has limits that can be reached, or the spool is in memory.
    fn may_be_full(&self) -> bool {
        let limits = self.config.limits;
        self.now.spool.is_volatile()
            || self.bounds_bytes < 1 << 20
            || limits.keep_free_bytes > 0
            || limits.segments_max < 100
            || limits.tombstones_max < 100
    }

    fn refuse(&mut self, records: u32) {
        self.now.spool.refuse(u64::from(records), u64::from(records) * 100, NOW_MS).unwrap();
        self.life().refuse(records);
    }

    fn seal(&mut self, reason: SealReason) {
        if self.now.cleared {
            self.look();
        }
        if let Err(error) = self.now.spool.seal(reason, NOW_MS) {
            assert!(self.now.cleared, "{error}");
            self.look();
        }
    }

    fn take_events(&mut self) {
        for event in self.now.spool.take_events() {
            let own = self.now.spool.id();
            let waiting = &mut self.now.waiting;
            match event {
                SpoolEvent::Sealed(segment) => {
                    let outgoing = Outgoing::Segment(Box::new(segment));
                    let before = waiting.insert(outgoing.id(), outgoing.clone());
                    assert!(before.is_none() || outgoing.id().0 != own, "a key is used once");
                }
                SpoolEvent::Dropped(range) => {
                    let outgoing = Outgoing::Dropped(range);
                    let before = waiting.insert(outgoing.id(), outgoing);
                    assert!(before.is_none() || range.spool != own, "what was there before is gone: {range:?}");
                }
                SpoolEvent::Gone(key) => {
                    let id = (key.spool, key.first);
                    assert!(waiting.remove(&id).is_some(), "only what waits can go: {key:?}");
                    assert!(!self.now.in_flight.contains(&id), "what is in flight does not give way");
                }
                SpoolEvent::Drained(_, Some(end)) if end.fragment.is_some() => {
                    let key = end.fragment.as_ref().unwrap().key();
                    let outgoing = Outgoing::End(Box::new(end), key);
                    let before = waiting.insert(outgoing.id(), outgoing);
                    assert!(before.is_none(), "a number is used once: {key:?}");
                }
                SpoolEvent::Drained(id, end) => {
                    end.iter().for_each(|end| self.bucket.end(end));
                    self.now.spool.finish(id).unwrap();
                    self.now.adopted.remove(&id);
                    self.now.nameless.remove(&id);
                }
            }
        }
    }

    fn pick(ids: impl ExactSizeIterator<Item = OutgoingId>, which: u8) -> Option<OutgoingId> {
        let mut ids = ids;
        let count = ids.len();
        if count == 0 { None } else { ids.nth(usize::from(which) % count) }
    }

    fn begin_upload(&mut self, which: u8) {
        let Some(id) = Self::pick(self.now.waiting.keys().copied(), which) else { return };
        self.attempt_begun(id);
    }

    fn attempt_begun(&mut self, id: OutgoingId) {
        let key = self.now.waiting[&id].key();
        if self.now.in_flight.insert(id) {
            self.now.spool.attempt_begun(&key);
        }
    }

    fn end_upload(&mut self, which: u8, success: Option<bool>) {
        let Some(id) = Self::pick(self.now.in_flight.iter().copied(), which) else { return };
        self.now.in_flight.remove(&id);
        let Some(outgoing) = self.now.waiting.get(&id).cloned() else { return };
        if success != Some(false) && self.put(&outgoing) && success == Some(true) {
            self.delivered(id);
        } else {
            self.now.spool.attempt_failed(&outgoing.key());
        }
    }

    fn put(&mut self, outgoing: &Outgoing) -> bool {
        match outgoing {
            Outgoing::Segment(segment) => self.bucket.put(segment).unwrap(),
            Outgoing::Dropped(range) => self.bucket.declare(range),
            Outgoing::End(end, _) => self.bucket.end(end),
        }
        true
    }

    fn delivered(&mut self, id: OutgoingId) {
        let outgoing = self.now.waiting.remove(&id).unwrap();
        let (key, is_segment) = (outgoing.key(), matches!(outgoing, Outgoing::Segment(_)));
        let removed = self.now.spool.remove(&key);
        assert!(removed.is_ok() || self.now.cleared, "{removed:?}");
        if key.spool == self.now.spool.id() && is_segment && !self.now.cleared {
            self.removed.insert(key);
        }
    }

    fn drain(&mut self) {
        let ids: Vec<_> = self.now.waiting.keys().copied().collect();
        for id in ids {
            self.attempt_begun(id);
            self.now.in_flight.remove(&id);
            let outgoing = self.now.waiting[&id].clone();
            if self.put(&outgoing) {
                self.delivered(id);
            }
        }
    }

    fn adopt(&mut self) {
        let Some(mut orphan) = self.now.orphans.pop_front() else { return };
        orphan.rescue().unwrap();
        let id = orphan.id();
        self.now.nameless.remove(&id);
        let adopted = orphan.adopt(&labeler()).unwrap();
        if self.lives[&id].memory == Memory::Whole {
            let again = adopted.segments().iter().find(|segment| self.removed.contains(&segment.key()));
            assert!(again.is_none(), "{again:?} was let go of");
        }
        self.take_in(adopted);
    }

    fn take_in(&mut self, adopted: Adopted) {
        let id = adopted.id();
        self.now.adopted.insert(id);
        // What the spool said itself before it was left may be there no more.
        self.now.waiting.retain(|waiting, _| waiting.0 != id);
        self.now.spool.take_in(adopted);
        self.take_events();
    }

    fn next_identity(&mut self) -> spool::Identity {
        self.born += 1;
        let identity = identity(self.seed, self.born);
        self.lives.insert(identity.id, Life::new(identity.id));
        identity
    }

    fn roll(&mut self) {
        self.note_left();
        let identity = self.next_identity();
        let orphan = self.now.spool.roll(identity, NOW_MS).unwrap();
        self.now.orphans.push_back(orphan);
    }

    /// A spool that is left after it was cleared is still to be rescued.
    fn note_left(&mut self) {
        if self.now.cleared {
            self.now.nameless.insert(self.now.spool.id());
        }
    }

    fn roll_into_memory(&mut self) {
        self.note_left();
        let identity = self.next_identity();
        let orphan = self.now.spool.roll_into_memory(identity, NOW_MS).unwrap();
        self.now.orphans.push_back(orphan);
    }

    fn end(&mut self) {
        self.append(1, 0, &Meta::default(), true);
        self.seal(SealReason::Shutdown);
        self.take_events();
        self.drain();
        if !self.now.cleared {
            let _ = self.now.spool.remove_if_empty().unwrap();
        }
        self.kill(None);
    }

    /// Everything that the process holds is gone at once, and the next one begins.
    fn kill(&mut self, damage: Option<(u8, u16)>) {
        self.mourn();
        let identity = self.next_identity();
        // The old spool has to be gone before its lock is free; in its place stands one that nobody looks at.
        let nowhere = Spool::create_in_memory(self.config.clone(), identity, NOW_MS).unwrap();
        drop(std::mem::replace(&mut self.now, Now::of(nowhere, VecDeque::new())));
        if let Some((file, at)) = damage {
            self.damage(file, at);
        }
        let spool = Spool::create(self.config.clone(), identity, NOW_MS).unwrap();
        let mut found = find_orphans(&self.root, identity.id).unwrap();
        assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
        let excess = found.take_excess(self.config.limits.orphans_max);
        self.now = Now::of(spool, found.set_aside.into_iter().chain(found.orphans).collect());
        for orphan in excess {
            let mut adopted = orphan.adopt(&labeler()).unwrap();
            adopted.give_up(NOW_MS).unwrap();
            assert!(adopted.segments().is_empty() || self.lives[&adopted.id()].memory != Memory::Whole);
            self.take_in(adopted);
        }
    }

    /// What only the dead process could have told.
    fn mourn(&mut self) {
        let own = self.now.spool.id();
        let volatile = self.now.spool.is_volatile();
        let cleared = self.now.cleared;
        for (id, life) in &mut self.lives {
            // In memory, or behind descriptors of files that have no name any more.
            let has_files = !files_of(&self.root, *id).is_empty();
            let is_own = *id == own && (volatile || cleared);
            let is_rolled_from = self.now.orphans.iter().any(|orphan| orphan.id() == *id) && !has_files;
            let is_adopted = self.now.adopted.contains(id) && !has_files || self.now.nameless.contains(id);
            if is_own || is_rolled_from || is_adopted {
                life.forget(Memory::Gone);
            }
        }
    }

    fn damage(&mut self, file: u8, at: u16) {
        let dirs = names(&self.root);
        let files: Vec<_> = dirs.iter().flat_map(|name| segment_files(&self.root.join(name))).collect();
        if files.is_empty() {
            return;
        }
        let path = &files[usize::from(file) % files.len()];
        let id: SpoolId = path.parent().unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
        let mut bytes = fs::read(path).unwrap();
        let at = usize::from(at) % (bytes.len() * 8);
        // A version that is not known is another story, and so is damage to what is damaged already.
        if (8..10).contains(&(at / 8)) || self.lives[&id].memory != Memory::Whole {
            return;
        }
        let of_spool = segment_files(path.parent().unwrap());
        let newest = of_spool.last() == Some(path);
        let told = layout::is_told(&bytes, newest, at / 8);
        let memory = if told { Memory::Damaged } else { Memory::Gone };
        let life = self.lives.get_mut(&id).unwrap();
        life.forget(memory);
        life.fragment_is_untold |= newest && !layout::fragment_is_told(&bytes, at / 8);
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(path, bytes).unwrap();
    }

    fn clear(&mut self, clear: Clear) {
        let own = self.now.spool.id();
        match clear {
            Clear::Root => drop(fs::remove_dir_all(&self.root)),
            Clear::Spool => drop(fs::remove_dir_all(dir(&self.root, own))),
            Clear::Files => {
                let places = [self.root.clone(), self.root.join("dropped")];
                let dirs = places.iter().flat_map(|place| self.lives.keys().map(|id| dir(place, *id)));
                for file in dirs.flat_map(|dir| names(&dir).into_iter().map(move |name| dir.join(name))) {
                    fs::remove_file(file).unwrap();
                }
            }
        }
        self.now.cleared = true;
        if clear != Clear::Spool {
            self.now.nameless.extend(&self.now.adopted);
        }
    }

    /// What the extension does at every invocation and once a second.
    fn look(&mut self) {
        if !self.now.cleared {
            assert!(self.now.spool.is_in_place());
            return;
        }
        if self.now.spool.is_volatile() || !self.now.spool.is_in_place() {
            self.roll();
        }
        for orphan in self.now.spool.take_cleared() {
            self.now.adopted.remove(&orphan.id());
            self.now.nameless.remove(&orphan.id());
            self.now.orphans.push_back(orphan);
        }
        for orphan in &mut self.now.orphans {
            orphan.rescue().unwrap();
            self.now.nameless.remove(&orphan.id());
        }
        self.now.cleared = false;
    }

    fn check(&mut self) {
        let (spool, root) = (&self.now.spool, &self.root);
        let life = &self.lives[&spool.id()];
        assert_eq!(spool.next_seq().0, life.next(), "the next number");
        if spool.is_volatile() || self.now.cleared {
            return;
        }
        let files = segment_files(&dir(root, spool.id()));
        let on_disk: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len().div_ceil(4_096) * 4_096).sum();
        assert!(on_disk <= spool.disk_bytes(), "{on_disk} bytes are taken, {} are known", spool.disk_bytes());
        // Beside the limit: a batch that does not compress, and the segments and tombstones that go with it.
        let tombstones = files.iter().filter(|file| fs::metadata(file).unwrap().len() == 128).count() as u64;
        let batch = self.now.longest_batch.div_ceil(4_096) * 4_096 + 4 * 4_096;
        let most = self.bounds_bytes.max(4_096 * tombstones) + batch;
        assert!(on_disk <= most, "{on_disk} bytes are taken, the limit is {} and {batch}", self.bounds_bytes);
    }
}
