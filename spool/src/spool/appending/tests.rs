use std::sync::Arc;

use super::*;
use crate::adopt::{Adopted, Orphan};
use crate::codec::Compression;
use crate::format::meta::Meta;
use crate::id::SpoolId;
use crate::quota::SpoolLimits;
use crate::seal::SealReason;
use crate::segment::sealed::SegmentFacts;
use crate::spool::{Identity, Labeler, SpoolConfig};
use crate::storage::faulty::{Fault, Faulty};

const NOW: i64 = 1_790_000_000_000;

fn label() -> Labeler {
    Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last))
}

fn spool_on(place: &Faulty) -> Spool {
    let limits = SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() };
    let (compression, root) = (Compression::default(), "unused".into());
    let config = SpoolConfig { root, compression, line_format: 0, label: label(), limits };
    let identity = Identity { id: SpoolId::new(NOW, 1), salt_seed: 7 };
    Spool::create_on(Box::new(place.clone()), config, identity, NOW).expect("made")
}

fn append(spool: &mut Spool, line: &str, resolves: Option<FragmentId>) -> Result<(), AppendError> {
    let meta = Meta { resolves, ..Meta::default() };
    let lines = line.as_bytes();
    let batch = Batch { lines, records: 1, first_line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta, end: false };
    spool.append(&batch, NOW)
}

fn pend(spool: &mut Spool, bytes: &[u8]) -> Result<FragmentId, AppendError> {
    let meta = Meta { resolves: spool.pending_fragment(), ..Meta::default() };
    spool.append_fragment(&Fragment { bytes, line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta }, NOW)
}

fn adopt(place: &Faulty) -> Adopted {
    let orphan = Orphan::handed_over(SpoolId::new(NOW, 1), None, place.files());
    orphan.adopt(&label()).expect("our own version")
}

/// Objects, what the end ships, and the number of the end.
fn found(place: &Faulty) -> (Vec<String>, Option<Vec<u8>>, Option<u64>) {
    let adopted = adopt(place);
    let objects = adopted.segments().iter().map(|segment| segment.label().to_owned()).collect();
    let half = adopted.end().and_then(|end| end.fragment.as_ref()).map(|half| half.read().expect("it is there"));
    (objects, half, adopted.end().map(|end| end.seq.0))
}

const FAULTS: [Fault; 3] = [
    Fault { after_bytes: 0, stuck: false },
    Fault { after_bytes: 60, stuck: false },
    Fault { after_bytes: usize::MAX, stuck: false },
];

#[test]
fn a_segment_whose_fragment_cannot_be_copied_on_grows_on() {
    for fault in FAULTS {
        let place = Faulty::new(1 << 20);
        let mut spool = spool_on(&place);
        append(&mut spool, "a\n", None).expect("appended");
        let id = pend(&mut spool, b"half").expect("appended");
        // Behind the header of the next segment.
        place.fail_after(1, fault);
        spool.seal(SealReason::Size, NOW).expect_err("the copy is not written");
        assert!(place.has_failed());
        assert_eq!((spool.pending_fragment(), spool.take_events().len(), place.files().len()), (Some(id), 0, 1));
        append(&mut spool, "b\n", None).expect("it grows on");
        assert_eq!(found(&place), (vec!["0-1".into()], Some(b"half".to_vec()), Some(3)));
        assert!(spool.seal(SealReason::Size, NOW).expect("sealed"));
        assert_eq!(found(&place), (vec!["0-1".into()], Some(b"half".to_vec()), Some(3)), "and is sealed later");
    }
}

#[test]
fn a_fragment_that_is_not_written_leaves_everything_as_it_was() {
    for fault in FAULTS {
        let place = Faulty::new(1 << 20);
        let mut spool = spool_on(&place);
        append(&mut spool, "a line of some length\n", None).expect("appended");
        let first = pend(&mut spool, b"first").expect("appended");
        place.fail_next(fault);
        assert!(matches!(pend(&mut spool, b"first and second"), Err(AppendError::Write(_))));
        assert_eq!(spool.pending_fragment(), Some(first));
        assert_eq!(found(&place), (vec!["0-0".into()], Some(b"first".to_vec()), Some(2)));
        // The frame that was open goes on.
        append(&mut spool, "a line of some length\n", None).expect("appended");
        assert!(spool.seal(SealReason::Size, NOW).expect("sealed"));
        assert_eq!(found(&place), (vec!["0-1".into()], Some(b"first".to_vec()), Some(3)));
        place.fail_next(fault);
        append(&mut spool, "whole\n", Some(first)).expect_err("not written");
        assert_eq!(spool.pending_fragment(), Some(first), "what is not stored ends nothing");
    }
}

#[test]
fn a_fragment_that_finds_no_room_is_refused_and_what_is_there_stays() {
    let place = Faulty::new(4_000);
    let mut spool = spool_on(&place);
    append(&mut spool, "a\n", None).expect("appended");
    let id = pend(&mut spool, &[b'x'; 2_000]).expect("there is room");
    assert!(matches!(pend(&mut spool, &[b'x'; 3_000]), Err(AppendError::Full(_))));
    assert_eq!(spool.pending_fragment(), Some(id));
    // Its copy finds no room, so the active segment cannot give way to more lines.
    let mut rng = fastrand::Rng::with_seed(1);
    let noise: String = (0..2_000).map(|_| rng.alphanumeric()).collect();
    assert!(matches!(append(&mut spool, &format!("{noise}\n"), None), Err(AppendError::Full(_))));
    let (objects, half, end) = found(&place);
    assert_eq!((objects, half.map(|half| half.len()), end), (vec!["0-0".into()], Some(2_000), Some(2)));
    append(&mut spool, "whole\n", Some(id)).expect("what ends it needs no copy");
    assert_eq!(found(&place), (vec!["0-1".into()], None, Some(2)));
    append(&mut spool, &format!("{noise}\n"), None).expect("and then there is room");
}
