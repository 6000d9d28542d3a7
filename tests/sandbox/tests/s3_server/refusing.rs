//! What S3 turns away by itself: nothing of it may be stored.

use crate::World;
use crate::client::{Call, call, put};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The upload is refused, also when its body is larger than any socket buffer.
async fn assert_refused(world: &World, upload: &Call, status: u16, code: &str) {
    let reply = upload.send().await.expect("an answer");
    assert_eq!(reply.error(), (status, code.to_owned()), "{}", reply.text());
    assert!(reply.header("x-amz-request-id").is_some());
    world.assert_nothing_stored(code);
    assert!(world.s3.requests().iter().all(|seen| !seen.stored));
}

#[tokio::test]
async fn a_signature_that_is_not_ours_stores_nothing() {
    let world = World::new().await;
    let upload = || put(&world.s3, "a", vec![b'x'; 8 << 20]);
    let refused = [
        (upload().secret("wrong"), "SignatureDoesNotMatch"),
        (upload().access_key_id("AKIAUNKNOWN"), "InvalidAccessKeyId"),
        (upload().clock_off_by(-16), "RequestTimeTooSkewed"),
        (upload().clock_off_by(16), "RequestTimeTooSkewed"),
    ];
    for (upload, code) in refused {
        assert_refused(&world, &upload, 403, code).await;
    }
    let unsigned = upload().send_unsigned().await.expect("an answer");
    assert_eq!(unsigned.error(), (403, "AccessDenied".to_owned()));
    world.assert_nothing_stored("unsigned");
    let within = upload().clock_off_by(-14).send().await;
    assert_eq!(within.expect("an answer").status, 200);
}

#[tokio::test]
async fn a_signature_for_another_region_is_answered_with_the_right_one() {
    let world = World::new().await;
    let upload = put(&world.s3, "a", "text").region("eu-west-1");
    let code = "AuthorizationHeaderMalformed";
    assert_refused(&world, &upload, 400, code).await;
    let reply = upload.send().await.expect("an answer");
    assert_eq!(reply.elements("Region"), [world.s3.region()]);
    assert_eq!(reply.header("x-amz-bucket-region"), Some(world.s3.region()));
}

#[tokio::test]
async fn a_body_that_is_not_the_declared_one_stores_nothing() {
    let world = World::new().await;
    // Each the digest of "123456789".
    for (name, value) in [
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
    ] {
        let damaged = put(&world.s3, "a", "123456780").header(name, value);
        assert_refused(&world, &damaged, 400, "BadDigest").await;
    }
    for (name, code) in [("x-amz-checksum-crc64nvme", "InvalidRequest"), ("content-md5", "InvalidDigest")] {
        let malformed = put(&world.s3, "a", "123456789").header(name, "y/Q5Jg==");
        assert_refused(&world, &malformed, 400, code).await;
    }
    let other_payload = put(&world.s3, "a", "123456780").payload_signed_for(b"123456789");
    assert_refused(&world, &other_payload, 400, "XAmzContentSHA256Mismatch").await;
}

#[tokio::test]
async fn what_would_change_the_meaning_of_an_upload_is_refused_and_not_ignored() {
    let world = World::new().await;
    for (name, value) in [
        ("if-none-match", "\"25f9e794323b453885f5181f1b624d0b\""),
        ("if-match", "*"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ] {
        let upload = put(&world.s3, "a", "text").header(name, value);
        assert_refused(&world, &upload, 501, "NotImplemented").await;
    }
    let copy = call(&world.s3, "PUT", "logs", "a").header("x-amz-copy-source", "/logs/b");
    assert_refused(&world, &copy, 501, "NotImplemented").await;
}

#[tokio::test]
async fn a_sender_that_goes_away_in_mid_body_leaves_nothing() {
    let world = World::new().await;
    let upload = put(&world.s3, "a", vec![b'x'; 1 << 20]);
    let address = world.s3.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let half = [upload.head().as_bytes(), &vec![b'x'; 1 << 19]].concat();
    stream.write_all(&half).await.expect("half of it is sent");
    world.requests_until(|seen| !seen.is_empty()).await;
    drop(stream);

    let taken = |seen: &[sandbox::s3::RequestSeen]| seen[0].body_bytes == 1 << 19;
    let requests = world.requests_until(taken).await;
    assert!(!requests[0].stored);
    world.assert_nothing_stored("cut by the sender");
}
