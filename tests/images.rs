//! The extension in container images: one static binary, in a root file system that holds nothing else and is read-only.
//!
//! Needs what `tests/images/prepare` builds, and a machine on which a root file system can be entered.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

#[path = "images/elf.rs"]
mod elf;
mod prepared;
mod world;

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use prepared::{prepared, say_skipped};
use sandbox::SandboxBuilder;
use tempfile::TempDir;
use world::{World, assert_whole, the_line, undisturbed};

/// Where images have the extension.
const PROGRAM: &str = "/opt/extensions/logspool";
/// How a TLS record begins that shakes hands.
const HANDSHAKE: u8 = 22;

/// The static binary, if it was made of the sources as they are.
fn binary() -> Result<PathBuf, String> {
    const SCRIPT: &str = "tests/images/prepare";
    let directory = prepared("images", SCRIPT)?;
    let built = modified(&directory.with_extension("ready"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["src", "spool/src", "Cargo.toml", "Cargo.lock", "spool/Cargo.toml"];
    if sources.iter().any(|source| newest(&root.join(source)) > built) {
        return Err(format!("the binary is older than its sources: run `{SCRIPT}`"));
    }
    Ok(directory.join("logspool"))
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn newest(path: &Path) -> SystemTime {
    let Ok(entries) = fs::read_dir(path) else { return modified(path) };
    entries.map(|entry| newest(&entry.unwrap().path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// An image with the extension, an empty `/tmp`, and nothing else; if it can be had and entered here.
fn image() -> Option<TempDir> {
    let binary = binary().and_then(|binary| sandbox::images_can_be_entered().map(|_| binary));
    let binary = binary.map_err(|why| say_skipped(&why)).ok()?;
    let image = TempDir::new().unwrap();
    fs::create_dir_all(image.path().join("opt/extensions")).unwrap();
    fs::create_dir(image.path().join("tmp")).unwrap();
    fs::copy(binary, image.path().join(&PROGRAM[1..])).unwrap();
    Some(image)
}

/// A sandbox whose extension lives in the image. Its spool is where later lives look for it.
fn in_image(world: &World, image: &TempDir) -> SandboxBuilder {
    world.sandbox().extension(PROGRAM).image(image.path()).extension_env("LOGSPOOL_DIR", "/tmp/spool")
}

/// What stands in the image, as paths below it.
fn files(image: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![image.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                todo.push(entry);
            } else {
                found.push(entry.strip_prefix(image).unwrap().display().to_string());
            }
        }
    }
    found
}

/// An image of Alpine has no loader for programs that were linked against glibc, and one with nothing in it has none at all.
#[test]
fn the_binary_needs_neither_a_loader_nor_a_library() {
    match binary() {
        Ok(binary) => {
            assert_eq!(elf::needs(&fs::read(binary).unwrap()), Vec::<elf::Need>::new());
            let dynamic = fs::read(world::desk()).unwrap();
            assert!(elf::needs(&dynamic).contains(&elf::Need::Loader), "the check can fail");
        }
        Err(why) => say_skipped(&why),
    }
}

/// No CA bundle, no user database, no resolver's configuration, no `/etc/hosts`, no `/proc`, no `/dev/null`; as distroless images,
/// and emptier.
#[tokio::test]
async fn in_an_image_with_nothing_but_itself_every_line_is_delivered_and_nothing_is_said() {
    let Some(image) = image() else { return };
    let world = World::new().await;
    let sandbox = in_image(&world, &image).start().await.unwrap();
    undisturbed(&sandbox).await;
    assert_eq!(sandbox.extension_output(), Vec::<String>::new());
    assert_eq!(files(image.path()), [&PROGRAM[1..]], "nothing was written but to /tmp");
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

/// Names are looked up in the image's own files, without the libraries that a dynamic program would load for it.
#[tokio::test]
async fn a_store_is_found_by_its_name() {
    let Some(image) = image() else { return };
    fs::create_dir(image.path().join("etc")).unwrap();
    fs::write(image.path().join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    let world = World::new().await;
    let by_name = world.s3.endpoint().replace("127.0.0.1", "localhost");
    assert!(by_name.contains("localhost"), "{by_name}");
    let sandbox = in_image(&world, &image).extension_env("AWS_ENDPOINT_URL_S3", by_name).start().await.unwrap();
    undisturbed(&sandbox).await;
    assert_eq!(sandbox.extension_output(), Vec::<String>::new());
    let delivered = world.objects().len();
    assert!(delivered > 0, "by this life, and not by one outside of the image");
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

#[tokio::test]
async fn a_spool_outside_of_tmp_is_refused_by_the_read_only_root_in_one_line_and_costs_no_log() {
    let Some(image) = image() else { return };
    let world = World::new().await;
    let sandbox = in_image(&world, &image).extension_env("LOGSPOOL_DIR", "/var/spool").start().await.unwrap();
    undisturbed(&sandbox).await;
    let line = the_line(&sandbox, "There is no place for the spool");
    assert!(line.contains("Read-only file system"), "{line}");
    assert_eq!(sandbox.extension_output().len(), 1, "{:#?}", sandbox.extension_output());
    assert_whole(&world.verdict([&sandbox.ledger()]));
}

/// The roots of trust are in the binary: the store is called over TLS, whatever certificates the image has.
#[tokio::test]
async fn without_a_ca_bundle_the_store_is_called_over_tls() {
    let Some(image) = image() else { return };
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", store.local_addr().unwrap());
    let first_byte = std::thread::spawn(move || {
        let mut byte = [0];
        store.accept().unwrap().0.read_exact(&mut byte).unwrap();
        byte[0]
    });
    let world = World::new().await;
    let sandbox = in_image(&world, &image).extension_env("AWS_ENDPOINT_URL_S3", endpoint).start().await.unwrap();
    undisturbed(&sandbox).await;
    assert_eq!(first_byte.join().unwrap(), HANDSHAKE);
    for line in sandbox.extension_output() {
        let is_about_the_peer =
            ["An upload failed", "Not everything was delivered"].iter().any(|part| line.contains(part));
        assert!(is_about_the_peer && !line.to_lowercase().contains("certificate"), "{line}");
    }
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}
