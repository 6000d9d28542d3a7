//! The layer of faults before an S3 server of somebody else's.

use super::faults::Faults;
use super::front::Front;
use super::layer::Behind;
use super::log::RequestSeen;
use super::upstream::Upstream;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// An S3 server of somebody else's that can be made to fail as an [`S3Server`](super::S3Server) can; see the
/// [module](super).
///
/// - What it is told goes on unchanged, and only with its whole body: half of one is never sent on, so it is never stored.
/// - Signatures, regions and buckets are the other server's affair. It must take buckets in paths.
/// - Bodies of more than 64 MiB are refused; they are held in memory.
///
/// Dropping it refuses, resets and ends everything before `drop` returns. The other server stays the caller's.
pub struct S3Proxy {
    front: Front,
}

impl S3Proxy {
    /// A port before the server at `upstream`, whose buckets are in `region`: the faults that tell a region tell this one.
    ///
    /// # Errors
    /// If no port or thread is to be had. Whether there is a server at all is not asked: each request to one that is not
    /// there is answered with 502.
    pub async fn start(upstream: SocketAddr, region: &str) -> io::Result<Self> {
        let behind = move |_: &_| Ok(Behind::Upstream(Upstream::new(upstream)));
        Ok(Self { front: Front::start(region.to_owned(), behind).await? })
    }

    /// As [`S3Server::endpoint`](super::S3Server::endpoint).
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.front.endpoint()
    }

    /// As [`S3Server::faults`](super::S3Server::faults).
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.front.faults.clone()
    }

    /// As [`S3Server::set_latency`](super::S3Server::set_latency).
    pub fn set_latency(&self, latency: Duration) {
        self.front.latency.set(latency);
    }

    /// As [`S3Server::requests`](super::S3Server::requests).
    #[must_use]
    pub fn requests(&self) -> Vec<RequestSeen> {
        self.front.log.snapshot()
    }

    /// As [`S3Server::requests_until`](super::S3Server::requests_until).
    pub async fn requests_until(&self, condition: impl FnMut(&[RequestSeen]) -> bool) -> Vec<RequestSeen> {
        self.front.log.until(condition).await
    }
}
