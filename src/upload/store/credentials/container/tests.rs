use std::io::Write as _;

use super::super::super::proxy::{Proxy, ProxySettings};
use super::super::super::recording_server::{Answer, RecordingServer};
use super::super::super::test_proxy::TestProxy;
use super::super::super::tls::Tls;
use super::*;

const ANSWER: &str = r#"{"RoleArn":"r","AccessKeyId":"ASIA","SecretAccessKey":"s3cr3t","Token":"t0k3n",
    "Expiration":"2030-01-02T03:04:05Z","Unknown":{"a":[1]}}"#;

fn connector() -> Connector {
    Connector::new(Tls::new(None), ProxySettings::default(), Duration::ZERO)
}

/// Its limit is long enough never to end a test that should not end by it.
fn endpoint(server: &RecordingServer) -> ContainerEndpoint {
    let endpoint = ContainerEndpoint::at(format!("{}/creds?a=b", server.endpoint()), None, None);
    ContainerEndpoint { limit: Duration::from_secs(60), ..endpoint }
}

fn respond(status: u16, body: impl Into<String>) -> Answer {
    Answer::Respond { status, headers: &[], body: body.into() }
}

async fn fetch(endpoint: &ContainerEndpoint) -> Result<Fetched, AttemptError> {
    endpoint.fetch(&connector().for_single_requests_nearby()).await
}

async fn refused(endpoint: &ContainerEndpoint) -> AttemptError {
    fetch(endpoint).await.err().expect("it is refused")
}

#[tokio::test]
async fn keys_come_with_their_token_and_their_end() {
    let server = RecordingServer::start().await;
    server.answer([
        respond(200, ANSWER),
        respond(200, r#"{"AccessKeyId":"AKIA","SecretAccessKey":"s"}"#),
        respond(
            200,
            r#"{"AccessKeyId":"AKIA","SecretAccessKey":"s","Token":"","Expiration":"2030-01-02T04:04:05+01:00"}"#,
        ),
    ]);
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_553_445);
    let table =
        [("ASIA", "s3cr3t", Some("t0k3n"), Some(end)), ("AKIA", "s", None, None), ("AKIA", "s", None, Some(end))];
    for (id, secret, token, ends) in table {
        let fetched = fetch(&endpoint(&server)).await.expect("keys");
        let keys = &fetched.keys;
        assert_eq!((keys.id.as_str(), keys.secret.as_str(), keys.session_token.as_deref()), (id, secret, token));
        assert_eq!(fetched.ends, ends);
    }
    let recorded = server.recorded();
    assert_eq!((recorded[0].method.as_str(), recorded[0].target.as_str()), ("GET", "/creds?a=b"));
    assert_eq!(recorded[0].header("authorization"), None);
    let connections: Vec<_> = recorded.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 1, 2], "a connection is kept, which a freeze would kill");
}

#[tokio::test]
async fn the_token_is_sent_as_it_is_and_its_file_is_read_for_each_fetch() {
    let server = RecordingServer::start().await;
    server.answer([respond(200, ANSWER), respond(200, ANSWER), respond(200, ANSWER)]);
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"first").expect("the file is written");
    let of_value = ContainerEndpoint { token: Some("Bearer a b=".to_owned()), ..endpoint(&server) };
    let of_file = ContainerEndpoint { token_file: Some(file.path().to_owned()), ..of_value.clone() };

    assert!(fetch(&of_value).await.is_ok());
    assert!(fetch(&of_file).await.is_ok());
    std::fs::write(file.path(), "second").expect("the file is written");
    assert!(fetch(&of_file).await.is_ok());

    let recorded = server.recorded();
    let sent: Vec<_> = recorded.iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, [Some("Bearer a b="), Some("first"), Some("second")]);
}

#[tokio::test]
async fn a_token_that_is_not_one_line_or_too_long_is_not_sent() {
    let server = RecordingServer::start().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("token");
    let long = "x".repeat(TOKEN_BYTES_MAX + 1);
    for (token, rule) in [
        ("s3cr3t\n", "the token is not one line of text"),
        ("s3cr3t\r\nX-Other: 1", "the token is not one line of text"),
        ("s3cr3t\0", "the token is not one line of text"),
        (long.as_str(), "the token is longer than 16384 bytes"),
    ] {
        std::fs::write(&path, token).expect("the file is written");
        let of_file = ContainerEndpoint { token_file: Some(path.clone()), ..endpoint(&server) };
        let error = refused(&of_file).await;
        assert_eq!(error.kind, AttemptErrorKind::Configuration);
        let line = format!("no credentials from the container's endpoint: {CONTAINER_TOKEN_FILE}: {rule}");
        assert_eq!(error.to_string(), line);
    }
    let of_value = ContainerEndpoint { token: Some("s3cr3t\n".to_owned()), ..endpoint(&server) };
    let line = "no credentials from the container's endpoint: AWS_CONTAINER_AUTHORIZATION_TOKEN: the token is not one line of text";
    assert_eq!(refused(&of_value).await.to_string(), line);
    for (path, rule) in [(path.with_extension("none"), "No such file"), (dir.path().to_owned(), "it is not a file")] {
        let error = refused(&ContainerEndpoint { token_file: Some(path), ..endpoint(&server) }).await;
        assert!(error.message.contains(rule) && error.kind == AttemptErrorKind::Configuration, "{error}");
    }
    assert!(server.recorded().is_empty());

    // The longest that is allowed goes through.
    std::fs::write(&path, &long[..TOKEN_BYTES_MAX]).expect("the file is written");
    server.answer([respond(200, ANSWER)]);
    assert!(fetch(&ContainerEndpoint { token_file: Some(path), ..endpoint(&server) }).await.is_ok());
}

#[test]
fn only_what_is_near_is_ever_asked() {
    let table = [
        ("http://127.0.0.1:9001/2021-04-23/credentials", true),
        ("http://localhost/creds", true),
        ("http://[::1]:80/creds", true),
        ("http://169.254.170.2/v2/credentials", true),
        ("http://169.254.170.23/v1/credentials", true),
        ("http://[fe80::1]/creds", true),
        ("http://[fd00:ec2::23]/v1/credentials", true),
        ("http://[fd00:ec2::24]/v1/credentials", false),
        ("http://10.0.0.1/creds", false),
        ("http://example.com/creds", false),
        ("http://localhost.example.com/creds", false),
        ("http://example.com@127.0.0.1/creds", false),
        ("http://127.0.0.1@example.com/creds", false),
        ("https://127.0.0.1/creds", false),
        ("https://example.com/creds", false),
        ("ftp://127.0.0.1/creds", false),
        ("127.0.0.1", false),
        ("/creds", false),
        ("", false),
        ("http://127.0.0.1/a b", false),
    ];
    for (uri, allowed) in table {
        let outcome = ContainerEndpoint::at(uri.to_owned(), Some("s3cr3t".to_owned()), None).request();
        assert_eq!(outcome.is_ok(), allowed, "{uri}");
        if let Err(error) = outcome {
            let rule = "no credentials from the container's endpoint: AWS_CONTAINER_CREDENTIALS_FULL_URI: \
                        http:// and a loopback or link-local address is expected";
            assert_eq!((error.kind, error.to_string().as_str()), (AttemptErrorKind::Configuration, rule), "{uri}");
        }
    }
}

#[tokio::test]
async fn no_proxy_is_told_the_token() {
    let (server, proxy) = (RecordingServer::start().await, TestProxy::start().await);
    server.answer([respond(200, ANSWER)]);
    let every = Proxy::parse(&proxy.address().to_string()).expect("an address");
    let proxies = ProxySettings { every: Some(every), ..ProxySettings::default() };
    let store = Connector::new(Tls::new(None), proxies, Duration::ZERO);
    assert!(endpoint(&server).fetch(&store.for_single_requests_nearby()).await.is_ok());
    assert!(proxy.heads().is_empty());
}

#[tokio::test]
async fn a_failure_is_one_line_without_a_word_of_the_answer() {
    let server = RecordingServer::start().await;
    let long = format!("{ANSWER}{}", " ".repeat(ANSWER_BYTES_MAX + 1 - ANSWER.len()));
    let table = [
        (respond(500, "s3cr3t"), AttemptErrorKind::Retry, "they were refused"),
        (respond(503, "s3cr3t"), AttemptErrorKind::Retry, "they were refused"),
        (respond(429, "s3cr3t"), AttemptErrorKind::Retry, "they were refused"),
        (respond(404, "s3cr3t"), AttemptErrorKind::Configuration, "they were refused"),
        (respond(403, "s3cr3t"), AttemptErrorKind::Configuration, "they were refused"),
        (respond(302, "s3cr3t"), AttemptErrorKind::Configuration, "they were refused"),
        (Answer::Close, AttemptErrorKind::Retry, "connection lost: "),
        (respond(200, long), AttemptErrorKind::Configuration, "the answer is longer than 16384 bytes"),
        (respond(200, "s3cr3t"), AttemptErrorKind::Configuration, "the answer is not as documented"),
        (
            respond(200, r#"{"AccessKeyId":"","SecretAccessKey":"s3cr3t"}"#),
            AttemptErrorKind::Configuration,
            "the answer is not as documented",
        ),
        (
            respond(200, r#"{"AccessKeyId":"a","SecretAccessKey":"s3cr3t","Expiration":"s3cr3t"}"#),
            AttemptErrorKind::Configuration,
            "the answer is not as documented",
        ),
    ];
    for (answer, kind, what) in table {
        server.answer([answer.clone()]);
        let error = refused(&endpoint(&server)).await;
        let line = error.to_string();
        assert_eq!(error.kind, kind, "{answer:?}: {line}");
        assert!(line.contains("no credentials from the container's endpoint: ") && line.contains(what), "{line}");
        assert!(!line.contains("s3cr3t") && !line.contains('\n'), "{line}");
    }

    // The longest answer that is allowed is read.
    server.answer([respond(200, format!("{ANSWER}{}", " ".repeat(ANSWER_BYTES_MAX - ANSWER.len())))]);
    assert!(fetch(&endpoint(&server)).await.is_ok());
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_left_after_the_limit() {
    let server = RecordingServer::start().await;
    server.answer([Answer::Hang]);
    let hanging = ContainerEndpoint { limit: Duration::from_millis(50), ..endpoint(&server) };
    let error = refused(&hanging).await;
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert_eq!(error.to_string(), "no credentials from the container's endpoint: no answer within 50ms");
    assert_eq!(ContainerEndpoint::at(String::new(), None, None).limit, Duration::from_secs(2));
}
