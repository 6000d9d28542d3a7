//! A place that is read: its listing, and its objects in pieces.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use super::partition::{Span, span_of};
use crate::config::StoreSettings;
use crate::upload::object_key::Prefix;
use crate::upload::retry::RetryPolicy;
use crate::upload::store::reading::{Depth, Listed, NO_SUCH_KEY, Page};
use crate::upload::store::s3::{S3Store, StoreError};
use crate::upload::store::{AttemptError, AttemptErrorKind, ObjectStore as _, file_reading};

/// A person waits, and sees that: S3 answers within a second, a slow line takes some for a piece.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_BASE: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Throttling passes within some seconds; what goes on is said.
const ATTEMPTS_MAX: u32 = 6;

/// Why a place could not be read, as one line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    place: String,
    error: AttemptError,
}

impl ReadError {
    /// Nothing is there under the name.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.error.code.as_deref() == Some(NO_SUCH_KEY) || self.error.status == Some(404)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.error)
    }
}

impl std::error::Error for ReadError {}

/// A place that is open to be read, by one thread.
pub struct Source {
    kind: Kind,
    runtime: tokio::runtime::Runtime,
    retry: RetryPolicy,
    rng: fastrand::Rng,
}

enum Kind {
    S3(Box<S3Store>, Prefix),
    File(std::path::PathBuf),
}

impl Source {
    /// Opens a place. Nothing is asked for yet.
    ///
    /// # Errors
    /// Settings of which no request can be made.
    pub fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        let kind = match settings.clone() {
            StoreSettings::S3(mut s3, credentials) => {
                s3.request_timeout = REQUEST_TIMEOUT;
                let prefix = s3.prefix.clone();
                Kind::S3(Box::new(S3Store::for_reading(*s3, credentials)?), prefix)
            }
            StoreSettings::File(path) => Kind::File(path),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let retry = RetryPolicy::try_new(RETRY_BASE, RETRY_MAX, Some(ATTEMPTS_MAX));
        Ok(Self {
            kind,
            runtime: runtime.expect("a thread can have a runtime"),
            retry: retry.expect("the schedule is one"),
            rng: fastrand::Rng::new(),
        })
    }

    /// `s3://bucket/prefix`, `file:///path`.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::S3(store, _) => store.describe(),
            Kind::File(path) => format!("file://{}", path.display()),
        }
    }

    /// Tells of every object whose folder may hold something of `span`, in no order that matters. Folders of other times are not even listed.
    /// Returns whether anything at all lies there, be it of another time.
    ///
    /// # Errors
    /// When a page cannot be had, or `each` fails.
    pub fn walk<E: From<ReadError>>(
        &mut self,
        span: Span,
        mut each: impl FnMut(Listed) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut is_something_there = false;
        let mut folders = VecDeque::from([String::new()]);
        while let Some(folder) = folders.pop_front() {
            // Where some of a folder is wanted it is asked for the names of those in it first; where all of it is, a page has a
            // thousand objects wherever they lie.
            let depth = if span.covers(span_of(&self.within(&folder))) { Depth::All } else { Depth::Folder };
            let mut after = None;
            loop {
                let page = self.list(&folder, depth, after.as_deref())?;
                is_something_there |= !page.folders.is_empty() || !page.objects.is_empty();
                let wanted = page.folders.into_iter().filter(|folder| span_of(&self.within(folder)).meets(span));
                folders.extend(wanted);
                page.objects.into_iter().try_for_each(&mut each)?;
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(is_something_there)
    }

    /// A piece of an object.
    ///
    /// # Errors
    /// When it cannot be had, after some attempts if it may help.
    pub fn read(&mut self, key: &str, range: Range<u64>) -> Result<Bytes, ReadError> {
        let piece = self.tried(|kind, runtime| match kind {
            Kind::S3(store, _) => runtime.block_on(store.read(key, range.clone())),
            Kind::File(root) => file_reading::read(root, key, range.clone()),
        });
        piece.map_err(|error| ReadError { place: format!("{}/{key}", error.place), ..error })
    }

    /// A folder with what the prefix says before it: `s3://logs/a/dt=2026-11-26` is a place, too.
    #[must_use]
    pub fn within(&self, folder: &str) -> String {
        match &self.kind {
            Kind::S3(_, prefix) => prefix.join(folder),
            Kind::File(root) => format!("{}/{folder}", root.display()),
        }
    }

    fn list(&mut self, folder: &str, depth: Depth, after: Option<&str>) -> Result<Page, ReadError> {
        self.tried(|kind, runtime| match kind {
            Kind::S3(store, _) => runtime.block_on(store.list(folder, depth, after)),
            Kind::File(root) => file_reading::list(root, folder),
        })
    }

    fn tried<T>(
        &mut self,
        attempt: impl Fn(&Kind, &tokio::runtime::Runtime) -> Result<T, AttemptError>,
    ) -> Result<T, ReadError> {
        let mut failures = 0;
        loop {
            let error = match attempt(&self.kind, &self.runtime) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            if error.kind != AttemptErrorKind::Retry || self.retry.is_exhausted(failures) {
                return Err(ReadError { place: self.describe(), error });
            }
            std::thread::sleep(Duration::from_millis(self.retry.wait_ms(failures, &mut self.rng)));
        }
    }
}
