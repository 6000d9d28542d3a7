//! Names of things: one life of the process, one segment, one record, one fragment.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

/// One life of the process: the name of its spool directory, a ULID (48 bits of Unix time in milliseconds, 80 random bits).
///
/// No two lives share an id, so no number, key or path is ever used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpoolId(Ulid);

impl SpoolId {
    /// Builds an id from Unix time in milliseconds and 80 random bits (the upper 48 bits of `random` are ignored).
    ///
    /// The randomness is passed in: it must come from the kernel, since a process restored from a snapshot shares the
    /// state of every generator in user space with its clones.
    pub fn new(unix_ms: i64, random: u128) -> Self {
        Self(Ulid::from_parts(u64::try_from(unix_ms).unwrap_or(0), random))
    }

    /// Rebuilds an id from its stored form (big-endian, as the ULID specification has it).
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }

    /// The stored form.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// When this life began: Unix time in milliseconds.
    pub fn unix_ms(self) -> i64 {
        i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; ulid::ULID_LEN];
        f.pad(self.0.array_to_str(&mut buffer))
    }
}

impl fmt::Debug for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpoolId({self})")
    }
}

/// The text is not a spool id: 26 characters of Crockford's base 32.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a spool id: 26 characters of Crockford's base 32 are expected")]
pub struct SpoolIdError(String);

impl FromStr for SpoolId {
    type Err = SpoolIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Ulid::from_string(text).map(Self).map_err(|_| SpoolIdError(text.to_owned()))?;
        // Crockford's alphabet reads `o` as `0`: two spellings of one id would be two directories of one life.
        if id.to_string() == text { Ok(id) } else { Err(SpoolIdError(text.to_owned())) }
    }
}

/// Number of a segment in its spool: 0, 1, 2, … without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The segment behind this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position of a record in its spool: 0, 1, 2, … without gaps. What is lost keeps its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seqno(pub u64);

impl Seqno {
    /// The number `records` further on.
    pub fn plus(self, records: u64) -> Self {
        Self(self.0 + records)
    }
}

impl fmt::Display for Seqno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Name of a fragment, unique in its spool and in all those that its process has rolled away from: a stale name never fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentId(pub u64);

impl FragmentId {
    /// The next name.
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for FragmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_id_survives_its_text_and_its_bytes() {
        let id = SpoolId::new(1_790_000_000_123, 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(SpoolId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.unix_ms(), 1_790_000_000_123);
    }

    #[test]
    fn another_spelling_of_an_id_is_refused() {
        let id = SpoolId::new(1_790_000_000_123, 7).to_string();
        assert!(id.to_lowercase().parse::<SpoolId>().is_err());
        assert!("lost+found".parse::<SpoolId>().is_err());
    }

    #[test]
    fn a_clock_before_1970_still_gives_an_id() {
        assert_eq!(SpoolId::new(-5, 1).unix_ms(), 0);
    }
}
