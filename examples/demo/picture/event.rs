//! What was observed in a run, as values. Times count from its beginning.

use std::time::Duration;

/// Something that was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it began, or when it was.
    pub begin: Duration,
    /// When it ended: the same for what has no length.
    pub end: Duration,
    /// What it was.
    pub what: What,
}

/// What can be observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A process of the extension, from its start to its end.
    Life {
        /// Counted from 1.
        number: usize,
        /// How it ended, as far as that was seen.
        ended: Option<String>,
    },
    /// From the start of a life to where extension and function wait for an event.
    Init,
    /// A handler: from the event to the runtime's `next`.
    Invocation {
        /// Its request id.
        request_id: String,
        /// Why it failed, if it did.
        error: Option<String>,
    },
    /// From the end of a handler to the extension's `next`.
    Held {
        /// The request id of the invocation that was held for it.
        request_id: String,
    },
    /// Extension and function were stopped between two invocations.
    Frozen,
    /// A telemetry body, from its sending to its answer.
    Append {
        /// Events in it.
        events: usize,
        /// Its length.
        bytes: usize,
        /// Whether it was answered with success.
        acknowledged: bool,
    },
    /// A segment was sealed.
    Sealed {
        /// Why.
        reason: String,
        /// Number of its first record.
        first: u64,
        /// How many records it holds.
        records: u64,
        /// Length of its object.
        bytes: u64,
    },
    /// An attempt to upload an object.
    Attempt {
        /// What it ended with.
        outcome: Outcome,
        /// The key, if the store saw the request.
        key: Option<String>,
        /// As much of the body as the store took.
        bytes: u64,
        /// Status of the store's answer, if there was one.
        status: Option<u16>,
        /// What the extension said of it.
        error: Option<String>,
    },
    /// The store refused connections.
    Outage,
    /// The extension was killed with SIGKILL.
    Killed,
    /// A life after the first one began.
    Born {
        /// Its number, counted from 1.
        number: usize,
    },
    /// A life has taken over what an earlier one left on the disk.
    Adopted {
        /// Id of the spool.
        spool: String,
        /// Objects that were left in it.
        objects: u64,
        /// Records that were left in it.
        records: u64,
    },
    /// From SHUTDOWN to the end of the extension's process.
    Shutdown {
        /// As the platform names it.
        reason: String,
    },
    /// So many bytes lay in the segment files of the spool, from here to the next sample that differs.
    Spooled(u64),
}

/// What an attempt ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The object is there.
    Stored,
    /// The object was there already (412).
    AlreadyThere,
    /// It is tried again.
    Failed,
    /// Whoever made it was killed before there was an answer.
    Unanswered,
}
