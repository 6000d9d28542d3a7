//! The function clears its `/tmp`, the spool included, as functions do: nothing that was acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::path::Path;
use std::process::{Command, Stdio};

use sandbox::s3::Fault;
use sandbox::{Sandbox, ShutdownReason, Work};
use world::{World, assert_whole};

/// Clears a directory over and over until it is dropped, as another process.
struct Clearing(std::process::Child);

impl Clearing {
    /// `None`, with a line, where the program is missing.
    fn start(program: &str, arguments: &[&str], directory: &Path) -> Option<Self> {
        let mut command = Command::new(program);
        command.args(arguments).arg(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).inspect_err(|error| println!("SKIPPED, {program}: {error}")).ok()
    }
}

impl Drop for Clearing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const FIND_DELETE: (&str, &[&str]) = ("sh", &["-c", "while :; do find \"$0\" -mindepth 1 -delete; sleep 0.05; done"]);
const RMTREE: (&str, &[&str]) = (
    "python3",
    &[
        "-c",
        "import os, shutil, sys, time\nwhile True:\n  [shutil.rmtree(e.path, True) for e in os.scandir(sys.argv[1])]\n  time.sleep(0.05)",
    ],
);

fn work(lines: u32) -> Work {
    Work { lines, sleep_ms: 20, ..Work::default() }
}

/// In this life, or on a busy machine in a later one.
async fn assert_all_delivered(world: &World, sandbox: &Sandbox) {
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

#[tokio::test]
async fn nothing_is_lost_while_the_function_clears_its_tmp() {
    for (program, arguments) in [FIND_DELETE, RMTREE] {
        let world = World::new().await;
        let sandbox = world.sandbox().start().await.unwrap();
        sandbox.invoke(work(5)).await;
        // Objects wait in the spool while it is cleared.
        world.s3.faults().set(Fault::RefuseConnections);
        sandbox.invoke(work(5)).await;
        let Some(clearing) = Clearing::start(program, arguments, world.tmp()) else { continue };
        for lines in 1..25 {
            assert!(sandbox.invoke(work(lines)).await.result.is_ok(), "the function does not notice");
        }
        drop(clearing);
        world.s3.faults().clear();
        for _ in 0..3 {
            sandbox.invoke(work(2)).await;
        }
        sandbox.shutdown(ShutdownReason::Spindown).await;
        assert_all_delivered(&world, &sandbox).await;
        assert_eq!(world.spools(), Vec::<std::path::PathBuf>::new());
        let output = sandbox.extension_output();
        assert!(output.iter().any(|line| line.contains("The spool was left for a new one")), "{output:#?}");
    }
}

#[tokio::test]
async fn what_was_cleared_is_on_disk_again_before_a_later_kill() {
    let world = World::new().await;
    let sandbox = world.sandbox().start().await.unwrap();
    world.s3.faults().set(Fault::RefuseConnections);
    for lines in [5, 40] {
        sandbox.invoke(work(lines)).await;
    }
    let cleared = Command::new("find").arg(world.tmp()).args(["-mindepth", "1", "-delete"]).status().unwrap();
    assert!(cleared.success());
    // The next invocation looks, at the latest.
    sandbox.invoke(work(7)).await;
    assert!(!world.spools().is_empty(), "the spool and what was in it are written anew");
    sandbox.kill_extension().await;
    world.s3.faults().clear();
    sandbox.invoke(work(1)).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_all_delivered(&world, &sandbox).await;
}

#[tokio::test]
async fn what_an_earlier_life_left_is_on_disk_again_when_it_was_cleared_too() {
    let world = World::new().await;
    let sandbox = world.sandbox().start().await.unwrap();
    world.s3.faults().set(Fault::RefuseConnections);
    sandbox.invoke(work(40)).await;
    sandbox.kill_extension().await;
    // The next life adopts what the first has left, and cannot deliver it either.
    sandbox.invoke(work(5)).await;
    sandbox.invoke(work(5)).await;
    assert_eq!(world.spools().len(), 2, "the first life waits");
    let cleared = Command::new("find").arg(world.tmp()).args(["-mindepth", "1", "-delete"]).status().unwrap();
    assert!(cleared.success());
    sandbox.invoke(work(7)).await;
    for _ in 0..200 {
        if world.spools().len() == 3 {
            break;
        }
        // Beside the appends, so a while later. A process that is frozen gets on with it when it is thawed.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        sandbox.invoke(work(1)).await;
    }
    assert_eq!(world.spools().len(), 3, "the first life, the one that was rolled away from, and the new one");
    sandbox.kill_extension().await;
    world.s3.faults().clear();
    sandbox.invoke(work(1)).await;
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_all_delivered(&world, &sandbox).await;
}
