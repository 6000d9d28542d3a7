//! The plan: objects, holds and dollars of three ways to keep the same logs.

use std::io::{self, Write};

use serde::Serialize;

use super::advice::{Advice, TARGET_BYTES, advise};
use super::model::Forecast;
use super::prices::{self, CLOUDWATCH_INGESTION, CLOUDWATCH_STORAGE_GB_MONTH, NATIVE_DELIVERY, S3_STORAGE_GB_MONTH};
use super::scenario::Scenario;
use super::words::{changes, told};

/// As AWS counts a month of storage in round figures.
pub(super) const MONTH_DAYS: f64 = 30.0;

/// Dollars of a month.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Costs {
    /// PUTs, ingestion or delivery.
    pub(super) writing: f64,
    pub(super) storage: f64,
    pub(super) held_time: f64,
    pub(super) total: f64,
}

impl Costs {
    fn new(writing: f64, storage: f64, held_time: f64) -> Self {
        Self { writing, storage, held_time, total: writing + storage + held_time }
    }
}

/// All figures, as `--json` tells them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Plan {
    pub(super) raw_bytes_per_day: f64,
    pub(super) objects_per_day: f64,
    pub(super) raw_bytes_per_object: f64,
    pub(super) held_invocations_share: f64,
    pub(super) held_ms: f64,
    pub(super) held_ms_median: f64,
    pub(super) logspool_dollars_per_month: Costs,
    pub(super) cloudwatch_dollars_per_month: Costs,
    pub(super) native_delivery_dollars_per_month: Costs,
    pub(super) cheaper_than_native_delivery_from_bytes: f64,
    pub(super) cheaper_than_cloudwatch_from_bytes: f64,
    pub(super) target_bytes: f64,
    pub(super) reaches_target: bool,
    pub(super) gap_ms: f64,
    pub(super) environments: f64,
    pub(super) compression_ratio: f64,
    /// Settings that reach the target, if these do not and any do.
    pub(super) settings_that_reach_it: Option<Vec<String>>,
    pub(super) advice: String,
}

impl Plan {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let Scenario { traffic, rules, .. } = scenario;
        let forecast = traffic.forecast(rules);
        let advice = advise(traffic, rules);
        let share = forecast.held_per_day / traffic.invocations_per_day;
        let month_bytes = traffic.raw_bytes_per_day() * MONTH_DAYS;
        let kept_bytes = traffic.raw_bytes_per_day() * scenario.retention_days / traffic.compression_ratio;
        let in_s3 = prices::stored(kept_bytes, S3_STORAGE_GB_MONTH);
        let in_cloudwatch = prices::stored(kept_bytes, CLOUDWATCH_STORAGE_GB_MONTH);
        let settings = match &advice {
            Advice::Change(better, _) => Some(changes(rules, better)),
            Advice::Reached | Advice::Never { .. } => None,
        };
        Self {
            raw_bytes_per_day: traffic.raw_bytes_per_day(),
            objects_per_day: forecast.objects_per_day,
            raw_bytes_per_object: forecast.raw_bytes_per_object,
            held_invocations_share: share,
            held_ms: forecast.held_ms,
            held_ms_median: if share > 0.5 { forecast.held_ms } else { 0.0 },
            logspool_dollars_per_month: Costs::new(
                forecast.objects_per_day * MONTH_DAYS * prices::S3_PUT,
                in_s3,
                held_dollars(scenario, &forecast),
            ),
            cloudwatch_dollars_per_month: Costs::new(
                prices::tiered(&CLOUDWATCH_INGESTION, month_bytes),
                in_cloudwatch,
                0.0,
            ),
            native_delivery_dollars_per_month: Costs::new(prices::tiered(&NATIVE_DELIVERY, month_bytes), in_s3, 0.0),
            cheaper_than_native_delivery_from_bytes: prices::break_even_bytes(&NATIVE_DELIVERY),
            cheaper_than_cloudwatch_from_bytes: prices::break_even_bytes(&CLOUDWATCH_INGESTION),
            target_bytes: TARGET_BYTES,
            reaches_target: advice == Advice::Reached,
            gap_ms: traffic.gap_ms,
            environments: scenario.environments,
            compression_ratio: traffic.compression_ratio,
            advice: told(scenario, &advice),
            settings_that_reach_it: settings,
        }
    }

    pub(super) fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        writeln!(out)
    }
}

fn held_dollars(scenario: &Scenario, forecast: &Forecast) -> f64 {
    let ms = forecast.held_per_day * MONTH_DAYS * forecast.held_ms;
    scenario.architecture.duration(scenario.memory_mb, ms)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::{Options, run};

    pub(in super::super) fn options(invocations_per_day: u64, bytes_per_invocation: u64) -> Options {
        Options { compression_ratio: Some(10.0), ..Options::new(invocations_per_day, bytes_per_invocation, 512) }
    }

    pub(in super::super) fn told(options: &Options, variables: &[(&str, &str)]) -> String {
        let vars: BTreeMap<_, _> =
            variables.iter().map(|&(name, value)| (format!("LOGSPOOL_{name}"), value.to_owned())).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        run(options, &vars, &mut out, &mut err).expect("planned");
        assert_eq!(String::from_utf8(err).expect("text"), "");
        String::from_utf8(out).expect("text")
    }

    fn figures(options: &Options, variables: &[(&str, &str)]) -> serde_json::Value {
        serde_json::from_str(&told(&Options { is_json: true, ..options.clone() }, variables)).expect("JSON")
    }

    #[track_caller]
    fn assert_near(value: &serde_json::Value, expected: f64) {
        let is = value.as_f64().expect("a number");
        assert!((is - expected).abs() <= expected.abs() * 1e-6, "{is} is not {expected}");
    }

    #[test]
    fn dollars_are_those_of_objects_bytes_and_time() {
        // One invocation a second logs 10 KB: 0.864 GB a day, 25.92 GB a month; 1,457.7 objects a day (see `model`).
        let plan = figures(&options(86_400, 10_000), &[]);
        assert_near(&plan["raw_bytes_per_day"], 864e6);
        assert_near(&plan["objects_per_day"], 1_457.7);
        // 1,457.7 * 30 * 0.000005
        assert_near(&plan["logspool_dollars_per_month"]["writing"], 0.218_655);
        // 2.592 GB are kept, at 0.023 and 0.03.
        assert_near(&plan["logspool_dollars_per_month"]["storage"], 0.059_616);
        assert_near(&plan["cloudwatch_dollars_per_month"]["storage"], 0.077_76);
        assert_near(&plan["native_delivery_dollars_per_month"]["storage"], 0.059_616);
        // 1,440 * 30 holds of 0.175 s with half a GB: 3,780 GB-s.
        assert_near(&plan["logspool_dollars_per_month"]["held_time"], 3_780.0 * 0.000_016_666_7);
        assert_near(&plan["logspool_dollars_per_month"]["total"], 0.218_655 + 0.059_616 + 0.063_000_126);
        // 25.92 GB at 0.50 and 0.25.
        assert_near(&plan["cloudwatch_dollars_per_month"]["writing"], 12.96);
        assert_near(&plan["native_delivery_dollars_per_month"]["writing"], 6.48);
        assert_near(&plan["held_invocations_share"], 1.0 / 60.0);
        assert_near(&plan["held_ms_median"], 0.0);
        assert_eq!((&plan["reaches_target"], &plan["settings_that_reach_it"]), (&true.into(), &().into()));
    }

    #[test]
    fn twice_as_long_kept_is_twice_the_storage_alone() {
        let plan = figures(&Options { retention_days: 60, ..options(86_400, 10_000) }, &[]);
        assert_near(&plan["logspool_dollars_per_month"]["storage"], 2.0 * 0.059_616);
        assert_near(&plan["logspool_dollars_per_month"]["writing"], 0.218_655);
    }

    #[test]
    fn settings_are_those_of_the_environment() {
        let end = figures(&options(86_400, 10_000), &[("DRAIN", "end")]);
        assert_near(&end["objects_per_day"], 86_400.0);
        assert_near(&end["held_ms_median"], 175.0);
        let hundred = figures(&options(86_400, 10_000), &[("DRAIN", "end"), ("SEAL_INVOCATIONS", "60")]);
        assert_near(&hundred["objects_per_day"], 1_457.7);
        // 10 * 2,000 bytes are two invocations: 36 * (2,400 / 2 + 1 / 4).
        let small = figures(&options(86_400, 10_000), &[("SEAL_SIZE", "2000")]);
        assert_near(&small["objects_per_day"], 43_209.0);
        let often = figures(&options(86_400, 10_000), &[("SEAL_AGE", "1s")]);
        assert_near(&often["objects_per_day"], 86_400.0);
        let as_they_are = Options { compression_ratio: None, ..options(86_400, 10_000) };
        assert_near(&figures(&as_they_are, &[("COMPRESSION", "none")])["compression_ratio"], 1.0);
        assert_near(&figures(&as_they_are, &[])["compression_ratio"], 6.37);
        assert_near(&figures(&options(86_400, 10_000), &[("DRAIN", "end"), ("BUFFER_MS", "100")])["held_ms"], 250.0);
        let hasty = [("DRAIN", "end"), ("DRAIN_BUDGET", "100ms")];
        assert_near(&figures(&options(86_400, 10_000), &hasty)["held_ms"], 125.0);
    }

    #[test]
    fn what_is_advised_makes_what_was_promised() {
        let poor = options(86_400, 1_000);
        let plan = figures(&poor, &[("DRAIN", "end")]);
        let settings = plan["settings_that_reach_it"].as_array().expect("some");
        let settings: Vec<_> = settings.iter().filter_map(|text| text.as_str()?.split_once('=')).collect();
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (name.trim_start_matches("LOGSPOOL_"), *value)).collect();
        assert_eq!(settings.len(), 3);
        assert_eq!(figures(&poor, &settings)["reaches_target"], true);
    }

    #[test]
    fn a_bad_setting_is_told_and_its_default_planned_with() {
        let vars = BTreeMap::from([("LOGSPOOL_SEAL_AGE".to_owned(), "soon".to_owned())]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = run(&options(86_400, 10_000), &vars, &mut out, &mut err);
        assert!(matches!(outcome, Ok(crate::tools::Outcome::Clean)));
        let err = String::from_utf8(err).expect("text");
        assert!(err.starts_with("logspool: LOGSPOOL_SEAL_AGE=\"soon\": "), "{err}");
        assert!(String::from_utf8(out).expect("text").contains("SEAL_AGE=1m"));
    }
}
