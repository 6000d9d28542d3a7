use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::codec::{Codec, Compression};
use crate::format::entry::ENTRY_HEADER_BYTES;
use crate::format::meta::Meta;
use crate::format::segment_header::ENTRIES_AT;
use crate::id::SegmentId;
use crate::manifest::{ManifestState, RowState, Rows, read_rows, within};
use crate::quota::SpoolLimits;
use crate::seal::SealReason;
use crate::segment::active::Batch;
use crate::segment::file::{Inode, SegmentFile};
use crate::segment::sealed::{DroppedRange, SegmentFacts, SegmentKey};
use crate::spool::{Identity, Labeler, Spool, SpoolConfig, SpoolEvent};

const NOW: i64 = 1_790_000_000_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// Too short for anything: what is asked hangs until it is told to go on.
const NO_PATIENCE: Duration = Duration::from_millis(1);

fn label() -> Labeler {
    Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last))
}

fn id() -> SpoolId {
    SpoolId::new(NOW, 1)
}

fn spool(root: &Path) -> Spool {
    let limits = SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() };
    let compression = Compression { codec: Codec::None, ..Compression::default() };
    let config = SpoolConfig { root: root.into(), compression, line_format: 0, label: label(), limits };
    let mut spool = Spool::create(config, Identity { id: id(), salt_seed: 7 }, NOW).expect("created");
    spool.settle_in();
    spool
}

fn append(spool: &mut Spool, records: u32) {
    let (lines, meta) = ("x\n".repeat(records as usize), Meta::default());
    let lines = lines.as_bytes();
    let batch = Batch { lines, records, first_line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta, end: false };
    spool.append(&batch, NOW).expect("appended");
}

fn sealed(spool: &mut Spool, records: u32) -> SegmentKey {
    append(spool, records);
    assert!(spool.seal(SealReason::Size, NOW).expect("sealed"));
    let key = |event| match event {
        SpoolEvent::Sealed(segment) => Some(segment.key()),
        SpoolEvent::Dropped(_) | SpoolEvent::Gone(_) | SpoolEvent::Drained(..) => None,
    };
    spool.take_events().into_iter().find_map(key).expect("a segment")
}

/// A dead spool below a root of its own: sealed segments 0, 1, 2 with the numbers 0-1, 2-4 and 5-8, and an open one with 9.
struct Dead {
    root: tempfile::TempDir,
    keys: Vec<SegmentKey>,
    rows: Rows,
}

impl Dead {
    fn new() -> Self {
        Self::after(|_, _| {})
    }

    /// Dies after `last` was done.
    fn after(last: impl FnOnce(&mut Spool, &[SegmentKey])) -> Self {
        let root = tempfile::tempdir().expect("tempdir");
        let mut spool = spool(root.path());
        let keys: Vec<_> = [2, 3, 4].map(|records| sealed(&mut spool, records)).into();
        append(&mut spool, 1);
        last(&mut spool, &keys);
        Self { keys, rows: die(spool, root.path()), root }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join(id().to_string())
    }

    fn file(&self, segment: u64) -> PathBuf {
        self.dir().join(format!("{segment:012}.seg"))
    }

    fn remove(&self, segments: &[u64]) {
        segments.iter().for_each(|segment| fs::remove_file(self.file(*segment)).expect("it was there"));
    }

    fn damage_head(&self, segment: u64) {
        let mut bytes = fs::read(self.file(segment)).expect("it is there");
        bytes[40] ^= 1;
        fs::write(self.file(segment), bytes).expect("written");
    }

    fn cut_to(&self, segment: u64, length: u64) {
        let file = fs::OpenOptions::new().write(true).open(self.file(segment)).expect("it is there");
        file.set_len(length).expect("cut");
    }

    fn orphan(&self) -> Orphan {
        find_orphans(self.root.path(), SpoolId::new(NOW, 9)).expect("listed").orphans.remove(0)
    }

    /// As an adopter finds it that can read the manifest.
    fn adopt(&self) -> Adopted {
        self.orphan().adopt_with(&label(), |_| Some(self.rows.clone())).expect("our version")
    }

    fn adopt_by_files(&self) -> Adopted {
        self.orphan().adopt_with(&label(), |_| None).expect("our version")
    }
}

/// Drops the spool, waits until the manifest's thread has written everything, and reads it.
fn die(spool: Spool, root: &Path) -> Rows {
    while spool.manifest_state() == ManifestState::Waiting {
        std::thread::yield_now();
    }
    drop(spool);
    let manifest = root.join(id().to_string()).join("manifest");
    loop {
        // The thread has its lock until it is done.
        if let Some(rows) = read_rows(&manifest, PATIENCE) {
            return rows;
        }
        std::thread::yield_now();
    }
}

/// Whether adopters with and without the manifest tell the same, and this.
#[track_caller]
fn assert_told_by_all(dead: &Dead, expected: &[&str]) {
    assert_eq!(told(&dead.adopt()), expected, "with the manifest");
    assert_eq!(told(&dead.adopt_by_files()), expected, "without");
}

/// What is delivered and told, in words.
fn told(adopted: &Adopted) -> Vec<String> {
    let mut words: Vec<_> = adopted.segments().iter().map(|segment| segment.label().to_owned()).collect();
    for range in adopted.dropped() {
        let maybe = if range.maybe_delivered { " maybe" } else { "" };
        words.push(format!("{} {}-{}{maybe}", range.cause.name(), range.first, range.last));
    }
    words.extend(adopted.end().map(|end| {
        let tail = if end.unknown_tail { " and an unknown tail" } else { "" };
        let losses: Vec<_> =
            end.losses.iter().map(|(cause, loss)| format!("{} {}", cause.name(), loss.records)).collect();
        format!("end {} [{}]{tail}", end.seq, losses.join(" "))
    }));
    words
}

#[test]
fn nothing_is_told_of_a_spool_that_is_whole() {
    let dead = Dead::new();
    assert_told_by_all(&dead, &["0-1", "2-4", "5-8", "9-9", "end 10 []"]);
    let adopted = dead.adopt();
    assert_eq!((adopted.report().rows, adopted.report().files), (4, 4));
}

#[test]
fn the_oldest_files_are_missed_by_their_rows_alone() {
    let dead = Dead::new();
    dead.remove(&[0, 1]);
    assert_eq!(told(&dead.adopt_by_files()), ["5-8", "9-9", "end 10 []"]);
    let adopted = dead.adopt();
    let expected = ["5-8", "9-9", "vanished 0-1", "vanished 2-4", "end 10 [vanished 5]"];
    assert_eq!(told(&adopted), expected);
    let report = adopted.report();
    assert_eq!((report.lost_records(), report.lost_bytes()), (5, 10));
    assert_eq!(report.missing, [SegmentId(0), SegmentId(1)]);
}

#[test]
fn what_was_delivered_is_not_missed() {
    let dead = Dead::after(|spool, keys| keys[..2].iter().for_each(|key| spool.remove(key).expect("removed")));
    assert_eq!(told(&dead.adopt()), ["5-8", "9-9", "end 10 []"]);
    // A kill between the removal of the file and that of its row.
    let mut dead = Dead::new();
    dead.remove(&[0]);
    dead.rows.get_mut(&SegmentId(0)).expect("a row").state = RowState::Uploaded;
    assert_eq!(told(&dead.adopt()), ["2-4", "5-8", "9-9", "end 10 []"]);
}

#[test]
fn a_manifest_that_has_lost_its_newest_rows_is_not_asked_what_was_delivered_since() {
    let mut dead = Dead::new();
    dead.remove(&[0, 1]);
    dead.rows.remove(&SegmentId(3));
    assert_eq!(told(&dead.adopt()), ["5-8", "9-9", "end 10 []"]);
}

#[test]
fn the_newest_files_are_missed_by_their_rows_alone() {
    let dead = Dead::new();
    dead.remove(&[2, 3]);
    assert_eq!(told(&dead.adopt_by_files()), ["0-1", "2-4", "end 5 []"]);
    assert_eq!(told(&dead.adopt()), ["0-1", "2-4", "vanished 5-8", "end 9 [vanished 4] and an unknown tail"]);
}

#[test]
fn a_spool_without_a_file_is_told_by_its_rows_alone() {
    let dead = Dead::new();
    dead.remove(&[0, 1, 2, 3]);
    assert_eq!(told(&dead.adopt_by_files()), Vec::<String>::new());
    let expected = ["vanished 0-1", "vanished 2-4", "vanished 5-8", "end 9 [vanished 9] and an unknown tail"];
    assert_eq!(told(&dead.adopt()), expected);
}

#[test]
fn a_missing_file_in_the_middle_is_told_the_same_with_and_without_a_manifest() {
    let dead = Dead::new();
    dead.remove(&[1]);
    assert_told_by_all(&dead, &["0-1", "5-8", "9-9", "vanished 2-4", "end 10 [vanished 3]"]);
    let with = dead.adopt().dropped().to_vec();
    let without = dead.adopt_by_files().dropped().iter().map(|range| range.raw_bytes).collect::<Vec<_>>();
    assert_eq!(with.iter().map(|range| range.raw_bytes).collect::<Vec<_>>(), without, "and with the same bytes");
}

/// Two entries in the newest segment that is sealed, and nothing behind it.
#[test]
fn a_file_that_was_cut_between_two_entries_ends_where_its_row_says() {
    let mut dead = Dead::after(|spool, _| {
        append(spool, 6);
        assert!(spool.seal(SealReason::Size, NOW).expect("sealed"));
    });
    dead.cut_to(3, ENTRIES_AT + ENTRY_HEADER_BYTES as u64 + 2);
    let expected = ["0-1", "2-4", "5-8", "9-9", "damage 10-15", "end 16 [damage 6]"];
    // The next file tells, too: none is missing between them.
    assert_told_by_all(&dead, &expected);
    dead.remove(&[4]);
    dead.rows.remove(&SegmentId(4));
    assert_eq!(told(&dead.adopt()), expected);
    assert_eq!(told(&dead.adopt_by_files()), ["0-1", "2-4", "5-8", "9-9", "end 10 []"]);
}

#[test]
fn the_first_file_of_a_life_begins_with_0_whatever_is_in_it() {
    let dead = Dead::new();
    dead.damage_head(0);
    assert_told_by_all(&dead, &["2-4", "5-8", "9-9", "damage 0-1", "end 10 [damage 2]"]);
}

#[test]
fn an_oldest_file_that_cannot_be_read_is_told_up_to_the_next() {
    let dead = Dead::after(|spool, keys| spool.remove(&keys[0]).expect("removed"));
    // It goes when its row says so, at the latest with the next seal.
    let _ = fs::remove_file(dead.file(0));
    dead.damage_head(1);
    assert_eq!(told(&dead.adopt_by_files()), ["5-8", "9-9", "damage 0-4 maybe", "end 10 [damage 5]"]);
    assert_eq!(told(&dead.adopt()), ["5-8", "9-9", "damage 2-4", "end 10 [damage 3]"]);
}

#[test]
fn several_oldest_files_that_cannot_be_read_are_one_range() {
    let dead = Dead::new();
    dead.damage_head(0);
    dead.cut_to(1, 500);
    let adopted = dead.adopt_by_files();
    assert_eq!(told(&adopted), ["5-8", "9-9", "damage 0-4", "end 10 [damage 5]"]);
    assert_eq!(adopted.report().unreadable.len(), 2);
}

#[test]
fn a_newest_file_that_cannot_be_read_leaves_an_unknown_tail() {
    let dead = Dead::new();
    dead.damage_head(3);
    assert_told_by_all(&dead, &["0-1", "2-4", "5-8", "end 9 [] and an unknown tail"]);
    assert!(dead.adopt().report().unknown_tail);
    // What no row and no file tells of is the same whatever was in it.
    let dead = Dead::new();
    dead.damage_head(2);
    dead.damage_head(3);
    assert_eq!(told(&dead.adopt_by_files()), ["0-1", "2-4", "end 5 [] and an unknown tail"]);
    assert_eq!(told(&dead.adopt()), ["0-1", "2-4", "damage 5-8", "end 9 [damage 4] and an unknown tail"]);
}

#[test]
fn a_spool_of_which_nothing_can_be_read_says_so_and_is_drained() {
    let dead = Dead::new();
    (0..4).for_each(|segment| dead.damage_head(segment));
    let adopted = dead.adopt_by_files();
    assert_eq!((told(&adopted), adopted.report().unknown_tail), (vec![], true));
    assert!(adopted.is_drained());
}

#[test]
fn what_was_uploaded_is_not_lost_with_its_file() {
    let mut dead = Dead::new();
    let uploaded =
        |rows: &mut Rows, segment| rows.get_mut(&SegmentId(segment)).expect("a row").state = RowState::Uploaded;
    (1..3).for_each(|segment| uploaded(&mut dead.rows, segment));
    dead.damage_head(1);
    dead.remove(&[2]);
    assert_eq!(told(&dead.adopt()), ["0-1", "9-9", "end 10 []"]);
    let mut dead = Dead::new();
    uploaded(&mut dead.rows, 0);
    let bytes = fs::metadata(dead.file(0)).expect("there").len();
    dead.cut_to(0, bytes - 80);
    assert_eq!(told(&dead.adopt()), ["2-4", "5-8", "9-9", "end 10 []"], "damage behind the delivery");
}

#[test]
fn a_declared_loss_that_was_delivered_out_of_order_is_not_declared_again() {
    let dead = Dead::after(|spool, _| {
        spool.refuse(3, 30, NOW).expect("written");
        append(spool, 1);
        let range = spool.take_events().into_iter().find_map(|event| match event {
            SpoolEvent::Dropped(range) => Some(range),
            SpoolEvent::Sealed(_) | SpoolEvent::Gone(_) | SpoolEvent::Drained(..) => None,
        });
        spool.remove(&range.expect("declared").key()).expect("noted");
    });
    assert_eq!(told(&dead.adopt()), ["0-1", "2-4", "5-8", "9-9", "13-13", "end 14 [refused 3]"]);
    let again = ["0-1", "2-4", "5-8", "9-9", "13-13", "refused 10-12", "end 14 [refused 3]"];
    assert_eq!(told(&dead.adopt_by_files()), again, "under the same name, with the same bytes");
}

/// An adopter may be killed, too: whether or not it has told of a gap, the next one tells and counts the same.
#[test]
fn the_files_around_a_gap_stay_until_the_end_is_delivered() {
    let dead = Dead::new();
    dead.remove(&[1]);
    let all = ["0-1", "5-8", "9-9", "vanished 2-4", "end 10 [vanished 3]"];
    let mut adopted = dead.adopt_by_files();
    adopted.delivered(&dead.keys[0]).expect("noted");
    drop(adopted);
    assert_eq!(told(&dead.adopt_by_files()), all);
    let mut adopted = dead.adopt_by_files();
    let gap = adopted.dropped()[0].key();
    [dead.keys[0], gap].iter().for_each(|key| adopted.delivered(key).expect("noted"));
    drop(adopted);
    assert_eq!(told(&dead.adopt_by_files()), all, "under the same names, and with the same end");
}

#[test]
fn what_an_adopter_delivered_before_it_was_killed_has_not_vanished() {
    let dead = Dead::new();
    let mut adopted = dead.orphan().adopt(&label()).expect("our version");
    assert_eq!(adopted.report().rows, 4);
    dead.keys[..2].iter().for_each(|key| adopted.delivered(key).expect("noted"));
    drop(adopted);
    let next = dead.orphan().adopt(&label()).expect("our version");
    assert_eq!(told(&next), ["5-8", "9-9", "end 10 []"]);
}

/// Until everything is told that only the manifest knows, it stays, and so does what it is held against.
#[test]
fn a_loss_that_only_the_manifest_knows_is_told_by_every_adopter() {
    let dead = Dead::new();
    dead.remove(&[2, 3]);
    let mut adopted = dead.orphan().adopt(&label()).expect("our version");
    let (expected, keys) = (told(&adopted), dead.keys[..2].iter().copied());
    let keys: Vec<_> = keys.chain(adopted.dropped().iter().map(DroppedRange::key)).collect();
    keys.iter().for_each(|key| adopted.delivered(key).expect("noted"));
    assert!(adopted.is_drained());
    drop(adopted);
    assert_eq!(told(&dead.orphan().adopt(&label()).expect("our version")), expected);
    let adopted = dead.orphan().adopt(&label()).expect("our version");
    adopted.finish().expect("removed");
    assert_eq!(fs::read_dir(dead.root.path()).expect("listed").count(), 0);
}

#[test]
fn a_manifest_that_panics_is_done_without() {
    let dead = Dead::new();
    let adopted = dead.orphan().adopt_with(&label(), |_| within(PATIENCE, || panic!("as sled does on damage")));
    assert_eq!(told(&adopted.expect("our version")), ["0-1", "2-4", "5-8", "9-9", "end 10 []"]);
}

#[test]
fn a_manifest_that_hangs_is_left_where_it_is() {
    let dead = Dead::new();
    let (wake, woken) = mpsc::channel::<()>();
    let rows = dead.rows.clone();
    let hang = move || {
        let _ = woken.recv();
        Some(rows)
    };
    let adopted = dead.orphan().adopt_with(&label(), |_| within(NO_PATIENCE, hang)).expect("our version");
    assert_eq!((told(&adopted).len(), adopted.report().rows), (5, 0));
    drop(wake);
}

/// The thread that opens an orphan's manifest may wake up when the orphan is long gone.
#[test]
fn a_reader_that_wakes_up_late_brings_nothing_back() {
    let dead = Dead::new();
    let (wake, woken) = mpsc::channel::<()>();
    let (say, said) = mpsc::channel();
    let adopted = dead.orphan().adopt_with(&label(), |manifest| {
        let place = fs::File::open(manifest).expect("it is there");
        within(NO_PATIENCE, move || {
            let _ = woken.recv();
            let rows = crate::manifest::all_rows(&place).map(|rows| rows.len());
            let _ = say.send(rows.is_err());
            None
        })
    });
    let mut adopted = adopted.expect("our version");
    dead.keys.iter().for_each(|key| adopted.delivered(key).expect("noted"));
    adopted.finish().expect("removed");
    drop(wake);
    assert!(said.recv_timeout(PATIENCE).expect("it woke up"), "there is nothing to open");
    assert_eq!(fs::read_dir(dead.root.path()).expect("listed").count(), 0);
}

/// A kill in the making of a segment leaves a file that tells nothing. The one before it says where the stream ends.
#[test]
fn the_newest_file_that_tells_anything_stays_until_the_end_is_delivered() {
    let dead = Dead::new();
    let newest = dead.dir().join(format!("{:012}.seg", 4));
    fs::write(newest, b"LOGS").expect("written");
    let mut adopted = dead.adopt_by_files();
    let keys: Vec<_> = adopted.segments().iter().map(|segment| segment.key()).collect();
    keys.iter().for_each(|key| adopted.delivered(key).expect("noted"));
    drop(adopted);
    assert_eq!(told(&dead.adopt_by_files()), ["9-9", "end 10 []"]);
}

/// A file that cannot be read a number of times.
#[derive(Debug)]
struct Scarce {
    file: Arc<dyn SegmentFile>,
    errno: Errno,
    failures_left: AtomicU32,
}

impl SegmentFile for Scarce {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        unreachable!("adoption writes to no file")
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let fails = self.failures_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        fails.map_or_else(|_| self.file.read_at(buffer, offset), |_| Err(self.errno.into()))
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        unreachable!("adoption writes to no file")
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn inode(&self) -> io::Result<Option<Inode>> {
        self.file.inode()
    }
}

#[test]
fn what_cannot_be_read_for_want_of_descriptors_or_memory_is_not_damaged() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
        let dead = Dead::new();
        let mut orphan = dead.orphan();
        for (_, file) in &mut orphan.files {
            *file = Arc::new(Scarce { file: Arc::clone(file), errno, failures_left: AtomicU32::new(1) });
        }
        let mut tries = 0;
        let adopted = loop {
            match orphan.adopt_with(&label(), |_| None) {
                Ok(adopted) => break adopted,
                Err(NotAdopted::NotNow { orphan: unchanged, error }) => {
                    assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
                    orphan = *unchanged;
                }
                Err(NotAdopted::UnknownVersion(unknown)) => panic!("{unknown}"),
            }
            tries += 1;
        };
        assert_eq!(tries, 4, "once for each file");
        assert_eq!(told(&adopted), ["0-1", "2-4", "5-8", "9-9", "end 10 []"], "{errno}");
    }
}

#[test]
fn what_a_bad_sector_hides_is_damaged() {
    let dead = Dead::new();
    let mut orphan = dead.orphan();
    let (_, file) = &mut orphan.files[1];
    *file = Arc::new(Scarce { file: Arc::clone(file), errno: Errno::IO, failures_left: AtomicU32::new(u32::MAX) });
    let adopted = orphan.adopt_with(&label(), |_| None).expect("our version");
    assert_eq!(told(&adopted), ["0-1", "5-8", "9-9", "damage 2-4", "end 10 [damage 3]"]);
}
