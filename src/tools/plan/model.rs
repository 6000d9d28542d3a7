//! How many objects a function makes and how long it is held for them: pure arithmetic over a day in the middle of its life.
//!
//! Invocations of one environment begin `gap_ms` apart, take `duration_ms` and log as much each. An object ends at the first of: so many
//! invocations, its size, its age (once the process runs: between invocations the environment is frozen), the UTC hour, the end of
//! the environment. The last two cut an environment's time into *pieces*; within a piece objects hold `k` invocations each.

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
        let objects_per_day = pieces * objects_of_piece(self.invocations_per_day / pieces, k);
        let (held_per_day, held_ms) = self.held(rules, k, by_age <= k, objects_per_day);
        Forecast {
            objects_per_day,
            raw_bytes_per_object: self.raw_bytes_per_day() / objects_per_day,
            held_per_day,
            held_ms,
        }
    }

    /// How many invocations are held, and how long each. Ends of environments hold nobody, but are few enough to be counted along.
    fn held(&self, rules: &Rules, k: f64, age_is_first: bool, objects_per_day: f64) -> (f64, f64) {
        let uploading = objects_per_day.min(self.invocations_per_day);
        // Held from INVOKE on, so only for what the handler is too short for.
        let shadow_ms = (UPLOAD_ASSUMED_MS.min(rules.budget_ms + self.duration_ms) - self.duration_ms).max(0.0);
        let end_ms = (rules.buffer_ms + UPLOAD_ASSUMED_MS.min(rules.budget_ms)).max(0.0);
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
        // `adaptive` looks ahead by a gap when an invocation begins, and the others seal within one that is running at that age.
        let runs_then = self.age_ms % gap_ms <= duration_ms && self.strategy != DrainStrategy::Adaptive;
        let invocations = self.age_ms / gap_ms;
        if runs_then { invocations.max(1.0) } else { invocations.ceil() }
    }
}

/// Objects of `n` invocations in a row if each holds `k` and the last one what is left: the mean over all lengths near `n`.
fn objects_of_piece(n: f64, k: f64) -> f64 {
    if k < 1.0 {
        return n / k;
    }
    // Of n = qk + r there are q, and one more unless r is 0, which it is one time in k.
    let with_rest = n / k + (k - 1.0) / (2.0 * k);
    if k.is_finite() { with_rest.max(1.0).min(n) } else { n.min(1.0) }
}
