//! What time alone decides, where no invocation is told of.

use std::num::NonZeroU32;
use std::time::Duration;

use super::drain_policy::DrainStrategy;
use super::*;

const WALL: i64 = 1_790_000_000_000;

/// A machine that is told of the telemetry and of nothing else; what it asks for is done at once.
struct World {
    machine: Machine,
    now_ms: i64,
    records: u64,
    first_append_ms: Option<i64>,
    /// When which seal was asked for.
    seals: Vec<(i64, SealReason)>,
    place_checks: Vec<i64>,
}

impl World {
    fn new(freezes: bool, invocations: u32) -> Self {
        let seal =
            SealPolicy { invocations: NonZeroU32::new(invocations), age: Duration::from_secs(60), size_bytes: 1 << 22 };
        let drain = DrainPolicy { strategy: DrainStrategy::Adaptive, budget: Duration::from_secs(2), memory_mb: None };
        let retry = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(1), None);
        let policies =
            Policies { seal, drain, retry: retry.expect("a schedule"), route: Route::new(0, false), freezes };
        let at = Moment { wall_ms: WALL, ..Moment::default() };
        let machine = Machine::new(policies, fastrand::Rng::with_seed(1), &at);
        Self { machine, now_ms: 0, records: 0, first_append_ms: None, seals: Vec::new(), place_checks: Vec::new() }
    }

    fn on(&mut self, event: Event) {
        let wall_ms = WALL + self.now_ms;
        let active =
            ActiveFacts { records: self.records, first_append_ms: self.first_append_ms, ..ActiveFacts::default() };
        for action in self.machine.on(event, &Moment { wall_ms, monotonic_ms: self.now_ms, active }) {
            match action {
                Action::Seal(reason) => {
                    self.seals.push((self.now_ms, reason));
                    (self.records, self.first_append_ms) = (0, None);
                    self.on(Event::Sealed { held_records: true });
                }
                Action::CheckPlace => self.place_checks.push(self.now_ms),
                _ => {}
            }
        }
    }

    /// A body with one record that tells this.
    fn body(&mut self, observed: Observed) {
        self.records += 1;
        self.first_append_ms.get_or_insert(WALL + self.now_ms);
        self.on(Event::Observed(observed));
    }

    fn invocation(&mut self, number: u32, failed: bool) {
        let request_id = RequestId(number.to_string());
        self.body(Observed::Start { request_id: request_id.clone(), at_ms: None });
        self.body(Observed::Report { request_id, failed });
    }

    /// Time passes, and the machine is told when it wants to be.
    fn until(&mut self, ms: i64) {
        while self.now_ms < ms {
            self.now_ms = (self.now_ms + self.machine.alarm_in()).min(ms);
            self.on(Event::Time);
        }
    }
}

#[test]
fn reports_alone_seal_after_so_many_invocations_and_time_alone_at_an_age() {
    let mut world = World::new(false, 3);
    (1..=7).for_each(|number| world.invocation(number, false));
    assert_eq!(world.seals, [(0, SealReason::InvocationEnd); 2]);
    world.until(100_000);
    assert_eq!(world.seals[2..], [(60_000, SealReason::Age)]);
}

#[test]
fn where_many_run_at_a_time_those_that_fail_within_a_second_share_an_object() {
    for (freezes, expected) in [(false, vec![0, 1_000, 5_000]), (true, vec![0, 10, 20, 5_000])] {
        let mut world = World::new(freezes, 0);
        for (number, at_ms) in [(1, 0), (2, 10), (3, 20), (4, 5_000)] {
            world.until(at_ms);
            world.invocation(number, true);
        }
        let expected: Vec<_> = expected.into_iter().map(|ms| (ms, SealReason::Error)).collect();
        assert_eq!(world.seals, expected, "freezes: {freezes}");
    }
}

#[test]
fn what_is_sealed_for_another_reason_meanwhile_is_urgent_all_the_same() {
    let mut world = World::new(false, 2);
    world.invocation(1, true);
    world.invocation(2, true);
    world.invocation(3, false);
    assert_eq!(world.seals, [(0, SealReason::Error), (0, SealReason::Error)]);
}

#[test]
fn the_place_of_the_spool_is_looked_at_once_a_second_and_at_every_seal() {
    let mut world = World::new(false, 1);
    world.until(2_500);
    assert_eq!(world.place_checks, [1_000, 2_000]);
    world.invocation(1, false);
    assert_eq!(world.place_checks[2..], [2_500]);
    // However much is told meanwhile.
    for ms in 2_501..4_600 {
        world.now_ms = ms;
        world.on(Event::Observed(Observed::Stored));
    }
    assert_eq!(world.place_checks[3..], [3_500, 4_500]);
}
