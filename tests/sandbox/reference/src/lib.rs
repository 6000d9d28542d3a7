//! The reference extension: the least that an external extension in Rust has to be. What another extension costs is
//! measured beside it.
//!
//! It registers for both events, subscribes to `platform` and `function`, answers every telemetry body with 200, and asks
//! for the next event. It keeps nothing and runs on one thread.

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The name that it registers with, which its executable file must have.
pub const NAME: &str = "reference-extension";

const REGISTRATION: &str = r#"{"events":["INVOKE","SHUTDOWN"]}"#;
const IDENTIFIER: &str = "lambda-extension-identifier";

/// What the reference extension does with an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceExtension {
    /// Nothing: it calls `next` at once.
    Loops,
    /// It calls `next` when the telemetry has told that the function has finished.
    WaitsForRuntimeDone,
}

type Failure = Box<dyn Error + Send + Sync>;

/// The extension's own program.
pub fn run(kind: ReferenceExtension) -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let result = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(live(kind)));
    match result {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("The reference extension cannot go on: {error}");
            std::process::exit(1)
        }
    }
}

/// From registration to SHUTDOWN.
async fn live(kind: ReferenceExtension) -> Result<(), Failure> {
    let (done, mut told) = watch::channel(String::new());
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = listener.local_addr()?.port();
    let mut api = Api::connect().await?;
    api.register().await?;
    api.subscribe(port).await?;
    tokio::spawn(listen(listener, kind, done));
    loop {
        match api.next().await? {
            Event::Invoke { request_id } if kind == ReferenceExtension::WaitsForRuntimeDone => {
                // The sender lives as long as the listener, which never ends.
                let _ = told.wait_for(|finished| *finished == request_id).await;
            }
            Event::Invoke { .. } => {}
            Event::Shutdown => return Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "eventType", rename_all = "UPPERCASE")]
enum Event {
    #[serde(rename_all = "camelCase")]
    Invoke {
        request_id: String,
    },
    Shutdown,
}

/// One connection to the platform, for one call at a time.
struct Api {
    authority: String,
    identifier: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Api {
    async fn connect() -> Result<Self, Failure> {
        let authority = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
        let stream = TcpStream::connect(authority.parse::<SocketAddr>()?).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Its error reaches the sender of the request as well.
        tokio::spawn(async { drop(connection.await) });
        Ok(Self { authority, identifier: String::new(), sender })
    }

    async fn register(&mut self) -> Result<(), Failure> {
        let response = self.call(Method::POST, "/2020-01-01/extension/register", REGISTRATION.into()).await?;
        let identifier = response.headers().get(IDENTIFIER).ok_or("no identifier in the answer to register")?;
        self.identifier = identifier.to_str()?.to_owned();
        drain(response.into_body()).await
    }

    async fn subscribe(&mut self, port: u16) -> Result<(), Failure> {
        let subscription = format!(
            r#"{{"schemaVersion":"2025-01-29","types":["platform","function"],"buffering":{{"maxItems":10000,"maxBytes":1048576,"timeoutMs":25}},"destination":{{"protocol":"HTTP","URI":"http://sandbox.localdomain:{port}"}}}}"#
        );
        let response = self.call(Method::PUT, "/2022-07-01/telemetry", subscription.into()).await?;
        drain(response.into_body()).await
    }

    async fn next(&mut self) -> Result<Event, Failure> {
        let response = self.call(Method::GET, "/2020-01-01/extension/event/next", Bytes::new()).await?;
        let event = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&event)?)
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, Failure> {
        let (name, value) = match self.identifier.as_str() {
            "" => ("lambda-extension-name", NAME),
            identifier => (IDENTIFIER, identifier),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(name, value)
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("{path}: {}", response.status()).into());
        }
        Ok(response)
    }
}

/// Takes telemetry for ever.
async fn listen(listener: TcpListener, kind: ReferenceExtension, done: watch::Sender<String>) {
    loop {
        // Too many open files, or a peer that is gone already: the next one may do better.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let done = done.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let done = done.clone();
            async move {
                // A body that breaks off has nobody behind it who would take the answer.
                let _ = match kind {
                    ReferenceExtension::Loops => drain(request.into_body()).await,
                    ReferenceExtension::WaitsForRuntimeDone => look_for_the_end(request.into_body(), &done).await,
                };
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn drain(mut body: Incoming) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeDone {
    request_id: String,
}

async fn look_for_the_end(body: Incoming, done: &watch::Sender<String>) -> Result<(), Failure> {
    let body = body.collect().await?.to_bytes();
    let events: Vec<Told<'_>> = serde_json::from_slice(&body)?;
    if let Some(end) = events.iter().rfind(|event| event.kind == "platform.runtimeDone") {
        let RuntimeDone { request_id } = serde_json::from_str(end.record.get())?;
        done.send_replace(request_id);
    }
    Ok(())
}
