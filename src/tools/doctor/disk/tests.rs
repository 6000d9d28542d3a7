use std::os::unix::fs::PermissionsExt as _;

use super::super::report::Verdict;
use super::*;

const MIB: u64 = 1 << 20;

fn place(available_mib: u64) -> Place {
    Place {
        file_system: "ext4".to_owned(),
        is_network: false,
        total_bytes: 512 * MIB,
        available_bytes: available_mib * MIB,
        files_available: Some(1_000),
    }
}

fn facts(root: &Path) -> Facts {
    Facts::gather(root)
}

#[test]
fn room_is_judged_by_what_a_spool_could_take() {
    let limits = |keep_mib: u64| SpoolLimits { keep_free_bytes: keep_mib * MIB, ..SpoolLimits::default() };
    let no_files = Place { files_available: Some(0), ..place(500) };
    let no_limit = Place { files_available: None, ..place(500) };
    let table = [
        (place(500), limits(64), Verdict::Ok),
        (no_limit, limits(64), Verdict::Ok),
        // 20 % of 512 MiB would fit, but not with what is to be left free.
        (place(166), limits(64), Verdict::Note),
        (place(64), limits(64), Verdict::Bad),
        (place(0), limits(0), Verdict::Bad),
        (place(500), limits(512), Verdict::Bad),
        (no_files, limits(64), Verdict::Bad),
    ];
    for (place, limits, verdict) in table {
        let check = room(&place, &limits);
        assert_eq!(check.verdict, verdict, "{}", check.seen);
    }
    assert_eq!(
        room(&place(500), &limits(64)).seen,
        "500 MiB and 1,000 files free of 512 MiB; the spool takes 102 MiB at most (SPOOL_MAX=auto) and leaves 64 \
         MiB (KEEP_FREE)"
    );
    let said = room(&place(500), &limits(512)).remedy.expect("a remedy");
    assert!(said.starts_with("LOGSPOOL_KEEP_FREE is larger than the disk"), "{said}");
}

#[test]
fn a_directory_that_is_not_there_is_made_and_taken_away_again() {
    let parent = tempfile::tempdir().expect("a directory");
    let root = parent.path().join("a/b/spool");
    let facts = facts(&root);
    let check = facts.directory();
    assert_eq!(check.verdict, Verdict::Ok, "{}", check.seen);
    assert!(check.seen.ends_with(", not there yet, can be made"), "{}", check.seen);
    assert_eq!(fs::read_dir(parent.path()).expect("listed").count(), 0, "nothing is left");
}

#[test]
fn a_directory_that_is_there_keeps_its_mode_and_what_is_in_it() {
    let root = tempfile::tempdir().expect("a directory");
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).expect("ours");
    fs::write(root.path().join("a file"), "x").expect("written");
    let check = facts(root.path()).directory();
    assert!(check.seen.ends_with(", mode 0750, can be written to"), "{}", check.seen);
    assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1);
}

#[test]
fn what_keeps_a_spool_from_being_made_has_its_remedy() {
    let root = tempfile::tempdir().expect("a directory");
    let file = root.path().join("file");
    fs::write(&file, "x").expect("written");
    for path in [file.clone(), file.join("below")] {
        let check = facts(&path).directory();
        assert_eq!(check.verdict, Verdict::Bad, "{}", check.seen);
        assert!(
            check.remedy.is_some_and(|remedy| remedy.starts_with("A part of that path is a file")),
            "{}",
            check.seen
        );
    }
    let network = Facts {
        root: "/mnt/logs".into(),
        mode: Some(0o700),
        writable: Ok(()),
        place: Ok(Place { is_network: true, file_system: "NFS".to_owned(), ..place(500) }),
        left: Ok(Left::default()),
    };
    let check = network.directory();
    assert_eq!((check.verdict, check.seen.as_str()), (Verdict::Bad, "/mnt/logs is on a network file system (NFS)"));
    let table = [
        (io::ErrorKind::PermissionDenied, "Nothing can be written there"),
        (io::ErrorKind::ReadOnlyFilesystem, "Nothing can be written there"),
        (io::ErrorKind::StorageFull, "The disk is full"),
        (io::ErrorKind::Other, "Set LOGSPOOL_DIR to a directory"),
    ];
    for (kind, expected) in table {
        assert!(remedy(&kind.into()).starts_with(expected), "{kind:?}");
    }
}

#[test]
fn spools_that_wait_are_noted_and_living_ones_are_not() {
    let left = |alive, orphans: usize| Left {
        alive,
        orphans,
        orphan_bytes: 12_345,
        oldest_ms: (orphans > 0).then_some(1_790_000_000_000),
    };
    let table = [
        (left(0, 0), Verdict::Ok, "nothing waits"),
        (left(1, 0), Verdict::Ok, "nothing waits; 1 in use by a running process"),
        (left(0, 3), Verdict::Note, "3 spools wait, 12,345 bytes, the oldest since 2026-09-21T14:13:20.000Z"),
    ];
    for (left, verdict, seen) in table {
        let check = left.check();
        assert_eq!((check.verdict, check.seen.as_str()), (verdict, seen));
    }
}
