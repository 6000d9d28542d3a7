//! The pure parts of `cargo bench --bench footprint`: what it reads out of what was counted, and what it makes of its budgets.

#![allow(dead_code, reason = "the rest is the benchmark's")]

#[path = "../benches/footprint/budgets.rs"]
mod budgets;
#[path = "../benches/footprint/figures.rs"]
mod figures;
#[path = "../benches/footprint/trace.rs"]
mod trace;

use budgets::Budgets;
use figures::{Figure, Unit};
use trace::{Trace, relocations};

fn complaints(budgets: &str, figure: Figure) -> Vec<String> {
    Budgets::parse(budgets.as_bytes()).exceeded_by(&[figure])
}

#[test]
fn a_ratio_may_grow_by_five_per_cent_and_no_more() {
    let figure = |ours: u64| Figure::new("files opened", Unit::Count, [Some(ours), Some(100), None]);
    let budget = r#"{"files_opened": 2.0}"#;
    assert_eq!(complaints(budget, figure(150)), [""; 0]);
    assert_eq!(complaints(budget, figure(210)), [""; 0]);
    let over = "files opened: 2.110 times the empty one, 2.000 were agreed on and 2.100 are allowed";
    assert_eq!(complaints(budget, figure(211)), [over]);
}

#[test]
fn a_figure_without_a_budget_is_told_and_one_that_was_not_counted_is_none() {
    let missing = "zip: has no budget; LOGSPOOL_BENCH_BLESS=1 writes one";
    assert_eq!(complaints("{}", Figure::new("zip", Unit::Bytes, [Some(1), Some(1), None])), [missing]);
    assert_eq!(complaints("{}", Figure::new("zip", Unit::Bytes, [None, Some(1), None])), [""; 0]);
}

#[test]
fn promises_are_about_bytes_of_ours_and_times_of_counts() {
    let bytes = |ours: u64| Figure::new("zip", Unit::Bytes, [Some(ours), Some(1), None]).at_most(3_500_000.0);
    assert_eq!((bytes(3_500_000).is_kept(), bytes(3_500_001).is_kept()), (Some(true), Some(false)));
    let count = |ours: u64| Figure::new("instructions", Unit::Count, [Some(ours), Some(1_000), None]).at_most(2.5);
    assert_eq!((count(2_500).is_kept(), count(2_501).is_kept()), (Some(true), Some(false)));
    assert_eq!(Figure::new("threads", Unit::Count, [Some(1), Some(1), None]).is_kept(), None);
    let missed = complaints(r#"{"zip_bytes": 9e9}"#, bytes(3_500_001));
    assert_eq!(missed, ["zip: 3,500,001 are more than the 3.5 MB that are promised"]);
}

#[test]
fn calls_are_counted_up_to_the_one_that_asks_for_the_next_event() {
    let log = "\
100 execve(\"/x/logspool\", [\"logspool\"], 0x7ff /* 12 vars */) = 0
100 openat(AT_FDCWD, \"/proc/self/maps\", O_RDONLY|O_CLOEXEC) = 3
100 openat(AT_FDCWD, \"/nowhere\", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
100 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[101]}, 88) = 101
101 read(3,  <unfinished ...>
100 --- SIGCHLD {si_signo=SIGCHLD} ---
101 <... read resumed>\"\", 1) = 0
100 sendto(7, \"GET /2020-01-01/extension/event/next HTTP/1.1\\r\\n\"..., 120, MSG_NOSIGNAL, NULL, 0) = 120
100 openat(AT_FDCWD, \"/later\", O_RDONLY) = 4
";
    assert_eq!(Trace::of(log), Some(Trace { calls: 6, files: 1, threads: 2 }));
    assert_eq!(Trace::of("100 execve(\"/x\") = 0\n"), None, "it never asked");
}

#[test]
fn relocations_are_counted_whether_they_are_packed_or_not() {
    let said = "
Relocation section '.rela.dyn' at offset 0x328 contains 33 entries:
    Offset             Info             Type               Symbol's Value  Symbol's Name + Addend
0000000000734868  0000000000000025 R_X86_64_IRELATIV                         68a3d0

Relocation section '.relr.dyn' at offset 0x640 contains 595 entries:
  15860 offsets
0000000000734000
";
    assert_eq!(relocations(said), 33 + 15_860);
}
