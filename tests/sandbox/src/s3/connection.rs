//! Accepting connections, and ending them the hard way.

use super::gate::{Accepted, Gate};
use super::layer::Layer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Accepting fails when the process has no descriptors left, and would at once fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How a request reaches the connection it came on.
#[derive(Clone)]
pub(super) struct Link {
    /// Counted from 0.
    pub(super) connection: u64,
    reset: Arc<Notify>,
}

impl Link {
    fn new(connection: u64) -> Self {
        Self { connection, reset: Arc::new(Notify::new()) }
    }

    /// Ends the connection with RST, and drops the request that is being served on it.
    pub(super) fn reset(&self) {
        self.reset.notify_one();
    }
}

/// Serves whatever comes through the gate.
pub(super) async fn accept_all(gate: Arc<Gate>, layer: Arc<Layer>) -> Infallible {
    let mut connections = 0;
    loop {
        match poll_fn(|context| gate.poll_accept(context)).await {
            Ok(accepted) => {
                tokio::spawn(serve(accepted, Link::new(connections), Arc::clone(&layer)));
                connections += 1;
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve(accepted: Accepted, link: Link, layer: Arc<Layer>) {
    let Accepted { stream, mut cut } = accepted;
    let service = service_fn(|request| layer.answer(request, link.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // The order matters: a connection that is to be reset serves nothing any more, even if a request has arrived.
    let served = tokio::select! {
        biased;
        _ = cut.changed() => false,
        () = link.reset.notified() => false,
        _ = &mut connection => true,
    };
    if !served {
        abort(connection.into_parts().io.into_inner());
    }
}

/// Closes with RST in place of FIN.
fn abort(stream: TcpStream) {
    // It fails only for a socket that is closed already.
    let _ = stream.set_zero_linger();
    drop(stream);
}
