//! What was lost, by cause.

/// Why records did not reach, or may not have reached, the end of their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LossCause {
    /// Evicted to keep the spool within its quota.
    Quota = 0,
    /// Refused when they arrived: the numbers were taken, the bytes were not.
    Refused = 1,
    /// Bytes on disk that no longer match their checksum.
    Damage = 2,
    /// The file was removed by somebody else.
    Vanished = 3,
    /// Held in memory only, in a life that ended.
    Volatile = 4,
    /// Dropped before they were handed to us, as the sender itself declared.
    Platform = 5,
}

impl LossCause {
    /// Every cause, in the order of the format.
    pub const ALL: [Self; 6] =
        [Self::Quota, Self::Refused, Self::Damage, Self::Vanished, Self::Volatile, Self::Platform];

    /// The word that stands in names and lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Refused => "refused",
            Self::Damage => "damage",
            Self::Vanished => "vanished",
            Self::Volatile => "volatile",
            Self::Platform => "platform",
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// Records and bytes of one cause. Bytes are as received, before compression.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    /// Number of records.
    pub records: u64,
    /// Number of bytes, uncompressed.
    pub bytes: u64,
}

impl Loss {
    /// Both together. Sums saturate: a count that is too large to hold must not become a small one.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { records: self.records.saturating_add(other.records), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// The totals of one spool from its beginning, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses([Loss; 6]);

impl Losses {
    /// Adds to one cause.
    pub fn add(&mut self, cause: LossCause, records: u64, bytes: u64) {
        let loss = &mut self.0[usize::from(cause.code())];
        *loss = loss.and(Loss { records, bytes });
    }

    /// The total of one cause.
    pub fn of(&self, cause: LossCause) -> Loss {
        self.0[usize::from(cause.code())]
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        other.iter().for_each(|(cause, loss)| self.add(cause, loss.records, loss.bytes));
        self
    }

    /// The causes that have lost anything.
    pub fn iter(&self) -> impl Iterator<Item = (LossCause, Loss)> + '_ {
        LossCause::ALL.into_iter().map(|cause| (cause, self.of(cause))).filter(|(_, loss)| *loss != Loss::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up_by_cause_and_saturate() {
        let mut losses = Losses::default();
        losses.add(LossCause::Quota, 3, 100);
        losses.add(LossCause::Quota, u64::MAX, 1);
        losses.add(LossCause::Platform, 1, 0);
        let seen: Vec<_> = losses.iter().map(|(cause, loss)| (cause.name(), loss.records, loss.bytes)).collect();
        assert_eq!(seen, [("quota", u64::MAX, 101), ("platform", 1, 0)]);
        let both = losses.and(&losses);
        assert_eq!(both.of(LossCause::Quota), Loss { records: u64::MAX, bytes: 202 });
        assert_eq!(both.of(LossCause::Platform).records, 2);
    }

    #[test]
    fn codes_are_the_positions_in_the_format() {
        for cause in LossCause::ALL {
            assert_eq!(LossCause::from_code(cause.code()), Some(cause));
        }
        assert_eq!(LossCause::from_code(6), None);
    }
}
