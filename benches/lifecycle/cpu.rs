//! What the extension's process takes of the processor while handlers run.

use std::fs;
use std::time::Duration;

use sandbox::{ReferenceExtension, Sandbox, Work};

use crate::stage::{invoke_and_freeze, ours, progress, reference};
use crate::table::{heading, median, micros, millis};
use crate::world::World;

const LINES: u32 = 1_000;
const LINE_BYTES: usize = 200;
const HANDLER_MS: u64 = 150;
/// What runs before everything is in place: connections, the first objects, the usual times of handlers and uploads.
const WARM: usize = 8;
/// Nothing is sealed by a rule.
const NEVER: [(&str, &str); 2] = [("DRAIN", "background"), ("SEAL_AGE", "24h")];
const ALWAYS: [(&str, &str); 2] = [("DRAIN", "background"), ("SEAL_INVOCATIONS", "1")];

pub async fn report(invocations: usize) {
    heading("4. CPU of the extension's process, all threads, in the background of handlers of 150 ms (by turns)");
    let rounds = (invocations / 5).max(4);
    if !lines(rounds).await || !uploads(rounds).await {
        println!("         skipped: /proc/PID/task/*/schedstat cannot be read");
    }
    println!(
        "         empty: an extension that answers telemetry with 200 and keeps nothing; per line: between invocations with 1,000 lines\n         \
         of 200 bytes and none, medians, nothing sealed or uploaded; per upload: between a sandbox that seals and uploads after\n         \
         every invocation and one that never does, seal and connection included, plain HTTP"
    );
}

/// CPU per line; whether it could be measured.
async fn lines(rounds: usize) -> bool {
    let world = World::new().await;
    let (mine, empty) = (ours(&world, &NEVER).await, reference(ReferenceExtension::Loops).await);
    let mut samples = [const { Vec::new() }; 4];
    for round in 0..WARM + rounds {
        for (number, (sandbox, lines)) in
            [(&mine, 0), (&empty, 0), (&mine, LINES), (&empty, LINES)].into_iter().enumerate()
        {
            let Some(before) = cpu(sandbox) else { return false };
            let work = Work { lines, line_bytes: LINE_BYTES, sleep_ms: HANDLER_MS, ..Work::default() };
            invoke_and_freeze(sandbox, work).await;
            let Some(after) = cpu(sandbox) else { return false };
            if round >= WARM {
                samples[number].push(after.saturating_sub(before));
            }
        }
        progress("CPU per line", round + 1, WARM + rounds);
    }
    let [mine_without, empty_without, mine_with, empty_with] = samples.map(|mut samples| median(&mut samples));
    let per_line = |with: Duration, without: Duration| micros(with.saturating_sub(without) / LINES);
    println!(
        "{:<10} {:>6} | {:>19} {:>22} {:>12}",
        "", "rounds", "an invocation, ms", "with 1,000 lines, ms", "per line, us"
    );
    for (name, without, with) in [("ours", mine_without, mine_with), ("empty", empty_without, empty_with)] {
        println!(
            "{name:<10} {rounds:>6} | {:>19} {:>22} {:>12}",
            millis(without),
            millis(with),
            per_line(with, without)
        );
    }
    assert_eq!(world.puts(), 0, "nothing was uploaded");
    world.end(&mine).await;
    true
}

/// CPU per upload; whether it could be measured.
async fn uploads(rounds: usize) -> bool {
    let (world, quiet_world) = (World::new().await, World::new().await);
    let (uploading, quiet) = (ours(&world, &ALWAYS).await, ours(&quiet_world, &NEVER).await);
    let round = async || {
        for sandbox in [&uploading, &quiet] {
            invoke_and_freeze(sandbox, Work { sleep_ms: HANDLER_MS, ..Work::default() }).await;
        }
    };
    for _ in 0..WARM {
        round().await;
    }
    let before = (cpu(&uploading), cpu(&quiet), world.puts());
    for done in 1..=rounds {
        round().await;
        progress("CPU per upload", done, rounds);
    }
    let after = (cpu(&uploading), cpu(&quiet), world.puts());
    let taken = |before: Option<Duration>, after: Option<Duration>| Some(after?.saturating_sub(before?));
    let (Some(with), Some(without)) = (taken(before.0, after.0), taken(before.1, after.1)) else { return false };
    let uploads = after.2 - before.2;
    let per = |took: Duration, of: usize| millis(took / u32::try_from(of.max(1)).unwrap_or(u32::MAX));
    println!(
        "{:<10} {:>6} | {:>19} {:>22} {:>12} {:>14}",
        "", "rounds", "an invocation, ms", "with an upload, ms", "PUTs", "per upload, ms"
    );
    println!(
        "{:<10} {rounds:>6} | {:>19} {:>22} {uploads:>12} {:>14}",
        "ours",
        per(without, rounds),
        per(with, rounds),
        per(with.saturating_sub(without), uploads)
    );
    world.end(&uploading).await;
    quiet_world.end(&quiet).await;
    true
}

/// CPU time of the extension so far, of all its threads that live.
fn cpu(sandbox: &Sandbox) -> Option<Duration> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sandbox.extension_pid()?)).ok()?;
    tasks
        .map(|task| {
            let stat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            Some(Duration::from_nanos(stat.split(' ').next()?.parse().ok()?))
        })
        .sum()
}
