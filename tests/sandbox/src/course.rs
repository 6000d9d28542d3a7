//! The course of an environment: what happened when, for whoever draws it.
//!
//! What is judged stands in the ledger and in the answers to orders; this is the same seen as points in time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::environment::ShutdownReason;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Instant,
    /// What.
    pub what: Happening,
}

/// What can happen in an environment, as the platform sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The extension's process was started: a life begins.
    ExtensionStarted,
    /// Extension and runtime wait for their first event.
    Initialized,
    /// The extension's process is dead and its output read; this was its status.
    ExtensionEnded(String),
    /// The extension wrote a line to stdout or stderr; the time is that of its reading.
    ExtensionSaid(String),
    /// Extension and function were stopped.
    Frozen,
    /// Extension and function go on.
    Thawed,
    /// Extension and function got the event of an invocation.
    Invoked {
        /// Its request id.
        request_id: String,
    },
    /// The runtime called `next`, or the fault struck.
    FunctionDone {
        /// Its request id.
        request_id: String,
        /// Why the invocation failed, if it did.
        error: Option<String>,
    },
    /// The extension has called `next`, too: the invocation is over. Not there for one that ends with a reset.
    ExtensionDone {
        /// Its request id.
        request_id: String,
    },
    /// A telemetry body is on its way. The next one follows when this is answered or given up.
    BodySent {
        /// Events that are whole when it is accepted.
        events: usize,
        /// Length of the body.
        bytes: usize,
    },
    /// The end of that body.
    BodyAnswered {
        /// Whether it was answered with success.
        acknowledged: bool,
    },
    /// A living extension was told that its environment ends.
    Shutdown(ShutdownReason),
}

/// The shared notes of one environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Course(Arc<Mutex<Vec<Happened>>>);

impl Course {
    fn happenings<T>(&self, f: impl FnOnce(&mut Vec<Happened>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn note(&self, what: Happening) {
        self.note_at(Instant::now(), what);
    }

    /// Some things are known a moment after they happened.
    pub(crate) fn note_at(&self, at: Instant, what: Happening) {
        self.happenings(|happenings| happenings.push(Happened { at, what }));
    }

    /// All so far, in the order of their times.
    pub(crate) fn snapshot(&self) -> Vec<Happened> {
        let mut happenings = self.happenings(|happenings| happenings.clone());
        happenings.sort_by_key(|happened| happened.at);
        happenings
    }

    pub(crate) fn extension_output(&self) -> Vec<String> {
        let said = |happened: &Happened| match &happened.what {
            Happening::ExtensionSaid(line) => Some(line.clone()),
            _ => None,
        };
        self.happenings(|happenings| happenings.iter().filter_map(said).collect())
    }
}
