//! What an object holds, against what its name says: pure.

use std::borrow::Cow;

use serde::Deserialize;

use crate::archive::object::WasRead;
use crate::upload::object_key::{Content, FileName, Mark};

/// Reads the lines of one object.
pub(super) struct Lines<'a> {
    name: FileName<'a>,
    next: u64,
    /// The first thing that is wrong; what follows from it would only hide it.
    wrong: Option<String>,
    ends: bool,
    is_unknown_tail: bool,
}

/// What is known of an object that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) wrong: Vec<String>,
    /// Its end line says that nobody knows the tail.
    pub(super) is_unknown_tail: bool,
    /// Its lines were parsed, not only counted.
    pub(super) was_parsed: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    seq: u64,
    last: Option<u64>,
    records: Option<u64>,
    #[serde(borrow)]
    cause: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "requestId")]
    request_id: Option<Cow<'a, str>>,
    #[serde(default, rename = "unknownTail")]
    unknown_tail: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn of(name: FileName<'a>) -> Self {
        Self { next: name.first, wrong: None, ends: false, is_unknown_tail: false, name }
    }

    /// The next line. Returns the request that begins in it, if it says so.
    pub(super) fn take<'line>(&mut self, line: &'line [u8]) -> Option<Cow<'line, str>> {
        let position = self.next - self.name.first + 1;
        self.next += 1;
        let is_text = matches!(self.name.content, Content::Lines { extension: "log", .. });
        if is_text {
            self.plain(line);
            return None;
        }
        match serde_json::from_slice::<Line<'_>>(line) {
            Ok(parsed) => {
                if let Some(wrong) = self.look(&parsed) {
                    self.wrong.get_or_insert(format!("line {position} {wrong}"));
                }
                if parsed.kind == "platform.start" { parsed.request_id } else { None }
            }
            Err(error) => {
                self.wrong.get_or_insert(format!("line {position} is no line of logspool: {error}"));
                None
            }
        }
    }

    fn look(&mut self, line: &Line<'_>) -> Option<String> {
        let number = self.next - 1;
        match self.name.content {
            Content::Dropped { cause } => {
                let says = (line.seq, line.last, line.records, line.cause.as_deref());
                let (first, last) = (self.name.first, self.name.last);
                let is_right = says == (first, Some(last), Some(last - first + 1), Some(cause));
                // One line declares all of it.
                self.next = self.name.last + 1;
                (!is_right || line.kind != "logspool.dropped").then(|| "declares another loss".to_owned())
            }
            Content::Lines { .. } => {
                self.ends = line.kind == "logspool.end";
                self.is_unknown_tail |= line.unknown_tail && self.ends;
                (line.seq != number).then(|| format!("has the number {}, where {number} stands", line.seq))
            }
        }
    }

    /// Text says its type in words that a function could say, too; so only the end of an object that has one is looked at.
    fn plain(&mut self, line: &[u8]) {
        let text = line.strip_prefix(b"-\t-\t").unwrap_or(line);
        let end = format!("logspool.end {{\"seq\":{},", self.next - 1);
        self.ends = text.starts_with(end.as_bytes());
        self.is_unknown_tail = self.ends && text.ends_with(b"\"unknownTail\":true}");
    }

    /// The object is read.
    pub(super) fn end(self, read: &WasRead) -> Found {
        let mut found = Found { is_unknown_tail: self.is_unknown_tail, ..Found::default() };
        let (first, last) = (self.name.first, self.name.last);
        if let Content::Lines { digest, extension, mark, .. } = self.name.content {
            found.was_parsed = extension != "log";
            if read.digest != digest {
                found.wrong.push(format!("the digest of its bytes is {:016x}", read.digest));
            }
            if mark == Mark::End && !self.ends && read.damage.is_none() {
                found.wrong.push("its last line is no end".to_owned());
            }
        }
        found.wrong.extend(read.damage.clone());
        let (held, named) = (self.next - first, last - first + 1);
        if held != named && read.damage.is_none() {
            found.wrong.push(format!("it holds {held} lines where its name says {named}"));
        }
        found.wrong.extend(self.wrong);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::object_key::parse_file_name;

    const SPOOL: &str = "01JZ8K4M3N5P6Q7R8S9T0V1W2X";

    fn found(rest: &str, lines: &[&str], read: &WasRead) -> (Found, Vec<String>) {
        let name = format!("{SPOOL}-{rest}");
        let mut object = Lines::of(parse_file_name(&name).expect(rest));
        let started = lines.iter().filter_map(|line| object.take(line.as_bytes()).map(Cow::into_owned)).collect();
        (object.end(read), started)
    }

    fn wrong(rest: &str, lines: &[&str]) -> Vec<String> {
        found(rest, lines, &WasRead { digest: 0xff, damage: None }).0.wrong
    }

    const RANGE: &str = "000000000003-000000000004-00000000000000ff";

    #[test]
    fn an_object_holds_what_its_name_says() {
        let (three, four) = (r#"{"time":"t","type":"function","seq":3,"message":"a"}"#, r#"{"type":"x","seq":4}"#);
        let end = r#"{"type":"logspool.end","seq":4,"losses":{}}"#;
        let (plain, ending) = (format!("{RANGE}.ndjson.zst"), format!("{RANGE}-end.ndjson.zst"));
        let nothing: [&str; 0] = [];
        assert_eq!(wrong(&plain, &[three, four]), nothing);
        assert_eq!(wrong(&ending, &[three, end]), nothing);
        assert_eq!(wrong(&plain, &[three, three]), ["line 2 has the number 3, where 4 stands"]);
        assert_eq!(wrong(&plain, &[three]), ["it holds 1 lines where its name says 2"]);
        assert_eq!(wrong(&plain, &[three, four, four]).len(), 2);
        assert_eq!(wrong(&ending, &[three, four]), ["its last line is no end"]);
        assert!(wrong(&plain, &["", four])[0].starts_with("line 1 is no line of logspool: "));
        assert!(wrong(&plain, &["[]", four])[0].starts_with("line 1 is no line of logspool: "));
        let other = found(&plain, &[three, four], &WasRead { digest: 0xfe, damage: None });
        assert_eq!(other.0.wrong, ["the digest of its bytes is 00000000000000fe"]);
        let damaged = found(&plain, &[three], &WasRead { digest: 0xff, damage: Some("no frame".to_owned()) });
        assert_eq!(damaged.0.wrong, ["no frame"]);
    }

    #[test]
    fn ends_tell_of_unknown_tails_and_starts_of_their_request() {
        let start = r#"{"time":"t","type":"platform.start","seq":3,"requestId":"r-1","record":{"requestId":"r-1"}}"#;
        let end = r#"{"type":"logspool.end","seq":4,"losses":{},"unknownTail":true}"#;
        let read = WasRead { digest: 0xff, damage: None };
        let (found, started) = found(&format!("{RANGE}-end.ndjson"), &[start, end], &read);
        assert_eq!(started, ["r-1"]);
        assert_eq!(found, Found { wrong: vec![], is_unknown_tail: true, was_parsed: true });
    }

    #[test]
    fn text_is_counted_and_its_end_is_known() {
        let read = WasRead { digest: 0xff, damage: None };
        let name = format!("{RANGE}-end.log.gz");
        for end in ["-\t-\tlogspool.end {\"seq\":4,\"losses\":{}}", "logspool.end {\"seq\":4,\"losses\":{}}"] {
            let (found, _) = found(&name, &["{\"seq\":9}", end], &read);
            assert_eq!(found, Found::default(), "{end}");
        }
        let (found, _) = found(&name, &["a", "b", "c"], &read);
        assert_eq!(found.wrong, ["its last line is no end", "it holds 3 lines where its name says 2"]);
    }

    #[test]
    fn a_declared_loss_declares_what_its_name_says() {
        let name = "000000000003-000000000004-quota.dropped";
        let line = r#"{"type":"logspool.dropped","seq":3,"last":4,"records":2,"bytes":9,"cause":"quota"}"#;
        let nothing: [&str; 0] = [];
        assert_eq!(wrong(name, &[line]), nothing);
        for (from, to) in
            [("\"seq\":3", "\"seq\":2"), ("\"last\":4", "\"last\":5"), ("s\":2", "s\":1"), ("quota", "damage")]
        {
            assert_eq!(wrong(name, &[&line.replace(from, to)]), ["line 1 declares another loss"], "{to}");
        }
        assert_eq!(wrong(name, &[]), ["it holds 0 lines where its name says 2"]);
    }
}
