//! The reference extension: what others are measured against must itself do what an extension has to.

mod scripted;

use std::time::Duration;

use sandbox::{Buffering, Category, Fail, Fate, ReferenceExtension, Sandbox, SandboxBuilder, ShutdownReason, Work};
use scripted::eventually;

const KINDS: [ReferenceExtension; 2] = [ReferenceExtension::Loops, ReferenceExtension::WaitsForRuntimeDone];

fn sandbox(kind: ReferenceExtension) -> SandboxBuilder {
    Sandbox::builder().reference_extension(kind).queue_rule(false)
}

/// How often the extension has asked for an event so far.
fn asked(sandbox: &Sandbox) -> usize {
    sandbox.api_calls().iter().filter(|call| call.path.ends_with("/extension/event/next")).count()
}

#[tokio::test]
async fn it_takes_all_telemetry_and_ends_well() {
    for kind in KINDS {
        let sandbox = sandbox(kind).start().await.expect("Init succeeds");
        for lines in [0, 5, 2_000] {
            let invocation = sandbox.invoke(Work { lines, ..Work::default() }).await;
            assert!(invocation.result.is_ok(), "{kind:?}: {invocation:?}");
        }
        sandbox.until_frozen().await;
        let ledger = sandbox.ledger();
        assert_eq!(ledger.of_kind("function").filter(|entry| entry.fate == Fate::Acknowledged).count(), 2_005);
        let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
        assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0), "{kind:?}: {shutdown:?}");
        assert_eq!(sandbox.extension_output(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn it_asks_for_what_a_log_extension_asks_for() {
    for kind in KINDS {
        let sandbox = sandbox(kind).start().await.expect("Init succeeds");
        let subscriptions = sandbox.subscriptions();
        let [subscription] = &subscriptions[..] else { panic!("{subscriptions:?}") };
        assert_eq!(subscription.categories, [Category::Platform, Category::Function]);
        let buffering = Buffering { items_max: 10_000, bytes_max: 1 << 20, timeout: Duration::from_millis(25) };
        assert_eq!(subscription.buffering, buffering);
    }
}

#[tokio::test]
async fn the_looping_one_asks_for_the_next_event_while_the_function_runs() {
    let builder = sandbox(ReferenceExtension::Loops).function_timeout(Duration::from_secs(10));
    let sandbox = builder.start().await.expect("Init succeeds");
    let endless = sandbox.invoke_start(Work { fail: Some(Fail::Timeout), ..Work::default() });
    tokio::select! {
        () = eventually(|| asked(&sandbox) == 2) => {}
        invocation = endless.finished() => panic!("it did not ask: {invocation:?}"),
    }
    assert_eq!(sandbox.ledger().of_kind("platform.runtimeDone").count(), 0);
}

#[tokio::test]
async fn the_waiting_one_asks_for_the_next_event_when_it_was_told_that_the_function_has_finished() {
    let sandbox = sandbox(ReferenceExtension::WaitsForRuntimeDone).start().await.expect("Init succeeds");
    for sleep_ms in [0, 100, 0, 100] {
        let invocation = sandbox.invoke(Work { sleep_ms, ..Work::default() }).await;
        assert!(!invocation.extension_held.is_zero(), "{invocation:?}");
        let told = |ledger: &sandbox::Ledger| {
            let mut ends = ledger.of_kind("platform.runtimeDone");
            ends.any(|entry| {
                entry.event.record.get().contains(&invocation.request_id) && entry.fate == Fate::Acknowledged
            })
        };
        sandbox.until(told).await;
    }
}
