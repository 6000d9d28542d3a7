//! Which invocation a record belongs to: a fold over the events in the order in which they came, without a clock.
//!
//! Text records carry no request id. The rule for functions that run one invocation at a time: what comes after
//! `platform.start` belongs to that invocation until the next start (late records after `platform.runtimeDone` too), what
//! comes after `platform.initStart` to Init. An id in the record itself always wins.
//!
//! Where invocations run at the same time (Lambda Managed Instances) their records interleave, so nothing else counts: a record
//! without an id belongs to nobody. Only Init is alone: what comes after `platform.initStart` belongs to it until the first
//! invocation is told of. An earlier life leaves nothing to go on with.

use super::carried::Carried;
use crate::runtime_api::event::RequestId;
use crate::telemetry::event::{EventKind, RecordFacts};

/// Longer ids are none: Lambda's are 36 characters, and the id stands in every line.
const REQUEST_ID_BYTES_MAX: usize = 256;
const INIT: &str = "init";

/// As many invocations may run at the same time: what one environment of Lambda Managed Instances can be given (AWS Lambda API,
/// `PerExecutionEnvironmentMaxConcurrency`).
pub const CONCURRENCY_MAX: usize = 1_600;

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

/// How many invocations an environment runs at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// One: whatever comes between two starts belongs to the first of them.
    #[default]
    One,
    /// Many: only a record itself can tell.
    Many,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributor {
    concurrency: Concurrency,
    in_force: Attribution,
    /// What is known of the request in force, or of those that run.
    pub(super) carried: Carried,
}

impl Default for Attributor {
    fn default() -> Self {
        Self::new(Attribution::Unattributed)
    }
}

impl Attributor {
    /// One invocation at a time. Begins with what an earlier life left.
    pub fn new(in_force: Attribution) -> Self {
        Self { concurrency: Concurrency::One, in_force, carried: Carried::of_one() }
    }

    /// Many invocations at a time.
    pub fn of_many() -> Self {
        let in_force = Attribution::Unattributed;
        Self { concurrency: Concurrency::Many, in_force, carried: Carried::of_many() }
    }

    /// How many invocations run at the same time.
    pub fn concurrency(&self) -> Concurrency {
        self.concurrency
    }

    /// What is in force for the next record.
    pub fn in_force(&self) -> &Attribution {
        &self.in_force
    }

    /// The same as it stands in the meta of an entry. `None`: nothing to tell, what was in force stays.
    pub fn told_in_force(&self) -> Option<String> {
        match (self.concurrency, self.in_force.as_str()) {
            // Init is over, and no invocation takes its place.
            (Concurrency::Many, None) => Some(String::new()),
            (_, in_force) => in_force.map(str::to_owned),
        }
    }

    /// Takes the next event.
    pub fn observe(&mut self, kind: EventKind, facts: &RecordFacts<'_>) {
        match (self.concurrency, kind, own(facts)) {
            (_, EventKind::InitStart, _) => self.in_force = Attribution::Init,
            (Concurrency::One, EventKind::Start, Some(own)) => self.in_force = own.to_owned(),
            // A start may be lost; what the platform reports has run.
            (Concurrency::Many, EventKind::Start | EventKind::Report, _) => self.in_force = Attribution::Unattributed,
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
    fn where_many_run_at_a_time_only_a_record_itself_can_tell() {
        let rows = [
            ("before everything", EventKind::Function, none(), Attribution::Unattributed),
            ("an id of its own before everything", EventKind::Function, facts("z"), invocation("z")),
            ("Init begins", EventKind::InitStart, none(), Attribution::Init),
            ("in Init", EventKind::Function, none(), Attribution::Init),
            ("an extension in Init", EventKind::Extension, none(), Attribution::Init),
            ("an id of its own ends no Init", EventKind::Function, facts("z"), invocation("z")),
            ("Init is reported", EventKind::InitReport, none(), Attribution::Init),
            ("behind that, before the first start", EventKind::Function, none(), Attribution::Init),
            ("the first start", EventKind::Start, facts("a"), invocation("a")),
            ("text of anybody", EventKind::Function, none(), Attribution::Unattributed),
            ("another start", EventKind::Start, facts("b"), invocation("b")),
            ("of the first", EventKind::Function, facts("a"), invocation("a")),
            ("of the other", EventKind::Function, facts("b"), invocation("b")),
            ("text of anybody", EventKind::Function, none(), Attribution::Unattributed),
            ("the other ends first", EventKind::Report, facts("b"), invocation("b")),
            ("what the platform says to all", EventKind::LogsDropped, none(), Attribution::Unattributed),
            ("late", EventKind::Function, facts("b"), invocation("b")),
            ("the first ends", EventKind::Report, facts("a"), invocation("a")),
            ("text of nobody", EventKind::Extension, none(), Attribution::Unattributed),
            ("Init once more", EventKind::InitStart, none(), Attribution::Init),
            ("a report of which the start is lost", EventKind::Report, facts("c"), invocation("c")),
            ("text of anybody", EventKind::Function, none(), Attribution::Unattributed),
        ];
        let mut attributor = Attributor::of_many();
        for (what, kind, facts, expected) in rows {
            assert_eq!(observed(&mut attributor, kind, facts), expected, "{what}");
            let in_force = attributor.in_force().as_str();
            assert!(matches!(in_force, None | Some(INIT)), "{what}: no invocation is in force");
            assert_eq!(attributor.told_in_force().as_deref(), Some(in_force.unwrap_or_default()), "{what}");
        }
    }

    #[test]
    fn a_record_that_was_cut_belongs_to_what_was_in_force_when_it_began() {
        for (mut attributor, began_under) in
            [(Attributor::new(invocation("b")), invocation("a")), (Attributor::of_many(), Attribution::Init)]
        {
            attributor.observe(EventKind::Function, &none());
            assert_eq!(attributor.owner_of(&none(), Some(&began_under)), began_under.owner());
            attributor.observe(EventKind::Function, &facts("z"));
            assert_eq!(attributor.owner_of(&facts("z"), Some(&began_under)), Owner::Invocation("z"));
        }
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
        assert_eq!(
            Attributor::new(Attribution::Unattributed).told_in_force(),
            None,
            "what is not known replaces nothing"
        );
    }
}
