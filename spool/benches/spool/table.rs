//! Numbers for people.

use std::time::Duration;

/// A percentile of samples, which it sorts.
pub fn percentile(samples: &mut [Duration], per_cent: usize) -> Duration {
    samples.sort_unstable();
    samples[(samples.len() - 1) * per_cent / 100]
}

pub fn median(samples: &mut [Duration]) -> Duration {
    percentile(samples, 50)
}

pub fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}

pub fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

/// Megabytes (10^6) in a second.
#[expect(clippy::cast_precision_loss, reason = "a number to read")]
pub fn megabytes_per_second(bytes: usize, took: Duration) -> String {
    format!("{:.0}", bytes as f64 / 1e6 / took.as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a number to read")]
pub fn ratio(left: u64, right: u64) -> f64 {
    left as f64 / right as f64
}

pub fn quotient(left: Duration, right: Duration) -> f64 {
    left.as_secs_f64() / right.as_secs_f64()
}

/// Says whether a number is within its target.
pub fn verdict(number: f64, at_most: f64) -> &'static str {
    if number <= at_most { "ok" } else { "MISSED" }
}

pub fn heading(text: &str) {
    println!("\n{text}");
}
