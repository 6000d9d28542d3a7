//! Objects that went to the log of a function, made of its lines again: the same bytes under the same keys.
//!
//! Nothing is written that was not verified: an object whose parts are not all there, or whose digest is another one, is named
//! and left out. What is there already is left alone, so the same logs can be given again with what was missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::table::grouped;
use super::{Failure, Outcome};
use crate::upload::printed::{Damaged, Finder, Head, MARK, Part};
use crate::upload::store::file::FileStore;
use crate::upload::store::{CHUNK_BYTES_MAX, Chunks, Object, ObjectBody, ObjectStore as _, PutOutcome};

/// Parts of objects that are not complete are in memory. A function writes 1 MiB at the end of an environment at most, so this is what
/// some hundred environments have written if their lines come in no order at all.
const PENDING_BYTES_MAX: u64 = 256 * 1024 * 1024;
const PIECE_BYTES: usize = 256 * 1024;
/// A person waits, and can see that.
const TIME_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(
    dir: &Path,
    files: &[PathBuf],
    stdin: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Failure> {
    let mut recovery = Recovery::new(dir)?;
    if files.is_empty() {
        recovery.read("stdin", stdin, out, err)?;
    }
    for file in files {
        let name = file.display().to_string();
        let mut open = File::open(file).map_err(|error| Failure::Read(name.clone(), error))?;
        recovery.read(&name, &mut open, out, err)?;
    }
    recovery.finish(out, err)
}

struct Recovery {
    store: FileStore,
    dir: PathBuf,
    runtime: tokio::runtime::Runtime,
    pending: BTreeMap<Head, BTreeMap<u64, Bytes>>,
    pending_bytes: u64,
    done: BTreeSet<Head>,
    already_there: usize,
    bytes: u64,
    wrong: usize,
}

impl Recovery {
    fn new(dir: &Path) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| Failure::Recover(format!("no async runtime is to be had: {error}")))?;
        Ok(Self {
            store: FileStore::new(dir, TIME_LIMIT),
            dir: dir.to_owned(),
            runtime,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            done: BTreeSet::new(),
            already_there: 0,
            bytes: 0,
            wrong: 0,
        })
    }

    fn read(
        &mut self,
        name: &str,
        text: &mut dyn Read,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), Failure> {
        let (mut finder, mut piece) = (Finder::default(), vec![0; PIECE_BYTES]);
        let mut found = Vec::new();
        loop {
            let length = match text.read(&mut piece) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::Read(name.to_owned(), error)),
            };
            if length == 0 {
                break;
            }
            finder.take(&piece[..length], |part| found.push(part));
            for part in found.drain(..) {
                self.take(name, part, out, err)?;
            }
        }
        finder.end(|part| found.push(part));
        found.into_iter().try_for_each(|part| self.take(name, part, out, err))
    }

    fn take(
        &mut self,
        name: &str,
        part: Result<Part, Damaged>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), Failure> {
        let Part { head, number, bytes } = match part {
            Ok(part) => part,
            Err(damaged) => {
                self.wrong += 1;
                writeln!(err, "{name}: {damaged}")?;
                return Ok(());
            }
        };
        if self.done.contains(&head) {
            return Ok(());
        }
        let length = bytes.len() as u64;
        let parts = self.pending.entry(head.clone()).or_default();
        if parts.insert(number, bytes).is_none() {
            self.pending_bytes += length;
        }
        if parts.len() as u64 == head.parts() {
            let bytes = parts.values().flatten().copied().collect::<Vec<u8>>();
            self.pending.remove(&head);
            self.pending_bytes -= bytes.len() as u64;
            return self.complete(head, bytes, out, err);
        }
        if self.pending_bytes > PENDING_BYTES_MAX {
            let message = format!(
                "more than {} MiB of objects are not complete: give the logs of fewer environments at a time",
                PENDING_BYTES_MAX >> 20
            );
            return Err(Failure::Recover(message));
        }
        Ok(())
    }

    fn complete(
        &mut self,
        head: Head,
        bytes: Vec<u8>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), Failure> {
        if spool::object_digest(&bytes) != head.crc64_nvme {
            self.wrong += 1;
            writeln!(err, "{}: its bytes have another digest than it says: left out", shown(&head.key))?;
            return Ok(());
        }
        let body = Whole(bytes.into());
        let object = Object {
            key: &head.key,
            bytes: head.bytes,
            crc64_nvme: head.crc64_nvme,
            content_type: "",
            metadata: &[],
            body: &body,
        };
        let outcome =
            self.runtime.block_on(self.store.put(&object)).map_err(|error| Failure::Recover(error.to_string()))?;
        self.already_there += usize::from(outcome == PutOutcome::AlreadyThere);
        self.bytes += head.bytes;
        writeln!(out, "{:>11} bytes  {}", grouped(head.bytes), shown(&head.key))?;
        self.done.insert(head);
        Ok(())
    }

    fn finish(self, out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Failure> {
        for (head, parts) in &self.pending {
            let missing: Vec<_> = (1..=head.parts()).filter(|part| !parts.contains_key(part)).collect();
            let first: Vec<_> = missing.iter().take(10).map(ToString::to_string).collect();
            let more = if missing.len() > first.len() { ", …" } else { "" };
            let (key, of) = (shown(&head.key), head.parts());
            writeln!(err, "{key}: part {}{more} of {of} is missing: left out", first.join(", "))?;
        }
        let (objects, incomplete) = (self.done.len(), self.pending.len());
        if objects + incomplete + self.wrong == 0 {
            writeln!(err, "nothing begins with `{}`: is it the log of the function?", MARK.trim_end())?;
        }
        writeln!(
            out,
            "recovered below {}: {objects} ({} bytes; {} were there already), incomplete: {incomplete}, damaged: {}",
            self.dir.display(),
            grouped(self.bytes),
            self.already_there,
            self.wrong
        )?;
        Ok(if incomplete == 0 && self.wrong == 0 { Outcome::Clean } else { Outcome::Findings })
    }
}

/// A key from outside, fit for a terminal.
fn shown(key: &str) -> String {
    key.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

struct Whole(Bytes);

impl ObjectBody for Whole {
    fn chunks(&self) -> Chunks {
        let mut rest = self.0.clone();
        Box::new(std::iter::from_fn(move || {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES_MAX));
            (!chunk.is_empty()).then_some(Ok(chunk))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::printed::PART_BYTES;

    fn head(key: &str, content: &[u8]) -> Head {
        let crc64_nvme = spool::object_digest(content);
        Head { key: key.to_owned(), bytes: content.len() as u64, crc64_nvme }
    }

    fn lines(key: &str, content: &[u8]) -> Vec<String> {
        let head = head(key, content);
        content.chunks(PART_BYTES).zip(1..).map(|(chunk, part)| head.line(part, chunk)).collect()
    }

    fn recover(dir: &Path, text: &str) -> (Outcome, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = run(dir, &[], &mut text.as_bytes(), &mut out, &mut err).expect("it can be looked at");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (outcome, text(out), text(err))
    }

    #[test]
    fn objects_are_made_of_lines_in_any_order_and_given_twice() {
        let root = tempfile::tempdir().expect("a directory");
        let large: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut text = lines("function=f/dt=2026-11-23/a.zst", &large);
        text.extend(lines("b.dropped", b"{}\n"));
        text.reverse();
        text.extend(text.clone());
        let (outcome, out, err) = recover(root.path(), &text.concat());
        assert_eq!((outcome, err.as_str()), (Outcome::Clean, ""));
        assert!(out.contains(": 2 (400,003 bytes; 0 were there already), incomplete: 0, damaged: 0"), "{out}");
        let read = |key: &str| std::fs::read(root.path().join(key)).expect(key);
        assert_eq!((read("function=f/dt=2026-11-23/a.zst"), read("b.dropped")), (large, b"{}\n".to_vec()));
        let (outcome, out, _) = recover(root.path(), &text.concat());
        assert_eq!(outcome, Outcome::Clean);
        assert!(out.contains("2 were there already), incomplete: 0, damaged: 0"), "{out}");
    }

    #[test]
    fn what_is_missing_damaged_or_forged_is_named_and_left_out() {
        let root = tempfile::tempdir().expect("a directory");
        let content = vec![7; 3 * PART_BYTES];
        let parts = lines("a", &content);
        let forged = Head { key: "b".into(), bytes: 3, crc64_nvme: 1 }.line(1, b"abc");
        let text = format!("{}{}\n{forged}", parts[0], &parts[2][..parts[2].len() - 9]);
        let (outcome, out, err) = recover(root.path(), &text);
        assert_eq!(outcome, Outcome::Findings);
        let expected = [
            "stdin: part 3of3 of a: it has another length than it says: the line was cut or changed",
            "b: its bytes have another digest than it says: left out",
            "a: part 2, 3 of 3 is missing: left out",
        ];
        assert_eq!(err.lines().collect::<Vec<_>>(), expected);
        assert!(out.contains(": 0 (0 bytes; 0 were there already), incomplete: 1, damaged: 2"), "{out}");
        assert_eq!(std::fs::read_dir(root.path()).expect("listed").count(), 0);
    }

    #[test]
    fn a_text_without_any_part_is_asked_about() {
        let root = tempfile::tempdir().expect("a directory");
        let (outcome, _, err) = recover(root.path(), "a line of a function\n");
        assert_eq!(outcome, Outcome::Clean);
        assert_eq!(err, "nothing begins with `logspool-part v1`: is it the log of the function?\n");
    }

    #[test]
    fn a_key_that_leads_elsewhere_is_refused() {
        let root = tempfile::tempdir().expect("a directory");
        let text = lines("../../etc/x", b"abc").concat();
        let result = run(&root.path().join("below"), &[], &mut text.as_bytes(), &mut Vec::new(), &mut Vec::new());
        let message = result.expect_err("it leads out of the directory").to_string();
        assert_eq!(message, "the key `../../etc/x` is no path below a directory");
    }
}
