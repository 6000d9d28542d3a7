//! A story: limits, and what happens one thing after the other. Made from a seed, and made smaller when it fails.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use spool::WhenFull;

/// One thing that happens. Small numbers choose among what is there at that time, so that a story stays a story when a
/// part of it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Append {
        records: u8,
        nonce: u8,
    },
    /// What is no line yet: in the place of the one that is pending, or as if nothing were.
    Fragment {
        nonce: u8,
        replaces: bool,
    },
    /// Lines complete what is pending.
    Resolve {
        records: u8,
        nonce: u8,
    },
    Refuse(u8),
    Seal,
    PlatformDrops(u8),
    /// An upload begins; it ends, at some later time, in one of three ways.
    Begin(u8),
    Delivered(u8),
    Failed(u8),
    /// It is where it should be, and nobody knows.
    Unanswered(u8),
    /// Everything that waits is delivered.
    Drain,
    /// The next spool that waits for adoption is adopted.
    Adopt,
    Roll,
    RollIntoMemory,
    /// The stream ends in order: its end, a seal. What is delivered goes, and a new life begins.
    End,
    Kill,
    /// Killed, and a bit is flipped in a file before the next life begins.
    Damage {
        file: u8,
        at: u16,
    },
    /// Somebody clears the directory.
    Clear(Clear),
    /// The process looks whether its files are in place and does what is to be done.
    Look,
}

/// How a directory is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    Root,
    Spool,
    /// The files; directories stay.
    Files,
}

/// What the spools of a story may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub bytes_max: u64,
    pub keep_free_bytes: u64,
    pub segments_max: usize,
    pub orphans_max: usize,
    pub tombstones_max: usize,
    pub when_full: WhenFull,
}

/// A story.
#[derive(Debug, Clone)]
pub struct Story {
    pub seed: u64,
    pub bounds: Bounds,
    pub ops: Vec<Op>,
}

impl Story {
    /// The story of a seed. Limits are tiny, so that rare paths are common.
    pub fn of(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut one_of = |values: &[u64]| values[rng.usize(0..values.len())];
        let bounds = Bounds {
            bytes_max: one_of(&[0, 9_000, 17_000, 40_000, 100_000, 1 << 30, 1 << 30]),
            keep_free_bytes: one_of(&[0, 0, 0, 0, 0, 0, 1 << 60]),
            segments_max: usize::try_from(one_of(&[1, 2, 3, 5, 4_096, 4_096])).unwrap(),
            tombstones_max: usize::try_from(one_of(&[1, 2, 4, 1_024])).unwrap(),
            orphans_max: usize::try_from(one_of(&[0, 1, 2, 64, 64, 64])).unwrap(),
            when_full: if one_of(&[0, 0, 1]) == 0 { WhenFull::DropOldest } else { WhenFull::DropNewest },
        };
        let ops = (0..rng.usize(1..60)).map(|_| op(&mut rng)).collect();
        Self { seed, bounds, ops }
    }

    /// The same story, with fragments here and there.
    pub fn with_fragments(mut self) -> Self {
        let mut rng = fastrand::Rng::with_seed(!self.seed);
        for _ in 0..self.ops.len() / 3 + 1 {
            let (nonce, at) = (rng.u8(..), rng.usize(0..=self.ops.len()));
            let op = match rng.u8(0..8) {
                0..=4 => Op::Fragment { nonce, replaces: rng.u8(0..8) > 0 },
                _ => Op::Resolve { records: rng.u8(1..5), nonce },
            };
            self.ops.insert(at, op);
        }
        self
    }

    /// Runs the story; if it fails, the smallest one that still fails is printed.
    pub fn tell(&self, run: impl Fn(&Self)) {
        let fails = |story: &Self| quietly(|| catch_unwind(AssertUnwindSafe(|| run(story))).is_err());
        if !fails(self) {
            return;
        }
        let smallest = self.shrunk(fails);
        println!("seed {} fails; SPOOL_TEST_SEED={} replays it; what is left of it:", self.seed, self.seed);
        println!("  {:?}", smallest.bounds);
        smallest.ops.iter().for_each(|op| println!("  {op:?}"));
        run(&smallest);
        panic!("the story of seed {} fails, but not every time", self.seed);
    }

    /// Leaves out runs of things, long ones first, as long as it still fails.
    fn shrunk(&self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut smallest = self.clone();
        let mut length = smallest.ops.len();
        while length > 0 {
            let mut at = 0;
            while at < smallest.ops.len() {
                let mut ops = smallest.ops.clone();
                ops.drain(at..(at + length).min(smallest.ops.len()));
                let shorter = Self { ops, ..smallest.clone() };
                if fails(&shorter) { smallest = shorter } else { at += length }
            }
            length /= 2;
        }
        smallest
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics of this thread are not printed meanwhile: a story that is made smaller fails many times.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let result = work();
    QUIET.set(false);
    result
}

fn op(rng: &mut fastrand::Rng) -> Op {
    let any = rng.u8(..);
    match rng.u8(0..100) {
        0..=29 => {
            let records = match rng.u8(0..8) {
                0 => 0,
                1 => rng.u8(10..60),
                _ => rng.u8(1..5),
            };
            Op::Append { records, nonce: any }
        }
        30..=33 => Op::Refuse(any % 4),
        34..=48 => Op::Seal,
        49 => Op::PlatformDrops(any % 5),
        50..=59 => Op::Begin(any),
        60..=69 => Op::Delivered(any),
        70..=72 => Op::Failed(any),
        73..=75 => Op::Unanswered(any),
        76..=77 => Op::Drain,
        78..=82 => Op::Adopt,
        83..=84 => Op::Roll,
        85..=86 => Op::RollIntoMemory,
        87..=88 => Op::End,
        89..=92 => Op::Kill,
        93..=95 => Op::Damage { file: any, at: rng.u16(..) },
        96 => Op::Clear([Clear::Root, Clear::Spool, Clear::Files][usize::from(any % 3)]),
        _ => Op::Look,
    }
}
