//! From what sandbox, S3 server and extension have noted to events: nothing is drawn that is not in here.

use std::time::{Duration, Instant};

use sandbox::s3::RequestSeen;
use sandbox::{Happened, Happening};

use super::event::{Event, Outcome, What};
use super::said::{self, Said};

const SUCCESS: std::ops::Range<u16> = 200..300;
/// `If-None-Match: *` met the object itself.
const PRECONDITION_FAILED: u16 = 412;
const STILL_RUNNING: &str = "still running when this was drawn";

/// What was done to the environment on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The store begins to refuse connections.
    OutageBegins,
    /// The store works again.
    OutageEnds,
    /// The extension gets SIGKILL.
    Kill,
}

/// Everything that was noted of a run, each by whoever saw it.
#[derive(Debug, Clone)]
pub struct Observed {
    /// When the run began.
    pub began: Instant,
    /// When this was collected.
    pub ended: Instant,
    /// The platform's notes, in the order of their times.
    pub course: Vec<Happened>,
    /// The store's notes, in the order of their times.
    pub requests: Vec<RequestSeen>,
    /// What was done on purpose, in the order of the times.
    pub acts: Vec<(Instant, Act)>,
    /// Bytes in the segment files, in the order of the times.
    pub samples: Vec<(Instant, u64)>,
}

impl Observed {
    /// The events, sorted by their beginnings.
    pub fn events(&self) -> Vec<Event> {
        let mut events = Events { began: self.began, last: self.ended, all: Vec::new() };
        events.lives(&self.course);
        events.freezes(&self.course);
        events.invocations(&self.course);
        events.bodies(&self.course);
        events.said(&self.course);
        events.attempts(&self.requests, &self.course);
        events.acts(&self.acts);
        events.samples(&self.samples);
        events.all.sort_by_key(|event| (event.begin, event.end));
        events.all
    }
}

struct Events {
    began: Instant,
    /// Where what has no end is cut off.
    last: Instant,
    all: Vec<Event>,
}

impl Events {
    fn time(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.began)
    }

    fn span(&mut self, begin: Instant, end: Instant, what: What) {
        let (begin, end) = (self.time(begin), self.time(end));
        self.all.push(Event { begin, end: end.max(begin), what });
    }

    fn point(&mut self, at: Instant, what: What) {
        self.span(at, at, what);
    }

    fn lives(&mut self, course: &[Happened]) {
        let mut number = 0;
        for (index, happened) in course.iter().enumerate() {
            let later = &course[index + 1..];
            match &happened.what {
                Happening::ExtensionStarted => {
                    number += 1;
                    if number > 1 {
                        self.point(happened.at, What::Born { number });
                    }
                    let end = end_of_life(later);
                    let ended = end.map(|(_, status)| status.to_owned());
                    self.span(happened.at, end.map_or(self.last, |(at, _)| at), What::Life { number, ended });
                    let initialized = later.iter().find(|later| later.what == Happening::Initialized);
                    let limit = end.map_or(self.last, |(at, _)| at);
                    self.span(happened.at, initialized.map_or(limit, |later| later.at.min(limit)), What::Init);
                }
                Happening::Shutdown(reason) => {
                    let end = end_of_life(later).map_or(self.last, |(at, _)| at);
                    self.span(happened.at, end, What::Shutdown { reason: format!("{reason:?}").to_lowercase() });
                }
                _ => {}
            }
        }
    }

    fn freezes(&mut self, course: &[Happened]) {
        let mut frozen = None;
        for happened in course {
            match happened.what {
                Happening::Frozen => frozen = Some(happened.at),
                Happening::Thawed => {
                    if let Some(begin) = frozen.take() {
                        self.span(begin, happened.at, What::Frozen);
                    }
                }
                _ => {}
            }
        }
        if let Some(begin) = frozen {
            self.span(begin, self.last, What::Frozen);
        }
    }

    fn invocations(&mut self, course: &[Happened]) {
        for (index, happened) in course.iter().enumerate() {
            let Happening::Invoked { request_id } = &happened.what else { continue };
            let later = &course[index + 1..];
            let done = later.iter().find_map(|later| match &later.what {
                Happening::FunctionDone { request_id: id, error } if id == request_id => {
                    Some((later.at, error.clone()))
                }
                _ => None,
            });
            let (end, error) = done.clone().unwrap_or((self.last, Some(STILL_RUNNING.to_owned())));
            self.span(happened.at, end, What::Invocation { request_id: request_id.clone(), error });
            let is_over = |later: &&Happened| matches!(&later.what, Happening::ExtensionDone { request_id: id } if id == request_id);
            if let (Some((begin, _)), Some(over)) = (done, later.iter().find(is_over))
                && over.at > begin
            {
                self.span(begin, over.at, What::Held { request_id: request_id.clone() });
            }
        }
    }

    /// One is on its way at a time, so the next answer is the answer to this one.
    fn bodies(&mut self, course: &[Happened]) {
        let mut sent = None;
        for happened in course {
            match happened.what {
                Happening::BodySent { events, bytes } => sent = Some((happened.at, events, bytes)),
                Happening::BodyAnswered { acknowledged } => {
                    if let Some((begin, events, bytes)) = sent.take() {
                        self.span(begin, happened.at, What::Append { events, bytes, acknowledged });
                    }
                }
                _ => {}
            }
        }
        if let Some((begin, events, bytes)) = sent {
            self.span(begin, self.last, What::Append { events, bytes, acknowledged: false });
        }
    }

    fn said(&mut self, course: &[Happened]) {
        for happened in course {
            let Happening::ExtensionSaid(line) = &happened.what else { continue };
            match said::read(line) {
                Some(Said::Sealed { reason, records, bytes, next }) => {
                    let first = next.saturating_sub(records);
                    self.point(happened.at, What::Sealed { reason, first, records, bytes });
                }
                Some(Said::Adopted { spool, objects, records }) => {
                    self.point(happened.at, What::Adopted { spool, objects, records });
                }
                Some(Said::UploadFailed { .. }) | None => {}
            }
        }
    }

    /// The store sees what reached it, the extension says what failed. A request that the store has not answered with
    /// success and the first word of a failure behind it, in the same life, are the same attempt.
    fn attempts(&mut self, requests: &[RequestSeen], course: &[Happened]) {
        let mut failures: Vec<_> = course.iter().filter_map(failure).collect();
        for request in requests.iter().filter(|request| request.is_put()) {
            let end_of_life = end_of_life_at(course, request.at).unwrap_or(self.last);
            let mut end = request.answered_at;
            let mut error = None;
            let outcome = match request.status {
                Some(status) if SUCCESS.contains(&status) => Outcome::Stored,
                Some(PRECONDITION_FAILED) => Outcome::AlreadyThere,
                status => {
                    let told = failures.iter().position(|(at, _)| (request.at..=end_of_life).contains(at));
                    if let Some((at, words)) = told.map(|index| failures.remove(index)) {
                        end = end.or(Some(at));
                        error = Some(words);
                    }
                    if status.is_none() && error.is_none() { Outcome::Unanswered } else { Outcome::Failed }
                }
            };
            let (key, bytes, status) = (Some(request.key.clone()), request.body_bytes, request.status);
            let what = What::Attempt { outcome, key, bytes, status, error };
            self.span(request.at, end.unwrap_or(end_of_life), what);
        }
        for (at, error) in failures {
            let (outcome, error) = (Outcome::Failed, Some(error));
            self.point(at, What::Attempt { outcome, key: None, bytes: 0, status: None, error });
        }
    }

    fn acts(&mut self, acts: &[(Instant, Act)]) {
        let mut down = None;
        for &(at, act) in acts {
            match act {
                Act::OutageBegins => down = Some(at),
                Act::OutageEnds => {
                    if let Some(begin) = down.take() {
                        self.span(begin, at, What::Outage);
                    }
                }
                Act::Kill => self.point(at, What::Killed),
            }
        }
        if let Some(begin) = down {
            self.span(begin, self.last, What::Outage);
        }
    }

    /// Each holds until the next one that differs.
    fn samples(&mut self, samples: &[(Instant, u64)]) {
        let changes: Vec<_> = samples.chunk_by(|(_, one), (_, other)| one == other).map(|same| same[0]).collect();
        for (index, &(at, bytes)) in changes.iter().enumerate() {
            let end = changes.get(index + 1).map_or(self.last, |&(next, _)| next);
            self.span(at, end, What::Spooled(bytes));
        }
    }
}

fn failure(happened: &Happened) -> Option<(Instant, String)> {
    let Happening::ExtensionSaid(line) = &happened.what else { return None };
    match said::read(line)? {
        Said::UploadFailed { error } => Some((happened.at, error)),
        _ => None,
    }
}

fn end_of_life(course: &[Happened]) -> Option<(Instant, &str)> {
    course.iter().find_map(|happened| match &happened.what {
        Happening::ExtensionEnded(status) => Some((happened.at, status.as_str())),
        _ => None,
    })
}

/// The end of the life that was going on then.
fn end_of_life_at(course: &[Happened], then: Instant) -> Option<Instant> {
    let later = course.partition_point(|happened| happened.at < then);
    end_of_life(&course[later..]).map(|(at, _)| at)
}
