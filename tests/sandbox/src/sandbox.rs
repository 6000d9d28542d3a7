//! The sandbox as its user sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::api::{self, Api, ApiCall, Journal};
use crate::course::{Course, Happened};
use crate::environment::fault::Fault;
use crate::environment::runtime::{FunctionError, Response};
use crate::environment::state::{Board, State};
use crate::environment::{Environment, Invocation, InvokeOrder, Order, Shutdown, ShutdownReason, Snapshot, Vitals};
use crate::error::StartError;
use crate::function::Work;
use crate::ledger::Ledger;
use crate::process::{Groups, Process};
use crate::settings::{SandboxBuilder, Settings};
use crate::telemetry::{Subscription, Telemetry};
use crate::undertaker::Undertaker;

/// Payload of an invocation.
#[derive(Debug, Clone)]
pub struct Payload(Bytes);

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self(value.to_string().into())
    }
}

impl From<Work> for Payload {
    fn from(work: Work) -> Self {
        Self(serde_json::to_vec(&work).expect("numbers and flags can be serialized").into())
    }
}

/// A running local Lambda execution environment.
///
/// Dropping it kills its processes and removes what it made; a failed test leaves nothing behind, and neither does one
/// that was killed.
#[derive(Debug)]
pub struct Sandbox {
    orders: mpsc::UnboundedSender<Order>,
    telemetry: Telemetry,
    journal: Journal,
    vitals: Vitals,
    tmp: Tmp,
    groups: Groups,
    is_managed: bool,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug)]
enum Tmp {
    Own(TempDir),
    Given(PathBuf),
}

impl Tmp {
    fn new(given: Option<&Path>) -> std::io::Result<Self> {
        match given {
            Some(path) => Ok(Self::Given(path.canonicalize()?)),
            None => tempfile::Builder::new().prefix("sandbox-").tempdir().map(Self::Own),
        }
    }

    /// The directory if it goes with the sandbox.
    fn own(&self) -> Option<&Path> {
        match self {
            Self::Own(directory) => Some(directory.path()),
            Self::Given(_) => None,
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Own(directory) => directory.path(),
            Self::Given(path) => path,
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.groups.kill_all();
    }
}

impl Sandbox {
    /// Describes an environment.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    pub(crate) async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::begin(Arc::new(settings), None).await
    }

    /// Brings a copy of an environment to life. One at a time: a copy has the process id and the ports of the original.
    ///
    /// # Errors
    /// When the copy does not come to wait for its first invocation; then nothing of it is left.
    pub async fn restore(snapshot: &Snapshot) -> Result<Self, StartError> {
        Self::begin(Arc::clone(&snapshot.settings), Some(snapshot.clone())).await
    }

    async fn begin(settings: Arc<Settings>, copy_of: Option<Snapshot>) -> Result<Self, StartError> {
        let tmp = Tmp::new(copy_of.as_ref().map(|copy| copy.tmp.as_path()).or(settings.tmp.as_deref()))?;
        let (listener, address) = match &copy_of {
            None => api::bind().await?,
            Some(copy) => api::bind_again(copy.api).await?,
        };
        let course = Course::default();
        let telemetry = Telemetry::new(settings.delivery, course.clone());
        let board = Board::new(match &copy_of {
            None => State::new(&settings),
            Some(copy) => State::restored(&settings, copy.extension()),
        });
        let groups = Groups::new(Undertaker::hire(tmp.own())?);
        let is_managed = settings.managed.is_some();
        let (journal, vitals) = (Journal::default(), Vitals::new(course));
        let api = Api {
            settings: Arc::clone(&settings),
            board: board.clone(),
            telemetry: telemetry.clone(),
            journal: journal.clone(),
            vitals: vitals.clone(),
        };
        let environment = Environment {
            settings,
            api: address,
            tmp: tmp.path().to_owned(),
            board,
            telemetry: telemetry.clone(),
            groups: groups.clone(),
            vitals: vitals.clone(),
            extension: None,
            runtime: None,
            initialized: false,
            init_to_report: None,
            copy_of,
        };
        let (orders, received_orders) = mpsc::unbounded_channel();
        let (started, start) = oneshot::channel();
        let tasks = vec![
            tokio::spawn(api::serve(listener, api)).abort_handle(),
            tokio::spawn(telemetry.clone().pump()).abort_handle(),
            tokio::spawn(environment.run(started, received_orders)).abort_handle(),
        ];
        // From here on `Drop` clears up, also if this future is dropped while Init runs.
        let sandbox = Self { orders, telemetry, journal, vitals, tmp, groups, is_managed, tasks };
        match start.await.expect("the environment tells how Init ended") {
            Ok(()) => Ok(sandbox),
            Err(fault) => {
                Err(StartError::Init { fault, extension_output: sandbox.extension_output(), ledger: sandbox.ledger() })
            }
        }
    }

    /// Invokes the function and waits until the environment is done with it, the extension included.
    ///
    /// # Panics
    /// After [`Sandbox::shutdown`].
    pub async fn invoke(&self, payload: impl Into<Payload>) -> Invocation {
        self.invoke_start(payload).finished().await
    }

    /// Starts an invocation. It waits for its turn: an environment runs one at a time, or as many as a managed one is given.
    ///
    /// # Panics
    /// After [`Sandbox::shutdown`].
    pub fn invoke_start(&self, payload: impl Into<Payload>) -> InvocationHandle {
        self.invoke_start_as(Uuid::new_v4().to_string(), payload)
    }

    /// As [`Sandbox::invoke_start`], with a request id that is known before.
    ///
    /// # Panics
    /// After [`Sandbox::shutdown`].
    pub fn invoke_start_as(&self, request_id: String, payload: impl Into<Payload>) -> InvocationHandle {
        let (caller, response) = oneshot::channel();
        let (done, invocation) = oneshot::channel();
        let Payload(payload) = payload.into();
        self.order(Order::Invoke(InvokeOrder { request_id: request_id.clone(), payload, caller, done }));
        InvocationHandle { request_id, response, invocation }
    }

    fn order(&self, order: Order) {
        assert!(self.orders.send(order).is_ok(), "the sandbox was shut down");
    }

    /// Kills the extension, now, whatever it does; returns when it is dead. The environment takes it as
    /// `Extension.Crash`: a running invocation fails, and the next one starts with a reset on the same `/tmp`.
    pub async fn kill_extension(&self) {
        kill(self.vitals.extension()).await;
    }

    /// Kills the function, now; as [`Sandbox::kill_extension`].
    pub async fn kill_function(&self) {
        kill(self.vitals.function()).await;
    }

    /// Ends this life of extension and function as the platform would for that reason, and begins the next one on the
    /// same `/tmp`.
    ///
    /// # Errors
    /// When Init fails. The next invocation tries again.
    ///
    /// # Panics
    /// After [`Sandbox::shutdown`]; and if it is a managed environment, which is replaced and never reset.
    pub async fn reset(&self, reason: ShutdownReason) -> Result<Shutdown, Fault> {
        assert!(!self.is_managed, "a managed environment is never reset");
        let (done, reset) = oneshot::channel();
        self.order(Order::Reset { reason, done });
        reset.await.expect("the environment answers every order")
    }

    /// Ends the environment: SIGTERM for the function, SHUTDOWN for the extension, SIGKILL at the deadline. A managed one
    /// finishes what runs before; if it has ended by itself, this tells how.
    ///
    /// # Panics
    /// When called twice; and if a managed environment is to end with a timeout, which ends none.
    pub async fn shutdown(&self, reason: ShutdownReason) -> Shutdown {
        let ends_some = !self.is_managed || reason != ShutdownReason::Timeout;
        assert!(ends_some, "a timeout does not end a managed environment");
        let (done, shutdown) = oneshot::channel();
        self.order(Order::Shutdown { reason, done });
        shutdown.await.expect("the environment answers every order")
    }

    /// Copies memory and disk of an environment that was not invoked yet into a directory, with this CRIU, and ends it
    /// without telling anybody.
    ///
    /// # Errors
    /// When it cannot be copied.
    ///
    /// # Panics
    /// After [`Sandbox::shutdown`]; and if it is a managed environment, of which there are no snapshots.
    pub async fn snapshot(&self, criu: &Path, directory: &Path) -> std::io::Result<Snapshot> {
        assert!(!self.is_managed, "there are no snapshots of a managed environment");
        let (done, snapshot) = oneshot::channel();
        self.order(Order::Snapshot { criu: criu.to_owned(), directory: directory.to_owned(), done });
        snapshot.await.expect("the environment answers every order")
    }

    /// Lets the platform say something out of turn.
    pub fn says(&self, kind: &str, record: &Value) {
        self.telemetry.platform(kind, record);
    }

    /// Everything that the platform has said so far, and its fate.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.telemetry.ledger()
    }

    /// Returns as soon as the ledger fulfils a condition. The ledger is locked meanwhile: the condition must look at
    /// the one it is given and not ask the sandbox for another.
    pub async fn until(&self, condition: impl FnMut(&Ledger) -> bool) {
        self.telemetry.until(condition).await;
    }

    /// Returns as soon as the environment is frozen. A managed one never is.
    pub async fn until_frozen(&self) {
        self.vitals.until_frozen().await;
    }

    /// Whether extension and function are stopped.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.vitals.is_frozen()
    }

    /// Lines that the extension wrote to stdout and stderr, in all its lives.
    #[must_use]
    pub fn extension_output(&self) -> Vec<String> {
        self.vitals.course().extension_output()
    }

    /// What happened so far, in the order of the times.
    #[must_use]
    pub fn course(&self) -> Vec<Happened> {
        self.vitals.course().snapshot()
    }

    /// Process id of the extension; `None` while none runs.
    #[must_use]
    pub fn extension_pid(&self) -> Option<u32> {
        self.vitals.extension().map(|process| process.pid())
    }

    /// Process id of the function; `None` while none runs.
    #[must_use]
    pub fn function_pid(&self) -> Option<u32> {
        self.vitals.function().map(|process| process.pid())
    }

    /// Most memory that the extension was seen to use in any life, in KiB (`VmHWM`, read every 20 ms).
    #[must_use]
    pub fn peak_rss_kib(&self) -> u64 {
        self.vitals.extension_peak_rss_kib()
    }

    /// Duration of the last Init.
    #[must_use]
    pub fn init_duration(&self) -> Duration {
        self.vitals.init_duration()
    }

    /// From the start of the extension's process to its first `next`, at the last Init.
    #[must_use]
    pub fn extension_init_duration(&self) -> Duration {
        self.vitals.extension_init_duration()
    }

    /// Accepted telemetry subscriptions, of all lives.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.vitals.subscriptions()
    }

    /// Calls of the Runtime, Extensions and Telemetry API so far.
    #[must_use]
    pub fn api_calls(&self) -> Vec<ApiCall> {
        self.journal.snapshot()
    }

    /// The directory that plays `/tmp`.
    #[must_use]
    pub fn tmp(&self) -> &Path {
        self.tmp.path()
    }
}

async fn kill(process: Option<Arc<Process>>) {
    if let Some(process) = process {
        process.signal(rustix::process::Signal::KILL);
        process.exited().await;
    }
}

/// An invocation on its way.
#[derive(Debug)]
pub struct InvocationHandle {
    request_id: String,
    response: oneshot::Receiver<Result<Response, FunctionError>>,
    invocation: oneshot::Receiver<Invocation>,
}

impl InvocationHandle {
    /// Its request id.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// What the caller gets, as soon as the function has answered: the extension may still be at work.
    ///
    /// # Errors
    /// When the function failed.
    ///
    /// # Panics
    /// When called twice, or when the sandbox is gone.
    pub async fn response(&mut self) -> Result<Response, FunctionError> {
        (&mut self.response).await.expect("the environment answers every invocation once")
    }

    /// Waits until the environment is done with it.
    ///
    /// # Panics
    /// When the sandbox is gone.
    pub async fn finished(self) -> Invocation {
        self.invocation.await.expect("the environment finishes every invocation")
    }
}
