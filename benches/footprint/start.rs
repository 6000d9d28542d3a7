//! From exec to the first `next`: what the platform waits for at every cold start.
//!
//! Each run is a process of its own before a [`Platform`] that answers at once, and ends when `next` has come. What a busy machine
//! adds to a run it only adds, so the least of some runs counts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sandbox::s3::S3Server;
use tempfile::TempDir;
use tokio::process::Command as Process;

use crate::built::Built;
use crate::figures::{Figure, Unit};
use crate::platform::Platform;
use crate::trace::{self, Trace};

const RUNS: usize = 5;
/// Valgrind is some fifty times as slow; a run that does not come so far is not counted.
const LIMIT: Duration = Duration::from_secs(120);

/// Words that the loader has to relocate.
pub fn relocations(built: &Built) -> Option<u64> {
    let output =
        Command::new("readelf").args(["--relocs", "--wide"]).arg(&built.binary).env("LC_ALL", "C").output().ok()?;
    Some(trace::relocations(&String::from_utf8_lossy(&output.stdout)))
}

/// Instructions, system calls, files and threads.
pub async fn compared(built: &[Built; 3]) -> Vec<Figure> {
    let (mut taken, mut traces) = ([None; 3], [None; 3]);
    for (number, built) in built.iter().enumerate() {
        taken[number] = instructions(&built.binary).await;
        traces[number] = traced(&built.binary).await;
    }
    let of = |figure: fn(Trace) -> u64| traces.map(|trace| trace.map(figure));
    vec![
        Figure::new("instructions to the first next", Unit::Count, taken).at_most(2.5),
        Figure::new("system calls to the first next", Unit::Count, of(|trace| trace.calls)),
        Figure::new("files opened to the first next", Unit::Count, of(|trace| trace.files)),
        Figure::new("threads at the first next", Unit::Count, of(|trace| trace.threads)),
    ]
}

/// Everything that an extension finds around it.
pub struct Stage {
    pub platform: Platform,
    pub s3: S3Server,
    pub tmp: TempDir,
    _objects: TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        let objects = tempfile::tempdir().expect("a directory");
        let s3 = S3Server::start(objects.path()).await.expect("a store");
        s3.create_bucket("logs").expect("a bucket");
        Self {
            platform: Platform::start().await,
            s3,
            tmp: tempfile::tempdir().expect("a directory"),
            _objects: objects,
        }
    }

    /// A process before this stage. Variables are the same for every binary, so that reading them costs the same.
    pub fn process(&self, program: impl AsRef<std::ffi::OsStr>) -> Process {
        let mut process = Process::new(program);
        process
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("AWS_LAMBDA_RUNTIME_API", self.platform.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", "it")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .env("AWS_REGION", self.s3.region())
            .env("AWS_ACCESS_KEY_ID", self.s3.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", self.s3.secret_access_key())
            .env("AWS_ENDPOINT_URL_S3", self.s3.endpoint())
            .env("LOGSPOOL_DIR", self.tmp.path().join("spool"))
            .env("LOGSPOOL_DESTINATION", "s3://logs/it")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        process
    }
}

/// Until `next` has come once; `None` if the process ends before or takes for ever.
async fn until_first_next(stage: &Stage, child: &mut tokio::process::Child) -> Option<()> {
    tokio::select! {
        () = stage.platform.until_next(1) => Some(()),
        _ = child.wait() => None,
        () = tokio::time::sleep(LIMIT) => None,
    }
}

async fn instructions(binary: &Path) -> Option<u64> {
    let mut least = None;
    for _ in 0..RUNS {
        let stage = Stage::new().await;
        let mut valgrind = stage.process("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(binary);
        let mut child = valgrind.spawn().ok()?;
        until_first_next(&stage, &mut child).await?;
        // Valgrind says what it has counted when its program is terminated.
        terminate(child.id()?);
        let output = child.wait_with_output().await.ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = said.lines().find_map(|line| line.split_once("Collected :"))?.1.trim().parse().ok()?;
        least = Some(least.map_or(collected, |least: u64| least.min(collected)));
    }
    least
}

async fn traced(binary: &Path) -> Option<Trace> {
    let mut least: Option<Trace> = None;
    for _ in 0..RUNS {
        let stage = Stage::new().await;
        let log = stage.tmp.path().join("strace");
        let mut strace = stage.process("strace");
        strace.args(["-f", "-qq", "-s", "48", "-o"]).arg(&log).arg(binary);
        let mut child = strace.spawn().ok()?;
        until_first_next(&stage, &mut child).await?;
        // Strace ends with what it watches, and with nothing else. Each line of its log begins with a process.
        let said = fs::read_to_string(&log).ok()?;
        terminate(said.split(' ').next()?.parse().ok()?);
        child.wait().await.ok()?;
        let trace = Trace::of(&fs::read_to_string(log).ok()?)?;
        least = Some(least.filter(|least| least.calls <= trace.calls).unwrap_or(trace));
    }
    least
}

fn terminate(pid: u32) {
    // One that has ended already is what is wanted.
    let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status();
}
