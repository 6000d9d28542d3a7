use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::super::proxy::ProxySettings;
use super::super::super::recording_server::{Answer, RecordingServer};
use super::super::super::s3::{Bucket, S3Settings, S3Store};
use super::super::super::test_body::TestBody;
use super::super::super::tls::Tls;
use super::super::super::{ObjectStore as _, PutOutcome};
use super::super::CredentialValues;
use super::super::cache::{RENEW_BEFORE_END, RENEWALS_APART};
use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

fn source(server: &RecordingServer) -> CredentialSource {
    let source = CredentialSource::choose(CredentialValues {
        container_full_uri: Some(server.endpoint()),
        container_token: Some("c0nt41n3r".to_owned()),
        ..CredentialValues::default()
    });
    match source {
        // Long enough never to end a test that should not end by it.
        CredentialSource::Container(mut endpoint) => {
            endpoint.limit = Duration::from_secs(60);
            CredentialSource::Container(endpoint)
        }
        other => panic!("{other:?}"),
    }
}

fn credentials(source: CredentialSource) -> Credentials {
    Credentials::new(source, &Connector::new(Tls::new(None), ProxySettings::default(), Duration::ZERO))
}

/// Keys that are told apart by their id.
fn keys(id: &str, ends: SystemTime) -> Answer {
    let ends = OffsetDateTime::from(ends).format(&Rfc3339).expect("a year of four digits");
    let body = format!(
        r#"{{"AccessKeyId":"{id}","SecretAccessKey":"secret-{id}","Token":"token-{id}","Expiration":"{ends}"}}"#
    );
    Answer::Respond { status: 200, headers: &[], body }
}

fn trouble() -> Answer {
    Answer::Respond { status: 500, headers: &[], body: String::new() }
}

fn after(moment: Moment, time: Duration) -> Moment {
    Moment { wall: moment.wall + time, monotonic: moment.monotonic + time }
}

async fn id_at(credentials: &Credentials, now: Moment) -> Result<String, AttemptErrorKind> {
    credentials.keys_at(now).await.map(|keys| keys.id.clone()).map_err(|error| error.kind)
}

fn ok(id: &str) -> Result<String, AttemptErrorKind> {
    Ok(id.to_owned())
}

#[tokio::test]
async fn what_a_process_was_started_with_is_used_until_it_is_refused_and_then_what_the_endpoint_has() {
    let now = Moment::now();
    let server = RecordingServer::start().await;
    server.answer([keys("a", now.wall + HOUR), keys("b", now.wall + HOUR)]);
    let CredentialSource::Container(endpoint) = source(&server) else { panic!("an endpoint") };
    let first = AccessKeys { id: "first".to_owned(), secret: "s3cr3t".to_owned(), session_token: None };
    let credentials = credentials(CredentialSource::Outlived(Arc::new(first), endpoint));
    let first = credentials.keys_at(now).await.expect("at hand");
    assert_eq!((first.id.as_str(), server.recorded().len()), ("first", 0));
    assert!(credentials.refused(&first), "there are others");
    let second = credentials.keys_at(now).await.expect("fetched");
    assert_eq!(second.id, "a");
    // Uploads that ran beside it are told late.
    assert!(credentials.refused(&first));
    assert_eq!(id_at(&credentials, now).await, ok("a"));
    assert!(credentials.refused(&second));
    assert_eq!(id_at(&credentials, now).await, ok("b"));
    assert_eq!(credentials.redact("s3cr3t secret-b".to_owned()), "[redacted] [redacted]");
}

#[tokio::test]
async fn missing_credentials_name_their_variables() {
    let rest = "not set, nor AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    let table = [
        ("", "", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ("id", "", "AWS_SECRET_ACCESS_KEY"),
        ("", "secret", "AWS_ACCESS_KEY_ID"),
    ];
    for (id, secret, variables) in table {
        let values = |text: &str| Some(text.to_owned());
        let source = CredentialSource::from_values(values(id), values(secret), values("token"));
        let error = credentials(source).keys().await.expect_err(variables);
        assert_eq!(error.kind, AttemptErrorKind::Configuration);
        assert_eq!(error.message, format!("no credentials: {variables} {rest}"));
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_renewed_before_they_end() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([keys("a", start.wall + HOUR), keys("b", start.wall + 2 * HOUR)]);
    let credentials = credentials(source(&server));
    let due = HOUR - RENEW_BEFORE_END;
    for (age, id) in [(Duration::ZERO, "a"), (MS, "a"), (due - 2 * MS, "a"), (due, "b"), (HOUR + due - 2 * MS, "b")] {
        assert_eq!(id_at(&credentials, after(start, age)).await, ok(id), "{age:?}");
    }
    assert_eq!(server.recorded().len(), 2);
}

#[tokio::test]
async fn when_a_renewal_fails_the_old_keys_are_used_until_they_end() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([keys("a", start.wall + HOUR), trouble(), trouble(), trouble(), keys("b", start.wall + 2 * HOUR)]);
    let credentials = credentials(source(&server));
    let due = HOUR - RENEW_BEFORE_END;
    let table = [
        (Duration::ZERO, ok("a"), 1),
        (due, ok("a"), 2),
        // Not every upload asks.
        (due + RENEWALS_APART - MS, ok("a"), 2),
        (due + RENEWALS_APART, ok("a"), 3),
        (HOUR, Err(AttemptErrorKind::Retry), 4),
        (HOUR + MS, ok("b"), 5),
    ];
    for (age, outcome, fetches) in table {
        assert_eq!(id_at(&credentials, after(start, age)).await, outcome, "{age:?}");
        assert_eq!(server.recorded().len(), fetches, "{age:?}");
    }
}

#[tokio::test]
async fn keys_of_a_snapshot_are_never_used() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([keys("snapshot", start.wall + 48 * HOUR), trouble(), keys("restored", start.wall + 48 * HOUR)]);
    let credentials = credentials(source(&server));
    assert_eq!(id_at(&credentials, start).await, ok("snapshot"));
    let restored = Moment { wall: start.wall + HOUR, ..after(start, MS) };
    assert_eq!(id_at(&credentials, restored).await, Err(AttemptErrorKind::Retry));
    assert_eq!(id_at(&credentials, restored).await, ok("restored"));
}

#[tokio::test]
async fn keys_that_the_clock_calls_old_are_used_when_they_are_new() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([keys("a", start.wall - HOUR)]);
    assert_eq!(id_at(&credentials(source(&server)), start).await, ok("a"));
}

#[tokio::test]
async fn refused_keys_are_dropped_at_once_and_newer_ones_are_not() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([keys("a", start.wall + HOUR), keys("b", start.wall + HOUR), trouble()]);
    let credentials = credentials(source(&server));
    let a = credentials.keys_at(start).await.expect("keys");
    assert!(credentials.refused(&a));
    let b = credentials.keys_at(start).await.expect("keys");
    assert_eq!(b.id, "b");

    // A second upload that was signed with the old ones hears of it later.
    assert!(credentials.refused(&a));
    assert_eq!(id_at(&credentials, start).await, ok("b"));

    // What was refused is not used again because nothing newer can be had.
    assert!(credentials.refused(&b));
    assert_eq!(id_at(&credentials, start).await, Err(AttemptErrorKind::Retry));
}

#[tokio::test]
async fn the_environment_has_no_fresh_keys() {
    let source = CredentialSource::from_values(Some("id".to_owned()), Some("secret".to_owned()), None);
    let credentials = credentials(source);
    let keys = credentials.keys().await.expect("keys");
    assert!(!credentials.refused(&keys));
    assert_eq!(credentials.keys().await.expect("the same keys").id, "id");
}

#[tokio::test]
async fn all_who_wait_share_one_fetch_good_or_bad() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([trouble(), keys("a", start.wall + HOUR)]);
    let credentials = credentials(source(&server));
    for (outcome, fetches) in [(Err(AttemptErrorKind::Retry), 1), (ok("a"), 2)] {
        let id = || id_at(&credentials, start);
        let (a, b, c) = tokio::join!(id(), id(), id());
        assert_eq!([&a, &b, &c], [&outcome; 3]);
        assert_eq!(server.recorded().len(), fetches);
    }
}

#[tokio::test]
async fn a_fetch_that_is_given_up_leaves_the_next_one_its_turn() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer([Answer::Hang, keys("a", start.wall + HOUR)]);
    let credentials = credentials(source(&server));
    let mut first = Box::pin(credentials.keys_at(start));
    while server.recorded().is_empty() {
        tokio::select! {
            biased;
            outcome = &mut first => panic!("it hangs: {outcome:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(first);
    assert_eq!(id_at(&credentials, start).await, ok("a"));
}

#[tokio::test]
async fn no_secret_is_printed_or_let_through() {
    let server = RecordingServer::start().await;
    let start = Moment::now();
    server.answer(["a", "b", "c"].map(|id| keys(id, start.wall + HOUR)));
    let credentials = credentials(source(&server));
    for _ in 0..3 {
        let keys = credentials.keys_at(start).await.expect("keys");
        credentials.refused(&keys);
    }
    let redacted = credentials.redact("c0nt41n3r secret-b token-b secret-c token-c nothing".to_owned());
    assert_eq!(redacted, "[redacted] [redacted] [redacted] [redacted] [redacted] nothing");
    assert_eq!(credentials.state().remembered.len(), KEYS_REMEMBERED);
    let printed = format!("{credentials:?}");
    assert!(printed.starts_with("Credentials") && !printed.contains("c0nt41n3r") && !printed.contains("secret"));
}

#[tokio::test]
async fn a_store_fetches_at_its_first_put_and_after_it_was_told_that_keys_are_old() {
    let (store_server, server) = (RecordingServer::start().await, RecordingServer::start().await);
    let ends = SystemTime::now() + HOUR;
    server.answer([keys("a", ends), keys("b", ends)]);
    let settings = S3Settings {
        endpoint: Some(store_server.endpoint()),
        path_style: true,
        request_timeout: Duration::from_secs(60),
        ..S3Settings::new(Bucket::parse("bucket").expect("a name").0, "eu-west-1")
    };
    let store = S3Store::new(settings, source(&server)).expect("sane settings");
    tokio::task::yield_now().await;
    assert!(server.recorded().is_empty());

    let body = TestBody::new("abc");
    for key in ["k", "l"] {
        assert_eq!(store.put(&body.object(key)).await, Ok(PutOutcome::Stored));
    }
    assert_eq!(server.recorded().len(), 1);
    assert_eq!(server.recorded()[0].header("authorization"), Some("c0nt41n3r"));

    store_server.answer([Answer::error(400, "ExpiredToken", "token-a is too old")]);
    assert_eq!(store.put(&body.object("m")).await, Ok(PutOutcome::Stored), "within the attempt");
    assert_eq!(server.recorded().len(), 2);
    let recorded = store_server.recorded();
    let signed: Vec<_> = recorded.iter().map(|request| request.header("x-amz-security-token")).collect();
    assert_eq!(signed, ["token-a", "token-a", "token-a", "token-b"].map(Some));
    assert!(recorded[3].header("authorization").is_some_and(|value| value.contains("Credential=b/")));
}
