//! The child: it adopts, appends, seals, delivers and rolls until it is killed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use spool::{Adopted, Orphan, SealReason, SealedSegment, SegmentKey, Spool, find_orphans};

use super::{CHILD_SEED, LAST};
use crate::world::{self, COMPRESSIONS, END_LINE, NOW_MS, append, append_end, identity, object};

/// What a child tells. One line each, written at once.
pub fn say(what: std::fmt::Arguments<'_>) {
    let line = format!("{what}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the supervisor reads to the end");
}

/// A kill may come between a panic and the exit that it leads to, and hide it. A panic of the manifest's thread is caught and
/// is none of ours.
pub fn confess_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("main") {
            say(format_args!("panicked"));
        }
        usual(panic);
    }));
}

pub struct Life {
    place: PathBuf,
    rng: fastrand::Rng,
    spool: Spool,
    /// Sealed by this life and not delivered.
    sealed: Vec<SealedSegment>,
    /// Found, or rolled away from, and not adopted.
    orphans: Vec<Orphan>,
}

impl Life {
    pub fn new(place: &Path) -> Self {
        let seed = world::number(CHILD_SEED).expect("the supervisor sets a seed");
        let mut rng = fastrand::Rng::with_seed(seed);
        say(format_args!("begun"));
        let root = place.join("spools");
        let compression = *rng.choice(&COMPRESSIONS).expect("not empty");
        let spool = world::create(&root, compression, &mut rng);
        say(format_args!("created"));
        let found = find_orphans(&root, spool.id()).unwrap();
        assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
        Self { place: place.to_owned(), rng, spool, sealed: Vec::new(), orphans: found.orphans }
    }

    pub fn run(mut self) {
        if std::env::var_os(LAST).is_some() {
            return self.end();
        }
        if self.rng.bool() {
            self.spool.settle_in();
        }
        // Some adopt before they append, most meanwhile, as the product does.
        if self.rng.u8(0..4) == 0 {
            self.adopt_all();
        }
        let steps_max = *self.rng.choice(&[10, 300, 3_000]).expect("not empty");
        for _ in 0..self.rng.u32(0..steps_max) {
            self.step();
        }
        self.end();
    }

    pub fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..60 => self.append(),
            60..75 => self.seal(SealReason::Size),
            75..88 => self.deliver_one(),
            88..95 => self.adopt_one(),
            95..97 => self.spool.count_platform_drops(1, 10).unwrap(),
            97 => self.roll(),
            _ => self.spool.settle_in(),
        }
    }

    pub fn append(&mut self) {
        let count = *self.rng.choice(&[0, 1, 1, 2, 5, 20, 300]).expect("not empty");
        let (id, next) = (self.spool.id(), self.spool.next_seq().0 + u64::from(count));
        say(format_args!("trying {id} {next}"));
        append(&mut self.spool, count);
        say(format_args!("acknowledged {id} {next}"));
    }

    pub fn seal(&mut self, reason: SealReason) {
        say(format_args!("sealing"));
        self.sealed.extend(world::seal(&mut self.spool, reason));
    }

    /// Not always the oldest: several uploads are under way when an environment ends.
    pub fn deliver_one(&mut self) {
        if self.sealed.is_empty() {
            return;
        }
        say(format_args!("delivering"));
        let segment = self.sealed.swap_remove(self.rng.usize(0..self.sealed.len()));
        self.spool.attempt_begun(&segment.key());
        self.put(segment.label(), &object(&segment));
        self.spool.remove(&segment.key()).unwrap();
    }

    pub fn adopt_one(&mut self) {
        if let Some(orphan) = self.orphans.pop() {
            say(format_args!("adopting {}", orphan.id()));
            let adopted = orphan.adopt(&world::labeler()).unwrap();
            self.drain(adopted);
            say(format_args!("adopted"));
        }
    }

    pub fn adopt_all(&mut self) {
        while !self.orphans.is_empty() {
            self.adopt_one();
        }
    }

    pub fn drain(&mut self, mut adopted: Adopted) {
        let report = adopted.report();
        assert!(report.lost.is_empty() && report.unreadable.is_empty(), "{report:?}");
        if report.torn_bytes > 0 {
            say(format_args!("torn"));
        }
        let mut left: Vec<(SegmentKey, String, Vec<u8>)> =
            adopted.segments().iter().map(|it| (it.key(), it.label().to_owned(), object(it))).collect();
        self.rng.shuffle(&mut left);
        for (key, label, bytes) in left {
            self.put(&label, &bytes);
            adopted.delivered(&key).unwrap();
        }
        assert!(adopted.is_drained());
        if let Some(end) = adopted.end() {
            self.put(&format!("{}-{:012}-{:012}-adopted-end", end.spool, end.seq, end.seq), END_LINE.as_bytes());
        }
        adopted.finish().unwrap();
    }

    pub fn roll(&mut self) {
        say(format_args!("rolling"));
        let identity = identity(&mut self.rng);
        self.orphans.push(self.spool.roll(identity, NOW_MS).unwrap());
        // Handed over with the rest of the old spool.
        self.sealed.clear();
    }

    /// An orderly end.
    pub fn end(mut self) {
        self.adopt_all();
        if self.spool.next_seq().0 > 0 {
            append_end(&mut self.spool);
            self.seal(SealReason::Shutdown);
        }
        while !self.sealed.is_empty() {
            self.deliver_one();
        }
        assert!(self.spool.remove_if_empty().unwrap(), "everything was delivered");
    }

    /// A conditional put: what is there stays, and must be what would have been put.
    pub fn put(&self, label: &str, bytes: &[u8]) {
        let (bucket, own) = (self.place.join("objects"), self.place.join("half-written"));
        // One that a kill has left may be an object by now: writing into it would change that.
        let _ = fs::remove_file(&own);
        fs::write(&own, bytes).unwrap();
        match fs::hard_link(&own, bucket.join(label)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                assert!(fs::read(bucket.join(label)).unwrap() == bytes, "{label} has two contents");
            }
            Err(error) => panic!("{label}: {error}"),
        }
        fs::remove_file(&own).unwrap();
    }
}
