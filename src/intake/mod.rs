//! From a telemetry body to an entry of the spool. The only writer of the spool.
//!
//! Whatever a body holds, it leaves lines, or an entry that remembers it; what cannot be stored takes its numbers and is
//! declared lost.

mod attribution;
mod carried;
mod copying;
pub(crate) mod encode;
mod ending;
pub mod filter;
mod half;
mod line;
mod remedy;
mod repetition;
mod spell;
mod stand;
mod storing;
mod summary;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use attribution::Attributor;
pub use attribution::{Attribution, CONCURRENCY_MAX, Concurrency};
use copying::Apart;
pub use encode::Observed;
pub use filter::{Filter, FilterCounts};
use half::Half;
pub use line::{
    Field, FieldFacts, LineSettings, LineStyle, dropped as dropped_line, end as end_line, fragment as fragment_line,
};
use remedy::{begin_on_disk, roll};
use repetition::Repetitions;
use spell::Spell;
use spool::{ActiveFacts, AppendError, BodyId, Orphan, SealReason, Spool, SpoolEvent, SpoolId};
use stand::Parted;
pub use stand::Stand;
use summary::Summaries;
use xxhash_rust::xxh3::xxh3_64;

use crate::deadline::now_ms;
use crate::lifecycle::machine::seal_policy::SealPolicy;
use crate::runtime_api::event::StreamTypes;
use crate::telemetry::event::format_time;
use crate::telemetry::listener::{Body, HandleBody};

/// The spool, shared between the one that writes it and the one that removes what is delivered.
pub type SharedSpool = Arc<Mutex<Spool>>;

/// What intake hands on. Called without a lock held, and done when it returns: whoever asks the uploader afterwards finds
/// the segment there.
#[derive(Clone)]
pub struct Outputs {
    /// Takes what happened to segments, to be uploaded.
    pub events: Arc<dyn Fn(SpoolEvent) + Send + Sync>,
    /// Takes a spool that was rolled away from, to be adopted.
    pub orphans: Arc<dyn Fn(Orphan) + Send + Sync>,
    /// Takes what the telemetry told.
    pub observed: Arc<dyn Fn(Observed) + Send + Sync>,
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
    /// Bodies that were stored before, and not once more.
    pub repeated_bodies: u64,
    /// What was kept out of the bodies that were stored, or masked in them.
    pub filtered: FilterCounts,
}

/// What an earlier life has left for this one to go on with.
#[derive(Debug, Default)]
pub struct EarlierLife {
    /// Whom records belong to until an event tells otherwise.
    pub in_force: Attribution,
    /// Bodies that it stored and may not have answered, newest last.
    pub unanswered: VecDeque<BodyId>,
}

/// What intake goes by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The streams that are shipped.
    pub types: StreamTypes,
    /// How many invocations run at the same time.
    pub concurrency: Concurrency,
    /// What never reaches the disk.
    pub filter: Filter,
    /// Invocations get a line of their own.
    pub sums_up: bool,
    /// How lines are written; the spool has to be made for its format.
    pub style: LineStyle,
    /// When a segment is sealed before an append.
    pub seal: SealPolicy,
}

impl Rules {
    /// All of these streams, as they are, of one invocation at a time.
    pub fn new(types: StreamTypes, seal: SealPolicy) -> Self {
        Self {
            types,
            concurrency: Concurrency::One,
            filter: Filter::default(),
            sums_up: false,
            style: LineStyle::default(),
            seal,
        }
    }
}

/// The writer of the spool.
pub struct Intake {
    spool: SharedSpool,
    types: StreamTypes,
    filter: Filter,
    seal: SealPolicy,
    outputs: Outputs,
    state: Mutex<State>,
}

struct State {
    attributor: Attributor,
    half: Option<Half>,
    /// `None` if the process is not copied.
    apart: Option<Apart>,
    /// `None` if invocations are not summed up.
    summaries: Option<Summaries>,
    repetitions: Repetitions,
    style: LineStyle,
    /// Reused from body to body.
    lines: Vec<u8>,
    /// Spools that were left while the locks were held; handed on when they are free.
    orphans: Vec<Orphan>,
    totals: Totals,
    parted: Parted,
    /// Bodies are refused.
    refusing: Spell,
    /// Segments cannot be sealed.
    unsealed: Spell,
}

impl Intake {
    /// An intake that goes on where an earlier life ended.
    pub fn new(spool: SharedSpool, rules: Rules, earlier: EarlierLife, outputs: Outputs) -> Self {
        let Rules { types, concurrency, filter, sums_up, style, seal } = rules;
        let state = State {
            attributor: match concurrency {
                Concurrency::One => Attributor::new(earlier.in_force),
                Concurrency::Many => Attributor::of_many(),
            },
            half: None,
            apart: None,
            summaries: sums_up.then(|| Summaries::new(types.function)),
            repetitions: Repetitions::new(earlier.unanswered),
            style,
            lines: Vec::new(),
            orphans: Vec::new(),
            totals: Totals::default(),
            parted: Parted::default(),
            refusing: Spell::default(),
            unsealed: Spell::default(),
        };
        Self { spool, types, filter, seal, outputs, state: Mutex::new(state) }
    }

    /// Totals of this life.
    pub fn totals(&self) -> Totals {
        lock(&self.state).totals
    }

    /// Makes a body durable, or puts its loss on record. One that was stored before is left out.
    pub fn store(&self, body: &Body, now_ms: i64) -> BodyId {
        let id = id_of(body);
        self.with_spool(|state, spool| {
            let sequence_id = body.sequence_id.as_deref();
            if state.repetitions.takes(id, sequence_id) {
                state.totals.repeated_bodies += 1;
                crate::debug!("bytes={} A body was offered once more.", id.bytes);
                return;
            }
            self.store_new(state, spool, body, id, now_ms);
            state.repetitions.stored(sequence_id);
        });
        id
    }

    /// Does something with both locks held, always taken in this order, and hands on what came of it without them.
    fn with_spool<R>(&self, work: impl FnOnce(&mut State, &mut Spool) -> R) -> R {
        let (result, events, orphans) = {
            let mut state = lock(&self.state);
            let mut spool = lock(&self.spool);
            let result = work(&mut state, &mut spool);
            (result, spool.take_events(), std::mem::take(&mut state.orphans))
        };
        events.into_iter().for_each(|event| (self.outputs.events)(event));
        orphans.into_iter().for_each(|orphan| (self.outputs.orphans)(orphan));
        result
    }

    /// Looks whether the spool is where it should be: rolls if somebody has cleared its directory, and back to the disk as
    /// soon as there is one.
    pub fn check_place(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            state.orphans.extend(spool.take_cleared());
            if spool.is_volatile() {
                if begin_on_disk(state, spool, now_ms).is_ok() {
                    crate::warn!("spool={} Logs are durable again.", spool.id());
                }
            } else if !spool.is_in_place() {
                let left = spool.id();
                roll(state, spool, &AppendError::Stuck(std::io::ErrorKind::NotFound.into()), now_ms);
                crate::debug!("spool={left} The spool directory was cleared by somebody else.");
            }
        });
    }

    /// How the active segment stands.
    pub fn active(&self) -> ActiveFacts {
        lock(&self.spool).active()
    }

    /// Seals the active segment. Returns whether it held a record.
    pub fn seal(&self, reason: SealReason, now_ms: i64) -> bool {
        self.with_spool(|state, spool| seal(&mut state.unsealed, spool, reason, now_ms))
    }

    /// The id of the spool that is written to.
    pub fn spool_id(&self) -> SpoolId {
        lock(&self.spool).id()
    }
}

impl HandleBody for Intake {
    /// A panic in here must not cost the body: its bytes are stored as they are.
    fn handle(&self, body: Body) -> BodyId {
        let id = match catch_unwind(AssertUnwindSafe(|| self.store(&body, now_ms()))) {
            Ok(id) => return id,
            Err(_) => id_of(&body),
        };
        crate::warn!("bytes={} A telemetry body made us panic; it is stored as it came.", body.bytes.len());
        let verbatim = verbatim(&body);
        let store = || {
            self.with_spool(|state, spool| {
                // It may have been the next part.
                state.half.iter_mut().for_each(Half::breaks);
                self.store_new(state, spool, &verbatim, id, now_ms());
            });
        };
        if catch_unwind(AssertUnwindSafe(store)).is_err() {
            crate::error!("bytes={} A telemetry body was lost.", body.bytes.len());
        }
        id
    }

    fn answer_may_be_lost(&self, body: BodyId) {
        lock(&self.state).repetitions.answer_may_be_lost(body);
    }
}

/// Seals the active segment. Returns whether it held a record; if the next one could not be made it grows on.
fn seal(unsealed: &mut Spell, spool: &mut Spool, reason: SealReason, now_ms: i64) -> bool {
    let facts = spool.active();
    match spool.seal(reason, now_ms) {
        Ok(sealed) => {
            unsealed.worked(now_ms);
            if sealed {
                let (records, bytes, next) = (facts.records, facts.object_bytes, spool.next_seq());
                let reason = reason.name();
                crate::info!("reason={reason} records={records} bytes={bytes} next={next} A segment was sealed.");
            }
            sealed
        }
        Err(error) => {
            if unsealed.trouble(now_ms) {
                crate::warn!("error={:?} The segment could not be sealed; it grows on.", error.to_string());
            }
            false
        }
    }
}

/// A body that holds another one as the message of a single event.
fn verbatim(body: &Body) -> Body {
    let event = serde_json::json!([{
        "time": format_time(now_ms()),
        "type": line::UNPARSED,
        "record": String::from_utf8_lossy(&body.bytes),
    }]);
    Body { bytes: event.to_string().into_bytes(), cut_bytes: body.cut_bytes, sequence_id: None }
}

fn id_of(body: &Body) -> BodyId {
    BodyId { hash: xxh3_64(&body.bytes), bytes: u32::try_from(body.bytes.len()).unwrap_or(u32::MAX) }
}

/// A panic while the lock was held is caught and reported where it happened; the spool keeps its own invariants.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
