//! One invocation: to the runtime and the extension at once, over when both have called `next`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::extension::Lifecycle;
use super::fault::Fault;
use super::managed::error_of;
use super::runtime::{FunctionError, Response};
use super::state::{NextEvent, RuntimeEvent, State, TraceHeader};
use super::tear_down::ShutdownReason;
use super::{Environment, epoch_ms};
use crate::course::Happening;
use crate::telemetry::event::{InitPhase, Tracing};

const TRACE_HEADER: &str = "X-Amzn-Trace-Id";

/// An invocation to be run.
pub(crate) struct InvokeOrder {
    pub(crate) request_id: String,
    pub(crate) payload: Bytes,
    /// Told as soon as the function has answered, or cannot any more.
    pub(crate) caller: oneshot::Sender<Result<Response, FunctionError>>,
    /// Told when the environment is done with the invocation.
    pub(crate) done: oneshot::Sender<Invocation>,
}

/// How the platform saw an invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Runtime and extension have called `next`. The function's own errors are a success in this sense.
    Success,
    /// Something ended it; the environment was reset, or ended if it is a managed one. There a timeout ends nothing.
    Fault(Fault),
}

impl Outcome {
    pub(super) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Success => None,
            Self::Fault(fault) => Some(fault),
        }
    }
}

/// A finished invocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Its request id.
    pub request_id: String,
    /// What the caller got.
    pub result: Result<Response, FunctionError>,
    /// How the platform saw it.
    pub outcome: Outcome,
    /// From the event to the runtime's `next`, or to the fault.
    pub duration: Duration,
    /// From the runtime's `next` to the extension's: what the extension added. Zero if it was ready before.
    pub extension_held: Duration,
    /// Whether extension and runtime had to be started inside this invocation.
    pub suppressed_init: bool,
}

/// An invocation on its way.
pub(super) struct Running {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    pub(super) tracing: Tracing,
    caller: Option<oneshot::Sender<Result<Response, FunctionError>>>,
    pub(super) result: Option<Result<Response, FunctionError>>,
    suppressed_init: bool,
    pub(super) begun: Instant,
    begun_wall: SystemTime,
    pub(super) responded: Option<Instant>,
    /// When the runtime called `next`, or the fault struck; set with `platform.runtimeDone`.
    pub(super) runtime_done: Option<Instant>,
    pub(super) extension_held: Duration,
}

impl Running {
    pub(super) fn new(
        request_id: String,
        payload: Bytes,
        caller: oneshot::Sender<Result<Response, FunctionError>>,
    ) -> Self {
        Self {
            tracing: new_trace(),
            request_id,
            payload,
            caller: Some(caller),
            result: None,
            suppressed_init: false,
            begun: Instant::now(),
            begun_wall: SystemTime::now(),
            responded: None,
            runtime_done: None,
            extension_held: Duration::ZERO,
        }
    }

    pub(super) fn begin(&mut self) {
        self.begun = Instant::now();
        self.begun_wall = SystemTime::now();
    }

    /// Answers the caller; only the first answer counts.
    pub(super) fn respond(&mut self, result: Result<Response, FunctionError>) {
        if let Some(caller) = self.caller.take() {
            // The caller may not care for the response.
            let _ = caller.send(result.clone());
            self.result = Some(result);
        }
    }

    /// Wall-clock time of an instant of this invocation.
    pub(super) fn wall(&self, at: Instant) -> SystemTime {
        self.begun_wall + at.saturating_duration_since(self.begun)
    }

    pub(super) fn finish(self, outcome: Outcome) -> Invocation {
        Invocation {
            request_id: self.request_id,
            result: self.result.expect("every invocation is answered before it is finished"),
            outcome,
            duration: self.runtime_done.map_or(Duration::ZERO, |done| done.saturating_duration_since(self.begun)),
            extension_held: self.extension_held,
            suppressed_init: self.suppressed_init,
        }
    }
}

/// A trace id as X-Ray writes it, not sampled by anything.
fn new_trace() -> Tracing {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (high, low, span) = (fastrand::u32(..), fastrand::u64(..), fastrand::u64(..));
    Tracing {
        span_id: format!("{span:016x}"),
        kind: TRACE_HEADER,
        value: format!("Root=1-{seconds:08x}-{high:08x}{low:016x};Parent={span:016x};Sampled=1"),
    }
}

impl Environment {
    pub(super) async fn invoke(&mut self, order: InvokeOrder) {
        let InvokeOrder { request_id, payload, caller, done } = order;
        if self.is_faulty() {
            // The extension or the runtime ended while nothing ran: it is noticed now.
            self.tear_down(ShutdownReason::Failure, |_| ()).await;
        }
        let mut running = Running::new(request_id, payload, caller);
        // An Init inside the invocation is part of it.
        let deadline = Instant::now() + self.settings.function_timeout;
        let result = match self.init_if_needed(&mut running, deadline).await {
            Ok(()) => timeout_at(deadline, self.run_phases(&mut running, deadline)).await,
            Err(fault) => Ok(Err(fault)),
        };
        let invocation = match result.unwrap_or_else(|_| Err(self.timed_out())) {
            Ok(()) => self.succeed(running),
            Err(fault) => self.fail(running, fault).await,
        };
        // The caller may not care for the end of the invocation.
        let _ = done.send(invocation);
    }

    async fn init_if_needed(&mut self, running: &mut Running, deadline: Instant) -> Result<(), Fault> {
        if !self.initialized {
            running.suppressed_init = true;
            self.init(InitPhase::Invoke, deadline).await.inspect_err(|_| self.report_start(running))?;
        }
        self.restore_original().await
    }

    async fn run_phases(&self, running: &mut Running, deadline: Instant) -> Result<(), Fault> {
        running.begin();
        self.report_start(running);
        self.send_events(running, deadline);

        self.board.reached(|state| state.runtime.result().is_some()).await?;
        let (result, responded) =
            self.board.read(|state| (state.runtime.result().cloned(), state.runtime.responded_at()));
        running.responded = responded;
        let result = result.expect("reached above");
        let held = if self.settings.holds_responses {
            Some(result)
        } else {
            running.respond(result);
            None
        };

        self.board.reached(|state| state.runtime.is_ready()).await?;
        if let Some(runtime) = &self.runtime {
            runtime.drain_output().await;
        }
        running.runtime_done = self.board.read(|state| state.runtime.next_at());
        self.note_function_done(running, None);
        self.report_runtime_done(running, None);
        self.board.reached(State::extension_is_done).await?;
        held.into_iter().for_each(|result| running.respond(result));
        Ok(())
    }

    fn send_events(&self, running: &Running, deadline: Instant) {
        self.note_at(running.begun, Happening::Invoked { request_id: running.request_id.clone() });
        let deadline_ms = epoch_ms(running.wall(deadline));
        let invoked_function_arn = self.settings.function_arn();
        let to_extension = NextEvent::Invoke {
            deadline_ms,
            request_id: running.request_id.clone(),
            invoked_function_arn: invoked_function_arn.clone(),
            tracing: TraceHeader { kind: TRACE_HEADER, value: running.tracing.value.clone() },
        };
        let to_runtime = RuntimeEvent {
            request_id: running.request_id.clone(),
            deadline_ms,
            invoked_function_arn,
            trace: running.tracing.value.clone(),
            payload: running.payload.clone(),
        };
        self.board.change(|state| {
            if state.extension_wants(Lifecycle::Invoke) {
                state.tell_extension(to_extension);
            }
            state.tell_runtime(to_runtime).expect("an initialized runtime waits in next");
        });
    }

    pub(super) fn timed_out(&self) -> Fault {
        Fault::Timeout(format!("Task timed out after {:.2} seconds", self.settings.function_timeout.as_secs_f64()))
    }

    fn succeed(&mut self, mut running: Running) -> Invocation {
        running.extension_held = self.extension_held(&running);
        if let Some(done) = running.runtime_done {
            let request_id = running.request_id.clone();
            self.note_at(done + running.extension_held, Happening::ExtensionDone { request_id });
        }
        let init = self.init_to_report.take();
        self.report(&running, None, init);
        running.finish(Outcome::Success)
    }

    /// The platform's reset: `runtimeDone` first, then the tear-down, with the report before SHUTDOWN.
    async fn fail(&mut self, mut running: Running, fault: Fault) -> Invocation {
        running.respond(Err(error_of(&running.request_id, &fault)));
        if running.runtime_done.is_none() {
            running.runtime_done = Some(Instant::now());
            self.note_function_done(&running, Some(&fault));
            self.report_runtime_done(&running, Some(&fault));
        }
        running.extension_held = self.extension_held(&running);
        let reason = match fault {
            Fault::Timeout(_) | Fault::InitTimeout(_) => ShutdownReason::Timeout,
            _ => ShutdownReason::Failure,
        };
        let init = self.init_to_report.take();
        self.tear_down(reason, |environment| environment.report(&running, Some(&fault), init)).await;
        running.finish(Outcome::Fault(fault))
    }

    fn note_at(&self, at: Instant, what: Happening) {
        self.vitals.course().note_at(at.into_std(), what);
    }

    fn note_function_done(&self, running: &Running, fault: Option<&Fault>) {
        let own = running.result.as_ref().and_then(|result| result.as_ref().err()).map(ToString::to_string);
        let error = own.or_else(|| fault.map(|fault| fault.error_type().to_owned()));
        if let Some(done) = running.runtime_done {
            self.note_at(done, Happening::FunctionDone { request_id: running.request_id.clone(), error });
        }
    }

    /// From the runtime's `next` to the extension's, or to now if that did not come.
    fn extension_held(&self, running: &Running) -> Duration {
        let Some(runtime_done) = running.runtime_done else { return Duration::ZERO };
        let next_at = self.board.read(|state| match &state.extension {
            Some(extension) if extension.is_ready() => extension.next_at(),
            Some(_) => Some(Instant::now()),
            None => None,
        });
        next_at.map_or(Duration::ZERO, |next_at| next_at.saturating_duration_since(runtime_done))
    }
}
