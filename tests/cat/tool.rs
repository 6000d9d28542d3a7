//! `logspool cat` as a person runs it, and what is delivered as a reader of the bucket sees it.

use std::io::Read;
use std::process::{Command, Stdio};

use logspool::upload::object_key::spool_id_time_ms;
use sandbox::s3::StoredObject;
use serde_json::Value;

use crate::world::{World, desk, file_name};

/// How it ended, and what it wrote.
#[derive(Debug)]
pub struct Shown {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Shown {
    pub fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// One that Ctrl-C ends, wherever the tests run: shells have what they run in the background ignore it, and children do so, too.
pub fn interruptible(world: &World, arguments: &[&str]) -> Command {
    let (plain, mut command) = (command(world, arguments), Command::new("env"));
    command.arg("--default-signal=INT").arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

/// The program, with what it needs to reach the bucket of the world.
pub fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(desk());
    command
        .arg("cat")
        .args(arguments)
        .env("AWS_ENDPOINT_URL_S3", world.s3.endpoint())
        .env("AWS_REGION", world.s3.region())
        .env("AWS_ACCESS_KEY_ID", world.s3.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", world.s3.secret_access_key())
        .stdin(Stdio::null());
    command
}

/// Runs it to its end, while the store of the world answers.
pub async fn cat(world: &World, arguments: &[&str]) -> Shown {
    finished(command(world, arguments)).await
}

/// The same over places that are directories.
pub async fn finished(mut command: Command) -> Shown {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Shown { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A delivered line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub time: String,
    pub spool: String,
    pub seq: u64,
    pub text: String,
}

impl Line {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// All lines of objects of JSON, by time, spool and number. A line that has no time stands where the one before it does; the first one
/// of an object where its spool began, if that was in the hour of its folder, else at the beginning of that hour.
pub fn delivered(objects: &[StoredObject]) -> Vec<Line> {
    let mut lines = Vec::new();
    for object in objects {
        let name = file_name(&object.key);
        let spool = name.split('-').next().unwrap().to_owned();
        let began = time(spool_id_time_ms(&spool).unwrap());
        let mut parts = object.key.rsplit(['/', '=']).skip(1);
        let (hour, _, date) = (parts.next().unwrap(), parts.next(), parts.next().unwrap());
        let hour = format!("{date}T{hour}");
        let mut time = if began.starts_with(&hour) { began } else { format!("{hour}:00:00.000Z") };
        for text in text_of(object).lines() {
            let line: Value = serde_json::from_str(text).unwrap();
            time = line["time"].as_str().map_or(time, str::to_owned);
            let (time, spool) = (time.clone(), spool.clone());
            lines.push(Line { time, spool, seq: line["seq"].as_u64().unwrap(), text: text.to_owned() });
        }
    }
    lines.sort();
    lines
}

/// As the platform writes it, with milliseconds.
pub fn time(ms: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).unwrap();
    let seconds = time.format(&time::format_description::well_known::Rfc3339).unwrap();
    format!("{}.{:03}Z", seconds.strip_suffix('Z').unwrap(), ms.rem_euclid(1_000))
}

/// What an object holds, once it is decompressed.
pub fn text_of(object: &StoredObject) -> String {
    let codec = match object.key.rsplit('.').next() {
        Some("zst") => spool::Codec::Zstd,
        Some("gz") => spool::Codec::Gzip,
        _ => spool::Codec::None,
    };
    let mut text = String::new();
    spool::decoder(codec, object.bytes.as_slice()).unwrap().read_to_string(&mut text).unwrap();
    text
}
