//! What is said of an event, or of many that stand for one mark.

use std::time::Duration;

use super::event::{Event, Outcome, What};
use crate::report::text::{bytes, count, counted, duration};

/// The rows of the picture, from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Processes of the extension.
    Lives,
    /// Handlers.
    Invocations,
    /// Held `next`s.
    Held,
    /// Freezes.
    Frozen,
    /// Telemetry bodies.
    Appends,
    /// Seals.
    Seals,
    /// Attempts to upload.
    Uploads,
    /// The curve.
    Spool,
}

impl Lane {
    /// All, from the top.
    pub const ALL: [Self; 8] = [
        Self::Lives,
        Self::Invocations,
        Self::Held,
        Self::Frozen,
        Self::Appends,
        Self::Seals,
        Self::Uploads,
        Self::Spool,
    ];

    /// What stands beside it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Lives => "extension",
            Self::Invocations => "invocations",
            Self::Held => "held next",
            Self::Frozen => "frozen",
            Self::Appends => "appends",
            Self::Seals => "seals",
            Self::Uploads => "uploads",
            Self::Spool => "spool on disk",
        }
    }
}

/// What a mark looks like. The name is its class in the drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Life,
    Init,
    Call,
    CallFailed,
    Held,
    Frozen,
    Append,
    AppendLost,
    Seal,
    Stored,
    There,
    Failed,
    Cut,
    Spool,
    Outage,
    Killed,
    Born,
    Adopted,
    Shutdown,
}

impl Kind {
    /// All, in the order of the legend.
    pub const ALL: [Self; 19] = [
        Self::Life,
        Self::Init,
        Self::Call,
        Self::CallFailed,
        Self::Held,
        Self::Frozen,
        Self::Append,
        Self::AppendLost,
        Self::Seal,
        Self::Stored,
        Self::There,
        Self::Failed,
        Self::Cut,
        Self::Spool,
        Self::Outage,
        Self::Killed,
        Self::Born,
        Self::Adopted,
        Self::Shutdown,
    ];

    /// Its class in the drawing.
    pub fn class(self) -> &'static str {
        match self {
            Self::Life => "life",
            Self::Init => "init",
            Self::Call => "call",
            Self::CallFailed => "call-failed",
            Self::Held => "held",
            Self::Frozen => "frozen",
            Self::Append => "append",
            Self::AppendLost => "append-lost",
            Self::Seal => "seal",
            Self::Stored => "stored",
            Self::There => "there",
            Self::Failed => "failed",
            Self::Cut => "cut",
            Self::Spool => "spool",
            Self::Outage => "outage",
            Self::Killed => "killed",
            Self::Born => "born",
            Self::Adopted => "adopted",
            Self::Shutdown => "shutdown",
        }
    }

    /// What one of them is, in the legend and above its figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Life => "life of the extension",
            Self::Init => "Init",
            Self::Call => "handler",
            Self::CallFailed => "handler that failed",
            Self::Held => "next held for the extension",
            Self::Frozen => "environment frozen",
            Self::Append => "telemetry body acknowledged",
            Self::AppendLost => "telemetry body not answered",
            Self::Seal => "segment sealed",
            Self::Stored => "object stored",
            Self::There => "object was already there (412)",
            Self::Failed => "attempt failed",
            Self::Cut => "attempt cut off by a kill",
            Self::Spool => "bytes in segment files",
            Self::Outage => "S3 refuses connections",
            Self::Killed => "SIGKILL",
            Self::Born => "born again",
            Self::Adopted => "spool adopted",
            Self::Shutdown => "SHUTDOWN",
        }
    }

    /// The row that it stands in; `None` for what runs through all of them.
    pub fn lane(self) -> Option<Lane> {
        match self {
            Self::Life | Self::Init => Some(Lane::Lives),
            Self::Call | Self::CallFailed => Some(Lane::Invocations),
            Self::Held => Some(Lane::Held),
            Self::Frozen => Some(Lane::Frozen),
            Self::Append | Self::AppendLost => Some(Lane::Appends),
            Self::Seal => Some(Lane::Seals),
            Self::Stored | Self::There | Self::Failed | Self::Cut => Some(Lane::Uploads),
            Self::Spool => Some(Lane::Spool),
            Self::Outage | Self::Killed | Self::Born | Self::Adopted | Self::Shutdown => None,
        }
    }
}

/// What a mark stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it looks like.
    pub kind: Kind,
    /// When the first event began.
    pub begin: Duration,
    /// When the last one ended.
    pub end: Duration,
    /// So many events.
    pub count: usize,
    /// Sum of their bytes; of samples of the spool the most.
    pub bytes: u64,
    /// What only a single event has.
    own: Vec<(&'static str, String)>,
}

impl Facts {
    /// Of one event.
    pub fn of(event: &Event) -> Self {
        let (kind, bytes, own) = told(&event.what);
        Self { kind, begin: event.begin, end: event.end, count: 1, bytes, own }
    }

    /// Takes another event of the same kind in.
    pub fn take(&mut self, other: &Self) {
        self.begin = self.begin.min(other.begin);
        self.end = self.end.max(other.end);
        self.count += other.count;
        self.bytes = if self.kind == Kind::Spool { self.bytes.max(other.bytes) } else { self.bytes + other.bytes };
        self.own.clear();
    }

    /// The name, then a line for each figure: `name: value`.
    pub fn text(&self) -> String {
        let mut lines = vec![match self.count {
            1 => self.kind.name().to_owned(),
            many => format!("{} × {}", count(many), self.kind.name()),
        }];
        if self.begin == self.end {
            lines.push(format!("at: {}", duration(self.begin)));
        } else {
            lines.push(format!("from: {}", duration(self.begin)));
            lines.push(format!("to: {}", duration(self.end)));
        }
        if self.begin != self.end && self.count == 1 {
            lines.push(format!("took: {}", duration(self.end.saturating_sub(self.begin))));
        }
        lines.extend(self.own.iter().map(|(name, value)| format!("{name}: {}", one_line(value))));
        if self.bytes > 0 {
            let name = if self.kind == Kind::Spool && self.count > 1 { "at most" } else { "size" };
            lines.push(format!("{name}: {}", bytes(usize::try_from(self.bytes).unwrap_or(usize::MAX))));
        }
        lines.join("\n")
    }
}

/// A value is one line: lines are what the figures are told apart by.
fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

type Own = Vec<(&'static str, String)>;

fn told(what: &What) -> (Kind, u64, Own) {
    match what {
        What::Life { number, ended } => {
            let mut own = vec![("number", number.to_string())];
            own.extend(ended.clone().map(|status| ("ended", status)));
            (Kind::Life, 0, own)
        }
        What::Init => (Kind::Init, 0, Vec::new()),
        What::Invocation { request_id, error } => {
            let kind = if error.is_some() { Kind::CallFailed } else { Kind::Call };
            let mut own = vec![("request", request_id.clone())];
            own.extend(error.clone().map(|error| ("error", error)));
            (kind, 0, own)
        }
        What::Held { request_id } => (Kind::Held, 0, vec![("request", request_id.clone())]),
        What::Frozen => (Kind::Frozen, 0, Vec::new()),
        What::Append { events, bytes, acknowledged } => {
            let kind = if *acknowledged { Kind::Append } else { Kind::AppendLost };
            (kind, *bytes as u64, vec![("events", count(*events))])
        }
        What::Sealed { reason, first, records, bytes } => {
            let range = format!(
                "{first}..={} ({})",
                (first + records).saturating_sub(1),
                counted(records_in(*records), "record")
            );
            (Kind::Seal, *bytes, vec![("by", reason.clone()), ("numbers", range)])
        }
        What::Attempt { outcome, key, bytes, status, error } => {
            let kind = match outcome {
                Outcome::Stored => Kind::Stored,
                Outcome::AlreadyThere => Kind::There,
                Outcome::Failed => Kind::Failed,
                Outcome::Unanswered => Kind::Cut,
            };
            let mut own = Vec::new();
            own.extend(status.map(|status| ("status", status.to_string())));
            own.extend(error.clone().map(|error| ("error", error)));
            own.extend(key.clone().map(|key| ("key", key)));
            (kind, *bytes, own)
        }
        What::Outage => (Kind::Outage, 0, Vec::new()),
        What::Killed => (Kind::Killed, 0, Vec::new()),
        What::Born { number } => (Kind::Born, 0, vec![("life", number.to_string())]),
        What::Adopted { spool, objects, records } => {
            let left =
                format!("{}, {}", counted(records_in(*objects), "object"), counted(records_in(*records), "record"));
            (Kind::Adopted, 0, vec![("spool", spool.clone()), ("left", left)])
        }
        What::Shutdown { reason } => (Kind::Shutdown, 0, vec![("reason", reason.clone())]),
        What::Spooled(bytes) => (Kind::Spool, *bytes, Vec::new()),
    }
}

fn records_in(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
