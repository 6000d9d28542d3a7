//! A trouble that comes and goes is said once.
//!
//! A disk at its limit takes small bodies and refuses large ones in turn. Each change would be a line, in the very hour in
//! which lines are costly; so the changes in quick succession are one spell.

/// Without trouble for so long, in milliseconds of wall time, a spell is over. Longer than the free space takes to be
/// measured again (one second) and a retry to come round, short enough that the all-clear stands near its cause.
pub const OVER_AFTER_MS: u64 = 5_000;

/// Whether there is trouble, and how much.
#[derive(Debug, Default)]
pub struct Spell {
    now: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    last_ms: i64,
    times: u64,
}

impl Spell {
    /// There was trouble. Returns whether a spell begins with it, which is to be said.
    pub const fn trouble(&mut self, now_ms: i64) -> bool {
        let times = match &self.now {
            Some(trouble) => trouble.times,
            None => 0,
        };
        self.now = Some(Trouble { last_ms: now_ms, times: times + 1 });
        times == 0
    }

    /// It worked. Returns how often there was trouble, if the spell is over now, which is to be said. A clock that jumps,
    /// either way, ends a spell early rather than never.
    pub fn worked(&mut self, now_ms: i64) -> Option<u64> {
        let over = self.now.take_if(|trouble| now_ms.abs_diff(trouble.last_ms) >= OVER_AFTER_MS)?;
        Some(over.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_790_000_000_000;
    const OVER: i64 = T + OVER_AFTER_MS.cast_signed();

    #[test]
    fn trouble_that_comes_and_goes_is_said_once() {
        let mut spell = Spell::default();
        assert_eq!(spell.worked(T), None, "no trouble, no all-clear");
        assert!(spell.trouble(T));
        assert_eq!(spell.worked(T + 10), None, "too early to be glad");
        assert!(!spell.trouble(T + 20), "the same spell");
        assert_eq!(spell.worked(OVER + 19), None, "counted from the last trouble");
        assert_eq!(spell.worked(OVER + 20), Some(2));
        assert_eq!(spell.worked(OVER + 21), None, "said once");
        assert!(spell.trouble(OVER + 22), "a new spell");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_a_spell_for_ever() {
        let mut spell = Spell::default();
        spell.trouble(T);
        assert_eq!(spell.worked(T - 3_600_000), Some(1));
    }
}
