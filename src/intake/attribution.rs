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
        match self {
            Self::Init => Some(INIT),
            Self::Invocation(request_id) => Some(&request_id.0),
            Self::Unattributed => None,
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

/// The attribution in force.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// Takes the next event and tells whom it belongs to. One that was cut and is whole only now brings along what was in
    /// force when it began.
    pub fn observe(
        &mut self,
        kind: EventKind,
        facts: &RecordFacts<'_>,
        began_under: Option<&Attribution>,
    ) -> Attribution {
        let own = facts
            .request_id
            .as_deref()
            .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX)
            .map(|id| Attribution::Invocation(RequestId(id.to_owned())));
        match (kind, &own) {
            (EventKind::InitStart, _) => self.in_force = Attribution::Init,
            (EventKind::Start, Some(own)) => self.in_force = own.clone(),
            _ => {}
        }
        own.unwrap_or_else(|| began_under.unwrap_or(&self.in_force).clone())
    }
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

    fn invocation(id: &str) -> Attribution {
        Attribution::Invocation(RequestId(id.into()))
    }

    #[test]
    fn records_belong_to_the_last_start() {
        let mut attributor = Attributor::new(Attribution::Unattributed);
        let mut observe = |kind, facts: RecordFacts<'_>| attributor.observe(kind, &facts, None);
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
        assert_eq!(attributor.observe(EventKind::Function, &facts("z"), None), invocation("z"));
        assert_eq!(attributor.in_force(), &invocation("a"));
        for odd in ["", "x".repeat(REQUEST_ID_BYTES_MAX + 1).as_str()] {
            assert_eq!(attributor.observe(EventKind::Function, &facts(odd), None), invocation("a"));
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
