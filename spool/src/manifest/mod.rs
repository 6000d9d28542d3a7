//! What the files cannot tell, in sled: a hint that is never needed to ship what was acknowledged.
//!
//! * Rows are written on transitions of a segment, never per append, by a thread of their own with a blocking `flush()`
//!   (sled's `insert` alone survives nothing).
//! * A file that is delivered goes when its row says so on disk, or when there is no manifest that anybody could read: a row
//!   without its file always means that somebody else has removed it. What waits for the manifest to be opened is written
//!   in one step for the same reason.
//! * A manifest that fails, by an error, a panic or a hang, is abandoned where it is; the spool goes on without.
//! * sled is given the directory by its descriptor: a thread that wakes up late, when the spool is drained and gone, finds a
//!   directory in which no file can be made, and brings nothing back.
//! * The only file that names sled.

mod row;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub(crate) use row::{Row, RowState, SealedRow};

use crate::id::SegmentId;
use crate::storage::disk::DIRECTORY_MODE;

/// Transitions that may wait for the thread; three belong to a segment. More means that the disk hangs.
const QUEUE_MAX: u64 = 1_024;
/// sled's default is 1 GB; rows are few and short.
const CACHE_BYTES: u64 = 256 * 1024;
/// Pages over a quarter of this become blobs, and blobs are what leaks and hangs: rows stay inline.
const SEGMENT_BYTES: usize = 64 * 1024;
/// The name of a manifest that is being removed.
const REMOVED: &str = "manifest-removed";

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
    queue: Sender<Change>,
    waiting: Option<Receiver<Change>>,
    /// Changes that were sent; the thread counts those that are on disk.
    sent: u64,
    progress: Arc<Progress>,
    is_withdrawn: bool,
    thread: Option<JoinHandle<()>>,
}

/// A place in the order of all changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What the thread tells.
#[derive(Debug, Default)]
struct Progress {
    state: AtomicU8,
    /// Changes that are on disk.
    written: AtomicU64,
}

impl Progress {
    fn abandon(&self) {
        self.state.store(ManifestState::Abandoned as u8, Ordering::Release);
    }

    fn state(&self) -> ManifestState {
        match self.state.load(Ordering::Acquire) {
            0 => ManifestState::Waiting,
            1 => ManifestState::Open,
            _ => ManifestState::Abandoned,
        }
    }
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
        // Not one with a bound: all of its places are made at once, before the first `next`.
        let (queue, waiting) = mpsc::channel();
        let progress = Arc::default();
        Self { path, queue, waiting: Some(waiting), sent: 0, progress, is_withdrawn: false, thread: None }
    }

    /// No manifest: for spools that do not outlive the process.
    pub(crate) fn none() -> Self {
        let mut manifest = Self::waiting(PathBuf::new());
        manifest.waiting = None;
        manifest.is_withdrawn = true;
        manifest.progress.abandon();
        manifest
    }

    /// Starts the thread that opens the database and writes what has waited. Called once; later calls do nothing.
    pub(crate) fn open(&mut self) {
        let Some(changes) = self.waiting.take() else { return };
        let (path, progress, backlog) = (self.path.clone(), Arc::clone(&self.progress), self.sent);
        let thread = thread::Builder::new().name("manifest".into()).spawn({
            let progress = Arc::clone(&progress);
            move || {
                let end = catch_unwind(AssertUnwindSafe(|| write(&path, &changes, backlog, &progress)));
                if !matches!(end, Ok(Ok(()))) {
                    progress.abandon();
                }
            }
        });
        match thread {
            Ok(thread) => self.thread = Some(thread),
            Err(_) => progress.abandon(),
        }
    }

    /// As if its thread hung, until what is returned is dropped.
    #[cfg(test)]
    pub(crate) fn hang(&mut self) -> impl Sized + use<> {
        self.waiting.take()
    }

    /// Ends the writing: the thread works off what it has and ends.
    pub(crate) fn close(self) -> Closing {
        Closing(self.thread)
    }

    pub(crate) fn state(&self) -> ManifestState {
        self.progress.state()
    }

    /// Returns whether nobody can read an older row than that of the ticket any more. A manifest that was abandoned meanwhile
    /// is withdrawn, so that nobody can.
    pub(crate) fn settle(&mut self, ticket: Ticket) -> bool {
        if self.waiting.is_some() {
            return true;
        }
        if self.state() == ManifestState::Abandoned {
            self.withdraw();
            return true;
        }
        self.progress.written.load(Ordering::Acquire) >= ticket.0
    }

    /// Goes on without: what it says is out of date from now on.
    pub(crate) fn abandon(&mut self) {
        self.progress.abandon();
        self.withdraw();
    }

    fn withdraw(&mut self) {
        if !std::mem::replace(&mut self.is_withdrawn, true) {
            // If it stays, an adopter may tell of files that were delivered.
            let _ = remove(&self.path);
        }
    }

    pub(crate) fn put(&mut self, segment: SegmentId, row: Row) -> Ticket {
        self.send(Change::Put(segment, Box::new(row)))
    }

    pub(crate) fn remove(&mut self, segment: SegmentId) {
        self.send(Change::Remove(segment));
    }

    /// Never waits: a manifest that cannot keep up is abandoned.
    fn send(&mut self, change: Change) -> Ticket {
        if self.sent - self.progress.written.load(Ordering::Acquire) >= QUEUE_MAX {
            self.progress.abandon();
        }
        // A thread that has ended has said why.
        if self.state() != ManifestState::Abandoned && self.queue.send(change).is_ok() {
            self.sent += 1;
        }
        Ticket(self.sent)
    }
}

/// Removes a manifest, in one step for whoever reads it later.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = path.with_file_name(REMOVED);
    // Left by a kill.
    let _ = fs::remove_dir_all(&removed);
    match fs::rename(path, &removed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // What stays of it goes with the directory of the spool.
    let _ = fs::remove_dir_all(&removed);
    Ok(())
}

fn write(path: &Path, changes: &Receiver<Change>, backlog: u64, progress: &Progress) -> sled::Result<()> {
    // Never makes the directory of the spool. The files in it are sled's, and readable for all who get there: nobody does.
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let place = open_directory(path)?;
    let rows = open(&place)?;
    let (waiting, open) = (ManifestState::Waiting as u8, ManifestState::Open as u8);
    let may_write = progress.state.compare_exchange(waiting, open, Ordering::AcqRel, Ordering::Acquire);
    if may_write.is_err() {
        return Ok(());
    }
    let mut together = usize::try_from(backlog).unwrap_or(usize::MAX);
    loop {
        let batch: Vec<_> = changes.iter().take(together).collect();
        if batch.len() < together || progress.state() == ManifestState::Abandoned {
            return Ok(());
        }
        let count = batch.len() as u64;
        rows.apply_batch(batch_of(batch))?;
        rows.flush()?;
        progress.written.fetch_add(count, Ordering::Release);
        together = 1;
    }
}

fn batch_of(changes: Vec<Change>) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for change in changes {
        match change {
            Change::Put(segment, row) => batch.insert(&segment.0.to_be_bytes(), row.encode()),
            Change::Remove(segment) => batch.remove(&segment.0.to_be_bytes()),
        }
    }
    batch
}

/// What is no directory is refused at once: a pipe would be waited for.
fn open_directory(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::DIRECTORY.bits();
    fs::OpenOptions::new().read(true).custom_flags(flags.try_into().unwrap_or(0)).open(path)
}

/// Opens the database in a directory that must stay open as long as it does. Where there is no `/proc` there is none: sled
/// would make one, wherever that is.
fn open(place: &File) -> sled::Result<sled::Db> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()));
    fs::metadata(&path)?;
    remove_unfinished_snapshots(&path);
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

/// What a manifest tells, segment by segment.
pub(crate) type Rows = BTreeMap<SegmentId, Row>;

/// The rows of a manifest that another life wrote, or `None` if they cannot be had within the time.
pub(crate) fn read_rows(path: &Path, limit: Duration) -> Option<Rows> {
    // Opened here: a thread that is late must not open what lies under this name by then.
    let place = open_directory(path).ok()?;
    within(limit, move || all_rows(&place).ok())
}

/// What `read` returns, unless it panics or takes longer. A thread that hangs is left behind; the process that adopts is
/// not held up by it.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    read: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let reader = move || {
        let rows = catch_unwind(AssertUnwindSafe(read));
        // The receiver may have given up.
        let _ = sender.send(rows.ok().flatten());
    };
    thread::Builder::new().name("manifest-reader".into()).spawn(reader).ok()?;
    receiver.recv_timeout(limit).ok().flatten()
}

pub(crate) fn all_rows(place: &File) -> sled::Result<Rows> {
    let mut rows = Rows::new();
    for pair in open(place)?.iter() {
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
        let progress = Arc::clone(&manifest.progress);
        drop(manifest);
        while Arc::strong_count(&progress) > 1 {
            thread::yield_now();
        }
        progress.state()
    }

    /// The store's own threads may hold its lock a moment longer than the store; the kernel frees it when a process dies.
    fn read_when_free(path: &Path) -> Rows {
        let until = std::time::Instant::now() + LIMIT;
        loop {
            match read_rows(path, LIMIT) {
                Some(rows) => return rows,
                None => assert!(std::time::Instant::now() < until, "not readable"),
            }
            thread::sleep(Duration::from_millis(5));
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
        let rows = read_when_free(&path);
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
        let mut manifest = Manifest::waiting(dir.path().join("manifest"));
        for segment in 0..=QUEUE_MAX {
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
        let rows = read_when_free(&path);
        assert_eq!(rows.len(), 1);
    }
}
