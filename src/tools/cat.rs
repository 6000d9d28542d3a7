//! The lines of a spool, as they will stand in its objects once these are decompressed.

use std::io::{self, Write};

use spool::{InspectedFile, Inspection, SegmentId, What};

use super::{Failure, Outcome};

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
    }
    if let Some(segment) = segment.filter(|_| !found) {
        let _ = writeln!(err, "logspool: there is no segment {segment}");
        return Ok(Outcome::CouldNotLook);
    }
    Ok(outcome)
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
