//! What is told of the verdicts: a table and findings for people, lines of JSON for machines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::judge::{SpoolVerdict, Verdict};
use crate::tools::table::{Table, grouped};

/// A person reads so many findings; `--json` has all.
const FINDINGS_SHOWN: usize = 40;

/// Sums over all spools.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) by_verdict: BTreeMap<Verdict, Of>,
    /// Numbers that are declared lost, by cause.
    pub(super) lost: BTreeMap<String, u64>,
    /// Keys that are no names of objects.
    pub(super) foreign: u64,
    /// Of those, some that look as if they were once.
    pub(super) changed: Vec<String>,
    /// Requests that began.
    pub(super) invocations: Option<u64>,
    /// Objects of which only digest and number of lines were looked at.
    pub(super) counted_only: u64,
    /// Objects were read, not only listed.
    pub(super) is_deep: bool,
}

/// Spools of one verdict.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(super) struct Of {
    pub(super) spools: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Numbers that are in objects.
    pub(super) lines: u64,
}

impl Sums {
    pub(super) fn add(&mut self, spool: &SpoolVerdict) {
        let of = self.by_verdict.entry(spool.verdict).or_default();
        of.spools += 1;
        of.objects += spool.objects;
        of.bytes += spool.bytes;
        of.lines += spool.delivered;
        for (cause, records) in &spool.lost {
            *self.lost.entry(cause.clone()).or_default() += records;
        }
    }

    pub(super) fn spools(&self, verdict: Verdict) -> u64 {
        self.by_verdict.get(&verdict).map_or(0, |of| of.spools)
    }

    pub(super) fn has_findings(&self) -> bool {
        Verdict::ALL.into_iter().any(|verdict| verdict.is_finding() && self.spools(verdict) > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_verdict.is_empty()
    }
}

/// Tells of one spool after the other, and of all at the end.
pub(super) trait Report {
    fn spool(&mut self, spool: &SpoolVerdict) -> io::Result<()>;
    fn end(&mut self, sums: &Sums) -> io::Result<()>;
}

/// For people.
pub(super) struct Text<'a> {
    out: &'a mut dyn Write,
    findings: Vec<String>,
    more: u64,
}

impl<'a> Text<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, findings: Vec::new(), more: 0 }
    }
}

impl Report for Text<'_> {
    fn spool(&mut self, spool: &SpoolVerdict) -> io::Result<()> {
        let waits = if spool.is_waited_for { " (young: it may still come)" } else { "" };
        for finding in &spool.findings {
            if self.findings.len() < FINDINGS_SHOWN {
                self.findings.push(format!("{}: {}{waits}", finding.kind.name(), finding.text));
            } else {
                self.more += 1;
            }
        }
        self.more += spool.more_findings;
        Ok(())
    }

    fn end(&mut self, sums: &Sums) -> io::Result<()> {
        let mut table = Table::new(["spools", ">count", ">objects", ">lines", ">bytes"]);
        for verdict in Verdict::ALL {
            let of = sums.by_verdict.get(&verdict).copied().unwrap_or_default();
            let [spools, objects, lines, bytes] = [of.spools, of.objects, of.lines, of.bytes].map(grouped);
            table.row([verdict.name().to_owned(), spools, objects, lines, bytes]);
        }
        table.write("", self.out)?;
        writeln!(self.out)?;
        if !sums.lost.is_empty() {
            let lost: Vec<_> =
                sums.lost.iter().map(|(cause, records)| format!("{cause} {}", grouped(*records))).collect();
            writeln!(self.out, "Lines that are declared lost, by cause: {}", lost.join(", "))?;
        }
        if let Some(invocations) = sums.invocations {
            writeln!(
                self.out,
                "Invocations that began (distinct request ids of platform.start): {}",
                grouped(invocations)
            )?;
        }
        if sums.foreign > 0 {
            writeln!(self.out, "Keys that are no names of objects, left out: {}", grouped(sums.foreign))?;
        }
        for key in &sums.changed {
            writeln!(self.out, "  {key} looks as if it was one once")?;
        }
        if sums.counted_only > 0 {
            let objects = grouped(sums.counted_only);
            writeln!(self.out, "Text and raw lines were counted, not parsed: {objects} objects")?;
        }
        for finding in &self.findings {
            writeln!(self.out, "{finding}")?;
        }
        if self.more > 0 {
            writeln!(self.out, "… and {} more: --json tells of all", grouped(self.more))?;
        }
        writeln!(self.out, "{}", conclusion(sums))
    }
}

/// One sentence.
fn conclusion(sums: &Sums) -> String {
    if sums.has_findings() {
        let counts = Verdict::ALL.into_iter().filter(|verdict| verdict.is_finding() && sums.spools(*verdict) > 0);
        let counts: Vec<_> = counts.map(|verdict| format!("{} {}", sums.spools(verdict), verdict.name())).collect();
        return format!("NOT COMPLETE, spools by what is wrong: {}", counts.join(", "));
    }
    let looked = if sums.is_deep { ", and every object holds what its name says" } else { "" };
    let mut text = format!("Nothing is missing{looked}.");
    for (verdict, what) in [
        (Verdict::Open, "open: judged up to now"),
        (Verdict::UnknownTail, "without an end: what came behind its last line, nobody knows"),
    ] {
        let spools = sums.spools(verdict);
        if spools > 0 {
            text.push_str(&format!(" {} {what}.", grouped(spools)));
        }
    }
    text
}

/// For machines.
pub(super) struct Json<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Json<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out }
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value)?;
        self.out.write_all(b"\n")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpoolLine<'a> {
    spool: &'a str,
    verdict: &'static str,
    objects: u64,
    bytes: u64,
    lines: u64,
    lost: &'a BTreeMap<String, u64>,
    end: Option<u64>,
    findings: Vec<FindingLine<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    more_findings: u64,
}

#[derive(Serialize)]
struct FindingLine<'a> {
    kind: &'static str,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SummaryLine<'a> {
    summary: BTreeMap<&'static str, Of>,
    lost: &'a BTreeMap<String, u64>,
    foreign_keys: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    invocations: Option<u64>,
    deep: bool,
    counted_only: u64,
    complete: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report for Json<'_> {
    fn spool(&mut self, spool: &SpoolVerdict) -> io::Result<()> {
        let findings = spool.findings.iter();
        self.line(&SpoolLine {
            spool: &spool.spool,
            verdict: spool.verdict.name(),
            objects: spool.objects,
            bytes: spool.bytes,
            lines: spool.delivered,
            lost: &spool.lost,
            end: spool.end,
            findings: findings.map(|it| FindingLine { kind: it.kind.name(), text: &it.text }).collect(),
            more_findings: spool.more_findings,
        })
    }

    fn end(&mut self, sums: &Sums) -> io::Result<()> {
        self.line(&SummaryLine {
            summary: sums.by_verdict.iter().map(|(verdict, of)| (verdict.name(), *of)).collect(),
            lost: &sums.lost,
            foreign_keys: sums.foreign,
            invocations: sums.invocations,
            deep: sums.is_deep,
            counted_only: sums.counted_only,
            complete: !sums.has_findings(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::judge::Finding;
    use super::*;

    fn spool(verdict: Verdict, findings: usize) -> SpoolVerdict {
        let finding = |number| Finding { kind: Verdict::Gap, text: format!("number {number} missing") };
        SpoolVerdict {
            spool: "01JZ8K4M3N5P6Q7R8S9T0V1W2X".to_owned(),
            verdict,
            objects: 2,
            bytes: 1_000,
            delivered: 10,
            lost: [("quota".to_owned(), 1_234)].into(),
            end: Some(9),
            findings: (0..findings).map(finding).collect(),
            more_findings: 0,
            is_waited_for: verdict == Verdict::Open && findings > 0,
        }
    }

    fn told(spools: &[SpoolVerdict]) -> String {
        let (mut out, mut sums) = (Vec::new(), Sums { foreign: 3, ..Sums::default() });
        let mut report = Text::new(&mut out);
        for spool in spools {
            sums.add(spool);
            report.spool(spool).expect("memory");
        }
        report.end(&sums).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_person_sees_sums_then_findings_then_one_sentence() {
        let text = told(&[spool(Verdict::Complete, 0), spool(Verdict::Open, 1), spool(Verdict::UnknownTail, 0)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["complete", "1", "2", "10", "1,000"]);
        assert_eq!(
            lines[8..],
            [
                "Lines that are declared lost, by cause: quota 3,702",
                "Keys that are no names of objects, left out: 3",
                "gap: number 0 missing (young: it may still come)",
                "Nothing is missing. 1 open: judged up to now. 1 without an end: what came behind its last line, nobody knows.",
            ]
        );
        let text = told(&[spool(Verdict::Gap, FINDINGS_SHOWN + 2)]);
        assert!(
            text.contains("… and 2 more: --json tells of all\nNOT COMPLETE, spools by what is wrong: 1 gap\n"),
            "{text}"
        );
    }

    #[test]
    fn a_machine_reads_a_line_a_spool_and_one_for_all() {
        let (mut out, mut sums) = (Vec::new(), Sums::default());
        let mut report = Json::new(&mut out);
        let gap = spool(Verdict::Gap, 1);
        sums.add(&gap);
        report.spool(&gap).and_then(|()| report.end(&sums)).expect("memory");
        let expected = r#"{"spool":"01JZ8K4M3N5P6Q7R8S9T0V1W2X","verdict":"gap","objects":2,"bytes":1000,"lines":10,"lost":{"quota":1234},"end":9,"findings":[{"kind":"gap","text":"number 0 missing"}]}
{"summary":{"gap":{"spools":1,"objects":2,"bytes":1000,"lines":10}},"lost":{"quota":1234},"foreignKeys":0,"deep":false,"countedOnly":0,"complete":false}
"#;
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }
}
