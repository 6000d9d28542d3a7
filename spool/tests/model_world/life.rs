//! The plain model of one spool: which number was given to what.

use std::collections::BTreeSet;
use std::sync::Arc;

use spool::{Spool, SpoolId};

/// What became of a number when it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged; the line can be computed again from this.
    Kept(u64),
    /// Acknowledged, with this line.
    Said(Arc<[u8]>),
    /// Refused: the number was taken, the line was not.
    Refused,
}

/// How much of a life may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Memory {
    /// Everything must be told, each number once.
    Whole,
    /// Something was damaged in a place where the files tell of it: everything must be told, some of it may be told twice.
    Damaged,
    /// The process died while the only copy was in its memory or behind its descriptors, or something was damaged that
    /// nothing else tells of: what is told must be true.
    Gone,
}

/// One life, as it should be remembered.
#[derive(Debug)]
pub struct Life {
    pub id: SpoolId,
    pub fates: Vec<Fate>,
    pub memory: Memory,
    /// Numbers that nothing tells of any more: what is told of them must be true.
    pub untold: BTreeSet<u64>,
    /// The fragment that is pending.
    pub pending: Option<Vec<u8>>,
    /// All fragments that ever were.
    pub fragments: BTreeSet<Vec<u8>>,
    /// Nothing tells any more whether one is pending, and which.
    pub fragment_is_untold: bool,
}

impl Life {
    pub fn new(id: SpoolId) -> Self {
        Self {
            id,
            fates: Vec::new(),
            memory: Memory::Whole,
            untold: BTreeSet::new(),
            pending: None,
            fragments: BTreeSet::new(),
            fragment_is_untold: false,
        }
    }

    /// A fragment was acknowledged, in the place of the one before.
    pub fn pend(&mut self, bytes: Vec<u8>) {
        self.fragments.insert(bytes.clone());
        self.pending = Some(bytes);
    }

    /// Whether an adopter may have given a number to a fragment: to one that is pending, or seems to be.
    pub fn may_have_pending(&self) -> bool {
        self.pending.is_some() || (self.memory != Memory::Whole && !self.fragments.is_empty())
    }

    pub fn next(&self) -> u64 {
        self.fates.len() as u64
    }

    /// The lines that the next `records` numbers will have.
    pub fn lines(&self, records: u32, nonce: u64) -> Vec<u8> {
        (self.next()..self.next() + u64::from(records)).flat_map(|seq| line(self.id, seq, nonce)).collect()
    }

    pub fn keep(&mut self, records: u32, nonce: u64) {
        self.fates.extend((0..records).map(|_| Fate::Kept(nonce)));
    }

    pub fn refuse(&mut self, records: u32) {
        self.fates.extend((0..records).map(|_| Fate::Refused));
    }

    pub fn forget(&mut self, memory: Memory) {
        self.memory = self.memory.max(memory);
    }

    /// The bytes of an object with these numbers, or `None` if one of them is not in any object.
    pub fn expected(&self, first: u64, last: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for seq in first..=last {
            match self.fates.get(usize::try_from(seq).unwrap())? {
                Fate::Said(line) => bytes.extend_from_slice(line),
                Fate::Kept(nonce) => bytes.extend(line(self.id, seq, *nonce)),
                Fate::Refused => return None,
            }
        }
        Some(bytes)
    }

    /// Appends one record with this line, and remembers it.
    pub fn say(&mut self, spool: &mut Spool, line: &[u8]) {
        let meta = spool::Meta::default();
        spool.append(&super::batch(line, 1, &meta), super::NOW_MS).unwrap();
        self.fates.push(Fate::Said(line.into()));
    }

    /// Appends a batch and remembers it.
    pub fn append(&mut self, spool: &mut Spool, records: u32, nonce: u64) {
        let (lines, meta) = (self.lines(records, nonce), spool::Meta::default());
        spool.append(&super::batch(&lines, records, &meta), super::NOW_MS).unwrap();
        self.keep(records, nonce);
    }
}

/// Bytes that are no line yet: different for every `n`. Some hold what looks like the header of an entry.
pub fn half(spool: SpoolId, n: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(n);
    let mut bytes = format!("half {n} of {spool} ").into_bytes();
    let length = if n.is_multiple_of(4) { rng.usize(0..9_000) } else { rng.usize(0..300) };
    bytes.extend((0..length).map(|_| rng.u8(..)));
    bytes.extend_from_slice(&super::layout::forged_header(n));
    bytes
}

/// A line: always the same for the same arguments, and different from every other one. Some are long and hardly compress;
/// some hold what looks like the header of an entry.
pub fn line(spool: SpoolId, seq: u64, nonce: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seq ^ nonce.rotate_left(32));
    let mut line = format!("{spool} {seq} {nonce:x}").into_bytes();
    let words = if nonce % 8 == 7 { rng.usize(0..60) } else { rng.usize(0..4) };
    for _ in 0..words {
        line.extend_from_slice(format!(" {:016x}", rng.u64(..)).as_bytes());
    }
    if nonce % 5 == 1 {
        line.extend_from_slice(&super::layout::forged_header(seq + 1));
    }
    line.push(b'\n');
    line
}
