//! What the program does when a person starts it: `logspool spool ls|cat|check DIR`.
//!
//! The platform starts an extension without an argument, so any argument at all means a person. Tools write to stdout what
//! was asked for and to stderr what went wrong; they change nothing on disk.

mod cat;
mod check;
mod ls;
mod table;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use spool::{InspectError, SegmentId};

const USAGE: &str = "\
usage: logspool spool ls DIR               what is in a spool directory
       logspool spool cat DIR [SEGMENT]    its lines, in order; of one segment only
       logspool spool check DIR            whether all of it can be believed

DIR is a spool directory, or one that holds some (LOGSPOOL_DIR). Nothing is written or locked; a living spool may be
looked at. Losses that are declared are shown by `ls` and are no finding of `check`.

exit: 0 done, nothing found; 1 `check` found something, or `cat` met damage; 2 it could not look

Without an argument logspool is an AWS Lambda extension: the platform starts it.
";

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
    let (mut out, mut err) = (io::BufWriter::new(io::stdout().lock()), io::stderr().lock());
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
}

/// What a person asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Ls(PathBuf),
    Cat(PathBuf, Option<SegmentId>),
    Check(PathBuf),
    Help,
}

impl Command {
    fn parse(arguments: &[OsString]) -> Option<Self> {
        let words: Vec<_> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
        let dir = || PathBuf::from(&arguments[2]);
        match words.as_slice() {
            ["--help" | "-h" | "help"] | ["spool", "--help" | "-h" | "help"] => Some(Self::Help),
            ["spool", "ls", _] => Some(Self::Ls(dir())),
            ["spool", "cat", _] => Some(Self::Cat(dir(), None)),
            ["spool", "cat", _, segment] => Some(Self::Cat(dir(), Some(SegmentId(segment.parse().ok()?)))),
            ["spool", "check", _] => Some(Self::Check(dir())),
            _ => None,
        }
    }
}

fn run_with(arguments: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Failure> {
    match Command::parse(arguments) {
        Some(Command::Ls(dir)) => ls::run(&spool::inspect(&dir)?, out),
        Some(Command::Cat(dir, segment)) => cat::run(&spool::inspect(&dir)?, segment, out, err),
        Some(Command::Check(dir)) => check::run(&dir, out),
        Some(Command::Help) => {
            out.write_all(USAGE.as_bytes())?;
            Ok(Outcome::Clean)
        }
        None => {
            err.write_all(USAGE.as_bytes())?;
            Ok(Outcome::CouldNotLook)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Command> {
        Command::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_understood_or_refused_as_a_whole() {
        assert_eq!(parse("spool ls /tmp/x"), Some(Command::Ls("/tmp/x".into())));
        assert_eq!(parse("spool cat /tmp/x"), Some(Command::Cat("/tmp/x".into(), None)));
        assert_eq!(parse("spool cat /tmp/x 7"), Some(Command::Cat("/tmp/x".into(), Some(SegmentId(7)))));
        assert_eq!(parse("spool check /tmp/x"), Some(Command::Check("/tmp/x".into())));
        assert_eq!(parse("--help"), Some(Command::Help));
        for wrong in ["spool", "spool ls", "spool ls a b", "spool cat a seven", "spool rm a", "ls a", "--version"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
