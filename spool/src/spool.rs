//! The living spool: one place, one writer, from its first segment to its end or its roll.

mod appending;
mod delivery;
mod making;
mod room;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use making::{active_row, first_segment, make_directory, next_segment, retired_row};
use room::SpaceCheck;

use crate::adopt::{Orphan, StreamEnd};
use crate::codec::{Compression, Encoder};
use crate::elders::Elders;
use crate::format::tombstone::Tombstone;
use crate::id::{FragmentId, SegmentId, Seqno, SpoolId};
use crate::kept::{Kept, KeptSegments};
use crate::loss::{LossCause, Losses};
use crate::manifest::{Manifest, ManifestState, Row, RowState};
use crate::quota::{SpoolLimits, disk_bytes};
use crate::seal::SealReason;
use crate::segment::active::ActiveSegment;
use crate::segment::sealed::{DroppedRange, SealedSegment, SegmentFacts, SegmentKey};
use crate::storage::disk::Disk;
use crate::storage::memory::Memory;
use crate::storage::{Covered, Storage};

/// Names a segment when it is sealed, from its facts alone, so that everyone who has the file gives it the same name.
pub type Labeler = Arc<dyn Fn(&SegmentFacts) -> String + Send + Sync>;

/// The most that a spool in memory takes, in bytes.
pub const MEMORY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How long the end of the process waits for the manifest's thread. One that hangs leaves a directory that holds nothing.
const MANIFEST_LIMIT: Duration = Duration::from_millis(200);

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
    /// What it may take.
    pub limits: SpoolLimits,
}

impl fmt::Debug for SpoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolConfig")
            .field("root", &self.root)
            .field("compression", &self.compression)
            .field("limits", &self.limits)
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

/// What happened to segments, in order. Whoever uploads must hear of all of it.
#[derive(Debug, Clone)]
pub enum SpoolEvent {
    /// A segment will not change any more.
    Sealed(SealedSegment),
    /// Records are lost; this must be told. It takes the place of everything that [`Gone`](Self::Gone) named before.
    Dropped(DroppedRange),
    /// What was sealed or dropped under this key is no more.
    Gone(SegmentKey),
    /// Everything that an adopted spool held is delivered. The end, if its own process did not write one, is to be delivered
    /// now; then the spool can be [finished](Spool::finish).
    Drained(SpoolId, Option<StreamEnd>),
}

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

/// A durable queue. See the [crate documentation](crate) for what it promises.
///
/// Every method works in the calling thread and takes the time as an argument.
pub struct Spool {
    config: SpoolConfig,
    identity: Identity,
    place: Place,
    encoder: Encoder,
    scratch: Vec<u8>,
    active: ActiveSegment,
    kept: KeptSegments,
    elders: Elders,
    covered: Covered,
    manifest: Manifest,
    events: Vec<SpoolEvent>,
    /// Bytes of the objects that were sealed.
    sealed_bytes: u64,
    space: SpaceCheck,
    /// The name of the last fragment.
    last_fragment: FragmentId,
    has_settled: bool,
    /// A seal found that somebody had removed the file that it sealed: the next one stands where it should, and hides it.
    was_cleared: bool,
}

/// Where the files lie.
enum Place {
    Disk(Disk),
    Memory(Memory),
    #[cfg(any(test, feature = "fuzzing"))]
    Other(Box<dyn Storage>),
}

impl Place {
    fn storage(&mut self) -> &mut dyn Storage {
        match self {
            Self::Disk(disk) => disk,
            Self::Memory(memory) => memory,
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Other(storage) => storage.as_mut(),
        }
    }

    fn storage_ref(&self) -> &dyn Storage {
        match self {
            Self::Disk(disk) => disk,
            Self::Memory(memory) => memory,
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Other(storage) => storage.as_ref(),
        }
    }
}

impl Spool {
    /// Makes the directory, takes its lock, and writes the header of the first segment.
    ///
    /// The directory gets its name only when it is complete, so a kill in between leaves nothing that could be taken for
    /// a spool.
    pub fn create(config: SpoolConfig, identity: Identity, now_ms: i64) -> Result<Self, CreateError> {
        let made = make_directory(&config, identity, now_ms);
        let (disk, active) = made.map_err(|source| CreateError { path: config.root.clone(), source })?;
        let manifest = Manifest::waiting(disk.dir().manifest());
        Ok(Self::new(config, identity, Place::Disk(disk), active, manifest))
    }

    /// A spool in memory, for a process that has no disk: the same code over at most [`MEMORY_BYTES_MAX`]. What it holds is
    /// gone with the process; its objects are marked `volatile`. When it is full, batches are refused.
    pub fn create_in_memory(config: SpoolConfig, identity: Identity, now_ms: i64) -> Result<Self, CreateError> {
        let memory = Memory::new(MEMORY_BYTES_MAX);
        let active = first_segment(&config, identity, now_ms, &memory)
            .map_err(|source| CreateError { path: PathBuf::from("memory"), source })?;
        Ok(Self::new(config, identity, Place::Memory(memory), active, Manifest::none()))
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn create_on(
        storage: Box<dyn Storage>,
        config: SpoolConfig,
        identity: Identity,
        now_ms: i64,
    ) -> io::Result<Self> {
        let active = first_segment(&config, identity, now_ms, storage.as_ref())?;
        Ok(Self::new(config, identity, Place::Other(storage), active, Manifest::none()))
    }

    fn new(config: SpoolConfig, identity: Identity, place: Place, active: ActiveSegment, manifest: Manifest) -> Self {
        let encoder = Encoder::new(config.compression);
        let mut spool = Self {
            config,
            identity,
            place,
            encoder,
            scratch: Vec::new(),
            active,
            kept: KeptSegments::default(),
            elders: Elders::default(),
            covered: Covered::default(),
            manifest,
            events: Vec::new(),
            sealed_bytes: 0,
            space: SpaceCheck::default(),
            last_fragment: FragmentId(0),
            has_settled: false,
            was_cleared: false,
        };
        spool.manifest.put(SegmentId(0), active_row(&spool.active));
        spool
    }

    /// The id of this life.
    pub fn id(&self) -> SpoolId {
        self.identity.id
    }

    /// Whether what it holds is gone when the process ends.
    pub fn is_volatile(&self) -> bool {
        self.place.storage_ref().is_volatile()
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

    /// Does what can wait until the process has started: opens the manifest on its own thread, lays ballast. Until then,
    /// and if either fails, the files alone carry everything.
    pub fn settle_in(&mut self) {
        self.has_settled = true;
        self.manifest.open();
        self.place.storage().refill();
    }

    /// What happened to segments since this was last asked, in order.
    pub fn take_events(&mut self) -> Vec<SpoolEvent> {
        std::mem::take(&mut self.events)
    }

    /// Takes the numbers of records that cannot be stored, and declares them: by the state slot at once, by a name of
    /// their own as soon as there is room. `raw_bytes` are the bytes of their lines.
    ///
    /// Works on a full disk. After an error nothing was taken, and the spool should be rolled: the next one takes the numbers. A
    /// write that fails although all of it reached the disk is told by both: more loss than there was, and none in silence.
    pub fn refuse(&mut self, records: u64, raw_bytes: u64, now_ms: i64) -> io::Result<()> {
        if records == 0 {
            return Ok(());
        }
        self.active.refuse(records, raw_bytes, now_ms)
    }

    /// Whether a refused range may have its tombstone, if there is one; as long as not, it may only grow.
    fn may_declare(&self) -> bool {
        self.active.slot().undeclared.is_none() || self.may_bury()
    }

    /// A refused range ends the segment: what is stored before it is sealed, the range gets a tombstone, and the next
    /// segment begins behind it. As long as one of these fails, batches are refused into the same range.
    fn declare_refused(&mut self, now_ms: i64) -> io::Result<()> {
        let Some(range) = self.active.slot().undeclared else { return Ok(()) };
        let segment = self.active.header.segment.next();
        let tombstone = Tombstone {
            spool: self.identity.id,
            segment,
            first: range.first,
            records: range.records,
            bytes: range.bytes,
            time_ms: range.time_ms,
            cause: range.cause,
            maybe_delivered: false,
        };
        let storage = self.place.storage();
        storage.bury(segment, &tombstone.encode())?;
        let next = next_segment(&self.config, self.identity, &self.active, segment.next(), now_ms, storage);
        let next = next.inspect_err(|_| {
            // The range may still grow: its tombstone is written anew.
            let _ = storage.remove_segment(segment);
        })?;
        self.retire(SealReason::Limit, next, now_ms);
        self.bury_kept(tombstone);
        Ok(())
    }

    /// Counts records that the sender dropped before they reached the spool.
    ///
    /// The totals are on disk when this returns `Ok`; after an error they go there with the next totals, or the next segment.
    pub fn count_platform_drops(&mut self, records: u64, bytes: u64) -> io::Result<()> {
        self.active.count_platform_drops(records, bytes);
        self.active.update_slot(|slot| slot.losses.add(LossCause::Platform, records, bytes))
    }

    /// Seals the active segment and opens the next one. `false` if it holds no record: there is nothing to ship.
    ///
    /// The next one begins with a copy of the fragment that is pending. If it cannot be written, nothing is sealed.
    pub fn seal(&mut self, reason: SealReason, now_ms: i64) -> Result<bool, SealError> {
        if self.active.slot().undeclared.is_some() {
            // Without a record there is nothing to ship, and without room the range waits in its slot: else every try would
            // leave two more files.
            let reserved = self.reserved_bytes();
            if self.active.totals().records == 0 && !(self.may_declare() && self.has_room(reserved, now_ms)) {
                return Ok(false);
            }
            self.declare_refused(now_ms).map_err(SealError)?;
            return Ok(true);
        }
        if self.active.totals().records == 0 {
            return Ok(false);
        }
        // The next file carries the number that follows: it must exist before this segment may ever be removed.
        let segment = self.active.header.segment.next();
        let next = next_segment(&self.config, self.identity, &self.active, segment, now_ms, self.place.storage());
        self.retire(reason, next.map_err(SealError)?, now_ms);
        Ok(true)
    }

    /// Puts the next segment in the place of the active one. Nothing here can fail.
    fn retire(&mut self, reason: SealReason, next: ActiveSegment, now_ms: i64) {
        self.was_cleared = !self.is_in_place();
        self.active.close(reason, &mut self.scratch, now_ms);
        self.encoder.abandon_frame();
        let volatile = self.is_volatile();
        let sealed = self.active.sealed(reason).map(|(facts, extent)| {
            let facts = SegmentFacts { volatile, ..facts };
            let label = (self.config.label)(&facts);
            SealedSegment::new(facts, label, extent)
        });
        self.sealed_bytes += sealed.as_ref().map_or(0, |sealed| sealed.facts().object_bytes);
        let row = retired_row(&self.active, sealed.as_ref());
        let segment = self.active.header.segment;
        let retired = std::mem::replace(&mut self.active, next);
        self.manifest.put(segment, row.clone());
        self.manifest.put(self.active.header.segment, active_row(&self.active));
        self.kept.insert(segment, Kept::segment(retired, sealed.as_ref(), row));
        self.events.extend(sealed.map(SpoolEvent::Sealed));
        // What cannot be removed has a row that says so.
        let _ = self.remove_delivered();
    }

    /// How many segments and declared losses are not delivered.
    pub fn undelivered(&self) -> usize {
        self.kept.undelivered()
    }

    /// Bytes that the spool takes on disk, together with those that it has taken in.
    pub fn disk_bytes(&self) -> u64 {
        self.elders.disk_bytes() + self.kept.disk_bytes() + disk_bytes(self.active.file_bytes())
    }

    /// Whether the active file is where it was made, and those before it were when they were sealed. If not, somebody has
    /// cleared the directory: the spool must be rolled, and what it still holds by its descriptors can be rescued.
    pub fn is_in_place(&self) -> bool {
        let segment = self.active.header.segment;
        // Whoever clears a directory that is being written to may leave the newest file and take those before it.
        !self.was_cleared
            && self.kept.have_names()
            && self.place.storage_ref().is_in_place(segment, self.active.file().as_ref())
    }

    /// Begins a new life in a new directory: always allowed, never wrong. The old spool is handed over with its lock and
    /// its descriptors, to be adopted like any other.
    pub fn roll(&mut self, identity: Identity, now_ms: i64) -> Result<Orphan, CreateError> {
        let new = Self::create(self.config.clone(), identity, now_ms)?;
        Ok(self.replace_by(new))
    }

    /// Begins a new life in memory, for when no directory can be made.
    pub fn roll_into_memory(&mut self, identity: Identity, now_ms: i64) -> Result<Orphan, CreateError> {
        let new = Self::create_in_memory(self.config.clone(), identity, now_ms)?;
        Ok(self.replace_by(new))
    }

    fn replace_by(&mut self, new: Self) -> Orphan {
        let has_settled = self.has_settled;
        let mut old = std::mem::replace(self, new);
        self.last_fragment = old.last_fragment;
        self.events = old.take_events();
        self.elders = std::mem::take(&mut old.elders);
        for (segment, first) in old.kept.in_flight() {
            self.elders.attempt_begun(&SegmentKey { spool: old.identity.id, segment, first });
        }
        if has_settled {
            self.settle_in();
        }
        old.into_orphan()
    }

    fn into_orphan(mut self) -> Orphan {
        // The last chance of totals that could not be written before; ranges that they tell have tombstones of their own.
        let _ = self.active.catch_up();
        let id = self.identity.id;
        let stand_ins = self.kept.stand_ins();
        let mut files = self.kept.into_files();
        files.push((self.active.header.segment, Arc::clone(self.active.file())));
        match self.place {
            Place::Disk(disk) => {
                let orphan = Orphan::handed_over(id, Some(disk.into_parts()), files);
                orphan.with_stand_ins(stand_ins).with_manifest(self.manifest.close())
            }
            Place::Memory(memory) => Orphan::handed_over(id, None, memory.files()),
            #[cfg(any(test, feature = "fuzzing"))]
            Place::Other(_) => Orphan::handed_over(id, None, files),
        }
    }

    /// Removes the directory if nothing is left to ship, none is pending and the stream has ended, or never began. Returns whether it did;
    /// else it stays, complete, for an adopter. What is appended afterwards is lost: called when the process ends.
    pub fn remove_if_empty(&mut self) -> io::Result<bool> {
        let slot = self.active.slot();
        let ended_or_unused = slot.ended || self.active.next_seq() == Seqno(0);
        let nothing_left = self.undelivered() == 0
            && self.active.totals().records == 0
            && slot.undeclared.is_none()
            && self.active.pending().is_none()
            && ended_or_unused;
        if nothing_left {
            // Its thread may still be making files there.
            std::mem::replace(&mut self.manifest, Manifest::none()).close().wait(MANIFEST_LIMIT);
            self.place.storage().remove_all()?;
        }
        Ok(nothing_left)
    }

    fn forget(&mut self, segment: SegmentId, first: Seqno) {
        self.kept.take(segment);
        self.manifest.remove(segment);
        self.events.push(SpoolEvent::Gone(SegmentKey { spool: self.identity.id, segment, first }));
    }

    fn bury_kept(&mut self, tombstone: Tombstone) {
        let row = Row { state: RowState::Dropped, first_seq: tombstone.first.0, ..active_row(&self.active) };
        self.manifest.put(tombstone.segment, row.clone());
        self.kept.insert(tombstone.segment, Kept::tombstone(tombstone, row));
        self.events.push(SpoolEvent::Dropped(tombstone.into()));
    }
}

impl From<Tombstone> for DroppedRange {
    fn from(tombstone: Tombstone) -> Self {
        Self {
            spool: tombstone.spool,
            segment: tombstone.segment,
            first: tombstone.first,
            last: Seqno(tombstone.next_seq().0 - 1),
            raw_bytes: tombstone.bytes,
            cause: tombstone.cause,
            maybe_delivered: tombstone.maybe_delivered,
        }
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("id", &self.identity.id)
            .field("next_seq", &self.next_seq())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
