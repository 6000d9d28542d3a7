//! Notes of platform, store and extension become events, each once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sandbox::s3::RequestSeen;
use sandbox::{Happened, Happening, ShutdownReason};

use crate::picture::event::{Event, Outcome, What};
use crate::picture::observed::{Act, Observed};
use crate::picture::said::{self, Said};
use crate::picture::tally::Tally;

const FAILED: &str =
    r#"logspool WARN store=s3://logs waiting=1 error="it is "down" today" An upload failed and is tried again later."#;
const FAILED_AGAIN: &str = r#"logspool DEBUG store=s3://logs waiting=2 error="still down" An upload failed again."#;
const SEALED: &str = "logspool INFO reason=invocation records=12 bytes=345 next=40 A segment was sealed.";
const ADOPTED: &str = "logspool INFO spool=01M8 files=2 rows=1 objects=3 records=42 torn_bytes=0 missing=0 unknown_tail=false A spool of an earlier life was adopted.";

struct Run {
    began: Instant,
    observed: Observed,
}

impl Run {
    fn new(length_ms: u64) -> Self {
        let began = Instant::now();
        let ended = began + Duration::from_millis(length_ms);
        let observed =
            Observed { began, ended, course: Vec::new(), requests: Vec::new(), acts: Vec::new(), samples: Vec::new() };
        Self { began, observed }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    fn happens(mut self, ms: u64, what: Happening) -> Self {
        self.observed.course.push(Happened { at: self.at(ms), what });
        self
    }

    fn says(self, ms: u64, line: &str) -> Self {
        self.happens(ms, Happening::ExtensionSaid(line.to_owned()))
    }

    fn put(mut self, ms: u64, answered: Option<(u64, u16)>) -> Self {
        self.observed.requests.push(RequestSeen {
            method: "PUT".into(),
            bucket: "logs".into(),
            key: format!("object-{ms}"),
            query: String::new(),
            status: answered.map(|(_, status)| status),
            fault: None,
            stored: false,
            if_none_match: true,
            head_bytes: 0,
            body_bytes: 500,
            headers: BTreeMap::new(),
            connection: 0,
            at: self.at(ms),
            answered_at: answered.map(|(ms, _)| self.at(ms)),
        });
        self
    }

    fn events(&self) -> Vec<(u128, u128, What)> {
        let events = self.observed.events();
        assert!(events.is_sorted_by_key(|event| event.begin));
        events.into_iter().map(|Event { begin, end, what }| (begin.as_millis(), end.as_millis(), what)).collect()
    }

    fn attempts(&self) -> Vec<(u128, u128, Outcome, Option<String>)> {
        let attempt = |(begin, end, what)| match what {
            What::Attempt { outcome, error, .. } => Some((begin, end, outcome, error)),
            _ => None,
        };
        self.events().into_iter().filter_map(attempt).collect()
    }
}

#[test]
fn an_invocation_is_a_handler_and_what_is_held_behind_it() {
    let request_id = || "one".to_owned();
    let run = Run::new(500)
        .happens(10, Happening::Invoked { request_id: request_id() })
        .happens(60, Happening::FunctionDone { request_id: request_id(), error: None })
        .happens(95, Happening::ExtensionDone { request_id: request_id() })
        .happens(96, Happening::Frozen)
        .happens(200, Happening::Thawed);
    assert_eq!(
        run.events(),
        [
            (10, 60, What::Invocation { request_id: request_id(), error: None }),
            (60, 95, What::Held { request_id: request_id() }),
            (96, 200, What::Frozen),
        ]
    );
}

#[test]
fn what_is_not_over_goes_to_the_end_and_says_so() {
    let run = Run::new(500)
        .happens(0, Happening::ExtensionStarted)
        .happens(10, Happening::Initialized)
        .happens(20, Happening::Invoked { request_id: "one".into() })
        .happens(30, Happening::BodySent { events: 3, bytes: 99 });
    let error = Some("still running when this was drawn".to_owned());
    assert_eq!(
        run.events(),
        [
            (0, 10, What::Init),
            (0, 500, What::Life { number: 1, ended: None }),
            (20, 500, What::Invocation { request_id: "one".into(), error }),
            (30, 500, What::Append { events: 3, bytes: 99, acknowledged: false }),
        ]
    );
}

#[test]
fn a_kill_ends_a_life_and_the_next_one_is_born_and_adopts() {
    let run = Run::new(500)
        .happens(0, Happening::ExtensionStarted)
        .happens(10, Happening::Initialized)
        .happens(100, Happening::ExtensionEnded("signal: 9 (SIGKILL)".into()))
        .happens(150, Happening::ExtensionStarted)
        .happens(170, Happening::Initialized)
        .says(180, ADOPTED)
        .happens(300, Happening::Shutdown(ShutdownReason::Spindown))
        .happens(320, Happening::ExtensionEnded("exit status: 0".into()));
    let mut run = run;
    run.observed.acts = vec![(run.at(99), Act::Kill)];
    let life = |number, ended: &str| What::Life { number, ended: Some(ended.to_owned()) };
    assert_eq!(
        run.events(),
        [
            (0, 10, What::Init),
            (0, 100, life(1, "signal: 9 (SIGKILL)")),
            (99, 99, What::Killed),
            (150, 150, What::Born { number: 2 }),
            (150, 170, What::Init),
            (150, 320, life(2, "exit status: 0")),
            (180, 180, What::Adopted { spool: "01M8".into(), objects: 3, records: 42 }),
            (300, 320, What::Shutdown { reason: "spindown".into() }),
        ]
    );
}

#[test]
fn an_attempt_that_both_have_noted_is_one() {
    let run = Run::new(500)
        .put(10, Some((12, 200)))
        .put(20, Some((25, 503)))
        .says(26, FAILED)
        .says(40, FAILED_AGAIN)
        .put(50, Some((51, 412)));
    assert_eq!(
        run.attempts(),
        [
            (10, 12, Outcome::Stored, None),
            (20, 25, Outcome::Failed, Some("it is \"down\" today".into())),
            (40, 40, Outcome::Failed, Some("still down".into())),
            (50, 51, Outcome::AlreadyThere, None),
        ]
    );
    let tally = Tally::of(&run.observed.events());
    assert_eq!((tally.attempts, tally.failed, tally.already_there), (4, 2, 1));
}

#[test]
fn an_attempt_that_a_kill_cut_off_is_not_taken_for_a_failure_of_the_next_life() {
    let run = Run::new(500)
        .happens(0, Happening::ExtensionStarted)
        .put(20, None)
        .happens(30, Happening::ExtensionEnded("signal: 9 (SIGKILL)".into()))
        .happens(40, Happening::ExtensionStarted)
        .says(60, FAILED);
    let error = Some("it is \"down\" today".to_owned());
    assert_eq!(run.attempts(), [(20, 30, Outcome::Unanswered, None), (60, 60, Outcome::Failed, error)]);
}

#[test]
fn samples_that_do_not_differ_are_one_step() {
    let mut run = Run::new(500);
    let samples = [(0, 7), (50, 7), (100, 9), (150, 9), (200, 7)];
    run.observed.samples = samples.map(|(ms, bytes)| (run.at(ms), bytes)).to_vec();
    let steps = [(0, 100, What::Spooled(7)), (100, 200, What::Spooled(9)), (200, 500, What::Spooled(7))];
    assert_eq!(run.events(), steps);
}

#[test]
fn an_outage_that_goes_on_goes_to_the_end() {
    let mut run = Run::new(500);
    run.observed.acts =
        vec![(run.at(10), Act::OutageBegins), (run.at(10), Act::OutageEnds), (run.at(400), Act::OutageBegins)];
    assert_eq!(run.events(), [(10, 10, What::Outage), (400, 500, What::Outage)]);
}

#[test]
fn the_extensions_lines_are_read_as_they_are_written() {
    let sealed = Said::Sealed { reason: "invocation".into(), records: 12, bytes: 345, next: 40 };
    assert_eq!(said::read(SEALED), Some(sealed));
    let what = Run::new(9).says(1, SEALED).events().remove(0).2;
    assert_eq!(what, What::Sealed { reason: "invocation".into(), first: 28, records: 12, bytes: 345 });
    for line in [
        "",
        "A segment was sealed.",
        "logspool INFO records=x bytes=1 next=2 A segment was sealed.",
        "logspool INFO An upload failed again.",
    ] {
        assert_eq!(said::read(line), None, "{line}");
    }
}
