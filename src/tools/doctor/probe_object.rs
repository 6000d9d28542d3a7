//! The object that is put to see whether objects can be put.
//!
//! * Its key lies below the prefix, where the role may write, in a folder of its own, which a life-cycle rule can name.
//!   Neither that nor its file name is one of ours, and both begin with a dot: Athena, Spark and Hive skip such files.
//! * It is one line of JSON all the same: whoever reads it reads no rubbish.
//! * It is new each time, so nothing that lies there is ever touched.

use bytes::Bytes;

use crate::deadline::now_ms;
use crate::identity;
use crate::upload::store::{Chunks, Object, ObjectBody};

/// Where probes lie below the prefix.
pub(super) const FOLDER: &str = ".logspool-doctor";
const LINE: &[u8] =
    b"{\"type\":\"logspool.probe\",\"message\":\"logspool doctor has stored this; it may be removed.\"}\n";

/// A probe.
pub(super) struct ProbeObject {
    key: String,
    body: Line,
}

struct Line;

impl ObjectBody for Line {
    fn chunks(&self) -> Chunks {
        Box::new(std::iter::once(Ok(Bytes::from_static(LINE))))
    }
}

impl ProbeObject {
    pub(super) fn new() -> Self {
        Self { key: format!("{FOLDER}/.{}", identity::fresh(now_ms()).id), body: Line }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn object(&self) -> Object<'_> {
        Object {
            key: &self.key,
            bytes: LINE.len() as u64,
            crc64_nvme: spool::object_digest(LINE),
            content_type: "application/x-ndjson",
            metadata: &[],
            body: &self.body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::object_key::parse_file_name;

    #[test]
    fn a_probe_is_new_hidden_none_of_ours_and_a_line_of_json() {
        let (one, other) = (ProbeObject::new(), ProbeObject::new());
        assert_ne!(one.key(), other.key());
        let (folder, file) = one.key().split_once('/').expect("a folder");
        assert!(folder.starts_with('.') && file.starts_with('.'), "{}", one.key());
        assert_eq!(parse_file_name(file), None, "no listing counts it");
        let line: serde_json::Value = serde_json::from_slice(LINE).expect("JSON");
        assert_eq!(line["type"], "logspool.probe");
    }
}
