//! A small spool with something of everything, written by a process that then dies.

use std::path::Path;

use spool::{Batch, Compression, Meta, SealReason, Spool, SpoolEvent};

use super::bucket::Bucket;
use super::life::Life;
use super::{NOW_MS, batch, config, identity};

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The stream has its end and is sealed; nothing is delivered yet.
    Closed,
    /// Killed between two appends.
    Crashed,
}

/// A spool directory below `root`, and what is to be remembered of it. `bucket` has what was delivered before.
///
/// Files: two segments, a third that was delivered before them, a fourth with a body that left no line, the tombstone of a
/// refused range, what was appended behind it.
pub fn write(root: &Path, compression: Compression, ending: Ending, bucket: &mut Bucket) -> Life {
    let spool = Spool::create(config(root, compression), identity(1, 1), NOW_MS).unwrap();
    write_into(spool, ending, bucket)
}

/// The same, into a spool that was just made.
pub fn write_into(mut spool: Spool, ending: Ending, bucket: &mut Bucket) -> Life {
    let mut life = Life::new(spool.id());
    for nonces in [&[7u64, 1, 15][..], &[2, 6], &[3]] {
        nonces.iter().for_each(|nonce| life.append(&mut spool, 3, *nonce));
        assert!(spool.seal(SealReason::Size, NOW_MS).unwrap());
    }
    deliver_newest(&mut spool, bucket);
    life.append(&mut spool, 2, 11);
    life.append(&mut spool, 0, 0);
    life.append(&mut spool, 1, 31);
    spool.refuse(4, 400, NOW_MS).unwrap();
    life.refuse(4);
    for nonce in [5, 23, 16] {
        life.append(&mut spool, 2, nonce);
    }
    spool.count_platform_drops(3, 300).unwrap();
    if ending == Ending::Closed {
        let (lines, meta) = (life.lines(1, 0), Meta::default());
        spool.append(&Batch { end: true, ..batch(&lines, 1, &meta) }, NOW_MS).unwrap();
        life.keep(1, 0);
        assert!(spool.seal(SealReason::Shutdown, NOW_MS).unwrap());
    }
    life
}

/// Delivers the newest segment, out of order.
fn deliver_newest(spool: &mut Spool, bucket: &mut Bucket) {
    let sealed = spool.take_events().into_iter().rev().find_map(|event| match event {
        SpoolEvent::Sealed(segment) => Some(segment),
        _ => None,
    });
    let segment = sealed.unwrap();
    bucket.put(&segment).unwrap();
    spool.remove(&segment.key()).unwrap();
}
