//! Fragments in the segment that is being appended to.

use std::io;
use std::sync::Arc;

use super::{ActiveSegment, AppendError, entry_time};
use crate::format::entry::{ENTRY_HEADER_BYTES, EntryFlags, EntryHeader, EntryKind};
use crate::format::meta::{META_BYTES_MAX, Meta};
use crate::id::FragmentId;
use crate::loss::LossCause;
use crate::segment::fragment::{Fragment, StoredFragment};
use crate::segment::sealed::cause_of;

impl ActiveSegment {
    /// The fragment that is pending.
    pub(crate) fn pending(&self) -> Option<&StoredFragment> {
        self.pending.as_ref()
    }

    /// Appends a fragment with one write, in the place of the one that is pending. Neither the object nor its open frame
    /// take notice of it.
    pub(crate) fn append_fragment(
        &mut self,
        id: FragmentId,
        fragment: &Fragment<'_>,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let (told, in_force) = (fragment.meta, &self.in_force);
        // It says itself what it belongs to: whoever looks for it need not read what stands before.
        let meta = Meta {
            request_id: told.request_id.as_ref().or(in_force.request_id.as_ref()).cloned(),
            tenant: told.tenant.as_ref().or(in_force.tenant.as_ref()).cloned(),
            own_request_id: told.own_request_id.clone(),
            own_tenant: told.own_tenant.clone(),
            fragment: Some(id),
            resolves: self.pending.as_ref().map(|pending| pending.id),
            ..Meta::default()
        };
        let header = EntryHeader {
            raw_bytes: u32::try_from(fragment.bytes.len()).map_err(|_| AppendError::TooLarge(fragment.bytes.len()))?,
            body_bytes: fragment.body_bytes,
            body_hash: fragment.body_hash,
            ..self.fragment_header(&meta, entry_time(fragment.line_ms, now_ms))
        };
        self.write_fragment(header, &meta, fragment.bytes)
    }

    /// Copies on what is pending in the segment before this one: that may go then. Bytes that are damaged are lost, and the
    /// copy says so: nothing may wait for them for ever. It names no body, since none has come a second time.
    pub(crate) fn carry_on(&mut self, before: &Self) -> io::Result<()> {
        let Some(pending) = &before.pending else { return Ok(()) };
        let bytes = match pending.loss {
            Some(cause) => Err(cause),
            None => match pending.read() {
                Ok(bytes) => Ok(bytes),
                Err(error) => Err(cause_of(&error).ok_or(error)?),
            },
        };
        let (own, in_force) = (&pending.own, &before.in_force);
        let if_other = |own: &Option<String>, in_force: &Option<String>| {
            let own = own.as_deref().unwrap_or_default();
            (own != in_force.as_deref().unwrap_or_default()).then(|| own.to_owned())
        };
        let meta = Meta {
            request_id: in_force.request_id.clone(),
            tenant: in_force.tenant.clone(),
            own_request_id: if_other(&own.request_id, &in_force.request_id),
            own_tenant: if_other(&own.tenant, &in_force.tenant),
            ..Meta::default()
        };
        self.copy(pending, meta, bytes.as_deref().map_err(|cause| *cause))
    }

    /// Notes in a segment that is added behind others that what was pending in them is lost.
    pub(crate) fn note_lost(&mut self, pending: &StoredFragment, cause: LossCause) -> io::Result<()> {
        self.copy(pending, Meta::default(), Err(cause))
    }

    fn copy(&mut self, pending: &StoredFragment, meta: Meta, bytes: Result<&[u8], LossCause>) -> io::Result<()> {
        let meta = Meta { fragment: Some(pending.id), lost: bytes.err(), ..meta };
        let header = EntryHeader { raw_bytes: pending.bytes, ..self.fragment_header(&meta, pending.time_ms) };
        self.write_fragment(header, &meta, bytes.unwrap_or_default()).map_err(io_error)
    }

    fn fragment_header(&self, meta: &Meta, time_ms: i64) -> EntryHeader {
        EntryHeader {
            kind: EntryKind::Fragment,
            flags: EntryFlags { resolves: meta.resolves.is_some(), ..EntryFlags::default() },
            meta_bytes: 0,
            payload_bytes: 0,
            raw_bytes: 0,
            body_bytes: 0,
            count: 0,
            first_seq: self.next_seq,
            time_ms,
            body_hash: 0,
            payload_crc: 0,
        }
    }

    fn write_fragment(&mut self, header: EntryHeader, meta: &Meta, bytes: &[u8]) -> Result<(), AppendError> {
        // A buffer of its own: it would keep the size of the largest one.
        let mut entry = Vec::with_capacity(ENTRY_HEADER_BYTES + META_BYTES_MAX + bytes.len());
        entry.resize(ENTRY_HEADER_BYTES, 0);
        meta.encode(&mut entry);
        let meta_bytes = u16::try_from(entry.len() - ENTRY_HEADER_BYTES).expect("bounded by META_BYTES_MAX");
        entry.extend_from_slice(bytes);
        let at = self.end;
        let header = self.write_entry(EntryHeader { meta_bytes, ..header }, &mut entry)?;
        self.in_force.note(meta);
        self.pending = StoredFragment::of(&Arc::clone(&self.state.file), self.header.salt, at, &header, meta);
        Ok(())
    }
}

fn io_error(error: AppendError) -> io::Error {
    match error {
        AppendError::Write(error) | AppendError::Stuck(error) | AppendError::Full(error) => error,
        other => io::Error::other(other),
    }
}
