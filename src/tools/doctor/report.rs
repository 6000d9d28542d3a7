//! What was found: rows of a table as they come, the remedies below it; or one JSON document.

use std::io::{self, Write};

use serde::Serialize;

use super::super::Outcome;
use super::super::table::aligned;
use super::veil::Veil;

const HEADING: [&str; 3] = ["CHECK", "RESULT", "SEEN"];
/// The longest name of a check, `bad` with two digits, and what fills a wide terminal.
const WIDTHS: [usize; 3] = [17, 6, 92];
/// Remedies begin behind their number.
const REMEDY_INDENT: usize = 4;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and is probably not what was meant.
    Note,
    /// Logs would be late or lost.
    Bad,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// The destination that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<String>,
    /// Its name in the table; what belongs to a destination is indented.
    #[serde(rename = "check", serialize_with = "trimmed")]
    pub(super) name: &'static str,
    #[serde(rename = "result")]
    pub(super) verdict: Verdict,
    pub(super) seen: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

fn trimmed<S: serde::Serializer>(name: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.trim_start())
}

impl Check {
    pub(super) fn ok(name: &'static str, seen: impl Into<String>) -> Self {
        Self { destination: None, name, verdict: Verdict::Ok, seen: seen.into(), remedy: None }
    }

    pub(super) fn note(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Note, remedy: Some(remedy.into()), ..Self::ok(name, seen) }
    }

    pub(super) fn bad(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, remedy: Some(remedy.into()), ..Self::ok(name, seen) }
    }
}

/// Takes checks and tells them.
pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    is_json: bool,
    veil: Veil,
    checks: Vec<Check>,
    remedies: Vec<String>,
    destination: Option<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn Write, is_json: bool, veil: Veil) -> Self {
        Self { out, is_json, veil, checks: Vec::new(), remedies: Vec::new(), destination: None }
    }

    /// What follows is about this destination.
    pub(super) fn is_about(&mut self, destination: String) {
        self.destination = Some(self.veil.over(&destination));
    }

    /// Tells a check at once: the next one may take its time.
    pub(super) fn add(&mut self, check: Check) -> io::Result<()> {
        let check = Check {
            destination: self.destination.clone(),
            seen: self.veil.over(&check.seen),
            remedy: check.remedy.map(|remedy| self.veil.over(&remedy)),
            ..check
        };
        if !self.is_json {
            if self.checks.is_empty() {
                self.row(HEADING.map(str::to_owned))?;
            }
            let mut cells = [check.name.to_owned(), self.result(&check), String::new()];
            for line in wrapped(&check.seen, WIDTHS[2]) {
                cells[2] = line;
                self.row(std::mem::take(&mut cells))?;
            }
            self.out.flush()?;
        }
        self.checks.push(check);
        Ok(())
    }

    /// `ok`, or the number that the remedy has below the table; the same remedy has the same number.
    fn result(&mut self, check: &Check) -> String {
        let word = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Bad => "bad",
        };
        let Some(remedy) = &check.remedy else { return word.to_owned() };
        let index = self.remedies.iter().position(|known| known == remedy).unwrap_or_else(|| {
            self.remedies.push(remedy.clone());
            self.remedies.len() - 1
        });
        format!("{word} {}", index + 1)
    }

    fn row(&mut self, cells: [String; 3]) -> io::Result<()> {
        writeln!(self.out, "{}", aligned(&HEADING, WIDTHS, &cells))
    }

    /// Tells the rest, and how it all ended.
    pub(super) fn finish(self) -> io::Result<Outcome> {
        let worst = self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
        if self.is_json {
            let document = Document { result: worst, version: env!("CARGO_PKG_VERSION"), checks: &self.checks };
            serde_json::to_writer_pretty(&mut *self.out, &document)?;
            writeln!(self.out)?;
        } else {
            self.write_remedies()?;
        }
        Ok(if worst == Verdict::Bad { Outcome::Findings } else { Outcome::Clean })
    }

    fn write_remedies(self) -> io::Result<()> {
        for (index, remedy) in self.remedies.iter().enumerate() {
            let number = format!("{:>2}", index + 1);
            let mut begin = format!("\n{number:REMEDY_INDENT$}");
            let width = WIDTHS.iter().sum::<usize>();
            for line in wrapped(remedy, width) {
                writeln!(self.out, "{begin}{line}")?;
                begin = " ".repeat(REMEDY_INDENT);
            }
        }
        let count = |verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        let (bad, notes, ok) = (count(Verdict::Bad), count(Verdict::Note), count(Verdict::Ok));
        let words = if bad == 0 { "Logs can be stored and delivered" } else { "Something is wrong" };
        let s = if notes == 1 { "" } else { "s" };
        writeln!(self.out, "\n{words}: {bad} bad, {notes} note{s}, {ok} ok.")
    }
}

#[derive(Serialize)]
struct Document<'a> {
    result: Verdict,
    version: &'static str,
    checks: &'a [Check],
}

/// Lines of at most `width` characters where words allow it; there is at least one.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn told(is_json: bool, checks: &[Check]) -> (Outcome, String) {
        let secret = [("AWS_SECRET_ACCESS_KEY".to_owned(), "hush".to_owned())];
        let mut out = Vec::new();
        let mut report = Report::new(&mut out, is_json, Veil::new(&BTreeMap::from(secret)));
        checks.iter().for_each(|check| report.add(check.clone()).expect("memory"));
        let outcome = report.finish().expect("memory");
        (outcome, String::from_utf8(out).expect("text"))
    }

    fn checks() -> Vec<Check> {
        vec![
            Check::ok("settings", "3 variables"),
            Check::bad("  conditional put", "hush no", "Ask hush."),
            Check::note("clock", "late", "Wait."),
            Check::bad("disk", "word ".repeat(30), "Ask hush."),
        ]
    }

    #[test]
    fn a_row_for_each_check_and_each_remedy_once_below_them() {
        let (outcome, text) = told(false, &checks());
        let word = |count: usize| vec!["word"; count].join(" ");
        let indent = " ".repeat(27);
        let expected = format!(
            "CHECK              RESULT  SEEN\n\
             settings           ok      3 variables\n  conditional put  bad 1   *** no\n\
             clock              note 2  late\n\
             disk               bad 1   {}\n{indent}{}\n\
             \n 1  Ask ***.\n\n 2  Wait.\n\
             \nSomething is wrong: 2 bad, 1 note, 1 ok.\n",
            word(18),
            word(12)
        );
        assert_eq!(text, expected);
        assert_eq!(outcome, Outcome::Findings);
    }

    #[test]
    fn notes_are_no_findings() {
        let (outcome, text) = told(false, &[Check::note("clock", "late", "Wait.")]);
        assert_eq!(outcome, Outcome::Clean);
        assert!(text.ends_with("\nLogs can be stored and delivered: 0 bad, 1 note, 0 ok.\n"), "{text}");
    }

    #[test]
    fn machines_get_one_document() {
        let (outcome, text) = told(true, &checks());
        assert_eq!(outcome, Outcome::Findings);
        let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((document["result"].as_str(), document["checks"].as_array().map(Vec::len)), (Some("bad"), Some(4)));
        let second = serde_json::json!(
            {"check": "conditional put", "result": "bad", "seen": "*** no", "remedy": "Ask ***."}
        );
        assert_eq!(document["checks"][1], second);
    }
}
