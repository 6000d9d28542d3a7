//! A store for tests that records what arrives on the wire and answers as it is told; it verifies nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The authority that signed the server's certificate. Its own key no longer exists.
pub(super) const CA_PEM: &str = include_str!("recording_server/ca.pem");
const LEAF_PEM: &str = include_str!("recording_server/leaf.pem");
const LEAF_KEY: &str = include_str!("recording_server/leaf.key");

/// What the server does with a request; without one it stores, that is, answers 200.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Reads the body, then answers.
    Respond { status: u16, headers: &'static [(&'static str, &'static str)], body: String },
    /// Reads the body, then closes.
    Close,
    /// Reads the body, then never answers.
    Hang,
}

impl Answer {
    /// An error document as S3 writes it.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::Respond {
            status,
            headers: &[("x-amz-request-id", "4442587FB7D0A2F9")],
            body: format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// Connections are numbered from 0.
    pub(super) connection: usize,
    pub(super) method: String,
    /// Path and query as sent.
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    /// Empty if it was not read whole.
    pub(super) body: Bytes,
}

impl Recorded {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or_else(|_| panic!("{name} is no text: {value:?}")))
    }
}

/// A running server; dropping it closes everything.
pub(super) struct RecordingServer {
    address: SocketAddr,
    tls: bool,
    state: Arc<Mutex<State>>,
    _connections: JoinSet<()>,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    recorded: Vec<Recorded>,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().expect("no test panics while it holds the lock")
}

impl RecordingServer {
    /// A server over plain HTTP.
    pub(super) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// A server whose certificate, for 127.0.0.1, is signed by [`CA_PEM`].
    pub(super) async fn start_tls() -> Self {
        let certificate = CertificateDer::from_pem_slice(LEAF_PEM.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(LEAF_KEY.as_bytes());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("a certificate")], key.expect("a key"))
            .expect("certificate and key belong together");
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let state = Shared::default();
        let mut connections = JoinSet::new();
        let is_tls = tls.is_some();
        connections.spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, tls: is_tls, state, _connections: connections }
    }

    pub(super) fn endpoint(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Answers the next requests in this order.
    pub(super) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).answers.extend(answers);
    }

    /// What arrived so far, in order.
    pub(super) fn recorded(&self) -> Vec<Recorded> {
        lock(&self.state).recorded.clone()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Shared) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (tls, state) = (tls.clone(), Arc::clone(&state));
        connections.spawn(async move {
            match tls {
                None => serve(TokioIo::new(stream), number, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(TokioIo::new(stream), number, state).await;
                    }
                }
            }
        });
    }
}

async fn serve<I>(io: I, connection: usize, state: Shared)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let service = service_fn(|request| handle(request, connection, &state));
    // How a connection ends is told by what was recorded.
    _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

/// An error makes hyper close the connection without an answer.
async fn handle(
    request: Request<Incoming>,
    connection: usize,
    state: &Shared,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let answer = lock(state).answers.pop_front();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    lock(state).recorded.push(Recorded {
        connection,
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: body.as_ref().cloned().unwrap_or_default(),
    });
    body?;

    let response = |status| Response::builder().status(status);
    Ok(match answer {
        None => response(200).body(Full::default())?,
        Some(Answer::Respond { status, headers, body }) => headers
            .iter()
            .fold(response(status), |response, (name, value)| response.header(*name, *value))
            .body(body.into())?,
        Some(Answer::Close) => return Err("told to close".into()),
        Some(Answer::Hang) => std::future::pending().await,
    })
}
