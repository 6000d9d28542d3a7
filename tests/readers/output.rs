//! Real output: what two functions have written, one of them through an outage, a full spool, a kill and damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sandbox::oracle::{self, DeliveredObject};
use sandbox::s3::Fault;
use sandbox::{Fate, Sandbox, SandboxBuilder, ShutdownReason, Work};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::wire::Wire;
use crate::world::{World, file_name, pause};

/// The request that readers are asked for. It has records of every kind.
pub const REQUEST: &str = "79b4f56e-95b1-4643-9700-2807f4e68189";
const TIME: &str = "2026-11-23T06:46:05.505Z";
/// Of a segment file, see `docs/format.md`: what says whose it is, and that with the state slots.
const HEAD_BYTES: usize = 128;
const HEADER_BYTES: u64 = 512;
const FIELDS: &str = "function,version,region,account,spool,memory,architecture,traceId";

/// How the objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Zstd,
    /// Many frames in an object, at which some readers stop.
    ZstdFrames,
    Gzip,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Zstd, Self::ZstdFrames, Self::Gzip];
}

pub struct Output {
    /// Every object under its key.
    pub directory: TempDir,
    pub lines: Vec<Line>,
}

/// A line, and what the key of its object says.
#[derive(Debug, Clone)]
pub struct Line {
    pub key: String,
    pub spool: String,
    pub function: String,
    pub dt: String,
    pub hour: String,
    pub members: BTreeMap<String, Value>,
}

impl Line {
    pub fn text(&self, member: &str) -> Option<&str> {
        self.members.get(member).and_then(Value::as_str)
    }

    pub fn kind(&self) -> &str {
        self.text("type").unwrap()
    }

    pub fn seq(&self) -> u64 {
        self.members["seq"].as_u64().unwrap()
    }

    /// Of the record, if it is an object.
    pub fn recorded(&self, pointer: &str) -> Option<&Value> {
        self.members.get("record")?.pointer(pointer)
    }
}

impl Output {
    pub async fn new(kind: Kind) -> Self {
        let mut objects = orders(kind).await;
        objects.extend(payments(kind).await);
        assert_is(kind, &objects);
        let directory = TempDir::new().unwrap();
        let mut lines = Vec::new();
        for object in objects {
            let path = directory.path().join(&object.name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &object.bytes).unwrap();
            lines.extend(lines_of(&object));
        }
        Self { directory, lines }
    }

    /// What is rare, and made by hand here: a further end of a spool, as for what came after the first one; and a declared
    /// loss that lies in a second place.
    pub fn add_what_is_rare(&mut self) {
        let last = self.lines.iter().rfind(|line| line.kind() == "logspool.end" && line.function == "orders");
        let (mut further, seq) = (last.unwrap().clone(), last.unwrap().seq() + 1);
        further.key =
            format!("{}/{}-{seq:012}-{seq:012}-0000000000000000-end.ndjson", folder(&further.key), further.spool);
        further.members.insert("seq".into(), seq.into());
        further.members.insert("losses".into(), json!({ "quota": { "records": 1, "bytes": 99 } }));
        fs::write(self.directory.path().join(&further.key), json!(further.members).to_string() + "\n").unwrap();
        self.lines.push(further);

        let dropped =
            self.files().find(|path| path.extension().is_some_and(|extension| extension == "dropped")).unwrap();
        let name = dropped.display().to_string();
        let hour: u8 = name.split("/hour=").nth(1).unwrap()[..2].parse().unwrap();
        let second = name.replace(&format!("/hour={hour:02}/"), &format!("/hour={:02}/", (hour + 1) % 24));
        fs::create_dir_all(folder(&second)).unwrap();
        fs::copy(dropped, second).unwrap();
    }

    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        let objects = oracle::delivered_under(self.directory.path()).unwrap();
        objects.into_iter().map(|object| self.directory.path().join(object.name))
    }

    /// Makes objects that are not compressed of those that are.
    pub fn unpack(&self) {
        for path in self.files().filter(|path| path.extension().is_some_and(|extension| extension == "zst")) {
            let name = path.display().to_string();
            let text = DeliveredObject { name, bytes: fs::read(&path).unwrap() }.text().unwrap();
            fs::write(path.with_extension(""), text).unwrap();
            fs::remove_file(path).unwrap();
        }
    }

    /// Replaces a text that stands somewhere in the objects, which must not be compressed.
    pub fn replace(&self, old: &str, new: &str) {
        let mut found = false;
        for path in self.files() {
            let text = fs::read_to_string(&path).unwrap();
            found |= text.contains(old);
            fs::write(path, text.replace(old, new)).unwrap();
        }
        assert!(found, "{old}");
    }
}

/// The part of a key before its last `/`.
pub fn folder(key: &str) -> &str {
    key.rsplit_once('/').unwrap().0
}

fn lines_of(object: &DeliveredObject) -> Vec<Line> {
    let told = |name: &str| {
        let at = object.name.split('/').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        at.unwrap().to_owned()
    };
    let text = object.text().unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let line = |line| Line {
        key: object.name.clone(),
        spool: file_name(&object.name)[..26].to_owned(),
        function: told("function"),
        dt: told("dt"),
        hour: told("hour"),
        members: serde_json::from_slice(line).unwrap(),
    };
    lines.map(line).collect()
}

/// The objects are what the kind says, and one of them has several frames or members.
#[track_caller]
fn assert_is(kind: Kind, objects: &[DeliveredObject]) {
    let (ending, begin, several): (_, &[u8], _) = match kind {
        Kind::Zstd => (".ndjson.zst", b"\x28\xb5\x2f\xfd", false),
        Kind::ZstdFrames => (".ndjson.zst", b"\x28\xb5\x2f\xfd", true),
        Kind::Gzip => (".ndjson.gz", b"\x1f\x8b\x08\0\0\0\0\0", true),
    };
    let starts = |object: &DeliveredObject| object.bytes.windows(begin.len()).filter(|bytes| *bytes == begin).count();
    let (dropped, lines): (Vec<_>, Vec<_>) = objects.iter().partition(|object| object.name.ends_with(".dropped"));
    assert!(lines.iter().all(|object| object.name.ends_with(ending) && starts(object) > 0), "{kind:?}");
    assert_eq!(lines.iter().any(|object| starts(object) > 1), several, "{kind:?}");
    assert!(!dropped.is_empty());
}

fn sandbox(world: &World, function: &str, kind: Kind) -> SandboxBuilder {
    let sandbox = world
        .sandbox()
        .freeze(false)
        .function_name(function)
        .extension_env("LOGSPOOL_SEAL_AGE", "1h")
        .extension_env("LOGSPOOL_COMPRESSION", if kind == Kind::Gzip { "gzip" } else { "zstd" });
    if kind == Kind::ZstdFrames { sandbox.extension_env("LOGSPOOL_FRAME_SIZE", "64KiB") } else { sandbox }
}

async fn begun(sandbox: SandboxBuilder) -> Sandbox {
    let sandbox = sandbox.start().await.unwrap();
    sandbox.until(|ledger| ledger.with_fate(Fate::Acknowledged).any(|event| event.kind == "platform.initStart")).await;
    sandbox
}

async fn post(sandbox: &Sandbox, body: &[u8]) {
    assert_eq!(Wire::connect(sandbox).await.post(body).await, 200);
}

async fn event(sandbox: &Sandbox, kind: &str, record: Value) {
    post(sandbox, &serde_json::to_vec(&json!([{ "time": TIME, "type": kind, "record": record }])).unwrap()).await;
}

fn objects(world: &World) -> Vec<DeliveredObject> {
    let objects = world.objects().into_iter();
    objects.map(|object| DeliveredObject { name: object.key, bytes: object.bytes }).collect()
}

/// Text that hardly compresses.
fn noise(bytes: usize, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| rng.alphanumeric()).take(bytes).collect()
}

fn newest_segment(spool: &Path) -> PathBuf {
    let files = fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).max().unwrap()
}

/// The oldest segments give way in an outage, the process is killed, and its newest file is damaged.
async fn payments(kind: Kind) -> Vec<DeliveredObject> {
    let world = World::new().await;
    let small = sandbox(&world, "payments", kind)
        .extension_env("LOGSPOOL_SEAL_SIZE", "16KiB")
        .extension_env("LOGSPOOL_SPOOL_MAX", "256KiB");
    let life = begun(small).await;
    for _ in 0..3 {
        let work = Work { lines: 20, json: true, raw_every: Some(4), ..Work::default() };
        assert!(life.invoke(work).await.result.is_ok());
    }
    world.s3.faults().set(Fault::SlowDown);
    for seed in 0..30 {
        event(&life, "function", noise(20_000, seed).into()).await;
    }
    event(&life, "function", "the last words".into()).await;
    let [spool] = world.spools().try_into().expect("one life");
    // The next segment's file may be in the making.
    while fs::metadata(newest_segment(&spool)).unwrap().len() < HEADER_BYTES {
        pause(5).await;
    }
    life.kill_extension().await;
    let newest = newest_segment(&spool);
    let mut bytes = fs::read(&newest).unwrap();
    bytes[..HEAD_BYTES].fill(0);
    fs::write(newest, bytes).unwrap();
    world.s3.faults().clear();
    let next = begun(sandbox(&world, "payments", kind)).await;
    assert!(next.invoke(Work { logs_error: true, ..Work::default() }).await.result.is_ok());
    next.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    objects(&world)
}

/// Everything that lines can say, and some odd things that records may hold.
async fn orders(kind: Kind) -> Vec<DeliveredObject> {
    let world = World::new().await;
    let telling = sandbox(&world, "orders", kind)
        .extension_env("LOGSPOOL_FIELDS", FIELDS)
        .extension_env("LOGSPOOL_LABELS", "team=payments,stage=prüfung")
        .extension_env("LOGSPOOL_INVOCATIONS", "true");
    let life = begun(telling).await;
    let tracing =
        json!({ "type": "X-Amzn-Trace-Id", "value": "Root=1-6352a70e-1e2c;Parent=35465b3a9e2f7c6a;Sampled=1" });
    let start = json!({ "requestId": REQUEST, "version": "$LATEST", "tenantId": "blue", "tracing": tracing });
    event(&life, "platform.start", start).await;
    for record in records() {
        event(&life, "function", record).await;
    }
    post(&life, "no event\nat all ü".as_bytes()).await;
    post(&life, b"no \xff text").await;
    post(&life, br#"[{"time":"no time","type":"function","record":"when?"}]"#).await;
    for (request, duration_ms) in [(REQUEST, 693.92), ("r-2", 1.5), ("r-3", 20_000.001)] {
        let metrics = json!({
            "durationMs": duration_ms, "billedDurationMs": 694, "memorySizeMB": 128, "maxMemoryUsedMB": 84,
            "initDurationMs": 397.68,
        });
        event(&life, "platform.report", json!({ "requestId": request, "status": "success", "metrics": metrics })).await;
    }
    event(&life, "platform.logsDropped", json!({ "reason": "too fast", "droppedRecords": 3, "droppedBytes": 99 }))
        .await;
    life.shutdown(ShutdownReason::Spindown).await;
    world.heal().await;
    objects(&world)
}

fn records() -> Vec<Value> {
    let mut records = vec![
        json!("ü 😀 \u{2028} two\nlines, a tab\t, a quote \" and a zero \0"),
        json!(""),
        json!("17"),
        json!("2026-11-23T06:46:05.505Z"),
        json!({ "level": "ERROR", "Level": "both", "message": "größer", "nested": { "camelCase": [1, { "x": null }] } }),
        json!({ "level": "fatal" }),
        json!(format!("{TIME}\t{REQUEST}\tERROR\tas Node.js writes it")),
        // One member with three types.
        json!({ "level": 50 }),
        json!({ "level": { "name": "warn" } }),
        json!({}),
        json!(17),
        json!(-0.25),
        json!(true),
        json!(null),
        json!([1, "two", null]),
    ];
    // More than a gzip member of raw bytes, in lines that are large each.
    records.extend((0..3).map(|seed| json!(noise(500_000, seed))));
    records.push(json!({ "large": noise(300_000, 3) }));
    records
}
