//! The wish to stop: Ctrl-C, a closed terminal, a polite kill.
//!
//! Processes of the sandbox are in groups of their own and may be frozen, so no signal of the terminal ends them: who
//! waits here drops the sandbox, and it kills them.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns when the demo is asked to stop.
pub async fn asked() {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, terminate, hangup] = kinds.map(signal);
    tokio::select! {
        () = received(interrupt) => {}
        () = received(terminate) => {}
        () = received(hangup) => {}
    }
}

/// A signal that cannot be listened to keeps its usual effect.
async fn received(signal: std::io::Result<Signal>) {
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
