use super::*;
use crate::upload::object_key::Prefix;
use crate::upload::store::AttemptErrorKind;
use crate::upload::store::s3::Bucket;

fn settings(place: &str, region: &str) -> S3Settings {
    let (bucket, prefix) = Bucket::parse(place).expect(place);
    S3Settings { prefix: Prefix::parse(prefix).expect(prefix), ..S3Settings::new(bucket, region) }
}

fn error(code: Option<&str>, status: Option<u16>) -> AttemptError {
    AttemptError { kind: AttemptErrorKind::Retry, code: code.map(str::to_owned), status, message: "no".to_owned() }
}

fn remedy(settings: &S3Settings, error: &AttemptError, seen: &Seen) -> String {
    Failed { error, seen, settings }.remedy()
}

fn of_code(settings: &S3Settings, code: &str) -> String {
    remedy(settings, &error(Some(code), Some(400)), &Seen::default())
}

#[test]
fn each_code_has_its_remedy() {
    let settings = settings("my-logs/it", "eu-west-1");
    let table = [
        ("AccessDenied", "Allow s3:PutObject on arn:aws:s3:::my-logs/it/* to the function's role"),
        ("AllAccessDisabled", "The account behind the bucket"),
        (
            "NoSuchBucket",
            "There is no bucket my-logs there. Check its name; or make it: aws s3 mb s3://my-logs --region eu-west-1",
        ),
        ("NoSuchAccessPoint", "There is no access point"),
        ("InvalidBucketName", "Check the name of the bucket"),
        ("InvalidAccessKeyId", "The store does not know AWS_ACCESS_KEY_ID"),
        ("ExpiredToken", "The credentials have come to their end"),
        ("InvalidToken", "AWS_SESSION_TOKEN is not the one"),
        ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY is not the one"),
        ("RequestTimeTooSkewed", "Set the clock"),
        ("RequestExpired", "Set the clock"),
        ("PermanentRedirect", "The bucket is in another region"),
        ("AuthorizationHeaderMalformed", "The bucket is in another region"),
        ("KMS.NotFoundException", "There is no such key in the region of the bucket"),
        ("KMS.DisabledException", "The KMS key is disabled"),
        ("KMS.KMSInvalidStateException", "The KMS key cannot be used, most likely"),
        (
            "KMS.UnrecognizedClientException",
            "The KMS key cannot be used: allow kms:GenerateDataKey on the bucket's default key",
        ),
        ("KMS.ThrottlingException", "This passes by itself"),
        ("InvalidStorageClass", "The store does not know LOGSPOOL_S3_STORAGE_CLASS"),
        ("InvalidTag", "The store does not take LOGSPOOL_S3_TAGS"),
        ("MetadataTooLarge", "LOGSPOOL_S3_METADATA is too long"),
        ("BadDigest", "The bytes that arrived"),
        ("NotImplemented", "The store does not take what was asked for. Try LOGSPOOL_S3_CHECKSUM=md5"),
        ("InvalidRequest", "The store does not take what was asked for"),
        ("MethodNotAllowed", "Whoever answers takes no PUT"),
        ("SlowDown", "This passes by itself"),
        ("RequestThrottled", "This passes by itself"),
    ];
    for (code, expected) in table {
        let remedy = of_code(&settings, code);
        assert!(remedy.starts_with(expected), "{code}: {remedy}");
    }
}

#[test]
fn a_denial_names_every_right_and_the_arn_of_its_partition() {
    let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs-ap";
    let table = [
        (settings("my-logs", "eu-west-1"), "s3:PutObject on arn:aws:s3:::my-logs/* to"),
        (settings("my-logs/a/b", "cn-north-1"), "on arn:aws-cn:s3:::my-logs/a/b/* to"),
        (settings("my-logs/a", "us-gov-west-1"), "on arn:aws-us-gov:s3:::my-logs/a/* to"),
        (
            settings(&format!("{point}/a"), "eu-west-1"),
            "on arn:aws:s3:eu-west-1:123456789012:accesspoint/logs-ap/object/a/* to",
        ),
    ];
    for (settings, expected) in table {
        let remedy = of_code(&settings, "AccessDenied");
        assert!(remedy.contains(expected), "{remedy}");
        assert!(!remedy.contains("kms:") && !remedy.contains("Tagging"), "what is not set is not asked for: {remedy}");
    }
    let all = S3Settings {
        tags: vec![("team".to_owned(), "a".to_owned())],
        encryption: Some(Encryption::KmsTwice { key_id: Some("alias/logs".to_owned()) }),
        bucket_owner: Some("123456789012".to_owned()),
        if_none_match: IfNoneMatch::Never,
        ..settings("my-logs", "eu-west-1")
    };
    let remedy = of_code(&all, "AccessDenied");
    for part in [
        "s3:PutObject and s3:PutObjectTagging on",
        "kms:GenerateDataKey on alias/logs",
        "belong to account 123456789012",
        "LOGSPOOL_S3_IF_NONE_MATCH is false",
    ] {
        assert!(remedy.contains(part), "{part}: {remedy}");
    }
}

#[test]
fn a_request_without_an_answer_is_told_by_what_it_met() {
    let (s3, mut own) = (settings("my-logs", "eu-west-1"), settings("my-logs", "eu-west-1"));
    own.endpoint = Some("http://127.0.0.1:9000".to_owned());
    let table = [
        (Trouble::Name, "The name has no address"),
        (Trouble::Refused, "Nobody listens there"),
        (Trouble::Unreachable, "No connection could be made. A function in a VPC needs a gateway endpoint"),
        (Trouble::UnknownAuthority, "Name the authority's certificate (PEM) in LOGSPOOL_S3_CA_FILE"),
        (Trouble::Certificate, "The certificate is of another name"),
        (Trouble::Tls, "Whoever answers speaks no TLS"),
        (Trouble::Proxy, "Check LOGSPOOL_S3_PROXY"),
        (Trouble::CaFile, "Correct LOGSPOOL_S3_CA_FILE"),
        (Trouble::Lost, "The connection broke off"),
        (Trouble::Nonsense, "That is no answer of S3"),
    ];
    for (trouble, expected) in table {
        let seen = Seen { stage: Some(Stage::Connecting), trouble: Some(trouble), answer: None };
        let remedy = remedy(&s3, &error(None, None), &seen);
        assert!(remedy.starts_with(expected), "{trouble:?}: {remedy}");
    }
    let refused = Seen { trouble: Some(Trouble::Refused), ..Seen::default() };
    assert!(remedy(&s3, &error(None, None), &refused).contains("Check LOGSPOOL_S3_REGION"));
    assert!(remedy(&own, &error(None, None), &refused).contains("Check LOGSPOOL_S3_ENDPOINT"));
    for (stage, expected) in [
        (Stage::Connecting, "No connection could be made"),
        (Stage::Sent, "There was a connection and no answer in time"),
    ] {
        let seen = Seen { stage: Some(stage), ..Seen::default() };
        assert!(remedy(&s3, &error(None, None), &seen).starts_with(expected), "{stage:?}");
    }
}

#[test]
fn an_answer_without_a_known_code_is_told_by_its_status() {
    let settings = settings("my-logs", "eu-west-1");
    let table = [
        (301, "The bucket is in another region"),
        (403, "Allow s3:PutObject on"),
        (404, "Whoever answers does not speak as S3 does"),
        (429, "This passes by itself"),
        (502, "This passes by itself"),
    ];
    for (status, expected) in table {
        let remedy = remedy(&settings, &error(Some("Odd"), Some(status)), &Seen::default());
        assert!(remedy.starts_with(expected), "{status}: {remedy}");
    }
}

#[test]
fn credentials_that_cannot_be_had_are_told_by_their_source() {
    let facts = |source: &str, role: Option<&str>| CredentialFacts {
        source: source.to_owned(),
        ends: None,
        lacks_token: false,
        role_arn: role.map(str::to_owned),
    };
    let role = Some("arn:aws:iam::123456789012:role/logs");
    let table = [
        (facts("nowhere", None), None, "Lambda sets AWS_ACCESS_KEY_ID"),
        (facts("r, assumed with nowhere", role), None, "Lambda sets AWS_ACCESS_KEY_ID"),
        (facts("the container endpoint", None), None, "The endpoint that gives credentials"),
        (
            facts("r, assumed with keys", role),
            Some("AccessDenied"),
            "Allow sts:AssumeRole on arn:aws:iam::123456789012:role/logs",
        ),
        (facts("r, assumed with keys", role), None, "STS does not give the role"),
    ];
    for (facts, code, expected) in table {
        let remedy = of_credentials(&facts, &error(code, None));
        assert!(remedy.starts_with(expected), "{facts:?}: {remedy}");
    }
}
