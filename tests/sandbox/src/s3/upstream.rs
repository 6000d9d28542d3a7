//! Another S3 server behind the layer of faults.
//!
//! Requests go there as they came, the `host` that their signature covers included, and answers come back as they are.
//! It hears of a request only when the whole body is here: whatever it would make of half of one, it never gets half.

use super::answer::ErrorAnswer;
use super::upload::Upload;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, EXPECT, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::{Body, HttpResponse, StdError};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Bodies are held in memory; no test sends more.
const BODY_BYTES_MAX: usize = 64 << 20;

pub(super) struct Upstream {
    address: SocketAddr,
}

impl Upstream {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// What the other server makes of it, or 502 if it is not there.
    pub(super) async fn call(&self, head: Parts, upload: Upload) -> HttpResponse {
        let body = match Limited::new(upload, BODY_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return ErrorAnswer::too_large().into_response(),
            Err(_) => return ErrorAnswer::incomplete_body().into_response(),
        };
        self.exchange(head, body).await.unwrap_or_else(|_| ErrorAnswer::bad_gateway().into_response())
    }

    async fn exchange(&self, head: Parts, body: Bytes) -> Result<HttpResponse, StdError> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let exchange = async {
            let mut request = Request::from_parts(head, Full::new(body));
            remove_hop_by_hop(request.headers_mut());
            let (mut head, body) = sender.send_request(request).await?.into_parts();
            remove_hop_by_hop(&mut head.headers);
            let body = body.collect().await?.to_bytes();
            drop(sender); // ends the connection
            Ok(Response::from_parts(head, Body::from(body)))
        };
        // In this task: when the sender is gone, so is its request.
        let (_, response) = tokio::join!(connection, exchange);
        response
    }
}

/// What belongs to one connection and not to the request or answer on it.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, EXPECT, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}
