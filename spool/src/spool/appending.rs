//! What is appended: batches, which become lines of an object, and fragments, which are no line yet.

use std::io;

use super::Spool;
use super::room::is_full;
use crate::codec::Encoder;
use crate::id::FragmentId;
use crate::segment::active::{ActiveSegment, AppendError, Batch};
use crate::segment::fragment::{FRAGMENT_BYTES_MAX, Fragment};

/// Room for what goes with an entry.
const OVERHEAD_BYTES: u64 = 4_096;

impl Spool {
    /// Appends a batch: one compressed entry, one write. When this returns `Ok`, the batch survives SIGKILL.
    ///
    /// The batch takes the numbers from [`next_seq`](Self::next_seq) on. Where there is no room, older segments give way if
    /// [`SpoolLimits::when_full`](crate::SpoolLimits::when_full) says so. If it names the fragment that is pending in
    /// [`Meta::resolves`](crate::Meta::resolves), that ends with this write.
    pub fn append(&mut self, batch: &Batch<'_>, now_ms: i64) -> Result<(), AppendError> {
        let raw_bytes = batch.lines.len() as u64;
        let ends_pending = batch.meta.resolves.is_some() && batch.meta.resolves == self.pending_fragment();
        let reserved = if ends_pending { 0 } else { self.reserved_bytes() };
        // Lines compress; a batch that does not is stored as it is, plus some headers.
        self.store(raw_bytes / 4 + OVERHEAD_BYTES + reserved, raw_bytes, now_ms, |active, encoder, scratch| {
            active.append(encoder, scratch, batch, now_ms)
        })
    }

    /// Appends what must be durable and is no line yet, in one write: when this returns `Ok`, it survives SIGKILL. It takes no
    /// number and is part of no object; it is pending until a batch or a further fragment names it in
    /// [`Meta::resolves`](crate::Meta::resolves). If the process dies before that, an adopter ships it.
    ///
    /// Only one may be pending: while there is one, a fragment that does not take its place is not appended
    /// ([`AppendError::FragmentPending`]). Room is made as for a batch, and kept for the copy that the next segment begins
    /// with.
    pub fn append_fragment(&mut self, fragment: &Fragment<'_>, now_ms: i64) -> Result<FragmentId, AppendError> {
        let bytes = fragment.bytes.len();
        if bytes > FRAGMENT_BYTES_MAX {
            return Err(AppendError::TooLarge(bytes));
        }
        let other = self.pending_fragment().filter(|pending| fragment.meta.resolves != Some(*pending));
        if let Some(other) = other {
            return Err(AppendError::FragmentPending(other));
        }
        let (bytes, id) = (bytes as u64, self.last_fragment.next());
        self.store(2 * bytes + OVERHEAD_BYTES, bytes, now_ms, |active, _, _| {
            active.append_fragment(id, fragment, now_ms)
        })?;
        self.last_fragment = id;
        Ok(id)
    }

    /// The fragment that is pending. None is after a roll: the spool that was left has it.
    pub fn pending_fragment(&self) -> Option<FragmentId> {
        self.active.pending().map(|pending| pending.id)
    }

    /// Makes room, declares what was refused before, and writes; again and again as long as something gives way to it.
    fn store(
        &mut self,
        needed: u64,
        raw_bytes: u64,
        now_ms: i64,
        mut write: impl FnMut(&mut ActiveSegment, &mut Encoder, &mut Vec<u8>) -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        self.make_room(needed, now_ms)?;
        if !self.may_declare() {
            return Err(AppendError::Full(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "too many losses wait to be told",
            )));
        }
        self.declare_refused(now_ms).map_err(AppendError::Full)?;
        loop {
            match write(&mut self.active, &mut self.encoder, &mut self.scratch) {
                Err(AppendError::Write(error)) if is_full(&error) => self.give_way_or(error, now_ms)?,
                result => {
                    self.space.appended_bytes += raw_bytes;
                    return result;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
