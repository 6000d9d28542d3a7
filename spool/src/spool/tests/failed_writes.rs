//! On a disk that fails on cue: what was told is told later, and nothing is told that was not written.

use super::*;
use crate::storage::faulty::{Fault, Faulty};

/// A spool on a disk that fails on cue.
fn faulty_spool() -> (Spool, Faulty) {
    let place = Faulty::new(u64::MAX);
    let config = config(Path::new("nowhere"));
    (Spool::create_on(Box::new(place.clone()), config, identity(1), NOW).expect("made"), place)
}

/// What the next process finds when this one is killed.
fn adopt_from(place: &Faulty) -> Adopted {
    Orphan::handed_over(identity(1).id, None, place.files()).adopt(&label()).expect("adopted")
}

fn end_totals(adopted: &Adopted) -> Vec<(LossCause, u64)> {
    adopted.end().expect("an end").losses.iter().map(|(cause, loss)| (cause, loss.records)).collect()
}

const HALF_A_SLOT: Fault = Fault { after_bytes: 100, stuck: false };

#[test]
fn totals_that_cannot_be_written_go_with_the_next_ones() {
    let (mut spool, place) = faulty_spool();
    append(&mut spool, "a\n").expect("appended");
    spool.count_platform_drops(1, 10).expect("written");
    for drops in [2, 4] {
        place.fail_next(HALF_A_SLOT);
        assert!(spool.count_platform_drops(drops, 10).is_err());
        assert_eq!(end_totals(&adopt_from(&place)), [(LossCause::Platform, 1)], "killed here, this is what is known");
    }
    assert_eq!(spool.losses().of(LossCause::Platform).records, 7);
    spool.count_platform_drops(8, 10).expect("written");
    assert_eq!(end_totals(&adopt_from(&place)), [(LossCause::Platform, 15)]);
}

#[test]
fn totals_that_cannot_be_written_go_into_the_next_segment() {
    let (mut spool, place) = faulty_spool();
    append(&mut spool, "a\n").expect("appended");
    place.fail_next(HALF_A_SLOT);
    assert!(spool.count_platform_drops(2, 10).is_err());
    assert!(spool.seal(SealReason::Age, NOW).expect("sealed"));
    assert_eq!(end_totals(&adopt_from(&place)), [(LossCause::Platform, 2)]);
}

#[test]
fn totals_that_cannot_be_written_are_handed_over_with_the_spool() {
    let (mut spool, place) = faulty_spool();
    append(&mut spool, "a\n").expect("appended");
    place.fail_next(HALF_A_SLOT);
    assert!(spool.count_platform_drops(2, 10).is_err());
    let orphan = spool.roll_into_memory(identity(2), NOW).expect("memory");
    assert_eq!(end_totals(&orphan.adopt(&label()).expect("adopted")), [(LossCause::Platform, 2)]);
}

#[test]
fn what_gave_way_is_counted_although_its_slot_could_not_be_written() {
    let (mut spool, place) = faulty_spool();
    for line in ["a\n", "b\n", "c\n"] {
        sealed(&mut spool, line);
    }
    // The tombstone is written, the slot is not.
    place.fail_after(1, HALF_A_SLOT);
    assert!(spool.evict(NOW).expect("evicted"));
    assert!(place.has_failed());
    let killed = adopt_from(&place);
    assert_eq!(found(&killed), (words(&["1-1", "2-2"]), words(&["quota 0-0"]), Some(3)), "its tombstone tells");
    assert!(spool.evict(NOW).expect("evicted"));
    assert_eq!(end_totals(&adopt_from(&place)), [(LossCause::Quota, 2)]);
}

/// The caller rolls, and the next spool takes the numbers: told once, and no hole.
#[test]
fn a_refusal_that_cannot_be_written_takes_no_number() {
    let (mut spool, place) = faulty_spool();
    append(&mut spool, "a\n").expect("appended");
    spool.refuse(2, 20, NOW).expect("written");
    place.fail_next(HALF_A_SLOT);
    assert!(spool.refuse(3, 30, NOW).is_err());
    assert_eq!((spool.next_seq(), spool.losses().of(LossCause::Refused).records), (Seqno(3), 2));
    let orphan = spool.roll_into_memory(identity(2), NOW).expect("memory");
    spool.refuse(3, 30, NOW).expect("memory does not fail");
    let left = orphan.adopt(&label()).expect("adopted");
    assert_eq!(found(&left), (words(&["0-0"]), words(&["refused 1-2"]), Some(3)));
    assert_eq!(end_totals(&left), [(LossCause::Refused, 2)]);
    append(&mut spool, "b\n").expect("appended");
    assert_eq!(told(&mut spool).last().map(String::as_str), Some("refused 0-2"));
}

/// A failed write ends the compressed frame; a body that leaves no line begins no new one. The object is complete all the same.
#[test]
fn a_body_without_a_line_behind_a_failed_write_leaves_the_object_complete() {
    let place = Faulty::new(u64::MAX);
    let config = SpoolConfig { compression: Compression::default(), ..config(Path::new("nowhere")) };
    let mut spool = Spool::create_on(Box::new(place.clone()), config, identity(1), NOW).expect("made");
    append(&mut spool, "a\n").expect("appended");
    place.fail_next(HALF_A_SLOT);
    append(&mut spool, "b\n").expect_err("the write fails");
    let meta = Meta::default();
    let nothing = Batch { lines: &[], records: 0, ..batch("", &meta) };
    spool.append(&nothing, NOW).expect("appended");
    assert!(spool.seal(SealReason::Size, NOW).expect("sealed"));
    let sealed = spool.take_events().into_iter().find_map(|event| match event {
        SpoolEvent::Sealed(segment) => Some(segment.facts().digest),
        _ => None,
    });
    assert_eq!(sealed, Some(adopt_from(&place).segments()[0].facts().digest), "the same object for an adopter");
}
