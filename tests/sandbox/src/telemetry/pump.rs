//! Moves bodies from the relay to the extension, one at a time, and lets the relay's timers run.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Telemetry;
use super::client::Client;
use super::relay::{Answer, Body};

/// A connection that breaks may be the first sign of the extension's death: the news of it gets this long to arrive, so
/// that a dead extension is not taken for a deaf one.
const DEATH_NOTICE_TIMEOUT: Duration = Duration::from_millis(100);

type Posting = Pin<Box<dyn Future<Output = (Client, Body, Answer)> + Send>>;

/// The client is on the road with the body, or at home.
enum Courier {
    Home(Client),
    Posting(Posting, Body),
}

pub(super) async fn run(telemetry: Telemetry) {
    let mut courier = Courier::Home(Client::default());
    loop {
        courier = set_off(courier, &telemetry);
        let wakes_in = telemetry.relay().wakes_in(Instant::now());
        let timer = async {
            match wakes_in {
                Some(pause) => tokio::time::sleep(pause).await,
                None => pending().await,
            }
        };
        let answered = async {
            match &mut courier {
                Courier::Posting(posting, _) => posting.await,
                Courier::Home(_) => pending().await,
            }
        };
        tokio::select! {
            (client, body, answer) = answered => {
                telemetry.answered(body, answer);
                courier = Courier::Home(client);
            }
            () = timer => telemetry.relay().hand_over_due(Instant::now()),
            () = telemetry.changed.notified() => {}
            () = telemetry.cut.notified() => courier = cut(courier, &telemetry),
        }
    }
}

fn set_off(courier: Courier, telemetry: &Telemetry) -> Courier {
    match courier {
        Courier::Home(mut client) => match telemetry.take_body() {
            None => Courier::Home(client),
            Some((port, body)) => {
                let on_the_road = body.clone();
                let gone = Arc::clone(&telemetry.gone);
                let posting = Box::pin(async move {
                    let answer = client.post(port, body.json.clone()).await;
                    if matches!(answer, Answer::Failed { .. }) {
                        let _ = tokio::time::timeout(DEATH_NOTICE_TIMEOUT, gone.notified()).await;
                    }
                    (client, body, answer)
                });
                Courier::Posting(posting, on_the_road)
            }
        },
        posting => posting,
    }
}

/// Gives up the body in flight: its receiver is dead and its connection did not notice.
fn cut(courier: Courier, telemetry: &Telemetry) -> Courier {
    if let Courier::Posting(posting, body) = courier {
        drop(posting);
        telemetry.answered(body, Answer::Failed { handed_over: true, error: "cut off".to_owned() });
    }
    Courier::Home(Client::default())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::*;
    use crate::course::Course;
    use crate::ledger::{Category, Fate};
    use crate::telemetry::{Buffering, LogFormat, Rules, SchemaVersion, Subscription};

    /// A port on which nobody listens.
    fn deaf_port() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.local_addr().expect("bound").port()
    }

    fn subscribed_to(port: u16) -> Telemetry {
        let telemetry = Telemetry::new(
            Rules { log_format: LogFormat::Text, queue_rule: true, redeliver: false },
            Course::default(),
        );
        let buffering = Buffering { items_max: 1, bytes_max: 1, timeout: Duration::ZERO };
        let categories = vec![Category::Function];
        telemetry.subscribe("x", Subscription { schema: SchemaVersion::V2025_01_29, categories, buffering, port });
        telemetry
    }

    async fn fate_of_a_line(telemetry: &Telemetry) -> Fate {
        let mut fate = Fate::Pending;
        telemetry
            .until(|ledger| {
                fate = ledger.of_kind("function").next().map_or(Fate::Pending, |entry| entry.fate);
                fate != Fate::Pending
            })
            .await;
        fate
    }

    #[tokio::test]
    async fn a_refused_connection_is_a_dropped_body() {
        let telemetry = subscribed_to(deaf_port());
        let pump = tokio::spawn(telemetry.clone().pump());
        telemetry.line(Category::Function, "a".to_owned());
        assert_eq!(fate_of_a_line(&telemetry).await, Fate::Dropped);
        pump.abort();
    }

    #[tokio::test]
    async fn a_refused_connection_that_turns_out_to_be_the_extensions_death_is_never_handed_over() {
        let telemetry = subscribed_to(deaf_port());
        let pump = tokio::spawn(telemetry.clone().pump());
        telemetry.line(Category::Function, "a".to_owned());
        while !telemetry.relay().is_in_flight() {
            tokio::task::yield_now().await;
        }
        // On loopback a refusal comes at once; the pump gets some turns to see it.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        telemetry.subscriber_gone().await;
        assert_eq!(fate_of_a_line(&telemetry).await, Fate::NeverHandedOver);
        pump.abort();
    }
}
