//! The page around the drawing: what it comes to in figures above, the objects below.

use std::fmt::Write;

use super::escape::escaped;
use super::event::{Event, What};
use super::layout::Layout;
use super::tally::Tally;
use super::{Ending, Picture, Stored, svg};
use crate::report::text::{bytes, count, counted, duration, ratio};

/// Rows of the table; beyond, the rest is counted. Nobody reads more, and a run has some three objects for each invocation at worst.
pub const OBJECT_ROWS_MAX: usize = 200;
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing is loaded from anywhere; only what stands in the page itself is style and script.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
const CLEAN: &str = "Nothing lost, nothing doubled, and every life has its end in the bucket.";
const INTERRUPTED: &str = "Interrupted: this is what was seen until then; nothing was judged.";
const SOURCES: &str = "Every mark is something that was noted while the run went on: extension, invocations, held next, frozen and \
appends by the local Lambda environment; uploads by the local S3 server, and where it refused connections by the extension's log; seals and \
adoptions by the extension's log, at the moment its line was read; SIGKILL and the outage by the demo, which caused them; the spool by looking at \
the sizes of its segment files every 50 ms, in a long run less often. Heights grow with the square root of a size.";

/// The whole page.
pub fn page(picture: &Picture, layout: &Layout, tally: &Tally) -> String {
    let title = escaped(&picture.title);
    let colours = svg::STYLE;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>logspool: {title}</title>\n<style>{colours}{STYLE}</style>\n</head>\n<body>\n\
         <header><p class=\"name\">logspool demo</p><h1>{title}</h1>{}</header>\n",
        verdict(&picture.ending)
    );
    page += &figures(picture, tally);
    page += &timeline(layout, &picture.title);
    page += &objects(&picture.objects, &picture.events);
    page + "<div id=\"tip\" role=\"status\" hidden></div>\n<script>" + SCRIPT + "</script>\n</body>\n</html>\n"
}

fn verdict(ending: &Ending) -> String {
    match ending {
        Ending::Clean => format!("<p class=\"verdict clean\">{CLEAN}</p>"),
        Ending::Interrupted => format!("<p class=\"verdict open\">{INTERRUPTED}</p>"),
        Ending::Findings(findings) => {
            let items: String = findings.iter().map(|finding| format!("<li>{}</li>", escaped(finding))).collect();
            format!("<div class=\"verdict bad\">This must not be:<ul>{items}</ul></div>")
        }
    }
}

/// A figure of the summary: its name, its number, and what belongs to it.
type Figure = (&'static str, String, String);

fn figures(picture: &Picture, tally: &Tally) -> String {
    let mut figures: Vec<Figure> = Vec::new();
    if let Some(lines) = &picture.lines {
        let origin = format!("{} of the function, {} of the platform", count(lines.function), count(lines.platform));
        figures.extend([
            ("lines logged", count(lines.function + lines.platform), origin),
            ("delivered", count(lines.delivered), format!("{} acknowledged", count(lines.acknowledged))),
            ("lost", count(lines.lost), "acknowledged, in no object".into()),
            ("duplicates", count(lines.doubled), "more often than emitted".into()),
        ]);
    }
    let sum = |what: fn(&Stored) -> usize| picture.objects.iter().map(what).sum();
    let (raw, stored) = (sum(|object| object.raw_bytes), sum(|object| object.stored_bytes));
    let attempts = format!("{} failed, {} already there", count(tally.failed), count(tally.already_there));
    figures.extend([
        ("objects", count(picture.objects.len()), format!("for {}", counted(tally.invocations, "invocation"))),
        ("stored", bytes(stored), format!("{} of lines, {}", bytes(raw), ratio(raw, stored))),
        ("upload attempts", count(tally.attempts), attempts),
        (
            "S3 down",
            if tally.outage.is_zero() { "never".into() } else { duration(tally.outage) },
            format!("spool at most {}", bytes(usize::try_from(tally.spooled_max).unwrap_or(usize::MAX))),
        ),
        ("kills", count(tally.kills), counted(tally.lives, "life").replace("lifes", "lives")),
        ("next held", duration(tally.held), "in all, behind the handlers".into()),
    ]);
    let mut html = String::from("<dl class=\"figures\">\n");
    for (name, value, note) in figures {
        let class = if matches!(name, "lost" | "duplicates") && value != "0" { " class=\"bad\"" } else { "" };
        let _ = writeln!(html, "<div{class}><dt>{name}</dt><dd><b>{value}</b><span>{note}</span></dd></div>");
    }
    html += "</dl>\n";
    if let Some(lines) = &picture.lines {
        let _ = writeln!(html, "<p class=\"equation\">{}</p>", escaped(&lines.equation));
    }
    html
}

fn timeline(layout: &Layout, title: &str) -> String {
    let (labels, plot) = svg::parts(layout, title);
    let mut html = format!(
        "<figure>\n<div class=\"lanes\">{labels}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"timeline\">{plot}</div></div>\n"
    );
    if layout.kinds().is_empty() {
        html += "<p>Nothing was observed.</p>\n";
    }
    html += "<ul class=\"legend\">\n";
    for kind in layout.kinds() {
        let key = svg::key(kind);
        let _ = writeln!(
            html,
            "<li><svg class=\"run\" width=\"20\" height=\"14\" aria-hidden=\"true\">{key}</svg>{}</li>",
            kind.name()
        );
    }
    let merged = layout.marks.iter().chain(layout.flags.iter().map(|flag| &flag.mark));
    let merged = merged.filter(|mark| mark.facts.count > 1).count();
    let note = if merged == 0 {
        String::new()
    } else {
        format!(" It was a long run: {} stand for several events each.", counted(merged, "mark"))
    };
    html + "</ul>\n<figcaption>" + SOURCES + &note + "</figcaption>\n</figure>\n"
}

fn objects(objects: &[Stored], events: &[Event]) -> String {
    if objects.is_empty() {
        return "<h2>Objects</h2>\n<p>No object is in the bucket.</p>\n".to_owned();
    }
    let mut html = String::from(
        "<h2>Objects</h2>\n<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"objects\"><table>\n<thead><tr><th>key</th>\
         <th class=\"n\">lines</th><th class=\"n\">raw</th><th class=\"n\">stored</th><th class=\"n\">ratio</th><th>sealed by</th>\
         <th class=\"n\">there at</th></tr></thead>\n<tbody>\n",
    );
    for object in objects.iter().take(OBJECT_ROWS_MAX) {
        html += &row(object, there_at(&object.key, events));
    }
    html += "</tbody>\n";
    let hidden = objects.len().saturating_sub(OBJECT_ROWS_MAX);
    if hidden > 0 {
        let _ = writeln!(html, "<tfoot><tr><td colspan=\"7\">… and {} more</td></tr></tfoot>", count(hidden));
    }
    html + "</table></div>\n"
}

fn row(object: &Stored, there_at: String) -> String {
    // A long key may be broken behind its folders.
    let key = escaped(&object.key).replace('/', "/<wbr>");
    let cells = [
        count(object.lines),
        bytes(object.raw_bytes),
        bytes(object.stored_bytes),
        ratio(object.raw_bytes, object.stored_bytes),
    ];
    let cells: String = cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect();
    let seal = escaped(&object.seal);
    format!("<tr><td class=\"key\">{key}</td>{cells}<td>{seal}</td><td class=\"n\">{there_at}</td></tr>\n")
}

/// When the first attempt began that the store answered with success.
fn there_at(key: &str, events: &[Event]) -> String {
    let is_it = |event: &&Event| matches!(&event.what, What::Attempt { key: Some(attempted), status: Some(200..300), .. } if attempted == key);
    events.iter().find(is_it).map_or_else(|| "not seen".to_owned(), |event| duration(event.end))
}
