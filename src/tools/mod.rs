//! What the program does when a person starts it: `logspool spool ls|cat|check DIR`, `logspool recover DIR`.
//!
//! The platform starts an extension without an argument, so any argument at all means a person. Tools write to stdout what
//! was asked for and to stderr what went wrong; those of `spool` change nothing on disk.

mod cat;
mod check;
mod doctor;
mod ls;
mod recover;
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
       logspool doctor [DESTINATION...]    whether logs can be stored and delivered with the settings of the environment
       logspool recover DIR [FILE...]      objects that went to the fallback `stdout:`, from the logs in FILEs or stdin

DIR is a spool directory, or one that holds some (LOGSPOOL_DIR). Nothing is written or locked; a living spool may be
looked at. Losses that are declared are shown by `ls` and are no finding of `check`. The first part of a record whose rest
has not come is shown by `ls`, and by `cat` as the line that the next life will ship.

`recover` takes whatever holds the lines that begin with `logspool-part`: exports of CloudWatch Logs, the output of `aws logs`,
pasted text, more than once and in any order. The objects lie below DIR under their keys then, as they would in a bucket.

`doctor` reads the settings as the extension does, puts a small object into each destination, and says what to do about what it
finds; DESTINATIONs stand in place of LOGSPOOL_DESTINATION and LOGSPOOL_FALLBACK; with --json for machines.

exit: 0 done, nothing found; 1 `check` or `doctor` found something, `cat` met damage, `recover` misses parts; 2 it could not look

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
    #[error("{0}: {1}")]
    Read(String, io::Error),
    #[error("{0}")]
    Recover(String),
}

/// What a person asks for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Ls(PathBuf),
    Cat(PathBuf, Option<SegmentId>),
    Check(PathBuf),
    Recover(PathBuf, Vec<PathBuf>),
    Doctor { destinations: Vec<String>, is_json: bool },
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
            ["doctor", words @ ..] => {
                let (options, destinations): (Vec<&str>, Vec<&str>) =
                    words.iter().partition(|word| word.starts_with('-'));
                let destinations = destinations.into_iter().map(str::to_owned).collect();
                let is_json = !options.is_empty();
                options.iter().all(|word| *word == "--json").then_some(Self::Doctor { destinations, is_json })
            }
            ["recover", _, ..] => {
                let files = arguments[2..].iter().map(PathBuf::from).collect();
                Some(Self::Recover(PathBuf::from(&arguments[1]), files))
            }
            _ => None,
        }
    }
}

fn run_with(arguments: &[OsString], out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Failure> {
    match Command::parse(arguments) {
        Some(Command::Ls(dir)) => ls::run(&spool::inspect(&dir)?, out),
        Some(Command::Cat(dir, segment)) => cat::run(&spool::inspect(&dir)?, segment, out, err),
        Some(Command::Check(dir)) => check::run(&dir, out),
        Some(Command::Recover(dir, files)) => recover::run(&dir, &files, &mut io::stdin().lock(), out, err),
        Some(Command::Doctor { destinations, is_json }) => Ok(doctor::run(&destinations, is_json, out, err)?),
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
        assert_eq!(parse("recover out"), Some(Command::Recover("out".into(), vec![])));
        assert_eq!(parse("recover out a b"), Some(Command::Recover("out".into(), vec!["a".into(), "b".into()])));
        for wrong in
            ["recover", "spool", "spool ls", "spool ls a b", "spool cat a seven", "spool rm a", "ls a", "--version"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

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
