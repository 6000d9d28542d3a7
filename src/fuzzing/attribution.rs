//! Whom records belong to, beside the rule written down once more: an id of its own, else the last start.

use crate::intake::{Attribution, Attributor};
use crate::telemetry::event::{EventKind, RecordFacts};

const KINDS: [EventKind; 8] = [
    EventKind::InitStart,
    EventKind::Start,
    EventKind::Function,
    EventKind::RuntimeDone,
    EventKind::Report,
    EventKind::Extension,
    EventKind::OtherPlatform,
    EventKind::Unknown,
];

/// Input: two bytes an event, its kind and its request id.
pub fn attribution(data: &[u8]) {
    let mut attributor = Attributor::new(Attribution::Unattributed);
    let mut in_force: Option<String> = None;
    for event in data.chunks_exact(2) {
        let kind = KINDS[usize::from(event[0]) % KINDS.len()];
        let own = (event[1] % 4 > 0).then(|| event[1].to_string());
        let facts = RecordFacts { request_id: own.as_deref().map(Into::into), ..RecordFacts::default() };
        match kind {
            EventKind::InitStart => in_force = Some("init".into()),
            EventKind::Start if own.is_some() => in_force.clone_from(&own),
            _ => {}
        }
        attributor.observe(kind, &facts);
        assert_eq!(attributor.owner_of(&facts, None).as_str(), own.as_deref().or(in_force.as_deref()));
        // A restart in between changes nothing.
        if event[0] >= 128 {
            attributor = Attributor::new(Attribution::restore(attributor.in_force().as_str().map(str::to_owned)));
        }
    }
}
