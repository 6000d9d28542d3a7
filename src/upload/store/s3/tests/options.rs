//! What the settings make of a request: its headers, and its host.

use super::super::super::PutOutcome;
use super::super::super::proxy::{Proxy, ProxySettings};
use super::super::super::test_proxy::TestProxy;
use super::*;

#[tokio::test]
async fn every_option_is_a_header_of_the_one_request() {
    let server = RecordingServer::start().await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let kms = Encryption::Kms { key_id: Some("alias/logs".to_owned()), bucket_key: Some(true) };
    let settings = S3Settings {
        checksum: Checksum::Md5,
        encryption: Some(kms),
        storage_class: Some("STANDARD_IA".to_owned()),
        bucket_owner: Some("123456789012".to_owned()),
        tags: vec![pair("team", "payments"), pair("cost center", "a+b")],
        metadata: vec![pair("source", "lambda")],
        ..settings(&server)
    };
    assert_eq!(store(settings).put(&TestBody::new("message digest").object(KEY)).await, Ok(PutOutcome::Stored));
    let [request] = &server.recorded()[..] else { panic!("one request") };
    for (name, value) in [
        ("content-md5", "+WtpfXy3k41SWi8xqvFh0A=="),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "alias/logs"),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-expected-bucket-owner", "123456789012"),
        ("x-amz-tagging", "team=payments&cost%20center=a%2Bb"),
        ("x-amz-meta-source", "lambda"),
    ] {
        assert_eq!(header(request, name), value, "{name}");
    }
    assert!(request.headers.keys().all(|name| !name.as_str().starts_with("x-amz-checksum")), "one checksum");
}

#[tokio::test]
async fn encryption_is_said_in_the_words_of_s3() {
    let server = RecordingServer::start().await;
    for (encryption, word) in [
        (Encryption::S3, "AES256"),
        (Encryption::Kms { key_id: None, bucket_key: None }, "aws:kms"),
        (Encryption::KmsTwice { key_id: None }, "aws:kms:dsse"),
    ] {
        let settings = S3Settings { encryption: Some(encryption), checksum: Checksum::Crc32, ..settings(&server) };
        assert_eq!(store(settings).put(&TestBody::new("123456789").object(KEY)).await, Ok(PutOutcome::Stored));
        let request = server.recorded().pop().expect("a request");
        assert_eq!(header(&request, "x-amz-server-side-encryption"), word);
        assert_eq!(header(&request, "x-amz-checksum-crc32"), "y/Q5Jg==");
        assert_eq!(request.header("x-amz-server-side-encryption-aws-kms-key-id"), None);
    }
}

/// Which host of S3 the settings lead to, as a proxy between us and S3 is told; nobody gets there.
async fn host(bucket: &str, change: impl FnOnce(&mut S3Settings)) -> String {
    let proxy = TestProxy::start().await;
    proxy.answer(["HTTP/1.1 503 Service Unavailable\r\n\r\n"]);
    let every = Proxy::parse(&format!("http://{}", proxy.address())).expect("an address");
    let mut settings = S3Settings::new(Bucket::parse(bucket).expect(bucket).0, "eu-west-1");
    settings.request_timeout = Duration::from_secs(60);
    settings.proxies = ProxySettings { every: Some(every), ..ProxySettings::default() };
    change(&mut settings);
    let error = store(settings).put(&TestBody::new("abc").object(KEY)).await.expect_err("the proxy refuses");
    assert_eq!(error.kind, AttemptErrorKind::Retry, "{error}");
    let head = proxy.heads().pop().unwrap_or_else(|| panic!("{bucket}: nobody was asked: {error}"));
    let target = head.split(' ').nth(1).expect("CONNECT host:port").to_owned();
    target.strip_suffix(":443").expect("TLS").to_owned()
}

/// A change of settings.
type Change<'a> = &'a dyn Fn(&mut S3Settings);

#[tokio::test]
async fn buckets_and_access_points_have_their_hosts() {
    let point = "arn:aws:s3:eu-north-1:123456789012:accesspoint/logs-ap";
    let outpost = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/logs-ap";
    let plain = |_: &mut S3Settings| {};
    let fips = |settings: &mut S3Settings| settings.fips = true;
    let both = |settings: &mut S3Settings| (settings.fips, settings.dual_stack) = (true, true);
    let dual = |settings: &mut S3Settings| settings.dual_stack = true;
    let path = |settings: &mut S3Settings| settings.path_style = true;
    let table: [(&str, Change<'_>, &str); 9] = [
        ("my-logs", &plain, "my-logs.s3.eu-west-1.amazonaws.com"),
        ("my-logs", &path, "s3.eu-west-1.amazonaws.com"),
        ("my-logs", &dual, "my-logs.s3.dualstack.eu-west-1.amazonaws.com"),
        ("my-logs", &fips, "my-logs.s3-fips.eu-west-1.amazonaws.com"),
        ("my-logs", &both, "my-logs.s3-fips.dualstack.eu-west-1.amazonaws.com"),
        (point, &plain, "logs-ap-123456789012.s3-accesspoint.eu-north-1.amazonaws.com"),
        (point, &dual, "logs-ap-123456789012.s3-accesspoint.dualstack.eu-north-1.amazonaws.com"),
        (point, &fips, "logs-ap-123456789012.s3-accesspoint-fips.eu-north-1.amazonaws.com"),
        (outpost, &plain, "logs-ap-123456789012.op-01ac5d28a6a232904.s3-outposts.us-west-2.amazonaws.com"),
    ];
    for (bucket, change, expected) in table {
        assert_eq!(host(bucket, change).await, expected, "{bucket}");
    }
}
