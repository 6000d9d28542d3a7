//! Which invocations are under way, as the telemetry tells: pure.

use std::collections::VecDeque;

use crate::intake::Observed;
use crate::runtime_api::event::RequestId;

/// Invocations that are remembered. One runs at a time; reports come with the next invocation. More only ever wait if their
/// reports were lost.
const REMEMBERED_MAX: usize = 64;

/// What the telemetry has told so far.
#[derive(Debug, Default)]
pub struct Invocations {
    /// Begun, and no report seen; with the time of `platform.start` by the platform's own clock.
    open: VecDeque<(RequestId, Option<i64>)>,
    /// The function has finished; kept because that may be known before the event of the invocation is.
    done: VecDeque<RequestId>,
    /// The function has logged an error.
    erroneous: VecDeque<RequestId>,
    begun_since_seal: u32,
    /// Init was reported, or is over since an invocation has started.
    initialized: bool,
    ended_since_seal: u32,
}

impl Invocations {
    /// Takes what was observed. Returns how long a function took that has finished, in milliseconds: by the times that the
    /// platform gave its events, since they are handed over late when the environment is frozen.
    pub fn observe(&mut self, observed: &Observed) -> Option<i64> {
        match observed {
            Observed::InitReport => self.initialized = true,
            Observed::Start { request_id, at_ms } => {
                self.initialized = true;
                // An invocation that is tried again has the id of the first try.
                self.done.retain(|done| done != request_id);
                self.erroneous.retain(|erroneous| erroneous != request_id);
                self.open(request_id, *at_ms);
            }
            Observed::RuntimeDone { request_id, at_ms, .. } => {
                if !self.is_done(request_id) {
                    keep(&mut self.done, request_id.clone());
                }
                self.ended_since_seal = self.ended_since_seal.saturating_add(1);
                let started_ms = self.open.iter().find(|(open, _)| open == request_id).and_then(|(_, at_ms)| *at_ms);
                return Some((*at_ms)?.saturating_sub(started_ms?));
            }
            Observed::ErrorLogged(request_id) => {
                if !self.erroneous.contains(request_id) {
                    keep(&mut self.erroneous, request_id.clone());
                }
            }
            Observed::Report(request_id) => self.open.retain(|(open, _)| open != request_id),
            Observed::Stored | Observed::Lost => {}
        }
        None
    }

    /// Whether this tells that an invocation has ended in error: by its status, or with an error among its records, some of
    /// which may come after the end. Asked behind [`observe`](Self::observe).
    pub fn ends_in_error(&self, observed: &Observed) -> bool {
        match observed {
            Observed::RuntimeDone { failed, request_id, .. } => *failed || self.erroneous.contains(request_id),
            Observed::ErrorLogged(request_id) => self.is_done(request_id),
            _ => false,
        }
    }

    fn open(&mut self, request_id: &RequestId, at_ms: Option<i64>) {
        match self.open.iter_mut().find(|(open, _)| open == request_id) {
            Some((_, known_ms)) => *known_ms = known_ms.or(at_ms),
            None => keep(&mut self.open, (request_id.clone(), at_ms)),
        }
    }

    /// Whether the function has finished this invocation.
    pub fn is_done(&self, request_id: &RequestId) -> bool {
        self.done.contains(request_id)
    }

    /// Whether the report of every started invocation was seen.
    pub fn all_reported(&self) -> bool {
        self.initialized && self.open.is_empty()
    }

    /// How many entries the lists have.
    pub fn remembered(&self) -> usize {
        self.open.len() + self.done.len() + self.erroneous.len()
    }

    /// Invocations that ended since the last seal.
    pub fn ended_since_seal(&self) -> u32 {
        self.ended_since_seal
    }

    /// Notes an INVOKE. It is ahead of the telemetry: the end of the invocation before may not have been seen yet.
    pub fn begun(&mut self, request_id: &RequestId) {
        self.open(request_id, None);
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

fn keep<T>(list: &mut VecDeque<T>, value: T) {
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> RequestId {
        RequestId(n.to_string())
    }

    fn done(n: usize) -> Observed {
        Observed::RuntimeDone { request_id: id(n), failed: false, at_ms: Some(1_070) }
    }

    #[test]
    fn an_end_that_comes_before_its_invocation_is_remembered() {
        let mut invocations = Invocations::default();
        invocations.observe(&Observed::Start { request_id: id(1), at_ms: Some(1_000) });
        assert_eq!(invocations.observe(&done(1)), Some(70));
        assert!(invocations.is_done(&id(1)) && !invocations.is_done(&id(2)));
        assert!(!invocations.all_reported());
        invocations.observe(&Observed::Report(id(1)));
        assert!(invocations.all_reported());
    }

    #[test]
    fn an_error_among_the_records_makes_an_end_one_in_error() {
        let mut invocations = Invocations::default();
        let mut ends_in_error = |observed: Observed| {
            invocations.observe(&observed);
            invocations.ends_in_error(&observed)
        };
        let start = |n| Observed::Start { request_id: id(n), at_ms: None };
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
    fn lost_reports_do_not_grow_without_bound() {
        let mut invocations = Invocations::default();
        for n in 0..1_000 {
            invocations.observe(&Observed::Start { request_id: id(n), at_ms: None });
            invocations.observe(&Observed::ErrorLogged(id(n)));
            invocations.observe(&done(n));
        }
        let remembered = [invocations.open.len(), invocations.done.len(), invocations.erroneous.len()];
        assert_eq!(remembered, [REMEMBERED_MAX; 3]);
        assert!(invocations.is_done(&id(999)));
    }
}
