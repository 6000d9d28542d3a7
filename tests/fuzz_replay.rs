//! Replays the corpora of this crate's fuzz targets on a stable toolchain: every input that once taught a fuzzer something, and
//! every one that once was a finding, must pass for ever after.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use logspool::fuzzing::TARGETS;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus");

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(CORPUS).join(target);
    let mut inputs: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

/// Runs one target over its corpus and names the inputs that it fails on.
fn replay(target: &str) {
    let body = TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let inputs = corpus(target);
    let fails = |input: &&PathBuf| {
        let bytes = fs::read(input).unwrap();
        catch_unwind(|| body(&bytes)).is_err()
    };
    let failed: Vec<_> = inputs.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{} of {} inputs are findings: {failed:#?}", failed.len(), inputs.len());
    println!("{target}: {} inputs", inputs.len());
}

#[test]
fn every_record_of_the_corpus_is_redacted_as_claimed() {
    replay("redaction");
}

#[test]
fn every_body_of_the_corpus_becomes_lines() {
    replay("telemetry_body");
}

#[test]
fn every_record_of_the_corpus_is_whole_again() {
    replay("stitch");
}

#[test]
fn every_object_of_the_corpus_comes_back_from_its_lines() {
    replay("recover");
}

#[test]
fn every_history_of_the_corpus_has_its_request_ids() {
    replay("attribution");
}

/// Those of the spool have a test of their own beside it.
#[test]
fn no_corpus_is_without_a_target() {
    let mut names: Vec<_> =
        fs::read_dir(CORPUS).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let targets = TARGETS.iter().map(|(name, _)| *name);
    let mut targets: Vec<_> = targets.chain(spool::fuzzing::TARGETS.iter().map(|(name, _)| *name)).collect();
    targets.sort_unstable();
    assert_eq!(names, targets);
}
