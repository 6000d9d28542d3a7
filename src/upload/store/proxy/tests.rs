use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::super::credentials::CredentialSource;
use super::super::recording_server::{Answer, CA_PEM, RecordingServer};
use super::super::s3::{Bucket, S3Settings, S3Store};
use super::super::test_body::TestBody;
use super::super::test_proxy::TestProxy;
use super::super::{AttemptErrorKind, ObjectStore as _, PutOutcome};
use super::*;

fn proxy(text: &str) -> Proxy {
    Proxy::parse(text).expect(text)
}

fn through(proxy: &TestProxy, user: &str) -> ProxySettings {
    let every = Proxy::parse(&format!("http://{user}{}", proxy.address())).expect("an address");
    ProxySettings { every: Some(every), ..ProxySettings::default() }
}

fn settings(endpoint: String, proxies: ProxySettings) -> S3Settings {
    S3Settings {
        endpoint: Some(endpoint),
        path_style: true,
        // Long enough never to end a test that should not end by it.
        request_timeout: Duration::from_secs(60),
        proxies,
        ..S3Settings::new(Bucket::parse("bucket").expect("a name").0, "eu-west-1")
    }
}

fn store(settings: S3Settings) -> S3Store {
    let credentials = CredentialSource::from_values(Some("AKIDEXAMPLE".to_owned()), Some("s3cr3t".to_owned()), None);
    S3Store::new(settings, credentials).expect("sane settings")
}

#[test]
fn a_proxy_reads_as_a_url() {
    let table = [
        ("http://proxy.internal:3128", "proxy.internal:3128", None),
        ("HTTP://proxy.internal:3128/", "proxy.internal:3128", None),
        ("  proxy.internal:3128 ", "proxy.internal:3128", None),
        ("http://10.0.0.1", "10.0.0.1:80", None),
        ("http://[fd00::1]:8080", "[fd00::1]:8080", None),
        ("http://ada:l0velace@h:1", "h:1", Some("ada:l0velace")),
        ("http://ada@h:1", "h:1", Some("ada:")),
        ("http://a%40b:p%3Aw%2Fd%25@h:1", "h:1", Some("a@b:p:w/d%")),
        ("http://ada:p/w@d@h:1", "h:1", Some("ada:p/w@d")),
    ];
    for (text, shown, user) in table {
        let proxy = proxy(text);
        assert_eq!(proxy.to_string(), shown, "{text}");
        let expected = user.map(|user| format!("Basic {}", BASE64.encode(user)));
        let authorization = proxy.authorization.as_ref().map(|value| value.to_str().expect("text"));
        assert_eq!(authorization, expected.as_deref(), "{text}");
    }
}

#[test]
fn what_is_no_proxy_of_ours_is_refused_without_repeating_it() {
    for text in [
        "",
        "http://",
        "https://user:hunter2@proxy:443",
        "socks5://user:hunter2@proxy:1080",
        "http://user:hunter2@",
        "http://user:hunter2@:80",
        "http://user:hunter2@h:",
        "http://user:hunter2@h:0",
        "http://user:hunter2@h:65536",
        "http://user:hunter2@h:port",
        "http://user:hunter2@h:80/path",
        "http://user:hunter2@h:80?query",
        "http://user:hunter2@h h:80",
    ] {
        let error = Proxy::parse(text).expect_err(text);
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("hunter2") && printed.contains("http://[user:password@]host[:port]"), "{printed}");
    }
}

#[test]
fn a_password_is_not_printed() {
    let settings = ProxySettings { every: Some(proxy("http://ada:hunter2@h:1")), ..ProxySettings::default() };
    let printed = format!("{settings:?} {}", proxy("http://ada:hunter2@h:1"));
    assert!(printed.contains("h:1"), "{printed}");
    for secret in ["hunter2", "ada", "Basic", &BASE64.encode("ada:hunter2")] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn our_own_setting_holds_for_every_host_and_the_environments_for_tls_without_exceptions() {
    let own = ("own:1", None);
    let of_environment = |except: &'static str| ("", Some(except));
    let table = [
        (own, true, "s3.amazonaws.com", Some("own:1")),
        (own, false, "minio.internal", Some("own:1")),
        (own, false, "127.0.0.1", Some("own:1")),
        (("own:1", Some("*")), true, "s3.amazonaws.com", Some("own:1")),
        (of_environment(""), true, "s3.amazonaws.com", Some("env:2")),
        (of_environment(""), false, "s3.amazonaws.com", None),
        (of_environment(" , "), true, "s3.amazonaws.com", Some("env:2")),
        (of_environment("amazonaws.com"), true, "s3.amazonaws.com", None),
        (of_environment(".amazonaws.com"), true, "S3.AmazonAWS.com", None),
        (of_environment("amazonaws.com"), true, "amazonaws.com", None),
        (of_environment("amazonaws.com"), true, "notamazonaws.com", Some("env:2")),
        (of_environment("other, minio.internal"), true, "minio.internal", None),
        (of_environment("*"), true, "s3.amazonaws.com", None),
        (of_environment("10.0.0.0/8"), true, "10.1.2.3", None),
        (of_environment("10.0.0.0/8"), true, "11.1.2.3", Some("env:2")),
        (of_environment("fd00::/8"), true, "[fd00::1]", None),
        (of_environment("fd00::1"), true, "[fd00::2]", Some("env:2")),
    ];
    for ((own, except), tls, host, expected) in table {
        let settings = ProxySettings {
            every: Proxy::parse(own).ok(),
            https: Some(proxy("http://env:2")),
            except: except.map(str::to_owned),
        };
        let found = settings.proxy_for(tls, host).map(ToString::to_string);
        assert_eq!(found.as_deref(), expected, "{own} {except:?} {tls} {host}");
    }
    assert_eq!(ProxySettings::default().proxy_for(true, "h"), None);
}

#[tokio::test]
async fn a_store_without_tls_is_reached_through_one_tunnel_that_is_kept() {
    let (server, proxy) = (RecordingServer::start().await, TestProxy::start().await);
    let store = store(settings(server.endpoint(), through(&proxy, "")));
    let bytes = "line\n".repeat(40_000);
    let body = TestBody::new(bytes.clone());
    for key in ["a", "b"] {
        assert_eq!(store.put(&body.object(key)).await, Ok(PutOutcome::Stored));
    }

    let target = server.endpoint().replace("http://", "");
    assert_eq!(proxy.heads(), [format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n")]);
    let recorded = server.recorded();
    assert_eq!(recorded.len(), 2);
    for request in &recorded {
        assert_eq!((request.connection, request.header("host")), (0, Some(target.as_str())));
        assert_eq!(request.body, bytes);
        assert_eq!(request.header("proxy-authorization"), None);
    }

    store.close_idle();
    assert_eq!(store.put(&body.object("c")).await, Ok(PutOutcome::Stored));
    assert_eq!(proxy.heads().len(), 2, "a tunnel is kept across a freeze");
}

#[tokio::test]
async fn tls_is_spoken_with_the_store_and_the_password_told_to_the_proxy_alone() {
    let (server, proxy) = (RecordingServer::start_tls().await, TestProxy::start().await);
    let mut ca = tempfile::NamedTempFile::new().expect("a temporary file");
    ca.write_all(CA_PEM.as_bytes()).expect("the file is written");
    let mut settings = settings(server.endpoint(), through(&proxy, "ada:hunter%32@"));
    settings.ca_file = Some(ca.path().to_owned());
    let store = store(settings);
    let body = TestBody::new("line\n".repeat(40_000));
    for key in ["a", "b"] {
        assert_eq!(store.put(&body.object(key)).await, Ok(PutOutcome::Stored));
    }

    let [head] = &proxy.heads()[..] else { panic!("not one tunnel: {:?}", proxy.heads()) };
    assert!(head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.endpoint().replace("https://", ""))), "{head}");
    let authorization = format!("\r\nproxy-authorization: Basic {}\r\n", BASE64.encode("ada:hunter2"));
    assert!(head.contains(&authorization), "{head}");
    let recorded = server.recorded();
    assert_eq!(recorded.len(), 2);
    assert!(recorded.iter().all(|request| request.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_is_named_with_its_status() {
    let (server, proxy) = (RecordingServer::start().await, TestProxy::start().await);
    proxy.answer([
        "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 403 Forbidden\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: http://login/\r\n\r\n",
        "",
    ]);
    let store = store(settings(server.endpoint(), through(&proxy, "ada:hunter2@")));
    let body = TestBody::new("abc");
    let (address, target) = (proxy.address(), server.endpoint().replace("http://", ""));
    let told = |status, what| format!("the proxy {address} answered HTTP {status} to CONNECT {target}: {what}");
    let table = [
        (AttemptErrorKind::Configuration, told(407, "it wants authorization: a user and password that it knows")),
        (AttemptErrorKind::Configuration, told(403, "it forbids this connection")),
        (AttemptErrorKind::Retry, told(502, "no tunnel")),
        (AttemptErrorKind::Retry, told(302, "no tunnel")),
        (
            AttemptErrorKind::Retry,
            format!(
                "cannot connect to {target} through the proxy {address}: connection closed before message completed"
            ),
        ),
    ];
    for (kind, line) in table {
        let error = store.put(&body.object("a")).await.expect_err(&line);
        assert_eq!((error.kind, error.message), (kind, line));
    }
    assert!(server.recorded().is_empty());
    assert_eq!(store.put(&body.object("a")).await, Ok(PutOutcome::Stored));
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_an_outage_that_names_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    drop(listener);
    let proxies = ProxySettings { every: Some(proxy(&address.to_string())), ..ProxySettings::default() };
    let error = store(settings("http://127.0.0.1:9".to_owned(), proxies))
        .put(&TestBody::new("abc").object("a"))
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert_eq!(error.message, format!("cannot connect to the proxy {address}: Connection refused (os error 111)"));
}

#[tokio::test]
async fn a_proxy_that_says_more_than_its_answer_is_not_trusted_with_a_request() {
    let (server, proxy) = (RecordingServer::start().await, TestProxy::start().await);
    proxy.answer(["HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"]);
    let store = store(settings(server.endpoint(), through(&proxy, "")));
    let error = store.put(&TestBody::new("abc").object("a")).await.expect_err("an answer before the question");
    assert_eq!(error.kind, AttemptErrorKind::Retry);
    assert!(error.message.ends_with("the proxy sent more than its answer"), "{error}");
}

#[tokio::test]
async fn a_kept_tunnel_that_turns_out_dead_is_replaced_once_within_the_attempt() {
    let (server, proxy) = (RecordingServer::start().await, TestProxy::start().await);
    let store = store(settings(server.endpoint(), through(&proxy, "")));
    let body = TestBody::new("line\n".repeat(40_000));
    assert_eq!(store.put(&body.object("a")).await, Ok(PutOutcome::Stored));

    server.answer([Answer::Close]);
    assert_eq!(store.put(&body.object("b")).await, Ok(PutOutcome::Stored));

    let connections: Vec<usize> = server.recorded().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
    assert_eq!(proxy.heads().len(), 2);
}

/// A store that reads the head of one request, refuses it, and hangs up with the body unread, which resets the connection.
fn refusing_server() -> (String, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let server = std::thread::spawn(move || {
        let document = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";
        let length = document.len();
        let answer =
            format!("HTTP/1.1 404 Not Found\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}");
        let (mut stream, _) = listener.accept().expect("a client");
        let read = stream.read(&mut [0; 1024]).expect("a request");
        assert!(read > 0, "the client hung up");
        stream.write_all(answer.as_bytes()).expect("the client listens");
    });
    (format!("http://{address}"), server)
}

/// A proxy that hangs up with the rest of the body unread as soon as the store's answer went through. On a thread of its own,
/// like the store: the client must be in the middle of its writing.
fn early_proxy() -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let proxy = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let target = String::from_utf8_lossy(&head).split(' ').nth(1).expect("a target").to_owned();
        let mut server = std::net::TcpStream::connect(target).expect("the store listens");
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("the client listens");
        let mut request = [0; 1024];
        let read = client.read(&mut request).expect("a request");
        server.write_all(&request[..read]).expect("the store reads");
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).expect("an answer");
        client.write_all(&answer).expect("the client listens");
    });
    (address, proxy)
}

#[tokio::test]
async fn a_store_that_refuses_before_it_has_read_the_body_is_heard_through_a_tunnel() {
    let body = TestBody::new(vec![b'x'; 4 << 20]);
    let object = body.object("a");
    // Whether the client meets the reset before the answer is a matter of luck: without care it does in many a try.
    for _ in 0..50 {
        let (endpoint, server) = refusing_server();
        let (address, proxying) = early_proxy();
        let proxies = ProxySettings { every: Some(proxy(&address.to_string())), ..ProxySettings::default() };
        let error = store(settings(endpoint, proxies)).put(&object).await.expect_err("it is refused");
        proxying.join().expect("the proxy ends well");
        server.join().expect("the server ends well");
        assert_eq!(error.to_string(), "NoSuchBucket (HTTP 404): none");
    }
}
