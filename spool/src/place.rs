//! The file system of a directory, for people: what it is, what room it has.

use std::io;
use std::path::Path;

use crate::quota::SpoolLimits;
use crate::storage::Space;
use crate::storage::disk::NETWORK_FILE_SYSTEMS;

/// File systems that a spool is likely to lie on, by the magic number of `statfs(2)`.
const LOCAL_FILE_SYSTEMS: [(u64, &str); 7] = [
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlay"),
    (0x9123_683e, "btrfs"),
    (0xf2f5_2010, "f2fs"),
    (0x6573_5546, "fuse"),
];

/// The file system of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is called; its magic number if nobody knows.
    pub file_system: String,
    /// It lies behind a network: no spool is made there.
    pub is_network: bool,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Bytes that are free for this user.
    pub available_bytes: u64,
    /// Files that may still be made; `None` where that has no limit.
    pub files_available: Option<u64>,
}

impl Place {
    /// Asks the file system of a directory.
    ///
    /// # Errors
    /// The directory is not there, or cannot be looked at.
    pub fn look(directory: &Path) -> io::Result<Self> {
        let (stat, space) = (rustix::fs::statfs(directory)?, rustix::fs::statvfs(directory)?);
        let magic = u64::try_from(stat.f_type).unwrap_or(0) & 0xffff_ffff;
        let named =
            |names: &[(u64, &'static str)]| names.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name);
        let network = named(&NETWORK_FILE_SYSTEMS);
        let name = network.or_else(|| named(&LOCAL_FILE_SYSTEMS));
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(Self {
            file_system: name.map_or_else(|| format!("file system 0x{magic:x}"), str::to_owned),
            is_network: network.is_some(),
            total_bytes: bytes(space.f_blocks),
            available_bytes: bytes(space.f_bavail),
            files_available: (space.f_files > 0).then_some(space.f_favail),
        })
    }

    /// The most that a spool takes here.
    #[must_use]
    pub fn spool_bytes_max(&self, limits: &SpoolLimits) -> u64 {
        limits.most(Some(self.space()))
    }

    /// Whether there is room for `bytes` of a spool that takes nothing yet.
    #[must_use]
    pub fn has_room(&self, limits: &SpoolLimits, bytes: u64) -> bool {
        limits.has_room(0, bytes, Some(self.space()))
    }

    fn space(&self) -> Space {
        Space { total: self.total_bytes, available: self.available_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_tells_its_file_system_and_what_a_spool_may_take_of_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::look(directory.path()).expect("it is there");
        assert!(!place.is_network, "{place:?}");
        assert!(place.available_bytes <= place.total_bytes, "{place:?}");
        let limits = |bytes_max| SpoolLimits { bytes_max, keep_free_bytes: 0, ..SpoolLimits::default() };
        assert_eq!(place.spool_bytes_max(&limits(Some(7 << 20))), 7 << 20);
        assert_eq!(place.spool_bytes_max(&limits(None)), (place.total_bytes / 100 * 20).min(256 << 20));
        assert!(place.has_room(&limits(None), 1) && !place.has_room(&limits(Some(1)), 2));
        assert!(!place.has_room(&SpoolLimits { keep_free_bytes: u64::MAX, ..limits(None) }, 1));
        assert!(Place::look(&directory.path().join("nothing")).is_err());
    }

    #[test]
    fn the_file_system_of_processes_is_no_disk_and_has_its_number() {
        let place = Place::look(Path::new("/proc")).expect("Linux has it");
        assert_eq!((place.file_system.as_str(), place.is_network), ("file system 0x9fa0", false));
    }
}
