//! The spool directory: whether a spool could be made there, what room it has, what earlier lives have left.
//!
//! Nothing is locked and nothing is changed: a directory that had to be made is removed again, and so is the file
//! that was
//! written to see whether one can be.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use spool::{Inspection, Liveness, Place, SpoolLimits};

use super::super::table::grouped;
use super::LIMIT;
use super::report::{Check, Report};
use crate::deadline::now_ms;
use crate::identity;
use crate::telemetry::event::format_time;

const DIRECTORY: &str = "spool directory";
/// As the spool makes it.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What a spool takes before it has a line: the header of its first segment, its lock and its manifest.
const SPOOL_BYTES: u64 = 64 * 1024;
/// What is written to see whether anything can be: a block.
const PROBE: [u8; 4096] = [0; 4096];

/// Looks at the directory and tells it.
pub(super) fn check(root: &Path, limits: &SpoolLimits, report: &mut Report<'_>) -> io::Result<()> {
    let owned = root.to_owned();
    // A file system over a network may hang for ever, and so would whoever asks it.
    let Some(facts) = within_limit(move || Facts::gather(&owned)) else {
        return report.add(Check::bad(
            DIRECTORY,
            format!("{}: no answer within {LIMIT:?}", root.display()),
            "The file system hangs: LOGSPOOL_DIR must be on a local one, such as /tmp.",
        ));
    };
    for check in facts.checks(limits) {
        report.add(check)?;
    }
    Ok(())
}

fn within_limit<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let worker = std::thread::Builder::new().spawn(move || {
        // Nobody may be there any more.
        let _ = sender.send(work());
    });
    worker.ok().and_then(|_| receiver.recv_timeout(LIMIT).ok())
}

/// What is known of the directory.
struct Facts {
    root: PathBuf,
    /// It was there before, with this mode.
    mode: Option<u32>,
    /// It could be made, and a file in it be written.
    writable: io::Result<()>,
    /// Of it, or of the nearest directory above it.
    place: io::Result<Place>,
    left: Result<Left, String>,
}

/// What lies in the directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    alive: usize,
    orphans: usize,
    orphan_bytes: u64,
    oldest_ms: Option<i64>,
}

impl Facts {
    fn gather(root: &Path) -> Self {
        let metadata = fs::metadata(root).ok();
        let left = match &metadata {
            Some(_) => spool::inspect(root).map(|spools| Left::of(&spools)).map_err(|error| error.to_string()),
            None => Ok(Left::default()),
        };
        Self {
            root: root.to_owned(),
            mode: metadata.map(|metadata| metadata.mode() & 0o7777),
            writable: try_writing(root),
            place: Place::look(nearest(root)),
            left,
        }
    }

    fn checks(&self, limits: &SpoolLimits) -> Vec<Check> {
        let mut checks = vec![self.directory()];
        if let Ok(place) = &self.place {
            checks.push(room(place, limits));
        }
        if self.mode.is_some() {
            checks.push(self.left.as_ref().map_or_else(|why| unreadable(why), Left::check));
        }
        checks
    }

    fn directory(&self) -> Check {
        let shown = self.root.display();
        let place = match &self.place {
            Ok(place) if place.is_network => {
                return Check::bad(
                    DIRECTORY,
                    format!("{shown} is on a network file system ({})", place.file_system),
                    "Its locks are leases, which a frozen environment loses, so no spool is made there: set \
                     LOGSPOOL_DIR to a local directory, such as /tmp/.logspool.",
                );
            }
            Ok(place) => format!(", {}", place.file_system),
            Err(_) => String::new(),
        };
        match (&self.writable, self.mode) {
            (Err(error), _) => Check::bad(DIRECTORY, format!("{shown}: {error}"), remedy(error)),
            (Ok(()), Some(mode)) => Check::ok(DIRECTORY, format!("{shown}{place}, mode {mode:04o}, can be written to")),
            (Ok(()), None) => Check::ok(DIRECTORY, format!("{shown}{place}, not there yet, can be made")),
        }
    }
}

/// In the unit that a person would take.
fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", grouped(bytes >> 30)) } else { format!("{} MiB", grouped(bytes >> 20)) }
}

fn room(place: &Place, limits: &SpoolLimits) -> Check {
    const NAME: &str = "disk";
    let auto = if limits.bytes_max.is_some() { "SPOOL_MAX" } else { "SPOOL_MAX=auto" };
    let (free, keep) = (place.available_bytes, limits.keep_free_bytes);
    let files = match place.files_available {
        Some(files) => format!(" and {} files", grouped(files)),
        None => String::new(),
    };
    let most = place.spool_bytes_max(limits);
    let seen = format!(
        "{}{files} free of {}; the spool takes {} at most ({auto}) and leaves {} (KEEP_FREE)",
        size(free),
        size(place.total_bytes),
        size(most),
        size(keep)
    );
    if keep >= place.total_bytes {
        return Check::bad(
            NAME,
            seen,
            "LOGSPOOL_KEEP_FREE is larger than the disk, so no record would be kept: lower it.",
        );
    }
    if free < SPOOL_BYTES || !place.has_room(limits, SPOOL_BYTES) || place.files_available == Some(0) {
        return Check::bad(
            NAME,
            seen,
            "There is no room for a spool: records would be dropped, and declared as lost. Free some, give the \
             function more ephemeral storage, or lower LOGSPOOL_KEEP_FREE.",
        );
    }
    if free - keep < most.min(free) {
        return Check::note(
            NAME,
            seen,
            "The disk is fuller than the spool's limit: in an outage LOGSPOOL_KEEP_FREE decides, and records are \
             dropped earlier.",
        );
    }
    Check::ok(NAME, seen)
}

impl Left {
    fn of(spools: &[Inspection]) -> Self {
        let orphans = || spools.iter().filter(|spool| spool.liveness != Liveness::Alive);
        Self {
            alive: spools.len() - orphans().count(),
            orphans: orphans().count(),
            orphan_bytes: orphans().map(Inspection::bytes).sum(),
            oldest_ms: orphans().map(|spool| spool.id.unix_ms()).min(),
        }
    }

    fn check(&self) -> Check {
        const NAME: &str = "earlier lives";
        let alive = match self.alive {
            0 => String::new(),
            alive => format!("; {alive} in use by a running process"),
        };
        match (self.orphans, self.oldest_ms) {
            (orphans @ 1.., Some(oldest)) => Check::note(
                NAME,
                format!(
                    "{}, {} bytes, the oldest since {}{alive}",
                    if orphans == 1 { "1 spool waits".to_owned() } else { format!("{orphans} spools wait") },
                    grouped(self.orphan_bytes),
                    format_time(oldest)
                ),
                "Their process is gone and not all of it is delivered. The next start of the extension here \
                 delivers them; `logspool spool ls` shows what they hold.",
            ),
            _ => Check::ok(NAME, format!("nothing waits{alive}")),
        }
    }
}

fn unreadable(why: &str) -> Check {
    Check::bad(
        "earlier lives",
        why,
        "What an earlier life has left cannot be read, so it cannot be delivered: see who owns it.",
    )
}

/// Makes the directory if it must, writes a file, and takes both away again.
fn try_writing(root: &Path) -> io::Result<()> {
    let missing = Missing::of(root);
    let created = DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(root);
    let written = created.and_then(|()| write_probe(root));
    missing.remove_again();
    written
}

/// Directories that are not there yet, the innermost first.
pub(super) struct Missing(Vec<PathBuf>);

impl Missing {
    pub(super) fn of(path: &Path) -> Self {
        let is_missing = |path: &&Path| fs::symlink_metadata(path).is_err();
        Self(path.ancestors().take_while(is_missing).map(Path::to_owned).collect())
    }

    /// Takes away those that were made meanwhile. One that is in use by now is not empty, and stays.
    pub(super) fn remove_again(self) {
        for directory in self.0 {
            let _ = fs::remove_dir(directory);
        }
    }
}

fn write_probe(root: &Path) -> io::Result<()> {
    let path = root.join(format!(".logspool-doctor-{}", identity::fresh(now_ms()).id));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&path)?;
    let written = file.write_all(&PROBE).and_then(|()| file.sync_all());
    let removed = fs::remove_file(&path);
    written.and(removed)
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(root: &Path) -> &Path {
    root.ancestors().find(|path| path.is_dir()).unwrap_or(root)
}

fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => {
            "Nothing can be written there. In Lambda only /tmp can be written to: set LOGSPOOL_DIR below it; \
             elsewhere see owner and mode."
        }
        StorageFull | QuotaExceeded => "The disk is full: free some, or give the function more ephemeral storage.",
        NotADirectory | io::ErrorKind::AlreadyExists => {
            "A part of that path is a file: set LOGSPOOL_DIR to another one, or move the file."
        }
        _ => "Set LOGSPOOL_DIR to a directory of a local file system, such as /tmp/.logspool.",
    }
}

/// The same for a store, which tells its errors as text.
pub(super) fn remedy_of_text(text: &str) -> &'static str {
    let has = |part: &str| text.contains(part);
    if has("ermission denied") || has("ead-only") {
        "Nothing can be written there: see owner and mode; a file system that is mounted into a function has an \
         access point that sets both."
    } else if has("No space") || has("StorageFull") {
        "The file system is full: free some."
    } else if has("ot a directory") || has("exists") {
        "A part of that path is a file: name another directory."
    } else {
        "Is the file system mounted, and does it answer?"
    }
}

#[cfg(test)]
mod tests;
