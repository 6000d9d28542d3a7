//! In doubt, roll: a new spool is always allowed, and the old one is handed over with everything that it holds.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeSet;
use std::path::Path;

use spool::{Adopted, Compression, Identity, ManifestState, SealReason, Seqno, Spool, SpoolId, find_orphans};
use world::{NOW_MS, append, append_end, create, decoded, dir, identity, names, object, records};

fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(11)
}

fn spool(root: &Path) -> Spool {
    create(root, Compression::default(), &mut rng())
}

/// The lines of everything that is to be delivered of an adopted spool.
fn lines(adopted: &Adopted) -> Vec<u8> {
    adopted.segments().iter().flat_map(|segment| decoded(segment.facts().codec, &object(segment))).collect()
}

/// Delivers everything of an adopted spool and removes it.
fn drain(mut adopted: Adopted) {
    let keys: Vec<_> = adopted.segments().iter().map(|segment| segment.key()).collect();
    for key in keys {
        adopted.delivered(&key).unwrap();
    }
    assert!(adopted.is_drained());
    adopted.finish().unwrap();
}

#[test]
fn a_roll_hands_over_everything_that_is_not_delivered() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    let old = spool.id();
    append(&mut spool, 10);
    let delivered = world::seal(&mut spool, SealReason::Size).unwrap();
    append(&mut spool, 20);
    world::seal(&mut spool, SealReason::Size).unwrap();
    append(&mut spool, 5);
    spool.remove(&delivered.key()).unwrap();

    let orphan = spool.roll(identity(&mut rng), NOW_MS).unwrap();
    assert_eq!(orphan.id(), old);
    assert_ne!(spool.id(), old);
    let adopted = orphan.adopt(&world::labeler()).unwrap();
    assert!(
        lines(&adopted) == records(old, 10..35),
        "sealed and open segments, and what was delivered is not repeated"
    );
    assert_eq!(adopted.end().map(|end| (end.spool, end.seq)), Some((old, Seqno(35))));
    drain(adopted);
    assert_eq!(names(root.path()), [spool.id().to_string()]);
}

#[test]
fn a_roll_begins_at_zero_and_goes_on_as_before() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    append(&mut spool, 3);
    drop(spool.roll(identity(&mut rng), NOW_MS).unwrap());
    assert_eq!((spool.next_seq(), spool.undelivered(), spool.active().records), (Seqno(0), 0, 0));
    append(&mut spool, 4);
    let segment = world::seal(&mut spool, SealReason::Age).unwrap();
    assert!(decoded(segment.facts().codec, &object(&segment)) == records(spool.id(), 0..4));
}

#[test]
fn a_roll_in_the_middle_of_a_frame_begins_a_new_one() {
    for compression in world::COMPRESSIONS {
        let root = tempfile::tempdir().unwrap();
        let mut rng = rng();
        let mut spool = create(root.path(), compression, &mut rng);
        append(&mut spool, 3);
        let old = spool.id();
        let orphan = spool.roll(identity(&mut rng), NOW_MS).unwrap();
        append(&mut spool, 2);
        assert!(lines(&orphan.adopt(&world::labeler()).unwrap()) == records(old, 0..3), "{compression:?}");
        let segment = world::seal(&mut spool, SealReason::Age).unwrap();
        assert!(decoded(compression.codec, &object(&segment)) == records(spool.id(), 0..2), "{compression:?}");
    }
}

/// The lock goes along: nobody else may adopt what is handed over.
#[test]
fn what_is_handed_over_stays_locked_until_it_is_let_go() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    let old = spool.id();
    append(&mut spool, 1);
    let orphan = spool.roll(identity(&mut rng), NOW_MS).unwrap();
    let found = find_orphans(root.path(), spool.id()).unwrap();
    assert_eq!((found.orphans.len(), found.alive), (0, vec![old]));
    drop(orphan);
    let found = find_orphans(root.path(), spool.id()).unwrap();
    assert_eq!((found.orphans.len(), found.alive.len()), (1, 0));
}

/// Else whoever takes it next finds files that appear while it removes them.
#[test]
fn what_is_let_go_is_let_go_by_the_thread_of_its_manifest_too() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    for _ in 0..30 {
        spool.settle_in();
        let left = spool.id();
        drop(spool.roll(identity(&mut rng), NOW_MS).unwrap());
        assert!(dir(root.path(), left).join("manifest/db").exists(), "it has done what it had begun");
        std::fs::remove_dir_all(dir(root.path(), left)).unwrap();
    }
}

/// The files may be gone when a roll becomes necessary: what is open is handed over all the same.
#[test]
fn a_roll_hands_over_segments_whose_files_are_gone() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    let old = spool.id();
    append(&mut spool, 30);
    world::seal(&mut spool, SealReason::Size).unwrap();
    append(&mut spool, 5);
    std::fs::remove_dir_all(dir(root.path(), old)).unwrap();
    let orphan = spool.roll(identity(&mut rng), NOW_MS).unwrap();
    let adopted = orphan.adopt(&world::labeler()).unwrap();
    assert!(lines(&adopted) == records(old, 0..35));
    drain(adopted);
    assert_eq!(names(root.path()), [spool.id().to_string()]);
}

#[test]
fn the_manifest_is_opened_again_if_it_was_open() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    drop(spool.roll(identity(&mut rng), NOW_MS).unwrap());
    assert_eq!(spool.manifest_state(), ManifestState::Waiting, "nothing is opened early");
    spool.settle_in();
    drop(spool.roll(identity(&mut rng), NOW_MS).unwrap());
    assert_eq!(world::settled_manifest(&spool), ManifestState::Open);
}

#[test]
fn an_id_is_never_used_twice() {
    let root = tempfile::tempdir().unwrap();
    let mut rng = rng();
    let first = identity(&mut rng);
    let mut spool = Spool::create(world::config(root.path(), Compression::default()), first, NOW_MS).unwrap();
    append(&mut spool, 5);
    let again = Identity { salt_seed: 1, ..first };
    assert!(Spool::create(world::config(root.path(), Compression::default()), again, NOW_MS).is_err());
    assert!(spool.roll(again, NOW_MS).is_err(), "nor by a roll");
    // Neither attempt did any harm.
    append(&mut spool, 5);
    let orphan = spool.roll(identity(&mut rng), NOW_MS).unwrap();
    assert!(lines(&orphan.adopt(&world::labeler()).unwrap()) == records(first.id, 0..10));
    let found = find_orphans(root.path(), spool.id()).unwrap();
    drop(found);
    assert!(names(root.path()).iter().all(|name| !name.starts_with('.')), "{:?}", names(root.path()));
}

/// Whatever stands in the way of a new spool: it is made, or it is an error and nothing of it stays.
#[test]
fn a_spool_is_made_wherever_a_directory_can_be() {
    let place = tempfile::tempdir().unwrap();
    let root = |name: &str| place.path().join(name);
    std::fs::write(root("a-file"), "a file").unwrap();
    std::fs::create_dir(root("junk")).unwrap();
    for junk in ["lost+found", ".new-", ".new-junk", "01m83mm78rqwxfqdgwp584b4eg"] {
        std::fs::create_dir(root("junk").join(junk)).unwrap();
    }
    std::fs::write(root("junk").join("lock"), "").unwrap();
    std::os::unix::fs::symlink(root("nowhere"), root("dangling")).unwrap();
    let mut rng = rng();
    for (name, works) in [
        ("a-file", false),
        ("a-file/below", false),
        ("dangling", false),
        ("missing/parents/of/it", true),
        ("junk", true),
    ] {
        let before = names(&root(name));
        let identity = identity(&mut rng);
        let made = Spool::create(world::config(&root(name), Compression::default()), identity, NOW_MS);
        assert_eq!(made.is_ok(), works, "{name}: {:?}", made.err());
        let Ok(mut spool) = made else {
            assert_eq!(names(&root(name)), before, "{name}");
            continue;
        };
        append(&mut spool, 3);
        drop(spool);
        let adopted = world::only_orphan(&root(name)).adopt(&world::labeler()).unwrap();
        assert!(lines(&adopted) == records(identity.id, 0..3), "{name}");
        adopted.finish().unwrap();
        assert_eq!(names(&root(name)), before, "{name}: what is not ours stays");
    }
    // A kill has left it half made, by a process that had the same id: never ours, so another one is taken.
    let taken = identity(&mut rng);
    std::fs::create_dir_all(root("left").join(format!(".new-{}", taken.id))).unwrap();
    assert!(Spool::create(world::config(&root("left"), Compression::default()), taken, NOW_MS).is_err());
    let spool = create(&root("left"), Compression::default(), &mut rng);
    drop(find_orphans(&root("left"), spool.id()).unwrap());
    assert_eq!(names(&root("left")), [spool.id().to_string()], "and the next adopter clears it away");
}

#[test]
fn no_number_and_no_name_is_used_twice_over_many_lives() {
    let root = tempfile::tempdir().unwrap();
    let (mut rng, mut labels, mut count) = (rng(), BTreeSet::new(), 0);
    let mut spool = create(root.path(), Compression::default(), &mut rng);
    for _ in 0..20 {
        for _ in 0..rng.usize(1..4) {
            append(&mut spool, 3);
            let segment = world::seal(&mut spool, SealReason::Age).unwrap();
            labels.insert(segment.label().to_owned());
            count += 1;
            if rng.bool() {
                spool.remove(&segment.key()).unwrap();
            }
        }
        let orphan = spool.roll(identity(&mut rng), NOW_MS).unwrap();
        drain(orphan.adopt(&world::labeler()).unwrap());
    }
    assert_eq!(labels.len(), count);
}

#[test]
fn only_a_spool_with_nothing_to_deliver_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let mut unused = spool(root.path());
    assert!(unused.remove_if_empty().unwrap(), "it gave no number");
    assert_eq!(names(root.path()), Vec::<String>::new());

    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(12));
    append(&mut spool, 1);
    assert!(!spool.remove_if_empty().unwrap(), "a record is not sealed");
    let first = world::seal(&mut spool, SealReason::Age).unwrap();
    assert!(!spool.remove_if_empty().unwrap(), "a segment is not delivered");
    spool.remove(&first.key()).unwrap();
    assert!(!spool.remove_if_empty().unwrap(), "the end of the stream is missing; an adopter writes it");
    append_end(&mut spool);
    assert!(!spool.remove_if_empty().unwrap(), "the end is not sealed");
    let last = world::seal(&mut spool, SealReason::Shutdown).unwrap();
    assert!(!spool.remove_if_empty().unwrap(), "the end is not delivered");
    spool.remove(&last.key()).unwrap();
    assert!(spool.remove_if_empty().unwrap());
    assert_eq!(names(root.path()), Vec::<String>::new());
}

/// What stays behind after the last segment was delivered is enough for an adopter to write the end, and no more.
#[test]
fn a_spool_that_ended_without_its_end_gets_one_from_its_adopter() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = spool(root.path());
    append(&mut spool, 8);
    let segment = world::seal(&mut spool, SealReason::Age).unwrap();
    spool.remove(&segment.key()).unwrap();
    let id: SpoolId = spool.id();
    drop(spool);
    let adopted = world::only_orphan(root.path()).adopt(&world::labeler()).unwrap();
    assert_eq!(adopted.segments().len(), 0);
    assert_eq!(adopted.end().map(|end| (end.spool, end.seq)), Some((id, Seqno(8))));
    drain(adopted);
    assert_eq!(names(root.path()), Vec::<String>::new());
}
