//! A run of values, with everything in it that can be drawn.

use std::time::Duration;

use crate::picture::event::{Event, Outcome, What};
use crate::picture::{Ending, Lines, Picture, Stored};

/// A key as the demo has it.
pub const KEY: &str = "function=demo/dt=2026-11-23/hour=06/01M83JJT8M80A5G1MBCCH995BQ-000000000000-000000000041-adf59bc7a83fe2f1.ndjson.zst";
/// What must come out as text and as nothing else.
pub const HOSTILE: &str = "</title><script>document.body.dataset.hit=1</script>\"'&<img src=x onerror=alert(1)>";

/// An event of a kind, between two milliseconds.
pub fn event(begin_ms: u64, end_ms: u64, what: What) -> Event {
    Event { begin: Duration::from_millis(begin_ms), end: Duration::from_millis(end_ms), what }
}

/// An attempt to upload.
pub fn attempt(outcome: Outcome, status: Option<u16>, error: Option<&str>) -> What {
    // One that reached no store has no key and no bytes.
    let key = (outcome != Outcome::Failed).then(|| KEY.to_owned());
    let bytes = if key.is_some() { 2_345 } else { 0 };
    What::Attempt { outcome, key, bytes, status, error: error.map(str::to_owned) }
}

/// One of each.
pub fn everything() -> Vec<Event> {
    let request_id = || "6f1c-one".to_owned();
    let sealed = What::Sealed { reason: "invocation".into(), first: 0, records: 42, bytes: 2_345 };
    let adopted = What::Adopted { spool: "01M83JJT8M80A5G1MBCCH995BQ".into(), objects: 3, records: 42 };
    vec![
        event(0, 700, What::Life { number: 1, ended: Some("signal: 9 (SIGKILL)".into()) }),
        event(0, 40, What::Init),
        event(50, 130, What::Invocation { request_id: request_id(), error: None }),
        event(90, 92, What::Append { events: 40, bytes: 9_000, acknowledged: true }),
        event(130, 165, What::Held { request_id: request_id() }),
        event(140, 140, sealed),
        event(145, 160, attempt(Outcome::Stored, Some(200), None)),
        event(170, 290, What::Frozen),
        event(300, 900, What::Outage),
        event(310, 310, attempt(Outcome::Failed, None, Some("connection refused"))),
        event(400, 700, What::Invocation { request_id: HOSTILE.into(), error: Some(HOSTILE.into()) }),
        event(500, 503, What::Append { events: 9, bytes: 90, acknowledged: false }),
        event(600, 700, attempt(Outcome::Unanswered, None, None)),
        event(690, 690, What::Killed),
        event(760, 760, What::Born { number: 2 }),
        event(760, 1_200, What::Life { number: 2, ended: Some("exit status: 0".into()) }),
        event(800, 800, adopted),
        event(950, 960, attempt(Outcome::AlreadyThere, Some(412), None)),
        event(1_100, 1_200, What::Shutdown { reason: "spindown".into() }),
        event(0, 100, What::Spooled(0)),
        event(100, 950, What::Spooled(4_096)),
        event(950, 1_200, What::Spooled(0)),
    ]
}

/// A whole picture of these.
pub fn picture(events: Vec<Event>) -> Picture {
    let lines = Lines {
        function: 12_345,
        platform: 678,
        acknowledged: 12_999,
        delivered: 13_001,
        lost: 7,
        doubled: 8,
        equation: "13,023 emitted = 13,001 delivered + 22 never handed over".into(),
    };
    let stored =
        Stored { key: KEY.into(), lines: 42, raw_bytes: 10_240, stored_bytes: 2_345, seal: "invocation".into() };
    Picture {
        title: "3 invocations".into(),
        ending: Ending::Findings(vec!["7 lines acknowledged and not delivered.".into(), HOSTILE.into()]),
        lines: Some(lines),
        objects: vec![stored],
        events,
    }
}
