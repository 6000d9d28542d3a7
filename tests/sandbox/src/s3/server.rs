//! The server over a directory.

use super::auth::KeyPair;
use super::backend::Backend;
use super::disk::{BucketOptions, Disk, ObjectFacts};
use super::faults::Faults;
use super::front::{Front, domain};
use super::layer::Behind;
use super::log::RequestSeen;
use s3s::host::SingleDomain;
use s3s::path::check_bucket_name;
use s3s::service::{S3Service, S3ServiceBuilder};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The region that a bucket is in when nobody cares.
const REGION: &str = "us-east-1";

/// A server's region and the only key pair it knows.
#[derive(Clone)]
pub struct S3Options {
    /// Requests signed for another region are refused, as AWS does. Default: `us-east-1`.
    pub region: String,
    /// Default: made up for this server.
    pub access_key_id: String,
    /// Default: made up for this server, so that no test works with another's by accident.
    pub secret_access_key: String,
    /// Uploads with `If-None-Match` are answered with 501 `NotImplemented`, as by stores that do not have it. Default: no.
    pub refuses_conditions: bool,
}

impl Default for S3Options {
    fn default() -> Self {
        let [id, first, second] = [(); 3].map(|()| Uuid::new_v4().simple().to_string());
        Self {
            region: REGION.to_owned(),
            access_key_id: format!("AKIA{}", id[..16].to_ascii_uppercase()),
            secret_access_key: format!("{first}{}", &second[..8]),
            refuses_conditions: false,
        }
    }
}

/// An object as it lies in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// The whole key.
    pub key: String,
    /// The file that holds exactly these bytes.
    pub path: PathBuf,
    /// What was uploaded.
    pub bytes: Vec<u8>,
    /// The `x-amz-meta-` headers, without that prefix.
    pub metadata: BTreeMap<String, String>,
    /// As it was sent.
    pub content_type: Option<String>,
    /// As it was sent.
    pub content_encoding: Option<String>,
    /// `x-amz-server-side-encryption`, as it was sent; nothing is encrypted.
    pub sse: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`, as it was sent.
    pub kms_key_id: Option<String>,
    /// `x-amz-storage-class`, as it was sent.
    pub storage_class: Option<String>,
    /// What `x-amz-tagging` says.
    pub tags: BTreeMap<String, String>,
}

impl StoredObject {
    fn new(facts: ObjectFacts, path: PathBuf, bytes: Vec<u8>) -> Self {
        Self {
            key: facts.key,
            path,
            bytes,
            metadata: facts.metadata,
            content_type: facts.content_type,
            content_encoding: facts.content_encoding,
            sse: facts.sse,
            kms_key_id: facts.kms_key_id,
            storage_class: facts.storage_class,
            tags: facts.tags,
        }
    }
}

/// An S3 server that can be made to fail; see the [module](super).
///
/// Dropping it refuses, resets and ends everything before `drop` returns. The directory stays the caller's.
pub struct S3Server {
    options: S3Options,
    disk: Arc<Disk>,
    front: Front,
}

impl S3Server {
    /// Starts a server over the directory `root` (made if it is not there) with credentials of its own.
    ///
    /// # Errors
    /// If the directory cannot be used, or no port or thread is to be had.
    pub async fn start(root: impl AsRef<Path>) -> io::Result<Self> {
        Self::start_with(root, S3Options::default()).await
    }

    /// As [`S3Server::start`], with a region or credentials that are given.
    ///
    /// # Errors
    /// As [`S3Server::start`].
    pub async fn start_with(root: impl AsRef<Path>, options: S3Options) -> io::Result<Self> {
        let disk = Arc::new(Disk::open(root.as_ref())?);
        let front = {
            let (options, disk) = (options.clone(), Arc::clone(&disk));
            let region = options.region.clone();
            Front::start(region, move |gate| Ok(Behind::Service(service(&options, disk, domain(gate)?)))).await?
        };
        Ok(Self { options, disk, front })
    }

    /// `http://127.0.0.1:PORT`. The same for as long as the server lives.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.front.endpoint()
    }

    /// The region that requests must be signed for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.options.region
    }

    /// The only key id that is known.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.options.access_key_id
    }

    /// The secret of [`S3Server::access_key_id`].
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.options.secret_access_key
    }

    /// Makes a bucket; one that exists stays as it is.
    ///
    /// # Errors
    /// `InvalidInput` for a name that S3 does not allow, else what the file system says.
    pub fn create_bucket(&self, bucket: &str) -> io::Result<()> {
        self.create_bucket_with(bucket, &BucketOptions::default())
    }

    /// As [`S3Server::create_bucket`], for an owner who demands something.
    ///
    /// # Errors
    /// As [`S3Server::create_bucket`].
    pub fn create_bucket_with(&self, bucket: &str, options: &BucketOptions) -> io::Result<()> {
        if !check_bucket_name(bucket) {
            let message = format!("S3 allows no bucket of the name {bucket:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.disk.create_bucket(bucket, options)?;
        Ok(())
    }

    /// The switch for faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.front.faults.clone()
    }

    /// Keeps every answer back for so long, in whole milliseconds, as a store does that is some way off; not at all at
    /// first. An answer that is kept back already stays so.
    pub fn set_latency(&self, latency: Duration) {
        self.front.latency.set(latency);
    }

    /// Every request seen so far, in the order of arrival. A refused connection brings none.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.front.log.snapshot()
    }

    /// Waits, without a limit of its own, until `condition` holds of the requests seen so far, and returns those.
    pub async fn requests_until(&self, condition: impl FnMut(&[RequestSeen]) -> bool) -> Vec<RequestSeen> {
        self.front.log.until(condition).await
    }

    /// Everything in a bucket, sorted by key.
    ///
    /// # Errors
    /// `NotFound` if there is no such bucket, else what the file system says.
    pub fn objects(&self, bucket: &str) -> io::Result<Vec<StoredObject>> {
        let keys = self.disk.list(bucket)?.into_iter().map(|facts| facts.key);
        let mut objects = Vec::new();
        for key in keys {
            // Read again as a whole: what was listed may be replaced or removed by now.
            if let Some((facts, bytes)) = self.disk.read(bucket, &key)? {
                let path = self.disk.object_path(bucket, &key);
                objects.push(StoredObject::new(facts, path, bytes));
            }
        }
        Ok(objects)
    }
}

fn service(options: &S3Options, disk: Arc<Disk>, domain: SingleDomain) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Backend::new(disk, &options.region, options.refuses_conditions));
    builder.set_auth(KeyPair::new(&options.access_key_id, &options.secret_access_key));
    builder.set_host(domain);
    builder.build()
}
