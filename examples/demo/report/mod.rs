//! What a person wants to see when a run is over.

mod account;
mod costs;
mod findings;
mod lives;
mod object;
pub mod text;

use std::path::{Path, PathBuf};

use console::{Term, style, truncate_str};

use crate::arguments::Arguments;
use crate::run::{BUCKET, Session};
use account::Account;
use costs::Costs;
use lives::Life;
use object::Object;
use text::{counted, hanging, wrapped};

/// Without a terminal: what a log or a mail takes without wrapping.
const WIDTH_WITHOUT_TERMINAL: usize = 100;
/// Narrower than this the table would not fit, wider than this no eye follows a row.
const WIDTHS: std::ops::RangeInclusive<usize> = 80..=150;
const NAMES: &str = "named hour=HH/<life>-<first>-<last>-<crc64>.ndjson.zst; -end closes a life.";
const EXAMPLE_LINES: usize = 3;
/// Some 140 of them are time, type, number and request; the words of the function come behind.
const EXAMPLE_CHARACTERS: usize = 225;
/// Lines of the extension shown: it says little, unless something is very wrong.
const SAID_MAX: usize = 8;

/// Characters in a row of the terminal that stdout goes to.
pub fn width() -> usize {
    let columns = Term::stdout().size_checked().map_or(WIDTH_WITHOUT_TERMINAL, |(_, columns)| usize::from(columns));
    columns.clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// Everything there is to say about a run.
pub struct Report {
    title: String,
    account: Account,
    lives: Vec<Life>,
    example: Option<Object>,
    own_lines: usize,
    costs: Costs,
    failed: Vec<String>,
    said: Vec<String>,
    findings: Vec<String>,
    next: Vec<(String, &'static str)>,
    kept: Option<PathBuf>,
}

impl Report {
    /// Draws the conclusions.
    pub fn new(arguments: &Arguments, session: Session) -> Self {
        let objects: Vec<_> = session.objects.iter().map(Object::new).collect();
        let account = Account::new(&session.ledger, &session.verdict);
        let lives = Life::all(&session.verdict.spools, &objects);
        Self {
            title: title(&session),
            findings: findings::of(&session.verdict, &account, session.spools_left, &session.shutdown),
            example: objects.into_iter().max_by_key(Object::lines_of_text),
            own_lines: session.verdict.own_lines,
            costs: Costs::new(&session),
            failed: failures(&session),
            said: said(&session.extension_output),
            next: next(arguments),
            kept: arguments.keep.clone(),
            account,
            lives,
        }
    }

    /// Whether every acknowledged line is delivered exactly once, and every life has its end.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// The report for a terminal of that width.
    pub fn render(&self, width: usize) -> String {
        let sections = [
            heading(&self.title) + &self.lines(width),
            heading("Objects") + &self.objects(width),
            self.example(width),
            heading("What the extension cost") + &self.costs.render(width),
            list("Invocations that failed", &self.failed, width),
            list("What the extension said", &self.said, width),
            self.verdict(width),
            self.further(width),
        ];
        let sections = sections.into_iter().filter(|section| !section.is_empty());
        format!("\n{}\n", sections.collect::<Vec<_>>().join("\n"))
    }

    fn lines(&self, width: usize) -> String {
        let equation = style(self.account.equation()).bold();
        format!("{}\n  {equation}\n", self.account.render(width))
    }

    fn objects(&self, width: usize) -> String {
        let folder = self.example.as_ref().map_or("", Object::day_folder);
        let mut text =
            hanging("", &format!("In s3://{BUCKET}/{folder}, {NAMES}"), width) + &lives::render(&self.lives, width);
        if self.own_lines > 0 {
            let own = counted(self.own_lines, "line");
            text +=
                &hanging("", &format!("{own} of the total: ends of lives, written by the extension itself."), width);
        }
        text
    }

    fn example(&self, width: usize) -> String {
        const TITLE: &str = "Lines of ";
        let Some(object) = &self.example else { return String::new() };
        let title = format!("{TITLE}{}", object.name(width - TITLE.len()));
        example_lines(&object.text).into_iter().fold(heading(&title), |text, line| text + &cut(line, width))
    }

    fn verdict(&self, width: usize) -> String {
        if self.is_clean() {
            let text = "Nothing lost, nothing doubled, and every life has its end in the bucket.";
            return format!("{}\n", style(text).green().bold());
        }
        let title = style("This must not be:").red().bold();
        let findings = self.findings.iter().flat_map(|finding| finding.lines());
        findings.fold(format!("{title}\n"), |text, finding| text + &hanging("  ", finding, width))
    }

    fn further(&self, width: usize) -> String {
        let mut text = String::new();
        if let Some(directory) = &self.kept {
            text += &format!("{}\n", read_command(directory));
        }
        if !self.next.is_empty() {
            text += "Try next: cargo run --release --example demo --\n";
            for (option, meaning) in &self.next {
                text += &hanging(&format!("  {option:26}"), meaning, width);
            }
        }
        text
    }
}

/// From the beginning of an invocation on, if there is one: what comes before it belongs to another.
fn example_lines(text: &str) -> Vec<&str> {
    let start = text.lines().position(|line| line.contains(r#""type":"platform.start""#));
    text.lines().skip(start.unwrap_or_default()).take(EXAMPLE_LINES).collect()
}

/// The beginning of a line, in as many rows as it takes.
fn cut(line: &str, width: usize) -> String {
    let mut rest = &*truncate_str(line, EXAMPLE_CHARACTERS, "…");
    let mut rows = String::new();
    while !rest.is_empty() {
        let row = truncate_str(rest, width - 4, "").len().max(1);
        let (row, further) = rest.split_at(row);
        rows += &format!("{}{row}\n", if rows.is_empty() { "  " } else { "    " });
        rest = further;
    }
    rows
}

fn heading(text: &str) -> String {
    format!("{}\n", style(text).bold().underlined())
}

fn list(title: &str, items: &[String], width: usize) -> String {
    if items.is_empty() {
        return String::new();
    }
    items.iter().fold(heading(title), |text, item| text + &wrapped_item(item, width))
}

fn wrapped_item(item: &str, width: usize) -> String {
    let lines = wrapped(item, width - 4);
    lines.iter().enumerate().map(|(at, line)| format!("{}{line}\n", if at == 0 { "  " } else { "    " })).collect()
}

fn title(session: &Session) -> String {
    let mut title = counted(session.invocations.len(), "invocation");
    let in_outage = session.invocations.iter().filter(|seen| seen.in_outage).count();
    if in_outage > 0 {
        title += &format!(", S3 down for {in_outage} of them");
    }
    if session.invocations.iter().any(|seen| seen.killed) {
        title += ", extension killed in one";
    }
    title + ": what became of every line"
}

/// Not the invocation in which the extension was killed: that one has to fail.
fn failures(session: &Session) -> Vec<String> {
    let seen = session.invocations.iter().enumerate().filter(|(_, seen)| !seen.killed);
    let failed = seen.filter_map(|(at, seen)| {
        let error = seen.invocation.result.as_ref().err()?;
        Some(format!("{}: {error}", at + 1))
    });
    shortened(failed.collect())
}

/// What it says by default: warnings and errors.
fn said(output: &[String]) -> Vec<String> {
    let is_default = |line: &&String| !line.starts_with("logspool INFO") && !line.starts_with("logspool DEBUG");
    shortened(output.iter().filter(is_default).cloned().collect())
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let hidden = lines.len().saturating_sub(SAID_MAX);
    lines.truncate(SAID_MAX);
    if hidden > 0 {
        lines.push(format!("… and {hidden} more"));
    }
    lines
}

/// Options that were not used.
fn next(arguments: &Arguments) -> Vec<(String, &'static str)> {
    let mut next = Vec::new();
    let mut offer = |unused: bool, option: &str, meaning| {
        if unused {
            next.push((option.to_owned(), meaning));
        }
    };
    let (outage, kill) = (arguments.outage, arguments.kill);
    offer(!(outage && kill), "--outage --kill", "S3 down for the middle third, SIGKILL in the middle of it");
    offer(
        arguments.function.is_none(),
        "--function 'CMD …'",
        "your own function: anything that speaks the Runtime API",
    );
    offer(arguments.invocations < 200, "--invocations 200", "a longer run");
    offer(arguments.keep.is_none(), "--keep DIR", "keep the objects and look into them");
    next
}

fn read_command(directory: &Path) -> String {
    let directory = directory.display();
    format!("The objects are in {directory}: zstd -dcq $(find {directory} -name '*.zst' | sort)")
}
