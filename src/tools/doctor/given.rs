//! Destinations that a person names stand in place of those in the settings.

use crate::config::settings;

/// The variables that they stand for: the first one is the destination, the others are its fallbacks.
pub(super) fn given(destinations: &[String]) -> Vec<(String, String)> {
    let Some((first, others)) = destinations.split_first() else { return Vec::new() };
    let mut over = vec![(settings::DESTINATION.variable.to_owned(), first.clone())];
    if !others.is_empty() {
        over.push((settings::FALLBACK.variable.to_owned(), others.join(",")));
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_is_the_destination_and_the_others_are_its_fallbacks() {
        let (destination, fallback) = ("LOGSPOOL_DESTINATION", "LOGSPOOL_FALLBACK");
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let table = [
            (words(&[]), vec![]),
            (words(&["s3://x"]), vec![(destination, "s3://x")]),
            (words(&["s3://x", "s3://y", "stdout:"]), vec![(destination, "s3://x"), (fallback, "s3://y,stdout:")]),
        ];
        for (words, variables) in table {
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            assert_eq!(given(&words), variables.into_iter().map(owned).collect::<Vec<_>>());
        }
    }
}
