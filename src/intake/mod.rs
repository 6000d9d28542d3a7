//! From a telemetry body to an entry of the spool. The only writer of the spool.
//!
//! Whatever a body holds, it leaves lines, or an entry that remembers it; what cannot be stored takes its numbers and is
//! declared lost.

mod attribution;
mod carried;
pub(crate) mod encode;
pub mod filter;
mod half;
mod line;
mod repetition;
mod spell;
mod summary;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use attribution::Attributor;
pub use attribution::{Attribution, Concurrency};
pub use encode::Observed;
use encode::{Context, Encoded, Joined, encode};
pub use filter::{Filter, FilterCounts};
use half::Half;
use line::Head;
pub use line::{
    Field, FieldFacts, LineSettings, LineStyle, dropped as dropped_line, end as end_line, fragment as fragment_line,
};
use repetition::Repetitions;
use spell::Spell;
use spool::{
    ActiveFacts, AppendError, Batch, BodyId, Fragment, FragmentId, Meta, Orphan, SealReason, Seqno, Spool, SpoolEvent,
    SpoolId,
};
use summary::{Summaries, write_line};
use xxhash_rust::xxh3::xxh3_64;

use crate::deadline::now_ms;
use crate::identity;
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
    /// `None` if invocations are not summed up.
    summaries: Option<Summaries>,
    repetitions: Repetitions,
    style: LineStyle,
    /// Reused from body to body.
    lines: Vec<u8>,
    /// Spools that were left while the locks were held; handed on when they are free.
    orphans: Vec<Orphan>,
    totals: Totals,
    /// Bodies are refused.
    refusing: Spell,
    /// Segments cannot be sealed.
    unsealed: Spell,
}

impl Intake {
    /// An intake that goes on where an earlier life ended. `sums_up`: invocations get a line of their own.
    pub fn new(
        spool: SharedSpool,
        types: StreamTypes,
        filter: Filter,
        sums_up: bool,
        seal: SealPolicy,
        earlier: EarlierLife,
        outputs: Outputs,
    ) -> Self {
        let state = State {
            attributor: Attributor::new(earlier.in_force),
            half: None,
            summaries: sums_up.then(|| Summaries::new(types.function)),
            repetitions: Repetitions::new(earlier.unanswered),
            style: LineStyle::default(),
            lines: Vec::new(),
            orphans: Vec::new(),
            totals: Totals::default(),
            refusing: Spell::default(),
            unsealed: Spell::default(),
        };
        Self { spool, types, filter, seal, outputs, state: Mutex::new(state) }
    }

    /// Lines are written in that style; the spool has to be made for its format.
    #[must_use]
    pub fn with_style(mut self, style: LineStyle) -> Self {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).style = style;
        self
    }

    /// So many invocations run at the same time; one, unless this says otherwise.
    #[must_use]
    pub fn with_concurrency(mut self, concurrency: Concurrency) -> Self {
        if concurrency == Concurrency::Many {
            self.state.get_mut().unwrap_or_else(PoisonError::into_inner).attributor = Attributor::of_many();
        }
        self
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

    fn store_new(&self, state: &mut State, spool: &mut Spool, body: &Body, id: BodyId, now_ms: i64) {
        let (mut remedies, mut fragment) = (Remedies::default(), None);
        loop {
            let (mut encoded, result) = self.append(state, spool, body, id, &mut fragment, now_ms);
            let Err(error) = result else {
                keep_half(&mut state.half, &mut encoded, fragment);
                return self.stored(state, spool, encoded, now_ms);
            };
            match remedies.after(&error, spool.is_volatile()) {
                Remedy::TryAgain => {}
                Remedy::Refuse => {
                    if fragment.is_some() {
                        keep_half(&mut state.half, &mut encoded, fragment);
                    } else if encoded.joined != Joined::Not {
                        state.half.iter_mut().for_each(Half::breaks);
                    }
                    return self.refuse(state, spool, encoded, &error, now_ms);
                }
                Remedy::Roll => roll(state, spool, &error, now_ms),
            }
        }
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

    /// Encodes the body under the numbers that are next, and appends it: first a record that the platform has cut, as a
    /// fragment, then everything else, with the hash by which the body is known again. `fragment` is what an earlier try has
    /// written.
    fn append(
        &self,
        state: &mut State,
        spool: &mut Spool,
        body: &Body,
        id: BodyId,
        fragment: &mut Option<FragmentId>,
        now_ms: i64,
    ) -> (Encoded, Result<(), AppendError>) {
        let pending = spool.pending_fragment();
        fragment.take_if(|written| Some(*written) != pending);
        // In a spool that was left an adopter finds it.
        state.half.take_if(|half| Some(half.id) != pending && fragment.is_none());
        let mut encoded = self.encode(state, spool, body, now_ms);
        let is_other = encoded.joined == Joined::Not && fragment.is_none();
        if is_other && state.half.as_ref().is_some_and(|half| encoded.cut.is_some() || half.is_in_vain()) {
            if let Err(error) = salvage(state, spool, &self.filter, now_ms) {
                return (encoded, Err(error));
            }
            encoded = self.encode(state, spool, body, now_ms);
        }
        let result = self.append_encoded(state, spool, &mut encoded, id, fragment, now_ms);
        (encoded, result)
    }

    fn encode(&self, state: &mut State, spool: &Spool, body: &Body, now_ms: i64) -> Encoded {
        let State { attributor, summaries, half, style, lines, .. } = state;
        lines.clear();
        style.enter(spool.id());
        let (half, summaries, first_seq) = (half.as_ref(), summaries.as_ref(), spool.next_seq());
        let (types, filter) = (self.types, &self.filter);
        let context = Context { types, attributor, half, summaries, filter, style, first_seq, now_ms };
        encode(context, &body.bytes, body.cut_bytes, lines)
    }

    fn append_encoded(
        &self,
        state: &mut State,
        spool: &mut Spool,
        encoded: &mut Encoded,
        id: BodyId,
        fragment: &mut Option<FragmentId>,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let half = state.half.as_ref().map(|half| half.id);
        let mut meta =
            Meta { request_id: encoded.attributor.told_in_force(), tenant: encoded.tenant.take(), ..Meta::default() };
        let (mut lines, mut records) = (state.lines.as_slice(), encoded.records);
        match (&encoded.cut, encoded.joined, *fragment) {
            (None, Joined::Whole { .. }, _) => meta.resolves = half,
            (Some(cut), joined, None) => {
                let mut resolves = half.filter(|_| joined == Joined::CutAgain);
                if let Joined::Whole { records: joined_records, bytes } = joined {
                    // One record ends here and another one is cut: the first has to be safe before the second takes its place.
                    let (line, others) = lines.split_at(bytes);
                    let request_id = state.attributor.told_in_force();
                    let meta = Meta { request_id, resolves: half, ..Meta::default() };
                    spool.append(&Batch { records: joined_records, ..Half::batch(line, &meta) }, now_ms)?;
                    (lines, records, resolves) = (others, records - joined_records, None);
                    encoded.records = records;
                    state.totals.records += u64::from(joined_records);
                    state.half = None;
                }
                let meta = Meta { resolves, ..meta.clone() };
                // Until the rest of the body is stored it must not be known again: it would be taken for one that is stored whole.
                let part =
                    Fragment { bytes: cut.bytes(), line_ms: cut.time_ms(), body_bytes: 0, body_hash: 0, meta: &meta };
                *fragment = Some(spool.append_fragment(&part, now_ms)?);
            }
            _ => {}
        }
        let batch = Batch {
            lines,
            records,
            first_line_ms: encoded.first_line_ms,
            body_bytes: id.bytes,
            body_hash: id.hash,
            meta: &meta,
            end: false,
        };
        if let Some(reason) = self.seal.before_append(&spool.active(), batch.time_ms(now_ms)) {
            seal(&mut state.unsealed, spool, reason, now_ms);
        }
        spool.append(&batch, now_ms)
    }

    fn stored(&self, state: &mut State, spool: &mut Spool, encoded: Encoded, now_ms: i64) {
        if let Some(refused) = state.refusing.worked(now_ms) {
            crate::warn!("refused={refused} Logs are stored again.");
        }
        state.totals.bodies += 1;
        state.totals.records += u64::from(encoded.records);
        state.totals.raw_bytes += state.lines.len() as u64;
        state.totals.filtered += encoded.filtered;
        self.observed(state, spool, encoded);
    }

    /// Takes the numbers of a body that cannot be stored: the loss is declared, by a name of its own as soon as there is
    /// room. If not even that can be written down, no number was taken; a new life begins, and takes them.
    fn refuse(&self, state: &mut State, spool: &mut Spool, encoded: Encoded, error: &AppendError, now_ms: i64) {
        if state.refusing.trouble(now_ms) {
            crate::error!("error={:?} Logs cannot be stored; they are counted and declared.", error.to_string());
        }
        state.totals.refused_bodies += 1;
        let (mut records, mut bytes) = (u64::from(encoded.records), state.lines.len() as u64);
        if let Some(cut) = &encoded.cut {
            records += 1;
            bytes += cut.bytes().len() as u64;
        }
        if spool.refuse(records, bytes, now_ms).is_err() {
            roll(state, spool, error, now_ms);
            if let Err(error) = spool.refuse(records, bytes, now_ms) {
                crate::error!("records={records} error={error:?} The loss could not be written down.");
            }
        }
        self.observed(state, spool, encoded);
    }

    /// What a body told holds whether or not its lines could be stored.
    fn observed(&self, state: &mut State, spool: &mut Spool, encoded: Encoded) {
        state.attributor = encoded.attributor;
        state.summaries = encoded.summaries;
        let (records, bytes) = encoded.platform_drops;
        if (records, bytes) != (0, 0) {
            crate::error!("records={records} bytes={bytes} The platform dropped telemetry before it reached us.");
            if let Err(error) = spool.count_platform_drops(records, bytes) {
                crate::warn!("error={error:?} The platform's drops are counted in memory until they can be written.");
            }
        }
        for observed in encoded.observed.into_iter().chain([Observed::Stored]) {
            (self.outputs.observed)(observed);
        }
    }

    /// Looks whether the spool is where it should be: rolls if somebody has cleared its directory, and back to the disk as
    /// soon as there is one.
    pub fn check_place(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            state.orphans.extend(spool.take_cleared());
            if spool.is_volatile() {
                let Ok(orphan) = spool.roll(identity::fresh(now_ms), now_ms) else { return };
                crate::warn!("spool={} Logs are durable again.", spool.id());
                state.orphans.push(orphan);
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

    /// Writes the end of the stream, unless the spool has given no number. Before it stands what is known of invocations
    /// that have not come to theirs.
    pub fn end(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            if let Err(error) = salvage(state, spool, &self.filter, now_ms) {
                crate::warn!(
                    "error={:?} A record that was cut could not be stored; an adopter will ship it.",
                    error.to_string()
                );
            }
            state.lines.clear();
            state.style.enter(spool.id());
            let (first, mut records) = (spool.next_seq(), 0);
            for finished in state.summaries.iter().flat_map(Summaries::unfinished) {
                let seq = first.plus(u64::from(records)).0;
                let head = Head::new(seq, Some(&finished.request_id), &state.attributor, now_ms);
                write_line(&mut state.lines, &state.style, &finished, None, &head);
                records += 1;
            }
            let seq = first.plus(u64::from(records));
            if seq == Seqno(0) {
                return;
            }
            line::end(&mut state.lines, state.style.format(), seq.0, &spool.losses(), false);
            let meta = Meta { request_id: state.attributor.told_in_force(), ..Meta::default() };
            let batch = Batch {
                lines: &state.lines,
                records: records + 1,
                first_line_ms: None,
                body_bytes: 0,
                body_hash: 0,
                meta: &meta,
                end: true,
            };
            if let Err(error) = spool.append(&batch, now_ms) {
                let error = error.to_string();
                crate::warn!("error={error:?} The end of the stream could not be written; an adopter will write it.");
            } else if let Some(summaries) = &mut state.summaries {
                summaries.clear();
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

/// What was tried for one body.
#[derive(Debug, Default)]
struct Remedies {
    tried_again: bool,
    rolls: u32,
}

/// What to do about a failed append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    TryAgain,
    Roll,
    Refuse,
}

impl Remedies {
    /// A disk that fails is left once, for a new directory or else for memory; a batch that still finds no place is refused.
    fn after(&mut self, error: &AppendError, is_volatile: bool) -> Remedy {
        match error {
            AppendError::Full(_) | AppendError::TooLarge(_) => Remedy::Refuse,
            AppendError::Codec(_) if std::mem::replace(&mut self.tried_again, true) => Remedy::Refuse,
            AppendError::Codec(_) => Remedy::TryAgain,
            _ if is_volatile || self.rolls == 2 => Remedy::Refuse,
            _ => {
                self.rolls += 1;
                Remedy::Roll
            }
        }
    }
}

/// Begins a new life: in a new directory, which may lie on sound blocks, else in memory.
fn roll(state: &mut State, spool: &mut Spool, error: &AppendError, now_ms: i64) {
    let (left, error) = (spool.id(), error.to_string());
    match spool.roll(identity::fresh(now_ms), now_ms) {
        Ok(orphan) => {
            crate::warn!("spool={left} next={} error={error:?} The spool was left for a new one.", spool.id());
            state.orphans.push(orphan);
        }
        Err(_) => match spool.roll_into_memory(identity::fresh(now_ms), now_ms) {
            Ok(orphan) => {
                crate::warn!(
                    "spool={left} error={error:?} The disk fails; logs are held in memory until it works again."
                );
                state.orphans.push(orphan);
            }
            Err(error) => crate::error!("spool={left} error={:?} There is no place for logs.", error.to_string()),
        },
    }
}

/// A body is done with: what it leaves for a later one to go on with.
fn keep_half(half: &mut Option<Half>, encoded: &mut Encoded, fragment: Option<FragmentId>) {
    match (encoded.cut.take().zip(fragment), encoded.joined) {
        (Some((cut, id)), joined) => {
            let earlier = half.take().filter(|_| joined == Joined::CutAgain).map(|earlier| earlier.in_force);
            *half = Some(Half::new(cut, id, earlier.unwrap_or_else(|| encoded.attributor.in_force().clone())));
        }
        (None, Joined::Not) => half.iter_mut().for_each(Half::wait),
        (None, _) => *half = None,
    }
}

/// Stores what is there of a record whose rest does not come.
fn salvage(state: &mut State, spool: &mut Spool, filter: &Filter, now_ms: i64) -> Result<(), AppendError> {
    let Some(half) = state.half.as_ref().filter(|half| spool.pending_fragment() == Some(half.id)) else {
        return Ok(());
    };
    state.lines.clear();
    state.style.enter(spool.id());
    let bytes = filter.redacted_bytes(half.bytes());
    let redacted = u64::from(matches!(bytes, Cow::Owned(_)));
    let head = Head::new(spool.next_seq().0, half.in_force.as_str(), &state.attributor, now_ms);
    line::unparsed(&mut state.lines, &state.style, &bytes, &head);
    let meta = Meta { request_id: state.attributor.told_in_force(), resolves: Some(half.id), ..Meta::default() };
    spool.append(&Half::batch(&state.lines, &meta), now_ms)?;
    state.half = None;
    state.totals.records += 1;
    state.totals.filtered.redacted += redacted;
    Ok(())
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
