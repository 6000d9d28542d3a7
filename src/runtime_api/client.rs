//! Calls to the platform: plain HTTP/1.1 to `AWS_LAMBDA_RUNTIME_API`, each on a connection of its own.
//!
//! * No proxy is ever used for this host.
//! * `next` has no timeout whatsoever: the process is frozen inside it, for minutes or hours.
//! * A connection is never used twice: one that was open across a freeze may be dead, and there is a call or two an
//!   invocation.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::{TcpSocket, TcpStream};

use super::address::Address;
use super::event::{
    Buffering, ErrorBody, EventType, ExtensionId, NextEvent, RegisterAnswer, RegisterRequest, Registered, StreamTypes,
    SubscribeRequest,
};

const EXTENSION_ID: &str = "lambda-extension-identifier";
const EXTENSION_NAME: &str = "lambda-extension-name";
/// Asks that the answer tells the account (AWS Lambda Developer Guide, "Lambda Extensions API").
const ACCEPT_FEATURE: (&str, &str) = ("lambda-extension-accept-feature", "accountId");
const ERROR_TYPE: &str = "lambda-extension-function-error-type";
/// Answers are some hundred bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No connection, or it broke.
    #[error("{0}")]
    Transport(#[source] io::Error),
    /// The platform said no.
    #[error("status {status} {error_type} {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// `errorType` of the body, if it had one.
        error_type: String,
        /// `errorMessage` of the body, if it had one.
        message: String,
    },
    /// An answer that is none: `what` was expected.
    #[error("the answer holds no {0}")]
    Malformed(&'static str),
}

impl ApiError {
    /// Whether nobody listened.
    pub fn is_connection_refused(&self) -> bool {
        matches!(self, Self::Transport(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the environment takes no extension that wants INVOKE (Lambda Managed Instances).
    pub fn is_invalid_event_type(&self) -> bool {
        matches!(self, Self::Refused { error_type, .. } if error_type == "Extension.InvalidEventType")
    }

    /// Whether asking again may help: the platform did not answer, or it failed.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Malformed(_) => true,
            Self::Refused { status, .. } => *status >= 500,
        }
    }
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// Telemetry will come, in this schema version.
    Active(&'static str),
    /// There is no telemetry here (local emulators answer 202).
    NotSupported,
}

/// The platform, by its address.
#[derive(Debug, Clone)]
pub struct Client {
    authority: String,
    path_prefix: String,
    spare: Arc<Spare>,
}

/// A descriptor that is kept for the platform: whoever cannot call `next` holds the function until its timeout.
#[derive(Debug, Default)]
struct Spare(Mutex<Option<TcpSocket>>);

impl Spare {
    fn keep(&self) {
        // A socket that is connected to nothing: it needs no file, which an image may not have.
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *spare = spare.take().or_else(|| TcpSocket::new_v4().ok());
    }

    /// Whether there was one.
    fn give(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    /// `EMFILE` and `ENFILE` of Linux: too many files are open, in this process or in all.
    const OUT_OF_DESCRIPTORS: [i32; 2] = [24, 23];
    error.raw_os_error().is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code))
}

impl Client {
    /// The platform at an address.
    pub fn new(address: Address) -> Self {
        let Address { authority, path } = address;
        let spare = Arc::<Spare>::default();
        spare.keep();
        Self { authority, path_prefix: path, spare }
    }

    /// Registers under the name of the executable file.
    pub async fn register(&self, name: &str, events: &[EventType]) -> Result<Registered, ApiError> {
        let request = self
            .request(Method::POST, "/2020-01-01/extension/register")
            .header(EXTENSION_NAME, name)
            .header(ACCEPT_FEATURE.0, ACCEPT_FEATURE.1)
            .body(json(&RegisterRequest { events }));
        let answer = self.call(request).await?;
        let id = answer.headers.get(EXTENSION_ID).and_then(|id| id.to_str().ok());
        let id = id.map(|id| ExtensionId(id.to_owned())).ok_or(ApiError::Malformed("extension identifier"))?;
        // Nothing in the body is needed, and emulators leave it empty.
        let RegisterAnswer { account_id } = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(Registered { id, account_id, hears_of_invocations: events.contains(&EventType::Invoke) })
    }

    /// Waits for the next event. Blocks for as long as it takes. `asked` is called when the request is on its way: from then
    /// on the platform need not wait for us any more.
    pub async fn next(&self, id: &ExtensionId, asked: impl FnOnce()) -> Result<NextEvent, ApiError> {
        let request = self
            .request(Method::GET, "/2020-01-01/extension/event/next")
            .header(EXTENSION_ID, &id.0)
            .body(Full::default());
        let answer = self.call_noting(request, asked).await?;
        serde_json::from_slice(&answer.body).map_err(|_| ApiError::Malformed("event"))
    }

    /// Subscribes to telemetry in the first of these schema versions that the platform knows.
    pub async fn subscribe(
        &self,
        id: &ExtensionId,
        types: StreamTypes,
        buffering: Buffering,
        port: u16,
        versions: &[&'static str],
    ) -> Result<Subscription, ApiError> {
        let mut refused = None;
        for &version in versions {
            let request = SubscribeRequest::new(version, types, buffering, port);
            match self.subscribe_once(id, &request).await {
                Ok(true) => return Ok(Subscription::Active(version)),
                Ok(false) => return Ok(Subscription::NotSupported),
                Err(error) if matches!(error.status(), Some(400 | 404)) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(error) if error.status() == Some(404) => Ok(Subscription::NotSupported),
            Some(error) => Err(error),
            None => Err(ApiError::Malformed("schema version")),
        }
    }

    async fn subscribe_once(&self, id: &ExtensionId, request: &SubscribeRequest<'_>) -> Result<bool, ApiError> {
        let request =
            self.request(Method::PUT, "/2022-07-01/telemetry").header(EXTENSION_ID, &id.0).body(json(request));
        // 202 is a success of HTTP and no subscription.
        Ok(self.call(request).await?.status != StatusCode::ACCEPTED)
    }

    /// Fails the init of the environment. Only ever called when the operator asked for it.
    pub async fn init_error(&self, id: &ExtensionId, error_type: &str, message: &str) -> Result<(), ApiError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct InitError<'a> {
            error_message: &'a str,
            error_type: &'a str,
        }
        let request = self
            .request(Method::POST, "/2020-01-01/extension/init/error")
            .header(EXTENSION_ID, &id.0)
            .header(ERROR_TYPE, error_type)
            .body(json(&InitError { error_message: message, error_type }));
        self.call(request).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.path_prefix))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
    }

    async fn call(&self, request: hyper::http::Result<Request<Full<Bytes>>>) -> Result<Answer, ApiError> {
        self.call_noting(request, || {}).await
    }

    async fn call_noting(
        &self,
        request: hyper::http::Result<Request<Full<Bytes>>>,
        sent: impl FnOnce(),
    ) -> Result<Answer, ApiError> {
        let request = request.map_err(|error| ApiError::Transport(io::Error::other(error)))?;
        let answer = self.exchange(request, sent).await;
        // The connection is closed: nobody else has taken its descriptor yet.
        self.spare.keep();
        answer.and_then(Answer::accepted)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, sent: impl FnOnce()) -> Result<Answer, ApiError> {
        let stream = self.connect().await.map_err(ApiError::Transport)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answer = async {
            // Handed to the connection, which writes it when this yields.
            let response = sender.send_request(request);
            tokio::task::yield_now().await;
            sent();
            let response = response.await.map_err(broken)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| ApiError::Transport(io::Error::other(error)))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        // Driven here and not by a task of its own, so that its end is the end of the connection.
        let (mut answer, connection) = (pin!(answer), pin!(connection));
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // Whatever it has read is on its way to the answer.
            _ = connection => answer.await,
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        match TcpStream::connect(&self.authority).await {
            Err(error) if is_out_of_descriptors(&error) && self.spare.give() => {
                TcpStream::connect(&self.authority).await
            }
            result => result,
        }
    }
}

struct Answer {
    status: StatusCode,
    headers: hyper::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn accepted(self) -> Result<Self, ApiError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let ErrorBody { error_type, error_message } = serde_json::from_slice(&self.body).unwrap_or_default();
        Err(ApiError::Refused { status: self.status.as_u16(), error_type, message: error_message })
    }
}

fn json(value: &impl Serialize) -> Full<Bytes> {
    Full::new(serde_json::to_vec(value).expect("requests are plain structures").into())
}

fn broken(error: hyper::Error) -> ApiError {
    ApiError::Transport(io::Error::other(error))
}
