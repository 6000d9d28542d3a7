//! Each fault does what it says, to whom it says, as often as it says.

use crate::World;
use crate::client::{Connection, call, io_error_kind, put};
use sandbox::s3::{Fault, RandomFaults, RequestSeen, Requests, S3Options, S3Server};
use std::collections::HashSet;
use std::future::Future;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

pub static BODY: [u8; 1 << 20] = [b'x'; 1 << 20];

async fn statuses(world: &World, requests: usize) -> Vec<Option<u16>> {
    let mut statuses = Vec::new();
    for _ in 0..requests {
        let reply = put(&world.s3, "a", "text").send().await;
        statuses.push(reply.ok().map(|reply| reply.status));
    }
    statuses
}

/// Every fault that answers: status, code, whether the object is there.
pub const ANSWERS: [(Fault, u16, &str, bool); 25] = [
    (Fault::SlowDown, 503, "SlowDown", false),
    (Fault::ServiceUnavailable, 503, "ServiceUnavailable", false),
    (Fault::InternalError, 500, "InternalError", false),
    (Fault::InternalErrorAfterStoring, 500, "InternalError", true),
    (Fault::RequestTimeout, 400, "RequestTimeout", false),
    (Fault::OperationAborted, 409, "OperationAborted", false),
    (Fault::ConditionalRequestConflict, 409, "ConditionalRequestConflict", false),
    (Fault::TooManyRequests, 429, "TooManyRequests", false),
    (Fault::Throttling, 503, "ThrottlingException", false),
    (Fault::KmsThrottling, 400, "KMS.ThrottlingException", false),
    (Fault::IncompleteBody, 400, "IncompleteBody", false),
    (Fault::BadGateway, 502, "", false),
    (Fault::ExpiredToken, 400, "ExpiredToken", false),
    (Fault::RequestExpired, 403, "RequestExpired", false),
    (Fault::RequestTimeTooSkewed, 403, "RequestTimeTooSkewed", false),
    (Fault::InvalidAccessKeyId, 403, "InvalidAccessKeyId", false),
    (Fault::AccessDenied, 403, "AccessDenied", false),
    (Fault::SignatureDoesNotMatch, 403, "SignatureDoesNotMatch", false),
    (Fault::AllAccessDisabled, 403, "AllAccessDisabled", false),
    (Fault::NoSuchBucket, 404, "NoSuchBucket", false),
    (Fault::KmsDisabled, 400, "KMS.DisabledException", false),
    (Fault::PermanentRedirect, 301, "PermanentRedirect", false),
    (Fault::TemporaryRedirect, 307, "TemporaryRedirect", false),
    (Fault::AuthorizationHeaderMalformed, 400, "AuthorizationHeaderMalformed", false),
    (Fault::NotImplemented, 501, "NotImplemented", false),
];

/// Those that do not.
const SILENT: [Fault; 4] = [Fault::ResetMidBody, Fault::ResetBeforeAnswer, Fault::ResetAfterStoring, Fault::Hang];

#[test]
fn every_fault_answers_or_is_silent() {
    let answers = ANSWERS.iter().map(|(fault, ..)| *fault);
    let tested: HashSet<_> = answers.chain(SILENT).collect();
    assert_eq!(tested, HashSet::from(Fault::ALL));
}

#[tokio::test]
async fn an_error_answer_has_its_status_and_code_and_stores_only_if_it_says_so() {
    for (fault, status, code, stored) in ANSWERS {
        let world = World::new().await;
        world.s3.faults().next(1, fault);
        let reply = put(&world.s3, "a", &BODY[..]).send().await;
        let reply = reply.expect("an answer");
        assert_eq!(reply.error(), (status, code.to_owned()), "{fault:?}");
        let content_type = if code.is_empty() { "text/html" } else { "application/xml" };
        assert_eq!(reply.header("content-type"), Some(content_type), "{fault:?}");

        let seen = world.s3.requests().remove(0);
        assert_eq!((seen.status, seen.fault), (Some(status), Some(fault)));
        assert_eq!(seen.stored, stored, "{fault:?}");
        assert_eq!(seen.body_bytes, 1 << 20, "{fault:?}");
        if stored {
            assert_eq!(world.bytes("a"), BODY);
        } else {
            world.assert_nothing_stored(code);
        }
    }
}

#[tokio::test]
async fn a_bucket_that_is_elsewhere_is_told_where_each_answer_tells_it() {
    let options = S3Options { region: "eu-south-2".to_owned(), ..S3Options::default() };
    let root = tempfile::tempdir().expect("a temporary directory");
    let s3 = S3Server::start_with(root.path(), options).await.expect("a server");
    let (region, endpoint) = ("eu-south-2", "s3.eu-south-2.amazonaws.com");
    for (fault, header, element, value) in [
        (Fault::PermanentRedirect, Some(region), "Endpoint", endpoint),
        (Fault::TemporaryRedirect, Some(region), "Endpoint", endpoint),
        (Fault::AuthorizationHeaderMalformed, None, "Region", region),
    ] {
        s3.faults().next(1, fault);
        let reply = put(&s3, "a", "text").send().await.expect("an answer");
        assert_eq!(reply.header("x-amz-bucket-region"), header, "{fault:?}");
        assert_eq!(reply.elements(element), [value], "{fault:?}");
    }
}

#[tokio::test]
async fn an_ambiguous_error_followed_by_a_conditional_retry_makes_one_object() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::InternalErrorAfterStoring);
    let upload = put(&world.s3, "a", "text").header("if-none-match", "*");
    assert_eq!(upload.send().await.expect("an answer").status, 500);
    assert_eq!(upload.send().await.expect("an answer").status, 412);
    assert_eq!(world.keys(), ["a"]);
}

#[tokio::test]
async fn a_reset_in_mid_body_takes_half_of_it_and_leaves_nothing() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::ResetMidBody);
    let failure = put(&world.s3, "a", &BODY[..]).send().await.err();
    let kind = failure.as_ref().and_then(io_error_kind);
    assert!(matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{failure:?}");
    let ended = |seen: &[RequestSeen]| seen[0].body_bytes == 1 << 19;
    let seen = world.requests_until(ended).await.remove(0);
    assert_eq!((seen.status, seen.stored), (None, false));
    assert_eq!(seen.fault, Some(Fault::ResetMidBody));
    world.assert_nothing_stored("reset in mid-body");
}

#[tokio::test]
async fn a_reset_before_the_answer_takes_all_and_leaves_nothing() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::ResetBeforeAnswer);
    let failure = put(&world.s3, "a", &BODY[..]).send().await.err();
    let kind = failure.as_ref().and_then(io_error_kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionReset), "{failure:?}");
    let ended = |seen: &[RequestSeen]| seen[0].body_bytes == 1 << 20;
    let seen = world.requests_until(ended).await.remove(0);
    assert_eq!((seen.status, seen.stored), (None, false));
    world.assert_nothing_stored("reset before the answer");
}

#[tokio::test]
async fn a_reset_after_storing_is_a_reset_and_the_object_is_there() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::ResetAfterStoring);
    let failure = put(&world.s3, "a", "text").send().await.err();
    let kind = failure.as_ref().and_then(io_error_kind);
    assert_eq!(kind, Some(ErrorKind::ConnectionReset), "{failure:?}");
    assert_eq!(world.bytes("a"), b"text");
    let seen = world.s3.requests().remove(0);
    assert_eq!((seen.status, seen.stored), (None, true));
}

#[tokio::test]
async fn a_hanging_request_is_read_and_not_answered_while_others_are_served() {
    let world = World::new().await;
    world.s3.faults().next(1, Fault::Hang);
    let hanging = put(&world.s3, "hangs", &BODY[..]);
    let hanging = tokio::spawn(async move { hanging.send().await.map(|reply| reply.status) });
    let all_read = |seen: &[RequestSeen]| seen.iter().any(|it| it.body_bytes == 1 << 20);
    world.requests_until(all_read).await;

    assert_eq!(statuses(&world, 1).await, [Some(200)]);
    world.s3.faults().clear();
    assert_eq!(statuses(&world, 1).await, [Some(200)]);
    assert!(!hanging.is_finished());
    assert_eq!(world.s3.requests()[0].status, None);
    assert_eq!(world.keys(), ["a"]);
    hanging.abort();
}

#[tokio::test]
async fn refused_connections_are_refused_by_the_kernel_and_the_port_comes_back() {
    let world = World::new().await;
    let address = world.s3.endpoint().replace("http://", "");
    let mut kept = Connection::to(&world.s3).await.expect("a connection");
    let upload = put(&world.s3, "a", "text");
    assert_eq!(kept.send(&upload).await.expect("an answer").status, 200);

    for _ in 0..3 {
        world.s3.faults().set(Fault::RefuseConnections);
        let refused = TcpStream::connect(&address).map(drop);
        let kind = refused.expect_err("nobody listens").kind();
        assert_eq!(kind, ErrorKind::ConnectionRefused);
        let taken = TcpListener::bind(&address).expect_err("the port is ours");
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        kept.send(&upload).await.err().expect("it was cut");

        world.s3.faults().clear();
        assert_eq!(world.s3.endpoint(), format!("http://{address}"));
        kept = Connection::to(&world.s3).await.expect("a connection");
        assert_eq!(kept.send(&upload).await.expect("an answer").status, 200);
    }
    assert_eq!(world.s3.requests().len(), 4, "a refused one is never seen");
}

#[tokio::test]
async fn connections_that_hang_are_cut_when_refusing_starts() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let hanging = put(&world.s3, "a", "text");
    let hanging = tokio::spawn(async move { hanging.send().await.map(|reply| reply.status) });
    world.requests_until(|seen| !seen.is_empty()).await;
    world.s3.faults().set(Fault::RefuseConnections);
    let failure = hanging.await.expect("a task").expect_err("no answer");
    assert_eq!(io_error_kind(&failure), Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn faults_are_counted_scripted_and_cleared() {
    let world = World::new().await;
    let faults = world.s3.faults();
    faults.next(2, Fault::SlowDown);
    let counted = [Some(503), Some(503), Some(200)];
    assert_eq!(statuses(&world, 3).await, counted);

    faults.script([Some(Fault::AccessDenied), None, Some(Fault::InternalError)]);
    let scripted = [Some(403), Some(200), Some(500), Some(200)];
    assert_eq!(statuses(&world, 4).await, scripted);
    faults.script(vec![Fault::ExpiredToken]);
    assert_eq!(statuses(&world, 2).await, [Some(400), Some(200)]);

    faults.set(Fault::ServiceUnavailable);
    assert_eq!(statuses(&world, 3).await, [Some(503); 3]);
    faults.clear();
    assert_eq!(statuses(&world, 1).await, [Some(200)]);
}

#[tokio::test]
async fn only_uploads_suffer_and_use_up_faults_unless_told_otherwise() {
    let world = World::new().await;
    let head = || call(&world.s3, "HEAD", "logs", "");
    let faults = world.s3.faults();
    faults.next(1, Fault::SlowDown);
    assert_eq!(head().send().await.expect("an answer").status, 200);
    assert_eq!(statuses(&world, 2).await, [Some(503), Some(200)]);

    faults.of(Requests::All).next(1, Fault::SlowDown);
    assert_eq!(head().send().await.expect("an answer").status, 503);
    assert_eq!(statuses(&world, 1).await, [Some(200)]);

    faults.next(1, Fault::SlowDown);
    assert_eq!(head().send().await.expect("an answer").status, 200);
}

#[tokio::test]
async fn random_faults_follow_their_seed() {
    let world = World::new().await;
    let kinds = [Fault::SlowDown, Fault::AccessDenied];
    let seed = fastrand::u64(..);
    world.s3.faults().random(seed, 500, &kinds);
    assert_eq!(world.s3.faults().seed(), Some(seed));
    statuses(&world, 30).await;
    let happened: Vec<_> = world.s3.requests().iter().map(|seen| seen.fault).collect();
    let expected: Vec<_> = RandomFaults::new(seed, 500, &kinds).take(30).collect();
    assert_eq!(happened, expected, "seed {seed}");
    world.s3.faults().clear();
    assert_eq!(world.s3.faults().seed(), None);
}

#[test]
fn the_server_serves_while_the_test_blocks() {
    let start = |future| run(future);
    let (s3, _root) = start(async {
        let World { s3, root } = World::new().await;
        (s3, root)
    });
    // No runtime runs here any more; the server has its own.
    let reply = run(async { put(&s3, "a", "text").send().await.map(|it| it.status) });
    assert_eq!(reply.expect("an answer"), 200);
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[tokio::test]
async fn a_dropped_server_leaves_its_directory_and_nothing_else() {
    let World { s3, root } = World::new().await;
    let address = s3.endpoint().replace("http://", "");
    let faults = s3.faults();
    let upload = put(&s3, "a", "text");
    let mut kept = Connection::to(&s3).await.expect("a connection");
    assert_eq!(kept.send(&upload).await.expect("an answer").status, 200);
    drop(s3);

    kept.send(&upload).await.err().expect("it was cut");
    TcpStream::connect(&address).expect_err("nobody listens");
    faults.clear(); // a switch without a server: it must not open the port again
    TcpListener::bind(&address).expect("the port is free");
    let again = S3Server::start(root.path()).await.expect("a server");
    assert_eq!(again.objects("logs").expect("a bucket").len(), 1);
}

#[tokio::test]
async fn a_store_with_latency_carries_out_at_once_and_answers_later() {
    let world = World::new().await;
    world.s3.set_latency(std::time::Duration::from_secs(3_600));
    let upload = put(&world.s3, "far", "text");
    let far = tokio::spawn(async move { upload.send().await });
    let seen = world.requests_until(|seen| seen.first().is_some_and(|request| request.stored)).await.remove(0);
    assert_eq!(seen.answered_at, None);
    world.s3.set_latency(std::time::Duration::ZERO);
    assert_eq!(put(&world.s3, "near", "text").send().await.expect("an answer").status, 200);
    let [far_seen, near_seen] = &world.s3.requests()[..] else { panic!("{:?}", world.s3.requests()) };
    assert_eq!((far_seen.status, far_seen.answered_at), (None, None), "its answer is kept back");
    assert!(near_seen.answered_at.is_some_and(|at| near_seen.at <= at && far_seen.at <= near_seen.at));
    far.abort();
}
