//! The runtime of an environment that runs many invocations at a time, as a plain value: calls of `next` that wait, and
//! invocations that are not answered.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::runtime::{FunctionError, Refused, Response};
use super::state::RuntimeEvent;

/// What the function answered, and when.
pub(crate) type Answered = (Result<Response, FunctionError>, Instant);

/// One life of such a runtime.
#[derive(Debug, Default)]
pub(crate) struct Concurrent {
    idle: VecDeque<oneshot::Sender<RuntimeEvent>>,
    running: BTreeMap<String, oneshot::Sender<Answered>>,
}

impl Concurrent {
    /// The runtime calls `next`, as often at a time as it likes.
    pub(crate) fn next(&mut self) -> oneshot::Receiver<RuntimeEvent> {
        let (sender, receiver) = oneshot::channel();
        self.idle.push_back(sender);
        receiver
    }

    /// Whether a call of `next` waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle.iter().any(|call| !call.is_closed())
    }

    /// Gives an invocation to the call that has waited longest. The receiver gets the answer. `None` if no call waits.
    pub(crate) fn hand_out(&mut self, mut event: RuntimeEvent) -> Option<oneshot::Receiver<Answered>> {
        let request_id = event.request_id.clone();
        while let Some(call) = self.idle.pop_front() {
            match call.send(event) {
                Ok(()) => {
                    let (sender, receiver) = oneshot::channel();
                    self.running.insert(request_id, sender);
                    return Some(receiver);
                }
                // Its connection is gone.
                Err(unsent) => event = unsent,
            }
        }
        None
    }

    /// Takes the answer to an invocation that runs, once. One whose time is over still runs; nobody hears its answer.
    pub(crate) fn respond(
        &mut self,
        request_id: &str,
        result: Result<Response, FunctionError>,
        now: Instant,
    ) -> Result<(), Refused> {
        let caller = self.running.remove(request_id).ok_or(Refused::InvalidRequestId)?;
        let _ = caller.send((result, now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn event(request_id: &str) -> RuntimeEvent {
        RuntimeEvent {
            request_id: request_id.to_owned(),
            deadline_ms: 7,
            invoked_function_arn: "arn".to_owned(),
            trace: "Root=1".to_owned(),
            payload: Bytes::new(),
        }
    }

    fn response(body: &'static str) -> Result<Response, FunctionError> {
        Ok(Response { content_type: "text/plain".to_owned(), body: Bytes::from_static(body.as_bytes()) })
    }

    #[test]
    fn invocations_run_beside_each_other_and_are_answered_in_any_order_once() {
        let mut runtime = Concurrent::default();
        let mut calls = [runtime.next(), runtime.next()];
        let mut answers = ["a", "b"].map(|id| runtime.hand_out(event(id)).expect("a call waits"));
        assert!(!runtime.is_idle() && runtime.hand_out(event("c")).is_none());
        for (call, id) in calls.iter_mut().zip(["a", "b"]) {
            assert_eq!(call.try_recv().expect("handed out").request_id, id);
        }
        for (at, id) in [(1, "b"), (0, "a")] {
            runtime.respond(id, response(id), Instant::now()).expect("it runs");
            let (result, _) = answers[at].try_recv().expect("answered");
            assert_eq!(result, response(id));
            assert_eq!(runtime.respond(id, response(id), Instant::now()), Err(Refused::InvalidRequestId));
        }
    }

    #[test]
    fn a_call_whose_connection_is_gone_is_given_nothing() {
        let mut runtime = Concurrent::default();
        drop(runtime.next());
        assert!(!runtime.is_idle());
        let mut call = runtime.next();
        assert!(runtime.is_idle() && runtime.hand_out(event("a")).is_some());
        assert_eq!(call.try_recv().expect("handed out").request_id, "a");
    }

    #[test]
    fn an_answer_that_nobody_waits_for_any_more_is_taken() {
        let mut runtime = Concurrent::default();
        let _call = runtime.next();
        drop(runtime.hand_out(event("a")));
        assert_eq!(runtime.respond("a", response("late"), Instant::now()), Ok(()));
    }
}
