//! `logspool cat`: delivered lines, in the order of their times, across objects, spools, functions and places.
//!
//! ```text
//! listings --names--> selection --oldest first--> readers --lines that pass--> sorter --older than all that is being read--> stdout
//! ```
//!
//! * **What is not asked for is not touched**: folders of other hours are not listed, objects that are too old or too young are not read.
//! * **Memory is bounded**, however much is selected: names and lines are sorted through temporary files.
//! * **Lines are in order** as far as they stand within the slack of their object's folder; one that comes later than that stands where
//!   its object does.
//! * **A line is printed once, byte for byte**, though it lies in two objects or in two places.
//! * **What cannot be read is said**, and whatever can be read of it is printed.

mod filter;
mod following;
mod line;
mod printing;
mod reading;
mod selection;

use std::io::{self, IsTerminal as _, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use filter::Filter;
use following::Followed;
use indicatif::{HumanBytes, HumanCount};
use printing::{Printer, print};
use reading::{Counts, Shared};
use selection::Selection;

use super::look_error::LookError;
use super::progress::Progress;
use super::{Failure, Outcome};
use crate::archive::partition::Span;
use crate::archive::sorter::{MEMORY_BYTES_DEFAULT, Sorter};
use crate::config::StoreSettings;
use crate::deadline::{millis, now_ms};
use crate::upload::store::reading::Listed;

/// How far a line may stand from the hour of its object's folder: what comes late does so within minutes, unless the environment was frozen
/// for longer between the line and its delivery.
pub(super) const SLACK_DEFAULT: Duration = Duration::from_secs(60 * 60);
/// A listing is a request or some; objects come once a minute.
pub(super) const EVERY_DEFAULT: Duration = Duration::from_secs(5);

/// What is looked for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) places: Vec<String>,
    pub(super) request: Option<String>,
    /// The times that lines may have.
    pub(super) span: Span,
    pub(super) grep: Option<String>,
    pub(super) slack: Duration,
    /// Look for new objects so often.
    pub(super) follow: Option<Duration>,
    pub(super) stats: bool,
}

pub(super) fn run(
    options: &Options,
    places: &[StoreSettings],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Failure> {
    let filter = Filter::new(options.request.clone(), options.span, options.grep.as_deref())?;
    let (lines, counts) = (Mutex::new(Sorter::new(MEMORY_BYTES_DEFAULT)), Counts::default());
    let (slack_ms, is_over) = (millis(options.slack), AtomicBool::new(false));
    let shared = Shared { filter: &filter, lines: &lines, counts: &counts, slack_ms, is_over: &is_over };
    let mut printer = Printer::new(out, err);
    // Lines that go to the same terminal show well enough that something moves.
    let progress = (!io::stdout().is_terminal()).then(|| Progress::new(true));
    let progress = progress.as_ref();
    let look = |listed| progress.into_iter().for_each(|progress| progress.at(listed, 0, 0));

    let mut followed = Followed::default();
    followed.look(now_ms());
    // At first everything is shown, and is not new at the next look.
    let remember = |object: &Listed| {
        if options.follow.is_some() {
            followed.is_new(object);
        }
        true
    };
    let selection = Selection::list(places, options.span, slack_ms, remember, look)?;
    let mut listed = selection.listed;
    if listed == 0 && options.follow.is_none() {
        if options.span == Span::ALL || !selection.is_something_there {
            return Err(LookError::Nothing.into());
        }
        let _ = writeln!(printer.err, "logspool: no object of logspool lies there in folders of that time");
    }
    print(selection.in_order()?, places, &shared, progress, &mut printer)?;
    while let Some(every) = options.follow {
        printer.out.flush()?;
        std::thread::sleep(every);
        let (now_ms, span) = (now_ms(), options.span);
        followed.look(now_ms);
        let folders = Span { from_ms: following::window_ms(now_ms).max(span.from_ms), until_ms: span.until_ms };
        let selection = Selection::list(places, folders, 0, |object| followed.is_new(object), |_| ())?;
        listed += selection.listed;
        print(selection.in_order()?, places, &shared, None, &mut printer)?;
    }
    summarize(options, listed, &shared, &mut printer);
    Ok(if printer.damaged > 0 { Outcome::Findings } else { Outcome::Clean })
}

/// What there is to say at the end, on stderr.
fn summarize(options: &Options, listed: u64, shared: &Shared<'_>, printer: &mut Printer<'_>) {
    let Counts { objects, bytes, lines, raw } = shared.counts;
    let [objects, bytes, lines, raw] = [objects, bytes, lines, raw].map(|count| count.load(Ordering::Relaxed));
    if raw > 0 && shared.filter.asks_more_than_raw_says() {
        let raw = HumanCount(raw);
        let what = if options.request.is_some() {
            "they are left out, `--grep` finds text in them"
        } else {
            "they are shown by the hour of their object's folder"
        };
        let _ = writeln!(printer.err, "logspool: {raw} lines of the format `raw` say no time and no request: {what}");
    }
    if options.stats || io::stderr().is_terminal() {
        let [listed, objects, lines, printed] = [listed, objects, lines, printer.printed].map(HumanCount);
        let bytes = HumanBytes(bytes);
        let _ = writeln!(
            printer.err,
            "logspool: {listed} objects listed, {objects} of {bytes} read; {lines} lines, {printed} of them shown"
        );
    }
}
