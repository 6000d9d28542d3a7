//! Public list prices of `us-east-1`, in dollars, as of 2026-08 (Lambda) and 2025-09 (CloudWatch), without a date (S3). A
//! GB is 10^9 bytes everywhere, so that columns compare; AWS counts some of them as 2^30.
//!
//! Lambda: <https://aws.amazon.com/lambda/pricing/>, CloudWatch: <https://aws.amazon.com/cloudwatch/pricing/>,
//! S3: <https://aws.amazon.com/s3/pricing/>.

/// What the footer says of them.
pub(super) const SOURCE: [&str; 2] = [
    "list prices of us-east-1 (Lambda as of 2026-08, CloudWatch as of 2025-09, S3 undated), no free tiers, a month of 30 days:",
    "https://aws.amazon.com/lambda/pricing/ https://aws.amazon.com/cloudwatch/pricing/ https://aws.amazon.com/s3/pricing/",
];

const GB: f64 = 1e9;
/// Lambda counts memory in MB of 2^20 bytes, and GB of 1,024 of them.
const MB_IN_GB: f64 = 1_024.0;

/// S3 Standard: one PUT, and a GB kept for a month (first 50 TB).
pub(super) const S3_PUT: f64 = 0.005 / 1_000.0;
pub(super) const S3_STORAGE_GB_MONTH: f64 = 0.023;

/// CloudWatch Logs: a GB kept for a month, compressed.
pub(super) const CLOUDWATCH_STORAGE_GB_MONTH: f64 = 0.03;

/// So many GB of a month cost so much each; the last tier has no end.
type Tiers = [(f64, f64); 4];

/// CloudWatch Logs, class Standard: logs of Lambda, ingested.
pub(super) const CLOUDWATCH_INGESTION: Tiers =
    [(10_000.0, 0.50), (20_000.0, 0.25), (20_000.0, 0.10), (f64::INFINITY, 0.05)];
/// Logs of Lambda that CloudWatch delivers to S3 (class Delivery).
pub(super) const NATIVE_DELIVERY: Tiers =
    [(10_000.0, 0.25), (20_000.0, 0.15), (20_000.0, 0.075), (f64::INFINITY, 0.05)];

/// What the function runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    pub(super) const ALL: [(&str, Self); 2] = [("x86_64", Self::X86_64), ("arm64", Self::Arm64)];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }

    /// A GB of memory for a second of duration, in the first tier.
    fn gb_second(self) -> f64 {
        match self {
            Self::X86_64 => 0.000_016_666_7,
            Self::Arm64 => 0.000_013_333_4,
        }
    }

    /// So many milliseconds of a function with so much memory.
    pub(super) fn duration(self, memory_mb: f64, ms: f64) -> f64 {
        memory_mb / MB_IN_GB * ms / 1_000.0 * self.gb_second()
    }
}

/// So many bytes of a month by tiers.
pub(super) fn tiered(tiers: &Tiers, bytes: f64) -> f64 {
    let (mut left_gb, mut dollars) = (bytes / GB, 0.0);
    for (size_gb, price) in tiers {
        let taken_gb = left_gb.min(*size_gb);
        dollars += taken_gb * price;
        left_gb -= taken_gb;
    }
    dollars
}

/// So many bytes kept all the time, for a month.
pub(super) fn stored(bytes: f64, gb_month: f64) -> f64 {
    bytes / GB * gb_month
}

/// From so many raw bytes an object upwards a PUT costs less than these tiers ask in their first.
pub(super) fn break_even_bytes(tiers: &Tiers) -> f64 {
    S3_PUT / tiers[0].1 * GB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(is: f64, expected: f64) {
        assert!((is - expected).abs() <= expected.abs() * 1e-9, "{is} is not {expected}");
    }

    #[test]
    fn a_put_costs_what_10_kb_cost_in_cloudwatch_and_20_kb_in_delivery_to_s3() {
        // 0.000005 / 0.50 per 10^9 bytes = 10,000 bytes; at 0.25 twice as many.
        assert_near(break_even_bytes(&CLOUDWATCH_INGESTION), 10_000.0);
        assert_near(break_even_bytes(&NATIVE_DELIVERY), 20_000.0);
    }

    #[test]
    fn each_tier_has_its_price() {
        // (10^9 bytes, CloudWatch, delivery to S3)
        for (gb, cloudwatch, delivery) in [
            (0.0, 0.0, 0.0),
            (1.0, 0.50, 0.25),
            (10_000.0, 5_000.0, 2_500.0),
            // 5,000 + 20,000 * 0.25; 2,500 + 20,000 * 0.15
            (30_000.0, 10_000.0, 5_500.0),
            // ... + 20,000 * 0.10; ... + 20,000 * 0.075
            (50_000.0, 12_000.0, 7_000.0),
            // ... + 10,000 * 0.05 both: 60 TB a month cost 12,500 in CloudWatch.
            (60_000.0, 12_500.0, 7_500.0),
        ] {
            assert_near(tiered(&CLOUDWATCH_INGESTION, gb * 1e9), cloudwatch);
            assert_near(tiered(&NATIVE_DELIVERY, gb * 1e9), delivery);
        }
    }

    #[test]
    fn time_is_billed_by_memory_and_architecture() {
        // 10 ms of 128 MB, a million times: 0.125 GB * 10,000 s * 0.0000166667 = 0.0208; of 1,024 MB 0.1667.
        assert_near(Architecture::X86_64.duration(128.0, 10e6), 0.125 * 10_000.0 * 0.000_016_666_7);
        assert_near(Architecture::X86_64.duration(1_024.0, 10e6), 0.166_667);
        assert_near(Architecture::Arm64.duration(1_024.0, 10e6), 0.133_334);
    }

    #[test]
    fn what_is_kept_costs_by_the_month() {
        assert_near(stored(200e9, S3_STORAGE_GB_MONTH), 4.6);
        assert_near(stored(200e9, CLOUDWATCH_STORAGE_GB_MONTH), 6.0);
    }
}
