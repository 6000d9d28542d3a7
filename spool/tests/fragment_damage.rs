//! Kills and damage: what must be durable and is no line yet is shipped once, or its loss is told.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod halves;
mod model_world;

use std::fs;

use halves::*;
use model_world::{NOW_MS, layout, names};

/// A kill may cut the write of the next entry anywhere; and that of the fragment itself, which was not acknowledged then.
#[test]
fn a_torn_write_costs_nothing_that_was_acknowledged() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let first = pend(&mut spool, HALF);
    let meta = resolving(first);
    spool.append_fragment(&fragment(&[HALF, b"rd"].concat(), &meta), NOW_MS).unwrap();
    let second = spool.pending_fragment().unwrap();
    append_with(&mut spool, "whole\n", &resolving(second));
    drop(spool);
    let path = file(root.path(), 0);
    let bytes = fs::read(&path).unwrap();
    let [_, one, two, _] = layout::entries(&bytes).try_into().unwrap();
    let end = bytes.len();
    for length in one.head.start..=end {
        edit(&path, |file| bytes[..length].clone_into(file));
        let expected = match length {
            _ if length < one.payload.end => ["0-0", "end 1 []"],
            _ if length < two.payload.end => ["0-0", "1 ships 47 bytes, end 2 []"],
            _ if length < end => ["0-0", "1 ships 49 bytes, end 2 []"],
            _ => ["0-1", "end 2 []"],
        };
        assert_eq!(found(root.path()), expected, "{length} of {end} bytes");
    }
}

/// The next segment's header, then the copy, then the end of the segment before: a kill may fall between any two bytes.
#[test]
fn a_kill_while_it_is_copied_on_leaves_it_once() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    pend(&mut spool, HALF);
    let before = fs::read(file(root.path(), 0)).unwrap();
    seal(&mut spool);
    let after = fs::read(file(root.path(), 1)).unwrap();
    let whole = adopt(copied(root.path()).path()).end().unwrap().clone();
    for length in 0..=after.len() {
        let place = copied(root.path());
        // Before it is complete, the one before has no end.
        edit(&file(place.path(), 0), |file| before.clone_into(file));
        edit(&file(place.path(), 1), |file| after[..length].clone_into(file));
        let mut adopted = adopt(place.path());
        assert_eq!(told(&adopted), ["0-0", "1 ships 47 bytes, end 2 []"], "{length} bytes");
        let [one, other] = [adopted.end().unwrap(), &whole]
            .map(|end| end.fragment.clone().map(|half| (half.id(), half.seq(), half.read().unwrap())));
        assert_eq!(one, other);
        // The adopter may be killed, too.
        let key = adopted.segments()[0].key();
        adopted.delivered(&key).unwrap();
        let end = adopted.end().cloned();
        drop(adopted);
        let mut next = adopt(place.path());
        assert_eq!(next.end(), end.as_ref(), "{length} bytes, once more");
        next.segments().to_vec().iter().for_each(|segment| next.delivered(&segment.key()).unwrap());
        assert!(next.is_drained());
        next.finish().unwrap();
        assert_eq!(names(place.path()), Vec::<String>::new());
    }
}

#[test]
fn damage_costs_one_number_and_the_next_adopter_tells_the_same() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    pend(&mut spool, HALF);
    append(&mut spool, "y\n");
    drop(spool);
    let place = stored(&file(root.path(), 0)).remove(0);
    edit(&file(root.path(), 0), |bytes| bytes[place.payload.start + 9] ^= 4);
    let expected = ["0-1", "damage 2-2 47 bytes", "end 3 [damage 1]"];
    let mut adopted = adopt(root.path());
    assert_eq!(told(&adopted), expected, "lines around it are whole");
    assert_eq!((adopted.report().lost_records(), adopted.report().lost_bytes()), (1, 47));
    for key in [adopted.segments()[0].key(), adopted.dropped()[0].key()] {
        assert!(!adopted.is_drained());
        adopted.delivered(&key).unwrap();
        assert_eq!(found(root.path()), expected, "whoever adopts next");
    }
    assert!(adopted.is_drained());
    adopted.finish().unwrap();
    assert_eq!(names(root.path()), Vec::<String>::new());
}

/// Whatever is damaged, it is shipped in its newest form that can be read, or its loss is declared; and never other bytes.
#[test]
fn any_flipped_bit_leaves_it_or_is_told() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let first = pend(&mut spool, HALF);
    seal(&mut spool);
    append(&mut spool, "y\n");
    let (meta, both) = (resolving(first), [HALF, b"rd that"].concat());
    spool.append_fragment(&fragment(&both, &meta), NOW_MS).unwrap();
    append(&mut spool, "z\n");
    drop(spool);
    let [copy, newest] = stored(&file(root.path(), 1)).try_into().unwrap();
    for (segment, at) in [0, 1]
        .into_iter()
        .flat_map(|segment| (0..fs::read(file(root.path(), segment)).unwrap().len()).map(move |at| (segment, at)))
    {
        if (8..10).contains(&at) {
            continue; // A version that is not known is left alone.
        }
        let intact = fs::read(file(root.path(), segment)).unwrap();
        edit(&file(root.path(), segment), |bytes| bytes[at] ^= 1 << (at % 8));
        let adopted = adopt(root.path());
        let end = adopted.end().unwrap();
        let shipped = end.fragment.as_ref().map(|half| half.read().unwrap());
        let is_lost = adopted.dropped().iter().any(|lost| lost.last.0 + 1 == end.seq.0 && lost.raw_bytes == 54);
        let expected: Option<&[u8]> = match at {
            _ if segment == 0 => Some(&both),
            0..128 => Some(HALF),
            _ if newest.head.contains(&at) => Some(HALF),
            _ if newest.payload.contains(&at) => None,
            _ => Some(&both),
        };
        assert_eq!((shipped.as_deref(), is_lost), (expected, expected.is_none()), "segment {segment}, byte {at}");
        drop(adopted);
        fs::write(file(root.path(), segment), intact).unwrap();
    }
    assert!(copy.payload.end < newest.head.start);
}

#[test]
fn damage_to_what_has_ended_costs_nothing() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    let id = pend(&mut spool, HALF);
    append_with(&mut spool, "whole\n", &resolving(id));
    drop(spool);
    let place = stored(&file(root.path(), 0)).remove(0);
    edit(&file(root.path(), 0), |bytes| bytes[place.payload.start] ^= 4);
    assert_eq!(found(root.path()), ["0-0", "end 1 []"]);
}

#[test]
fn the_original_serves_where_the_copy_is_damaged() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let id = pend(&mut spool, HALF);
    let original = seal(&mut spool);
    append(&mut spool, "y\n");
    let place = stored(&file(root.path(), 1)).remove(0);
    for at in [place.head.start + 12, place.head.end - 1, place.payload.start] {
        let damaged = copied(root.path());
        edit(&file(damaged.path(), 1), |bytes| bytes[at] ^= 4);
        let lines_are_told = at >= place.payload.start;
        let expected = ["0-0", "1-1", "2 ships 47 bytes, end 3 []"];
        assert!(!lines_are_told || found(damaged.path()) == expected, "{:?}", found(damaged.path()));
        // Behind a damaged header the rest of the frame begins anew: these lines start one.
        assert_eq!(found(damaged.path()), expected, "byte {at}");
        let mut adopted = adopt(damaged.path());
        adopted.segments().to_vec().iter().for_each(|segment| adopted.delivered(&segment.key()).unwrap());
        drop(adopted);
        assert_eq!(found(damaged.path()).pop().as_deref(), Some("2 ships 47 bytes, end 3 []"), "it stays");
    }
    append_with(&mut spool, "whole\n", &resolving(id));
    edit(&file(root.path(), 1), |bytes| bytes[place.head.start + 12] ^= 4);
    assert_eq!(found(root.path()).pop().as_deref(), Some("end 3 []"), "it has ended behind the damage");
    // Without the original nothing tells of it.
    spool.remove(&original.key()).unwrap();
}

/// Nothing may wait for bytes that can never be read again.
#[test]
fn bytes_that_are_damaged_before_they_are_copied_on_are_lost_unless_lines_complete_them() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let id = pend(&mut spool, HALF);
    let place = stored(&file(root.path(), 0)).remove(0);
    let byte = [fs::read(file(root.path(), 0)).unwrap()[place.payload.start] ^ 1];
    let written = fs::OpenOptions::new().write(true).open(file(root.path(), 0)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&written, &byte, place.payload.start as u64).unwrap();
    let first = seal(&mut spool);
    spool.remove(&first.key()).unwrap();
    assert_eq!(found(root.path()), ["damage 1-1 47 bytes", "end 2 [damage 1]"]);
    append(&mut spool, "y\n");
    seal(&mut spool);
    assert_eq!(found(root.path()), ["1-1", "damage 2-2 47 bytes", "end 3 [damage 1]"]);
    assert_eq!(spool.pending_fragment(), Some(id));
    append_with(&mut spool, "whole\n", &resolving(id));
    assert_eq!(found(root.path()), ["1-1", "2-2", "end 3 []"], "nothing is lost after all");
}

/// A segment that begins without a copy tells that nothing was pending before it, whatever became of what had ended it.
#[test]
fn what_has_ended_before_the_newest_segment_is_not_shipped() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let id = pend(&mut spool, HALF);
    append_with(&mut spool, "whole\n", &resolving(id));
    seal(&mut spool);
    append(&mut spool, "y\n");
    drop(spool);
    let ends = layout::entries(&fs::read(file(root.path(), 0)).unwrap()).remove(2);
    assert!(ends.resolves);
    edit(&file(root.path(), 0), |bytes| bytes[ends.head.start + 20] ^= 1);
    assert_eq!(found(root.path()), ["0-0", "2-2", "damage 1-1 0 bytes", "end 3 [damage 1]"]);
}

/// The segment in which it ended has given way, while the one that held it before is just being uploaded.
#[test]
fn what_ended_in_a_segment_that_gave_way_is_not_shipped() {
    let root = model_world::scratch();
    let mut config = model_world::config(root.path(), spool::Compression::default());
    config.limits.segments_max = 2;
    let mut spool = spool::Spool::create(config, model_world::identity(1, 1), NOW_MS).unwrap();
    append(&mut spool, "x\n");
    let id = pend(&mut spool, HALF);
    let first = seal(&mut spool);
    spool.attempt_begun(&first.key());
    append_with(&mut spool, "whole\n", &resolving(id));
    seal(&mut spool);
    append(&mut spool, "y\n");
    drop(spool);
    // Killed before that append, and behind what it made give way.
    edit(&file(root.path(), 2), |bytes| bytes.truncate(512));
    assert_eq!(found(root.path()), ["0-0", "quota 1-1 6 bytes", "end 2 [quota 1]"]);
    assert!(spool::inspect(root.path()).unwrap()[0].fragment().is_none());
}

/// The segment in which it ended is delivered, and emptied, while the one that held it before still waits.
#[test]
fn what_ended_in_a_segment_that_was_delivered_early_is_not_shipped() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    let id = pend(&mut spool, HALF);
    seal(&mut spool);
    append_with(&mut spool, "whole\n", &resolving(id));
    let second = seal(&mut spool);
    spool.remove(&second.key()).unwrap();
    assert_eq!(fs::metadata(file(root.path(), 1)).unwrap().len(), 512);
    assert_eq!(found(root.path()), ["0-0", "end 2 []"]);
}

/// A kill may fall between the files that go: those behind the one that holds it would tell of an end before it.
#[test]
fn the_file_that_holds_it_goes_behind_those_that_follow() {
    let root = model_world::scratch();
    let mut spool = spool(root.path());
    append(&mut spool, "x\n");
    pend(&mut spool, HALF);
    seal(&mut spool);
    drop(spool);
    edit(&file(root.path(), 1), |bytes| bytes.truncate(512));
    let mut adopted = adopt(root.path());
    let key = adopted.segments()[0].key();
    adopted.delivered(&key).unwrap();
    // What cannot be removed stands for the kill.
    fs::remove_file(file(root.path(), 0)).unwrap();
    fs::create_dir(file(root.path(), 0)).unwrap();
    adopted.finish().unwrap_err();
    assert!(!file(root.path(), 1).exists());
}
