//! The oracle can fail: each finding is provoked, and a right delivery is not blamed.

use std::io::Write;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::value::RawValue;

use super::*;
use crate::ledger::Fate;

const SPOOL: &str = "01JZ8K4M3N5P6Q7R8S9T0V1W2X";
const OTHER_SPOOL: &str = "01JZ8K4M3N5P6Q7R8S9T0V1W2Y";
const TIME: &str = "2026-01-01T00:00:00.000Z";

/// A ledger of function lines: `line 0`, `line 1`, …, one for each fate.
fn ledger(fates: &[Fate]) -> Ledger {
    let mut ledger = Ledger::default();
    for (number, &fate) in fates.iter().enumerate() {
        ledger.add(Category::Function, TIME.to_owned(), "function", raw(&format!("line {number}")), fate);
    }
    ledger
}

fn raw(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("a string")
}

fn acknowledged(count: usize) -> Ledger {
    ledger(&vec![Fate::Acknowledged; count])
}

/// The delivered line of number `seq` with the text `line <number>`.
fn line(seq: u64, number: u64) -> String {
    format!(r#"{{"time":"{TIME}","type":"function","seq":{seq},"requestId":"r","message":"line {number}"}}"#)
}

fn end(seq: u64) -> String {
    format!(r#"{{"type":"logspool.end","seq":{seq},"losses":{{}}}}"#)
}

/// A compressed object with the right digest.
fn object(spool: &str, first: u64, mark: &str, lines: &[String]) -> DeliveredObject {
    let text = format!("{}\n", lines.join("\n"));
    let bytes = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    let last = first + u64::try_from(lines.len()).expect("few") - 1;
    let name = format!("dt=2026-01-01/{spool}-{first:012}-{last:012}-{:016x}{mark}.ndjson.zst", digest(&bytes));
    DeliveredObject { name, bytes }
}

fn lines(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| line(number, number)).collect()
}

fn verdict(ledger: &Ledger, objects: &[DeliveredObject]) -> Verdict {
    judge([ledger], objects, EVERYTHING)
}

#[test]
fn a_right_delivery_holds() {
    let mut last = lines(3..5);
    last.push(end(5));
    let objects = [object(SPOOL, 0, "", &lines(0..3)), object(SPOOL, 3, "-end", &last)];
    let verdict = verdict(&acknowledged(5), &objects);
    assert_eq!(verdict.holds(), Ok(()));
    assert_eq!((verdict.delivered, verdict.own_lines, verdict.acknowledged), (5, 1, 5));
    assert_eq!(verdict.spools, [SpoolSummary { id: SPOOL.to_owned(), numbers: 6, ended: true }]);
}

#[test]
fn a_dropped_line_is_found() {
    let verdict = verdict(&acknowledged(5), &[object(SPOOL, 0, "", &lines(0..4))]);
    assert_eq!(verdict.lost.len(), 1);
    assert!(verdict.lost[0].record.get().contains("line 4"));
    assert!(verdict.holds().expect_err("a finding").contains("1 acknowledged events were not delivered"));
}

#[test]
fn a_doubled_line_is_found() {
    let mut lines = lines(0..5);
    lines.push(line(5, 4));
    let verdict = verdict(&acknowledged(5), &[object(SPOOL, 0, "", &lines)]);
    assert_eq!(verdict.doubled.len(), 1);
    assert!(verdict.holds().expect_err("a finding").contains("1 lines were delivered more than once"));
}

#[test]
fn the_same_events_in_two_spools_are_doubled() {
    let objects = [object(SPOOL, 0, "", &lines(0..5)), object(OTHER_SPOOL, 0, "", &lines(0..5))];
    assert_eq!(verdict(&acknowledged(5), &objects).doubled.len(), 5);
}

#[test]
fn a_number_in_two_objects_is_doubled_even_if_the_event_was_said_twice() {
    let objects = [object(SPOOL, 0, "", &lines(0..5)), object(SPOOL, 4, "", &[line(4, 4), line(5, 5)])];
    assert_eq!(verdict(&acknowledged(6), &objects).doubled.len(), 1);
}

#[test]
fn a_number_with_two_contents_is_found() {
    let objects = [object(SPOOL, 0, "", &lines(0..5)), object(SPOOL, 4, "-cut", &[line(4, 5)])];
    assert_eq!(verdict(&acknowledged(6), &objects).doubled.len(), 1);
}

#[test]
fn a_changed_line_is_found_as_lost_and_foreign() {
    let mut lines = lines(0..5);
    lines[2] = lines[2].replace("line 2", "line  2");
    let verdict = verdict(&acknowledged(5), &[object(SPOOL, 0, "", &lines)]);
    assert_eq!((verdict.lost.len(), verdict.foreign.len()), (1, 1));
    assert!(verdict.holds().is_err());
}

#[test]
fn one_changed_byte_of_an_escape_is_a_changed_line() {
    let mut ledger = Ledger::default();
    let record = RawValue::from_string(r#""\u003cb""#.to_owned()).expect("JSON");
    ledger.add(Category::Function, TIME.to_owned(), "function", record, Fate::Acknowledged);
    let unescaped = line(0, 0).replace("line 0", "<b");
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &[unescaped])]).foreign.len(), 1);
    let as_said = line(0, 0).replace("line 0", r"\u003cb");
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &[as_said])]).holds(), Ok(()));
}

#[test]
fn a_line_that_was_never_handed_over_may_not_arrive() {
    let ledger = ledger(&[Fate::Acknowledged, Fate::NeverHandedOver]);
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &lines(0..1))]).holds(), Ok(()));
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &lines(0..2))]).foreign.len(), 1);
}

#[test]
fn a_line_in_doubt_may_arrive_or_not_but_not_twice() {
    let ledger = ledger(&[Fate::Acknowledged, Fate::InDoubt]);
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &lines(0..1))]).holds(), Ok(()));
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &lines(0..2))]).holds(), Ok(()));
    let twice = [line(0, 0), line(1, 1), line(2, 1)];
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &twice)]).doubled.len(), 1);
}

#[test]
fn equal_events_are_told_apart_by_their_number_only() {
    let mut ledger = acknowledged(1);
    ledger.add(Category::Function, TIME.to_owned(), "function", raw("line 0"), Fate::Acknowledged);
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &[line(0, 0), line(1, 0)])]).holds(), Ok(()));
    assert_eq!(verdict(&ledger, &[object(SPOOL, 0, "", &[line(0, 0)])]).lost.len(), 1);
}

#[test]
fn a_wrong_digest_is_found() {
    let mut object = object(SPOOL, 0, "", &lines(0..5));
    object.name = object.name.replace(&format!("{:016x}", digest(&object.bytes)), "0123456789abcdef");
    let verdict = verdict(&acknowledged(5), &[object]);
    assert_eq!(verdict.unreadable.len(), 1);
    assert!(verdict.holds().expect_err("a finding").contains("the digest of its bytes is"));
}

#[test]
fn a_hole_between_objects_is_found() {
    let objects = [object(SPOOL, 0, "", &lines(0..2)), object(SPOOL, 3, "", &lines(3..5))];
    let verdict = verdict(&acknowledged(5), &objects);
    assert_eq!(verdict.gaps, [format!("spool {SPOOL} misses the numbers 2 to 2")]);
}

#[test]
fn a_spool_that_does_not_begin_at_0_has_a_hole() {
    let objects = [object(SPOOL, 1, "", &[line(1, 0)])];
    assert_eq!(verdict(&acknowledged(1), &objects).gaps.len(), 1);
}

#[test]
fn a_hole_inside_an_object_and_a_wrong_range_in_a_name_are_found() {
    let hole = object(SPOOL, 0, "", &[line(0, 0), line(2, 1), line(3, 2)]);
    assert_eq!(verdict(&acknowledged(3), &[hole]).gaps.len(), 2);
    let mut long = object(SPOOL, 0, "", &lines(0..3));
    long.name = long.name.replace("000000000002", "000000000003");
    assert_eq!(verdict(&acknowledged(3), &[long]).gaps.len(), 1);
}

#[test]
fn a_declared_loss_fills_the_hole_and_covers_the_lost_lines() {
    let dropped = DeliveredObject {
        name: format!("{SPOOL}-000000000002-000000000003-quota.dropped"),
        bytes: b"{\"records\":2}\n".to_vec(),
    };
    let objects = [object(SPOOL, 0, "", &lines(0..2)), dropped.clone(), object(SPOOL, 4, "", &lines(4..5))];
    let found = verdict(&acknowledged(5), &objects);
    assert_eq!(found.holds(), Ok(()));
    assert_eq!((found.lost.len(), found.declared, found.silently_lost()), (2, 2, 0));

    let short = [object(SPOOL, 0, "", &lines(0..2)), dropped];
    assert_eq!(verdict(&acknowledged(5), &short).silently_lost(), 1);
}

#[test]
fn a_declared_loss_over_delivered_lines_covers_nothing() {
    let dropped =
        DeliveredObject { name: format!("{SPOOL}-000000000000-000000000001-quota.dropped"), bytes: b"{}".to_vec() };
    let objects = [object(SPOOL, 0, "", &lines(0..4)), dropped];
    let verdict = verdict(&acknowledged(5), &objects);
    assert_eq!((verdict.declared, verdict.silently_lost()), (0, 1));
}

#[test]
fn a_piece_beside_the_whole_and_the_same_file_in_two_places_are_no_findings() {
    let whole = object(SPOOL, 0, "", &lines(0..5));
    let elsewhere = DeliveredObject { name: whole.name.replace("dt=", "fallback/dt="), ..whole.clone() };
    let piece = object(SPOOL, 1, "-cut", &lines(1..3));
    for objects in [[whole.clone(), elsewhere.clone(), piece.clone()], [piece, elsewhere, whole]] {
        assert_eq!(verdict(&acknowledged(5), &objects).holds(), Ok(()));
    }
}

#[test]
fn damaged_objects_and_strange_files_are_found() {
    let good = object(SPOOL, 0, "", &lines(0..5));
    let mut torn = good.clone();
    torn.bytes.truncate(torn.bytes.len() - 4);
    let strange = DeliveredObject { name: "core.1234".to_owned(), bytes: Vec::new() };
    let mut no_json = Vec::new();
    writeln!(no_json, "not json").expect("in memory");
    let no_json = DeliveredObject {
        name: format!("{SPOOL}-000000000000-000000000000-{:016x}.ndjson", digest(&no_json)),
        bytes: no_json,
    };
    for (object, why) in [(torn, "zstd"), (strange, "its name"), (no_json, "line 1")] {
        let verdict = verdict(&acknowledged(0), &[object]);
        assert!(verdict.unreadable.iter().any(|finding| finding.contains(why)), "{:?}", verdict.unreadable);
    }
}

#[test]
fn streams_that_are_not_shipped_are_left_out() {
    let mut ledger = acknowledged(1);
    ledger.add(Category::Platform, TIME.to_owned(), "platform.start", raw("x"), Fate::Acknowledged);
    let verdict = judge([&ledger], &[object(SPOOL, 0, "", &lines(0..1))], &[Category::Function]);
    assert_eq!(verdict.holds(), Ok(()));
    assert_eq!(verdict.emitted, 1);
}
