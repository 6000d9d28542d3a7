//! What is wrong with a spool directory.

use std::fmt;
use std::io::{self, Write};

use super::{InspectedFile, InspectedFragment, InspectedSegment, Inspection, Liveness, SegmentState, What};
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::loss::LossCause;
use crate::segment::sealed::DroppedRange;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A file cannot be read: its head, or its tombstone, is damaged. What it held shows as missing numbers.
    Unreadable {
        /// The file.
        segment: SegmentId,
        /// Why.
        why: String,
    },
    /// A file was written by a later version of the format: an adopter leaves the whole spool alone.
    UnknownVersion {
        /// The file.
        segment: SegmentId,
        /// Its version.
        version: u16,
    },
    /// A file lies under a name that is not its own.
    Misplaced {
        /// The file, by its name.
        segment: SegmentId,
        /// What stands in its header.
        says: (SpoolId, SegmentId),
    },
    /// Both state slots of a file are damaged: refused ranges and totals that stood in them are unknown.
    NoState {
        /// The file.
        segment: SegmentId,
    },
    /// Records cannot be read any more.
    Damaged(DroppedRange),
    /// What is pending cannot be read any more.
    DamagedFragment {
        /// The file.
        segment: SegmentId,
        /// Its length.
        bytes: u64,
    },
    /// No file tells of these numbers.
    Missing {
        /// The file behind them.
        segment: SegmentId,
        /// First missing number.
        first: Seqno,
        /// Last missing number.
        last: Seqno,
    },
    /// A file tells of numbers that the one before it has given out already.
    Overlap {
        /// The file.
        segment: SegmentId,
        /// Its first number.
        first: Seqno,
        /// The number that it should begin with.
        expected: Seqno,
    },
    /// Bytes that are no entry stand behind the end of a sealed segment.
    Trailing {
        /// The file.
        segment: SegmentId,
        /// How many.
        bytes: u64,
    },
    /// The object does not decode, or holds another number of lines than its entries say.
    Undecodable {
        /// The file.
        segment: SegmentId,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { segment, why } => write!(f, "segment {segment}: it cannot be read: {why}"),
            Self::UnknownVersion { segment, version } => {
                write!(f, "segment {segment}: its format version {version} is not known to this version")
            }
            Self::Misplaced { segment, says: (spool, number) } => {
                write!(f, "segment {segment}: by its header it is segment {number} of spool {spool}")
            }
            Self::NoState { segment } => write!(f, "segment {segment}: both state slots are damaged"),
            Self::Damaged(range) => {
                write!(f, "segment {}: numbers {}-{} are damaged", range.segment, range.first, range.last)
            }
            Self::DamagedFragment { segment, bytes } => {
                write!(f, "segment {segment}: the fragment of {bytes} bytes that is pending is damaged")
            }
            Self::Missing { segment, first, last } => {
                write!(f, "before segment {segment}: no file tells of the numbers {first}-{last}")
            }
            Self::Overlap { segment, first, expected } => {
                write!(f, "segment {segment}: it begins with number {first} instead of {expected}")
            }
            Self::Trailing { segment, bytes } => write!(f, "segment {segment}: {bytes} bytes stand behind its end"),
            Self::Undecodable { segment, why } => write!(f, "segment {segment}: its object does not decode: {why}"),
        }
    }
}

pub(super) fn verify(spool: &Inspection) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers = Numbers::default();
    for file in &spool.files {
        match &file.what {
            What::Unreadable(why) => {
                findings.push(Finding::Unreadable { segment: file.segment, why: why.clone() });
            }
            What::UnknownVersion(version) => {
                findings.push(Finding::UnknownVersion { segment: file.segment, version: *version });
            }
            What::Tombstone(range) => {
                let says = (range.spool, range.segment);
                findings.extend(misplaced(spool, file, says));
            }
            What::Segment(segment) => {
                findings.extend(misplaced(spool, file, segment.says));
                findings.extend(faults(file, segment));
                findings.extend(undecodable(spool, file, segment));
            }
        }
        findings.extend(numbers.join(file));
    }
    findings.extend(damaged_fragment(spool));
    findings
}

fn damaged_fragment(spool: &Inspection) -> Option<Finding> {
    let InspectedFragment { fragment, loss } = spool.fragment()?;
    let finding = Finding::DamagedFragment { segment: fragment.key().segment, bytes: fragment.bytes() };
    (loss == Some(LossCause::Damage)).then_some(finding)
}

fn misplaced(spool: &Inspection, file: &InspectedFile, says: (SpoolId, SegmentId)) -> Option<Finding> {
    (says != (spool.id, file.segment)).then_some(Finding::Misplaced { segment: file.segment, says })
}

fn faults(file: &InspectedFile, segment: &InspectedSegment) -> impl Iterator<Item = Finding> {
    let number = file.segment;
    let no_state = segment.losses.is_none().then_some(Finding::NoState { segment: number });
    // The end of a file without a `close` may be torn by a kill, or just be being written.
    let trailing = segment.torn_bytes > 0 && segment.state == SegmentState::Sealed;
    let trailing = trailing.then_some(Finding::Trailing { segment: number, bytes: segment.torn_bytes });
    let damaged = segment.damaged().map(|range| Finding::Damaged(*range));
    no_state.into_iter().chain(damaged).chain(trailing)
}

fn undecodable(spool: &Inspection, file: &InspectedFile, segment: &InspectedSegment) -> Option<Finding> {
    let mut lines = CountLines(0);
    let why = match file.write_lines(&mut lines) {
        // Of a segment that is being appended to, more may be there by now.
        Ok(()) if lines.0 == segment.records || segment.state == SegmentState::Active => return None,
        Ok(()) => format!("{} lines instead of {}", lines.0, segment.records),
        // A living process has delivered or evicted it.
        Err(_) if spool.liveness == Liveness::Alive && has_changed(file) => return None,
        Err(error) => error.to_string(),
    };
    Some(Finding::Undecodable { segment: file.segment, why })
}

fn has_changed(file: &InspectedFile) -> bool {
    std::fs::metadata(&file.path).map_or(true, |metadata| metadata.len() != file.bytes)
}

/// Whether the ranges of neighbours join. A tombstone may cover the files behind it: a kill between merging and removing.
#[derive(Default)]
struct Numbers {
    next: Option<Seqno>,
    covered_until: Option<Seqno>,
}

impl Numbers {
    fn join(&mut self, file: &InspectedFile) -> Option<Finding> {
        let (first, next) = file.range()?;
        if self.covered_until.is_some_and(|until| first < next && next <= until) {
            return None;
        }
        let expected = self.next.replace(next).unwrap_or(first);
        if matches!(file.what, What::Tombstone(_)) {
            self.covered_until = Some(next);
        }
        let segment = file.segment;
        match first.cmp(&expected) {
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Less if is_refused_range(file, first, expected) => None,
            std::cmp::Ordering::Less => Some(Finding::Overlap { segment, first, expected }),
            std::cmp::Ordering::Greater => {
                Some(Finding::Missing { segment, first: expected, last: Seqno(first.0 - 1) })
            }
        }
    }
}

/// A refused range stands in the slot of the segment before its tombstone too.
fn is_refused_range(file: &InspectedFile, first: Seqno, expected: Seqno) -> bool {
    match &file.what {
        What::Tombstone(range) => range.first == first && range.last.0 + 1 == expected.0,
        _ => false,
    }
}

struct CountLines(u64);

impl Write for CountLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
