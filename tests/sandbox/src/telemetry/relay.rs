//! The platform's end of telemetry: what is buffered, what is in flight, what is given up. Decisions only, no I/O.
//!
//! Rules, as AWS's emulator keeps them:
//! * One body is in flight at a time. A batch that becomes due meanwhile is dropped whole and declared by a
//!   `platform.logsDropped` (the queue rule).
//! * A body that is refused or cannot be sent is dropped and declared, too. With `redeliver` it is offered again
//!   instead.
//! * Events from before the subscription wait in a backlog and are replayed to the new subscriber.
//! * When the extension ends, what is buffered is never handed over. With `redeliver` it goes to the next subscriber.
//! * Without the queue rule a batch that is due waits until the body in flight is answered.
//! * A record larger than `maxBytes` comes in several bodies, one behind the other (see [`super::cut`]). If one of them is
//!   dropped, so are those behind it.
//! * Nothing becomes due while the environment is frozen.
//!
//! Instants come in as arguments. What is due is decided in awake time (see [`super::awake`]); the `time` of an event
//! is the wall clock's, as it was at the beginning and has gone on since.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::awake::AwakeClock;
use super::batch::{Batch, Batcher};
use super::cut::{Part, parts};
use super::event::{self, LogFormat, LogsDropped};
use super::subscription::{SchemaVersion, Subscription};
use super::wire;
use crate::ledger::{Category, Fate, Ledger};
use tokio::time::Instant;

/// Pause before a body is offered again when `redeliver` is on.
const REDELIVER_PAUSE: Duration = Duration::from_millis(100);

/// Reason of `platform.logsDropped` when the queue rule strikes, in the words of the schema reference.
pub(crate) const SLOW_CONSUMER: &str =
    "Some logs were dropped because the downstream consumer is slower than the logs production rate";

/// One telemetry POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// What has not been accepted yet of its batch.
    pub(crate) batch: Batch,
    pub(crate) json: Bytes,
    /// Events that are whole when this is accepted.
    whole: Vec<usize>,
    /// What has to follow before anything else: the batch holds a record that was cut.
    rest: VecDeque<Part>,
}

/// How a POST ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Answered with success.
    Accepted,
    /// Answered with anything else.
    Refused(String),
    /// Not answered. `handed_over` tells whether bytes of the body were given to the connection.
    Failed { handed_over: bool, error: String },
}

/// An event from before the subscription. A line keeps its text, since its shape depends on the schema asked for.
#[derive(Debug)]
struct Waiting {
    event: usize,
    line: Option<String>,
}

impl Body {
    /// How many events are whole when this is accepted.
    pub(crate) fn whole_events(&self) -> usize {
        self.whole.len()
    }

    /// What follows on this one, which was accepted.
    fn goes_on(mut self) -> Option<Self> {
        let Part { events, json } = self.rest.pop_front()?;
        self.batch.events.retain(|event| !self.whole.contains(event));
        Some(Self { json, whole: events, ..self })
    }
}

#[derive(Debug)]
struct Subscriber {
    subscription: Subscription,
    batcher: Batcher,
}

/// The body slot: at most one body is on its way.
#[derive(Debug, Default)]
enum Slot {
    #[default]
    Free,
    /// Waits for the pump, which may take it at this time.
    Offered {
        body: Body,
        not_before: Duration,
    },
    InFlight,
}

/// What can be chosen about delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) log_format: LogFormat,
    /// Whether a batch that is due while a body is in flight is dropped.
    pub(crate) queue_rule: bool,
    /// Whether what was not acknowledged is offered again.
    pub(crate) redeliver: bool,
}

/// State of one environment's telemetry, over all lives of its extension.
#[derive(Debug)]
pub(crate) struct Relay {
    clock: AwakeClock,
    origin: (Instant, SystemTime),
    rules: Rules,
    ledger: Ledger,
    subscriber: Option<Subscriber>,
    /// Open from the start of an Init until it is over.
    backlog_open: bool,
    backlog: Vec<Waiting>,
    /// What the last subscriber asked for: tells whom events are addressed to while none lives.
    addressed: Vec<Category>,
    slot: Slot,
    /// With `redeliver`: bodies whose answer never came, for the next subscriber.
    unanswered: Vec<Body>,
}

impl Relay {
    /// `wall` is the wall-clock time at `origin`.
    pub(crate) fn new(origin: Instant, wall: SystemTime, rules: Rules) -> Self {
        Self {
            clock: AwakeClock::new(origin),
            origin: (origin, wall),
            rules,
            ledger: Ledger::default(),
            subscriber: None,
            backlog_open: false,
            backlog: Vec::new(),
            addressed: Vec::new(),
            slot: Slot::Free,
            unanswered: Vec::new(),
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    // === life of the environment ===

    pub(crate) fn begin_init(&mut self) {
        self.backlog_open = true;
    }

    /// The subscription is accepted: everything said since the start of Init is replayed. A second subscription
    /// replaces the first.
    pub(crate) fn subscribe(&mut self, subscription: Subscription, now: Instant) {
        self.addressed.clone_from(&subscription.categories);
        let schema = subscription.schema;
        let batcher = Batcher::new(subscription.buffering);
        let replaced = self.subscriber.replace(Subscriber { batcher, subscription });
        self.offer_unanswered(now);
        for event in replaced.and_then(|mut replaced| replaced.batcher.take()).unwrap_or_default().events {
            self.route(event, None, now);
        }
        for Waiting { event, line } in std::mem::take(&mut self.backlog) {
            if let Some(line) = line {
                let time = self.ledger.event(event).time.clone();
                self.ledger.replace_record(event, event::line_record(&line, &time, self.rules.log_format, schema));
            }
            self.route(event, None, now);
        }
    }

    /// Init is over: who has not subscribed gets nothing.
    pub(crate) fn end_init(&mut self) {
        self.backlog_open = false;
        if self.subscriber.is_none() {
            self.give_up_backlog();
        }
    }

    /// The extension is gone: what it was not given stays where it is.
    pub(crate) fn subscriber_gone(&mut self) {
        self.backlog_open = false;
        let buffered = self.subscriber.take().and_then(|mut subscriber| subscriber.batcher.take()).unwrap_or_default();
        let offered = match std::mem::take(&mut self.slot) {
            Slot::Offered { body, .. } => Some(body),
            Slot::InFlight => {
                self.slot = Slot::InFlight;
                None
            }
            Slot::Free => None,
        };
        if self.rules.redeliver {
            self.unanswered.extend(offered);
            self.backlog.extend(buffered.events.into_iter().map(|event| Waiting { event, line: None }));
        } else {
            let offered = offered.map(|body| body.batch.events).unwrap_or_default();
            self.settle_unless_in_doubt(&offered, Fate::NeverHandedOver);
            self.ledger.settle(&buffered.events, Fate::NeverHandedOver);
            self.give_up_backlog();
        }
    }

    pub(crate) fn close(&mut self) {
        self.subscriber_gone();
        self.ledger.close();
    }

    /// Freezes time, unless a body is in flight.
    pub(crate) fn try_freeze(&mut self, now: Instant) -> bool {
        let quiet = !matches!(self.slot, Slot::InFlight);
        if quiet {
            self.clock.freeze(now);
        }
        quiet
    }

    pub(crate) fn thaw(&mut self, now: Instant) {
        self.clock.thaw(now);
        self.hand_over_due(now);
    }

    // === events ===

    fn timestamp(&self, now: Instant) -> String {
        let (origin, wall) = self.origin;
        wire::timestamp(wall + now.saturating_duration_since(origin))
    }

    pub(crate) fn platform(&mut self, kind: &str, record: Box<RawValue>, now: Instant) {
        let event = self.ledger.add(Category::Platform, self.timestamp(now), kind, record, Fate::Pending);
        self.route(event, None, now);
    }

    pub(crate) fn line(&mut self, category: Category, line: String, now: Instant) {
        let time = self.timestamp(now);
        let schema = self.subscriber.as_ref().map_or(SchemaVersion::V2025_01_29, |it| it.subscription.schema);
        let record = event::line_record(&line, &time, self.rules.log_format, schema);
        let kind = match category {
            Category::Extension => "extension",
            Category::Function | Category::Platform => "function",
        };
        let event = self.ledger.add(category, time, kind, record, Fate::Pending);
        self.route(event, Some(line), now);
    }

    fn route(&mut self, event: usize, line: Option<String>, now: Instant) {
        let at = self.clock.at(now);
        if let Some(subscriber) = &mut self.subscriber {
            let said = self.ledger.event(event);
            if subscriber.subscription.categories.contains(&said.category) {
                subscriber.batcher.push(event, said.to_json().len(), at);
                self.hand_over_due(now);
            } else {
                self.ledger.settle(&[event], Fate::NotSubscribed);
            }
        } else if self.backlog_open || self.rules.redeliver {
            self.backlog.push(Waiting { event, line });
        } else {
            self.give_up(event);
        }
    }

    fn give_up_backlog(&mut self) {
        for waiting in std::mem::take(&mut self.backlog) {
            self.give_up(waiting.event);
        }
    }

    fn give_up(&mut self, event: usize) {
        let addressed = self.addressed.contains(&self.ledger.event(event).category);
        self.ledger.settle(&[event], if addressed { Fate::NeverHandedOver } else { Fate::NotSubscribed });
    }

    // === bodies ===

    /// When time alone will change something; `None` when only an event or an answer can.
    pub(crate) fn wakes_in(&self, now: Instant) -> Option<Duration> {
        if self.clock.is_frozen() {
            return None;
        }
        let late_at = self.subscriber.as_ref().and_then(|subscriber| subscriber.batcher.late_at());
        let late_at = late_at.filter(|_| !self.is_waiting_for_the_slot());
        let offered_at = match &self.slot {
            Slot::Offered { not_before, .. } => Some(*not_before),
            Slot::Free | Slot::InFlight => None,
        };
        let next = late_at.into_iter().chain(offered_at).min()?;
        Some(next.saturating_sub(self.clock.at(now)))
    }

    /// Applies the queue rule to whatever is due by now.
    pub(crate) fn hand_over_due(&mut self, now: Instant) {
        if self.clock.is_frozen() || self.is_waiting_for_the_slot() {
            return;
        }
        let at = self.clock.at(now);
        if let Some(batch) = self.subscriber.as_mut().and_then(|subscriber| subscriber.batcher.take_due(at)) {
            self.hand_over(batch, now);
        }
    }

    /// Hands over what is buffered although it is not due: an input stream has closed.
    pub(crate) fn flush(&mut self, now: Instant) {
        let at = self.clock.at(now);
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.batcher.expire(at);
        }
        self.hand_over_due(now);
    }

    fn is_waiting_for_the_slot(&self) -> bool {
        !self.rules.queue_rule && !matches!(self.slot, Slot::Free)
    }

    fn hand_over(&mut self, batch: Batch, now: Instant) {
        if matches!(self.slot, Slot::Free) {
            self.slot = Slot::Offered { body: self.body(batch), not_before: Duration::ZERO };
        } else {
            self.drop_declared(&batch, SLOW_CONSUMER.to_owned(), now);
        }
    }

    fn body(&self, batch: Batch) -> Body {
        let bytes_max = self.subscriber.as_ref().map_or(usize::MAX, |it| it.subscription.buffering.bytes_max);
        let events = batch.events.iter().map(|&event| (event, self.ledger.event(event).to_json())).collect();
        let mut rest: VecDeque<_> = parts(events, bytes_max).into();
        let Part { events: whole, json } = rest.pop_front().expect("a batch is one body at least");
        Body { batch, json, whole, rest }
    }

    fn drop_declared(&mut self, batch: &Batch, reason: String, now: Instant) {
        self.ledger.settle(&batch.events, Fate::Dropped);
        self.declare_dropped(batch, reason, now);
    }

    fn declare_dropped(&mut self, batch: &Batch, reason: String, now: Instant) {
        let record = LogsDropped { dropped_bytes: batch.bytes, dropped_records: batch.events.len(), reason };
        self.platform("platform.logsDropped", wire::to_raw(&record), now);
    }

    /// The body to be posted now, and where to. It counts as in flight until [`Relay::answered`].
    pub(crate) fn take_body(&mut self, now: Instant) -> Option<(u16, Body)> {
        let port = self.subscriber.as_ref()?.subscription.port;
        let at = self.clock.at(now);
        match std::mem::take(&mut self.slot) {
            Slot::Offered { body, not_before } if not_before <= at && !self.clock.is_frozen() => {
                self.slot = Slot::InFlight;
                Some((port, body))
            }
            other => {
                self.slot = other;
                None
            }
        }
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.slot, Slot::InFlight)
    }

    /// Settles the body that was in flight.
    pub(crate) fn answered(&mut self, body: Body, answer: Answer, now: Instant) {
        self.slot = Slot::Free;
        self.settle(body, answer, now);
        self.hand_over_due(now);
    }

    fn settle(&mut self, body: Body, answer: Answer, now: Instant) {
        match answer {
            Answer::Accepted => {
                self.ledger.settle(&body.whole, Fate::Acknowledged);
                match body.goes_on() {
                    Some(next) => self.offer(next, self.clock.at(now)),
                    None => self.offer_unanswered(now),
                }
            }
            Answer::Refused(_) if self.rules.redeliver => self.offer_again(body, now),
            Answer::Refused(error) => self.drop_declared(&body.batch, format!("could not send events: {error}"), now),
            Answer::Failed { handed_over, error } => {
                let alive = self.subscriber.is_some();
                let fate = match (handed_over, alive) {
                    (true, _) => Fate::InDoubt,
                    (false, true) => Fate::Dropped,
                    (false, false) => Fate::NeverHandedOver,
                };
                if self.rules.redeliver {
                    if handed_over {
                        self.ledger.settle(&body.batch.events, Fate::InDoubt);
                    }
                    self.offer_again(body, now);
                } else {
                    self.settle_unless_in_doubt(&body.batch.events, fate);
                    if alive {
                        self.declare_dropped(&body.batch, format!("could not send events: {error}"), now);
                    }
                }
            }
        }
    }

    /// An event that was once sent without an answer stays in doubt, whatever happens to a later offer of it.
    fn settle_unless_in_doubt(&mut self, events: &[usize], fate: Fate) {
        let unsettled: Vec<usize> =
            events.iter().copied().filter(|&event| self.ledger.entries()[event].fate != Fate::InDoubt).collect();
        self.ledger.settle(&unsettled, fate);
    }

    fn offer_again(&mut self, body: Body, now: Instant) {
        self.offer(body, self.clock.at(now) + REDELIVER_PAUSE);
    }

    fn offer(&mut self, body: Body, not_before: Duration) {
        if self.subscriber.is_some() {
            self.slot = Slot::Offered { body, not_before };
        } else if self.rules.redeliver {
            self.unanswered.push(body);
        } else {
            self.ledger.settle(&body.batch.events, Fate::NeverHandedOver);
        }
    }

    fn offer_unanswered(&mut self, now: Instant) {
        if matches!(self.slot, Slot::Free) && self.subscriber.is_some() && !self.unanswered.is_empty() {
            self.slot = Slot::Offered { body: self.unanswered.remove(0), not_before: self.clock.at(now) };
        }
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
