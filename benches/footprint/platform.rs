//! The least of a platform: it registers an extension, hands it what it is told to, and sees its calls of `next`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, watch};

/// A platform for one extension.
pub struct Platform {
    address: SocketAddr,
    seen: watch::Receiver<Seen>,
    events: mpsc::UnboundedSender<String>,
}

/// What has come so far.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    nexts: usize,
    telemetry_port: Option<u16>,
}

struct Shared {
    seen: watch::Sender<Seen>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Platform {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, seen) = watch::channel(Seen::default());
        let (events, to_hand_out) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { seen: sender, events: Mutex::new(to_hand_out) });
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(served);
            }
        });
        Self { address, seen, events }
    }

    /// What `AWS_LAMBDA_RUNTIME_API` is.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Until `next` was called so often.
    pub async fn until_next(&self, times: usize) {
        self.seen.clone().wait_for(|seen| seen.nexts >= times).await.expect("the platform lives");
    }

    /// Answers a `next`, which is called now or later, with an invocation.
    pub fn invoke(&self, request: &str, deadline_ms: u128) {
        let event = format!(
            r#"{{"eventType":"INVOKE","deadlineMs":{deadline_ms},"requestId":"{request}","invokedFunctionArn":"arn:aws:lambda:us-east-1:123456789012:function:it","tracing":{{"type":"X-Amzn-Trace-Id","value":"Root=1"}}}}"#
        );
        self.events.send(event).expect("the platform lives");
    }

    /// Posts a body of telemetry, and returns when it is acknowledged.
    pub async fn post(&self, body: String) {
        let port = self.seen.borrow().telemetry_port.expect("it has subscribed");
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(async { drop(connection.await) });
        let request =
            Request::post("/").header("host", "sandbox.localdomain").header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "telemetry is acknowledged");
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let answer = Response::builder().header("lambda-extension-identifier", "11111111-2222-3333-4444-555555555555");
    let text = match path.as_str() {
        "/2020-01-01/extension/register" => {
            r#"{"functionName":"it","functionVersion":"$LATEST","handler":"it","accountId":"123456789012"}"#.into()
        }
        "/2022-07-01/telemetry" => {
            let port = telemetry_port(&body);
            shared.seen.send_modify(|seen| seen.telemetry_port = port);
            "\"OK\"".into()
        }
        "/2020-01-01/extension/event/next" => {
            shared.seen.send_modify(|seen| seen.nexts += 1);
            let event = shared.events.lock().await.recv().await;
            event.unwrap_or_default()
        }
        other => panic!("nobody should call {other}"),
    };
    Ok(answer.body(Full::new(Bytes::from(text))).expect("an answer"))
}

/// The port of `destination.URI`.
fn telemetry_port(subscription: &[u8]) -> Option<u16> {
    let subscription: serde_json::Value = serde_json::from_slice(subscription).ok()?;
    let uri = subscription["destination"]["URI"].as_str()?;
    uri.trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}
