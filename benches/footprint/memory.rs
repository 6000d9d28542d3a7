//! The most that a process has had in memory (`VmHWM`), pages of its binary included: idle, with a body of telemetry of 1 MiB, and
//! while a segment of 8 MiB is on its way to the store.

use std::fs;
use std::time::Duration;

use fastrand::Rng;

use crate::built::Built;
use crate::figures::{Figure, Unit};
use crate::start::Stage;

const RUNS: usize = 5;
const MIB: usize = 1024 * 1024;
const SEGMENT_BYTES: usize = 8 * MIB;
const REQUEST: &str = "459921b5-681c-4a96-beb0-81e0aa586026";
/// Whole, since AWS's crate refuses what lacks a member.
const INIT_START: &str =
    r#"{"initializationType":"on-demand","phase":"init","functionName":"it","functionVersion":"$LATEST"}"#;
/// What is behind the first `next` is over by then: manifest, adoption.
const SETTLED: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);

pub async fn compared([ours, empty, least]: &[Built; 3]) -> Vec<Figure> {
    let peaks = [Peaks::of(ours, true).await, Peaks::of(empty, false).await, Peaks::of(least, false).await];
    let of = |figure: fn(&Peaks) -> Option<u64>| peaks.each_ref().map(figure);
    vec![
        Figure::new("peak memory, idle", Unit::Bytes, of(|peaks| peaks.idle)).at_most(8e6),
        Figure::new("peak memory, a body of 1 MiB", Unit::Bytes, of(|peaks| peaks.body)),
        Figure::new("peak memory, uploading 8 MiB", Unit::Bytes, of(|peaks| peaks.upload.or(peaks.body))).at_most(24e6),
        Figure::new("threads at the end", Unit::Count, of(|peaks| peaks.threads)),
    ]
}

/// Bytes, by median of the runs.
struct Peaks {
    idle: Option<u64>,
    body: Option<u64>,
    upload: Option<u64>,
    threads: Option<u64>,
}

impl Peaks {
    async fn of(built: &Built, delivers: bool) -> Self {
        let mut runs = [const { Vec::new() }; 4];
        for _ in 0..RUNS {
            let seen = life(built, delivers).await;
            for (run, seen) in runs.iter_mut().zip(seen) {
                run.extend(seen);
            }
        }
        let [idle, body, upload, threads] = runs.map(|mut run| {
            run.sort_unstable();
            run.get(run.len() / 2).copied()
        });
        Self { idle, body, upload, threads }
    }
}

/// Peaks after each part of a life, and the threads at its end.
async fn life(built: &Built, delivers: bool) -> [Option<u64>; 4] {
    let stage = Stage::new().await;
    let mut process = stage.process(&built.binary);
    process.env("LOGSPOOL_SEAL_SIZE", SEGMENT_BYTES.to_string()).env("LOGSPOOL_SEAL_AGE", "24h");
    let child = process.spawn().expect("it was built for this machine");
    let pid = child.id().expect("it runs");
    stage.platform.until_next(1).await;
    stage.platform.post(format!("[{}]", event("platform.initStart", INIT_START))).await;
    tokio::time::sleep(SETTLED).await;
    let idle = peak(pid);

    stage.platform.invoke(REQUEST, u128::from(u64::MAX >> 12));
    let start = format!(r#"{{"requestId":"{REQUEST}","version":"$LATEST"}}"#);
    stage.platform.post(format!("[{}]", event("platform.start", &start))).await;
    let mut rng = Rng::with_seed(9);
    stage.platform.post(body(&mut rng)).await;
    let with_body = peak(pid);

    let mut uploading = None;
    if delivers {
        for _ in 0..2 * SEGMENT_BYTES / MIB {
            stage.platform.post(body(&mut rng)).await;
            if !stage.s3.requests().is_empty() {
                break;
            }
        }
        let put = stage.s3.requests_until(|requests| requests.iter().any(|request| request.answered_at.is_some()));
        tokio::time::timeout(LIMIT, put).await.expect("a full segment is uploaded");
        let largest = stage.s3.objects("logs").expect("a bucket").iter().map(|object| object.bytes.len()).max();
        assert!(
            largest > Some(SEGMENT_BYTES * 9 / 10),
            "a segment of 8 MiB was uploaded, not one of {largest:?} bytes"
        );
        uploading = peak(pid);
    }
    [idle, with_body, uploading, field(pid, "Threads:")]
}

fn event(kind: &str, record: &str) -> String {
    format!(r#"{{"time":"2026-01-01T00:00:00.000Z","type":"{kind}","record":{record}}}"#)
}

/// 1 MiB of lines that compress as little as text can.
fn body(rng: &mut Rng) -> String {
    const LINE: usize = 1_000;
    let mut out = String::with_capacity(MIB + LINE);
    out.push('[');
    while out.len() < MIB - LINE - 200 {
        let line: String = (0..LINE).map(|_| rng.alphanumeric()).collect();
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&event("function", &format!("\"{line}\"")));
    }
    out.push(']');
    out
}

fn peak(pid: u32) -> Option<u64> {
    Some(field(pid, "VmHWM:")? * 1024)
}

/// A number of `/proc/PID/status` (proc(5)).
fn field(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
