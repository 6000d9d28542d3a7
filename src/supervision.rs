//! A panic must not end the process (that would be `Extension.Crash` for the function), and must not go unnoticed.
//!
//! Each part has an edge where its panics are caught: a telemetry body in `intake`, an upload in `upload::uploader`, a decision in
//! `lifecycle`, adoption and the manifest on threads of their own, a task of tokio here.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static PANICS: AtomicU64 = AtomicU64::new(0);
/// A part that panics again and again must not take the function's CPU.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Counts panics and says in one line where they were.
pub fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        crate::warn!("A part of the extension panicked: {panic}");
    }));
}

/// Panics since the process began.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Runs a part as a task of its own for as long as it takes, and begins it anew when it panics.
pub async fn supervised<F>(mut part: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = PAUSE_MIN;
    while let Err(ended) = tokio::spawn(part()).await {
        if ended.is_cancelled() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_begun_anew_until_it_is_done() {
        let begun = Arc::new(AtomicU32::new(0));
        let part = || {
            let begun = Arc::clone(&begun);
            async move { assert_eq!(begun.fetch_add(1, Ordering::Relaxed), 2, "the first two fail") }
        };
        supervised(part).await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
