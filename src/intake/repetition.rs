//! Which body is one that was stored before: pure.
//!
//! The platform offers a body again when it has seen no answer. Two bodies of the same bytes need not be the same body, so
//! only those count of which it is possible that the answer did not arrive; everything else is stored.

use std::collections::VecDeque;

use spool::BodyId;

/// Bodies that are remembered: the platform keeps one or two under way, and offers them again at once.
const REMEMBERED_MAX: usize = 64;
/// Longer `Sequence-Id`s are none: the platform's are 44 characters.
const SEQUENCE_ID_BYTES_MAX: usize = 128;

/// Stored bodies that may come again.
#[derive(Debug, Default)]
pub struct Repetitions {
    unanswered: VecDeque<BodyId>,
    sequence_ids: VecDeque<Box<str>>,
}

impl Repetitions {
    /// Begins with the bodies of an earlier life that had no time to answer, newest last.
    pub fn new(unanswered: VecDeque<BodyId>) -> Self {
        Self { unanswered, sequence_ids: VecDeque::new() }
    }

    /// The answer to a stored body may not have arrived.
    pub fn answer_may_be_lost(&mut self, id: BodyId) {
        remember(&mut self.unanswered, id);
    }

    /// A body was stored.
    pub fn stored(&mut self, sequence_id: Option<&str>) {
        if let Some(sequence_id) = sequence_id.filter(|id| !id.is_empty() && id.len() <= SEQUENCE_ID_BYTES_MAX) {
            remember(&mut self.sequence_ids, sequence_id.into());
        }
    }

    /// Whether a body was stored before. A body comes again once for each answer that is lost.
    pub fn takes(&mut self, id: BodyId, sequence_id: Option<&str>) -> bool {
        if let Some(at) = self.unanswered.iter().position(|unanswered| *unanswered == id) {
            self.unanswered.remove(at);
            return true;
        }
        sequence_id.is_some_and(|sequence_id| self.sequence_ids.iter().any(|stored| **stored == *sequence_id))
    }
}

fn remember<T>(list: &mut VecDeque<T>, value: T) {
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hash: u64) -> BodyId {
        BodyId { hash, bytes: 3 }
    }

    #[test]
    fn only_a_body_without_a_certain_answer_is_known_again() {
        let mut repetitions = Repetitions::new([id(1)].into());
        assert!(repetitions.takes(id(1), None), "of an earlier life");
        assert!(!repetitions.takes(id(1), None), "once");
        assert!(!repetitions.takes(id(2), None));
        repetitions.stored(None);
        assert!(!repetitions.takes(id(2), None), "the same bytes again");
        repetitions.answer_may_be_lost(id(2));
        assert!(!repetitions.takes(BodyId { bytes: 4, ..id(2) }, None));
        assert!(repetitions.takes(id(2), None));
    }

    #[test]
    fn a_sequence_id_that_was_stored_is_known_again() {
        let mut repetitions = Repetitions::default();
        for sequence_id in ["a", "", "b", &"x".repeat(SEQUENCE_ID_BYTES_MAX + 1)] {
            repetitions.stored(Some(sequence_id));
        }
        let mut takes = |sequence_id: &str| repetitions.takes(id(1), Some(sequence_id));
        assert!(takes("a") && takes("b") && takes("a"));
        assert!(!takes("") && !takes("c") && !takes(&"x".repeat(SEQUENCE_ID_BYTES_MAX + 1)));
    }

    #[test]
    fn no_more_than_the_last_ones_are_remembered() {
        let mut repetitions = Repetitions::default();
        for number in 0..=REMEMBERED_MAX as u64 {
            repetitions.answer_may_be_lost(id(number));
            repetitions.stored(Some(&number.to_string()));
        }
        assert_eq!((repetitions.unanswered.len(), repetitions.sequence_ids.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!repetitions.takes(id(0), Some("0")));
        assert!(repetitions.takes(id(1), None) && repetitions.takes(id(1), Some("1")));
    }
}
