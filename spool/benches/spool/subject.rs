//! The spool as its users make it.

use std::path::Path;
use std::sync::Arc;

use spool::{
    Adopted, Batch, Compression, Identity, Labeler, SealReason, SealedSegment, SegmentFacts, Spool, SpoolConfig,
    SpoolEvent, SpoolId, SpoolLimits, find_orphans,
};

use crate::lines::Body;

/// The clock of all measurements, Unix time in milliseconds.
pub const NOW_MS: i64 = 1_790_000_000_000;
/// Lines before compression after which a segment is sealed, in bytes.
pub const SEGMENT_RAW_BYTES: usize = 10 * 1024 * 1024;

fn labeler() -> Labeler {
    Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last))
}

fn id(life: u128) -> SpoolId {
    SpoolId::new(NOW_MS, life)
}

pub fn create(root: &Path) -> Spool {
    let config = SpoolConfig {
        root: root.into(),
        compression: Compression::default(),
        line_format: 0,
        label: labeler(),
        limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
    };
    Spool::create(config, Identity { id: id(1), salt_seed: 1 }, NOW_MS).expect("created")
}

pub fn append(spool: &mut Spool, body: &Body) {
    let batch = Batch {
        lines: &body.lines,
        records: body.records,
        first_line_ms: Some(NOW_MS),
        body_bytes: u32::try_from(body.lines.len()).expect("a body is small"),
        body_hash: 1,
        meta: &body.meta,
        end: false,
    };
    spool.append(&batch, NOW_MS).expect("appended");
}

/// Seals, and returns what has become of the segment.
pub fn seal(spool: &mut Spool) -> Option<SealedSegment> {
    spool.seal(SealReason::Size, NOW_MS).expect("sealed");
    let sealed = |event| match event {
        SpoolEvent::Sealed(segment) => Some(segment),
        _ => None,
    };
    spool.take_events().into_iter().find_map(sealed)
}

/// A process that ended without order: everything up to here is an orphan.
pub fn adopt(root: &Path) -> Adopted {
    let mut found = find_orphans(root, id(2)).expect("listed");
    found.orphans.remove(0).adopt(&labeler()).expect("our own version")
}
