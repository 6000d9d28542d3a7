//! From SHUTDOWN to the end: by the platform's deadline, whatever the store does.

use spool::SealReason;

use super::event::Action;
use super::queue::InFlight;
use super::{Machine, Phase};
use crate::deadline::Deadline;

/// Before the end of the stream is written: telemetry that the platform still holds comes within this time.
const SETTLE_MS: i64 = 150;
/// Silence that ends the wait once every invocation has been reported.
const SILENCE_MS: i64 = 25;

impl Machine {
    /// The schedule and the breaker are ignored once for everything that waits. What runs is begun anew: its connection may
    /// have died in the freeze before.
    pub(super) fn shut_down(&mut self, deadline: Deadline) {
        let now_ms = self.time_ms();
        let margin_ms = self.policies.drain.shutdown_margin_ms();
        let deadline_ms = self.clock.deadline_ms(deadline).saturating_sub(margin_ms);
        let flights: Vec<InFlight> = self.queue.in_flight().collect();
        self.queue.begin_last_round();
        for flight in flights {
            self.queue.cancelled(&flight.id);
            self.cancel(Some(flight));
        }
        self.ask(Action::CloseConnections);
        let until_ms = deadline_ms.min(now_ms.saturating_add(SETTLE_MS));
        self.phase = Phase::Settling { began_ms: now_ms, until_ms, deadline_ms };
    }

    /// Nobody is left to wait for, and nobody to be harmed: what is here is closed, and left to the next life.
    pub(super) fn end_at_once(&mut self) {
        self.ask(Action::WriteEnd);
        self.ask(Action::Seal(SealReason::Shutdown));
        self.exit();
    }

    fn exit(&mut self) {
        self.phase = Phase::Ended;
        self.ask(Action::Exit);
    }

    pub(super) fn advance_shutdown(&mut self) {
        if let Phase::Settling { deadline_ms, .. } = self.phase
            && self.time_ms() >= self.settled_ms().unwrap_or(i64::MIN)
        {
            self.phase = Phase::LastRound { deadline_ms };
            self.end_stream();
        }
        let Phase::LastRound { deadline_ms } = self.phase else { return };
        if self.time_ms() >= deadline_ms {
            return self.exit();
        }
        if self.late_body_ms().is_some_and(|at_ms| self.time_ms() >= at_ms) {
            self.end_stream();
        }
        self.cut_what_hangs(deadline_ms);
        self.begin_uploads();
        if self.is_drained() && self.late_body_ms().is_none() {
            self.exit();
        }
    }

    fn end_stream(&mut self) {
        self.ask(Action::WriteEnd);
        self.seal(SealReason::Shutdown);
    }

    /// When the platform has handed over what it still held: every started invocation is reported, and then some silence;
    /// bounded.
    fn settled_ms(&self) -> Option<i64> {
        let Phase::Settling { began_ms, until_ms, .. } = self.phase else { return None };
        let silent_ms = self.last_body_ms.max(began_ms).saturating_add(SILENCE_MS);
        Some(if self.invocations.all_reported() { until_ms.min(silent_ms) } else { until_ms })
    }

    /// When what came after the end of the stream gets a further end.
    fn late_body_ms(&self) -> Option<i64> {
        let is_late = self.active.records > 0 && !self.is_sealing && !self.end_cannot_be_sealed;
        is_late.then(|| self.last_body_ms.saturating_add(SILENCE_MS))
    }

    /// A segment that could not be sealed is left to an adopter.
    pub(super) fn seal_failed(&mut self) {
        self.end_cannot_be_sealed |= matches!(self.phase, Phase::LastRound { .. });
    }

    /// An attempt that had half of the time and no answer is begun anew on a connection of its own, once.
    fn cut_what_hangs(&mut self, deadline_ms: i64) {
        let (now_ms, upload_ms) = (self.time_ms(), self.pace.upload_ms());
        for flight in self.queue.begin_anew(|flight| now_ms >= hangs_from_ms(flight, deadline_ms, upload_ms)) {
            self.cancel(Some(flight));
        }
    }

    pub(super) fn shutdown_alarm_ms(&self) -> Option<i64> {
        let Phase::LastRound { deadline_ms } = self.phase else { return self.settled_ms() };
        let upload_ms = self.pace.upload_ms();
        let hanging = self.queue.may_be_begun_anew().map(|flight| hangs_from_ms(&flight, deadline_ms, upload_ms));
        hanging.chain(self.late_body_ms()).chain([deadline_ms]).min()
    }
}

/// A store that is slow, and known to be, is given more than half of the time.
fn hangs_from_ms(flight: &InFlight, deadline_ms: i64, upload_ms: i64) -> i64 {
    let half_ms = deadline_ms.saturating_sub(flight.began_ms) / 2;
    flight.began_ms.saturating_add(half_ms.max(upload_ms.saturating_mul(2)))
}
