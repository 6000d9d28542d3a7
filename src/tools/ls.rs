//! What is in a spool directory, as a table a spool.

use std::io::{self, Write};

use spool::{
    Codec, DroppedRange, InspectedFile, InspectedFragment, InspectedSegment, Inspection, Liveness, Seqno, What,
};

use super::table::{Table, grouped};
use super::{Failure, Outcome};
use crate::telemetry::event::format_time;

pub(super) fn run(spools: &[Inspection], out: &mut dyn Write) -> Result<Outcome, Failure> {
    if spools.is_empty() {
        writeln!(out, "no spools")?;
    }
    for (index, spool) in spools.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_spool(spool, out)?;
    }
    Ok(Outcome::Clean)
}

fn write_spool(spool: &Inspection, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", title(spool))?;
    if let Some(losses) = losses(spool) {
        writeln!(out, "  lost so far: {losses}")?;
    }
    let heading =
        [">segment", "state", ">first-last", ">records", ">raw bytes", ">file bytes", "codec", "sealed by", "notes"];
    let mut table = Table::new(heading);
    let pending = spool.fragment();
    for file in &spool.files {
        let mut row = row(file);
        if let Some(pending) = pending.as_ref().filter(|pending| pending.fragment.key().segment == file.segment) {
            let separator = if row[8].is_empty() { "" } else { "; " };
            row[8] = format!("{}{separator}{}", row[8], fragment(pending));
        }
        table.row(row);
    }
    table.write("  ", out)
}

/// One line about a whole spool.
pub(super) fn title(spool: &Inspection) -> String {
    let liveness = match spool.liveness {
        Liveness::Alive => "alive",
        Liveness::Orphan => "orphan",
        Liveness::Unknown => "lock unreadable",
    };
    let began = format_time(spool.id.unix_ms());
    let (files, bytes) = (spool.files.len(), grouped(spool.bytes()));
    let end = if spool.is_ended() { "ended" } else { "no end" };
    format!("{}  {began}  {liveness}  {files} files, {bytes} bytes, next number {}, {end}", spool.id, spool.next_seq())
}

/// Totals by cause, from the newest segment.
fn losses(spool: &Inspection) -> Option<String> {
    let losses = spool.files.iter().rev().find_map(InspectedFile::segment)?.losses?;
    let words: Vec<_> =
        losses.iter().map(|(cause, loss)| format!("{} {}", cause.name(), grouped(loss.records))).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn row(file: &InspectedFile) -> [String; 9] {
    let (number, bytes) = (file.segment.to_string(), grouped(file.bytes));
    match &file.what {
        What::Segment(segment) => [
            number,
            segment.state.name().into(),
            range(segment.first, segment.next),
            grouped(segment.records),
            grouped(segment.raw_bytes),
            bytes,
            codec(segment.codec).into(),
            segment.reason.map_or("", |reason| reason.name()).into(),
            notes(segment),
        ],
        What::Tombstone(lost) => {
            let next = Seqno(lost.last.0 + 1);
            let (records, raw_bytes) = (grouped(lost.records()), grouped(lost.raw_bytes));
            let notes = if lost.maybe_delivered { ", may have been delivered" } else { "" };
            let notes = format!("lost: {}{notes}", lost.cause.name());
            let none = String::new;
            [number, "dropped".into(), range(lost.first, next), records, raw_bytes, bytes, none(), none(), notes]
        }
        What::UnknownVersion(version) => unreadable(number, bytes, format!("format version {version} is unknown")),
        What::Unreadable(why) => unreadable(number, bytes, why.clone()),
    }
}

fn unreadable(number: String, bytes: String, why: String) -> [String; 9] {
    let none = String::new;
    [number, "unreadable".into(), none(), none(), none(), bytes, none(), none(), why]
}

fn range(first: Seqno, next: Seqno) -> String {
    if next > first { format!("{first}-{}", next.0 - 1) } else { format!("{first}-") }
}

fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::None => "none",
        Codec::Zstd => "zstd",
        Codec::Gzip => "gzip",
    }
}

fn fragment(pending: &InspectedFragment) -> String {
    let bytes = grouped(pending.fragment.bytes());
    match pending.loss {
        Some(cause) => format!("lost: {}, a fragment of {bytes} bytes", cause.name()),
        None => format!("a fragment of {bytes} bytes is pending"),
    }
}

fn notes(segment: &InspectedSegment) -> String {
    let mut notes = Vec::new();
    if segment.ended {
        notes.push("end of the stream".to_owned());
    }
    if segment.objects > 1 {
        notes.push(format!("{} intact runs", segment.objects));
    }
    notes.extend(segment.lost.iter().map(|lost: &DroppedRange| {
        format!("lost: {} {}", lost.cause.name(), range(lost.first, Seqno(lost.last.0 + 1)))
    }));
    if segment.torn_bytes > 0 {
        notes.push(format!("{} torn bytes", grouped(segment.torn_bytes)));
    }
    if segment.losses.is_none() {
        notes.push("state slots damaged".to_owned());
    }
    notes.join("; ")
}
