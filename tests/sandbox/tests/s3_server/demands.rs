//! What owners of buckets demand, and stores that do not have what is asked of them.

use crate::World;
use crate::client::{Call, Reply, call};
use sandbox::s3::{BucketOptions, S3Options, S3Server};
use std::collections::BTreeMap;

fn upload(world: &World) -> Call {
    call(&world.s3, "PUT", "strict", "a").body("123456789")
}

async fn answer(upload: Call) -> Reply {
    upload.send().await.expect("an answer")
}

async fn strict(options: BucketOptions) -> World {
    let world = World::new().await;
    world.s3.create_bucket_with("strict", &options).expect("a bucket");
    world
}

fn objects(world: &World) -> usize {
    world.s3.objects("strict").expect("a bucket").len()
}

#[tokio::test]
async fn a_bucket_that_demands_a_condition_takes_no_upload_without_one() {
    let world = strict(BucketOptions { demands_condition: true, ..BucketOptions::default() }).await;
    assert_eq!(answer(upload(&world)).await.error(), (403, "AccessDenied".to_owned()));
    assert_eq!(objects(&world), 0);
    assert_eq!(answer(upload(&world).header("if-none-match", "*")).await.status, 200);
}

#[tokio::test]
async fn a_bucket_of_another_owner_takes_no_upload() {
    let options = BucketOptions { owner: Some("111122223333".to_owned()), ..BucketOptions::default() };
    let world = strict(options).await;
    let expecting = |owner| upload(&world).header("x-amz-expected-bucket-owner", owner);
    assert_eq!(answer(expecting("999999999999")).await.error(), (403, "AccessDenied".to_owned()));
    assert_eq!(objects(&world), 0);
    assert_eq!(answer(expecting("111122223333")).await.status, 200);
    assert_eq!(answer(upload(&world)).await.status, 200, "who expects nobody is not asked");
}

#[tokio::test]
async fn a_bucket_with_object_lock_takes_no_upload_without_a_digest() {
    let world = strict(BucketOptions { object_lock: true, ..BucketOptions::default() }).await;
    assert_eq!(answer(upload(&world)).await.error(), (400, "InvalidRequest".to_owned()));
    assert_eq!(objects(&world), 0);
    for (name, value) in [
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
    ] {
        assert_eq!(answer(upload(&world).header(name, value)).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn what_a_bucket_demands_outlives_the_server() {
    let World { s3, root } = strict(BucketOptions { object_lock: true, ..BucketOptions::default() }).await;
    drop(s3);
    let s3 = S3Server::start(root.path()).await.expect("a server");
    let refused = call(&s3, "PUT", "strict", "a").body("x").send().await.expect("an answer");
    assert_eq!(refused.error(), (400, "InvalidRequest".to_owned()));
}

#[tokio::test]
async fn a_store_without_conditions_says_so_and_takes_plain_uploads() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let options = S3Options { refuses_conditions: true, ..S3Options::default() };
    let s3 = S3Server::start_with(root.path(), options).await.expect("a server");
    s3.create_bucket("logs").expect("a bucket");
    let upload = || call(&s3, "PUT", "logs", "a").body("x");
    for _ in 0..2 {
        let refused = answer(upload().header("if-none-match", "*")).await;
        assert_eq!(refused.error(), (501, "NotImplemented".to_owned()));
    }
    assert_eq!(s3.objects("logs").expect("a bucket"), []);
    assert_eq!(answer(upload()).await.status, 200);
}

#[tokio::test]
async fn encryption_storage_class_and_tags_can_be_seen_at_the_object() {
    let world = strict(BucketOptions::default()).await;
    let sent = upload(&world)
        .header("x-amz-server-side-encryption", "aws:kms")
        .header("x-amz-server-side-encryption-aws-kms-key-id", "key-1")
        .header("x-amz-storage-class", "STANDARD_IA")
        .header("x-amz-tagging", "team=logs&note=a%20b");
    let stored = answer(sent).await;
    assert_eq!((stored.status, stored.header("x-amz-server-side-encryption")), (200, Some("aws:kms")));

    let object = world.s3.objects("strict").expect("a bucket").remove(0);
    assert_eq!((object.sse.as_deref(), object.kms_key_id.as_deref()), (Some("aws:kms"), Some("key-1")));
    assert_eq!(object.storage_class.as_deref(), Some("STANDARD_IA"));
    let tags = [("note", "a b"), ("team", "logs")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(object.tags, BTreeMap::from(tags));

    let malformed = answer(upload(&world).header("x-amz-tagging", "a=1&a=2")).await;
    assert_eq!(malformed.error(), (400, "InvalidTag".to_owned()));
}
