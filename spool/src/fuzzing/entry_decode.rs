//! Every structure of the format from arbitrary bytes: never a panic, what is read is written back the same, and a flipped
//! bit is seen.

use crate::format::checksum::{Salt, crc32c};
use crate::format::entry::{ENTRY_HEADER_BYTES, ENTRY_MAGIC, EntryHeader};
use crate::format::meta::{META_BYTES_MAX, Meta};
use crate::format::segment_header::{HEAD_BYTES, SegmentHeader};
use crate::format::state_slot::{SLOT_BYTES, StateSlot};
use crate::format::tombstone::{TOMBSTONE_BYTES, TOMBSTONE_MAGIC, Tombstone};
use crate::id::FragmentId;
use crate::loss::LossCause;
use crate::manifest::Row;
use crate::seal::SealReason;

/// Input: salt u64, then the bytes of a structure.
pub fn entry_decode(data: &[u8]) {
    let Some((salt, bytes)) = data.split_first_chunk::<8>() else { return };
    let salt = Salt(u64::from_le_bytes(*salt));
    entry(bytes, salt);
    meta(bytes);
    whole_meta(bytes, salt.0);
    head(bytes);
    slot(bytes, salt);
    tombstone(bytes);
    row(bytes);
}

/// The beginning of `bytes`, filled up with zeros.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    let length = bytes.len().min(N);
    array[..length].copy_from_slice(&bytes[..length]);
    array
}

/// Puts the checksum that belongs there into the last four bytes.
fn mend<const N: usize>(bytes: &mut [u8; N], crc: impl Fn(&[&[u8]]) -> u32) {
    let (checked, stored) = bytes.split_at_mut(N - 4);
    stored.copy_from_slice(&crc(&[checked]).to_le_bytes());
}

fn entry(bytes: &[u8], salt: Salt) {
    let raw: [u8; ENTRY_HEADER_BYTES] = array(bytes);
    let mut mended = raw;
    mended[..4].copy_from_slice(&ENTRY_MAGIC);
    mended[4] = mended[4] % 3 + 1;
    mended[5] &= 15;
    let rest = bytes.get(ENTRY_HEADER_BYTES..).unwrap_or_default();
    let meta = &rest[..rest.len().min(META_BYTES_MAX)];
    for bytes in [raw, mended] {
        let Some(header) = EntryHeader::parse(&bytes) else { continue };
        let _ = (header.next_seq(), header.entry_bytes());
        let header = EntryHeader { meta_bytes: u16::try_from(meta.len()).expect("at most 4 KiB"), ..header };
        let written = header.encode(salt, meta);
        assert_eq!(EntryHeader::parse(&written), Some(header));
        assert!(EntryHeader::verify(&written, meta, salt));
        let bit = usize::try_from(salt.0 % (ENTRY_HEADER_BYTES as u64 * 8)).expect("a bit of the header");
        let mut damaged = written;
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(EntryHeader::parse(&damaged).is_none() || !EntryHeader::verify(&damaged, meta, salt), "bit {bit}");
        assert!(!EntryHeader::verify(&written, meta, Salt(salt.0 ^ 1)), "another segment's salt");
    }
}

fn meta(bytes: &[u8]) {
    let meta = Meta::decode(bytes);
    let mut written = Vec::new();
    meta.encode(&mut written);
    assert!(written.len() <= META_BYTES_MAX);
    // What does not fit is left out, so only the second time must give the same.
    let read = Meta::decode(&written);
    let mut again = Vec::new();
    read.encode(&mut again);
    assert_eq!(written, again);
    assert!(bytes.len() > META_BYTES_MAX || read == meta, "{read:?} was {meta:?}");
}

/// Every field of a meta comes back in its own place.
fn whole_meta(bytes: &[u8], number: u64) {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let text = |bytes| Some(String::from_utf8_lossy(bytes).into_owned());
    let meta = Meta {
        request_id: text(left),
        tenant: text(right),
        fragment: Some(FragmentId(number)),
        resolves: Some(FragmentId(!number)),
        seal_reason: Some(SealReason::Hour),
        platform_drops: Some((number, number / 2)),
        own_request_id: Some(number.to_string()),
        own_tenant: Some(String::new()),
        lost: Some(LossCause::Damage),
    };
    let mut written = Vec::new();
    meta.encode(&mut written);
    // Lossy text is up to three times as long; what does not fit is left out.
    if bytes.len() * 3 + 128 <= META_BYTES_MAX {
        assert_eq!(Meta::decode(&written), meta);
    }
}

fn head(bytes: &[u8]) {
    let raw: [u8; HEAD_BYTES] = array(bytes);
    let mut mended = raw;
    mended[..8].copy_from_slice(b"LOGSPOOL");
    mended[8..10].copy_from_slice(&1u16.to_le_bytes());
    mended[10] %= 4;
    mend(&mut mended, crc32c);
    for bytes in [raw, mended] {
        if let Ok(header) = SegmentHeader::decode(&bytes) {
            assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        }
    }
}

fn slot(bytes: &[u8], salt: Salt) {
    let raw: [u8; SLOT_BYTES] = array(bytes);
    let mut mended = raw;
    mend(&mut mended, |parts| salt.crc32c(parts));
    for bytes in [raw, mended] {
        if let Some(slot) = StateSlot::decode(&bytes, salt) {
            assert_eq!(StateSlot::decode(&slot.encode(salt), salt), Some(slot));
            if let Some(range) = slot.undeclared {
                let _ = range.first.plus(range.records);
            }
        }
    }
    let _ = StateSlot::in_force(&array(bytes), salt);
}

fn tombstone(bytes: &[u8]) {
    let raw: [u8; TOMBSTONE_BYTES] = array(bytes);
    let mut mended = raw;
    mended[..8].copy_from_slice(&TOMBSTONE_MAGIC);
    mended[8..10].copy_from_slice(&1u16.to_le_bytes());
    mended[10] %= 7;
    mend(&mut mended, crc32c);
    for bytes in [raw, mended] {
        if let Ok(tombstone) = Tombstone::decode(&bytes) {
            let _ = tombstone.next_seq();
            assert_eq!(Tombstone::decode(&tombstone.encode()), Ok(tombstone));
        }
    }
}

fn row(bytes: &[u8]) {
    let _ = Row::decode(bytes);
    let mut mended = vec![1];
    mended.extend_from_slice(&crc32c(&[bytes]).to_le_bytes());
    mended.extend_from_slice(bytes);
    if let Some(row) = Row::decode(&mended) {
        assert_eq!(Row::decode(&row.encode()), Some(row));
    }
}
