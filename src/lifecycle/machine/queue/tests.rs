use std::time::Duration;

use spool::{Seqno, SpoolId};

use super::*;

const NOW: i64 = 1_790_000_000_000;
const OWN_WAIT_MS: i64 = 20_000;
const HERE: Place = Place::DESTINATION;

fn id(first: u64) -> OutgoingId {
    OutgoingId { spool: SpoolId::new(NOW, 1), first: Seqno(first) }
}

fn add(queue: &mut Queue, first: u64, is_urgent: bool) {
    queue.add(&Waiting { id: id(first), oldest_ms: 0, is_urgent }, NOW);
}

fn queue(attempts: Option<u32>, ids: &[u64]) -> Queue {
    let policy = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), attempts);
    let mut queue = Queue::new(policy.expect("a schedule"), Route::new(1, false));
    ids.iter().for_each(|first| add(&mut queue, *first, false));
    queue
}

fn fail(queue: &mut Queue, first: u64, kind: AttemptErrorKind) {
    queue.begin(&id(first), NOW);
    queue.failed(&id(first), kind, NOW, OWN_WAIT_MS);
}

fn deliver(queue: &mut Queue, first: u64) {
    queue.begin(&id(first), NOW);
    queue.delivered(&id(first), HERE);
}

#[test]
fn the_last_words_of_what_failed_are_first_then_the_oldest() {
    let mut queue = queue(None, &[5, 3]);
    add(&mut queue, 9, true);
    for first in [9, 3, 5] {
        assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
        deliver(&mut queue, first);
    }
    assert_eq!((queue.candidate(HERE, NOW), queue.len()), (None, 0));
}

#[test]
fn what_runs_is_nobodys_turn() {
    let mut queue = queue(None, &[1, 2]);
    let attempt = queue.begin(&id(1), NOW).attempt;
    assert_eq!(queue.candidate(HERE, NOW), Some(id(2)));
    assert_eq!(queue.flight_of(&id(1)).map(|flight| flight.attempt), Some(attempt));
    assert_eq!(queue.in_flight().count(), 1);
}

#[test]
fn in_an_outage_attempts_go_round_and_afterwards_the_order_is_the_old_one() {
    let mut queue = queue(None, &[1, 2, 3]);
    add(&mut queue, 7, true);
    for first in [7, 1, 2, 3, 7] {
        assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
        fail(&mut queue, first, AttemptErrorKind::Retry);
    }
    deliver(&mut queue, 1);
    for first in [7, 2, 3] {
        assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
        deliver(&mut queue, first);
    }
}

#[test]
fn one_that_fails_while_others_are_delivered_comes_last_and_keeps_nobody_waiting() {
    let mut queue = queue(None, &[1, 2, 3, 4]);
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    deliver(&mut queue, 2);
    assert_eq!(queue.candidate(HERE, NOW), Some(id(1)));
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    deliver(&mut queue, 3);
    assert_eq!(queue.candidate(HERE, NOW), Some(id(4)));
    deliver(&mut queue, 4);
    assert_eq!((queue.candidate(HERE, NOW), queue.oldest_ms(), queue.starved(i64::MAX)), (Some(id(1)), None, None));
}

#[test]
fn an_object_that_cannot_be_read_waits_by_itself() {
    let mut queue = queue(None, &[1, 2]);
    fail(&mut queue, 1, AttemptErrorKind::Body);
    assert_eq!(queue.candidate(HERE, NOW), Some(id(2)));
    deliver(&mut queue, 2);
    assert_eq!((queue.candidate(HERE, NOW), queue.next_not_before_ms(NOW)), (None, Some(NOW + OWN_WAIT_MS)));
    assert_eq!(queue.candidate(HERE, NOW + OWN_WAIT_MS), Some(id(1)));
}

#[test]
fn attempts_may_be_bounded_then_the_fallbacks_turn_has_come_and_then_the_next_lifes() {
    let mut queue = queue(Some(2), &[1, 2]);
    let fallback = Route::new(1, false).next(HERE).expect("a fallback");
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    assert_eq!(queue.candidate(fallback, NOW), None);
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    assert_eq!((queue.candidate(HERE, NOW), queue.candidate(fallback, NOW)), (Some(id(2)), Some(id(1))));
    assert_eq!((queue.place_of(&id(1)), queue.starved(i64::MAX)), (fallback, Some(id(2))), "nobody is held for it");
    deliver(&mut queue, 2);
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    assert_eq!((queue.candidate(fallback, NOW), queue.oldest_ms(), queue.len()), (None, None, 1));
}

#[test]
fn what_a_store_that_is_down_fails_counts_for_all_that_wait_for_it() {
    let mut queue = queue(Some(3), &[1, 2, 3]);
    let fallback = Route::new(1, false).next(HERE).expect("a fallback");
    queue.begin(&id(3), NOW);
    for _ in 0..3 {
        fail(&mut queue, 1, AttemptErrorKind::Retry);
        queue.failed_for_all(&id(1), HERE);
    }
    assert_eq!([1, 2, 3].map(|first| queue.place_of(&id(first))), [fallback, fallback, HERE], "3 may still arrive");
    // There is no place behind the last one: what waits there is given each of its attempts.
    for _ in 0..3 {
        queue.failed_for_all(&id(1), fallback);
    }
    assert_eq!(queue.candidate(fallback, NOW), Some(id(1)));
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    assert_eq!(queue.candidate(fallback, NOW), Some(id(2)));
}

#[test]
fn in_the_last_round_everything_gets_one_more_attempt_at_each_place() {
    let mut queue = queue(Some(1), &[1]);
    let fallback = Route::new(1, false).next(HERE).expect("a fallback");
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    fail(&mut queue, 1, AttemptErrorKind::Retry);
    queue.begin_last_round();
    for place in [HERE, fallback] {
        queue.go_on_to(place);
        assert_eq!(queue.candidate(place, NOW), Some(id(1)));
        assert_eq!(queue.begin(&id(1), NOW).place, place);
        queue.failed(&id(1), AttemptErrorKind::Retry, NOW, OWN_WAIT_MS);
        assert_eq!((queue.candidate(place, NOW), queue.len()), (None, 1));
    }
}

#[test]
fn what_was_written_to_a_place_that_nobody_trusts_goes_on_waiting() {
    let mut queue = queue(None, &[1]);
    let log = Route::new(0, true).next(HERE).expect("a log");
    queue.begin_last_round();
    queue.go_on_to(log);
    queue.begin(&id(1), NOW);
    queue.handed_on(&id(1));
    assert_eq!((queue.candidate(log, NOW), queue.in_flight().count(), queue.len()), (None, 0, 1));
}

#[test]
fn what_a_fallback_takes_says_nothing_about_the_destination() {
    let mut queue = queue(Some(2), &[1, 2]);
    let fallback = Route::new(1, false).next(HERE).expect("a fallback");
    for _ in 0..2 {
        fail(&mut queue, 1, AttemptErrorKind::Retry);
    }
    fail(&mut queue, 2, AttemptErrorKind::Retry);
    queue.begin(&id(1), NOW);
    queue.delivered(&id(1), fallback);
    assert_eq!((queue.deliveries(), queue.len()), (0, 1));
}

#[test]
fn the_last_round_begins_with_what_has_failed_however_often_its_upload_did() {
    let mut queue = queue(None, &[1, 2]);
    add(&mut queue, 7, true);
    for first in [7, 1] {
        fail(&mut queue, first, AttemptErrorKind::Retry);
    }
    queue.begin_last_round();
    for first in [7, 1, 2] {
        assert_eq!(queue.candidate(HERE, NOW), Some(id(first)));
        queue.begin(&id(first), NOW);
    }
}

#[test]
fn one_that_freezes_interrupt_twice_or_that_is_overdue_is_starved() {
    let mut queue = queue(None, &[1, 2]);
    assert_eq!(queue.starved(NOW), None);
    assert_eq!(queue.starved(NOW + 1), Some(id(1)));
    for expected in [None, Some(id(2))] {
        queue.begin(&id(2), NOW);
        queue.interrupted(&id(2));
        assert_eq!(queue.starved(NOW), expected);
    }
}

#[test]
fn a_hanging_attempt_is_begun_anew_once() {
    let mut queue = queue(None, &[1, 2]);
    queue.begin_last_round();
    queue.begin(&id(1), NOW);
    queue.begin(&id(2), NOW + 10);
    let cut = queue.begin_anew(|flight| flight.began_ms <= NOW);
    assert_eq!(cut.iter().map(|flight| flight.id).collect::<Vec<_>>(), [id(1)]);
    assert_eq!(queue.candidate(HERE, NOW), Some(id(1)));
    queue.begin(&id(1), NOW);
    assert_eq!(queue.begin_anew(|flight| flight.began_ms <= NOW), []);
}
