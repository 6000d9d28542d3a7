//! `logspool plan`: what a function's logs will cost with these settings, beside what AWS asks for the same logs.
//!
//! ```text
//! arguments, settings --scenario--> model --objects, holds--> prices --dollars--> report
//!                                     └----> advice ------------------------------┴-> table, words
//! ```

mod advice;
mod arguments;
mod model;
mod prices;
mod report;
mod scenario;
mod table;
mod words;

use std::io::Write;
use std::time::Duration;

pub(super) use arguments::options;
use prices::Architecture;
use report::Plan;
use scenario::Scenario;

use super::usage::Usage;
use super::{Failure, Outcome};
use crate::config::{Config, Vars};

/// A handler that answers a request.
const DURATION_DEFAULT: Duration = Duration::from_millis(100);
/// "Lambda terminates execution environments every few hours"
/// (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>).
const LIFE_DEFAULT: Duration = Duration::from_secs(2 * 60 * 60);
/// A month, as the prices of storage count.
const RETENTION_DAYS_DEFAULT: u64 = 30;

/// Bounds of arguments: beyond is a slip of the hand. Those of memory and duration are Lambda's
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const INVOCATIONS_MAX: u64 = 1_000_000_000_000;
const BYTES_MAX: u64 = 1 << 30;
const MEMORY_MB: (u64, u64) = (128, 10_240);
const DURATION_MAX: Duration = Duration::from_secs(15 * 60);
const GAP_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const LIFE_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const ENVIRONMENTS_MAX: u64 = 1_000_000;
const RETENTION_DAYS_MAX: u64 = 3_653;

/// What the function does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    invocations_per_day: u64,
    bytes_per_invocation: u64,
    memory_mb: u64,
    /// From start to start in one environment; else invocations are spread evenly.
    gap: Option<Duration>,
    /// Else as few as can take the invocations.
    environments: Option<u64>,
    duration: Duration,
    life: Duration,
    compression_ratio: Option<f64>,
    retention_days: u64,
    architecture: Architecture,
    is_json: bool,
}

impl Options {
    /// What must be told, and the rest as usual.
    fn new(invocations_per_day: u64, bytes_per_invocation: u64, memory_mb: u64) -> Self {
        Self {
            invocations_per_day,
            bytes_per_invocation,
            memory_mb,
            gap: None,
            environments: None,
            duration: DURATION_DEFAULT,
            life: LIFE_DEFAULT,
            compression_ratio: None,
            retention_days: RETENTION_DAYS_DEFAULT,
            architecture: Architecture::X86_64,
            is_json: false,
        }
    }
}

pub(super) fn run(
    options: &Options,
    vars: &dyn Vars,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Failure> {
    let (config, errors) = Config::read(vars);
    if !errors.is_empty() {
        writeln!(err, "logspool: {errors}")?;
    }
    let scenario = Scenario::new(options, &config).map_err(Usage::Value)?;
    let plan = Plan::new(&scenario);
    if options.is_json {
        plan.write_json(out)?;
    } else {
        plan.write_table(&scenario, out)?;
    }
    Ok(Outcome::Clean)
}
