//! What the machine is told, and what it asks for.

use spool::{ActiveFacts, SealReason};

use super::drain_policy::InvokePlan;
use crate::deadline::Deadline;
use crate::intake::Observed;
use crate::runtime_api::event::RequestId;
use crate::upload::outgoing::OutgoingId;
use crate::upload::route::Place;
use crate::upload::store::AttemptErrorKind;

/// When something happened, and how the active segment stands then.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// The wall clock, Unix milliseconds. It may be set, in either direction.
    pub wall_ms: i64,
    /// A clock that nobody sets, milliseconds from anywhere. It may stand still while the process is frozen.
    pub monotonic_ms: i64,
    /// What the seal policy decides from.
    pub active: ActiveFacts,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An invocation has begun; `next` is ours to call.
    Invoke {
        /// The invocation.
        request_id: RequestId,
        /// When the function times out, by the wall clock.
        deadline: Deadline,
    },
    /// The environment ends.
    Shutdown {
        /// When the process is killed, by the wall clock.
        deadline: Deadline,
    },
    /// Nobody answers `next` any more.
    PlatformGone,
    /// The telemetry told something.
    Observed(Observed),
    /// The answer to [`Action::Seal`]; what it sealed was [added](Event::Added) before.
    Sealed {
        /// Whether the segment held a record.
        held_records: bool,
    },
    /// An object waits to be delivered.
    Added(Waiting),
    /// An object is not to be delivered any more: it gave way.
    Removed(OutgoingId),
    /// An upload has ended by itself.
    AttemptEnded {
        /// The object.
        id: OutgoingId,
        /// As in [`Action::StartUpload`].
        place: Place,
        /// As in [`Action::StartUpload`].
        attempt: u64,
        /// How it ended.
        result: Result<Arrival, AttemptErrorKind>,
    },
    /// A spool of an earlier life is being read.
    AdoptionBegins,
    /// It was read; what it holds was [added](Event::Added) before.
    AdoptionEnds,
    /// Nothing but time.
    Time,
}

/// How an upload has ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The object is where it should be, or at a fallback.
    Delivered,
    /// It was written to the log of the function, and is kept: nobody knows whether it arrived.
    HandedOn,
}

/// An object that waits to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The object.
    pub id: OutgoingId,
    /// Time of its oldest record, by the wall clock.
    pub oldest_ms: i64,
    /// It holds the last words of an invocation or a life that failed.
    pub is_urgent: bool,
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look whether the spool is where it should be.
    CheckPlace,
    /// Seal the active segment, and answer with [`Event::Sealed`].
    Seal(SealReason),
    /// Write the end of the stream.
    WriteEnd,
    /// Begin an upload, and answer with [`Event::AttemptEnded`] unless it is cancelled.
    StartUpload {
        /// The object.
        id: OutgoingId,
        /// Where it goes.
        place: Place,
        /// Tells attempts of one object apart.
        attempt: u64,
    },
    /// Cancel an upload. It may have ended in the meantime.
    CancelUpload {
        /// The object.
        id: OutgoingId,
        /// As in [`Action::StartUpload`].
        attempt: u64,
    },
    /// Let go of connections that are kept for later.
    CloseConnections,
    /// What was decided for an invocation, for the log.
    Decided(RequestId, InvokePlan),
    /// Ask the platform for the next event.
    CallNext,
    /// End the process.
    Exit,
}
