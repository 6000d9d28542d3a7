//! What an entry carries beside its lines: tag u8, length u16, value; any number of them.
//!
//! A reader skips tags that it does not know, so later versions may add some without a new format version.

use crate::format::wire::Reader;
use crate::id::FragmentId;
use crate::loss::LossCause;
use crate::seal::SealReason;

/// The longest meta of an entry, in bytes: ids of tenants and requests are some dozens.
pub const META_BYTES_MAX: usize = 4 * 1024;

const TAG_REQUEST_ID: u8 = 1;
const TAG_TENANT: u8 = 2;
const TAG_FRAGMENT: u8 = 3;
const TAG_RESOLVES: u8 = 4;
const TAG_SEAL_REASON: u8 = 5;
const TAG_PLATFORM_DROPS: u8 = 6;
const TAG_OWN_REQUEST_ID: u8 = 7;
const TAG_OWN_TENANT: u8 = 8;
const TAG_LOST: u8 = 9;

/// The meta of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The request id in force *after* this entry; the text belongs to the caller. `None`: nothing new, what was in force
    /// stays. An empty text: none is in force any more.
    pub request_id: Option<String>,
    /// The tenant in force after this entry, by the same rule.
    pub tenant: Option<String>,
    /// Of a `fragment`: its name.
    pub fragment: Option<FragmentId>,
    /// The fragment that this entry ends: lines complete it, or a later fragment takes its place.
    pub resolves: Option<FragmentId>,
    /// Of a `close` entry: why the segment was sealed.
    pub seal_reason: Option<SealReason>,
    /// Of a `close` entry: records and bytes that the sender declared as dropped while the segment was active.
    pub platform_drops: Option<(u64, u64)>,
    /// Of a `fragment`: the request id that it belongs to, where that is not the one in force behind this entry: it was copied
    /// on, or what changed it stands in the same body and is not stored yet.
    pub own_request_id: Option<String>,
    /// The tenant that it belongs to, by the same rule.
    pub own_tenant: Option<String>,
    /// Of a `fragment`: its bytes are gone, and why.
    pub lost: Option<LossCause>,
}

/// What the entries of a segment have told so far and a reader carries on: an entry need not tell it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct InForce {
    pub request_id: Option<String>,
    pub tenant: Option<String>,
}

impl InForce {
    /// Takes note of what an entry has told.
    pub(crate) fn note(&mut self, meta: &Meta) {
        for (in_force, told) in [(&mut self.request_id, &meta.request_id), (&mut self.tenant, &meta.tenant)] {
            if told.is_some() {
                in_force.clone_from(told);
            }
        }
    }
}

impl Meta {
    /// Appends the whole of it in its stored form.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_news(&InForce::default(), out);
    }

    /// Appends the stored form without what is in force already: a request id in every entry would take as much as some
    /// lines. Values that would not fit into [`META_BYTES_MAX`] are left out: none of them is worth losing a record for.
    pub(crate) fn encode_news(&self, in_force: &InForce, out: &mut Vec<u8>) {
        let start = out.len();
        let mut put = |tag: u8, value: &[u8]| {
            let Ok(length) = u16::try_from(value.len()) else { return };
            if out.len() - start + 3 + value.len() > META_BYTES_MAX {
                return;
            }
            out.push(tag);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(value);
        };
        if let Some(reason) = self.seal_reason {
            put(TAG_SEAL_REASON, &[reason.code()]);
        }
        if let Some((records, bytes)) = self.platform_drops {
            put(TAG_PLATFORM_DROPS, &[records.to_le_bytes(), bytes.to_le_bytes()].concat());
        }
        if let Some(fragment) = self.fragment {
            put(TAG_FRAGMENT, &fragment.0.to_le_bytes());
        }
        if let Some(cause) = self.lost {
            put(TAG_LOST, &[cause.code()]);
        }
        if let Some(fragment) = self.resolves {
            put(TAG_RESOLVES, &fragment.0.to_le_bytes());
        }
        if let Some(request_id) = &self.request_id
            && self.request_id != in_force.request_id
        {
            put(TAG_REQUEST_ID, request_id.as_bytes());
        }
        if let Some(tenant) = &self.tenant
            && self.tenant != in_force.tenant
        {
            put(TAG_TENANT, tenant.as_bytes());
        }
        for (tag, own) in [(TAG_OWN_REQUEST_ID, &self.own_request_id), (TAG_OWN_TENANT, &self.own_tenant)] {
            own.iter().for_each(|own| put(tag, own.as_bytes()));
        }
    }

    /// Reads the stored form. A value that cannot be read is left out: the checksum has vouched for the bytes, so it is
    /// one that a later version writes differently.
    pub(crate) fn decode(mut bytes: &[u8]) -> Self {
        let mut meta = Self::default();
        while let [tag, low, high, rest @ ..] = bytes {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let Some((value, rest)) = rest.split_at_checked(length) else { break };
            meta.set(*tag, value);
            bytes = rest;
        }
        meta
    }

    fn set(&mut self, tag: u8, value: &[u8]) {
        match (tag, value.len()) {
            (TAG_REQUEST_ID, _) => self.request_id = String::from_utf8(value.to_vec()).ok(),
            (TAG_TENANT, _) => self.tenant = String::from_utf8(value.to_vec()).ok(),
            (TAG_OWN_REQUEST_ID, _) => self.own_request_id = String::from_utf8(value.to_vec()).ok(),
            (TAG_OWN_TENANT, _) => self.own_tenant = String::from_utf8(value.to_vec()).ok(),
            (TAG_LOST, 1) => self.lost = LossCause::from_code(value[0]),
            (TAG_FRAGMENT, 8) => self.fragment = Some(FragmentId(Reader::new(value).u64())),
            (TAG_RESOLVES, 8) => self.resolves = Some(FragmentId(Reader::new(value).u64())),
            (TAG_SEAL_REASON, 1) => self.seal_reason = SealReason::from_code(value[0]),
            (TAG_PLATFORM_DROPS, 16) => {
                let mut reader = Reader::new(value);
                self.platform_drops = Some((reader.u64(), reader.u64()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Meta {
        Meta {
            request_id: Some("79b4f56e-95b1-4643-9700-2807f4e68189".into()),
            tenant: Some("blue".into()),
            fragment: Some(FragmentId(4)),
            resolves: Some(FragmentId(3)),
            seal_reason: Some(SealReason::Hour),
            platform_drops: Some((12, 3_400)),
            own_request_id: Some("an earlier one".into()),
            own_tenant: Some(String::new()),
            lost: Some(LossCause::Quota),
        }
    }

    fn encoded(meta: &Meta) -> Vec<u8> {
        let mut bytes = Vec::new();
        meta.encode(&mut bytes);
        bytes
    }

    #[test]
    fn meta_reads_back_as_written() {
        for meta in [full(), Meta::default()] {
            assert_eq!(Meta::decode(&encoded(&meta)), meta);
        }
    }

    #[test]
    fn what_is_in_force_is_told_once_and_again_when_it_changes() {
        let id = |text: &str| Meta { request_id: Some(text.into()), tenant: Some("blue".into()), ..Meta::default() };
        let mut in_force = InForce::default();
        let mut told = |meta: Meta| {
            let mut bytes = Vec::new();
            meta.encode_news(&in_force, &mut bytes);
            in_force.note(&meta);
            let told = Meta::decode(&bytes);
            (told.request_id, told.tenant.is_some())
        };
        for (meta, expected) in [
            (id("a"), (Some("a"), true)),
            (id("a"), (None, false)),
            (Meta::default(), (None, false)),
            (id("a"), (None, false)),
            (id("b"), (Some("b"), false)),
            (id(""), (Some(""), false)),
            (id(""), (None, false)),
            (id("a"), (Some("a"), false)),
        ] {
            let (request_id, tenant) = told(meta.clone());
            assert_eq!((request_id.as_deref(), tenant), expected, "{meta:?}");
        }
    }

    #[test]
    fn unknown_tags_are_skipped() {
        let mut bytes = vec![200, 2, 0, 9, 9];
        bytes.extend(encoded(&full()));
        assert_eq!(Meta::decode(&bytes), full());
    }

    #[test]
    fn a_value_that_is_too_long_is_left_out_and_the_rest_stays() {
        let meta = Meta { request_id: Some("x".repeat(META_BYTES_MAX)), ..full() };
        let read = Meta::decode(&encoded(&meta));
        assert_eq!(read, Meta { request_id: None, ..full() });
    }

    #[test]
    fn any_bytes_decode_without_a_panic() {
        let bytes = encoded(&full());
        for end in 0..bytes.len() {
            Meta::decode(&bytes[..end]);
        }
    }
}
