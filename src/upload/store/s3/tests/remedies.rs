//! What heals an attempt at once, and what is learned from it.

use super::super::super::PutOutcome;
use super::*;

fn signed_region(request: &Recorded) -> &str {
    header(request, "authorization").split('/').nth(2).expect("a scope")
}

#[tokio::test]
async fn the_region_that_the_store_tells_is_signed_for_once_and_from_then_on() {
    let redirect = |region: &'static str| Answer::Respond {
        status: 301,
        headers: Box::leak(Box::new([("x-amz-bucket-region", region)])),
        body: "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>".to_owned(),
    };
    let malformed = |region: &str| Answer::Respond {
        status: 400,
        headers: &[],
        body: format!("<Error><Code>AuthorizationHeaderMalformed</Code><Region>{region}</Region></Error>"),
    };
    for answer in [redirect("us-east-2"), malformed("us-east-2")] {
        let server = RecordingServer::start().await;
        server.answer([answer]);
        let store = store_at(&server);
        for key in ["a", "b"] {
            assert_eq!(store.put(&TestBody::new("abc").object(key)).await, Ok(PutOutcome::Stored));
        }
        let recorded = server.recorded();
        let regions: Vec<_> = recorded.iter().map(signed_region).collect();
        assert_eq!(regions, ["eu-west-1", "us-east-2", "us-east-2"]);
    }
    // Two stores that each send to the other are not followed for ever, and what is no region is not followed at all.
    for (answers, requests) in
        [(vec![redirect("us-east-2"), redirect("eu-west-1")], 2), (vec![malformed("evil.com/x")], 1)]
    {
        let server = RecordingServer::start().await;
        server.answer(answers);
        let error = store_at(&server).put(&TestBody::new("abc").object(KEY)).await.expect_err("nowhere");
        assert_eq!((error.kind, server.recorded().len()), (AttemptErrorKind::WrongRegion, requests), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_refuses_conditions_is_served_with_plain_puts_from_then_on() {
    let server = RecordingServer::start().await;
    server.answer([Answer::error(501, "NotImplemented", "A header you provided implies functionality")]);
    let store = store_at(&server);
    for key in ["a", "b"] {
        assert_eq!(store.put(&TestBody::new("abc").object(key)).await, Ok(PutOutcome::Stored));
    }
    let conditions: Vec<_> =
        server.recorded().iter().map(|request| request.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(conditions, [Some("*".to_owned()), None, None]);
}

#[tokio::test]
async fn a_plain_put_that_is_refused_as_well_teaches_nothing() {
    let server = RecordingServer::start().await;
    let refused = || Answer::error(400, "InvalidRequest", "no");
    server.answer([refused(), refused()]);
    let store = store_at(&server);
    let error =
        store.put(&TestBody::new("abc").object("a")).await.expect_err("whatever is wrong, the condition is not");
    assert_eq!(error.kind, AttemptErrorKind::Configuration);
    assert_eq!(store.put(&TestBody::new("abc").object("b")).await, Ok(PutOutcome::Stored));
    assert_eq!(header(&server.recorded()[2], "if-none-match"), "*");

    // Nor does it when conditions are demanded.
    server.answer([Answer::error(501, "NotImplemented", "no")]);
    let store = store_with(&server, IfNoneMatch::Always);
    let error = store.put(&TestBody::new("abc").object("c")).await.expect_err("conditions are demanded");
    assert_eq!((error.kind, server.recorded().len()), (AttemptErrorKind::Configuration, 4));
}

fn store_with(server: &RecordingServer, if_none_match: IfNoneMatch) -> S3Store {
    store(S3Settings { if_none_match, ..settings(server) })
}

#[tokio::test]
async fn a_request_that_came_too_late_is_signed_anew_once() {
    let server = RecordingServer::start().await;
    let late = || Answer::error(403, "RequestTimeTooSkewed", "The difference is too large");
    server.answer([late()]);
    let store = store_at(&server);
    assert_eq!(store.put(&TestBody::new("abc").object("a")).await, Ok(PutOutcome::Stored));
    server.answer([late(), late()]);
    let error = store.put(&TestBody::new("abc").object("b")).await.expect_err("the clock is wrong");
    assert_eq!((error.kind, server.recorded().len()), (AttemptErrorKind::Credentials, 4));
}
