//! What is no line yet, and lines that complete it.

use spool::{AppendError, Fragment, Meta};

use super::Process;
use crate::model_world::NOW_MS;
use crate::model_world::life::half;

impl Process {
    pub(super) fn fragment(&mut self, nonce: u64, replaces: bool) {
        for _attempt in 0..2 {
            let bytes = half(self.now.spool.id(), nonce);
            self.now.longest_batch = self.now.longest_batch.max(2 * bytes.len() as u64);
            let pending = self.now.spool.pending_fragment();
            let request_id = Some(format!("request {nonce}"));
            let meta = Meta { request_id, resolves: pending.filter(|_| replaces), ..Meta::default() };
            let fragment = Fragment { bytes: &bytes, line_ms: None, body_bytes: 7, body_hash: 9, meta: &meta };
            match self.now.spool.append_fragment(&fragment, NOW_MS) {
                Ok(id) => {
                    assert_eq!((self.now.spool.pending_fragment(), replaces || pending.is_none()), (Some(id), true));
                    return self.life().pend(bytes);
                }
                Err(AppendError::FragmentPending(other)) => {
                    return assert_eq!((Some(other), replaces), (pending, false));
                }
                Err(AppendError::Full(error)) if !self.now.cleared => return assert!(self.may_be_full(), "{error}"),
                Err(error) => {
                    assert!(self.now.cleared, "{error}");
                    self.look();
                }
            }
        }
    }

    /// Lines that could not be stored end nothing. In a new spool nothing is pending that they could end.
    pub(super) fn resolve(&mut self, records: u32, nonce: u64) {
        let own = self.now.spool.id();
        let meta = Meta { resolves: self.now.spool.pending_fragment(), ..Meta::default() };
        if self.append(records, nonce, &meta, false) && self.now.spool.id() == own {
            self.life().pending = None;
            assert_eq!(self.now.spool.pending_fragment(), None);
        }
    }
}
