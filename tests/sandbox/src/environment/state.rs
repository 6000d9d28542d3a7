//! What the APIs, the processes and the lifecycle know of each other: one value, and a board that tells of its changes.
//!
//! API handlers and process watchers write down what happened; the lifecycle waits until the value has the shape that
//! its next step needs. Nothing is decided by who came first, except the fault: the first one is kept.

use std::process::ExitStatus;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::concurrent::{Answered, Concurrent};
use super::extension::{Extension, Lifecycle, NotAllowed};
use super::fault::Fault;
use super::runtime::{FunctionError, Refused, Response, Runtime};
use crate::settings::Settings;

/// An event as `next` of the Extensions API answers it.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "eventType", rename_all = "UPPERCASE", rename_all_fields = "camelCase")]
pub(crate) enum NextEvent {
    Invoke { deadline_ms: u128, request_id: String, invoked_function_arn: String, tracing: TraceHeader },
    Shutdown { deadline_ms: u128, shutdown_reason: &'static str },
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct TraceHeader {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: String,
}

/// An invocation as `next` of the Runtime API answers it.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeEvent {
    pub(crate) request_id: String,
    pub(crate) deadline_ms: u128,
    pub(crate) invoked_function_arn: String,
    pub(crate) trace: String,
    pub(crate) payload: Bytes,
}

/// Extension and runtime of one life of the environment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) extension: Option<Extension>,
    pub(crate) runtime: Runtime,
    /// Takes its place where invocations run beside each other.
    concurrent: Option<Concurrent>,
    /// Until the runtime is ready.
    pub(crate) registration_open: bool,
    /// Until the extension is ready.
    pub(crate) subscription_open: bool,
    pub(crate) subscribed: bool,
    /// From here on the end of a process is no fault.
    pub(crate) shutting_down: bool,
    pub(crate) fault: Option<Fault>,
    extension_waits: Option<oneshot::Sender<NextEvent>>,
    /// An event for an extension that has not called `next` yet.
    extension_event: Option<NextEvent>,
    runtime_waits: Option<oneshot::Sender<RuntimeEvent>>,
    /// Of a runtime that is ready for a snapshot.
    restore_waits: Option<oneshot::Sender<()>>,
    is_restored: bool,
}

impl State {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            extension: settings.extension.is_some().then(|| Extension::new(Uuid::new_v4())),
            runtime: Runtime::new(),
            concurrent: settings.managed.is_some().then(Concurrent::default),
            registration_open: true,
            subscription_open: true,
            subscribed: false,
            shutting_down: false,
            fault: None,
            extension_waits: None,
            extension_event: None,
            runtime_waits: None,
            restore_waits: None,
            is_restored: false,
        }
    }

    /// Behind Init, with a copy of the extension that has gone through it.
    pub(crate) fn restored(settings: &Settings, extension: Extension) -> Self {
        Self {
            extension: Some(extension),
            registration_open: false,
            subscription_open: false,
            subscribed: true,
            is_restored: true,
            ..Self::new(settings)
        }
    }

    /// The extension calls `next`: the receiver gets its event.
    pub(crate) fn extension_next(&mut self, now: Instant) -> Result<oneshot::Receiver<NextEvent>, NotAllowed> {
        let extension = self.extension.as_mut().expect("only a registered extension has an identifier to call with");
        extension.next(now)?;
        let (sender, receiver) = oneshot::channel();
        self.extension_waits = Some(sender);
        if let Some(event) = self.extension_event.take() {
            self.tell_extension(event);
        }
        Ok(receiver)
    }

    /// Gives the extension an event, at once or when it calls `next`.
    pub(crate) fn tell_extension(&mut self, event: NextEvent) {
        if let Some(waits) = self.extension_waits.take()
            && let Some(extension) = &mut self.extension
            && extension.deliver().is_ok()
        {
            // If the connection is gone, so is the event: the platform does not know better.
            let _ = waits.send(event);
        } else {
            self.extension_event = Some(event);
        }
    }

    pub(crate) fn runtime_next(&mut self, now: Instant) -> Result<oneshot::Receiver<RuntimeEvent>, Refused> {
        if let Some(concurrent) = &mut self.concurrent {
            return Ok(concurrent.next());
        }
        self.runtime.next(now)?;
        let (sender, receiver) = oneshot::channel();
        self.runtime_waits = Some(sender);
        Ok(receiver)
    }

    /// The runtime calls `restore/next`: the receiver is told of the restore.
    pub(crate) fn runtime_restore_next(&mut self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.restore_waits = Some(sender);
        if self.is_restored {
            self.restore();
        }
        receiver
    }

    /// Whether the runtime is ready for a snapshot.
    pub(crate) fn waits_for_restore(&self) -> bool {
        self.restore_waits.is_some()
    }

    pub(crate) fn restore(&mut self) {
        self.is_restored = true;
        // If the connection is gone, the runtime calls again.
        self.restore_waits.take().map(|waits| waits.send(()));
    }

    pub(crate) fn tell_runtime(&mut self, event: RuntimeEvent) -> Result<(), Refused> {
        self.runtime.invoke(&event.request_id)?;
        if let Some(waits) = self.runtime_waits.take() {
            let _ = waits.send(event);
        }
        Ok(())
    }

    /// Gives an invocation to one of the calls that wait, where there are many. The receiver gets the answer.
    pub(crate) fn hand_out(&mut self, event: RuntimeEvent) -> Option<oneshot::Receiver<Answered>> {
        self.concurrent.as_mut()?.hand_out(event)
    }

    pub(crate) fn runtime_responds(
        &mut self,
        request_id: &str,
        result: Result<Response, FunctionError>,
        now: Instant,
    ) -> Result<(), Refused> {
        match &mut self.concurrent {
            Some(concurrent) => concurrent.respond(request_id, result, now),
            None => self.runtime.respond(request_id, result, now),
        }
    }

    /// Whether the runtime waits for an invocation.
    pub(crate) fn has_idle_runtime(&self) -> bool {
        self.concurrent.as_ref().map_or_else(|| self.runtime.is_ready(), Concurrent::is_idle)
    }

    /// Whether the extension has nothing to do, or takes no part in invocations.
    pub(crate) fn extension_is_done(&self) -> bool {
        self.extension.as_ref().is_none_or(Extension::is_ready)
    }

    pub(crate) fn extension_wants(&self, event: Lifecycle) -> bool {
        self.extension.as_ref().is_some_and(|extension| extension.wants(event))
    }

    pub(crate) fn extension_has_registered(&self) -> bool {
        self.extension.as_ref().is_some_and(Extension::has_registered)
    }

    pub(crate) fn extension_ended(&mut self, status: ExitStatus) {
        if self.shutting_down {
            if let Some(extension) = &mut self.extension {
                extension.exited_at_shutdown(status);
            }
        } else {
            self.fail(Fault::ExtensionCrash(status.to_string()));
        }
    }

    pub(crate) fn runtime_ended(&mut self, status: ExitStatus) {
        if !self.shutting_down {
            self.fail(Fault::RuntimeExit(status.to_string()));
        }
    }

    /// Keeps the first fault.
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

/// The state, shared; whoever waits is told of every change.
#[derive(Debug, Clone)]
pub(crate) struct Board(watch::Sender<State>);

impl Board {
    pub(crate) fn new(state: State) -> Self {
        Self(watch::Sender::new(state))
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.borrow())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut result = None;
        self.0.send_modify(|state| result = Some(change(state)));
        result.expect("`send_modify` calls its closure once")
    }

    /// Waits until the state has a shape, or is faulty and does not have it.
    pub(crate) async fn reached(&self, mut shape: impl FnMut(&State) -> bool) -> Result<(), Fault> {
        let mut changes = self.0.subscribe();
        let state = changes
            .wait_for(|state| state.fault.is_some() || shape(state))
            .await
            .expect("this board keeps the channel open");
        match &state.fault {
            Some(fault) if !shape(&state) => Err(fault.clone()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::SandboxBuilder;

    fn blank() -> State {
        State::new(&SandboxBuilder::default().extension("x").into_settings())
    }

    fn shutdown() -> NextEvent {
        NextEvent::Shutdown { deadline_ms: 1_667_310_231_234, shutdown_reason: "spindown" }
    }

    fn ready_state() -> (State, oneshot::Receiver<NextEvent>) {
        let mut state = blank();
        state.extension.as_mut().expect("made with one").register(vec![Lifecycle::Shutdown]).expect("allowed");
        let event = state.extension_next(Instant::now()).expect("allowed");
        (state, event)
    }

    #[test]
    fn events_have_the_documented_json() {
        let invoke = NextEvent::Invoke {
            deadline_ms: 1,
            request_id: "r".to_owned(),
            invoked_function_arn: "arn".to_owned(),
            tracing: TraceHeader { kind: "X-Amzn-Trace-Id", value: "Root=1".to_owned() },
        };
        let json = |event: &NextEvent| serde_json::to_string(event).expect("plain");
        assert_eq!(
            json(&invoke),
            r#"{"eventType":"INVOKE","deadlineMs":1,"requestId":"r","invokedFunctionArn":"arn","tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}"#
        );
        assert_eq!(
            json(&shutdown()),
            r#"{"eventType":"SHUTDOWN","deadlineMs":1667310231234,"shutdownReason":"spindown"}"#
        );
    }

    #[test]
    fn an_event_goes_to_the_waiting_call() {
        let (mut state, mut event) = ready_state();
        state.tell_extension(shutdown());
        assert!(event.try_recv().is_ok());
        assert!(!state.extension_is_done());
    }

    #[test]
    fn an_event_waits_for_an_extension_that_is_still_running() {
        let (mut state, _invoke) = ready_state();
        state.tell_extension(shutdown());
        state.tell_extension(shutdown());
        let mut event = state.extension_next(Instant::now()).expect("allowed");
        assert!(event.try_recv().is_ok());
    }

    #[test]
    fn the_end_of_the_extension_is_a_crash_even_with_exit_code_0_unless_it_was_told_to_shut_down() {
        let (mut state, _event) = ready_state();
        state.extension_ended(ExitStatus::from_raw(0));
        assert_eq!(state.fault.as_ref().map(Fault::error_type), Some("Extension.Crash"));

        let (mut state, _event) = ready_state();
        state.shutting_down = true;
        state.tell_extension(shutdown());
        state.extension_ended(ExitStatus::from_raw(0));
        assert_eq!(state.fault, None);
    }

    #[test]
    fn the_first_fault_is_kept() {
        let mut state = blank();
        state.fail(Fault::ExtensionInit("A.B".to_owned()));
        state.extension_ended(ExitStatus::from_raw(9));
        assert_eq!(state.fault, Some(Fault::ExtensionInit("A.B".to_owned())));
    }
}
