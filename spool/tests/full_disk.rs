//! A disk that is full, or fails: everything acknowledged is delivered or declared, and the spool works again when the cause
//! is gone.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod ledger;
mod own_namespace;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use ledger::writer::Writer;
use ledger::{Ledger, append, identity, no_limits};
use own_namespace::{with_few_descriptors, with_small_disk};
use spool::{LossCause, SpoolLimits, WhenFull};

const MIB: u64 = 1024 * 1024;
const SEEDS: [u64; 4] = [1, 2, 20_261_123, 77];

/// The function of the environment, which uses the disk too.
struct Function<'a>(&'a Path);

impl Function<'_> {
    /// Takes everything that is left, to the last block.
    fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.0.join("filler")).unwrap();
        for block in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![b'x'; block]).is_ok() {}
        }
    }

    fn clear(&self) {
        let _ = fs::remove_file(self.0.join("filler"));
    }
}

fn available(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_bavail * stat.f_frsize
}

/// `SPOOL_TEST_SEED` replays one.
fn seeds() -> Vec<u64> {
    let one = std::env::var("SPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    one.map_or_else(|| SEEDS.to_vec(), |seed| vec![seed])
}

/// A life on a disk that the function fills and clears at will.
fn life_beside_a_greedy_function(disk: &Path, limits: SpoolLimits, seed: u64) -> Ledger {
    let root = disk.join(format!("spools-{seed}"));
    let (mut writer, function) = (Writer::new(&root, limits), Function(disk));
    let mut rng = fastrand::Rng::with_seed(seed);
    if rng.bool() {
        writer.spool.settle_in();
    }
    for _ in 0..600 {
        match rng.u32(0..20) {
            0 => function.fill(),
            1 => function.clear(),
            2 | 3 => drop(writer.seal()),
            4 => writer.deliver(),
            5 => writer.check_place(),
            6 => writer.deliver_orphans(),
            _ => drop(writer.append(rng.u32(1..40))),
        }
    }
    function.clear();
    writer.check_place();
    writer.now_ms += 2_000;
    assert!((0..10).all(|_| writer.append(3)), "seed {seed}: the spool works again");
    writer.deliver_orphans();
    let refused = writer.refused;
    let ledger = writer.die();
    println!(
        "  seed {seed}: {} acknowledged, {} delivered, {} evicted, {} refused",
        ledger.acknowledged(),
        ledger.delivered(),
        ledger.declared(LossCause::Quota),
        refused,
    );
    ledger
}

#[test]
fn drop_oldest_declares_what_gave_way_to_a_function_that_fills_the_disk() {
    with_small_disk("drop_oldest_declares_what_gave_way_to_a_function_that_fills_the_disk", MIB, |disk| {
        for seed in seeds() {
            let ledger = life_beside_a_greedy_function(disk, no_limits(), seed);
            ledger.check(&[LossCause::Quota, LossCause::Refused]);
            assert!(ledger.declared(LossCause::Quota) > 0, "seed {seed}: the disk was full at times");
        }
    });
}

#[test]
fn drop_newest_declares_what_was_refused_and_gives_nothing_up() {
    with_small_disk("drop_newest_declares_what_was_refused_and_gives_nothing_up", MIB, |disk| {
        for seed in seeds() {
            let limits = SpoolLimits { when_full: WhenFull::DropNewest, ..no_limits() };
            let ledger = life_beside_a_greedy_function(disk, limits, seed);
            ledger.check(&[LossCause::Refused]);
            assert!(ledger.declared(LossCause::Refused) > 0, "seed {seed}: the disk was full at times");
        }
    });
}

#[test]
fn ballast_makes_room_on_a_disk_without_one_free_block() {
    with_small_disk("ballast_makes_room_on_a_disk_without_one_free_block", MIB, |disk| {
        let mut writer = Writer::new(&disk.join("spools"), no_limits());
        writer.spool.settle_in();
        for _ in 0..3 {
            assert!(writer.append(100) && writer.seal());
        }
        assert!(writer.append(10));
        Function(disk).fill();
        assert_eq!(available(disk), 0);
        assert!(writer.append(60), "an old segment gives way");
        let ledger = writer.die();
        ledger.check(&[LossCause::Quota]);
        assert_eq!(ledger.declared(LossCause::Quota), 100, "and no more than it takes");
    });
}

#[test]
fn a_refused_range_is_on_disk_before_there_is_room_to_declare_it() {
    with_small_disk("a_refused_range_is_on_disk_before_there_is_room_to_declare_it", MIB, |disk| {
        let limits = SpoolLimits { when_full: WhenFull::DropNewest, ..no_limits() };
        let mut writer = Writer::new(&disk.join("spools"), limits);
        assert!(writer.append(5));
        Function(disk).fill();
        while writer.append(20) {}
        assert!(!writer.append(7) && !writer.append(1));
        let ledger = writer.die();
        ledger.check(&[LossCause::Refused]);
        assert!(ledger.declared(LossCause::Refused) >= 28);
    });
}

#[test]
fn room_for_the_function_is_left_whatever_the_quota_says() {
    with_small_disk("room_for_the_function_is_left_whatever_the_quota_says", 8 * MIB, |disk| {
        for when_full in [WhenFull::DropOldest, WhenFull::DropNewest] {
            let keep_free_bytes = 3 * MIB;
            let limits = SpoolLimits { keep_free_bytes, when_full, ..no_limits() };
            let root = disk.join(format!("{when_full:?}"));
            let mut writer = Writer::new(&root, limits);
            for _ in 0..400 {
                writer.append(60);
                writer.seal();
                // Room is measured once a MiB of lines.
                assert!(available(disk) >= keep_free_bytes - MIB, "{} are left", available(disk));
            }
            let ledger = writer.die();
            ledger.check(&[LossCause::Quota, LossCause::Refused]);
            let given_up = (ledger.declared(LossCause::Quota) > 0, ledger.declared(LossCause::Refused) > 0);
            assert_eq!(given_up, (when_full == WhenFull::DropOldest, when_full == WhenFull::DropNewest));
            fs::remove_dir_all(root).unwrap();
        }
    });
}

#[test]
fn the_default_takes_a_fifth_of_the_disk() {
    with_small_disk("the_default_takes_a_fifth_of_the_disk", 8 * MIB, |disk| {
        let mut writer =
            Writer::new(&disk.join("spools"), SpoolLimits { bytes_max: None, keep_free_bytes: 0, ..no_limits() });
        for _ in 0..300 {
            assert!(writer.append(60));
            writer.seal();
            assert!(writer.spool.disk_bytes() <= 8 * MIB / 5 + 64 * 1024, "{}", writer.spool.disk_bytes());
            assert!(available(disk) >= 8 * MIB * 4 / 5 - 256 * 1024);
        }
        writer.die().check(&[LossCause::Quota]);
    });
}

#[test]
fn a_process_without_descriptors_appends_on_and_seals_later() {
    with_few_descriptors("a_process_without_descriptors_appends_on_and_seals_later", 64, || {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("spools");
        let mut writer = Writer::new(&root, no_limits());
        assert!(writer.append(3) && writer.seal() && writer.append(3));
        let mut held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(held.len() > 10);
        assert!(writer.append(2), "an append needs no new descriptor");
        assert!(!writer.seal(), "the next file cannot be made");
        writer.check_place();
        assert_eq!(writer.fled, 0, "the spool is where it was");
        writer.spool.refuse(2, 20, writer.now_ms).unwrap();
        writer.ledger.acknowledge(writer.spool.id(), 8, 2);
        assert!(!writer.append(1), "a refused range cannot be declared without a file");
        held.clear();
        assert!(writer.append(1) && writer.seal());
        let ledger = writer.die();
        ledger.check(&[LossCause::Refused]);
        assert_eq!((ledger.acknowledged(), ledger.declared(LossCause::Refused)), (12, 3));
    });
}

#[test]
fn a_root_that_is_replaced_by_a_file_is_left_for_memory_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spools");
    let mut writer = Writer::new(&root, no_limits());
    assert!(writer.append(3) && writer.seal() && writer.append(3));
    fs::remove_dir_all(&root).unwrap();
    fs::write(&root, b"a file in its place").unwrap();
    assert!(writer.append(2), "into a file without a name");
    writer.check_place();
    assert!(writer.spool.is_volatile());
    writer.rescue();
    assert!(writer.append(4));
    writer.check_place();
    assert!(writer.spool.is_volatile(), "the file is still there");
    fs::remove_file(&root).unwrap();
    writer.check_place();
    assert!(!writer.spool.is_volatile());
    assert!(writer.append(1));
    writer.deliver_orphans();
    let ledger = writer.die();
    ledger.check(&[]);
    assert_eq!((ledger.acknowledged(), ledger.delivered()), (13, 13));
}

#[test]
fn a_root_that_becomes_read_only_is_left_for_memory_and_found_again() {
    with_small_disk("a_root_that_becomes_read_only_is_left_for_memory_and_found_again", MIB, |disk| {
        let root = disk.join("spools");
        let mut writer = Writer::new(&root, no_limits());
        assert!(writer.append(3) && writer.seal() && writer.append(3));
        // A read-only file system in its place: its own cannot become read-only while it is written to.
        let mount = |words: &[&str]| {
            assert!(std::process::Command::new(words[0]).args(&words[1..]).arg(&root).status().unwrap().success())
        };
        mount(&["mount", "-t", "tmpfs", "-o", "ro", "none"]);
        assert!(writer.append(2));
        writer.check_place();
        assert!(writer.spool.is_volatile());
        assert!(writer.append(4));
        mount(&["umount", "-l"]);
        writer.check_place();
        assert!(!writer.spool.is_volatile() && writer.append(1));
        writer.deliver_orphans();
        let ledger = writer.die();
        ledger.check(&[]);
        assert_eq!((ledger.acknowledged(), ledger.delivered()), (13, 13));
    });
}

#[test]
fn a_start_on_a_full_disk_fails_cleanly_and_works_later() {
    with_small_disk("a_start_on_a_full_disk_fails_cleanly_and_works_later", MIB, |disk| {
        let root = disk.join("spools");
        drop(Writer::new(&root, no_limits()).die());
        Function(disk).fill();
        let label = ledger::labeler();
        let compression = spool::Compression::default();
        let config = spool::SpoolConfig { root: root.clone(), compression, line_format: 0, label, limits: no_limits() };
        assert!(spool::Spool::create(config.clone(), identity(5), ledger::NOW).is_err());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing half made is left");
        Function(disk).clear();
        let mut spool = spool::Spool::create(config, identity(6), ledger::NOW).unwrap();
        append(&mut spool, 1, false, ledger::NOW).unwrap();
    });
}
