//! Events as the platform writes them, and the lines that they are to become.

/// An event, and what its line has to say.
#[derive(Clone, Debug)]
pub struct Event {
    pub envelope: String,
    pub kind: &'static str,
    /// Its record as JSON.
    pub record: String,
    /// The request id of its line.
    pub request_id: Option<String>,
}

impl Event {
    pub fn json(&self) -> String {
        format!("{}{}}}", self.envelope, self.record)
    }
}

/// What the events of a story look like: invocations, one behind the other.
pub fn story(rng: &mut fastrand::Rng) -> Vec<Event> {
    let mut events = Vec::new();
    let mut in_force = None;
    let mut push = |kind: &'static str, record: String, in_force: &mut Option<String>, at: usize| {
        let own = own_request_id(&record);
        match kind {
            "platform.initStart" => *in_force = Some("init".to_owned()),
            "platform.start" => *in_force = own.clone(),
            _ => {}
        }
        let (s, ms) = (at / 1_000, at % 1_000);
        events.push(Event {
            envelope: format!(r#"{{"time":"2026-09-03T14:29:{s:02}.{ms:03}Z","type":"{kind}","record":"#),
            kind,
            record,
            request_id: own.or_else(|| in_force.clone()),
        });
    };
    let mut at = 0;
    push("platform.initStart", r#"{"phase":"init","functionName":"f"}"#.into(), &mut in_force, at);
    for number in 0..rng.usize(1..5) {
        let id = format!("{number:08x}-0000-4000-8000-000000000000");
        push("platform.start", format!(r#"{{"requestId":"{id}","version":"$LATEST"}}"#), &mut in_force, at);
        for _ in 0..rng.usize(0..8) {
            // Often of one millisecond: then the members before the record are those of the one before.
            at += rng.usize(0..3);
            let kind = if rng.u8(..5) == 0 { "extension" } else { "function" };
            push(kind, record(rng, &id, at), &mut in_force, at);
        }
        push("platform.runtimeDone", format!(r#"{{"requestId":"{id}","status":"success"}}"#), &mut in_force, at);
        if rng.bool() {
            push("platform.report", format!(r#"{{"requestId":"{id}","metrics":{{}}}}"#), &mut in_force, at);
        }
    }
    events
}

/// What functions write: text, JSON, and what looks like something of the platform's.
fn record(rng: &mut fastrand::Rng, id: &str, at: usize) -> String {
    let unique = rng.u64(..);
    match rng.u8(..6) {
        0 => format!(r#""line {unique} of text with \" and \\ and \u00e9 and ü""#),
        1 => format!(r#"{{"requestId":"{id}","message":"own id {unique}"}}"#),
        2 => format!(r#"{{"n":{unique},"events":[{{"time":"t","type":"function","record":"x"}},{{"time":"t"}}]}}"#),
        3 => format!(r#"{{"record":{{"record":"{unique}"}},"requestId":"another-{at}"}}"#),
        4 => format!(
            r#""{unique} ,{{\"time\":\"2026\",\"type\":\"platform.start\",\"record\":{{\"requestId\":\"forged\"}}}}]""#
        ),
        _ => format!(r#""{unique} {}""#, "x".repeat(rng.usize(0..300))),
    }
}

/// The id that a record has itself.
pub fn own_request_id(record: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    Some(record.get("requestId")?.as_str()?.to_owned())
}
