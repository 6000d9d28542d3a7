//! `logspool verify`: nothing is found where nothing is missing, whatever happened; and whatever is taken out is found and named.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod tampering;
mod world;

use std::io::Read as _;

use logspool::upload::object_key::spool_id_time_ms;
use sandbox::s3::{Fault, Requests, StoredObject};
use sandbox::{Sandbox, SandboxBuilder, Work};
use serde_json::Value;
use tampering::{Archive, Said, assert_all_found};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use world::{BUCKET, World, assert_whole};

fn place() -> String {
    format!("s3://{BUCKET}/it")
}

fn verify(world: &World, options: &[&str]) -> Said {
    world.tool(&[&["verify", &place()], options].concat())
}

/// Lines of a few hundred bytes, sealed every few of them.
fn small_segments(world: &World) -> SandboxBuilder {
    world.sandbox().extension_env("LOGSPOOL_COMPRESSION", "none").extension_env("LOGSPOOL_SEAL_SIZE", "4KiB")
}

async fn invoke(sandbox: &Sandbox, lines: u32) {
    sandbox.invoke(Work { lines, line_bytes: 300, ..Work::default() }).await;
}

/// An outage over a spool that is too small for it: the oldest records give way.
async fn with_losses(world: &World) -> Sandbox {
    let sandbox = small_segments(world).extension_env("LOGSPOOL_SPOOL_MAX", "128KiB").start().await.unwrap();
    for _ in 0..4 {
        invoke(&sandbox, 20).await;
    }
    world.s3.faults().set(Fault::SlowDown);
    for _ in 0..12 {
        invoke(&sandbox, 100).await;
    }
    sandbox
}

fn lines(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn spools(said: &Said) -> Vec<String> {
    lines(said).iter().filter_map(|line| line["spool"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn kills_and_losses_are_no_findings_and_everything_that_is_taken_out_is() {
    let world = World::new().await;
    let sandbox = with_losses(&world).await;
    sandbox.kill_extension().await;
    world.s3.faults().clear();
    let mut ledgers = Vec::new();
    let before = world.objects().len();
    // A life whose objects join, and enough of them to take some out.
    for _ in 0..200 {
        invoke(&sandbox, 20).await;
        if world.objects().len() >= before + 12 {
            break;
        }
    }
    sandbox.kill_extension().await;
    invoke(&sandbox, 20).await;
    ledgers.push(sandbox.ledger());
    drop(sandbox);
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_eq!(verdict.holds(), Ok(()), "{verdict}");

    let said = verify(&world, &["--deep", "--strict"]);
    println!("{}", said.out);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("Nothing is missing, and every object holds what its name says.\n"), "{}", said.out);
    assert!(said.out.contains("Lines that are declared lost, by cause: quota "), "{}", said.out);

    // By numbers: what the oracle has counted with other eyes.
    let said = verify(&world, &["--json", "--invocations"]);
    let lines = lines(&said);
    let (summary, spools) = lines.split_last().unwrap();
    let sum = |name: &str| spools.iter().map(|spool| spool[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("lines"), (verdict.delivered + verdict.own_lines) as u64);
    assert_eq!(sum("objects"), world.objects().len() as u64);
    let lost = spools.iter().flat_map(|spool| spool["lost"].as_object().unwrap().values());
    assert_eq!(lost.map(|records| records.as_u64().unwrap()).sum::<u64>(), verdict.declared as u64);
    assert_eq!(spools.len(), verdict.spools.len());
    assert_eq!(summary["summary"]["complete"]["spools"].as_u64(), Some(spools.len() as u64));
    // Each request that began, and is not in a range that is lost.
    let started =
        world.objects().iter().map(|object| count(&text(object), "\"type\":\"platform.start\"")).sum::<usize>();
    assert_eq!(summary["invocations"].as_u64(), Some(started as u64));

    let tried = assert_all_found(&world, &Archive::of(&world));
    println!("found: {tried:?}");
    for what in ["a line taken out, with a right digest", "a removed .dropped"] {
        assert!(tried.contains(&what), "{what} was tried");
    }
}

fn text(object: &StoredObject) -> String {
    let (mut text, bytes) = (String::new(), object.bytes.as_slice());
    if object.key.ends_with(".zst") {
        ruzstd::decoding::StreamingDecoder::new(bytes).unwrap().read_to_string(&mut text).unwrap();
    } else {
        text.push_str(std::str::from_utf8(bytes).unwrap());
    }
    text
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[tokio::test]
async fn what_was_evicted_by_a_life_whose_manifest_is_lost_is_declared_by_the_adopter() {
    let world = World::new().await;
    let sandbox = with_losses(&world).await;
    sandbox.kill_extension().await;
    let mut manifests = 0;
    for spool in world.spools() {
        for entry in std::fs::read_dir(spool).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap().to_str().unwrap().contains("manifest") {
                std::fs::remove_dir_all(path).unwrap();
                manifests += 1;
            }
        }
    }
    assert!(manifests > 0, "there was one to lose");
    world.s3.faults().clear();
    invoke(&sandbox, 1).await;
    let mut ledgers = vec![sandbox.ledger()];
    drop(sandbox);
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_eq!(verdict.holds(), Ok(()), "{verdict}");
    let said = verify(&world, &["--deep", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let lost: u64 = lines(&said).iter().filter_map(|spool| spool["lost"]["quota"].as_u64()).max().unwrap_or(0);
    assert!(lost > 0, "{}", said.out);
}

#[tokio::test]
async fn a_life_that_goes_on_is_open_and_one_that_was_destroyed_has_an_unknown_tail() {
    let world = World::new().await;
    let sandbox = small_segments(&world).extension_env("LOGSPOOL_DRAIN", "end").start().await.unwrap();
    for _ in 0..3 {
        invoke(&sandbox, 20).await;
    }
    let open = verify(&world, &["--strict", "--json"]);
    assert_eq!((open.code, lines(&open)[0]["verdict"].as_str()), (Some(0), Some("open")), "{open:?}");
    drop(sandbox);
    std::fs::remove_dir_all(world.spool_root()).unwrap();
    let settled = |options: &[&str]| verify(&world, &[&["--settle", "0s"], options].concat());
    let unknown = settled(&[]);
    assert_eq!(unknown.code, Some(0));
    assert!(
        unknown.out.contains("1 without an end: what came behind its last line, nobody knows.\n"),
        "{}",
        unknown.out
    );
    assert_eq!(settled(&["--strict"]).code, Some(1));
    // One that began before is not looked at.
    let nothing = verify(&world, &["--since", "2100-01-01"]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.err.ends_with("no object of logspool lies there\n"), "{}", nothing.err);
    assert_eq!(verify(&world, &["--since", "1h"]).code, Some(0));
}

#[tokio::test]
async fn spools_that_began_before_are_left_out_whole() {
    let world = World::new().await;
    for _ in 0..2 {
        let sandbox = small_segments(&world).start().await.unwrap();
        invoke(&sandbox, 20).await;
        end(&world, sandbox).await;
    }
    let all = spools(&verify(&world, &["--json"]));
    assert!(all.len() >= 2, "{all:?}");
    let began = spool_id_time_ms(&all[1]).unwrap();
    let since = OffsetDateTime::from_unix_timestamp_nanos(i128::from(began) * 1_000_000).unwrap();
    let since = since.format(&Rfc3339).unwrap();
    let left = spools(&verify(&world, &["--json", "--since", &since]));
    assert_eq!(left, all[1..]);
}

#[tokio::test]
async fn text_gzip_and_several_places_are_verified_too() {
    let world = World::new().await;
    for (format, codec) in [("text", "gzip"), ("raw", "zstd"), ("json", "gzip")] {
        let sandbox = world
            .sandbox()
            .extension_env("LOGSPOOL_FORMAT", format)
            .extension_env("LOGSPOOL_COMPRESSION", codec)
            .start()
            .await
            .unwrap();
        invoke(&sandbox, 20).await;
        end(&world, sandbox).await;
    }
    let said = verify(&world, &["--deep", "--strict"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("Text and raw lines were counted, not parsed: "), "{}", said.out);

    // Half of it here, half of it there, and some of it in both.
    let (archive, other) = (Archive::of(&world), Archive::of(&world));
    for (number, (one, two)) in archive.files().iter().zip(other.files()).enumerate() {
        match number % 3 {
            0 => std::fs::remove_file(one).unwrap(),
            1 => std::fs::remove_file(two).unwrap(),
            _ => {}
        }
    }
    let both = world.tool(&["verify", &archive.place(), &other.place(), "--deep", "--strict"]);
    assert_eq!(both.code, Some(0), "{both:?}");
    assert_eq!(archive.verify(&world, &["--strict"]).code, Some(1), "one of them alone is not enough");
}

async fn end(world: &World, sandbox: Sandbox) {
    sandbox.shutdown(sandbox::ShutdownReason::Spindown).await;
    drop(sandbox);
    world.heal().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_no_verdict() {
    let world = World::new().await;
    let sandbox = small_segments(&world).start().await.unwrap();
    invoke(&sandbox, 20).await;
    let verdict = world.end(&sandbox).await;
    assert_whole(&verdict);
    let code_and_error = |said: Said| (said.code, said.out, said.err);
    for (arguments, why) in [
        (&["verify", "s3://other/it"][..], "NoSuchBucket"),
        (&["verify", "file:///nowhere/at/all"], "No such file or directory"),
        (&["verify", "s3//logs"], "s3://bucket/prefix or file:///path is expected"),
        (&["verify", "stdout:"], "stdout:"),
        (&["verify", "s3://logs/it?ssse=1"], "there is no ssse"),
    ] {
        let (code, out, err) = code_and_error(world.tool(arguments));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.starts_with("logspool: ") && err.contains(why) && err.lines().count() == 1, "{err}");
    }
    // An answer that fails is asked for again.
    world.s3.faults().of(Requests::All).random(
        7,
        300,
        &[Fault::SlowDown, Fault::InternalError, Fault::ResetBeforeAnswer],
    );
    let said = verify(&world, &["--deep"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}
