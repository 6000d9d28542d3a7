//! Local emulators, and platforms that are older than this extension: the function works, and what there is not is said in one
//! line.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::process::Stdio;
use std::time::Duration;

use sandbox::s3::Fault;
use sandbox::{Sandbox, SchemaVersion, WithoutTelemetry};
use tokio::io::{AsyncBufReadExt, BufReader};
use world::{World, assert_whole, the_line, undisturbed};

/// The one line that was said.
#[track_caller]
fn only_line(sandbox: &Sandbox, part: &str) -> String {
    assert_eq!(sandbox.extension_output().len(), 1, "{:#?}", sandbox.extension_output());
    the_line(sandbox, part)
}

fn subscriptions_tried(sandbox: &Sandbox) -> usize {
    sandbox.api_calls().iter().filter(|call| call.path.ends_with("/telemetry")).count()
}

#[tokio::test]
async fn in_an_emulator_the_function_works_however_it_writes_its_address_and_one_line_says_that_no_logs_come() {
    for without in [WithoutTelemetry::Accepted, WithoutTelemetry::NotFound] {
        for (before, path) in [("", ""), ("http://", ""), ("HTTP://", "/"), ("http://", "/.rt/"), ("", "/a/b")] {
            let world = World::new().await;
            let sandbox = world.sandbox().emulator(without).runtime_api(before, path).start().await.unwrap();
            undisturbed(&sandbox).await;
            only_line(&sandbox, "There is no Telemetry API here");
            assert_eq!(world.spools().len(), 0, "{before}{path}: a spool that held nothing is gone");
        }
    }
}

/// Nothing but the address: no name, no version, no memory size, no kind of start, no region, no credentials.
#[tokio::test]
async fn variables_that_an_emulator_does_not_set_are_missed_by_nobody() {
    let objects = tempfile::tempdir().unwrap();
    for destination in [format!("file://{}", objects.path().display()), "s3://my-logs/x".to_owned()] {
        let bare = Sandbox::builder().extension(world::extension()).emulator(WithoutTelemetry::Accepted);
        // One that nobody else has: what lies in the machine's own `/tmp` would be adopted.
        let bare = bare.extension_env("LOGSPOOL_DIR", objects.path().join("spool").display().to_string());
        let sandbox = bare.extension_env("LOGSPOOL_DESTINATION", destination).start().await.unwrap();
        undisturbed(&sandbox).await;
        only_line(&sandbox, "There is no Telemetry API here");
    }
}

#[tokio::test]
async fn what_an_earlier_life_has_left_is_delivered_without_telemetry_too() {
    let world = World::new().await;
    world.s3.faults().set(Fault::RefuseConnections);
    let before = world.sandbox().start().await.unwrap();
    undisturbed(&before).await;
    world.s3.faults().clear();
    assert!(!world.spools().is_empty() && world.objects().is_empty());

    let sandbox = world.sandbox().emulator(WithoutTelemetry::Accepted).start().await.unwrap();
    undisturbed(&sandbox).await;
    only_line(&sandbox, "There is no Telemetry API here");
    let mut ledgers = vec![before.ledger(), sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

/// An exit would be a crash, and nobody is there to be asked.
#[tokio::test]
async fn an_address_that_nobody_can_be_called_by_is_said_in_one_line_and_the_process_stays() {
    for (address, why) in [
        ("https://127.0.0.1:9001", "plain HTTP only"),
        ("unix:///run/runtime.sock", "plain HTTP only"),
        ("no address", "host:port is expected"),
        ("127.0.0.1:99999", "host:port is expected"),
        ("/", "host:port is expected"),
    ] {
        let mut process = tokio::process::Command::new(world::extension())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("LOGSPOOL_DESTINATION", "file:///nowhere")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("a line");
        assert!(line.contains(&format!("AWS_LAMBDA_RUNTIME_API={address:?}")) && line.contains(why), "{line}");
        // A pause as part of the story: nothing ends it but whoever has started it.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(process.try_wait().unwrap(), None, "{address}");
        process.kill().await.unwrap();
        assert_eq!(lines.next_line().await.unwrap(), None, "{address}: one line");
    }
}

#[tokio::test]
async fn a_platform_that_knows_older_schemas_only_is_subscribed_to_in_the_newest_of_them_without_a_word() {
    use SchemaVersion::{V2022_07_01, V2022_12_13, V2025_01_29};
    let all = [V2022_07_01, V2022_12_13, V2025_01_29];
    for (newest, tried) in [(1, 3), (2, 2), (3, 1)] {
        let known = &all[..newest];
        let world = World::new().await;
        let sandbox = world.sandbox().known_schemas(known).start().await.unwrap();
        undisturbed(&sandbox).await;
        let chosen: Vec<_> = sandbox.subscriptions().iter().map(|subscription| subscription.schema).collect();
        assert_eq!(chosen, [known[newest - 1]]);
        assert_eq!(subscriptions_tried(&sandbox), tried);
        assert_eq!(sandbox.extension_output(), Vec::<String>::new());
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        assert_whole(&world.verdict(&ledgers));
    }
}

#[tokio::test]
async fn a_platform_that_knows_none_of_the_schemas_is_said_in_one_line() {
    let world = World::new().await;
    let sandbox = world.sandbox().known_schemas(&[]).start().await.unwrap();
    undisturbed(&sandbox).await;
    only_line(&sandbox, "refused the subscription");
    assert_eq!((subscriptions_tried(&sandbox), world.puts()), (3, 0));
}

/// Records of an older schema do not say whom they belong to, and many invocations run at a time.
#[tokio::test]
async fn managed_instances_are_never_asked_for_an_older_schema() {
    for by in ["variable", "refusal"] {
        let world = World::new().await;
        let managed = world
            .sandbox()
            .freeze(false)
            .refuse_invoke(true)
            .initialization_type(if by == "variable" { "lambda-managed-instances" } else { "on-demand" })
            .known_schemas(&[SchemaVersion::V2022_07_01, SchemaVersion::V2022_12_13]);
        let sandbox = managed.clone().start().await.unwrap();
        undisturbed(&sandbox).await;
        let line = only_line(&sandbox, "refused the subscription");
        assert!(line.contains("400"), "{line}");
        assert_eq!(subscriptions_tried(&sandbox), 1, "{by}");

        let sandbox = managed.known_schemas(&[SchemaVersion::V2025_01_29]).start().await.unwrap();
        undisturbed(&sandbox).await;
        assert_eq!(sandbox.extension_output(), Vec::<String>::new(), "{by}");
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        assert_whole(&world.verdict(&ledgers));
    }
}
