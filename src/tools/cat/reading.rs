//! Reads one object: the lines that pass go into a sorter by their time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::look_error::LookError;
use super::filter::Filter;
use super::line::{self, Said};
use super::selection::{Chosen, ordered};
use crate::archive::located::base_name;
use crate::archive::object::read;
use crate::archive::reading::{Sources, locked};
use crate::archive::sorter::Sorter;
use crate::upload::object_key::Content;

/// Counts that are looked at while they grow.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) lines: AtomicU64,
    /// Lines that cannot be judged by what is asked for.
    pub(super) raw: AtomicU64,
}

/// What all readers share.
pub(super) struct Shared<'a> {
    pub(super) filter: &'a Filter,
    pub(super) lines: &'a Mutex<Sorter>,
    pub(super) counts: &'a Counts,
    /// How far a line may stand from the hour of its object's folder.
    pub(super) slack_ms: i64,
    /// Nobody wants any more.
    pub(super) is_over: &'a AtomicBool,
}

/// Returns what is wrong with the object, in one line.
pub(super) fn read_one(
    chosen: &Chosen,
    sources: &mut Sources<'_>,
    shared: &Shared<'_>,
) -> Result<Option<String>, LookError> {
    let Chosen { located, folder, .. } = chosen;
    let (source, name) = (sources.of(located.place), located.name());
    let said: fn(&[u8]) -> Said<'_> = match name.content {
        Content::Lines { extension: "log", .. } => line::columns,
        _ => line::json,
    };
    let (mut seq, mut time_ms) = (name.first, chosen.standing_ms());
    let (mut lines, mut raw) = (0, 0);
    let was_read = read(source, &located.object, located.codec(), |line| {
        if shared.is_over.load(Ordering::Relaxed) {
            return Err(LookError::Stopped);
        }
        let said = said(line);
        // A line that has no time stands where the one before it stands.
        time_ms = said.time_ms.unwrap_or(time_ms);
        lines += 1;
        raw += u64::from(said.is_raw);
        if shared.filter.passes(line, &said, time_ms, *folder) {
            locked(shared.lines).push(&key(time_ms, name.spool_id, seq), line)?;
        }
        seq = seq.saturating_add(1);
        Ok(())
    });
    let Counts { objects, bytes, lines: all_lines, raw: all_raw } = shared.counts;
    all_lines.fetch_add(lines, Ordering::Relaxed);
    all_raw.fetch_add(raw, Ordering::Relaxed);
    let wrong = match was_read {
        Ok(read) => {
            objects.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(located.object.bytes, Ordering::Relaxed);
            let differs = match name.content {
                Content::Lines { digest, .. } if digest != read.digest => {
                    Some(format!("the digest of its bytes is {:016x}", read.digest))
                }
                _ => None,
            };
            let wrong: Vec<_> = differs.into_iter().chain(read.damage).collect();
            (!wrong.is_empty()).then(|| format!("{}; what can be read of it is shown", wrong.join("; ")))
        }
        Err(LookError::Read(error)) if error.is_missing() => Some("it was in the listing, and is gone".to_owned()),
        Err(error) => return Err(error),
    };
    Ok(wrong.map(|wrong| format!("{}: {wrong}", base_name(&located.object.key))))
}

/// By time; at the same time a spool's lines stand together, in their order.
fn key(time_ms: i64, spool_id: &str, seq: u64) -> Vec<u8> {
    [&ordered(time_ms)[..], spool_id.as_bytes(), &seq.to_be_bytes()].concat()
}
