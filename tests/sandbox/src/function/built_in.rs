//! The built-in function: the official Rust runtime around a handler that logs what its payload asks for.

use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lines::Lines;

/// Lines at a rate are written in bursts of so long: a sleep takes its time, too.
const TICK: Duration = Duration::from_millis(2);

/// What one invocation of the built-in function does: first it writes, then it sleeps, then it ends.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Work {
    /// Lines to write. Every line of every invocation differs from all others.
    pub lines: u32,
    /// Bytes of each line, without its newline.
    pub line_bytes: usize,
    /// How many of them a second, evenly, as far as their reader lets it; as fast as it can by default.
    pub lines_per_second: Option<u32>,
    /// Pause behind each line, in milliseconds, in which other invocations of the same process go on.
    pub pause_ms: u64,
    /// With `json`: every line whose number this divides is a raw print, which is no JSON.
    pub raw_every: Option<u32>,
    /// Bytes of one more line, or none.
    pub large_line_bytes: Option<usize>,
    /// Whether to write to stderr instead of stdout.
    pub stderr: bool,
    /// Whether lines are JSON objects.
    pub json: bool,
    /// Whether to report an error in one more line, as Python's runtime does, and end well.
    pub logs_error: bool,
    /// One more line, as it stands, such as a runtime writes about an exception.
    pub says: Option<String>,
    /// Sleep after writing, in milliseconds.
    pub sleep_ms: u64,
    /// How it goes wrong, if it does.
    pub fail: Option<Fail>,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            lines: 5,
            line_bytes: 200,
            lines_per_second: None,
            pause_ms: 0,
            raw_every: None,
            large_line_bytes: None,
            stderr: false,
            json: false,
            logs_error: false,
            says: None,
            sleep_ms: 0,
            fail: None,
        }
    }
}

/// How an invocation of the built-in function goes wrong.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// The handler returns an error.
    Error,
    /// The handler panics; the runtime reports it.
    Panic,
    /// The process exits with code 1.
    Exit,
    /// The handler never returns.
    Timeout,
}

/// The function's own program.
pub(crate) fn run() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(serve()),
        Err(error) => Err(error.into()),
    };
    if let Err(error) = result {
        eprintln!("The built-in function cannot go on: {error}");
    }
    std::process::exit(1);
}

/// One invocation after the other, or as many beside each other as the platform tells.
async fn serve() -> Result<(), lambda_runtime::Error> {
    if std::env::var_os("AWS_LAMBDA_MAX_CONCURRENCY").is_some() {
        lambda_runtime::run_concurrent(service_fn(handle)).await
    } else {
        lambda_runtime::run(service_fn(handle)).await
    }
}

async fn handle(event: LambdaEvent<Work>) -> Result<Value, lambda_runtime::Error> {
    let (work, context) = event.into_parts();
    write(&context.request_id, &work).await?;
    tokio::time::sleep(Duration::from_millis(work.sleep_ms)).await;
    match work.fail {
        None => Ok(json!({ "lines": work.lines, "requestId": context.request_id })),
        Some(Fail::Error) => Err("the payload asked for an error".into()),
        Some(Fail::Panic) => panic!("the payload asked for a panic"),
        Some(Fail::Exit) => std::process::exit(1),
        Some(Fail::Timeout) => std::future::pending().await,
    }
}

async fn write(request_id: &str, work: &Work) -> std::io::Result<()> {
    let [lines, raw] = [work.json, false].map(|json| Lines::new(request_id, json));
    let output: Box<dyn Write + Send> =
        if work.stderr { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) };
    let mut output = BufWriter::new(output);
    let began = Instant::now();
    for number in 0..work.lines {
        if let Some(rate) = work.lines_per_second {
            let due = began + Duration::from_secs(1) * number / rate;
            if due > Instant::now() + TICK {
                output.flush()?;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        let is_raw = work.raw_every.is_some_and(|every| number.is_multiple_of(every));
        writeln!(output, "{}", if is_raw { &raw } else { &lines }.line(number, work.line_bytes))?;
        if work.pause_ms > 0 {
            output.flush()?;
            tokio::time::sleep(Duration::from_millis(work.pause_ms)).await;
        }
    }
    if let Some(bytes) = work.large_line_bytes {
        writeln!(output, "{}", lines.line(work.lines, bytes))?;
    }
    if work.logs_error {
        writeln!(output, "[ERROR] {}", lines.line(work.lines + 1, work.line_bytes))?;
    }
    if let Some(line) = &work.says {
        writeln!(output, "{line}")?;
    }
    output.flush()
}
