//! The plan: dollars of three ways to keep the same logs, and what is said about them.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::advice::{Advice, TARGET_BYTES, Why, advise, lines_wait_ms};
use super::model::{Forecast, Rules};
use super::prices::{self, CLOUDWATCH_INGESTION, CLOUDWATCH_STORAGE_GB_MONTH, NATIVE_DELIVERY, S3_STORAGE_GB_MONTH};
use super::scenario::Scenario;
use crate::config::value::{show_duration, show_size};
use crate::lifecycle::machine::drain_policy::DrainStrategy;
use crate::tools::table::{Table, grouped};

/// As AWS counts a month of storage in round figures.
const MONTH_DAYS: f64 = 30.0;

/// What is left out, a line each.
const LEFT_OUT: [&str; 5] = [
    "bursts and nights: invocations are alike and evenly spread; failed ones, which ship at once, are not counted",
    "environments that idle and are ended before --life, mostly after minutes: each leaves one object more",
    "KMS, retries, reading, what carries data to S3 (free with a gateway endpoint), the start of the extension",
    "CPU that compression and uploads take from a handler that runs",
    "what each record costs on top: some 26 bytes in CloudWatch; time, type and number in a line of ours",
];

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

    pub(super) fn write_table(&self, scenario: &Scenario, out: &mut dyn Write) -> io::Result<()> {
        write_scenario(scenario, out)?;
        writeln!(out)?;
        self.table(scenario.retention_days).write("", out)?;
        writeln!(out)?;
        said("held", &[&self.held()], out)?;
        let native = kilobytes(self.cheaper_than_native_delivery_from_bytes);
        let cloudwatch = kilobytes(self.cheaper_than_cloudwatch_from_bytes);
        let here = kilobytes(self.raw_bytes_per_object);
        let break_even = format!(
            "from {native} raw per object upwards a PUT is cheaper than native delivery, from {cloudwatch} than CloudWatch; here {here}"
        );
        said("break-even", &[&break_even], out)?;
        let advice: Vec<&str> = self.advice.lines().collect();
        said("object size", &advice, out)?;
        writeln!(out)?;
        said("prices", &prices::SOURCE, out)?;
        said("left out", &LEFT_OUT, out)
    }

    fn table(&self, retention_days: f64) -> Table<5> {
        let mut table = Table::new(["", ">a day", ">a month", ">CloudWatch", ">native delivery to S3"]);
        let none = String::new;
        let month = |per_day: f64| per_day * MONTH_DAYS;
        let raw = self.raw_bytes_per_day;
        table.row(["raw logs".into(), volume(raw), volume(month(raw)), none(), none()]);
        let objects = self.objects_per_day;
        let decimals = usize::from(objects < 10.0);
        table.row(["objects".into(), figure(objects, decimals), figure(month(objects), 0), none(), none()]);
        table.row(["raw in an object".into(), kilobytes(self.raw_bytes_per_object), none(), none(), none()]);
        let mut dollars_of = |name: String, part: fn(&Costs) -> f64, others: bool| {
            let ours = part(&self.logspool_dollars_per_month);
            let other = |costs: &Costs| if others { dollars(part(costs)) } else { none() };
            table.row([
                name,
                dollars(ours / MONTH_DAYS),
                dollars(ours),
                other(&self.cloudwatch_dollars_per_month),
                other(&self.native_delivery_dollars_per_month),
            ]);
        };
        dollars_of("PUTs; ingestion; delivery".into(), |costs| costs.writing, true);
        dollars_of(format!("storage of {retention_days} days"), |costs| costs.storage, true);
        dollars_of("time held, billed".into(), |costs| costs.held_time, false);
        dollars_of("total".into(), |costs| costs.total, true);
        table
    }

    fn held(&self) -> String {
        if self.held_ms <= 0.0 {
            return "nobody: uploads happen while handlers run".into();
        }
        let (median, ms, share) = (self.held_ms_median, self.held_ms, self.held_invocations_share);
        let share = figure(share * 100.0, if share < 0.1 { 2 } else { 0 });
        format!(
            "{share} % of the invocations for {ms} ms after the function has finished, median {median} ms; no response waits"
        )
    }
}

/// Some lines under one name.
fn said(name: &str, lines: &[&str], out: &mut dyn Write) -> io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        writeln!(out, "{:14}{line}", if index == 0 { name } else { "" })?;
    }
    Ok(())
}

fn held_dollars(scenario: &Scenario, forecast: &Forecast) -> f64 {
    let ms = forecast.held_per_day * MONTH_DAYS * forecast.held_ms;
    scenario.architecture.duration(scenario.memory_mb, ms)
}

fn write_scenario(scenario: &Scenario, out: &mut dyn Write) -> io::Result<()> {
    let Scenario { traffic, rules, .. } = scenario;
    writeln!(
        out,
        "function      {} invocations a day, {} raw bytes and {} each, {} MB, {}",
        figure(traffic.invocations_per_day, 0),
        figure(traffic.bytes_per_invocation, 0),
        span(traffic.duration_ms),
        scenario.memory_mb,
        scenario.architecture.name()
    )?;
    writeln!(
        out,
        "environments  {} at a time, one invocation each every {}, alive for {}",
        figure(scenario.environments, 0),
        span(traffic.gap_ms),
        span(traffic.life_ms)
    )?;
    writeln!(out, "settings      {}", settings(rules).join(" "))?;
    writeln!(out, "compression   {} : 1, {}", traffic.compression_ratio, scenario.ratio_source)
}

/// The rules as settings.
fn settings(rules: &Rules) -> [String; 4] {
    [
        format!("SEAL_AGE={}", duration(rules.age_ms)),
        format!("SEAL_SIZE={}", size(rules.size_bytes)),
        rules.invocations.map_or("SEAL_INVOCATIONS=off".into(), |limit| format!("SEAL_INVOCATIONS={limit}")),
        format!("DRAIN={}", strategy_name(rules.strategy)),
    ]
}

/// Settings to change, as variables.
fn changes(before: &Rules, after: &Rules) -> Vec<String> {
    let pairs = settings(before).into_iter().zip(settings(after));
    pairs.filter(|(before, after)| before != after).map(|(_, after)| format!("LOGSPOOL_{after}")).collect()
}

fn told(scenario: &Scenario, advice: &Advice) -> String {
    let target = kilobytes(TARGET_BYTES);
    let traffic = &scenario.traffic;
    match advice {
        Advice::Reached => format!("the target of {target} raw in an object is reached"),
        Advice::Change(better, forecast) => {
            format!("below the target of {target} raw in an object:\n{}", change(scenario, better, forecast))
        }
        Advice::Never { best, why } => {
            let why = match why {
                Why::OneAnInvocation => {
                    format!("invocations of one environment are {} apart, so each is an object", span(traffic.gap_ms))
                }
                Why::HourAndLife => "an object ends with the hour and with its environment".into(),
            };
            let best = best.as_ref().map(|(rules, forecast)| format!("\n{}", change(scenario, rules, forecast)));
            let best = best.unwrap_or_default();
            format!("below the target of {target} raw in an object, and no setting reaches it: {why}{best}")
        }
    }
}

/// What other rules would do.
fn change(scenario: &Scenario, better: &Rules, forecast: &Forecast) -> String {
    format!(
        "{} makes {} per object; at most {} of lines are then on the disk alone",
        changes(&scenario.rules, better).join(" "),
        kilobytes(forecast.raw_bytes_per_object),
        span(lines_wait_ms(&scenario.traffic, better))
    )
}

fn strategy_name(strategy: DrainStrategy) -> &'static str {
    match strategy {
        DrainStrategy::Adaptive => "adaptive",
        DrainStrategy::End => "end",
        DrainStrategy::Background => "background",
    }
}

/// As the setting is written; ages are whole milliseconds.
fn duration(ms: f64) -> String {
    show_duration(Duration::from_secs_f64(ms / 1_000.0))
}

/// As the setting is written; sizes are whole bytes.
fn size(bytes: f64) -> String {
    format!("{bytes:.0}").parse().map_or_else(|_| bytes.to_string(), show_size)
}

/// A number for people, with so many decimals.
fn figure(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    whole.parse().map_or_else(|_| text.clone(), |whole| format!("{}{rest}", grouped(whole)))
}

fn dollars(amount: f64) -> String {
    format!("${}", figure(amount, if amount < 1.0 { 4 } else { 2 }))
}

fn kilobytes(bytes: f64) -> String {
    let tenths = (bytes / 100.0).round();
    let decimals = usize::from(bytes < 10_000.0 && tenths % 10.0 > 0.0);
    format!("{} KB", figure(bytes / 1e3, decimals))
}

fn volume(bytes: f64) -> String {
    if bytes < 1e9 { format!("{} MB", figure(bytes / 1e6, 2)) } else { format!("{} GB", figure(bytes / 1e9, 2)) }
}

/// A time for people.
fn span(ms: f64) -> String {
    let (number, unit) = match ms {
        ms if ms < 1_000.0 => (ms, "ms"),
        ms if ms < 60_000.0 => (ms / 1e3, "s"),
        ms if ms < 3_600_000.0 => (ms / 60e3, "min"),
        ms => (ms / 3_600e3, "h"),
    };
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Architecture, DURATION_DEFAULT, LIFE_DEFAULT, Options, RETENTION_DAYS_DEFAULT, run};

    fn options(invocations_per_day: u64, bytes_per_invocation: u64) -> Options {
        Options {
            invocations_per_day,
            bytes_per_invocation,
            memory_mb: 512,
            gap: None,
            environments: None,
            duration: DURATION_DEFAULT,
            life: LIFE_DEFAULT,
            compression_ratio: Some(10.0),
            retention_days: RETENTION_DAYS_DEFAULT,
            architecture: Architecture::X86_64,
            is_json: false,
        }
    }

    fn told(options: &Options, variables: &[(&str, &str)]) -> String {
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
    fn a_person_reads_what_is_wrong_and_what_helps() {
        let text = told(&options(86_400, 1_000), &[("DRAIN", "end")]);
        for line in [
            "function      86,400 invocations a day, 1,000 raw bytes and 100 ms each, 512 MB, x86_64\n",
            "environments  1 at a time, one invocation each every 1 s, alive for 2 h\n",
            "settings      SEAL_AGE=1m SEAL_SIZE=4MiB SEAL_INVOCATIONS=1 DRAIN=end\n",
            "held          100 % of the invocations for 175 ms after the function has finished, median 175 ms;",
            "break-even    from 20 KB raw per object upwards a PUT is cheaper than native delivery, from 10 KB than CloudWatch; here 1 KB\n",
            "object size   below the target of 500 KB raw in an object:\n",
            "LOGSPOOL_SEAL_AGE=10m LOGSPOOL_SEAL_INVOCATIONS=off LOGSPOOL_DRAIN=adaptive makes 533 KB per object; \
             at most 10 min of lines are then on the disk alone\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing:\n{text}");
        }
        let rows: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        // 86,400 * 30 * 0.000005; 2.592 GB at 0.50 and at 0.25.
        for row in ["raw in an object 1 KB", "PUTs; ingestion; delivery $0.4320 $12.96 $1.30 $0.6480"] {
            assert!(rows.iter().any(|line| line == row), "{row:?} is missing:\n{text}");
        }
        let text = told(&options(1_440, 2_000), &[]);
        assert!(
            text.contains("no setting reaches it: an object ends with the hour and with its environment\n"),
            "{text}"
        );
        assert!(text.contains("makes 80 KB per object"), "{text}");
        let text = told(&options(12, 2_000), &[]);
        assert!(
            text.contains(
                "no setting reaches it: invocations of one environment are 2 h apart, so each is an object\n"
            )
        );
        assert!(text.contains("0.02 MB"), "{text}");
        let text = told(&options(86_400, 10_000), &[]);
        assert!(text.contains("object size   the target of 500 KB raw in an object is reached\n"), "{text}");
        assert!(told(&options(86_400, 10_000), &[("DRAIN", "background")]).contains("for 50 ms after"));
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
