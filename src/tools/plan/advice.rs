//! Which settings reach the target, if these do not: pure.

use super::model::{Forecast, HOUR_MS, Rules, Traffic};
use crate::lifecycle::machine::drain_policy::DrainStrategy;

/// Raw bytes in an object, on average: the PUT is then 4 % of what delivery by AWS costs, and readers open few objects.
pub(super) const TARGET_BYTES: f64 = 500_000.0;

/// Lines do not wait twice as long for the last tenth of an object.
const NEAR: f64 = 0.9;
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
    /// None do, and why. The rules that come near to what can be had, if these do not.
    Never { best: Option<(Rules, Forecast)>, why: Why },
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
    let size = |(_, forecast): &(Rules, Forecast)| forecast.raw_bytes_per_object;
    let near_largest = NEAR * forecasts.iter().map(size).fold(0.0, f64::max);
    let best = forecasts.iter().position(|forecast| size(forecast) >= near_largest);
    // The first one changes nothing.
    let best = best.filter(|index| *index > 0).map(|index| forecasts[index]);
    let is_alone = traffic.invocations_per_day <= traffic.pieces_per_day();
    let why = if is_alone { Why::OneAnInvocation } else { Why::HourAndLife };
    Advice::Never { best, why }
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

#[cfg(test)]
mod tests {
    use super::super::model::DAY_MS;
    use super::super::model::tests::{RULES, TRAFFIC, any_rules, any_traffic};
    use super::*;

    #[track_caller]
    fn changed(traffic: &Traffic, rules: &Rules) -> Rules {
        match advise(traffic, rules) {
            Advice::Change(rules, _) => rules,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_lowest_age_is_advised_that_reaches_the_target() {
        assert_eq!(advise(&TRAFFIC, &RULES), Advice::Reached);
        // 86.4 MB a day. At 5 min 36 * (2,400 / 300 + 299 / 600) = 305.94 objects of 282 KB, at 10 min
        // 36 * (2,400 / 600 + 599 / 1,200) = 161.97 of 533 KB.
        let quiet = Traffic { bytes_per_invocation: 1_000.0, ..TRAFFIC };
        assert_eq!(changed(&quiet, &RULES), Rules { age_ms: 600_000.0, ..RULES });
        // At 2 min 36 * (2,400 / 120 + 119 / 240) = 737.85 objects of 432 MB: 585 KB.
        let half = Traffic { bytes_per_invocation: 5_000.0, ..TRAFFIC };
        assert_eq!(changed(&half, &RULES), Rules { age_ms: 120_000.0, ..RULES });
        let end = Rules { strategy: DrainStrategy::End, invocations: Some(1.0), ..RULES };
        assert_eq!(changed(&quiet, &end), Rules { age_ms: 600_000.0, ..RULES });
        let background = Rules { strategy: DrainStrategy::Background, invocations: Some(2.0), ..RULES };
        assert_eq!(changed(&TRAFFIC, &background), Rules { invocations: None, ..background }, "no more than it takes");
    }

    #[test]
    fn what_size_ends_takes_a_larger_size_alone() {
        // 10 * 32 KiB = 328 KB raw.
        let small = Rules { size_bytes: 32_768.0, ..RULES };
        assert_eq!(changed(&TRAFFIC, &small), Rules { size_bytes: 131_072.0, ..RULES });
    }

    #[test]
    fn where_nothing_reaches_the_target_the_reason_is_told() {
        // 40 invocations of 2,000 bytes in the mean time between hours and ends of environments.
        let rare = Traffic { invocations_per_day: 1_440.0, gap_ms: 60_000.0, bytes_per_invocation: 2_000.0, ..TRAFFIC };
        let Advice::Never { best: Some((rules, forecast)), why: Why::HourAndLife } = advise(&rare, &RULES) else {
            panic!("{:?}", advise(&rare, &RULES));
        };
        assert_eq!((rules.age_ms, forecast.raw_bytes_per_object.round()), (7_200_000.0, 80_000.0));
        let alone = Traffic { invocations_per_day: 12.0, gap_ms: 7_200_000.0, ..TRAFFIC };
        assert_eq!(advise(&alone, &RULES), Advice::Never { best: None, why: Why::OneAnInvocation });
    }

    #[test]
    fn lines_wait_for_the_age_the_hour_or_the_next_invocation() {
        let wait = |rules| lines_wait_ms(&TRAFFIC, &rules);
        assert_eq!(wait(RULES), 60_000.0);
        assert_eq!(wait(Rules { age_ms: DAY_MS, ..RULES }), 3_601_000.0);
        assert_eq!(wait(Rules { strategy: DrainStrategy::Background, ..RULES }), 61_000.0);
        assert_eq!(wait(Rules { strategy: DrainStrategy::End, invocations: Some(1.0), ..RULES }), 100.0);
    }

    #[test]
    fn advice_reaches_the_target_when_applied_and_none_is_given_only_where_nothing_does() {
        let seed = std::env::var_os("LOGSPOOL_TEST_SEED").and_then(|seed| seed.to_str()?.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("LOGSPOOL_TEST_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut seen = [0; 3];
        for _ in 0..5_000 {
            let (traffic, rules) = (any_traffic(&mut random), any_rules(&mut random));
            let size = |rules: &Rules| traffic.forecast(rules).raw_bytes_per_object;
            let unlimited = Rules {
                age_ms: DAY_MS,
                size_bytes: 67_108_864.0,
                invocations: None,
                strategy: DrainStrategy::Adaptive,
                ..rules
            };
            match advise(&traffic, &rules) {
                Advice::Reached => {
                    seen[0] += 1;
                    assert!(size(&rules) >= TARGET_BYTES);
                }
                Advice::Change(better, forecast) => {
                    seen[1] += 1;
                    assert!(size(&rules) < TARGET_BYTES && size(&better) >= TARGET_BYTES, "{traffic:?} {better:?}");
                    assert_eq!(forecast, traffic.forecast(&better));
                    assert!(better.age_ms <= DAY_MS && better.size_bytes <= 67_108_864.0, "settings take these");
                }
                Advice::Never { best, .. } => {
                    seen[2] += 1;
                    assert!(size(&unlimited) < TARGET_BYTES, "{traffic:?} {rules:?}");
                    assert!(best.is_none_or(|(better, _)| size(&better) > size(&rules)));
                }
            }
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    }
}
