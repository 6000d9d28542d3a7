//! The relay's rules, told as stories without sockets, processes or a clock.

use super::*;
use crate::telemetry::Buffering;

const ITEMS_MAX: usize = 1_000;

const RULES: Rules = Rules { log_format: LogFormat::Text, queue_rule: true, redeliver: false };
const REDELIVERY: Rules = Rules { redeliver: true, ..RULES };

struct Story {
    relay: Relay,
    origin: Instant,
    now: Duration,
}

impl Story {
    fn new() -> Self {
        Self::with(RULES)
    }

    fn with(rules: Rules) -> Self {
        let origin = Instant::now();
        Self { relay: Relay::new(origin, SystemTime::UNIX_EPOCH, rules), origin, now: Duration::ZERO }
    }

    /// A story in which Init is over and `platform` and `function` are subscribed.
    fn subscribed() -> Self {
        Self::subscribed_with(RULES)
    }

    fn subscribed_with(rules: Rules) -> Self {
        let mut story = Self::with(rules);
        story.begin_life();
        story
    }

    fn begin_life(&mut self) {
        self.relay.begin_init();
        self.subscribe(SchemaVersion::V2025_01_29);
        self.relay.end_init();
    }

    fn subscribe(&mut self, schema: SchemaVersion) {
        let subscription = Subscription {
            schema,
            categories: vec![Category::Platform, Category::Function],
            buffering: Buffering { items_max: ITEMS_MAX, bytes_max: 262_144, timeout: Duration::from_millis(25) },
            port: 8123,
        };
        let now = self.instant();
        self.relay.subscribe(subscription, now);
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        let now = self.instant();
        self.relay.hand_over_due(now);
    }

    fn line(&mut self, line: &str) {
        let now = self.instant();
        self.relay.line(Category::Function, line.to_owned(), now);
    }

    /// The body that is due once the timeout has passed.
    fn due_body(&mut self) -> Body {
        self.pass(25);
        self.body().expect("a body is due")
    }

    fn body(&mut self) -> Option<Body> {
        let now = self.instant();
        self.relay.take_body(now).map(|(_, body)| body)
    }

    fn answered(&mut self, body: Body, answer: Answer) {
        let now = self.instant();
        self.relay.answered(body, answer, now);
    }

    fn fates(&self) -> Vec<Fate> {
        self.relay.ledger().entries().iter().map(|entry| entry.fate).collect()
    }

    fn declared(&self) -> Vec<String> {
        let dropped = self.relay.ledger().of_kind("platform.logsDropped");
        dropped.map(|entry| entry.event.record.get().to_owned()).collect()
    }
}

fn failed(handed_over: bool) -> Answer {
    Answer::Failed { handed_over, error: "connection reset".to_owned() }
}

fn text(body: &Body) -> &str {
    std::str::from_utf8(&body.json).expect("JSON")
}

#[test]
fn a_body_is_the_array_of_its_events_and_its_success_is_their_acknowledgement() {
    let mut story = Story::subscribed();
    story.line("a");
    story.line("<b>");
    let body = story.due_body();
    assert_eq!(
        text(&body),
        r#"[{"time":"1970-01-01T00:00:00.000Z","type":"function","record":"a"},{"time":"1970-01-01T00:00:00.000Z","type":"function","record":"\u003cb\u003e"}]"#
    );
    assert_eq!(story.fates(), [Fate::Pending, Fate::Pending]);
    story.answered(body, Answer::Accepted);
    assert_eq!(story.fates(), [Fate::Acknowledged, Fate::Acknowledged]);
}

#[test]
fn what_was_said_before_the_subscription_is_replayed() {
    let mut story = Story::new();
    story.relay.begin_init();
    story.line("early");
    story.subscribe(SchemaVersion::V2025_01_29);
    assert!(text(&story.due_body()).contains("early"));
}

#[test]
fn who_does_not_subscribe_in_init_gets_nothing() {
    let mut story = Story::new();
    story.relay.begin_init();
    story.line("early");
    story.relay.end_init();
    story.line("late");
    assert_eq!(story.fates(), [Fate::NotSubscribed, Fate::NotSubscribed]);
}

#[test]
fn streams_that_nobody_asked_for_are_not_addressed() {
    let mut story = Story::subscribed();
    let now = story.instant();
    story.relay.line(Category::Extension, "own".to_owned(), now);
    assert_eq!(story.fates(), [Fate::NotSubscribed]);
}

#[test]
fn replayed_lines_have_the_shape_of_the_schema_that_was_asked_for() {
    for (schema, record) in
        [(SchemaVersion::V2022_07_01, r#""record":"{\"a\":1}""#), (SchemaVersion::V2022_12_13, r#""record":{"a":1}"#)]
    {
        let mut story = Story::with(Rules { log_format: LogFormat::Json, ..RULES });
        story.relay.begin_init();
        story.line(r#"{"a":1}"#);
        story.subscribe(schema);
        let body = story.due_body();
        assert!(text(&body).contains(record), "{}", text(&body));
    }
}

#[test]
fn a_batch_that_is_due_while_a_body_is_in_flight_is_dropped_and_declared() {
    let mut story = Story::subscribed();
    story.line("first");
    let in_flight = story.due_body();
    story.line("second");
    story.line("third");
    story.pass(25);
    assert_eq!(story.body(), None);
    story.answered(in_flight, Answer::Accepted);

    assert_eq!(story.fates(), [Fate::Acknowledged, Fate::Dropped, Fate::Dropped, Fate::Pending]);
    let bytes: usize = (1..3).map(|event| story.relay.ledger().event(event).to_json().len()).sum();
    let record = format!(r#"{{"droppedBytes":{bytes},"droppedRecords":2,"reason":"{SLOW_CONSUMER}"}}"#);
    assert_eq!(story.declared(), [record]);
    assert!(text(&story.due_body()).contains("platform.logsDropped"));
}

#[test]
fn without_the_queue_rule_a_batch_that_is_due_waits_for_the_answer() {
    let mut story = Story::subscribed_with(Rules { queue_rule: false, ..RULES });
    story.line("first");
    let in_flight = story.due_body();
    story.line("second");
    story.pass(60_000);
    assert_eq!(story.relay.wakes_in(story.instant()), None, "only the answer can change something");
    let now = story.instant();
    story.relay.flush(now);
    story.answered(in_flight, Answer::Accepted);
    assert_eq!(story.body().expect("due at once").batch.events, [1]);
    assert_eq!(story.fates(), [Fate::Acknowledged, Fate::Pending]);
}

#[test]
fn a_closed_stream_makes_what_it_left_due() {
    let mut story = Story::subscribed();
    story.line("last words");
    let now = story.instant();
    story.relay.flush(now);
    assert!(story.body().is_some());
}

#[test]
fn a_full_batch_is_due_at_once_and_the_next_full_one_is_dropped() {
    let mut story = Story::subscribed();
    for number in 0..2 * ITEMS_MAX {
        story.line(&number.to_string());
    }
    let body = story.body().expect("full");
    assert_eq!(body.batch.events.len(), ITEMS_MAX);
    assert_eq!(story.relay.ledger().with_fate(Fate::Dropped).count(), ITEMS_MAX);
}

#[test]
fn a_body_that_is_not_accepted_is_dropped_and_declared_and_in_doubt_if_it_was_sent() {
    let cases = [
        (Answer::Refused("http request failed with status 500".to_owned()), Fate::Dropped),
        (failed(false), Fate::Dropped),
        (failed(true), Fate::InDoubt),
    ];
    for (answer, fate) in cases {
        let mut story = Story::subscribed();
        story.line("a");
        let body = story.due_body();
        story.answered(body, answer.clone());
        assert_eq!(story.fates(), [fate, Fate::Pending], "{answer:?}");
        assert!(story.declared()[0].contains(r#""droppedRecords":1,"reason":"could not send events: "#));
    }
}

#[test]
fn when_the_extension_dies_its_last_body_is_in_doubt_and_the_buffer_is_never_handed_over() {
    for (answer, fate) in
        [(failed(true), Fate::InDoubt), (failed(false), Fate::NeverHandedOver), (Answer::Accepted, Fate::Acknowledged)]
    {
        let mut story = Story::subscribed();
        story.line("sent");
        let body = story.due_body();
        story.line("buffered");
        story.relay.subscriber_gone();
        story.answered(body, answer.clone());
        story.line("while none lives");
        assert_eq!(story.fates(), [fate, Fate::NeverHandedOver, Fate::NeverHandedOver], "{answer:?}");
        assert_eq!(story.declared(), [""; 0], "nobody is there to be told");
    }
}

#[test]
fn a_body_that_was_offered_but_not_sent_dies_with_the_extension() {
    let mut story = Story::subscribed();
    story.line("offered");
    story.pass(25);
    story.relay.subscriber_gone();
    assert_eq!(story.body(), None);
    assert_eq!(story.fates(), [Fate::NeverHandedOver]);
}

#[test]
fn the_next_life_starts_with_a_free_line() {
    let mut story = Story::subscribed();
    story.line("first life");
    story.relay.subscriber_gone();
    story.relay.begin_init();
    story.line("init of the second life");
    story.subscribe(SchemaVersion::V2025_01_29);
    story.relay.end_init();
    let body = story.due_body();
    assert!(text(&body).contains("init of the second life") && !text(&body).contains("first life"));
}

#[test]
fn with_redelivery_a_refused_body_is_offered_again_after_a_pause() {
    let mut story = Story::subscribed_with(REDELIVERY);
    story.line("a");
    let body = story.due_body();
    let first = body.clone();
    story.answered(body, Answer::Refused("500".to_owned()));
    assert_eq!(story.body(), None);
    story.pass(100);
    let again = story.body().expect("offered again");
    assert_eq!(again, first);
    story.answered(again, Answer::Accepted);
    assert_eq!(story.fates(), [Fate::Acknowledged]);
    assert_eq!(story.declared(), [""; 0]);
}

#[test]
fn with_redelivery_the_next_extension_gets_what_the_dead_one_did_not_answer_and_the_buffer() {
    let mut story = Story::subscribed_with(REDELIVERY);
    story.line("sent");
    let body = story.due_body();
    let sent = body.clone();
    story.line("buffered");
    story.relay.subscriber_gone();
    story.answered(body, failed(true));
    story.line("while none lives");
    assert_eq!(story.fates(), [Fate::InDoubt, Fate::Pending, Fate::Pending]);

    story.begin_life();
    let again = story.body().expect("at once");
    assert_eq!(again, sent);
    story.answered(again, Answer::Accepted);
    let rest = story.due_body();
    assert_eq!(rest.batch.events, [1, 2]);
    story.answered(rest, Answer::Accepted);
    assert_eq!(story.fates(), [Fate::Acknowledged; 3]);
}

#[test]
fn with_redelivery_a_body_that_was_sent_once_stays_in_doubt_when_no_later_life_answers() {
    let mut story = Story::subscribed_with(REDELIVERY);
    story.line("sent");
    let body = story.due_body();
    story.relay.subscriber_gone();
    story.answered(body, failed(true));
    story.relay.close();
    assert_eq!(story.fates(), [Fate::InDoubt]);
}

#[test]
fn nothing_is_due_while_frozen_and_the_timer_goes_on_after_the_thaw() {
    let mut story = Story::subscribed();
    story.line("before the freeze");
    story.pass(10);
    assert!(story.relay.try_freeze(story.origin + story.now));
    assert_eq!(story.relay.wakes_in(story.instant()), None);
    story.pass(60_000);
    for number in 0..ITEMS_MAX {
        story.line(&number.to_string());
    }
    assert_eq!(story.body(), None);

    let now = story.instant();
    story.relay.thaw(now);
    assert_eq!(story.body().expect("full").batch.events.len(), ITEMS_MAX + 1);
}

#[test]
fn after_the_thaw_the_rest_of_the_timeout_is_left() {
    let mut story = Story::subscribed();
    story.line("before the freeze");
    story.pass(10);
    assert!(story.relay.try_freeze(story.origin + story.now));
    story.pass(60_000);
    let now = story.instant();
    story.relay.thaw(now);
    assert_eq!(story.relay.wakes_in(now), Some(Duration::from_millis(15)));
    assert_eq!(story.body(), None);
    story.pass(15);
    assert!(story.body().is_some());
}

#[test]
fn the_environment_does_not_freeze_while_a_body_is_in_flight() {
    let mut story = Story::subscribed();
    story.line("a");
    let body = story.due_body();
    let now = story.instant();
    assert!(!story.relay.try_freeze(now));
    story.answered(body, Answer::Accepted);
    assert!(story.relay.try_freeze(now));
}

#[test]
fn a_second_subscription_takes_over_what_was_buffered_for_the_first() {
    let mut story = Story::new();
    story.relay.begin_init();
    story.line("a");
    story.subscribe(SchemaVersion::V2025_01_29);
    story.subscribe(SchemaVersion::V2022_12_13);
    assert!(text(&story.due_body()).contains("\"a\""));
}
