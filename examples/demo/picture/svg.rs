//! A layout as SVG. It is whole without a style sheet, a script or a font; colours come with `drawing.css`.

use std::fmt::Write;

use super::escape::escaped;
use super::facts::{Kind, Lane};
use super::layout::{AXIS_HEIGHT, Flag, Layout, Mark, PLOT_WIDTH, Row, TOP};
use crate::report::text::bytes;

/// The names of the rows.
pub const LABELS_WIDTH: f64 = 116.0;
/// Behind the end of the time axis, so that its last number is whole.
const RIGHT: f64 = 28.0;
/// Above the highest step of the curve.
const CURVE_TOP: f64 = 4.0;
/// The colours of a drawing, light and dark.
pub const STYLE: &str = include_str!("drawing.css");
const NAMESPACE: &str = "http://www.w3.org/2000/svg";
/// Room of a drawing that stands alone.
const MARGIN: f64 = 20.0;
const HEAD_HEIGHT: f64 = 62.0;
const LEGEND_ROW_HEIGHT: f64 = 20.0;
const LEGEND_COLUMN_WIDTH: f64 = 232.0;

/// The plot and the names of its rows, side by side in a page, so that the names stay where they are when the plot is scrolled.
pub fn parts(layout: &Layout, title: &str) -> (String, String) {
    let (height, width) = (layout.height(), PLOT_WIDTH + RIGHT);
    let labels = format!(
        r#"<svg class="run labels" width="{LABELS_WIDTH}" height="{height}" viewBox="0 0 {LABELS_WIDTH} {height}" preserveAspectRatio="xMaxYMin slice" aria-hidden="true">{}</svg>"#,
        labels(layout)
    );
    let plot = format!(
        r#"<svg class="run plot" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" aria-label="{}">{}</svg>"#,
        escaped(title),
        plot(layout)
    );
    (labels, plot)
}

/// A drawing that stands alone, with what it shows in words, a legend, its own background and colours.
pub fn alone(layout: &Layout, title: &str, words: &[String]) -> String {
    let kinds = layout.kinds();
    let width = MARGIN + LABELS_WIDTH + PLOT_WIDTH + RIGHT + MARGIN;
    let columns = (1..).take_while(|column| f64::from(*column) * LEGEND_COLUMN_WIDTH < width - 2.0 * MARGIN).count();
    let legend_top = HEAD_HEIGHT + layout.height() + 20.0;
    let height = legend_top + kinds.len().div_ceil(columns.max(1)) as f64 * LEGEND_ROW_HEIGHT + MARGIN;
    let mut svg = format!(
        r#"<svg xmlns="{NAMESPACE}" class="run" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{}">"#,
        escaped(&format!("{title}. {}", words.join(" ")))
    );
    let _ =
        write!(svg, "<style>{STYLE}</style><rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>");
    let _ = write!(svg, r#"<text class="title" x="{MARGIN}" y="32">{}</text>"#, escaped(title));
    let _ = write!(svg, r#"<text class="words" x="{MARGIN}" y="52">{}</text>"#, escaped(&words.join("  ·  ")));
    let _ = write!(svg, r#"<g transform="translate({MARGIN} {HEAD_HEIGHT})">{}</g>"#, labels(layout));
    let left = MARGIN + LABELS_WIDTH;
    let _ = write!(svg, r#"<g transform="translate({left} {HEAD_HEIGHT})">{}</g>"#, plot(layout));
    for (index, kind) in kinds.into_iter().enumerate() {
        let (column, row) = (index % columns, index / columns);
        let (x, y) = (MARGIN + column as f64 * LEGEND_COLUMN_WIDTH, legend_top + row as f64 * LEGEND_ROW_HEIGHT);
        let (key, name) = (key(kind), kind.name());
        let _ = write!(
            svg,
            r#"<g transform="translate({x} {y})">{key}<text class="words" x="28" y="11">{name}</text></g>"#
        );
    }
    svg + "</svg>\n"
}

/// A mark of a kind as the legend shows it, 20 by 14.
pub fn key(kind: Kind) -> String {
    let class = kind.class();
    match kind {
        Kind::Seal => format!(r#"<path class="{class}" d="{}"/>"#, diamond(10.0, 7.0, 6.0)),
        Kind::There => format!(r#"<path class="{class}" d="{}"/>"#, diamond(10.0, 7.0, 5.0)),
        Kind::Failed => format!(r#"<path class="{class}" d="{}"/>"#, cross(10.0, 7.0, 5.0)),
        Kind::Outage | Kind::Spool => format!(r#"<rect class="{class}" x="0.5" y="1.5" width="19" height="11"/>"#),
        Kind::Killed | Kind::Born | Kind::Adopted | Kind::Shutdown => {
            format!(r#"<path class="flag {class}" d="M10 0V14"/>"#)
        }
        Kind::Append => format!(r#"<path class="{class}" d="M3 13V7h3v6zM8 13V2h3v11zM13 13V9h3v4z"/>"#),
        _ => format!(r#"<rect class="{class}" x="1" y="3" width="18" height="8" rx="1.5"/>"#),
    }
}

fn labels(layout: &Layout) -> String {
    let right = LABELS_WIDTH - 12.0;
    let mut svg = String::new();
    for row in &layout.rows {
        let y = if row.lane == Lane::Spool { row.y + 14.0 } else { row.y + row.height / 2.0 + 4.0 };
        let _ = write!(svg, r#"<text class="lane" x="{right}" y="{y}">{}</text>"#, row.lane.label());
    }
    let spool = layout.row(Lane::Spool);
    // Half the height is a quarter: the scale goes with the square root.
    for (part, y) in [(1, spool.y + CURVE_TOP + 24.0), (4, spool.y + (spool.height + CURVE_TOP) / 2.0 + 4.0)] {
        let size = bytes(usize::try_from(layout.spool_bytes_max / part).unwrap_or(usize::MAX));
        if layout.spool_bytes_max > 0 {
            let _ = write!(svg, r#"<text class="unit" x="{right}" y="{y}">{size}</text>"#);
        }
    }
    let _ = write!(svg, r#"<text class="unit" x="{right}" y="{}">0</text>"#, spool.y + spool.height);
    svg
}

fn plot(layout: &Layout) -> String {
    let mut svg = String::new();
    for row in &layout.rows {
        let Row { y, height, .. } = row;
        let _ = write!(svg, r#"<rect class="row" y="{y}" width="{PLOT_WIDTH}" height="{height}" rx="3"/>"#);
    }
    let spool = layout.row(Lane::Spool);
    let half = spool.y + (spool.height + CURVE_TOP) / 2.0;
    let _ = write!(svg, r#"<path class="tick" d="M0 {half}H{PLOT_WIDTH}"/>"#);
    axis(layout, &mut svg);
    for flag in layout.flags.iter().filter(|flag| flag.mark.facts.kind == Kind::Outage) {
        band(layout, flag, &mut svg);
    }
    curve(layout, &mut svg);
    for row in &layout.rows {
        let marks: Vec<_> = layout.marks.iter().filter(|mark| mark.facts.kind.lane() == Some(row.lane)).collect();
        let _ = write!(svg, r#"<g class="marks" aria-label="{}">"#, row.lane.label());
        for (index, mark) in marks.iter().enumerate() {
            shape(mark, row, index == 0, &mut svg);
        }
        svg.push_str("</g>\n");
    }
    svg.push_str(r#"<g class="marks" aria-label="events">"#);
    for (index, flag) in layout.flags.iter().enumerate() {
        line(layout, flag, index == 0, &mut svg);
    }
    svg + "</g>\n"
}

fn axis(layout: &Layout, svg: &mut String) {
    let (bottom, base) = (layout.bottom(), layout.height() - AXIS_HEIGHT + 17.0);
    for (index, tick) in layout.ticks.iter().enumerate() {
        let (x, first) = (place(tick.x), if index == 0 { " first" } else { "" });
        let _ = write!(
            svg,
            r#"<path class="tick" d="M{x} {TOP}V{bottom}"/><text class="time{first}" x="{x}" y="{base}">{}</text>"#,
            tick.label
        );
    }
}

fn band(layout: &Layout, flag: &Flag, svg: &mut String) {
    let (x, width, height) = (place(flag.mark.x), place(flag.mark.width), layout.bottom());
    let _ = write!(svg, r#"<rect class="outage" x="{x}" width="{width}" height="{height}"/>"#);
}

/// Steps: between two samples nobody has looked.
fn curve(layout: &Layout, svg: &mut String) {
    let row = layout.row(Lane::Spool);
    let bottom = row.y + row.height;
    let samples = layout.marks.iter().filter(|mark| mark.facts.kind == Kind::Spool);
    let (mut path, mut end) = (String::new(), 0.0);
    for mark in samples {
        let y = place(bottom - mark.height * (row.height - CURVE_TOP));
        let begin = if path.is_empty() {
            format!("M{} {bottom}V{y}", place(mark.x))
        } else {
            format!("H{}V{y}", place(mark.x))
        };
        path += &begin;
        end = mark.x + mark.width;
    }
    if !path.is_empty() {
        let end = place(end);
        let _ = write!(svg, r#"<path class="spool" d="{path}H{end}V{bottom}Z"/>"#);
    }
}

fn shape(mark: &Mark, row: &Row, is_first: bool, svg: &mut String) {
    let kind = mark.facts.kind;
    let (class, middle) = (kind.class(), row.y + row.height / 2.0);
    let begin = opening(mark, is_first);
    let drawn = match kind {
        Kind::Seal => format!(r#"<path class="{class}" d="{}"/>"#, diamond(mark.x, middle, 6.0)),
        Kind::There => format!(r#"<path class="{class}" d="{}"/>"#, diamond(mark.x, middle, 5.0)),
        Kind::Failed => format!(
            r#"<rect class="hit" x="{}" y="{}" width="14" height="14"/><path class="{class}" d="{}"/>"#,
            place(mark.x - 7.0),
            middle - 7.0,
            cross(mark.x, middle, 4.5)
        ),
        Kind::Spool => rect("hit", mark.x, row.y, mark.width, row.height),
        Kind::Append | Kind::AppendLost => {
            let height = mark.height * (row.height - 4.0);
            rect(class, mark.x, row.y + row.height - 2.0 - height, mark.width, height)
        }
        Kind::Init => rect(class, mark.x, row.y + 4.0, mark.width, row.height - 8.0),
        _ => rect(class, mark.x, row.y + 5.0, mark.width, row.height - 10.0),
    };
    let _ = write!(svg, "{begin}{drawn}</g>");
}

/// The word and the line; what can be pointed at is a little wider than it.
fn line(layout: &Layout, flag: &Flag, is_first: bool, svg: &mut String) {
    let Flag { mark, word, word_at: (left, base), word_end } = flag;
    let (class, bottom, x) = (mark.facts.kind.class(), layout.bottom(), place(mark.x));
    svg.push_str(&opening(mark, is_first));
    if !word.is_empty() {
        let (at, anchor) = word_end.map_or((*left, "start"), |end| (end, "end"));
        let at = place(at);
        let _ = write!(svg, r#"<text class="word {class}" x="{at}" y="{base}" text-anchor="{anchor}">{word}</text>"#);
    }
    if mark.facts.kind == Kind::Outage {
        // The band lies below everything else, its upper end can be pointed at.
        let _ = write!(svg, r#"<rect class="hit" x="{x}" width="{}" height="{TOP}"/>"#, place(mark.width));
    } else {
        let (begin, hit) = (base - 9.0, place(mark.x - 3.0));
        let _ = write!(svg, r#"<path class="flag {class}" d="M{x} {begin}V{bottom}"/>"#);
        let _ = write!(svg, r#"<rect class="hit" x="{hit}" y="{begin}" width="6" height="{}"/>"#, TOP - begin);
    }
    svg.push_str("</g>");
}

/// A lane is one stop of the Tab key; the script lets arrows go on from there.
fn opening(mark: &Mark, is_first: bool) -> String {
    let index = if is_first { 0 } else { -1 };
    format!(r#"<g class="m" tabindex="{index}"><title>{}</title>"#, escaped(&mark.facts.text()))
}

fn rect(class: &str, x: f64, y: f64, width: f64, height: f64) -> String {
    let [x, y, width, height] = [x, y, width, height].map(place);
    format!(r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#)
}

fn diamond(x: f64, y: f64, size: f64) -> String {
    format!("M{} {}l{size} {size}l-{size} {size}l-{size}-{size}z", place(x), place(y - size))
}

fn cross(x: f64, y: f64, size: f64) -> String {
    let (left, right, top, bottom) = (place(x - size), place(x + size), place(y - size), place(y + size));
    format!("M{left} {top}L{right} {bottom}M{right} {top}L{left} {bottom}")
}

/// Tenths are fine enough.
fn place(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
