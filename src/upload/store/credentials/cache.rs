//! For how long fetched keys are good. Pure: the time is passed in.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::AccessKeys;

/// Keys are renewed so long before they end, as the AWS SDKs do: whoever gives them has new ones by then, and a trouble of
/// minutes there harms nobody.
pub(super) const RENEW_BEFORE_END: Duration = Duration::from_secs(300);
/// While the old keys are good, new ones are asked for no more often than this: neither an endpoint in trouble nor one that
/// has nothing newer yet costs every upload a request.
pub(super) const RENEWALS_APART: Duration = Duration::from_secs(10);
/// Clocks of a process that ran all the time agree to a few milliseconds; a snapshot is seconds old at the least.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(1);

/// A moment, by the clock that the world shares and by the one of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) wall: SystemTime,
    pub(super) monotonic: Instant,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }
}

/// Keys with their end, as a source gives them.
pub(super) struct Fetched {
    pub(super) keys: Arc<AccessKeys>,
    /// `None`: never.
    pub(super) ends: Option<SystemTime>,
}

/// Keys that were fetched.
pub(super) struct Entry {
    pub(super) keys: Arc<AccessKeys>,
    pub(super) ends: Option<SystemTime>,
    fetched: Moment,
    /// When newer ones were last asked for.
    pub(super) asked: Moment,
}

/// What may be done with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// They are used.
    Good,
    /// They are good, and it is time to ask for newer ones.
    Renew,
    /// They are not used.
    Gone,
}

impl Entry {
    pub(super) fn new(fetched: Fetched, now: Moment) -> Self {
        Self { keys: fetched.keys, ends: fetched.ends, fetched: now, asked: now }
    }

    pub(super) fn usable(&self, now: Moment) -> Use {
        if !clocks_agree(self.fetched, now) {
            return Use::Gone;
        }
        let Some(ends) = self.ends else {
            return Use::Good;
        };
        match ends.duration_since(now.wall) {
            Ok(left) if left > RENEW_BEFORE_END => Use::Good,
            Ok(left) if !left.is_zero() => {
                let asked_ago = now.monotonic.saturating_duration_since(self.asked.monotonic);
                if asked_ago < RENEWALS_APART { Use::Good } else { Use::Renew }
            }
            _ended => Use::Gone,
        }
    }
}

/// Whether the two clocks went on by the same time between two moments. If not, the process slept through a snapshot, with
/// whatever it held in memory, or the clock was set and says nothing of an end any more.
fn clocks_agree(before: Moment, now: Moment) -> bool {
    let Some(expected) = before.wall.checked_add(now.monotonic.saturating_duration_since(before.monotonic)) else {
        return false;
    };
    let apart = now.wall.duration_since(expected).unwrap_or_else(|behind| behind.duration());
    apart <= CLOCKS_APART_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn start() -> Moment {
        Moment { wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_000_000), monotonic: Instant::now() }
    }

    fn after(moment: Moment, time: Duration) -> Moment {
        Moment { wall: moment.wall + time, monotonic: moment.monotonic + time }
    }

    fn entry(ends: Option<SystemTime>, fetched: Moment) -> Entry {
        let keys = Arc::new(AccessKeys { id: "id".to_owned(), secret: "secret".to_owned(), session_token: None });
        Entry::new(Fetched { keys, ends }, fetched)
    }

    #[test]
    fn keys_are_used_until_shortly_before_their_end_then_renewed_and_never_used_after_it() {
        let fetched = start();
        let entry = entry(Some(fetched.wall + HOUR), fetched);
        let table = [
            (Duration::ZERO, Use::Good),
            (HOUR - RENEW_BEFORE_END - MS, Use::Good),
            (HOUR - RENEW_BEFORE_END, Use::Renew),
            (HOUR - MS, Use::Renew),
            (HOUR, Use::Gone),
            (HOUR + MS, Use::Gone),
            (HOUR * 1000, Use::Gone),
        ];
        for (age, usable) in table {
            assert_eq!(entry.usable(after(fetched, age)), usable, "{age:?}");
        }
    }

    #[test]
    fn keys_without_an_end_are_good_for_ever() {
        let fetched = start();
        assert_eq!(entry(None, fetched).usable(after(fetched, HOUR * 10_000)), Use::Good);
    }

    #[test]
    fn newer_keys_are_not_asked_for_all_the_time() {
        let fetched = start();
        let mut entry = entry(Some(fetched.wall + HOUR), fetched);
        entry.asked = after(fetched, HOUR - Duration::from_secs(100));
        let table = [(Duration::ZERO, Use::Good), (RENEWALS_APART - MS, Use::Good), (RENEWALS_APART, Use::Renew)];
        for (ago, usable) in table {
            assert_eq!(entry.usable(after(entry.asked, ago)), usable, "{ago:?}");
        }
        // Keys that had a short life from the beginning were asked for when they were fetched.
        let short = self::entry(Some(fetched.wall + RENEW_BEFORE_END / 2), fetched);
        assert_eq!(short.usable(after(fetched, MS)), Use::Good);
        assert_eq!(short.usable(after(fetched, RENEWALS_APART)), Use::Renew);
    }

    #[test]
    fn keys_that_slept_through_a_snapshot_or_a_set_clock_are_gone() {
        let fetched = start();
        let ran = HOUR / 2;
        let now = after(fetched, ran);
        let table = [
            (now.wall, Use::Good),
            (now.wall + CLOCKS_APART_MAX, Use::Good),
            (now.wall + CLOCKS_APART_MAX + MS, Use::Gone),
            (now.wall + HOUR * 24, Use::Gone),
            (now.wall - CLOCKS_APART_MAX, Use::Good),
            (now.wall - CLOCKS_APART_MAX - MS, Use::Gone),
            (SystemTime::UNIX_EPOCH, Use::Gone),
        ];
        for ends in [None, Some(fetched.wall + HOUR * 48)] {
            for (wall, usable) in table {
                assert_eq!(entry(ends, fetched).usable(Moment { wall, ..now }), usable, "{wall:?} {ends:?}");
            }
        }
    }
}
