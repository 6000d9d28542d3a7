//! Posts telemetry bodies: one keep-alive connection, as long as the peer allows.
//!
//! No timeout: a listener that never answers keeps its body in flight, and the queue rule does the rest.

use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::relay::Answer;

/// Answers are tiny; a larger one is not worth keeping the connection.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A telemetry body that remembers whether the connection took any of it.
struct Watched {
    body: Full<Bytes>,
    handed_over: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.handed_over.store(true, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct Connection {
    port: u16,
    sender: SendRequest<Watched>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The platform's HTTP client.
#[derive(Default)]
pub(super) struct Client {
    kept: Option<Connection>,
}

impl Client {
    pub(super) async fn post(&mut self, port: u16, json: Bytes) -> Answer {
        let reused = self.kept.is_some();
        let answer = self.attempt(port, json.clone()).await;
        match answer {
            // The peer closed the kept connection meanwhile; nothing of this body reached it.
            Answer::Failed { handed_over: false, .. } if reused => self.attempt(port, json).await,
            answer => answer,
        }
    }

    async fn attempt(&mut self, port: u16, json: Bytes) -> Answer {
        let handed_over = Arc::new(AtomicBool::new(false));
        match self.exchange(port, json, &handed_over).await {
            Ok(answer) => answer,
            Err(error) => Answer::Failed { handed_over: handed_over.load(Ordering::Relaxed), error: error.to_string() },
        }
    }

    async fn exchange(
        &mut self,
        port: u16,
        json: Bytes,
        handed_over: &Arc<AtomicBool>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let mut connection = match self.kept.take() {
            Some(connection) if connection.port == port => connection,
            _ => connect(port).await?,
        };
        connection.sender.ready().await?;
        let request = Request::post("/")
            .header(HOST, format!("sandbox.localdomain:{port}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Watched { body: Full::new(json), handed_over: Arc::clone(handed_over) })?;
        let response = connection.sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        if body.is_ok() {
            self.kept = Some(connection);
        }
        if status.is_success() {
            // The status is the acknowledgement, whatever happens to the bytes behind it.
            return Ok(Answer::Accepted);
        }
        let body = body?.to_bytes();
        Ok(Answer::Refused(format!("http request failed with status {status}: {}", String::from_utf8_lossy(&body))))
    }
}

async fn connect(port: u16) -> Result<Connection, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(async move {
        // Its error reaches the sender of the request as well.
        let _ = connection.await;
    });
    Ok(Connection { port, sender, driver: driver.abort_handle() })
}
