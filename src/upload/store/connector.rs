//! HTTP for the SDK and for whoever gives credentials: one small client instead of a pool.
//!
//! * One connection per request in flight; at most one is kept idle in between.
//! * **No connection is used that may be dead.** A freeze kills connections without a trace: the kept one is dropped when
//!   it idled longer than a limit of wall-clock time (a monotonic clock may stand still while frozen), when its peer is
//!   another one, when hyper knows that it is closed, and by [`Connector::close_idle`] before a freeze. What is left (the
//!   peer closed it this instant) fails with [`TransportError::is_stale`], and the store may replace it.
//! * **Cancelling closes.** Dropping the future of a request drops its connection: half a request is never followed by
//!   another one.
//! * A response is read whole, up to the limit of the store, before the connection is kept. What is beyond is not read: the
//!   connection goes instead.
//! * Nothing here has a time limit of its own: the store bounds the whole attempt, names, connecting and TLS included.
//!   Names are resolved by the system's resolver on tokio's blocking pool, where a lookup may outlive the attempt.
//! * Through a proxy a connection is a tunnel, asked for anew for each connection; all of the above holds for what is in it.
//! * Redirects are not followed: a request is signed for one host.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::early_answer::EarlyAnswer;
use super::peer::Peer;
use super::proxy::{self, ProxySettings};
use super::tls::{CaFileError, Tls};
use super::witness::Witness;
use super::{CHUNK_BYTES_MAX, chain};

/// Responses to a PUT are empty or a short error document; what a proxy may send instead is cut here.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// What of a body waits for the socket: one chunk on its way and the next one read. hyper's own limit is three times that.
pub(super) const BUFFER_BYTES_MAX: usize = 2 * CHUNK_BYTES_MAX;

/// What bytes go over, to the peer or to a proxy, before there is TLS.
pub(super) type Wire = EarlyAnswer<TcpStream>;

/// The connections of one store. Clones share them.
#[derive(Clone)]
pub(super) struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    tls: Arc<Tls>,
    proxies: ProxySettings,
    idle_max: Duration,
    response_bytes_max: usize,
    idle: Mutex<Option<Idle>>,
    witness: Option<Arc<Witness>>,
}

struct Idle {
    connection: Connection,
    since: SystemTime,
}

impl Connector {
    pub(super) fn new(tls: Tls, proxies: ProxySettings, idle_max: Duration) -> Self {
        Shared::new(Arc::new(tls), proxies, idle_max).into()
    }

    /// One of the same settings, but for those that are changed. No connection is shared.
    fn with(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let Shared { tls, proxies, idle_max, .. } = &*self.shared;
        let mut shared = Shared::new(Arc::clone(tls), proxies.clone(), *idle_max);
        change(&mut shared);
        shared.into()
    }

    /// One of the same settings that reads longer answers.
    pub(super) fn reading(&self, response_bytes_max: usize) -> Self {
        self.with(|shared| shared.response_bytes_max = response_bytes_max)
    }

    /// One of the same settings whose every request is noted.
    pub(super) fn witnessed(&self, witness: Arc<Witness>) -> Self {
        self.with(|shared| shared.witness = Some(witness))
    }

    /// One that trusts the same authorities and uses the same proxies, for single requests to somebody else: it keeps no
    /// connection, and does not cost this one the connection that it keeps.
    #[cfg(feature = "assume-role")]
    pub(super) fn for_single_requests(&self) -> Self {
        self.with(|shared| shared.idle_max = Duration::ZERO)
    }

    /// One for single requests to somebody near, whom no proxy could reach.
    pub(super) fn for_single_requests_nearby(&self) -> Self {
        self.with(|shared| (shared.proxies, shared.idle_max) = (ProxySettings::default(), Duration::ZERO))
    }

    /// Sends one request without the SDK.
    pub(super) async fn send(&self, request: Request<SdkBody>) -> Result<Response<Bytes>, TransportError> {
        self.shared.send(request).await
    }

    /// Drops the kept connection. The socket is closed when the runtime next runs its tasks.
    pub(super) fn close_idle(&self) {
        self.shared.idle().take();
    }
}

impl From<Shared> for Connector {
    fn from(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    fn new(tls: Arc<Tls>, proxies: ProxySettings, idle_max: Duration) -> Self {
        let (response_bytes_max, idle) = (RESPONSE_BYTES_MAX, Mutex::new(None));
        Self { tls, proxies, idle_max, response_bytes_max, idle, witness: None }
    }

    /// The slot is a whole value at any time, so a panic elsewhere leaves nothing half done in it.
    fn idle(&self) -> MutexGuard<'_, Option<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let request = request.try_into_http1x().map_err(|error| TransportError::Request(error.to_string()))?;
        let response = self.send(request).await?;
        HttpResponse::try_from(response.map(SdkBody::from)).map_err(|error| TransportError::Response(error.to_string()))
    }

    async fn send(&self, request: Request<SdkBody>) -> Result<Response<Bytes>, TransportError> {
        let Some(witness) = &self.witness else { return self.send_once(request).await };
        witness.connects();
        let outcome = self.send_once(request).await;
        witness.ends(&outcome);
        outcome
    }

    async fn send_once(&self, request: Request<SdkBody>) -> Result<Response<Bytes>, TransportError> {
        let peer = Peer::of(request.uri())?;
        let request = to_peer(request, &peer)?;

        let (mut connection, reused) = match self.take_idle(&peer, SystemTime::now()) {
            Some(connection) => (connection, true),
            None => (self.connect(peer).await?, false),
        };
        if let Some(witness) = &self.witness {
            witness.sends();
        }
        let response = connection
            .sender
            .send_request(request)
            .await
            .map_err(|source| TransportError::Exchange { source, reused })?;
        let response = read(response, self.response_bytes_max).await?;
        self.keep(connection);
        Ok(response)
    }

    /// The kept connection, if it leads to `peer` and is fit to be used; otherwise it is dropped.
    fn take_idle(&self, peer: &Peer, now: SystemTime) -> Option<Connection> {
        let Idle { connection, since } = self.idle().take()?;
        let fit = connection.peer == *peer && is_fresh(since, now, self.idle_max) && connection.sender.is_ready();
        fit.then_some(connection)
    }

    /// Keeps a connection if it can carry another request. One that is not ready still has a request to send that the peer
    /// answered early, or an answer to receive that was too long to be read. (With several threads it may also not have
    /// noticed the end of the exchange yet: the price is a new connection.)
    fn keep(&self, connection: Connection) {
        if connection.sender.is_ready() && !self.idle_max.is_zero() {
            let since = SystemTime::now();
            // The one kept before is dropped: after several requests at once one connection stays.
            *self.idle() = Some(Idle { connection, since });
        }
    }

    async fn connect(&self, peer: Peer) -> Result<Connection, TransportError> {
        let stream = match self.proxies.proxy_for(peer.tls, &peer.host) {
            None => dial(&peer, peer.to_string()).await?,
            Some(proxy) => proxy.tunnel(dial(&proxy.peer(), format!("the proxy {proxy}")).await?, &peer).await?,
        };
        if !peer.tls {
            return Connection::open(peer, TokioIo::new(stream)).await;
        }
        let config = self.tls.config().map_err(TransportError::CaFile)?;
        let name = ServerName::try_from(peer.address().to_owned())
            .map_err(|error| TransportError::Request(error.to_string()))?;
        let failed = |source| TransportError::Connect { peer: peer.to_string(), source };
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
        Connection::open(peer, TokioIo::new(stream)).await
    }
}

/// A connection to `peer`; an error calls it `called`.
async fn dial(peer: &Peer, called: String) -> Result<Wire, TransportError> {
    let connected = async {
        let stream = TcpStream::connect((peer.address(), peer.port)).await?;
        // A request is one burst; waiting for more to send would only delay its end.
        stream.set_nodelay(true)?;
        Ok(EarlyAnswer::new(stream))
    };
    connected.await.map_err(|source| TransportError::Connect { peer: called, source })
}

/// Whether a connection that idles since `since` may still be used at `now`. A clock that was set back says no.
fn is_fresh(since: SystemTime, now: SystemTime, idle_max: Duration) -> bool {
    now.duration_since(since).is_ok_and(|idle| idle < idle_max)
}

/// One connection and the task that moves its bytes. Dropping it closes it, whatever is under way.
struct Connection {
    peer: Peer,
    sender: SendRequest<SdkBody>,
    _driver: Driver,
}

impl Connection {
    async fn open<I>(peer: Peer, io: I) -> Result<Self, TransportError>
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake(io)
            .await
            .map_err(|source| TransportError::Exchange { source, reused: false })?;
        // Its result says nothing that the request does not say.
        let driver = Driver::spawn(async { drop(driver.await) });
        Ok(Self { peer, sender, _driver: driver })
    }
}

/// The task that moves the bytes of a connection; it ends with its owner.
pub(super) struct Driver(AbortHandle);

impl Driver {
    pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The SDK's request has an absolute URI and no `Host`; a server wants the path and the `Host`.
fn to_peer(mut request: Request<SdkBody>, peer: &Peer) -> Result<Request<SdkBody>, TransportError> {
    let host = HeaderValue::try_from(peer.to_string()).map_err(|error| TransportError::Request(error.to_string()))?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() =
        request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    Ok(request)
}

/// The response with its body, or with the beginning of one that is too long.
async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Response<Bytes>, TransportError> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    while body.len() < bytes_max
        && let Some(frame) = incoming.frame().await
    {
        let frame = frame.map_err(|source| TransportError::Exchange { source, reused: false })?;
        if let Ok(data) = frame.into_data() {
            let room = bytes_max - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(Response::from_parts(head, body.freeze()))
}

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum TransportError {
    /// The request itself cannot be sent to anyone: its URI or host is unusable.
    Request(String),
    /// There is no TLS configuration: the named file is at fault.
    CaFile(CaFileError),
    /// No connection: the name, the connection or the TLS handshake failed.
    Connect { peer: String, source: io::Error },
    /// The proxy makes no tunnel.
    Proxy { proxy: String, peer: String, status: StatusCode },
    /// The connection was lost; whether the request was carried out is unknown.
    Exchange { source: hyper::Error, reused: bool },
    /// The answer cannot be represented.
    Response(String),
}

impl TransportError {
    /// Whether it will be the same until a person changes something.
    pub(super) fn is_configuration(&self) -> bool {
        match self {
            Self::Request(_) | Self::CaFile(_) => true,
            Self::Proxy { status, .. } => proxy::is_final(*status),
            Self::Connect { .. } | Self::Exchange { .. } | Self::Response(_) => false,
        }
    }

    /// Whether a kept connection broke before it gave an answer: most likely the peer had closed it, and a new one will do.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::Exchange { reused: true, .. })
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(what) => write!(f, "the request cannot be sent: {what}"),
            Self::CaFile(error) => error.fmt(f),
            Self::Connect { peer, source } => {
                write!(f, "cannot connect to {peer}: {}", chain(source))
            }
            Self::Proxy { proxy, peer, status } => write!(
                f,
                "the proxy {proxy} answered HTTP {} to CONNECT {peer}: {}",
                status.as_u16(),
                proxy::refusal(*status)
            ),
            Self::Exchange { source, .. } => write!(f, "connection lost: {}", chain(source)),
            Self::Response(what) => write!(f, "the answer cannot be read: {what}"),
        }
    }
}

impl std::error::Error for TransportError {}

impl From<TransportError> for ConnectorError {
    fn from(error: TransportError) -> Self {
        if error.is_configuration() { Self::user(error.into()) } else { Self::io(error.into()) }
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let shared = Arc::clone(&self.shared);
        HttpConnectorFuture::new(async move { Ok(shared.exchange(request).await?) })
    }
}

impl HttpClient for Connector {
    /// One connector for all settings: its time limits are the store's.
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_fresh_below_its_limit_and_never_after_the_clock_went_back() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let limit = Duration::from_secs(20);
        let table = [
            (Duration::ZERO, true),
            (limit - Duration::from_nanos(1), true),
            (limit, false),
            (Duration::from_secs(86_400), false),
        ];
        for (idle, fresh) in table {
            assert_eq!(is_fresh(since, since + idle, limit), fresh, "{idle:?}");
        }
        assert!(!is_fresh(since, since - Duration::from_millis(1), limit));
        assert!(!is_fresh(since, since, Duration::ZERO));
    }
}
