//! An object, and in which of the places that were named it lies: pure.

use super::partition::{Span, span_of};
use crate::upload::object_key::{Compression, Content, FileName, parse_file_name};
use crate::upload::store::reading::Listed;

/// The last part of a key, which names an object wherever it lies.
#[must_use]
pub fn base_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// An object, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which of the places that were named.
    pub place: u16,
    /// What its listing says.
    pub object: Listed,
}

impl Located {
    /// What its name says.
    ///
    /// # Panics
    /// If it is no name of ours: those are left out when they are listed.
    #[must_use]
    pub fn name(&self) -> FileName<'_> {
        parse_file_name(base_name(&self.object.key)).expect("it was read when it was listed")
    }

    /// How it is compressed, as its name says.
    #[must_use]
    pub fn codec(&self) -> Compression {
        match self.name().content {
            Content::Lines { codec, .. } => codec,
            Content::Dropped { .. } => Compression::None,
        }
    }

    /// The hours that its folder is for. `root` is what [`Source::within`](super::source::Source::within) puts before an empty folder.
    #[must_use]
    pub fn span(&self, root: &str) -> Span {
        let folder = self.object.key.rsplit_once('/').map_or("", |(folder, _)| folder);
        span_of(&format!("{root}{folder}"))
    }

    /// It, as what belongs to a key of a sorter.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { place, object } = self;
        let mut bytes = place.to_be_bytes().to_vec();
        bytes.extend(object.modified_ms.to_be_bytes());
        bytes.extend(object.bytes.to_be_bytes());
        bytes.extend(object.key.as_bytes());
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, rest) = bytes.split_first_chunk()?;
        let (modified, rest) = rest.split_first_chunk()?;
        let (bytes, key) = rest.split_first_chunk()?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        let object = Listed { key, bytes: u64::from_be_bytes(*bytes), modified_ms: i64::from_be_bytes(*modified) };
        Some(Self { place: u16::from_be_bytes(*place), object })
    }
}
