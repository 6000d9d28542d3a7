//! Which settings reach the target, if these do not: pure.

use super::model::{Forecast, HOUR_MS, Rules, Traffic};
use crate::lifecycle::machine::drain_policy::DrainStrategy;

/// Raw bytes in an object, on average: the PUT is then 4 % of what delivery by AWS costs, and readers open few objects.
pub(super) const TARGET_BYTES: f64 = 500_000.0;

const MINUTE_MS: f64 = 60_000.0;
/// In minutes, up to the most that the setting takes.
const AGES_MINUTES: [f64; 13] = [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 120.0, 360.0, 720.0, 1_440.0];
const SIZES_BYTES: [f64; 8] =
    [131_072.0, 262_144.0, 524_288.0, 1_048_576.0, 2_097_152.0, 4_194_304.0, 8_388_608.0, 67_108_864.0];

/// What to do about the size of objects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Advice {
    /// They are large enough.
    Reached,
    /// These rules make them so.
    Change(Rules, Forecast),
    /// None do. The largest that can be had, and why no larger ones.
    Never { raw_bytes_per_object: f64, why: Why },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Invocations of an environment are further apart than anything that ends an object anyway.
    OneAnInvocation,
    /// The hour and the end of the environment come first.
    HourAndLife,
}

pub(super) fn advise(traffic: &Traffic, rules: &Rules) -> Advice {
    let reaches = |forecast: &Forecast| forecast.raw_bytes_per_object >= TARGET_BYTES;
    if reaches(&traffic.forecast(rules)) {
        return Advice::Reached;
    }
    // The first one changes least, and lets lines wait no longer than it must.
    let candidates = relaxations(rules).into_iter().flat_map(larger);
    let forecasts: Vec<_> = candidates.map(|rules| (rules, traffic.forecast(&rules))).collect();
    if let Some((rules, forecast)) = forecasts.iter().find(|(_, forecast)| reaches(forecast)) {
        return Advice::Change(*rules, *forecast);
    }
    let sizes = forecasts.iter().map(|(_, forecast)| forecast.raw_bytes_per_object);
    let is_alone = traffic.invocations_per_day <= traffic.pieces_per_day();
    let why = if is_alone { Why::OneAnInvocation } else { Why::HourAndLife };
    Advice::Never { raw_bytes_per_object: sizes.fold(0.0, f64::max), why }
}

/// These rules, and then without those that end objects by invocation.
fn relaxations(rules: &Rules) -> Vec<Rules> {
    let mut relaxations = vec![*rules];
    if rules.strategy == DrainStrategy::End || rules.invocations.is_some() {
        let strategy = match rules.strategy {
            DrainStrategy::End => DrainStrategy::Adaptive,
            other => other,
        };
        relaxations.push(Rules { strategy, invocations: None, ..*rules });
    }
    relaxations
}

/// The same at higher ages, the lowest first, and at larger sizes.
fn larger(rules: Rules) -> impl Iterator<Item = Rules> {
    let ages = AGES_MINUTES.into_iter().map(|minutes| minutes * MINUTE_MS).filter(move |age| *age > rules.age_ms);
    std::iter::once(rules.age_ms).chain(ages).flat_map(move |age_ms| {
        let sizes = SIZES_BYTES.into_iter().filter(move |size| *size > rules.size_bytes);
        std::iter::once(rules.size_bytes).chain(sizes).map(move |size_bytes| Rules { age_ms, size_bytes, ..rules })
    })
}

/// The longest that a line waits on the disk alone as long as uploads work.
pub(super) fn lines_wait_ms(traffic: &Traffic, rules: &Rules) -> f64 {
    match rules.strategy {
        DrainStrategy::End if rules.invocations == Some(1.0) => traffic.duration_ms,
        // An invocation is held if its lines would be older when the next one begins.
        DrainStrategy::Adaptive => rules.age_ms.min(HOUR_MS + traffic.gap_ms),
        DrainStrategy::End | DrainStrategy::Background => rules.age_ms.min(HOUR_MS) + traffic.gap_ms,
    }
}
