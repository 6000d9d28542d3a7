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
    "traffic that comes in bursts or by night: all invocations are alike and evenly spread; failed ones, which ship at once, are not counted",
    "idle environments that Lambda ends before --life, mostly after minutes: each leaves one object more",
    "KMS, retried PUTs, reading, data transfer (none within the region, with a gateway endpoint in a VPC), time to start the extension",
    "CPU that compression and uploads take from a handler that runs",
    "what each record costs on top: some 26 bytes in CloudWatch, time, type and number in a line of ours",
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
        writeln!(out, "held          {}", self.held(scenario.rules.strategy))?;
        let (native, cloudwatch) =
            (self.cheaper_than_native_delivery_from_bytes, self.cheaper_than_cloudwatch_from_bytes);
        let (native, cloudwatch) = (kilobytes(native), kilobytes(cloudwatch));
        writeln!(
            out,
            "break-even    one PUT costs less from {native} raw in an object upwards than AWS's delivery of them to S3, from {cloudwatch} than CloudWatch"
        )?;
        writeln!(out, "object size   {}", self.advice)?;
        writeln!(out, "\nprices        {}", prices::SOURCE)?;
        for (index, line) in LEFT_OUT.iter().enumerate() {
            writeln!(out, "{:14}{line}", if index == 0 { "left out" } else { "" })?;
        }
        Ok(())
    }

    fn table(&self, retention_days: f64) -> Table<5> {
        let mut table = Table::new(["", ">a day", ">a month", ">CloudWatch", ">AWS's delivery to S3"]);
        let none = String::new;
        let gigabytes = |bytes: f64| format!("{} GB", figure(bytes / 1e9, 2));
        let month = |per_day: f64| per_day * MONTH_DAYS;
        let raw = self.raw_bytes_per_day;
        table.row(["raw logs".into(), gigabytes(raw), gigabytes(month(raw)), none(), none()]);
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

    fn held(&self, strategy: DrainStrategy) -> String {
        if self.held_ms <= 0.0 {
            return "nobody: uploads happen in the shadow of handlers".into();
        }
        let (median, ms) = (self.held_ms_median, self.held_ms);
        let share = figure(self.held_invocations_share * 100.0, if self.held_invocations_share < 0.1 { 2 } else { 0 });
        let name = strategy_name(strategy);
        format!(
            "{share} % of the environments for {ms} ms when their function has finished (median of all {median} ms, DRAIN={name}); no response waits"
        )
    }
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
    let Scenario { traffic, rules, .. } = scenario;
    match advice {
        Advice::Reached => format!("the target of {target} raw in an object is reached"),
        Advice::Change(better, forecast) => format!(
            "below the target of {target} raw in an object; {} makes {}, lines are on the disk alone for up to {} then",
            changes(rules, better).join(" "),
            kilobytes(forecast.raw_bytes_per_object),
            span(lines_wait_ms(traffic, better))
        ),
        Advice::Never { raw_bytes_per_object, why } => {
            let why = match why {
                Why::OneAnInvocation => format!(
                    "invocations of one environment are {} apart, so each makes an object of its own",
                    span(traffic.gap_ms)
                ),
                Why::HourAndLife => "an object ends with the hour and with its environment".into(),
            };
            let most = kilobytes(*raw_bytes_per_object);
            format!("below the target of {target} raw in an object, and no setting reaches it (at most {most}): {why}")
        }
    }
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
    format!("{} KB", figure(bytes / 1e3, usize::from(bytes < 10_000.0 && bytes % 1_000.0 > 0.0)))
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
