//! From a telemetry body to an entry of the spool. The only writer of the spool.
//!
//! Whatever a body holds, it leaves lines, or an entry that remembers it; what cannot be stored is counted and told by a
//! line as soon as something can be stored again.

mod attribution;
mod encode;
mod line;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

pub use attribution::Attribution;
use attribution::Attributor;
pub use encode::Observed;
use encode::{Context, Encoded, encode, in_force};
pub use line::end as end_line;
use spool::{AppendError, Batch, Meta, Orphan, SealReason, SealedSegment, Seqno, Spool, SpoolId};
use tokio::sync::mpsc::UnboundedSender;
use xxhash_rust::xxh3::xxh3_64;

use crate::deadline::now_ms;
use crate::identity;
use crate::lifecycle::seal_policy::SealPolicy;
use crate::runtime_api::event::StreamTypes;
use crate::telemetry::event::format_time;
use crate::telemetry::listener::{Body, HandleBody};

/// The spool, shared between the one that writes it and the one that removes what is delivered.
pub type SharedSpool = Arc<Mutex<Spool>>;

/// What intake hands on. Each is small, and there are a few an invocation.
#[derive(Clone)]
pub struct Outputs {
    /// Takes sealed segments, to be uploaded. Called without a lock held, and done when it returns: whoever asks the
    /// uploader afterwards finds the segment there.
    pub sealed: Arc<dyn Fn(SealedSegment) + Send + Sync>,
    /// A spool that was rolled away from, to be adopted.
    pub orphans: Arc<dyn Fn(Orphan) + Send + Sync>,
    /// What the telemetry told.
    pub observed: UnboundedSender<Observed>,
}

/// Totals of this life, for the summary line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Bodies that were stored.
    pub bodies: u64,
    /// Records that were stored.
    pub records: u64,
    /// Bytes of their lines before compression.
    pub raw_bytes: u64,
    /// Bodies that could not be stored.
    pub refused_bodies: u64,
}

/// The writer of the spool.
pub struct Intake {
    spool: SharedSpool,
    types: StreamTypes,
    seal: SealPolicy,
    outputs: Outputs,
    state: Mutex<State>,
}

struct State {
    attributor: Attributor,
    /// Reused from body to body.
    lines: Vec<u8>,
    /// Sealed while the locks are held; handed on when they are free.
    sealed: Vec<SealedSegment>,
    totals: Totals,
    /// What could not be stored and has not been told by a line yet: bodies, bytes.
    untold: (u64, u64),
}

impl Intake {
    /// An intake that goes on where an earlier life ended.
    pub fn new(
        spool: SharedSpool,
        types: StreamTypes,
        seal: SealPolicy,
        in_force: Attribution,
        outputs: Outputs,
    ) -> Self {
        let state = State {
            attributor: Attributor::new(in_force),
            lines: Vec::new(),
            sealed: Vec::new(),
            totals: Totals::default(),
            untold: (0, 0),
        };
        Self { spool, types, seal, outputs, state: Mutex::new(state) }
    }

    /// Totals of this life.
    pub fn totals(&self) -> Totals {
        lock(&self.state).totals
    }

    /// Makes a body durable.
    pub fn store(&self, body: &Body, now_ms: i64) {
        self.with_spool(|state, spool| match self.append(state, spool, body, now_ms) {
            Ok(encoded) => self.stored(state, spool, encoded),
            Err(error) => {
                state.untold.0 += 1;
                state.untold.1 += body.bytes.len() as u64;
                state.totals.refused_bodies += 1;
                let bytes = body.bytes.len();
                crate::error!("bytes={bytes} error={:?} A telemetry body could not be stored.", error.to_string());
            }
        });
    }

    /// Does something with both locks held, always taken in this order, and hands on what came of it without them.
    fn with_spool<R>(&self, work: impl FnOnce(&mut State, &mut Spool) -> R) -> R {
        let (result, sealed) = {
            let mut state = lock(&self.state);
            let result = work(&mut state, &mut lock(&self.spool));
            (result, std::mem::take(&mut state.sealed))
        };
        for segment in sealed {
            (self.outputs.sealed)(segment);
        }
        result
    }

    /// Appends, and rolls once if the spool cannot be written: a new directory may lie on sound blocks.
    fn append(&self, state: &mut State, spool: &mut Spool, body: &Body, now_ms: i64) -> Result<Encoded, AppendError> {
        match self.append_once(state, spool, body, now_ms) {
            Err(AppendError::Write(error) | AppendError::Stuck(error)) => {
                let left = spool.id();
                let orphan = spool.roll(identity::fresh(now_ms), now_ms).map_err(|_| AppendError::Write(error))?;
                let next = spool.id();
                crate::warn!("spool={left} next={next} The spool could not be written; a new one was begun.");
                (self.outputs.orphans)(orphan);
                self.append_once(state, spool, body, now_ms)
            }
            result => result,
        }
    }

    fn append_once(
        &self,
        state: &mut State,
        spool: &mut Spool,
        body: &Body,
        now_ms: i64,
    ) -> Result<Encoded, AppendError> {
        let State { attributor, lines, untold, sealed, .. } = state;
        lines.clear();
        let (first_seq, told) = tell_refused(lines, *untold, spool.next_seq(), attributor, now_ms);
        let context = Context { types: self.types, attributor, first_seq, now_ms };
        let mut encoded = encode(context, &body.bytes, body.cut_bytes, lines);
        let meta = Meta { request_id: in_force(&encoded.attributor), tenant: encoded.tenant.take(), ..Meta::default() };
        let batch = Batch {
            lines,
            records: encoded.records + told,
            first_line_ms: encoded.first_line_ms.filter(|_| told == 0),
            body_bytes: u32::try_from(body.bytes.len()).unwrap_or(u32::MAX),
            body_hash: xxh3_64(&body.bytes),
            meta: &meta,
            end: false,
        };
        if let Some(reason) = self.seal.before_append(&spool.active(), batch.time_ms(now_ms)) {
            sealed.extend(seal(spool, reason, now_ms));
        }
        spool.append(&batch, now_ms)?;
        *untold = (0, 0);
        Ok(encoded)
    }

    fn stored(&self, state: &mut State, spool: &mut Spool, encoded: Encoded) {
        state.totals.bodies += 1;
        state.totals.records += u64::from(encoded.records);
        state.totals.raw_bytes += state.lines.len() as u64;
        state.attributor = encoded.attributor;
        let (records, bytes) = encoded.platform_drops;
        if (records, bytes) != (0, 0) {
            crate::error!("records={records} bytes={bytes} The platform dropped telemetry before it reached us.");
            if let Err(error) = spool.count_platform_drops(records, bytes) {
                crate::warn!("error={error:?} The platform's drops are counted in memory only.");
            }
        }
        for observed in encoded.observed.into_iter().chain([Observed::Stored]) {
            // Without a receiver the process is ending.
            let _ = self.outputs.observed.send(observed);
        }
    }

    /// Seals the active segment if one of the rules says so.
    pub fn seal_if_due(&self, invocations: u32, now_ms: i64) -> Option<SealReason> {
        self.with_spool(|state, spool| {
            let reason = self.seal.due(&spool.active(), invocations, now_ms)?;
            state.sealed.push(seal(spool, reason, now_ms)?);
            Some(reason)
        })
    }

    /// Seals the active segment whatever the rules say. Returns whether it held a record.
    pub fn seal(&self, reason: SealReason, now_ms: i64) -> bool {
        self.with_spool(|state, spool| {
            let segment = seal(spool, reason, now_ms);
            let sealed = segment.is_some();
            state.sealed.extend(segment);
            sealed
        })
    }

    /// Writes the end of the stream, unless the spool has given no number.
    pub fn end(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            let seq = spool.next_seq();
            if seq == Seqno(0) {
                return;
            }
            state.lines.clear();
            line::end(&mut state.lines, seq.0, &spool.losses());
            let meta = Meta { request_id: in_force(&state.attributor), ..Meta::default() };
            let batch = Batch {
                lines: &state.lines,
                records: 1,
                first_line_ms: None,
                body_bytes: 0,
                body_hash: 0,
                meta: &meta,
                end: true,
            };
            if let Err(error) = spool.append(&batch, now_ms) {
                let error = error.to_string();
                crate::warn!("error={error:?} The end of the stream could not be written; an adopter will write it.");
            }
        });
    }

    /// The id of the spool that is written to.
    pub fn spool_id(&self) -> SpoolId {
        lock(&self.spool).id()
    }
}

impl HandleBody for Intake {
    /// A panic in here must not cost the body: its bytes are stored as they are.
    fn handle(&self, body: Body) {
        if catch_unwind(AssertUnwindSafe(|| self.store(&body, now_ms()))).is_ok() {
            return;
        }
        crate::warn!("bytes={} A telemetry body made us panic; it is stored as it came.", body.bytes.len());
        let verbatim = verbatim(&body);
        if catch_unwind(AssertUnwindSafe(|| self.store(&verbatim, now_ms()))).is_err() {
            crate::error!("bytes={} A telemetry body was lost.", body.bytes.len());
        }
    }
}

/// Seals the active segment. `None` if it holds no record, or if the next one could not be made: then it grows on.
fn seal(spool: &mut Spool, reason: SealReason, now_ms: i64) -> Option<SealedSegment> {
    let sealed = spool.seal(reason, now_ms);
    let segment = sealed.unwrap_or_else(|error| {
        crate::warn!("error={:?} The segment could not be sealed; it grows on.", error.to_string());
        None
    })?;
    let spool::SegmentFacts { segment: id, first, last, raw_bytes, object_bytes, .. } = segment.facts();
    let reason = reason.name();
    crate::info!(
        "segment={id} reason={reason} first={first} last={last} raw_bytes={raw_bytes} bytes={object_bytes} A segment was sealed."
    );
    Some(segment)
}

/// A body that holds another one as the message of a single event.
fn verbatim(body: &Body) -> Body {
    let event = serde_json::json!([{
        "time": format_time(now_ms()),
        "type": line::UNPARSED,
        "record": String::from_utf8_lossy(&body.bytes),
    }]);
    Body { bytes: event.to_string().into_bytes(), cut_bytes: body.cut_bytes }
}

/// Writes the line that tells of bodies that could not be stored, and returns the number behind it.
fn tell_refused(
    lines: &mut Vec<u8>,
    untold: (u64, u64),
    next_seq: Seqno,
    attributor: &Attributor,
    now_ms: i64,
) -> (Seqno, u32) {
    if untold == (0, 0) {
        return (next_seq, 0);
    }
    line::refused(lines, untold.0, untold.1, next_seq.0, attributor.in_force(), now_ms);
    (next_seq.plus(1), 1)
}

/// A panic while the lock was held is caught and reported where it happened; the spool keeps its own invariants.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
