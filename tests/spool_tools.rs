//! `logspool spool ls|cat|check`: what a person sees of a spool directory.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::path::Path;
use std::process::{Command, Output};

use sandbox::s3::Fault;
use sandbox::{Category, Fate, Work};
use world::World;

/// Runs the program as a person would; nothing of this process' surroundings matters to it.
fn tool(arguments: &[&str]) -> Output {
    Command::new(world::extension()).args(arguments).output().unwrap()
}

fn on(command: &str, dir: &Path) -> (Option<i32>, String, String) {
    let output = tool(&["spool", command, dir.to_str().unwrap()]);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn arguments_that_make_no_sense_are_named() {
    for (arguments, what) in [
        (&["spool"][..], "spool"),
        (&["--serve"], "--serve"),
        (&["spool", "rm", "/tmp"], "spool rm /tmp"),
        (&["spool", "cat", "/tmp", "x"], "\"x\""),
    ] {
        let output = tool(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("logspool: ") && error.contains(what) && error.lines().count() == 1, "{error}");
    }
    let help = tool(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(help.stdout.starts_with(b"usage: "));
}

#[test]
fn what_is_not_there_cannot_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["ls", "cat", "check"] {
        let (code, out, err) = on(command, &dir.path().join("nothing"));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{command}");
        assert!(err.starts_with("logspool: could not look at "), "{err}");
    }
    assert_eq!(on("ls", dir.path()), (Some(0), "no spools\n".into(), String::new()));
    assert_eq!(on("check", dir.path()).0, Some(0));
}

#[tokio::test]
async fn a_living_spool_is_shown_and_goes_on_undisturbed() {
    let world = World::new().await;
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox = world.sandbox().start().await.unwrap();
    sandbox.invoke(Work { lines: 30, ..Work::default() }).await;
    sandbox.invoke(Work { lines: 3, ..Work::default() }).await;
    let root = world.spool_root();

    let (code, table, err) = on("ls", &root);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for word in ["alive", "sealed", "active", "zstd", "invocation_end"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    assert_eq!(on("check", &root).0, Some(0));

    // What was acknowledged is there to be read, before anything is delivered.
    let (code, lines, err) = on("cat", &root);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let numbers: Vec<u64> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    let ledger = sandbox.ledger();
    let acknowledged = ledger.with_fate(Fate::Acknowledged).filter(|event| event.category == Category::Function);
    let missing = acknowledged.filter(|event| !lines.contains(event.record.get())).count();
    assert_eq!(missing, 0);
    let first = tool(&["spool", "cat", root.to_str().unwrap(), "0"]);
    assert!(lines.as_bytes().starts_with(&first.stdout) && !first.stdout.is_empty());
    assert_eq!(tool(&["spool", "cat", root.to_str().unwrap(), "99"]).status.code(), Some(2));

    world.s3.faults().clear();
    sandbox.invoke(Work::default()).await;
    sandbox.shutdown(sandbox::ShutdownReason::Spindown).await;
    world::assert_whole(&world.verdict([&sandbox.ledger()]));
}

#[tokio::test]
async fn damage_in_an_orphan_is_found_and_the_rest_is_shown() {
    let world = World::new().await;
    world.s3.faults().set(Fault::RefuseConnections);
    let sandbox = world.sandbox().start().await.unwrap();
    sandbox.invoke(Work { lines: 30, ..Work::default() }).await;
    sandbox.invoke(Work { lines: 3, ..Work::default() }).await;
    sandbox.kill_extension().await;
    let spool = world.spools().remove(0);
    assert_eq!(on("check", &spool).0, Some(0));

    let segment = spool.join("000000000000.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let (code, report, _) = on("check", &spool);
    assert_eq!(code, Some(1));
    assert!(report.contains("orphan") && report.contains("DAMAGED") && report.contains("are damaged"), "{report}");
    let (code, lines, err) = on("cat", &spool);
    assert_eq!(code, Some(1));
    assert!(!lines.is_empty() && err.contains("are damaged"), "{err}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "nothing was repaired");
}
