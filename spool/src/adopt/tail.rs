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
use crate::segment::window::WINDOW_BYTES;

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

/// What tails may cost, since they stand in the way of a start: shared by all that are read. A file for which it does not suffice
/// tells nothing, and neither do those before it.
pub struct TailBudget<'a> {
    /// Length of files.
    bytes_left: u64,
    /// Asked now and then, not before [`WINDOW_BYTES`] were read: what is short is read however little time there is.
    is_over: &'a dyn Fn() -> bool,
    /// Bytes until it is asked again.
    unasked: u64,
}

impl<'a> TailBudget<'a> {
    /// So many bytes of files, and time until `is_over` says so.
    pub fn new(bytes_max: u64, is_over: &'a dyn Fn() -> bool) -> Self {
        Self { bytes_left: bytes_max, is_over, unasked: WINDOW_BYTES as u64 }
    }

    /// Whether a file of that length may be read.
    fn takes(&mut self, bytes: u64) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(self.bytes_left);
        left.is_some()
    }

    /// Whether there is time to read on behind so many bytes.
    fn has_time_behind(&mut self, bytes: u64) -> bool {
        match self.unasked.checked_sub(bytes) {
            Some(unasked) => {
                self.unasked = unasked;
                true
            }
            None => {
                self.unasked = WINDOW_BYTES as u64;
                let is_over = (self.is_over)();
                if is_over {
                    self.bytes_left = 0;
                }
                !is_over
            }
        }
    }
}

impl Orphan {
    /// The end of what was written, as far as the budget suffices.
    pub fn tail(&self, budget: &mut TailBudget<'_>) -> Tail {
        let (mut tail, mut has_ended) = (Tail::default(), false);
        for (_, file) in self.files.iter().rev() {
            // What cannot be read now is looked at again by adoption, which tells.
            let Ok(Some(older)) = FileTail::read(file, budget) else { break };
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
    /// `None` if the budget does not suffice.
    fn read(file: &Arc<dyn SegmentFile>, budget: &mut TailBudget<'_>) -> io::Result<Option<Self>> {
        let (header, slot) = read_header(file.as_ref()).map_err(io::Error::other)?;
        let end = file.length()?;
        if !budget.takes(end.saturating_sub(ENTRIES_AT)) {
            return Ok(None);
        }
        let mut tail = Self { has_ended: slot.is_some_and(|slot| slot.ended), ..Self::default() };
        let mut walker = Walker::new(Arc::clone(file), header.salt, ENTRIES_AT, end).searching(WINDOW_BYTES as u64);
        let mut read = ENTRIES_AT;
        loop {
            if !budget.has_time_behind(read) {
                return Ok(None);
            }
            let from = walker.at();
            let step = walker.step()?;
            read = walker.at() - from;
            match step {
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
