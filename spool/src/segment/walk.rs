//! Walking over the entries of a segment file, whatever state it is in.

use std::io;
use std::sync::Arc;

use super::file::SegmentFile;
use super::window::{WINDOW_BYTES, Window};
use crate::format::checksum::Salt;
use crate::format::entry::{ENTRY_HEADER_BYTES, ENTRY_MAGIC, EntryHeader};
use crate::format::meta::Meta;

/// What stands at a place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all steps are entries, and there is one at a time")]
pub(crate) enum Step {
    /// An entry whose header and meta are intact, and which lies in the file whole.
    Entry { at: u64, header: EntryHeader, meta: Meta },
    /// Bytes that are no entry, with an intact entry header behind them.
    Damaged { at: u64, bytes: u64 },
    /// The rest of the file holds no entry that is whole: a write that a kill has torn, or nothing.
    End { at: u64, torn_bytes: u64 },
}

/// Reads entry headers one behind the other.
pub(crate) struct Walker {
    window: Window,
    salt: Salt,
    at: u64,
    end: u64,
    search_bytes_max: u64,
}

impl Walker {
    /// Walks over the entries in `at..end`.
    pub(crate) fn new(file: Arc<dyn SegmentFile>, salt: Salt, at: u64, end: u64) -> Self {
        Self { window: Window::new(file), salt, at, end, search_bytes_max: u64::MAX }
    }

    /// Behind damage no more than so many bytes are searched for an entry; then walking fails.
    pub(crate) fn searching(self, search_bytes_max: u64) -> Self {
        Self { search_bytes_max, ..self }
    }

    /// Where it stands.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The next step. Behind an [`Step::Entry`] the walker stands behind that entry.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let at = self.at;
        if let Some((header, meta)) = self.entry_at(at)? {
            // A length that the checksum vouches for but the file does not have: the write was torn behind the header.
            if at + header.entry_bytes() > self.end {
                return Ok(Step::End { at, torn_bytes: self.end - at });
            }
            self.at = at + header.entry_bytes();
            return Ok(Step::Entry { at, header, meta });
        }
        match self.search(at + 1)? {
            Some(found) => {
                self.at = found;
                Ok(Step::Damaged { at, bytes: found - at })
            }
            None => Ok(Step::End { at, torn_bytes: self.end.saturating_sub(at) }),
        }
    }

    /// Where the payload of an entry lies.
    pub(crate) fn payload_at(at: u64, header: &EntryHeader) -> u64 {
        at + header.payload_offset() as u64
    }

    /// Hands the payload of an entry to `take`, piece by piece, and tells whether it matches its checksum.
    pub(crate) fn payload(&mut self, at: u64, header: &EntryHeader, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut crc = self.salt.digest();
        let mut offset = Self::payload_at(at, header);
        let end = offset + u64::from(header.payload_bytes);
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            let bytes = self.window.read(offset, wanted)?;
            let bytes = &bytes[..wanted.min(bytes.len())];
            if bytes.is_empty() {
                return Ok(false);
            }
            crc.update(bytes);
            take(bytes);
            offset += bytes.len() as u64;
        }
        Ok(crc.finalize() == header.payload_crc)
    }

    fn entry_at(&mut self, at: u64) -> io::Result<Option<(EntryHeader, Meta)>> {
        if self.end.saturating_sub(at) < ENTRY_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let bytes = self.window.read(at, ENTRY_HEADER_BYTES)?;
        let Some(head) = bytes.first_chunk::<ENTRY_HEADER_BYTES>().copied() else { return Ok(None) };
        let Some(header) = EntryHeader::parse(&head) else { return Ok(None) };
        let meta_bytes = usize::from(header.meta_bytes);
        let bytes = self.window.read(at, ENTRY_HEADER_BYTES + meta_bytes)?;
        let Some(meta) = bytes.get(ENTRY_HEADER_BYTES..ENTRY_HEADER_BYTES + meta_bytes) else { return Ok(None) };
        let intact = EntryHeader::verify(&head, meta, self.salt);
        Ok(intact.then(|| (header, Meta::decode(meta))))
    }

    /// The first place at or behind `from` where an intact header stands.
    fn search(&mut self, mut from: u64) -> io::Result<Option<u64>> {
        let last = from.saturating_add(self.search_bytes_max);
        while from + (ENTRY_HEADER_BYTES as u64) <= self.end {
            let bytes = self.window.read(from, ENTRY_HEADER_BYTES)?;
            if bytes.len() < ENTRY_MAGIC.len() {
                return Ok(None);
            }
            match bytes.windows(ENTRY_MAGIC.len()).position(|window| window == ENTRY_MAGIC) {
                Some(skipped) => {
                    let candidate = from + skipped as u64;
                    if self.entry_at(candidate)?.is_some() {
                        return Ok(Some(candidate));
                    }
                    from = candidate + 1;
                }
                // The magic may begin in this window and end in the next.
                None => from += (bytes.len() - ENTRY_MAGIC.len() + 1) as u64,
            }
            if from > last {
                return Err(io::Error::other("too much damage"));
            }
        }
        Ok(None)
    }
}
