use super::*;
use crate::upload::store::reading::Listed;
use std::collections::BTreeSet;

const SPOOL: &str = "01JZ8K4M3N5P6Q7R8S9T0V1W2X";
const SETTLED: i64 = 1_000;

/// `0-4`, `5-9 end`, `3-4 quota`, `0-2 cut`, `0-4 other` (another body), `young 0-4`, `elsewhere 0-4`.
fn located(text: &str) -> Known {
    let words: Vec<_> = text.split(' ').collect();
    let range = words.iter().find(|word| word.starts_with(|digit: char| digit.is_ascii_digit())).expect("a range");
    let (first, last) = range.split_once('-').expect("a range");
    let has = |word: &str| words.contains(&word);
    let rest = match words.iter().find(|word| ["quota", "refused"].contains(word)) {
        Some(cause) => format!("{cause}.dropped"),
        None => {
            let digest = if has("other") { 2 } else { 1 };
            let mark = if has("end") {
                "-end"
            } else if has("cut") {
                "-cut"
            } else {
                ""
            };
            format!("{digest:016x}{mark}.ndjson.zst")
        }
    };
    let [first, last] = [first, last].map(|digits| digits.parse::<u64>().expect("a number"));
    let folder = if has("elsewhere") { "b" } else { "a" };
    let key = format!("{folder}/{SPOOL}-{first:012}-{last:012}-{rest}");
    let modified_ms = if has("young") { SETTLED + 1 } else { SETTLED };
    Known::Object(Located { place: 0, object: Listed { key, bytes: 10, modified_ms } })
}

fn judge(objects: &[&str]) -> SpoolVerdict {
    let known = objects.iter().map(|text| located(text));
    let mut entries: Vec<_> = known.map(|known| (known.entry(SPOOL), known)).collect();
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut sweep = Sweep::new(SPOOL);
    entries.iter().for_each(|(_, known)| sweep.take(known));
    sweep.end(SETTLED)
}

#[test]
fn each_kind_of_listing_has_its_verdict() {
    use Verdict::{Complete, Gap, Open, Overlap, UnknownTail};
    let table: &[(&[&str], Verdict)] = &[
        (&["0-4", "5-9 end"], Complete),
        (&["0-0 end"], Complete),
        (&["0-4", "5-9"], UnknownTail),
        (&["0-4", "young 5-9"], Open),
        // Declared losses join like objects, and may lie over delivered ranges.
        (&["0-4", "5-7 quota", "8-9 end"], Complete),
        (&["0-4", "2-7 quota", "6-9 end"], Complete),
        (&["0-9 quota", "0-9 refused", "10-10 end"], Complete),
        // What comes behind an end has a further end.
        (&["0-4 end", "5-9 end"], Complete),
        (&["0-4 end", "5-9"], UnknownTail),
        (&["0-4 end", "5-9 quota"], UnknownTail),
        // The same file in two places, whichever.
        (&["0-4", "elsewhere 0-4", "5-5 end", "elsewhere 5-5 end"], Complete),
        // Pieces of a damaged segment.
        (&["0-2 cut", "3-4 quota", "5-9 cut", "10-10 end"], Complete),
        (&["0-9", "0-2 cut", "5-9 cut", "10-10 end"], Complete),
        (&["0-9 cut", "0-9", "10-10 end"], Complete),
        // Gaps at the beginning, in between, before the end.
        (&["1-4 end"], Gap),
        (&["0-4", "6-9 end"], Gap),
        (&["0-4", "10-10 end"], Gap),
        (&["0-2 cut", "5-9 cut", "10-10 end"], Gap),
        (&["0-4", "6-9"], Gap),
        (&["0-4", "young 6-9 end"], Open),
        // Overlaps are never waited for.
        (&["0-4", "4-9 end"], Overlap),
        (&["0-9", "3-4", "10-10 end"], Overlap),
        (&["0-4", "other 0-4", "5-5 end"], Overlap),
        (&["0-4", "young 4-9"], Overlap),
        (&["0-4", "3-6 cut", "7-7 end"], Overlap),
        (&["0-6 cut", "3-9", "10-10 end"], Overlap),
        (&["0-4 cut", "3-6 cut", "7-7 end"], Overlap),
        (&["0-4", "4-9", "12-12 end"], Overlap),
    ];
    for (objects, verdict) in table {
        let judged = judge(objects);
        assert_eq!(judged.verdict, *verdict, "{objects:?}: {judged:?}");
    }
}

#[test]
fn a_finding_names_the_numbers_and_the_objects() {
    let file = |rest: &str| format!("{SPOOL}-{rest}");
    let judged = judge(&["0-4", "6-6", "7-9", "other 7-9", "20-20 end"]);
    let texts: Vec<_> = judged.findings.iter().map(|finding| finding.text.as_str()).collect();
    let end = file("000000000020-000000000020-0000000000000001-end.ndjson.zst");
    let six = file("000000000006-000000000006-0000000000000001.ndjson.zst");
    let seven = |digest: u8| file(&format!("000000000007-000000000009-{digest:016x}.ndjson.zst"));
    let zero = file("000000000000-000000000004-0000000000000001.ndjson.zst");
    let expected = [
        format!("number 5 missing, between {zero} and {six}"),
        format!("two bodies under one range, numbers 7 to 9: {} and {}", seven(1), seven(2)),
        format!("numbers 10 to 19 missing, between {} and {end}", seven(1)),
    ];
    assert_eq!(texts, expected);
    assert_eq!(
        judge(&["3-4 end"]).findings[0].text,
        format!("numbers 0 to 2 missing, before {}", file("000000000003-000000000004-0000000000000001-end.ndjson.zst"))
    );
}

#[test]
fn what_is_known_of_objects_is_part_of_the_verdict() {
    let with = |known: Known| {
        let mut sweep = Sweep::new(SPOOL);
        for known in [located("0-4 end"), known] {
            sweep.take(&known);
        }
        sweep.end(SETTLED)
    };
    assert_eq!(with(Known::UnknownTail).verdict, Verdict::UnknownTail);
    let damaged = with(Known::Finding("x".to_owned()));
    assert_eq!((damaged.verdict, damaged.findings[0].text.as_str()), (Verdict::Damage, "x"));
}

#[test]
fn findings_are_counted_beyond_their_limit() {
    let objects: Vec<_> = (0..100).map(|number| format!("{}-{}", number * 2 + 1, number * 2 + 1)).collect();
    let judged = judge(&objects.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((judged.findings.len(), judged.more_findings), (FINDINGS_MAX, 50));
}

/// Sets of numbers say the same, with much more memory.
#[test]
fn sums_and_gaps_are_those_of_the_numbers_one_by_one() {
    let seed = std::env::var("LOGSPOOL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(fastrand::u64(..));
    println!("seed {seed} (LOGSPOOL_TEST_SEED)");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..3_000 {
        let mut objects = BTreeSet::new();
        for _ in 0..rng.usize(1..8) {
            let first = rng.u64(0..30);
            let last = first + rng.u64(0..10);
            let kind = ["", " quota", " refused", " cut", " end"][rng.usize(..5)];
            objects.insert(format!("{first}-{last}{kind}"));
        }
        let objects: Vec<_> = objects.iter().map(String::as_str).collect();
        let (mut delivered, mut lost) = (BTreeSet::new(), BTreeSet::new());
        for object in &objects {
            let Known::Object(located) = located(object) else { unreachable!() };
            let name = located.name();
            let set = if matches!(name.content, Content::Dropped { .. }) { &mut lost } else { &mut delivered };
            set.extend(name.first..=name.last);
        }
        let judged = judge(&objects);
        let known: BTreeSet<_> = delivered.union(&lost).collect();
        let highest = **known.last().expect("an object");
        assert_eq!(judged.delivered, delivered.len() as u64, "{objects:?}");
        assert_eq!(judged.lost.values().sum::<u64>(), lost.difference(&delivered).count() as u64, "{objects:?}");
        let has_gap = judged.findings.iter().any(|finding| finding.kind == Verdict::Gap);
        assert_eq!(has_gap, known.len() as u64 != highest + 1, "{objects:?}");
        // Whole objects that share a number, one by one.
        let whole: Vec<_> = objects
            .iter()
            .filter(|it| !it.contains("quota") && !it.contains("refused") && !it.contains("cut"))
            .collect();
        let range = |text: &str| {
            let Known::Object(located) = located(text) else { unreachable!() };
            let name = located.name();
            (name.first, name.last)
        };
        let meet = |(a, b): ((u64, u64), (u64, u64))| a.0 <= b.1 && b.0 <= a.1;
        let pairs =
            whole.iter().enumerate().flat_map(|(at, one)| whole[at + 1..].iter().map(move |other| (one, other)));
        let shared = pairs.map(|(one, other)| (range(one), range(other))).any(meet);
        if shared {
            assert!(judged.findings.iter().any(|finding| finding.kind == Verdict::Overlap), "{objects:?}");
        }
        if whole.len() == objects.len() && !shared {
            assert!(judged.findings.iter().all(|finding| finding.kind != Verdict::Overlap), "{objects:?}");
        }
    }
}
