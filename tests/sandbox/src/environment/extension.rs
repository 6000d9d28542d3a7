//! The state machine of an external extension, as a plain value.
//!
//! ```text
//! Started --register--> Registered --next--> Ready --(event)--> Running --next--> Ready ...
//! Registered --init/error--> InitError        Registered|Ready|Running --exit/error--> ExitError
//! Running(SHUTDOWN) --exit code 0--> Exited   Running(SHUTDOWN) --any other end--> ShutdownFailed
//! any other end, exit code 0 included         ==> Extension.Crash
//! ```
//!
//! The names of the states are those of `platform.extension`.

use std::process::ExitStatus;

use serde::Deserialize;
use tokio::time::Instant;
use uuid::Uuid;

/// State of the extension, in the words of `platform.extension`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionState {
    /// The process was started.
    Started,
    /// The program could not be executed.
    LaunchError,
    /// `register` was accepted.
    Registered,
    /// Waits in `next`.
    Ready,
    /// Was given an event and has not called `next` since.
    Running,
    /// Reported `init/error`.
    InitError,
    /// Reported `exit/error`.
    ExitError,
    /// Ended well after SHUTDOWN.
    Exited,
    /// Ended badly, or had to be killed, after SHUTDOWN.
    ShutdownFailed,
}

impl ExtensionState {
    /// The state's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::LaunchError => "LaunchError",
            Self::Registered => "Registered",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::InitError => "InitError",
            Self::ExitError => "ExitError",
            Self::Exited => "Exited",
            Self::ShutdownFailed => "ShutdownFailed",
        }
    }
}

/// A lifecycle event that an extension can register for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Lifecycle {
    /// An invocation begins.
    Invoke,
    /// The environment ends.
    Shutdown,
}

impl Lifecycle {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invoke => "INVOKE",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

/// A call that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAllowed {
    pub(crate) from: ExtensionState,
    pub(crate) to: ExtensionState,
}

/// One life of the extension.
#[derive(Debug, Clone)]
pub(crate) struct Extension {
    state: ExtensionState,
    id: Uuid,
    events: Vec<Lifecycle>,
    error_type: Option<String>,
    /// When it last called `next`.
    next_at: Option<Instant>,
}

impl Extension {
    pub(crate) fn new(id: Uuid) -> Self {
        Self { state: ExtensionState::Started, id, events: Vec::new(), error_type: None, next_at: None }
    }

    /// One that had called `next` when it was copied. Its connection is gone, so it calls once more.
    pub(crate) fn restored(&self) -> Self {
        Self { state: ExtensionState::Registered, error_type: None, next_at: None, ..self.clone() }
    }

    pub(crate) fn state(&self) -> ExtensionState {
        self.state
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn events(&self) -> &[Lifecycle] {
        &self.events
    }

    pub(crate) fn wants(&self, event: Lifecycle) -> bool {
        self.events.contains(&event)
    }

    pub(crate) fn error_type(&self) -> Option<&str> {
        self.error_type.as_deref()
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.next_at
    }

    pub(crate) fn has_registered(&self) -> bool {
        !matches!(self.state, ExtensionState::Started | ExtensionState::LaunchError)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == ExtensionState::Ready
    }

    pub(crate) fn launch_failed(&mut self) {
        self.state = ExtensionState::LaunchError;
        self.error_type = Some("Extension.LaunchError".to_owned());
    }

    pub(crate) fn register(&mut self, events: Vec<Lifecycle>) -> Result<Uuid, NotAllowed> {
        self.go(ExtensionState::Registered, &[ExtensionState::Started])?;
        self.events = events;
        Ok(self.id)
    }

    pub(crate) fn next(&mut self, now: Instant) -> Result<(), NotAllowed> {
        self.go(ExtensionState::Ready, &[ExtensionState::Registered, ExtensionState::Running])?;
        self.next_at = Some(now);
        Ok(())
    }

    /// An event leaves for the extension, which waits for it.
    pub(crate) fn deliver(&mut self) -> Result<(), NotAllowed> {
        self.go(ExtensionState::Running, &[ExtensionState::Ready])
    }

    /// The first error is the one that counts; the same call again is accepted and changes nothing.
    pub(crate) fn init_error(&mut self, error_type: &str) -> Result<(), NotAllowed> {
        self.fail(ExtensionState::InitError, &[ExtensionState::Registered], error_type)
    }

    /// As [`Extension::init_error`], for `exit/error`.
    pub(crate) fn exit_error(&mut self, error_type: &str) -> Result<(), NotAllowed> {
        let allowed = [ExtensionState::Registered, ExtensionState::Ready, ExtensionState::Running];
        self.fail(ExtensionState::ExitError, &allowed, error_type)
    }

    /// The process ended after SHUTDOWN. (An end at any other time is a crash and no state of its own.)
    pub(crate) fn exited_at_shutdown(&mut self, status: ExitStatus) {
        if self.state == ExtensionState::Running {
            self.state = if status.success() { ExtensionState::Exited } else { ExtensionState::ShutdownFailed };
        }
    }

    fn fail(&mut self, to: ExtensionState, from: &[ExtensionState], error_type: &str) -> Result<(), NotAllowed> {
        if self.state == to {
            return Ok(());
        }
        self.go(to, from)?;
        self.error_type = Some(error_type.to_owned());
        Ok(())
    }

    fn go(&mut self, to: ExtensionState, from: &[ExtensionState]) -> Result<(), NotAllowed> {
        if !from.contains(&self.state) {
            return Err(NotAllowed { from: self.state, to });
        }
        self.state = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::ExtensionState::{
        ExitError, Exited, InitError, LaunchError, Ready, Registered, Running, ShutdownFailed, Started,
    };
    use super::*;

    const STATES: [ExtensionState; 9] =
        [Started, LaunchError, Registered, Ready, Running, InitError, ExitError, Exited, ShutdownFailed];

    type Call = fn(&mut Extension) -> Result<(), NotAllowed>;
    /// A call by name, with the states that allow it and where they lead.
    type Row<'a> = (&'a str, Call, &'a [(ExtensionState, ExtensionState)]);

    fn extension(state: ExtensionState) -> Extension {
        Extension { state, ..Extension::new(Uuid::nil()) }
    }

    /// Every call in every state: the pairs of the table succeed, all others are refused and change nothing.
    #[test]
    fn each_call_is_allowed_in_exactly_the_documented_states() {
        let table: [Row; 5] = [
            ("register", |it| it.register(vec![]).map(drop), &[(Started, Registered)]),
            ("next", |it| it.next(Instant::now()), &[(Registered, Ready), (Running, Ready)]),
            ("event", Extension::deliver, &[(Ready, Running)]),
            ("init/error", |it| it.init_error("X.Y"), &[(Registered, InitError), (InitError, InitError)]),
            (
                "exit/error",
                |it| it.exit_error("X.Y"),
                &[(Registered, ExitError), (Ready, ExitError), (Running, ExitError), (ExitError, ExitError)],
            ),
        ];
        for (name, call, allowed) in table {
            for from in STATES {
                let mut extension = extension(from);
                let result = call(&mut extension);
                match allowed.iter().find(|(state, _)| *state == from) {
                    Some((_, to)) => {
                        assert_eq!(result, Ok(()), "{name} in {from:?}");
                        assert_eq!(extension.state(), *to, "{name} in {from:?}");
                    }
                    None => {
                        assert!(result.is_err(), "{name} in {from:?}");
                        assert_eq!(extension.state(), from, "{name} in {from:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_reported_error_is_the_one_that_counts() {
        let mut extension = extension(Running);
        extension.exit_error("First.Error").expect("allowed");
        extension.exit_error("Second.Error").expect("accepted");
        assert_eq!(extension.error_type(), Some("First.Error"));
    }

    #[test]
    fn the_end_after_shutdown_is_judged_by_the_exit_code() {
        for (raw, state) in [(0, Exited), (1 << 8, ShutdownFailed), (9, ShutdownFailed)] {
            let mut extension = extension(Running);
            extension.exited_at_shutdown(ExitStatus::from_raw(raw));
            assert_eq!(extension.state(), state);
        }
    }
}
