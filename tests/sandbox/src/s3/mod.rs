//! An S3 server for tests, benches and the demo, that can be made to fail.
//!
//! - It listens on a free port of 127.0.0.1, speaks plain HTTP/1.1 and checks SigV4 for real (crate `s3s`).
//! - Objects are files under a directory of the caller's, who keeps it: `<root>/<bucket>/<key>` holds the bytes of
//!   an object and nothing else. A new server over the same directory serves the same objects.
//! - A PUT is all or nothing: not a byte of one that was cut off, refused or damaged can be seen afterwards.
//!   `If-None-Match: *`, `Content-MD5` and the `x-amz-checksum-…` headers are obeyed; a missing bucket is
//!   `NoSuchBucket` and is never made by a PUT.
//! - The server runs on a thread of its own: a test that blocks does not stop it, and once it is dropped nothing of
//!   it is left, not even the port.
//! - Between the network and S3 lies a layer of faults ([`Faults`]), switched while the server runs. What it did to which
//!   request is in [`S3Server::requests`], what is in the bucket in [`S3Server::objects`].
//! - The same layer lies before a server of somebody else's, if it is asked to: [`S3Proxy`].
//! - What owners demand of uploads to a bucket is demanded: [`BucketOptions`]. Encryption, storage class and tags are kept as
//!   words for tests to look at.
//!
//! Not there, and refused with 501 where it would matter: multipart uploads, versions,
//! checksums in trailers, and a key that is also the directory of another (`a` beside `a/b`).
//!
//! Both styles of address work: `http://127.0.0.1:PORT/bucket/key`, and `Host: bucket.localhost:PORT` for a client that
//! resolves such names to loopback by itself.
//!
//! ```
//! use sandbox::s3::{Fault, S3Server};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let root = tempfile::tempdir()?;
//! let s3 = S3Server::start(root.path()).await?;
//! s3.create_bucket("logs")?;
//!
//! // Give the program under test `s3.endpoint()`, `s3.region()`, `s3.access_key_id()` and `s3.secret_access_key()`.
//! // Then say what goes wrong: the first upload is stored but answered with 500, the second is told to slow down.
//! s3.faults().script([Fault::InternalErrorAfterStoring, Fault::SlowDown]);
//!
//! // … the program runs …
//!
//! for object in s3.objects("logs")? {
//!     println!("{} {} bytes", object.key, object.bytes.len());
//! }
//! for request in s3.requests() {
//!     println!("{} {} {:?} {:?}", request.method, request.key, request.fault, request.status);
//! }
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! An outage: `s3.faults().set(Fault::RefuseConnections)`, later `s3.faults().clear()`.

mod answer;
mod auth;
mod backend;
mod checksums;
mod connection;
mod demands;
mod disk;
mod fault;
mod faults;
mod front;
mod gate;
mod key_path;
mod layer;
mod listing;
mod log;
mod proxy;
mod server;
mod tags;
mod target;
mod upload;
mod upstream;

pub use disk::BucketOptions;
pub use fault::{Fault, RandomFaults, Requests};
pub use faults::Faults;
pub use log::RequestSeen;
pub use proxy::S3Proxy;
pub use server::{S3Options, S3Server, StoredObject};
