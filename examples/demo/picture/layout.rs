//! Where everything stands: from events to places, with nothing of how a place is written down.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::Event;
use super::facts::{Facts, Kind, Lane};

/// Width of the part with the time axis.
pub const PLOT_WIDTH: f64 = 1040.0;
/// Marks in a lane; beyond, those of one kind that begin within the same 1/520 of the time are merged into one, so that there are at
/// most so many of a kind. On this plot it is two units: what stands closer cannot be told apart or pointed at.
pub const LANE_MARKS_MAX: usize = 520;
/// Lines through all lanes; beyond, those of one kind are merged as in a lane. With more of them there would be nothing else to see.
pub const FLAGS_MAX: usize = 40;
/// Rows for the words at flags and bands. A word that finds no room is left out; the mark has it.
const FLAG_ROWS: usize = 3;
const FLAG_ROW_HEIGHT: f64 = 15.0;
/// Where the words at the flags end.
pub const TOP: f64 = 8.0 + FLAG_ROW_HEIGHT * 3.0;
const LANE_HEIGHT: f64 = 24.0;
const CURVE_HEIGHT: f64 = 84.0;
const LANE_GAP: f64 = 8.0;
/// Below the last lane: the numbers of the axis.
pub const AXIS_HEIGHT: f64 = 24.0;
/// What is shorter is still seen.
const WIDTH_MIN: f64 = 1.6;
/// Of the smallest body, as a share of the highest bar.
const HEIGHT_MIN: f64 = 0.18;
const TICKS_MAX: u128 = 10;
/// About the widths of the characters of the words at flags.
const CAPITAL_WIDTH: f64 = 9.8;
const CHARACTER_WIDTH: f64 = 7.2;
/// Between a line and its word.
const WORD_GAP: f64 = 4.0;

/// A row of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// What stands in it.
    pub lane: Lane,
    /// Its upper edge.
    pub y: f64,
    /// Its height.
    pub height: f64,
}

/// Something that is drawn and can be pointed at.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// What it stands for.
    pub facts: Facts,
    /// Its left edge; of symbols and flags their place.
    pub x: f64,
    /// How far it goes.
    pub width: f64,
    /// As a share of the height of its row.
    pub height: f64,
}

/// A mark that runs through all rows, with a word above them.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// What it stands for.
    pub mark: Mark,
    /// What stands at it; empty if there is no room.
    pub word: String,
    /// Left edge and base line of the word.
    pub word_at: (f64, f64),
    /// Where it ends, if it stands before its line.
    pub word_end: Option<f64>,
}

/// A number of the time axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Its place.
    pub x: f64,
    /// The number.
    pub label: String,
}

/// A laid-out picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The rows, from the top.
    pub rows: Vec<Row>,
    /// The marks of the rows; those of a row stand together, in the order of time.
    pub marks: Vec<Mark>,
    /// Bands and lines through all rows.
    pub flags: Vec<Flag>,
    /// The time axis.
    pub ticks: Vec<Tick>,
    /// The most that lay in the spool: the upper edge of its row.
    pub spool_bytes_max: u64,
}

impl Layout {
    /// Finds a place for every event.
    pub fn of(events: &[Event]) -> Self {
        let length = events.iter().map(|event| event.end).max().unwrap_or_default();
        let scale = Scale::new(length);
        let mut lanes: BTreeMap<Option<Lane>, Vec<Facts>> = BTreeMap::new();
        for facts in events.iter().map(Facts::of) {
            lanes.entry(facts.kind.lane()).or_default().push(facts);
        }
        let flags = merged(lanes.remove(&None).unwrap_or_default(), FLAGS_MAX, &scale);
        let lanes = lanes.into_values().map(|lane| merged(lane, LANE_MARKS_MAX, &scale));
        let marks: Vec<_> = lanes.flat_map(|lane| placed(lane, &scale)).collect();
        let spool = marks.iter().filter(|mark| mark.facts.kind == Kind::Spool);
        Self {
            rows: rows(),
            spool_bytes_max: spool.map(|mark| mark.facts.bytes).max().unwrap_or_default(),
            marks,
            flags: with_words(placed(flags, &scale)),
            ticks: ticks(length, &scale),
        }
    }

    /// The row of a lane.
    pub fn row(&self, lane: Lane) -> Row {
        let found = self.rows.iter().find(|row| row.lane == lane).copied();
        found.unwrap_or(Row { lane, y: TOP, height: LANE_HEIGHT })
    }

    /// Lower edge of the last row.
    pub fn bottom(&self) -> f64 {
        self.rows.last().map_or(TOP, |row| row.y + row.height)
    }

    /// Height of the whole, with the axis.
    pub fn height(&self) -> f64 {
        self.bottom() + AXIS_HEIGHT
    }

    /// The kinds that are to be seen, in the order of the legend.
    pub fn kinds(&self) -> Vec<Kind> {
        let seen = |kind: &Kind| {
            let flags = self.flags.iter().map(|flag| &flag.mark);
            self.marks.iter().chain(flags).any(|mark| mark.facts.kind == *kind)
        };
        Kind::ALL.into_iter().filter(seen).collect()
    }
}

struct Scale {
    length: Duration,
}

impl Scale {
    /// A run without length is drawn as if it had one.
    fn new(length: Duration) -> Self {
        Self { length: length.max(Duration::from_millis(1)) }
    }

    fn x(&self, at: Duration) -> f64 {
        at.as_secs_f64() / self.length.as_secs_f64() * PLOT_WIDTH
    }

    /// Which of `bins` parts of the axis a time falls into.
    fn bin(&self, at: Duration, bins: usize) -> usize {
        let bin = at.as_micros() * bins as u128 / self.length.as_micros();
        usize::try_from(bin).unwrap_or(usize::MAX).min(bins - 1)
    }
}

/// All as they are, or, if they are more than `max`, one for each kind and bin.
fn merged(all: Vec<Facts>, max: usize, scale: &Scale) -> Vec<Facts> {
    if all.len() <= max {
        return all;
    }
    let mut bins: BTreeMap<(usize, Kind), Facts> = BTreeMap::new();
    for facts in all {
        let place = (scale.bin(facts.begin, max), facts.kind);
        bins.entry(place).and_modify(|merged| merged.take(&facts)).or_insert(facts);
    }
    bins.into_values().collect()
}

fn placed(mut lane: Vec<Facts>, scale: &Scale) -> Vec<Mark> {
    // An Init begins with its life and lies over it.
    lane.sort_by_key(|facts| (facts.begin, facts.kind));
    let most = lane.iter().map(|facts| facts.bytes).max().unwrap_or_default();
    let place = |facts: Facts| {
        let width = (scale.x(facts.end) - scale.x(facts.begin)).max(WIDTH_MIN);
        let x = scale.x(facts.begin).min(PLOT_WIDTH - WIDTH_MIN);
        Mark { x, width: width.min(PLOT_WIDTH - x), height: height(&facts, most), facts }
    };
    lane.into_iter().map(place).collect()
}

/// Sizes differ by orders of magnitude: heights grow with the square root, as the numbers at the curve tell.
fn height(facts: &Facts, most: u64) -> f64 {
    let share = if most == 0 { 0.0 } else { facts.bytes as f64 / most as f64 };
    match facts.kind {
        Kind::Append | Kind::AppendLost => share.sqrt().max(HEIGHT_MIN),
        Kind::Spool => share.sqrt(),
        _ => 1.0,
    }
}

fn rows() -> Vec<Row> {
    let mut y = TOP;
    let mut row = |lane| {
        let height = if lane == Lane::Spool { CURVE_HEIGHT } else { LANE_HEIGHT };
        let row = Row { lane, y, height };
        y += height + LANE_GAP;
        row
    };
    Lane::ALL.into_iter().map(&mut row).collect()
}

/// Bands come first, so that lines lie over them. Words stand behind one another, or in the next row that has room; no line goes
/// through a word.
fn with_words(mut marks: Vec<Mark>) -> Vec<Flag> {
    marks.sort_by_key(|mark| mark.facts.kind != Kind::Outage);
    let mut taken: [Vec<(f64, f64)>; FLAG_ROWS] = Default::default();
    let mut lines: Vec<(usize, f64)> = Vec::new();
    let mut flag = |mark: Mark| {
        let word = word(&mark.facts);
        let width: f64 = word.chars().map(|it| if it.is_uppercase() { CAPITAL_WIDTH } else { CHARACTER_WIDTH }).sum();
        let word_end = (mark.x + WORD_GAP + width > PLOT_WIDTH).then_some(mark.x - WORD_GAP);
        let left = word_end.map_or(mark.x + WORD_GAP, |end| end - width);
        let is_free = |row: &[(f64, f64)]| row.iter().all(|&(begin, end)| left + width < begin || end < left);
        let crosses = |row: &Vec<(f64, f64)>| row.iter().any(|&(begin, end)| (begin..=end).contains(&mark.x));
        let is_crossed = |row: usize| lines.iter().any(|&(above, x)| above < row && (left..=left + width).contains(&x));
        let has_room = |&row: &usize| is_free(&taken[row]) && !is_crossed(row) && !taken[row + 1..].iter().any(crosses);
        let row = (0..FLAG_ROWS).find(has_room);
        if let Some(row) = row {
            taken[row].push((left, left + width));
            if mark.facts.kind != Kind::Outage {
                lines.push((row, mark.x));
            }
        }
        // A line without a word begins below all words.
        let base = 11.0 + row.unwrap_or(FLAG_ROWS) as f64 * FLAG_ROW_HEIGHT;
        Flag { mark, word: if row.is_some() { word } else { String::new() }, word_at: (left, base), word_end }
    };
    marks.into_iter().map(&mut flag).collect()
}

fn word(facts: &Facts) -> String {
    let name = match facts.kind {
        Kind::Outage => "S3 down",
        kind => kind.name(),
    };
    if facts.count == 1 { name.to_owned() } else { format!("{} × {name}", facts.count) }
}

/// Round numbers, at most ten and a zero.
fn ticks(length: Duration, scale: &Scale) -> Vec<Tick> {
    let step = step(length.as_micros());
    let at = |number: u64| Duration::from_micros(step.saturating_mul(number));
    let tick = |at: Duration| Tick { x: scale.x(at), label: label(at) };
    (0..).map(at).take_while(|at| *at <= length).map(tick).collect()
}

/// 1, 2 or 5 times a power of ten.
fn step(length_us: u128) -> u64 {
    let powers = (3..19).map(|power| 10_u64.pow(power));
    let mut steps = powers.flat_map(|power| [power, 2 * power, 5 * power]);
    steps.find(|step| length_us / u128::from(*step) <= TICKS_MAX).unwrap_or(u64::MAX)
}

fn label(at: Duration) -> String {
    match (at.as_secs(), at.subsec_millis()) {
        (0, 0) => "0".to_owned(),
        (0, ms) => format!("{ms} ms"),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, ms) => format!("{seconds}.{} s", format!("{ms:03}").trim_end_matches('0')),
    }
}
