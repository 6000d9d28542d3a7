//! P5: the platform itself refuses, fails or is gone. The process stays, asks again, and one line says what is wrong.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sandbox::{Fault, Outcome, Sandbox, SandboxBuilder, ShutdownReason, StartError, Work};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use world::{World, assert_whole, the_line};

const REGISTER: &str = "/2020-01-01/extension/register";
const NEXT: &str = "/2020-01-01/extension/event/next";
const SUBSCRIBE: &str = "/2022-07-01/telemetry";
/// How a call ends that is answered by nobody.
const CUT: u16 = 0;

/// Stands between the extension and the platform, and fails calls in its place.
struct Between {
    state: Arc<State>,
    address: SocketAddr,
    server: AbortHandle,
}

struct State {
    /// Written by the extension's wrapper, which is told.
    platform: PathBuf,
    /// By path: how many calls to come fail, and with which status.
    failing: Mutex<BTreeMap<&'static str, (usize, u16)>>,
}

impl Between {
    async fn start(world: &World) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { platform: world.tmp().join("platform"), failing: Mutex::default() });
        let server = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Self { state, address, server }
    }

    /// An extension that takes this for the platform.
    fn sandbox(&self, world: &World) -> SandboxBuilder {
        let wrapper = world.tmp().join("logspool");
        let script = format!(
            "#!/bin/sh\nprintf %s \"$AWS_LAMBDA_RUNTIME_API\" > '{platform}'\nAWS_LAMBDA_RUNTIME_API={} exec '{}'\n",
            self.address,
            world::extension(),
            platform = self.state.platform.display()
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        world.sandbox().extension(&wrapper)
    }

    /// Fails so many calls to come.
    fn fail(&self, path: &'static str, calls: usize, status: u16) {
        self.state.failing.lock().unwrap().insert(path, (calls, status));
    }

    /// Whether all the calls that should fail have failed.
    fn has_failed(&self, path: &str) -> bool {
        self.state.failing.lock().unwrap()[path].0 == 0
    }

    /// Nobody listens any more, and every connection breaks.
    fn vanish(&self) {
        self.server.abort();
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.vanish();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(Arc::clone(&state), request));
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// An error cuts the connection.
async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let failure = state.failing.lock().unwrap().get_mut(request.uri().path()).and_then(|(calls, status)| {
        *calls = calls.checked_sub(1)?;
        Some(*status)
    });
    match failure {
        None => forward(&state, request).await.map_err(io::Error::other),
        Some(CUT) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(status) => {
            let body = r#"{"errorMessage":"planned","errorType":"Extension.Planned"}"#;
            Ok(Response::builder().status(status).body(body.into()).unwrap())
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn forward(state: &State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Error> {
    let platform = fs::read_to_string(&state.platform)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(TcpStream::connect(platform).await?)).await?;
    // Ends with the request: if the extension is gone, so is its call.
    let _connection = AbortOnDrop(tokio::spawn(connection).abort_handle());
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, body.into()))
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Three invocations and an orderly end, none of which notices the extension; all in one life of it.
async fn undisturbed(sandbox: &Sandbox) {
    for _ in 0..3 {
        let invocation = sandbox.invoke(Work::default()).await;
        assert!(invocation.result.is_ok(), "{:?}", invocation.result);
        assert_eq!(invocation.outcome, Outcome::Success);
    }
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    assert!(!shutdown.killed_at_deadline, "{shutdown:?}");
    assert_eq!(shutdown.exited.and_then(|status| status.code()), Some(0));
    assert!(sandbox.subscriptions().len() <= 1, "one life");
}

async fn assert_all_is_delivered(world: &World, sandbox: &Sandbox) {
    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    assert_whole(&world.verdict(&ledgers));
}

/// It is not registered, so nobody waits for it; but an exit would be a crash of the environment.
#[tokio::test]
async fn an_extension_that_is_not_registered_says_so_in_one_line_and_stays() {
    for status in [403, 404, 500] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(REGISTER, usize::MAX, status);
        let started = between.sandbox(&world).init_timeout(Duration::from_secs(4)).start().await;
        let Err(StartError::Init { fault, extension_output, .. }) = started else { panic!("{status}: it started") };
        assert!(matches!(fault, Fault::InitTimeout(_)), "{status}: {fault:?}");
        assert_eq!(extension_output.len(), 1, "{status}: {extension_output:#?}");
        let line = &extension_output[0];
        assert!(line.contains("did not register this extension") && line.contains(&status.to_string()), "{line}");
        assert_eq!(world.spools(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_registration_that_fails_for_a_while_is_tried_again() {
    for status in [500, CUT] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(REGISTER, 3, status);
        let sandbox = between.sandbox(&world).start().await.unwrap();
        undisturbed(&sandbox).await;
        assert!(between.has_failed(REGISTER));
        assert_eq!(sandbox.extension_output(), Vec::<String>::new(), "{status}: that is not worth a word");
        assert_all_is_delivered(&world, &sandbox).await;
    }
}

#[tokio::test]
async fn a_refused_subscription_is_said_in_one_line() {
    for status in [403, 500] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(SUBSCRIBE, usize::MAX, status);
        let sandbox = between.sandbox(&world).start().await.unwrap();
        undisturbed(&sandbox).await;
        let line = the_line(&sandbox, "refused the subscription");
        assert!(line.contains(&status.to_string()), "{line}");
        assert_eq!(sandbox.extension_output().len(), 1, "{:#?}", sandbox.extension_output());
        assert_eq!((world.puts(), world.spools()), (0, Vec::new()), "{status}: nothing was said");
    }
}

/// Nothing can be done but to ask again. The function has its response meanwhile.
#[tokio::test]
async fn a_platform_that_hands_out_no_events_for_a_while_is_asked_until_it_does() {
    for status in [403, 500, CUT] {
        let world = World::new().await;
        let between = Between::start(&world).await;
        between.fail(NEXT, 6, status);
        let sandbox = between.sandbox(&world).start().await.unwrap();
        assert!(between.has_failed(NEXT));
        the_line(&sandbox, "does not hand out events");

        between.fail(NEXT, 3, status);
        undisturbed(&sandbox).await;
        assert!(between.has_failed(NEXT));
        assert_eq!(sandbox.extension_output().len(), 1, "{status}: {:#?}", sandbox.extension_output());
        assert_all_is_delivered(&world, &sandbox).await;
    }
}

/// An emulator that was stopped, say: nobody is left who could be harmed by an exit.
#[tokio::test]
async fn a_process_whose_platform_is_gone_closes_its_spool_and_exits() {
    let world = World::new().await;
    let between = Between::start(&world).await;
    let sandbox = between.sandbox(&world).freeze(false).extension_env("LOGSPOOL_LOG", "info").start().await.unwrap();
    assert!(sandbox.invoke(Work { sleep_ms: 100, ..Work::default() }).await.result.is_ok());
    between.vanish();
    while sandbox.extension_pid().is_some_and(is_alive) {
        world::pause(20).await;
    }
    the_line(&sandbox, "The platform is gone");
    the_line(&sandbox, "Ended: PlatformGone");
    assert_eq!(world.spools().len(), 1, "it is left to the next life");
    the_line(&sandbox, "reason=shutdown ");

    let mut ledgers = vec![sandbox.ledger()];
    ledgers.extend(world.heal().await);
    let verdict = world.verdict(&ledgers);
    assert_whole(&verdict);
    assert!(verdict.spools.iter().all(|spool| spool.ended), "{:?}", verdict.spools);
}

fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_telemetry_port_that_is_taken_is_said_in_one_line_and_costs_no_log() {
    let world = World::new().await;
    let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let sandbox = world.sandbox().extension_env("LOGSPOOL_PORT", port.to_string()).start().await.unwrap();
    undisturbed(&sandbox).await;
    assert_ne!(sandbox.subscriptions()[0].port, port);
    let line = the_line(&sandbox, "The telemetry port is not to be had; another one is used");
    assert!(line.contains(&format!("port={port} ")), "{line}");
    assert_eq!(sandbox.extension_output().len(), 1);
    assert_all_is_delivered(&world, &sandbox).await;
}
