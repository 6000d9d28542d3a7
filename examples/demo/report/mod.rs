//! What a person wants to see when a run is over.

mod account;
mod costs;
mod example;
mod findings;
mod further;
mod lives;
mod object;
mod shown;
pub mod text;

use console::{Term, style, truncate_str};

use crate::arguments::Arguments;
use crate::picture::Picture;
use crate::session::{Session, matters};
use crate::stage::{BUCKET, BUFFER_BYTES};
use account::Account;
use costs::Costs;
use further::Further;
use lives::Life;
use object::Object;
pub use shown::interrupted;
use text::{count, counted, hanging, wrapped};

/// Without a terminal: what a log or a mail takes without wrapping.
const WIDTH_WITHOUT_TERMINAL: usize = 100;
/// Narrower than this the table would not fit, wider than this no eye follows a row.
const WIDTHS: std::ops::RangeInclusive<usize> = 80..=150;
const NAMES: &str = "named hour=HH/<life>-<first>-<last>-<crc64>.ndjson.zst; -end closes a life.";
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
    /// The folder of the day that the objects are in.
    day_folder: String,
    example: Vec<String>,
    own_lines: usize,
    costs: Costs,
    failed: Vec<String>,
    said: Vec<String>,
    findings: Vec<String>,
    further: Further,
    picture: Option<Picture>,
}

impl Report {
    /// Draws the conclusions.
    pub fn new(arguments: &Arguments, session: Session) -> Self {
        let objects: Vec<_> = session.objects.iter().map(Object::new).collect();
        let account = Account::new(&session.ledger, &session.verdict);
        let lives = Life::all(&session.verdict.spools, &objects);
        let findings = findings::of(&session.verdict, &account, session.spools_left, &session.shutdown);
        let kind = kind_of_run(&session);
        let title = format!("{kind}: what became of every line");
        let picture = session
            .observed
            .as_ref()
            .map(|observed| shown::finished(kind, &findings, &account, &objects, observed.events()));
        Self {
            title,
            findings,
            day_folder: objects.last().map_or_else(String::new, |object| object.day_folder().to_owned()),
            example: example(&session, &objects),
            own_lines: session.verdict.own_lines,
            costs: Costs::new(&session),
            failed: failures(&session),
            said: said(&session.extension_output),
            further: Further::new(arguments),
            account,
            lives,
            picture,
        }
    }

    /// What the picture shows, if one is asked for.
    pub fn picture(&self) -> Option<&Picture> {
        self.picture.as_ref()
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
            self.further.render(width),
        ];
        let sections = sections.into_iter().filter(|section| !section.is_empty());
        format!("\n{}\n", sections.collect::<Vec<_>>().join("\n"))
    }

    fn lines(&self, width: usize) -> String {
        let equation = style(self.account.equation()).bold();
        format!("{}\n  {equation}\n", self.account.render(width))
    }

    fn objects(&self, width: usize) -> String {
        let place = format!("In s3://{BUCKET}/{}, {NAMES}", self.day_folder);
        let mut text = hanging("", &place, width) + &lives::render(&self.lives, width);
        if self.own_lines > 0 {
            let own = format!(
                "Lines of the extension itself among them, one for each invocation and one at the end of each life: {}.",
                count(self.own_lines)
            );
            text += &hanging("", &own, width);
        }
        text
    }

    fn example(&self, width: usize) -> String {
        if self.example.is_empty() {
            return String::new();
        }
        let long = self.example.iter().filter(|line| line.len() > BUFFER_BYTES);
        let cut = long.map(|line| {
            let kib = BUFFER_BYTES / 1024;
            let text = format!(
                "The platform has cut one record of {} bytes, since a body takes {kib} KiB of one; here it is whole.",
                count(line.len())
            );
            hanging("", &text, width)
        });
        heading("An invocation, as a reader of the bucket sees it")
            + &example::render(&self.example, width)
            + &cut.collect::<String>()
    }

    fn verdict(&self, width: usize) -> String {
        if self.is_clean() {
            let text = "Nothing lost, nothing doubled, and every life has its end in the bucket.";
            return format!("{}\n", style(text).green().bold());
        }
        let title = style("This must not be:").red().bold();
        let findings = self.findings.iter().flat_map(|finding| finding.lines());
        findings.fold(format!("{title}\n"), |text, line| text + &indented(line, width))
    }
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

/// A line of the oracle, which indents its examples. Those can be one long word.
fn indented(line: &str, width: usize) -> String {
    let indent = 2 + line.len() - line.trim_start().len();
    let rows = wrapped(line, width - indent).into_iter();
    rows.map(|row| format!("{:indent$}{}\n", "", truncate_str(&row, width - indent, "…"))).collect()
}

fn kind_of_run(session: &Session) -> String {
    let mut title = counted(session.invocations.len(), "invocation");
    let in_outage = session.invocations.iter().filter(|seen| seen.in_outage).count();
    if in_outage > 0 {
        title += &format!(", S3 down for {in_outage} of them");
    }
    if session.invocations.iter().any(|seen| seen.killed) {
        title += ", extension killed in one";
    }
    title
}

/// The last one that went well.
fn example(session: &Session, objects: &[Object]) -> Vec<String> {
    let last = session.invocations.iter().rfind(|seen| seen.invocation.result.is_ok());
    last.map_or_else(Vec::new, |seen| example::lines_of(objects, &seen.invocation.request_id))
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
    shortened(output.iter().filter(|line| matters(line)).cloned().collect())
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let hidden = lines.len().saturating_sub(SAID_MAX);
    lines.truncate(SAID_MAX);
    if hidden > 0 {
        lines.push(format!("… and {hidden} more"));
    }
    lines
}
