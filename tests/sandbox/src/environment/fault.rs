//! What ends an Init or an invocation against the rules. The first fault is the one that counts.

use std::fmt;

use crate::telemetry::Status;

/// A fault of the environment, with the error types of AWS's daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The extension's program could not be executed.
    ExtensionLaunch(String),
    /// The extension reported `init/error` with this error type.
    ExtensionInit(String),
    /// The extension reported `exit/error` with this error type.
    ExtensionExit(String),
    /// The extension's process ended outside SHUTDOWN, with whatever exit code.
    ExtensionCrash(String),
    /// The function's program could not be executed.
    RuntimeLaunch(String),
    /// The runtime reported `init/error` with this error type.
    RuntimeInit(String),
    /// The runtime's process ended outside SHUTDOWN.
    RuntimeExit(String),
    /// Extension or runtime did not become ready in time.
    InitTimeout(String),
    /// The invocation, the extension's part included, took longer than the function's timeout.
    Timeout(String),
}

impl Fault {
    /// `errorType` of the platform's events.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match self {
            Self::ExtensionLaunch(_) => "Extension.LaunchError",
            Self::ExtensionInit(_) => "Extension.InitError",
            Self::ExtensionExit(_) => "Extension.ExitError",
            Self::ExtensionCrash(_) => "Extension.Crash",
            Self::RuntimeLaunch(_) => "Runtime.InvalidEntrypoint",
            Self::RuntimeInit(error_type) => error_type,
            Self::RuntimeExit(_) => "Runtime.ExitError",
            Self::InitTimeout(_) | Self::Timeout(_) => "Sandbox.Timeout",
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self {
            Self::InitTimeout(_) | Self::Timeout(_) => Status::Timeout,
            _ => Status::Error,
        }
    }

    /// `errorType` as far as events carry it: a timeout is told by the status alone.
    pub(crate) fn reported_type(&self) -> Option<&str> {
        (self.status() == Status::Error).then(|| self.error_type())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExtensionLaunch(error) => write!(f, "the extension could not be started: {error}"),
            Self::ExtensionInit(error) => write!(f, "the extension reported init/error: {error}"),
            Self::ExtensionExit(error) => write!(f, "the extension reported exit/error: {error}"),
            Self::ExtensionCrash(end) => write!(f, "the extension ended outside SHUTDOWN: {end}"),
            Self::RuntimeLaunch(error) => write!(f, "the function could not be started: {error}"),
            Self::RuntimeInit(error) => write!(f, "the runtime reported init/error: {error}"),
            Self::RuntimeExit(end) => write!(f, "the runtime exited: {end}"),
            Self::InitTimeout(missing) => write!(f, "Init timed out: {missing}"),
            Self::Timeout(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}
