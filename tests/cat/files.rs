//! Places that are directories, with objects of any hour under the names that the product gives them.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use logspool::upload::object_key::{Compression, DroppedFacts, LineFormat, Mark, ObjectKeys, SegmentFacts};
use tempfile::TempDir;

use crate::tool::{Shown, finished, time};
use crate::world::desk;

/// Began 36 hours before the first hour.
const SPOOL: &str = "01M8801200P6Q7R8S9T0V1W2X3";
const HOUR_MS: i64 = 3_600_000;
const FIRST_HOUR_MS: i64 = 1_795_694_400_000; // 2026-11-26T12:00:00Z

fn line(seq: u64, ms: i64) -> String {
    format!(
        r#"{{"time":"{}","type":"function","seq":{seq},"requestId":"r-{}","message":"line {seq}"}}"#,
        time(ms),
        seq % 3
    )
}

/// Stores lines as the object of a spool; returns where.
fn store(root: &Path, spool: &str, first: u64, mark: Mark, hour_ms: i64, lines: &[String]) -> PathBuf {
    let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let facts = SegmentFacts {
        spool_id: spool,
        first,
        last: first + lines.len() as u64 - 1,
        digest: sandbox::oracle::digest(bytes.as_bytes()),
        partition_ms: hour_ms,
        codec: Compression::None,
        format: LineFormat::Json,
        mark,
    };
    write(root, &ObjectKeys::for_function("f").segment(&facts), bytes)
}

fn write(root: &Path, key: &str, bytes: String) -> PathBuf {
    let path = root.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn place(root: &Path) -> String {
    format!("file://{}", root.display())
}

async fn cat(arguments: &[&str]) -> Shown {
    let mut command = Command::new(desk());
    command.arg("cat").args(arguments).stdin(Stdio::null());
    finished(command).await
}

#[tokio::test]
async fn late_lines_stand_where_their_time_is_and_lines_without_a_time_where_the_one_before_them_is() {
    let root = TempDir::new().unwrap();
    let at = |minutes: i64| FIRST_HOUR_MS + minutes * 60_000;
    let without_time = r#"{"type":"x","seq":3,"message":"no time"}"#.to_owned();
    let second = [line(2, at(70)), without_time.clone(), line(4, at(30)), line(5, at(80))];
    store(root.path(), SPOOL, 0, Mark::None, at(0), &[line(0, at(20)), line(1, at(40))]);
    store(root.path(), SPOOL, 2, Mark::None, at(60), &second);
    let end = r#"{"type":"logspool.end","seq":6,"losses":{}}"#.to_owned();
    // From an adopter: filed where the spool began, 30 minutes into the hour.
    store(root.path(), "01M8BXB2A0P6Q7R8S9T0V1W2X3", 6, Mark::End, at(0), std::slice::from_ref(&end));
    let shown = cat(&[&place(root.path())]).await;
    let expected =
        [line(0, at(20)), line(4, at(30)), end, line(1, at(40)), line(2, at(70)), without_time, line(5, at(80))];
    assert_eq!(
        (shown.code, shown.err.as_str(), shown.lines()),
        (Some(0), "", expected.iter().map(String::as_str).collect())
    );
    // A late line is found in the folder that it lies in, as far as the slack reaches.
    let until = time(at(31));
    let shown = cat(&[&place(root.path()), "--until", &until, "--grep", "line"]).await;
    assert_eq!(shown.lines(), [&expected[0], &expected[1]]);
    let shown = cat(&[&place(root.path()), "--until", &until, "--grep", "line", "--slack", "0s"]).await;
    assert_eq!(shown.lines(), [&expected[0]]);
}

#[tokio::test]
async fn a_line_is_shown_once_though_it_lies_in_two_places_or_two_objects() {
    let (root, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let lines: Vec<_> = (0..10).map(|seq| line(seq, FIRST_HOUR_MS + i64::try_from(seq).unwrap())).collect();
    let whole = store(root.path(), SPOOL, 0, Mark::None, FIRST_HOUR_MS, &lines);
    store(root.path(), SPOOL, 3, Mark::Cut, FIRST_HOUR_MS, &lines[3..6]);
    // In another place it lies in no folder of an hour.
    fs::copy(&whole, copy.path().join(whole.file_name().unwrap())).unwrap();
    let shown = cat(&[&place(root.path()), &place(copy.path()), "--stats"]).await;
    assert_eq!((shown.code, shown.lines()), (Some(0), lines.iter().map(String::as_str).collect()));
    assert!(
        shown.err.contains("3 objects listed, 2 of ") && shown.err.contains("; 13 lines, 10 of them shown"),
        "{}",
        shown.err
    );
    // Where no folder tells the time, the name tells when its spool began, and the listing when it was stored.
    for beside in [["--until", "2026-11-24"], ["--since", "2100-01-01"]] {
        let shown = cat(&[&[&*place(copy.path()), "--stats"], &beside[..]].concat()).await;
        assert_eq!((shown.code, shown.out.as_str()), (Some(0), ""));
        assert!(shown.err.contains("1 objects listed, 0 of 0 B read"), "{}", shown.err);
    }
    let shown = cat(&[&place(copy.path()), "--until", &time(FIRST_HOUR_MS + 1)]).await;
    assert_eq!(shown.lines(), [&lines[0]]);
}

#[tokio::test]
async fn losses_are_shown_unless_something_else_is_asked_for() {
    let root = TempDir::new().unwrap();
    store(root.path(), SPOOL, 0, Mark::None, FIRST_HOUR_MS, &[line(0, FIRST_HOUR_MS)]);
    let facts = DroppedFacts { spool_id: SPOOL, first: 1, last: 4, cause: "quota" };
    let dropped = r#"{"type":"logspool.dropped","seq":1,"last":4,"records":4,"bytes":99,"cause":"quota"}"#;
    write(root.path(), &ObjectKeys::for_function("f").dropped(&facts), format!("{dropped}\n"));
    let place = place(root.path());
    assert!(cat(&[&place]).await.lines().contains(&dropped));
    assert_eq!(cat(&[&place, "--request", "r-0"]).await.lines().len(), 1);
    assert_eq!(cat(&[&place, "--grep", "\"cause\":\"quota\""]).await.lines(), [dropped]);
}

#[tokio::test]
async fn what_cannot_be_decompressed_is_shown_up_to_there() {
    let root = TempDir::new().unwrap();
    let lines: Vec<_> = (0..20_000).map(|seq| line(seq, FIRST_HOUR_MS)).collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
    bytes.truncate(bytes.len() / 2);
    let facts = SegmentFacts {
        spool_id: SPOOL,
        first: 0,
        last: 19_999,
        digest: sandbox::oracle::digest(&bytes),
        partition_ms: FIRST_HOUR_MS,
        codec: Compression::Zstd,
        format: LineFormat::Json,
        mark: Mark::None,
    };
    let path = root.path().join(ObjectKeys::for_function("f").segment(&facts));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let shown = cat(&[&place(root.path())]).await;
    let count = shown.lines().len();
    assert_eq!(shown.code, Some(1));
    assert!((1_000..20_000).contains(&count) && shown.lines() == lines[..count], "{count}");
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(shown.err.starts_with(&format!("logspool: {name}: ")) && shown.err.lines().count() == 1, "{}", shown.err);
    assert!(shown.err.ends_with("; what can be read of it is shown\n"), "{}", shown.err);
}

#[tokio::test]
async fn whoever_has_seen_enough_ends_it() {
    let root = TempDir::new().unwrap();
    for hour in 0..100 {
        let hour_ms = FIRST_HOUR_MS + hour * HOUR_MS;
        let lines: Vec<_> = (0..500).map(|seq| line(u64::try_from(hour).unwrap() * 500 + seq, hour_ms)).collect();
        store(root.path(), SPOOL, u64::try_from(hour).unwrap() * 500, Mark::None, hour_ms, &lines);
    }
    let mut command = Command::new(desk());
    command.args(["cat", &place(root.path())]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    drop(out);
    assert_eq!(first.trim_end(), line(0, FIRST_HOUR_MS));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_place_that_cannot_be_listed_is_named() {
    let shown = cat(&["file:///nowhere/at/all"]).await;
    assert_eq!((shown.code, shown.out.as_str()), (Some(2), ""));
    assert!(shown.err.starts_with("logspool: file:///nowhere/at/all: "), "{}", shown.err);
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("README.md"), "not ours").unwrap();
    let shown = cat(&[&place(root.path())]).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(2), "logspool: no object of logspool lies there\n"));
}
