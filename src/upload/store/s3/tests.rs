use std::io::{Read as _, Write as _};

use super::super::PutOutcome;
use super::super::recording_server::{Answer, CA_PEM, Recorded, RecordingServer};
use super::super::test_body::TestBody;
mod options;
mod remedies;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::time::Duration;

use super::*;
use crate::upload::object_key::Prefix;

const KEY: &str = "function=f/dt=2025-11-23/hour=04/a-1.ndjson.zst";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG";
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLE";

fn credentials() -> CredentialSource {
    CredentialSource::from_values(Some("AKIDEXAMPLE".to_owned()), Some(SECRET.to_owned()), Some(TOKEN.to_owned()))
}

fn bucket() -> Bucket {
    Bucket::parse("bucket").expect("a name").0
}

fn settings(server: &RecordingServer) -> S3Settings {
    S3Settings {
        prefix: Prefix::parse("logs").expect("a prefix"),
        endpoint: Some(server.endpoint()),
        path_style: true,
        // Long enough never to end a test that should not end by it.
        request_timeout: Duration::from_secs(60),
        ..S3Settings::new(bucket(), "eu-west-1")
    }
}

fn store(settings: S3Settings) -> S3Store {
    S3Store::new(settings, credentials()).expect("sane settings")
}

fn store_at(server: &RecordingServer) -> S3Store {
    store(settings(server))
}

fn header<'a>(request: &'a Recorded, name: &str) -> &'a str {
    request.header(name).unwrap_or_else(|| panic!("{name} is not sent: {request:?}"))
}

#[tokio::test]
async fn a_put_is_one_signed_request_with_everything_that_makes_it_idempotent() {
    let server = RecordingServer::start().await;
    let bytes = "line\n".repeat(40_000);
    let body = TestBody::new(bytes.clone());
    let metadata = [("records", "40000".to_owned()), ("reason", "age".to_owned())];
    let object = Object { metadata: &metadata, ..body.object(KEY) };

    let outcome = store_at(&server).put(&object).await;

    assert_eq!(outcome, Ok(PutOutcome::Stored));
    let [request] = &server.recorded()[..] else {
        panic!("not one request: {:?}", server.recorded());
    };
    assert_eq!(request.method, "PUT");
    assert_eq!(request.target, "/bucket/logs/function%3Df/dt%3D2025-11-23/hour%3D04/a-1.ndjson.zst?x-id=PutObject");
    assert_eq!(request.body, bytes);
    let digest = BASE64.encode(object.crc64_nvme.to_be_bytes());
    let endpoint = server.endpoint();
    for (name, value) in [
        ("host", endpoint.trim_start_matches("http://")),
        ("content-length", "200000"),
        ("content-type", "application/x-ndjson"),
        ("if-none-match", "*"),
        ("x-amz-checksum-crc64nvme", &digest),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-security-token", TOKEN),
        ("x-amz-meta-records", "40000"),
        ("x-amz-meta-reason", "age"),
    ] {
        assert_eq!(header(request, name), value, "{name}");
    }
    let authorization = header(request, "authorization");
    assert!(
        authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
            && authorization.contains("/eu-west-1/s3/aws4_request")
            && authorization.contains("if-none-match")
            && authorization.contains("x-amz-checksum-crc64nvme"),
        "{authorization}"
    );
    for absent in [
        "content-encoding",
        "transfer-encoding",
        "x-amz-trailer",
        "x-amz-sdk-checksum-algorithm",
        "x-amz-checksum-crc32",
        "x-amz-decoded-content-length",
        "expect",
    ] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn what_is_switched_off_is_not_sent() {
    let server = RecordingServer::start().await;
    let credentials =
        CredentialSource::from_values(Some("AKIDEXAMPLE".to_owned()), Some(SECRET.to_owned()), Some(String::new()));
    let settings = S3Settings { checksum: Checksum::None, if_none_match: IfNoneMatch::Never, ..settings(&server) };
    let store = S3Store::new(settings, credentials).expect("sane settings");

    let outcome = store.put(&TestBody::new("abc").object(KEY)).await;

    assert_eq!(outcome, Ok(PutOutcome::Stored));
    let request = &server.recorded()[0];
    let sent = |prefix: &str| {
        let mut names = request.headers.keys().map(|name| name.as_str());
        names.any(|name| name.starts_with(prefix))
    };
    assert!(!sent("x-amz-checksum") && !sent("x-amz-trailer") && !sent("x-amz-sdk-checksum"));
    assert!(!sent("if-none-match") && !sent("content-encoding"));
    assert!(!sent("x-amz-security-token"), "an empty token counts as none");
    assert_eq!(header(request, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
    assert_eq!(request.body, "abc");
}

#[tokio::test]
async fn an_empty_object_can_be_stored() {
    let server = RecordingServer::start().await;
    let outcome = store_at(&server).put(&TestBody::new("").object(KEY)).await;
    assert_eq!(outcome, Ok(PutOutcome::Stored));
    assert_eq!(header(&server.recorded()[0], "content-length"), "0");
}

#[tokio::test]
async fn the_bucket_is_in_the_host_name_unless_the_path_is_asked_for() {
    let server = RecordingServer::start().await;
    let port = server.endpoint().rsplit_once(':').expect("a port").1.to_owned();
    let store = |path_style| {
        store(S3Settings { endpoint: Some(format!("http://localhost:{port}")), path_style, ..settings(&server) })
    };
    let body = TestBody::new("abc");

    assert_eq!(store(true).put(&body.object("key")).await, Ok(PutOutcome::Stored));
    let request = &server.recorded()[0];
    assert_eq!(header(request, "host"), format!("localhost:{port}"));
    assert_eq!(request.target, "/bucket/logs/key?x-id=PutObject");

    // Not every resolver knows `*.localhost`. Where it does not, the name that was asked for says enough.
    match store(false).put(&body.object("key")).await {
        Ok(_) => {
            let request = &server.recorded()[1];
            assert_eq!(header(request, "host"), format!("bucket.localhost:{port}"));
            assert_eq!(request.target, "/logs/key?x-id=PutObject");
        }
        Err(error) => {
            let peer = format!("cannot connect to bucket.localhost:{port}");
            assert!(error.message.starts_with(&peer), "{error}");
        }
    }
}

#[tokio::test]
async fn an_object_that_is_there_already_is_done() {
    let server = RecordingServer::start().await;
    server.answer([
        Answer::error(412, "PreconditionFailed", "At least one of the pre-conditions failed"),
        Answer::Respond { status: 412, headers: &[], body: String::new() },
    ]);
    let store = store_at(&server);
    let body = TestBody::new("abc");
    for _ in 0..2 {
        let outcome = store.put(&body.object(KEY)).await;
        assert_eq!(outcome, Ok(PutOutcome::AlreadyThere));
    }
}

#[tokio::test]
async fn a_412_that_was_not_asked_for_is_no_success() {
    let server = RecordingServer::start().await;
    server.answer([Answer::error(412, "PreconditionFailed", "no")]);
    let store = store(S3Settings { if_none_match: IfNoneMatch::Never, ..settings(&server) });
    let error = store.put(&TestBody::new("abc").object(KEY)).await.expect_err("a precondition that is not ours");
    assert_eq!(error.kind, AttemptErrorKind::Configuration);
}

#[tokio::test]
async fn a_failure_says_what_the_store_said_and_is_not_repeated() {
    let server = RecordingServer::start().await;
    server.answer([
        Answer::error(403, "AccessDenied", "Access\nDenied"),
        Answer::error(503, "SlowDown", "Please reduce your request rate."),
        Answer::Respond { status: 502, headers: &[], body: "<html>\nBad gateway".to_owned() },
        Answer::Respond {
            status: 301,
            headers: &[("x-amz-bucket-region", "eu-west-1")],
            body: "<Error><Code>PermanentRedirect</Code><Message>Use the endpoint.</Message></Error>".to_owned(),
        },
        Answer::error(400, "ExpiredToken", "The provided token has expired."),
        Answer::error(400, "BadDigest", "The CRC64NVME you specified did not match."),
    ]);
    let store = store_at(&server);
    let body = TestBody::new("abc");
    let table = [
        (AttemptErrorKind::Configuration, "AccessDenied (HTTP 403): Access Denied [request 4442587FB7D0A2F9]"),
        (AttemptErrorKind::Retry, "SlowDown (HTTP 503): Please reduce your request rate. [request 4442587FB7D0A2F9]"),
        (AttemptErrorKind::Retry, "HTTP 502: no error document"),
        (AttemptErrorKind::WrongRegion, "PermanentRedirect (HTTP 301): Use the endpoint. (the bucket is in eu-west-1)"),
        (
            AttemptErrorKind::Credentials,
            "ExpiredToken (HTTP 400): The provided token has expired. [request 4442587FB7D0A2F9]",
        ),
        (
            AttemptErrorKind::Body,
            "BadDigest (HTTP 400): The CRC64NVME you specified did not match. \
             [request 4442587FB7D0A2F9]",
        ),
    ];
    for (kind, line) in table {
        let error = store.put(&body.object(KEY)).await.expect_err(line);
        assert_eq!((error.kind, error.to_string().as_str()), (kind, line));
    }
    assert_eq!(server.recorded().len(), table.len());
}

/// A store that reads the head of one request, refuses it, and hangs up with the body unread, which resets the connection.
fn refusing_server() -> (String, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let server = std::thread::spawn(move || {
        let document = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
        let answer = format!(
            "HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
            document.len()
        );
        let (mut stream, _) = listener.accept().expect("a client");
        let read = stream.read(&mut [0; 1024]).expect("a request");
        assert!(read > 0, "the client hung up");
        stream.write_all(answer.as_bytes()).expect("the client listens");
    });
    (format!("http://{address}"), server)
}

#[tokio::test]
async fn a_store_that_refuses_before_it_has_read_the_body_is_heard() {
    let body = TestBody::new(vec![b'x'; 4 << 20]);
    let object = body.object(KEY);
    // Whether the client meets the reset before the answer is a matter of luck: without care it does in every third try.
    for _ in 0..50 {
        let (endpoint, server) = refusing_server();
        let store =
            store(S3Settings { endpoint: Some(endpoint), path_style: true, ..S3Settings::new(bucket(), "eu-west-1") });
        let error = store.put(&object).await.expect_err("it is refused");
        server.join().expect("the server ends well");
        assert_eq!(error.to_string(), "NoSuchBucket (HTTP 404): none");
    }
}

#[tokio::test]
async fn objects_one_after_the_other_share_one_connection() {
    let server = RecordingServer::start().await;
    server.answer([Answer::error(503, "SlowDown", "slower"), Answer::error(412, "PreconditionFailed", "there")]);
    let store = store_at(&server);
    let body = TestBody::new(vec![b'x'; 200_000]);
    for _ in 0..20 {
        _ = store.put(&body.object(KEY)).await;
    }
    let recorded = server.recorded();
    assert_eq!(recorded.len(), 20);
    assert!(recorded.iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn objects_at_the_same_time_have_a_connection_each_and_one_is_kept() {
    let server = RecordingServer::start().await;
    let store = store_at(&server);
    let body = TestBody::new(vec![b'x'; 200_000]);
    let (a, b, c) = (body.object("a"), body.object("b"), body.object("c"));

    let outcomes = tokio::join!(store.put(&a), store.put(&b), store.put(&c));
    let together: std::collections::BTreeSet<usize> =
        server.recorded().iter().map(|request| request.connection).collect();
    assert_eq!(outcomes, (Ok(PutOutcome::Stored), Ok(PutOutcome::Stored), Ok(PutOutcome::Stored)));
    assert_eq!(together.len(), 3);

    assert_eq!(store.put(&body.object("d")).await, Ok(PutOutcome::Stored));
    let last = server.recorded()[3].connection;
    assert!(together.contains(&last), "a fourth connection was opened");
}

#[tokio::test]
async fn no_connection_is_used_after_its_idle_limit_or_after_it_was_closed() {
    let server = RecordingServer::start().await;
    let never_kept = store(S3Settings { connection_idle_max: Duration::ZERO, ..settings(&server) });
    let kept = store_at(&server);
    let body = TestBody::new("abc");
    for _ in 0..2 {
        _ = never_kept.put(&body.object(KEY)).await;
    }
    for _ in 0..2 {
        _ = kept.put(&body.object(KEY)).await;
        kept.close_idle();
    }
    let connections: Vec<usize> = server.recorded().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_dead_is_replaced_once_within_the_attempt() {
    let server = RecordingServer::start().await;
    let store = store_at(&server);
    let bytes = "line\n".repeat(40_000);
    let body = TestBody::new(bytes.clone());
    assert_eq!(store.put(&body.object("a")).await, Ok(PutOutcome::Stored));

    server.answer([Answer::Close]);
    assert_eq!(store.put(&body.object("b")).await, Ok(PutOutcome::Stored));

    let recorded = server.recorded();
    let connections: Vec<usize> = recorded.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
    assert_eq!(recorded[2].body, bytes, "the body is sent from its beginning");
    assert_eq!(body.reads(), 3);

    // Twice within one attempt is once too often.
    server.answer([Answer::Close, Answer::Close]);
    let error = store.put(&body.object("c")).await.expect_err("closed twice");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert!(error.message.starts_with("connection lost: "), "{error}");
    assert_eq!(server.recorded().len(), 5);
}

#[tokio::test]
async fn a_new_connection_that_is_lost_is_not_replaced() {
    let server = RecordingServer::start().await;
    server.answer([Answer::Close]);
    let error = store_at(&server).put(&TestBody::new("abc").object(KEY)).await.expect_err("closed without an answer");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert_eq!((error.code, error.status), (None, None));
    assert_eq!(server.recorded().len(), 1);
}

#[tokio::test]
async fn a_store_that_never_answers_is_left_after_the_timeout_with_its_connection() {
    let server = RecordingServer::start().await;
    server.answer([Answer::Hang]);
    let store = store(S3Settings { request_timeout: Duration::from_millis(200), ..settings(&server) });
    let body = TestBody::new("abc");

    let error = store.put(&body.object("a")).await.expect_err("it hangs");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert_eq!(error.message, "no answer within 200ms");

    while store.put(&body.object("b")).await.is_err() {}
    assert_ne!(server.recorded().last().map(|request| request.connection), Some(0));
}

#[tokio::test]
async fn a_port_without_a_server_is_an_outage() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = listener.local_addr().expect("the listener is bound");
    drop(listener);
    let store = store(S3Settings {
        endpoint: Some(format!("http://{peer}")),
        path_style: true,
        ..S3Settings::new(bucket(), "eu-west-1")
    });
    let error = store.put(&TestBody::new("abc").object(KEY)).await.expect_err("nobody listens");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert_eq!(error.message, format!("cannot connect to {peer}: Connection refused (os error 111)"));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_our_own_fault_and_not_sent_again() {
    let server = RecordingServer::start().await;
    let store = store_at(&server);
    let whole = TestBody::new("abc");
    assert_eq!(store.put(&whole.object("a")).await, Ok(PutOutcome::Stored));

    // Over a kept connection, where a loss of the network would be tried once more.
    let breaking = TestBody::breaking_at(vec![b'x'; 1 << 20], 3);
    let shorter = Object { bytes: 4, ..whole.object("c") };
    for (object, message) in
        [(breaking.object("b"), "bad sector"), (shorter, "the object is shorter than when it was sealed")]
    {
        let error = store.put(&object).await.expect_err(message);
        assert_eq!((error.kind, error.message.as_str()), (AttemptErrorKind::Body, message));
    }
    assert_eq!((breaking.reads(), whole.reads()), (1, 2));
}

#[tokio::test]
async fn a_long_answer_of_a_stranger_is_cut_and_its_connection_not_kept() {
    let server = RecordingServer::start().await;
    server.answer([Answer::Respond { status: 503, headers: &[], body: "x".repeat(10 << 20) }]);
    let store = store_at(&server);
    let body = TestBody::new("abc");
    let error = store.put(&body.object("a")).await.expect_err("503");
    assert_eq!((error.kind, error.status), (AttemptErrorKind::Retry, Some(503)));
    assert_eq!(store.put(&body.object("b")).await, Ok(PutOutcome::Stored));
    assert_eq!(server.recorded()[1].connection, 1);
}

#[tokio::test]
async fn no_secret_passes_into_a_message_whoever_says_it() {
    let server = RecordingServer::start().await;
    server.answer([Answer::error(403, "SignatureDoesNotMatch", &format!("you signed with {SECRET} and {TOKEN}"))]);
    let store = store_at(&server);
    let error = store.put(&TestBody::new("payload").object(KEY)).await.expect_err("403");
    let printed = format!("{error} {error:?} {store:?}");
    for secret in [SECRET, TOKEN, "payload", "Signature="] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert!(error.message.contains("[redacted]"), "{error}");
}

#[tokio::test]
async fn missing_credentials_are_told_without_a_request() {
    let server = RecordingServer::start().await;
    let store =
        S3Store::new(settings(&server), CredentialSource::from_values(None, None, None)).expect("sane settings");
    let error = store.put(&TestBody::new("abc").object(KEY)).await.expect_err("nobody to sign as");
    assert_eq!(error.kind, AttemptErrorKind::Configuration);
    assert!(error.message.contains("AWS_ACCESS_KEY_ID"), "{error}");
    assert!(server.recorded().is_empty());
}

#[tokio::test]
async fn a_request_that_cannot_be_made_is_a_matter_of_configuration() {
    let server = RecordingServer::start().await;
    let body = TestBody::new("abc");
    let metadata = [("name", "line\nbreak".to_owned())];
    let object = Object { metadata: &metadata, ..body.object(KEY) };
    let error = store_at(&server).put(&object).await.expect_err("a line break");
    assert_eq!(error.kind, AttemptErrorKind::Configuration, "{error}");
    assert!(server.recorded().is_empty());
}

#[tokio::test]
async fn tls_trusts_the_named_authority_and_no_unknown_one() {
    let server = RecordingServer::start_tls().await;
    let mut ca = tempfile::NamedTempFile::new().expect("a temporary file");
    ca.write_all(CA_PEM.as_bytes()).expect("the file is written");
    let body = TestBody::new("line\n".repeat(40_000));

    let trusting = store(S3Settings { ca_file: Some(ca.path().to_owned()), ..settings(&server) });
    for key in ["a", "b"] {
        assert_eq!(trusting.put(&body.object(key)).await, Ok(PutOutcome::Stored));
    }
    let recorded = server.recorded();
    assert_eq!(recorded[0].connection, recorded[1].connection);
    assert_eq!(recorded[0].body.len(), 200_000);

    let error = store_at(&server).put(&body.object("c")).await.expect_err("an unknown authority");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert!(error.message.contains("UnknownIssuer"), "{error}");

    let error = store(S3Settings { ca_file: Some("/nonexistent/ca.pem".into()), ..settings(&server) })
        .put(&body.object("d"))
        .await
        .expect_err("no such file");
    assert_eq!(error.kind, AttemptErrorKind::Configuration);
    assert!(error.message.starts_with("CA file /nonexistent/ca.pem: No such file"), "{error}");
    assert_eq!(server.recorded().len(), 2);
}

#[test]
fn settings_of_which_no_request_can_be_made_are_refused() {
    let good = || S3Settings::new(bucket(), "eu-west-1");
    let region = |region: &str| S3Settings::new(bucket(), region);
    let endpoint = |endpoint: &str| S3Settings { endpoint: Some(endpoint.to_owned()), ..good() };
    let table = [
        (region(""), "`` is no name of a region"),
        (region("eu.west"), "`eu.west` is no name of a region"),
        (endpoint("localhost:9000"), "the endpoint is not of the form"),
        (endpoint("ftp://h"), "the endpoint is not of the form"),
        (endpoint("http://"), "the endpoint is not of the form"),
        (endpoint("http://h?x"), "the endpoint is not of the form"),
        (endpoint("http://user:password@h"), "the endpoint is not of the form"),
        (S3Settings { request_timeout: Duration::ZERO, ..good() }, "the request timeout is 0"),
    ];
    for (settings, message) in table {
        let error = S3Store::new(settings, credentials()).expect_err(message);
        let error = error.to_string();
        assert!(error.starts_with(message) && !error.contains("password"), "{error}");
    }
    for endpoint_url in ["http://127.0.0.1:9000", "https://minio.internal/s3", "http://[::1]:1"] {
        assert!(S3Store::new(endpoint(endpoint_url), credentials()).is_ok(), "{endpoint_url}");
    }
}

#[test]
fn a_store_says_where_it_is() {
    let prefix = |text: &str| Prefix::parse(text).expect("a prefix");
    let settings = |text: &str| S3Settings { prefix: prefix(text), ..S3Settings::new(bucket(), "eu-west-1") };
    assert_eq!(store(settings("a/b")).describe(), "s3://bucket/a/b");
    assert_eq!(store(settings("")).describe(), "s3://bucket");
}
