//! Damage: every region of a small spool flipped, zeroed, truncated, every file of it deleted, its manifest too. What is
//! delivered afterwards is right, and what is not delivered is declared.
//!
//! What stands once, with nothing behind it, cannot be told by anything when it is gone: see [`untold`]. There the claim is
//! only that nothing wrong is delivered, and that the rest of the spool is.
//!
//! `SPOOL_TEST_SEED` replays the random choices; `SPOOL_TEST_EVERY_BYTE=1` flips a bit of every byte, not of some.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod model_world;

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use spool::{Codec, Compression, ManifestState, NotAdopted, SealReason, Spool};

use model_world::bucket::Bucket;
use model_world::life::{Life, Memory};
use model_world::written::{Ending, write, write_into};
use model_world::{
    COMPRESSIONS, NOW_MS, config, copy, dir, identity, labeler, layout, number, only_orphan, segment_files,
};

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip { at: usize, bit: u8 },
    Zero { at: usize, length: usize },
    Truncate { length: usize },
    Delete,
}

impl Damage {
    /// Replaces the file: the other files of a trial are links to those of the original.
    fn apply(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        let span = self.span(bytes.len());
        match self {
            Self::Flip { at, bit } => bytes[at] ^= 1 << bit,
            Self::Zero { .. } => bytes[span].fill(0),
            Self::Truncate { length } => bytes.truncate(length),
            Self::Delete => return,
        }
        fs::write(path, bytes).unwrap();
    }

    /// The bytes that are not what they were.
    fn span(self, file_bytes: usize) -> Range<usize> {
        match self {
            Self::Flip { at, .. } => at..at + 1,
            Self::Zero { at, length } => at..file_bytes.min(at + length),
            Self::Truncate { length } => length..file_bytes,
            Self::Delete => 0..file_bytes,
        }
    }

    fn touches(self, region: &Range<usize>, file_bytes: usize) -> bool {
        let span = self.span(file_bytes);
        span.start < region.end && region.start < span.end
    }
}

/// Places where something begins or ends.
fn borders(file: &[u8]) -> BTreeSet<usize> {
    let mut borders = BTreeSet::from([0, 8, 10, 12, 64, 127, 128, 256, 319, 320, 400, 511, 512]);
    for entry in layout::entries(file) {
        let middle = usize::midpoint(entry.payload.start, entry.payload.end);
        for border in [entry.head.start, entry.payload.start, middle, entry.payload.end] {
            borders.extend([border.saturating_sub(1), border, border + 1]);
        }
    }
    borders.retain(|at| *at < file.len());
    borders
}

/// Everything that is done to a file. Headers are flipped more often than payloads.
fn damages(file: &[u8], rng: &mut fastrand::Rng) -> Vec<Damage> {
    let heads: Vec<_> = layout::entries(file).into_iter().map(|entry| entry.head).collect();
    let per_mille = |at: usize| if at < 128 || heads.iter().any(|head| head.contains(&at)) { 150 } else { 20 };
    let every_byte = number("SPOOL_TEST_EVERY_BYTE").is_some();
    let flipped: Vec<_> = (0..file.len()).filter(|at| every_byte || rng.usize(0..1_000) < per_mille(*at)).collect();
    let mut damages: Vec<_> = flipped.into_iter().map(|at| Damage::Flip { at, bit: rng.u8(0..8) }).collect();
    for at in borders(file) {
        damages.push(Damage::Truncate { length: at });
        damages.push(Damage::Zero { at, length: [1, 16, 64, 512, 4_096][rng.usize(0..5)] });
    }
    damages.push(Damage::Delete);
    damages
}

/// Numbers that nothing tells of any more: those of the oldest file if it is gone (that it ever was there is what nobody
/// knows without a manifest), those of the newest if its head is gone, and those of the newest entries if no header of an
/// entry with a record stands behind the damage. Elsewhere the next header tells.
fn untold(files: &[Vec<u8>], index: usize, damage: Damage) -> BTreeSet<u64> {
    let file = &files[index];
    let entries = layout::entries(file);
    let is_too_short = matches!(damage, Damage::Truncate { length } if length < layout::ENTRIES_AT);
    let head_is_hit = is_too_short || damage.touches(&(0..128), file.len()) || !layout::is_segment(file);
    let is_newest = index + 1 == files.len();
    let is_gone = matches!(damage, Damage::Delete);
    let from = if (is_newest && head_is_hit) || (index == 0 && is_gone) {
        0
    } else if is_newest {
        let is_intact = |entry: &&layout::EntryPlace| !damage.touches(&entry.head, file.len());
        // A torn write looks like this too: a header that promises more than there is.
        let is_cut =
            |entry: &&layout::EntryPlace| matches!(damage, Damage::Truncate { length } if length < entry.payload.end);
        let told =
            entries.iter().filter(|entry| entry.records > 0).rev().find(|entry| is_intact(entry) && !is_cut(entry));
        told.map_or(0, |entry| entry.payload.end)
    } else {
        return BTreeSet::new();
    };
    let lost = entries.iter().filter(|entry| entry.head.start >= from);
    lost.flat_map(|entry| entry.first_seq..entry.first_seq + u64::from(entry.records)).collect()
}

/// A spool that was written once, and what is to be remembered of it.
struct Original {
    root: tempfile::TempDir,
    life: Life,
    compression: Compression,
    ending: Ending,
}

impl Original {
    fn new(compression: Compression, ending: Ending) -> Self {
        let root = model_world::scratch();
        let life = write(root.path(), compression, ending, &mut Bucket::default());
        Self { root, life, compression, ending }
    }

    fn paths(&self) -> Vec<PathBuf> {
        segment_files(&dir(self.root.path(), self.life.id))
    }

    fn life(&self, untold: BTreeSet<u64>) -> Life {
        let fates = self.life.fates.clone();
        Life { fates, memory: Memory::Damaged, untold, ..Life::new(self.life.id) }
    }

    /// What was delivered before the process died.
    fn bucket(&self) -> Bucket {
        let (root, mut bucket) = (model_world::scratch(), Bucket::default());
        write(root.path(), self.compression, self.ending, &mut bucket);
        bucket
    }

    /// Damages a copy in every way.
    fn trials(&self, rng: &mut fastrand::Rng, story: &str) -> usize {
        let (paths, delivered_before) = (self.paths(), self.bucket());
        let files: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        let (mut trials, mut failures) = (0, Vec::new());
        for (index, file) in files.iter().enumerate() {
            for damage in damages(file, rng) {
                let life = self.life(untold(&files, index, damage));
                let root = model_world::scratch();
                let place = dir(root.path(), self.life.id);
                fs::create_dir(&place).unwrap();
                for path in &paths {
                    fs::hard_link(path, place.join(path.file_name().unwrap())).unwrap();
                }
                damage.apply(&place.join(paths[index].file_name().unwrap()));
                let version_is_hit = damage.touches(&(8..10), file.len());
                let trial = || deliver(root.path(), &life, delivered_before.clone(), version_is_hit);
                if catch_unwind(AssertUnwindSafe(trial)).is_err() {
                    failures.push(format!("file {index} of {} bytes, {damage:?}", file.len()));
                }
                trials += 1;
            }
        }
        assert!(failures.is_empty(), "{story}: {} of {trials}:\n{}", failures.len(), failures.join("\n"));
        let unchanged = paths.iter().zip(&files).all(|(path, file)| fs::read(path).unwrap() == *file);
        assert!(unchanged, "{story}: adoption writes to no file of the orphan");
        trials
    }
}

/// Adopts, delivers everything, and checks what was told.
fn deliver(root: &Path, life: &Life, mut bucket: Bucket, version_is_hit: bool) {
    let mut adopted = match only_orphan(root).adopt(&labeler()) {
        Ok(adopted) => adopted,
        Err(NotAdopted::UnknownVersion(unknown)) => {
            assert!(version_is_hit, "{unknown}");
            return;
        }
        Err(NotAdopted::NotNow { error, .. }) => panic!("nothing is short here: {error}"),
    };
    for segment in adopted.segments().to_vec() {
        bucket.put(&segment).unwrap();
        adopted.delivered(&segment.key()).unwrap();
    }
    for range in adopted.dropped().to_vec() {
        bucket.declare(&range);
        adopted.delivered(&range.key()).unwrap();
    }
    assert!(adopted.is_drained(), "{adopted:?}");
    adopted.end().into_iter().for_each(|end| bucket.end(end));
    bucket.check(life);
    bucket.check_once(life);
    adopted.finish().unwrap();
    assert_eq!(model_world::names(root), Vec::<String>::new());
}

fn seed() -> u64 {
    number("SPOOL_TEST_SEED").unwrap_or(20_261_124)
}

fn every_region(index: usize) {
    let (name, compression) = COMPRESSIONS[index];
    let mut rng = fastrand::Rng::with_seed(seed());
    for ending in [Ending::Crashed, Ending::Closed] {
        let story = format!("seed {}, {name}, {ending:?}", seed());
        let trials = Original::new(compression, ending).trials(&mut rng, &story);
        println!("{story}: {trials} kinds of damage");
    }
}

#[test]
fn every_region_of_a_zstd_spool() {
    every_region(0);
}

#[test]
fn every_region_of_a_zstd_spool_with_many_frames() {
    every_region(1);
}

#[test]
fn every_region_of_a_gzip_spool() {
    every_region(2);
}

#[test]
fn every_region_of_a_spool_without_compression() {
    every_region(3);
}

/// Waits until the threads that write manifests have ended: they do when their spools are dropped.
fn await_manifests() {
    let is_manifest =
        |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "manifest\n");
    while fs::read_dir("/proc/self/task").unwrap().any(|task| task.is_ok_and(is_manifest)) {
        std::thread::yield_now();
    }
}

#[test]
fn a_damaged_manifest_costs_nothing() {
    let mut rng = fastrand::Rng::with_seed(seed());
    let original = model_world::scratch();
    let mut spool = Spool::create(config(original.path(), Compression::default()), identity(1, 1), NOW_MS).unwrap();
    spool.settle_in();
    while spool.manifest_state() == ManifestState::Waiting {
        std::thread::yield_now();
    }
    let mut delivered_before = Bucket::default();
    let life = write_into(spool, Ending::Crashed, &mut delivered_before);
    await_manifests();
    let manifest = Path::new(&life.id.to_string()).join("manifest");
    let names = model_world::names(&original.path().join(&manifest));
    assert!(names.contains(&"db".to_owned()), "{names:?}");
    let mut trials = 0;
    for name in names.iter().filter(|name| original.path().join(&manifest).join(name).is_file()) {
        let length = fs::read(original.path().join(&manifest).join(name)).unwrap().len();
        let mut damages = vec![Damage::Delete, Damage::Truncate { length: 0 }, Damage::Zero { at: 0, length: 512 }];
        for _ in 0..20 {
            let at = rng.usize(0..length);
            damages.extend([Damage::Flip { at, bit: rng.u8(0..8) }, Damage::Truncate { length: at }]);
            damages.push(Damage::Zero { at, length: 64 });
        }
        for damage in damages {
            let root = model_world::scratch();
            copy(original.path(), root.path());
            damage.apply(&root.path().join(&manifest).join(name));
            let held = catch_unwind(AssertUnwindSafe(|| deliver(root.path(), &life, delivered_before.clone(), false)));
            assert!(held.is_ok(), "seed {}, {name} of {length} bytes, {damage:?}", seed());
            trials += 1;
        }
    }
    println!("seed {}: {trials} kinds of damage to a manifest", seed());
}

/// Entries of other segments, whole, and headers with every field in its place.
fn forgeries(spool_dir: &Path, next: u64) -> Vec<Vec<u8>> {
    let mut forgeries = Vec::new();
    for file in segment_files(spool_dir).iter().map(|path| fs::read(path).unwrap()) {
        for entry in layout::entries(&file) {
            forgeries.push(file[entry.head.start..entry.payload.end].to_vec());
        }
    }
    forgeries.extend((0..4).map(|ahead| layout::forged_header(next + ahead).to_vec()));
    forgeries
}

#[test]
fn lines_that_look_like_entries_are_never_taken_for_entries() {
    let root = model_world::scratch();
    let compression = Compression { codec: Codec::None, ..Compression::default() };
    let mut spool = Spool::create(config(root.path(), compression), identity(2, 1), NOW_MS).unwrap();
    let mut life = Life::new(spool.id());
    let spool_dir = dir(root.path(), life.id);
    for nonce in [2, 3] {
        life.append(&mut spool, 2, nonce);
        assert!(spool.seal(SealReason::Size, NOW_MS).unwrap());
    }
    for _segment in 0..2 {
        for forgery in forgeries(&spool_dir, life.next()) {
            life.say(&mut spool, &[b"{\"message\":\"", &forgery[..], b"\"}\n"].concat());
        }
        assert!(spool.seal(SealReason::Size, NOW_MS).unwrap());
    }
    life.append(&mut spool, 1, 4);
    drop(spool);
    let original = Original { root, life, compression, ending: Ending::Crashed };
    let paths = original.paths();
    let files: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for (index, file) in files.iter().enumerate() {
        // The header of an entry is damaged, so that its lines are searched for the next one; so are two at a time.
        for entry in layout::entries(file) {
            for damage in [
                Damage::Flip { at: entry.head.start, bit: 0 },
                Damage::Zero { at: entry.head.start, length: entry.head.len() },
                Damage::Zero { at: entry.head.start, length: entry.head.len() + 40 },
            ] {
                let place = model_world::scratch();
                copy(original.root.path(), place.path());
                damage.apply(&dir(place.path(), original.life.id).join(paths[index].file_name().unwrap()));
                let life = original.life(untold(&files, index, damage));
                let held = catch_unwind(AssertUnwindSafe(|| deliver(place.path(), &life, Bucket::default(), false)));
                assert!(held.is_ok(), "file {index}, {damage:?}");
            }
        }
    }
}
