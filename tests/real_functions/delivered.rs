//! What lies in the bucket of the function's own words, line by line.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::world::{World, file_name};

/// A line of the function as a reader of the bucket finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub request_id: String,
    /// File name of the object that holds it.
    pub object: String,
    pub said: Said,
}

/// What the function has said, without what its runtime writes around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Written to stdout or stderr, as it stands.
    Raw(String),
    /// Through the runtime's logger.
    Logged { level: String, request_id: String, message: String },
    /// The runtime's report of an error that the handler has thrown.
    Error(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: String,
    seq: u64,
    request_id: Option<String>,
    message: Option<String>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
}

/// All lines of the function, in the order of their numbers. The objects must not be compressed.
pub fn delivered(world: &World) -> Vec<Delivered> {
    let mut numbered = Vec::new();
    for object in world.objects() {
        let name = file_name(&object.key).to_owned();
        let spool = name.split('-').next().unwrap().to_owned();
        for line in object.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let wire: Wire<'_> = serde_json::from_slice(line).unwrap();
            if wire.kind == "function" {
                let request_id = wire.request_id.clone().expect("one environment runs one invocation at a time");
                let said = said(&wire);
                numbered.push(((spool.clone(), wire.seq), Delivered { request_id, object: name.clone(), said }));
            }
        }
    }
    numbered.sort_by(|(a, _), (b, _)| a.cmp(b));
    numbered.into_iter().map(|(_, line)| line).collect()
}

fn said(wire: &Wire<'_>) -> Said {
    match (&wire.message, wire.record) {
        (Some(text), None) => from_text(text),
        (None, Some(record)) => from_object(record.get()),
        other => panic!("a line is a text or an object, not {other:?}"),
    }
}

/// `[INFO]<TAB>time<TAB>id<TAB>message` as Python writes it, `time<TAB>id<TAB>INFO<TAB>message` as Node.js does.
fn from_text(text: &str) -> Said {
    let logged = |level: &str, request_id: &str, message: &str| Said::Logged {
        level: level.to_owned(),
        request_id: request_id.to_owned(),
        message: message.to_owned(),
    };
    let columns: Vec<&str> = text.splitn(4, '\t').collect();
    match columns[..] {
        [level, _, id, message] if level.starts_with('[') => logged(level.trim_matches(['[', ']']), id, message),
        [_, _, "ERROR", error] => Said::Error(error.to_owned()),
        [_, id, level, message] if level == "INFO" => logged(level, id, message),
        _ if text.starts_with("[ERROR] ") => Said::Error(text.to_owned()),
        _ => Said::Raw(text.to_owned()),
    }
}

/// What is no object is wrapped by the platform in the three members that a line of it always has.
fn from_object(text: &str) -> Said {
    let object: Value = serde_json::from_str(text).unwrap();
    let member = |name: &str| object[name].as_str().map(str::to_owned);
    match (member("timestamp"), member("level"), member("requestId"), member("message")) {
        (Some(_), Some(level), Some(_), _) if level == "ERROR" => Said::Error(text.to_owned()),
        (Some(_), Some(level), Some(request_id), Some(message)) => Said::Logged { level, request_id, message },
        (Some(_), Some(_), None, Some(message)) => Said::Raw(message),
        _ => Said::Raw(text.to_owned()),
    }
}
