//! Processes of the environment: each leads a group of its own, and no group outlives the sandbox.
//!
//! A group is signalled as a whole, so that a shell or a supervisor in front of the real program makes no difference.
//! [`Groups`] knows every living group. When the sandbox goes, it kills them without the help of the async runtime:
//! SIGKILL also ends what SIGSTOP holds. Should the whole program be killed, the [`Undertaker`] does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setsid, waitid};
use tokio::process::Child;
use tokio::sync::watch;

use crate::capture::{Capture, Sink};
use crate::undertaker::Undertaker;

/// Interval at which the peak of memory is read; what grows after the last reading is not seen.
const MEMORY_READING: Duration = Duration::from_millis(20);

/// Longest wait for killed processes when the sandbox is dropped. SIGKILL takes microseconds, or for ever.
const DEATH_TIMEOUT: Duration = Duration::from_secs(2);

/// A dead process's output is read until its end, but no longer than this: a descendant in another group may hold it.
const OUTPUT_END_TIMEOUT: Duration = Duration::from_secs(1);

/// What to execute.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment of the process.
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) current_dir: Option<PathBuf>,
    /// The user that it runs as, if it is another one.
    pub(crate) user: Option<u32>,
}

/// A living or dead process of the environment.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    started: Instant,
    exit: watch::Receiver<Option<ExitStatus>>,
    outputs: Arc<[Capture; 2]>,
    peak_rss_kib: Arc<AtomicU64>,
}

impl Process {
    /// Starts a program in a group of its own. `on_exit` runs once, after its output was read to the end.
    pub(crate) fn start(
        program: &Program,
        groups: &Groups,
        sinks: [Sink; 2],
        on_death: impl Future<Output = ()> + Send + 'static,
        on_exit: impl FnOnce(ExitStatus) + Send + 'static,
    ) -> io::Result<Self> {
        let (outputs, [stdout, stderr]) = captures(sinks)?;
        let child = spawn(program, stdout, stderr)?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .expect("a child that was not waited for has a positive id");
        Ok(Self::watch(Leader::Started(child), pid, groups, outputs, on_death, on_exit))
    }

    /// Takes a process that `revive` brings to life as a child of this one, with these as stdout and stderr.
    pub(crate) async fn revive(
        pid: Pid,
        revive: impl AsyncFnOnce(OwnedFd, OwnedFd) -> io::Result<()>,
        groups: &Groups,
        sinks: [Sink; 2],
        on_death: impl Future<Output = ()> + Send + 'static,
        on_exit: impl FnOnce(ExitStatus) + Send + 'static,
    ) -> io::Result<Self> {
        let (outputs, [stdout, stderr]) = captures(sinks)?;
        revive(stdout, stderr).await?;
        Ok(Self::watch(Leader::Revived(pid), pid, groups, outputs, on_death, on_exit))
    }

    fn watch(
        leader: Leader,
        pid: Pid,
        groups: &Groups,
        outputs: [Capture; 2],
        on_death: impl Future<Output = ()> + Send + 'static,
        on_exit: impl FnOnce(ExitStatus) + Send + 'static,
    ) -> Self {
        groups.add(pid);
        let outputs = Arc::new(outputs);
        let peak_rss_kib = Arc::new(AtomicU64::new(0));
        let (exited, exit) = watch::channel(None);
        let watcher = Watcher {
            leader,
            pid,
            groups: groups.clone(),
            outputs: Arc::clone(&outputs),
            peak_rss_kib: Arc::clone(&peak_rss_kib),
        };
        tokio::spawn(async move {
            let status = watcher.wait(on_death).await;
            on_exit(status);
            exited.send_replace(Some(status));
        });
        Self { pid, started: Instant::now(), exit, outputs, peak_rss_kib }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Most memory that the process was seen to use (`VmHWM`).
    pub(crate) fn peak_rss_kib(&self) -> u64 {
        self.peak_rss_kib.fetch_max(read_peak_rss_kib(self.pid).unwrap_or(0), Ordering::Relaxed);
        self.peak_rss_kib.load(Ordering::Relaxed)
    }

    /// Whether its end is not known yet.
    pub(crate) fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if self.is_running() {
            send(self.pid, signal);
        }
    }

    /// Waits for the end of the process and of its output.
    pub(crate) async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        let status = exit.wait_for(Option::is_some).await.map(|status| *status);
        status.ok().flatten().expect("the watcher reports the status before it ends")
    }

    /// Returns when everything that the process has written by now was read.
    pub(crate) async fn drain_output(&self) {
        for output in self.outputs.iter() {
            output.drain().await;
        }
    }
}

/// Readers of stdout and stderr, and what the process writes to.
fn captures(sinks: [Sink; 2]) -> io::Result<([Capture; 2], [OwnedFd; 2])> {
    let [stdout, stderr] = sinks.map(Capture::start);
    let ((stdout, stdout_writer), (stderr, stderr_writer)) = (stdout?, stderr?);
    Ok(([stdout, stderr], [stdout_writer, stderr_writer]))
}

fn spawn(program: &Program, stdout: OwnedFd, stderr: OwnedFd) -> io::Result<Child> {
    let mut command = tokio::process::Command::new(&program.path);
    command
        .args(&program.arguments)
        .env_clear()
        .envs(&program.variables)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    // A group of its own, so that all of it can be ended; and a session of its own, since only a whole session can be copied.
    #[expect(unsafe_code, reason = "between fork and exec; one system call, and nothing is allocated")]
    // SAFETY: setsid is safe to call there (signal-safety(7)).
    unsafe {
        command.pre_exec(|| Ok(setsid().map(drop)?));
    }
    if let Some(directory) = &program.current_dir {
        command.current_dir(directory);
    }
    if let Some(user) = program.user {
        command.uid(user).gid(user);
    }
    command.spawn()
}

/// The process that is waited for.
enum Leader {
    Started(Child),
    Revived(Pid),
}

impl Leader {
    async fn wait(&mut self) -> ExitStatus {
        match self {
            Self::Started(child) => child.wait().await.expect("our child can be waited for"),
            Self::Revived(pid) => wait_for(*pid).await,
        }
    }
}

/// Waits for a child that the async runtime does not know, and reaps it.
async fn wait_for(child: Pid) -> ExitStatus {
    let waited = || waitid(WaitId::Pid(child), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    loop {
        match waited().expect("our child can be waited for") {
            Some(status) => {
                let code = status.exit_status().map(|code| code << 8);
                return ExitStatus::from_raw(code.or(status.terminating_signal()).unwrap_or_default());
            }
            None => tokio::time::sleep(MEMORY_READING).await,
        }
    }
}

struct Watcher {
    leader: Leader,
    pid: Pid,
    groups: Groups,
    outputs: Arc<[Capture; 2]>,
    peak_rss_kib: Arc<AtomicU64>,
}

impl Watcher {
    async fn wait(mut self, on_death: impl Future<Output = ()>) -> ExitStatus {
        let mut readings = tokio::time::interval(MEMORY_READING);
        let status = loop {
            tokio::select! {
                status = self.leader.wait() => break status,
                _ = readings.tick() => {
                    self.peak_rss_kib.fetch_max(read_peak_rss_kib(self.pid).unwrap_or(0), Ordering::Relaxed);
                }
            }
        };
        // Its descendants end with the leader; the group keeps its number as long as one of them lives.
        send(self.pid, Signal::KILL);
        self.groups.remove(self.pid);
        on_death.await;
        let _ = tokio::time::timeout(OUTPUT_END_TIMEOUT, async {
            for output in self.outputs.iter() {
                output.ended().await;
            }
        })
        .await;
        status
    }
}

fn send(group: Pid, signal: Signal) {
    // The only error is that nobody is left, and then nothing has to be done.
    let _ = kill_process_group(group, signal);
}

fn read_peak_rss_kib(pid: Pid) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The living process groups of one sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Groups(Arc<Mutex<Living>>);

#[derive(Debug)]
struct Living {
    groups: Vec<Pid>,
    /// `None` when the sandbox goes: a process that starts after that dies at once.
    undertaker: Option<Undertaker>,
}

impl Groups {
    pub(crate) fn new(undertaker: Undertaker) -> Self {
        Self(Arc::new(Mutex::new(Living { groups: Vec::new(), undertaker: Some(undertaker) })))
    }

    fn living<T>(&self, f: impl FnOnce(&mut Living) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, group: Pid) {
        self.living(|living| {
            living.groups.push(group);
            match &mut living.undertaker {
                Some(undertaker) => undertaker.watch(group),
                None => send(group, Signal::KILL),
            }
        });
    }

    fn remove(&self, group: Pid) {
        self.living(|living| {
            living.groups.retain(|&other| other != group);
            if let Some(undertaker) = &mut living.undertaker {
                undertaker.forget(group);
            }
        });
    }

    /// Kills everything that lives or will be started, and waits until the leaders are dead. Blocks; for `Drop`.
    pub(crate) fn kill_all(&self) {
        let (groups, undertaker) = self.living(|living| (living.groups.clone(), living.undertaker.take()));
        for &group in &groups {
            send(group, Signal::KILL);
        }
        let deadline = Instant::now() + DEATH_TIMEOUT;
        while !groups.iter().all(|&group| is_dead(group)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(undertaker);
    }
}

/// Looks without reaping: that is left to the async runtime.
fn is_dead(leader: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(leader), options) {
        Ok(status) => status.is_some(),
        // Reaped already.
        Err(_) => true,
    }
}
