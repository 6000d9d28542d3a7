//! Which invocations are under way, as the telemetry tells: pure.
//!
//! An invocation ends once: with its `platform.runtimeDone`, or with its `platform.report` where there is no such event (Lambda
//! Managed Instances) or it was lost.

use std::collections::BTreeMap;

use crate::intake::{CONCURRENCY_MAX, Observed};
use crate::runtime_api::event::RequestId;

/// Invocations that have begun and are not reported. More only ever wait if their reports were lost.
const OPEN_MAX: usize = CONCURRENCY_MAX;
/// Invocations that are over: what is told of them late, or before the event of the invocation, comes within the time in which
/// the platform gathers a body. That is 25 ms, or 250 invocations at ten thousand a second.
const OVER_MAX: usize = 256;
/// How many are remembered at most.
pub const REMEMBERED_MAX: usize = OPEN_MAX + OVER_MAX;

/// What the telemetry has told so far.
#[derive(Debug, Default)]
pub struct Invocations {
    known: BTreeMap<RequestId, Known>,
    /// Begun, and no report seen; the oldest first.
    open: BTreeMap<u64, RequestId>,
    /// All others that are remembered.
    over: BTreeMap<u64, RequestId>,
    places: u64,
    begun_since_seal: u32,
    /// Init was reported, or is over since an invocation has started.
    initialized: bool,
    ended_since_seal: u32,
}

#[derive(Debug, Default)]
struct Known {
    /// Where it stands among those that are open or over.
    place: u64,
    /// The time of `platform.start` by the platform's own clock.
    started_ms: Option<i64>,
    /// The function has finished it. That may be known before the event of the invocation is.
    has_ended: bool,
    /// It was told that it has ended in error.
    has_failed: bool,
    /// The function has logged an error.
    has_erred: bool,
}

/// What an observation means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meaning {
    /// How long a function took that has finished, in milliseconds: by the times that the platform gave its events, since they
    /// are handed over late when the environment is frozen.
    pub handler_ms: Option<i64>,
    /// An invocation has ended in error, and that was not known: by its status, or with an error among its records, some of
    /// which may come after the end.
    pub is_failure: bool,
}

impl Invocations {
    /// Takes what was observed.
    pub fn observe(&mut self, observed: &Observed) -> Meaning {
        match observed {
            Observed::InitReport => self.initialized = true,
            Observed::Start { request_id, at_ms } => {
                self.initialized = true;
                // An invocation that is tried again has the id of the first try.
                let known = self.open(request_id);
                *known = Known { place: known.place, started_ms: at_ms.or(known.started_ms), ..Known::default() };
            }
            Observed::RuntimeDone { request_id, failed, at_ms } => {
                let started_ms = self.known.get(request_id).and_then(|known| known.started_ms);
                let handler_ms = at_ms.zip(started_ms).map(|(at_ms, started_ms)| at_ms.saturating_sub(started_ms));
                return Meaning { handler_ms, is_failure: self.ended(request_id, *failed) };
            }
            Observed::ErrorLogged(request_id) => {
                let known = self.known(request_id);
                known.has_erred = true;
                known.has_failed |= known.has_ended;
                return Meaning { is_failure: known.has_ended, ..Meaning::default() };
            }
            Observed::Report { request_id, failed } => {
                let is_failure = self.ended(request_id, *failed);
                if self.is_open(request_id) {
                    self.file(request_id, false);
                }
                return Meaning { is_failure, ..Meaning::default() };
            }
            Observed::Stored | Observed::Lost => {}
        }
        Meaning::default()
    }

    /// Notes an end, and tells whether it is news that the invocation has failed: on most functions the report repeats what
    /// is known.
    fn ended(&mut self, request_id: &RequestId, failed: bool) -> bool {
        let known = self.known(request_id);
        let is_first = !std::mem::replace(&mut known.has_ended, true);
        let has_failed = failed || is_first && known.has_erred;
        let is_news = has_failed && !std::mem::replace(&mut known.has_failed, true);
        self.ended_since_seal = self.ended_since_seal.saturating_add(u32::from(is_first));
        is_news
    }

    /// What is known of an invocation.
    fn known(&mut self, request_id: &RequestId) -> &mut Known {
        if !self.known.contains_key(request_id) {
            self.file(request_id, false);
        }
        self.known.entry(request_id.clone()).or_default()
    }

    /// The same of one that has begun.
    fn open(&mut self, request_id: &RequestId) -> &mut Known {
        if !self.is_open(request_id) {
            self.file(request_id, true);
        }
        self.known(request_id)
    }

    fn is_open(&self, request_id: &RequestId) -> bool {
        self.known.get(request_id).is_some_and(|known| self.open.contains_key(&known.place))
    }

    /// Puts an invocation among those that are open, or over. The oldest of them gives way.
    fn file(&mut self, request_id: &RequestId, is_open: bool) {
        if let Some(Known { place, .. }) = self.known.get(request_id) {
            self.open.remove(place);
            self.over.remove(place);
        }
        self.places += 1;
        let (list, most) = if is_open { (&mut self.open, OPEN_MAX) } else { (&mut self.over, OVER_MAX) };
        if list.len() >= most
            && let Some((_, oldest)) = list.pop_first()
        {
            self.known.remove(&oldest);
        }
        list.insert(self.places, request_id.clone());
        self.known.entry(request_id.clone()).or_default().place = self.places;
    }

    /// Whether the function has finished this invocation.
    pub fn is_done(&self, request_id: &RequestId) -> bool {
        self.known.get(request_id).is_some_and(|known| known.has_ended)
    }

    /// Whether the report of every started invocation was seen.
    pub fn all_reported(&self) -> bool {
        self.initialized && self.open.is_empty()
    }

    /// How many invocations are remembered.
    pub fn remembered(&self) -> usize {
        self.known.len()
    }

    /// Invocations that ended since the last seal.
    pub fn ended_since_seal(&self) -> u32 {
        self.ended_since_seal
    }

    /// Notes an INVOKE. It is ahead of the telemetry: the end of the invocation before may not have been seen yet.
    pub fn begun(&mut self, request_id: &RequestId) {
        self.open(request_id);
        self.begun_since_seal = self.begun_since_seal.saturating_add(1);
    }

    /// Invocations that will have ended since the last seal when the one that has just begun is over.
    pub fn at_end_since_seal(&self) -> u32 {
        self.begun_since_seal.max(self.ended_since_seal.saturating_add(1))
    }

    /// Notes that the segment was sealed.
    pub fn sealed(&mut self) {
        self.begun_since_seal = 0;
        self.ended_since_seal = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> RequestId {
        RequestId(n.to_string())
    }

    fn start(n: usize) -> Observed {
        Observed::Start { request_id: id(n), at_ms: Some(1_000) }
    }

    fn done(n: usize) -> Observed {
        Observed::RuntimeDone { request_id: id(n), failed: false, at_ms: Some(1_070) }
    }

    fn report(n: usize, failed: bool) -> Observed {
        Observed::Report { request_id: id(n), failed }
    }

    #[test]
    fn an_end_that_comes_before_its_invocation_is_remembered() {
        let mut invocations = Invocations::default();
        invocations.observe(&start(1));
        assert_eq!(invocations.observe(&done(1)).handler_ms, Some(70));
        assert!(invocations.is_done(&id(1)) && !invocations.is_done(&id(2)));
        assert!(!invocations.all_reported());
        invocations.observe(&report(1, false));
        assert!(invocations.all_reported());
    }

    #[test]
    fn an_error_among_the_records_makes_an_end_one_in_error() {
        let mut invocations = Invocations::default();
        let mut ends_in_error = |observed: Observed| invocations.observe(&observed).is_failure;
        assert!(!ends_in_error(start(1)));
        assert!(!ends_in_error(Observed::ErrorLogged(id(1))), "it may still log more");
        assert!(ends_in_error(done(1)));
        assert!(ends_in_error(Observed::ErrorLogged(id(1))), "a late one");
        assert!(!ends_in_error(start(2)));
        assert!(!ends_in_error(done(2)), "an error of another one");
        assert!(!ends_in_error(start(1)));
        assert!(!ends_in_error(Observed::ErrorLogged(id(1))), "a second try, not over yet");
        assert!(!ends_in_error(start(1)));
        assert!(!ends_in_error(done(1)), "a third try, without an error");
        assert!(ends_in_error(Observed::RuntimeDone { request_id: id(3), failed: true, at_ms: None }));
    }

    #[test]
    fn where_nothing_tells_the_end_but_the_report_it_counts_and_may_fail() {
        let mut invocations = Invocations::default();
        let mut ends_in_error = |observed: Observed| invocations.observe(&observed).is_failure;
        for n in 1..=4 {
            assert!(!ends_in_error(start(n)));
        }
        assert!(!ends_in_error(Observed::ErrorLogged(id(2))));
        assert_eq!([1, 2].map(|n| ends_in_error(report(n, false))), [false, true], "the second has logged an error");
        assert!(ends_in_error(Observed::ErrorLogged(id(1))), "a late one");
        assert!(ends_in_error(report(3, true)));
        assert!(ends_in_error(report(9, true)), "its start was lost");
        assert_eq!(invocations.ended_since_seal(), 4);
        assert!(!invocations.all_reported() && invocations.is_done(&id(9)));
        invocations.observe(&report(4, false));
        assert!(invocations.all_reported());
    }

    #[test]
    fn an_invocation_that_has_two_ends_is_counted_once() {
        let failed = |n| Observed::RuntimeDone { request_id: id(n), failed: true, at_ms: None };
        let mut invocations = Invocations::default();
        let mut ends_in_error = |observed: Observed| invocations.observe(&observed).is_failure;
        for (n, done, report, expected) in [
            (1, done(1), report(1, false), [false, false]),
            (2, failed(2), report(2, true), [true, false]),
            // The function was done, and then something else took too long.
            (3, done(3), report(3, true), [false, true]),
            (4, failed(4), report(4, false), [true, false]),
        ] {
            ends_in_error(start(n));
            assert_eq!([done, report].map(&mut ends_in_error), expected, "{n}");
        }
        assert_eq!(invocations.ended_since_seal(), 4);
    }

    #[test]
    fn ends_are_counted_from_seal_to_seal() {
        let mut invocations = Invocations::default();
        invocations.observe(&done(1));
        invocations.observe(&done(2));
        assert_eq!(invocations.ended_since_seal(), 2);
        invocations.sealed();
        assert_eq!(invocations.ended_since_seal(), 0);
    }

    #[test]
    fn an_invocation_whose_end_is_not_seen_yet_counts_as_begun() {
        let mut invocations = Invocations::default();
        invocations.begun(&id(1));
        invocations.observe(&done(1));
        invocations.begun(&id(2));
        invocations.begun(&id(3));
        assert_eq!((invocations.ended_since_seal(), invocations.at_end_since_seal()), (1, 3));
        invocations.sealed();
        invocations.observe(&done(3));
        invocations.begun(&id(4));
        assert_eq!(invocations.at_end_since_seal(), 2);
    }

    #[test]
    fn as_many_run_at_a_time_as_an_environment_may_have() {
        /// `PerExecutionEnvironmentMaxConcurrency` at its highest.
        const CONCURRENCY: usize = 1_600;
        let mut invocations = Invocations::default();
        for n in 0..CONCURRENCY {
            invocations.observe(&start(n));
        }
        invocations.observe(&Observed::ErrorLogged(id(0)));
        // What was done long ago takes no room of those that run.
        for n in CONCURRENCY..CONCURRENCY + 2 * OVER_MAX {
            invocations.observe(&done(n));
        }
        assert!(invocations.observe(&report(0, false)).is_failure, "the oldest is remembered");
        for n in 1..CONCURRENCY {
            invocations.observe(&report(n, false));
        }
        assert!(invocations.all_reported());
    }

    #[test]
    fn lost_reports_do_not_grow_without_bound() {
        let mut invocations = Invocations::default();
        for n in 0..10_000 {
            invocations.observe(&start(n));
            invocations.observe(&Observed::ErrorLogged(id(n)));
            invocations.observe(&done(n));
            invocations.observe(&done(n + 20_000));
        }
        assert_eq!((invocations.open.len(), invocations.over.len()), (OPEN_MAX, OVER_MAX));
        assert_eq!(invocations.remembered(), REMEMBERED_MAX);
        assert!(invocations.is_done(&id(9_999)));
    }
}
