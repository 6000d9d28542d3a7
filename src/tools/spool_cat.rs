//! The lines of a spool, as they will stand in its objects once these are decompressed.

use std::io::{self, Write};

use spool::{InspectedFile, InspectedFragment, Inspection, Liveness, SegmentId, What};

use super::{Failure, Outcome};
use crate::intake::fragment_line;
use crate::upload::object_key::LineFormat;

/// Lines go to `out`; what cannot be shown is told on `err`, so that lines can be piped on.
pub(super) fn run(
    spools: &[Inspection],
    segment: Option<SegmentId>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::Clean;
    let mut found = false;
    for spool in spools {
        for file in spool.files.iter().filter(|file| segment.is_none_or(|segment| file.segment == segment)) {
            found = true;
            let mut out = Output { out, error: None };
            let written = file.write_lines(&mut out);
            if let Some(error) = out.error.take() {
                return Err(Failure::Output(error));
            }
            if let Some(why) = written.err().map(|error| error.to_string()).or_else(|| missing(file)) {
                outcome = Outcome::Findings;
                let _ = writeln!(err, "logspool: spool {} segment {}: {why}", spool.id, file.segment);
            }
        }
        if let Some(pending) = spool.fragment() {
            let is_asked_for = segment.is_none_or(|segment| pending.fragment.key().segment == segment);
            if is_asked_for && let Some(why) = write_fragment(spool, &pending, out)? {
                outcome = if pending.loss.is_some() { Outcome::Findings } else { outcome };
                let _ = writeln!(err, "logspool: spool {}: {why}", spool.id);
            }
        }
    }
    if let Some(segment) = segment.filter(|_| !found) {
        let _ = writeln!(err, "logspool: there is no segment {segment}");
        return Ok(Outcome::CouldNotLook);
    }
    Ok(outcome)
}

/// Writes what is pending as the line that an adopter will ship; else tells why there is none.
fn write_fragment(
    spool: &Inspection,
    pending: &InspectedFragment,
    out: &mut dyn Write,
) -> Result<Option<String>, Failure> {
    let (fragment, bytes) = (&pending.fragment, pending.fragment.bytes());
    if let Some(cause) = pending.loss {
        return Ok(Some(format!("the fragment of {bytes} bytes that was pending is lost: {}", cause.name())));
    }
    if spool.liveness == Liveness::Alive {
        return Ok(Some(format!("a fragment of {bytes} bytes is pending, and no line yet")));
    }
    // The end that an adopter writes is of the format of the newest segment, and the fragment stands before it.
    let newest = spool.files.iter().rev().find_map(InspectedFile::segment);
    let format = LineFormat::of_code(newest.map_or(0, |segment| segment.line_format));
    let mut line = Vec::new();
    match fragment.read() {
        Ok(bytes) => fragment_line(&mut line, format, fragment, &bytes),
        Err(error) => return Ok(Some(error.to_string())),
    }
    out.write_all(&line)?;
    Ok(None)
}

/// Why lines are missing that should be there.
fn missing(file: &InspectedFile) -> Option<String> {
    match &file.what {
        What::Segment(segment) => {
            let damaged: Vec<_> = segment.damaged().map(|range| format!("{}-{}", range.first, range.last)).collect();
            (!damaged.is_empty()).then(|| format!("numbers {} are damaged", damaged.join(", ")))
        }
        What::Tombstone(_) => None,
        What::UnknownVersion(version) => Some(format!("format version {version} is unknown")),
        What::Unreadable(why) => Some(why.clone()),
    }
}

/// Keeps apart what fails on the way out and what fails on the way in.
struct Output<'a> {
    out: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|error| {
            let told = io::Error::from(error.kind());
            self.error = Some(error);
            told
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
