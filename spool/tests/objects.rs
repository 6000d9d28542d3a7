//! One segment, one object: the process that wrote it, one that adopts it, and a copy of either compute the same bytes,
//! the same name and the same range.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use spool::{Codec, Compression, Mark, Meta, SealReason, SealedSegment, SegmentFacts, Seqno, Spool};
use world::{COMPRESSIONS, NOW_MS, append, append_end, batch, copy, create, decoded, object, only_orphan, records};

/// What an adopter makes of a copy of the directory as it is at this instant.
fn adopted_from_a_copy(root: &Path) -> Vec<SealedSegment> {
    let place = tempfile::tempdir().unwrap();
    copy(root, place.path());
    let adopted = only_orphan(place.path()).adopt(&world::labeler()).unwrap();
    assert!(adopted.report().lost.is_empty(), "{:?}", adopted.report());
    assert!(adopted.report().unreadable.is_empty(), "{:?}", adopted.report());
    // The objects are read through descriptors, after the directory is gone.
    adopted.segments().to_vec()
}

/// The same object in every respect, but perhaps for the reason of its seal.
#[track_caller]
fn assert_same(live: &SealedSegment, adopted: &SealedSegment, story: &str) {
    let without_reason = |segment: &SealedSegment| SegmentFacts { reason: SealReason::Size, ..segment.facts().clone() };
    assert_eq!(without_reason(live), without_reason(adopted), "{story}");
    assert_eq!(live.label(), adopted.label(), "{story}");
    assert!(object(live) == object(adopted), "{story}: the bytes differ");
}

/// The object is what its facts and its name say.
#[track_caller]
fn assert_true(segment: &SealedSegment, story: &str) {
    let (facts, bytes) = (segment.facts(), object(segment));
    assert_eq!(bytes.len() as u64, facts.object_bytes, "{story}");
    assert_eq!(spool::object_digest(&bytes), facts.digest, "{story}");
    let lines = decoded(facts.codec, &bytes);
    assert_eq!(lines.len() as u64, facts.raw_bytes, "{story}");
    let records_end = facts.last.0 + u64::from(facts.mark != Mark::End);
    let mut expected = records(facts.spool, facts.first.0..records_end);
    if facts.mark == Mark::End {
        expected.extend_from_slice(world::END_LINE.as_bytes());
    }
    assert!(lines == expected, "{story}: the lines are not those that were appended");
    assert_eq!(facts.records, facts.last.0 - facts.first.0 + 1, "{story}");
}

/// A batch of a random shape: none, one, a few, or many records; some bodies leave no line.
fn append_something(spool: &mut Spool, rng: &mut fastrand::Rng) {
    let count = match rng.u8(0..10) {
        0 => 0,
        1..=5 => rng.u32(1..5),
        6..=8 => rng.u32(5..80),
        _ => rng.u32(300..900),
    };
    append(spool, count);
}

#[test]
fn every_process_and_every_copy_makes_the_same_object() {
    let seed = world::seed(20_260_101);
    let mut rng = fastrand::Rng::with_seed(seed);
    for round in 0..3 {
        for compression in COMPRESSIONS {
            let story = format!("seed {seed}, round {round}, {compression:?}");
            let root = tempfile::tempdir().unwrap();
            let mut spool = create(root.path(), compression, &mut rng);
            let mut sealed = Vec::new();
            for _ in 0..rng.usize(1..5) {
                for _ in 0..rng.usize(1..12) {
                    append_something(&mut spool, &mut rng);
                }
                // At this instant the process might be killed: the last one is still open.
                let before = adopted_from_a_copy(root.path());
                let Some(segment) = world::seal(&mut spool, SealReason::Age) else { continue };
                assert_same(&segment, before.last().unwrap(), &story);
                assert_eq!(before.last().unwrap().facts().reason, SealReason::Adoption);
                sealed.push(segment);
            }
            let sealed_bytes: u64 = sealed.iter().map(|segment| segment.facts().object_bytes).sum();
            assert_eq!(spool.object_bytes(), sealed_bytes + spool.active().object_bytes, "{story}");
            let after = adopted_from_a_copy(root.path());
            assert_eq!(after.len(), sealed.len(), "{story}");
            for (live, adopted) in sealed.iter().zip(&after) {
                assert_same(live, adopted, &story);
                assert_eq!(live.facts().reason, adopted.facts().reason, "{story}: the file tells why it was sealed");
                assert_true(live, &story);
            }
            let ranges: Vec<_> = sealed.iter().map(|segment| segment.facts()).collect();
            let joined = ranges.windows(2).all(|pair| pair[0].last.plus(1) == pair[1].first);
            assert!(joined, "{story}: the ranges join without a gap");
        }
    }
}

#[test]
fn an_object_can_be_read_any_number_of_times() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(1));
    append(&mut spool, 2_000);
    let segment = world::seal(&mut spool, SealReason::Size).unwrap();
    let first = object(&segment);
    let mut cut_short = segment.chunks();
    cut_short.next();
    drop(cut_short);
    assert!(object(&segment) == first, "an attempt that was given up changes nothing");
    let longest = segment.chunks().map(|chunk| chunk.unwrap().len()).max();
    assert!(longest.is_some_and(|bytes| bytes <= 64 * 1024), "never the whole object in memory: {longest:?}");
}

#[test]
fn an_object_outlives_its_file() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(1));
    append(&mut spool, 500);
    let segment = world::seal(&mut spool, SealReason::Size).unwrap();
    let before = object(&segment);
    fs::remove_dir_all(world::dir(root.path(), spool.id())).unwrap();
    assert!(object(&segment) == before, "it is read through the descriptor");
}

#[test]
fn small_appends_and_one_large_one_leave_the_same_lines() {
    for compression in COMPRESSIONS {
        let root = tempfile::tempdir().unwrap();
        let mut rng = fastrand::Rng::with_seed(3);
        let mut spool = create(root.path(), compression, &mut rng);
        for _ in 0..3_000 {
            append(&mut spool, 1);
        }
        let small = world::seal(&mut spool, SealReason::Size).unwrap();
        append(&mut spool, 3_000);
        let large = world::seal(&mut spool, SealReason::Size).unwrap();
        for segment in [&small, &large] {
            assert_true(segment, &format!("{compression:?}"));
        }
        assert_eq!((small.facts().last, large.facts().first), (Seqno(2_999), Seqno(3_000)));
    }
}

#[test]
fn bodies_that_leave_no_line_make_no_object_and_take_no_number() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(1));
    for _ in 0..10 {
        append(&mut spool, 0);
    }
    assert_eq!(spool.next_seq(), Seqno(0));
    assert!(world::seal(&mut spool, SealReason::Age).is_none());
    assert!(adopted_from_a_copy(root.path()).is_empty());
    append(&mut spool, 1);
    append(&mut spool, 0);
    let segment = world::seal(&mut spool, SealReason::Age).unwrap();
    assert_same(&segment, &adopted_from_a_copy(root.path())[0], "one record between bodies without");
    assert_true(&segment, "one record between bodies without");
}

#[test]
fn the_end_of_a_stream_is_marked_by_its_process_and_by_an_adopter_alike() {
    for compression in COMPRESSIONS {
        let root = tempfile::tempdir().unwrap();
        let mut spool = create(root.path(), compression, &mut fastrand::Rng::with_seed(1));
        append(&mut spool, 7);
        append_end(&mut spool);
        let unsealed = adopted_from_a_copy(root.path());
        let segment = world::seal(&mut spool, SealReason::Shutdown).unwrap();
        assert_eq!(segment.facts().mark, Mark::End);
        assert_same(&segment, &unsealed[0], "killed between the end and its seal");
        assert_same(&segment, &adopted_from_a_copy(root.path())[0], "killed behind the seal");
        assert_true(&segment, &format!("{compression:?}"));
    }
}

#[test]
fn the_partition_is_the_time_of_the_first_record_for_everyone() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(1));
    let (meta, hour_ms) = (Meta::default(), 3_600_000);
    append(&mut spool, 0);
    for hours_ago in [2, 3, 0] {
        let seq = spool.next_seq().0;
        let lines = records(spool.id(), seq..seq + 1);
        let time_ms = Some(NOW_MS - hours_ago * hour_ms);
        spool.append(&spool::Batch { first_line_ms: time_ms, ..batch(&lines, 1, &meta) }, NOW_MS).unwrap();
    }
    let segment = world::seal(&mut spool, SealReason::Hour).unwrap();
    assert_eq!(segment.facts().partition_ms, NOW_MS - 2 * hour_ms);
    assert_same(&segment, &adopted_from_a_copy(root.path())[0], "a late record behind an early one");
}

#[test]
fn what_the_sender_dropped_stands_in_the_facts_of_its_segment_and_of_no_other() {
    let root = tempfile::tempdir().unwrap();
    let mut spool = create(root.path(), Compression::default(), &mut fastrand::Rng::with_seed(1));
    append(&mut spool, 1);
    spool.count_platform_drops(3, 400).unwrap();
    spool.count_platform_drops(1, 50).unwrap();
    let first = world::seal(&mut spool, SealReason::Age).unwrap();
    append(&mut spool, 1);
    let second = world::seal(&mut spool, SealReason::Age).unwrap();
    assert_eq!((first.facts().platform_drops, second.facts().platform_drops), ((4, 450), (0, 0)));
    for (live, adopted) in [first, second].iter().zip(adopted_from_a_copy(root.path())) {
        assert_same(live, &adopted, "platform drops");
    }
}

/// The decoders that people have, where they are installed.
#[test]
fn the_command_line_tools_read_every_object() {
    for (codec, tool) in [(Codec::Zstd, "zstd"), (Codec::Gzip, "gzip")] {
        if Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: there is no {tool} here");
            continue;
        }
        for compression in COMPRESSIONS.into_iter().filter(|compression| compression.codec == codec) {
            let root = tempfile::tempdir().unwrap();
            let mut spool = create(root.path(), compression, &mut fastrand::Rng::with_seed(1));
            for count in [1, 0, 40, 3_000, 2] {
                append(&mut spool, count);
            }
            let segment = world::seal(&mut spool, SealReason::Size).unwrap();
            let lines = piped(tool, object(&segment));
            assert!(lines == records(spool.id(), 0..3_043), "{tool} reads other lines: {compression:?}");
        }
    }
}

/// What a tool makes of its standard input.
fn piped(tool: &str, input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(tool).args(["-dc"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{tool}: {output:?}");
    output.stdout
}
