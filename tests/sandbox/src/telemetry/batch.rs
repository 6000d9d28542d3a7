//! When a batch is due: the buffering rule of the Telemetry API as a value, with time passed in.
//!
//! A batch is full when it holds `maxItems` events or at least `maxBytes` bytes *after* an event was added, so a body
//! can be one event larger than `maxBytes`. It is late `timeoutMs` after its first event. AWS's emulator does the same.

use std::time::Duration;

/// Buffering settings of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffering {
    /// Most events in one batch (`maxItems`).
    pub items_max: usize,
    /// Bytes of events that fill a batch (`maxBytes`).
    pub bytes_max: usize,
    /// Longest wait of a batch's first event (`timeoutMs`).
    pub timeout: Duration,
}

/// Events that leave together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) events: Vec<usize>,
    pub(crate) bytes: usize,
}

/// Collects events into batches. Times are [`super::awake::AwakeClock`] times.
#[derive(Debug)]
pub(crate) struct Batcher {
    buffering: Buffering,
    open: Batch,
    late_at: Option<Duration>,
}

impl Batcher {
    pub(crate) fn new(buffering: Buffering) -> Self {
        Self { buffering, open: Batch::default(), late_at: None }
    }

    pub(crate) fn push(&mut self, event: usize, bytes: usize, now: Duration) {
        self.late_at.get_or_insert(now + self.buffering.timeout);
        self.open.events.push(event);
        self.open.bytes += bytes;
    }

    /// When the open batch has to leave, if it is not full before; `None` while it is empty.
    pub(crate) fn late_at(&self) -> Option<Duration> {
        self.late_at
    }

    /// Takes the open batch if it is full or late.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<Batch> {
        let full = self.open.events.len() >= self.buffering.items_max || self.open.bytes >= self.buffering.bytes_max;
        let late = self.late_at.is_some_and(|late_at| late_at <= now);
        if full || late { self.take() } else { None }
    }

    /// Makes the open batch late now.
    pub(crate) fn expire(&mut self, now: Duration) {
        self.late_at = self.late_at.map(|late_at| late_at.min(now));
    }

    /// Takes the open batch whatever its size; `None` if it is empty.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        self.late_at = None;
        let batch = std::mem::take(&mut self.open);
        (!batch.events.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFERING: Buffering = Buffering { items_max: 3, bytes_max: 100, timeout: Duration::from_millis(25) };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_empty_batch_is_never_due() {
        let mut batcher = Batcher::new(BUFFERING);
        assert_eq!(batcher.late_at(), None);
        assert_eq!(batcher.take_due(ms(1_000_000)), None);
        assert_eq!(batcher.take(), None);
    }

    #[test]
    fn a_batch_is_due_when_it_has_the_most_items() {
        let mut batcher = Batcher::new(BUFFERING);
        batcher.push(0, 1, ms(0));
        batcher.push(1, 1, ms(0));
        assert_eq!(batcher.take_due(ms(0)), None);
        batcher.push(2, 1, ms(0));
        assert_eq!(batcher.take_due(ms(0)), Some(Batch { events: vec![0, 1, 2], bytes: 3 }));
    }

    #[test]
    fn a_batch_takes_the_event_that_fills_it_and_may_so_exceed_the_most_bytes() {
        let mut batcher = Batcher::new(BUFFERING);
        batcher.push(0, 99, ms(0));
        assert_eq!(batcher.take_due(ms(0)), None);
        batcher.push(1, 500, ms(0));
        assert_eq!(batcher.take_due(ms(0)), Some(Batch { events: vec![0, 1], bytes: 599 }));
    }

    #[test]
    fn the_timeout_runs_from_the_first_event_of_the_batch() {
        let mut batcher = Batcher::new(BUFFERING);
        batcher.push(0, 1, ms(10));
        batcher.push(1, 1, ms(30));
        assert_eq!(batcher.late_at(), Some(ms(35)));
        assert_eq!(batcher.take_due(ms(34)), None);
        assert!(batcher.take_due(ms(35)).is_some());

        batcher.push(2, 1, ms(100));
        assert_eq!(batcher.late_at(), Some(ms(125)));
    }
}
