//! Every object is one complete standard stream: decoders that are not the spool's read it whole, also after a crash at any
//! border of an entry.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod model_world;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use spool::{Codec, Compression, SealReason, SealedSegment, Spool};

use model_world::bucket::decoded;
use model_world::life::Life;
use model_world::{NOW_MS, config, copy, dir, identity, labeler, layout, only_orphan};

/// Every codec at several levels, with one frame and with frames that end inside and between batches.
fn compressions() -> Vec<Compression> {
    let mut compressions = vec![Compression { codec: Codec::None, level: 1, frame_bytes_max: None }];
    for (level, frame_bytes_max) in [(1, None), (3, Some(64)), (19, Some(1_000)), (6, Some(100_000))] {
        compressions.push(Compression { codec: Codec::Zstd, level, frame_bytes_max });
    }
    compressions.extend([1, 6, 9].map(|level| Compression { codec: Codec::Gzip, level, frame_bytes_max: None }));
    compressions
}

/// The program that everybody has for a codec.
fn program(codec: Codec) -> Option<&'static str> {
    match codec {
        Codec::None => None,
        Codec::Zstd => Some("zstd"),
        Codec::Gzip => Some("gzip"),
    }
}

/// What the program says; `None` if it is not installed.
fn decoded_by_program(codec: Codec, object: &[u8]) -> Option<Vec<u8>> {
    let program = program(codec)?;
    let command = Command::new(program).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = command else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let object = object.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&object));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} refuses the object: {}", output.status);
    Some(output.stdout)
}

#[track_caller]
fn assert_read_by_all(segment: &SealedSegment, life: &Life, ask_program: bool) {
    let object = segment.chunks().collect::<Result<Vec<_>, _>>().unwrap().concat();
    let facts = segment.facts();
    let expected = life.expected(facts.first.0, facts.last.0).unwrap();
    assert!(decoded(facts.codec, &object) == expected, "{facts:?}");
    if ask_program && let Some(lines) = decoded_by_program(facts.codec, &object) {
        assert!(lines == expected, "{facts:?}");
    }
}

/// Adopts a copy and reads all its objects; returns how many.
fn read_a_copy(root: &Path, life: &Life, cut: impl FnOnce(&Path), ask_program: bool) -> usize {
    let place = model_world::scratch();
    copy(root, place.path());
    cut(&dir(place.path(), life.id));
    let adopted = only_orphan(place.path()).adopt(&labeler()).unwrap();
    adopted.segments().iter().for_each(|segment| assert_read_by_all(segment, life, ask_program));
    adopted.segments().len()
}

#[test]
fn every_object_is_read_whole_after_a_crash_at_any_border_of_an_entry() {
    for compression in compressions() {
        let root = model_world::scratch();
        let mut spool = Spool::create(config(root.path(), compression), identity(3, 1), NOW_MS).unwrap();
        let mut life = Life::new(spool.id());
        for (records, nonce) in [(1, 2), (3, 7), (0, 0), (40, 15), (2, 1), (1, 3), (200, 23), (1, 5)] {
            life.append(&mut spool, records, nonce);
        }
        drop(spool);
        let name = "000000000000.seg";
        let file = fs::read(dir(root.path(), life.id).join(name)).unwrap();
        let entries = layout::entries(&file);
        for (index, entry) in entries.iter().enumerate() {
            let ends = [entry.payload.end, entry.payload.end.saturating_sub(1).max(entry.head.end)];
            for (torn, length) in ends.into_iter().enumerate() {
                let cut = |dir: &Path| {
                    fs::OpenOptions::new().write(true).open(dir.join(name)).unwrap().set_len(length as u64).unwrap();
                };
                // Processes are slow to start: they are asked at every border, not for every torn byte.
                let objects = read_a_copy(root.path(), &life, cut, torn == 0);
                assert_eq!(objects, usize::from(index > 0 || torn == 0 || entry.payload.is_empty()), "{compression:?}");
            }
        }
    }
}

#[test]
fn every_object_of_a_spool_that_goes_on_after_seals_is_read_whole() {
    for compression in compressions() {
        let root = model_world::scratch();
        let mut spool = Spool::create(config(root.path(), compression), identity(4, 1), NOW_MS).unwrap();
        let mut life = Life::new(spool.id());
        for batches in [&[(5, 7), (1, 3)][..], &[(1, 2)], &[(0, 0), (900, 15), (3, 1)]] {
            batches.iter().for_each(|(records, nonce)| life.append(&mut spool, *records, *nonce));
            assert!(spool.seal(SealReason::Age, NOW_MS).unwrap());
        }
        let sealed = spool.take_events().into_iter().filter_map(|event| match event {
            spool::SpoolEvent::Sealed(segment) => Some(segment),
            _ => None,
        });
        assert_eq!(sealed.map(|segment| assert_read_by_all(&segment, &life, true)).count(), 3);
        drop(spool);
        assert_eq!(read_a_copy(root.path(), &life, |_| {}, false), 3);
    }
}
