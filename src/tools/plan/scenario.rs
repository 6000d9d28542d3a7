//! What is to be planned: arguments and settings as values of the model; arguments that contradict each other are
//! refused. Pure.

use spool::Codec;

use super::Options;
use super::model::{DAY_MS, Rules, Traffic};
use super::prices::Architecture;
use crate::config::Config;
use crate::deadline::millis;
use crate::lifecycle::machine::drain_policy::DrainStrategy;

/// zstd 1 with a window of 2^17, one frame a segment, on 16 MB of synthetic telemetry (events of the platform,
/// structured and text lines) in batches of 1 KB, which compress least; 7.03 at 4 KB, 8.22 at 32 KB. Not measured for
/// gzip, which is near.
const COMPRESSION_RATIO_MEASURED: f64 = 6.37;

/// All that the model needs, and what the report says of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scenario {
    pub(super) traffic: Traffic,
    pub(super) rules: Rules,
    /// At the same time.
    pub(super) environments: f64,
    pub(super) memory_mb: f64,
    pub(super) architecture: Architecture,
    pub(super) retention_days: f64,
    /// Where the compression ratio comes from.
    pub(super) ratio_source: &'static str,
}

impl Scenario {
    pub(super) fn new(options: &Options, config: &Config) -> Result<Self, String> {
        let invocations_per_day = options.invocations_per_day as f64;
        let duration_ms = millis(options.duration) as f64;
        let (gap_ms, environments) = pace(options, invocations_per_day, duration_ms)?;
        let (compression_ratio, ratio_source) = match (options.compression_ratio, config.compression.codec) {
            (Some(ratio), _) => (ratio, "as given"),
            (None, Codec::None) => (1.0, "COMPRESSION=none"),
            (None, Codec::Zstd | Codec::Gzip) => {
                (COMPRESSION_RATIO_MEASURED, "measured with zstd 1 on synthetic JSON logs in batches of 1 KB")
            }
        };
        let traffic = Traffic {
            invocations_per_day,
            bytes_per_invocation: options.bytes_per_invocation as f64,
            gap_ms,
            duration_ms,
            life_ms: millis(options.life) as f64,
            compression_ratio,
        };
        Ok(Self {
            traffic,
            rules: rules(config),
            environments,
            memory_mb: options.memory_mb as f64,
            architecture: options.architecture,
            retention_days: options.retention_days as f64,
            ratio_source,
        })
    }
}

/// From start to start in one environment, and how many there are at a time.
fn pace(options: &Options, invocations_per_day: f64, duration_ms: f64) -> Result<(f64, f64), String> {
    let given = options.environments.map(|environments| environments as f64);
    // An environment takes one invocation at a time.
    let at_least = |gap_ms: f64| (invocations_per_day * gap_ms / DAY_MS).ceil().max(1.0);
    let (gap_ms, needed) = match options.gap {
        Some(gap) => {
            let gap_ms = millis(gap) as f64;
            if gap_ms < duration_ms {
                return Err(format!(
                    "--gap ({gap_ms} ms) is shorter than --duration ({duration_ms} ms): an environment takes one invocation at a time"
                ));
            }
            (Some(gap_ms), at_least(gap_ms))
        }
        None => (None, at_least(duration_ms)),
    };
    let environments = given.unwrap_or(needed);
    if environments < needed {
        let each = gap_ms.map_or(format!("--duration {duration_ms} ms"), |gap_ms| format!("--gap {gap_ms} ms"));
        return Err(format!(
            "--environments {environments} is too few: {invocations_per_day} invocations a day with {each} need {needed}"
        ));
    }
    Ok((gap_ms.unwrap_or(DAY_MS * environments / invocations_per_day), environments))
}

fn rules(config: &Config) -> Rules {
    let strategy = config.drain.strategy;
    // As `app` has it: `end` alone means after every invocation.
    let invocations = config.seal.invocations.map(|limit| f64::from(limit.get()));
    Rules {
        invocations: invocations.or((strategy == DrainStrategy::End).then_some(1.0)),
        age_ms: millis(config.seal.age) as f64,
        size_bytes: config.seal.size_bytes as f64,
        strategy,
        budget_ms: millis(config.drain.budget) as f64,
        buffer_ms: config.buffering.timeout_ms as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    /// Gap in milliseconds and environments.
    fn paced(day: u64, gap_ms: Option<u64>, environments: Option<u64>) -> Result<(f64, f64), String> {
        let options = Options { gap: gap_ms.map(Duration::from_millis), environments, ..Options::new(day, 1_000, 128) };
        let scenario = Scenario::new(&options, &Config::read(&BTreeMap::new()).0)?;
        Ok((scenario.traffic.gap_ms, scenario.environments))
    }

    #[test]
    fn invocations_are_spread_over_as_few_environments_as_can_take_them() {
        assert_eq!(paced(86_400, None, None), Ok((1_000.0, 1.0)));
        assert_eq!(paced(86_400, None, Some(4)), Ok((4_000.0, 4.0)));
        assert_eq!(paced(864_000, None, None), Ok((100.0, 1.0)), "without a pause");
        // 10^10 of 100 ms are 10^9 s: 11,574.07 days of work in one.
        assert_eq!(paced(10_000_000_000, None, None).map(|(_, environments)| environments), Ok(11_575.0));
    }

    #[test]
    fn a_gap_says_how_many_environments_are_busy() {
        assert_eq!(paced(86_400, Some(200), None), Ok((200.0, 1.0)));
        assert_eq!(paced(86_400, Some(2_500), None), Ok((2_500.0, 3.0)));
        assert_eq!(paced(86_400, Some(2_500), Some(8)), Ok((2_500.0, 8.0)));
    }

    #[test]
    fn figures_that_contradict_each_other_are_refused() {
        let error = |day, gap_ms, environments| paced(day, gap_ms, environments).expect_err("a contradiction");
        assert_eq!(
            error(86_400, Some(99), None),
            "--gap (99 ms) is shorter than --duration (100 ms): an environment takes one invocation at a time"
        );
        assert_eq!(
            error(864_001, None, Some(1)),
            "--environments 1 is too few: 864001 invocations a day with --duration 100 ms need 2"
        );
        assert_eq!(
            error(86_400, Some(2_500), Some(2)),
            "--environments 2 is too few: 86400 invocations a day with --gap 2500 ms need 3"
        );
    }
}
