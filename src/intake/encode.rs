//! From a body to the lines of one entry: pure, with the time passed in. Encoding the same body again, under another first
//! number, gives the same lines but for that number.

use std::borrow::Cow;

use spool::{FRAGMENT_BYTES_MAX, Seqno};

use super::attribution::{Attributor, Concurrency, Owner};
use super::filter::{Exclusion, Filter, FilterCounts, Scratch};
use super::half::Half;
use super::line::{self, Head, LineStyle, Repeated};
use super::summary::{Summaries, Told, write_line};
use crate::runtime_api::event::{RequestId, StreamTypes};
use crate::telemetry::body::{Piece, Pieces, pieces, pieces_inside};
use crate::telemetry::event::{EventKind, RawEvent, RecordFacts, time_ms};
use crate::telemetry::json::Json;
use crate::telemetry::scan::Scanned;
use crate::telemetry::severity::is_error;
use crate::telemetry::stitch::{CutRecord, envelope, events_behind};

/// Something in the telemetry that decisions are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Init is over for the platform.
    InitReport,
    /// An invocation has begun.
    Start {
        /// The invocation.
        request_id: RequestId,
        /// When, by the event's own time.
        at_ms: Option<i64>,
    },
    /// The function has logged an error on behalf of an invocation. Told once for a run of such records.
    ErrorLogged(RequestId),
    /// The function has finished.
    RuntimeDone {
        /// The invocation.
        request_id: RequestId,
        /// Its status is not `success`.
        failed: bool,
        /// When, by the event's own time.
        at_ms: Option<i64>,
    },
    /// The invocation is over for the platform.
    Report {
        /// The invocation.
        request_id: RequestId,
        /// It has a status, and that is not `success`.
        failed: bool,
    },
    /// A body was stored: the segment has grown.
    Stored,
    /// Telemetry was lost on its way, perhaps an event that somebody waits for.
    Lost,
}

/// What a body came to.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub records: u32,
    pub first_line_ms: Option<i64>,
    pub attributor: Attributor,
    pub tenant: Option<String>,
    pub observed: Vec<Observed>,
    /// Records and bytes that the platform declared as dropped.
    pub platform_drops: (u64, u64),
    /// What became of the [half](Context::half) of a record.
    pub joined: Joined,
    /// Its last record was cut by the platform: no line yet.
    pub cut: Option<CutRecord>,
    pub summaries: Option<Summaries>,
    /// What was kept out or masked.
    pub filtered: FilterCounts,
}

/// What the beginning of a body makes of the half of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// Nothing: it does not go on with it.
    Not,
    /// The record is whole: so many records and bytes of the lines are its.
    Whole { records: u32, bytes: usize },
    /// The record was cut once more.
    CutAgain,
}

/// What encoding needs beside the body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub types: StreamTypes,
    pub attributor: &'a Attributor,
    /// What the body may go on with.
    pub half: Option<&'a Half>,
    /// `None` if invocations are not summed up.
    pub summaries: Option<&'a Summaries>,
    pub filter: &'a Filter,
    pub style: &'a LineStyle,
    pub first_seq: Seqno,
    pub now_ms: i64,
}

/// Appends the lines of a body to `lines`.
pub(crate) fn encode(context: Context<'_>, body: &[u8], cut_bytes: u64, lines: &mut Vec<u8>) -> Encoded {
    let mut encoder = Encoder {
        context,
        half: None,
        filters: !context.filter.is_empty(),
        scratch: Scratch::new(),
        lines_before: lines.len(),
        lines,
        repeated: None,
        encoded: Encoded {
            records: 0,
            first_line_ms: None,
            attributor: Attributor::default(),
            tenant: None,
            observed: Vec::new(),
            platform_drops: (0, 0),
            joined: Joined::Not,
            cut: None,
            summaries: context.summaries.cloned(),
            filtered: FilterCounts::default(),
        },
    };
    let mut attributor = context.attributor.clone();
    let joined = context.half.and_then(|half| half.join(body));
    encoder.half = context.half.filter(|_| joined.is_some());
    encoder.pieces(&mut attributor, joined.as_deref().unwrap_or(body), cut_bytes > 0);
    if cut_bytes > 0 {
        encoder.truncated(&attributor, cut_bytes);
    }
    Encoded { attributor, ..encoder.encoded }
}

/// What is in force is handed from event to event beside it, so that a record's owner can be borrowed from there.
struct Encoder<'a> {
    context: Context<'a>,
    /// What the next event goes on with.
    half: Option<&'a Half>,
    /// There is a rule.
    filters: bool,
    scratch: Scratch,
    /// Bytes of the lines that are none of this body's.
    lines_before: usize,
    lines: &'a mut Vec<u8>,
    /// What was told of the request has not changed since.
    repeated: Option<Repeated>,
    encoded: Encoded,
}

impl Encoder<'_> {
    fn pieces(&mut self, attributor: &mut Attributor, body: &[u8], is_truncated: bool) {
        let mut pieces = pieces(body).scanned();
        loop {
            if let Some(Scanned { event, facts, .. }) = pieces.next_event() {
                self.event(attributor, &event, &facts);
            } else if let Some(piece) = pieces.next() {
                self.piece(attributor, piece, &mut pieces, is_truncated);
            } else {
                return;
            }
            // Only the first event goes on with what was cut.
            if let Some(half) = self.half.take() {
                if half.is_stored() {
                    self.lines.truncate(self.lines_before);
                    (self.encoded.records, self.encoded.first_line_ms) = (0, None);
                }
                self.encoded.joined = match self.encoded.cut {
                    Some(_) => Joined::CutAgain,
                    None => {
                        Joined::Whole { records: self.encoded.records, bytes: self.lines.len() - self.lines_before }
                    }
                };
            }
        }
    }

    fn piece<'b>(
        &mut self,
        attributor: &mut Attributor,
        piece: Piece<'b>,
        pieces: &mut Pieces<'b>,
        is_truncated: bool,
    ) {
        match piece {
            Piece::Element(element) => match RawEvent::parse(element) {
                Some(event) => {
                    let facts = RecordFacts::of(event.record);
                    self.event(attributor, &event, &facts);
                }
                None => self.no_event(attributor, element, pieces),
            },
            Piece::Rest(rest) => {
                let cut = CutRecord::of(rest).filter(|cut| !is_truncated && cut.bytes().len() <= FRAGMENT_BYTES_MAX);
                match cut {
                    Some(cut) if cut.is_first_part() => self.encoded.cut = Some(cut),
                    cut => self.further_part(attributor, rest, cut, pieces),
                }
            }
        }
    }

    /// The first part is not known, or this is no record at all. What cannot be told from a part alone waits for the next one.
    fn further_part<'b>(
        &mut self,
        attributor: &Attributor,
        bytes: &'b [u8],
        cut: Option<CutRecord>,
        pieces: &mut Pieces<'b>,
    ) {
        if cut.is_some() && events_behind(bytes).is_none() {
            self.encoded.cut = cut;
        } else {
            self.no_event(attributor, bytes, pieces);
        }
    }

    /// It costs nothing but itself, however much it seems to hold: the second half of a record whose first half is not known
    /// has its quotes the wrong way round.
    fn no_event<'b>(&mut self, attributor: &Attributor, bytes: &'b [u8], pieces: &mut Pieces<'b>) {
        match events_behind(pieces.from_last()) {
            Some((bytes, events)) => {
                self.unparsed(attributor, bytes);
                *pieces = pieces_inside(events);
            }
            // What seems to follow is the rest of the same value.
            None if envelope(bytes).is_some() => {
                self.unparsed(attributor, pieces.from_last());
                *pieces = pieces_inside(&[]);
            }
            None => self.unparsed(attributor, bytes),
        }
    }

    fn event(&mut self, attributor: &mut Attributor, event: &RawEvent<'_>, facts: &RecordFacts<'_>) {
        let kind = EventKind::of(&event.kind);
        let Context { style, filter, now_ms, .. } = self.context;
        let is_said = matches!(kind, EventKind::Function | EventKind::Extension);
        if !is_said {
            attributor.observe(kind, facts);
            attributor.carried.observe(kind, facts, event.record, style.names_trace());
            self.observe(kind, facts, event.time);
            self.repeated = None;
        }
        let attributor = &*attributor;
        let owner = attributor.owner_of(facts, self.half.map(|half| &half.in_force));
        if kind == EventKind::Function && is_error(event.record, facts.level.as_deref()) {
            self.error_logged(owner);
        }
        let exclusion = self.exclusion(kind, event.record, facts, owner);
        let is_shipped = self.is_shipped(kind) && exclusion.is_none();
        // A summary quotes what is shipped, or would be if it were not for the share of requests.
        let is_quoted = self.encoded.summaries.is_some() && exclusion.is_none_or(|rule| rule == Exclusion::Sample);
        let is_written = is_shipped || is_quoted;
        let redacted = event
            .record
            .filter(|_| is_written && self.filters)
            .and_then(|r| filter.redacted(kind, r, &mut self.scratch));
        self.encoded.filtered.redacted += u64::from(is_shipped && redacted.is_some());
        let masked = redacted.as_deref().map(|record| RawEvent { record: Some(record.into()), ..event.clone() });
        let (received, event) = (event.record, masked.as_ref().unwrap_or(event));
        if is_shipped {
            let head = Head::bare(self.next_seq(), owner.as_str(), now_ms);
            line::event(self.lines, style, event, head, attributor, &mut self.repeated);
            self.counted(event.time);
        }
        let quotable = event.record.filter(|_| is_quoted);
        self.sum_up(attributor, &Told { kind, record: received, quotable, facts, owner }, event.time);
    }

    fn observe(&mut self, kind: EventKind, facts: &RecordFacts<'_>, time: Option<Json<'_>>) {
        let request_id = || facts.request_id.as_deref().map(|id| RequestId(id.to_owned()));
        let at_ms = || time.and_then(time_ms);
        let failed = facts.status.as_deref().is_some_and(|status| status != "success");
        let observed = match kind {
            EventKind::Start => {
                // Of many that run none is in force.
                let is_in_force = self.context.attributor.concurrency() == Concurrency::One;
                self.encoded.tenant = facts.tenant_id.as_deref().filter(|_| is_in_force).map(str::to_owned);
                request_id().map(|request_id| Observed::Start { request_id, at_ms: at_ms() })
            }
            EventKind::RuntimeDone => {
                request_id().map(|request_id| Observed::RuntimeDone { request_id, failed, at_ms: at_ms() })
            }
            EventKind::InitReport => Some(Observed::InitReport),
            EventKind::Report => request_id().map(|request_id| Observed::Report { request_id, failed }),
            EventKind::LogsDropped => {
                let drops = &mut self.encoded.platform_drops;
                drops.0 = drops.0.saturating_add(facts.dropped_records.unwrap_or(0));
                drops.1 = drops.1.saturating_add(facts.dropped_bytes.unwrap_or(0));
                Some(Observed::Lost)
            }
            _ => None,
        };
        self.encoded.observed.extend(observed);
    }

    /// The line of an invocation stands behind that of the event that ends it.
    fn sum_up(&mut self, attributor: &Attributor, told: &Told<'_>, time: Option<Json<'_>>) {
        let Some(summaries) = &mut self.encoded.summaries else { return };
        let Some(finished) = summaries.observe(told) else { return };
        let head = Head::new(self.next_seq(), Some(&finished.request_id), attributor, self.context.now_ms);
        write_line(self.lines, self.context.style, &finished, time, &head);
        self.counted(time);
    }

    fn error_logged(&mut self, owner: Owner<'_>) {
        let Owner::Invocation(request_id) = owner else { return };
        let is_last = |observed: &Observed| matches!(observed, Observed::ErrorLogged(last) if last.0 == request_id);
        if !self.encoded.observed.last().is_some_and(is_last) {
            self.encoded.observed.push(Observed::ErrorLogged(RequestId(request_id.to_owned())));
        }
    }

    /// What the platform lost is shipped whatever was asked for: it is the only evidence. So is what nobody knows.
    fn is_shipped(&self, kind: EventKind) -> bool {
        let types = self.context.types;
        match kind {
            EventKind::Function => types.function,
            EventKind::Extension => types.extension,
            EventKind::LogsDropped | EventKind::Unknown => true,
            _ => types.platform,
        }
    }

    /// Why a record that is asked for is kept out.
    fn exclusion(
        &mut self,
        kind: EventKind,
        record: Option<Json<'_>>,
        facts: &RecordFacts<'_>,
        owner: Owner<'_>,
    ) -> Option<Exclusion> {
        if !self.filters || !self.is_shipped(kind) {
            return None;
        }
        let exclusion = self.context.filter.excludes(kind, record, facts, owner, &mut self.scratch);
        exclusion.inspect(|exclusion| self.encoded.filtered.excluded(*exclusion))
    }

    fn unparsed(&mut self, attributor: &Attributor, bytes: &[u8]) {
        let seq = self.next_seq();
        let redacted = self.context.filter.redacted_bytes(bytes);
        self.encoded.filtered.redacted += u64::from(matches!(redacted, Cow::Owned(_)));
        let head = Head::in_force(seq, attributor, self.context.now_ms);
        line::unparsed(self.lines, self.context.style, &redacted, &head);
        self.counted(None);
        // It may have been the event that somebody waits for.
        self.encoded.observed.push(Observed::Lost);
    }

    fn truncated(&mut self, attributor: &Attributor, cut_bytes: u64) {
        let seq = self.next_seq();
        let head = Head::in_force(seq, attributor, self.context.now_ms);
        line::truncated(self.lines, self.context.style, cut_bytes, &head);
        self.counted(None);
    }

    fn next_seq(&self) -> u64 {
        self.context.first_seq.plus(u64::from(self.encoded.records)).0
    }

    fn counted(&mut self, time: Option<Json<'_>>) {
        if self.encoded.records == 0 {
            self.encoded.first_line_ms = time.and_then(time_ms);
        }
        self.encoded.records += 1;
    }
}

#[cfg(test)]
mod tests;
