//! What the program does when a person starts it: `logspool cat PLACE`, `logspool verify PLACE`,
//! `logspool spool ls|cat|check DIR`, `logspool recover DIR`, `logspool plan`.
//!
//! The platform starts an extension without an argument, so any argument at all means a person. Tools write to stdout what
//! was asked for and to stderr what went wrong; those of `spool` change nothing on disk.

mod arguments;
mod cat;
mod check;
mod doctor;
mod look_error;
mod ls;
mod moment;
mod plan;
mod progress;
mod recover;
mod spool_cat;
mod table;
mod usage;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Command, USAGE};
use look_error::LookError;
use spool::InspectError;
use usage::Usage;

use crate::config::{self, Env, StoreSettings};
use crate::deadline::now_ms;

/// Whether this is the program of a person's own desk, and not that of a layer.
const HAS_DESK_TOOLS: bool = cfg!(feature = "desk-tools");

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is wrong.
    Clean,
    /// Something is wrong with what was looked at.
    Findings,
    /// Nothing could be looked at, or the arguments make no sense.
    CouldNotLook,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Clean => Self::SUCCESS,
            Outcome::Findings => Self::from(1),
            Outcome::CouldNotLook => Self::from(2),
        }
    }
}

/// Runs the tool that the arguments name (those behind the name of the program).
pub fn run(arguments: &[OsString]) -> Outcome {
    // Not locked: a progress bar moves on stderr at the same time, from a thread of its own.
    let (mut out, mut err) = (io::BufWriter::new(io::stdout().lock()), io::stderr());
    let outcome = run_with(arguments, &mut out, &mut err);
    match outcome.and_then(|outcome| out.flush().map(|()| outcome).map_err(Failure::Output)) {
        Ok(outcome) => outcome,
        // Whoever reads has seen enough (`| head`).
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Clean,
        Err(failure) => {
            let _ = writeln!(err, "logspool: {failure}");
            Outcome::CouldNotLook
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Look(#[from] InspectError),
    #[error("could not write: {0}")]
    Output(#[from] io::Error),
    #[error("{0}: {1}")]
    Read(String, io::Error),
    #[error("{0}")]
    Recover(String),
    #[error(transparent)]
    Delivered(#[from] LookError),
    #[error("{0}")]
    Place(String),
    #[error(transparent)]
    Usage(#[from] Usage),
}

fn run_with(arguments: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Failure> {
    match Command::parse(arguments, now_ms())? {
        Command::Ls(dir) => ls::run(&spool::inspect(&dir)?, out),
        Command::SpoolCat(dir, segment) => spool_cat::run(&spool::inspect(&dir)?, segment, out, err),
        Command::Check(dir) => check::run(&dir, out),
        Command::Doctor { destinations, is_json } => Ok(doctor::run(&destinations, is_json, out, err)?),
        Command::Help => {
            out.write_all(USAGE.as_bytes())?;
            Ok(Outcome::Clean)
        }
        // Known here as well, so that what they need is not linked.
        _ if !HAS_DESK_TOOLS => Err(Usage::NotInALayer.into()),
        Command::Recover(dir, files) => recover::run(&dir, &files, &mut io::stdin().lock(), out, err),
        Command::Cat(options) => cat::run(&options, &places(&options.places)?, out, err),
        Command::Verify(options) => verify::run(&options, &places(&options.places)?, now_ms(), out),
        Command::Plan(options) => plan::run(&options, &Env::read(), out, err),
    }
}

/// What is there behind the names of places.
fn places(names: &[String]) -> Result<Vec<StoreSettings>, Failure> {
    let environment = Env::read();
    names.iter().map(|name| config::place(name, &environment).map_err(Failure::Place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: &str, dir: &std::path::Path) -> (Outcome, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments: [OsString; 3] = ["spool".into(), command.into(), dir.into()];
        let outcome = run_with(&arguments, &mut out, &mut err).expect("it can be looked at");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (outcome, text(out), text(err))
    }

    #[test]
    fn what_is_pending_is_shown_as_what_will_become_of_it() {
        let root = tempfile::tempdir().expect("tempdir");
        let config = spool::SpoolConfig {
            root: root.path().into(),
            compression: spool::Compression::default(),
            line_format: 0,
            label: std::sync::Arc::new(|_: &spool::SegmentFacts| String::new()),
            limits: spool::SpoolLimits { keep_free_bytes: 0, ..spool::SpoolLimits::default() },
        };
        let identity = spool::Identity { id: spool::SpoolId::new(0, 1), salt_seed: 1 };
        let mut spool = spool::Spool::create(config, identity, 0).expect("made");
        let meta = spool::Meta::default();
        let fragment = spool::Fragment { bytes: b"[{\"half", line_ms: None, body_bytes: 1, body_hash: 1, meta: &meta };
        spool.append_fragment(&fragment, 0).expect("appended");

        let (outcome, out, err) = shown("cat", root.path());
        assert_eq!((outcome, out.as_str()), (Outcome::Clean, ""), "a living process may complete it");
        assert!(err.ends_with("a fragment of 7 bytes is pending, and no line yet\n"), "{err}");
        drop(spool);
        let (outcome, out, err) = shown("cat", root.path());
        let line = "{\"time\":\"1970-01-01T00:00:00.000Z\",\"type\":\"logspool.unparsed\",\"seq\":0,\"message\":\"[{\\\"half\"}\n";
        assert_eq!((outcome, out.as_str(), err.as_str()), (Outcome::Clean, line, ""));
        assert!(shown("ls", root.path()).1.contains("a fragment of 7 bytes is pending"));
        assert_eq!(shown("check", root.path()).0, Outcome::Clean);

        let file = root.path().join(identity.id.to_string()).join("000000000000.seg");
        let mut bytes = std::fs::read(&file).expect("read");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(&file, bytes).expect("written");
        let (outcome, out, err) = shown("cat", root.path());
        assert_eq!((outcome, out.as_str()), (Outcome::Findings, ""));
        assert!(err.ends_with("the fragment of 7 bytes that was pending is lost: damage\n"), "{err}");
        assert!(shown("ls", root.path()).1.contains("lost: damage, a fragment of 7 bytes"));
        let (outcome, out, _) = shown("check", root.path());
        assert_eq!(outcome, Outcome::Findings);
        assert!(out.contains("segment 0: the fragment of 7 bytes that is pending is damaged"), "{out}");
    }
}
