//! The world that the stories are told in: a bucket, a directory that plays `/tmp`, and sandboxes over both.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use sandbox::oracle::{self, DeliveredObject, Verdict};
use sandbox::s3::{S3Server, StoredObject};
use sandbox::{Category, Ledger, Outcome, Sandbox, SandboxBuilder, ShutdownReason, Work};
use tempfile::TempDir;

pub const BUCKET: &str = "logs";
/// What the extension ships by default.
pub const SHIPPED: &[Category] = &[Category::Platform, Category::Function];

pub struct World {
    pub s3: S3Server,
    objects: TempDir,
    tmp: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let objects = TempDir::new().unwrap();
        let s3 = S3Server::start(objects.path()).await.unwrap();
        s3.create_bucket(BUCKET).unwrap();
        Self { s3, objects, tmp: TempDir::new().unwrap() }
    }

    /// A sandbox whose extension ships to the bucket. Waits are short, so that stories are.
    pub fn sandbox(&self) -> SandboxBuilder {
        Sandbox::builder()
            .extension(extension())
            .tmp(self.tmp.path())
            .extension_env("LOGSPOOL_DIR", self.spool_root().display().to_string())
            .extension_env("LOGSPOOL_DESTINATION", format!("s3://{BUCKET}/it"))
            .extension_env("AWS_ENDPOINT_URL_S3", self.s3.endpoint())
            .extension_env("AWS_REGION", self.s3.region())
            .extension_env("AWS_ACCESS_KEY_ID", self.s3.access_key_id())
            .extension_env("AWS_SECRET_ACCESS_KEY", self.s3.secret_access_key())
            .extension_env("LOGSPOOL_RETRY_BASE", "10ms")
            .extension_env("LOGSPOOL_RETRY_MAX", "100ms")
            // On a busy machine the platform would drop telemetry by its queue rule; the stories are about what comes after.
            .queue_rule(false)
            // Long limits where a story is not about them: a busy machine is no reason to fail.
            .extension_env("LOGSPOOL_REQUEST_TIMEOUT", "5s")
            .extension_env("LOGSPOOL_DRAIN_BUDGET", "20s")
            .function_timeout(Duration::from_secs(30))
    }

    pub fn tmp(&self) -> &Path {
        self.tmp.path()
    }

    pub fn spool_root(&self) -> PathBuf {
        self.tmp.path().join("spool")
    }

    /// An extension that a shell starts behind these lines of script.
    pub fn wrapper(&self, lines: &str) -> PathBuf {
        let wrapper = self.tmp.path().join("logspool");
        std::fs::write(&wrapper, format!("#!/bin/sh\n{lines}\nexec '{}'\n", extension())).unwrap();
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        wrapper
    }

    /// Lengths of the segment files of all spools; what vanishes meanwhile counts as nothing.
    pub fn segment_bytes(&self) -> u64 {
        let files = self.spools().into_iter().filter_map(|spool| std::fs::read_dir(spool).ok()).flatten().flatten();
        let segments = files.filter(|file| file.path().extension().is_some_and(|it| it == "seg"));
        segments.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    /// Spool directories that are left.
    pub fn spools(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.spool_root()) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Lives on the same disk until the spool is empty, and returns what was said in them. An idle machine delivers
    /// everything within the two seconds of SHUTDOWN; a busy one leaves the rest to the next life, as it should.
    pub async fn heal(&self) -> Vec<Ledger> {
        let mut ledgers = Vec::new();
        while !self.spools().is_empty() && ledgers.len() < 20 {
            let sandbox = self.sandbox().start().await.unwrap();
            sandbox.invoke(Work { lines: 0, ..Work::default() }).await;
            sandbox.shutdown(ShutdownReason::Spindown).await;
            ledgers.push(sandbox.ledger());
        }
        ledgers
    }

    pub fn objects(&self) -> Vec<StoredObject> {
        self.s3.objects(BUCKET).unwrap()
    }

    pub fn verdict<'a>(&self, ledgers: impl IntoIterator<Item = &'a Ledger>) -> Verdict {
        let objects: Vec<_> = self
            .objects()
            .into_iter()
            .map(|object| DeliveredObject { name: object.key, bytes: object.bytes })
            .collect();
        oracle::judge(ledgers, &objects, SHIPPED)
    }
}

/// The extension under test: that of this build, or any other (`LOGSPOOL_TEST_EXTENSION`), such as the one of a layer.
pub fn extension() -> &'static str {
    static OTHER: OnceLock<Option<String>> = OnceLock::new();
    let other = OTHER.get_or_init(|| std::env::var("LOGSPOOL_TEST_EXTENSION").ok());
    other.as_deref().unwrap_or_else(desk)
}

/// The program with all of its commands; the one of a layer does without some.
pub fn desk() -> &'static str {
    env!("CARGO_BIN_EXE_logspool")
}

/// Every acknowledged line is delivered exactly once, and something was delivered at all.
#[track_caller]
pub fn assert_whole(verdict: &Verdict) {
    if let Err(findings) = verdict.holds() {
        panic!("{findings}");
    }
    assert_eq!(verdict.lost.len(), 0, "{verdict}");
    assert_eq!(verdict.pending, 0, "{verdict}");
    assert!(verdict.delivered > 0, "{verdict}");
}

/// The one line of the extension's output that holds `part`.
#[track_caller]
pub fn the_line(sandbox: &Sandbox, part: &str) -> String {
    let output = sandbox.extension_output();
    let found: Vec<_> = output.iter().filter(|line| line.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part:?} must be said once, in {output:#?}");
    found[0].clone()
}

/// Three invocations and an orderly end, all in one life, none of which notices the extension.
pub async fn undisturbed(sandbox: &Sandbox) {
    for _ in 0..3 {
        let invocation = sandbox.invoke(Work::default()).await;
        assert!(invocation.result.is_ok(), "{:?}\n{:#?}", invocation.result, sandbox.extension_output());
        assert_eq!(invocation.outcome, Outcome::Success);
        assert!(!invocation.suppressed_init, "one life");
    }
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0));
}

/// Sleeps as part of a story (a pause between invocations), never to wait for something.
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Sends a signal to the extension's process.
pub fn signal(sandbox: &Sandbox, name: &str) {
    let pid = sandbox.extension_pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

pub mod wire;

impl World {
    /// Ends a life, lets later ones deliver what a busy machine has left of it, and checks that everything arrived.
    pub async fn end(&self, sandbox: &Sandbox) -> Verdict {
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(self.heal().await);
        let verdict = self.verdict(&ledgers);
        assert_whole(&verdict);
        verdict
    }

    /// The objects of the oldest spool, in the order of their numbers.
    pub fn objects_of_first_life(&self) -> Vec<StoredObject> {
        let mut objects = self.objects();
        objects.sort_by(|a, b| file_name(&a.key).cmp(file_name(&b.key)));
        let spool = |object: &StoredObject| file_name(&object.key).split('-').next().map(str::to_owned);
        let first = objects.first().and_then(spool);
        objects.into_iter().filter(|object| spool(object) == first).collect()
    }

    /// Why each of them was sealed.
    pub fn seals(&self) -> Vec<String> {
        self.objects_of_first_life().iter().map(|object| object.metadata["logspool-seal"].clone()).collect()
    }

    /// Uploads that the store has seen so far, whatever became of them.
    pub fn puts(&self) -> usize {
        self.s3.requests().iter().filter(|request| request.is_put()).count()
    }
}

/// What names an object wherever it lies.
pub fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}
