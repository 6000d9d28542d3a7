//! From event to event: INVOKE, SHUTDOWN, and what the telemetry tells in between. Decides by the pure policies beside it;
//! here are only the waits.

pub mod drain_policy;
pub mod invocations;
pub mod seal_policy;

use std::sync::Arc;
use std::time::Duration;

use drain_policy::{DrainPolicy, InvokeFacts, InvokePlan};
use invocations::Invocations;
use spool::SealReason;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::deadline::{Deadline, now_ms};
use crate::intake::{Intake, Observed};
use crate::runtime_api::client::Client;
use crate::runtime_api::event::{ExtensionId, NextEvent, RequestId};
use crate::runtime_api::next_policy::{AfterFailedNext, NextFailures};
use crate::upload::uploader::Uploader;

/// How often the clock is looked at while the process runs: ages and hours are due at the first moment it does.
const TICK: Duration = Duration::from_secs(1);
/// Before the end of the stream is written: telemetry that the platform still holds comes within this time.
const SETTLE_MAX: Duration = Duration::from_millis(150);
/// Silence that ends the wait once every invocation has been reported.
const SETTLE_SILENCE: Duration = Duration::from_millis(25);

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
    /// What the telemetry tells.
    pub observed: UnboundedReceiver<Observed>,
    /// Set when the first `next` is on its way.
    pub asked: watch::Sender<bool>,
}

/// The loop over the platform's events.
pub struct Lifecycle {
    links: Links,
    drain: DrainPolicy,
    seal_invocations: Option<u32>,
    invocations: Invocations,
    /// When the last telemetry was observed.
    last_telemetry: Instant,
    held: u64,
    tick: Interval,
}

/// Calls `next` until it answers. `asked` is called each time a request is on its way.
pub async fn next_event(client: &Client, id: &ExtensionId, asked: impl Fn()) -> Option<NextEvent> {
    let mut failures = NextFailures::default();
    loop {
        let error = match client.next(id, &asked).await {
            Ok(event) => return Some(event),
            Err(error) => error,
        };
        match failures.failed(&error, now_ms()) {
            AfterFailedNext::RetryAfter(wait) => {
                crate::debug!("error={:?} The platform did not hand out an event.", error.to_string());
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
    /// A lifecycle that has registered and subscribed, and has not called `next` yet. `seal_invocations` is the number of
    /// invocations after which a segment is sealed, if that is a rule.
    pub fn new(links: Links, drain: DrainPolicy, seal_invocations: Option<u32>) -> Self {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            links,
            drain,
            seal_invocations,
            invocations: Invocations::default(),
            last_telemetry: Instant::now(),
            held: 0,
            tick,
        }
    }

    /// How often `next` was held for an upload.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Runs until the environment ends.
    pub async fn run(&mut self) -> Ended {
        loop {
            match self.event().await {
                Some(NextEvent::Invoke { deadline_ms, request_id }) => {
                    let deadline = Deadline::of_event(deadline_ms, now_ms());
                    self.invocation(&RequestId(request_id), deadline).await;
                }
                Some(NextEvent::Shutdown { deadline_ms, shutdown_reason }) => {
                    crate::info!("reason={shutdown_reason} The environment ends.");
                    self.shutdown(Deadline::of_event(deadline_ms, now_ms())).await;
                    return Ended::Shutdown;
                }
                Some(NextEvent::Other) => {}
                None => {
                    self.links.intake.end(now_ms());
                    self.links.intake.seal(SealReason::Shutdown, now_ms());
                    return Ended::PlatformGone;
                }
            }
        }
    }

    /// Calls `next` and minds the telemetry and the clock until it answers.
    async fn event(&mut self) -> Option<NextEvent> {
        let Links { client, id, asked, .. } = &self.links;
        let (client, id, asked) = (client.clone(), id.clone(), asked.clone());
        let next = next_event(&client, &id, || {
            asked.send_replace(true);
        });
        tokio::pin!(next);
        loop {
            tokio::select! {
                event = &mut next => return event,
                _ = self.mind() => {}
            }
        }
    }

    /// Waits for what the telemetry or the clock tells next, and acts on it. May be dropped at any time.
    async fn mind(&mut self) -> Option<Observed> {
        tokio::select! {
            Some(observed) = self.links.observed.recv() => {
                self.observe(&observed);
                Some(observed)
            }
            _ = self.tick.tick() => {
                self.mind_the_clock();
                None
            }
        }
    }

    async fn invocation(&mut self, request_id: &RequestId, deadline: Deadline) {
        // The process may have been frozen for long: what became due meanwhile is due now.
        self.mind_the_clock();
        self.invocations.begun(request_id);
        let facts = InvokeFacts {
            uploads_waiting: self.links.uploader.has_work(now_ms()),
            seals_at_end: self.seal_invocations.is_some_and(|limit| self.invocations.at_end_since_seal() >= limit),
        };
        let plan = self.drain.on_invoke(facts);
        crate::debug!("request={} plan={plan:?} An invocation has begun.", request_id.0);
        if plan == InvokePlan::NextAtOnce {
            return;
        }
        let wait_until = self.drain.wait_until(deadline, now_ms());
        self.wait_for_end(request_id, wait_until).await;
        self.mind_the_clock();
        self.held += 1;
        self.links.uploader.drained(self.drain.drain_until(wait_until, now_ms())).await;
        self.links.uploader.close_idle();
    }

    /// Waits for `platform.runtimeDone`. It can be lost with other telemetry: once there is evidence of that, the wait is no
    /// longer than the budget.
    async fn wait_for_end(&mut self, request_id: &RequestId, mut wait_until: Deadline) {
        while !self.invocations.is_done(request_id) {
            tokio::select! {
                observed = self.mind() => {
                    if observed == Some(Observed::Lost) {
                        wait_until = self.drain.wait_until_after_loss(wait_until, now_ms());
                    }
                }
                () = tokio::time::sleep(wait_until.remaining(now_ms())) => {
                    crate::debug!("request={} The end of the invocation was not seen.", request_id.0);
                    return;
                }
            }
        }
    }

    fn observe(&mut self, observed: &Observed) {
        self.last_telemetry = Instant::now();
        self.invocations.observe(observed);
        if let Observed::RuntimeDone { failed, .. } = observed {
            // The words of a failed invocation are the ones that somebody waits for.
            if *failed && self.links.intake.seal(SealReason::Error, now_ms()) {
                self.invocations.sealed();
            }
        }
        self.seal_if_due();
    }

    /// Seals what is due, and lets the uploader look at the clock.
    fn mind_the_clock(&mut self) {
        self.links.intake.check_place(now_ms());
        self.seal_if_due();
        self.links.uploader.wake();
    }

    fn seal_if_due(&mut self) {
        if self.links.intake.seal_if_due(self.invocations.ended_since_seal(), now_ms()).is_some() {
            self.invocations.sealed();
        }
    }

    async fn shutdown(&mut self, deadline: Deadline) {
        let deadline = deadline.earlier_by(self.drain.shutdown_margin());
        self.links.uploader.begin_last_round(self.drain.shutdown_uploads());
        self.settle(deadline).await;
        self.links.intake.end(now_ms());
        self.links.intake.seal(SealReason::Shutdown, now_ms());
        self.links.uploader.drained(deadline).await;
    }

    /// Waits until the platform has handed over what it still held: every started invocation is reported, and then some
    /// silence; bounded.
    async fn settle(&mut self, deadline: Deadline) {
        let begun = Instant::now();
        let end = begun + SETTLE_MAX.min(deadline.remaining(now_ms()));
        loop {
            let silent_at =
                if self.invocations.all_reported() { self.last_telemetry.max(begun) + SETTLE_SILENCE } else { end };
            tokio::select! {
                Some(observed) = self.links.observed.recv() => self.observe(&observed),
                () = tokio::time::sleep_until(end.min(silent_at)) => return,
            }
        }
    }
}
