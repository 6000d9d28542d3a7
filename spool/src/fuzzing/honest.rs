//! Spools as the living code writes them, for bodies that need a true one to begin with.

use std::sync::Arc;

use crate::codec::{Codec, Compression};
use crate::format::meta::Meta;
use crate::id::SpoolId;
use crate::quota::SpoolLimits;
use crate::segment::active::Batch;
use crate::segment::sealed::SegmentFacts;
use crate::spool::{Identity, Labeler, SpoolConfig};

/// The clock of all bodies, Unix time in milliseconds.
pub(super) const NOW_MS: i64 = 1_790_000_000_000;

pub(super) fn labeler() -> Labeler {
    Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last))
}

pub(super) fn compression(codec: u8, frame_bytes_max: Option<u16>) -> Compression {
    let codec = [Codec::None, Codec::Zstd, Codec::Gzip][usize::from(codec % 3)];
    Compression { codec, level: 1, frame_bytes_max: frame_bytes_max.map(u64::from) }
}

pub(super) fn config(compression: Compression, limits: SpoolLimits) -> SpoolConfig {
    SpoolConfig { root: "unused".into(), compression, line_format: 0, label: labeler(), limits }
}

pub(super) fn identity(life: u64) -> Identity {
    Identity { id: SpoolId::new(NOW_MS, u128::from(life)), salt_seed: life }
}

/// The line that belongs to a number: different for every number, and hard to compress for its width.
pub(super) fn line(life: u64, seq: u64, width: u8) -> Vec<u8> {
    let mut line = format!("{{\"life\":{life},\"seq\":{seq},\"fill\":\"").into_bytes();
    let mut state = life.wrapping_mul(31).wrapping_add(seq);
    for _ in 0..width {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., high] = state.to_le_bytes();
        line.push(b'a' + high % 26);
    }
    line.extend_from_slice(b"\"}\n");
    line
}

/// A batch of these lines.
pub(super) fn batch<'a>(lines: &'a [u8], records: u32, meta: &'a Meta, end: bool) -> Batch<'a> {
    Batch {
        lines,
        records,
        first_line_ms: None,
        body_bytes: u32::try_from(lines.len()).expect("small"),
        body_hash: 0,
        meta,
        end,
    }
}
