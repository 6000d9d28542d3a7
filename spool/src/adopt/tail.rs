//! The last words of a spool, from headers and metas alone: what a new process has to know before it takes its first batch.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::orphan::Orphan;
use crate::format::entry::{EntryHeader, EntryKind};
use crate::format::segment_header::ENTRIES_AT;
use crate::segment::file::SegmentFile;
use crate::segment::scan::read_header;
use crate::segment::walk::{Step, Walker};

/// Bodies that are remembered. A sender keeps one or two under way.
const BODIES_MAX: usize = 64;

/// What a batch was made from: enough to know the same bytes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyId {
    /// Hash of the bytes, as the caller computes it.
    pub hash: u64,
    /// How many bytes.
    pub bytes: u32,
}

impl BodyId {
    fn of(header: &EntryHeader) -> Option<Self> {
        let id = Self { hash: header.body_hash, bytes: header.body_bytes };
        // What the writer made up itself comes from no body.
        (id != Self { hash: 0, bytes: 0 }).then_some(id)
    }
}

/// See [`Orphan::tail`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// The request id in force after the last entry.
    pub request_id: Option<String>,
    /// The last bodies, newest last. Whether their sender was told that they were stored, nobody knows. None if the process
    /// has ended its stream: it had the time to answer.
    pub bodies: VecDeque<BodyId>,
}

impl Orphan {
    /// The end of what was written. Reads at most `bytes_max` of files, since it stands in the way of a start: older
    /// files are left out.
    pub fn tail(&self, bytes_max: u64) -> Tail {
        let (mut tail, mut has_ended, mut bytes_left) = (Tail::default(), false, bytes_max);
        for (_, file) in self.files.iter().rev() {
            // What cannot be read now is looked at again by adoption, which tells.
            let Ok(Some(older)) = FileTail::read(file, &mut bytes_left) else { break };
            has_ended |= older.has_ended && tail.bodies.is_empty();
            tail.request_id = tail.request_id.or(older.request_id);
            older
                .bodies
                .into_iter()
                .rev()
                .take(BODIES_MAX - tail.bodies.len())
                .for_each(|id| tail.bodies.push_front(id));
            if tail.request_id.is_some() && (has_ended || tail.bodies.len() == BODIES_MAX) {
                break;
            }
        }
        if has_ended {
            tail.bodies.clear();
        }
        tail
    }
}

#[derive(Default)]
struct FileTail {
    request_id: Option<String>,
    bodies: VecDeque<BodyId>,
    has_ended: bool,
}

impl FileTail {
    /// `None` if the file is too long.
    fn read(file: &Arc<dyn SegmentFile>, bytes_left: &mut u64) -> io::Result<Option<Self>> {
        let (header, slot) = read_header(file.as_ref()).map_err(io::Error::other)?;
        let end = file.length()?;
        let Some(left) = bytes_left.checked_sub(end.saturating_sub(ENTRIES_AT)) else { return Ok(None) };
        *bytes_left = left;
        let mut tail = Self { has_ended: slot.is_some_and(|slot| slot.ended), ..Self::default() };
        let mut walker = Walker::new(Arc::clone(file), header.salt, ENTRIES_AT, end);
        loop {
            match walker.step()? {
                Step::Entry { header, meta, .. } if header.kind != EntryKind::Close => {
                    tail.request_id = meta.request_id.or(tail.request_id);
                    tail.has_ended = header.flags.end;
                    if tail.bodies.len() == BODIES_MAX {
                        tail.bodies.pop_front();
                    }
                    tail.bodies.extend(BodyId::of(&header));
                }
                Step::Entry { .. } | Step::Damaged { .. } => {}
                Step::End { .. } => return Ok(Some(tail)),
            }
        }
    }
}
