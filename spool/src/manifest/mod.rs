//! What the files cannot tell, in sled: a hint that is never needed to ship what was acknowledged.
//!
//! * Rows are written on transitions of a segment, never per append, by a thread of their own with a blocking `flush()`
//!   (sled's `insert` alone survives nothing).
//! * A manifest that fails, by an error, a panic or a hang, is abandoned where it is; the spool goes on without.
//! * The only file that names sled.

mod row;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) use row::{Row, RowState, SealedRow};

use crate::id::SegmentId;

/// Transitions that may wait for the thread; three belong to a segment. More means that the disk hangs.
const QUEUE_MAX: usize = 1_024;
/// sled's default is 1 GB; rows are few and short.
const CACHE_BYTES: u64 = 256 * 1024;
/// Pages over a quarter of this become blobs, and blobs are what leaks and hangs: rows stay inline.
const SEGMENT_BYTES: usize = 64 * 1024;

/// How long the thread of a manifest that nobody writes any more may take to end.
const CLOSING_LIMIT: Duration = Duration::from_secs(2);

/// How the manifest of this life fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ManifestState {
    /// It has not been opened; transitions wait.
    Waiting = 0,
    /// It is open.
    Open = 1,
    /// It failed, and the spool runs on its files alone.
    Abandoned = 2,
}

enum Change {
    Put(SegmentId, Box<Row>),
    Remove(SegmentId),
}

/// The writing side.
pub(crate) struct Manifest {
    path: PathBuf,
    queue: SyncSender<Change>,
    waiting: Option<Receiver<Change>>,
    state: Arc<AtomicU8>,
    thread: Option<JoinHandle<()>>,
}

/// A manifest that nobody writes any more, and whose thread may still be at work in its directory.
#[derive(Debug, Default)]
pub(crate) struct Closing(Option<JoinHandle<()>>);

impl Closing {
    /// Waits for the thread, so that the directory can be moved or removed; one that hangs is left behind after the time.
    pub(crate) fn wait(&mut self, limit: Duration) {
        const STEP: Duration = Duration::from_millis(1);
        let Some(thread) = self.0.take() else { return };
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < limit {
            thread::sleep(STEP);
            waited += STEP;
        }
    }
}

/// Who lets go of a spool lets others take it: nobody may be at work in it then.
impl Drop for Closing {
    fn drop(&mut self) {
        self.wait(CLOSING_LIMIT);
    }
}

impl Manifest {
    /// A manifest that keeps transitions until it is opened.
    pub(crate) fn waiting(path: PathBuf) -> Self {
        let (queue, waiting) = mpsc::sync_channel(QUEUE_MAX);
        let state = Arc::new(AtomicU8::new(ManifestState::Waiting as u8));
        Self { path, queue, waiting: Some(waiting), state, thread: None }
    }

    /// No manifest: for spools that do not outlive the process.
    pub(crate) fn none() -> Self {
        let mut manifest = Self::waiting(PathBuf::new());
        manifest.waiting = None;
        manifest.state.store(ManifestState::Abandoned as u8, Ordering::Relaxed);
        manifest
    }

    /// Starts the thread that opens the database and writes what has waited. Called once; later calls do nothing.
    pub(crate) fn open(&mut self) {
        let Some(changes) = self.waiting.take() else { return };
        let (path, state) = (self.path.clone(), Arc::clone(&self.state));
        let thread = thread::Builder::new().name("manifest".into()).spawn({
            let state = Arc::clone(&state);
            move || {
                let end = catch_unwind(AssertUnwindSafe(|| write(&path, &changes, &state)));
                if !matches!(end, Ok(Ok(()))) {
                    state.store(ManifestState::Abandoned as u8, Ordering::Relaxed);
                }
            }
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(_) => state.store(ManifestState::Abandoned as u8, Ordering::Relaxed),
        }
    }

    /// Ends the writing: the thread works off what it has and ends.
    pub(crate) fn close(self) -> Closing {
        Closing(self.thread)
    }

    pub(crate) fn state(&self) -> ManifestState {
        match self.state.load(Ordering::Relaxed) {
            0 => ManifestState::Waiting,
            1 => ManifestState::Open,
            _ => ManifestState::Abandoned,
        }
    }

    pub(crate) fn put(&self, segment: SegmentId, row: Row) {
        self.send(Change::Put(segment, Box::new(row)));
    }

    pub(crate) fn remove(&self, segment: SegmentId) {
        self.send(Change::Remove(segment));
    }

    /// Never waits: a manifest that cannot keep up is abandoned.
    fn send(&self, change: Change) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(change) {
            self.state.store(ManifestState::Abandoned as u8, Ordering::Relaxed);
        }
    }
}

fn write(path: &Path, changes: &Receiver<Change>, state: &AtomicU8) -> sled::Result<()> {
    let rows = open(path)?;
    state.store(ManifestState::Open as u8, Ordering::Relaxed);
    for change in changes {
        if state.load(Ordering::Relaxed) == ManifestState::Abandoned as u8 {
            return Ok(());
        }
        match change {
            Change::Put(segment, row) => rows.insert(segment.0.to_be_bytes(), row.encode())?,
            Change::Remove(segment) => rows.remove(segment.0.to_be_bytes())?,
        };
        rows.flush()?;
    }
    Ok(())
}

/// Never makes the directory of the spool: a thread that wakes up late must not bring back one that was removed.
fn open(path: &Path) -> sled::Result<sled::Db> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => remove_unfinished_snapshots(path),
    }
    sled::Config::new().path(path).cache_capacity(CACHE_BYTES).segment_size(SEGMENT_BYTES).flush_every_ms(None).open()
}

/// A kill while sled writes a snapshot leaves a file that it would later take for a whole one and refuse to open.
fn remove_unfinished_snapshots(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            // If it stays, opening fails and the manifest is not used: that is all it costs.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The rows of a manifest that another life wrote, or `None` if they cannot be had within the time.
///
/// A thread that hangs is left behind; the process that adopts is not held up by it.
pub(crate) fn read_rows(path: &Path, limit: Duration) -> Option<BTreeMap<SegmentId, Row>> {
    if !path.exists() {
        return None;
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let path = path.to_path_buf();
    let reader = move || {
        let rows = catch_unwind(AssertUnwindSafe(|| all_rows(&path)));
        // The receiver may have given up.
        let _ = sender.send(rows.ok().and_then(Result::ok));
    };
    thread::Builder::new().name("manifest-reader".into()).spawn(reader).ok()?;
    receiver.recv_timeout(limit).ok().flatten()
}

fn all_rows(path: &Path) -> sled::Result<BTreeMap<SegmentId, Row>> {
    let mut rows = BTreeMap::new();
    for pair in open(path)?.iter() {
        let (key, value) = pair?;
        let segment = <[u8; 8]>::try_from(key.as_ref()).map(|key| SegmentId(u64::from_be_bytes(key)));
        if let (Ok(segment), Some(row)) = (segment, Row::decode(&value)) {
            rows.insert(segment, row);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn row(state: RowState) -> Row {
        Row { state, first_seq: 3, opened_ms: 4, sealed: None, label: "a/b".into(), attempts: 0 }
    }

    /// Waits for the thread to have worked off the queue: the sender's end is dropped, the thread ends.
    fn settle(manifest: Manifest) -> ManifestState {
        let state = Arc::clone(&manifest.state);
        drop(manifest);
        while Arc::strong_count(&state) > 1 {
            thread::yield_now();
        }
        match state.load(Ordering::Relaxed) {
            1 => ManifestState::Open,
            _ => ManifestState::Abandoned,
        }
    }

    #[test]
    fn rows_written_before_and_after_opening_are_read_by_the_next_life() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("manifest");
        let mut manifest = Manifest::waiting(path.clone());
        manifest.put(SegmentId(0), row(RowState::Active));
        manifest.open();
        manifest.put(SegmentId(0), row(RowState::Sealed));
        manifest.put(SegmentId(1), row(RowState::Active));
        manifest.put(SegmentId(2), row(RowState::Active));
        manifest.remove(SegmentId(2));
        assert_eq!(settle(manifest), ManifestState::Open);
        let rows = read_rows(&path, LIMIT).expect("readable");
        let seen: Vec<_> = rows.into_iter().map(|(segment, row)| (segment.0, row.state)).collect();
        assert_eq!(seen, [(0, RowState::Sealed), (1, RowState::Active)]);
    }

    #[test]
    fn a_manifest_that_cannot_be_opened_is_abandoned() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("manifest");
        fs::write(&path, b"not a directory").expect("write");
        let mut manifest = Manifest::waiting(path.clone());
        manifest.open();
        manifest.put(SegmentId(0), row(RowState::Active));
        assert_eq!(settle(manifest), ManifestState::Abandoned);
        assert!(read_rows(&path, LIMIT).is_none());
    }

    #[test]
    fn a_manifest_that_wakes_up_late_does_not_bring_its_spool_back() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut manifest = Manifest::waiting(dir.path().join("removed").join("manifest"));
        manifest.open();
        assert_eq!(settle(manifest), ManifestState::Abandoned);
        assert!(!dir.path().join("removed").exists());
    }

    #[test]
    fn a_manifest_that_does_not_keep_up_is_abandoned_without_waiting() {
        let dir = tempfile::tempdir().expect("tempdir");
        let manifest = Manifest::waiting(dir.path().join("manifest"));
        for segment in 0..=QUEUE_MAX as u64 {
            manifest.put(SegmentId(segment), row(RowState::Active));
        }
        assert_eq!(manifest.state(), ManifestState::Abandoned);
    }

    #[test]
    fn an_unfinished_snapshot_does_not_keep_the_manifest_from_opening() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("manifest");
        let mut manifest = Manifest::waiting(path.clone());
        manifest.open();
        manifest.put(SegmentId(7), row(RowState::Sealed));
        settle(manifest);
        fs::write(path.join("snap.00000000000000FF.generating"), b"torn").expect("write");
        let rows = read_rows(&path, LIMIT).expect("readable");
        assert_eq!(rows.len(), 1);
    }
}
