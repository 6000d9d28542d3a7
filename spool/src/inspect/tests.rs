use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::*;
use crate::codec::{Codec, Compression};
use crate::format::meta::Meta;
use crate::quota::SpoolLimits;
use crate::seal::SealReason;
use crate::segment::active::Batch;
use crate::segment::fragment::Fragment;
use crate::segment::sealed::SegmentFacts;
use crate::spool::{Identity, Spool, SpoolConfig};

const NOW: i64 = 1_790_000_000_000;

fn id() -> SpoolId {
    SpoolId::new(NOW, 1)
}

fn create(root: &Path, codec: Codec) -> Spool {
    let config = SpoolConfig {
        root: root.into(),
        compression: Compression { codec, ..Compression::default() },
        line_format: 0,
        label: Arc::new(|facts: &SegmentFacts| facts.first.to_string()),
        limits: SpoolLimits { keep_free_bytes: 0, segments_max: 2, ..SpoolLimits::default() },
    };
    Spool::create(config, Identity { id: id(), salt_seed: 7 }, NOW).expect("created")
}

fn append(spool: &mut Spool, lines: &str, end: bool) {
    let meta = Meta::default();
    let records = u32::try_from(lines.lines().count()).expect("few");
    let lines = lines.as_bytes();
    let batch = Batch { lines, records, first_line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta, end };
    spool.append(&batch, NOW).expect("appended");
}

/// A spool with everything in it: evicted 0-1, sealed 2-4, refused 5-6, appended to 7-8.
fn rich(root: &Path, codec: Codec) -> Spool {
    let mut spool = create(root, codec);
    append(&mut spool, "a\nb\n", false);
    spool.seal(SealReason::Size, NOW).expect("sealed");
    append(&mut spool, "c\nd\n", false);
    append(&mut spool, "e\n", false);
    spool.refuse(2, 20, NOW).expect("refused");
    append(&mut spool, "f\n", false);
    append(&mut spool, "g\n", false);
    spool
}

fn only(root: &Path) -> Inspection {
    let mut spools = inspect(root).expect("looked");
    assert_eq!(spools.len(), 1);
    spools.remove(0)
}

fn lines(spool: &Inspection) -> String {
    let mut lines = Vec::new();
    spool.files.iter().try_for_each(|file| file.write_lines(&mut lines)).expect("read");
    String::from_utf8(lines).expect("text")
}

fn segment_path(root: &Path, segment: u64) -> PathBuf {
    root.join(id().to_string()).join(format!("{segment:012}.seg"))
}

/// Every file below a directory with its bytes and its time of change.
fn snapshot(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root.join(id().to_string())).expect("listed") {
        let path = entry.expect("entry").path();
        let modified = fs::metadata(&path).expect("metadata").modified().expect("modified");
        files.insert(path.clone(), (fs::read(&path).expect("read"), modified));
    }
    files
}

#[test]
fn a_living_spool_is_described_and_is_not_touched() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = rich(root.path(), Codec::Zstd);
    let before = snapshot(root.path());
    let seen = only(root.path());
    assert_eq!((seen.id, seen.liveness, seen.next_seq(), seen.is_ended()), (id(), Liveness::Alive, Seqno(9), false));
    let words: Vec<_> = seen
        .files
        .iter()
        .map(|file| match &file.what {
            What::Segment(segment) => format!("{} {}-{}", segment.state.name(), segment.first, segment.next),
            What::Tombstone(range) => format!("{} {}-{}", range.cause.name(), range.first, range.last),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(words, ["quota 0-1", "sealed 2-7", "refused 5-6", "active 7-9"]);
    assert_eq!(lines(&seen), "c\nd\ne\nf\ng\n");
    assert_eq!(seen.verify(), []);
    assert_eq!(snapshot(root.path()), before);
    append(&mut spool, "h\n", false);
    assert_eq!(spool.next_seq(), Seqno(10), "its owner goes on");
}

#[test]
fn every_codec_is_read_back_and_an_orphan_is_told_from_a_living_spool() {
    for codec in [Codec::None, Codec::Zstd, Codec::Gzip] {
        let root = tempfile::tempdir().expect("tempdir");
        let mut spool = rich(root.path(), codec);
        append(&mut spool, "end\n", true);
        drop(spool);
        let seen = only(&root.path().join(id().to_string()));
        assert_eq!((seen.liveness, seen.is_ended()), (Liveness::Orphan, true));
        assert_eq!(lines(&seen), "c\nd\ne\nf\ng\nend\n", "{codec:?}");
        assert_eq!(seen.verify(), []);
    }
}

#[test]
fn an_orphan_that_was_looked_at_can_be_adopted_at_once() {
    let root = tempfile::tempdir().expect("tempdir");
    drop(rich(root.path(), Codec::Zstd));
    assert_eq!(only(root.path()).liveness, Liveness::Orphan);
    let found = crate::adopt::find_orphans(root.path(), SpoolId::new(NOW, 2)).expect("found");
    assert_eq!((found.orphans.len(), found.alive.len()), (1, 0));
}

#[test]
fn a_copy_under_another_name_is_known_by_its_headers() {
    let root = tempfile::tempdir().expect("tempdir");
    drop(rich(root.path(), Codec::Zstd));
    let copy = root.path().join("copy");
    fs::rename(root.path().join(id().to_string()), &copy).expect("renamed");
    assert_eq!(only(&copy).id, id());
    assert_eq!(inspect(root.path()).expect("looked").len(), 0, "a root holds spools by their names");
    assert!(inspect(&root.path().join("nothing")).is_err());
}

#[test]
fn each_kind_of_damage_is_found() {
    let flip = |at: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).expect("read");
            bytes[at] ^= 1;
            fs::write(path, bytes).expect("written");
        }
    };
    type Damage = Box<dyn Fn(&Path)>;
    let cases: [(u64, Damage, &[&str]); 6] = [
        (
            1,
            Box::new(flip(40)),
            &["segment 1: it cannot be read: ", "before segment 2: no file tells of the numbers 2-4"],
        ),
        (1, Box::new(flip(512 + 56)), &["segment 1: numbers 2-4 are damaged"]),
        (2, Box::new(flip(40)), &["segment 2: it cannot be read: "]),
        (
            1,
            Box::new(|path| fs::remove_file(path).expect("removed")),
            &["before segment 2: no file tells of the numbers 2-4"],
        ),
        (
            1,
            Box::new(|path| {
                let mut bytes = fs::read(path).expect("read");
                bytes.extend_from_slice(b"rubbish");
                fs::write(path, bytes).expect("written");
            }),
            &["segment 1: 7 bytes stand behind its end"],
        ),
        (
            1,
            Box::new(|path| {
                fs::copy(path, path.with_file_name("000000000004.seg")).expect("copied");
            }),
            &["segment 4: by its header it is segment 1"],
        ),
    ];
    for (segment, damage, expected) in cases {
        let root = tempfile::tempdir().expect("tempdir");
        drop(rich(root.path(), Codec::Zstd));
        damage(&segment_path(root.path(), segment));
        let found: Vec<_> = only(root.path()).verify().iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found:?} is not {expected:?}");
        }
    }
}

#[test]
fn a_torn_end_is_no_finding() {
    let root = tempfile::tempdir().expect("tempdir");
    drop(rich(root.path(), Codec::Zstd));
    let path = segment_path(root.path(), 3);
    let bytes = fs::read(&path).expect("read");
    fs::write(&path, &bytes[..bytes.len() - 3]).expect("written");
    let seen = only(root.path());
    assert_eq!(seen.verify(), []);
    assert!(seen.files.last().and_then(InspectedFile::segment).is_some_and(|segment| segment.torn_bytes > 0));
}

#[test]
fn spools_that_were_set_aside_are_shown_with_the_others() {
    let root = tempfile::tempdir().expect("tempdir");
    drop(rich(root.path(), Codec::Zstd));
    let own = SpoolId::new(NOW + 1, 2);
    let orphan = crate::find_orphans(root.path(), own).expect("listed").orphans.remove(0);
    let label: crate::Labeler = Arc::new(|facts: &SegmentFacts| facts.first.to_string());
    orphan.adopt(&label).expect("our own version").give_up(NOW).expect("given up");
    let spool = only(root.path());
    assert!(spool.path.ends_with(Path::new("dropped").join(id().to_string())));
    assert_eq!((spool.next_seq(), spool.verify()), (Seqno(9), Vec::new()));
    assert!(spool.files.iter().all(|file| file.segment().is_none_or(|segment| segment.records == 0)));
}

#[test]
fn what_is_pending_is_seen_with_the_number_that_an_adopter_would_give_it() {
    let root = tempfile::tempdir().expect("tempdir");
    let mut spool = create(root.path(), Codec::Zstd);
    append(&mut spool, "a\nb\n", true);
    assert!(only(root.path()).fragment().is_none());
    let meta = Meta { request_id: Some("r".into()), ..Meta::default() };
    let fragment = Fragment { bytes: b"half", line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta };
    let id = spool.append_fragment(&fragment, NOW).expect("appended");
    for sealed in [false, true] {
        let seen = only(root.path());
        let pending = seen.fragment().expect("it is pending");
        let (key, half) = (pending.fragment.key(), pending.fragment.read().expect("read"));
        assert_eq!((key.segment.0, key.first, half), (u64::from(sealed), Seqno(2), b"half".to_vec()));
        assert_eq!((pending.fragment.request_id(), pending.loss), (Some("r"), None));
        assert!(!seen.is_ended(), "it came behind the end");
        assert_eq!((lines(&seen), seen.verify()), ("a\nb\n".to_owned(), vec![]), "it is no line");
        assert_eq!(spool.seal(SealReason::Size, NOW).expect("sealed"), !sealed);
    }
    // The original serves.
    let path = segment_path(root.path(), 1);
    let mut bytes = fs::read(&path).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&path, &bytes).expect("written");
    assert_eq!(only(root.path()).verify(), []);
    fs::remove_file(segment_path(root.path(), 0)).expect("removed");
    let damaged = Finding::DamagedFragment { segment: SegmentId(1), bytes: 4 };
    assert_eq!(only(root.path()).verify(), [damaged]);
    assert_eq!(only(root.path()).fragment().map(|pending| pending.fragment.id()), Some(id));
}
