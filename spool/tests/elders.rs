//! Adopted spools are drained under the quota of the living one: they count, they give way first, and too many of them are
//! given up. What is given up is declared by whoever adopts it next, too.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;

use std::path::Path;

use ledger::{NOW, append, identity, labeler, no_limits};
use spool::{
    Adopted, DroppedRange, Found, LossCause, SealReason, SegmentKey, Spool, SpoolEvent, SpoolId, SpoolLimits,
    find_orphans,
};

/// Orphans beyond the limit.
const EXCESS: usize = 3;

fn create(root: &Path, life: u32, limits: SpoolLimits) -> Spool {
    let config = ledger::config(root, limits);
    Spool::create(config, identity(life), NOW).unwrap()
}

/// A spool whose process is gone: so many segments of `records` records, the last one not sealed.
fn leave_behind(root: &Path, life: u32, segments: u32, records: u32) -> SpoolId {
    let mut spool = create(root, life, no_limits());
    for segment in 0..segments {
        append(&mut spool, records, false, NOW).unwrap();
        if segment + 1 < segments {
            spool.seal(SealReason::Size, NOW).unwrap();
        }
    }
    spool.id()
}

fn find(root: &Path, own: &Spool) -> Found {
    let found = find_orphans(root, own.id()).unwrap();
    assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
    found
}

fn adopt_only(root: &Path, own: &Spool) -> Adopted {
    let mut found = find(root, own);
    let orphan = found.set_aside.pop().or_else(|| found.orphans.pop()).unwrap();
    assert!(found.orphans.is_empty() && found.set_aside.is_empty());
    orphan.adopt(&labeler()).unwrap()
}

/// What is told of a spool, in words, in order of the numbers.
fn told(adopted: &Adopted) -> Vec<String> {
    let mut told: Vec<_> = adopted.segments().iter().map(|segment| (segment.facts().first, "object")).collect();
    told.extend(adopted.dropped().iter().map(|range| (range.first, range.cause.name())));
    told.sort_unstable();
    told.into_iter().map(|(first, what)| format!("{what} from {first}")).collect()
}

fn losses(adopted: &Adopted) -> u64 {
    adopted.end().unwrap().losses.of(LossCause::Quota).records
}

/// Appends until older records have given way; returns what was told of it.
fn append_until_something_gives_way(own: &mut Spool) -> Vec<SpoolEvent> {
    for _ in 0..1_000 {
        append(own, 20, false, NOW).unwrap();
        let events = own.take_events();
        if !events.is_empty() {
            return events;
        }
    }
    panic!("nothing ever gave way");
}

fn gone(events: &[SpoolEvent]) -> Vec<SegmentKey> {
    events.iter().filter_map(|event| if let SpoolEvent::Gone(key) = event { Some(*key) } else { None }).collect()
}

fn dropped(events: &[SpoolEvent]) -> Vec<DroppedRange> {
    events.iter().filter_map(|event| if let SpoolEvent::Dropped(range) = event { Some(*range) } else { None }).collect()
}

#[test]
fn the_oldest_of_too_many_orphans_are_given_up_and_declared() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let limit = SpoolLimits::default().orphans_max;
    let ids: Vec<_> = (1..).take(limit + EXCESS).map(|life| leave_behind(root, life, 2, 4)).collect();
    let own = create(root, 1_000, no_limits());
    let mut found = find(root, &own);
    let given_up = found.take_excess(limit);
    assert_eq!(given_up.iter().map(|orphan| orphan.id()).collect::<Vec<_>>(), ids[..EXCESS], "the oldest");
    assert_eq!(found.orphans.len(), limit);
    drop(found);
    for orphan in given_up {
        let mut adopted = orphan.adopt(&labeler()).unwrap();
        adopted.give_up(NOW).unwrap();
        assert_eq!(told(&adopted), ["quota from 0"], "all of it is one range");
    }
    // The next life.
    let Found { orphans, set_aside, .. } = find(root, &own);
    assert_eq!((orphans.len(), set_aside.len()), (limit, EXCESS));
    drop(orphans);
    for orphan in set_aside {
        let id = orphan.id();
        let mut adopted = orphan.adopt(&labeler()).unwrap();
        assert_eq!(told(&adopted), ["quota from 0"]);
        let range = adopted.dropped()[0];
        assert_eq!((range.records(), losses(&adopted), adopted.end().unwrap().seq.0), (8, 8, 8));
        adopted.delivered(&range.key()).unwrap();
        assert!(adopted.is_drained());
        adopted.finish().unwrap();
        assert!(!root.join("dropped").join(id.to_string()).exists());
    }
    assert!(find(root, &own).set_aside.is_empty());
}

/// The process has written it, and it was given up with the rest.
#[test]
fn an_end_that_was_given_up_is_due_until_it_is_delivered_whoever_adopts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut left = create(root, 1, no_limits());
    append(&mut left, 3, false, NOW).unwrap();
    append(&mut left, 1, true, NOW).unwrap();
    left.seal(SealReason::Shutdown, NOW).unwrap();
    drop(left);
    let own = create(root, 2, no_limits());
    let mut adopted = adopt_only(root, &own);
    assert_eq!(adopted.end(), None, "it is in the segment");
    adopted.give_up(NOW).unwrap();
    assert_eq!((told(&adopted), adopted.end().map(|end| end.seq.0)), (vec!["quota from 0".to_owned()], Some(4)));
    drop(adopted);
    // The next life tells of the loss, and is killed before it has written the end.
    let mut adopted = adopt_only(root, &own);
    let range = adopted.dropped()[0];
    adopted.delivered(&range.key()).unwrap();
    assert_eq!(adopted.end().map(|end| end.seq.0), Some(4));
    drop(adopted);
    let adopted = adopt_only(root, &own);
    assert_eq!((adopted.end().map(|end| end.seq.0), losses(&adopted)), (Some(4), 4));
}

/// An end that gave way to later records, of which the process then stored none.
#[test]
fn an_end_that_has_given_way_keeps_its_spool_until_an_adopter_has_written_it() {
    let dir = tempfile::tempdir().unwrap();
    let limits = SpoolLimits { bytes_max: Some(64 * 1024), ..no_limits() };
    let mut own = create(dir.path(), 1, limits);
    append(&mut own, 3, true, NOW).unwrap();
    own.seal(SealReason::Shutdown, NOW).unwrap();
    assert!(append(&mut own, 100_000, false, NOW).is_err(), "it is larger than all that there may be");
    let gave_way = dropped(&own.take_events());
    assert_eq!(gave_way.len(), 1);
    for range in gave_way {
        own.remove(&range.key()).unwrap();
    }
    assert!(!own.remove_if_empty().unwrap(), "the end is not delivered");
}

#[test]
fn what_an_adopted_spool_takes_counts_until_it_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    leave_behind(dir.path(), 1, 3, 50);
    let mut own = create(dir.path(), 2, no_limits());
    let alone = own.disk_bytes();
    let adopted = adopt_only(dir.path(), &own);
    let (takes, keys) = (adopted.disk_bytes(), adopted.segments().iter().map(|it| it.key()).collect::<Vec<_>>());
    assert!(takes >= 3 * 4_096);
    own.take_in(adopted);
    assert_eq!(own.disk_bytes(), alone + takes);
    for key in &keys[..2] {
        own.attempt_begun(key);
        own.remove(key).unwrap();
    }
    assert!(own.disk_bytes() < alone + takes);
    own.remove(&keys[2]).unwrap();
    let events = own.take_events();
    let Some(SpoolEvent::Drained(id, Some(end))) = events.last() else { panic!("{events:?}") };
    assert_eq!((end.spool, end.seq.0), (*id, 150));
    own.finish(*id).unwrap();
    assert_eq!(own.disk_bytes(), alone);
    assert!(find(dir.path(), &own).orphans.is_empty());
}

#[test]
fn adopted_spools_give_way_before_the_living_one_the_oldest_segment_first() {
    let dir = tempfile::tempdir().unwrap();
    let older = leave_behind(dir.path(), 1, 2, 50);
    let newer = leave_behind(dir.path(), 2, 1, 50);
    let mut own = create(dir.path(), 3, SpoolLimits { bytes_max: Some(200_000), ..no_limits() });
    for orphan in find(dir.path(), &own).orphans {
        own.take_in(orphan.adopt(&labeler()).unwrap());
    }
    own.take_events();
    let mut order = Vec::new();
    while order.len() < 4 {
        let events = append_until_something_gives_way(&mut own);
        let ranges = dropped(&events).into_iter().map(|range| (range.spool, range.first.0, range.last.0));
        order.extend(ranges);
    }
    // The second segment of the older one joins the tombstone of the first.
    assert_eq!(order[..3], [(older, 0, 49), (older, 0, 99), (newer, 0, 49)]);
    assert_eq!(order[3].0, own.id(), "only then its own");
}

#[test]
fn what_adopted_spools_lose_is_counted_apart_and_stays_counted_when_they_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    leave_behind(dir.path(), 1, 2, 50);
    let mut own = create(dir.path(), 2, SpoolLimits { bytes_max: Some(150_000), ..no_limits() });
    let adopted = adopt_only(dir.path(), &own);
    let keys: Vec<_> = adopted.segments().iter().map(|segment| segment.key()).collect();
    own.take_in(adopted);
    let lost = |own: &Spool| {
        let losses = own.losses_of_adopted();
        [LossCause::Quota, LossCause::Vanished].map(|cause| losses.of(cause).records)
    };
    assert_eq!(lost(&own), [0, 0], "what it held is not lost");
    assert!(own.declare_lost(&keys[1], LossCause::Vanished, NOW));
    assert_eq!(lost(&own), [0, 50]);
    own.take_events();
    let mut ranges = dropped(&append_until_something_gives_way(&mut own));
    assert_eq!(lost(&own), [50, 50]);
    assert_eq!(own.losses().iter().count(), 0, "its own are safe");
    ranges.extend(ranges.first().map(|range| DroppedRange {
        segment: keys[1].segment,
        first: keys[1].first,
        ..*range
    }));
    ranges.iter().for_each(|range| own.remove(&range.key()).unwrap());
    let events = own.take_events();
    let Some(SpoolEvent::Drained(id, _)) = events.last() else { panic!("{events:?}") };
    own.finish(*id).unwrap();
    assert_eq!(lost(&own), [50, 50]);
}

#[test]
fn a_segment_that_is_just_being_uploaded_does_not_give_way() {
    let dir = tempfile::tempdir().unwrap();
    leave_behind(dir.path(), 1, 2, 50);
    let mut own = create(dir.path(), 2, SpoolLimits { bytes_max: Some(150_000), ..no_limits() });
    let adopted = adopt_only(dir.path(), &own);
    let keys: Vec<_> = adopted.segments().iter().map(|segment| segment.key()).collect();
    own.take_in(adopted);
    own.take_events();
    own.attempt_begun(&keys[0]);
    assert_eq!(gone(&append_until_something_gives_way(&mut own)), [keys[1]]);
    own.attempt_failed(&keys[0]);
    let events = append_until_something_gives_way(&mut own);
    assert_eq!(gone(&events), [keys[0]]);
    assert!(dropped(&events)[0].maybe_delivered, "its upload had begun");
}

#[test]
fn what_is_just_being_uploaded_does_not_give_way_when_its_spool_had_to_be_restored() {
    let dir = tempfile::tempdir().unwrap();
    let id = leave_behind(dir.path(), 1, 2, 50);
    let mut own = create(dir.path(), 2, SpoolLimits { bytes_max: Some(150_000), ..no_limits() });
    own.take_in(adopt_only(dir.path(), &own));
    let events = own.take_events();
    let SpoolEvent::Sealed(begun) = &events[0] else { panic!("{events:?}") };
    own.attempt_begun(&begun.key());
    std::fs::remove_dir_all(dir.path().join(id.to_string())).unwrap();
    let mut orphan = own.take_cleared().remove(0);
    assert!(orphan.rescue().unwrap());
    own.take_in(orphan.adopt(&labeler()).unwrap());
    own.take_events();
    assert_ne!(gone(&append_until_something_gives_way(&mut own)), [begun.key()]);
}

#[test]
fn who_adopts_next_declares_and_counts_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let id = leave_behind(dir.path(), 1, 3, 50);
    let mut own = create(dir.path(), 2, SpoolLimits { bytes_max: Some(150_000), ..no_limits() });
    own.take_in(adopt_only(dir.path(), &own));
    own.take_events();
    let first = dropped(&append_until_something_gives_way(&mut own))[0];
    assert_eq!((first.spool, first.last.0), (id, 49));
    drop(own);
    // Killed. Its own spool is an orphan now as well.
    let mut next = create(dir.path(), 3, no_limits());
    let orphan = find(dir.path(), &next).orphans.remove(0);
    let adopted = orphan.adopt(&labeler()).unwrap();
    assert_eq!(told(&adopted), ["quota from 0", "object from 50", "object from 100"]);
    assert_eq!(adopted.dropped(), [first]);
    assert_eq!(losses(&adopted), 50);
    next.take_in(adopted);
}

#[test]
fn the_newest_segment_gives_way_behind_a_successor_that_carries_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = create(dir.path(), 1, no_limits());
    append(&mut spool, 5, false, NOW).unwrap();
    spool.count_platform_drops(3, 300).unwrap();
    spool.refuse(2, 200, NOW).unwrap();
    drop(spool);
    let own = create(dir.path(), 2, no_limits());
    let mut adopted = adopt_only(dir.path(), &own);
    assert_eq!(told(&adopted), ["object from 0", "refused from 5"]);
    adopted.give_up(NOW).unwrap();
    assert_eq!(told(&adopted), ["quota from 0", "refused from 5"]);
    let end = adopted.end().unwrap().clone();
    drop(adopted);
    let again = adopt_only(dir.path(), &own);
    assert_eq!(told(&again), ["quota from 0", "refused from 5"]);
    assert_eq!(again.end(), Some(&end), "the same end");
    let count = |cause| end.losses.of(cause).records;
    assert_eq!(
        (count(LossCause::Quota), count(LossCause::Refused), count(LossCause::Platform), end.seq.0),
        (5, 2, 3, 7)
    );
}

#[test]
fn an_end_that_gave_way_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = create(dir.path(), 1, no_limits());
    append(&mut spool, 5, false, NOW).unwrap();
    append(&mut spool, 1, true, NOW).unwrap();
    spool.seal(SealReason::Shutdown, NOW).unwrap();
    drop(spool);
    let own = create(dir.path(), 2, no_limits());
    let mut adopted = adopt_only(dir.path(), &own);
    assert_eq!(adopted.end(), None, "its own process has ended the stream");
    adopted.give_up(NOW).unwrap();
    assert_eq!(adopted.end().unwrap().seq.0, 6);
}

#[test]
fn tombstones_of_adopted_spools_count_in_the_limit_of_tombstones() {
    let dir = tempfile::tempdir().unwrap();
    leave_behind(dir.path(), 1, 1, 50);
    leave_behind(dir.path(), 2, 1, 50);
    let mut own = create(dir.path(), 3, SpoolLimits { bytes_max: Some(150_000), tombstones_max: 1, ..no_limits() });
    for orphan in find(dir.path(), &own).orphans {
        own.take_in(orphan.adopt(&labeler()).unwrap());
    }
    own.take_events();
    assert_eq!(dropped(&append_until_something_gives_way(&mut own)).len(), 1);
    let full = (0..1_000).find_map(|_| append(&mut own, 20, false, NOW).err());
    assert!(matches!(full, Some(spool::AppendError::Full(_))), "{full:?}");
    assert!(dropped(&own.take_events()).is_empty(), "no second one");
}
