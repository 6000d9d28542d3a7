//! Taking over a spool whose process is gone: whoever does it, however often, computes the same and needs the files alone.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use spool::{
    Adopted, Batch, BodyId, Codec, Compression, LossCause, ManifestState, Meta, NotAdopted, Orphan, SealReason,
    SealedSegment, Seqno, Spool, SpoolId, Tail, TailBudget, find_orphans,
};
use tempfile::TempDir;
use world::{NOW_MS, append, append_end, batch, copy, create, decoded, dir, names, object, only_orphan, records};

fn spool(root: &Path) -> Spool {
    create(root, Compression::default(), &mut fastrand::Rng::with_seed(21))
}

/// One that needs as much space as its lines.
fn uncompressed(root: &Path) -> Spool {
    let compression = Compression { codec: Codec::None, level: 1, frame_bytes_max: None };
    create(root, compression, &mut fastrand::Rng::with_seed(21))
}

/// A spool with sealed segments of these numbers of records and an open one.
fn left_behind(root: &Path, sealed: &[u32], open: u32) -> (SpoolId, Vec<SealedSegment>) {
    let mut spool = spool(root);
    let mut segments = Vec::new();
    for count in sealed {
        append(&mut spool, *count);
        segments.extend(world::seal(&mut spool, SealReason::Size));
    }
    append(&mut spool, open);
    (spool.id(), segments)
}

fn adopt(root: &Path) -> Adopted {
    only_orphan(root).adopt(&world::labeler()).unwrap()
}

fn copied(root: &Path) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    copy(root, place.path());
    place
}

/// Name and lines of each object.
fn objects(adopted: &Adopted) -> BTreeMap<String, Vec<u8>> {
    let lines = |segment: &SealedSegment| decoded(segment.facts().codec, &object(segment));
    adopted.segments().iter().map(|segment| (segment.label().to_owned(), lines(segment))).collect()
}

/// Every file of a spool with its bytes, but for the manifest, which belongs to sled.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = names(dir).into_iter().filter(|name| name != "manifest");
    names.map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

#[test]
fn every_adopter_computes_the_same_end() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    append(&mut spool, 5);
    spool.count_platform_drops(7, 900).unwrap();
    world::seal(&mut spool, SealReason::Age);
    append(&mut spool, 2);
    spool.count_platform_drops(1, 100).unwrap();
    let (one, other) = (copied(root.path()), copied(root.path()));
    let (one, other) = (adopt(one.path()), adopt(other.path()));
    assert_eq!(one.end(), other.end());
    assert_eq!(objects(&one), objects(&other));
    let end = one.end().unwrap();
    assert_eq!((end.spool, end.seq), (spool.id(), Seqno(7)));
    let dropped = end.losses.of(LossCause::Platform);
    assert_eq!((dropped.records, dropped.bytes), (8, 1_000), "of all segments");
}

#[test]
fn adoption_writes_to_no_file() {
    let root = tempfile::tempdir().unwrap();
    let (id, _) = left_behind(root.path(), &[10, 20], 5);
    let before = files(&dir(root.path(), id));
    let adopted = adopt(root.path());
    objects(&adopted);
    drop(adopted);
    assert!(files(&dir(root.path(), id)) == before);
}

/// An adopter may be killed at any point as well.
#[test]
fn an_adopter_that_is_killed_leaves_what_the_next_one_needs() {
    let seed = world::seed(5);
    let mut rng = fastrand::Rng::with_seed(seed);
    for open in [0, 4] {
        let origin = tempfile::tempdir().unwrap();
        let (id, _) = left_behind(origin.path(), &[3, 30, 1, 7], open);
        let whole = adopt(copied(origin.path()).path());
        for delivered_first in 0..=whole.segments().len() {
            let root = copied(origin.path());
            let mut first = adopt(root.path());
            let mut segments = first.segments().to_vec();
            rng.shuffle(&mut segments);
            segments.truncate(delivered_first);
            let mut delivered = BTreeMap::new();
            for segment in &segments {
                delivered.insert(segment.label().to_owned(), decoded(segment.facts().codec, &object(segment)));
                first.delivered(&segment.key()).unwrap();
            }
            drop(first);

            let second = adopt(root.path());
            let story = format!("seed {seed}: {delivered_first} delivered first, {open} open records");
            assert_eq!(second.report().lost, [], "{story}");
            assert_eq!(second.end(), whole.end(), "{story}: the number behind the last record is known");
            for (label, lines) in objects(&second) {
                assert!(*delivered.entry(label).or_insert_with(|| lines.clone()) == lines, "{story}");
            }
            let lines: Vec<u8> = delivered.into_values().flatten().collect();
            assert!(lines == records(id, 0..41 + u64::from(open)), "{story}");
        }
    }
}

/// Uploads overlap: a later segment may be delivered first. It is not delivered again, and is no loss either.
#[test]
fn what_its_process_delivered_out_of_order_is_not_delivered_again() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    let mut segments = Vec::new();
    for count in [3, 30, 1, 7] {
        append(&mut spool, count);
        segments.extend(world::seal(&mut spool, SealReason::Size));
    }
    append(&mut spool, 5);
    for (delivered, left) in [(2, vec![0, 1, 3]), (1, vec![0, 3]), (0, vec![3]), (3, vec![])] {
        spool.remove(&segments[delivered].key()).unwrap();
        assert_eq!(spool.undelivered(), left.len());
        let adopted = adopt(copied(root.path()).path());
        let mut expected: Vec<_> = left.iter().map(|segment: &usize| segments[*segment].label()).collect();
        expected.push(adopted.segments().last().unwrap().label());
        let found: Vec<_> = adopted.segments().iter().map(SealedSegment::label).collect();
        assert_eq!(found, expected, "behind the removal of {delivered}");
        assert_eq!(adopted.report().lost, []);
        assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(46)));
    }
    let names = names(&dir(root.path(), spool.id()));
    let segment_files: Vec<_> = names.iter().filter(|name| name.ends_with(".seg")).collect();
    assert_eq!(segment_files, ["000000000004.seg"], "what is delivered takes no place");
}

#[test]
fn a_delivered_end_is_not_written_again() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    append(&mut spool, 3);
    let first = world::seal(&mut spool, SealReason::Size).unwrap();
    append_end(&mut spool);
    let last = world::seal(&mut spool, SealReason::Shutdown).unwrap();
    // The last one first: it waits for the older one, and must not be forgotten with its entries.
    for segment in [last, first] {
        spool.remove(&segment.key()).unwrap();
        assert_eq!(adopt(copied(root.path()).path()).end(), None);
    }
}

#[test]
fn the_files_alone_are_enough() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    spool.settle_in();
    append(&mut spool, 10);
    let segment = world::seal(&mut spool, SealReason::Size).unwrap();
    spool.attempt_begun(&segment.key());
    append(&mut spool, 5);
    assert_eq!(world::settled_manifest(&spool), ManifestState::Open);
    let expected = objects(&adopt(copied(root.path()).path()));
    assert_eq!(expected.len(), 2);
    let manifest = |root: &TempDir| -> PathBuf { dir(root.path(), spool.id()).join("manifest") };
    let without = copied(root.path());
    fs::remove_dir_all(manifest(&without)).unwrap();
    let garbage = copied(root.path());
    for name in names(&manifest(&garbage)) {
        let path = manifest(&garbage).join(name);
        if path.is_file() {
            fs::write(path, [0xa5; 700]).unwrap();
        }
    }
    let a_file = copied(root.path());
    fs::remove_dir_all(manifest(&a_file)).unwrap();
    fs::write(manifest(&a_file), "no directory").unwrap();
    for (story, root) in [("without", without), ("garbage", garbage), ("a file", a_file)] {
        assert_eq!(objects(&adopt(root.path())), expected, "manifest: {story}");
    }
}

#[test]
fn several_orphans_are_adopted_and_the_living_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = fastrand::Rng::with_seed(22);
    let mut spools: Vec<_> = (0..4).map(|_| create(root.path(), Compression::default(), &mut rng)).collect();
    spools.iter_mut().for_each(|spool| append(spool, 3));
    // The directory of a living process in the midst of them.
    spools.sort_unstable_by_key(Spool::id);
    let living = spools.remove(1);
    let before = files(&dir(root.path(), living.id()));
    let dead: Vec<_> = spools.drain(..).map(|spool| spool.id()).collect();
    let found = find_orphans(root.path(), SpoolId::new(0, 0)).unwrap();
    assert_eq!(found.alive, [living.id()]);
    assert_eq!(found.orphans.iter().map(Orphan::id).collect::<Vec<_>>(), dead, "oldest first");
    for orphan in found.orphans {
        let id = orphan.id();
        let adopted = orphan.adopt(&world::labeler()).unwrap();
        assert!(objects(&adopted).into_values().collect::<Vec<_>>() == [records(id, 0..3)]);
        adopted.finish().unwrap();
    }
    assert_eq!(names(root.path()), [living.id().to_string()]);
    assert!(files(&dir(root.path(), living.id())) == before);
}

/// What was found, what was repaired, what is lost.
#[test]
fn the_report_tells_what_was_found_repaired_and_lost() {
    let root = tempfile::tempdir().unwrap();
    let (id, segments) = left_behind(root.path(), &[3, 4, 5, 6], 7);
    let file = |segment: u64| dir(root.path(), id).join(format!("{segment:012}.seg"));
    fs::remove_file(file(1)).unwrap();
    let mut bytes = fs::read(file(2)).unwrap();
    bytes[520] ^= 1;
    fs::write(file(2), bytes).unwrap();
    let mut bytes = fs::read(file(3)).unwrap();
    bytes[40] ^= 1;
    fs::write(file(3), bytes).unwrap();
    let torn = fs::OpenOptions::new().append(true).open(file(4)).unwrap();
    std::io::Write::write_all(&mut &torn, b"half an entry").unwrap();

    let adopted = adopt(root.path());
    let report = adopted.report();
    assert_eq!((report.files, report.rows, report.records, report.objects), (3, 0, 3 + 7, 2));
    assert_eq!(report.torn_bytes, 13);
    // The only entry of a segment: the next valid header is that which closes it.
    assert!(report.skipped_bytes > 0, "{report:?}");
    assert_eq!(report.lost_records(), 4 + 5 + 6);
    let lost: Vec<_> = report.lost.iter().map(|range| (range.first.0, range.last.0, range.cause)).collect();
    let expected = [(3, 6, LossCause::Vanished), (7, 11, LossCause::Damage), (12, 17, LossCause::Damage)];
    assert_eq!(lost, expected);
    assert_eq!(report.unreadable.iter().map(|(segment, _)| segment.0).collect::<Vec<_>>(), [3]);
    assert!(!report.unknown_tail && segments.len() == 4);
}

#[test]
fn a_spool_of_a_later_format_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let (id, _) = left_behind(root.path(), &[10], 5);
    // One file is enough: whoever wrote it knows what the others mean.
    for file in ["000000000001.seg", "000000000000.seg"] {
        let file = fs::OpenOptions::new().write(true).open(dir(root.path(), id).join(file)).unwrap();
        // The version stands behind eight bytes of magic.
        file.write_all_at(&2u16.to_le_bytes(), 8).unwrap();
        let before = files(&dir(root.path(), id));
        let error = only_orphan(root.path()).adopt(&world::labeler()).unwrap_err();
        let told = matches!(error, NotAdopted::UnknownVersion(unknown) if (unknown.spool, unknown.version) == (id, 2));
        assert!(told, "{error}");
        assert!(files(&dir(root.path(), id)) == before);
    }
}

#[test]
fn the_request_id_in_force_is_that_of_the_last_entry() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    for (request_id, count) in [("first", 3), ("last", 0)] {
        let first = spool.next_seq().0;
        let lines = records(spool.id(), first..first + u64::from(count));
        let meta = Meta { request_id: Some(request_id.into()), ..Meta::default() };
        spool.append(&batch(&lines, count, &meta), NOW_MS).unwrap();
    }
    let found = |bytes_max| {
        let mut budget = TailBudget::new(bytes_max, &|| true);
        only_orphan(copied(root.path()).path()).tail(&mut budget).request_id
    };
    assert_eq!(found(1 << 20).as_deref(), Some("last"), "a body without a line counts, too");
    assert_eq!(found(10), None, "what is too long to be read at a start is not read");
    world::seal(&mut spool, SealReason::Age);
    assert_eq!(found(1 << 20).as_deref(), Some("last"), "the open segment has no entry yet");
}

#[test]
fn every_segment_tells_the_request_id_in_force_once() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    let meta = Meta { request_id: Some("79b4f56e".into()), ..Meta::default() };
    for _ in 0..2 {
        for _ in 0..3 {
            let lines = records(spool.id(), spool.next_seq().0..spool.next_seq().0 + 1);
            spool.append(&batch(&lines, 1, &meta), NOW_MS).unwrap();
        }
        world::seal(&mut spool, SealReason::Size);
    }
    let told = |name: &str| {
        let bytes = fs::read(dir(root.path(), spool.id()).join(name)).unwrap();
        bytes.windows(8).filter(|window| window == b"79b4f56e").count()
    };
    assert_eq!([told("000000000000.seg"), told("000000000001.seg")], [1, 1]);
}

#[test]
fn the_last_bodies_are_known_unless_the_stream_has_ended() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    let mut appended = Vec::new();
    let append = |spool: &mut Spool, hash: u64, end: bool| {
        let first = spool.next_seq().0;
        let lines = records(spool.id(), first..first + 1);
        let meta = Meta::default();
        spool.append(&Batch { body_hash: hash, body_bytes: 7, end, ..batch(&lines, 1, &meta) }, NOW_MS).unwrap();
    };
    for hash in 1..=70 {
        append(&mut spool, hash, false);
        appended.push(BodyId { hash, bytes: 7 });
        if hash == 68 {
            world::seal(&mut spool, SealReason::Size);
        }
    }
    let found = || {
        let mut budget = TailBudget::new(1 << 20, &|| false);
        Vec::from(only_orphan(copied(root.path()).path()).tail(&mut budget).bodies)
    };
    assert_eq!(found(), appended[6..], "the last 64, of more than one file");
    append(&mut spool, 0, true);
    assert_eq!(found(), [], "it had the time to answer");
    append(&mut spool, 71, false);
    assert_eq!(found().last(), Some(&BodyId { hash: 71, bytes: 7 }), "a late one");
}

#[test]
fn a_long_tail_is_read_as_long_as_there_is_time() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = uncompressed(root.path());
    for number in 0..200u64 {
        let lines = records(spool.id(), spool.next_seq().0..spool.next_seq().0 + 20);
        let meta = Meta { request_id: Some(number.to_string()), ..Meta::default() };
        let body = Batch { body_hash: 1 + number, body_bytes: 7, ..batch(&lines, 20, &meta) };
        spool.append(&body, NOW_MS).unwrap();
    }
    let left = copied(root.path());
    let orphan = only_orphan(left.path());
    let asked = std::cell::Cell::new(0);
    let tail = |answers: u32| {
        asked.set(0);
        let is_over = || asked.replace(asked.get() + 1) == answers;
        orphan.tail(&mut TailBudget::new(1 << 30, &is_over))
    };
    let whole = tail(u32::MAX);
    assert_eq!((whole.request_id.as_deref(), whole.bodies.len()), (Some("199"), 64));
    let asked_in_all = asked.get();
    assert!(asked_in_all > 1, "it is long enough to be asked more than once");
    for answers in 0..asked_in_all {
        assert_eq!(tail(answers), Tail::default(), "what is not read to its end tells nothing");
        assert_eq!(asked.get(), answers + 1, "nothing more is read");
    }
}

#[test]
fn damage_is_not_searched_for_long_at_a_start() {
    for (zeros, expected) in [(10_000, Some("behind")), (200_000, None)] {
        let root = tempfile::tempdir().unwrap();
        let mut spool = uncompressed(root.path());
        let zeros = vec![b'\n'; zeros];
        let batches = [("before", b"{}\n".as_slice()), ("in", &zeros), ("behind", b"{}\n")];
        for (request_id, lines) in batches {
            let meta = Meta { request_id: Some(request_id.into()), ..Meta::default() };
            spool.append(&batch(lines, 1, &meta), NOW_MS).unwrap();
        }
        let left = copied(root.path());
        let path = dir(left.path(), spool.id()).join("000000000000.seg");
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(2).position(|window| window == b"in").unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        let orphan = only_orphan(left.path());
        let tail = orphan.tail(&mut TailBudget::new(1 << 30, &|| false));
        assert_eq!(tail.request_id.as_deref(), expected);
    }
}
