//! A delivered archive, as a directory, and every way in which somebody could take something out of it.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::world::{World, desk, file_name};

/// What the program says to a person.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl World {
    /// Runs a tool with the right to read the bucket, and nothing else of this process' surroundings.
    pub fn tool(&self, arguments: &[&str]) -> Said {
        let output = Command::new(desk())
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL_S3", self.s3.endpoint())
            .env("AWS_REGION", self.s3.region())
            .env("AWS_ACCESS_KEY_ID", self.s3.access_key_id())
            .env("AWS_SECRET_ACCESS_KEY", self.s3.secret_access_key())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// The objects of a bucket as files: what is tampered with.
pub struct Archive {
    directory: TempDir,
}

impl Archive {
    pub fn of(world: &World) -> Self {
        let directory = TempDir::new().unwrap();
        for object in world.objects() {
            let path = directory.path().join(object.key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, object.bytes).unwrap();
        }
        Self { directory }
    }

    pub fn place(&self) -> String {
        format!("file://{}", self.directory.path().display())
    }

    /// All files, in the order of spools and numbers.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.directory.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort_by_key(|path| name(path));
        files
    }

    /// What `verify` says of it once it is settled. Files were written just now, so nothing is waited for.
    pub fn verify(&self, world: &World, options: &[&str]) -> Said {
        let place = self.place();
        world.tool(&[&["verify", &place, "--settle", "0s"], options].concat())
    }
}

pub fn name(path: &Path) -> String {
    file_name(path.to_str().unwrap()).to_owned()
}

/// The parts of a name: spool, first, last, and the rest.
fn parts(path: &Path) -> (String, u64, u64, String) {
    let name = name(path);
    let parts: Vec<_> = name.splitn(4, '-').collect();
    (parts[0].to_owned(), parts[1].parse().unwrap(), parts[2].parse().unwrap(), parts[3].to_owned())
}

fn rename(path: &Path, (spool, first, last, rest): (String, u64, u64, String)) -> PathBuf {
    path.with_file_name(format!("{spool}-{first:012}-{last:012}-{rest}"))
}

/// A file with the right digest in its name.
fn with_digest(path: &Path, bytes: &[u8]) -> PathBuf {
    let (spool, first, last, rest) = parts(path);
    rename(path, (spool, first, last, format!("{:016x}{}", spool::object_digest(bytes), &rest[16..])))
}

/// Objects that hold lines, and are neither first nor last in their spool: what somebody would miss least.
fn inner(files: &[PathBuf]) -> Vec<PathBuf> {
    let of_lines = |path: &&[PathBuf]| path.iter().all(|path| !name(path).ends_with(".dropped"));
    let triples = files.windows(3).filter(of_lines);
    let within = triples.filter(|triple| triple.iter().all(|path| parts(path).0 == parts(&triple[0]).0));
    within.map(|triple| triple[1].clone()).collect()
}

/// What is done to an archive, what the findings must name, and whether a listing alone shows it.
pub struct Tampering {
    pub what: &'static str,
    pub is_in_listing: bool,
    pub names: Vec<String>,
    undo: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Tampering {
    fn new(what: &'static str, is_in_listing: bool) -> Self {
        Self { what, is_in_listing, names: Vec::new(), undo: Vec::new() }
    }

    fn naming(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    fn keep(&mut self, path: &Path) {
        self.undo.push((path.to_owned(), fs::read(path).ok()));
    }

    fn write(mut self, path: &Path, bytes: &[u8]) -> Self {
        self.keep(path);
        fs::write(path, bytes).unwrap();
        self
    }

    fn remove(mut self, path: &Path) -> Self {
        self.keep(path);
        fs::remove_file(path).unwrap();
        self
    }

    fn moved(self, from: &Path, to: &Path) -> Self {
        let bytes = fs::read(from).unwrap();
        self.remove(from).write(to, &bytes)
    }

    pub fn undo(self) {
        for (path, bytes) in self.undo.into_iter().rev() {
            match bytes {
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
    }
}

fn numbers(first: u64, last: u64) -> String {
    if first == last { format!("number {first} ") } else { format!("numbers {first} to {last} ") }
}

/// Every way, one after the other: each begins with the archive as it was.
pub fn each(archive: &Archive, mut check: impl FnMut(&Tampering)) {
    let files = archive.files();
    let inner = inner(&files);
    assert!(inner.len() > 3, "there is something to tamper with");
    let victim = &inner[inner.len() / 2];
    let (spool, first, last, rest) = parts(victim);
    let bytes = fs::read(victim).unwrap();
    let mut run = |tampering: Tampering| {
        check(&tampering);
        tampering.undo();
    };

    run(Tampering::new("a deleted object", true).naming(&spool).naming(numbers(first, last)).remove(victim));

    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    run(Tampering::new("a changed byte", false).naming(name(victim)).naming("digest").write(victim, &changed));

    let digit = if rest.starts_with('0') { "1" } else { "0" };
    let other_digest = rename(victim, (spool.clone(), first, last, format!("{digit}{}", &rest[1..])));
    run(Tampering::new("a renamed key: another digest", false)
        .naming(name(&other_digest))
        .moved(victim, &other_digest));
    let shifted = rename(victim, (spool.clone(), first + 1_000_000, last + 1_000_000, rest.clone()));
    run(Tampering::new("a renamed key: other numbers", true).naming(numbers(first, last)).moved(victim, &shifted));
    let mut other_spool = spool.clone();
    other_spool.replace_range(25..26, if spool.ends_with('0') { "1" } else { "0" });
    let moved = rename(victim, (other_spool.clone(), first, last, rest.clone()));
    run(Tampering::new("a renamed key: another spool", true).naming(&spool).naming(&other_spool).moved(victim, &moved));
    let unreadable = victim.with_file_name(name(victim).replace(".ndjson", ".Ndjson"));
    run(Tampering::new("a renamed key: none of ours", true).naming(name(&unreadable)).moved(victim, &unreadable));

    let longer = rename(victim, (spool.clone(), first, last + 1, rest.clone()));
    run(Tampering::new("a forged range: one more", true).naming(name(&longer)).moved(victim, &longer));
    // The one before is taken out, and this one says that it holds those numbers, too.
    let before = files.iter().find(|path| parts(path).0 == spool && parts(path).2 + 1 == first).unwrap();
    let forged = rename(victim, (spool.clone(), parts(before).1, last, rest.clone()));
    run(Tampering::new("a forged range: over a deleted object", false)
        .naming(name(&forged))
        .remove(before)
        .moved(victim, &forged));

    let twin = with_digest(victim, &changed);
    run(Tampering::new("two bodies under one range", true)
        .naming("two bodies under one range")
        .naming(name(victim))
        .naming(name(&twin))
        .write(&twin, &changed));

    // A line is taken out, and everything is made to fit.
    if name(victim).ends_with(".ndjson") {
        let keep = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let without = with_digest(victim, &bytes[keep..]);
        run(Tampering::new("a line taken out, with a right digest", false)
            .naming(name(&without))
            .naming("line 1 has the number")
            .remove(victim)
            .write(&without, &bytes[keep..]));
    }

    for dropped in files.iter().filter(|path| name(path).ends_with(".dropped")).take(1) {
        let (spool, first, last, rest) = parts(dropped);
        let tampering = Tampering::new("a removed .dropped", true).naming(&spool).naming(numbers(first, last));
        run(tampering.remove(dropped));
        let smaller = rename(dropped, (spool, first, last + 1, rest));
        run(Tampering::new("a forged .dropped", false)
            .naming(name(&smaller))
            .naming("another loss")
            .moved(dropped, &smaller));
    }

    let end = files.iter().rev().find(|path| name(path).contains("-end.")).unwrap();
    let no_end = end.with_file_name(name(end).replace("-end.", "."));
    // What was an end is none any more: with --strict that is a finding.
    run(Tampering::new("a removed end mark", true).naming("ended without notice").moved(end, &no_end));
}

/// Every way is found, and named, by the listing alone where that can be.
pub fn assert_all_found(world: &World, archive: &Archive) -> Vec<&'static str> {
    let mut tried = Vec::new();
    each(archive, |tampering| {
        let deep = archive.verify(world, &["--deep", "--strict"]);
        println!("{}:\n{}", tampering.what, deep.out);
        assert_eq!(deep.code, Some(1), "{}: {deep:?}", tampering.what);
        for name in &tampering.names {
            assert!(deep.out.contains(name.as_str()), "{}: {name} is not named in\n{}", tampering.what, deep.out);
        }
        let listing = archive.verify(world, &["--strict"]);
        let code = if tampering.is_in_listing { 1 } else { 0 };
        assert_eq!(listing.code, Some(code), "{}: {listing:?}", tampering.what);
        tried.push(tampering.what);
    });
    let as_it_was = archive.verify(world, &["--deep"]);
    assert_eq!(as_it_was.code, Some(0), "everything was undone: {as_it_was:?}");
    tried
}
