//! An outage across SHUTDOWN: what the destination does not take is found again wherever it was sent, by documented means.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sandbox::oracle::{self, DeliveredObject, Verdict};
use sandbox::s3::{Fault, S3Options, S3Server};
use sandbox::{Fate, Ledger, Sandbox, ShutdownReason, Work};
use tempfile::TempDir;
use world::{SHIPPED, World, assert_whole, file_name};

fn work(lines: u32) -> Work {
    Work { lines, ..Work::default() }
}

/// A bucket in another region and account, behind another endpoint.
struct Rescue {
    s3: S3Server,
    _objects: TempDir,
}

impl Rescue {
    async fn new(world: &World) -> Self {
        let objects = TempDir::new().unwrap();
        let options = S3Options {
            region: "eu-central-1".to_owned(),
            access_key_id: world.s3.access_key_id().to_owned(),
            secret_access_key: world.s3.secret_access_key().to_owned(),
            ..S3Options::default()
        };
        let s3 = S3Server::start_with(objects.path(), options).await.unwrap();
        s3.create_bucket("rescue").unwrap();
        Self { s3, _objects: objects }
    }

    fn url(&self) -> String {
        format!("s3://rescue/other/place?region=eu-central-1&endpoint={}", self.s3.endpoint())
    }

    fn objects(&self) -> Vec<DeliveredObject> {
        let objects = self.s3.objects("rescue").unwrap();
        objects.into_iter().map(|object| DeliveredObject { name: object.key, bytes: object.bytes }).collect()
    }
}

fn delivered(world: &World) -> Vec<DeliveredObject> {
    let objects = world.objects();
    objects.into_iter().map(|object| DeliveredObject { name: object.key, bytes: object.bytes }).collect()
}

fn files(root: &Path) -> Vec<DeliveredObject> {
    oracle::delivered_under(root).unwrap()
}

/// What a reader makes of several places: the same name is the same object, and counts once.
fn judge(ledgers: &[Ledger], places: impl IntoIterator<Item = Vec<DeliveredObject>>) -> Verdict {
    let mut objects = BTreeMap::new();
    for object in places.into_iter().flatten() {
        let name = file_name(&object.name).to_owned();
        let bytes = objects.entry(name.clone()).or_insert_with(|| object.bytes.clone());
        assert_eq!(*bytes, object.bytes, "{name} has two contents");
    }
    let objects: Vec<_> = objects.into_iter().map(|(name, bytes)| DeliveredObject { name, bytes }).collect();
    oracle::judge(ledgers, &objects, SHIPPED)
}

/// Some invocations are delivered; then the destination is gone, and SHUTDOWN comes.
async fn outage(world: &World, settings: &[(&str, &str)]) -> Sandbox {
    let mut builder = world.sandbox();
    for (name, value) in settings {
        builder = builder.extension_env(*name, *value);
    }
    let sandbox = builder.start().await.unwrap();
    for lines in [10, 3] {
        assert!(sandbox.invoke(work(lines)).await.result.is_ok());
    }
    world.s3.faults().set(Fault::RefuseConnections);
    for lines in [10, 200, 3] {
        assert!(sandbox.invoke(work(lines)).await.result.is_ok());
    }
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    sandbox
}

/// What `logspool recover` makes of the log of a function.
fn recover(root: &Path, log: &[String]) -> PathBuf {
    let (dir, export) = (root.join("recovered"), root.join("export.txt"));
    std::fs::write(&export, log.join("\n")).unwrap();
    let output =
        Command::new(world::desk()).args(["recover", "recovered"]).arg(&export).current_dir(root).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{}", String::from_utf8_lossy(&output.stdout));
    dir
}

#[tokio::test]
async fn a_second_bucket_takes_what_the_first_does_not() {
    let world = World::new().await;
    let rescue = Rescue::new(&world).await;
    let sandbox = outage(&world, &[("LOGSPOOL_FALLBACK", &rescue.url())]).await;
    let verdict = judge(&[sandbox.ledger()], [delivered(&world), rescue.objects()]);
    assert_whole(&verdict);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{verdict}");
    assert_eq!(world.spools(), Vec::<PathBuf>::new(), "a fallback that took it counts");
    let names: Vec<_> = rescue.objects().into_iter().map(|object| object.name).collect();
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("other/place/function=")), "{names:?}");
}

#[tokio::test]
async fn a_directory_takes_what_no_bucket_does() {
    let world = World::new().await;
    let rescue = Rescue::new(&world).await;
    rescue.s3.faults().set(Fault::AccessDenied);
    let mount = TempDir::new().unwrap();
    let fallbacks = format!("{},file://{}", rescue.url(), mount.path().display());
    let sandbox = outage(&world, &[("LOGSPOOL_FALLBACK", &fallbacks)]).await;
    assert!(rescue.s3.requests().iter().any(|request| request.is_put()), "it was asked before");
    assert_whole(&judge(&[sandbox.ledger()], [delivered(&world), files(mount.path())]));
    assert_eq!((world.spools(), rescue.objects().len()), (Vec::<PathBuf>::new(), 0));
}

#[tokio::test]
async fn the_log_of_the_function_gives_back_every_object_byte_by_byte() {
    for trusted in ["true", "false"] {
        let world = World::new().await;
        let settings = [("LOGSPOOL_FALLBACK", "stdout:"), ("LOGSPOOL_FALLBACK_STDOUT_TRUSTED", trusted)];
        let sandbox = outage(&world, &settings).await;
        let root = TempDir::new().unwrap();
        let recovered = files(&recover(root.path(), &sandbox.extension_output()));
        let before = delivered(&world);
        let verdict = judge(&[sandbox.ledger()], [before.clone(), recovered.clone()]);
        assert_whole(&verdict);
        assert!(verdict.spools.iter().all(|spool| spool.ended), "{verdict}");
        assert_eq!(world.spools().is_empty(), trusted == "true", "what nobody confirmed stays in the spool");
        let said = world::the_line(&sandbox, "stdout: it works only while the function's role may write");
        assert!(said.contains("WARN"), "{said}");

        // The next life delivers what stayed: the same bytes under the same names.
        world.s3.faults().clear();
        let mut ledgers = vec![sandbox.ledger()];
        ledgers.extend(world.heal().await);
        assert_whole(&judge(&ledgers, [delivered(&world), recovered.clone()]));
        let later: Vec<_> = delivered(&world).into_iter().map(|object| file_name(&object.name).to_owned()).collect();
        for object in &recovered {
            let name = file_name(&object.name);
            assert_eq!(later.iter().any(|later| later == name), trusted == "false", "{name}");
        }
    }
}

#[tokio::test]
async fn fallbacks_are_asked_for_nothing_while_the_destination_works() {
    let world = World::new().await;
    let rescue = Rescue::new(&world).await;
    let fallbacks = format!("{},stdout:", rescue.url());
    let sandbox = world.sandbox().extension_env("LOGSPOOL_FALLBACK", fallbacks).start().await.unwrap();
    for lines in [10, 3] {
        sandbox.invoke(work(lines)).await;
    }
    assert_whole(&world.end(&sandbox).await);
    assert_eq!(rescue.s3.requests().len(), 0);
    assert!(sandbox.extension_output().iter().all(|line| !line.contains("logspool-part")));
}

#[tokio::test]
async fn after_so_many_attempts_segments_go_to_the_fallback_while_the_process_lives() {
    for (rule, value) in [("LOGSPOOL_SEAL_INVOCATIONS", "1"), ("LOGSPOOL_SEAL_AGE", "100ms")] {
        let world = World::new().await;
        let rescue = Rescue::new(&world).await;
        world.s3.faults().set(Fault::SlowDown);
        let sandbox = world
            .sandbox()
            .extension_env("LOGSPOOL_FALLBACK", rescue.url())
            .extension_env("LOGSPOOL_RETRY_ATTEMPTS", "2")
            .extension_env(rule, value)
            .start()
            .await
            .unwrap();
        // The outage is known for long by then; what is new goes on to be sealed, and to leave.
        let mut invocations = 0;
        while rescue.objects().len() < 6 {
            invocations += 1;
            assert!(invocations < 200, "{rule}: {} objects after {invocations} invocations", rescue.objects().len());
            sandbox.invoke(Work { lines: 2, sleep_ms: 100, ..Work::default() }).await;
        }
        let first = file_name(&rescue.objects()[0].name).to_owned();
        let tries = world.s3.requests().iter().filter(|request| file_name(&request.key) == first).count();
        assert_eq!(tries, 2, "{rule}: as often as RETRY_ATTEMPTS says");
        sandbox.shutdown(ShutdownReason::Spindown).await;
        assert_whole(&judge(&[sandbox.ledger()], [delivered(&world), rescue.objects()]));
    }
}

#[tokio::test]
async fn a_kill_between_a_delivery_to_a_fallback_and_its_removal_makes_the_same_object_twice() {
    let world = World::new().await;
    let rescue = Rescue::new(&world).await;
    world.s3.faults().set(Fault::RefuseConnections);
    // It is stored, and the answer takes longer than the process has to live.
    rescue.s3.set_latency(Duration::from_secs(30));
    let sandbox = world
        .sandbox()
        .extension_env("LOGSPOOL_FALLBACK", rescue.url())
        .extension_env("LOGSPOOL_RETRY_ATTEMPTS", "1")
        .extension_env("LOGSPOOL_SEAL_INVOCATIONS", "1")
        .extension_env("LOGSPOOL_REQUEST_TIMEOUT", "60s")
        .start()
        .await
        .unwrap();
    let running = sandbox.invoke_start(Work { lines: 5, sleep_ms: 200, ..Work::default() });
    running.finished().await;
    let stored = rescue.s3.requests_until(|requests| requests.iter().any(|request| request.stored));
    let invocations = async {
        loop {
            sandbox.invoke(Work { lines: 1, sleep_ms: 200, ..Work::default() }).await;
        }
    };
    tokio::select! {
        _ = stored => {}
        () = invocations => {}
    }
    sandbox.kill_extension().await;
    world.s3.faults().clear();
    assert!(sandbox.invoke(work(3)).await.result.is_ok());
    sandbox.shutdown(ShutdownReason::Spindown).await;
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = judge(&ledgers, [delivered(&world), rescue.objects()]);
    assert_eq!((verdict.lost.len(), verdict.pending), (0, 0), "{verdict}");
    assert!(sandbox.ledger().with_fate(Fate::Acknowledged).count() > 5);
    let here: Vec<_> = delivered(&world).into_iter().map(|object| file_name(&object.name).to_owned()).collect();
    let twice = rescue.objects().into_iter().filter(|object| here.iter().any(|name| name == file_name(&object.name)));
    assert!(twice.count() > 0, "the same name in both places");
}
