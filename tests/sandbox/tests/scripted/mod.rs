//! A scripted extension: the test binary, re-executed, speaks the Extensions API over plain blocking sockets.
//!
//! It shares no code with the sandbox. Every telemetry body is stored under `$TMPDIR/bodies/` before it is answered, so
//! that a test can ask what was received, by which process, in which order.

#![allow(dead_code, reason = "each test binary uses its part of this module")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sandbox::{Function, Sandbox, SandboxBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

const SWITCH: &str = "SCRIPTED_EXTENSION";
const FUNCTION_SWITCH: &str = "SCRIPTED_FUNCTION";
const HOST_SWITCH: &str = "SANDBOX_HOST";
const NAME: &str = "scripted-extension";

/// What the extension does; by default what a good one does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Script {
    pub register_as: String,
    pub events: Vec<String>,
    /// Body of the subscription; `PORT` stands for the listener's port. `null` does not subscribe.
    pub subscription: Value,
    /// Answers each telemetry body after this time.
    pub answer_after_ms: u64,
    /// Answers telemetry bodies with this status.
    pub answer_status: u16,
    /// Never answers telemetry bodies.
    pub never_answer: bool,
    /// Exits with this code when it sees INVOKE.
    pub exit_at_invoke: Option<i32>,
    /// Holds `next` after INVOKE for this time.
    pub hold_next_ms: u64,
    /// Goes on after SHUTDOWN as if nothing had happened.
    pub ignore_shutdown: bool,
    /// Exits with this code after SHUTDOWN.
    pub exit_code: i32,
    /// Stays this long after SHUTDOWN, for the telemetry that is still to come.
    pub linger_ms: u64,
    /// Reports `init/error` instead of the first `next`.
    pub init_error: bool,
    /// Does not register at all and exits.
    pub exit_at_once: bool,
    /// Goes on when the platform is gone.
    pub stubborn: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            register_as: NAME.to_owned(),
            events: vec!["INVOKE".to_owned(), "SHUTDOWN".to_owned()],
            subscription: subscription(),
            answer_after_ms: 0,
            answer_status: 200,
            never_answer: false,
            exit_at_invoke: None,
            hold_next_ms: 0,
            ignore_shutdown: false,
            exit_code: 0,
            linger_ms: 200,
            init_error: false,
            exit_at_once: false,
            stubborn: false,
        }
    }
}

pub fn subscription() -> Value {
    json!({
        "schemaVersion": "2025-01-29",
        "types": ["platform", "function"],
        "buffering": {"maxItems": 10_000, "maxBytes": 1_048_576, "timeoutMs": 25},
        "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:PORT"},
    })
}

/// A builder with the scripted extension, and the directory that must live as long as the sandbox. The queue rule is
/// off: no test but its own depends on how fast this machine is.
pub fn sandbox(script: &Script) -> (SandboxBuilder, TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let program = extension_in(directory.path());
    let script = serde_json::to_string(script).expect("plain");
    (Sandbox::builder().extension(program).extension_env(SWITCH, script).queue_rule(false), directory)
}

/// Returns as soon as something that the sandbox is not told of has happened.
pub async fn eventually(mut happened: impl FnMut() -> bool) {
    while !happened() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Every event that extensions stored under a `/tmp`, body after body.
pub fn received(tmp: &Path) -> Vec<Value> {
    bodies(tmp).into_iter().flatten().collect()
}

/// Every telemetry body that extensions stored under a `/tmp`, in the order of their arrival.
pub fn bodies(tmp: &Path) -> Vec<Vec<Value>> {
    let parse = |body: Vec<u8>| serde_json::from_slice(&body).expect("an array of events");
    raw_bodies(tmp).into_iter().map(parse).collect()
}

/// The same as they came: some are no JSON.
pub fn raw_bodies(tmp: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(tmp.join("bodies")).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.into_iter().map(|file| fs::read(file).expect("readable")).collect()
}

/// The `type` of every event, in order.
pub fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

/// A function by hand: `sh` in front, which has last words, and the test binary behind it, which speaks the Runtime
/// API.
pub fn function_with_last_words() -> Function {
    let exe = std::env::current_exe().expect("this test");
    let script = "trap 'echo last words; exit 0' TERM; \"$0\" & wait";
    Function::command(["sh".into(), "-c".into(), script.into(), exe.into_os_string()]).env(FUNCTION_SWITCH, "1")
}

fn serve_invocations() -> ! {
    loop {
        let event = request("GET /2018-06-01/runtime/invocation/next", &[], "");
        let id = event.header("lambda-runtime-aws-request-id").expect("an invocation has an id");
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(b"invalid \xff UTF-8\nwithout newline").and_then(|()| stdout.flush()).expect("written");
        request(&format!("POST /2018-06-01/runtime/invocation/{id}/response"), &[], &event.body);
    }
}

/// Starts this test binary as a process that hosts a sandbox and writes to a file, line by line, what it must not leave
/// behind: the ids of its processes and the directory that plays `/tmp`.
pub fn host(extension: &Path, script: &Script, file: &Path) -> std::process::Child {
    let script = serde_json::to_string(script).expect("plain");
    std::process::Command::new(std::env::current_exe().expect("this test"))
        .env(HOST_SWITCH, file)
        .env("HOSTED_EXTENSION", extension)
        .env("HOSTED_SCRIPT", script)
        .spawn()
        .expect("started")
}

/// A link to this test binary under the extension's name.
pub fn extension_in(directory: &Path) -> PathBuf {
    let program = directory.join(NAME);
    std::os::unix::fs::symlink(std::env::current_exe().expect("this test"), &program).expect("a link");
    program
}

fn host_a_sandbox(file: &Path) -> ! {
    let variable = |name| std::env::var(name).expect("set by `host`");
    let builder = Sandbox::builder()
        .extension(variable("HOSTED_EXTENSION"))
        .extension_env(SWITCH, variable("HOSTED_SCRIPT"))
        .freeze(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let sandbox = builder.start().await.expect("Init succeeds");
        let pids = [sandbox.extension_pid(), sandbox.function_pid()].map(|pid| pid.expect("it runs"));
        let estate = format!("{}\n{}\n{}", pids[0], pids[1], sandbox.tmp().display());
        let new = file.with_extension("new");
        fs::write(&new, estate).and_then(|()| fs::rename(new, file)).expect("written");
        std::future::pending().await
    })
}

#[ctor::ctor(unsafe)]
fn become_another_program() {
    if let Some(file) = std::env::var_os(HOST_SWITCH) {
        host_a_sandbox(Path::new(&file));
    }
    if std::env::var_os(FUNCTION_SWITCH).is_some() {
        serve_invocations();
    }
    if let Ok(script) = std::env::var(SWITCH) {
        let script = serde_json::from_str(&script).expect("a script");
        let code = run(&script);
        std::process::exit(code);
    }
}

fn run(script: &Script) -> i32 {
    if script.exit_at_once {
        return 1;
    }
    println!("scripted extension {} starts", std::process::id());
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let for_listener = script.clone();
    thread::spawn(move || listen(&listener, &for_listener));

    let Some(id) = register(script) else { return 1 };
    if !script.subscription.is_null() {
        let body = script.subscription.to_string().replace("PORT", &port.to_string());
        let answer = request("PUT /2022-07-01/telemetry", &[("Lambda-Extension-Identifier", &id)], &body);
        println!("subscribe: {} {}", answer.status, answer.body);
    }
    if script.init_error {
        let headers =
            [("Lambda-Extension-Identifier", id.as_str()), ("Lambda-Extension-Function-Error-Type", "Extension.Bad")];
        request("POST /2020-01-01/extension/init/error", &headers, "{}");
        return 1;
    }
    live(script, &id)
}

fn register(script: &Script) -> Option<String> {
    let body = json!({ "events": script.events }).to_string();
    let headers =
        [("Lambda-Extension-Name", script.register_as.as_str()), ("Lambda-Extension-Accept-Feature", "accountId")];
    let answer = request("POST /2020-01-01/extension/register", &headers, &body);
    println!("register: {} {}", answer.status, answer.body);
    answer.header("lambda-extension-identifier")
}

fn live(script: &Script, id: &str) -> i32 {
    if script.stubborn {
        std::panic::set_hook(Box::new(|_| thread::sleep(Duration::from_secs(3_600))));
    }
    loop {
        let answer = request("GET /2020-01-01/extension/event/next", &[("Lambda-Extension-Identifier", id)], "");
        let event: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match event["eventType"].as_str() {
            Some("INVOKE") => {
                if let Some(code) = script.exit_at_invoke {
                    return code;
                }
                thread::sleep(Duration::from_millis(script.hold_next_ms));
            }
            Some("SHUTDOWN") => {
                println!("shutdown: {}", answer.body);
                thread::sleep(Duration::from_millis(script.linger_ms));
                if script.ignore_shutdown {
                    thread::sleep(Duration::from_secs(3_600));
                }
                return script.exit_code;
            }
            _ => {
                println!("next: {} {}", answer.status, answer.body);
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<String>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        let line = self.headers.iter().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }
}

/// One request on one connection, without any timeout.
fn request(method_and_path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("set by the platform");
    let mut stream = TcpStream::connect(&api).expect("the platform listens");
    let mut head = format!("{method_and_path} HTTP/1.1\r\nHost: {api}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("the platform reads");
    let mut reader = BufReader::new(stream);
    let headers = read_head(&mut reader).expect("the platform answers");
    let status = headers[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
    let mut answer = Answer { status, headers, body: String::new() };
    let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_string(&mut answer.body).expect("the whole body");
    answer
}

fn read_head(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            return Some(lines);
        }
        lines.push(line);
    }
}

fn listen(listener: &TcpListener, script: &Script) {
    for stream in listener.incoming().flatten() {
        let script = script.clone();
        thread::spawn(move || collect(stream, &script));
    }
}

fn collect(stream: TcpStream, script: &Script) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader) {
        let length =
            head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        store(&body);
        if script.never_answer {
            thread::sleep(Duration::from_secs(3_600));
        }
        thread::sleep(Duration::from_millis(script.answer_after_ms));
        let answer = format!("HTTP/1.1 {} Answer\r\nContent-Length: 0\r\n\r\n", script.answer_status);
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Names sort by arrival: a later process counts on where the one before it stopped.
fn store(body: &[u8]) {
    static STORED: AtomicUsize = AtomicUsize::new(0);
    let directory = std::env::temp_dir().join("bodies");
    fs::create_dir_all(&directory).expect("the directory of bodies");
    let life = fs::read_dir(&directory).expect("readable").count();
    let number = STORED.fetch_add(1, Ordering::Relaxed);
    let name = format!("{life:06}-{number:06}");
    fs::write(directory.join(format!("{name}.new")), body).expect("written");
    fs::rename(directory.join(format!("{name}.new")), directory.join(format!("{name}.json"))).expect("renamed");
}
