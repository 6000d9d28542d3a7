//! `logspool verify`: whether anything is missing, from a listing; with `--deep` from the objects themselves.
//!
//! ```text
//! listings --names--> sorter --by spool, by number--> judge --verdicts--> report
//!      └--objects--> readers --findings--┘  (--deep, --invocations)
//! ```
//!
//! Memory is bounded whatever the places hold: what is collected is sorted through files, and a spool is judged as its names go by.

mod content;
mod judge;
mod name;
mod reading;
mod report;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use judge::{Sweep, Verdict};
use name::{Known, looks_like_ours};
use reading::{Collected, Counts, read_one};
use report::{Json, Report, Sums, Text};

use super::look_error::LookError;
use super::progress::Progress;
use super::{Failure, Outcome};
use crate::archive::located::{Located, base_name};
use crate::archive::partition::Span;
use crate::archive::reading::{Jobs, Readers, locked};
use crate::archive::sorter::{MEMORY_BYTES_DEFAULT, Sorter};
use crate::archive::source::Source;
use crate::config::StoreSettings;
use crate::upload::object_key::{parse_file_name, spool_id_time_ms};
use crate::upload::store::reading::Listed;

/// How long something may still come: an environment lives for some hours, and an outage may take one. Lambda keeps none for a day.
pub(super) const SETTLE_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);
/// An object lies in the folder of its first line's hour, which is within a day of the clock that stored it (`docs/format.md`).
const FOLDER_SLACK_MS: i64 = 25 * 3_600_000;
/// Names that look like ours and are not, for a person to look at.
const CHANGED_SHOWN: usize = 10;

/// What is looked at, and how closely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) places: Vec<String>,
    /// Spools that began before are left out, whole.
    pub(super) since_ms: Option<i64>,
    pub(super) settle: Duration,
    pub(super) deep: bool,
    pub(super) strict: bool,
    pub(super) json: bool,
    pub(super) invocations: bool,
}

pub(super) fn run(
    options: &Options,
    places: &[StoreSettings],
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<Outcome, Failure> {
    let started = options.invocations.then(|| Sorter::new(MEMORY_BYTES_DEFAULT));
    let known = Sorter::new(MEMORY_BYTES_DEFAULT);
    let collected = Mutex::new(Collected { known, started, counted_only: 0 });
    let mut sums = Sums { is_deep: options.deep, ..Sums::default() };
    collect(options, places, &collected, &mut sums)?;

    let Collected { mut known, started, counted_only } =
        collected.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    sums.counted_only = counted_only;
    let settled_ms = now_ms.saturating_sub(i64::try_from(options.settle.as_millis()).unwrap_or(i64::MAX));
    sums.invocations = started.map(distinct).transpose().map_err(LookError::from)?;
    let mut report: Box<dyn Report> = if options.json { Box::new(Json::new(out)) } else { Box::new(Text::new(out)) };
    judge(&mut known, settled_ms, &mut *report, &mut sums)?;
    if sums.is_empty() {
        return Err(LookError::Nothing.into());
    }
    report.end(&sums)?;
    drop(report);
    let fails = sums.has_findings() || options.strict && sums.spools(Verdict::UnknownTail) > 0;
    Ok(if fails { Outcome::Findings } else { Outcome::Clean })
}

/// Lists everything, and reads it if that is asked for.
fn collect(
    options: &Options,
    places: &[StoreSettings],
    collected: &Mutex<Collected>,
    sums: &mut Sums,
) -> Result<(), LookError> {
    let reads = options.deep || options.invocations;
    let (counts, jobs, progress) = (Counts::default(), Jobs::default(), Progress::new(reads));
    let span =
        options.since_ms.map_or(Span::ALL, |from_ms| Span { from_ms, until_ms: i64::MAX }.widened(FOLDER_SLACK_MS));
    std::thread::scope(|scope| {
        let counts = &counts;
        let read = move |sources: &mut _, located| read_one(&located, sources, collected, counts);
        let readers = reads.then(|| Readers::start(scope, places, &jobs, read));
        let mut listed = 0_u64;
        let mut each = |place: u16, object: Listed| {
            let Some(name) = parse_file_name(base_name(&object.key)) else {
                sums.foreign += 1;
                if sums.changed.len() < CHANGED_SHOWN && looks_like_ours(&object.key) {
                    sums.changed.push(object.key);
                }
                return Ok(());
            };
            if options.since_ms.is_some_and(|since| spool_id_time_ms(name.spool_id).is_none_or(|began| began < since)) {
                return Ok(());
            }
            let spool = name.spool_id.to_owned();
            let known = Known::Object(Located { place, object });
            let (key, value) = known.entry(&spool);
            locked(collected).known.push(&key, &value)?;
            listed += 1;
            progress.at(listed, counts.objects.load(Ordering::Relaxed), counts.bytes.load(Ordering::Relaxed));
            let (Some(readers), Known::Object(located)) = (&readers, known) else { return Ok(()) };
            if readers.give(located) { Ok(()) } else { Err(LookError::Stopped) }
        };
        let listing = places.iter().enumerate().try_for_each(|(place, settings)| {
            let mut source = Source::open(settings).map_err(|error| LookError::Unusable(error.to_string()))?;
            let place = u16::try_from(place).map_err(|_| LookError::Unusable("too many places".to_owned()))?;
            source.walk(span, |object| each(place, object)).map(drop)
        });
        let look = || progress.at(listed, counts.objects.load(Ordering::Relaxed), counts.bytes.load(Ordering::Relaxed));
        // What has ended the readers is why the listing has ended.
        readers.map_or(Ok(()), |readers| readers.finish(look))?;
        listing
    })
}

/// Judges spool by spool, as they come out of the sorter.
fn judge(known: &mut Sorter, settled_ms: i64, report: &mut dyn Report, sums: &mut Sums) -> Result<(), Failure> {
    let mut sweep: Option<Sweep> = None;
    loop {
        let entry = known.pop().map_err(LookError::from)?;
        let next = entry.as_ref().and_then(Known::of_entry);
        if let Some(done) = sweep.take_if(|sweep| next.as_ref().is_none_or(|(spool, _)| spool != sweep.spool())) {
            let verdict = done.end(settled_ms);
            sums.add(&verdict);
            report.spool(&verdict)?;
        }
        let Some((spool, known)) = next else { return Ok(()) };
        sweep.get_or_insert_with(|| Sweep::new(&spool)).take(&known);
    }
}

/// How many different keys a sorter holds.
fn distinct(mut sorter: Sorter) -> std::io::Result<u64> {
    let (mut count, mut last) = (0, None);
    while let Some(entry) = sorter.pop()? {
        count += u64::from(last.as_ref() != Some(&entry.key));
        last = Some(entry.key);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_once() {
        let mut sorter = Sorter::new(0);
        for request in ["b", "a", "b", "c", "a"] {
            sorter.push(request.as_bytes(), b"").expect("taken");
        }
        assert_eq!(distinct(sorter).expect("read"), 3);
    }
}
