//! Where everything is measured: sandboxes over the world of the tests, and invocations one by one.

use std::time::Duration;

use sandbox::{Outcome, ReferenceExtension, Sandbox, SandboxBuilder, Work};

use crate::world::World;

/// A lost event is waited for until here; nothing that is measured comes near it.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);

/// What an invocation was like.
pub struct Seen {
    pub request_id: String,
    /// From the function's `next` to ours; zero if ours came first.
    pub held: Duration,
}

impl Seen {
    /// Whether the environment waited for us.
    pub fn we_were_last(&self) -> bool {
        !self.held.is_zero()
    }
}

/// Our extension with these settings; where they say nothing about them, its own limits are those of its users.
pub async fn ours(world: &World, settings: &[(&str, &str)]) -> Sandbox {
    let defaults = [("DRAIN_BUDGET", "2s"), ("REQUEST_TIMEOUT", "5s"), ("RETRY_BASE", "100ms"), ("RETRY_MAX", "20s")];
    let set = |builder: SandboxBuilder, (name, value): &(&str, &str)| {
        builder.extension_env(format!("LOGSPOOL_{name}"), *value)
    };
    let builder = defaults.iter().chain(settings).fold(world.sandbox(), set);
    start(builder).await
}

/// The extension that ours is measured beside.
pub async fn reference(kind: ReferenceExtension) -> Sandbox {
    start(Sandbox::builder().reference_extension(kind).queue_rule(false)).await
}

async fn start(builder: SandboxBuilder) -> Sandbox {
    builder.function_timeout(FUNCTION_TIMEOUT).start().await.expect("the environment starts")
}

/// Runs an invocation to its end.
pub async fn invoke(sandbox: &Sandbox, work: Work) -> Seen {
    let invocation = sandbox.invoke(work).await;
    assert_eq!(invocation.outcome, Outcome::Success, "{invocation:?}");
    Seen { request_id: invocation.request_id, held: invocation.extension_held }
}

/// The same, and waits until the environment is frozen.
pub async fn invoke_and_freeze(sandbox: &Sandbox, work: Work) -> Seen {
    let seen = invoke(sandbox, work).await;
    sandbox.until_frozen().await;
    seen
}

/// What is going on, for who watches.
pub fn progress(what: &str, done: usize, of: usize) {
    if done > 0 && (done == of || done.is_multiple_of((of / 4).max(1))) {
        eprintln!("{what}: {done} of {of} invocations");
    }
}
