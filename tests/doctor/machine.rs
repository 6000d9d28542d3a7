//! The program as a person runs it, and servers that say what a test wants.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sandbox::s3::S3Server;
use serde_json::Value;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::world::{self, BUCKET, World};

/// `logspool doctor` with an environment of its own.
#[derive(Clone)]
pub struct Doctor {
    env: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Doctor {
    pub fn new() -> Self {
        Self { env: BTreeMap::new(), arguments: vec!["doctor".to_owned()] }
    }

    /// With settings with which all is well.
    pub fn of(world: &World) -> Self {
        Self::new()
            .env("LOGSPOOL_DIR", world.spool_root().display().to_string())
            .env("LOGSPOOL_DESTINATION", format!("s3://{BUCKET}/it"))
            .at(&world.s3)
    }

    pub fn at(self, store: &S3Server) -> Self {
        self.env("AWS_ENDPOINT_URL_S3", store.endpoint())
            .env("AWS_REGION", store.region())
            .env("AWS_ACCESS_KEY_ID", store.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", store.secret_access_key())
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(world::extension());
        command.args(&self.arguments).env_clear().envs(&self.env).stdin(Stdio::null());
        command
    }

    /// Exit code, stdout, stderr.
    pub fn text(self) -> (Option<i32>, String, String) {
        let output = self.command().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    pub fn json(self) -> (Option<i32>, String, String) {
        self.argument("--json").text()
    }

    pub fn run(self) -> Told {
        let (code, out, err) = self.json();
        assert_eq!(err, "", "all that is said is in the document");
        Told { code, document: serde_json::from_str(&out).unwrap() }
    }

    pub fn start(self) -> Running {
        Running(self.command().stdout(Stdio::piped()).spawn().unwrap())
    }
}

/// A doctor at work.
pub struct Running(Child);

impl Running {
    /// What it had said when it was killed.
    pub fn killed(mut self) -> String {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

/// What it told a machine.
pub struct Told {
    pub code: Option<i32>,
    document: Value,
}

impl Told {
    fn checks(&self) -> &Vec<Value> {
        self.document["checks"].as_array().unwrap()
    }

    pub fn names(&self) -> Vec<&str> {
        self.checks().iter().map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// The places that were looked at, in order.
    pub fn destinations(&self) -> Vec<&str> {
        let mut destinations: Vec<_> = self.checks().iter().filter_map(|check| check["destination"].as_str()).collect();
        destinations.dedup();
        destinations
    }

    /// Results and what was seen.
    pub fn all(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let checks = self.checks().iter().filter(|check| check["check"] == name);
        checks.map(|check| (text(&check["result"]), text(&check["seen"]))).collect()
    }

    #[track_caller]
    fn one(&self, name: &str, member: &str) -> String {
        let check = self.checks().iter().find(|check| check["check"] == name);
        let check = check.unwrap_or_else(|| panic!("there is no check {name:?} in {self}"));
        check[member].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn result(&self, name: &str) -> String {
        self.one(name, "result")
    }

    #[track_caller]
    pub fn seen(&self, name: &str) -> String {
        self.one(name, "seen")
    }

    #[track_caller]
    pub fn remedy(&self, name: &str) -> String {
        self.one(name, "remedy")
    }

    #[track_caller]
    pub fn expect(&self, name: &str, result: &str, seen: &str) {
        assert_eq!(self.result(name), result, "{name}: {self}");
        assert!(self.seen(name).starts_with(seen), "{name}: {seen:?} in {self}");
        assert_eq!(self.remedy(name).is_empty(), result == "ok", "{name}: a remedy for each finding: {self}");
    }

    #[track_caller]
    pub fn expect_remedy(&self, name: &str, remedy: &str) {
        assert!(self.remedy(name).starts_with(remedy), "{name}: {remedy:?} in {self}");
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}: {:#}", self.code, self.document)
    }
}

/// A server that answers every request as it is told. It ends with the process: whoever waits for a connection cannot
/// be told.
pub struct Raw(SocketAddr);

impl Raw {
    /// `answer` makes an answer of the head of a request.
    pub fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let lines = reader.by_ref().lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                // Whoever asked may have gone.
                let _ = std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink());
                let _ = stream.write_all(answer(&head.join("\n")).as_bytes());
            }
        });
        Self(address)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// An answer after which the connection is closed.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// The time so many seconds from now, as a server writes it.
pub fn date_in(seconds: i64) -> String {
    let at = time::OffsetDateTime::now_utc() + time::Duration::seconds(seconds);
    let text = at.format(&time::format_description::well_known::Rfc2822).unwrap();
    text.replace("+0000", "GMT")
}

/// A server with a certificate of an authority that nobody knows.
pub async fn tls_server() -> SocketAddr {
    let read = |name: &str| std::fs::read(Path::new("src/upload/store/recording_server").join(name)).unwrap();
    let certificate = CertificateDer::from_pem_slice(&read("leaf.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("leaf.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A thread and a runtime of its own: the tests wait for the program in theirs.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = acceptor.accept(stream).await;
            }
        });
    });
    address
}

/// All files below a directory, with their bytes.
pub fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}
