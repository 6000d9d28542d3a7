//! The S3 store against a server that verifies signatures, checksums and conditions, and that fails as it is told.

use std::time::Duration;

use bytes::Bytes;
use logspool::upload::store::credentials::CredentialSource;
use logspool::upload::store::s3::{Bucket, S3Settings, S3Store};
use logspool::upload::store::{
    CHUNK_BYTES_MAX, Chunks, Object, ObjectBody, ObjectStore as _, PutError, PutErrorKind, PutOutcome,
};
use sandbox::s3::{Fault, S3Server};

const KEY: &str = "logs/function=f/dt=2025-11-23/hour=04/a-1.ndjson.zst";

/// A server with the bucket `logs`, and the directory that holds its objects.
struct World {
    s3: S3Server,
    _root: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let s3 = S3Server::start(root.path()).await.expect("the server starts");
        s3.create_bucket("logs").expect("the bucket is made");
        Self { s3, _root: root }
    }

    fn settings(&self) -> S3Settings {
        let mut settings = S3Settings::new(bucket("logs"), self.s3.region());
        settings.endpoint = Some(self.s3.endpoint());
        settings.path_style = true;
        // Long enough never to end a test that should not end by it.
        settings.request_timeout = Duration::from_secs(60);
        settings
    }

    fn credentials(&self) -> CredentialSource {
        credentials(self.s3.access_key_id(), self.s3.secret_access_key())
    }

    fn store(&self) -> S3Store {
        self.store_with(self.settings())
    }

    fn store_with(&self, settings: S3Settings) -> S3Store {
        S3Store::new(settings, self.credentials()).expect("sane settings")
    }

    /// Keys and bytes of all objects.
    fn stored(&self) -> Vec<(String, Vec<u8>)> {
        let objects = self.s3.objects("logs").expect("the bucket is readable");
        objects.into_iter().map(|object| (object.key, object.bytes)).collect()
    }

    fn puts(&self) -> usize {
        self.s3.requests().iter().filter(|request| request.is_put()).count()
    }
}

fn bucket(name: &str) -> Bucket {
    Bucket::parse(name).expect("a name").0
}

fn credentials(id: &str, secret: &str) -> CredentialSource {
    CredentialSource::from_values(Some(id.to_owned()), Some(secret.to_owned()), None)
}

/// Bytes in memory, in chunks as a file would give them.
struct Lines(Bytes);

impl Lines {
    fn new(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Some hundred KB, so that a body has a middle in which a connection can break.
    fn many() -> Self {
        Self::new(&"a line like any other\n".repeat(20_000))
    }

    fn object<'a>(&'a self, key: &'a str) -> Object<'a> {
        Object {
            key,
            bytes: self.0.len() as u64,
            crc64_nvme: spool::object_digest(&self.0),
            content_type: "application/x-ndjson",
            metadata: &[],
            body: self,
        }
    }
}

impl ObjectBody for Lines {
    fn chunks(&self) -> Chunks {
        let mut rest = self.0.clone();
        Box::new(std::iter::from_fn(move || {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES_MAX));
            (!chunk.is_empty()).then_some(Ok(chunk))
        }))
    }
}

async fn fails(store: &S3Store, object: &Object<'_>) -> PutError {
    store.put(object).await.expect_err("the put fails")
}

#[tokio::test]
async fn an_object_arrives_with_its_bytes_type_and_metadata() {
    let world = World::new().await;
    let lines = Lines::many();
    let metadata = [("records", "20000".to_owned())];

    let outcome = world.store().put(&Object { metadata: &metadata, ..lines.object(KEY) }).await;

    assert_eq!(outcome, Ok(PutOutcome::Stored));
    let [object] = &world.s3.objects("logs").expect("the bucket is readable")[..] else { panic!("one object") };
    assert_eq!((object.key.as_str(), object.bytes.as_slice()), (KEY, &lines.0[..]));
    assert_eq!(object.content_type.as_deref(), Some("application/x-ndjson"));
    assert_eq!(object.content_encoding, None);
    assert_eq!(object.metadata.get("records").map(String::as_str), Some("20000"));
}

#[tokio::test]
async fn an_object_is_never_written_twice() {
    let world = World::new().await;
    let (store, lines) = (world.store(), Lines::new("first\n"));
    assert_eq!(store.put(&lines.object(KEY)).await, Ok(PutOutcome::Stored));
    assert_eq!(store.put(&lines.object(KEY)).await, Ok(PutOutcome::AlreadyThere));
    assert_eq!(world.stored(), [(KEY.to_owned(), b"first\n".to_vec())]);
}

#[tokio::test]
async fn what_only_a_person_can_mend_is_a_matter_of_configuration() {
    let world = World::new().await;
    let lines = Lines::many();

    let mut elsewhere = world.settings();
    elsewhere.bucket = bucket("other-logs");
    let wrong_bucket = fails(&world.store_with(elsewhere), &lines.object(KEY)).await;
    assert_eq!((wrong_bucket.code.as_deref(), wrong_bucket.status), (Some("NoSuchBucket"), Some(404)));
    assert_eq!(wrong_bucket.kind, PutErrorKind::Configuration);

    let wrong_secret = credentials(world.s3.access_key_id(), "wrong");
    let store = S3Store::new(world.settings(), wrong_secret).expect("sane settings");
    let wrong_secret = fails(&store, &lines.object(KEY)).await;
    assert_eq!((wrong_secret.code.as_deref(), wrong_secret.status), (Some("SignatureDoesNotMatch"), Some(403)));
    assert_eq!(wrong_secret.kind, PutErrorKind::Configuration);

    world.s3.faults().next(1, Fault::AccessDenied);
    let denied = fails(&world.store(), &lines.object(KEY)).await;
    assert_eq!((denied.code.as_deref(), denied.kind), (Some("AccessDenied"), PutErrorKind::Configuration));

    assert!(world.stored().is_empty());
    for error in [wrong_bucket, wrong_secret, denied] {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn refused_credentials_are_told_from_refused_rights() {
    let world = World::new().await;
    let lines = Lines::new("a\n");

    let unknown = credentials("AKIAUNKNOWN", world.s3.secret_access_key());
    let unknown = S3Store::new(world.settings(), unknown).expect("sane settings");
    assert_eq!(fails(&unknown, &lines.object(KEY)).await.kind, PutErrorKind::Credentials);

    world.s3.faults().next(1, Fault::ExpiredToken);
    assert_eq!(fails(&world.store(), &lines.object(KEY)).await.kind, PutErrorKind::Credentials);
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_there() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.region = "eu-north-1".to_owned();
    let store = world.store_with(settings);
    for key in ["a", "b"] {
        assert_eq!(store.put(&Lines::new("a\n").object(key)).await, Ok(PutOutcome::Stored));
    }
    assert_eq!((world.stored().len(), world.puts()), (2, 3), "the first one was signed twice");
}

#[tokio::test]
async fn bytes_that_do_not_match_their_key_are_refused_by_the_store() {
    let world = World::new().await;
    let lines = Lines::new("damaged\n");
    let object = Object { crc64_nvme: spool::object_digest(b"sealed\n"), ..lines.object(KEY) };
    let error = fails(&world.store(), &object).await;
    assert_eq!((error.code.as_deref(), error.kind), (Some("BadDigest"), PutErrorKind::Body));
    assert!(world.stored().is_empty());
}

#[tokio::test]
async fn an_ambiguous_500_makes_no_second_object() {
    let world = World::new().await;
    let (store, lines) = (world.store(), Lines::many());
    world.s3.faults().next(1, Fault::InternalErrorAfterStoring);

    let error = fails(&store, &lines.object(KEY)).await;
    assert_eq!((error.code.as_deref(), error.kind), (Some("InternalError"), PutErrorKind::Retry));
    assert_eq!(store.put(&lines.object(KEY)).await, Ok(PutOutcome::AlreadyThere));

    assert_eq!(world.stored(), [(KEY.to_owned(), lines.0.to_vec())]);
    assert_eq!(world.puts(), 2, "no attempt is repeated in secret");
}

#[tokio::test]
async fn trouble_that_may_pass_is_tried_again_by_the_caller_alone() {
    let world = World::new().await;
    let lines = Lines::many();
    let faults = [
        Fault::SlowDown,
        Fault::ServiceUnavailable,
        Fault::InternalError,
        Fault::ResetMidBody,
        Fault::ResetAfterStoring,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let key = format!("logs/{number}");
        // A new connection: the loss of a kept one is another story.
        let store = world.store();
        world.s3.faults().next(1, fault);

        let error = fails(&store, &lines.object(&key)).await;
        assert_eq!(error.kind, PutErrorKind::Retry, "{fault:?}: {error}");
        assert_eq!(world.puts(), 2 * number + 1, "{fault:?}");

        let outcome = store.put(&lines.object(&key)).await;
        let expected = if fault == Fault::ResetAfterStoring { PutOutcome::AlreadyThere } else { PutOutcome::Stored };
        assert_eq!(outcome, Ok(expected), "{fault:?}");
    }
    assert!(world.stored().iter().all(|(_, bytes)| *bytes == lines.0));
    assert_eq!(world.stored().len(), faults.len());
}

#[tokio::test]
async fn a_kept_connection_that_breaks_is_replaced_within_the_attempt_without_a_second_object() {
    let world = World::new().await;
    let (store, lines) = (world.store(), Lines::many());
    let table = [
        ("logs/reset", Fault::ResetMidBody, PutOutcome::Stored),
        ("logs/late", Fault::ResetAfterStoring, PutOutcome::AlreadyThere),
    ];
    for (key, fault, outcome) in table {
        assert_eq!(store.put(&lines.object(&format!("{key}-before"))).await, Ok(PutOutcome::Stored));
        world.s3.faults().next(1, fault);
        assert_eq!(store.put(&lines.object(key)).await, Ok(outcome), "{fault:?}");
    }
    assert_eq!((world.stored().len(), world.puts()), (4, 6));
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up_after_the_timeout() {
    let world = World::new().await;
    let mut settings = world.settings();
    settings.request_timeout = Duration::from_millis(300);
    let store = world.store_with(settings);
    world.s3.faults().set(Fault::Hang);

    let error = fails(&store, &Lines::new("a\n").object(KEY)).await;

    assert_eq!((error.kind, error.message.as_str()), (PutErrorKind::Retry, "no answer within 300ms"));
    assert!(world.stored().is_empty());
}

#[tokio::test]
async fn an_outage_is_over_when_the_port_answers_again() {
    let world = World::new().await;
    let (store, lines) = (world.store(), Lines::new("a\n"));
    assert_eq!(store.put(&lines.object("before")).await, Ok(PutOutcome::Stored));

    world.s3.faults().set(Fault::RefuseConnections);
    for _ in 0..3 {
        let error = fails(&store, &lines.object("after")).await;
        assert_eq!(error.kind, PutErrorKind::Retry);
        assert!(error.message.contains("Connection refused"), "{error}");
    }

    world.s3.faults().clear();
    assert_eq!(store.put(&lines.object("after")).await, Ok(PutOutcome::Stored));
}

#[tokio::test]
async fn through_faults_of_every_kind_each_object_arrives_once_and_unchanged() {
    let seed = match std::env::var("LOGSPOOL_TEST_SEED") {
        Ok(seed) => seed.parse().expect("LOGSPOOL_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("replay with LOGSPOOL_TEST_SEED={seed}");
    let world = World::new().await;
    let store = world.store();
    // A hang would only make the test wait for its timeout.
    let kinds: Vec<Fault> = Fault::COUNTABLE.into_iter().filter(|fault| *fault != Fault::Hang).collect();
    world.s3.faults().random(seed, 400, &kinds);

    let mut expected = Vec::new();
    for number in 0..100 {
        let key = format!("logs/function=f/{number:03}");
        let lines = Lines::new(&format!("object {number}\n").repeat(10_000));
        // The caller's schedule without its waits; more failures in a row than this are one in 10^16.
        let mut tries = 40;
        while store.put(&lines.object(&key)).await.is_err() {
            tries -= 1;
            assert_ne!(tries, 0, "{key} never arrives");
        }
        expected.push((key, lines.0.to_vec()));
    }
    assert_eq!(world.stored(), expected);
}
