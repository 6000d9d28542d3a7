//! The HTTP listener that the platform posts telemetry to.
//!
//! * **200 is the acknowledgement**: it is sent when the handler has returned, which is when the body is in the spool or its
//!   loss is on record. A body that arrived whole gets no other answer: the platform would offer it for ever.
//! * A body that the peer cut is not answered.
//! * Any path, POST or PUT: emulators drop the path.
//! * Nothing stands between the body and the answer but the handler: no network, no upload.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use spool::BodyId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::answers::{Answers, Peer};

/// Telemetry bodies in memory over all connections, in bytes; the next one waits. Twice the largest body that the
/// platform's reference announces, three times over, and a tenth of the smallest function.
pub const BODIES_IN_MEMORY_BYTES: usize = 12 * 1024 * 1024;
/// Connections served at a time. The platform keeps one or two; the next one waits.
const CONNECTIONS_MAX: usize = 16;
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Names a body; the same when it is offered again. Only emulators are known to send it.
const SEQUENCE_ID: &str = "sequence-id";
/// Permits of memory are counted in units of this many bytes.
const PERMIT_BYTES: usize = 1024;

/// How the listener is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerSettings {
    /// The port; `None` for one that the system chooses.
    pub port: Option<u16>,
    /// The longest body that is kept whole. What is beyond is read and counted.
    pub body_bytes_max: usize,
}

/// A body as it arrived.
#[derive(Debug)]
pub struct Body {
    /// Its bytes, up to the limit.
    pub bytes: Vec<u8>,
    /// How many bytes beyond the limit were read and dropped.
    pub cut_bytes: u64,
    /// The header `Sequence-Id`, if the platform sends one: it is the same when a body is offered again.
    pub sequence_id: Option<Box<str>>,
}

/// Takes bodies. What it returns does not matter to the platform; that it returned does.
pub trait HandleBody: Send + Sync + 'static {
    /// Makes the body durable, or puts its loss on record.
    fn handle(&self, body: Body) -> BodyId;

    /// Whether the platform has got the answer to this body is uncertain: it may offer it again.
    fn answer_may_be_lost(&self, body: BodyId);
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    port: u16,
    settings: ListenerSettings,
}

impl Listener {
    /// Binds on all addresses: the platform's name for the sandbox need not be the loopback address. If the port is
    /// taken, another one is used; the subscription tells the platform which.
    pub async fn bind(settings: ListenerSettings) -> io::Result<Self> {
        let address = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let socket = match settings.port {
            None => TcpListener::bind(address(0)).await?,
            Some(port) => match TcpListener::bind(address(port)).await {
                Ok(socket) => socket,
                Err(error) => {
                    crate::warn!(
                        "port={port} error={error:?} The telemetry port is not to be had; another one is used."
                    );
                    TcpListener::bind(address(0)).await?
                }
            },
        };
        let port = socket.local_addr()?.port();
        Ok(Self { socket, port, settings })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves for as long as the process lives.
    pub async fn serve(self: Arc<Self>, handler: Arc<dyn HandleBody>) {
        let memory = Arc::new(Semaphore::new(BODIES_IN_MEMORY_BYTES / PERMIT_BYTES));
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(connection) = Arc::clone(&connections).acquire_owned().await else { return };
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, or a peer that is gone already: neither ends the listener.
                    crate::debug!("error={error:?} A telemetry connection could not be accepted.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let server = Server {
                handler: Arc::clone(&handler),
                memory: Arc::clone(&memory),
                body_bytes_max: self.settings.body_bytes_max,
            };
            tokio::spawn(async move {
                server.connection(stream).await;
                drop(connection);
            });
        }
    }
}

#[derive(Clone)]
struct Server {
    handler: Arc<dyn HandleBody>,
    memory: Arc<Semaphore>,
    body_bytes_max: usize,
}

impl Server {
    async fn connection(self, stream: TcpStream) {
        // Without this, the answer to a body that came in two packets waits for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let handler = Arc::clone(&self.handler);
        let answers = Arc::new(Answers::new(&stream));
        let service = service_fn({
            let answers = Arc::clone(&answers);
            move |request| {
                let (server, answers) = (self.clone(), Arc::clone(&answers));
                async move { server.request(request, &answers).await }
            }
        });
        // No timer: one that fired after a freeze would close a connection that the platform is about to use. A peer that
        // closes its half of the connection behind a body has sent it whole.
        let mut http = hyper::server::conn::http1::Builder::new();
        if let Err(error) = http.half_close(true).serve_connection(TokioIo::new(stream), service).await {
            crate::debug!("error={error:?} A telemetry connection broke.");
            answers.broken().into_iter().for_each(|body| handler.answer_may_be_lost(body));
        }
    }

    async fn request(
        &self,
        request: Request<Incoming>,
        answers: &Answers,
    ) -> Result<Response<Empty<Bytes>>, hyper::Error> {
        if !matches!(*request.method(), Method::POST | Method::PUT) {
            return Ok(answer(StatusCode::METHOD_NOT_ALLOWED));
        }
        let expected_bytes = usize::try_from(hyper::body::Body::size_hint(request.body()).upper().unwrap_or(u64::MAX))
            .unwrap_or(usize::MAX)
            .min(self.body_bytes_max);
        let permits = u32::try_from(expected_bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let memory = self.memory.acquire_many(permits).await;
        let sequence_id = request.headers().get(SEQUENCE_ID).and_then(|id| id.to_str().ok()).map(Into::into);
        let body = collect(request.into_body(), expected_bytes, self.body_bytes_max, sequence_id).await?;
        let body = self.handler.handle(body);
        drop(memory);
        if answers.answering(body) == Peer::HasClosed {
            self.handler.answer_may_be_lost(body);
        }
        Ok(answer(StatusCode::OK))
    }
}

/// Reads a whole body, keeps what the limit allows and counts the rest. An error means that the peer cut it.
async fn collect(
    mut body: Incoming,
    expected_bytes: usize,
    body_bytes_max: usize,
    sequence_id: Option<Box<str>>,
) -> Result<Body, hyper::Error> {
    let mut bytes = Vec::with_capacity(expected_bytes.min(BODIES_IN_MEMORY_BYTES / 4));
    let mut cut_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let kept = data.len().min(body_bytes_max - bytes.len());
        bytes.extend_from_slice(&data[..kept]);
        cut_bytes += (data.len() - kept) as u64;
    }
    Ok(Body { bytes, cut_bytes, sequence_id })
}

fn answer(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}
