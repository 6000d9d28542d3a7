//! What kind of world a seed makes.

use std::num::NonZeroU32;
use std::time::Duration;

use logspool::lifecycle::machine::Policies;
use logspool::lifecycle::machine::drain_policy::{DrainPolicy, DrainStrategy};
use logspool::lifecycle::machine::seal_policy::SealPolicy;
use logspool::upload::retry::RetryPolicy;
use logspool::upload::route::Route;

use super::store::Mood;
use logspool::upload::store::AttemptErrorKind;

/// How long something usually takes, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times(i64, i64);

impl Times {
    pub fn draw(self, rng: &mut fastrand::Rng) -> i64 {
        rng.i64(self.0..=self.1)
    }
}

#[derive(Debug)]
pub struct Profile {
    pub policies: Policies,
    /// Invocations before the world calms down.
    pub invocations: u32,
    pub handlers: Times,
    pub gaps: Times,
    pub timeout_ms: i64,
    pub freezes: bool,
    /// Invocations run beside each other, and the process is told of none: nothing but telemetry and time drives it.
    pub managed: bool,
    /// The monotonic clock stands still while the process is frozen.
    pub monotonic_stops: bool,
    /// Chances in a thousand, of an invocation each.
    pub kills: u32,
    pub shutdowns: u32,
    pub failures: u32,
    pub losses: u32,
    pub jumps: u32,
    pub stalls: u32,
    pub moods: &'static [Mood],
    /// What is written to the log of the function counts as delivered.
    pub trusts_log: bool,
}

const MOODS: [&[Mood]; 6] = [
    &[Mood::Up],
    &[Mood::Up, Mood::Slow],
    &[Mood::Up, Mood::Fails(AttemptErrorKind::Retry)],
    &[Mood::Hangs, Mood::Up],
    &[Mood::Up, Mood::Ambiguous, Mood::Fails(AttemptErrorKind::Configuration)],
    &[Mood::Up, Mood::Slow, Mood::Hangs, Mood::Fails(AttemptErrorKind::Retry), Mood::Ambiguous],
];

fn one_of<T: Copy>(rng: &mut fastrand::Rng, values: &[T]) -> T {
    values[rng.usize(..values.len())]
}

impl Profile {
    pub fn draw(rng: &mut fastrand::Rng) -> Self {
        let wild = rng.u8(..4);
        let mut chance = |most| if rng.u8(..4) < wild { rng.u32(0..most) } else { 0 };
        let (kills, shutdowns, failures) = (chance(150), chance(150), chance(100));
        let (losses, jumps, stalls) = (chance(100), chance(150), chance(80));
        let managed = rng.u8(..6) == 0;
        Self {
            policies: policies(rng, managed),
            // A long life now and then, for what could grow with it.
            invocations: if rng.u8(..64) == 0 { rng.u32(200..500) } else { rng.u32(1..40) },
            handlers: one_of(rng, &[Times(5, 5), Times(1, 30), Times(100, 300), Times(20, 3_000), Times(2_000, 9_000)]),
            gaps: one_of(
                rng,
                &[Times(0, 5), Times(500, 500), Times(30_000, 30_000), Times(0, 120_000), Times(200, 3_000)],
            ),
            timeout_ms: one_of(rng, &[3_000, 10_000, 60_000]),
            freezes: rng.u8(..8) > 0 && !managed,
            managed,
            monotonic_stops: rng.bool(),
            kills,
            shutdowns,
            failures,
            losses,
            jumps,
            stalls,
            moods: one_of(rng, &MOODS),
            trusts_log: rng.bool(),
        }
    }
}

fn policies(rng: &mut fastrand::Rng, managed: bool) -> Policies {
    let seal = SealPolicy {
        invocations: NonZeroU32::new(one_of(rng, &[0, 0, 1, 3])),
        age: Duration::from_millis(one_of(rng, &[1_000, 10_000, 60_000])),
        size_bytes: one_of(rng, &[1_000, 5_000, 1_000_000]),
    };
    let drain = DrainPolicy {
        strategy: one_of(
            rng,
            &[DrainStrategy::Adaptive, DrainStrategy::Adaptive, DrainStrategy::End, DrainStrategy::Background],
        ),
        budget: Duration::from_millis(one_of(rng, &[200, 2_000])),
        memory_mb: one_of(rng, &[None, Some(128), Some(1_024)]),
    };
    let fallback_stores = one_of(rng, &[0, 0, 0, 1, 2]);
    // Without a fallback a segment that has used up its attempts waits for the next life, however well the store does.
    let attempts = if fallback_stores > 0 { one_of(rng, &[None, Some(1), Some(3)]) } else { None };
    let retry = RetryPolicy::try_new(Duration::from_millis(100), Duration::from_secs(20), attempts).unwrap();
    let route = Route::new(fallback_stores, rng.u8(..4) == 0);
    Policies { seal, drain, retry, route, freezes: !managed }
}
