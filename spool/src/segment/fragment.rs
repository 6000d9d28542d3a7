//! Fragments: bytes that must be durable and are no line yet, as the first half of a record whose second half is still to come.
//!
//! * **At most one fragment of a spool is pending.** A batch ends it by completing it, a further fragment by taking its place;
//!   both name it.
//! * **What is pending stands in the newest segment**: a segment begins with a copy of it, before the one behind which it
//!   stands may go. So a kill can leave it in two files, and never in none.
//! * **Its bytes are stored as they are.** They are no part of the object, so they must not become history of its compression;
//!   a context of their own would take a megabyte for what is rare and soon over.
//! * It has no number as long as its process lives. An adopter gives it the next one: for its line, or for its loss.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::file::SegmentFile;
use super::sealed::{SegmentKey, cause_of};
use super::walk::Walker;
use super::window::WINDOW_BYTES;
use crate::format::checksum::Salt;
use crate::format::entry::EntryHeader;
use crate::format::meta::{InForce, Meta};
use crate::id::{FragmentId, SegmentId, Seqno};
use crate::loss::LossCause;

/// The longest fragment, in bytes. It is read at once whenever a segment is sealed while it is pending.
pub const FRAGMENT_BYTES_MAX: usize = 12 * 1024 * 1024;

/// What is to be durable and is no line yet.
#[derive(Debug, Clone, Copy)]
pub struct Fragment<'a> {
    /// The bytes, at most [`FRAGMENT_BYTES_MAX`]: all of them, those of an earlier one that it takes the place of included.
    pub bytes: &'a [u8],
    /// Time of the line that they are the beginning of, Unix time in milliseconds, if it can be read.
    pub line_ms: Option<i64>,
    /// Length of the body that it came in, in bytes.
    pub body_bytes: u32,
    /// Hash of that body as received.
    pub body_hash: u64,
    /// Request id and tenant in force after it, to which it belongs; `resolves` names the fragment that it takes the place
    /// of. The rest is not looked at.
    pub meta: &'a Meta,
}

/// A fragment in a segment file.
#[derive(Debug, Clone)]
pub(crate) struct StoredFragment {
    pub id: FragmentId,
    /// What it belongs to.
    pub own: InForce,
    /// Its length, whether or not its bytes are still there.
    pub bytes: u32,
    pub time_ms: i64,
    /// Why its bytes cannot be had any more.
    pub loss: Option<LossCause>,
    file: Arc<dyn SegmentFile>,
    salt: Salt,
    payload_at: u64,
    payload_crc: u32,
}

impl StoredFragment {
    /// What an intact header tells; `None` if it has no name, which was never written.
    pub(crate) fn of(
        file: &Arc<dyn SegmentFile>,
        salt: Salt,
        at: u64,
        header: &EntryHeader,
        meta: &Meta,
    ) -> Option<Self> {
        let own = |own: &Option<String>, in_force: &Option<String>| own.clone().or_else(|| in_force.clone());
        let is_gone = header.payload_bytes == 0 && header.raw_bytes > 0;
        Some(Self {
            id: meta.fragment?,
            own: InForce {
                request_id: own(&meta.own_request_id, &meta.request_id),
                tenant: own(&meta.own_tenant, &meta.tenant),
            },
            bytes: if is_gone { header.raw_bytes } else { header.payload_bytes },
            time_ms: header.time_ms,
            loss: is_gone.then(|| meta.lost.unwrap_or(LossCause::Damage)),
            file: Arc::clone(file),
            salt,
            payload_at: Walker::payload_at(at, header),
            payload_crc: header.payload_crc,
        })
    }

    /// The same, to be read by other means.
    pub(crate) fn in_file(self, file: Arc<dyn SegmentFile>) -> Self {
        Self { file, ..self }
    }

    /// Its bytes, verified.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.bytes).expect("32 bits")];
        let read = self.file.read_at(&mut bytes, self.payload_at)?;
        if read < bytes.len() || self.salt.crc32c(&[&bytes]) != self.payload_crc {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("fragment {} is damaged", self.id)));
        }
        Ok(bytes)
    }

    /// Looks whether its bytes are still there. An error says nothing about them: the process is short of something.
    pub(crate) fn verify(&mut self) -> io::Result<()> {
        if self.loss.is_none() {
            self.loss = match self.is_intact() {
                Ok(true) => None,
                Ok(false) => Some(LossCause::Damage),
                Err(error) => Some(cause_of(&error).filter(|cause| *cause == LossCause::Damage).ok_or(error)?),
            };
        }
        Ok(())
    }

    fn is_damaged_copy_of(&self, original: &Self) -> bool {
        self.loss == Some(LossCause::Damage) && original.loss.is_none() && original.id == self.id
    }

    fn is_intact(&self) -> io::Result<bool> {
        let (mut buffer, mut crc) = (vec![0; WINDOW_BYTES], self.salt.digest());
        let (mut at, end) = (self.payload_at, self.payload_at + u64::from(self.bytes));
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            let read = self.file.read_at(&mut buffer[..wanted], at)?;
            if read < wanted {
                return Ok(false);
            }
            crc.update(&buffer[..read]);
            at += read as u64;
        }
        Ok(crc.finalize() == self.payload_crc)
    }
}

/// What a segment file tells of fragments.
#[derive(Debug, Clone, Default)]
pub(crate) struct FragmentTrace {
    /// What is pending at its end.
    pub pending: Option<StoredFragment>,
    /// Those that ended in it.
    ended: Vec<FragmentId>,
    /// It is known with what it begins: with a copy, if any was pending.
    knows_its_beginning: bool,
}

impl FragmentTrace {
    /// Of a segment whose entries are gone: they were delivered, and what was pending then was copied on.
    pub(crate) fn delivered() -> Self {
        Self { knows_its_beginning: true, ..Self::default() }
    }

    /// The file begins with an intact entry.
    pub(crate) fn begins(&mut self) {
        self.knows_its_beginning = true;
    }

    /// An intact header names a fragment that ends here.
    pub(crate) fn ended(&mut self, id: FragmentId) {
        self.ended.push(id);
        self.pending.take_if(|pending| pending.id == id);
    }

    /// What is pending behind this segment, if this was pending before it, and in which file it lies.
    pub(crate) fn follow(&self, segment: SegmentId, before: Option<Found>) -> Option<Found> {
        match (&self.pending, before) {
            // The copy is damaged, and the original is still there.
            (Some(copy), Some((from, original))) if copy.is_damaged_copy_of(&original) => Some((from, original)),
            (Some(pending), _) => Some((segment, pending.clone())),
            (None, before) => {
                before.filter(|(_, before)| !self.knows_its_beginning && !self.ended.contains(&before.id))
            }
        }
    }
}

/// A fragment, and the file that it lies in.
pub(crate) type Found = (SegmentId, StoredFragment);

/// A fragment that was pending when its process died. It takes a number, and is shipped in the object of the
/// [end](crate::StreamEnd).
#[derive(Clone)]
pub struct PendingFragment {
    pub(crate) key: SegmentKey,
    pub(crate) stored: StoredFragment,
    pub(crate) volatile: bool,
}

impl PendingFragment {
    /// What tells it, together with the end, from everything else that waits.
    pub fn key(&self) -> SegmentKey {
        self.key
    }

    /// The number that its line takes.
    pub fn seq(&self) -> Seqno {
        self.key.first
    }

    /// Its name.
    pub fn id(&self) -> FragmentId {
        self.stored.id
    }

    /// The request id that it belongs to.
    pub fn request_id(&self) -> Option<&str> {
        self.stored.own.request_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The tenant that it belongs to.
    pub fn tenant(&self) -> Option<&str> {
        self.stored.own.tenant.as_deref().filter(|tenant| !tenant.is_empty())
    }

    /// Its time, Unix time in milliseconds.
    pub fn time_ms(&self) -> i64 {
        self.stored.time_ms
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.stored.bytes)
    }

    /// It was held in memory only.
    pub fn is_volatile(&self) -> bool {
        self.volatile
    }

    /// Its bytes, the same from everyone who has the file. They are not held in memory.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        self.stored.read()
    }

    /// Reads its bytes and tells why they are lost. `None` if they are there, or if it cannot be told now.
    pub fn find_loss(&self) -> Option<LossCause> {
        match self.stored.is_intact() {
            Ok(is_intact) => (!is_intact).then_some(LossCause::Damage),
            Err(error) => cause_of(&error),
        }
    }
}

impl PartialEq for PendingFragment {
    fn eq(&self, other: &Self) -> bool {
        let facts = |fragment: &Self| (fragment.key, fragment.id(), fragment.bytes(), fragment.time_ms());
        facts(self) == facts(other) && self.stored.own == other.stored.own
    }
}

impl Eq for PendingFragment {}

impl fmt::Debug for PendingFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingFragment").field("key", &self.key).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}
