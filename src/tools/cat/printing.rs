//! Reads objects by a few threads, and prints what is older than everything that is still to come.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use super::super::look_error::LookError;
use super::reading::{Shared, read_one};
use super::selection::{Chosen, InOrder, ordered};
use crate::archive::reading::{Jobs, LOOK_EVERY, Readers, WAITING_MAX, locked};
use crate::archive::sorter::{Entry, Sorter};
use crate::config::StoreSettings;
use crate::tools::Failure;
use crate::tools::progress::Progress;

/// So much is taken out of the sorter at a time: readers wait meanwhile.
const TAKEN_BYTES_MAX: usize = 1024 * 1024;

/// Where lines go, and what is wrong with objects.
pub(super) struct Printer<'a> {
    pub(super) out: &'a mut dyn Write,
    pub(super) err: &'a mut dyn Write,
    pub(super) printed: u64,
    pub(super) damaged: u64,
    last: Option<Entry>,
}

impl<'a> Printer<'a> {
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err, printed: 0, damaged: 0, last: None }
    }

    /// Prints what stands before `bound_ms`, or all of it.
    fn print_before(&mut self, bound_ms: Option<i64>, lines: &Mutex<Sorter>) -> Result<(), Failure> {
        let bound = bound_ms.map(ordered);
        loop {
            let taken = take(&mut locked(lines), bound.as_ref().map(<[u8; 8]>::as_slice))?;
            if taken.is_empty() {
                return Ok(());
            }
            for entry in taken {
                // The same line lies in two objects: a piece, and the whole one.
                if self.last.as_ref() != Some(&entry) {
                    self.out.write_all(&entry.value)?;
                    self.out.write_all(b"\n")?;
                    self.printed += 1;
                    self.last = Some(entry);
                }
            }
        }
    }

    fn say(&mut self, wrong: &str, progress: Option<&Progress>) {
        self.damaged += 1;
        let mut say = || {
            let _ = writeln!(self.err, "logspool: {wrong}");
        };
        match progress {
            Some(progress) => progress.aside(say),
            None => say(),
        }
    }
}

/// The next lines below a bound; none if there is none.
fn take(lines: &mut Sorter, bound: Option<&[u8]>) -> Result<Vec<Entry>, LookError> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    while bytes < TAKEN_BYTES_MAX
        && let Some(entry) = lines.pop_below(bound)?
    {
        bytes += entry.key.len() + entry.value.len();
        taken.push(entry);
    }
    Ok(taken)
}

/// An object was read: what [`Chosen::begins_ms`] says of it, and what is wrong with it.
type Done = (i64, Option<String>);

/// Prints the lines of objects.
pub(super) fn print(
    objects: InOrder,
    places: &[StoreSettings],
    shared: &Shared<'_>,
    progress: Option<&Progress>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let (jobs, (sender, done)) = (Jobs::default(), channel());
    // Threads share one; it never waits, since few objects are given at a time.
    let sender = Mutex::new(sender);
    std::thread::scope(|scope| {
        let sender = &sender;
        let readers = Readers::start(scope, places, &jobs, move |sources, chosen: Chosen| {
            let wrong = read_one(&chosen, sources, shared)?;
            let told = sender.lock().unwrap_or_else(PoisonError::into_inner).send((chosen.begins_ms(), wrong));
            told.map_err(|_| LookError::Stopped)
        });
        let printed = print_as_read(objects, &readers, &done, shared, progress, printer);
        if printed.is_err() {
            shared.is_over.store(true, Ordering::Relaxed);
        }
        let read = readers.finish(|| ());
        // What has ended the printing is why the reading has ended.
        printed?;
        read?;
        printer.print_before(None, shared.lines)
    })
}

/// Gives objects to readers, and prints before the oldest of those that are being read, until all are read or a reader has failed.
fn print_as_read(
    mut objects: InOrder,
    readers: &Readers<'_, Chosen, LookError>,
    done: &Receiver<Done>,
    shared: &Shared<'_>,
    progress: Option<&Progress>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let chosen = objects.len();
    let mut in_flight = InFlight::default();
    loop {
        while in_flight.count < WAITING_MAX
            && let Some(object) = objects.next()?
        {
            in_flight.begin(object.begins_ms());
            if !readers.give(object) {
                return Ok(());
            }
        }
        let Some(oldest_ms) = in_flight.oldest() else { return Ok(()) };
        printer.print_before(Some(oldest_ms.saturating_sub(shared.slack_ms)), shared.lines)?;
        let Ok((from_ms, wrong)) = done.try_recv().or_else(|_| {
            // There is time to show what there is.
            let _ = printer.out.flush();
            done.recv_timeout(LOOK_EVERY)
        }) else {
            if readers.have_failed() {
                return Ok(());
            }
            continue;
        };
        in_flight.end(from_ms);
        if let Some(wrong) = wrong {
            printer.say(&wrong, progress);
        }
        if let Some(progress) = progress {
            let (read, bytes) = (&shared.counts.objects, &shared.counts.bytes);
            progress.at(chosen, read.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed));
        }
    }
}

/// Objects that were given to readers and are not read yet, by [`Chosen::begins_ms`].
#[derive(Default)]
struct InFlight {
    by_time: BTreeMap<i64, usize>,
    count: usize,
}

impl InFlight {
    fn begin(&mut self, from_ms: i64) {
        *self.by_time.entry(from_ms).or_default() += 1;
        self.count += 1;
    }

    fn end(&mut self, from_ms: i64) {
        if let Some(count) = self.by_time.get_mut(&from_ms) {
            *count -= 1;
            self.count -= 1;
            self.by_time.retain(|_, count| *count > 0);
        }
    }

    fn oldest(&self) -> Option<i64> {
        self.by_time.keys().next().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::filter::Filter;
    use super::super::reading::Counts;
    use super::super::selection::Selection;
    use super::*;
    use crate::archive::partition::Span;
    use crate::upload::object_key::{Compression, LineFormat, Mark, ObjectKeys, SegmentFacts};

    const HOUR_MS: i64 = 3_600_000;
    const NOON_MS: i64 = 1_795_694_400_000; // 2026-11-26T12:00:00Z

    fn line(seq: u64, minute: i64) -> String {
        format!("{{\"time\":\"2026-11-26T{:02}:{:02}:00.000Z\",\"seq\":{seq}}}\n", 12 + minute / 60, minute % 60)
    }

    /// An object of each of three hours and two spools, with lines in any order, some of which are of the hour before.
    fn store(root: &std::path::Path, rng: &mut fastrand::Rng) -> Vec<(i64, &'static str, u64, String)> {
        let mut all = Vec::new();
        for spool in ["01M8801200P6Q7R8S9T0V1W2X3", "01M8801200P6Q7R8S9T0V1W2X4"] {
            for hour in 0..3_u64 {
                let minutes: Vec<_> =
                    (0..100).map(|_| i64::try_from(hour).expect("few") * 60 + rng.i64(0..60)).collect();
                let late = |at: usize| if hour > 0 && at % 7 == 3 { 60 } else { 0 };
                let minutes: Vec<_> = minutes.into_iter().enumerate().map(|(at, minute)| minute - late(at)).collect();
                let lines: Vec<_> = (hour * 100..)
                    .zip(&minutes)
                    .map(|(seq, minute)| (*minute, spool, seq, line(seq, *minute)))
                    .collect();
                let bytes: String = lines.iter().map(|(.., text)| text.as_str()).collect();
                let mut digest = spool::ObjectDigest::default();
                digest.update(bytes.as_bytes());
                let facts = SegmentFacts {
                    spool_id: spool,
                    first: hour * 100,
                    last: hour * 100 + 99,
                    digest: digest.value(),
                    partition_ms: NOON_MS + i64::try_from(hour).expect("few") * HOUR_MS,
                    codec: Compression::None,
                    format: LineFormat::Json,
                    mark: Mark::None,
                };
                let path = root.join(ObjectKeys::for_function("f").segment(&facts));
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                std::fs::write(path, bytes).expect("written");
                all.extend(lines);
            }
        }
        all.sort();
        all
    }

    /// Whatever fits into memory.
    #[test]
    fn lines_are_in_order_though_memory_holds_few_of_them() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let root = tempfile::tempdir().expect("tempdir");
        let expected: String =
            store(root.path(), &mut fastrand::Rng::with_seed(seed)).into_iter().map(|(.., text)| text).collect();
        let places = [StoreSettings::File(root.path().to_owned())];
        for memory_bytes in [0, 5_000, 1 << 20] {
            let filter = Filter::new(None, Span::ALL, None).expect("no pattern");
            let (lines, counts) = (Mutex::new(Sorter::new(memory_bytes)), Counts::default());
            let is_over = AtomicBool::new(false);
            let shared =
                Shared { filter: &filter, lines: &lines, counts: &counts, slack_ms: HOUR_MS, is_over: &is_over };
            let selection = Selection::list(&places, Span::ALL, HOUR_MS, |_| true, |_| ()).expect("listed");
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let mut printer = Printer::new(&mut out, &mut err);
            print(selection.in_order().expect("sorted"), &places, &shared, None, &mut printer).expect("printed");
            assert_eq!((printer.printed, printer.damaged), (600, 0));
            assert_eq!(String::from_utf8(out).expect("text"), expected, "{memory_bytes}");
            assert!(err.is_empty() && locked(&lines).is_empty());
        }
    }

    #[test]
    fn the_oldest_of_what_is_read_bounds_what_is_printed() {
        let mut in_flight = InFlight::default();
        assert_eq!((in_flight.oldest(), in_flight.count), (None, 0));
        for from_ms in [5, 7, 5] {
            in_flight.begin(from_ms);
        }
        in_flight.end(5);
        assert_eq!((in_flight.oldest(), in_flight.count), (Some(5), 2));
        in_flight.end(5);
        assert_eq!((in_flight.oldest(), in_flight.count), (Some(7), 1));
    }
}
