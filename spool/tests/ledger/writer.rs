//! One process that writes a spool as the extension does: what cannot be stored takes its numbers, a place that fails is
//! left for a new one or for memory.

use std::path::{Path, PathBuf};

use spool::{AppendError, Orphan, SealReason, Spool, SpoolLimits};

use super::{Ledger, NOW, append, append_half, append_resolving, identity, labeler};

pub struct Writer {
    pub spool: Spool,
    pub ledger: Ledger,
    pub now_ms: i64,
    /// Records that were refused.
    pub refused: u64,
    /// Batches that were refused.
    pub refused_batches: u32,
    /// How often the spool was left for memory.
    pub fled: u32,
    root: PathBuf,
    lives: u32,
    halves: u64,
    orphans: Vec<Orphan>,
}

impl Writer {
    pub fn new(root: &Path, limits: SpoolLimits) -> Self {
        let config = super::config(root, limits);
        let made = Spool::create(config.clone(), identity(1), NOW);
        let fled = u32::from(made.is_err());
        let spool = made.or_else(|_| Spool::create_in_memory(config, identity(1), NOW)).expect("memory");
        Self {
            spool,
            ledger: Ledger::default(),
            now_ms: NOW,
            refused: 0,
            refused_batches: 0,
            fled,
            root: root.into(),
            lives: 1,
            halves: 0,
            orphans: Vec::new(),
        }
    }

    /// Acknowledges so many records, stored or not. Returns whether they are stored.
    pub fn append(&mut self, records: u32) -> bool {
        self.now_ms += 100;
        for _ in 0..3 {
            match append(&mut self.spool, records, false, self.now_ms) {
                Ok(()) => {
                    let first = self.spool.next_seq().0 - u64::from(records);
                    self.ledger.acknowledge(self.spool.id(), first, u64::from(records));
                    return true;
                }
                Err(AppendError::Full(_) | AppendError::TooLarge(_)) => break,
                Err(_) => self.roll(),
            }
        }
        self.refuse(records);
        false
    }

    /// Acknowledges the next half of a record, in the place of the one that is pending; or has it refused.
    pub fn half(&mut self) {
        self.halves += 1;
        for _ in 0..3 {
            let id = self.spool.id();
            self.ledger.half_tried(id, self.halves);
            match append_half(&mut self.spool, self.halves, self.now_ms) {
                Ok(()) => return self.ledger.half_acknowledged(id, self.halves),
                Err(AppendError::Full(_)) => return,
                Err(_) => self.roll(),
            }
        }
    }

    /// Acknowledges one record, stored or not, which completes what is pending. What is not stored completes nothing.
    pub fn complete(&mut self) {
        for _ in 0..3 {
            let (id, first, pending) = (self.spool.id(), self.spool.next_seq().0, self.spool.pending_fragment());
            self.ledger.completing(id, pending.map(|_| first));
            match append_resolving(&mut self.spool, 1, false, pending, self.now_ms) {
                Ok(()) => return self.ledger.acknowledge(id, first, 1),
                Err(AppendError::Full(_)) => {
                    self.ledger.completing(id, None);
                    break;
                }
                Err(_) => self.roll(),
            }
        }
        self.refuse(1);
    }

    fn refuse(&mut self, records: u32) {
        let records = u64::from(records);
        let first = self.spool.next_seq().0;
        if self.spool.refuse(records, records * 100, self.now_ms).is_err() {
            self.roll();
            self.spool.refuse(records, records * 100, self.now_ms).expect("a new place takes at least the loss");
        }
        self.refused += records;
        self.refused_batches += 1;
        let first = first.min(self.spool.next_seq().0 - records);
        self.ledger.acknowledge(self.spool.id(), first, records);
    }

    /// `false` if there was nothing to seal, or it could not be.
    pub fn seal(&mut self) -> bool {
        self.spool.seal(SealReason::Size, self.now_ms).unwrap_or(false)
    }

    /// What the process does at every invocation and once a second.
    pub fn check_place(&mut self) {
        if self.spool.is_volatile() {
            let next = identity(self.lives + 1);
            if let Ok(orphan) = self.spool.roll(next, self.now_ms) {
                self.lives += 1;
                self.orphans.push(orphan);
            }
        } else if !self.spool.is_in_place() {
            self.roll();
        }
    }

    fn roll(&mut self) {
        self.lives += 1;
        let next = identity(self.lives);
        let orphan = match self.spool.roll(next, self.now_ms) {
            Ok(orphan) => orphan,
            Err(_) => {
                self.fled += 1;
                self.spool.roll_into_memory(next, self.now_ms).expect("memory")
            }
        };
        self.orphans.push(orphan);
    }

    /// Writes files that somebody removed anew, as far as possible: what beside the appends makes them durable again.
    pub fn rescue(&mut self) {
        for orphan in &mut self.orphans {
            // What cannot be written is held by its descriptor.
            let _ = orphan.rescue();
        }
    }

    pub fn deliver(&mut self) {
        self.ledger.take_events(&mut self.spool);
    }

    /// Delivers what was left behind by a roll.
    pub fn deliver_orphans(&mut self) {
        self.rescue();
        for orphan in self.orphans.drain(..) {
            self.ledger.drain(orphan.adopt(&labeler()).expect("our own version"));
        }
    }

    /// Delivers everything that it still knows of, as long as it lives.
    pub fn end(mut self) -> Ledger {
        self.deliver();
        self.lives += 1;
        let last = identity(self.lives);
        self.orphans.push(self.spool.roll_into_memory(last, self.now_ms).expect("memory"));
        self.deliver_orphans();
        self.ledger
    }

    /// Dies as by SIGKILL: what it holds is only what is on disk. The next life delivers it.
    pub fn die(self) -> Ledger {
        let Self { mut spool, mut ledger, mut orphans, root, lives, now_ms, .. } = self;
        assert!(!spool.is_volatile(), "memory dies with its process");
        // The thread of its manifest dies with it: an orphan is let go of only when that has ended.
        orphans.push(spool.roll_into_memory(identity(lives + 1), now_ms).expect("memory"));
        drop((spool, orphans));
        ledger.adopt_all(&root, identity(lives + 1).id);
        ledger
    }
}
