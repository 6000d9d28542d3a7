//! How a body is stored: encoded, appended, and what is done when it cannot be.

use std::borrow::Cow;

use spool::{AppendError, Batch, BodyId, Fragment, FragmentId, Meta, Spool};

use super::encode::{Context, Encoded, Joined, Observed, encode};
use super::filter::Filter;
use super::half::Half;
use super::line::{self, Head};
use super::remedy::{Remedies, Remedy, roll};
use super::{Intake, State, seal};
use crate::telemetry::listener::Body;

impl Intake {
    pub(super) fn store_new(&self, state: &mut State, spool: &mut Spool, body: &Body, id: BodyId, now_ms: i64) {
        self.before_body(state, spool, &body.bytes, now_ms);
        self.store_somehow(state, spool, body, id, now_ms);
        self.after_body(state, spool, now_ms);
    }

    fn store_somehow(&self, state: &mut State, spool: &mut Spool, body: &Body, id: BodyId, now_ms: i64) {
        // It was kept for the body before.
        state.half.take_if(|half| half.is_stored());
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
        state.half.take_if(|half| Some(half.id) != pending && fragment.is_none() && !half.is_stored());
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
        match (&encoded.cut, encoded.joined, *fragment) {
            (None, Joined::Whole { .. }, _) => meta.resolves = half,
            (Some(cut), joined, None) => {
                if let Joined::Whole { records, bytes } = joined {
                    // One record ends here and another one is cut: the first has to be safe before the second takes its place.
                    append_joined(state, spool, records, bytes, now_ms)?;
                    encoded.records -= records;
                }
                let resolves = half.filter(|_| joined == Joined::CutAgain);
                let meta = part_meta(state, encoded, meta.tenant.as_deref(), resolves);
                // Until the rest of the body is stored it must not be known again: it would be taken for one that is stored whole.
                let part =
                    Fragment { bytes: cut.bytes(), line_ms: cut.time_ms(), body_bytes: 0, body_hash: 0, meta: &meta };
                *fragment = Some(spool.append_fragment(&part, now_ms)?);
            }
            _ => {}
        }
        let batch = Batch {
            lines: &state.lines,
            records: encoded.records,
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
}

/// The meta of a part. It is written before the rest of its body: if a kill comes between the two, the body is offered again, and what
/// was in force before it has to be in force then. The part itself belongs to what its body has told before it.
fn part_meta(state: &State, encoded: &Encoded, tenant: Option<&str>, resolves: Option<FragmentId>) -> Meta {
    let began_under = state.half.as_ref().filter(|_| encoded.joined == Joined::CutAgain).map(|half| &half.in_force);
    let own = began_under.unwrap_or_else(|| encoded.attributor.in_force()).as_str().unwrap_or_default();
    let before = state.attributor.in_force().as_str().unwrap_or_default();
    Meta {
        request_id: state.attributor.told_in_force(),
        own_request_id: (own != before).then(|| own.to_owned()),
        own_tenant: tenant.map(str::to_owned),
        resolves,
        ..Meta::default()
    }
}

/// Appends a record that was joined, the first of the lines, by itself. If the rest of its body has to be tried again, it is
/// not part of that.
fn append_joined(
    state: &mut State,
    spool: &mut Spool,
    records: u32,
    bytes: usize,
    now_ms: i64,
) -> Result<(), AppendError> {
    let Some(half) = state.half.as_mut().filter(|half| !half.is_stored()) else { return Ok(()) };
    let meta = Meta { request_id: state.attributor.told_in_force(), resolves: Some(half.id), ..Meta::default() };
    spool.append(&Batch { records, ..Half::batch(&state.lines[..bytes], &meta) }, now_ms)?;
    half.stored();
    state.lines.drain(..bytes);
    state.totals.records += u64::from(records);
    state.totals.raw_bytes += bytes as u64;
    Ok(())
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
pub(super) fn salvage(state: &mut State, spool: &mut Spool, filter: &Filter, now_ms: i64) -> Result<(), AppendError> {
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
