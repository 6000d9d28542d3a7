//! A panic must not end the process (that would be `Extension.Crash` for the function), and must not go unnoticed.
//!
//! Each part has an edge where its panics are caught: a telemetry body in `intake`, an upload in `upload::uploader`, a decision in
//! `lifecycle`, the manifest and what an adoption reads on threads of their own, a task of tokio here.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

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

/// Runs a part for each thing that comes, one after the other, as a task of its own. A panic costs what was in hand, and
/// nothing of what waits.
pub async fn one_by_one<T, F>(mut things: UnboundedReceiver<T>, mut part: impl FnMut(T) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Some(thing) = things.recv().await {
        // The hook has said where it panicked.
        let _ = tokio::spawn(part(thing)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;

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

    #[tokio::test]
    async fn a_part_that_panics_costs_one_thing_and_none_of_those_that_wait() {
        let (sender, things) = mpsc::unbounded_channel();
        (0..4).for_each(|thing| sender.send(thing).expect("the receiver lives"));
        drop(sender);
        let done = Arc::new(Mutex::new(Vec::new()));
        let part = |thing: u32| {
            let done = Arc::clone(&done);
            async move {
                assert!(thing.is_multiple_of(2), "every second one fails");
                done.lock().expect("nobody panics with the lock held").push(thing);
            }
        };
        one_by_one(things, part).await;
        assert_eq!(*done.lock().expect("as above"), [0, 2]);
    }
}
