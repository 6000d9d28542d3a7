//! SnapStart: memory and disk are copied behind Init and brought back to life, each copy in an environment of its own (AWS
//! Lambda Developer Guide, "Improving startup performance with Lambda SnapStart"). The extension is copied by CRIU, as it is, its heap and its descriptors; connections are not. A function of
//! such an environment is told of the restore by its runtime, so it is started anew.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use super::Environment;
use super::extension::Extension;
use super::fault::Fault;
use super::state::State;
use crate::process::Process;
use crate::settings::Settings;
use crate::telemetry::event::milliseconds;
use crate::telemetry::{Status, Subscription};

/// Longest restore, as on Lambda.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest copy of some ten MiB of memory.
const COPY_TIMEOUT: Duration = Duration::from_secs(60);

/// An environment behind Init, of which copies can be brought to life, one at a time: they have the process id, the ports and the
/// paths of the original.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) settings: Arc<Settings>,
    pub(crate) api: SocketAddr,
    pub(crate) tmp: PathBuf,
    extension: Extension,
    subscription: Subscription,
    criu: PathBuf,
    directory: PathBuf,
    pid: Pid,
    /// Where its output went: `pipe:[…]`.
    outputs: [String; 2],
}

impl Snapshot {
    pub(crate) fn extension(&self) -> Extension {
        self.extension.restored()
    }

    fn images(&self) -> PathBuf {
        self.directory.join("memory")
    }

    fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    async fn criu(&self, action: &str, options: &[&str], stdout: Stdio, stderr: Stdio) -> io::Result<()> {
        let mut command = Command::new(&self.criu);
        command.arg(action).arg("--images-dir").arg(self.images()).args(["--tcp-close", "--shell-job", "--file-locks"]);
        command.args(["--link-remap", "--log-file", action]).args(options);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).kill_on_drop(true);
        let status = tokio::time::timeout(COPY_TIMEOUT, command.status()).await.map_err(io::Error::other)??;
        if status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(self.images().join(action)).unwrap_or_default();
        let errors: Vec<_> = log.lines().filter(|line| line.contains("Error")).collect();
        Err(io::Error::other(format!("criu {action}: {status}: {}", errors.join("; "))))
    }
}

impl Environment {
    /// Copies memory and disk; the original ends.
    pub(super) async fn snapshot(&mut self, criu: PathBuf, directory: PathBuf) -> io::Result<Snapshot> {
        let Some(extension) = self.extension.take() else { return Err(io::Error::other("there is no extension")) };
        self.board.change(|state| state.shutting_down = true);
        let pid = Pid::from_raw(extension.pid().cast_signed()).expect("a living process has a positive id");
        let output = |number: u8| {
            let link = fs::read_link(format!("/proc/{}/fd/{number}", extension.pid()))?;
            Ok::<_, io::Error>(link.display().to_string())
        };
        let subscription = self.vitals.subscriptions().pop();
        let snapshot = Snapshot {
            settings: Arc::clone(&self.settings),
            api: self.api,
            tmp: self.tmp.clone(),
            extension: self.board.read(|state| state.extension.clone()).expect("it runs"),
            subscription: subscription.ok_or_else(|| io::Error::other("the extension has not subscribed"))?,
            criu,
            directory,
            pid,
            outputs: [output(1)?, output(2)?],
        };
        fs::create_dir_all(snapshot.images())?;
        let id = pid.as_raw_nonzero().to_string();
        let copied = snapshot.criu("dump", &["--tree", &id], Stdio::null(), Stdio::null()).await;
        extension.signal(Signal::KILL);
        extension.exited().await;
        self.vitals.extension_ended();
        if let Some(runtime) = self.runtime.take() {
            runtime.signal(Signal::KILL);
            runtime.exited().await;
        }
        self.vitals.function_ended();
        copied?;
        copy(&snapshot.tmp, &snapshot.disk())?;
        Ok(snapshot)
    }

    /// Brings a copy to where it waits for an invocation.
    pub(super) async fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        self.telemetry.resume(snapshot.subscription.clone());
        self.vitals.subscribed(snapshot.subscription.clone());
        let begun = self.report_restore_start();
        let result = match timeout_at(begun + RESTORE_TIMEOUT, self.bring_back(snapshot)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::InitTimeout("the copy did not call next".to_owned())),
        };
        self.report_restore_end(begun, result.as_ref().err());
        self.initialized = result.is_ok();
        result
    }

    /// An environment that was not copied goes on as if it was the only copy.
    pub(super) async fn restore_original(&self) -> Result<(), Fault> {
        if !self.board.read(State::waits_for_restore) {
            return Ok(());
        }
        let begun = self.report_restore_start();
        self.board.change(State::restore);
        let result = self.board.reached(|state| state.runtime.is_ready()).await;
        self.report_restore_end(begun, result.as_ref().err());
        result
    }

    fn report_restore_start(&self) -> Instant {
        let settings = &self.settings;
        let record = json!({ "functionName": settings.function_name, "functionVersion": settings.function_version });
        self.telemetry.platform("platform.restoreStart", &record);
        Instant::now()
    }

    fn report_restore_end(&self, begun: Instant, fault: Option<&Fault>) {
        let status = fault.map_or(Status::Success, Fault::status);
        self.telemetry.platform("platform.restoreRuntimeDone", &json!({ "status": status }));
        let metrics = json!({ "durationMs": milliseconds(begun.elapsed()) });
        self.telemetry.platform("platform.restoreReport", &json!({ "status": status, "metrics": metrics }));
    }

    async fn bring_back(&mut self, snapshot: &Snapshot) -> Result<(), Fault> {
        let failed = |error: io::Error| Fault::ExtensionLaunch(format!("the copy could not be restored: {error}"));
        clear(&snapshot.tmp).and_then(|()| copy(&snapshot.disk(), &snapshot.tmp)).map_err(failed)?;
        let revive = async |stdout: OwnedFd, stderr: OwnedFd| {
            let inherited = [format!("fd[1]:{}", snapshot.outputs[0]), format!("fd[2]:{}", snapshot.outputs[1])];
            let options = [
                "--restore-detached",
                "--restore-sibling",
                "--inherit-fd",
                &inherited[0],
                "--inherit-fd",
                &inherited[1],
            ];
            snapshot.criu("restore", &options, stdout.into(), stderr.into()).await
        };
        let (on_death, on_exit) = self.end_of_extension();
        let sinks = [self.extension_sink(), self.extension_sink()];
        let process =
            Process::revive(snapshot.pid, revive, &self.groups, sinks, on_death, on_exit).await.map_err(failed)?;
        let process = Arc::new(process);
        self.vitals.extension_started(Arc::clone(&process));
        self.extension = Some(process);
        self.start_runtime()?;
        self.board.reached(|state| state.runtime.is_ready()).await?;
        self.board.reached(State::extension_is_done).await
    }
}

/// With times, modes and links; the directory itself is made if need be.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let status = std::process::Command::new("cp").arg("--archive").arg(from.join(".")).arg(to).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cp: {status}"))) }
}

fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
