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
    /// Started, and no report seen.
    open: VecDeque<RequestId>,
    /// The function has finished; kept because that may be known before the event of the invocation is.
    done: VecDeque<RequestId>,
    begun_since_seal: u32,
    /// Init was reported, or is over since an invocation has started.
    initialized: bool,
    ended_since_seal: u32,
}

impl Invocations {
    /// Takes what was observed.
    pub fn observe(&mut self, observed: &Observed) {
        match observed {
            Observed::InitReport => self.initialized = true,
            Observed::Start(request_id) => {
                self.initialized = true;
                remember(&mut self.open, request_id);
            }
            Observed::RuntimeDone { request_id, .. } => {
                remember(&mut self.done, request_id);
                self.ended_since_seal = self.ended_since_seal.saturating_add(1);
            }
            Observed::Report(request_id) => self.open.retain(|open| open != request_id),
            Observed::Stored | Observed::Lost => {}
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

    /// Invocations that ended since the last seal.
    pub fn ended_since_seal(&self) -> u32 {
        self.ended_since_seal
    }

    /// Notes an INVOKE. It is ahead of the telemetry: the end of the invocation before may not have been seen yet.
    pub fn begun(&mut self, request_id: &RequestId) {
        remember(&mut self.open, request_id);
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

fn remember(list: &mut VecDeque<RequestId>, request_id: &RequestId) {
    if list.contains(request_id) {
        return;
    }
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(request_id.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> RequestId {
        RequestId(n.to_string())
    }

    fn done(n: usize) -> Observed {
        Observed::RuntimeDone { request_id: id(n), failed: false }
    }

    #[test]
    fn an_end_that_comes_before_its_invocation_is_remembered() {
        let mut invocations = Invocations::default();
        invocations.observe(&Observed::Start(id(1)));
        invocations.observe(&done(1));
        assert!(invocations.is_done(&id(1)) && !invocations.is_done(&id(2)));
        assert!(!invocations.all_reported());
        invocations.observe(&Observed::Report(id(1)));
        assert!(invocations.all_reported());
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
            invocations.observe(&Observed::Start(id(n)));
            invocations.observe(&done(n));
        }
        assert_eq!((invocations.open.len(), invocations.done.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(invocations.is_done(&id(999)));
    }
}
