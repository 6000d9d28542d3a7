//! Segments that can no longer be read, because somebody removed or damaged their files: they are declared lost, once, and
//! keep nobody waiting.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use logspool::deadline::now_ms;
use logspool::lifecycle::machine::Event;
use logspool::upload::object_key::ObjectKeys;
use logspool::upload::outbox::Outbox;
use logspool::upload::outgoing::{LINE_FORMAT_JSON, labeler};
use logspool::upload::route::Place;
use logspool::upload::store::file::FileStore;
use logspool::upload::uploader::Uploader;
use spool::{
    Batch, Compression, Identity, Labeler, Meta, Orphan, SealReason, Spool, SpoolConfig, SpoolId, SpoolLimits,
};
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// Segments, of which the oldest six have no descriptor.
const SEGMENTS: usize = 70;

/// A spool, and an uploader to a directory.
struct World {
    root: tempfile::TempDir,
    spool: Arc<Mutex<Spool>>,
    uploader: Uploader,
    /// What the uploader tells whoever decides.
    told: UnboundedReceiver<Event>,
    attempts: u64,
    failed_attempts: u32,
    label: Labeler,
}

fn identity(life: u32) -> Identity {
    Identity { id: SpoolId::new(now_ms(), u128::from(life)), salt_seed: u64::from(life) }
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let keys = ObjectKeys::for_function("f");
        let label = labeler(keys.clone());
        let config = SpoolConfig {
            root: root.path().join("spools"),
            compression: Compression::default(),
            line_format: LINE_FORMAT_JSON,
            label: Arc::clone(&label),
            limits: SpoolLimits { keep_free_bytes: 0, bytes_max: Some(u64::MAX), ..SpoolLimits::default() },
        };
        let spool = Arc::new(Mutex::new(Spool::create(config, identity(1), now_ms()).unwrap()));
        let store = Arc::new(FileStore::new(root.path().join("objects"), std::time::Duration::from_secs(60)));
        let outbox = Outbox::new(Arc::clone(&spool), keys, "1".to_owned());
        let (events, told) = mpsc::unbounded_channel();
        let uploader = Uploader::new(store as Arc<dyn logspool::upload::store::ObjectStore>, outbox, events);
        Self { root, spool, uploader, told, attempts: 0, failed_attempts: 0, label }
    }

    fn spools(&self) -> PathBuf {
        self.root.path().join("spools")
    }

    fn file(&self, segment: usize) -> PathBuf {
        self.spools().join(self.spool.lock().unwrap().id().to_string()).join(format!("{segment:012}.seg"))
    }

    /// Segments with one record each, all of them known to the uploader.
    fn fill(&self) {
        let mut spool = self.spool.lock().unwrap();
        let meta = Meta::default();
        for _ in 0..SEGMENTS {
            let lines = format!("{{\"seq\":{}}}\n", spool.next_seq());
            let lines = lines.as_bytes();
            let batch =
                Batch { lines, records: 1, first_line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta, end: false };
            spool.append(&batch, now_ms()).unwrap();
            assert!(spool.seal(SealReason::Size, now_ms()).unwrap());
        }
        let events = spool.take_events();
        drop(spool);
        events.into_iter().for_each(|event| self.uploader.take(event));
    }

    /// Adopts a spool that was left.
    fn adopt(&self, orphan: Orphan) {
        self.uploader.adoption_begins();
        self.uploader.adoption_ends(Some(orphan.adopt(&self.label).unwrap()));
    }

    /// Leaves the spool for a new one.
    fn roll(&self) -> Orphan {
        self.spool.lock().unwrap().roll(identity(2), now_ms()).unwrap()
    }

    /// Damages the header of segments; their entries can be read by whoever knows the file.
    fn damage_headers(&self, segments: &[usize]) {
        for segment in segments {
            let mut bytes = fs::read(self.file(*segment)).unwrap();
            bytes[20] ^= 1;
            fs::write(self.file(*segment), bytes).unwrap();
        }
    }

    /// Tries what waits, one after the other, until nothing does.
    async fn deliver(&mut self) {
        while let Some(next) = self.uploader.waiting().first() {
            self.attempts += 1;
            assert!(self.attempts < 1_000, "something is tried for ever");
            self.uploader.start(next.id, Place::DESTINATION, self.attempts);
            self.failed_attempts += u32::from(!self.succeeded().await);
        }
    }

    async fn succeeded(&mut self) -> bool {
        loop {
            if let Event::AttemptEnded { attempt, result, .. } = self.told.recv().await.unwrap()
                && attempt == self.attempts
            {
                return result.is_ok();
            }
        }
    }

    /// Objects that hold records, and the causes of declared losses with the lines that tell of them.
    fn delivered(&self) -> (usize, Vec<String>) {
        let mut files = Vec::new();
        list(&self.root.path().join("objects"), &mut files);
        let (dropped, objects): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| path.to_str().unwrap().ends_with(".dropped"));
        let mut lines: Vec<_> = dropped.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        lines.sort_unstable();
        (objects.len(), lines)
    }
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

fn tells_of(line: &str, seq: usize, cause: &str) -> bool {
    line.contains(&format!("\"seq\":{seq},\"last\":{seq},")) && line.contains(&format!("\"cause\":\"{cause}\""))
}

#[tokio::test]
async fn a_file_that_vanished_and_one_that_is_damaged_are_declared_and_the_others_delivered() {
    let mut world = World::new();
    world.fill();
    fs::remove_file(world.file(2)).unwrap();
    let damaged = world.file(SEGMENTS - 1);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[600] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    world.deliver().await;
    let (objects, lines) = world.delivered();
    assert_eq!((objects, lines.len(), world.uploader.waiting().len()), (SEGMENTS - 2, 2, 0), "{lines:?}");
    assert!(tells_of(&lines[0], 2, "vanished") && tells_of(&lines[1], SEGMENTS - 1, "damage"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("maybeDelivered")), "{lines:?}");
    assert_eq!((world.spool.lock().unwrap().undelivered(), world.failed_attempts), (0, 2));
}

#[tokio::test]
async fn what_vanishes_of_an_adopted_spool_is_declared_and_the_spool_ends() {
    let mut world = World::new();
    world.fill();
    let oldest = world.file(0);
    world.adopt(world.roll());
    fs::remove_file(oldest).unwrap();
    world.deliver().await;
    let (objects, lines) = world.delivered();
    assert_eq!(
        (objects, lines.len(), world.uploader.waiting().len()),
        (SEGMENTS - 1 + 1, 1, 0),
        "and the end: {lines:?}"
    );
    assert!(tells_of(&lines[0], 0, "vanished"), "{lines:?}");
    assert_eq!(fs::read_dir(world.spools()).unwrap().count(), 1, "only the living spool is left");
}

#[tokio::test]
async fn what_vanished_of_a_spool_that_was_left_is_declared_when_it_is_adopted() {
    let mut world = World::new();
    world.fill();
    let cleared = world.file(0).parent().unwrap().to_owned();
    fs::remove_dir_all(cleared).unwrap();
    let mut orphan = world.roll();
    world.deliver().await;
    assert_eq!(world.delivered(), (SEGMENTS - 6, vec![]), "by their descriptors");
    assert!(orphan.rescue().unwrap());
    world.uploader.adoption_begins();
    world.uploader.adoption_ends(Some(orphan.adopt(&world.label).unwrap()));
    world.deliver().await;
    let (objects, lines) = world.delivered();
    assert_eq!(
        (objects, lines.len(), world.uploader.waiting().len()),
        (SEGMENTS - 6 + 1, 6, 0),
        "and the end: {lines:?}"
    );
    assert!((0..6).all(|seq| tells_of(&lines[seq], seq, "vanished")), "{lines:?}");
    assert_eq!(fs::read_dir(world.spools()).unwrap().count(), 1, "only the living spool is left");
}

#[tokio::test]
async fn what_an_adopter_finds_takes_the_place_of_what_the_spool_had_said() {
    let mut world = World::new();
    world.fill();
    world.damage_headers(&[10, 11]);
    world.adopt(world.roll());
    world.deliver().await;
    let (objects, lines) = world.delivered();
    assert_eq!(
        (objects, lines.len(), world.uploader.waiting().len()),
        (SEGMENTS - 2 + 1, 1, 0),
        "and the end: {lines:?}"
    );
    assert!(
        lines[0].contains("\"seq\":10,\"last\":11,"),
        "one range, and nothing of it is delivered as well: {lines:?}"
    );
}

#[tokio::test]
async fn an_upload_that_ends_when_an_adopter_has_found_something_else_says_nothing_of_that() {
    let mut world = World::new();
    world.fill();
    let begun = world.uploader.waiting()[10].id;
    world.attempts += 1;
    world.uploader.start(begun, Place::DESTINATION, world.attempts);
    world.damage_headers(&[10, 11]);
    world.adopt(world.roll());
    let told = std::iter::from_fn(|| world.told.try_recv().ok()).count();
    assert!(told > 0, "what waits");
    // The upload goes on, and succeeds.
    while !matches!(world.told.recv().await.unwrap(), Event::Added(waiting) if waiting.id == begun) {}
    world.deliver().await;
    let (objects, lines) = world.delivered();
    assert_eq!((objects, lines.len()), (SEGMENTS - 2 + 1 + 1, 1), "the end, the object that was on its way: {lines:?}");
    assert!(lines[0].contains("\"seq\":10,\"last\":11,"), "what the adopter found is told: {lines:?}");
}
