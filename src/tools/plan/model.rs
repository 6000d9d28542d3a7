//! How many objects a function makes and how long it is held for them: pure arithmetic over a day in the middle of its
//! life.
//!
//! Invocations of one environment begin `gap_ms` apart, take `duration_ms` and log as much each. An object ends at the
//! first of: so many invocations, its size, its age (once the process runs: between invocations the environment is
//! frozen), the UTC hour, the end of the environment. The last two cut an environment's time into *pieces*; within a
//! piece objects hold `k` invocations each.

use crate::lifecycle::machine::drain_policy::DrainStrategy;

pub(super) const DAY_MS: f64 = 86_400_000.0;
pub(super) const HOUR_MS: f64 = 3_600_000.0;
/// A PUT within a region with its TLS handshake: what the extension assumes, too, until it has measured some.
pub(super) const UPLOAD_ASSUMED_MS: f64 = 150.0;

/// What the function does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Traffic {
    pub(super) invocations_per_day: f64,
    /// Raw.
    pub(super) bytes_per_invocation: f64,
    /// From start to start in one environment.
    pub(super) gap_ms: f64,
    /// Of the handler; at most the gap.
    pub(super) duration_ms: f64,
    /// How long an environment lives.
    pub(super) life_ms: f64,
    /// Raw bytes for each byte of an object.
    pub(super) compression_ratio: f64,
}

/// What the settings say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rules {
    pub(super) invocations: Option<f64>,
    pub(super) age_ms: f64,
    pub(super) size_bytes: f64,
    pub(super) strategy: DrainStrategy,
    pub(super) budget_ms: f64,
    /// How late the platform tells that an invocation has ended.
    pub(super) buffer_ms: f64,
}

/// What comes of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Forecast {
    pub(super) objects_per_day: f64,
    pub(super) raw_bytes_per_object: f64,
    /// Invocations whose environment is held after the function has finished.
    pub(super) held_per_day: f64,
    /// How long each of them is held.
    pub(super) held_ms: f64,
}

impl Traffic {
    pub(super) fn raw_bytes_per_day(&self) -> f64 {
        self.invocations_per_day * self.bytes_per_invocation
    }

    /// Hours and ends of environments, each of which ends an object: so many a day over all environments.
    pub(super) fn pieces_per_day(&self) -> f64 {
        let alive_ms = self.invocations_per_day * self.gap_ms;
        alive_ms / HOUR_MS + alive_ms / self.life_ms
    }

    pub(super) fn forecast(&self, rules: &Rules) -> Forecast {
        let by_age = rules.age_seals_after(self);
        let by_size = self.compression_ratio * rules.size_bytes / self.bytes_per_invocation;
        let by_count = rules.invocations.unwrap_or(f64::INFINITY);
        let k = by_age.min(by_size).min(by_count);
        let pieces = self.pieces_per_day();
        let of_piece = self.invocations_per_day / pieces;
        let objects_per_day = pieces * objects_of_piece(of_piece, k);
        // As a rule: of pieces that are shorter than the age, some are long enough all the same.
        let age_is_first = by_age <= k && k <= of_piece.max(1.0);
        let (held_per_day, held_ms) = self.held(rules, k, age_is_first, objects_per_day);
        Forecast {
            objects_per_day,
            raw_bytes_per_object: self.raw_bytes_per_day() / objects_per_day,
            held_per_day,
            held_ms,
        }
    }

    /// How many invocations are held, and how long each. Ends of environments hold nobody, but are few enough to be
    /// counted along.
    fn held(&self, rules: &Rules, k: f64, age_is_first: bool, objects_per_day: f64) -> (f64, f64) {
        let uploading = objects_per_day.min(self.invocations_per_day);
        // Held from INVOKE on, so only for what the handler is too short for.
        let shadow_ms = (UPLOAD_ASSUMED_MS.min(rules.budget_ms) - self.duration_ms).max(0.0);
        // The budget counts from when the end is known.
        let end_ms = rules.buffer_ms + UPLOAD_ASSUMED_MS.min(rules.budget_ms);
        let (held_per_day, held_ms) = match rules.strategy {
            DrainStrategy::End => (uploading, end_ms),
            // What the hour ends first waits for a handler that is long enough, like everything else.
            DrainStrategy::Adaptive if age_is_first => ((self.invocations_per_day / k.max(1.0)).min(uploading), end_ms),
            DrainStrategy::Adaptive | DrainStrategy::Background => (uploading, shadow_ms),
        };
        if held_ms > 0.0 { (held_per_day, held_ms) } else { (0.0, 0.0) }
    }
}

impl Rules {
    /// The part of an invocation, or the number of them, after which age seals.
    fn age_seals_after(&self, traffic: &Traffic) -> f64 {
        let Traffic { gap_ms, duration_ms, .. } = *traffic;
        if self.age_ms <= duration_ms {
            // Several times while a handler runs and logs; what is left of it is old enough when the next one begins.
            return (1.0 / (duration_ms / self.age_ms).ceil()).max(self.age_ms / gap_ms);
        }
        // `adaptive` looks ahead by a gap when an invocation begins, and the others seal within one that is running at
        // that age.
        let runs_then = self.age_ms % gap_ms <= duration_ms && self.strategy != DrainStrategy::Adaptive;
        let invocations = self.age_ms / gap_ms;
        if runs_then { invocations.max(1.0) } else { invocations.ceil() }
    }
}

/// Objects of `n` invocations in a row if each holds `k` and the last one what is left: the mean over all lengths near
/// `n`.
fn objects_of_piece(n: f64, k: f64) -> f64 {
    if k < 1.0 {
        return n / k;
    }
    // Of n = qk + r there are q, and one more unless r is 0, which it is one time in k.
    let with_rest = n / k + (k - 1.0) / (2.0 * k);
    if k.is_finite() { with_rest.max(1.0).min(n) } else { n.min(1.0) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One invocation a second in one environment: 24 hours and 12 ends of environments make 36 pieces a day of 2,400
    /// invocations.
    pub(in super::super) const TRAFFIC: Traffic = Traffic {
        invocations_per_day: 86_400.0,
        bytes_per_invocation: 10_000.0,
        gap_ms: 1_000.0,
        duration_ms: 100.0,
        life_ms: 2.0 * HOUR_MS,
        compression_ratio: 10.0,
    };

    pub(in super::super) const RULES: Rules = Rules {
        invocations: None,
        age_ms: 60_000.0,
        size_bytes: 4_194_304.0,
        strategy: DrainStrategy::Adaptive,
        budget_ms: 2_000.0,
        buffer_ms: 25.0,
    };

    const END: Rules = Rules { strategy: DrainStrategy::End, invocations: Some(1.0), ..RULES };
    const BACKGROUND: Rules = Rules { strategy: DrainStrategy::Background, ..RULES };

    fn logarithmic(random: &mut fastrand::Rng, least: f64, most: f64) -> f64 {
        least * (most / least).powf(random.f64())
    }

    pub(in super::super) fn any_traffic(random: &mut fastrand::Rng) -> Traffic {
        let duration_ms = logarithmic(random, 1.0, 900_000.0);
        Traffic {
            invocations_per_day: logarithmic(random, 1.0, 1e9),
            bytes_per_invocation: logarithmic(random, 1.0, 1e7),
            gap_ms: duration_ms.max(logarithmic(random, 1.0, DAY_MS)),
            duration_ms,
            life_ms: logarithmic(random, 60_000.0, DAY_MS),
            compression_ratio: logarithmic(random, 1.0, 20.0),
        }
    }

    pub(in super::super) fn any_rules(random: &mut fastrand::Rng) -> Rules {
        let strategies = [DrainStrategy::Adaptive, DrainStrategy::End, DrainStrategy::Background];
        let invocations = random.bool().then(|| logarithmic(random, 1.0, 1e4).round());
        Rules {
            invocations,
            age_ms: logarithmic(random, 100.0, DAY_MS).round(),
            size_bytes: logarithmic(random, 1_024.0, 67_108_864.0).round(),
            strategy: strategies[random.usize(..3)],
            ..RULES
        }
    }

    #[test]
    fn objects_and_holds_are_as_computed_by_hand() {
        let small = Rules { size_bytes: 100_000.0, age_ms: HOUR_MS, ..RULES };
        let tiny = Rules { size_bytes: 500.0, ..RULES };
        let vast = Rules { size_bytes: 67_108_864.0, age_ms: DAY_MS, ..RULES };
        let rare = Traffic { invocations_per_day: 12.0, gap_ms: 2.0 * HOUR_MS, ..TRAFFIC };
        let minutely = Traffic { invocations_per_day: 1_440.0, gap_ms: 60_000.0, ..TRAFFIC };
        let long = Traffic { invocations_per_day: 144.0, gap_ms: 600_000.0, duration_ms: 150_000.0, ..TRAFFIC };
        let patient = Traffic { duration_ms: 200.0, ..TRAFFIC };
        let busy = Traffic { duration_ms: 1_000.0, ..TRAFFIC };
        let odd = |rules: Rules| Rules { age_ms: 60_500.0, ..rules };
        // (what, traffic, rules, objects a day, held a day, for how long)
        let table = [
            // 60 invocations an object: 36 * (2,400 / 60 + 59 / 120); each 60th is held for 25 + 150 ms.
            ("age", TRAFFIC, RULES, 1_457.7, 1_440.0, 175.0),
            ("each invocation", TRAFFIC, END, 86_400.0, 86_400.0, 175.0),
            // The same 60; from INVOKE on, of which the handler takes 100 ms.
            ("background", TRAFFIC, BACKGROUND, 1_457.7, 1_457.7, 50.0),
            ("the handler is long enough", patient, BACKGROUND, 1_457.7, 0.0, 0.0),
            // 10 * 100,000 / 10,000 = 100 invocations: 36 * (24 + 99 / 200).
            ("size", TRAFFIC, small, 881.82, 881.82, 50.0),
            // Two objects an invocation.
            ("more than a size each", TRAFFIC, tiny, 172_800.0, 86_400.0, 50.0),
            ("hours and lives alone", TRAFFIC, vast, 36.0, 36.0, 50.0),
            ("further apart than hours", rare, RULES, 12.0, 12.0, 175.0),
            ("further apart than hours, whatever the age", rare, vast, 12.0, 12.0, 50.0),
            ("due when the next one begins", minutely, RULES, 1_440.0, 1_440.0, 175.0),
            // 150 s of work in objects of 60 s: three.
            ("age within a handler", long, RULES, 432.0, 144.0, 175.0),
            // It runs all the time, so seals at 60.5 s: 36 * (2,400 / 60.5 + 59.5 / 121).
            ("age between two starts", busy, odd(BACKGROUND), 1_445.801_652_9, 0.0, 0.0),
            // Sleeps at that age, so 61 invocations: 36 * (2,400 / 61 + 60 / 122).
            ("age while frozen", TRAFFIC, odd(BACKGROUND), 1_434.098_360_7, 1_434.098_360_7, 50.0),
            ("age ahead", busy, odd(RULES), 1_434.098_360_7, 86_400.0 / 61.0, 175.0),
        ];
        for (what, traffic, rules, objects, held, held_ms) in table {
            let forecast = traffic.forecast(&rules);
            let is = (forecast.objects_per_day, forecast.held_per_day, forecast.held_ms);
            let near = |is: f64, expected: f64| (is - expected).abs() <= expected * 1e-6;
            let expected = (objects, held, held_ms);
            assert!(near(is.0, objects) && near(is.1, held) && near(is.2, held_ms), "{what}: {is:?}, not {expected:?}");
            assert!(near(forecast.raw_bytes_per_object * objects, traffic.raw_bytes_per_day()), "{what}");
        }
    }

    #[test]
    fn nobody_is_held_longer_than_the_budget() {
        let held_ms = |rules: Rules, budget_ms| TRAFFIC.forecast(&Rules { budget_ms, ..rules }).held_ms;
        // From when the end is known, 25 ms behind it.
        assert_eq!([held_ms(END, 0.0), held_ms(END, 100.0), held_ms(END, 200.0)], [25.0, 125.0, 175.0]);
        // From INVOKE on, and the handler takes 100 ms of it.
        let background = [50.0, 120.0, 200.0].map(|budget_ms| held_ms(BACKGROUND, budget_ms));
        assert_eq!(background, [0.0, 20.0, 50.0]);
    }

    #[test]
    fn objects_are_never_fewer_than_their_size_allows_nor_more_than_what_ends_them() {
        let seed = std::env::var_os("LOGSPOOL_TEST_SEED").and_then(|seed| seed.to_str()?.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("LOGSPOOL_TEST_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20_000 {
            let (traffic, rules) = (any_traffic(&mut random), any_rules(&mut random));
            let forecast = traffic.forecast(&rules);
            let by_size = traffic.raw_bytes_per_day() / (traffic.compression_ratio * rules.size_bytes);
            // A handler that takes longer than the age makes several.
            let by_age = traffic.invocations_per_day * (traffic.duration_ms / rules.age_ms).ceil().max(1.0);
            let most = by_age.max(by_size) + traffic.pieces_per_day();
            let objects = forecast.objects_per_day;
            assert!(by_size <= objects * (1.0 + 1e-9), "{traffic:?} {rules:?}: {objects} < {by_size}");
            assert!(objects <= most * (1.0 + 1e-9), "{traffic:?} {rules:?}: {objects} > {most}");
            assert!(forecast.held_per_day <= traffic.invocations_per_day * (1.0 + 1e-9), "{traffic:?} {rules:?}");
        }
    }
}
