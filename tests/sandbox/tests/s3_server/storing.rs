//! What S3 does when nothing is wrong.

use crate::World;
use crate::client::{Connection, call, list, put};
use sandbox::s3::S3Server;

#[tokio::test]
async fn a_signed_upload_comes_back_as_it_was_sent() {
    let world = World::new().await;
    let s3 = &world.s3;
    let sent = put(s3, "a/b.ndjson.zst", "123456789")
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "zstd")
        .header("x-amz-meta-records", "17");
    let stored = sent.send().await.expect("an answer");
    assert_eq!(stored.status, 200, "{}", stored.text());
    let etag = "\"25f9e794323b453885f5181f1b624d0b\"";
    assert_eq!(stored.header("etag"), Some(etag));

    for (method, body) in [("GET", "123456789"), ("HEAD", "")] {
        let got = call(s3, method, "logs", "a/b.ndjson.zst").send().await;
        let got = got.expect("an answer");
        assert_eq!((got.status, got.text().as_str()), (200, body), "{method}");
        for (name, value) in [
            ("content-length", "9"),
            ("content-type", "application/x-ndjson"),
            ("content-encoding", "zstd"),
            ("x-amz-meta-records", "17"),
            ("etag", etag),
        ] {
            assert_eq!(got.header(name), Some(value), "{method} {name}");
        }
    }

    let [object] = &s3.objects("logs").expect("a bucket")[..] else {
        panic!("one object");
    };
    assert_eq!(object.key, "a/b.ndjson.zst");
    assert_eq!(object.bytes, b"123456789");
    assert_eq!(object.metadata["records"], "17");
    assert_eq!(object.content_type.as_deref(), Some("application/x-ndjson"));
    assert_eq!(object.path, world.root.path().join("logs/a/b.ndjson.zst"));
    assert_eq!(std::fs::read(&object.path).expect("a file"), b"123456789");
}

#[tokio::test]
async fn a_payload_hash_and_every_checksum_of_the_right_body_are_accepted() {
    let world = World::new().await;
    let hashed = put(&world.s3, "hashed", "123456789").payload_signed();
    assert_eq!(hashed.send().await.expect("an answer").status, 200);
    // The check values of these algorithms, from their catalogues.
    for (name, value) in [
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
        ("x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
    ] {
        let stored = put(&world.s3, name, "123456789").header(name, value);
        let stored = stored.send().await.expect("an answer");
        assert_eq!(stored.status, 200, "{name}: {}", stored.text());

        if name.starts_with("x-amz-") {
            let asked = call(&world.s3, "HEAD", "logs", name).header("x-amz-checksum-mode", "ENABLED");
            let asked = asked.send().await.expect("an answer");
            assert_eq!(asked.header(name), Some(value));
        }
    }
}

#[tokio::test]
async fn both_styles_of_address_reach_the_same_object() {
    let world = World::new().await;
    let upload = put(&world.s3, "dt=1/a b", "text").virtual_host("logs");
    let stored = upload.send().await.expect("an answer");
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(world.keys(), ["dt=1/a b"]);
    let seen = world.s3.requests().remove(0);
    assert_eq!((seen.bucket.as_str(), seen.key.as_str()), ("logs", "dt=1/a b"));
}

#[tokio::test]
async fn odd_keys_stay_inside_the_root_and_come_back_from_the_listing() {
    let world = World::new().await;
    let long = "x".repeat(600);
    let mut keys = [
        "../../escape",
        ".",
        "x/..",
        ".hidden",
        "a//b/",
        "a%20b x=1+2",
        "é&<>\"'*",
        "logs/function=orders/dt=2026-11-23/hour=04/1.ndjson.zst",
        &long,
    ];
    for key in keys {
        let stored = put(&world.s3, key, key.to_owned()).send().await;
        let stored = stored.expect("an answer");
        assert_eq!(stored.status, 200, "{key}: {}", stored.text());
        let got = call(&world.s3, "GET", "logs", key).send().await;
        assert_eq!(got.expect("an answer").text(), key);
    }
    keys.sort_unstable();
    assert_eq!(world.keys(), keys);
    for object in world.s3.objects("logs").expect("a bucket") {
        let resolved = object.path.canonicalize().expect("a path");
        assert!(resolved.starts_with(world.root.path().canonicalize().expect("a path")));
    }

    let listed = list(&world.s3, &[("encoding-type", "url")]).send().await;
    let listed = listed.expect("an answer").elements("Key");
    assert!(listed.contains(&"a%2520b%20x%3D1%2B2".to_owned()), "{listed:?}");
    let listed = list(&world.s3, &[]).send().await;
    let listed = listed.expect("an answer").elements("Key");
    assert!(listed.contains(&"a%20b x=1+2".to_owned()), "{listed:?}");
}

#[tokio::test]
async fn a_listing_goes_on_page_by_page_and_knows_prefixes() {
    let world = World::new().await;
    for key in ["a/1", "a/2", "a/3", "b/1", "b/2"] {
        put(&world.s3, key, "x").send().await.expect("an answer");
    }
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let mut query = vec![("max-keys", "2")];
        if !token.is_empty() {
            query.push(("continuation-token", &token));
        }
        let page = list(&world.s3, &query).send().await.expect("an answer");
        pages.push(page.elements("Key"));
        match page.elements("NextContinuationToken").pop() {
            Some(next) => token = next,
            None => break,
        }
    }
    assert_eq!(pages, [vec!["a/1", "a/2"], vec!["a/3", "b/1"], vec!["b/2"]]);

    let of_b = list(&world.s3, &[("prefix", "b/")]).send().await;
    assert_eq!(of_b.expect("an answer").elements("Key"), ["b/1", "b/2"]);
}

#[tokio::test]
async fn a_conditional_upload_keeps_what_is_there() {
    let world = World::new().await;
    let upload = |body: &'static str| put(&world.s3, "once", body).header("if-none-match", "*");
    assert_eq!(upload("first").send().await.expect("an answer").status, 200);
    let second = upload("second").send().await.expect("an answer");
    assert_eq!(second.error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(world.bytes("once"), b"first");

    let requests = world.s3.requests();
    let stored: Vec<bool> = requests.iter().map(|seen| seen.stored).collect();
    assert_eq!(stored, [true, false]);
    assert!(requests.iter().all(|seen| seen.if_none_match));
}

#[tokio::test]
async fn of_conditional_uploads_at_the_same_time_exactly_one_wins() {
    let world = World::new().await;
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..16 {
        let body = format!("racer {racer} ").repeat(10_000);
        let upload = put(&world.s3, "once", body).header("if-none-match", "*");
        racers.spawn(async move { upload.send().await.expect("an answer").status });
    }
    let mut statuses = racers.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [412; 15]);
    assert_eq!(world.keys(), ["once"]);
}

#[tokio::test]
async fn an_unconditional_upload_replaces_bytes_and_metadata() {
    let world = World::new().await;
    let first = put(&world.s3, "a", "first").header("x-amz-meta-old", "1");
    assert_eq!(first.send().await.expect("an answer").status, 200);
    let second = put(&world.s3, "a", "second").send().await;
    assert_eq!(second.expect("an answer").status, 200);
    let objects = world.s3.objects("logs").expect("a bucket");
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].bytes, b"second");
    assert!(objects[0].metadata.is_empty());
}

#[tokio::test]
async fn a_missing_bucket_is_told_apart_and_not_made_by_an_upload() {
    let world = World::new().await;
    let lost = call(&world.s3, "PUT", "elsewhere", "a").send().await;
    let lost = lost.expect("an answer");
    assert_eq!(lost.error(), (404, "NoSuchBucket".to_owned()));
    let head = |bucket| call(&world.s3, "HEAD", bucket, "");
    let status = head("elsewhere").send().await.expect("an answer").status;
    assert_eq!(status, 404);

    let made = call(&world.s3, "PUT", "elsewhere", "").send().await;
    assert_eq!(made.expect("an answer").status, 200);
    let found = head("elsewhere").send().await.expect("an answer");
    assert_eq!(found.status, 200);
    assert_eq!(found.header("x-amz-bucket-region"), Some(world.s3.region()));
    let again = call(&world.s3, "PUT", "elsewhere", "").send().await;
    let again = again.expect("an answer");
    assert_eq!(again.error(), (409, "BucketAlreadyOwnedByYou".to_owned()));
}

#[tokio::test]
async fn a_deleted_object_is_gone_and_its_directory_can_be_a_key() {
    let world = World::new().await;
    put(&world.s3, "a/b", "x").send().await.expect("an answer");
    let nested = put(&world.s3, "a", "x").send().await.expect("an answer");
    assert_eq!(nested.error(), (501, "NotImplemented".to_owned()));

    for _ in 0..2 {
        let deleted = call(&world.s3, "DELETE", "logs", "a/b").send().await;
        assert_eq!(deleted.expect("an answer").status, 204);
    }
    let got = call(&world.s3, "GET", "logs", "a/b").send().await;
    let got = got.expect("an answer");
    assert_eq!(got.error(), (404, "NoSuchKey".to_owned()));
    let stored = put(&world.s3, "a", "x").send().await.expect("an answer");
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(world.keys(), ["a"]);
}

#[tokio::test]
async fn a_new_server_over_the_same_directory_serves_the_same_objects() {
    let World { s3, root } = World::new().await;
    let upload = put(&s3, "a", "text").header("x-amz-meta-records", "1");
    assert_eq!(upload.send().await.expect("an answer").status, 200);
    drop(s3);

    let s3 = S3Server::start(root.path()).await.expect("a server");
    let got = call(&s3, "GET", "logs", "a").send().await;
    let got = got.expect("an answer");
    assert_eq!((got.status, got.text().as_str()), (200, "text"));
    assert_eq!(got.header("x-amz-meta-records"), Some("1"));
}

#[tokio::test]
async fn requests_are_noted_with_their_connection_and_without_secrets() {
    let world = World::new().await;
    let upload = |key| put(&world.s3, key, "12345").header("x-amz-security-token", "secret");
    let mut kept = Connection::to(&world.s3).await.expect("a connection");
    for key in ["a", "b"] {
        kept.send(&upload(key)).await.expect("an answer");
    }
    upload("c").send().await.expect("an answer");

    let requests = world.s3.requests();
    let connections: Vec<u64> = requests.iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
    for seen in requests {
        assert_eq!((seen.method.as_str(), seen.bucket.as_str()), ("PUT", "logs"));
        assert_eq!((seen.status, seen.body_bytes), (Some(200), 5));
        assert!(seen.is_put() && seen.stored && seen.fault.is_none());
        assert_eq!(seen.headers["content-length"], "5");
        let text = format!("{seen:?}");
        assert!(!text.contains("Signature=") && !text.contains("secret"), "{text}");
    }
}
