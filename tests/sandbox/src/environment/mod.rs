//! The lifecycle of one execution environment: Init, invocations, freeze, reset, shutdown.
//!
//! One task owns the lifecycle and does one thing after the other, as the platform does (`init`, `invoke`, `tear_down`
//! read like its documentation; `managed` is the one where invocations run beside each other). Orders come through a channel; what the processes do in between shows on the
//! [`Board`](state::Board).

mod concurrent;
pub(crate) mod extension;
pub(crate) mod fault;
mod init;
mod invoke;
mod managed;
mod report;
pub(crate) mod runtime;
mod snapshot;
pub(crate) mod state;
mod tear_down;
mod vitals;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot};

pub(crate) use invoke::InvokeOrder;
pub use invoke::{Invocation, Outcome};
pub use snapshot::Snapshot;
pub use tear_down::{Shutdown, ShutdownReason};
pub(crate) use vitals::Vitals;

use crate::process::{Groups, Process};
use crate::settings::Settings;
use crate::telemetry::Telemetry;
use fault::Fault;
use state::{Board, State};

/// What the owner of a sandbox can ask for.
pub(crate) enum Order {
    Invoke(InvokeOrder),
    Reset { reason: ShutdownReason, done: oneshot::Sender<Result<Shutdown, Fault>> },
    Shutdown { reason: ShutdownReason, done: oneshot::Sender<Shutdown> },
    Snapshot { criu: PathBuf, directory: PathBuf, done: oneshot::Sender<io::Result<Snapshot>> },
}

/// The environment and everything it is made of.
pub(crate) struct Environment {
    pub(crate) settings: Arc<Settings>,
    pub(crate) api: SocketAddr,
    pub(crate) tmp: PathBuf,
    pub(crate) board: Board,
    pub(crate) telemetry: Telemetry,
    pub(crate) groups: Groups,
    pub(crate) vitals: Vitals,
    pub(crate) extension: Option<Arc<Process>>,
    pub(crate) runtime: Option<Arc<Process>>,
    /// Whether Init succeeded and nothing has been torn down since.
    pub(crate) initialized: bool,
    /// Init's duration, until an invocation has reported it.
    pub(crate) init_to_report: Option<Duration>,
    /// What it begins as, if not with Init.
    pub(crate) copy_of: Option<Snapshot>,
}

impl Environment {
    /// Runs the first Init, then does as ordered until the owner is gone or orders the shutdown.
    pub(crate) async fn run(
        mut self,
        started: oneshot::Sender<Result<(), Fault>>,
        mut orders: mpsc::UnboundedReceiver<Order>,
    ) {
        let result = match self.copy_of.take() {
            None => self.first_init().await,
            Some(snapshot) => self.restore(&snapshot).await,
        };
        let failed = result.is_err();
        // The owner may be gone already: then the channel of orders ends, too.
        let _ = started.send(result);
        if failed {
            return;
        }
        if self.settings.managed.is_some() {
            return self.run_managed(orders).await;
        }
        while let Some(order) = self.next_order(&mut orders).await {
            match order {
                Order::Invoke(order) => self.invoke(order).await,
                Order::Reset { reason, done } => {
                    let _ = done.send(self.reset(reason).await);
                }
                Order::Snapshot { criu, directory, done } => {
                    let snapshot = self.snapshot(criu, directory).await;
                    self.telemetry.close();
                    let _ = done.send(snapshot);
                    return;
                }
                Order::Shutdown { reason, done } => {
                    let shutdown = self.tear_down(reason, |_| ()).await;
                    self.telemetry.close();
                    let _ = done.send(shutdown);
                    return;
                }
            }
        }
    }

    /// Waits for an order, frozen if the platform would freeze.
    async fn next_order(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Option<Order> {
        if self.settings.freeze && self.initialized {
            tokio::select! {
                biased;
                order = orders.recv() => return order,
                () = self.telemetry.freeze() => self.signal_all(Signal::STOP),
            }
            self.vitals.set_frozen(true);
        }
        let order = orders.recv().await;
        self.thaw();
        order
    }

    fn thaw(&self) {
        if self.vitals.set_frozen(false) {
            self.signal_all(Signal::CONT);
            self.telemetry.thaw();
        }
    }

    fn signal_all(&self, signal: Signal) {
        for process in self.extension.iter().chain(&self.runtime) {
            process.signal(signal);
        }
    }

    fn is_faulty(&self) -> bool {
        self.board.read(|state| state.fault.is_some())
    }

    /// A blank state for the next life.
    fn new_life(&mut self) {
        self.initialized = false;
        self.board.change(|state| *state = State::new(&self.settings));
    }
}

/// Milliseconds since the epoch, as deadlines are told.
fn epoch_ms(at: SystemTime) -> u128 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
