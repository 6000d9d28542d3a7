//! A disk that is full or fails under the real process: the function works, what was acknowledged is delivered or declared,
//! and one line says what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

#[path = "../spool/tests/own_namespace/mod.rs"]
mod own_namespace;
mod world;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use own_namespace::with_small_disk;
use sandbox::s3::Fault;
use sandbox::{Sandbox, ShutdownReason, Work};
use world::{World, assert_whole, pause, the_line};

const MIB: u64 = 1024 * 1024;

fn work(lines: u32) -> Work {
    Work { lines, line_bytes: 400, ..Work::default() }
}

fn story(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

/// Another process that fills a disk to its last block, again and again; when dropped, what it took is free.
struct Filling<'a>(Child, &'a Path);

impl<'a> Filling<'a> {
    fn start(disk: &'a Path) -> Self {
        let script =
            "while :; do cat /dev/zero > \"$0/filler\" 2>/dev/null; sleep 0.03; rm \"$0/filler\"; sleep 0.03; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(disk).stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap(), disk)
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_file(self.1.join("filler"));
    }
}

async fn invoke(sandbox: &Sandbox, lines: u32) {
    let invocation = sandbox.invoke(work(lines)).await;
    assert!(invocation.result.is_ok(), "the function does not notice: {:?}", invocation.result);
}

/// Invokes until the extension has said a line, and then that it was said once. The free space is measured again once a
/// second only, trouble counts as over after five, and a freeze may come before the telemetry of an invocation.
async fn invoke_until_said(sandbox: &Sandbox, lines: u32, part: &str) {
    for _ in 0..200 {
        invoke(sandbox, lines).await;
        if sandbox.extension_output().iter().any(|line| line.contains(part)) {
            break;
        }
        pause(100).await;
    }
    the_line(sandbox, part);
}

/// A later life on the same disk, and its end: everything that is left is delivered.
async fn healed(world: &World, root: &Path) -> Sandbox {
    let sandbox = on(world, root).start().await.unwrap();
    invoke(&sandbox, 1).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    sandbox
}

fn on(world: &World, root: &Path) -> sandbox::SandboxBuilder {
    world
        .sandbox()
        .extension_env("LOGSPOOL_DIR", root.display().to_string())
        .extension_env("LOGSPOOL_KEEP_FREE", "0KiB")
        .extension_env("LOGSPOOL_SPOOL_MAX", "1GiB")
}

#[test]
fn a_function_that_fills_the_disk_while_logs_arrive_costs_declared_losses_only() {
    let name = "a_function_that_fills_the_disk_while_logs_arrive_costs_declared_losses_only";
    with_small_disk(name, MIB, |disk| {
        story(async {
            for when_full in ["drop-oldest", "drop-newest"] {
                let world = World::new().await;
                let root = disk.join(when_full);
                let sandbox = on(&world, &root).extension_env("LOGSPOOL_WHEN_FULL", when_full).start().await.unwrap();
                world.s3.faults().set(Fault::RefuseConnections);
                let filling = Filling::start(disk);
                for _ in 0..20 {
                    invoke(&sandbox, 150).await;
                }
                drop(filling);
                world.s3.faults().clear();
                invoke(&sandbox, 5).await;
                sandbox.shutdown(ShutdownReason::Spindown).await;
                let healed = healed(&world, &root).await;
                let verdict = world.verdict([&sandbox.ledger(), &healed.ledger()]);
                verdict.holds().unwrap();
                println!("  {when_full}: {verdict}");
                assert!(verdict.declared > 0, "{when_full}: the disk was full: {verdict}");
                assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
                assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is left");
            }
        });
    });
}

#[test]
fn a_disk_that_stays_full_is_said_once_and_works_again_when_there_is_room() {
    let name = "a_disk_that_stays_full_is_said_once_and_works_again_when_there_is_room";
    with_small_disk(name, MIB, |disk| {
        story(async {
            let world = World::new().await;
            let root = disk.join("spool");
            let sandbox = on(&world, &root).extension_env("LOGSPOOL_WHEN_FULL", "drop-newest").start().await.unwrap();
            invoke(&sandbox, 5).await;
            let filled =
                Command::new("sh").args(["-c", "cat /dev/zero > \"$0/filler\" 2>/dev/null"]).arg(disk).status();
            assert!(!filled.unwrap().success());
            invoke_until_said(&sandbox, 150, "Logs cannot be stored").await;
            for _ in 0..4 {
                invoke(&sandbox, 150).await;
            }
            the_line(&sandbox, "Logs cannot be stored");
            fs::remove_file(disk.join("filler")).unwrap();
            invoke_until_said(&sandbox, 5, "Logs are stored again").await;
            sandbox.shutdown(ShutdownReason::Spindown).await;
            let verdict = world.verdict([&sandbox.ledger()]);
            verdict.holds().unwrap();
            assert!(verdict.declared > 0 && verdict.spools.iter().all(|spool| spool.ended), "{verdict}");
            assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is left");
        });
    });
}

#[test]
fn a_read_only_disk_is_said_in_one_line_and_costs_no_log() {
    with_small_disk("a_read_only_disk_is_said_in_one_line_and_costs_no_log", MIB, |disk| {
        let read_only = Command::new("mount").args(["-o", "remount,ro"]).arg(disk).status().unwrap();
        assert!(read_only.success());
        story(async {
            let world = World::new().await;
            let sandbox = on(&world, &disk.join("spool")).start().await.unwrap();
            for lines in [5, 50] {
                invoke(&sandbox, lines).await;
            }
            sandbox.shutdown(ShutdownReason::Spindown).await;
            the_line(&sandbox, "There is no place for the spool");
            assert_whole(&world.verdict([&sandbox.ledger()]));
        });
    });
}

#[tokio::test]
async fn a_spool_directory_that_is_replaced_by_a_file_costs_no_log() {
    let world = World::new().await;
    let sandbox = world.sandbox().start().await.unwrap();
    world.s3.faults().set(Fault::RefuseConnections);
    invoke(&sandbox, 30).await;
    fs::remove_dir_all(world.spool_root()).unwrap();
    fs::write(world.spool_root(), b"a file in its place").unwrap();
    for lines in [5, 50] {
        invoke(&sandbox, lines).await;
    }
    invoke_until_said(&sandbox, 5, "The disk fails; logs are held in memory").await;
    fs::remove_file(world.spool_root()).unwrap();
    invoke_until_said(&sandbox, 2, "Logs are durable again").await;
    world.s3.faults().clear();
    invoke(&sandbox, 2).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_whole(&world.verdict([&sandbox.ledger()]));
}

/// The extension under a limit of open files.
fn with_descriptors(world: &World, descriptors: u32) -> sandbox::SandboxBuilder {
    world.sandbox().extension(world.wrapper(&format!("ulimit -n {descriptors}")))
}

/// With less it cannot connect to the platform beside its spool, its listener and its runtime.
#[tokio::test]
async fn few_descriptors_do_not_disturb_the_function_and_lose_nothing_silently() {
    for descriptors in [20, 24, 32] {
        let world = World::new().await;
        let sandbox = with_descriptors(&world, descriptors).start().await.unwrap();
        for lines in [5, 150, 5] {
            invoke(&sandbox, lines).await;
        }
        assert_eq!(sandbox.subscriptions().len(), 1, "{descriptors} descriptors: one life");
        sandbox.shutdown(ShutdownReason::Spindown).await;
        let healed = healed(&world, &world.spool_root()).await;
        assert_whole(&world.verdict([&sandbox.ledger(), &healed.ledger()]));
    }
}

/// Spools of earlier lives, with so many segments each.
fn leave_orphans(root: &Path, orphans: std::ops::Range<u32>, segments: u32) {
    for orphan in orphans {
        let config = spool::SpoolConfig {
            root: root.into(),
            compression: spool::Compression::default(),
            line_format: 0,
            label: std::sync::Arc::new(|_| "unused".into()),
            limits: spool::SpoolLimits { keep_free_bytes: 0, ..Default::default() },
        };
        let now_ms = 1_790_000_000_000;
        let identity = spool::Identity { id: spool::SpoolId::new(now_ms, orphan.into()), salt_seed: 1 };
        let mut spool = spool::Spool::create(config, identity, now_ms).unwrap();
        for _ in 0..segments {
            let meta = spool::Meta::default();
            let lines = b"{\"time\":\"2026-09-21T13:33:20.000Z\"}\n";
            let (first_line_ms, body_bytes, body_hash, end) = (None, 1, 1, false);
            let batch = spool::Batch { lines, records: 1, first_line_ms, body_bytes, body_hash, meta: &meta, end };
            spool.append(&batch, now_ms).unwrap();
            spool.seal(spool::SealReason::Size, now_ms).unwrap();
        }
    }
}

#[tokio::test]
async fn what_earlier_lives_left_does_not_take_the_descriptors_that_a_start_needs() {
    let world = World::new().await;
    leave_orphans(&world.spool_root(), 0..40, 12);
    leave_orphans(&world.spool_root(), 40..60, 1);
    let sandbox = with_descriptors(&world, 256).start().await.unwrap();
    invoke(&sandbox, 5).await;
    let output = sandbox.extension_output();
    assert!(!output.iter().any(|line| line.contains("could not be opened")), "{output:#?}");
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let healed = healed(&world, &world.spool_root()).await;
    assert_eq!((sandbox.subscriptions().len(), healed.subscriptions().len()), (1, 1), "no life was cut short");
    let objects = world.objects().len();
    assert!(objects > 0, "they are adopted");
}
