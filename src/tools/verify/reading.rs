//! What reading an object adds to what its listing says. Several are read at a time, while the listing goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::look_error::LookError;
use super::content::Lines;
use super::name::Known;
use crate::archive::located::{Located, base_name};
use crate::archive::object::read;
use crate::archive::reading::{Sources, locked};
use crate::archive::sorter::Sorter;
use crate::archive::source::ReadError;
use crate::upload::object_key::Content;

/// What is collected by listing and reading, bounded in memory.
pub(super) struct Collected {
    /// What is known of each spool.
    pub(super) known: Sorter,
    /// Requests that began.
    pub(super) started: Option<Sorter>,
    /// Objects of which only digest and number of lines were looked at.
    pub(super) counted_only: u64,
}

/// Counts that are looked at while they grow.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) objects: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Reads one object, and collects what it shows.
pub(super) fn read_one(
    located: &Located,
    sources: &mut Sources<'_>,
    collected: &Mutex<Collected>,
    counts: &Counts,
) -> Result<(), LookError> {
    let (source, name) = (sources.of(located.place), located.name());
    let (mut lines, mut started) = (Lines::of(name), Vec::new());
    let was_read = read(source, &located.object, located.codec(), |line| {
        if let Some(request) = lines.take(line) {
            started.push(request.into_owned());
        }
        Ok::<_, ReadError>(())
    });
    let found = match was_read {
        Ok(was_read) => Some(lines.end(&was_read)),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    let wrong = match &found {
        Some(found) if found.wrong.is_empty() => None,
        Some(found) => Some(found.wrong.join("; ")),
        None => Some("it is in the listing, and not there".to_owned()),
    };
    let mut collected = locked(collected);
    let mut knows = |known: Known| {
        let (key, value) = known.entry(name.spool_id);
        collected.known.push(&key, &value)
    };
    if let Some(wrong) = wrong {
        let file = base_name(&located.object.key);
        knows(Known::Finding(format!("{file}: {wrong}")))?;
    }
    if found.as_ref().is_some_and(|found| found.is_unknown_tail) {
        knows(Known::UnknownTail)?;
    }
    let is_text =
        matches!(name.content, Content::Lines { .. }) && found.as_ref().is_some_and(|found| !found.was_parsed);
    collected.counted_only += u64::from(is_text);
    if let Some(requests) = &mut collected.started {
        started.iter().try_for_each(|request| requests.push(request.as_bytes(), b""))?;
    }
    counts.objects.fetch_add(1, Ordering::Relaxed);
    counts.bytes.fetch_add(located.object.bytes, Ordering::Relaxed);
    Ok(())
}
