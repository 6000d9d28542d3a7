//! Figures, settings and advice in the words of people: pure.

use std::time::Duration;

use super::advice::{Advice, TARGET_BYTES, Why, lines_wait_ms};
use super::model::{Forecast, Rules};
use super::scenario::Scenario;
use crate::config::value::{show_duration, show_size};
use crate::lifecycle::machine::drain_policy::DrainStrategy;
use crate::tools::table::grouped;

/// The rules as settings.
pub(super) fn settings(rules: &Rules) -> [String; 4] {
    [
        format!("SEAL_AGE={}", duration(rules.age_ms)),
        format!("SEAL_SIZE={}", size(rules.size_bytes)),
        rules.invocations.map_or("SEAL_INVOCATIONS=off".into(), |limit| format!("SEAL_INVOCATIONS={limit}")),
        format!("DRAIN={}", strategy_name(rules.strategy)),
    ]
}

/// Settings to change, as variables.
pub(super) fn changes(before: &Rules, after: &Rules) -> Vec<String> {
    let pairs = settings(before).into_iter().zip(settings(after));
    pairs.filter(|(before, after)| before != after).map(|(_, after)| format!("LOGSPOOL_{after}")).collect()
}

pub(super) fn told(scenario: &Scenario, advice: &Advice) -> String {
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
pub(super) fn figure(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.find('.').map_or((text.as_str(), ""), |point| text.split_at(point));
    whole.parse().map_or_else(|_| text.clone(), |whole| format!("{}{rest}", grouped(whole)))
}

pub(super) fn dollars(amount: f64) -> String {
    format!("${}", figure(amount, if amount < 1.0 { 4 } else { 2 }))
}

pub(super) fn kilobytes(bytes: f64) -> String {
    let tenths = (bytes / 100.0).round();
    let decimals = usize::from(bytes < 10_000.0 && tenths % 10.0 > 0.0);
    format!("{} KB", figure(bytes / 1e3, decimals))
}

pub(super) fn volume(bytes: f64) -> String {
    if bytes < 1e9 { format!("{} MB", figure(bytes / 1e6, 2)) } else { format!("{} GB", figure(bytes / 1e9, 2)) }
}

/// A time for people.
pub(super) fn span(ms: f64) -> String {
    let (number, unit) = match ms {
        ms if ms < 1_000.0 => (ms, "ms"),
        ms if ms < 60_000.0 => (ms / 1e3, "s"),
        ms if ms < 3_600_000.0 => (ms / 60e3, "min"),
        ms => (ms / 3_600e3, "h"),
    };
    format!("{} {unit}", (number * 10.0).round() / 10.0)
}
