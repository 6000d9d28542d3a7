//! A spool with the first half of a record in it, and what an adopter tells of it, in words.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use spool::{
    Adopted, Compression, Fragment, FragmentId, Meta, SealReason, SealedSegment, Spool, SpoolEvent, StreamEnd,
};
use tempfile::TempDir;

use crate::model_world::bucket::decoded;
use crate::model_world::{self, NOW_MS, batch, config, copy, dir, identity, labeler, layout, only_orphan};

pub const HALF: &[u8] = b"{\"time\":\"t\",\"record\":\"the first half of a reco\xff";

pub fn spool(root: &Path) -> Spool {
    Spool::create(config(root, Compression::default()), identity(1, 1), NOW_MS).unwrap()
}

pub fn request(id: &str) -> Meta {
    Meta { request_id: Some(id.into()), tenant: Some(format!("tenant of {id}")), ..Meta::default() }
}

pub fn fragment<'a>(bytes: &'a [u8], meta: &'a Meta) -> Fragment<'a> {
    Fragment { bytes, line_ms: Some(NOW_MS - 5), body_bytes: 70, body_hash: 71, meta }
}

pub fn pend(spool: &mut Spool, bytes: &[u8]) -> FragmentId {
    spool.append_fragment(&fragment(bytes, &request("a")), NOW_MS).unwrap()
}

pub fn append(spool: &mut Spool, lines: &str) {
    append_with(spool, lines, &Meta::default());
}

pub fn append_with(spool: &mut Spool, lines: &str, meta: &Meta) {
    let records = u32::try_from(lines.lines().count()).unwrap();
    spool.append(&batch(lines.as_bytes(), records, meta), NOW_MS).unwrap();
}

pub fn resolving(id: FragmentId) -> Meta {
    Meta { resolves: Some(id), ..Meta::default() }
}

pub fn seal(spool: &mut Spool) -> SealedSegment {
    assert!(spool.seal(SealReason::Size, NOW_MS).unwrap());
    let sealed = |event| if let SpoolEvent::Sealed(segment) = event { Some(segment) } else { None };
    spool.take_events().into_iter().find_map(sealed).unwrap()
}

pub fn object(segment: &SealedSegment) -> Vec<u8> {
    segment.chunks().flat_map(|chunk| chunk.unwrap()).collect()
}

pub fn lines(segment: &SealedSegment) -> String {
    String::from_utf8(decoded(segment.facts().codec, &object(segment))).unwrap()
}

pub fn adopt(root: &Path) -> Adopted {
    only_orphan(root).adopt(&labeler()).unwrap()
}

pub fn copied(root: &Path) -> TempDir {
    let place = model_world::scratch();
    copy(root, place.path());
    place
}

/// What an adopter tells, in words: objects by their numbers, losses, what the end ships, the end.
pub fn told(adopted: &Adopted) -> Vec<String> {
    let facts = adopted.segments().iter().map(SealedSegment::facts);
    let mut words: Vec<_> = facts.map(|facts| format!("{}-{}", facts.first, facts.last)).collect();
    words.extend(adopted.dropped().iter().map(|range| {
        let maybe = if range.maybe_delivered { " maybe" } else { "" };
        format!("{} {}-{} {} bytes{maybe}", range.cause.name(), range.first, range.last, range.raw_bytes)
    }));
    words.extend(adopted.end().map(end_in_words));
    words
}

pub fn end_in_words(end: &StreamEnd) -> String {
    let losses: Vec<_> = end.losses.iter().map(|(cause, loss)| format!("{} {}", cause.name(), loss.records)).collect();
    let half = end.fragment.as_ref().map(|fragment| {
        let bytes = fragment.read().unwrap();
        assert_eq!(bytes.len() as u64, fragment.bytes());
        format!("{} ships {} bytes, ", fragment.seq(), bytes.len())
    });
    format!("{}end {} [{}]", half.unwrap_or_default(), end.seq, losses.join(" "))
}

pub fn found(root: &Path) -> Vec<String> {
    told(&adopt(copied(root).path()))
}

pub fn file(root: &Path, segment: u64) -> PathBuf {
    dir(root, identity(1, 1).id).join(format!("{segment:012}.seg"))
}

pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The entries of a file that hold fragments.
pub fn stored(path: &Path) -> Vec<layout::EntryPlace> {
    layout::entries(&fs::read(path).unwrap()).into_iter().filter(|entry| entry.kind == layout::FRAGMENT).collect()
}
