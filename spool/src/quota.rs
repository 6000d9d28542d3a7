//! How much disk a spool may take: pure decisions over numbers.

use crate::storage::Space;

/// The share of the file system that a spool takes at most, unless told otherwise.
const SHARE_PER_CENT: u64 = 20;
/// The most that it takes by itself, in bytes: `/tmp` of a Lambda function has 512 MiB by default and up to 10 GiB, and
/// logs that wait are not what it is for.
const BYTES_MAX_DEFAULT: u64 = 256 * 1024 * 1024;
/// Files take whole blocks.
const BLOCK_BYTES: u64 = 4096;

/// What happens to a batch that finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest segment gives way.
    DropOldest,
    /// The batch is refused.
    DropNewest,
}

/// Limits of a spool. Each is kept by giving up what [`WhenFull`] says, and what is given up is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// The most bytes on disk; `None`: 20 % of the file system, at most 256 MiB.
    pub bytes_max: Option<u64>,
    /// Bytes of the file system that are left for others.
    pub keep_free_bytes: u64,
    /// The most segments: each is a file, and an entry in memory.
    pub segments_max: usize,
    /// The most spools of earlier lives: each is a directory, a lock and a descriptor. The oldest beyond are given up.
    pub orphans_max: usize,
    /// The most declared ranges that wait to be told.
    pub tombstones_max: usize,
    /// Who gives way.
    pub when_full: WhenFull,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            bytes_max: None,
            keep_free_bytes: 64 * 1024 * 1024,
            segments_max: 4_096,
            orphans_max: 64,
            tombstones_max: 1_024,
            when_full: WhenFull::DropOldest,
        }
    }
}

impl SpoolLimits {
    /// Whether `needed` more bytes may be taken by a spool that takes `used` bytes now.
    pub(crate) fn has_room(&self, used: u64, needed: u64, space: Option<Space>) -> bool {
        let after = used.saturating_add(needed);
        let free = space.is_none_or(|space| space.available.saturating_sub(needed) >= self.keep_free_bytes);
        after <= self.most(space) && free
    }

    /// The most bytes on disk, whatever is free.
    pub(crate) fn most(&self, space: Option<Space>) -> u64 {
        let share = space.map_or(u64::MAX, |space| space.total / 100 * SHARE_PER_CENT);
        self.bytes_max.unwrap_or_else(|| share.min(BYTES_MAX_DEFAULT))
    }
}

/// What a file of this length takes on disk.
pub(crate) fn disk_bytes(length: u64) -> u64 {
    length.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_default_is_a_fifth_of_the_file_system_and_at_most_256_mib() {
        let limits = SpoolLimits::default();
        let space = |total| Some(Space { total, available: total });
        assert!(limits.has_room(0, GIB / 10, space(GIB)));
        assert!(!limits.has_room(0, GIB / 4, space(GIB)));
        assert!(!limits.has_room(0, 257 << 20, space(100 * GIB)));
        assert!(limits.has_room(0, 256 << 20, space(100 * GIB)));
    }

    #[test]
    fn others_keep_their_share_whatever_the_quota_says() {
        let limits = SpoolLimits { bytes_max: Some(GIB), ..SpoolLimits::default() };
        let space = |available| Some(Space { total: GIB, available });
        assert!(limits.has_room(0, 1, space(65 << 20)));
        assert!(!limits.has_room(0, 2 << 20, space(65 << 20)));
        assert!(!limits.has_room(0, 0, space(1)));
    }

    #[test]
    fn files_take_whole_blocks() {
        assert_eq!([0, 1, 4_096, 4_097].map(disk_bytes), [0, 4_096, 4_096, 8_192]);
    }
}
