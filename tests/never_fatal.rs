//! P5: whatever is wrong, the function works, and one line says what it is.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod between;
#[path = "never_fatal/causes.rs"]
mod causes;
#[path = "never_fatal/matrix.rs"]
mod matrix;
#[path = "never_fatal/modes.rs"]
mod modes;
#[path = "../spool/tests/own_namespace/mod.rs"]
mod own_namespace;
mod world;

use matrix::Cell;
use sandbox::s3::Fault;
use world::{World, the_line, undisturbed};

#[test]
fn whatever_is_wrong_in_whatever_mode_the_function_works_and_one_line_says_it() {
    let table = matrix::run();
    matrix::print(&table);
    let failed = table.values().filter(|cell| matches!(cell, Cell::Failed(_))).count();
    assert_eq!(failed, 0, "cells of {}", table.len());
}

#[tokio::test]
async fn a_missing_destination_is_said_in_one_line() {
    let world = World::new().await;
    let sandbox = world.sandbox().extension_env("LOGSPOOL_DESTINATION", "").start().await.unwrap();
    undisturbed(&sandbox).await;
    the_line(&sandbox, "No usable LOGSPOOL_DESTINATION");
    assert_eq!(sandbox.extension_output().len(), 1);
    assert!(sandbox.subscriptions().is_empty(), "nothing is collected that could not be delivered");
}

#[tokio::test]
async fn a_wrong_bucket_is_said_in_one_line_and_costs_no_log() {
    let world = World::new().await;
    let sandbox = world.sandbox().extension_env("LOGSPOOL_DESTINATION", "s3://no-such-bucket/x").start().await.unwrap();
    undisturbed(&sandbox).await;
    let line = the_line(&sandbox, "Uploads need a person");
    assert!(line.contains("s3://no-such-bucket/x") && line.contains("NoSuchBucket"), "{line}");
    assert!(!world.spools().is_empty(), "the logs wait in the spool");

    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    world::assert_whole(&world.verdict(&ledgers));
}

#[tokio::test]
async fn bad_settings_are_said_in_one_line_and_fall_back() {
    let world = World::new().await;
    let sandbox = world
        .sandbox()
        .extension_env("LOGSPOOL_SEAL_AGE", "soon")
        .extension_env("LOGSPOOL_COMPRESSION", "brotli")
        .extension_env("LOGSPOOL_SEAL_AGES", "5s")
        .start()
        .await
        .unwrap();
    undisturbed(&sandbox).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let line = the_line(&sandbox, "Bad settings");
    for part in ["LOGSPOOL_SEAL_AGE=\"soon\"", "using 60s", "LOGSPOOL_COMPRESSION=\"brotli\"", "LOGSPOOL_SEAL_AGES"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    world::assert_whole(&world.verdict(&ledgers));
}

#[tokio::test]
async fn strict_turns_bad_settings_into_a_failed_init() {
    let world = World::new().await;
    let started = world
        .sandbox()
        .extension_env("LOGSPOOL_SEAL_AGE", "soon")
        .extension_env("LOGSPOOL_STRICT", "true")
        .start()
        .await;
    let error = format!("{:?}", started.err());
    assert!(error.contains("Extension.ConfigInvalid"), "{error}");
}

#[tokio::test]
async fn switched_off_it_stands_aside() {
    let world = World::new().await;
    let sandbox = world.sandbox().extension_env("LOGSPOOL_ENABLED", "false").start().await.unwrap();
    undisturbed(&sandbox).await;
    assert_eq!(sandbox.extension_output(), Vec::<String>::new());
    assert!(world.objects().is_empty());
}

#[tokio::test]
async fn a_spool_directory_that_cannot_be_made_is_said_in_one_line() {
    let world = World::new().await;
    std::fs::write(world.spool_root(), b"a file in its place").unwrap();
    let sandbox = world.sandbox().start().await.unwrap();
    undisturbed(&sandbox).await;
    the_line(&sandbox, "There is no place for the spool");
}

#[tokio::test]
async fn an_environment_without_telemetry_is_said_in_one_line() {
    let world = World::new().await;
    let sandbox =
        world.sandbox().telemetry_unsupported(true).extension_env("LOGSPOOL_LOG", "debug").start().await.unwrap();
    undisturbed(&sandbox).await;
    the_line(&sandbox, "There is no Telemetry API here");
    // Nobody tells when an invocation has ended, so none is waited for until its timeout.
    let plans: Vec<_> = sandbox.extension_output().into_iter().filter(|line| line.contains("plan=")).collect();
    assert!(plans.len() == 3 && plans.iter().all(|plan| plan.contains("plan=NextAtOnce")), "{plans:?}");
}

#[tokio::test]
async fn wrong_credentials_and_a_hanging_store_do_not_disturb_the_function() {
    let world = World::new().await;
    let sandbox = world.sandbox().extension_env("AWS_SECRET_ACCESS_KEY", "wrong").start().await.unwrap();
    undisturbed(&sandbox).await;
    the_line(&sandbox, "SignatureDoesNotMatch");

    world.s3.faults().set(Fault::Hang);
    let hanging = world.sandbox().extension_env("LOGSPOOL_DRAIN_BUDGET", "200ms").start().await.unwrap();
    undisturbed(&hanging).await;

    world.s3.faults().clear();
    let mut ledgers = vec![sandbox.ledger(), hanging.ledger()];
    ledgers.extend(world.heal().await);
    world::assert_whole(&world.verdict(&ledgers));
}
