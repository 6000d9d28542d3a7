//! What the rows of a manifest add to the files: files that are missing, or cannot be read, or were cut between two entries.

use std::collections::BTreeSet;

use super::timeline::{Content, Lost, Piece};
use crate::id::{SegmentId, Seqno};
use crate::loss::LossCause;
use crate::manifest::{Row, RowState, Rows};
use crate::segment::scan::Hole;

/// The files of an orphan, as far as rows are concerned.
pub(super) struct Files {
    /// Files that are there and tell nothing.
    pub silent: BTreeSet<SegmentId>,
    /// Files whose numbers a tombstone tells.
    pub covered: BTreeSet<SegmentId>,
    pub oldest: Option<SegmentId>,
    pub newest: Option<SegmentId>,
}

/// Notes of files that could be read whether they are delivered, and where they ended. Returns whether one of them has been
/// cut between two entries.
pub(super) fn complete(pieces: &mut [Piece], rows: &Rows) -> bool {
    let mut is_cut = false;
    let mut limit = Seqno(u64::MAX);
    for piece in pieces.iter_mut().rev() {
        let limit = std::mem::replace(&mut limit, piece.first);
        let Some(row) = rows.get(&piece.segment) else { continue };
        piece.uploaded = row.state == RowState::Uploaded;
        piece.attempted = row.attempts > 0;
        let Content::Segment(_, scan) = &mut piece.content else { continue };
        let next = stored_next(row).unwrap_or(piece.next).min(limit);
        if next > piece.next {
            let last = Seqno(next.0 - 1);
            scan.holes.push(Hole { first: piece.next, last, raw_bytes: 0, cause: LossCause::Damage });
            piece.next = next;
            is_cut = true;
        }
        if piece.uploaded {
            scan.runs.clear();
            scan.holes.retain(|hole| hole.cause != LossCause::Damage);
        }
    }
    is_cut
}

/// What rows tell of files that are missing or tell nothing.
pub(super) fn without_content(pieces: &[Piece], files: &Files, rows: &Rows) -> Vec<Piece> {
    // A manifest that has lost its newest rows to damage knows nothing of what was delivered since.
    let is_up_to_date = files.newest.is_none_or(|newest| rows.contains_key(&newest));
    let known: BTreeSet<_> = pieces.iter().map(|piece| piece.segment).collect();
    let mut found = Vec::new();
    for (segment, row) in rows.iter().filter(|(segment, _)| !known.contains(segment)) {
        let is_leading = files.oldest.is_none_or(|oldest| *segment < oldest);
        let uploaded = row.state == RowState::Uploaded;
        if files.covered.contains(segment) || (is_leading && (uploaded || !is_up_to_date)) {
            continue;
        }
        let is_there = files.silent.contains(segment);
        let behind = pieces.iter().find(|piece| piece.segment > *segment).map(|piece| piece.first);
        let following = rows.range(segment.next()..).next().map(|(_, row)| Seqno(row.first_seq));
        let next = stored_next(row).or(following).or(behind);
        let first = Seqno(row.first_seq);
        let lost = Lost {
            cause: if is_there { LossCause::Damage } else { LossCause::Vanished },
            // Where the files tell the range too, its line must be the same without the manifest.
            raw_bytes: row.sealed.filter(|_| is_leading || behind.is_none()).map_or(0, |sealed| sealed.raw_bytes),
            maybe_delivered: row.attempts > 0,
            is_open: next.is_none(),
        };
        let next = next.unwrap_or(first);
        let attempted = row.attempts > 0;
        found.push(Piece { segment: *segment, first, next, uploaded, attempted, content: Content::Lost(lost) });
    }
    found
}

/// The number behind the last one that was in the file when it was sealed.
fn stored_next(row: &Row) -> Option<Seqno> {
    row.sealed.map(|sealed| Seqno(sealed.last_seq.saturating_add(1)))
}
