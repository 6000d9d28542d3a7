//! Destinations that a person names stand in place of those in the settings.

use crate::config::{Vars, settings};

/// Arguments over variables.
pub(super) struct Given<'a> {
    over: Vec<(String, String)>,
    under: &'a dyn Vars,
}

impl<'a> Given<'a> {
    /// The first one is the destination; the others are its fallbacks.
    pub(super) fn new(destinations: &[String], under: &'a dyn Vars) -> Self {
        let mut over = Vec::new();
        if let Some((first, others)) = destinations.split_first() {
            over.push((settings::DESTINATION.variable(), first.clone()));
            if !others.is_empty() {
                over.push((settings::FALLBACK.variable(), others.join(",")));
            }
        }
        Self { over, under }
    }

    fn over(&self, name: &str) -> Option<&String> {
        self.over.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Vars for Given<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.over(name).cloned().or_else(|| self.under.get(name))
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        self.under.names(prefix)
    }

    fn shown(&self, name: &str) -> String {
        match self.over(name) {
            Some(_) => "DESTINATION".to_owned(),
            None => self.under.shown(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn named_destinations_stand_over_the_settings() {
        let vars = BTreeMap::from([
            ("LOGSPOOL_DESTINATION".to_owned(), "s3://a".to_owned()),
            ("LOGSPOOL_FALLBACK".to_owned(), "s3://b".to_owned()),
        ]);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let table = [
            (words(&[]), "s3://a", "s3://b"),
            (words(&["s3://x"]), "s3://x", "s3://b"),
            (words(&["s3://x", "s3://y", "stdout:"]), "s3://x", "s3://y,stdout:"),
        ];
        for (arguments, destination, fallback) in table {
            let given = Given::new(&arguments, &vars);
            assert_eq!(given.get("LOGSPOOL_DESTINATION").as_deref(), Some(destination));
            assert_eq!(given.get("LOGSPOOL_FALLBACK").as_deref(), Some(fallback));
        }
        let given = Given::new(&words(&["x"]), &vars);
        assert_eq!(given.shown("LOGSPOOL_DESTINATION"), "DESTINATION");
        assert_eq!(given.shown("LOGSPOOL_FALLBACK"), "LOGSPOOL_FALLBACK");
    }
}
