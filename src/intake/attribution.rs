//! Which invocation a record belongs to: a fold over the events in the order in which they came, without a clock.
//!
//! Text records carry no request id. The rule for functions that run one invocation at a time: what comes after
//! `platform.start` belongs to that invocation until the next start (late records after `platform.runtimeDone` too), what
//! comes after `platform.initStart` to Init. An id in the record itself always wins.

use super::carried::Carried;
use crate::runtime_api::event::RequestId;
use crate::telemetry::event::{EventKind, RecordFacts};

/// Longer ids are none: Lambda's are 36 characters, and the id stands in every line.
const REQUEST_ID_BYTES_MAX: usize = 256;
const INIT: &str = "init";

/// Whom a record belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Attribution {
    /// The start of the environment.
    Init,
    /// An invocation.
    Invocation(RequestId),
    /// Nobody knows.
    #[default]
    Unattributed,
}

impl Attribution {
    /// What stands in a line, and in the meta of an entry.
    pub fn as_str(&self) -> Option<&str> {
        self.owner().as_str()
    }

    /// The same, borrowed.
    pub fn owner(&self) -> Owner<'_> {
        match self {
            Self::Init => Owner::Init,
            Self::Invocation(request_id) => Owner::Invocation(&request_id.0),
            Self::Unattributed => Owner::Unattributed,
        }
    }

    /// Reads what an earlier life left in the meta of its last entry.
    pub fn restore(text: Option<String>) -> Self {
        match text.filter(|text| !text.is_empty()) {
            None => Self::Unattributed,
            Some(text) if text == INIT => Self::Init,
            Some(text) => Self::Invocation(RequestId(text)),
        }
    }
}

/// Whom one record belongs to: an [`Attribution`] that costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The start of the environment.
    Init,
    /// The invocation with that id.
    Invocation(&'a str),
    /// Nobody knows.
    Unattributed,
}

impl<'a> Owner<'a> {
    /// What stands in a line.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Init => Some(INIT),
            Self::Invocation(request_id) => Some(request_id),
            Self::Unattributed => None,
        }
    }

    /// What is kept of it.
    pub fn to_owned(self) -> Attribution {
        match self {
            Self::Init => Attribution::Init,
            Self::Invocation(request_id) => Attribution::Invocation(RequestId(request_id.to_owned())),
            Self::Unattributed => Attribution::Unattributed,
        }
    }
}

/// The attribution in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributor {
    in_force: Attribution,
    /// What is known of the request in force.
    pub(super) carried: Carried,
}

impl Attributor {
    /// Begins with what an earlier life left.
    pub fn new(in_force: Attribution) -> Self {
        Self { in_force, carried: Carried::default() }
    }

    /// What is in force for the next record.
    pub fn in_force(&self) -> &Attribution {
        &self.in_force
    }

    /// Takes the next event.
    pub fn observe(&mut self, kind: EventKind, facts: &RecordFacts<'_>) {
        match (kind, own(facts)) {
            (EventKind::InitStart, _) => self.in_force = Attribution::Init,
            (EventKind::Start, Some(own)) => self.in_force = own.to_owned(),
            _ => {}
        }
    }

    /// Whom the event belongs to that was observed last. One that was cut and is whole only now brings along what was in force
    /// when it began.
    pub fn owner_of<'a>(&'a self, facts: &'a RecordFacts<'_>, began_under: Option<&'a Attribution>) -> Owner<'a> {
        own(facts).unwrap_or_else(|| began_under.unwrap_or(&self.in_force).owner())
    }
}

/// Whom a record names itself.
fn own<'a>(facts: &'a RecordFacts<'_>) -> Option<Owner<'a>> {
    let id = facts.request_id.as_deref()?;
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()).then_some(Owner::Invocation(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(request_id: &str) -> RecordFacts<'_> {
        RecordFacts { request_id: Some(request_id.into()), ..RecordFacts::default() }
    }

    fn none() -> RecordFacts<'static> {
        RecordFacts::default()
    }

    fn observed(attributor: &mut Attributor, kind: EventKind, facts: RecordFacts<'_>) -> Attribution {
        attributor.observe(kind, &facts);
        attributor.owner_of(&facts, None).to_owned()
    }

    fn invocation(id: &str) -> Attribution {
        Attribution::Invocation(RequestId(id.into()))
    }

    #[test]
    fn records_belong_to_the_last_start() {
        let mut attributor = Attributor::new(Attribution::Unattributed);
        let mut observe = |kind, facts: RecordFacts<'_>| observed(&mut attributor, kind, facts);
        assert_eq!(observe(EventKind::Function, none()), Attribution::Unattributed);
        assert_eq!(observe(EventKind::InitStart, none()), Attribution::Init);
        assert_eq!(observe(EventKind::Function, none()), Attribution::Init);
        assert_eq!(observe(EventKind::Start, facts("a")), invocation("a"));
        assert_eq!(observe(EventKind::Function, none()), invocation("a"));
        assert_eq!(observe(EventKind::RuntimeDone, facts("a")), invocation("a"));
        assert_eq!(observe(EventKind::Function, none()), invocation("a"), "late records stay");
        assert_eq!(observe(EventKind::Start, facts("b")), invocation("b"));
        assert_eq!(observe(EventKind::Report, facts("a")), invocation("a"), "a late report keeps its own");
        assert_eq!(observe(EventKind::Function, none()), invocation("b"));
    }

    #[test]
    fn an_id_in_the_record_wins_and_changes_nothing_else() {
        let mut attributor = Attributor::new(invocation("a"));
        assert_eq!(observed(&mut attributor, EventKind::Function, facts("z")), invocation("z"));
        assert_eq!(attributor.in_force(), &invocation("a"));
        for odd in ["", "x".repeat(REQUEST_ID_BYTES_MAX + 1).as_str()] {
            assert_eq!(observed(&mut attributor, EventKind::Function, facts(odd)), invocation("a"));
        }
    }

    #[test]
    fn what_is_in_force_survives_a_restart() {
        for attribution in [Attribution::Init, invocation("a"), Attribution::Unattributed] {
            assert_eq!(Attribution::restore(attribution.as_str().map(str::to_owned)), attribution);
        }
        assert_eq!(Attribution::restore(Some(String::new())), Attribution::Unattributed, "none any more");
    }
}
