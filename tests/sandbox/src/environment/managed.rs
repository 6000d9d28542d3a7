//! The lifecycle on Lambda Managed Instances: invocations run beside each other, nothing is frozen, and nothing is reset.
//!
//! * The extension hears of SHUTDOWN and of nothing else.
//! * An invocation ends with `platform.report`. One that takes too long is reported, and goes on running.
//! * When extension or function ends, the environment does: what runs fails, and so does whatever comes later.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::concurrent::Answered;
use super::fault::Fault;
use super::invoke::{Invocation, InvokeOrder, Outcome, Running};
use super::state::{RuntimeEvent, State};
use super::tear_down::{Shutdown, ShutdownReason};
use super::{Environment, Order, epoch_ms};
use crate::environment::runtime::FunctionError;

/// Why invocations are not taken any more; none runs.
enum Closed {
    Shutdown(ShutdownReason, oneshot::Sender<Shutdown>),
    Fault(Fault, VecDeque<InvokeOrder>),
    /// The owner is gone.
    Abandoned,
}

type Orders = mpsc::UnboundedReceiver<Order>;

impl Environment {
    pub(super) async fn run_managed(&mut self, mut orders: Orders) {
        match self.serve(&mut orders).await {
            Closed::Abandoned => {}
            Closed::Shutdown(reason, done) => {
                let shutdown = self.tear_down(reason, |_| ()).await;
                self.telemetry.close();
                let _ = done.send(shutdown);
            }
            Closed::Fault(fault, unserved) => {
                let shutdown = self.tear_down(ShutdownReason::Failure, |_| ()).await;
                self.telemetry.close();
                unserved.into_iter().for_each(|order| refuse(order, &fault));
                refuse_all(orders, &fault, shutdown).await;
            }
        }
    }

    /// Runs as many invocations at a time as the runtime asks for; more wait for their turn.
    async fn serve(&self, orders: &mut Orders) -> Closed {
        let mut running = FuturesUnordered::new();
        let mut waiting = VecDeque::new();
        let mut shutdown = None;
        let fault = loop {
            if waiting.is_empty() && running.is_empty() && shutdown.is_some() {
                break None;
            }
            tokio::select! {
                biased;
                Err(fault) = self.board.reached(|_| false) => break Some(fault),
                Some(invocation) = running.next() => deliver(invocation),
                Ok(()) = self.board.reached(State::has_idle_runtime), if !waiting.is_empty() => {
                    if let Some(order) = waiting.pop_front() {
                        running.push(self.run_one(order));
                    }
                }
                order = orders.recv(), if shutdown.is_none() => match order {
                    Some(Order::Invoke(order)) => waiting.push_back(order),
                    Some(Order::Shutdown { reason, done }) => shutdown = Some((reason, done)),
                    // Refused before it is ordered.
                    Some(Order::Reset { .. } | Order::Snapshot { .. }) => {}
                    None => return Closed::Abandoned,
                },
            }
        };
        while let Some(invocation) = running.next().await {
            deliver(invocation);
        }
        match (fault, shutdown) {
            (Some(fault), shutdown) => {
                if let Some((reason, done)) = shutdown {
                    return Closed::Shutdown(reason, done);
                }
                Closed::Fault(fault, waiting)
            }
            (None, Some((reason, done))) => Closed::Shutdown(reason, done),
            (None, None) => Closed::Abandoned,
        }
    }

    /// Begins an invocation at once; what is returned waits for its end.
    fn run_one(&self, order: InvokeOrder) -> impl Future<Output = (Invocation, oneshot::Sender<Invocation>)> + '_ {
        let InvokeOrder { request_id, payload, caller, done } = order;
        let mut running = Running::new(request_id, payload, caller);
        running.begin();
        self.report_start(&running);
        let deadline = running.begun + self.settings.function_timeout;
        let event = RuntimeEvent {
            request_id: running.request_id.clone(),
            deadline_ms: epoch_ms(running.wall(deadline)),
            invoked_function_arn: self.settings.function_arn(),
            trace: running.tracing.value.clone(),
            payload: running.payload.clone(),
        };
        let answer = self.board.change(|state| state.hand_out(event));
        async move {
            let answered = async {
                match answer {
                    Some(answer) => answer.await,
                    // The runtime that waited is gone: its end is the fault.
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                biased;
                Ok(answered) = answered => Ok(answered),
                Err(fault) = self.board.reached(|_| false) => Err(fault),
                () = sleep_until(deadline) => Err(self.timed_out()),
            };
            (self.finish_one(running, result).await, done)
        }
    }

    async fn finish_one(&self, mut running: Running, result: Result<Answered, Fault>) -> Invocation {
        let outcome = match result {
            Ok((result, responded)) => {
                running.responded = Some(responded);
                running.runtime_done = Some(responded);
                running.respond(result);
                if let Some(runtime) = &self.runtime {
                    runtime.drain_output().await;
                }
                Outcome::Success
            }
            Err(fault) => {
                running.runtime_done = Some(tokio::time::Instant::now());
                running.respond(Err(error_of(&running.request_id, &fault)));
                Outcome::Fault(fault)
            }
        };
        self.report_managed(&running, outcome.fault());
        running.finish(outcome)
    }
}

fn deliver((invocation, done): (Invocation, oneshot::Sender<Invocation>)) {
    // The caller may not care for the end of the invocation.
    let _ = done.send(invocation);
}

pub(super) fn error_of(request_id: &str, fault: &Fault) -> FunctionError {
    FunctionError {
        error_type: fault.error_type().to_owned(),
        message: format!("RequestId: {request_id} Error: {fault}"),
        body: Bytes::new(),
    }
}

fn refuse(order: InvokeOrder, fault: &Fault) {
    let InvokeOrder { request_id, payload, caller, done } = order;
    let mut running = Running::new(request_id, payload, caller);
    running.respond(Err(error_of(&running.request_id, fault)));
    let _ = done.send(running.finish(Outcome::Fault(fault.clone())));
}

/// The environment is gone, and no other one takes its place.
async fn refuse_all(mut orders: Orders, fault: &Fault, shutdown: Shutdown) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Invoke(order) => refuse(order, fault),
            Order::Reset { .. } | Order::Snapshot { .. } => {}
            Order::Shutdown { done, .. } => {
                let _ = done.send(shutdown);
                return;
            }
        }
    }
}
