//! What S3 stands behind: the port, the thread that serves it, and the switches in a test's hand.

use super::connection::accept_all;
use super::faults::Faults;
use super::gate::Gate;
use super::layer::{Behind, Latency, Layer};
use super::log::RequestLog;
use s3s::host::SingleDomain;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// Dropping it refuses, resets and ends everything before `drop` returns.
pub(super) struct Front {
    pub(super) gate: Arc<Gate>,
    pub(super) faults: Faults,
    pub(super) log: Arc<RequestLog>,
    pub(super) latency: Arc<Latency>,
    /// Dropping the sender ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The parts that the thread shares with its owner.
struct Running {
    gate: Arc<Gate>,
    faults: Faults,
}

impl Front {
    /// Opens a port, and serves on it what `behind` makes; `region` is the right one.
    ///
    /// # Errors
    /// If no port or thread is to be had, or from `behind`.
    pub(super) async fn start(
        region: String,
        behind: impl FnOnce(&Gate) -> io::Result<Behind> + Send + 'static,
    ) -> io::Result<Self> {
        let (log, latency) = (Arc::new(RequestLog::new()), Arc::new(Latency::default()));
        let (started, running) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let shared = (Arc::clone(&log), Arc::clone(&latency));
            let assemble = move || assemble(region, behind, shared);
            thread::Builder::new().name("s3-server".to_owned()).spawn(move || run(assemble, started, stopped))?
        };
        let Running { gate, faults } =
            running.await.map_err(|_| io::Error::other("the server's thread died while it started"))??;
        Ok(Self { gate, faults, log, latency, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.gate.address())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.gate.stop();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, its message is on stderr already; a panic here would hide the test's own.
            let _ = thread.join();
        }
    }
}

/// The server's thread. When it returns, its runtime and with it every connection is gone.
fn run(
    assemble: impl FnOnce() -> io::Result<(Running, Layer)>,
    started: oneshot::Sender<io::Result<Running>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(error)); // nobody waits any more: nothing to do either
            return;
        }
    };
    runtime.block_on(async {
        let (running, layer) = match assemble() {
            Ok(parts) => parts,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        let gate = Arc::clone(&running.gate);
        if started.send(Ok(running)).is_err() {
            return;
        }
        tokio::select! {
            _ = stopped => {}
            never = accept_all(gate, Arc::new(layer)) => match never {},
        }
    });
}

fn assemble(
    region: String,
    behind: impl FnOnce(&Gate) -> io::Result<Behind>,
    (log, latency): (Arc<RequestLog>, Arc<Latency>),
) -> io::Result<(Running, Layer)> {
    let gate = Arc::new(Gate::open()?);
    let faults = Faults::none(Arc::clone(&gate));
    let layer = Layer { behind: behind(&gate)?, domain: domain(&gate)?, region, faults: faults.clone(), log, latency };
    Ok((Running { gate, faults }, layer))
}

/// What buckets are subdomains of.
pub(super) fn domain(gate: &Gate) -> io::Result<SingleDomain> {
    let name = format!("localhost:{}", gate.address().port());
    SingleDomain::new(&name).map_err(io::Error::other)
}
