//! The end of a life: SIGTERM for the runtime, SHUTDOWN for the extension, SIGKILL for who is late.
//!
//! First the runtime, then the extension; both share one budget. Telemetry goes on meanwhile: the runtime's last lines
//! and the last `platform.report` reach an extension that keeps listening. `/tmp` stays.

use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use tokio::time::{Instant, timeout_at};

use super::extension::Lifecycle;
use super::fault::Fault;
use super::state::NextEvent;
use super::{Environment, epoch_ms};
use crate::course::Happening;
use crate::settings::{RUNTIME_SHUTDOWN_BUDGET, SHUTDOWN_BUDGET};
use crate::telemetry::event::InitPhase;

/// Why an environment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// It was idle for long.
    Spindown,
    /// An invocation took too long.
    Timeout,
    /// Something crashed.
    Failure,
}

impl ShutdownReason {
    /// `shutdownReason`: lower case on the wire, whatever the guide prints.
    fn wire(self) -> &'static str {
        match self {
            Self::Spindown => "spindown",
            Self::Timeout => "timeout",
            Self::Failure => "failure",
        }
    }
}

/// How an environment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// How the extension's process ended; `None` without an extension.
    pub exited: Option<ExitStatus>,
    /// Whether the extension had to be killed at the deadline.
    pub killed_at_deadline: bool,
    /// From the beginning of the shutdown until everything was dead.
    pub took: Duration,
}

impl Environment {
    /// Ends this life and begins the next one on the same `/tmp`.
    pub(super) async fn reset(&mut self, reason: ShutdownReason) -> Result<Shutdown, Fault> {
        let shutdown = self.tear_down(reason, |_| ()).await;
        let result = self.init(InitPhase::Invoke, Instant::now() + self.settings.init_timeout).await;
        if result.is_err() {
            self.tear_down(ShutdownReason::Failure, |_| ()).await;
        }
        result.map(|()| shutdown)
    }

    /// Ends this life. `last_words` are said between the ends of runtime and extension.
    pub(super) async fn tear_down(&mut self, reason: ShutdownReason, last_words: impl FnOnce(&Self)) -> Shutdown {
        let begun = Instant::now();
        let deadline = begun + SHUTDOWN_BUDGET;
        let deadline_ms = epoch_ms(SystemTime::now() + SHUTDOWN_BUDGET);
        self.thaw();
        self.board.change(|state| state.shutting_down = true);

        self.end_runtime(begun + RUNTIME_SHUTDOWN_BUDGET).await;
        last_words(self);
        // The runtime's streams are closed: what they left is due.
        self.telemetry.flush();
        let event = NextEvent::Shutdown { deadline_ms, shutdown_reason: reason.wire() };
        let (exited, killed_at_deadline) = self.end_extension(event, reason, deadline).await;

        self.new_life();
        Shutdown { exited, killed_at_deadline, took: begun.elapsed() }
    }

    /// A runtime gets SIGTERM only if there is an extension; alone it is killed at once.
    async fn end_runtime(&mut self, deadline: Instant) {
        let Some(runtime) = self.runtime.take() else { return };
        if self.board.read(super::State::extension_has_registered) {
            runtime.signal(Signal::TERM);
        } else {
            runtime.signal(Signal::KILL);
        }
        if timeout_at(deadline, runtime.exited()).await.is_err() {
            runtime.signal(Signal::KILL);
            runtime.exited().await;
        }
        self.vitals.function_ended();
    }

    async fn end_extension(
        &mut self,
        event: NextEvent,
        reason: ShutdownReason,
        deadline: Instant,
    ) -> (Option<ExitStatus>, bool) {
        let Some(extension) = self.extension.take() else { return (None, false) };
        if self.board.read(|state| state.extension_wants(Lifecycle::Shutdown)) {
            if extension.is_running() {
                self.vitals.course().note(Happening::Shutdown(reason));
            }
            self.board.change(|state| state.tell_extension(event));
        } else {
            extension.signal(Signal::KILL);
        }
        let late = timeout_at(deadline, extension.exited()).await.is_err();
        if late {
            extension.signal(Signal::KILL);
        }
        let status = extension.exited().await;
        self.vitals.extension_ended();
        (Some(status), late)
    }
}
