//! The S3 server, driven from outside by a client that was written for this.

mod client;
mod demands;
mod faults;
mod proxy;
mod refusing;
mod storing;

use client::PATIENCE;
use sandbox::s3::{RequestSeen, S3Server};
use std::path::Path;
use tempfile::TempDir;
use tokio::time::timeout;

/// A server with the bucket `logs`, over a directory that goes away with it.
struct World {
    s3: S3Server,
    root: TempDir,
}

impl World {
    async fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let s3 = S3Server::start(root.path()).await.expect("a server");
        s3.create_bucket("logs").expect("a bucket");
        Self { s3, root }
    }

    fn keys(&self) -> Vec<String> {
        let objects = self.s3.objects("logs").expect("a bucket");
        objects.into_iter().map(|object| object.key).collect()
    }

    fn bytes(&self, key: &str) -> Vec<u8> {
        let objects = self.s3.objects("logs").expect("a bucket");
        let object = objects.into_iter().find(|object| object.key == key);
        object.expect("the object exists").bytes
    }

    async fn requests_until(&self, condition: impl FnMut(&[RequestSeen]) -> bool) -> Vec<RequestSeen> {
        let requests = timeout(PATIENCE, self.s3.requests_until(condition)).await;
        requests.unwrap_or_else(|_| panic!("never came to it: {:#?}", self.s3.requests()))
    }

    /// No object, and not a byte of one that was not to be.
    fn assert_nothing_stored(&self, why: &str) {
        assert_eq!(self.keys(), Vec::<String>::new(), "{why}");
        assert_eq!(files_below(self.root.path()), 0, "{why}: bytes were left");
    }
}

fn files_below(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}
