//! Telemetry of one environment: from an event to an answered POST.
//!
//! [`Telemetry`] is the handle that the rest of the sandbox speaks to; [`relay`] decides, [`pump`] moves bodies.

mod awake;
mod batch;
mod client;
mod cut;
pub(crate) mod event;
mod pump;
mod relay;
mod subscription;
pub(crate) mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use batch::Buffering;
pub use event::{LogFormat, Status};
pub use subscription::{SchemaVersion, Subscription};

use crate::course::{Course, Happening};
use crate::ledger::{Category, Ledger};
pub(crate) use relay::Rules;
use relay::{Answer, Body, Relay};

/// After the extension's death its last body has this long to come to an end before it is cut off.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Handle to the telemetry of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    relay: Arc<Mutex<Relay>>,
    course: Course,
    /// Wakes the pump: there may be something to send, or a timer has changed.
    changed: Arc<Notify>,
    /// Wakes those who wait for the body in flight.
    settled: Arc<Notify>,
    /// Tells the pump to cut the body in flight.
    cut: Arc<Notify>,
    /// Tells the pump that the extension is dead.
    gone: Arc<Notify>,
    /// Wakes those who watch the ledger.
    said: Arc<Notify>,
}

impl Telemetry {
    pub(crate) fn new(rules: Rules, course: Course) -> Self {
        Self {
            relay: Arc::new(Mutex::new(Relay::new(Instant::now(), SystemTime::now(), rules))),
            course,
            changed: Arc::default(),
            settled: Arc::default(),
            cut: Arc::default(),
            gone: Arc::default(),
            said: Arc::default(),
        }
    }

    /// Moves bodies for ever; ends when its task is aborted.
    pub(crate) async fn pump(self) {
        pump::run(self).await;
    }

    fn relay(&self) -> MutexGuard<'_, Relay> {
        // A panic of another holder fails its own test; the relay's data is still what this one needs to report.
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Relay, Instant) -> T) -> T {
        let result = change(&mut self.relay(), Instant::now());
        self.changed.notify_one();
        self.said.notify_waiters();
        result
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.relay().ledger().clone()
    }

    pub(crate) async fn until(&self, mut condition: impl FnMut(&Ledger) -> bool) {
        loop {
            let said = self.said.notified();
            if condition(self.relay().ledger()) {
                return;
            }
            said.await;
        }
    }

    pub(crate) fn platform(&self, kind: &str, record: &impl Serialize) {
        let record = wire::to_raw(record);
        self.change(|relay, now| relay.platform(kind, record, now));
    }

    pub(crate) fn line(&self, category: Category, line: String) {
        self.change(|relay, now| relay.line(category, line, now));
    }

    pub(crate) fn begin_init(&self) {
        self.change(|relay, _| relay.begin_init());
    }

    pub(crate) fn subscribe(&self, extension: &str, subscription: Subscription) {
        let announcement = wire::to_raw(&event::TelemetrySubscription {
            name: extension,
            state: "Subscribed",
            types: &subscription.categories,
        });
        self.change(|relay, now| {
            relay.subscribe(subscription, now);
            relay.platform("platform.telemetrySubscription", announcement, now);
        });
    }

    /// A subscription from before a snapshot holds on.
    pub(crate) fn resume(&self, subscription: Subscription) {
        self.change(|relay, now| relay.subscribe(subscription, now));
    }

    pub(crate) fn end_init(&self) {
        self.change(|relay, _| relay.end_init());
    }

    pub(crate) fn flush(&self) {
        self.change(Relay::flush);
    }

    /// Freezes telemetry as soon as no body is in flight.
    pub(crate) async fn freeze(&self) {
        loop {
            let settled = self.settled.notified();
            if self.change(Relay::try_freeze) {
                return;
            }
            settled.await;
        }
    }

    pub(crate) fn thaw(&self) {
        self.change(Relay::thaw);
    }

    /// The extension is dead: waits for the fate of its last body, then gives up what it was not given.
    pub(crate) async fn subscriber_gone(&self) {
        self.change(|relay, _| relay.subscriber_gone());
        self.gone.notify_waiters();
        if tokio::time::timeout(LAST_ANSWER_TIMEOUT, self.in_flight_settled()).await.is_err() {
            self.cut.notify_one();
            self.in_flight_settled().await;
        }
    }

    async fn in_flight_settled(&self) {
        loop {
            let settled = self.settled.notified();
            if !self.relay().is_in_flight() {
                return;
            }
            settled.await;
        }
    }

    pub(crate) fn close(&self) {
        self.change(|relay, _| relay.close());
    }

    fn take_body(&self) -> Option<(u16, Body)> {
        let taken = self.relay().take_body(Instant::now());
        if let Some((_, body)) = &taken {
            self.course.note(Happening::BodySent { events: body.whole_events(), bytes: body.json.len() });
        }
        taken
    }

    fn answered(&self, body: Body, answer: Answer) {
        self.course.note(Happening::BodyAnswered { acknowledged: answer == Answer::Accepted });
        self.change(|relay, now| relay.answered(body, answer, now));
        self.settled.notify_waiters();
    }
}
