//! What `deploy/layer/build` makes a layer of: a binary that runs wherever Lambda runs one. How it is packed is tested where
//! that is done.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/layer").join(file)
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn check(binary: &Path, architecture: &str) -> (Option<i32>, String) {
    run(Command::new(deploy("check")).arg(binary).arg(architecture))
}

/// The architecture of this machine, as Lambda calls it, and the other one.
fn architectures() -> [&'static str; 2] {
    if cfg!(target_arch = "aarch64") { ["arm64", "x86_64"] } else { ["x86_64", "arm64"] }
}

#[test]
fn a_binary_that_would_not_run_on_every_runtime_is_refused() {
    let [here, other] = architectures();
    let dynamic = Path::new(world::desk());
    let (code, said) = check(dynamic, here);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("it needs GLIBC_2.") && said.ends_with("Amazon Linux 2 has glibc 2.26\n"), "{said}");
    let (code, said) = check(dynamic, other);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.ends_with(&format!("it is not for {other}\n")), "{said}");

    match shipped() {
        Ok(binary) => assert_eq!(check(&binary, here), (Some(0), String::new())),
        Err(why) => prepared::say_skipped(&format!("the binary of the layer: {why}")),
    }
}

#[test]
fn a_layer_has_the_commands_that_are_of_use_in_an_environment() {
    let binary = match shipped() {
        Ok(binary) => binary,
        Err(why) => return prepared::say_skipped(&format!("the binary of the layer: {why}")),
    };
    for command in ["cat", "verify", "plan", "recover"] {
        let (code, said) = run(Command::new(&binary).args([command, "file:///nowhere"]));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("logspool: the binary of a layer does without this command"), "{said}");
    }
    let nothing = tempfile::tempdir().unwrap();
    let (code, said) = run(Command::new(&binary).args(["spool", "ls"]).arg(nothing.path()));
    assert_ne!(code, None);
    assert!(!said.contains("does without"), "{said}");
    let (_, said) = run(Command::new(&binary).args(["doctor", "file:///nowhere"]).env_clear());
    assert!(said.starts_with("CHECK"), "{said}");
}

/// The binary of the layer, unpacked; or why there is none.
fn shipped() -> Result<PathBuf, String> {
    prepared::prepared("images", "tests/images/prepare").map(|directory| directory.join("logspool"))
}

#[test]
fn what_cannot_be_built_is_refused_with_what_is_missing() {
    let (code, said) = run(Command::new(deploy("build")).arg("mips"));
    assert_eq!((code, said.as_str()), (Some(1), "logspool for mips: not built: Lambda has x86_64 and arm64\n"));
    let [_, other] = architectures();
    let target = if other == "arm64" { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };
    let sysroot = run(Command::new("rustc").args(["--print", "sysroot"])).1;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(target).is_dir() {
        return prepared::say_skipped("a Rust target that is not installed: both are");
    }
    let (code, said) = run(Command::new(deploy("build")).arg(other));
    assert_eq!(code, Some(1));
    let missing = format!("the Rust target is not installed: rustup target add {target}\n");
    assert_eq!(said, format!("logspool for {other}: not built: {missing}"));
}
