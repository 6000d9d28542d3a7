//! Runtime, Extensions and Telemetry API on one loopback port, as inside Lambda.
//!
//! A handler turns a request into one change of the [`Board`] and one answer; it decides nothing. `next` calls wait as
//! long as it takes; when their connection breaks, their wait ends with it.

mod credentials;
mod error;
mod extensions;
mod journal;
mod runtime;
mod telemetry;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) use error::ApiError;
pub use journal::ApiCall;
pub(crate) use journal::Journal;

use crate::environment::Vitals;
use crate::environment::state::Board;
use crate::settings::Settings;
use crate::telemetry::Telemetry;

/// What a dropped sandbox has left to its async runtime is done within this time.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest request body: a response of 6 MiB and its envelope (Lambda quotas).
const BODY_BYTES_MAX: usize = 6 * 1024 * 1024 + 100;

/// What the handlers work on.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) settings: Arc<Settings>,
    pub(crate) board: Board,
    pub(crate) telemetry: Telemetry,
    pub(crate) journal: Journal,
    pub(crate) vitals: Vitals,
}

/// A request whose body has been read.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// `Err` when the body is larger than [`BODY_BYTES_MAX`].
    pub(crate) body: Result<Bytes, ApiError>,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
    }
}

/// An answer that is no error.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer to calls that do not exist.
    pub(crate) fn not_found() -> Self {
        Self::json(StatusCode::NOT_FOUND, "404 page not found\n").header("content-type", "text/plain")
    }

    /// The answer to accepted reports.
    pub(crate) fn accepted() -> Self {
        Self::json(StatusCode::ACCEPTED, "{\"status\":\"OK\"}\n")
    }
}

/// Opens a port.
pub(crate) async fn bind() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Opens a port again that another sandbox has let go of, or is about to.
pub(crate) async fn bind_again(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let deadline = Instant::now() + LET_GO_TIMEOUT;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            result => return Ok((result?, address)),
        }
    }
}

/// Serves until its task is aborted; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, api: Api) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // Too many open files, or a peer that is gone already: the next one may do better.
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve_connection(stream, api.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, api: Api) {
    let service = service_fn(move |request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(request).await) }
    });
    // It fails when the peer does: nobody is left to be told.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let call = read(request).await;
        let body = call.body.as_ref().cloned().unwrap_or_default();
        let entry = self.journal.came(call.method.clone(), call.path.clone(), body);
        let answer = self.route(call).await.unwrap_or_else(|error| Answer::json(error.status, error.json()));
        self.journal.answered(entry, answer.status);
        render(answer)
    }

    async fn route(&self, call: Call) -> Result<Answer, ApiError> {
        let path = call.path.clone();
        // The function is told the address without a path, whatever the extension is told.
        let path =
            if path.starts_with("/2018-06-01/") { Some(path.as_str()) } else { self.settings.address.below(&path) };
        let segments: Vec<&str> = path.unwrap_or_default().split('/').skip(1).collect();
        match (call.method.as_str(), segments.as_slice()) {
            ("POST", ["2020-01-01", "extension", "register"]) => self.register(&call),
            ("GET", ["2020-01-01", "extension", "event", "next"]) => self.extension_next(&call).await,
            ("POST", ["2020-01-01", "extension", "init", "error"]) => self.extension_init_error(&call),
            ("POST", ["2020-01-01", "extension", "exit", "error"]) => self.extension_exit_error(&call),
            ("PUT", ["2022-07-01", "telemetry"]) => self.subscribe(&call),
            ("GET", ["2021-04-23", "credentials"]) => self.credentials(&call),
            ("PUT", ["2020-08-15", "logs"]) => self.subscribe_logs(&call),
            ("GET", ["2018-06-01", "runtime", "invocation", "next"]) => self.runtime_next().await,
            ("GET", ["2018-06-01", "runtime", "restore", "next"]) => self.runtime_restore_next().await,
            ("POST", ["2018-06-01", "runtime", "invocation", id, "response"]) => self.runtime_response(&call, id),
            ("POST", ["2018-06-01", "runtime", "invocation", id, "error"]) => self.runtime_error(&call, id),
            ("POST", ["2018-06-01", "runtime", "init", "error"]) => self.runtime_init_error(&call),
            _ => Ok(Answer::not_found()),
        }
    }
}

async fn read(request: Request<Incoming>) -> Call {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
    Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body: body.map_err(|_| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestEntityTooLarge",
                format!("Exceeded maximum allowed payload size ({BODY_BYTES_MAX} bytes)."),
            )
        }),
    }
}

fn render(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in answer.headers {
        let value = HeaderValue::from_str(&value).expect("header values are made of identifiers and numbers");
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}
