//! Settings that are allowed, each by itself, and together are probably not what was meant: pure.

use std::time::Duration;

use super::report::Check;
use crate::config::{Config, Delivery, StoreSettings};
use crate::lifecycle::machine::drain_policy::DrainStrategy;

const NAME: &str = "settings";
/// Longer than this, and records of an invocation come when the environment is frozen already.
const BUFFER_MS_MOST: u64 = 1_000;
/// Lambda takes idle environments away after minutes; what lies there longest is what a lost environment takes along.
const SEAL_AGE_MOST: Duration = Duration::from_secs(15 * 60);
/// What an upload can be expected to move in a second: of a function with little memory, and with its network's
/// share, less.
const UPLOAD_BYTES_A_SECOND: u64 = 8 << 20;
const UPLOAD_BYTES_A_SECOND_SMALL: u64 = 2 << 20;
const SMALL_MEMORY_MB: u64 = 256;

/// What is worth a second look.
pub(super) fn advice(config: &Config) -> Vec<Check> {
    let mut notes = Vec::new();
    let mut note = |seen: &str, remedy: &str| notes.push(Check::note(NAME, seen, remedy));
    if !config.enabled {
        note("ENABLED is false", "Nothing is collected while LOGSPOOL_ENABLED is false.");
    }
    if !config.types.function {
        note(
            "TYPES leaves out `function`",
            "What the function itself logs is not shipped: add `function` to LOGSPOOL_TYPES.",
        );
    }
    if config.buffering.timeout_ms > BUFFER_MS_MOST {
        note(
            "BUFFER_MS is above 1000",
            "Logs come behind the freeze and wait there for the next invocation: a LOGSPOOL_BUFFER_MS of 25 brings \
             them before it.",
        );
    }
    if config.seal.age > SEAL_AGE_MOST {
        note(
            "SEAL_AGE is above 15m",
            "Logs may stay that long in an environment: if it is lost, they are. Most use 1m to 5m.",
        );
    }
    if config.drain.strategy == DrainStrategy::End && config.drain.budget.is_zero() {
        note(
            "DRAIN is `end` with a DRAIN_BUDGET of 0",
            "Nothing is waited for: set LOGSPOOL_DRAIN_BUDGET, such as 2s.",
        );
    }
    if config.spool_limits.bytes_max.is_some_and(|most| most < config.seal.size_bytes.saturating_mul(2)) {
        note(
            "SPOOL_MAX has no room for two segments of SEAL_SIZE",
            "In an outage the oldest segment is dropped before the next one is full: raise LOGSPOOL_SPOOL_MAX or \
             lower LOGSPOOL_SEAL_SIZE.",
        );
    }
    notes.extend(config.delivery.iter().flat_map(|delivery| of_delivery(config, delivery)));
    notes
}

fn of_delivery(config: &Config, delivery: &Delivery) -> Vec<Check> {
    let mut notes = Vec::new();
    let mut note = |seen: &str, remedy: &str| notes.push(Check::note(NAME, seen, remedy));
    let is_small = config.function.memory_mb.is_some_and(|memory| memory < SMALL_MEMORY_MB);
    let rate = if is_small { UPLOAD_BYTES_A_SECOND_SMALL } else { UPLOAD_BYTES_A_SECOND };
    let needed_ms = config.seal.size_bytes.saturating_mul(1_000) / rate;
    if u128::from(needed_ms) > delivery.request_timeout.as_millis() {
        note(
            "SEAL_SIZE is large for REQUEST_TIMEOUT",
            "An object of that size may never be uploaded in time, and no retry helps: raise \
             LOGSPOOL_REQUEST_TIMEOUT or lower LOGSPOOL_SEAL_SIZE.",
        );
    }
    if delivery.trusts_log && !delivery.has_log {
        note(
            "FALLBACK_STDOUT_TRUSTED is true without stdout:",
            "It has no meaning: LOGSPOOL_FALLBACK does not end with stdout:.",
        );
    }
    if delivery.retry.is_bounded() && delivery.fallbacks.is_empty() {
        note(
            "RETRY_ATTEMPTS is set without a FALLBACK",
            "After so many attempts a segment waits for the next life of the process: set LOGSPOOL_FALLBACK, or \
             leave attempts unlimited.",
        );
    }
    let places: Vec<_> = [&delivery.destination].into_iter().chain(&delivery.fallbacks).map(place).collect();
    if places.iter().enumerate().any(|(index, place)| places[..index].contains(place)) {
        note("FALLBACK names a place twice", "What one place does not take it will not take again: name another one.");
    }
    let is_in_lambda = config.runtime_api.is_some();
    if is_in_lambda && places.iter().any(|place| place.starts_with("file:///tmp/")) {
        note("a destination lies in /tmp", "It goes with the environment: nobody can read it from elsewhere.");
    }
    notes
}

/// A place, as far as it can be compared.
fn place(store: &StoreSettings) -> String {
    match store {
        StoreSettings::S3(s3, _) => {
            let endpoint = s3.endpoint.as_deref().unwrap_or_default();
            format!("s3://{} {endpoint}", s3.prefix.below(s3.bucket.name()))
        }
        StoreSettings::File(path) => format!("file://{}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn seen(pairs: &[(&str, &str)]) -> Vec<String> {
        let destination = [("LOGSPOOL_DESTINATION", "s3://my-logs/a")];
        let vars: BTreeMap<_, _> =
            destination.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (config, errors) = Config::read(&vars);
        assert!(errors.is_empty(), "legal settings: {errors}");
        advice(&config).into_iter().map(|check| check.seen).collect()
    }

    #[test]
    fn usual_settings_need_no_advice() {
        assert!(seen(&[]).is_empty());
        let small = ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128");
        assert!(seen(&[small, ("LOGSPOOL_DRAIN", "end"), ("LOGSPOOL_FALLBACK", "s3://my-logs/b,stdout:")]).is_empty());
    }

    #[test]
    fn each_odd_combination_is_noted_and_nothing_else() {
        let lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
        let table: [(&[(&str, &str)], &str); 13] = [
            (&[("LOGSPOOL_ENABLED", "false")], "ENABLED is false"),
            (&[("LOGSPOOL_TYPES", "platform")], "TYPES leaves out `function`"),
            (&[("LOGSPOOL_BUFFER_MS", "1001")], "BUFFER_MS is above 1000"),
            (&[("LOGSPOOL_SEAL_AGE", "16m")], "SEAL_AGE is above 15m"),
            (&[("LOGSPOOL_DRAIN", "end"), ("LOGSPOOL_DRAIN_BUDGET", "0s")], "DRAIN is `end` with a DRAIN_BUDGET of 0"),
            (&[("LOGSPOOL_SPOOL_MAX", "7MiB")], "SPOOL_MAX has no room for two segments of SEAL_SIZE"),
            (&[("LOGSPOOL_SEAL_SIZE", "48MiB")], "SEAL_SIZE is large for REQUEST_TIMEOUT"),
            (
                &[("LOGSPOOL_SEAL_SIZE", "16MiB"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")],
                "SEAL_SIZE is large for REQUEST_TIMEOUT",
            ),
            (&[("LOGSPOOL_FALLBACK_STDOUT_TRUSTED", "true")], "FALLBACK_STDOUT_TRUSTED is true without stdout:"),
            (&[("LOGSPOOL_RETRY_ATTEMPTS", "3")], "RETRY_ATTEMPTS is set without a FALLBACK"),
            (&[("LOGSPOOL_FALLBACK", "s3://my-logs/a/")], "FALLBACK names a place twice"),
            (&[("LOGSPOOL_FALLBACK", "file:///tmp/logs"), lambda], "a destination lies in /tmp"),
            (
                &[("LOGSPOOL_SEAL_SIZE", "16MiB"), ("LOGSPOOL_SPOOL_MAX", "16MiB")],
                "SPOOL_MAX has no room for two segments of SEAL_SIZE",
            ),
        ];
        for (pairs, expected) in table {
            assert_eq!(seen(pairs), [expected], "{pairs:?}");
        }
    }
}
