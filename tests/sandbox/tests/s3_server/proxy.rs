//! The faults before a server of somebody else's: here one of ours plays it, so that its own log shows what got through.

use crate::World;
use crate::client::{PATIENCE, call, io_error_kind, put};
use crate::faults::{ANSWERS, BODY};
use sandbox::s3::{Fault, RequestSeen, S3Proxy};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

async fn before(world: &World) -> S3Proxy {
    let address = world.s3.endpoint().replace("http://", "").parse().expect("an address");
    S3Proxy::start(address, world.s3.region()).await.expect("a proxy")
}

async fn until(proxy: &S3Proxy, condition: impl FnMut(&[RequestSeen]) -> bool) -> Vec<RequestSeen> {
    let requests = timeout(PATIENCE, proxy.requests_until(condition)).await;
    requests.unwrap_or_else(|_| panic!("never came to it: {:#?}", proxy.requests()))
}

#[tokio::test]
async fn what_goes_through_is_what_was_sent_and_what_comes_back_is_the_answer() {
    let world = World::new().await;
    let proxy = before(&world).await;
    let upload = put(&world.s3, "dt=1/a b", &BODY[..])
        .header("if-none-match", "*")
        .header("x-amz-meta-records", "17")
        .through(&proxy.endpoint());
    let stored = upload.send().await.expect("an answer");
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(upload.send().await.expect("an answer").error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!((world.keys(), world.bytes("dt=1/a b")), (vec!["dt=1/a b".to_owned()], BODY.to_vec()));

    for (method, length) in [("GET", 1 << 20), ("HEAD", 0)] {
        let got = call(&world.s3, method, "logs", "dt=1/a b").through(&proxy.endpoint()).send().await;
        let got = got.expect("an answer");
        assert_eq!((got.status, got.body.len()), (200, length), "{method}");
        assert_eq!(got.header("content-length"), Some("1048576"), "{method}");
        assert_eq!(got.header("x-amz-meta-records"), Some("17"), "{method}");
    }
    let wrong = put(&world.s3, "b", "text").secret("wrong").through(&proxy.endpoint()).send().await;
    assert_eq!(wrong.expect("an answer").error(), (403, "SignatureDoesNotMatch".to_owned()));

    let seen = proxy.requests();
    let puts: Vec<_> = seen.iter().filter(|it| it.is_put()).map(|it| (it.status, it.stored, it.body_bytes)).collect();
    assert_eq!(puts, [(Some(200), true, 1 << 20), (Some(412), false, 1 << 20), (Some(403), false, 4)]);
    assert_eq!((seen[0].bucket.as_str(), seen[0].key.as_str(), seen[0].if_none_match), ("logs", "dt=1/a b", true));
    assert_eq!(seen.len(), world.s3.requests().len(), "one request is one request");
}

#[tokio::test]
async fn an_answer_in_place_of_the_servers_is_told_and_only_what_says_so_reaches_it() {
    let world = World::new().await;
    let proxy = before(&world).await;
    for (fault, status, code, stored) in ANSWERS {
        let before = world.s3.requests().len();
        proxy.faults().next(1, fault);
        let reply = put(&world.s3, &format!("{fault:?}"), &BODY[..])
            .through(&proxy.endpoint())
            .send()
            .await
            .expect("an answer");
        assert_eq!(reply.error(), (status, code.to_owned()), "{fault:?}");
        assert_eq!(world.s3.requests().len() - before, usize::from(stored), "{fault:?}");
        assert_eq!(proxy.requests().last().map(|seen| seen.stored), Some(stored), "{fault:?}");
    }
    assert_eq!(world.keys(), ["InternalErrorAfterStoring"]);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_reaches_the_server_whole_or_not_at_all() {
    let world = World::new().await;
    let proxy = before(&world).await;
    for (fault, taken_bytes, reaches) in [
        (Fault::ResetMidBody, 1 << 19, false),
        (Fault::ResetBeforeAnswer, 1 << 20, false),
        (Fault::ResetAfterStoring, 1 << 20, true),
    ] {
        let before = (proxy.requests().len(), world.s3.requests().len());
        proxy.faults().next(1, fault);
        let failure = put(&world.s3, "a", &BODY[..]).through(&proxy.endpoint()).send().await.err();
        let kind = failure.as_ref().and_then(io_error_kind);
        assert!(matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{fault:?}: {failure:?}");
        let seen = until(&proxy, |seen| seen[before.0].body_bytes == taken_bytes).await;
        assert_eq!((seen[before.0].status, seen[before.0].stored), (None, reaches), "{fault:?}");
        assert_eq!(world.s3.requests().len() - before.1, usize::from(reaches), "{fault:?}");
    }
    assert_eq!(world.bytes("a"), BODY);
}

#[tokio::test]
async fn a_request_that_hangs_or_is_cut_by_its_sender_never_reaches_the_server() {
    let world = World::new().await;
    let proxy = before(&world).await;
    proxy.faults().next(1, Fault::Hang);
    let hanging = put(&world.s3, "hangs", &BODY[..]).through(&proxy.endpoint());
    let hanging = tokio::spawn(async move { hanging.send().await.map(|reply| reply.status) });
    until(&proxy, |seen| seen.iter().any(|it| it.body_bytes == 1 << 20)).await;

    let cut = put(&world.s3, "cut", &BODY[..]).through(&proxy.endpoint());
    let mut stream = tokio::net::TcpStream::connect(proxy.endpoint().replace("http://", "")).await.expect("a port");
    stream.write_all(&[cut.head().as_bytes(), &BODY[..1 << 19]].concat()).await.expect("half of it is sent");
    until(&proxy, |seen| seen.len() == 2).await;
    drop(stream);
    until(&proxy, |seen| seen[1].body_bytes == 1 << 19).await;

    let through = put(&world.s3, "a", "text").through(&proxy.endpoint()).send().await;
    assert_eq!(through.expect("an answer").status, 200);
    let reached: Vec<_> = world.s3.requests().into_iter().map(|seen| seen.key).collect();
    assert_eq!(reached, ["a"]);
    assert!(!hanging.is_finished());
    hanging.abort();
}

#[tokio::test]
async fn an_outage_closes_the_port_of_the_proxy_and_not_the_servers() {
    let world = World::new().await;
    let proxy = before(&world).await;
    let address = proxy.endpoint().replace("http://", "");
    proxy.faults().set(Fault::RefuseConnections);
    let refused = TcpStream::connect(&address).map(drop);
    assert_eq!(refused.expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
    assert_eq!(put(&world.s3, "a", "text").send().await.expect("an answer").status, 200);
    proxy.faults().clear();
    let back = put(&world.s3, "b", "text").through(&proxy.endpoint()).send().await;
    assert_eq!(back.expect("an answer").status, 200);
    drop(proxy);
    TcpListener::bind(&address).expect("the port is free");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_bad_gateway() {
    let world = World::new().await;
    // Ours as long as this lives, and nobody listens on it.
    let nobody = tokio::net::TcpSocket::new_v4().expect("a socket");
    nobody.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let proxy = S3Proxy::start(nobody.local_addr().expect("an address"), "us-east-1").await.expect("a proxy");
    let reply = put(&world.s3, "a", "text").through(&proxy.endpoint()).send().await.expect("an answer");
    assert_eq!(reply.status, 502);
    assert!(!proxy.requests()[0].stored);
}
