//! moto: S3 as others have understood it, in a process of its own that dies with this one.
//!
//! One for all cases: it takes a second to start, and every case has a bucket for itself.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::prepared::prepared;
use crate::world::Arrived;

pub struct Moto {
    pub served: Served,
    process: Mutex<Process>,
}

/// Where it listens, and the user that it knows.
#[derive(Deserialize)]
pub struct Served {
    pub address: SocketAddr,
    pub key_id: String,
    pub secret: String,
    pub region: String,
}

struct Process {
    child: Child,
    /// Its end is the process's end.
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Moto {
    /// The one that runs, started if need be.
    ///
    /// # Errors
    /// Why there is none: it was not made ready.
    pub fn running() -> Result<&'static Self, String> {
        static RUNNING: OnceLock<Result<Moto, String>> = OnceLock::new();
        let start = || prepared("moto", "tests/moto/prepare").map(|directory| Self::start(&directory));
        RUNNING.get_or_init(start).as_ref().map_err(Clone::clone)
    }

    fn start(directory: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delivery_suite/moto_server.py");
        let mut child = Command::new(directory.join("bin/python3"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("moto is ready, so it starts");
        let (commands, answers) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let mut process = Process { child, commands, answers: BufReader::new(answers) };
        let served = process.answer();
        Self { served, process: Mutex::new(process) }
    }

    pub fn create_bucket(&self, bucket: &str, versioned: bool, object_lock: bool) {
        let command = json!({
            "do": "create_bucket", "bucket": bucket, "versioned": versioned, "object_lock": object_lock,
        });
        let () = self.ask(&command);
    }

    /// A role that everybody may assume; its ARN.
    pub fn create_role(&self, name: &str) -> String {
        self.ask(&json!({ "do": "create_role", "name": name }))
    }

    /// Everything in a bucket, sorted by key.
    pub fn objects(&self, bucket: &str) -> Vec<Arrived> {
        self.ask(&json!({ "do": "objects", "bucket": bucket }))
    }

    fn ask<T: DeserializeOwned>(&self, command: &Value) -> T {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let commands = process.commands.as_mut().expect("open until the end");
        writeln!(commands, "{command}").expect("moto reads");
        process.answer()
    }
}

impl Process {
    fn answer<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("moto answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("moto said {line:?}: {error}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.commands.take());
        // It has ended by itself, or is told to; both is the end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
