//! The living spool: one directory, one writer, from its first segment to its end or its roll.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::adopt::Orphan;
use crate::codec::{Compression, Encoder};
use crate::format::checksum::Salt;
use crate::format::segment_header::SegmentHeader;
use crate::format::state_slot::StateSlot;
use crate::id::{SegmentId, Seqno, SpoolId};
use crate::layout::{DirLock, SpoolDir};
use crate::loss::{LossCause, Losses};
use crate::manifest::{Manifest, ManifestState, Row, RowState, SealedRow};
use crate::seal::SealReason;
use crate::segment::active::{ActiveSegment, AppendError, Batch, StateFile};
use crate::segment::sealed::{SealedSegment, SegmentFacts, SegmentKey};

/// Names a segment when it is sealed, from its facts alone, so that everyone who has the file gives it the same name.
pub type Labeler = Arc<dyn Fn(&SegmentFacts) -> String + Send + Sync>;

/// What a spool is made with.
#[derive(Clone)]
pub struct SpoolConfig {
    /// The directory that holds one directory a spool. Made if it is missing.
    pub root: PathBuf,
    /// How payloads are compressed.
    pub compression: Compression,
    /// How lines are written; stored in every segment header, the meaning belongs to the caller.
    pub line_format: u8,
    /// Names sealed segments.
    pub label: Labeler,
}

impl fmt::Debug for SpoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolConfig")
            .field("root", &self.root)
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

/// Who a new spool is: both values must come from the kernel's randomness.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The id, never used before.
    pub id: SpoolId,
    /// Seeds the salts of its segments.
    pub salt_seed: u64,
}

/// The spool directory could not be made. Nothing of it is used; another identity may be tried.
#[derive(Debug, thiserror::Error)]
#[error("could not make the spool directory {}: {source}", .path.display())]
pub struct CreateError {
    path: PathBuf,
    source: io::Error,
}

/// The active segment could not be sealed, since the next one could not be made. Nothing changed.
#[derive(Debug, thiserror::Error)]
#[error("could not make the next segment: {0}")]
pub struct SealError(#[source] io::Error);

/// What the caller's seal policy decides from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActiveFacts {
    /// Records in the active segment.
    pub records: u64,
    /// Bytes of the object so far, compressed.
    pub object_bytes: u64,
    /// When its first entry was appended, Unix time in milliseconds.
    pub first_append_ms: Option<i64>,
    /// Time of its first entry with a record: its UTC hour is the partition.
    pub partition_ms: Option<i64>,
}

/// A durable queue on disk. See the [crate documentation](crate) for what it promises.
///
/// Every method works in the calling thread and takes the time as an argument.
pub struct Spool {
    config: SpoolConfig,
    identity: Identity,
    dir: SpoolDir,
    lock: DirLock,
    encoder: Encoder,
    scratch: Vec<u8>,
    active: ActiveSegment,
    sealed: BTreeMap<SegmentId, Sealed>,
    manifest: Manifest,
    fragments: u64,
}

struct Sealed {
    state: StateFile,
    row: Row,
    next_seq: Seqno,
    ended: bool,
    delivered: bool,
}

impl Spool {
    /// Makes the directory, takes its lock, and writes the header of the first segment.
    ///
    /// The directory gets its name only when it is complete, so a kill in between leaves nothing that could be taken for
    /// a spool.
    pub fn create(config: SpoolConfig, identity: Identity, now_ms: i64) -> Result<Self, CreateError> {
        let root = config.root.clone();
        Self::try_create(config, identity, now_ms).map_err(|source| CreateError { path: root, source })
    }

    fn try_create(config: SpoolConfig, identity: Identity, now_ms: i64) -> io::Result<Self> {
        let dir = SpoolDir::make_unpublished(&config.root, identity.id)?;
        let made = Self::fill(&config, identity, now_ms, &dir);
        let (lock, active) = match made {
            Ok(made) => made,
            Err(error) => {
                // A half-made directory holds nothing; the next adopter tries again to remove it.
                let _ = dir.remove();
                return Err(error);
            }
        };
        let dir = dir.publish(&config.root, identity.id)?;
        let manifest = Manifest::waiting(dir.manifest());
        let encoder = Encoder::new(config.compression);
        let spool = Self {
            config,
            identity,
            dir,
            lock,
            encoder,
            scratch: Vec::new(),
            active,
            sealed: BTreeMap::new(),
            manifest,
            fragments: 0,
        };
        spool.manifest.put(SegmentId(0), spool.active_row());
        Ok(spool)
    }

    fn fill(
        config: &SpoolConfig,
        identity: Identity,
        now_ms: i64,
        dir: &SpoolDir,
    ) -> io::Result<(DirLock, ActiveSegment)> {
        let lock = dir.try_lock()?.ok_or(io::ErrorKind::WouldBlock)?;
        let file = Arc::new(dir.create_segment(SegmentId(0))?);
        let header = header(config, identity, SegmentId(0), Seqno(0), now_ms);
        Ok((lock, ActiveSegment::create(file, header, first_slot())?))
    }

    /// The id of this life.
    pub fn id(&self) -> SpoolId {
        self.identity.id
    }

    /// The number that the next record takes.
    pub fn next_seq(&self) -> Seqno {
        self.active.next_seq()
    }

    /// What the seal policy decides from.
    pub fn active(&self) -> ActiveFacts {
        let totals = self.active.totals();
        ActiveFacts {
            records: totals.records,
            object_bytes: self.active.object_bytes(),
            first_append_ms: totals.first_append_ms,
            partition_ms: totals.partition_ms,
        }
    }

    /// Totals of what this spool lost, by cause.
    pub fn losses(&self) -> Losses {
        self.active.slot().losses
    }

    /// How the manifest fares.
    pub fn manifest_state(&self) -> ManifestState {
        self.manifest.state()
    }

    /// Opens the manifest on its own thread. Until then, and if it fails, the files alone carry everything.
    pub fn open_manifest(&mut self) {
        self.manifest.open();
    }

    /// Appends a batch: one compressed entry, one write. When this returns `Ok`, the batch survives SIGKILL.
    ///
    /// The batch takes the numbers from [`next_seq`](Self::next_seq) on.
    pub fn append(&mut self, batch: &Batch<'_>, now_ms: i64) -> Result<(), AppendError> {
        self.active.append(&mut self.encoder, &mut self.scratch, batch, now_ms)
    }

    /// Counts records that the sender dropped before they reached the spool.
    ///
    /// The totals are on disk when this returns `Ok`; after an error they are counted in memory only.
    pub fn count_platform_drops(&mut self, records: u64, bytes: u64) -> io::Result<()> {
        self.active.count_platform_drops(records, bytes);
        self.active.update_slot(|slot| slot.losses.add(LossCause::Platform, records, bytes))
    }

    /// Seals the active segment and opens the next one. `None` if it holds no record: there is nothing to ship.
    pub fn seal(&mut self, reason: SealReason, now_ms: i64) -> Result<Option<SealedSegment>, SealError> {
        let Some((facts, extent)) = self.active.sealed(reason) else { return Ok(None) };
        // The next file carries the number that follows: it must exist before this segment may ever be removed.
        let next = self.next_segment(now_ms).map_err(SealError)?;
        self.active.close(reason, &mut self.scratch, now_ms);
        self.encoder.abandon_frame();
        let segment = SealedSegment::new(facts.clone(), (self.config.label)(&facts), extent);
        let row = sealed_row(&self.active, &segment);
        self.manifest.put(facts.segment, row.clone());
        let (next_seq, ended) = (self.active.next_seq(), self.active.totals().ended);
        let state = std::mem::replace(&mut self.active, next).into_state();
        self.sealed.insert(facts.segment, Sealed { state, row, next_seq, ended, delivered: false });
        self.manifest.put(self.active.header.segment, self.active_row());
        Ok(Some(segment))
    }

    fn next_segment(&self, now_ms: i64) -> io::Result<ActiveSegment> {
        let (config, identity) = (&self.config, self.identity);
        let segment = self.active.header.segment.next();
        let first = self.active.next_seq();
        let slot = StateSlot { next_seq: first, ended: self.active.totals().ended, ..*self.active.slot() };
        let file = Arc::new(self.dir.create_segment(segment)?);
        let header = header(config, identity, segment, first, now_ms);
        ActiveSegment::create(file, header, slot).inspect_err(|_| {
            // Otherwise the next attempt would find the name taken.
            let _ = self.dir.remove_segment(segment);
        })
    }

    /// Notes that an upload was begun.
    pub fn attempted(&mut self, key: &SegmentKey) {
        if let Some(sealed) = self.sealed.get_mut(&key.segment) {
            sealed.row.attempts = sealed.row.attempts.saturating_add(1);
            self.manifest.put(key.segment, sealed.row.clone());
        }
    }

    /// Lets go of a segment that is where it should be.
    ///
    /// Files vanish in order, so that a gap between two of them always means a loss: while an older segment waits, this one
    /// is only marked and emptied. File first, row second: if the file cannot be removed, the row says that it was
    /// uploaded, and an adopter will not upload it again.
    pub fn remove(&mut self, key: &SegmentKey) -> io::Result<()> {
        let older_waits = self.sealed.first_key_value().is_some_and(|(oldest, _)| *oldest < key.segment);
        let Some(sealed) = self.sealed.get_mut(&key.segment) else { return Ok(()) };
        sealed.delivered = true;
        sealed.row.state = RowState::Uploaded;
        if older_waits {
            self.manifest.put(key.segment, sealed.row.clone());
            return sealed.state.mark_delivered(sealed.next_seq, sealed.ended);
        }
        self.remove_delivered()
    }

    fn remove_delivered(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        while let Some(oldest) = self.sealed.first_entry().filter(|oldest| oldest.get().delivered) {
            let (segment, sealed) = oldest.remove_entry();
            let removed = self.dir.remove_segment(segment);
            match removed {
                Ok(()) => self.manifest.remove(segment),
                Err(_) => self.manifest.put(segment, sealed.row),
            }
            result = result.and(removed);
        }
        result
    }

    /// How many sealed segments are not delivered.
    pub fn sealed_segments(&self) -> usize {
        self.sealed.values().filter(|sealed| !sealed.delivered).count()
    }

    /// A name for the next fragment, unique in this spool.
    pub fn next_fragment(&mut self) -> u64 {
        self.fragments += 1;
        self.fragments
    }

    /// Begins a new life in a new directory: always allowed, never wrong. The old spool is handed over with its lock and
    /// its descriptors, to be adopted like any other.
    pub fn roll(&mut self, identity: Identity, now_ms: i64) -> Result<Orphan, CreateError> {
        let new = Self::create(self.config.clone(), identity, now_ms)?;
        let old = std::mem::replace(self, new);
        if old.manifest.was_opened() {
            self.open_manifest();
        }
        Ok(old.into_orphan())
    }

    fn into_orphan(self) -> Orphan {
        let file = |state: &StateFile| Arc::clone(state.file());
        let mut files: Vec<_> = self.sealed.iter().map(|(segment, sealed)| (*segment, file(&sealed.state))).collect();
        files.push((self.active.header.segment, file(&self.active.into_state())));
        Orphan::handed_over(self.identity.id, self.dir, self.lock, files)
    }

    /// Removes the directory if nothing is left to ship and the stream has ended, or never began. Returns whether it did;
    /// else it stays, complete, for an adopter. What is appended afterwards is lost: called when the process ends.
    pub fn remove_if_empty(&mut self) -> io::Result<bool> {
        let ended_or_unused = self.active.slot().ended || self.active.next_seq() == Seqno(0);
        let nothing_left = self.sealed.is_empty() && self.active.totals().records == 0 && ended_or_unused;
        if nothing_left {
            self.dir.remove()?;
        }
        Ok(nothing_left)
    }

    fn active_row(&self) -> Row {
        active_row(&self.active)
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("dir", &self.dir).field("next_seq", &self.next_seq()).finish_non_exhaustive()
    }
}

fn header(
    config: &SpoolConfig,
    identity: Identity,
    segment: SegmentId,
    first_seq: Seqno,
    now_ms: i64,
) -> SegmentHeader {
    SegmentHeader {
        codec: config.compression.codec,
        line_format: config.line_format,
        spool: identity.id,
        segment,
        first_seq,
        opened_ms: now_ms,
        salt: salt(identity.salt_seed, segment),
    }
}

fn first_slot() -> StateSlot {
    StateSlot {
        generation: 0,
        next_seq: Seqno(0),
        losses: Losses::default(),
        undeclared: None,
        ended: false,
        delivered: false,
    }
}

/// A different salt for every segment: one step of SplitMix64 (Steele, Lea, Flood 2014), whose output function is a
/// bijection, so two segments of a spool never share one.
fn salt(seed: u64, segment: SegmentId) -> Salt {
    let mut z = seed.wrapping_add(segment.0.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Salt(z ^ (z >> 31))
}

fn active_row(active: &ActiveSegment) -> Row {
    Row {
        state: RowState::Active,
        first_seq: active.header.first_seq.0,
        opened_ms: active.header.opened_ms,
        sealed: None,
        label: String::new(),
        attempts: 0,
    }
}

fn sealed_row(active: &ActiveSegment, segment: &SealedSegment) -> Row {
    let facts = segment.facts();
    let sealed = SealedRow {
        reason: facts.reason.code(),
        last_seq: facts.last.0,
        records: facts.records,
        raw_bytes: facts.raw_bytes,
        file_bytes: active.file_bytes(),
        object_bytes: facts.object_bytes,
        digest: facts.digest,
    };
    let label = segment.label().to_owned();
    Row { state: RowState::Sealed, sealed: Some(sealed), label, ..active_row(active) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adopt::find_orphans;
    use crate::format::meta::Meta;

    const NOW: i64 = 1_790_000_000_000;

    fn label() -> Labeler {
        Arc::new(|facts: &SegmentFacts| format!("{}-{}", facts.first, facts.last))
    }

    fn spool(root: &std::path::Path, random: u128) -> Spool {
        let config =
            SpoolConfig { root: root.into(), compression: Compression::default(), line_format: 0, label: label() };
        let identity = Identity { id: SpoolId::new(NOW, random), salt_seed: 7 };
        Spool::create(config, identity, NOW).expect("created")
    }

    fn sealed(spool: &mut Spool, line: &str) -> SealedSegment {
        let batch = Batch {
            lines: line.as_bytes(),
            records: 1,
            first_line_ms: None,
            body_bytes: 1,
            body_hash: 1,
            meta: &Meta::default(),
            end: false,
        };
        spool.append(&batch, NOW).expect("appended");
        spool.seal(SealReason::Size, NOW).expect("sealed").expect("a segment")
    }

    fn files(spool: &Spool) -> Vec<u64> {
        let files = spool.dir.open_segments().expect("listed");
        files.into_iter().map(|(segment, _)| segment.0).collect()
    }

    #[test]
    fn files_vanish_in_order_whatever_the_order_of_delivery() {
        let root = tempfile::tempdir().expect("tempdir");
        let mut spool = spool(root.path(), 1);
        let segments: Vec<_> = ["a\n", "b\n", "c\n"].iter().map(|line| sealed(&mut spool, line)).collect();
        spool.remove(&segments[1].key()).expect("marked");
        assert_eq!((files(&spool), spool.sealed_segments()), (vec![0, 1, 2, 3], 2));
        spool.remove(&segments[0].key()).expect("removed");
        assert_eq!((files(&spool), spool.sealed_segments()), (vec![2, 3], 1));
        spool.remove(&segments[2].key()).expect("removed");
        assert_eq!((files(&spool), spool.sealed_segments()), (vec![3], 0));
    }

    #[test]
    fn what_is_delivered_out_of_order_is_not_delivered_again_by_an_adopter() {
        let root = tempfile::tempdir().expect("tempdir");
        let mut dead = spool(root.path(), 1);
        let segments: Vec<_> = ["a\n", "b\n", "c\n"].iter().map(|line| sealed(&mut dead, line)).collect();
        dead.remove(&segments[1].key()).expect("marked");
        drop(dead);
        let orphan = find_orphans(root.path(), SpoolId::new(NOW, 9)).expect("found").orphans.remove(0);
        let adopted = orphan.adopt(&label()).expect("adopted");
        let labels: Vec<_> = adopted.segments().iter().map(SealedSegment::label).collect();
        assert_eq!(labels, ["0-0", "2-2"]);
        assert_eq!(adopted.report().holes, []);
        assert_eq!(adopted.end().map(|end| end.seq), Some(Seqno(3)));
    }

    #[test]
    fn salts_of_a_spool_differ() {
        let salts: std::collections::BTreeSet<_> = (0..1_000).map(|n| salt(3, SegmentId(n)).0).collect();
        assert_eq!(salts.len(), 1_000);
    }
}
