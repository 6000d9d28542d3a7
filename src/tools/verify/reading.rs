//! Objects are read while the listing goes on, by a few threads, each with connections of its own.

use std::panic;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::content::Lines;
use super::error::VerifyError;
use super::name::{Known, Located, base_name};
use crate::archive::object::read;
use crate::archive::sorter::Sorter;
use crate::archive::source::{ReadError, Source};
use crate::config::StoreSettings;
use crate::upload::object_key::{Compression, Content};

/// S3 answers a request in some 30 ms whatever its size, so a few at a time keep one core busy; each holds a piece of 4 MiB.
pub(super) const THREADS: usize = 8;
/// The listing waits when so many objects wait to be read.
const WAITING_MAX: usize = 64;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is collected by listing and reading, bounded in memory.
pub(super) struct Collected {
    /// What is known of each spool.
    pub(super) known: Sorter,
    /// Requests that began.
    pub(super) started: Option<Sorter>,
    /// Objects of which only digest and number of lines were looked at.
    pub(super) counted_only: u64,
}

/// Counts that are looked at while they grow.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Threads that read what they are given.
pub(super) struct Readers<'scope> {
    jobs: SyncSender<Located>,
    threads: Vec<ScopedJoinHandle<'scope, Result<(), VerifyError>>>,
}

impl<'scope> Readers<'scope> {
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        places: &'env [StoreSettings],
        collected: &'env Mutex<Collected>,
        counts: &'env Counts,
        jobs: &'env Mutex<Option<Receiver<Located>>>,
    ) -> Self {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        *locked(jobs) = Some(receiver);
        let work = || {
            let mut sources: Vec<Option<Source>> = places.iter().map(|_| None).collect();
            loop {
                let job = locked(jobs).as_ref().and_then(|jobs| jobs.recv().ok());
                let Some(located) = job else { return Ok(()) };
                let done = read_one(&located, places, &mut sources, collected, counts);
                if done.is_err() {
                    // Nobody else needs to go on, the listing least of all.
                    locked(jobs).take();
                    return done;
                }
            }
        };
        Self { jobs: sender, threads: (0..THREADS).map(|_| scope.spawn(work)).collect() }
    }

    /// Gives an object to be read. `false` if nobody reads any more.
    pub(super) fn give(&self, located: Located) -> bool {
        self.jobs.send(located).is_ok()
    }

    /// Everything is given. Returns when everything is read, and calls `look` now and then until that is so.
    pub(super) fn finish(self, look: impl Fn()) -> Result<(), VerifyError> {
        drop(self.jobs);
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(LOOK_EVERY);
            look();
        }
        let ends: Vec<_> = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|it| panic::resume_unwind(it)))
            .collect();
        ends.into_iter().collect()
    }
}

/// What a lock holds is whole at any time, or the process ends.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_one(
    located: &Located,
    places: &[StoreSettings],
    sources: &mut [Option<Source>],
    collected: &Mutex<Collected>,
    counts: &Counts,
) -> Result<(), VerifyError> {
    let place = usize::from(located.place);
    let source = match &mut sources[place] {
        Some(source) => source,
        none => none.insert(Source::open(&places[place]).expect("it was opened for its listing")),
    };
    let name = located.name();
    let codec = match name.content {
        Content::Lines { codec, .. } => codec,
        Content::Dropped { .. } => Compression::None,
    };
    let (mut lines, mut started) = (Lines::of(name), Vec::new());
    let was_read = read(source, &located.object, codec, |line| {
        if let Some(request) = lines.take(line) {
            started.push(request.into_owned());
        }
        Ok::<_, ReadError>(())
    });
    let found = match was_read {
        Ok(was_read) => Some(lines.end(&was_read)),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    let wrong = match &found {
        Some(found) if found.wrong.is_empty() => None,
        Some(found) => Some(found.wrong.join("; ")),
        None => Some("it is in the listing, and not there".to_owned()),
    };
    let mut collected = locked(collected);
    let mut knows = |known: Known| {
        let (key, value) = known.entry(name.spool_id);
        collected.known.push(&key, &value)
    };
    if let Some(wrong) = wrong {
        let file = base_name(&located.object.key);
        knows(Known::Finding(format!("{file}: {wrong}")))?;
    }
    if found.as_ref().is_some_and(|found| found.is_unknown_tail) {
        knows(Known::UnknownTail)?;
    }
    let is_text =
        matches!(name.content, Content::Lines { .. }) && found.as_ref().is_some_and(|found| !found.was_parsed);
    collected.counted_only += u64::from(is_text);
    if let Some(requests) = &mut collected.started {
        started.iter().try_for_each(|request| requests.push(request.as_bytes(), b""))?;
    }
    counts.objects.fetch_add(1, Ordering::Relaxed);
    counts.bytes.fetch_add(located.object.bytes, Ordering::Relaxed);
    Ok(())
}
