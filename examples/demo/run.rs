//! Runs the plan, from Init to SHUTDOWN.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use sandbox::oracle::{self, DeliveredObject, Verdict};
use sandbox::s3::{Fault, StoredObject};
use sandbox::{Category, Entry, Fate, Invocation, InvocationHandle, Ledger, Payload, ShutdownReason, StartError, Work};
use serde_json::json;

use crate::arguments::Arguments;
use crate::picture::observed::{Act, Observed};
use crate::plan::{self, Step};
use crate::progress::Progress;
use crate::report::text::{count, counted};
use crate::samples::Sampler;
use crate::session::{Seen, Session, Unfinished, matters};
use crate::stage::{BUCKET, Stage};

/// What the extension ships by default.
const SHIPPED: &[Category] = &[Category::Platform, Category::Function];
/// A function that logs nothing is killed this long after it began.
const KILL_AT_THE_LATEST: Duration = Duration::from_millis(300);

/// Why a run could not be brought to its end.
#[derive(Debug)]
pub enum RunError {
    /// The machine did not give what it takes: a directory, a port.
    Machine(io::Error),
    /// Init failed.
    Start(StartError),
    /// The objects could not be copied to the directory that was asked for.
    Keep(PathBuf, io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(error) => write!(f, "the stage could not be set: {error}"),
            Self::Start(StartError::Init { fault, extension_output, ledger }) => {
                write!(f, "the function or the extension did not start: {fault}")?;
                for entry in ledger.of_kind("function") {
                    write!(f, "\n  function: {}", entry.event.record)?;
                }
                extension_output
                    .iter()
                    .filter(|line| matters(line))
                    .try_for_each(|line| write!(f, "\n  extension: {line}"))
            }
            Self::Start(error) => error.fmt(f),
            Self::Keep(directory, error) => write!(f, "--keep {}: {error}", directory.display()),
        }
    }
}

impl error::Error for RunError {}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Machine(error)
    }
}

impl From<StartError> for RunError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

/// How far a run came.
pub enum Run {
    /// To its end.
    Finished(Box<Session>),
    /// Until somebody wanted it to stop; with what was seen, if the stage was set.
    Interrupted(Option<Box<Unfinished>>),
}

/// Runs what the arguments ask for, until it is asked to stop. Dropping the future ends everything that it has started.
///
/// # Errors
/// If the stage cannot be set. What fails on it is in the session.
pub async fn run(arguments: &Arguments, extension: &Path, stop: impl Future<Output = ()>) -> Result<Run, RunError> {
    let (began, mut stop) = (Instant::now(), pin!(stop));
    let stage = tokio::select! {
        stage = Stage::set(arguments, extension) => stage?,
        () = &mut stop => return Ok(Run::Interrupted(None)),
    };
    let sampler = arguments.report.is_some().then(|| Sampler::new(stage.spool_root()));
    let mut play = Play {
        stage: &stage,
        is_own_function: arguments.function.is_none(),
        progress: Progress::new(arguments.invocations),
        in_outage: false,
        acts: Vec::new(),
        sampler: sampler.as_ref(),
        ended: None,
        invocations: Vec::new(),
        start_ups: vec![stage.sandbox.extension_init_duration()],
    };
    let played = tokio::select! {
        session = play.perform(plan::steps(arguments)) => Some(session),
        () = &mut stop => None,
        () = sample(sampler.as_ref()) => None,
    };
    let (acts, ended) = (std::mem::take(&mut play.acts), play.ended.unwrap_or_else(Instant::now));
    let observed = |sampler| observed(&stage, [began, ended], acts, sampler);
    match played {
        None => {
            let seen = sampler
                .map(observed)
                .map(|observed| Ok(Box::new(Unfinished { observed, objects: stage.s3.objects(BUCKET)? })));
            Ok(Run::Interrupted(seen.transpose().map_err(RunError::Machine)?))
        }
        Some(session) => {
            let session = Session { observed: sampler.map(observed), ..session? };
            if let Some(directory) = &arguments.keep {
                let kept = stage.keep_objects(&session.objects, directory);
                kept.map_err(|error| RunError::Keep(directory.clone(), error))?;
            }
            Ok(Run::Finished(Box::new(session)))
        }
    }
}

/// For ever.
async fn sample(sampler: Option<&Sampler>) {
    match sampler {
        Some(sampler) => sampler.run().await,
        None => std::future::pending().await,
    }
}

/// Collects what was noted, each by whoever saw it.
fn observed(stage: &Stage, [began, ended]: [Instant; 2], acts: Vec<(Instant, Act)>, sampler: Sampler) -> Observed {
    Observed {
        course: stage.sandbox.course(),
        requests: stage.s3.requests(),
        acts,
        samples: sampler.samples(),
        began,
        ended,
    }
}

/// A run while it goes on.
struct Play<'a> {
    stage: &'a Stage,
    is_own_function: bool,
    progress: Progress,
    in_outage: bool,
    acts: Vec<(Instant, Act)>,
    sampler: Option<&'a Sampler>,
    /// When nothing was left of the environment.
    ended: Option<Instant>,
    invocations: Vec<Seen>,
    start_ups: Vec<Duration>,
}

impl Play<'_> {
    async fn perform(&mut self, steps: Vec<Step>) -> Result<Session, RunError> {
        for step in steps {
            self.step(step).await;
        }
        self.end().await
    }

    fn acts(&mut self, act: Act) {
        self.acts.push((Instant::now(), act));
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::OutageBegins => {
                self.acts(Act::OutageBegins);
                self.stage.s3.faults().set(Fault::RefuseConnections);
                self.in_outage = true;
                self.progress.event("S3 goes down: it refuses connections.");
            }
            Step::OutageEnds => {
                self.stage.s3.faults().clear();
                self.acts(Act::OutageEnds);
                self.in_outage = false;
                self.progress.event("S3 works again.");
            }
            Step::Idle(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Step::Invoke(work) => {
                let invocation = self.stage.sandbox.invoke(self.payload(work)).await;
                self.invoked(invocation, false).await;
            }
            Step::InvokeAndKill(work) => {
                let mut invocation = self.stage.sandbox.invoke_start(self.payload(work));
                self.middle(&mut invocation).await;
                self.acts(Act::Kill);
                self.stage.sandbox.kill_extension().await;
                self.progress.event(&match self.acknowledged_lines(invocation.request_id()).await {
                    0 => "SIGKILL for the extension, in the middle of an invocation.".to_owned(),
                    lines => format!(
                        "SIGKILL for the extension, with {} of this invocation acknowledged.",
                        counted(lines, "line")
                    ),
                });
                self.invoked(invocation.finished().await, true).await;
            }
        }
    }

    /// The built-in function is told what to do, a stranger gets something to print.
    fn payload(&self, work: Work) -> Payload {
        if self.is_own_function {
            return work.into();
        }
        json!({ "invocation": self.invocations.len() + 1, "message": "Hello from the demo." }).into()
    }

    /// The function has begun to log, and the extension has acknowledged some of it.
    async fn middle(&self, invocation: &mut InvocationHandle) {
        let request_id = invocation.request_id().to_owned();
        let acknowledged = self.stage.sandbox.until(|ledger| acknowledged_lines(ledger, &request_id) > 0);
        tokio::select! {
            () = acknowledged => {}
            _ = invocation.response() => {}
            () = tokio::time::sleep(KILL_AT_THE_LATEST) => {}
        }
    }

    async fn invoked(&mut self, invocation: Invocation, killed: bool) {
        if invocation.suppressed_init {
            let start_up = self.stage.sandbox.extension_init_duration();
            self.start_ups.push(start_up);
            self.progress.event("Extension and function are born again, on the same /tmp.");
        }
        self.invocations.push(Seen { invocation, in_outage: self.in_outage, killed });
        let lines = self.lines_so_far().await;
        self.progress.invoked(lines, if self.in_outage { "S3 is down" } else { "" });
    }

    async fn lines_so_far(&self) -> usize {
        let is_line = |entry: &&Entry| entry.event.category == Category::Function;
        self.in_ledger(|ledger| ledger.entries().iter().filter(is_line).count()).await
    }

    async fn acknowledged_lines(&self, request_id: &str) -> usize {
        self.in_ledger(|ledger| acknowledged_lines(ledger, request_id)).await
    }

    /// Counts in place: a snapshot of the ledger would copy every line each time.
    async fn in_ledger(&self, count: impl Fn(&Ledger) -> usize) -> usize {
        let mut counted = 0;
        let at_once = |ledger: &Ledger| {
            counted = count(ledger);
            true
        };
        self.stage.sandbox.until(at_once).await;
        counted
    }

    async fn end(&mut self) -> Result<Session, RunError> {
        self.progress.now("SHUTDOWN");
        let Stage { sandbox, s3, .. } = self.stage;
        let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
        if let Some(sampler) = self.sampler {
            sampler.look();
        }
        self.ended = Some(Instant::now());
        let (ledger, objects) = (sandbox.ledger(), s3.objects(BUCKET)?);
        self.progress.now(&format!("reading {} objects back", count(objects.len())));
        let verdict = judge(&ledger, &objects);
        Ok(Session {
            verdict,
            ledger,
            objects,
            invocations: std::mem::take(&mut self.invocations),
            start_ups: std::mem::take(&mut self.start_ups),
            peak_rss_kib: sandbox.peak_rss_kib(),
            extension_output: sandbox.extension_output(),
            shutdown,
            spools_left: self.stage.spools_left()?,
            observed: None,
        })
    }
}

/// Lines of an invocation that are acknowledged, as far as they name it.
fn acknowledged_lines(ledger: &Ledger, request_id: &str) -> usize {
    let events = ledger.with_fate(Fate::Acknowledged).filter(|event| event.category == Category::Function);
    events.filter(|event| event.record.get().contains(request_id)).count()
}

fn judge(ledger: &Ledger, objects: &[StoredObject]) -> Verdict {
    let delivered: Vec<_> = objects
        .iter()
        .map(|object| DeliveredObject { name: object.key.clone(), bytes: object.bytes.clone() })
        .collect();
    oracle::judge([ledger], &delivered, SHIPPED)
}
