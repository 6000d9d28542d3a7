//! The cases, each for any store.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logspool::upload::store::reading::Depth;
use logspool::upload::store::s3::{Checksum, Encryption, IfNoneMatch, S3Store};
use logspool::upload::store::{AttemptError, AttemptErrorKind, Object, ObjectStore as _, PutOutcome};
use sandbox::s3::{BucketOptions, Fault};

use crate::expected::{Ends, ends, stores};
use crate::world::{Lines, Wanted, Which, World, bucket};

const KEY: &str = "logs/function=f/dt=2025-11-23/hour=04/a-1.ndjson.zst";
const STORED: Result<PutOutcome, AttemptError> = Ok(PutOutcome::Stored);
const ALREADY_THERE: Result<PutOutcome, AttemptError> = Ok(PutOutcome::AlreadyThere);

async fn fails(store: &S3Store, object: &Object<'_>) -> AttemptError {
    store.put(object).await.expect_err("the put fails")
}

fn versioned() -> Wanted {
    Wanted { versioned: true, ..Wanted::default() }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub async fn an_object_arrives_with_its_bytes_type_and_metadata(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let lines = Lines::new("a line");
    let metadata = [("records", "20000".to_owned())];
    assert_eq!(world.store().put(&Object { metadata: &metadata, ..lines.object(KEY) }).await, STORED);

    assert_eq!(world.stored(), [lines.once(KEY)]);
    let object = world.arrived().remove(0);
    assert_eq!(object.content_type.as_deref(), Some("application/x-ndjson"));
    assert_eq!((object.content_encoding, object.metadata), (None, pairs(&[("records", "20000")])));
}

pub async fn what_was_stored_is_listed_by_folder_and_read_in_pieces(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let (store, lines) = (world.store(), Lines::new("a line"));
    let keys = [
        "a/dt=2026-11-26/1.ndjson",
        "a/dt=2026-11-27/odd + name & ü%41.ndjson",
        "a/dt=2026-11-27/2.ndjson",
        "b.ndjson",
    ];
    for key in keys {
        assert_eq!(store.put(&lines.object(key)).await, STORED);
    }
    let all = store.list("", Depth::All, None).await.unwrap();
    let mut sorted = keys.map(str::to_owned);
    sorted.sort();
    assert_eq!(all.objects.iter().map(|object| object.key.clone()).collect::<Vec<_>>(), sorted);
    assert_eq!((all.folders.len(), all.next), (0, None));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    for object in &all.objects {
        assert_eq!(object.bytes, lines.object("").bytes);
        assert!(now.abs_diff(u128::try_from(object.modified_ms).unwrap()) < 3_600_000, "{object:?}");
    }
    let top = store.list("", Depth::Folder, None).await.unwrap();
    assert_eq!((top.folders, top.objects[0].key.as_str()), (vec!["a/".to_owned()], "b.ndjson"));
    let days = store.list("a/", Depth::Folder, None).await.unwrap();
    assert_eq!(
        (days.folders, days.objects),
        (vec!["a/dt=2026-11-26/".to_owned(), "a/dt=2026-11-27/".to_owned()], vec![])
    );

    let (whole, end) = (lines.once("").1, all.objects[0].bytes);
    for key in keys {
        for (from, until) in [(0, 3), (3, 40_003), (end - 3, end)] {
            let [first, behind] = [from, until].map(|place| usize::try_from(place).unwrap());
            assert_eq!(store.read(key, from..until).await.unwrap(), whole[first..behind], "{key}");
        }
    }
    let error = store.read("a/none.ndjson", 0..1).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("NoSuchKey"), "{error}");
}

pub async fn an_object_that_is_there_is_left_alone(which: Which) {
    let Some(world) = World::new(which, versioned()).await else { return };
    let (store, first, second) = (world.store(), Lines::new("first"), Lines::new("second"));
    assert_eq!(store.put(&first.object(KEY)).await, STORED);
    for again in [&first, &second] {
        assert_eq!(store.put(&again.object(KEY)).await, ALREADY_THERE);
    }
    assert_eq!(world.stored(), [first.once(KEY)]);
    let statuses: Vec<_> = world.puts().into_iter().map(|put| put.status).collect();
    assert_eq!(statuses, [Some(200), Some(412), Some(412)], "one request an attempt");
}

pub async fn each_fault_is_healed_within_the_attempt_or_ends_as_its_kind(which: Which) {
    let Some(world) = World::new(which, versioned()).await else { return };
    let lines = Lines::new("a line");
    let mut expected = Vec::new();
    for fault in Fault::ALL {
        let key = format!("logs/{fault:?}");
        let before = world.puts().len();
        // A new connection: the loss of a kept one is another story.
        let store = world.store_with(|settings| {
            if fault == Fault::Hang {
                settings.request_timeout = Duration::from_millis(500);
            }
        });
        world.faults().next(1, fault);
        let first = store.put(&lines.object(&key)).await;
        let requests = world.puts().len() - before;
        match ends(fault) {
            Ends::Healed => assert_eq!((first, requests), (STORED, 2), "{fault:?}"),
            Ends::With(kind) => {
                let error = first.expect_err("it fails");
                assert_eq!((error.kind, requests), (kind, 1), "{fault:?}: {error}");
                assert!(!error.to_string().contains('\n'), "{error}");
                // The caller's second attempt; with time enough, whatever the first one had.
                let outcome = if stores(fault) { ALREADY_THERE } else { STORED };
                assert_eq!(world.store().put(&lines.object(&key)).await, outcome, "{fault:?}");
            }
        }
        expected.push(lines.once(&key));
    }
    expected.sort();
    assert_eq!(world.stored(), expected);
    let last = world.puts().pop().expect("the plain one");
    assert_eq!((last.fault, last.if_none_match), (None, false), "without what is not implemented");
}

pub async fn an_outage_is_over_when_the_port_answers_again(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let (store, lines) = (world.store(), Lines::new("a line"));
    assert_eq!(store.put(&lines.object("before")).await, STORED);
    world.faults().set(Fault::RefuseConnections);
    for _ in 0..3 {
        let error = fails(&store, &lines.object("after")).await;
        assert_eq!(Ends::With(error.kind), ends(Fault::RefuseConnections), "{error}");
    }
    world.faults().clear();
    assert_eq!(store.put(&lines.object("after")).await, STORED);
    assert_eq!(world.stored(), [lines.once("after"), lines.once("before")]);
}

pub async fn an_answer_that_is_lost_makes_no_second_version(which: Which) {
    let Some(world) = World::new(which, versioned()).await else { return };
    let lines = Lines::new("a line");
    for fault in [Fault::InternalErrorAfterStoring, Fault::ResetAfterStoring] {
        let key = format!("logs/{fault:?}");
        world.faults().next(1, fault);
        assert_eq!(fails(&world.store(), &lines.object(&key)).await.kind, AttemptErrorKind::Retry);
        for _ in 0..2 {
            assert_eq!(world.store().put(&lines.object(&key)).await, ALREADY_THERE, "{fault:?}");
        }
    }
    assert_eq!(world.stored(), [lines.once("logs/InternalErrorAfterStoring"), lines.once("logs/ResetAfterStoring")]);
}

pub async fn a_kept_connection_that_breaks_is_replaced_without_a_second_version(which: Which) {
    let Some(world) = World::new(which, versioned()).await else { return };
    let (store, lines) = (world.store(), Lines::new("a line"));
    for (key, fault, outcome) in [
        ("b", Fault::ResetMidBody, STORED),
        ("c", Fault::ResetBeforeAnswer, STORED),
        ("d", Fault::ResetAfterStoring, ALREADY_THERE),
    ] {
        assert!(store.put(&lines.object("a")).await.is_ok(), "it keeps its connection");
        world.faults().next(1, fault);
        assert_eq!(store.put(&lines.object(key)).await, outcome, "{fault:?}");
    }
    assert_eq!(world.stored(), ["a", "b", "c", "d"].map(|key| lines.once(key)));
}

pub async fn puts_at_the_same_time_make_one_version(which: Which) {
    let Some(world) = World::new(which, versioned()).await else { return };
    let (lines, stores) = (Lines::new("a line"), [(); 4].map(|()| world.store()));
    let object = lines.object(KEY);
    let [a, b, c, d] = &stores;
    let ends = tokio::join!(a.put(&object), b.put(&object), c.put(&object), d.put(&object));
    let ends = [ends.0, ends.1, ends.2, ends.3].map(|end| end.expect("it is there"));
    let stored = ends.iter().filter(|outcome| **outcome == PutOutcome::Stored).count();
    assert_eq!((stored, world.stored()), (1, vec![lines.once(KEY)]));
}

pub async fn unknown_keys_wrong_secrets_and_missing_buckets_are_told_apart(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let (lines, (id, secret)) = (Lines::new("a line"), world.key());
    let table = [
        (world.store_of("AKIAUNKNOWN", secret, |_| {}), "InvalidAccessKeyId", 403, AttemptErrorKind::Credentials),
        (world.store_of(id, "wrong", |_| {}), "SignatureDoesNotMatch", 403, AttemptErrorKind::Configuration),
        (
            world.store_with(|settings| settings.bucket = bucket("other-logs")),
            "NoSuchBucket",
            404,
            AttemptErrorKind::Configuration,
        ),
    ];
    for (store, code, status, kind) in table {
        let error = fails(&store, &lines.object(KEY)).await;
        assert_eq!((error.code.as_deref(), error.status, error.kind), (Some(code), Some(status), kind), "{error}");
    }
    assert_eq!(world.stored(), []);
}

pub async fn a_region_that_the_store_tells_is_learned_once(which: Which) {
    let Some(world) = World::new(which, versioned()).await else { return };
    let lines = Lines::new("a line");
    for fault in Fault::REGION {
        let store = world.store_with(|settings| settings.region = "eu-north-1".to_owned());
        let before = world.puts().len();
        world.faults().next(1, fault);
        for key in ["a", "b"] {
            assert_eq!(store.put(&lines.object(&format!("{fault:?}/{key}"))).await, STORED, "{fault:?}");
        }
        assert_eq!(world.puts().len() - before, 3, "{fault:?}: only the first is sent twice");
    }
    assert!(world.stored().iter().all(|(_, _, versions)| *versions == 1));
    assert_eq!(world.stored().len(), 6);
}

pub async fn a_signature_for_another_region_is_mended_by_what_s3_says_to_it(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let (store, lines) = (world.store_with(|settings| settings.region = "eu-north-1".to_owned()), Lines::new("a line"));
    assert_eq!(store.put(&lines.object(KEY)).await, STORED);
    let statuses: Vec<_> = world.puts().into_iter().map(|put| put.status).collect();
    assert_eq!(statuses, [Some(400), Some(200)]);
}

pub async fn through_faults_of_every_kind_each_object_arrives_once_and_unchanged(which: Which) {
    let seed = match std::env::var("LOGSPOOL_TEST_SEED") {
        Ok(seed) => seed.parse().expect("LOGSPOOL_TEST_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("replay with LOGSPOOL_TEST_SEED={seed}");
    let Some(world) = World::new(which, versioned()).await else { return };
    let store = world.store_with(|settings| settings.if_none_match = IfNoneMatch::Always);
    // A hang would only make the test wait for its timeout. Lost answers are the dangerous ones: they come five times as often.
    let kinds = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Hang);
    let kinds: Vec<Fault> = kinds.flat_map(|fault| repeat_n(fault, if stores(fault) { 5 } else { 1 })).collect();
    world.faults().random(seed, 300, &kinds);

    let mut expected = Vec::new();
    for number in 0..100 {
        let key = format!("logs/function=f/{number:03}");
        let lines = Lines::new(&format!("object {number}"));
        // The caller's schedule without its waits; more failures in a row than this are one in 10^20.
        let mut tries = 40;
        while store.put(&lines.object(&key)).await.is_err() {
            tries -= 1;
            assert_ne!(tries, 0, "{key} never arrives; seed {seed}");
        }
        expected.push(lines.once(&key));
    }
    assert!(world.stored() == expected, "each once, as it was sent; seed {seed}");
    assert!(world.puts().iter().any(|put| put.fault.is_some()), "there were faults; seed {seed}");
}

pub async fn bytes_that_do_not_match_their_checksum_are_refused(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let lines = Lines::new("damaged");
    let object = Object { crc64_nvme: spool::object_digest(b"sealed\n"), ..lines.object(KEY) };
    let error = fails(&world.store(), &object).await;
    assert_eq!((error.code.as_deref(), error.kind), (Some("BadDigest"), AttemptErrorKind::Body), "{error}");
    assert_eq!(world.stored(), []);
}

pub async fn a_bucket_with_object_lock_takes_objects_with_a_digest_only(which: Which) {
    let object_lock = BucketOptions { object_lock: true, ..BucketOptions::default() };
    let Some(world) = World::new(which, Wanted { bucket: object_lock, ..versioned() }).await else { return };
    let lines = Lines::new("a line");
    let bare = world.store_with(|settings| settings.checksum = Checksum::None);
    let error = fails(&bare, &lines.object("none")).await;
    assert_eq!((error.status, error.kind), (Some(400), AttemptErrorKind::Configuration), "{error}");

    // moto looks for `Content-MD5` and for a header of the SDK's, not for the digest itself.
    let taken: &[Checksum] = match which {
        Which::Sandbox => &[Checksum::Crc32, Checksum::Crc64Nvme, Checksum::Md5],
        Which::Moto => &[Checksum::Md5],
    };
    let key = |checksum: &Checksum| format!("{checksum:?}");
    for checksum in taken {
        let store = world.store_with(|settings| settings.checksum = *checksum);
        for outcome in [STORED, ALREADY_THERE] {
            assert_eq!(store.put(&lines.object(&key(checksum))).await, outcome, "{checksum:?}");
        }
    }
    let expected: Vec<_> = taken.iter().map(|checksum| lines.once(&key(checksum))).collect();
    assert_eq!(world.stored(), expected);
}

pub async fn encryption_storage_class_tags_and_metadata_arrive(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let lines = Lines::new("a line");
    let kms = |key_id| Encryption::Kms { key_id, bucket_key: Some(true) };
    let key_id = Some("1234abcd-12ab-34cd-56ef-1234567890ab".to_owned());
    for (key, encryption, sse, kms_key_id) in [
        ("a", Encryption::S3, "AES256", &None),
        ("b", kms(key_id.clone()), "aws:kms", &key_id),
        ("c", Encryption::KmsTwice { key_id: key_id.clone() }, "aws:kms:dsse", &key_id),
    ] {
        let store = world.store_with(|settings| {
            settings.encryption = Some(encryption);
            settings.storage_class = Some("STANDARD_IA".to_owned());
            settings.tags = vec![("team".to_owned(), "logs + more".to_owned()), ("é".to_owned(), "a+b=c".to_owned())];
            settings.metadata = vec![("stage".to_owned(), "prod".to_owned())];
        });
        let metadata = [("records", "20000".to_owned())];
        assert_eq!(store.put(&Object { metadata: &metadata, ..lines.object(key) }).await, STORED, "{sse}");
        let object = world.arrived().into_iter().find(|object| object.key == key).expect("it arrived");
        // moto forgets which key it was to encrypt with twice; that it was told is seen on the way.
        let kept = if which == Which::Moto && sse == "aws:kms:dsse" { &None } else { kms_key_id };
        assert_eq!((object.sse.as_deref(), &object.kms_key_id), (Some(sse), kept));
        let put = world.puts().pop().expect("the last one");
        assert_eq!(put.headers.get("x-amz-server-side-encryption-aws-kms-key-id"), kms_key_id.as_ref());
        assert_eq!(object.storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(object.tags, pairs(&[("team", "logs + more"), ("é", "a+b=c")]));
        assert_eq!(object.metadata, pairs(&[("records", "20000"), ("stage", "prod")]));
    }
}

pub async fn a_bucket_of_another_owner_takes_nothing(which: Which) {
    let owned = BucketOptions { owner: Some("111122223333".to_owned()), ..BucketOptions::default() };
    let Some(world) = World::new(which, Wanted { bucket: owned, ..Wanted::default() }).await else { return };
    let lines = Lines::new("a line");
    let expecting = |owner: &str| world.store_with(|settings| settings.bucket_owner = Some(owner.to_owned()));
    let error = fails(&expecting("999999999999"), &lines.object(KEY)).await;
    assert_eq!((error.code.as_deref(), error.kind), (Some("AccessDenied"), AttemptErrorKind::Configuration), "{error}");
    assert_eq!(world.stored(), []);
    assert_eq!(expecting("111122223333").put(&lines.object(KEY)).await, STORED);
}

pub async fn a_bucket_that_demands_a_condition_takes_conditional_puts_only(which: Which) {
    let strict = BucketOptions { demands_condition: true, ..BucketOptions::default() };
    let Some(world) = World::new(which, Wanted { bucket: strict, ..Wanted::default() }).await else { return };
    let lines = Lines::new("a line");
    let sending = |if_none_match| world.store_with(|settings| settings.if_none_match = if_none_match);
    let error = fails(&sending(IfNoneMatch::Never), &lines.object(KEY)).await;
    assert_eq!((error.code.as_deref(), error.kind), (Some("AccessDenied"), AttemptErrorKind::Configuration), "{error}");
    for if_none_match in [IfNoneMatch::Auto, IfNoneMatch::Always] {
        let key = format!("{if_none_match:?}");
        assert_eq!(sending(if_none_match).put(&lines.object(&key)).await, STORED);
    }
    assert_eq!(world.stored(), [lines.once("Always"), lines.once("Auto")]);
}

pub async fn a_store_without_conditional_puts_is_asked_once_and_gets_plain_ones(which: Which) {
    let wanted = Wanted { refuses_conditions: true, ..Wanted::default() };
    let Some(world) = World::new(which, wanted).await else { return };
    let lines = Lines::new("a line");
    let always = world.store_with(|settings| settings.if_none_match = IfNoneMatch::Always);
    let error = fails(&always, &lines.object("a")).await;
    assert_eq!((error.status, error.kind), (Some(501), AttemptErrorKind::Configuration), "{error}");

    let auto = world.store();
    for key in ["a", "b"] {
        assert_eq!(auto.put(&lines.object(key)).await, STORED);
    }
    let puts: Vec<_> = world.puts().into_iter().map(|put| (put.if_none_match, put.status)).collect();
    assert_eq!(puts, [(true, Some(501)), (true, Some(501)), (false, Some(200)), (false, Some(200))]);
    assert_eq!(world.stored(), [lines.once("a"), lines.once("b")]);
}

/// The sandbox's server has no STS.
pub async fn a_role_is_assumed_and_its_keys_are_those_that_sign(which: Which) {
    let Some(world) = World::new(which, Wanted::default()).await else { return };
    let store = world.store_of_role("logs").expect("an STS");
    let lines = Lines::new("a line");
    for key in ["a", "b"] {
        assert_eq!(store.put(&lines.object(key)).await, STORED);
    }
    assert_eq!(world.stored(), ["a", "b"].map(|key| lines.once(key)));
}
