//! Buckets and objects as files.
//!
//! ```text
//! <root>/<bucket>/<path of the key>                the bytes of an object, and nothing else
//! <root>/.sandbox-s3/facts/<bucket>/<same path>    what else is known of it, as JSON
//! <root>/.sandbox-s3/buckets/<bucket>             what its owner demands of it, as JSON
//! <root>/.sandbox-s3/uploads/                      bodies that are still arriving
//! ```
//!
//! - An object exists exactly if its facts do: they are renamed into place last.
//! - Readers and writers take one lock, so that nobody sees the bytes of one upload with the facts of another.
//! - Everything survives a new server over the same root; nothing is synced: the machine is not expected to die.
//! - The calls block. The server has a thread for itself, and its objects are small.

use super::checksums::Checksums;
use super::key_path::relative_path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

/// No bucket can have this name: a bucket's begins with a letter or digit.
const OWN_DIRECTORY: &str = ".sandbox-s3";

/// What is known of an object besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ObjectFacts {
    pub(super) key: String,
    pub(super) size_bytes: u64,
    pub(super) etag: String,
    /// Milliseconds since the Unix epoch.
    pub(super) stored_ms: u64,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    /// The `x-amz-meta-` headers, without that prefix.
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) checksums: Checksums,
    #[serde(default)]
    pub(super) sse: Option<String>,
    #[serde(default)]
    pub(super) kms_key_id: Option<String>,
    #[serde(default)]
    pub(super) storage_class: Option<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

/// What the owner of a bucket demands of uploads; nothing at first. What does not fulfil it is refused as S3 does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketOptions {
    /// A policy refuses uploads without `If-None-Match`: 403 `AccessDenied`.
    pub demands_condition: bool,
    /// Whose bucket it is: 403 `AccessDenied` to those who expect another (`x-amz-expected-bucket-owner`). Without one,
    /// it is whose they expect.
    pub owner: Option<String>,
    /// Object Lock: 400 `InvalidRequest` to uploads with neither `Content-MD5` nor an `x-amz-checksum-` header.
    pub object_lock: bool,
}

#[cfg(test)]
impl ObjectFacts {
    pub(super) fn of_key(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            size_bytes: 0,
            etag: String::new(),
            stored_ms: 0,
            content_type: None,
            content_encoding: None,
            metadata: BTreeMap::new(),
            checksums: Checksums::default(),
            sse: None,
            kms_key_id: None,
            storage_class: None,
            tags: BTreeMap::new(),
        }
    }
}

/// Whether an upload may replace an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfExists {
    Replace,
    Refuse,
}

/// Why an upload did not become an object.
#[derive(Debug)]
pub(super) enum CommitError {
    /// There is an object of that key, and the upload was not to replace it.
    Exists,
    /// The key is the directory of another key, or has another key as directory: a tree of files cannot hold both.
    Nested,
    Io(io::Error),
}

impl From<io::Error> for CommitError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::IsADirectory | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Self::Nested,
            _ => Self::Io(error),
        }
    }
}

pub(super) struct Disk {
    root: PathBuf,
    /// Held by whoever reads or writes more than one file of an object.
    lock: Mutex<()>,
}

impl Disk {
    /// Uses `root`, which is created if need be; what an earlier server left there is served.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let disk = Self { root: root.to_owned(), lock: Mutex::new(()) };
        fs::create_dir_all(disk.uploads())?;
        fs::create_dir_all(disk.facts_root())?;
        fs::create_dir_all(disk.bucket_options_root())?;
        Ok(disk)
    }

    /// False if the bucket existed already; it stays as it is.
    pub(super) fn create_bucket(&self, bucket: &str, options: &BucketOptions) -> io::Result<bool> {
        let _lock = self.lock();
        fs::create_dir_all(self.facts_root().join(bucket))?;
        match fs::create_dir(self.root.join(bucket)) {
            Ok(()) => {
                if *options != BucketOptions::default() {
                    let options = serde_json::to_vec(options)?;
                    fs::write(self.bucket_options_root().join(bucket), options)?;
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn has_bucket(&self, bucket: &str) -> bool {
        self.root.join(bucket).is_dir()
    }

    /// The default for a bucket that has none, or is none.
    pub(super) fn bucket_options(&self, bucket: &str) -> io::Result<BucketOptions> {
        let _lock = self.lock();
        Ok(read_json(&self.bucket_options_root().join(bucket))?.unwrap_or_default())
    }

    /// A file for a body that arrives. It vanishes when dropped, that is also when its sender goes away.
    pub(super) fn begin_upload(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.uploads())
    }

    /// Makes the upload an object, in one step for every reader.
    pub(super) fn commit(
        &self,
        bucket: &str,
        facts: &ObjectFacts,
        upload: NamedTempFile,
        if_exists: IfExists,
    ) -> Result<(), CommitError> {
        let _lock = self.lock();
        let facts_path = self.facts_path(bucket, &facts.key);
        if if_exists == IfExists::Refuse && facts_path.is_file() {
            return Err(CommitError::Exists);
        }
        let mut facts_file = self.begin_upload()?;
        serde_json::to_writer(&mut facts_file, facts).map_err(io::Error::from)?;
        publish(upload, &self.object_path(bucket, &facts.key))?;
        publish(facts_file, &facts_path)
    }

    pub(super) fn facts(&self, bucket: &str, key: &str) -> io::Result<Option<ObjectFacts>> {
        let _lock = self.lock();
        read_json(&self.facts_path(bucket, key))
    }

    /// An object and all its bytes: it was small enough to be sent, so it is small enough to be held.
    pub(super) fn read(&self, bucket: &str, key: &str) -> io::Result<Option<(ObjectFacts, Vec<u8>)>> {
        let _lock = self.lock();
        let Some(facts) = read_json::<ObjectFacts>(&self.facts_path(bucket, key))? else {
            return Ok(None);
        };
        let bytes = fs::read(self.object_path(bucket, key))?;
        Ok(Some((facts, bytes)))
    }

    /// Removing what is not there is no error, as in S3.
    pub(super) fn remove(&self, bucket: &str, key: &str) -> io::Result<()> {
        let _lock = self.lock();
        remove_with_empty_parents(&self.facts_path(bucket, key), &self.facts_root().join(bucket))?;
        remove_with_empty_parents(&self.object_path(bucket, key), &self.root.join(bucket))
    }

    /// Everything in a bucket, sorted by key (bytewise, as S3 sorts).
    pub(super) fn list(&self, bucket: &str) -> io::Result<Vec<ObjectFacts>> {
        let _lock = self.lock();
        let mut found = Vec::new();
        let mut directories = vec![self.facts_root().join(bucket)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                } else {
                    found.extend(read_json::<ObjectFacts>(&entry.path())?);
                }
            }
        }
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    pub(super) fn object_path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.join(bucket).join(relative_path(key))
    }

    fn facts_path(&self, bucket: &str, key: &str) -> PathBuf {
        self.facts_root().join(bucket).join(relative_path(key))
    }

    fn facts_root(&self) -> PathBuf {
        self.root.join(OWN_DIRECTORY).join("facts")
    }

    fn bucket_options_root(&self) -> PathBuf {
        self.root.join(OWN_DIRECTORY).join("buckets")
    }

    fn uploads(&self) -> PathBuf {
        self.root.join(OWN_DIRECTORY).join("uploads")
    }

    /// The lock guards files, not memory: there is nothing a panic could have left half done in it.
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn publish(file: NamedTempFile, path: &Path) -> Result<(), CommitError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_with_empty_parents(path: &Path, bucket: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    }
    // Directories are no objects: one that stayed would keep its name from being a key.
    path.ancestors()
        .skip(1)
        .take_while(|directory| *directory != bucket)
        .take_while(|directory| fs::remove_dir(directory).is_ok())
        .for_each(drop);
    Ok(())
}

/// Nothing, a directory in its place, or a file in the place of one of its directories.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn disk() -> (Disk, tempfile::TempDir) {
        let root = tempfile::tempdir().expect("a temporary directory");
        let disk = Disk::open(root.path()).expect("a disk");
        disk.create_bucket("logs", &BucketOptions::default()).expect("a bucket");
        (disk, root)
    }

    fn store(disk: &Disk, key: &str, if_exists: IfExists) -> Result<(), CommitError> {
        let mut upload = disk.begin_upload().expect("a file");
        upload.write_all(b"text").expect("room");
        disk.commit("logs", &ObjectFacts::of_key(key), upload, if_exists)
    }

    #[test]
    fn bytes_without_facts_are_no_object_and_do_not_stand_in_the_way_of_one() {
        let (disk, _root) = disk();
        fs::write(disk.object_path("logs", "a"), b"left by a server that died").expect("a file");
        assert_eq!(disk.list("logs").expect("a bucket"), []);
        assert_eq!(disk.read("logs", "a").expect("a bucket"), None);
        store(&disk, "a", IfExists::Refuse).expect("no object is there");
        let (facts, bytes) = disk.read("logs", "a").expect("a bucket").expect("an object");
        assert_eq!((facts.key.as_str(), bytes.as_slice()), ("a", &b"text"[..]));
    }

    #[test]
    fn a_key_and_its_directory_cannot_both_be_objects() {
        let (disk, _root) = disk();
        for (first, second) in [("a", "a/b"), ("c/d", "c")] {
            store(&disk, first, IfExists::Replace).expect("an object");
            let nested = store(&disk, second, IfExists::Refuse);
            assert!(matches!(nested, Err(CommitError::Nested)), "{second}: {nested:?}");
            assert_eq!(disk.facts("logs", second).expect("a bucket"), None);
        }
        let keys: Vec<_> = disk.list("logs").expect("a bucket").into_iter().map(|facts| facts.key).collect();
        assert_eq!(keys, ["a", "c/d"]);
    }
}
