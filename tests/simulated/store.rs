//! A store that keeps what it is given under the first key, and that fares as a seed will have it.

use std::collections::BTreeMap;

use logspool::upload::object_key::parse_file_name;
use logspool::upload::store::AttemptErrorKind;

/// How the store fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Up,
    Slow,
    /// Requests are never answered.
    Hangs,
    Fails(AttemptErrorKind),
    /// Requests are carried out, and the answer says that they were not.
    Ambiguous,
}

/// What becomes of one request.
pub struct Fate {
    /// When it is carried out, if it is: milliseconds from its start.
    pub stored_after_ms: Option<i64>,
    pub answered_after_ms: Option<i64>,
    pub result: Result<(), AttemptErrorKind>,
}

#[derive(Default)]
pub struct Store {
    /// Ranges by the name of the object.
    objects: BTreeMap<String, (u64, u64)>,
    pub requests: u64,
}

impl Store {
    pub fn fate(&mut self, mood: Mood, rng: &mut fastrand::Rng) -> Fate {
        self.requests += 1;
        let fast_ms = rng.i64(2..40);
        let fate = |stored_after_ms, answered_after_ms, result| Fate { stored_after_ms, answered_after_ms, result };
        match mood {
            Mood::Up => fate(Some(fast_ms), Some(fast_ms * 2), Ok(())),
            Mood::Slow => {
                let slow_ms = rng.i64(300..4_000);
                fate(Some(slow_ms / 2), Some(slow_ms), Ok(()))
            }
            Mood::Hangs => fate(rng.bool().then_some(fast_ms), None, Ok(())),
            Mood::Fails(kind) => fate(None, Some(fast_ms), Err(kind)),
            Mood::Ambiguous => fate(Some(fast_ms), Some(fast_ms * 2), Err(AttemptErrorKind::Retry)),
        }
    }

    /// An object that is there already stays as it is.
    pub fn put(&mut self, name: &str) {
        let parsed = parse_file_name(name).unwrap_or_else(|| panic!("{name} is a name"));
        self.objects.entry(name.to_owned()).or_insert((parsed.first, parsed.last));
    }

    /// Names and ranges of everything that belongs to a spool.
    pub fn of<'a>(&'a self, spool: &'a str) -> impl Iterator<Item = (&'a str, u64, u64)> {
        let objects = self.objects.iter().filter(move |(name, _)| name.starts_with(spool));
        objects.map(|(name, (first, last))| (name.as_str(), *first, *last))
    }
}
