//! Replays the corpora of the fuzz targets on a stable toolchain: every input that once taught a fuzzer something, and every
//! one that once was a finding, must pass for ever after.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use spool::fuzzing::TARGETS;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target);
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
fn every_structure_survives_the_corpus() {
    replay("entry_decode");
}

#[test]
fn every_stream_of_the_corpus_is_complete() {
    replay("frame_ends");
}

#[test]
fn every_directory_of_the_corpus_is_adopted_in_truth() {
    replay("segment_read");
}

#[test]
fn every_history_of_the_corpus_loses_and_invents_nothing() {
    replay("spool_ops");
}
