//! Random stories in lockstep with a plain model: everything that was acknowledged is delivered once or declared, nothing is
//! invented, numbers have no holes.
//!
//! `SPOOL_TEST_CASES` is the number of stories, `SPOOL_TEST_SEED` replays one.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod model_world;

use spool::Compression;

use model_world::process::Process;
use model_world::story::Story;
use model_world::{COMPRESSIONS, number};

/// Seeds that have failed once.
const PAST_FAILURES: &[u64] = &[
    20_260_037,
    20_260_050,
    20_264_137,
    1_020_260_135,
    1_020_260_239,
    1_020_260_267,
    1_020_260_799,
    1_020_263_092,
    1_020_266_523,
    2_020_260_025,
    2_020_261_447,
    3_020_260_082,
    3_020_260_251,
    3_020_263_158,
    3_020_263_163,
];
const CASES_DEFAULT: u64 = 3_000;

fn run(compression: Compression, story: &Story) {
    let root = model_world::scratch();
    let mut process = Process::begin(root.path().join("spools"), compression, story);
    for op in &story.ops {
        process.step(*op);
    }
    process.finish();
}

fn stories(index: usize) {
    let (name, compression) = COMPRESSIONS[index];
    let every = COMPRESSIONS.len() as u64;
    let told_before: Vec<u64> = number("SPOOL_TEST_SEED").map_or(PAST_FAILURES.into(), |seed| vec![seed]);
    let both = |seed: &u64| [Story::of(*seed), Story::of(*seed).with_fragments()];
    let mut stories: Vec<_> = told_before.iter().flat_map(both).collect();
    if number("SPOOL_TEST_SEED").is_none() {
        let cases = number("SPOOL_TEST_CASES").unwrap_or(CASES_DEFAULT);
        let first = 20_260_000 + index as u64 * 1_000_000_000;
        let seeds = first..first + cases / every;
        let with_fragments =
            |seed: u64| if seed.is_multiple_of(2) { Story::of(seed).with_fragments() } else { Story::of(seed) };
        stories.extend(seeds.map(with_fragments));
    }
    println!("{name}: {} stories, the last of seed {:?}", stories.len(), stories.last().map(|story| story.seed));
    for story in stories {
        story.tell(|story| run(compression, story));
    }
}

#[test]
fn every_story_is_remembered_with_zstd() {
    stories(0);
}

#[test]
fn every_story_is_remembered_with_zstd_in_many_frames() {
    stories(1);
}

#[test]
fn every_story_is_remembered_with_gzip() {
    stories(2);
}

#[test]
fn every_story_is_remembered_without_compression() {
    stories(3);
}
