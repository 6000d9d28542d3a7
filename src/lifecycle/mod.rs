//! From event to event: INVOKE, SHUTDOWN, and what the telemetry tells in between. Everything is decided by the
//! [`machine`]; here its actions are performed, and it is told what came of them.

pub mod machine;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use machine::{Action, Event, Machine, Moment, Policies, Wait};
use spool::SealReason;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::deadline::{Deadline, now_ms};
use crate::identity;
use crate::intake::Intake;
use crate::metrics::{Figures, Metrics};
use crate::runtime_api::client::Client;
use crate::runtime_api::event::{ExtensionId, NextEvent, RequestId};
use crate::runtime_api::next_policy::{AfterFailedNext, NextFailures};
use crate::supervision;
use crate::upload::uploader::Uploader;

/// A machine that panics is begun anew so often; then the environment is only kept going.
const PANICS_MAX: u32 = 3;
/// The failure of `next` in a row that is told: fewer may pass by themselves, and more have the same cause.
const TOLD_FAILURE: u32 = 4;

/// Why the lifecycle has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// SHUTDOWN was handled.
    Shutdown,
    /// Nobody answers any more.
    PlatformGone,
}

/// What the lifecycle is connected to.
pub struct Links {
    /// The platform.
    pub client: Client,
    /// Who we are for it.
    pub id: ExtensionId,
    /// Seals.
    pub intake: Arc<Intake>,
    /// Uploads.
    pub uploader: Uploader,
    /// What has happened, for the machine; and the other end of it, for what the lifecycle itself has to tell.
    pub events: (UnboundedSender<Event>, UnboundedReceiver<Event>),
    /// Set when the first `next` is on its way, or was answered where the process may be copied meanwhile.
    pub asked: watch::Sender<bool>,
    /// Tells how the process fares; `None` if nobody wants to know.
    pub metrics: Option<Metrics>,
}

/// The loop over everything that happens.
pub struct Lifecycle {
    links: Links,
    policies: Policies,
    machine: Machine,
    began: Instant,
    next: Option<NextCall>,
    panics: u32,
    /// The event that ends the environment, once it was told.
    last: Option<Event>,
    end: Ended,
    is_over: bool,
    /// The process may be copied; until the first event.
    may_be_copied: bool,
}

type NextCall = Pin<Box<dyn Future<Output = Option<NextEvent>> + Send>>;

/// Calls `next` until it answers. `asked` is called each time a request is on its way.
pub async fn next_event(client: &Client, id: &ExtensionId, asked: impl Fn()) -> Option<NextEvent> {
    let (mut failures, mut in_a_row) = (NextFailures::default(), 0);
    loop {
        let error = match client.next(id, &asked).await {
            Ok(event) => return Some(event),
            Err(error) => error,
        };
        // Where nobody listens for long, that is told in the end.
        in_a_row += u32::from(!error.is_connection_refused());
        match failures.failed(&error, now_ms()) {
            AfterFailedNext::RetryAfter(wait) => {
                if in_a_row == TOLD_FAILURE {
                    crate::warn!(
                        "error={:?} The platform does not hand out events; it is asked again and again.",
                        error.to_string()
                    );
                } else {
                    crate::debug!("error={:?} The platform did not hand out an event.", error.to_string());
                }
                tokio::time::sleep(wait).await;
            }
            AfterFailedNext::PlatformGone => {
                crate::warn!("error={:?} The platform is gone.", error.to_string());
                return None;
            }
        }
    }
}

impl Lifecycle {
    /// A lifecycle that has registered and subscribed, and has not called `next` yet.
    pub fn new(links: Links, policies: Policies) -> Self {
        let began = Instant::now();
        let machine = Machine::new(policies.clone(), rng(), &moment(&links.intake, began));
        let end = Ended::PlatformGone;
        Self {
            links,
            policies,
            machine,
            began,
            next: None,
            panics: 0,
            last: None,
            end,
            is_over: false,
            may_be_copied: false,
        }
    }

    /// The process is copied while it waits for its first event (SnapStart).
    pub fn copied(mut self) -> Self {
        self.may_be_copied = true;
        self.machine.hold_back();
        self
    }

    /// How everything stands.
    pub fn figures(&self) -> Figures {
        let oldest_age_ms = self.machine.oldest_age_ms().and_then(|age_ms| u64::try_from(age_ms).ok());
        Figures {
            stand: self.links.intake.stand(),
            uploaded: self.links.uploader.totals(),
            counts: self.machine.counts(),
            waiting: self.links.uploader.waiting().len() as u64,
            oldest_age_ms: oldest_age_ms.unwrap_or(0),
            panics: supervision::panics(),
        }
    }

    /// The metrics, for their last line.
    pub fn take_metrics(&mut self) -> Option<Metrics> {
        self.links.metrics.take()
    }

    /// Runs until the environment ends.
    pub async fn run(&mut self) -> Ended {
        if self.may_be_copied {
            let intake = &self.links.intake;
            // What cannot be kept apart is stored all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| intake.may_be_copied(now_ms())));
        }
        self.call_next();
        loop {
            let event = self.event().await;
            self.handle(event);
            // What came of it is known at once: nothing is decided without it.
            while let Ok(event) = self.links.events.1.try_recv() {
                self.handle(event);
            }
            if self.is_over {
                return self.end;
            }
            self.tell_metrics();
        }
    }

    /// Behind what has happened, so that nothing waits for it. Metrics that panic are told no more. A line is written by a thread,
    /// and none may be in a snapshot.
    fn tell_metrics(&mut self) {
        if self.may_be_copied {
            return;
        }
        let now_ms = now_ms();
        let Some(mut metrics) = self.links.metrics.take_if(|metrics| metrics.are_due(now_ms)) else { return };
        let told = catch_unwind(AssertUnwindSafe(|| {
            metrics.tell(&self.figures(), now_ms);
            metrics
        }));
        self.links.metrics = told.ok();
    }

    /// Waits for what happens next.
    async fn event(&mut self) -> Event {
        let alarm_ms = if self.is_broken() { machine::TICK_MS } else { self.machine.alarm_in() };
        let alarm = Duration::from_millis(u64::try_from(alarm_ms).unwrap_or(0));
        tokio::select! {
            answer = answered(&mut self.next) => self.told(answer),
            Some(event) = self.links.events.1.recv() => event,
            () = tokio::time::sleep(alarm) => Event::Time,
        }
    }

    /// The platform has answered `next`.
    fn told(&mut self, answer: Option<NextEvent>) -> Event {
        self.next = None;
        if !matches!(answer, Some(NextEvent::Other)) {
            self.is_not_copied_any_more();
        }
        match answer {
            Some(NextEvent::Invoke { deadline_ms, request_id }) => {
                Event::Invoke { request_id: RequestId(request_id), deadline: Deadline::of_event(deadline_ms, now_ms()) }
            }
            Some(NextEvent::Shutdown { deadline_ms, shutdown_reason }) => {
                crate::info!("reason={shutdown_reason} The environment ends.");
                self.end = Ended::Shutdown;
                Event::Shutdown { deadline: Deadline::of_event(deadline_ms, now_ms()) }
            }
            Some(NextEvent::Other) => {
                self.call_next();
                Event::Time
            }
            None => Event::PlatformGone,
        }
    }

    /// What the platform tells first, it tells this process and none of its copies.
    fn is_not_copied_any_more(&mut self) {
        if std::mem::take(&mut self.may_be_copied) {
            let intake = &self.links.intake;
            let _ = catch_unwind(AssertUnwindSafe(|| intake.is_not_copied_any_more(now_ms())));
            self.machine.reseed(rng());
            self.links.asked.send_replace(true);
        }
    }

    /// A panic must not end the process: that would be `Extension.Crash` for the function. The hook has said where it was.
    fn handle(&mut self, event: Event) {
        if matches!(event, Event::Shutdown { .. } | Event::PlatformGone) {
            self.last = Some(event.clone());
        }
        if self.is_broken() {
            return self.keep_going();
        }
        let handled = catch_unwind(AssertUnwindSafe(|| {
            let at = moment(&self.links.intake, self.began);
            let actions = self.machine.on(event, &at);
            self.tell_wait();
            for action in actions {
                self.perform(action);
            }
        }));
        if handled.is_err() {
            self.begin_anew();
        }
    }

    fn tell_wait(&mut self) {
        if let Some(Wait { failures, blind_probes, wait_ms, is_open }) = self.machine.take_new_wait() {
            crate::debug!(
                "failures={failures} blind_probes={blind_probes} in_ms={wait_ms} outage={is_open} The store is asked again later."
            );
        }
    }

    fn perform(&mut self, action: Action) {
        let Links { intake, uploader, events, .. } = &self.links;
        match action {
            Action::CheckPlace => intake.check_place(now_ms()),
            Action::Seal(reason) => {
                let held_records = intake.seal(reason, now_ms());
                // The other end is ours.
                let _ = events.0.send(Event::Sealed { held_records });
            }
            Action::WriteEnd => intake.end(now_ms()),
            Action::StartUpload { id, place, attempt } => uploader.start(id, place, attempt),
            Action::CancelUpload { id, attempt } => uploader.cancel(id, attempt),
            Action::CloseConnections => uploader.close_idle(),
            Action::Decided(request_id, plan) => {
                crate::debug!("request={} plan={plan:?} An invocation has begun.", request_id.0);
            }
            Action::CallNext => self.call_next(),
            Action::Exit => self.is_over = true,
        }
    }

    /// Another machine, which knows nothing but what waits, and whether the environment ends. After some panics there is none:
    /// logs are stored, and nobody is held.
    fn begin_anew(&mut self) {
        self.panics += 1;
        self.links.uploader.cancel_all();
        if self.is_broken() {
            crate::error!("panics={} The lifecycle is broken; logs are stored and left to the next life.", self.panics);
            return self.keep_going();
        }
        let machine = Machine::new(self.policies.clone(), rng(), &moment(&self.links.intake, self.began));
        self.machine = machine.counting_from(self.machine.counts());
        if self.may_be_copied {
            self.machine.hold_back();
        }
        let waiting = self.links.uploader.waiting().into_iter().map(Event::Added);
        for event in waiting.chain(self.last.clone()) {
            // The other end is ours.
            let _ = self.links.events.0.send(event);
        }
        if self.last.is_none() {
            self.keep_going();
        }
    }

    fn is_broken(&self) -> bool {
        self.panics >= PANICS_MAX
    }

    /// What is done without a machine.
    fn keep_going(&mut self) {
        if self.last.is_none() {
            if self.next.is_none() {
                self.call_next();
            }
        } else if !std::mem::replace(&mut self.is_over, true) {
            // One of these may be what has panicked before.
            let intake = &self.links.intake;
            let _ = catch_unwind(AssertUnwindSafe(|| intake.end(now_ms())));
            let _ = catch_unwind(AssertUnwindSafe(|| intake.seal(SealReason::Shutdown, now_ms())));
        }
    }

    fn call_next(&mut self) {
        let Links { client, id, asked, .. } = &self.links;
        let (client, id, asked) = (client.clone(), id.clone(), asked.clone());
        // What begins behind the first `next` must not begin before a snapshot: no thread and no file of it is in there.
        let may_begin = !self.may_be_copied;
        self.next = Some(Box::pin(async move {
            let asked = || {
                if may_begin {
                    asked.send_replace(true);
                }
            };
            next_event(&client, &id, asked).await
        }));
    }
}

/// The answer to `next`, if it was called.
async fn answered(next: &mut Option<NextCall>) -> Option<NextEvent> {
    match next {
        Some(next) => next.await,
        None => std::future::pending().await,
    }
}

fn moment(intake: &Intake, began: Instant) -> Moment {
    let monotonic_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
    Moment { wall_ms: now_ms(), monotonic_ms, active: intake.active() }
}

/// From the kernel, so that clones of a snapshot do not retry in step.
fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(identity::random_u64())
}
