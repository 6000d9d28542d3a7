//! The end of a stream.

use spool::{Batch, Meta, Seqno, Spool};

use super::line::{self, Head};
use super::storing::salvage;
use super::summary::{Finished, Summaries, write_line};
use super::{Intake, State};

impl Intake {
    /// Writes the end of the stream, unless the spool has given no number. Before it stands what is known of
    /// invocations that have not come to theirs.
    pub fn end(&self, now_ms: i64) {
        self.with_spool(|state, spool| {
            let unfinished: Vec<Finished> = state.summaries.iter().flat_map(Summaries::unfinished).collect();
            if self.write_end(state, spool, &unfinished, now_ms) {
                state.summaries.iter_mut().for_each(Summaries::clear);
            }
        });
    }

    /// Writes the end of a stream, behind these summaries. Returns whether they are written.
    pub(super) fn write_end(&self, state: &mut State, spool: &mut Spool, last: &[Finished], now_ms: i64) -> bool {
        if let Err(error) = salvage(state, spool, &self.filter, now_ms) {
            crate::warn!(
                "error={:?} A record that was cut could not be stored; an adopter will ship it.",
                error.to_string()
            );
        }
        state.lines.clear();
        state.style.enter(spool.id());
        let (first, mut records) = (spool.next_seq(), 0);
        for finished in last {
            let seq = first.plus(u64::from(records)).0;
            let head = Head::new(seq, Some(&finished.request_id), &state.attributor, now_ms);
            write_line(&mut state.lines, &state.style, finished, None, &head);
            records += 1;
        }
        let seq = first.plus(u64::from(records));
        if seq == Seqno(0) {
            return false;
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
        let result = spool.append(&batch, now_ms);
        if let Err(error) = &result {
            let error = error.to_string();
            crate::warn!("error={error:?} The end of the stream could not be written; an adopter will write it.");
        }
        result.is_ok()
    }
}
