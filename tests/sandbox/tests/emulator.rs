//! The sandbox as a local emulator, told by an extension that calls the platform over plain sockets.

mod scripted;

use sandbox::{Sandbox, ShutdownReason, WithoutTelemetry, Work};
use scripted::Script;

fn calls_of_next(sandbox: &Sandbox) -> usize {
    sandbox.api_calls().iter().filter(|call| call.path.ends_with("/extension/event/next")).count()
}

#[tokio::test]
async fn an_emulator_holds_the_response_until_the_extension_is_done_and_lambda_does_not() {
    for is_emulator in [false, true] {
        let script = Script { hold_next_ms: 1_000, ..Script::default() };
        let (builder, _directory) = scripted::sandbox(&script);
        let builder = if is_emulator { builder.emulator(WithoutTelemetry::Accepted) } else { builder };
        let sandbox = builder.start().await.expect("Init succeeds");
        let before = calls_of_next(&sandbox);
        let mut invocation = sandbox.invoke_start(Work::default());
        assert!(invocation.response().await.is_ok());
        let is_done = calls_of_next(&sandbox) > before;
        assert_eq!(is_done, is_emulator, "the extension has called `next` again when the caller has its response");
        assert!(invocation.finished().await.result.is_ok());
        sandbox.shutdown(ShutdownReason::Spindown).await;
    }
}
