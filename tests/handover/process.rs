//! The process: intake over a spool on a directory. One that dies drops them, which is what SIGKILL leaves behind: whatever
//! was written, and a free lock.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use logspool::earlier_life;
use logspool::intake::{Intake, Outputs, Rules};
use logspool::lifecycle::machine::seal_policy::SealPolicy;
use logspool::runtime_api::event::StreamTypes;
use logspool::telemetry::listener::{Body, HandleBody};
use logspool::upload::object_key::ObjectKeys;
use logspool::upload::outbox::Outbox;
use logspool::upload::outgoing::{LINE_FORMAT_JSON, labeler};
use logspool::upload::store::ObjectStore;
use logspool::upload::store::file::FileStore;
use spool::{
    BodyId, Codec, Compression, Identity, SealReason, Spool, SpoolConfig, SpoolId, SpoolLimits, TailBudget,
    find_orphans,
};

pub const NOW_MS: i64 = 1_790_000_000_000;

pub struct Process {
    intake: Arc<Intake>,
    number: i64,
}

fn keys() -> ObjectKeys {
    ObjectKeys::for_function("f")
}

fn make_spool(root: &Path, number: i64, codec: Codec) -> Spool {
    let config = SpoolConfig {
        root: root.to_owned(),
        compression: Compression { codec, level: 1, frame_bytes_max: None },
        line_format: LINE_FORMAT_JSON,
        label: labeler(keys()),
        limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
    };
    // The order of their names is that of the lives.
    let identity = Identity { id: SpoolId::new(NOW_MS + number, 1), salt_seed: number.unsigned_abs() };
    Spool::create(config, identity, NOW_MS).unwrap()
}

impl Process {
    /// Begins as the extension does: with what the newest spool of the earlier lives tells.
    pub fn begin(root: &Path, number: i64, codec: Codec) -> Self {
        let spool = make_spool(root, number, codec);
        let found = find_orphans(root, spool.id()).unwrap();
        let earlier = earlier_life::read_within(&found.orphans, &mut TailBudget::new(u64::MAX, &|| false));
        let outputs = Outputs {
            events: Arc::new(|_| {}),
            orphans: Arc::new(|_| panic!("nothing fails here")),
            observed: Arc::new(|_| {}),
        };
        let types = StreamTypes { platform: true, function: true, extension: true };
        let seal = SealPolicy { invocations: None, age: std::time::Duration::from_secs(60), size_bytes: 1 << 30 };
        let spool = Arc::new(Mutex::new(spool));
        let intake = Intake::new(spool, Rules::new(types, seal), earlier, outputs);
        Self { intake: Arc::new(intake), number }
    }

    pub fn store(&self, body: &[u8]) -> BodyId {
        self.intake.handle(Body { bytes: body.to_vec(), cut_bytes: 0, sequence_id: None })
    }

    /// What a listener hands bodies to.
    pub fn handler(&self) -> Arc<dyn HandleBody> {
        Arc::clone(&self.intake) as _
    }

    /// Whether somebody else still has the handler.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.intake) > 1
    }

    pub fn answer_is_lost(&self, id: BodyId) {
        self.intake.answer_may_be_lost(id);
    }

    pub fn seal(&self) {
        self.intake.seal(SealReason::Size, NOW_MS);
    }

    pub fn number(&self) -> i64 {
        self.number
    }

    pub fn end(self) {
        self.intake.end(NOW_MS);
    }
}

/// Everything that all lives have left, by name of the object: adopted, and put where it would go.
pub fn deliver(root: &Path, number: i64) -> VecDeque<(String, Vec<u8>)> {
    let store_root = tempfile::tempdir().unwrap();
    let store = FileStore::new(store_root.path(), std::time::Duration::from_secs(60));
    let spool = make_spool(root, number, Codec::None);
    let orphans = find_orphans(root, spool.id()).unwrap().orphans;
    let mut outbox = Outbox::new(Arc::new(Mutex::new(spool)), keys(), "1".into());
    for orphan in orphans {
        outbox.adopt(orphan.adopt(&labeler(keys())).unwrap());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut names = Vec::new();
    loop {
        let next = outbox.waiting().next().cloned();
        let Some(outgoing) = next else { break };
        runtime.block_on(store.put(&outgoing.object())).unwrap();
        names.push(outgoing.key().to_owned());
        outbox.delivered(&outgoing.id());
    }
    names.sort_by(|a, b| file_name(a).cmp(file_name(b)));
    names
        .into_iter()
        .map(|name| (file_name(&name).to_owned(), std::fs::read(store_root.path().join(&name)).unwrap()))
        .collect()
}

fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap()
}

/// The file that the newest life writes to, and its length.
pub fn newest_file(root: &Path) -> (PathBuf, u64) {
    let newest = |directory: &Path| {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "seg"))
            .max()
            .unwrap()
    };
    let file = newest(&newest(root));
    let bytes = std::fs::metadata(&file).unwrap().len();
    (file, bytes)
}

/// Cuts a file behind the entry that begins there, as a kill does that comes between two writes.
pub fn cut_behind_entry(file: &Path, at: u64) {
    /// Length of an entry's header; behind magic, kind and flags stand the lengths of meta and payload.
    const HEADER_BYTES: u64 = 56;
    let bytes = std::fs::read(file).unwrap();
    let entry = &bytes[usize::try_from(at).unwrap()..];
    let meta_bytes = u16::from_le_bytes(*entry[6..].first_chunk().unwrap());
    let payload_bytes = u32::from_le_bytes(*entry[8..].first_chunk().unwrap());
    let end = at + HEADER_BYTES + u64::from(meta_bytes) + u64::from(payload_bytes);
    assert!(end <= bytes.len() as u64, "an entry is whole");
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(end).unwrap();
}
