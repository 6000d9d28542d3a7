//! `file://`: the same names below a directory.
//!
//! * **Atomic**: an object is written to a file whose name begins with a dot, synced, and only then given its name. A crash
//!   leaves such a dot-file at most; no later attempt takes it for its own.
//! * **Idempotent**: the name is given by a hard link, which fails if there is one already: that is
//!   [`PutOutcome::AlreadyThere`], also when two processes store the same object at once. On a file system without hard
//!   links it is given by a rename, which puts the same bytes in the place of the same bytes.
//! * **Durable**: file and directories are synced before a put says [`PutOutcome::Stored`]: the segment is removed after it.
//! * A name holds no metadata: content type, digest and user metadata of the object are not kept.
//! * It blocks, on tokio's blocking pool. A put whose future is dropped, or that has used up its time, goes on there to its end;
//!   since it is idempotent, nobody needs to know. Of a file system that hangs no more than [`HANGING_MAX`] threads wait.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::body::SizedChunks;
use super::{AttemptError, AttemptErrorKind, Object, ObjectStore, PutFuture, PutOutcome};

/// Threads that may wait for a file system: as many as uploads may run at a time. A thread that hangs cannot be ended.
pub const HANGING_MAX: usize = 4;

/// A directory of objects.
#[derive(Clone, Debug)]
pub struct FileStore {
    root: PathBuf,
    time_limit: Duration,
    free: Arc<Semaphore>,
}

impl FileStore {
    /// Objects below `root`, which is created when the first object needs it. An attempt may take as long as `time_limit`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, time_limit: Duration) -> Self {
        Self { root: root.into(), time_limit, free: Arc::new(Semaphore::new(HANGING_MAX)) }
    }

    /// Does something that blocks, and waits for it as long as that may take.
    async fn on_thread<F>(&self, work: F) -> Result<PutOutcome, AttemptError>
    where
        F: FnOnce() -> Result<PutOutcome, AttemptError> + Send + 'static,
    {
        let limit = self.time_limit;
        let in_time = async {
            let thread = Arc::clone(&self.free).acquire_owned().await.map_err(|error| error.to_string())?;
            let work = move || {
                let result = work();
                drop(thread);
                result
            };
            tokio::task::spawn_blocking(work).await.map_err(|stopped| format!("writing stopped: {stopped}"))
        };
        match tokio::time::timeout(limit, in_time).await {
            Ok(Ok(result)) => result,
            Ok(Err(why)) => Err(AttemptError::new(AttemptErrorKind::Retry, why)),
            Err(_elapsed) => Err(AttemptError::new(AttemptErrorKind::Retry, format!("not written within {limit:?}"))),
        }
    }
}

impl ObjectStore for FileStore {
    fn put<'a>(&'a self, object: &'a Object<'a>) -> PutFuture<'a> {
        Box::pin(async move {
            let target = path_below(&self.root, object.key)?;
            let chunks = SizedChunks::new(object.body.chunks(), object.bytes);
            self.on_thread(move || store(&target, chunks)).await
        })
    }

    fn describe(&self) -> String {
        format!("file://{}", self.root.display())
    }

    /// Nothing is kept between two puts.
    fn close_idle(&self) {}
}

/// Where an object lies. A key whose parts are not all plain names would lead elsewhere.
pub(super) fn path_below(root: &Path, key: &str) -> Result<PathBuf, AttemptError> {
    let plain = |part: &str| {
        let mut components = Path::new(part).components();
        matches!(components.next(), Some(Component::Normal(name)) if name == OsStr::new(part))
            && components.next().is_none()
            && !part.contains('\0')
    };
    if !key.split('/').all(plain) {
        return Err(AttemptError::new(
            AttemptErrorKind::Configuration,
            format!("the key `{key}` is no path below a directory"),
        ));
    }
    Ok(root.join(key))
}

fn store(target: &Path, chunks: SizedChunks) -> Result<PutOutcome, AttemptError> {
    const NAMED: &str = "a key has at least one plain part below the root";
    let directory = target.parent().expect(NAMED);
    let name = target.file_name().expect(NAMED);
    if target.exists() {
        return Ok(PutOutcome::AlreadyThere);
    }
    let failed = |error| put_error(target, &error);
    create_directory(directory).map_err(failed)?;
    let mut temporary = Temporary::create(directory, name).map_err(failed)?;
    for chunk in chunks {
        let chunk = chunk.map_err(|error| AttemptError::new(AttemptErrorKind::Body, error.to_string()))?;
        temporary.file.write_all(&chunk).map_err(failed)?;
    }
    temporary.file.sync_all().map_err(failed)?;
    let outcome = publish(&temporary.path, target, |from, to| fs::hard_link(from, to)).map_err(failed)?;
    drop(temporary);
    sync_directory(directory).map_err(failed)?;
    Ok(outcome)
}

/// Gives the file at `temporary` the name `target`, unless something has it.
fn publish(temporary: &Path, target: &Path, link: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<PutOutcome> {
    match link(temporary, target) {
        Ok(()) => Ok(PutOutcome::Stored),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(PutOutcome::AlreadyThere),
        // Which error says "no hard links here" differs from file system to file system. If it was another one, the rename
        // meets it too.
        Err(_) => fs::rename(temporary, target).map(|()| PutOutcome::Stored),
    }
}

/// A file that has no name of its own yet; its preliminary name ends with it.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn create(directory: &Path, name: &OsStr) -> io::Result<Self> {
        // From the kernel, not from a generator in memory: clones of one snapshot would draw the same.
        let unique = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let mut temporary = OsStr::new(".").to_owned();
        temporary.push(name);
        temporary.push(format!(".{unique:016x}"));
        let path = directory.join(temporary);
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already after a rename; what cannot be removed stays as a dot-file.
        _ = fs::remove_file(&self.path);
    }
}

/// Creates a directory and its missing parents, each one durable in its own parent.
fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    // The parent of a bare name is written as an empty path, which nothing can be opened by.
    let parent = directory.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    if let Some(parent) = parent {
        create_directory(parent)?;
    }
    match fs::create_dir(directory) {
        Ok(()) => parent.map_or(Ok(()), sync_directory),
        // Another process was faster. If it is no directory, opening a file in it will say so.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // The file system has no such operation, hence nothing to wait for.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

fn put_error(target: &Path, error: &io::Error) -> AttemptError {
    AttemptError {
        code: Some(format!("{:?}", error.kind())),
        ..AttemptError::new(kind_of(error.kind()), format!("{}: {error}", target.display()))
    }
}

/// What a person must mend, and what may pass: a full disk is emptied by its other users, a server comes back.
fn kind_of(error: io::ErrorKind) -> AttemptErrorKind {
    match error {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::Unsupported => AttemptErrorKind::Configuration,
        _ => AttemptErrorKind::Retry,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;

    use super::super::test_body::TestBody;
    use super::super::{Chunks, ObjectBody};
    use super::*;

    /// Never reached.
    const LIMIT: Duration = Duration::from_secs(60);
    const KEY: &str = "logs/function=f/dt=2025-11-23/hour=04/a.ndjson";

    /// Every file below `root` with its bytes, by its path from there.
    fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("the directory is readable") {
                let path = entry.expect("the entry is readable").path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(root).expect("it lies below the root");
                    found.insert(name.display().to_string(), fs::read(&path).expect("the file is readable"));
                }
            }
        }
        found
    }

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[tokio::test]
    async fn an_object_lies_under_its_key_and_nothing_else_is_left() {
        let root = root();
        let store = FileStore::new(root.path().join("not/yet/there"), LIMIT);
        let bytes = "line\n".repeat(100_000);
        let body = TestBody::new(bytes.clone());

        let outcome = store.put(&body.object(KEY)).await;

        assert_eq!(outcome, Ok(PutOutcome::Stored));
        let expected = BTreeMap::from([(format!("not/yet/there/{KEY}"), bytes.into_bytes())]);
        assert_eq!(files(root.path()), expected);
    }

    #[tokio::test]
    async fn a_file_system_that_hangs_costs_time_and_a_few_threads() {
        let root = root();
        let store = FileStore::new(root.path(), Duration::from_millis(20));
        let (release, hung) = (Arc::new(std::sync::Barrier::new(HANGING_MAX + 1)), Arc::new(Mutex::new(0)));
        for _ in 0..3 * HANGING_MAX {
            let (release, hung) = (Arc::clone(&release), Arc::clone(&hung));
            let hangs = move || {
                *hung.lock().expect("no panic") += 1;
                release.wait();
                Ok(PutOutcome::Stored)
            };
            let error = store.on_thread(hangs).await.expect_err("it hangs");
            assert_eq!((error.kind, error.message.as_str()), (AttemptErrorKind::Retry, "not written within 20ms"));
        }
        assert_eq!(*hung.lock().expect("no panic"), HANGING_MAX);
        release.wait();
        let store = FileStore { time_limit: LIMIT, ..store };
        assert_eq!(store.put(&TestBody::new("abc").object(KEY)).await, Ok(PutOutcome::Stored), "it works again");
    }

    #[tokio::test]
    async fn an_object_has_no_name_before_it_is_whole() {
        /// A body that looks at the directory it is being written to whenever a chunk is asked for.
        struct Watching {
            root: PathBuf,
            seen: Arc<Mutex<Vec<String>>>,
        }
        impl ObjectBody for Watching {
            fn chunks(&self) -> Chunks {
                let (root, seen) = (self.root.clone(), Arc::clone(&self.seen));
                Box::new((0..3).map(move |_| {
                    seen.lock().expect("no panic").extend(files(&root).into_keys());
                    Ok(Bytes::from_static(b"abc"))
                }))
            }
        }
        let root = root();
        let body = Watching { root: root.path().to_owned(), seen: Arc::default() };
        let plain = TestBody::new("");
        let object = Object { bytes: 9, body: &body, ..plain.object(KEY) };

        let outcome = FileStore::new(root.path(), LIMIT).put(&object).await;

        assert_eq!(outcome, Ok(PutOutcome::Stored));
        let seen = body.seen.lock().expect("no panic");
        let (directory, name) = KEY.rsplit_once('/').expect("a key has folders");
        assert_eq!(seen.len(), 3);
        for file in &*seen {
            assert!(file.starts_with(&format!("{directory}/.{name}.")), "{file} is there before its time");
        }
    }

    #[tokio::test]
    async fn an_object_that_is_there_is_neither_written_nor_read_again() {
        let root = root();
        let store = FileStore::new(root.path(), LIMIT);
        let body = TestBody::new("one\n");
        assert_eq!(store.put(&body.object(KEY)).await, Ok(PutOutcome::Stored));

        let unreadable = TestBody::breaking_at("two\n", 0);
        let again = store.put(&unreadable.object(KEY)).await;

        assert_eq!(again, Ok(PutOutcome::AlreadyThere));
        assert_eq!(files(root.path())[KEY], b"one\n");
    }

    #[tokio::test]
    async fn many_puts_of_one_object_at_once_store_it_once() {
        let root = root();
        let store = FileStore::new(root.path(), LIMIT);
        let body = TestBody::new("line\n".repeat(50_000));
        let object = body.object(KEY);

        let outcomes = futures_join((0..8).map(|_| store.put(&object))).await;

        let stored = |outcome: &&_| **outcome == Ok(PutOutcome::Stored);
        assert_eq!(outcomes.iter().filter(stored).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(files(root.path()).len(), 1);
    }

    /// Polls all futures in turn until each is done.
    async fn futures_join<F: Future + Unpin>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
        let mut waiting: Vec<F> = futures.collect();
        let mut done = Vec::new();
        std::future::poll_fn(move |cx| {
            waiting.retain_mut(|future| match std::pin::Pin::new(future).poll(cx) {
                std::task::Poll::Ready(output) => {
                    done.push(output);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if waiting.is_empty() {
                std::task::Poll::Ready(std::mem::take(&mut done))
            } else {
                std::task::Poll::Pending
            }
        })
        .await
    }

    #[tokio::test]
    async fn a_body_that_breaks_or_has_another_length_leaves_nothing() {
        let root = root();
        let store = FileStore::new(root.path(), LIMIT);
        let breaking = TestBody::breaking_at(vec![b'x'; 200_000], 2);
        let whole = TestBody::new("abc");
        let promised = |bytes| Object { bytes, ..whole.object(KEY) };
        let table = [
            (breaking.object(KEY), "bad sector"),
            (promised(4), "the object is shorter than when it was sealed"),
            (promised(2), "the object is longer than when it was sealed"),
        ];
        for (object, message) in table {
            let error = store.put(&object).await.expect_err(message);
            assert_eq!((error.kind, error.message.as_str()), (AttemptErrorKind::Body, message));
            assert!(files(root.path()).is_empty());
        }
    }

    #[tokio::test]
    async fn a_key_never_leaves_the_directory() {
        let root = root();
        let store = FileStore::new(root.path().join("below"), LIMIT);
        let body = TestBody::new("abc");
        for key in ["", "/etc/x", "../x", "a/../../x", "a//b", "a/./b", "a/", "a\0b"] {
            let error = store.put(&body.object(key)).await.expect_err(key);
            assert_eq!(error.kind, AttemptErrorKind::Configuration, "{error}");
        }
        assert!(files(root.path()).is_empty());
    }

    #[tokio::test]
    async fn a_file_where_a_directory_should_be_is_told_in_one_line() {
        let root = root();
        fs::write(root.path().join("logs"), "a file").expect("the file is written");
        let body = TestBody::new("abc");

        let error = FileStore::new(root.path(), LIMIT).put(&body.object(KEY)).await.expect_err("there is no directory");

        assert_eq!(error.kind, AttemptErrorKind::Configuration);
        assert_eq!(error.code.as_deref(), Some("NotADirectory"));
        assert!(error.message.contains("logs/function=f"), "{error}");
    }

    #[test]
    fn without_hard_links_a_file_is_renamed_into_place() {
        let root = root();
        let (from, to) = (root.path().join(".a.1"), root.path().join("a"));
        fs::write(&from, "abc").expect("the file is written");
        let refused = |_: &Path, _: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));

        let outcome = publish(&from, &to, refused).expect("the rename works");

        assert_eq!(outcome, PutOutcome::Stored);
        assert_eq!(files(root.path()), BTreeMap::from([("a".to_owned(), b"abc".to_vec())]));
    }

    #[test]
    fn an_error_of_the_file_system_says_who_can_mend_it() {
        // Numbers of Linux: io::ErrorKind of these is what the kernel's answers become.
        let table = [
            (2, AttemptErrorKind::Retry),          // ENOENT: a directory vanished under us
            (5, AttemptErrorKind::Retry),          // EIO
            (28, AttemptErrorKind::Retry),         // ENOSPC
            (110, AttemptErrorKind::Retry),        // ETIMEDOUT
            (116, AttemptErrorKind::Retry),        // ESTALE
            (122, AttemptErrorKind::Retry),        // EDQUOT
            (1, AttemptErrorKind::Configuration),  // EPERM
            (13, AttemptErrorKind::Configuration), // EACCES
            (20, AttemptErrorKind::Configuration), // ENOTDIR
            (27, AttemptErrorKind::Configuration), // EFBIG
            (30, AttemptErrorKind::Configuration), // EROFS
            (36, AttemptErrorKind::Configuration), // ENAMETOOLONG
        ];
        for (errno, kind) in table {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(put_error(Path::new("/x"), &error).kind, kind, "{error}");
        }
    }

    #[test]
    fn a_store_says_where_it_is() {
        assert_eq!(FileStore::new("/mnt/logs", LIMIT).describe(), "file:///mnt/logs");
    }
}
