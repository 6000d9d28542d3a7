//! The server: put together, started on its own thread, and stopped.

use super::auth::KeyPair;
use super::backend::Backend;
use super::connection::accept_all;
use super::disk::{Disk, ObjectFacts};
use super::faults::Faults;
use super::gate::Gate;
use super::layer::{Latency, Layer};
use super::log::{RequestLog, RequestSeen};
use s3s::host::SingleDomain;
use s3s::path::check_bucket_name;
use s3s::service::S3ServiceBuilder;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;
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
}

impl Default for S3Options {
    fn default() -> Self {
        let [id, first, second] = [(); 3].map(|()| Uuid::new_v4().simple().to_string());
        Self {
            region: REGION.to_owned(),
            access_key_id: format!("AKIA{}", id[..16].to_ascii_uppercase()),
            secret_access_key: format!("{first}{}", &second[..8]),
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
        }
    }
}

/// An S3 server that can be made to fail; see the [module](super).
///
/// Dropping it refuses, resets and ends everything before `drop` returns. The directory stays the caller's.
pub struct S3Server {
    options: S3Options,
    disk: Arc<Disk>,
    gate: Arc<Gate>,
    faults: Faults,
    log: Arc<RequestLog>,
    latency: Arc<Latency>,
    /// Dropping the sender ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The parts of a server that its thread shares with its owner.
struct Running {
    gate: Arc<Gate>,
    faults: Faults,
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
        let (log, latency) = (Arc::new(RequestLog::new()), Arc::new(Latency::default()));
        let (started, running) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let (options, disk) = (options.clone(), Arc::clone(&disk));
            let shared = (Arc::clone(&log), Arc::clone(&latency));
            thread::Builder::new()
                .name("s3-server".to_owned())
                .spawn(move || run(&options, disk, shared, started, stopped))?
        };
        let Running { gate, faults } =
            running.await.map_err(|_| io::Error::other("the server's thread died while it started"))??;
        Ok(Self { options, disk, gate, faults, log, latency, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`. The same for as long as the server lives.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.gate.address())
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
        if !check_bucket_name(bucket) {
            let message = format!("S3 allows no bucket of the name {bucket:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.disk.create_bucket(bucket)?;
        Ok(())
    }

    /// The switch for faults.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Keeps every answer back for so long, in whole milliseconds, as a store does that is some way off; not at all at
    /// first. An answer that is kept back already stays so.
    pub fn set_latency(&self, latency: Duration) {
        self.latency.set(latency);
    }

    /// Every request seen so far, in the order of arrival. A refused connection brings none.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.log.snapshot()
    }

    /// Waits, without a limit of its own, until `condition` holds of the requests seen so far, and returns those.
    pub async fn requests_until(&self, condition: impl FnMut(&[RequestSeen]) -> bool) -> Vec<RequestSeen> {
        self.log.until(condition).await
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

impl Drop for S3Server {
    fn drop(&mut self) {
        self.gate.stop();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, its message is on stderr already; a panic here would hide the test's own.
            let _ = thread.join();
        }
    }
}

/// The server's thread. When it returns, its runtime and with it every connection is gone.
fn run(
    options: &S3Options,
    disk: Arc<Disk>,
    shared: (Arc<RequestLog>, Arc<Latency>),
    started: oneshot::Sender<io::Result<Running>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error)); // nobody waits any more: nothing to do either
            return;
        }
    };
    runtime.block_on(async {
        let (running, layer) = match assemble(options, disk, shared) {
            Ok(parts) => parts,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let gate = Arc::clone(&running.gate);
        if started.send(Ok(running)).is_err() {
            return;
        }
        tokio::select! {
            _ = stopped => {}
            never = accept_all(gate, Arc::new(layer)) => match never {},
        }
    });
}

fn assemble(
    options: &S3Options,
    disk: Arc<Disk>,
    (log, latency): (Arc<RequestLog>, Arc<Latency>),
) -> io::Result<(Running, Layer)> {
    let gate = Arc::new(Gate::open()?);
    let faults = Faults::none(Arc::clone(&gate));
    let layer = Layer {
        s3: {
            let mut builder = S3ServiceBuilder::new(Backend::new(disk, &options.region));
            builder.set_auth(KeyPair::new(&options.access_key_id, &options.secret_access_key));
            builder.set_host(domain(&gate)?);
            builder.build()
        },
        domain: domain(&gate)?,
        region: options.region.clone(),
        faults: faults.clone(),
        log,
        latency,
    };
    Ok((Running { gate, faults }, layer))
}

/// What buckets are subdomains of.
fn domain(gate: &Gate) -> io::Result<SingleDomain> {
    let name = format!("localhost:{}", gate.address().port());
    SingleDomain::new(&name).map_err(io::Error::other)
}
