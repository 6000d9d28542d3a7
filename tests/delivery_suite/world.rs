//! A bucket of a store, with faults before it, whichever store that is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use logspool::upload::store::credentials::CredentialSource;
use logspool::upload::store::credentials::assume_role::{RoleSettings, session_name};
use logspool::upload::store::s3::{Bucket, S3Settings, S3Store};
use logspool::upload::store::{CHUNK_BYTES_MAX, Chunks, Object, ObjectBody};
use sandbox::s3::{BucketOptions, Faults, RequestSeen, S3Options, S3Proxy, S3Server};
use serde::{Deserialize, Deserializer};
use tempfile::TempDir;

use crate::moto::Moto;
use crate::prepared::say_skipped;

/// The implementations of S3. They share no line of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The sandbox's own.
    Sandbox,
    Moto,
}

/// What is demanded of the bucket, and of the store.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Every upload that is carried out leaves a version; the sandbox's server has none, so there it is counted.
    pub versioned: bool,
    /// The sandbox only.
    pub refuses_conditions: bool,
    /// Of these moto has Object Lock only.
    pub bucket: BucketOptions,
}

/// An object as it lies in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Arrived {
    pub key: String,
    #[serde(deserialize_with = "base64_bytes")]
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub sse: Option<String>,
    pub kms_key_id: Option<String>,
    pub storage_class: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// How often it was stored.
    pub versions: usize,
}

fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    BASE64.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

pub struct World {
    server: Server,
    bucket: String,
}

enum Server {
    Sandbox { s3: S3Server, _root: TempDir },
    Moto { moto: &'static Moto, proxy: S3Proxy },
}

impl World {
    /// A store with a new bucket. If the store is not ready, says so.
    pub async fn new(which: Which, wanted: Wanted) -> Option<Self> {
        static BUCKETS: AtomicUsize = AtomicUsize::new(0);
        let bucket = format!("logs-{}", BUCKETS.fetch_add(1, Ordering::Relaxed));
        let server = match which {
            Which::Sandbox => {
                let root = tempfile::tempdir().expect("a temporary directory");
                let options = S3Options { refuses_conditions: wanted.refuses_conditions, ..S3Options::default() };
                let s3 = S3Server::start_with(root.path(), options).await.expect("a server");
                s3.create_bucket_with(&bucket, &wanted.bucket).expect("a bucket");
                Server::Sandbox { s3, _root: root }
            }
            Which::Moto => {
                let moto = Moto::running().map_err(|why| say_skipped(&why)).ok()?;
                moto.create_bucket(&bucket, wanted.versioned, wanted.bucket.object_lock);
                let proxy = S3Proxy::start(moto.served.address, &moto.served.region).await.expect("a proxy");
                Server::Moto { moto, proxy }
            }
        };
        Some(Self { server, bucket })
    }

    pub fn faults(&self) -> Faults {
        match &self.server {
            Server::Sandbox { s3, .. } => s3.faults(),
            Server::Moto { proxy, .. } => proxy.faults(),
        }
    }

    /// All uploads so far.
    pub fn puts(&self) -> Vec<RequestSeen> {
        let requests = match &self.server {
            Server::Sandbox { s3, .. } => s3.requests(),
            Server::Moto { proxy, .. } => proxy.requests(),
        };
        requests.into_iter().filter(RequestSeen::is_put).collect()
    }

    /// Everything in the bucket, sorted by key.
    pub fn arrived(&self) -> Vec<Arrived> {
        let s3 = match &self.server {
            Server::Sandbox { s3, .. } => s3,
            Server::Moto { moto, .. } => return moto.objects(&self.bucket),
        };
        let stored = self.puts().into_iter().filter(|put| put.stored && put.bucket == self.bucket);
        let mut versions: BTreeMap<String, usize> = BTreeMap::new();
        stored.for_each(|put| *versions.entry(put.key).or_default() += 1);
        let objects = s3.objects(&self.bucket).expect("the bucket is readable").into_iter();
        let arrived = objects.map(|object| Arrived {
            versions: versions.get(&object.key).copied().unwrap_or_default(),
            key: object.key,
            bytes: object.bytes,
            content_type: object.content_type,
            content_encoding: object.content_encoding,
            metadata: object.metadata,
            sse: object.sse,
            kms_key_id: object.kms_key_id,
            storage_class: object.storage_class,
            tags: object.tags,
        });
        arrived.collect()
    }

    /// Keys, bytes and versions of all objects.
    pub fn stored(&self) -> Vec<(String, Vec<u8>, usize)> {
        self.arrived().into_iter().map(|object| (object.key, object.bytes, object.versions)).collect()
    }

    pub fn settings(&self) -> S3Settings {
        let (endpoint, region) = match &self.server {
            Server::Sandbox { s3, .. } => (s3.endpoint(), s3.region()),
            Server::Moto { moto, proxy } => (proxy.endpoint(), moto.served.region.as_str()),
        };
        let mut settings = S3Settings::new(bucket(&self.bucket), region);
        settings.endpoint = Some(endpoint);
        settings.path_style = true;
        // Long enough never to end a test that should not end by it.
        settings.request_timeout = Duration::from_secs(60);
        settings
    }

    /// Id and secret of the key that the store knows.
    pub fn key(&self) -> (&str, &str) {
        match &self.server {
            Server::Sandbox { s3, .. } => (s3.access_key_id(), s3.secret_access_key()),
            Server::Moto { moto, .. } => (&moto.served.key_id, &moto.served.secret),
        }
    }

    pub fn store(&self) -> S3Store {
        self.store_with(|_| {})
    }

    pub fn store_with(&self, change: impl FnOnce(&mut S3Settings)) -> S3Store {
        let (id, secret) = self.key();
        self.store_of(id, secret, change)
    }

    /// A store that is asked with the keys of a role, which moto's STS hands out for the user's own. None of a server without STS.
    pub fn store_of_role(&self, name: &str) -> Option<S3Store> {
        let Server::Moto { moto, .. } = &self.server else { return None };
        let role = RoleSettings {
            role_arn: moto.create_role(name),
            external_id: Some("a-customer".to_owned()),
            session_name: session_name("orders"),
            region: moto.served.region.clone(),
            endpoint: Some(format!("http://{}", moto.served.address)),
        };
        let (id, secret) = self.key();
        let own = CredentialSource::from_values(Some(id.to_owned()), Some(secret.to_owned()), None);
        Some(S3Store::new(self.settings(), own.with_role(role)).expect("sane settings"))
    }

    pub fn store_of(&self, id: &str, secret: &str, change: impl FnOnce(&mut S3Settings)) -> S3Store {
        let mut settings = self.settings();
        change(&mut settings);
        let credentials = CredentialSource::from_values(Some(id.to_owned()), Some(secret.to_owned()), None);
        S3Store::new(settings, credentials).expect("sane settings")
    }
}

pub fn bucket(name: &str) -> Bucket {
    Bucket::parse(name).expect("a name").0
}

/// Bytes in memory, in chunks as a file would give them.
pub struct Lines(Bytes);

impl Lines {
    /// Some hundred KB, so that a body has a middle in which a connection can break.
    pub fn new(text: &str) -> Self {
        Self(format!("{text}\n").repeat(20_000).into())
    }

    pub fn object<'a>(&'a self, key: &'a str) -> Object<'a> {
        Object {
            key,
            bytes: self.0.len() as u64,
            crc64_nvme: spool::object_digest(&self.0),
            content_type: "application/x-ndjson",
            metadata: &[],
            body: self,
        }
    }

    /// As [`World::stored`] has it when it was stored once.
    pub fn once(&self, key: &str) -> (String, Vec<u8>, usize) {
        (key.to_owned(), self.0.to_vec(), 1)
    }
}

impl ObjectBody for Lines {
    fn chunks(&self) -> Chunks {
        let mut rest = self.0.clone();
        Box::new(std::iter::from_fn(move || {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES_MAX));
            (!chunk.is_empty()).then_some(Ok(chunk))
        }))
    }
}
