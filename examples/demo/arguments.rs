//! The command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use crate::drawn;

/// What `--help` prints.
pub const USAGE: &str = "\
Runs a function through a local Lambda environment with the logspool extension and a local S3,
and shows what became of every line of its logs.

usage: cargo run --release --example demo -- [options]

  --invocations N     how often the function is invoked (default 30, at most 1000)
  --outage            S3 refuses connections for the middle third of the run
  --kill              the extension is killed with SIGKILL in the middle of an invocation, in the
                      middle of the run (of the outage, if there is one)
  --function 'CMD …'  your own function: any command that speaks the Runtime API; run by `sh -c`
  --keep DIR          keep the objects in DIR, which must be empty or not there yet
  --report FILE.html  a page with a picture of the run over time, that needs nothing but itself: handlers,
                      appends, seals, uploads, faults, the spool; FILE.svg is the picture alone. The
                      environment is then left idle for a moment between invocations, so that it is frozen
  --help              this text

It ends with 0 only if every acknowledged line is in the bucket exactly once.
";

const INVOCATIONS_DEFAULT: u32 = 30;
/// Every line of the run is kept in memory to be compared in the end.
const INVOCATIONS_MAX: u32 = 1_000;
/// One third each: before, in and after the outage.
const INVOCATIONS_FOR_OUTAGE: u32 = 3;
/// The killed one, and one that is reborn.
const INVOCATIONS_FOR_KILL: u32 = 2;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// A run.
    Run(Arguments),
    /// The usage.
    Help,
}

/// What a run is to be like.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// How often the function is invoked.
    pub invocations: u32,
    /// A shell command in place of the built-in function.
    pub function: Option<OsString>,
    /// Whether S3 is down for the middle third.
    pub outage: bool,
    /// Whether the extension is killed.
    pub kill: bool,
    /// Where the objects are to be kept.
    pub keep: Option<PathBuf>,
    /// Where a picture of the run is to be drawn.
    pub report: Option<PathBuf>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { invocations: INVOCATIONS_DEFAULT, function: None, outage: false, kill: false, keep: None, report: None }
    }
}

impl Arguments {
    /// Reads and validates.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn read(mut words: Parser) -> Result<Asked, lexopt::Error> {
        let mut arguments = Self::default();
        while let Some(word) = words.next()? {
            match word {
                Arg::Long("invocations") => arguments.invocations = words.value()?.parse()?,
                Arg::Long("function") => arguments.function = Some(words.value()?),
                Arg::Long("outage") => arguments.outage = true,
                Arg::Long("kill") => arguments.kill = true,
                Arg::Long("keep") => arguments.keep = Some(words.value()?.into()),
                Arg::Long("report") => arguments.report = Some(words.value()?.into()),
                Arg::Long("help") | Arg::Short('h') => return Ok(Asked::Help),
                unknown => return Err(unknown.unexpected()),
            }
        }
        arguments.validate()?;
        Ok(Asked::Run(arguments))
    }

    fn validate(&self) -> Result<(), String> {
        let (least, condition) = match (self.outage, self.kill) {
            (true, _) => (INVOCATIONS_FOR_OUTAGE, " with --outage"),
            (false, true) => (INVOCATIONS_FOR_KILL, " with --kill"),
            (false, false) => (1, ""),
        };
        if !(least..=INVOCATIONS_MAX).contains(&self.invocations) {
            let given = self.invocations;
            return Err(format!("--invocations must be {least} to {INVOCATIONS_MAX}{condition}, not {given}"));
        }
        if self.function.as_ref().is_some_and(|command| command.to_string_lossy().trim().is_empty()) {
            return Err("--function needs a command".to_owned());
        }
        self.keep.as_deref().map_or(Ok(()), must_be_free)?;
        self.report.as_deref().map_or(Ok(()), drawn::must_be_writable)
    }
}

/// Whatever a directory holds already must not be mixed with the objects of a run.
fn must_be_free(directory: &Path) -> Result<(), String> {
    let Ok(mut entries) = directory.read_dir() else {
        let exists = directory.symlink_metadata().is_ok();
        return if exists { Err(format!("--keep {}: not a directory", directory.display())) } else { Ok(()) };
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(format!("--keep {}: the directory is not empty", directory.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Asked, String> {
        Arguments::read(Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn without_words_there_is_a_quiet_run() {
        let quiet = Arguments { invocations: 30, function: None, outage: false, kill: false, keep: None, report: None };
        assert_eq!(read(&[]), Ok(Asked::Run(quiet)));
    }

    #[test]
    fn every_option_is_understood() {
        let words = ["--invocations=7", "--outage", "--kill", "--function", "sh -c x", "--keep", "/nowhere/at/all"];
        let report = tempfile::tempdir().unwrap().path().with_extension("html");
        let words = words.iter().copied().chain(["--report", report.to_str().unwrap()]).collect::<Vec<_>>();
        let all = Arguments {
            invocations: 7,
            function: Some("sh -c x".into()),
            outage: true,
            kill: true,
            keep: Some("/nowhere/at/all".into()),
            report: Some(report.clone()),
        };
        assert_eq!(read(&words), Ok(Asked::Run(all)));
        assert_eq!(read(&["--kill", "--help"]), Ok(Asked::Help));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        for (words, named) in [
            (&["--outrage"][..], "--outrage"),
            (&["surplus"], "surplus"),
            (&["--kill=yes"], "--kill"),
            (&["--invocations"], "--invocations"),
            (&["--invocations", "many"], "many"),
            (&["--invocations", "0"], "1 to 1000"),
            (&["--invocations", "1001"], "1001"),
            (&["--invocations", "2", "--outage"], "3 to 1000"),
            (&["--invocations", "1", "--kill"], "2 to 1000"),
            (&["--function", " "], "--function"),
            (&["--report"], "--report"),
            (&["--report", ""], "--report needs the name of a file"),
            (&["--report", "--kill"], "--report --kill: the name must end with .html or .svg"),
            (&["--report", "run.pdf"], "--report run.pdf: the name must end with .html or .svg"),
            (&["--report", "/nowhere/at/all.html"], "--report /nowhere/at/all.html: cannot be written"),
        ] {
            let error = read(words).expect_err(&format!("{words:?}"));
            assert!(error.contains(named), "{words:?}: {error}");
        }
    }

    #[test]
    fn objects_are_kept_in_a_directory_of_their_own() {
        let directory = tempfile::tempdir().unwrap();
        let keep = |path: &Path| read(&["--keep", path.to_str().unwrap()]);
        assert!(keep(directory.path()).is_ok());
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(keep(directory.path()).unwrap_err().contains("not empty"));
        assert!(keep(&file).unwrap_err().contains("not a directory"));
    }
}
