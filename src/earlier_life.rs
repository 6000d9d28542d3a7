//! What earlier lives have left for this one to go on with: read before the first body can come, so it stands in the way of a start.
//!
//! It helps, and is not needed: without it the first records belong to nobody, and a body that an earlier life has stored without
//! an answer may be stored once more. So it gets little, of bytes and of time: a function may have little CPU.

use std::time::{Duration, Instant};

use spool::{Orphan, TailBudget};

use crate::intake::{Attribution, EarlierLife};

/// Bytes of files that may be read: the last segments of some lives, at the usual size of a segment.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long that may take. With a whole CPU it takes less.
const TIME_MAX: Duration = Duration::from_millis(20);

/// Reads what orphans tell, newest last, as far as there is time at a start.
pub fn read(orphans: &[Orphan]) -> EarlierLife {
    let begun = Instant::now();
    read_within(orphans, &mut TailBudget::new(BYTES_MAX, &|| begun.elapsed() > TIME_MAX))
}

/// Reads what orphans tell, newest last. The newest life knows which bodies it has not answered; a request is in force if it, or else
/// the newest one that knows of any, says so.
pub fn read_within(orphans: &[Orphan], budget: &mut TailBudget<'_>) -> EarlierLife {
    let mut tails = orphans.iter().rev().map(|orphan| orphan.tail(budget));
    let newest = tails.next().unwrap_or_default();
    let in_force = newest.request_id.or_else(|| tails.find_map(|tail| tail.request_id));
    EarlierLife { in_force: Attribution::restore(in_force), unanswered: newest.bodies }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use spool::{
        Batch, BodyId, Codec, Compression, Identity, Meta, Spool, SpoolConfig, SpoolId, SpoolLimits, find_orphans,
    };
    use tempfile::TempDir;

    use super::*;
    use crate::upload::object_key::ObjectKeys;
    use crate::upload::outgoing::{LINE_FORMAT_JSON, labeler};

    const NOW: i64 = 1_790_000_000_000;

    fn id(life: i64) -> SpoolId {
        SpoolId::new(NOW + life, 1)
    }

    /// A life that has stored one body of so many bytes, and was killed.
    fn life(root: &Path, life: i64, request_id: Option<&str>, bytes: usize) {
        let config = SpoolConfig {
            root: root.into(),
            compression: Compression { codec: Codec::None, level: 1, frame_bytes_max: None },
            line_format: LINE_FORMAT_JSON,
            label: labeler(ObjectKeys::for_function("f")),
            limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
        };
        let mut spool = Spool::create(config, Identity { id: id(life), salt_seed: 1 }, NOW).expect("a directory");
        let (lines, hash) = (vec![b'x'; bytes], life.unsigned_abs());
        let meta = Meta { request_id: request_id.map(str::to_owned), ..Meta::default() };
        let batch = Batch {
            lines: &lines,
            records: 1,
            first_line_ms: None,
            body_bytes: 7,
            body_hash: hash,
            meta: &meta,
            end: false,
        };
        spool.append(&batch, NOW).expect("room");
    }

    /// The request in force and the hashes of bodies.
    fn told_in(root: &TempDir, bytes_max: u64, is_over: bool) -> (Option<String>, Vec<u64>) {
        let orphans = find_orphans(root.path(), id(99)).expect("a directory").orphans;
        let told = read_within(&orphans, &mut TailBudget::new(bytes_max, &|| is_over));
        let hashes = told.unanswered.iter().map(|BodyId { hash, .. }| *hash).collect();
        (told.in_force.as_str().map(str::to_owned), hashes)
    }

    #[test]
    fn the_newest_life_that_knows_of_a_request_tells_it_and_the_newest_its_bodies() {
        let root = TempDir::new().expect("a directory");
        assert_eq!(told_in(&root, BYTES_MAX, false), (None, vec![]));
        for (number, request_id) in [(1, Some("a")), (2, Some("b")), (3, None)] {
            life(root.path(), number, request_id, 10);
        }
        assert_eq!(told_in(&root, BYTES_MAX, true), (Some("b".into()), vec![3]), "what is short is always read");
        let orphans = find_orphans(root.path(), id(99)).expect("a directory").orphans;
        assert_eq!(read(&orphans).in_force.as_str(), Some("b"));
    }

    #[test]
    fn all_lives_together_have_one_budget() {
        let root = TempDir::new().expect("a directory");
        for (number, request_id) in [(1, Some("a")), (2, None), (3, None)] {
            life(root.path(), number, request_id, 50_000);
        }
        assert_eq!(told_in(&root, 200_000, false), (Some("a".into()), vec![3]));
        assert_eq!(told_in(&root, 149_000, false), (None, vec![3]), "there are no bytes left for the oldest");
        assert_eq!(told_in(&root, 200_000, true), (None, vec![3]), "there is no time left for it");
        assert_eq!(told_in(&root, 49_000, false), (None, vec![]), "the newest is too long");
    }
}
