//! `logspool doctor`: whether logs can be stored and delivered with these settings, and what to do if not.
//!
//! * **Nothing is asked in another way than the extension would**: the same settings, the same client, the same
//!   requests.
//! * Each step has a time limit, and is told when it is done: whoever waits sees for what.
//! * No secret is printed: all text passes through `veil`.
//! * What is left behind is at most an object of some hundred bytes, where the role may not remove it.

mod advice;
mod bucket;
mod clock;
mod disk;
mod folder;
mod given;
mod probe_object;
mod remedy;
mod report;
mod veil;

use std::io::{self, Write};
use std::time::Duration;

use given::given;
use report::{Check, Report};
use veil::Veil;

use super::Outcome;
use crate::config::{Config, ConfigErrors, Delivery, Env, Over, StoreSettings, Vars, settings};
use crate::logging::{self, Level};
use crate::upload::store::s3::{Probe, S3Settings};

/// The longest that one place is looked at: a person waits for it.
const LIMIT: Duration = Duration::from_secs(10);

/// Looks at everything. `destinations` stand in place of those in the settings.
pub(super) fn run(
    destinations: &[String],
    is_json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    // What it would say of itself is in the table.
    logging::set_level(Level::Error);
    let given = given(destinations);
    let environment = Env::read();
    let vars = Over { over: &given, under: &environment, shown: &|_| "DESTINATION".to_owned() };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            writeln!(err, "logspool: no async runtime is to be had: {error}")?;
            return Ok(Outcome::CouldNotLook);
        }
    };
    let mut report = Report::new(out, is_json, Veil::new(&vars));
    let looked = runtime.block_on(look(&vars, &mut report));
    // A name that is still being looked up, or a file system that hangs, must not keep the process.
    runtime.shutdown_background();
    looked?;
    report.finish()
}

async fn look(vars: &dyn Vars, report: &mut Report<'_>) -> io::Result<()> {
    let (config, errors) = Config::read(vars);
    report.add(environment(&config))?;
    for check in settings_checks(&config, &errors, vars) {
        report.add(check)?;
    }
    disk::check(&config.spool_root, &config.spool_limits, report)?;
    match &config.delivery {
        Some(delivery) => look_at_destinations(delivery, report).await,
        None => report.add(no_destination(&errors)),
    }
}

fn environment(config: &Config) -> Check {
    let function = &config.function;
    let seen = match (&config.runtime_api, function.memory_mb) {
        (Some(_), Some(memory)) => {
            format!("inside Lambda: {} version {}, {memory} MB", function.name, function.version)
        }
        (Some(_), None) => format!("inside Lambda, or an emulator: {}", function.name),
        (None, _) => "outside of Lambda: its network, clock, disk and role are another matter".to_owned(),
    };
    Check::ok("environment", seen)
}

fn settings_checks(config: &Config, errors: &ConfigErrors, vars: &dyn Vars) -> Vec<Check> {
    const NAME: &str = "settings";
    let remedy = "Correct it or unset it; the README has the rule and the default of each setting.";
    let mut checks: Vec<_> = errors.iter().map(|error| Check::bad(NAME, error.to_string(), remedy)).collect();
    checks.extend(advice::advice(config));
    if checks.is_empty() {
        let variables = match vars.names().len() {
            0 => "no LOGSPOOL_… variable".to_owned(),
            1 => "1 LOGSPOOL_… variable".to_owned(),
            many => format!("{many} LOGSPOOL_… variables"),
        };
        let file = vars.get(settings::CONFIG.variable).filter(|path| !path.trim().is_empty());
        let file = file.map_or_else(String::new, |path| format!(" and the file {}", path.trim()));
        checks.push(Check::ok(NAME, format!("{variables}{file}: nothing wrong with them")));
    }
    checks
}

fn no_destination(errors: &ConfigErrors) -> Check {
    let seen = if errors.is_empty() { "none is set" } else { "none that can be used" };
    Check::bad(
        "destination",
        seen,
        "Without one nothing is collected: set LOGSPOOL_DESTINATION to s3://bucket/prefix, or name it here: \
         logspool doctor s3://bucket/prefix",
    )
}

async fn look_at_destinations(delivery: &Delivery, report: &mut Report<'_>) -> io::Result<()> {
    look_at_store("destination", &delivery.destination, report).await?;
    for fallback in &delivery.fallbacks {
        look_at_store("fallback", fallback, report).await?;
    }
    if delivery.has_log {
        report.is_about("stdout:".to_owned());
        report.add(Check::ok("fallback", "stdout: works while the function's role may write to CloudWatch Logs"))?;
    }
    Ok(())
}

async fn look_at_store(name: &'static str, store: &StoreSettings, report: &mut Report<'_>) -> io::Result<()> {
    match store.clone() {
        StoreSettings::File(path) => {
            let described = format!("file://{}", path.display());
            report.is_about(described.clone());
            report.add(Check::ok(name, described))?;
            folder::check(&path, report).await
        }
        StoreSettings::S3(s3, credentials) => match Probe::new(*s3, credentials) {
            Ok(probe) => {
                report.is_about(probe.describe());
                report.add(Check::ok(name, described(&probe.describe(), probe.settings())))?;
                bucket::check(&probe, report).await
            }
            Err(error) => {
                report.add(Check::bad(name, error.to_string(), "Correct the settings LOGSPOOL_S3_… that it names."))
            }
        },
    }
}

fn described(place: &str, s3: &S3Settings) -> String {
    let mut text = format!("{place}, region {}", s3.first_region());
    if let Some(endpoint) = &s3.endpoint {
        text.push_str(&format!(", at {endpoint}"));
    }
    if let Some(proxy) = &s3.proxies.every {
        text.push_str(&format!(", through {proxy}"));
    }
    text
}
