//! Stands between the extension and the platform: calls can fail there that the platform of the sandbox would answer.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sandbox::SandboxBuilder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::world::World;

/// Where an extension registers.
pub const REGISTER: &str = "/2020-01-01/extension/register";
/// Where it waits for events.
pub const NEXT: &str = "/2020-01-01/extension/event/next";
/// Where it subscribes to telemetry.
pub const SUBSCRIBE: &str = "/2022-07-01/telemetry";
/// How a call ends that is answered by nobody.
pub const CUT: u16 = 0;

/// Stands between the extension and the platform, and fails calls in its place.
pub struct Between {
    state: Arc<State>,
    address: SocketAddr,
    server: AbortHandle,
}

struct State {
    /// Written by the extension's wrapper, which is told.
    platform: PathBuf,
    /// By path: how many calls to come fail, and with which status.
    failing: Mutex<BTreeMap<&'static str, (usize, u16)>>,
}

impl Between {
    pub async fn start(world: &World) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { platform: world.tmp().join("platform"), failing: Mutex::default() });
        let server = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Self { state, address, server }
    }

    /// An extension that takes this for the platform.
    pub fn extension(&self, world: &World) -> PathBuf {
        world.wrapper(&format!(
            "printf %s \"$AWS_LAMBDA_RUNTIME_API\" > '{}'\nexport AWS_LAMBDA_RUNTIME_API={}",
            self.state.platform.display(),
            self.address
        ))
    }

    /// A sandbox with that extension.
    pub fn sandbox(&self, world: &World) -> SandboxBuilder {
        world.sandbox().extension(self.extension(world))
    }

    /// Fails so many calls to come.
    pub fn fail(&self, path: &'static str, calls: usize, status: u16) {
        self.state.failing.lock().unwrap().insert(path, (calls, status));
    }

    /// Whether all the calls that should fail have failed.
    pub fn has_failed(&self, path: &str) -> bool {
        self.state.failing.lock().unwrap()[path].0 == 0
    }

    /// Nobody listens any more, and every connection breaks.
    pub fn vanish(&self) {
        self.server.abort();
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.vanish();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// An error cuts the connection.
async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let failure = state.failing.lock().unwrap().get_mut(request.uri().path()).and_then(|(calls, status)| {
        *calls = calls.checked_sub(1)?;
        Some(*status)
    });
    match failure {
        None => forward(&state, request).await.map_err(io::Error::other),
        Some(CUT) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(status) => {
            let body = r#"{"errorMessage":"planned","errorType":"Extension.Planned"}"#;
            Ok(Response::builder().status(status).body(body.into()).unwrap())
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn forward(state: &State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let platform = fs::read_to_string(&state.platform)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(TcpStream::connect(platform).await?)).await?;
    // Ends with the request: if the extension is gone, so is its call.
    let _connection = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, body.into()))
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
