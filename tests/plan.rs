//! `logspool plan` as a person runs it: what it prints, what it refuses, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::process::{Command, Stdio};

use serde_json::Value;

/// One invocation a second that logs 10 KB. Ten raw bytes are one in the bucket.
const BUSY: &str = "--invocations-per-day 86400 --bytes-per-invocation 10KB --memory 512 --compression-ratio 10";

struct Shown {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Shown {
    /// Lines with one space between words.
    fn rows(&self) -> Vec<String> {
        self.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[track_caller]
    fn has_row(&self, row: &str) {
        assert!(self.rows().iter().any(|line| line == row), "{row:?} is missing:\n{}", self.out);
    }

    /// What `--json` has printed: one line.
    #[track_caller]
    fn figures(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Runs it with these settings and nothing else of an environment.
fn plan_with(arguments: &str, settings: &[(&str, &str)]) -> Shown {
    let variables = settings.iter().map(|(name, value)| (format!("LOGSPOOL_{name}"), *value));
    let output = Command::new(world::desk())
        .arg("plan")
        .args(arguments.split_whitespace())
        .env_clear()
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Shown { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The same, of which nothing is wrong.
#[track_caller]
fn planned(arguments: &str, settings: &[(&str, &str)]) -> Shown {
    let shown = plan_with(arguments, settings);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "{arguments}");
    shown
}

#[track_caller]
fn assert_near(value: &Value, expected: f64) {
    let is = value.as_f64().unwrap();
    assert!((is - expected).abs() <= expected.abs() * 1e-6, "{is} is not {expected}");
}

#[test]
fn the_table_has_the_dollars_of_objects_bytes_and_time() {
    let shown = planned(&format!("{BUSY} --retention-days 90"), &[]);
    for row in [
        "function 86,400 invocations a day, 10,000 raw bytes and 100 ms each, 512 MB, x86_64",
        "environments 1 at a time, one invocation each every 1 s, alive for 2 h",
        "settings SEAL_AGE=1m SEAL_SIZE=4MiB SEAL_INVOCATIONS=off DRAIN=adaptive",
        "compression 10 : 1, as given",
        "raw logs 864.00 MB 25.92 GB",
        // 36 pieces of 2,400 invocations: 36 * (2,400 / 60 + 59 / 120), each of 864 MB / 1,457.7.
        "objects 1,458 43,731",
        "raw in an object 593 KB",
        // 43,731 * 0.000005; 25.92 GB at 0.50 and 0.25.
        "PUTs; ingestion; delivery $0.0073 $0.2187 $12.96 $6.48",
        // 0.864 GB * 90 / 10 = 7.776 GB at 0.023, 0.03, 0.023.
        "storage of 90 days $0.0060 $0.1788 $0.2333 $0.1788",
        // 1,440 * 30 * 0.175 s * 0.5 GB * 0.0000166667.
        "time held, billed $0.0021 $0.0630",
        "total $0.0154 $0.4605 $13.19 $6.66",
    ] {
        shown.has_row(row);
    }
    let has = |text: &str| assert!(shown.out.contains(text), "{text:?} is missing:\n{}", shown.out);
    has("\nheld          1.67 % of the invocations for 175 ms after the function has finished, median 0 ms;");
    has("\nprices        list prices of us-east-1 (Lambda as of 2026-08, CloudWatch as of 2025-09, S3 undated)");
    has("\nleft out      bursts and nights");
}

#[test]
fn json_has_the_same_figures_in_one_line() {
    let figures = planned(&format!("{BUSY} --retention-days 90 --json"), &[]).figures();
    let ours = &figures["logspool_dollars_per_month"];
    for (value, expected) in [
        (&figures["raw_bytes_per_day"], 864e6),
        (&figures["objects_per_day"], 1_457.7),
        (&ours["writing"], 0.218_655),
        (&ours["storage"], 0.178_848),
        (&ours["held_time"], 0.063_000_126),
        (&ours["total"], 0.460_503_126),
        (&figures["cloudwatch_dollars_per_month"]["storage"], 0.233_28),
        (&figures["native_delivery_dollars_per_month"]["total"], 6.658_848),
        (&figures["cheaper_than_cloudwatch_from_bytes"], 10_000.0),
        (&figures["cheaper_than_native_delivery_from_bytes"], 20_000.0),
    ] {
        assert_near(value, expected);
    }
    // A month is kept unless something else is asked for.
    let month = planned(&format!("{BUSY} --json"), &[]).figures();
    assert_near(&month["logspool_dollars_per_month"]["storage"], 0.178_848 / 3.0);
}

#[test]
fn settings_are_read_as_the_extension_reads_them() {
    let end = planned(BUSY, &[("DRAIN", "end")]);
    end.has_row("settings SEAL_AGE=1m SEAL_SIZE=4MiB SEAL_INVOCATIONS=1 DRAIN=end");
    end.has_row("objects 86,400 2,592,000");
    let advised = "LOGSPOOL_SEAL_INVOCATIONS=off LOGSPOOL_DRAIN=adaptive makes 593 KB per object";
    assert!(
        end.out.contains(&format!("  {advised}; at most 1 min of lines")),
        "only what changes is named:\n{}",
        end.out
    );
    planned(BUSY, &[("SEAL_AGE", "10s")]).has_row("objects 8,656 259,686");
}

#[test]
fn a_bad_setting_is_told_and_its_default_planned_with() {
    let shown = plan_with(BUSY, &[("SEAL_AGE", "soon")]);
    assert_eq!(shown.code, Some(0));
    let told = "logspool: LOGSPOOL_SEAL_AGE=\"soon\": a duration like 250ms, 30s or 5m is expected; using 60s\n";
    assert_eq!(shown.err, told);
    assert_eq!(shown.out, planned(BUSY, &[]).out);
}

#[test]
fn environments_are_as_many_as_the_invocations_take() {
    for (arguments, row) in [
        ("--gap 2500ms", "environments 3 at a time, one invocation each every 2.5 s, alive for 2 h"),
        ("--duration 1001ms", "environments 2 at a time, one invocation each every 2 s, alive for 2 h"),
        ("--gap 100ms", "environments 1 at a time, one invocation each every 100 ms, alive for 2 h"),
    ] {
        planned(&format!("{BUSY} {arguments}"), &[]).has_row(row);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_rule_and_nothing_is_planned() {
    let one_second = "--invocations-per-day 86400 --bytes-per-invocation 10KB --memory 512";
    for (arguments, error) in [
        ("", "plan: --invocations-per-day is missing: `logspool --help` tells what there is"),
        (
            &format!("{one_second} --gap 99ms"),
            "--gap (99 ms) is shorter than --duration (100 ms): an environment takes one invocation at a time",
        ),
        (
            &format!("{one_second} --gap 2500ms --environments 2"),
            "--environments 2 is too few: 86400 invocations a day with --gap 2500 ms need 3",
        ),
        ("--invocations-per-day 0", "--invocations-per-day \"0\": it must be between 1 and 1000000000000"),
        ("--bytes-per-invocation 0", "--bytes-per-invocation \"0\": it must be between 1 and 1024MiB"),
        ("--memory 127", "--memory \"127\": it must be between 128 and 10240"),
        ("--memory 10241", "--memory \"10241\": it must be between 128 and 10240"),
        ("--environments 0", "--environments \"0\": it must be between 1 and 1000000"),
        ("--retention-days 0", "--retention-days \"0\": it must be between 1 and 3653"),
        ("--duration 0s", "--duration \"0s\": it must be between 1ms and 15m"),
        ("--compression-ratio 0.09", "--compression-ratio \"0.09\": it must be between 0.1 and 1000"),
        ("--architecture mips", "--architecture \"mips\": one of x86_64, arm64 is expected"),
    ] {
        let shown = plan_with(arguments, &[]);
        assert_eq!((shown.code, shown.out.as_str()), (Some(2), ""), "{arguments}");
        assert_eq!(shown.err, format!("logspool: {error}\n"), "{arguments}");
    }
    // The bounds themselves are within.
    planned("--invocations-per-day 1 --bytes-per-invocation 1 --memory 128 --retention-days 1 --environments 1", &[]);
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("\nlogspool plan ").unwrap();
    let (arguments, rest) = rest.split_once('\n').unwrap();
    let shown = rest.split_once("```text\n").unwrap().1.split_once("```").unwrap().0;
    let printed = planned(arguments, &[]).out;
    assert!(printed.starts_with(shown), "the README shows\n{shown}\nand this is printed:\n{printed}");
}
