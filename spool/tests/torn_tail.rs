//! A kill tears the write that it interrupts, and nothing else: wherever it falls, every record that was acknowledged
//! before is there, and nothing that was not.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use spool::{Adopted, Compression, SealReason, Seqno, Spool, SpoolId};
use world::{COMPRESSIONS, append, append_end, copy, create, decoded, dir, object, only_orphan, records};

/// The newest segment file of a spool.
fn last_file(root: &Path, spool: SpoolId) -> PathBuf {
    let dir = dir(root, spool);
    let names = world::names(&dir);
    dir.join(names.iter().rfind(|name| name.ends_with(".seg")).unwrap())
}

fn length(root: &Path, spool: SpoolId) -> u64 {
    fs::metadata(last_file(root, spool)).unwrap().len()
}

/// Adopts a copy of the spool whose newest file was cut to a length, after some bytes of another write were left behind.
fn adopted_when_torn(root: &Path, spool: SpoolId, length: u64) -> Adopted {
    let place = tempfile::tempdir().unwrap();
    copy(root, place.path());
    let file: File = OpenOptions::new().write(true).open(last_file(place.path(), spool)).unwrap();
    file.set_len(length).unwrap();
    only_orphan(place.path()).adopt(&world::labeler()).unwrap()
}

fn lines(adopted: &Adopted) -> Vec<u8> {
    adopted.segments().iter().flat_map(|segment| decoded(segment.facts().codec, &object(segment))).collect()
}

#[test]
fn a_torn_tail_costs_nothing_that_was_acknowledged() {
    for compression in COMPRESSIONS {
        let root = tempfile::tempdir().unwrap();
        let mut spool = create(root.path(), compression, &mut fastrand::Rng::with_seed(4));
        append(&mut spool, 3);
        world::seal(&mut spool, SealReason::Age).unwrap();
        append(&mut spool, 1);
        append(&mut spool, 4);
        let (id, acknowledged) = (spool.id(), length(root.path(), spool.id()));
        append(&mut spool, 2);
        let whole = length(root.path(), id);
        for cut in acknowledged..whole {
            let adopted = adopted_when_torn(root.path(), id, cut);
            let story = format!("{compression:?}, cut at {cut} of {acknowledged}..{whole}");
            assert!(lines(&adopted) == records(id, 0..8), "{story}");
            assert_eq!(adopted.report().lost, [], "{story}: nothing acknowledged was lost");
            assert_eq!(adopted.report().torn_bytes, cut - acknowledged, "{story}");
            assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(8)), "{story}: the number was never given");
        }
        let adopted = adopted_when_torn(root.path(), id, whole);
        assert!(lines(&adopted) == records(id, 0..10), "{compression:?}: a write that is whole counts");
    }
}

#[test]
fn the_first_write_of_a_segment_may_be_torn_too() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(4));
    append(&mut spool, 3);
    world::seal(&mut spool, SealReason::Age).unwrap();
    let (id, acknowledged) = (spool.id(), length(root.path(), spool.id()));
    append(&mut spool, 2);
    for cut in acknowledged..length(root.path(), id) {
        let adopted = adopted_when_torn(root.path(), id, cut);
        assert!(lines(&adopted) == records(id, 0..3), "cut at {cut}");
        assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(3)), "cut at {cut}");
    }
}

/// Sealing makes the next file before anything else: a kill while that is written costs nothing either.
#[test]
fn a_file_that_was_just_begun_may_be_torn() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(4));
    append(&mut spool, 3);
    world::seal(&mut spool, SealReason::Age).unwrap();
    let id = spool.id();
    for cut in 0..=length(root.path(), id) {
        let adopted = adopted_when_torn(root.path(), id, cut);
        assert!(lines(&adopted) == records(id, 0..3), "cut at {cut}");
        assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(3)), "cut at {cut}");
        assert_eq!(adopted.report().unreadable, [], "cut at {cut}");
    }
}

/// The end of the stream is a record like any other: torn, it was not written, and the adopter writes it.
#[test]
fn a_torn_end_is_written_by_the_adopter() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(4));
    append(&mut spool, 3);
    let (id, acknowledged) = (spool.id(), length(root.path(), spool.id()));
    append_end(&mut spool);
    let whole = length(root.path(), id);
    for cut in acknowledged..whole {
        let adopted = adopted_when_torn(root.path(), id, cut);
        assert!(lines(&adopted) == records(id, 0..3), "cut at {cut}");
        assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(3)), "cut at {cut}");
    }
    assert_eq!(adopted_when_torn(root.path(), id, whole).end(), None, "it is there");
}

/// The words of the seal are a courtesy: without them the object is the same.
#[test]
fn a_torn_seal_changes_nothing_but_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let mut spool: Spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(4));
    append(&mut spool, 3);
    let (id, acknowledged) = (spool.id(), length(root.path(), spool.id()));
    let file = last_file(root.path(), id);
    let segment = world::seal(&mut spool, SealReason::Age).unwrap();
    let whole = fs::metadata(&file).unwrap().len();
    for cut in acknowledged..whole {
        let place = tempfile::tempdir().unwrap();
        copy(root.path(), place.path());
        let copied = dir(place.path(), id).join(file.file_name().unwrap());
        OpenOptions::new().write(true).open(copied).unwrap().set_len(cut).unwrap();
        let adopted = only_orphan(place.path()).adopt(&world::labeler()).unwrap();
        let found = &adopted.segments()[0];
        assert_eq!((found.label(), found.facts().reason), (segment.label(), SealReason::Adoption), "cut at {cut}");
        assert!(object(found) == object(&segment), "cut at {cut}");
    }
}
