//! Files that somebody removed, and bytes that changed, under a spool that still needs them. The newest 64 segments keep
//! their descriptors and lose nothing; what is lost of the others is declared from what is known in memory.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::writer::Writer;
use ledger::{Ledger, NOW, append, identity, labeler, no_limits};
use spool::{
    Adopted, DroppedRange, LossCause, Orphan, SealReason, SealedSegment, Seqno, Spool, SpoolEvent, find_orphans,
};

/// Segments, of which the oldest six have no descriptor.
const SEGMENTS: u64 = 70;

fn create(root: &Path) -> Spool {
    create_as(root, 1)
}

fn create_as(root: &Path, life: u32) -> Spool {
    let config = ledger::config(root, no_limits());
    Spool::create(config, identity(life), NOW).unwrap()
}

/// A spool whose segments hold one record each, and what it said of them.
fn many_segments(root: &Path) -> (Spool, Vec<SealedSegment>) {
    let mut spool = create(root);
    for _ in 0..SEGMENTS {
        append(&mut spool, 1, false, NOW).unwrap();
        assert!(spool.seal(SealReason::Size, NOW).unwrap());
    }
    let segments = sealed(&mut spool);
    (spool, segments)
}

fn sealed(spool: &mut Spool) -> Vec<SealedSegment> {
    let segment = |event| match event {
        SpoolEvent::Sealed(segment) => Some(segment),
        _ => None,
    };
    spool.take_events().into_iter().filter_map(segment).collect()
}

fn file(root: &Path, spool: &Spool, segment: u64) -> PathBuf {
    root.join(spool.id().to_string()).join(format!("{segment:012}.seg"))
}

fn clear(root: &Path) {
    for entry in fs::read_dir(root).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
}

fn roll(spool: &mut Spool) -> Orphan {
    spool.roll(identity(2), NOW).unwrap()
}

/// The one spool below a root whose process is gone.
fn orphan(root: &Path) -> Orphan {
    let mut found = find_orphans(root, identity(2).id).unwrap();
    assert!(found.alive.is_empty() && found.unreadable.is_empty(), "{found:?}");
    assert_eq!(found.orphans.len(), 1);
    found.orphans.remove(0)
}

fn adopt(orphan: Orphan) -> Adopted {
    orphan.adopt(&labeler()).unwrap()
}

/// What is told of a loss: cause, first and last number.
fn told(range: &DroppedRange) -> (LossCause, u64, u64) {
    (range.cause, range.first.0, range.last.0)
}

fn lost(adopted: &Adopted) -> Vec<(LossCause, u64, u64)> {
    adopted.dropped().iter().map(told).collect()
}

/// Numbers of the objects that are to be delivered, all of which can be read.
fn objects(adopted: &Adopted) -> Vec<u64> {
    let segments = adopted.segments().iter();
    segments.inspect(|segment| assert_eq!(segment.find_loss(), None)).map(|segment| segment.facts().first.0).collect()
}

fn vanished(numbers: std::ops::Range<u64>) -> Vec<(LossCause, u64, u64)> {
    numbers.map(|seq| (LossCause::Vanished, seq, seq)).collect()
}

#[test]
fn every_segment_can_be_read_when_its_descriptor_was_let_go_and_so_can_the_first() {
    let root = tempfile::tempdir().unwrap();
    let (_spool, segments) = many_segments(root.path());
    let mut ledger = Ledger::default();
    for segment in &segments {
        assert_eq!(ledger.deliver(segment), Ok(()), "{}", segment.label());
    }
}

#[test]
fn a_living_spool_declares_a_file_that_vanished_without_its_descriptor() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, segments) = many_segments(root.path());
    fs::remove_file(file(root.path(), &spool, 2)).unwrap();
    assert!(spool.is_in_place(), "nobody looks at files without a descriptor");
    let gone = &segments[2];
    assert_eq!(gone.find_loss(), Some(LossCause::Vanished));
    assert!(spool.declare_lost(&gone.key(), LossCause::Vanished, NOW));
    let events = spool.take_events();
    let [SpoolEvent::Gone(key), SpoolEvent::Dropped(range)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*key, told(range), range.maybe_delivered), (gone.key(), vanished(2..3)[0], false));
    assert_eq!(spool.losses().of(LossCause::Vanished).records, 1);
    assert!(!spool.declare_lost(&gone.key(), LossCause::Vanished, NOW), "it does not wait any more");
    // The next life tells the same, also when it is the oldest file.
    for segment in &segments[..2] {
        spool.remove(&segment.key()).unwrap();
    }
    drop(spool);
    let adopted = adopt(orphan(root.path()));
    assert_eq!((lost(&adopted), objects(&adopted)), (vanished(2..3), (3..SEGMENTS).collect()));
}

#[test]
fn a_living_spool_declares_a_whole_segment_that_is_damaged_when_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, segments) = many_segments(root.path());
    for damaged in [0, SEGMENTS - 1] {
        let path = file(root.path(), &spool, damaged);
        let mut bytes = fs::read(&path).unwrap();
        bytes[600] ^= 1;
        fs::write(&path, bytes).unwrap();
        let segment = &segments[usize::try_from(damaged).unwrap()];
        assert_eq!(segment.find_loss(), Some(LossCause::Damage));
        assert!(spool.declare_lost(&segment.key(), LossCause::Damage, NOW));
    }
    drop(spool);
    let adopted = adopt(orphan(root.path()));
    let last = SEGMENTS - 1;
    assert_eq!(lost(&adopted), [(LossCause::Damage, 0, 0), (LossCause::Damage, last, last)]);
}

#[test]
fn an_upload_that_had_begun_before_may_have_delivered_what_is_declared() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, segments) = many_segments(root.path());
    for (index, attempts) in [(0, 1), (1, 2)] {
        let key = segments[index].key();
        fs::remove_file(file(root.path(), &spool, index as u64)).unwrap();
        for _ in 0..attempts {
            spool.attempt_begun(&key);
            spool.attempt_failed(&key);
        }
        assert!(spool.declare_lost(&key, LossCause::Vanished, NOW));
    }
    let maybe = |event| match event {
        SpoolEvent::Dropped(range) => Some(range.maybe_delivered),
        _ => None,
    };
    let maybe: Vec<_> = spool.take_events().into_iter().filter_map(maybe).collect();
    assert_eq!(maybe, [false, true], "the attempt that finds the loss has delivered nothing");
}

#[test]
fn a_cleared_spool_declares_the_files_without_a_descriptor_although_nothing_stands_before_them() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, _) = many_segments(root.path());
    clear(root.path());
    let adopted = adopt(roll(&mut spool));
    assert_eq!((lost(&adopted), objects(&adopted)), (vanished(0..6), (6..SEGMENTS).collect()));
    assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(SEGMENTS)));
}

#[test]
fn a_rescued_spool_tells_the_next_life_what_it_lost() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, _) = many_segments(root.path());
    clear(root.path());
    let mut left = roll(&mut spool);
    assert!(left.rescue().unwrap());
    assert!(!left.rescue().unwrap(), "everything is in place again");
    drop(left);
    let adopted = adopt(orphan(root.path()));
    assert_eq!((lost(&adopted), objects(&adopted)), (vanished(0..6), (6..SEGMENTS).collect()));
}

#[test]
fn files_that_vanish_between_the_roll_and_the_adoption_are_declared() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, _) = many_segments(root.path());
    let paths: Vec<_> = (0..3).map(|segment| file(root.path(), &spool, segment)).collect();
    let left = roll(&mut spool);
    paths.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(lost(&adopt(left)), vanished(0..3));
}

#[test]
fn what_was_declared_before_a_spool_was_cleared_is_still_declared() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, segments) = many_segments(root.path());
    fs::remove_file(file(root.path(), &spool, 0)).unwrap();
    assert!(spool.declare_lost(&segments[0].key(), LossCause::Vanished, NOW));
    let left = {
        let left = roll(&mut spool);
        clear(root.path());
        left
    };
    assert_eq!(lost(&adopt(left)), vanished(0..6));
}

#[test]
fn what_was_delivered_out_of_order_is_not_declared_when_its_file_vanishes() {
    for is_rescued in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let (mut spool, segments) = many_segments(root.path());
        spool.remove(&segments[2].key()).unwrap();
        clear(root.path());
        // Marking it fails as well, and that is no error.
        spool.remove(&segments[4].key()).unwrap();
        let mut left = roll(&mut spool);
        assert_eq!(is_rescued && left.rescue().unwrap(), is_rescued);
        let adopted = adopt(left);
        assert_eq!(lost(&adopted), [vanished(0..2), vanished(3..4), vanished(5..6)].concat());
    }
}

#[test]
fn what_is_delivered_after_its_file_vanished_is_not_declared_by_the_next_life() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, segments) = many_segments(root.path());
    fs::remove_file(file(root.path(), &spool, 3)).unwrap();
    spool.remove(&segments[3].key()).unwrap();
    drop(spool);
    let adopted = adopt(orphan(root.path()));
    assert_eq!((lost(&adopted), objects(&adopted)), (vec![], (0..3).chain(4..SEGMENTS).collect()));
}

#[test]
fn an_adopter_declares_what_vanishes_while_it_delivers_and_so_does_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let (spool, _) = many_segments(root.path());
    let path = file(root.path(), &spool, 0);
    drop(spool);
    let mut adopted = adopt(orphan(root.path()));
    fs::remove_file(&path).unwrap();
    let first = adopted.segments()[0].clone();
    assert_eq!(first.find_loss(), Some(LossCause::Vanished));
    let range = adopted.declare_lost(&first.key(), LossCause::Vanished, NOW).unwrap();
    assert_eq!((told(&range), lost(&adopted), objects(&adopted).len()), (vanished(0..1)[0], vanished(0..1), 69));
    assert!(adopted.declare_lost(&first.key(), LossCause::Vanished, NOW).is_none(), "it does not wait any more");
    assert_eq!(adopted.end().map(|end| end.losses.of(LossCause::Vanished).records), Some(1));
    drop(adopted);
    let mut next = adopt(orphan(root.path()));
    assert_eq!(lost(&next), vanished(0..1), "the oldest file leaves no gap, but a tombstone");
    let keys: Vec<_> = next.segments().iter().map(SealedSegment::key).chain([range.key()]).collect();
    keys.iter().for_each(|key| next.delivered(key).unwrap());
    assert!(next.is_drained());
    next.finish().unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

/// The end is a record like any other: when it is lost, it has to be written again.
#[test]
fn an_end_that_is_lost_is_written_by_an_adopter() {
    for by_adopter in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let mut spool = create(root.path());
        append(&mut spool, 1, true, NOW).unwrap();
        spool.seal(SealReason::Shutdown, NOW).unwrap();
        let key = sealed(&mut spool)[0].key();
        if !by_adopter {
            assert!(spool.declare_lost(&key, LossCause::Damage, NOW));
            spool.remove(&key).unwrap();
            assert!(!spool.remove_if_empty().unwrap(), "its end is missing");
        }
        drop(spool);
        let mut adopted = adopt(orphan(root.path()));
        if by_adopter {
            assert_eq!(adopted.end(), None);
            adopted.declare_lost(&key, LossCause::Damage, NOW).unwrap();
        }
        assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(1)));
    }
}

/// Else another process could take it, and adopt a living spool.
#[test]
fn a_spool_whose_lock_was_removed_is_left_and_locked_anew() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path());
    append(&mut spool, 1, false, NOW).unwrap();
    fs::remove_file(root.path().join(spool.id().to_string()).join("lock")).unwrap();
    assert!(!spool.is_in_place());
    let mut left = roll(&mut spool);
    assert!(left.rescue().unwrap());
    let found = find_orphans(root.path(), spool.id()).unwrap();
    assert_eq!((found.alive, found.orphans.len()), (vec![left.id()], 0));
    assert_eq!(objects(&adopt(left)), [0]);
}

#[test]
fn a_rescue_that_was_cut_short_does_not_keep_the_next_one_from_its_work() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, _) = many_segments(root.path());
    clear(root.path());
    let mut left = roll(&mut spool);
    let half_made = root.path().join(format!(".new-{}", left.id()));
    fs::create_dir(&half_made).unwrap();
    fs::write(half_made.join("000000000001.seg"), b"half").unwrap();
    assert!(left.rescue().unwrap());
    drop(left);
    assert_eq!(lost(&adopt(orphan(root.path()))), vanished(0..6));
}

/// Files without a descriptor are opened by their names: whoever uploads one finds it while its spool is rescued.
#[test]
fn a_file_keeps_its_name_while_its_spool_is_rescued() {
    let root = tempfile::tempdir().unwrap();
    let (mut spool, segments) = many_segments(root.path());
    let newest = file(root.path(), &spool, SEGMENTS - 1);
    let mut left = roll(&mut spool);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(Ordering::Relaxed) {
                assert_eq!(segments[0].find_loss(), None, "after {reads} reads");
                reads += 1;
            }
        });
        for _ in 0..30 {
            fs::remove_file(&newest).unwrap();
            assert!(left.rescue().unwrap());
        }
        is_done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(objects(&adopt(left)).len(), 70);
}

#[test]
fn a_spool_gives_way_although_somebody_removed_its_ballast() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(root.path(), spool::SpoolLimits { segments_max: 3, ..no_limits() });
    writer.spool.settle_in();
    for entry in fs::read_dir(root.path().join(writer.spool.id().to_string())).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("ballast-") {
            fs::remove_file(path).unwrap();
        }
    }
    for _ in 0..6 {
        assert!(writer.append(1), "the oldest gives way");
        assert!(writer.seal());
    }
    assert_eq!(writer.refused, 0);
}

/// The living spool with one that it has adopted: `segments` segments of one record each.
fn living_with_adopted(root: &Path, segments: u64) -> (Spool, PathBuf) {
    let mut dead = create(root);
    for _ in 0..segments {
        append(&mut dead, 1, false, NOW).unwrap();
        dead.seal(SealReason::Size, NOW).unwrap();
    }
    let place = root.join(dead.id().to_string());
    drop(dead);
    let mut living = create_as(root, 2);
    living.take_in(adopt(orphan(root)));
    assert_eq!(sealed(&mut living).len() as u64, segments);
    assert!(living.take_cleared().is_empty(), "it is where it should be");
    (living, place)
}

#[test]
fn an_adopted_spool_that_is_cleared_is_on_disk_again_before_a_later_kill() {
    for what in ["all of it", "the lock", "the newest segment"] {
        let root = tempfile::tempdir().unwrap();
        let (mut living, place) = living_with_adopted(root.path(), 5);
        match what {
            "all of it" => fs::remove_dir_all(&place).unwrap(),
            "the lock" => fs::remove_file(place.join("lock")).unwrap(),
            _ => fs::remove_file(place.join("000000000005.seg")).unwrap(),
        }
        let mut cleared = living.take_cleared();
        assert_eq!(cleared.len(), 1, "{what}");
        let mut orphan_again = cleared.remove(0);
        assert!(orphan_again.rescue().unwrap(), "{what}");
        living.take_in(adopt(orphan_again));
        assert_eq!(sealed(&mut living).len(), 5, "{what}: told again");
        drop(living);
        let mut found = find_orphans(root.path(), identity(3).id).unwrap();
        let adopted = adopt(found.orphans.remove(0));
        assert_eq!((objects(&adopted), lost(&adopted)), ((0..5).collect(), vec![]), "{what}");
    }
}

#[test]
fn what_of_a_cleared_adopted_spool_nothing_holds_is_declared() {
    let root = tempfile::tempdir().unwrap();
    let (mut living, place) = living_with_adopted(root.path(), SEGMENTS);
    fs::remove_dir_all(place).unwrap();
    let mut orphan_again = living.take_cleared().remove(0);
    assert!(orphan_again.rescue().unwrap());
    let adopted = adopt(orphan_again);
    // One descriptor goes to the empty segment behind the last.
    assert_eq!((objects(&adopted), lost(&adopted).len()), ((7..SEGMENTS).collect(), 7));
    assert!(adopted.dropped().iter().all(|range| range.cause == LossCause::Vanished));
}

#[test]
fn what_is_delivered_while_an_adopted_spool_is_restored_is_not_told_again() {
    let root = tempfile::tempdir().unwrap();
    let (mut living, place) = living_with_adopted(root.path(), 3);
    fs::remove_dir_all(place).unwrap();
    let mut orphan_again = living.take_cleared().remove(0);
    orphan_again.rescue().unwrap();
    let adopted = adopt(orphan_again);
    let first = adopted.segments()[0].key();
    living.remove(&first).unwrap();
    living.take_in(adopted);
    let told: Vec<_> = sealed(&mut living).iter().map(|segment| segment.facts().first.0).collect();
    assert_eq!(told, [1, 2]);
}

#[test]
fn an_adopted_spool_that_cannot_be_restored_is_delivered_from_its_descriptors() {
    let root = tempfile::tempdir().unwrap();
    let spools = root.path().join("spools");
    let (mut living, _) = living_with_adopted(&spools, 3);
    fs::remove_dir_all(&spools).unwrap();
    fs::write(&spools, b"no directory").unwrap();
    let mut orphan_again = living.take_cleared().remove(0);
    orphan_again.rescue().unwrap_err();
    living.take_in(adopt(orphan_again));
    let segments = sealed(&mut living);
    assert!(segments.iter().all(|segment| segment.find_loss().is_none()) && segments.len() == 3);
    assert!(living.take_cleared().is_empty(), "it is not tried again every second");
}
