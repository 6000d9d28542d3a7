//! `logspool doctor`: what a person is told, with the real program against a real store that fails in every way.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

#[path = "doctor/machine.rs"]
mod machine;
#[path = "../spool/tests/own_namespace/mod.rs"]
mod own_namespace;
mod world;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use machine::{Doctor, Raw, answer, date_in};
use own_namespace::with_small_disk;
use sandbox::s3::{BucketOptions, Fault, Requests, S3Options, S3Server};
use world::{BUCKET, World};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn where_all_is_well_every_check_says_so_and_nothing_is_left() {
    let world = World::new().await;
    let told = Doctor::of(&world).run();
    assert_eq!(told.code, Some(0), "{told}");
    assert_eq!(
        told.names(),
        [
            "environment",
            "settings",
            "spool directory",
            "disk",
            "destination",
            "credentials",
            "put",
            "clock",
            "options",
            "conditional put",
            "clean up",
        ]
    );
    told.names().iter().for_each(|name| told.expect(name, "ok", ""));
    told.expect("destination", "ok", "s3://logs/it, region us-east-1, at http://127.0.0.1:");
    told.expect("clock", "ok", "agrees with the store's");
    told.expect("conditional put", "ok", "the same key again: 412");
    told.expect("clean up", "ok", "the probe is removed");
    assert!(world.objects().is_empty() && !world.spool_root().exists(), "nothing is left");

    // The way of an upload: twice the same key below the prefix, where no reader looks, with the condition and the
    // digest.
    let requests = world.s3.requests();
    let seen: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.status)).collect();
    assert_eq!(seen, [("PUT", Some(200)), ("PUT", Some(412)), ("DELETE", Some(204))]);
    assert!(requests.iter().all(|request| request.key == requests[0].key && request.connection == 0));
    assert!(requests[0].key.starts_with("it/.logspool-doctor/."), "{}", requests[0].key);
    assert!(requests[0].if_none_match && requests[0].headers.contains_key("x-amz-checksum-crc64nvme"));
}

#[tokio::test]
async fn the_table_is_aligned_and_names_the_remedy_below() {
    let world = World::new().await;
    world.s3.faults().set(Fault::AccessDenied);
    let (code, out, err) = Doctor::of(&world).text();
    assert_eq!((code, err.as_str()), (Some(1), ""), "{out}");
    let (table, rest) = out.split_once("\n\n").unwrap();
    let column = table.find("SEEN").unwrap();
    for line in table.lines() {
        assert!(line.get(..column).is_some_and(|before| before.ends_with("  ")), "{line:?}");
        assert_ne!(line.as_bytes().get(column), Some(&b' '), "{line:?}");
    }
    let put = table.lines().find(|line| line.starts_with("  put ")).unwrap();
    assert!(put.contains("bad 1   AccessDenied (HTTP 403): "), "{put}");
    assert!(rest.starts_with(" 1  Allow s3:PutObject on arn:aws:s3:::logs/it/* to the function's role"), "{rest}");
    assert!(rest.ends_with("\n\nSomething is wrong: 1 bad, 0 notes, 7 ok.\n"), "{rest}");
}

#[tokio::test]
async fn each_answer_of_the_store_is_told_with_its_remedy() {
    let table = [
        (Fault::AccessDenied, "AccessDenied (HTTP 403)", "Allow s3:PutObject on arn:aws:s3:::logs/it/*"),
        (Fault::NoSuchBucket, "NoSuchBucket (HTTP 404)", "There is no bucket logs there"),
        (Fault::InvalidAccessKeyId, "InvalidAccessKeyId (HTTP 403)", "The store does not know AWS_ACCESS_KEY_ID"),
        (Fault::ExpiredToken, "ExpiredToken (HTTP 400)", "The credentials have come to their end"),
        (Fault::SignatureDoesNotMatch, "SignatureDoesNotMatch (HTTP 403)", "AWS_SECRET_ACCESS_KEY is not the one"),
        (Fault::RequestTimeTooSkewed, "RequestTimeTooSkewed (HTTP 403)", "Set the clock of this machine"),
        (Fault::KmsDisabled, "KMS.DisabledException (HTTP 400)", "The KMS key is disabled"),
        (Fault::SlowDown, "SlowDown (HTTP 503)", "This passes by itself"),
        (Fault::BadGateway, "HTTP 502", "This passes by itself"),
        (Fault::ResetBeforeAnswer, "connection lost", "The connection broke off"),
        (Fault::RefuseConnections, "cannot connect to 127.0.0.1:", "Nobody listens there. Check LOGSPOOL_S3_ENDPOINT"),
    ];
    let world = World::new().await;
    for (fault, seen, remedy) in table {
        world.s3.faults().set(fault);
        let told = Doctor::of(&world).run();
        assert_eq!(told.code, Some(1), "{fault:?}: {told}");
        told.expect("put", "bad", seen);
        told.expect_remedy("put", remedy);
        assert!(!told.names().contains(&"conditional put"), "{fault:?}: what cannot be put is not put again: {told}");
    }
    assert!(world.objects().is_empty());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_and_a_secret_that_is_wrong_are_told_as_such() {
    let world = World::new().await;
    let told = Doctor::of(&world).env("LOGSPOOL_DESTINATION", "s3://other/it").run();
    told.expect("put", "bad", "NoSuchBucket");
    told.expect_remedy("put", "There is no bucket other there. Check its name; or make it: aws s3 mb s3://other");
    let told = Doctor::of(&world).env("AWS_SECRET_ACCESS_KEY", "wrong").run();
    assert_eq!(told.code, Some(1), "{told}");
    told.expect("put", "bad", "SignatureDoesNotMatch");
    told.expect_remedy("put", "AWS_SECRET_ACCESS_KEY is not the one of this access key");
    let owned = BucketOptions { owner: Some("111111111111".to_owned()), ..BucketOptions::default() };
    world.s3.create_bucket_with("owned", &owned).unwrap();
    let settings = "s3://owned?bucket-owner=222222222222";
    let told = Doctor::of(&world).argument(settings).run();
    told.expect("put", "bad", "AccessDenied");
    assert!(told.remedy("put").contains("must belong to account 222222222222"), "{told}");
}

#[tokio::test]
async fn credentials_are_told_by_their_source() {
    let world = World::new().await;
    let told = Doctor::of(&world).env("AWS_SECRET_ACCESS_KEY", "").run();
    told.expect("credentials", "bad", "no credentials: AWS_SECRET_ACCESS_KEY not set");
    told.expect_remedy("credentials", "Lambda sets AWS_ACCESS_KEY_ID");
    assert!(world.s3.requests().is_empty(), "nothing is sent without them");

    let told = Doctor::of(&world).env("AWS_ACCESS_KEY_ID", "ASIA1234").run();
    told.expect("credentials", "bad", "temporary keys without their token");
    told.expect_remedy("credentials", "Keys that begin with ASIA are good only with AWS_SESSION_TOKEN");

    let (id, secret) = (world.s3.access_key_id().to_owned(), world.s3.secret_access_key().to_owned());
    let keys = format!(r#"{{"AccessKeyId":"{id}","SecretAccessKey":"{secret}","Expiration":"2099-01-02T03:04:05Z"}}"#);
    let endpoint = Raw::start(move |_| answer("200 OK", &[], &keys));
    let container = |url: String| {
        Doctor::of(&world)
            .env("AWS_ACCESS_KEY_ID", "")
            .env("AWS_SECRET_ACCESS_KEY", "")
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
            .run()
    };
    let told = container(endpoint.url());
    assert_eq!(told.code, Some(0), "{told}");
    told.expect("credentials", "ok", "from the container endpoint");
    assert!(told.seen("credentials").ends_with("good until 2099-01-02T03:04:05.000Z"), "{told}");
    let refusing = Raw::start(|_| answer("401 Unauthorized", &[], ""));
    let told = container(refusing.url());
    told.expect("credentials", "bad", "HTTP 401");
    told.expect_remedy("credentials", "The endpoint that gives credentials does not.");
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_by_how_much() {
    let world = World::new().await;
    for (offset_s, result, direction) in
        [(-90, "note", "ahead of"), (90, "note", "behind"), (-3_600, "bad", "ahead of"), (3_600, "bad", "behind")]
    {
        let store = Raw::start(move |_| answer("200 OK", &[("date", &date_in(offset_s))], ""));
        let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", store.url()).run();
        assert_eq!(told.code, Some(i32::from(result == "bad")), "{told}");
        told.expect("clock", result, "");
        assert!(told.seen("clock").contains(&format!(" s {direction} the store's clock")), "{told}");
        told.expect_remedy("clock", "Set the clock of this machine (NTP)");
    }
}

#[tokio::test]
async fn a_store_without_conditional_puts_is_noted() {
    let world = World::new().await;
    let root = tempfile::tempdir().unwrap();
    let options = S3Options { refuses_conditions: true, ..S3Options::default() };
    let store = S3Server::start_with(root.path(), options).await.unwrap();
    store.create_bucket(BUCKET).unwrap();
    let told = Doctor::of(&world).at(&store).run();
    assert_eq!(told.code, Some(0), "{told}");
    told.expect("put", "ok", "stored");
    told.expect("conditional put", "note", "the store does not know If-None-Match");
    told.expect("clean up", "ok", "the probe is removed");
    let told = Doctor::of(&world).at(&store).env("LOGSPOOL_S3_IF_NONE_MATCH", "true").run();
    assert_eq!(told.code, Some(1), "{told}");
    told.expect("put", "bad", "NotImplemented (HTTP 501)");
    told.expect_remedy("put", "The store does not take what was asked for. Try LOGSPOOL_S3_IF_NONE_MATCH=auto");
    let told = Doctor::of(&world).at(&store).env("LOGSPOOL_S3_IF_NONE_MATCH", "false").run();
    told.expect("conditional put", "ok", "off: LOGSPOOL_S3_IF_NONE_MATCH is false");

    let ignoring = Raw::start(|_| answer("200 OK", &[], ""));
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", ignoring.url()).run();
    told.expect("conditional put", "note", "the store ignores If-None-Match");
    let always = Raw::start(|_| answer("412 Precondition Failed", &[], ""));
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", always.url()).run();
    assert_eq!(told.code, Some(1), "{told}");
    told.expect("put", "bad", "the store answers 412 to a new key");
}

#[tokio::test]
async fn a_bucket_elsewhere_works_and_is_noted_with_its_region() {
    let world = World::new().await;
    let root = tempfile::tempdir().unwrap();
    let options = S3Options { region: "eu-central-1".to_owned(), ..S3Options::default() };
    let store = S3Server::start_with(root.path(), options).await.unwrap();
    store.create_bucket(BUCKET).unwrap();
    let told = Doctor::of(&world).at(&store).env("AWS_REGION", "us-east-1").run();
    assert_eq!(told.code, Some(0), "{told}");
    told.expect("region", "note", "the bucket is in eu-central-1, not in us-east-1");
    assert!(told.remedy("region").ends_with("set LOGSPOOL_S3_REGION=eu-central-1."), "{told}");
}

#[tokio::test]
async fn a_role_that_may_not_remove_is_no_finding() {
    let world = World::new().await;
    world.s3.faults().of(Requests::All).script([None, None, Some(Fault::AccessDenied)]);
    let told = Doctor::of(&world).run();
    assert_eq!(told.code, Some(0), "{told}");
    let left: Vec<_> = world.objects().into_iter().map(|object| object.key).collect();
    assert_eq!(left.len(), 1);
    told.expect("clean up", "ok", &format!("{} stays (AccessDenied)", left[0]));
}

#[tokio::test]
async fn encryption_that_is_not_confirmed_is_noted() {
    let world = World::new().await;
    let confirming = Raw::start(|_| answer("200 OK", &[("x-amz-server-side-encryption", "AES256")], ""));
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", confirming.url()).env("LOGSPOOL_S3_SSE", "AES256").run();
    told.expect("options", "ok", "CRC-64/NVME sent, encrypted: AES256");
    let silent = Raw::start(|_| answer("200 OK", &[], ""));
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", silent.url()).env("LOGSPOOL_S3_SSE", "aws:kms").run();
    told.expect("options", "note", "CRC-64/NVME sent, encryption not told; asked for aws:kms");
}

#[tokio::test]
async fn an_authority_that_nobody_trusts_is_told_with_the_setting_that_trusts_it() {
    let world = World::new().await;
    let store = machine::tls_server().await;
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", format!("https://{store}")).run();
    assert_eq!(told.code, Some(1), "{told}");
    assert!(told.seen("put").contains("UnknownIssuer"), "{told}");
    told.expect_remedy("put", "Name the authority's certificate (PEM) in LOGSPOOL_S3_CA_FILE");
    let told = Doctor::of(&world)
        .env("AWS_ENDPOINT_URL_S3", format!("https://{store}"))
        .env("LOGSPOOL_S3_CA_FILE", "/nowhere/ca.pem")
        .run();
    told.expect_remedy("put", "Correct LOGSPOOL_S3_CA_FILE");
    // A port that speaks no TLS.
    let plain = world.s3.endpoint().replace("http://", "https://");
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", plain).run();
    told.expect_remedy("put", "Whoever answers speaks no TLS");
}

#[tokio::test]
async fn a_name_without_an_address_is_told_as_such() {
    let world = World::new().await;
    let told = Doctor::of(&world).env("AWS_ENDPOINT_URL_S3", "https://logspool.invalid").run();
    told.expect("put", "bad", "cannot connect to logspool.invalid: failed to lookup address");
    told.expect_remedy("put", "The name has no address. Check LOGSPOOL_S3_ENDPOINT");
}

#[tokio::test]
async fn a_store_that_hangs_is_left_and_what_was_seen_is_told_meanwhile() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let told = Doctor::of(&world).env("LOGSPOOL_REQUEST_TIMEOUT", "300ms").run();
    told.expect("put", "bad", "no answer within 300ms");
    told.expect_remedy("put", "There was a connection and no answer in time");

    // It is killed while it waits: what it has said until then is there, and no more.
    let before = world.s3.requests().len();
    let child = Doctor::of(&world).env("LOGSPOOL_REQUEST_TIMEOUT", "300s").start();
    world.s3.requests_until(|seen| seen.len() > before).await;
    let said = child.killed();
    assert!(said.contains("\n  credentials      ok ") && !said.contains("\n  put "), "{said}");
}

#[tokio::test]
async fn the_doctors_patience_is_shorter_than_a_long_request_timeout() {
    let world = World::new().await;
    world.s3.faults().set(Fault::Hang);
    let told = Doctor::of(&world).env("LOGSPOOL_REQUEST_TIMEOUT", "300s").run();
    told.expect("put", "bad", "no answer within 10s");
    told.expect_remedy("put", "There was a connection and no answer in time");
}

#[tokio::test]
async fn bad_settings_are_findings_each_with_its_rule() {
    let world = World::new().await;
    let told = Doctor::of(&world)
        .env("LOGSPOOL_SEAL_AGE", "60 parsecs")
        .env("LOGSPOOL_SEEL_SIZE", "1MiB")
        .env("LOGSPOOL_TYPES", "platform")
        .run();
    assert_eq!(told.code, Some(1), "{told}");
    let settings = told.all("settings");
    let results: Vec<_> = settings.iter().map(|(result, _)| result.as_str()).collect();
    assert_eq!(results, ["bad", "bad", "note"], "{told}");
    assert!(settings[0].1.starts_with("LOGSPOOL_SEAL_AGE=\"60 parsecs\": a duration like"), "{told}");
    assert!(settings[1].1.starts_with("LOGSPOOL_SEEL_SIZE: there is no such setting"), "{told}");
    assert_eq!(settings[2].1, "TYPES leaves out `function`");
    told.expect("put", "ok", "stored");

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "seal_age = \"never\"\n").unwrap();
    let told = Doctor::of(&world).env("LOGSPOOL_CONFIG", file.path().display().to_string()).run();
    assert!(told.seen("settings").contains("seal_age=\"never\""), "a file of settings is read: {told}");
}

#[tokio::test]
async fn notes_alone_are_no_findings() {
    let world = World::new().await;
    let told = Doctor::of(&world).env("LOGSPOOL_TYPES", "platform").run();
    told.expect("settings", "note", "TYPES leaves out `function`");
    assert_eq!(told.code, Some(0), "{told}");
}

#[tokio::test]
async fn destinations_are_named_by_settings_or_by_arguments() {
    let world = World::new().await;
    let told = Doctor::of(&world).env("LOGSPOOL_DESTINATION", "").run();
    assert_eq!(told.code, Some(1), "{told}");
    told.expect("destination", "bad", "none is set");
    told.expect_remedy("destination", "Without one nothing is collected: set LOGSPOOL_DESTINATION");
    let told = Doctor::of(&world).env("LOGSPOOL_DESTINATION", "s3://x").run();
    told.expect("destination", "bad", "none that can be used");

    let logs = tempfile::tempdir().unwrap();
    let folder = format!("file://{}", logs.path().join("a/b").display());
    let fallbacks = format!("s3://{BUCKET}/b,stdout:");
    let told = Doctor::of(&world).env("LOGSPOOL_DESTINATION", &folder).env("LOGSPOOL_FALLBACK", &fallbacks).run();
    assert_eq!(told.code, Some(0), "{told}");
    let of_folder = ["destination", "put", "conditional put", "clean up"];
    let of_bucket = ["fallback", "credentials", "put", "clock", "options", "conditional put", "clean up"];
    let expected = [&of_folder[..], &of_bucket, &["fallback"]].concat();
    assert_eq!(told.names()[4..], expected, "{told}");
    let destinations = told.destinations();
    assert_eq!(destinations, [folder.as_str(), &format!("s3://{BUCKET}/b"), "stdout:"]);
    assert_eq!(fs::read_dir(logs.path()).unwrap().count(), 0, "nothing is left");

    let told = Doctor::of(&world).argument(&format!("s3://{BUCKET}/c")).argument(&folder).run();
    assert_eq!(told.destinations(), [&format!("s3://{BUCKET}/c"), &folder], "{told}");
}

#[test]
fn a_word_that_is_no_option_is_named() {
    let output = Command::new(world::extension()).args(["doctor", "--yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty() && error.starts_with("logspool: ") && error.contains("--yaml"), "{error}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_told() {
    let world = World::new().await;
    let file = world.tmp().join("file");
    fs::write(&file, "x").unwrap();
    let below = file.join("spool").display().to_string();
    let told = Doctor::of(&world).env("LOGSPOOL_DIR", below).run();
    assert_eq!(told.code, Some(1), "{told}");
    assert!(told.seen("spool directory").contains("Not a directory"), "{told}");
    told.expect_remedy("spool directory", "A part of that path is a file");
    told.expect("put", "ok", "stored");
    let told = Doctor::of(&world).argument(&format!("file://{}/logs", file.display())).run();
    told.expect_remedy("put", "A part of that path is a file");
}

#[tokio::test]
async fn what_earlier_lives_have_left_is_noted_and_not_touched() {
    let world = World::new().await;
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox = world.sandbox().start().await.unwrap();
    sandbox.invoke(sandbox::Work { lines: 30, ..sandbox::Work::default() }).await;
    let told = Doctor::of(&world).run();
    told.expect("earlier lives", "ok", "nothing waits; 1 in use by a running process");
    world::signal(&sandbox, "KILL");
    drop(sandbox);
    let before = machine::files(&world.spool_root());
    let told = Doctor::of(&world).run();
    told.expect("earlier lives", "note", "1 spool waits, ");
    assert_eq!(machine::files(&world.spool_root()), before);
}

#[test]
fn a_full_and_a_read_only_disk_are_told() {
    with_small_disk("a_full_and_a_read_only_disk_are_told", MIB, |disk| {
        let root = disk.join("spool");
        let doctor = || {
            Doctor::new()
                .env("LOGSPOOL_DIR", root.display().to_string())
                .env("LOGSPOOL_KEEP_FREE", "0KiB")
                .env("LOGSPOOL_DESTINATION", format!("file://{}", disk.join("logs").display()))
        };
        let told = doctor().run();
        assert_eq!(told.code, Some(0), "{told}");
        assert!(told.seen("spool directory").ends_with(", tmpfs, not there yet, can be made"), "{told}");
        let told = doctor().env("LOGSPOOL_KEEP_FREE", "64MiB").run();
        told.expect("disk", "bad", "");
        told.expect_remedy("disk", "LOGSPOOL_KEEP_FREE is larger than the disk");

        fill(&disk.join("filler"));
        let told = doctor().run();
        assert_eq!(told.code, Some(1), "{told}");
        assert!(told.seen("spool directory").contains("No space left on device"), "{told}");
        told.expect_remedy("spool directory", "The disk is full");
        told.expect_remedy("disk", "There is no room for a spool");
        told.expect_remedy("put", "The file system is full");
        fs::remove_file(disk.join("filler")).unwrap();
        assert_eq!(fs::read_dir(disk).unwrap().count(), 0, "nothing is left");

        let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk).status().unwrap();
        assert!(remounted.success());
        let told = doctor().run();
        assert!(told.seen("spool directory").contains("Read-only file system"), "{told}");
        told.expect_remedy("spool directory", "Nothing can be written there. In Lambda only /tmp");
        told.expect_remedy("put", "Nothing can be written there");
    });
}

fn fill(path: &Path) {
    let wrote = Command::new("dd").args(["if=/dev/zero", "bs=4096"]).arg(format!("of={}", path.display())).output();
    assert!(!wrote.unwrap().status.success(), "the disk is full then");
}

#[tokio::test]
async fn no_secret_is_printed_whoever_says_it() {
    let world = World::new().await;
    // A store that tells everybody what it was told.
    let document = |head: &str| {
        let said = head.replace(['<', '>', '&', '\r', '\n'], " ");
        format!("<Error><Code>AccessDenied</Code><Message>s3cr3t-key t0k3n c0nt41n3r 3xt3rn4l {said}</Message></Error>")
    };
    let echo = Raw::start(move |head| answer("403 Forbidden", &[], &document(head)));
    let base = || {
        Doctor::of(&world)
            .env("AWS_SECRET_ACCESS_KEY", "s3cr3t-key")
            .env("AWS_SESSION_TOKEN", "t0k3n")
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "c0nt41n3r")
            .env("LOGSPOOL_S3_EXTERNAL_ID", "3xt3rn4l")
    };
    let runs = [
        base(),
        base().env("AWS_ENDPOINT_URL_S3", echo.url()),
        base().env("LOGSPOOL_S3_PROXY", "http://me:pr0xy@127.0.0.1:1"),
        base().env("LOGSPOOL_S3_PROXY", "ftp://me:pr0xy@127.0.0.1:1"),
        base().env("LOGSPOOL_S3_ENDPOINT", "https://me:pr0xy@store/?sig=qu3ry"),
        base().env("LOGSPOOL_DESTINATION", "https://me:pr0xy@store/logs?sig=qu3ry"),
        base().env("LOGSPOOL_DESTINATION", "s3://logs/it?colour=red&endpoint=https://me:pr0xy@store"),
        base().env("LOGSPOOL_FALLBACK", "https://me:pr0xy@store/logs?sig=qu3ry"),
        base()
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/keys?sig=qu3ry")
            .env("AWS_ACCESS_KEY_ID", ""),
        base()
            .env("LOGSPOOL_S3_ROLE_ARN", "arn:aws:iam::123456789012:role/logs")
            .env("LOGSPOOL_S3_EXTERNAL_ID", "3xt3rn4l"),
    ];
    for doctor in runs {
        for said in [doctor.clone().text(), doctor.json()] {
            let said = format!("{}{}", said.1, said.2);
            assert!(said.contains("credentials") || said.contains("destination"), "{said}");
            for secret in
                ["s3cr3t-key", "t0k3n", "c0nt41n3r", "pr0xy", "qu3ry", "3xt3rn4l", world.s3.secret_access_key()]
            {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_slow_store_is_noted() {
    let world = World::new().await;
    world.s3.set_latency(Duration::from_millis(600));
    let told = Doctor::of(&world).env("LOGSPOOL_REQUEST_TIMEOUT", "1s").run();
    // On a machine that is busier still there was no answer in time.
    assert_ne!(told.result("put"), "ok", "{told}");
}
