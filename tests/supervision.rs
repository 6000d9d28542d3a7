//! P5: a panic costs the part that panicked, and neither a log nor the environment.
//!
//! The parts are the real ones, in a process of their own for each story: nothing in the extension panics when it is asked to, so
//! a store and a labeler do that here.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use logspool::adoption::adopter;
use logspool::deadline::now_ms;
use logspool::identity;
use logspool::intake::{EarlierLife, Intake, Outputs, Rules};
use logspool::lifecycle::machine::drain_policy::{DrainPolicy, DrainStrategy};
use logspool::lifecycle::machine::seal_policy::SealPolicy;
use logspool::lifecycle::machine::{Event, Policies};
use logspool::lifecycle::{Ended, Lifecycle, Links};
use logspool::metrics::Figures;
use logspool::runtime_api::address::Address;
use logspool::runtime_api::client::Client;
use logspool::runtime_api::event::{ExtensionId, StreamTypes};
use logspool::supervision;
use logspool::telemetry::listener::{Body, HandleBody};
use logspool::upload::object_key::ObjectKeys;
use logspool::upload::outbox::Outbox;
use logspool::upload::outgoing::{LINE_FORMAT_JSON, labeler};
use logspool::upload::retry::RetryPolicy;
use logspool::upload::store::file::FileStore;
use logspool::upload::store::{Object, ObjectStore, PutFuture};
use logspool::upload::uploader::Uploader;
use sandbox::oracle;
use spool::{Codec, Compression, Labeler, SealReason, Spool, SpoolConfig, SpoolLimits, find_orphans};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

const PANIC: &str = "A part of the extension panicked";
const BROKEN: &str = "The lifecycle is broken";

/// A part that has stopped working is noticed by nothing but time.
const HANGS: Duration = Duration::from_secs(60);

/// Tells a story in a process of its own, in which panics are watched as in the extension. Each of these parts must be said in
/// so many lines, and nothing else. `test` is the name of the calling test.
fn story(test: &str, lines: &[(&str, usize)], story: impl Future<Output = ()>) {
    const INSIDE: &str = "LOGSPOOL_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        supervision::watch_panics();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async { tokio::time::timeout(HANGS, story).await.expect("it goes on") });
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{test} is the name of a test:\n{out}");
    for (part, times) in lines {
        assert_eq!(err.lines().filter(|line| line.contains(part)).count(), *times, "{part:?} in {err}");
    }
    assert_eq!(err.lines().count(), lines.iter().map(|(_, times)| times).sum::<usize>(), "{err}");
}

/// The end of the platform that hands out events.
struct Platform {
    client: Client,
    events: UnboundedSender<String>,
    /// How often it was asked for one.
    asked: watch::Receiver<u32>,
    server: AbortHandle,
}

impl Platform {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = Client::new(Address::parse(&listener.local_addr().unwrap().to_string()).unwrap());
        let (events, to_tell) = mpsc::unbounded_channel::<String>();
        let (count, asked) = watch::channel(0);
        let (count, to_tell) = (Arc::new(count), Arc::new(tokio::sync::Mutex::new(to_tell)));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (count, to_tell) = (Arc::clone(&count), Arc::clone(&to_tell));
                let next = service_fn(move |_| {
                    let to_tell = Arc::clone(&to_tell);
                    count.send_modify(|count| *count += 1);
                    async move {
                        let event = to_tell.lock().await.recv().await.unwrap();
                        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(event)))
                    }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), next));
            }
        });
        Self { client, events, asked, server: server.abort_handle() }
    }

    async fn until_asked(&self, times: u32) {
        self.asked.clone().wait_for(|asked| *asked >= times).await.unwrap();
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A store that hangs for as long as it is told to, and panics so often when it shall let go of connections, as at every
/// INVOKE and at SHUTDOWN.
struct Store {
    files: FileStore,
    hangs: AtomicBool,
    begun: watch::Sender<u32>,
    panics: AtomicU32,
}

impl ObjectStore for Store {
    fn put<'a>(&'a self, object: &'a Object<'a>) -> PutFuture<'a> {
        self.begun.send_modify(|begun| *begun += 1);
        if self.hangs.load(Ordering::Relaxed) { Box::pin(std::future::pending()) } else { self.files.put(object) }
    }

    fn describe(&self) -> String {
        self.files.describe()
    }

    fn close_idle(&self) {
        panic_if_planned(&self.panics);
    }
}

fn panic_if_planned(panics: &AtomicU32) {
    let planned = panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |panics| panics.checked_sub(1));
    assert!(planned.is_err(), "planned");
}

/// One life of the extension.
struct Life {
    platform: Platform,
    store: Arc<Store>,
    /// How often the last seal is still to panic.
    last_seal_panics: Arc<AtomicU32>,
    intake: Arc<Intake>,
    running: JoinHandle<(Ended, Figures)>,
}

impl Life {
    async fn begin(root: &TempDir) -> Self {
        let platform = Platform::start().await;
        let keys = ObjectKeys::for_function("f");
        let last_seal_panics = Arc::new(AtomicU32::new(0));
        let label: Labeler = Arc::new({
            let (label, panics) = (labeler(keys.clone()), Arc::clone(&last_seal_panics));
            move |facts| {
                if facts.reason == SealReason::Shutdown {
                    panic_if_planned(&panics);
                }
                label(facts)
            }
        });
        let config = SpoolConfig {
            root: root.path().join("spools"),
            compression: Compression { codec: Codec::None, ..Compression::default() },
            line_format: LINE_FORMAT_JSON,
            label: Arc::clone(&label),
            limits: SpoolLimits { keep_free_bytes: 0, ..SpoolLimits::default() },
        };
        let spool = Spool::create(config, identity::fresh(now_ms()), now_ms()).unwrap();
        let own = spool.id();
        let spool = Arc::new(Mutex::new(spool));
        let store = Arc::new(Store {
            files: FileStore::new(root.path().join("objects"), std::time::Duration::from_secs(60)),
            hangs: AtomicBool::new(false),
            begun: watch::Sender::new(0),
            panics: AtomicU32::new(0),
        });
        let (sender, events) = mpsc::unbounded_channel();
        let outbox = Outbox::new(Arc::clone(&spool), keys, "1".into());
        let uploader = Uploader::new(Arc::clone(&store) as Arc<dyn ObjectStore>, outbox, sender.clone());
        let (adopter, queue) = adopter(uploader.clone());
        let seal = SealPolicy { invocations: None, age: Duration::from_secs(3_600), size_bytes: u64::MAX };
        let outputs = Outputs {
            events: Arc::new({
                let uploader = uploader.clone();
                move |event| uploader.take(event)
            }),
            orphans: Arc::new(|_| ()),
            observed: Arc::new({
                let sender = sender.clone();
                move |observed| drop(sender.send(Event::Observed(observed)))
            }),
        };
        let types = StreamTypes { platform: true, function: true, extension: false };
        let intake = Arc::new(Intake::new(spool, Rules::new(types, seal), EarlierLife::default(), outputs));
        let (asked, has_asked) = watch::channel(false);
        let orphans = find_orphans(&root.path().join("spools"), own).unwrap().orphans;
        orphans.into_iter().for_each(|orphan| adopter.adopt(orphan));
        tokio::spawn(queue.work_off(has_asked, label));
        let drain =
            DrainPolicy { strategy: DrainStrategy::Background, budget: Duration::from_secs(2), memory_mb: None };
        let retry = RetryPolicy::try_new(Duration::from_millis(10), Duration::from_millis(100), None).unwrap();
        let links = Links {
            client: platform.client.clone(),
            id: ExtensionId("id".into()),
            intake: Arc::clone(&intake),
            uploader,
            events: (sender, events),
            asked,
            metrics: None,
        };
        let route = logspool::upload::route::Route::default();
        let mut lifecycle = Lifecycle::new(links, Policies { seal, drain, retry, route, freezes: true });
        let running = tokio::spawn(async move {
            let ended = lifecycle.run().await;
            (ended, lifecycle.figures())
        });
        platform.until_asked(1).await;
        Self { platform, store, last_seal_panics, intake, running }
    }

    fn say(&self, text: &str) {
        let body = format!(r#"[{{"time":"2026-01-01T00:00:00.000Z","type":"function","record":"{text}"}}]"#);
        self.intake.handle(Body { bytes: body.into_bytes(), cut_bytes: 0, sequence_id: None });
    }

    fn seal(&self) {
        assert!(self.intake.seal(SealReason::Size, now_ms()));
    }

    fn tell(&self, event: &str) {
        self.platform.events.send(event.to_owned()).unwrap();
    }

    /// An invocation that is over when the next event is asked for.
    async fn invoke(&self) {
        let asked = *self.platform.asked.borrow();
        self.tell(&format!(r#"{{"eventType":"INVOKE","deadlineMs":{},"requestId":"r"}}"#, now_ms() + 30_000));
        self.platform.until_asked(asked + 1).await;
    }

    async fn until_delivered(&self, root: &TempDir, text: &str) {
        while !objects(root).iter().any(|object| object.contains(text)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the environment, and returns how everything stood then. Whoever asks for another event would be killed at the deadline.
    async fn shut_down(mut self) -> Figures {
        let asked = *self.platform.asked.borrow();
        self.tell(&format!(
            r#"{{"eventType":"SHUTDOWN","deadlineMs":{},"shutdownReason":"spindown"}}"#,
            now_ms() + 10_000
        ));
        tokio::select! {
            ended = &mut self.running => {
                let (ended, figures) = ended.unwrap();
                assert_eq!(ended, Ended::Shutdown);
                figures
            }
            () = self.platform.until_asked(asked + 1) => panic!("another event is asked for"),
        }
    }
}

/// The texts of all objects.
fn objects(root: &TempDir) -> Vec<String> {
    let objects = oracle::delivered_under(&root.path().join("objects")).unwrap_or_default();
    objects.into_iter().map(|object| String::from_utf8(object.bytes).unwrap()).collect()
}

/// Everything that was said was delivered, once, and the streams have ended.
#[track_caller]
fn assert_delivered(root: &TempDir, said: &[&str]) {
    let lines: Vec<_> =
        objects(root).iter().flat_map(|object| object.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    for text in said {
        assert_eq!(lines.iter().filter(|line| line.contains(&format!("\"{text}\""))).count(), 1, "{text}: {lines:#?}");
    }
    let objects = oracle::delivered_under(&root.path().join("objects")).unwrap();
    let verdict = oracle::judge([], &objects, oracle::EVERYTHING);
    assert!([&verdict.gaps, &verdict.unreadable, &verdict.doubled].iter().all(|found| found.is_empty()), "{verdict:?}");
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
}

/// A life without a panic delivers what is left, and what is left is gone.
async fn heal(root: &TempDir) {
    Life::begin(root).await.shut_down().await;
    assert_eq!(std::fs::read_dir(root.path().join("spools")).unwrap().count(), 1, "the one that has just ended");
}

#[test]
fn a_panic_at_an_invocation_costs_neither_the_environment_nor_what_waits() {
    let name = "a_panic_at_an_invocation_costs_neither_the_environment_nor_what_waits";
    story(name, &[(PANIC, 1)], async {
        let root = TempDir::new().unwrap();
        let life = Life::begin(&root).await;
        life.store.hangs.store(true, Ordering::Relaxed);
        life.say("sealed before");
        life.seal();
        life.store.begun.subscribe().wait_for(|begun| *begun == 1).await.unwrap();
        life.say("not sealed before");

        life.store.hangs.store(false, Ordering::Relaxed);
        life.store.panics.store(1, Ordering::Relaxed);
        life.invoke().await;
        life.until_delivered(&root, "sealed before").await;
        life.say("after");
        let counts = life.shut_down().await.counts;
        assert_delivered(&root, &["sealed before", "not sealed before", "after"]);
        assert_eq!(supervision::panics(), 1);
        assert_eq!(counts.invocations, 1, "what was counted before the panic stays counted");
    });
}

#[test]
fn after_three_panics_the_environment_is_kept_going_and_logs_are_stored() {
    let name = "after_three_panics_the_environment_is_kept_going_and_logs_are_stored";
    story(name, &[(PANIC, 3), (BROKEN, 1)], async {
        let root = TempDir::new().unwrap();
        let life = Life::begin(&root).await;
        life.store.panics.store(3, Ordering::Relaxed);
        for text in ["first", "second", "third", "fourth"] {
            life.say(text);
            life.invoke().await;
        }
        life.say("last");
        life.shut_down().await;
        assert_eq!(objects(&root), Vec::<String>::new(), "nobody decides on uploads any more");
        heal(&root).await;
        assert_delivered(&root, &["first", "second", "third", "fourth", "last"]);
        let has_own_end = |object: &String| object.contains("\"last\"") && object.contains("logspool.end");
        assert!(objects(&root).iter().any(has_own_end), "not only what an adopter has written: {:#?}", objects(&root));
        assert_eq!(supervision::panics(), 3);
    });
}

#[test]
fn a_panic_at_shutdown_costs_no_delivery() {
    story("a_panic_at_shutdown_costs_no_delivery", &[(PANIC, 1)], async {
        let root = TempDir::new().unwrap();
        let life = Life::begin(&root).await;
        life.say("sealed before");
        life.seal();
        life.say("not sealed before");
        life.store.panics.store(1, Ordering::Relaxed);
        life.shut_down().await;
        assert_delivered(&root, &["sealed before", "not sealed before"]);
    });
}

#[test]
fn with_a_panic_at_every_step_of_shutdown_the_process_ends_and_logs_are_stored() {
    let name = "with_a_panic_at_every_step_of_shutdown_the_process_ends_and_logs_are_stored";
    story(name, &[(PANIC, 3), (BROKEN, 1)], async {
        let root = TempDir::new().unwrap();
        let life = Life::begin(&root).await;
        life.say("said");
        life.store.panics.store(u32::MAX, Ordering::Relaxed);
        life.shut_down().await;
        heal(&root).await;
        assert_delivered(&root, &["said"]);
    });
}

/// The last seal comes some time after SHUTDOWN, with an event that is none of its own.
#[test]
fn a_panic_in_the_last_seal_does_not_keep_the_process_from_ending() {
    let name = "a_panic_in_the_last_seal_does_not_keep_the_process_from_ending";
    story(name, &[(PANIC, 1), ("The segment could not be sealed", 1)], async {
        let root = TempDir::new().unwrap();
        let life = Life::begin(&root).await;
        life.say("sealed before");
        life.seal();
        life.say("not sealed before");
        life.last_seal_panics.store(1, Ordering::Relaxed);
        life.shut_down().await;
        heal(&root).await;
        assert_delivered(&root, &["sealed before", "not sealed before"]);
    });
}

#[test]
fn a_last_seal_that_panics_when_nobody_decides_any_more_does_not_keep_the_process_from_ending() {
    let name = "a_last_seal_that_panics_when_nobody_decides_any_more_does_not_keep_the_process_from_ending";
    story(name, &[(PANIC, 4), (BROKEN, 1)], async {
        let root = TempDir::new().unwrap();
        let life = Life::begin(&root).await;
        life.store.panics.store(3, Ordering::Relaxed);
        for text in ["first", "second", "third"] {
            life.say(text);
            life.invoke().await;
        }
        life.last_seal_panics.store(1, Ordering::Relaxed);
        life.shut_down().await;
        heal(&root).await;
        assert_delivered(&root, &["first", "second", "third"]);
    });
}
