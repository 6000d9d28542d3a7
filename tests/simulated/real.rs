//! The real spool and the real outbox on a directory. A process that dies drops them, which is what SIGKILL leaves behind:
//! whatever was written, and a free lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use logspool::lifecycle::machine::Waiting;
use logspool::upload::object_key::ObjectKeys;
use logspool::upload::outbox::{self, Outbox};
use logspool::upload::outgoing::{LINE_FORMAT_JSON, OutgoingId, labeler};
use spool::{
    ActiveFacts, AppendError, Batch, Codec, Compression, Identity, Labeler, Meta, Orphan, SealReason, Spool,
    SpoolConfig, SpoolId, SpoolLimits, find_orphans,
};
use tempfile::TempDir;

use super::disk::{Change, Disk, Usage};

/// Limits are small, so that rare paths are common. A file takes a block at least.
const SEGMENTS_MAX: usize = 12;
const BYTES_MAX: u64 = 160 * 1024;

pub struct RealDisk {
    rng: fastrand::Rng,
    root: TempDir,
    keys: ObjectKeys,
    process: Option<Process>,
    changes: Vec<Change>,
    acknowledged: BTreeMap<SpoolId, u64>,
}

struct Process {
    spool: Arc<Mutex<Spool>>,
    outbox: Outbox,
    orphans: Vec<Orphan>,
}

impl RealDisk {
    pub fn new(seed: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        Self {
            rng: fastrand::Rng::with_seed(seed),
            root: root.unwrap(),
            keys: ObjectKeys::for_function("f"),
            process: None,
            changes: Vec::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    fn labeler(&self) -> Labeler {
        labeler(self.keys.clone())
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// What became of the living spool, as intake hands it on.
    fn note(&mut self) {
        let process = self.process.as_mut().unwrap();
        let events = process.spool.lock().unwrap().take_events();
        for event in events {
            let change = process.outbox.take(event);
            self.changes.extend(told(&process.outbox, change));
        }
    }

    fn write(&mut self, records: u32, end: bool, wall_ms: i64) -> bool {
        let mut spool = self.process().spool.lock().unwrap();
        let first = spool.next_seq().0;
        let lines: String = (first..first + u64::from(records)).map(|seq| format!("line {seq}\n")).collect();
        let meta = Meta::default();
        let batch = Batch {
            lines: lines.as_bytes(),
            records,
            first_line_ms: None,
            body_bytes: 0,
            body_hash: 0,
            meta: &meta,
            end,
        };
        let is_stored = match spool.append(&batch, wall_ms) {
            Ok(()) => true,
            Err(AppendError::Full(_)) => {
                spool.refuse(records.into(), lines.len() as u64, wall_ms).unwrap();
                false
            }
            Err(error) => panic!("{error}"),
        };
        let (id, next) = (spool.id(), spool.next_seq().0);
        drop(spool);
        self.acknowledged.insert(id, next);
        self.note();
        is_stored
    }
}

/// Changes as the uploader tells of them.
fn told(outbox: &Outbox, changes: impl IntoIterator<Item = outbox::Change>) -> Vec<Change> {
    let told = |change| match change {
        outbox::Change::Removed(id) => Some(Change::Removed(id)),
        outbox::Change::Added(id) => outbox.get(&id).map(|outgoing| {
            Change::Added(Waiting { id, oldest_ms: outgoing.oldest_ms(), is_urgent: outgoing.is_urgent() })
        }),
    };
    changes.into_iter().filter_map(told).collect()
}

impl Disk for RealDisk {
    fn kill(&mut self) {
        self.process = None;
        self.changes.clear();
    }

    fn begin(&mut self, wall_ms: i64) -> Vec<SpoolId> {
        let limits = SpoolLimits {
            keep_free_bytes: 0,
            bytes_max: Some(BYTES_MAX),
            segments_max: SEGMENTS_MAX,
            ..SpoolLimits::default()
        };
        let config = SpoolConfig {
            root: self.root.path().to_owned(),
            compression: Compression { codec: Codec::None, level: 1, frame_bytes_max: None },
            line_format: LINE_FORMAT_JSON,
            label: self.labeler(),
            limits,
        };
        let identity = Identity { id: SpoolId::new(wall_ms, self.rng.u128(..)), salt_seed: self.rng.u64(..) };
        let spool = Spool::create(config, identity, wall_ms).unwrap();
        let found = find_orphans(self.root.path(), spool.id()).unwrap();
        let orphans: Vec<_> = found.set_aside.into_iter().chain(found.orphans).collect();
        let ids = orphans.iter().map(Orphan::id).collect();
        let spool = Arc::new(Mutex::new(spool));
        let outbox = Outbox::new(Arc::clone(&spool), self.keys.clone(), "1".into());
        self.process = Some(Process { spool, outbox, orphans });
        ids
    }

    fn append(&mut self, records: u32, wall_ms: i64) -> bool {
        self.write(records, false, wall_ms)
    }

    fn active(&self) -> ActiveFacts {
        self.process.as_ref().map(|process| process.spool.lock().unwrap().active()).unwrap_or_default()
    }

    fn seal(&mut self, reason: SealReason, wall_ms: i64) -> bool {
        let sealed = self.process().spool.lock().unwrap().seal(reason, wall_ms).unwrap();
        self.note();
        sealed
    }

    fn end(&mut self, wall_ms: i64) {
        if self.process().spool.lock().unwrap().next_seq().0 > 0 {
            self.write(1, true, wall_ms);
        }
    }

    fn adopt(&mut self, orphan: SpoolId) {
        let label = self.labeler();
        let process = self.process.as_mut().unwrap();
        let Some(position) = process.orphans.iter().position(|other| other.id() == orphan) else { return };
        let adopted = process.orphans.remove(position).adopt(&label).unwrap();
        let changes = process.outbox.adopt(adopted);
        self.changes.extend(told(&process.outbox, changes));
    }

    fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn key(&self, id: &OutgoingId) -> Option<String> {
        let outgoing = self.process.as_ref()?.outbox.get(id)?;
        Some(outgoing.key().rsplit('/').next()?.to_owned())
    }

    fn attempt_begun(&mut self, id: &OutgoingId) {
        let outbox = &self.process().outbox;
        if let Some(outgoing) = outbox.get(id) {
            outbox.attempt_begun(&outgoing);
        }
    }

    fn attempt_ended(&mut self, id: &OutgoingId) {
        self.process().outbox.attempt_failed(id);
    }

    fn delivered(&mut self, id: &OutgoingId) {
        let process = self.process.as_mut().unwrap();
        let changes = process.outbox.delivered(id);
        self.changes.extend(told(&process.outbox, changes));
    }

    fn waiting(&self) -> usize {
        self.process.as_ref().map_or(0, |process| process.outbox.waiting().count())
    }

    fn usage(&self) -> Usage {
        let Some(process) = &self.process else { return Usage::default() };
        let spool = process.spool.lock().unwrap();
        let (own, bytes) = (spool.id(), spool.disk_bytes());
        drop(spool);
        let waiting = process.outbox.waiting().filter(|outgoing| outgoing.id().spool == own);
        Usage {
            segments: waiting.filter(|outgoing| !outgoing.key().ends_with(".dropped")).count(),
            segments_max: SEGMENTS_MAX,
            bytes,
            bytes_max: BYTES_MAX,
        }
    }

    fn acknowledged(&self) -> &BTreeMap<SpoolId, u64> {
        &self.acknowledged
    }
}
