mod failed_writes;

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::adopt::{Adopted, find_orphans};
use crate::format::checksum::Salt;
use crate::format::meta::Meta;
use crate::quota::WhenFull;
use crate::segment::active::{AppendError, Batch};
use crate::storage::disk::SpoolDir;
use crate::storage::memory::Memory;

const NOW: i64 = 1_790_000_000_000;

fn label() -> Labeler {
    Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last))
}

fn config(root: &Path) -> SpoolConfig {
    SpoolConfig {
        root: root.into(),
        compression: Compression { codec: crate::codec::Codec::None, ..Compression::default() },
        line_format: 0,
        label: label(),
        limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
    }
}

fn identity(random: u128) -> Identity {
    Identity { id: SpoolId::new(NOW, random), salt_seed: 7 }
}

fn spool(root: &Path) -> Spool {
    Spool::create(config(root), identity(1), NOW).expect("created")
}

fn batch<'a>(line: &'a str, meta: &'a Meta) -> Batch<'a> {
    Batch { lines: line.as_bytes(), records: 1, first_line_ms: None, body_bytes: 1, body_hash: 1, meta, end: false }
}

fn append(spool: &mut Spool, line: &str) -> Result<(), AppendError> {
    spool.append(&batch(line, &Meta::default()), NOW)
}

fn sealed(spool: &mut Spool, line: &str) -> SegmentKey {
    append(spool, line).expect("appended");
    assert!(spool.seal(SealReason::Size, NOW).expect("sealed"));
    let key = |event| match event {
        SpoolEvent::Sealed(segment) => Some(segment.key()),
        _ => None,
    };
    spool.take_events().into_iter().filter_map(key).next_back().expect("a segment")
}

/// What the spool said, in words.
fn told(spool: &mut Spool) -> Vec<String> {
    let word = |event| match event {
        SpoolEvent::Sealed(segment) => format!("sealed {}", segment.label()),
        SpoolEvent::Dropped(range) => format!("{} {}-{}", range.cause.name(), range.first, range.last),
        SpoolEvent::Gone(key) => format!("gone {}", key.first),
        SpoolEvent::Drained(_, end) => format!("drained, end {:?}", end.map(|end| end.seq)),
    };
    spool.take_events().into_iter().map(word).collect()
}

fn files(dir: &SpoolDir) -> Vec<u64> {
    dir.open_segments(usize::MAX).expect("listed").into_iter().map(|(segment, _)| segment.0).collect()
}

fn dir(root: &Path) -> SpoolDir {
    SpoolDir::of(root, identity(1).id)
}

fn adopt(root: &Path) -> Adopted {
    let orphan = find_orphans(root, SpoolId::new(NOW, 9)).expect("found").orphans.remove(0);
    orphan.adopt(&label()).expect("adopted")
}

/// What an adopter finds, in words: objects, losses, the number of the end.
fn found(adopted: &Adopted) -> (Vec<String>, Vec<String>, Option<u64>) {
    let objects = adopted.segments().iter().map(|segment| segment.label().to_owned()).collect();
    let lost = adopted.dropped().iter().map(|range| format!("{} {}-{}", range.cause.name(), range.first, range.last));
    (objects, lost.collect(), adopted.end().map(|end| end.seq.0))
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn files_vanish_in_order_whatever_the_order_of_delivery() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    let keys = ["a\n", "b\n", "c\n"].map(|line| sealed(&mut spool, line));
    spool.remove(&keys[1]).expect("marked");
    assert_eq!((files(&dir(root.path())), spool.undelivered()), (vec![0, 1, 2, 3], 2));
    spool.remove(&keys[0]).expect("removed");
    assert_eq!((files(&dir(root.path())), spool.undelivered()), (vec![2, 3], 1));
    spool.remove(&keys[2]).expect("removed");
    assert_eq!((files(&dir(root.path())), spool.undelivered()), (vec![3], 0));
}

#[test]
fn what_is_delivered_out_of_order_is_not_delivered_again_by_an_adopter() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut dead = spool(root.path());
    let keys = ["a\n", "b\n", "c\n"].map(|line| sealed(&mut dead, line));
    dead.remove(&keys[1]).expect("marked");
    drop(dead);
    assert_eq!(found(&adopt(root.path())), (words(&["0-0", "2-2"]), vec![], Some(3)));
}

#[test]
fn a_refused_range_takes_its_numbers_and_is_declared_by_the_next_append() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    append(&mut spool, "a\n").expect("appended");
    spool.refuse(2, 20, NOW).expect("written");
    spool.refuse(3, 30, NOW).expect("written");
    assert_eq!((spool.next_seq(), told(&mut spool)), (Seqno(6), vec![]));
    append(&mut spool, "b\n").expect("appended");
    assert_eq!(told(&mut spool), ["sealed 0-0", "refused 1-5"]);
    let loss = spool.losses().of(LossCause::Refused);
    assert_eq!((loss.records, loss.bytes), (5, 50));
    drop(spool);
    assert_eq!(found(&adopt(root.path())), (words(&["0-0", "6-6"]), words(&["refused 1-5"]), Some(7)));
}

#[test]
fn an_adopter_sees_no_damage_in_a_segment_that_a_refused_range_ended() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    append(&mut spool, "a\n").expect("appended");
    spool.refuse(2, 20, NOW).expect("written");
    append(&mut spool, "b\n").expect("appended");
    let facts = spool.take_events().into_iter().find_map(|event| match event {
        SpoolEvent::Sealed(segment) => Some(segment.facts().clone()),
        _ => None,
    });
    drop(spool);
    let adopted = adopt(root.path());
    assert_eq!(Some(adopted.segments()[0].facts()), facts.as_ref());
    let losses: Vec<_> =
        adopted.end().expect("an end").losses.iter().map(|(cause, loss)| (cause, loss.records)).collect();
    assert_eq!(losses, [(LossCause::Refused, 2)]);
}

#[test]
fn a_refused_range_survives_a_kill_before_it_is_declared() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    append(&mut spool, "a\n").expect("appended");
    spool.refuse(2, 20, NOW).expect("written");
    drop(spool);
    let adopted = adopt(root.path());
    assert_eq!(found(&adopted), (words(&["0-0"]), words(&["refused 1-2"]), Some(3)));
    let end = adopted.end().expect("an end");
    assert_eq!(end.losses.of(LossCause::Refused).records, 2, "counted once");
}

#[test]
fn nothing_but_refused_records_leaves_a_declared_range_and_an_end() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    spool.refuse(4, 40, NOW).expect("written");
    assert!(!spool.remove_if_empty().expect("looked"), "there is something to tell");
    drop(spool);
    assert_eq!(found(&adopt(root.path())), (vec![], words(&["refused 0-3"]), Some(4)));
}

#[test]
fn the_oldest_gives_way_and_neighbours_become_one_declared_range() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    let keys: Vec<_> = ["a\n", "b\n", "c\n", "d\n"].map(|line| sealed(&mut spool, line)).into();
    spool.attempt_begun(&keys[0]);
    spool.config.limits.bytes_max = Some(0);
    assert!(spool.evict(NOW).expect("evicted"));
    assert_eq!(told(&mut spool), ["gone 1", "quota 1-1"], "what is in flight stays");
    assert!(spool.evict(NOW).expect("evicted"));
    assert_eq!(told(&mut spool), ["gone 1", "gone 2", "quota 1-2"]);
    assert_eq!(files(&dir(root.path())), [0, 1, 3, 4]);
    drop(spool);
    let adopted = adopt(root.path());
    assert_eq!(found(&adopted), (words(&["0-0", "3-3"]), words(&["quota 1-2"]), Some(4)));
    assert_eq!(adopted.end().expect("an end").losses.of(LossCause::Quota).records, 2);
}

#[test]
fn a_kill_between_merging_and_removing_declares_each_number_once() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    for line in ["a\n", "b\n", "c\n"] {
        sealed(&mut spool, line);
    }
    assert!(spool.evict(NOW).expect("evicted"));
    let second = std::fs::read(dir(root.path()).segment(SegmentId(1))).expect("read");
    assert!(spool.evict(NOW).expect("evicted"));
    drop(spool);
    std::fs::write(dir(root.path()).segment(SegmentId(1)), second).expect("written");
    assert_eq!(found(&adopt(root.path())), (words(&["2-2"]), words(&["quota 0-1"]), Some(3)));
}

#[test]
fn an_upload_that_had_begun_says_so_in_its_tombstone() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    let key = sealed(&mut spool, "a\n");
    sealed(&mut spool, "b\n");
    spool.attempt_begun(&key);
    spool.attempt_failed(&key);
    assert!(spool.evict(NOW).expect("evicted"));
    assert!(spool.evict(NOW).expect("evicted"));
    let dropped = spool.take_events().into_iter().filter_map(|event| match event {
        SpoolEvent::Dropped(range) => Some((range.first.0, range.last.0, range.maybe_delivered)),
        _ => None,
    });
    let dropped: Vec<_> = dropped.collect();
    assert_eq!(dropped, [(0, 0, true), (1, 1, false)], "and is not merged");
}

#[test]
fn a_full_place_makes_room_by_itself() {
    let root = tempfile::tempdir().expect("tempdir");
    let storage = Box::new(Memory::new(6_000));
    let mut spool = Spool::create_on(storage, config(root.path()), identity(1), NOW).expect("made");
    let line = format!("{}\n", "x".repeat(900));
    for _ in 0..20 {
        append(&mut spool, &line).expect("room was made");
        spool.seal(SealReason::Size, NOW).ok();
    }
    assert_eq!(spool.next_seq(), Seqno(20));
    let lost = spool.losses().of(LossCause::Quota).records;
    assert!((10..20).contains(&lost), "{lost} gave way");
}

#[test]
fn with_drop_newest_the_batch_is_refused_and_the_old_ones_stay() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut config = config(root.path());
    config.limits.when_full = WhenFull::DropNewest;
    let mut spool = Spool::create_on(Box::new(Memory::new(3_000)), config, identity(1), NOW).expect("made");
    let line = format!("{}\n", "x".repeat(900));
    append(&mut spool, &line).expect("fits");
    append(&mut spool, &line).expect("fits");
    assert!(matches!(append(&mut spool, &line), Err(AppendError::Full(_))));
    assert_eq!(spool.next_seq(), Seqno(2), "numbers are not taken by a failed append");
    spool.refuse(1, 901, NOW).expect("works on a full place");
    assert_eq!(spool.next_seq(), Seqno(3));
}

#[test]
fn an_entry_that_was_not_written_has_told_nothing() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut config = config(root.path());
    config.limits.when_full = WhenFull::DropNewest;
    let memory = Memory::new(3_000);
    let mut spool = Spool::create_on(Box::new(memory.clone()), config, identity(1), NOW).expect("made");
    let mut append = |request_id: &str, line: &str| {
        let meta = Meta { request_id: Some(request_id.into()), ..Meta::default() };
        spool.append(&batch(line, &meta), NOW)
    };
    append("first", "a\n").expect("fits");
    append("second", &"x".repeat(3_000)).expect_err("does not fit");
    append("second", "b\n").expect("fits");
    let orphan = Orphan::handed_over(identity(1).id, None, memory.files());
    assert_eq!(
        orphan.tail(&mut crate::adopt::TailBudget::new(u64::MAX, &|| false)).request_id.as_deref(),
        Some("second")
    );
}

#[test]
fn an_unused_spool_is_removed_while_its_manifest_is_being_opened() {
    let root = tempfile::tempdir().expect("tempdir");
    for life in 0..100 {
        let mut spool = Spool::create(config(root.path()), identity(life), NOW).expect("created");
        spool.settle_in();
        assert!(spool.remove_if_empty().expect("nobody is in the way"), "life {life}");
    }
    assert_eq!(std::fs::read_dir(root.path()).expect("listed").count(), 0);
}

#[test]
fn a_spool_in_memory_is_adopted_like_any_other_and_says_that_it_was_volatile() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = Spool::create_in_memory(config(root.path()), identity(1), NOW).expect("made");
    append(&mut spool, "a\n").expect("appended");
    spool.refuse(1, 2, NOW).expect("refused");
    append(&mut spool, "b\n").expect("appended");
    let orphan = spool.roll(identity(2), NOW).expect("a disk");
    assert!(!spool.is_volatile());
    let adopted = orphan.adopt(&label()).expect("adopted");
    assert_eq!(found(&adopted), (words(&["0-0", "2-2"]), words(&["refused 1-1"]), Some(3)));
    assert!(adopted.segments().iter().all(|segment| segment.facts().volatile));
}

#[test]
fn files_removed_from_under_us_are_restored_from_their_descriptors() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    sealed(&mut spool, "a\n");
    append(&mut spool, "b\n").expect("appended");
    assert!(spool.is_in_place());
    std::fs::remove_dir_all(root.path()).expect("cleared");
    assert!(!spool.is_in_place());
    append(&mut spool, "c\n").expect("goes into the void until somebody looks");
    let mut orphan = spool.roll(identity(2), NOW).expect("rolled");
    assert!(orphan.rescue().expect("copied"));
    drop((orphan, spool));
    let mut orphans = find_orphans(root.path(), identity(2).id).expect("found").orphans;
    let adopted = orphans.remove(0).adopt(&label()).expect("adopted");
    assert_eq!(found(&adopted), (words(&["0-0", "1-2"]), vec![], Some(3)));
}

#[test]
fn a_missing_file_between_two_others_is_declared_without_a_manifest() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    for line in ["a\n", "b\nb\n", "c\n"] {
        sealed(&mut spool, line);
    }
    drop(spool);
    std::fs::remove_file(dir(root.path()).segment(SegmentId(1))).expect("removed");
    let adopted = adopt(root.path());
    assert_eq!(found(&adopted), (words(&["0-0", "2-2"]), words(&["vanished 1-1"]), Some(3)));
    assert_eq!(adopted.end().expect("an end").losses.of(LossCause::Vanished).records, 1);
}

#[test]
fn a_damaged_header_costs_its_segment_and_is_declared() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    for line in ["a\n", "b\n", "c\n"] {
        sealed(&mut spool, line);
    }
    drop(spool);
    let path = dir(root.path()).segment(SegmentId(1));
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let adopted = adopt(root.path());
    assert_eq!(found(&adopted), (words(&["0-0", "2-2"]), words(&["damage 1-1"]), Some(3)));
    assert_eq!(adopted.report().unreadable.len(), 1);
}

#[test]
fn an_adopted_spool_is_removed_when_everything_is_delivered_and_not_before() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    let keys = ["a\n", "b\n"].map(|line| sealed(&mut spool, line));
    spool.refuse(1, 1, NOW).expect("refused");
    drop(spool);
    let mut adopted = adopt(root.path());
    let range = adopted.dropped()[0];
    for key in [range.key(), keys[1]] {
        adopted.delivered(&key).expect("noted");
        assert!(!adopted.is_drained());
    }
    assert_eq!(files(&dir(root.path())), [0, 1, 2], "the oldest waits, so all stay");
    adopted.delivered(&keys[0]).expect("noted");
    assert!(adopted.is_drained());
    assert_eq!(files(&dir(root.path())), [2], "the last one tells where the stream ends");
    adopted.finish().expect("removed");
    assert_eq!(std::fs::read_dir(root.path()).expect("listed").count(), 0);
}

/// A kill in between would leave a row that calls for a file.
#[test]
fn a_delivered_file_waits_for_its_row_and_goes_when_room_is_needed() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    let keys = ["a\n", "b\n"].map(|line| sealed(&mut spool, line));
    let hanging = spool.manifest.hang();
    spool.remove(&keys[0]).expect("noted");
    assert_eq!((files(&dir(root.path())), spool.undelivered()), (vec![0, 1, 2], 1));
    spool.config.limits.segments_max = 2;
    append(&mut spool, "c\n").expect("there is room");
    assert_eq!((files(&dir(root.path())), told(&mut spool)), (vec![1, 2], vec![]), "nothing was given up");
    assert_eq!(spool.manifest_state(), ManifestState::Abandoned, "but the manifest");
    spool.remove(&keys[1]).expect("removed");
    assert_eq!(files(&dir(root.path())), [2], "nobody reads it any more");
    drop(hanging);
}

#[test]
fn a_delivered_file_goes_when_its_row_is_on_disk() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = spool(root.path());
    let keys = ["a\n", "b\n"].map(|line| sealed(&mut spool, line));
    spool.settle_in();
    spool.remove(&keys[0]).expect("noted");
    while !spool.remove_delivered().expect("removed") && files(&dir(root.path())).contains(&0) {
        std::thread::yield_now();
    }
    assert_eq!((files(&dir(root.path())), spool.manifest_state()), (vec![1, 2], ManifestState::Open));
}

#[test]
fn salts_of_a_spool_differ() {
    let salts: BTreeSet<_> = (0..1_000).map(|n| Salt::nth(3, n).0).collect();
    assert_eq!(salts.len(), 1_000);
}
