//! Which requests are shipped, where only a share of them is.

use xxhash_rust::xxh3::xxh3_64;

/// A share of all requests.
///
/// It is decided by the request id alone, by a hash that never changes: all lines of a request share its fate, in every
/// process and environment, and whoever is shipped with a small share is shipped with a larger one too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    share: f64,
}

impl Sample {
    /// Takes a share from 0 (none) to 1 (all).
    pub fn new(share: f64) -> Self {
        Self { share }
    }

    /// Whether a request is shipped.
    pub(super) fn takes(self, request_id: &str) -> bool {
        place(request_id) < self.share
    }
}

/// Where a request stands from 0 to 1, without 1: as many bits as a float holds.
fn place(request_id: &str) -> f64 {
    (xxh3_64(request_id.as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_ids() -> impl Iterator<Item = String> {
        let mut rng = fastrand::Rng::with_seed(5);
        std::iter::repeat_with(move || format!("{:032x}", rng.u128(..))).take(20_000)
    }

    #[test]
    fn the_share_is_kept_over_many_requests() {
        for share in [0.0, 0.01, 0.1, 0.5, 0.9, 1.0] {
            let taken = request_ids().filter(|id| Sample::new(share).takes(id)).count();
            let expected = share * 20_000.0;
            // Four standard deviations of a binomial distribution.
            let tolerance = 4.0 * (20_000.0 * share * (1.0 - share)).sqrt();
            assert!((taken as f64 - expected).abs() <= tolerance, "{taken} of 20000 at {share}");
        }
    }

    #[test]
    fn a_larger_share_takes_everything_that_a_smaller_one_takes() {
        for id in request_ids().take(1_000) {
            let takes = |share| Sample::new(share).takes(&id);
            assert!(!takes(0.1) || takes(0.2) && takes(0.9));
        }
    }

    /// These values, of XXH3-64, must never change: two versions at work in one fleet would ship halves of requests.
    #[test]
    fn the_fate_of_a_request_is_fixed_for_ever() {
        let places = [
            ("79b4f56e-95b1-4643-9700-2807f4e68189", 0.444_759_654),
            ("459921b5-681c-4a96-beb0-81e0aa586026", 0.189_741_876),
            ("", 0.175_880_433),
        ];
        for (id, expected) in places {
            assert!((place(id) - expected).abs() < 1e-9, "{id}: {}", place(id));
            assert!(Sample::new(expected + 1e-6).takes(id) && !Sample::new(expected - 1e-6).takes(id), "{id}");
        }
    }
}
