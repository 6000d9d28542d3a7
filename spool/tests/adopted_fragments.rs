//! What was pending when a process died waits beside everything else of its spool: it is delivered with the end, it gives way
//! when nothing else can, and it is declared when it cannot be read any more. Whoever adopts next tells the same.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod model_world;

use std::fs;
use std::path::{Path, PathBuf};

use model_world::{NOW_MS, batch, config, copy, dir, identity, labeler, layout, names, only_orphan};
use spool::{
    Adopted, Batch, Compression, DroppedRange, Fragment, LossCause, Meta, SealReason, SealedSegment, SegmentKey, Spool,
    SpoolConfig, SpoolEvent, StreamEnd, find_orphans,
};
use tempfile::TempDir;

const BYTES: usize = 50_000;

fn create(root: &Path, life: u64) -> Spool {
    Spool::create(config(root, Compression::default()), identity(1, life), NOW_MS).unwrap()
}

fn append(spool: &mut Spool, records: u32) {
    let (lines, meta) = ("x\n".repeat(records as usize), Meta::default());
    spool.append(&batch(lines.as_bytes(), records, &meta), NOW_MS).unwrap();
}

/// A dead process: so many records in each of its segments, and a fragment behind them.
fn leave_behind(root: &Path, segments: &[u32]) {
    leave_behind_with(root, segments, |_| ());
}

fn leave_behind_with(root: &Path, segments: &[u32], last: impl FnOnce(&mut Spool)) {
    let mut spool = create(root, 1);
    for (index, records) in segments.iter().enumerate() {
        append(&mut spool, *records);
        if index + 1 < segments.len() {
            spool.seal(SealReason::Size, NOW_MS).unwrap();
        }
    }
    pend(&mut spool);
    last(&mut spool);
}

fn pend(spool: &mut Spool) {
    let meta = Meta::default();
    let fragment = Fragment { bytes: &[b'h'; BYTES], line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta };
    spool.append_fragment(&fragment, NOW_MS).unwrap();
}

fn adopt(root: &Path) -> Adopted {
    let mut found = find_orphans(root, identity(1, 2).id).unwrap();
    assert!(found.unreadable.is_empty(), "{found:?}");
    let orphan = found.set_aside.pop().or_else(|| found.orphans.pop()).unwrap();
    orphan.adopt(&labeler()).unwrap()
}

fn copied(root: &Path) -> TempDir {
    let place = model_world::scratch();
    copy(root, place.path());
    place
}

/// What waits of a spool, in words.
fn told(adopted: &Adopted) -> Vec<String> {
    let facts = adopted.segments().iter().map(SealedSegment::facts);
    let mut words: Vec<_> = facts.map(|facts| format!("{}-{}", facts.first, facts.last)).collect();
    words.extend(adopted.dropped().iter().map(range_in_words));
    words.extend(adopted.end().map(end_in_words));
    words
}

/// What the next adopter finds, as its disk is now.
fn found(root: &Path) -> Vec<String> {
    told(&adopt(copied(root).path()))
}

fn events(spool: &mut Spool) -> Vec<String> {
    let word = |event| match event {
        SpoolEvent::Sealed(segment) => format!("{}-{}", segment.facts().first, segment.facts().last),
        SpoolEvent::Dropped(range) => range_in_words(&range),
        SpoolEvent::Gone(key) => format!("gone {}", key.first),
        SpoolEvent::Drained(_, end) => format!("drained, {}", end.as_ref().map_or("no end".into(), end_in_words)),
    };
    spool.take_events().into_iter().map(word).collect()
}

fn range_in_words(range: &DroppedRange) -> String {
    let maybe = if range.maybe_delivered { " maybe" } else { "" };
    format!("{} {}-{} {} bytes{maybe}", range.cause.name(), range.first, range.last, range.raw_bytes)
}

fn end_in_words(end: &StreamEnd) -> String {
    let losses: Vec<_> = end.losses.iter().map(|(cause, loss)| format!("{} {}", cause.name(), loss.records)).collect();
    let half = end.fragment.as_ref().map(|fragment| format!("{} ships {}, ", fragment.seq(), fragment.bytes()));
    format!("{}end {} [{}]", half.unwrap_or_default(), end.seq, losses.join(" "))
}

fn key(segment: u64, first: u64) -> SegmentKey {
    SegmentKey { spool: identity(1, 1).id, segment: spool::SegmentId(segment), first: spool::Seqno(first) }
}

fn file(root: &Path, segment: u64) -> PathBuf {
    dir(root, identity(1, 1).id).join(format!("{segment:012}.seg"))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// Appends until something has given way.
fn press(own: &mut Spool) -> Vec<String> {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..1_000 {
        let line = format!("{}\n", (0..400).map(|_| format!("{:x}", rng.u64(..))).collect::<String>());
        let meta = Meta::default();
        own.append(&batch(line.as_bytes(), 1, &meta), NOW_MS).unwrap();
        let events = events(own);
        if !events.is_empty() {
            return events;
        }
    }
    panic!("nothing gave way");
}

fn tight(root: &Path) -> SpoolConfig {
    let mut config = config(root, Compression::default());
    config.limits.bytes_max = Some(120_000);
    config
}

#[test]
fn the_end_that_ships_it_is_one_of_the_things_that_wait() {
    let root = model_world::scratch();
    leave_behind(root.path(), &[2]);
    let mut own = create(root.path(), 2);
    let alone = own.disk_bytes();
    own.take_in(adopt(root.path()));
    assert_eq!(events(&mut own), ["0-1"]);
    own.attempt_begun(&key(0, 0));
    own.remove(&key(0, 0)).unwrap();
    assert_eq!(events(&mut own), ["drained, 2 ships 50000, end 3 []"]);
    assert!(own.disk_bytes() > alone + BYTES as u64, "it takes room until then");
    own.attempt_begun(&key(0, 2));
    own.attempt_failed(&key(0, 2));
    own.attempt_begun(&key(0, 2));
    own.remove(&key(0, 2)).unwrap();
    assert_eq!(events(&mut own), ["drained, no end"]);
    own.finish(identity(1, 1).id).unwrap();
    assert_eq!((names(root.path()).len(), own.disk_bytes()), (1, alone));
}

#[test]
fn what_is_pending_gives_way_when_nothing_else_of_its_spool_can_and_whoever_adopts_next_sees_that() {
    for segments in [&[2][..], &[2, 3, 4]] {
        let root = model_world::scratch();
        leave_behind(root.path(), segments);
        let mut own = Spool::create(tight(root.path()), identity(1, 2), NOW_MS).unwrap();
        own.take_in(adopt(root.path()));
        let first: Vec<_> = own
            .take_events()
            .iter()
            .map(|event| if let SpoolEvent::Sealed(segment) = event { segment.key() } else { panic!("{event:?}") })
            .collect();
        for key in &first {
            own.attempt_begun(key);
            own.remove(key).unwrap();
        }
        let number = segments.iter().map(|records| u64::from(*records)).sum::<u64>();
        let last = segments.len() as u64 - 1;
        assert_eq!(events(&mut own), [format!("drained, {number} ships 50000, end {} []", number + 1)]);
        own.attempt_begun(&key(last, number));
        assert!(
            press(&mut own)[0].starts_with("0-"),
            "not while it is just being uploaded: the living spool gives way"
        );
        own.attempt_failed(&key(last, number));
        let range = format!("quota {number}-{number} 50000 bytes maybe");
        assert_eq!(press(&mut own)[..2], [format!("gone {number}"), range.clone()]);
        assert_eq!(names(root.path()), [own.id().to_string(), "dropped".to_owned()], "only a declared loss is left");
        let left: u64 = model_world::files_of(root.path(), identity(1, 1).id).iter().map(|file| length(file)).sum();
        assert!(left < 1_024, "{left} bytes are left");
        let end = format!("end {} [quota 1]", number + 1);
        assert_eq!(found(root.path()), [range, end.clone()], "killed now");
        own.attempt_begun(&key(last + 1, number));
        own.remove(&key(last + 1, number)).unwrap();
        assert_eq!(events(&mut own), [format!("drained, {end}")]);
        own.finish(identity(1, 1).id).unwrap();
    }
}

#[test]
fn of_too_many_spools_it_is_given_up_with_everything_else() {
    for (segments, refused, expected) in [
        (&[0][..], 0, &["quota 0-0 50000 bytes maybe", "end 1 [quota 1]"][..]),
        (&[2, 3], 0, &["quota 0-4 10 bytes maybe", "quota 5-5 50000 bytes maybe", "end 6 [quota 6]"]),
        (
            &[2, 3],
            2,
            &[
                "refused 5-6 7 bytes",
                "quota 0-4 10 bytes maybe",
                "quota 7-7 50000 bytes maybe",
                "end 8 [quota 6 refused 2]",
            ],
        ),
    ] {
        let root = model_world::scratch();
        leave_behind_with(root.path(), segments, |spool| spool.refuse(refused, 7, NOW_MS).unwrap());
        let mut adopted = adopt(root.path());
        adopted.give_up(NOW_MS).unwrap();
        let sorted = |mut words: Vec<String>| {
            words.sort_unstable();
            words
        };
        let expected = sorted(expected.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(sorted(told(&adopted)), expected);
        assert!(adopted.disk_bytes() < BYTES as u64);
        let end = adopted.end().unwrap().clone();
        drop(adopted);
        let mut again = adopt(root.path());
        assert_eq!((sorted(told(&again)), again.end()), (expected, Some(&end)));
        again.dropped().to_vec().iter().for_each(|range| again.delivered(&range.key()).unwrap());
        assert!(again.is_drained());
        again.finish().unwrap();
        assert_eq!(names(&root.path().join("dropped")), Vec::<String>::new());
    }
}

#[test]
fn its_room_is_free_at_once_although_older_losses_wait() {
    let root = model_world::scratch();
    let mut spool = create(root.path(), 1);
    spool.refuse(2, 7, NOW_MS).unwrap();
    pend(&mut spool);
    drop(spool);
    let mut adopted = adopt(root.path());
    assert!(adopted.disk_bytes() > BYTES as u64);
    adopted.give_up(NOW_MS).unwrap();
    assert!(adopted.disk_bytes() < BYTES as u64);
    drop(adopted);
    assert_eq!(length(&file(&root.path().join("dropped"), 2)), 512);
    assert_eq!(found(root.path()), ["refused 0-1 7 bytes", "quota 2-2 50000 bytes maybe", "end 3 [quota 1 refused 2]"]);
}

#[test]
fn what_gave_way_counts_in_the_limit_of_declared_losses() {
    let root = model_world::scratch();
    [1, 3].into_iter().for_each(|life| pend(&mut create(root.path(), life)));
    let mut config = tight(root.path());
    config.limits.tombstones_max = 1;
    let mut own = Spool::create(config, identity(1, 2), NOW_MS).unwrap();
    for orphan in find_orphans(root.path(), own.id()).unwrap().orphans {
        own.take_in(orphan.adopt(&labeler()).unwrap());
    }
    own.take_events();
    assert_eq!(press(&mut own), ["gone 0", "quota 0-0 50000 bytes maybe"]);
    let meta = Meta::default();
    let full = (0..1_000).find_map(|n| {
        let line = format!("{:x?}\n", fastrand::Rng::with_seed(n).u128(..).to_le_bytes().repeat(40));
        own.append(&batch(line.as_bytes(), 1, &meta), NOW_MS).err()
    });
    assert!(matches!(full, Some(spool::AppendError::Full(_))), "{full:?}");
    assert!(!events(&mut own).iter().any(|event| event.starts_with("quota")), "no second one");
}

/// The segment that is added says that it is lost; then its file goes. A kill in between leaves both, or a part of the first.
#[test]
fn a_kill_while_it_is_given_up_tells_it_once() {
    let root = model_world::scratch();
    leave_behind(root.path(), &[2]);
    let before = fs::read(file(root.path(), 0)).unwrap();
    adopt(root.path()).give_up(NOW_MS).unwrap();
    let aside = root.path().join("dropped");
    // What gave way is counted when it has.
    let mut added = fs::read(file(&aside, 1)).unwrap();
    added[128..320].fill(0);
    for length in (0..512).step_by(97).chain(512..=added.len()) {
        fs::write(file(&aside, 0), &before).unwrap();
        fs::write(file(&aside, 1), &added[..length]).unwrap();
        let expected: &[_] = if length < added.len() {
            &["0-1", "2 ships 50000, end 3 []"]
        } else {
            &["0-1", "quota 2-2 50000 bytes maybe", "end 3 [quota 1]"]
        };
        assert_eq!(found(root.path()), expected, "{length} of {} bytes", added.len());
        // Whoever goes on from here gives up the rest.
        let place = copied(root.path());
        let mut next = adopt(place.path());
        next.give_up(NOW_MS).unwrap();
        drop(next);
        let expected = ["quota 0-1 4 bytes maybe", "quota 2-2 50000 bytes maybe", "end 3 [quota 3]"];
        let given_up =
            found(place.path()).iter().map(|word| word.replace("4 bytes maybe", "4 bytes")).collect::<Vec<_>>();
        assert_eq!(given_up, expected.map(|word| word.replace("4 bytes maybe", "4 bytes")), "{length} bytes");
    }
}

#[test]
fn what_cannot_be_read_any_more_is_declared_before_the_end_goes_out() {
    for cause in [LossCause::Damage, LossCause::Vanished] {
        let root = model_world::scratch();
        leave_behind(root.path(), &[2]);
        let mut own = create(root.path(), 2);
        own.take_in(adopt(root.path()));
        own.take_events();
        own.attempt_begun(&key(0, 0));
        own.remove(&key(0, 0)).unwrap();
        let drained = own.take_events().remove(0);
        let SpoolEvent::Drained(_, Some(StreamEnd { fragment: Some(fragment), .. })) = drained else {
            panic!("{drained:?}")
        };
        let path = file(root.path(), 0);
        if cause == LossCause::Vanished {
            fs::remove_file(&path).unwrap();
            assert_eq!(fragment.find_loss(), None, "its descriptor still has it");
        } else {
            let place = layout::entries(&fs::read(&path).unwrap()).pop().unwrap();
            let written = fs::OpenOptions::new().write(true).open(&path).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&written, b"?", place.payload.start as u64).unwrap();
            assert_eq!(fragment.find_loss(), Some(cause));
            assert!(fragment.read().is_err());
        }
        assert!(!own.declare_lost(&key(0, 7), cause, NOW_MS), "nothing of this number waits");
        own.attempt_begun(&key(0, 2));
        own.attempt_failed(&key(0, 2));
        assert!(own.declare_lost(&key(0, 2), cause, NOW_MS));
        let (name, end) = (cause.name(), format!("end 3 [{} 1]", cause.name()));
        assert_eq!(events(&mut own), ["gone 2".to_owned(), format!("{name} 2-2 50000 bytes maybe")]);
        let next = found(root.path());
        assert!(next.contains(&format!("{name} 2-2 50000 bytes maybe")) || next.last() == Some(&end), "{next:?}");
        own.attempt_begun(&key(0, 2));
        own.remove(&key(0, 2)).unwrap();
        assert_eq!(events(&mut own), [format!("drained, {end}")]);
        own.finish(identity(1, 1).id).unwrap();
        assert_eq!(names(root.path()).len(), 1);
    }
}

#[test]
fn a_spool_that_was_cleared_ships_it_from_its_descriptors() {
    let root = model_world::scratch();
    leave_behind(root.path(), &[2]);
    let mut own = create(root.path(), 2);
    own.take_in(adopt(root.path()));
    own.take_events();
    own.attempt_begun(&key(0, 0));
    own.remove(&key(0, 0)).unwrap();
    own.take_events();
    own.attempt_begun(&key(0, 2));
    fs::remove_dir_all(dir(root.path(), identity(1, 1).id)).unwrap();
    let mut orphan = own.take_cleared().remove(0);
    assert!(orphan.rescue().unwrap());
    own.take_in(orphan.adopt(&labeler()).unwrap());
    assert_eq!(events(&mut own), ["0-1"], "that it was delivered is not known any more");
    own.remove(&key(0, 0)).unwrap();
    assert_eq!(events(&mut own), ["drained, 2 ships 50000, end 3 []"]);
    own.remove(&key(0, 2)).unwrap();
    assert_eq!(events(&mut own), ["drained, no end"]);
}

/// An end that its own process has written stands before what came behind it; the adopter's is a further one.
#[test]
fn a_spool_that_had_ended_is_ended_once_more() {
    let root = model_world::scratch();
    let mut spool = create(root.path(), 1);
    let meta = Meta::default();
    spool.append(&Batch { end: true, ..batch(b"end\n", 1, &meta) }, NOW_MS).unwrap();
    spool.seal(SealReason::Shutdown, NOW_MS).unwrap();
    let fragment = Fragment { bytes: b"late", line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta };
    spool.append_fragment(&fragment, NOW_MS).unwrap();
    drop(spool);
    let mut adopted = adopt(root.path());
    assert_eq!(told(&adopted), ["0-0", "1 ships 4, end 2 []"]);
    adopted.delivered(&key(0, 0)).unwrap();
    drop(adopted);
    let mut adopted = only_orphan(root.path()).adopt(&labeler()).unwrap();
    assert_eq!(told(&adopted), ["1 ships 4, end 2 []"]);
    adopted.delivered(&key(1, 1)).unwrap();
    assert_eq!(adopted.end(), None, "it is where it should be");
    adopted.finish().unwrap();
}
