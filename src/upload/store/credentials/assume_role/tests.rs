use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::super::connector::Connector;
use super::super::super::proxy::{Proxy, ProxySettings};
use super::super::super::recording_server::{Answer, RecordingServer};
use super::super::super::test_proxy::TestProxy;
use super::super::super::tls::Tls;
use super::super::super::{AttemptError, AttemptErrorKind};
use super::super::{AccessKeys, CredentialSource, CredentialValues, Credentials};
use super::*;

const ARN: &str = "arn:aws:iam::123456789012:role/logs";

fn role(server: &RecordingServer) -> RoleSettings {
    RoleSettings {
        role_arn: ARN.to_owned(),
        external_id: None,
        session_name: session_name("orders"),
        region: "eu-west-1".to_owned(),
        endpoint: Some(server.endpoint()),
    }
}

fn environment() -> CredentialSource {
    let some = |text: &str| Some(text.to_owned());
    CredentialSource::from_values(some("AKIDEXAMPLE"), some("s3cr3t"), some("t0k3n"))
}

fn connector(proxies: ProxySettings) -> Connector {
    Connector::new(Tls::new(None), proxies, Duration::ZERO)
}

fn credentials(source: CredentialSource, role: RoleSettings) -> Credentials {
    Credentials::new(source.with_role(role), &connector(ProxySettings::default()))
}

fn assumed(id: &str, ends: SystemTime) -> Answer {
    let ends = OffsetDateTime::from(ends).format(&Rfc3339).expect("a year of four digits");
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>secret-{id}</SecretAccessKey>\
         <SessionToken>token-{id}</SessionToken><Expiration>{ends}</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    Answer::Respond { status: 200, headers: &[("content-type", "text/xml")], body }
}

fn refused(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>{message}</Message></Error><RequestId>r-1</RequestId></ErrorResponse>"
    );
    Answer::Respond { status, headers: &[("content-type", "text/xml"), ("x-amzn-requestid", "r-1")], body }
}

#[test]
fn a_session_has_a_name_that_sts_allows() {
    let long = "x".repeat(200);
    let table = [
        ("orders", "logspool-orders".to_owned()),
        ("a_b c/d:é", "logspool-a-b-c-d--".to_owned()),
        ("a+b=c,d.e@f-g", "logspool-a+b=c,d.e@f-g".to_owned()),
        ("", "logspool-".to_owned()),
        (&long, format!("logspool-{}", &long[..55])),
    ];
    for (function, name) in table {
        assert_eq!(session_name(function), name);
        assert!((2..=SESSION_NAME_CHARS_MAX).contains(&session_name(function).len()));
    }
}

#[tokio::test]
async fn a_build_that_cannot_says_so() {
    let settings = role(&RecordingServer::start().await);
    let role = without_sts::Role::new(&settings, &connector(ProxySettings::default()));
    let keys = AccessKeys { id: "id".to_owned(), secret: "secret".to_owned(), session_token: None };
    let error = role.fetch(&keys).await.err().expect("it cannot");
    assert_eq!(error.kind, AttemptErrorKind::Configuration);
    assert_eq!(error.to_string(), "this build cannot assume a role: it was made without the feature assume-role");
    assert_eq!(CAN_ASSUME_ROLES, cfg!(feature = "assume-role"));
}

#[cfg(feature = "assume-role")]
mod with_sts {
    use super::*;

    async fn error(credentials: &Credentials) -> AttemptError {
        credentials.keys().await.expect_err("it is refused")
    }

    #[tokio::test]
    async fn one_signed_request_gives_keys_for_an_hour() {
        let server = RecordingServer::start().await;
        server.answer([assumed("ASIA", SystemTime::now() + Duration::from_secs(3600))]);
        let credentials =
            credentials(environment(), RoleSettings { external_id: Some("a b".to_owned()), ..role(&server) });
        assert!(server.recorded().is_empty(), "nothing is asked before keys are needed");
        for _ in 0..3 {
            let keys = credentials.keys().await.expect("keys");
            assert_eq!(
                (keys.id.as_str(), keys.secret.as_str(), keys.session_token.as_deref()),
                ("ASIA", "secret-ASIA", Some("token-ASIA"))
            );
        }
        let [request] = &server.recorded()[..] else { panic!("not one request: {:?}", server.recorded()) };
        assert_eq!(request.method, "POST");
        assert_eq!(
            request.body,
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Flogs\
             &RoleSessionName=logspool-orders&ExternalId=a%20b"
        );
        assert_eq!(request.header("x-amz-security-token"), Some("t0k3n"));
        let authorization = request.header("authorization").expect("it is signed");
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
                && authorization.contains("/eu-west-1/sts/aws4_request"),
            "{authorization}"
        );
    }

    #[tokio::test]
    async fn what_sts_refuses_is_told_in_one_line_with_its_kind() {
        let server = RecordingServer::start().await;
        let credentials = credentials(environment(), role(&server));
        let table = [
            (
                refused(403, "AccessDenied", "not you,\nt0k3n"),
                AttemptErrorKind::Configuration,
                "not you, [redacted] [request r-1]",
            ),
            (refused(403, "ExpiredToken", "old"), AttemptErrorKind::Credentials, "old [request r-1]"),
            (refused(400, "ExpiredTokenException", "old"), AttemptErrorKind::Credentials, "old [request r-1]"),
            (refused(403, "InvalidClientTokenId", "who?"), AttemptErrorKind::Credentials, "who? [request r-1]"),
            (refused(400, "Throttling", "slower"), AttemptErrorKind::Retry, "slower [request r-1]"),
            (refused(403, "RegionDisabledException", "off"), AttemptErrorKind::Configuration, "off [request r-1]"),
            (refused(500, "InternalFailure", "oh"), AttemptErrorKind::Retry, "oh [request r-1]"),
        ];
        let asked = table.len();
        for (answer, kind, message) in table {
            server.answer([answer]);
            let error = error(&credentials).await;
            assert_eq!(error.kind, kind, "{error}");
            assert_eq!(error.message, format!("cannot assume the role {ARN}: {message}"));
        }
        // No retries.
        assert_eq!(server.recorded().len(), asked);

        server.answer([Answer::Close]);
        let error = error(&credentials).await;
        assert_eq!(error.kind, AttemptErrorKind::Retry);
        assert!(error.message.starts_with(&format!("cannot assume the role {ARN}: connection lost: ")), "{error}");
    }

    #[tokio::test]
    async fn an_sts_that_never_answers_is_left_after_the_limit() {
        let server = RecordingServer::start().await;
        server.answer([Answer::Hang]);
        let mut role = super::super::Role::new(&role(&server), &connector(ProxySettings::default()));
        assert_eq!(role.limit, Duration::from_secs(5));
        role.limit = Duration::from_millis(100);
        let keys = AccessKeys { id: "id".to_owned(), secret: "secret".to_owned(), session_token: None };
        let error = role.fetch(&keys).await.err().expect("it hangs");
        assert_eq!(error.kind, AttemptErrorKind::Retry);
        assert_eq!(error.message, format!("cannot assume the role {ARN}: no answer of STS within 100ms"));
    }

    #[tokio::test]
    async fn keys_of_the_source_that_are_old_are_fetched_anew_once() {
        let (server, container) = (RecordingServer::start().await, RecordingServer::start().await);
        let keys = |id: &str| Answer::Respond {
            status: 200,
            headers: &[],
            body: format!(r#"{{"AccessKeyId":"{id}","SecretAccessKey":"secret-{id}","Token":"token-{id}"}}"#),
        };
        container.answer([keys("a"), keys("b"), keys("c")]);
        server.answer([
            refused(403, "ExpiredToken", "old"),
            assumed("ASIA", SystemTime::now() + Duration::from_secs(3600)),
            refused(403, "ExpiredToken", "old"),
            refused(403, "ExpiredToken", "old again, token-c"),
        ]);
        let source = CredentialSource::choose(CredentialValues {
            container_full_uri: Some(container.endpoint()),
            ..CredentialValues::default()
        });
        let credentials = credentials(source, role(&server));
        let assumed = credentials.keys().await.expect("keys");
        assert_eq!(assumed.id, "ASIA");
        // Of the role as of the container: what is refused is dropped.
        assert!(credentials.refused(&assumed));
        let error = error(&credentials).await;
        assert_eq!(error.kind, AttemptErrorKind::Credentials);
        assert!(error.message.ends_with("old again, [redacted] [request r-1]"), "{error}");
        let recorded = server.recorded();
        let signed: Vec<_> = recorded.iter().map(|request| request.header("x-amz-security-token")).collect();
        assert_eq!(signed, ["token-a", "token-b", "token-b", "token-c"].map(Some));
    }

    #[tokio::test]
    async fn sts_is_reached_through_the_stores_proxy() {
        let (server, proxy) = (RecordingServer::start().await, TestProxy::start().await);
        server.answer([assumed("ASIA", SystemTime::now() + Duration::from_secs(3600))]);
        let every = Proxy::parse(&proxy.address().to_string()).expect("an address");
        let proxies = ProxySettings { every: Some(every), ..ProxySettings::default() };
        let credentials = Credentials::new(environment().with_role(role(&server)), &connector(proxies));
        assert!(credentials.keys().await.is_ok());
        assert_eq!(proxy.heads().len(), 1);
    }
}
