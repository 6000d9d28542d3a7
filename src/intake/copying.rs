//! A process that is copied while it waits: SnapStart takes a snapshot of memory and disk some time between the first `next` and
//! the first INVOKE, restores it any number of times, and tells an extension nothing of it (AWS Lambda
//! Developer Guide, "Improving startup performance with Lambda SnapStart").
//!
//! Whatever is stored before the snapshot, every copy has; whatever is stored after it, one copy has. When it is taken nobody
//! knows, so no two bodies of that time share a spool: each begins one, whose id is drawn at the append, and ends it. A spool that
//! is begun and ended before the snapshot is the same in all copies, and shipped once in effect; one that is begun after it belongs
//! to one copy alone.

use spool::{SealReason, Spool};

use super::remedy::begin_anew;
use super::{Intake, State, seal};

/// So many bodies are stored alone. Init leaves one or two, a restore some more; a function that logs on and on in between must
/// not make a directory of each.
const ALONE_MAX: u32 = 32;
/// A snapshot is some seconds old when it is restored, so a body that comes this soon behind the one before belongs to the same
/// time. Counted only when there were too many to keep apart.
const TOGETHER_MS: u64 = 1_000;
/// Stands in the events that tell of a restore (`platform.restoreStart`, `restoreRuntimeDone`, `restoreReport`).
const RESTORE: &[u8] = b"\"platform.restore";

/// Keeps what is stored apart, as long as the process may be copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Apart {
    bodies: u32,
    last_ms: i64,
}

impl Apart {
    /// Whether a body needs a spool that did not exist before.
    fn parts(&mut self, body: &[u8], now_ms: i64) -> bool {
        let is_soon = now_ms.abs_diff(self.last_ms) <= TOGETHER_MS;
        let may_share = self.bodies >= ALONE_MAX && is_soon && memchr::memmem::find(body, RESTORE).is_none();
        self.bodies = self.bodies.saturating_add(1);
        self.last_ms = now_ms;
        !may_share
    }

    /// Whether what was stored is ended at once.
    fn ends(&self) -> bool {
        self.bodies <= ALONE_MAX
    }
}

impl Intake {
    /// From now on the process may be copied: ends the spool of Init, and keeps apart what comes.
    pub fn may_be_copied(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            self.end_alone(state, spool, now_ms);
            state.apart = Some(Apart::default());
        });
    }

    /// The process is one of a kind again.
    pub fn is_not_copied_any_more(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            if state.apart.take().is_some() {
                step_aside(state, spool, now_ms);
            }
        });
    }

    pub(super) fn before_body(&self, state: &mut State, spool: &mut Spool, body: &[u8], now_ms: i64) {
        if state.apart.as_mut().is_some_and(|apart| apart.parts(body, now_ms)) {
            step_aside(state, spool, now_ms);
        }
    }

    pub(super) fn after_body(&self, state: &mut State, spool: &mut Spool, now_ms: i64) {
        if state.apart.is_some_and(|apart| apart.ends()) {
            self.end_alone(state, spool, now_ms);
        }
    }

    fn end_alone(&self, state: &mut State, spool: &mut Spool, now_ms: i64) {
        self.write_end(state, spool, &[], now_ms);
        seal(&mut state.unsealed, spool, SealReason::Snapshot, now_ms);
    }
}

/// Goes on to a spool that no copy has. Without a place for one the old one must do.
fn step_aside(state: &mut State, spool: &mut Spool, now_ms: i64) {
    let left = spool.id();
    match begin_anew(state, spool, now_ms) {
        Ok(()) => {
            crate::debug!("spool={left} next={} The spool was left, since there may be copies of it.", spool.id())
        }
        Err(error) => crate::error!("spool={left} error={:?} There is no place for logs.", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use spool::{Compression, SpoolConfig, SpoolEvent, SpoolId, SpoolLimits};

    use super::super::{EarlierLife, Outputs, Rules};
    use super::*;
    use crate::identity;
    use crate::lifecycle::machine::seal_policy::SealPolicy;
    use crate::runtime_api::event::StreamTypes;
    use crate::telemetry::listener::Body;
    use crate::upload::object_key::ObjectKeys;
    use crate::upload::outgoing::{LINE_FORMAT_JSON, labeler};

    const NOW: i64 = 1_790_000_000_000;

    fn store(intake: &Intake) -> SpoolId {
        let event = br#"[{"time":"2026-01-10T10:00:03.004Z","type":"function","record":"a line"}]"#;
        intake.store(&Body { bytes: event.to_vec(), cut_bytes: 0, sequence_id: None }, NOW);
        intake.spool_id()
    }

    #[test]
    fn what_init_has_stored_is_ended_and_sealed_before_anything_can_be_copied() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let config = SpoolConfig {
            root: directory.path().to_owned(),
            compression: Compression::default(),
            line_format: LINE_FORMAT_JSON,
            label: labeler(ObjectKeys::for_function("f")),
            limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
        };
        let spool = Spool::create(config, identity::fresh(NOW), NOW).expect("a directory");
        let (sealed, left) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let outputs = Outputs {
            events: Arc::new({
                let sealed = Arc::clone(&sealed);
                move |event| sealed.lock().expect("sound").push(event)
            }),
            orphans: Arc::new({
                let left = Arc::clone(&left);
                move |orphan| left.lock().expect("sound").push(orphan)
            }),
            observed: Arc::new(|_| {}),
        };
        let types = StreamTypes { platform: true, function: true, extension: false };
        let seal = SealPolicy { invocations: None, age: Duration::from_secs(60), size_bytes: 1 << 22 };
        let intake = Intake::new(Arc::new(Mutex::new(spool)), Rules::new(types, seal), EarlierLife::default(), outputs);
        let ended = || {
            let sealed = sealed.lock().expect("sound");
            let ends = sealed.iter().map(|event| match event {
                SpoolEvent::Sealed(segment) => (segment.facts().reason, segment.facts().mark),
                other => panic!("{other:?}"),
            });
            ends.collect::<Vec<_>>()
        };

        let of_init = [store(&intake), store(&intake)];
        assert_eq!((of_init[0], ended()), (of_init[1], vec![]), "Init has one spool");
        intake.may_be_copied(NOW);
        assert_eq!(ended(), [(SealReason::Snapshot, spool::Mark::End)]);
        let apart = [store(&intake), store(&intake)];
        assert_eq!(ended(), [(SealReason::Snapshot, spool::Mark::End); 3]);
        intake.is_not_copied_any_more(NOW);
        let one_of_a_kind = [store(&intake), store(&intake)];
        assert_eq!(one_of_a_kind[0], one_of_a_kind[1]);
        assert_eq!(ended().len(), 3, "it goes on as ever");
        let mut spools = [of_init[0], apart[0], apart[1], one_of_a_kind[0]];
        spools.sort_unstable();
        assert!(spools.windows(2).all(|two| two[0] != two[1]), "{spools:?}");
        assert_eq!(left.lock().expect("sound").len(), 3, "those before are left to adoption");
    }

    #[test]
    fn each_body_has_a_spool_of_its_own_until_there_are_too_many() {
        let mut apart = Apart::default();
        for body in 0..ALONE_MAX {
            assert!(apart.parts(b"[]", NOW) && apart.ends(), "{body}");
        }
        assert!(!apart.parts(b"[]", NOW) && !apart.ends(), "in quick succession they share one");
        for (body, later_ms, parts) in [
            (b"[]".as_slice(), 1_000, false),
            (b"[]", 1_001, true),
            (b"[]", -1_001, true),
            (br#"[{"time":"t","type":"platform.restoreStart","record":{}}]"#, 0, true),
            (b"[]", 0, false),
        ] {
            assert_eq!(apart.parts(body, apart.last_ms + later_ms), parts, "{later_ms}");
        }
    }
}
