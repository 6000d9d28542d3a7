//! Whom records belong to, beside the rules written down once more: an id of its own, else the last start; where many run at a time
//! an id of its own, else Init as long as no invocation was told of.

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
    let (mut one, mut many) = (Attributor::new(Attribution::Unattributed), Attributor::of_many());
    let (mut in_force, mut is_init) = (None::<String>, false);
    for event in data.chunks_exact(2) {
        let kind = KINDS[usize::from(event[0]) % KINDS.len()];
        let own = (event[1] % 4 > 0).then(|| event[1].to_string());
        let facts = RecordFacts { request_id: own.as_deref().map(Into::into), ..RecordFacts::default() };
        match kind {
            EventKind::InitStart => in_force = Some("init".into()),
            EventKind::Start if own.is_some() => in_force.clone_from(&own),
            _ => {}
        }
        is_init = kind == EventKind::InitStart || is_init && !matches!(kind, EventKind::Start | EventKind::Report);
        one.observe(kind, &facts);
        assert_eq!(one.owner_of(&facts, None).as_str(), own.as_deref().or(in_force.as_deref()));
        many.observe(kind, &facts);
        assert_eq!(many.owner_of(&facts, None).as_str(), own.as_deref().or(is_init.then_some("init")));
        // A restart in between changes nothing where one runs at a time, and leaves nothing where many do.
        if event[0] >= 128 {
            one = Attributor::new(Attribution::restore(one.told_in_force()));
            (many, is_init) = (Attributor::of_many(), false);
        }
    }
}
