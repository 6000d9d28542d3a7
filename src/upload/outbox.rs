//! Everything that waits to be delivered, of our own spool and of the adopted ones that it has taken in.
//!
//! The only reader of sealed segments. What is delivered is let go of by the spool; when an adopted spool is drained, its end
//! goes out as an object of its own, and then its directory goes.

use std::collections::BTreeMap;
use std::io;

use spool::{Adopted, LossCause, SegmentKey, Spool, SpoolEvent, SpoolId, StreamEnd};

use super::object_key::ObjectKeys;
use super::outgoing::{Outgoing, OutgoingId};
use crate::intake::{SharedSpool, lock};

/// What became of an object that waits, or did not wait before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// This is to be delivered.
    Added(OutgoingId),
    /// This is not to be delivered any more.
    Removed(OutgoingId),
}

/// Everything that waits.
pub struct Outbox {
    spool: SharedSpool,
    keys: ObjectKeys,
    function_version: String,
    waiting: BTreeMap<OutgoingId, Outgoing>,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(spool: SharedSpool, keys: ObjectKeys, function_version: String) -> Self {
        Self { spool, keys, function_version, waiting: BTreeMap::new() }
    }

    /// Takes what happened to a segment, and tells what that means for the queue, if anything.
    pub fn take(&mut self, event: SpoolEvent) -> Option<Change> {
        match event {
            SpoolEvent::Sealed(segment) => Some(self.add(Outgoing::segment(segment, &self.function_version))),
            SpoolEvent::Dropped(range) => Some(self.add(Outgoing::dropped(&range, &self.keys))),
            SpoolEvent::Gone(key) => {
                let id = OutgoingId { spool: key.spool, first: key.first };
                self.waiting.remove(&id);
                Some(Change::Removed(id))
            }
            SpoolEvent::Drained(_, Some(end)) => self.add_end(end),
            SpoolEvent::Drained(id, None) => {
                self.finish(id);
                None
            }
        }
    }

    /// What was pending in an adopted spool is shipped with the end. If it cannot be read any more, its loss is to be told
    /// first.
    fn add_end(&mut self, end: StreamEnd) -> Option<Change> {
        let (spool, fragment) = (end.spool, end.fragment.clone());
        let error = match Outgoing::end(end, &self.keys) {
            Ok(outgoing) => return Some(self.add(outgoing)),
            Err(error) => error,
        };
        let Some((fragment, cause)) = fragment.and_then(|fragment| fragment.find_loss().map(|cause| (fragment, cause)))
        else {
            crate::warn!("spool={spool} error={error:?} The end of an adopted spool is left for the next life.");
            return None;
        };
        let declare = |spool: &mut Spool| spool.declare_lost(&fragment.key(), cause, fragment.time_ms());
        self.with_spool(declare).1.pop()
    }

    /// What waits under the same id already is the same object, or the same one in another place.
    fn add(&mut self, outgoing: Outgoing) -> Change {
        let id = outgoing.id();
        self.waiting.insert(id, outgoing);
        Change::Added(id)
    }

    /// Takes an adopted spool, and tells what that means for the queue.
    pub fn adopt(&mut self, adopted: Adopted) -> Vec<Change> {
        let id = adopted.id();
        // What the spool said itself before it was left may be there no more.
        self.waiting.retain(|waiting, _| waiting.spool != id);
        self.with_spool(|spool| spool.take_in(adopted)).1
    }

    /// An object that waits.
    pub fn get(&self, id: &OutgoingId) -> Option<Outgoing> {
        self.waiting.get(id).cloned()
    }

    /// Everything that waits.
    pub fn waiting(&self) -> impl Iterator<Item = &Outgoing> {
        self.waiting.values()
    }

    /// Notes that an attempt has begun.
    pub fn attempt_begun(&self, outgoing: &Outgoing) {
        if let Some(key) = outgoing.segment_key() {
            lock(&self.spool).attempt_begun(&key);
        }
    }

    /// Notes that an attempt has ended without success.
    pub fn attempt_failed(&self, id: &OutgoingId) {
        if let Some(key) = self.waiting.get(id).and_then(Outgoing::segment_key) {
            lock(&self.spool).attempt_failed(&key);
        }
    }

    /// Notes that an object is where it should be, and tells what that means for the queue.
    pub fn delivered(&mut self, id: &OutgoingId) -> Vec<Change> {
        match self.waiting.remove(id).map(|outgoing| outgoing.segment_key()) {
            None => Vec::new(),
            Some(Some(key)) => self.remove(&key),
            Some(None) => {
                self.finish(id.spool);
                Vec::new()
            }
        }
    }

    /// Gives up an object that can no longer be read, and tells what that means for the queue.
    pub fn declare_lost(&mut self, id: &OutgoingId, cause: LossCause, now_ms: i64) -> Vec<Change> {
        let mut changes = vec![Change::Removed(*id)];
        // Of a spool that was left and is not adopted yet, the adopter will find the same.
        if let Some(key) = self.waiting.remove(id).and_then(|outgoing| outgoing.segment_key()) {
            changes.extend(self.with_spool(|spool| spool.declare_lost(&key, cause, now_ms)).1);
        }
        changes
    }

    fn remove(&mut self, key: &SegmentKey) -> Vec<Change> {
        let (removed, changes) = self.with_spool(|spool| spool.remove(key));
        report_removal(removed);
        changes
    }

    fn finish(&mut self, id: SpoolId) {
        crate::info!("spool={id} An adopted spool was delivered.");
        report_removal(lock(&self.spool).finish(id));
    }

    /// Does something to the spool, and takes what came of it.
    fn with_spool<R>(&mut self, work: impl FnOnce(&mut Spool) -> R) -> (R, Vec<Change>) {
        let (result, events) = {
            let mut spool = lock(&self.spool);
            (work(&mut spool), spool.take_events())
        };
        (result, events.into_iter().filter_map(|event| self.take(event)).collect())
    }
}

/// What cannot be removed is delivered again by the next life, which finds it there already.
fn report_removal(removed: io::Result<()>) {
    if let Err(error) = removed {
        crate::warn!("error={error:?} A delivered file of the spool could not be removed.");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use spool::{Batch, Compression, Fragment, Identity, Meta, SpoolConfig, SpoolLimits, find_orphans};

    use super::*;
    use crate::upload::outgoing::{LINE_FORMAT_JSON, labeler};

    const NOW: i64 = 1_790_000_000_000;

    fn keys() -> ObjectKeys {
        ObjectKeys::for_function("f")
    }

    fn spool(root: &Path, life: u128) -> Spool {
        let limits = SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() };
        let (compression, line_format) = (Compression::default(), LINE_FORMAT_JSON);
        let config = SpoolConfig { root: root.into(), compression, line_format, label: labeler(keys()), limits };
        Spool::create(config, Identity { id: SpoolId::new(NOW, life), salt_seed: 1 }, NOW).expect("made")
    }

    /// A life that was killed behind one line and the first half of a record.
    fn leave_behind(root: &Path) {
        let mut spool = spool(root, 1);
        let meta = Meta { request_id: Some("r1".into()), ..Meta::default() };
        let lines = b"{\"seq\":0}\n";
        let batch =
            Batch { lines, records: 1, first_line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta, end: false };
        spool.append(&batch, NOW).expect("appended");
        let bytes = b"{\"time\":\"t\",\"record\":\"AAAA";
        let fragment = Fragment { bytes, line_ms: Some(NOW + 1_500), body_bytes: 1, body_hash: 1, meta: &meta };
        spool.append_fragment(&fragment, NOW).expect("appended");
    }

    fn adopt(root: &Path) -> Adopted {
        let mut found = find_orphans(root, SpoolId::new(NOW, 2)).expect("listed");
        found.orphans.remove(0).adopt(&labeler(keys())).expect("our version")
    }

    fn outbox(root: &Path) -> Outbox {
        Outbox::new(Arc::new(Mutex::new(spool(root, 2))), keys(), "1".into())
    }

    fn deliver(outbox: &mut Outbox, id: OutgoingId) -> Vec<Change> {
        outbox.attempt_begun(&outbox.get(&id).expect("it waits"));
        outbox.delivered(&id)
    }

    fn object(outgoing: &Outgoing) -> String {
        let chunks: Vec<_> = outgoing.object().body.chunks().map(|chunk| chunk.expect("readable")).collect();
        let bytes = chunks.concat();
        assert_eq!(
            (bytes.len() as u64, spool::object_digest(&bytes)),
            (outgoing.bytes(), outgoing.object().crc64_nvme)
        );
        let mut lines = String::new();
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&bytes[..]).expect("zstd");
        decoder.read_to_string(&mut lines).expect("text");
        lines
    }

    fn id(first: u64) -> OutgoingId {
        OutgoingId { spool: SpoolId::new(NOW, 1), first: spool::Seqno(first) }
    }

    #[test]
    fn what_was_pending_is_a_line_of_its_own_in_the_object_of_the_end() {
        let root = tempfile::tempdir().expect("tempdir");
        leave_behind(root.path());
        let mut outbox = outbox(root.path());
        assert_eq!(outbox.adopt(adopt(root.path())), [Change::Added(id(0))]);
        assert_eq!(deliver(&mut outbox, id(0)), [Change::Added(id(1))]);
        let end = outbox.get(&id(1)).expect("it waits");
        let expected = "{\"time\":\"2026-09-21T14:13:21.500Z\",\"type\":\"logspool.unparsed\",\"seq\":1,\"requestId\":\"r1\",\
            \"message\":\"{\\\"time\\\":\\\"t\\\",\\\"record\\\":\\\"AAAA\"}\n\
            {\"type\":\"logspool.end\",\"seq\":2,\"losses\":{}}\n";
        assert_eq!(object(&end), expected);
        assert_eq!(object(&end), expected, "as often as it is read");
        assert!(end.key().contains("-000000000001-000000000002-") && end.key().ends_with("-end.ndjson.zst"));
        assert!(end.is_urgent());
        assert_eq!(deliver(&mut outbox, id(1)), []);
        assert_eq!(std::fs::read_dir(root.path()).expect("listed").count(), 1, "the adopted spool is gone");
    }

    #[test]
    fn what_was_pending_and_cannot_be_read_is_declared_before_the_end() {
        let root = tempfile::tempdir().expect("tempdir");
        leave_behind(root.path());
        let file = root.path().join(SpoolId::new(NOW, 1).to_string()).join("000000000000.seg");
        for is_announced in [false, true] {
            let mut outbox = outbox(root.path());
            outbox.adopt(adopt(root.path()));
            let damage = || {
                let mut bytes = std::fs::read(&file).expect("read");
                *bytes.last_mut().expect("not empty") ^= 1;
                std::fs::write(&file, bytes).expect("written");
            };
            if is_announced {
                deliver(&mut outbox, id(0));
                damage();
                let end = outbox.get(&id(1)).expect("it waits");
                assert_eq!(end.find_loss(), Some(LossCause::Damage));
                assert!(end.object().body.chunks().any(|chunk| chunk.is_err()));
                let changes = outbox.declare_lost(&id(1), LossCause::Damage, NOW);
                assert_eq!(changes.last(), Some(&Change::Added(id(1))));
            } else {
                damage();
                assert_eq!(deliver(&mut outbox, id(0)), [Change::Added(id(1))]);
            }
            assert!(outbox.get(&id(1)).expect("it waits").key().ends_with("damage.dropped"));
            assert_eq!(deliver(&mut outbox, id(1)), [Change::Added(id(2))]);
            let expected =
                "{\"type\":\"logspool.end\",\"seq\":2,\"losses\":{\"damage\":{\"records\":1,\"bytes\":26}}}\n";
            assert_eq!(object(&outbox.get(&id(2)).expect("it waits")), expected);
            damage();
            drop(outbox);
            std::fs::remove_dir_all(root.path().join(SpoolId::new(NOW, 2).to_string())).expect("removed");
        }
    }
}
