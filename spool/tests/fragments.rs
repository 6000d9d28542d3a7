//! What must be durable and is no line yet: it is part of no object, it outlives every segment, and whoever adopts ships it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod halves;
mod model_world;

use std::fs;

use halves::*;
use model_world::{COMPRESSIONS, NOW_MS, batch, config, dir, identity, labeler, names, only_orphan};
use spool::{
    AppendError, Batch, Compression, FRAGMENT_BYTES_MAX, Fragment, FragmentId, LossCause, Meta, SealReason, Seqno,
    Spool, TailBudget, WhenFull,
};

#[test]
fn what_is_pending_is_shipped_before_the_end_with_what_it_belongs_to() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append_with(&mut spool, "x\ny\n", &request("a"));
    let id = pend(&mut spool, HALF);
    assert_eq!((spool.pending_fragment(), spool.next_seq()), (Some(id), Seqno(2)), "it takes no number");
    drop(spool);
    let adopted = adopt(root.path());
    assert_eq!(told(&adopted), ["0-1", "2 ships 47 bytes, end 3 []"]);
    let fragment = adopted.end().unwrap().fragment.as_ref().unwrap();
    assert_eq!(fragment.read().unwrap(), HALF);
    assert_eq!((fragment.id(), fragment.time_ms(), fragment.is_volatile()), (id, NOW_MS - 5, false));
    assert_eq!((fragment.request_id(), fragment.tenant()), (Some("a"), Some("tenant of a")));
    assert_eq!(fragment.find_loss(), None);
}

#[test]
fn a_line_time_that_cannot_be_is_not_believed() {
    for (line_ms, expected) in [(None, NOW_MS), (Some(7), NOW_MS), (Some(NOW_MS + 9), NOW_MS + 9)] {
        let root = model_world::scratch();
        let mut spool = spool(root.path());
        let meta = Meta::default();
        spool.append_fragment(&Fragment { line_ms, ..fragment(HALF, &meta) }, NOW_MS).unwrap();
        drop(spool);
        assert_eq!(adopt(root.path()).end().unwrap().fragment.as_ref().unwrap().time_ms(), expected);
    }
}

/// Neither its bytes nor its place in the file change what the lines around it become.
#[test]
fn no_object_takes_notice_of_a_fragment() {
    for (name, compression) in COMPRESSIONS {
        let objects = [false, true].map(|with_fragments| {
            let root = model_world::scratch();
            let mut spool = Spool::create(config(root.path(), compression), identity(1, 1), NOW_MS).unwrap();
            for round in 0..20 {
                append(&mut spool, &format!("line {round} of some length, and again line {round}\n"));
                if with_fragments {
                    let meta = Meta { resolves: spool.pending_fragment(), ..Meta::default() };
                    spool.append_fragment(&fragment(HALF, &meta), NOW_MS).unwrap();
                }
            }
            let facts = spool.active();
            assert_eq!((facts.records, facts.partition_ms), (20, Some(NOW_MS)));
            let killed = adopt(copied(root.path()).path());
            let sealed = seal(&mut spool);
            assert_eq!(killed.segments()[0].facts().digest, sealed.facts().digest, "{name}: an adopter makes the same");
            assert_eq!(object(&killed.segments()[0]), object(&sealed), "{name}");
            object(&sealed)
        });
        assert_eq!(objects[0], objects[1], "{name}");
    }
}

#[test]
fn lines_that_complete_it_end_it_with_the_same_write() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    let id = pend(&mut spool, HALF);
    append(&mut spool, "in between\n");
    assert_eq!(found(root.path()), ["0-0", "1 ships 47 bytes, end 2 []"]);
    append_with(&mut spool, "of another name\n", &resolving(FragmentId(id.0 + 1)));
    assert_eq!(spool.pending_fragment(), Some(id));
    append_with(&mut spool, "the whole record\n", &resolving(id));
    assert_eq!(spool.pending_fragment(), None);
    assert_eq!(found(root.path()), ["0-2", "end 3 []"]);
}

#[test]
fn a_further_part_takes_the_place_of_the_first() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    let first = pend(&mut spool, HALF);
    let both = [HALF, b"rd that"].concat();
    let refused = spool.append_fragment(&fragment(&both, &Meta::default()), NOW_MS).unwrap_err();
    assert!(matches!(refused, AppendError::FragmentPending(pending) if pending == first), "{refused}");
    assert_eq!(found(root.path()), ["0 ships 47 bytes, end 1 []"], "what is pending is not lost");
    let second = spool.append_fragment(&fragment(&both, &resolving(first)), NOW_MS).unwrap();
    assert_ne!(first, second);
    assert_eq!(spool.pending_fragment(), Some(second));
    assert_eq!(found(root.path()), ["0 ships 54 bytes, end 1 []"]);
    append_with(&mut spool, "whole\n", &resolving(first));
    assert_eq!(found(root.path()), ["0-0", "1 ships 54 bytes, end 2 []"], "the first has ended before");
    append_with(&mut spool, "whole\n", &resolving(second));
    assert_eq!(found(root.path()), ["0-1", "end 2 []"]);
}

#[test]
fn a_fragment_has_a_limit_of_its_own() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    let (meta, bytes) = (Meta::default(), vec![b'x'; FRAGMENT_BYTES_MAX + 1]);
    let error = spool.append_fragment(&fragment(&bytes, &meta), NOW_MS).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge(length) if length == bytes.len()), "{error}");
    spool.append_fragment(&fragment(&bytes[1..], &meta), NOW_MS).unwrap();
    append(&mut spool, "x\n");
    seal(&mut spool);
    assert_eq!(found(root.path()), ["0-0".to_owned(), format!("1 ships {FRAGMENT_BYTES_MAX} bytes, end 2 []")]);
    // Nothing of so large a fragment stays in memory, or on disk when its segment has gone.
    let quota = spool.disk_bytes();
    let id = spool.pending_fragment().unwrap();
    append_with(&mut spool, "y\n", &resolving(id));
    seal(&mut spool);
    assert_eq!(spool.disk_bytes(), quota + 4_096);
}

#[test]
fn it_is_copied_on_as_long_as_it_is_pending() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    let id = pend(&mut spool, HALF);
    for round in 0..4u64 {
        append_with(&mut spool, "x\n", &request(&format!("b{round}")));
        let segment = seal(&mut spool);
        assert_eq!((lines(&segment).as_str(), spool.active().records), ("x\n", 0));
        spool.remove(&segment.key()).unwrap();
        assert_eq!(names(&dir(root.path(), spool.id())).iter().filter(|name| name.ends_with(".seg")).count(), 1);
        let adopted = adopt(copied(root.path()).path());
        assert_eq!(told(&adopted), [format!("{} ships 47 bytes, end {} []", round + 1, round + 2)]);
        let fragment = adopted.end().unwrap().fragment.as_ref().unwrap();
        assert_eq!((fragment.id(), fragment.time_ms()), (id, NOW_MS - 5));
        let own = (fragment.request_id(), fragment.tenant());
        assert_eq!(own, (Some("a"), Some("tenant of a")), "whatever is in force by now");
        let tail = only_orphan(copied(root.path()).path()).tail(&mut TailBudget::new(1 << 20, &|| false));
        assert_eq!(tail.request_id, Some(format!("b{round}")), "and that is known, too");
        assert_eq!(tail.bodies, [], "a copy is no body");
    }
    append_with(&mut spool, "whole\n", &resolving(id));
    seal(&mut spool);
    assert_eq!(stored(&file(root.path(), 5)).len(), 0, "nothing is pending any more");
    assert_eq!(found(root.path()), ["4-4", "end 5 []"]);
}

#[test]
fn a_refused_range_ends_the_segment_and_not_what_is_pending() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let id = pend(&mut spool, HALF);
    spool.refuse(2, 20, NOW_MS).unwrap();
    assert_eq!(found(root.path()), ["0-0", "refused 1-2 20 bytes", "3 ships 47 bytes, end 4 [refused 2]"]);
    let meta = resolving(id);
    let longer = spool.append_fragment(&fragment(b"longer", &meta), NOW_MS).unwrap();
    assert_eq!(found(root.path()), ["0-0", "refused 1-2 20 bytes", "3 ships 6 bytes, end 4 [refused 2]"]);
    spool.refuse(1, 10, NOW_MS).unwrap();
    append_with(&mut spool, "whole\n", &resolving(longer));
    let expected = ["0-0", "4-4", "refused 1-2 20 bytes", "refused 3-3 10 bytes", "end 5 [refused 3]"];
    assert_eq!(found(root.path()), expected);
}

/// A kill may leave the tombstone of a refused range, and not the segment behind it.
#[test]
fn a_tombstone_of_a_refused_range_says_nothing_of_what_was_pending() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    pend(&mut spool, HALF);
    spool.refuse(2, 20, NOW_MS).unwrap();
    append(&mut spool, "y\n");
    let place = copied(root.path());
    fs::remove_file(file(place.path(), 2)).unwrap();
    assert_eq!(found(place.path()), ["0-0", "refused 1-2 20 bytes", "3 ships 47 bytes, end 4 [refused 2]"]);
    let place = copied(root.path());
    edit(&file(place.path(), 2), |bytes| bytes.truncate(512));
    assert_eq!(found(place.path()), ["0-0", "refused 1-2 20 bytes", "3 ships 47 bytes, end 4 [refused 2]"]);
}

#[test]
fn a_segment_with_nothing_but_a_fragment_is_not_sealed_and_its_spool_is_not_empty() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    let id = pend(&mut spool, HALF);
    assert_eq!((spool.active().records, spool.active().first_append_ms, spool.active().object_bytes), (0, None, 0));
    assert!(!spool.seal(SealReason::Age, NOW_MS).unwrap());
    assert!(!spool.remove_if_empty().unwrap(), "it has given no number, and holds something");
    assert_eq!(found(root.path()), ["0 ships 47 bytes, end 1 []"]);
    append_with(&mut spool, "whole\n", &resolving(id));
    let meta = Meta::default();
    spool.append(&Batch { end: true, ..batch(b"end\n", 1, &meta) }, NOW_MS).unwrap();
    let segment = seal(&mut spool);
    spool.remove(&segment.key()).unwrap();
    assert!(spool.remove_if_empty().unwrap());
    assert_eq!(names(root.path()), Vec::<String>::new());
}

#[test]
fn what_comes_behind_an_orderly_end_gets_a_further_one() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let meta = Meta::default();
    spool.append(&Batch { end: true, ..batch(b"end\n", 1, &meta) }, NOW_MS).unwrap();
    let segment = seal(&mut spool);
    assert_eq!(found(root.path()), ["0-1"], "it has ended");
    let id = pend(&mut spool, HALF);
    assert_eq!(found(root.path()), ["0-1", "2 ships 47 bytes, end 3 []"]);
    spool.remove(&segment.key()).unwrap();
    assert!(!spool.remove_if_empty().unwrap());
    assert_eq!(found(root.path()), ["2 ships 47 bytes, end 3 []"]);
    append_with(&mut spool, "whole\n", &resolving(id));
    assert_eq!(found(root.path()), ["2-2", "end 3 []"]);
}

#[test]
fn a_roll_leaves_what_is_pending_to_the_adopter() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let left = pend(&mut spool, HALF);
    let orphan = spool.roll(identity(1, 2), NOW_MS).unwrap();
    assert_eq!(spool.pending_fragment(), None);
    assert_eq!(told(&orphan.adopt(&labeler()).unwrap()), ["0-0", "1 ships 47 bytes, end 2 []"]);
    let next = pend(&mut spool, b"another");
    append_with(&mut spool, "whole\n", &resolving(left));
    assert_eq!(spool.pending_fragment(), Some(next), "an old name fits nothing here");
}

#[test]
fn a_spool_in_memory_ships_what_is_pending_and_says_where_it_was() {
    let root = model_world::scratch();
    let mut spool =
        Spool::create_in_memory(config(root.path(), Compression::default()), identity(1, 1), NOW_MS).unwrap();
    append(&mut spool, "x\n");
    let id = pend(&mut spool, &vec![b'x'; 5 << 20]);
    // There is no room for two of them: nothing is sealed, nothing is lost.
    assert!(spool.seal(SealReason::Size, NOW_MS).is_err());
    append(&mut spool, "y\n");
    let orphan = spool.roll(identity(1, 2), NOW_MS).unwrap();
    let adopted = orphan.adopt(&labeler()).unwrap();
    assert_eq!(told(&adopted), ["0-1", "2 ships 5242880 bytes, end 3 []"]);
    assert!(adopted.end().unwrap().fragment.as_ref().unwrap().is_volatile());
    assert_eq!(spool.pending_fragment().filter(|pending| *pending == id), None);
}

#[test]
fn it_outlives_the_segment_that_held_it() {
    let root = model_world::scratch();
    let mut config = config(root.path(), Compression::default());
    config.limits.segments_max = 2;
    let mut spool = Spool::create(config, identity(1, 1), NOW_MS).unwrap();
    append(&mut spool, "0\n");
    let id = pend(&mut spool, HALF);
    for number in 1..8 {
        seal(&mut spool);
        append(&mut spool, &format!("{number}\n"));
        assert_eq!(
            found(root.path()).pop().unwrap().split(',').next().unwrap(),
            format!("{} ships 47 bytes", number + 1)
        );
    }
    assert!(spool.losses().of(LossCause::Quota).records > 3);
    append_with(&mut spool, "whole\n", &resolving(id));
    assert!(found(root.path()).pop().unwrap().starts_with("end 9 "));
}

/// Room for the copy is kept from the beginning, so that a seal does not take more than there may be.
#[test]
fn a_fragment_and_its_copy_fit_into_the_quota() {
    let root = model_world::scratch();
    let mut config = config(root.path(), Compression::default());
    config.limits.bytes_max = Some(100_000);
    let mut spool = Spool::create(config, identity(1, 1), NOW_MS).unwrap();
    let meta = Meta::default();
    let error = spool.append_fragment(&fragment(&vec![b'x'; 60_000], &meta), NOW_MS).unwrap_err();
    assert!(matches!(error, AppendError::Full(_)), "{error}");
    spool.append_fragment(&fragment(&vec![b'x'; 40_000], &meta), NOW_MS).unwrap();
    let line =
        format!("{}\n", (0..3_000).map(|n| format!("{:x}", fastrand::Rng::with_seed(n).u8(..))).collect::<String>());
    for _ in 0..40 {
        append(&mut spool, &line);
        spool.seal(SealReason::Size, NOW_MS).unwrap();
        assert!(spool.disk_bytes() <= 100_000 + 2 * 4_096, "{} bytes are taken", spool.disk_bytes());
    }
    assert!(found(root.path()).pop().unwrap().starts_with("40 ships 40000 bytes"));
}

#[test]
fn lines_that_end_it_need_no_room_for_its_copy() {
    let root = model_world::scratch();
    let mut config = config(root.path(), Compression::default());
    (config.limits.bytes_max, config.limits.when_full) = (Some(100_000), WhenFull::DropNewest);
    let mut spool = Spool::create(config, identity(1, 1), NOW_MS).unwrap();
    let id = pend(&mut spool, &[b'x'; 40_000]);
    let mut rng = fastrand::Rng::with_seed(1);
    let full = (0..100).find_map(|_| {
        let line = format!("{}\n", (0..50).map(|_| format!("{:016x}", rng.u64(..))).collect::<String>());
        spool.append(&batch(line.as_bytes(), 1, &Meta::default()), NOW_MS).err()
    });
    assert!(matches!(full, Some(AppendError::Full(_))), "{full:?}");
    append_with(&mut spool, "whole\n", &resolving(id));
    append(&mut spool, "and there is room again\n");
}
