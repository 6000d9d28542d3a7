//! Objects are read while something else goes on, by a few threads, each with connections of its own.

use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::source::Source;
use crate::config::StoreSettings;

/// S3 answers a request in some 30 ms whatever its size, so a few at a time keep one core busy; each holds a piece of 4 MiB.
pub const THREADS: usize = 8;
/// Whoever gives waits when so many objects wait to be read.
pub const WAITING_MAX: usize = 64;
/// How often somebody who waits looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The places that a thread reads from, opened when it first needs them.
pub struct Sources<'a> {
    places: &'a [StoreSettings],
    open: Vec<Option<Source>>,
}

impl<'a> Sources<'a> {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(places: &'a [StoreSettings]) -> Self {
        Self { places, open: places.iter().map(|_| None).collect() }
    }

    /// The place of that number.
    ///
    /// # Panics
    /// If it cannot be opened: whoever lists it has opened it before.
    pub fn of(&mut self, place: u16) -> &mut Source {
        let place = usize::from(place);
        let opened = || Source::open(&self.places[place]).expect("it was opened for its listing");
        self.open[place].get_or_insert_with(opened)
    }
}

/// What waits to be read.
pub struct Jobs<J> {
    /// `None` when nobody reads any more. Whoever waits for the next one holds the lock.
    waiting: Mutex<Option<Receiver<J>>>,
    has_failed: AtomicBool,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), has_failed: AtomicBool::new(false) }
    }
}

/// Threads that read what they are given.
pub struct Readers<'scope, J, E> {
    jobs: SyncSender<J>,
    has_failed: &'scope AtomicBool,
    threads: Vec<ScopedJoinHandle<'scope, Result<(), E>>>,
}

impl<'scope, J: Send + 'scope, E: Send + 'scope> Readers<'scope, J, E> {
    /// Starts them. An error of `read` ends all of them.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        places: &'env [StoreSettings],
        jobs: &'env Jobs<J>,
        read: impl Fn(&mut Sources<'env>, J) -> Result<(), E> + Copy + Send + 'scope,
    ) -> Self {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        *locked(&jobs.waiting) = Some(receiver);
        let work = move || {
            let mut sources = Sources::new(places);
            loop {
                let job = locked(&jobs.waiting).as_ref().and_then(|jobs| jobs.recv().ok());
                let Some(job) = job else { return Ok(()) };
                let done = read(&mut sources, job);
                if done.is_err() {
                    // Nobody else needs to go on, whoever gives least of all. (It must hear of it before: the lock is free
                    // when it has given something, or has nothing to give any more.)
                    jobs.has_failed.store(true, Ordering::Release);
                    locked(&jobs.waiting).take();
                    return done;
                }
            }
        };
        let threads = (0..THREADS).map(|_| scope.spawn(work)).collect();
        Self { jobs: sender, has_failed: &jobs.has_failed, threads }
    }

    /// Gives an object to be read. `false` if nobody reads any more.
    pub fn give(&self, job: J) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// Whether one of them has failed, or panicked: [`Self::finish`] tells of it.
    #[must_use]
    pub fn have_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire) || self.threads.iter().any(ScopedJoinHandle::is_finished)
    }

    /// Everything is given. Returns when everything is read, and calls `look` now and then until that is so.
    ///
    /// # Errors
    /// What has ended them.
    pub fn finish(self, look: impl Fn()) -> Result<(), E> {
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
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
