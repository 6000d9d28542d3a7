//! What a person asks for, from the words behind the name of the program: pure.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, Value, ValueExt as _};
use spool::SegmentId;

use super::moment::{duration, moment};
use super::usage::Usage;
use super::{HAS_DESK_TOOLS, cat, plan, verify};
use crate::archive::partition::Span;

pub(super) const USAGE: &str = "\
usage: logspool cat PLACE...               delivered lines, in the order of their times
       logspool verify PLACE...            whether anything is missing, from a listing
       logspool doctor [DESTINATION...]    whether logs can be stored and delivered with the settings of the environment
       logspool spool ls DIR               what is in a spool directory
       logspool spool cat DIR [SEGMENT]    its lines, in order; of one segment only
       logspool spool check DIR            whether all of it can be believed
       logspool plan OPTIONS               what a function's logs will cost, beside CloudWatch and AWS's own delivery to S3
       logspool recover DIR [FILE...]      objects that went to the fallback `stdout:`, from the logs in FILEs or stdin

PLACE is s3://bucket/prefix or file:///path, as in LOGSPOOL_DESTINATION; settings LOGSPOOL_S3_..., AWS_REGION and credentials come from
the environment (`eval \"$(aws configure export-credentials --format env)\"` puts those of a profile there).

cat      --request ID     only lines of this request
         --since WHEN     only lines since (2026-11-26, 2026-11-26T05:00:00Z, or so long ago: 90m, 24h, 7d)
         --until WHEN     only lines before; of both, folders of other hours are neither listed nor read
         --grep REGEX     only lines in which this is found
         --follow         then show what comes, in folders of the last two hours
         --every TIME     how often to look for it (5s)
         --slack TIME     how far lines may stand from the hour of their folder (1h): what comes late, or was held by a freeze
         --stats          say at the end how much was read, also where stderr is no terminal

verify   --deep           read every object: digest, numbers, and that every line parses
         --since WHEN     only spools that began since (2026-11-26, 2026-11-26T05:00:00Z, 24h, 7d), so that what the bucket
                          has expired is no loss
         --settle TIME    how long something may still come (24h)
         --strict         a spool without an end is a finding, too
         --invocations    count the invocations that began, to compare with Lambda's metric; reads every object
         --json           a line for each spool, and one for all

plan     --invocations-per-day N
         --bytes-per-invocation SIZE   raw, START, END and REPORT lines included (2KB, 512KiB, 1000)
         --memory MB
         --gap TIME                    from start to start in one environment (250ms, 30s, 5m); else spread evenly over the day
         --environments N              so many at a time (as few as can take it)
         --duration TIME               of the handler (100ms)
         --life TIME                   of an environment (2h)
         --compression-ratio R         raw bytes for one of an object (6.37, as measured with zstd on JSON logs)
         --retention-days N            kept in the bucket, and in CloudWatch (30)
         --architecture NAME           x86_64 or arm64 (x86_64)
         --json                        figures for machines

DIR is a spool directory, or one that holds some (LOGSPOOL_DIR). Nothing is written or locked; a living spool may be
looked at. Losses that are declared are shown by `ls` and are no finding of `check`. The first part of a record whose rest
has not come is shown by `ls`, and by `cat` as the line that the next life will ship.

`recover` takes whatever holds the lines that begin with `logspool-part`: exports of CloudWatch Logs, the output of `aws logs`,
pasted text, more than once and in any order. The objects lie below DIR under their keys then, as they would in a bucket.

`doctor` reads the settings as the extension does, puts a small object into each destination, and says what to do about what it
finds; DESTINATIONs stand in place of LOGSPOOL_DESTINATION and LOGSPOOL_FALLBACK; with --json for machines.

`plan` reads SEAL_AGE, SEAL_SIZE, SEAL_INVOCATIONS and DRAIN as the extension does, and asks nobody.

exit: 0 done; 1 `verify`, `doctor` or `check` found something, `cat` met damage, `recover` misses parts; 2 it could not look

Without an argument logspool is an AWS Lambda extension: the platform starts it.
";

/// What a person asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Ls(PathBuf),
    SpoolCat(PathBuf, Option<SegmentId>),
    Cat(cat::Options),
    Check(PathBuf),
    Recover(PathBuf, Vec<PathBuf>),
    Verify(verify::Options),
    Doctor { destinations: Vec<String>, is_json: bool },
    Plan(plan::Options),
    Help,
}

impl Command {
    /// `now_ms` is what ages count from.
    pub(super) fn parse(arguments: &[OsString], now_ms: i64) -> Result<Self, Usage> {
        let mut words = lexopt::Parser::from_args(arguments);
        let command = match words.next()? {
            Some(Value(command)) => command.string()?,
            Some(Long("help") | Short('h')) => return Ok(Self::Help),
            Some(other) => return Err(other.unexpected().into()),
            None => return Err(Usage::Command("nothing was asked for".to_owned())),
        };
        match command.as_str() {
            "help" => Ok(Self::Help),
            "cat" | "verify" | "plan" | "recover" if !HAS_DESK_TOOLS => Err(Usage::NotInALayer),
            "cat" => cat_options(&mut words, now_ms),
            "verify" => verify_options(&mut words, now_ms),
            "doctor" => doctor_options(&mut words),
            "plan" => Ok(plan::options(&mut words)?.map_or(Self::Help, Self::Plan)),
            "spool" => spool_command(&values(&mut words)?),
            "recover" => match values(&mut words)?.split_first() {
                Some((dir, files)) => Ok(Self::Recover(dir.into(), files.iter().map(PathBuf::from).collect())),
                None => Err(Usage::Command("recover: DIR is missing".to_owned())),
            },
            other => Err(Usage::Command(format!("there is no command {other:?}"))),
        }
    }
}

/// Everything that is left, if it has no option.
fn values(words: &mut lexopt::Parser) -> Result<Vec<OsString>, Usage> {
    let mut values = Vec::new();
    while let Some(word) = words.next()? {
        match word {
            Value(value) => values.push(value),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(values)
}

fn spool_command(words: &[OsString]) -> Result<Command, Usage> {
    let names: Vec<_> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    let dir = || PathBuf::from(&words[1]);
    match names.as_slice() {
        ["ls", _] => Ok(Command::Ls(dir())),
        ["cat", _] => Ok(Command::SpoolCat(dir(), None)),
        ["cat", _, segment] => match segment.parse() {
            Ok(number) => Ok(Command::SpoolCat(dir(), Some(SegmentId(number)))),
            Err(_) => Err(Usage::Value(format!("{segment:?} is no number of a segment"))),
        },
        ["check", _] => Ok(Command::Check(dir())),
        _ => Err(Usage::Command(format!(
            "spool {}: ls DIR, cat DIR [SEGMENT] or check DIR is expected",
            names.join(" ")
        ))),
    }
}

fn verify_options(words: &mut lexopt::Parser, now_ms: i64) -> Result<Command, Usage> {
    let mut options = verify::Options {
        places: Vec::new(),
        since_ms: None,
        settle: verify::SETTLE_DEFAULT,
        deep: false,
        strict: false,
        json: false,
        invocations: false,
    };
    while let Some(word) = words.next()? {
        match word {
            Value(place) => options.places.push(place.string()?),
            Long("since") => {
                options.since_ms = Some(moment(&words.value()?.string()?, now_ms).map_err(Usage::Value)?);
            }
            Long("settle") => options.settle = duration(&words.value()?.string()?).map_err(Usage::Value)?,
            Long("deep") => options.deep = true,
            Long("strict") => options.strict = true,
            Long("json") => options.json = true,
            Long("invocations") => options.invocations = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.places.is_empty() {
        return Err(Usage::Command("verify: PLACE is missing".to_owned()));
    }
    Ok(Command::Verify(options))
}

fn doctor_options(words: &mut lexopt::Parser) -> Result<Command, Usage> {
    let (mut destinations, mut is_json) = (Vec::new(), false);
    while let Some(word) = words.next()? {
        match word {
            Value(destination) => destinations.push(destination.string()?),
            Long("json") => is_json = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Doctor { destinations, is_json })
}

fn cat_options(words: &mut lexopt::Parser, now_ms: i64) -> Result<Command, Usage> {
    let (mut span, mut follows, mut every) = (Span::ALL, false, None);
    let mut options = cat::Options {
        places: Vec::new(),
        request: None,
        span,
        grep: None,
        slack: cat::SLACK_DEFAULT,
        follow: None,
        stats: false,
    };
    while let Some(word) = words.next()? {
        match word {
            Value(place) => options.places.push(place.string()?),
            Long("request") => options.request = Some(words.value()?.string()?),
            Long("since") => span.from_ms = moment(&words.value()?.string()?, now_ms).map_err(Usage::Value)?,
            Long("until") => span.until_ms = moment(&words.value()?.string()?, now_ms).map_err(Usage::Value)?,
            Long("grep") => options.grep = Some(words.value()?.string()?),
            Long("slack") => options.slack = duration(&words.value()?.string()?).map_err(Usage::Value)?,
            Long("follow") => follows = true,
            Long("every") => every = Some(duration(&words.value()?.string()?).map_err(Usage::Value)?),
            Long("stats") => options.stats = true,
            Long("help") | Short('h') => return Ok(Command::Help),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.places.is_empty() {
        return Err(Usage::Command("cat: PLACE is missing".to_owned()));
    }
    if span.from_ms >= span.until_ms {
        return Err(Usage::Value("--until is no later than --since: there is nothing between them".to_owned()));
    }
    if follows && span.until_ms != Span::ALL.until_ms {
        return Err(Usage::Value("--follow waits for what comes, so it has no --until".to_owned()));
    }
    match every {
        Some(_) if !follows => return Err(Usage::Value("--every says how often --follow looks".to_owned())),
        Some(every) if every.is_zero() => return Err(Usage::Value("--every is at least 1s".to_owned())),
        _ => {}
    }
    options.span = span;
    options.follow = follows.then(|| every.unwrap_or(cat::EVERY_DEFAULT));
    Ok(Command::Cat(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        Command::parse(&words, 1_000_000).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_understood_or_refused_as_a_whole() {
        assert_eq!(parse("spool ls /tmp/x"), Ok(Command::Ls("/tmp/x".into())));
        assert_eq!(parse("spool cat /tmp/x"), Ok(Command::SpoolCat("/tmp/x".into(), None)));
        assert_eq!(parse("spool cat /tmp/x 7"), Ok(Command::SpoolCat("/tmp/x".into(), Some(SegmentId(7)))));
        assert_eq!(parse("spool check /tmp/x"), Ok(Command::Check("/tmp/x".into())));
        assert_eq!(parse("recover out"), Ok(Command::Recover("out".into(), vec![])));
        assert_eq!(parse("recover out a b"), Ok(Command::Recover("out".into(), vec!["a".into(), "b".into()])));
        for help in ["--help", "-h", "help", "verify --help", "cat s3://a --help"] {
            assert_eq!(parse(help), Ok(Command::Help), "{help}");
        }
        for (wrong, why) in [
            ("recover", "recover: DIR is missing"),
            ("spool", "is expected"),
            ("spool ls", "is expected"),
            ("spool ls a b", "is expected"),
            ("spool cat a seven", "\"seven\" is no number of a segment"),
            ("spool rm a", "is expected"),
            ("ls a", "there is no command \"ls\""),
            ("--version", "--version"),
            ("", "nothing was asked for"),
            ("cat", "cat: PLACE is missing"),
            ("cat s3://a --request", "--request"),
            ("cat s3://a --since 1h --until 2h", "--until is no later than --since"),
            ("cat s3://a --follow --until 1h", "it has no --until"),
            ("cat s3://a --every 5s", "--every says how often --follow looks"),
            ("cat s3://a --follow --every 0s", "at least 1s"),
            ("cat s3://a --deep", "--deep"),
            ("verify", "verify: PLACE is missing"),
            ("verify s3://a --depp", "--depp"),
            ("verify s3://a --since", "--since"),
            ("verify s3://a --since yesterday", "\"yesterday\" is no moment"),
            ("verify s3://a --settle 5", "\"5\" is no duration"),
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_doctor_needs_no_destination() {
        let doctor = |destinations: &[&str], is_json| {
            let destinations = destinations.iter().map(|&name| name.to_owned()).collect();
            Ok(Command::Doctor { destinations, is_json })
        };
        assert_eq!(parse("doctor"), doctor(&[], false));
        assert_eq!(parse("doctor s3://a --json file:///b"), doctor(&["s3://a", "file:///b"], true));
        assert!(parse("doctor --yaml").is_err());
    }

    #[test]
    fn options_of_verify_may_stand_anywhere() {
        let Ok(Command::Verify(options)) = parse("verify --deep s3://a/b --since 10s file:///c --json --settle=1h")
        else {
            panic!("understood");
        };
        assert_eq!(options.places, ["s3://a/b", "file:///c"]);
        assert_eq!((options.since_ms, options.settle.as_secs()), (Some(990_000), 3_600));
        assert!(options.deep && options.json && !options.strict && !options.invocations);
    }

    #[test]
    fn options_of_cat_may_stand_anywhere() {
        let line = "cat --request r s3://a/b --since 100s file:///c --until=10s --grep x|y --slack 2h --stats";
        let expected = cat::Options {
            places: vec!["s3://a/b".to_owned(), "file:///c".to_owned()],
            request: Some("r".to_owned()),
            span: Span { from_ms: 900_000, until_ms: 990_000 },
            grep: Some("x|y".to_owned()),
            slack: std::time::Duration::from_secs(7_200),
            follow: None,
            stats: true,
        };
        assert_eq!(parse(line), Ok(Command::Cat(expected)));
        let follow = |line| match parse(line) {
            Ok(Command::Cat(options)) => options.follow.map(|every| every.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(follow("cat s3://a --follow"), Some(5));
        assert_eq!(follow("cat s3://a --follow --every 1m"), Some(60));
    }
}
