//! Processes: frozen between invocations, and gone with the sandbox.

mod scripted;

use std::path::Path;

use sandbox::{Function, Sandbox, Work};
use scripted::{Script, eventually};

/// The state letter of `/proc/<pid>/stat`; `None` when the process is gone.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// A zombie is dead: it only waits to be reaped.
fn is_dead(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

#[tokio::test]
async fn extension_and_function_are_stopped_between_invocations() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    let pids = [sandbox.extension_pid(), sandbox.function_pid()].map(|pid| pid.expect("it runs"));
    for _ in 0..3 {
        sandbox.until_frozen().await;
        for pid in pids {
            // The signal is sent; the kernel stops the process a moment later.
            eventually(|| state(pid) == Some('T')).await;
        }
        assert!(sandbox.invoke(Work::default()).await.result.is_ok());
    }
}

#[tokio::test]
async fn without_freezing_nothing_is_stopped() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.freeze(false).start().await.expect("Init succeeds");
    sandbox.invoke(Work::default()).await;
    sandbox
        .until(|ledger| ledger.of_kind("platform.report").all(|entry| entry.fate == sandbox::Fate::Acknowledged))
        .await;
    assert!(!sandbox.is_frozen());
    assert_ne!(state(sandbox.extension_pid().expect("it runs")), Some('T'));
}

#[tokio::test]
async fn a_dropped_sandbox_leaves_no_process_and_no_directory_behind() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.until_frozen().await;
    let pids = [sandbox.extension_pid(), sandbox.function_pid()].map(|pid| pid.expect("it runs"));
    let tmp = sandbox.tmp().to_owned();
    drop(sandbox);
    assert!(pids.into_iter().all(is_dead));
    assert!(!tmp.exists());
}

/// A function that has a descendant, whose process id it writes to a file, and then does something else.
fn with_descendant(pid_file: &Path, then: &str) -> Function {
    let script = format!("sleep 3600 & echo $! > \"$0.new\" && mv \"$0.new\" \"$0\"; {then}");
    Function::command(["sh".into(), "-c".into(), script.into(), pid_file.as_os_str().to_owned()])
}

#[tokio::test]
async fn descendants_of_the_function_die_with_the_sandbox() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pid_file = directory.path().join("pid");
    let starting = tokio::spawn(Sandbox::builder().function(with_descendant(&pid_file, "wait")).start());
    let descendant = read_pid(&pid_file).await;
    assert!(!is_dead(descendant));
    starting.abort();
    let _ = starting.await;
    eventually(|| is_dead(descendant)).await;
}

#[tokio::test]
async fn descendants_of_the_function_die_with_its_process() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pid_file = directory.path().join("pid");
    let started = Sandbox::builder().function(with_descendant(&pid_file, "exit 1")).start().await;
    assert!(started.is_err());
    let descendant = read_pid(&pid_file).await;
    eventually(|| is_dead(descendant)).await;
}

#[tokio::test]
async fn a_killed_host_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("estate");
    let script = Script { stubborn: true, ..Script::default() };
    let mut host = scripted::host(&scripted::extension_in(directory.path()), &script, &file);
    eventually(|| file.exists()).await;
    host.kill().expect("it runs");
    host.wait().expect("it was killed");

    let estate = std::fs::read_to_string(&file).expect("readable");
    let lines: Vec<&str> = estate.lines().collect();
    for pid in &lines[..2] {
        let pid = pid.parse().expect("a process id");
        eventually(|| is_dead(pid)).await;
    }
    eventually(|| !Path::new(lines[2]).exists()).await;
}

async fn read_pid(file: &Path) -> u32 {
    eventually(|| file.exists()).await;
    std::fs::read_to_string(file).expect("readable").trim().parse().expect("a process id")
}

#[tokio::test]
async fn the_directory_of_the_caller_outlives_the_sandbox() {
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.tmp(tmp.path()).start().await.expect("Init succeeds");
    sandbox.invoke(Work::default()).await;
    sandbox.until_frozen().await;
    drop(sandbox);
    assert!(tmp.path().exists());
}

#[tokio::test]
async fn the_extensions_memory_is_measured() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.start().await.expect("Init succeeds");
    sandbox.invoke(Work::default()).await;
    assert!(sandbox.peak_rss_kib() > 500, "{} KiB", sandbox.peak_rss_kib());
    assert!(sandbox.extension_init_duration() <= sandbox.init_duration());
}
