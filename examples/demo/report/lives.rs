//! The objects, life by life. One life of the extension's process is one spool; the numbers of its lines have no hole, and an
//! object with `-end` in its name closes them.

use sandbox::oracle::SpoolSummary;

use super::object::Object;
use super::text::{bytes, count, counted, ratio};

/// Rows shown of all lives together, give or take.
const ROWS_MAX: usize = 15;
/// Rows shown of one life at least, however many lives there are.
const ROWS_OF_LIFE_MIN: usize = 3;
/// Lives shown: a function of your own that crashes again and again has many.
const LIVES_MAX: usize = 4;
/// Between two columns.
const GAP: &str = "  ";
const INDENT: usize = 2;

/// One life and its objects.
#[derive(Debug, Clone)]
pub struct Life {
    summary: SpoolSummary,
    objects: Vec<Object>,
}

impl Life {
    /// Sorts objects into lives; both come sorted by name, which is by time.
    pub fn all(spools: &[SpoolSummary], objects: &[Object]) -> Vec<Self> {
        let of_life = |id: &str| objects.iter().filter(|object| object.life() == id).cloned().collect();
        spools.iter().map(|spool| Self { summary: spool.clone(), objects: of_life(&spool.id) }).collect()
    }

    fn title(&self, number: usize) -> String {
        let lines = match self.summary.numbers {
            0 => "no lines".to_owned(),
            numbers => format!("lines 0..={}", numbers - 1),
        };
        let end = if self.summary.ended { "ended" } else { "NO END" };
        format!("life {number}: {}, {lines}, {end}", self.summary.id)
    }
}

/// The table of all lives with a row of totals.
pub fn render(lives: &[Life], width: usize) -> String {
    let total = Cells::total(lives);
    let objects = counted(lives.iter().map(|life| life.objects.len()).sum(), "object");
    let columns = Columns::fitting(lives, &total, &objects, width);
    let share = (ROWS_MAX / lives.len().max(1)).max(ROWS_OF_LIFE_MIN);
    let mut table = columns.line("", &Cells::HEAD.map(str::to_owned));
    let shown = elided(lives, LIVES_MAX);
    for (index, life) in shown.head() {
        columns.life(&mut table, index, life, share);
    }
    if shown.hidden > 0 {
        table += &format!("… and {}\n", counted(shown.hidden, "more life").replace("lifes", "lives"));
    }
    for (index, life) in shown.tail() {
        columns.life(&mut table, index, life, share);
    }
    table + &columns.line(&objects, &total.0)
}

/// The cells of a row behind its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cells([String; 5]);

impl Cells {
    const HEAD: [&str; 5] = ["lines", "raw", "stored", "ratio", "sealed by"];

    fn of(object: &Object) -> Self {
        Self::new(object.lines(), object.raw_bytes(), object.stored_bytes, &object.seal)
    }

    fn total(lives: &[Life]) -> Self {
        let sum = |what: fn(&Object) -> usize| lives.iter().flat_map(|life| &life.objects).map(what).sum();
        Self::new(sum(Object::lines), sum(Object::raw_bytes), sum(|object| object.stored_bytes), "")
    }

    fn new(lines: usize, raw_bytes: usize, stored_bytes: usize, seal: &str) -> Self {
        Self([count(lines), bytes(raw_bytes), bytes(stored_bytes), ratio(raw_bytes, stored_bytes), seal.to_owned()])
    }
}

/// Widths that hold for all lives, so that the eye can run down a column.
#[derive(Debug)]
struct Columns {
    name: usize,
    cells: [usize; 5],
}

impl Columns {
    fn fitting(lives: &[Life], total: &Cells, objects: &str, width: usize) -> Self {
        let mut cells = Cells::HEAD.map(str::len);
        let rows = lives.iter().flat_map(|life| &life.objects).map(Cells::of);
        for Cells(row) in rows.chain([total.clone()]) {
            for (cell, text) in cells.iter_mut().zip(&row) {
                *cell = (*cell).max(text.len());
            }
        }
        let room = width.saturating_sub(cells.iter().map(|cell| cell + GAP.len()).sum());
        let name = |object: &Object| INDENT + object.name(room.saturating_sub(INDENT)).chars().count();
        let names = lives.iter().flat_map(|life| &life.objects).map(name);
        Self { name: names.max().unwrap_or_default().max(objects.len()), cells }
    }

    fn life(&self, table: &mut String, index: usize, life: &Life, share: usize) {
        *table += &format!("{}\n", life.title(index + 1));
        let shown = elided(&life.objects, share);
        for (_, object) in shown.head() {
            *table += &self.object(object);
        }
        if shown.hidden > 0 {
            *table += &format!("{:INDENT$}… and {} more\n", "", count(shown.hidden));
        }
        for (_, object) in shown.tail() {
            *table += &self.object(object);
        }
    }

    fn object(&self, object: &Object) -> String {
        let name = format!("{:INDENT$}{}", "", object.name(self.name - INDENT));
        self.line(&name, &Cells::of(object).0)
    }

    fn line(&self, name: &str, cells: &[String; 5]) -> String {
        let mut line = format!("{name:width$}", width = self.name);
        let [numbers @ .., seal] = cells;
        for (text, width) in numbers.iter().zip(self.cells) {
            line += &format!("{GAP}{text:>width$}");
        }
        format!("{line}{GAP}{seal}").trim_end().to_owned() + "\n"
    }
}

/// The beginning and the end of a list, with their places in it.
#[derive(Debug)]
struct Elided<'a, T> {
    all: &'a [T],
    head: usize,
    hidden: usize,
}

/// Shows at most `max` items, most of them from the beginning. A single one is never hidden: saying so takes as much room.
fn elided<T>(all: &[T], max: usize) -> Elided<'_, T> {
    if all.len() <= max + 1 {
        return Elided { all, head: all.len(), hidden: 0 };
    }
    Elided { all, head: max - max.div_ceil(4), hidden: all.len() - max }
}

impl<'a, T> Elided<'a, T> {
    fn head(&self) -> impl Iterator<Item = (usize, &'a T)> {
        self.all.iter().enumerate().take(self.head)
    }

    fn tail(&self) -> impl Iterator<Item = (usize, &'a T)> {
        self.all.iter().enumerate().skip(self.head + self.hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(number: usize, objects: usize) -> Life {
        let id = format!("01M83JJT8M80A5G1MBCCH9{number:04}");
        let object = |at: usize| Object {
            key: format!("dt=2026-11-23/hour=06/{id}-{at:012}-{at:012}-adf59bc7a83fe2f1-end.ndjson.zst"),
            stored_bytes: 600 * (at + 1),
            seal: "invocation".into(),
            text: "one line\n".repeat(100 * (at + 1)),
        };
        let summary = SpoolSummary { id: id.clone(), numbers: objects as u64, ended: true };
        Life { summary, objects: (0..objects).map(object).collect() }
    }

    #[test]
    fn long_lists_show_their_beginning_and_their_end() {
        let items: Vec<_> = (0..20).collect();
        let places = |max: usize| {
            let shown = elided(&items, max);
            let head: Vec<_> = shown.head().map(|(index, _)| index).collect();
            let tail: Vec<_> = shown.tail().map(|(index, _)| index).collect();
            (head, shown.hidden, tail)
        };
        assert_eq!(places(4), (vec![0, 1, 2], 16, vec![19]));
        assert_eq!(places(7), (vec![0, 1, 2, 3, 4], 13, vec![18, 19]));
        assert_eq!(places(19), ((0..20).collect(), 0, vec![]));
    }

    #[test]
    fn the_table_fits_a_terminal_of_eighty_columns() {
        let lives = [life(1, 14), life(2, 20)];
        let table = render(&lives, 80);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains("… and 7 more") && table.contains("… and 13 more"), "{table}");
        assert!(table.lines().last().is_some_and(|total| total.starts_with("34 objects")), "{table}");
    }

    #[test]
    fn many_lives_are_few_lines() {
        let lives: Vec<_> = (0..300).map(|number| life(number, 2)).collect();
        let table = render(&lives, 100);
        assert!(table.contains("… and 296 more lives"), "{table}");
        assert!(table.lines().count() < 30, "{table}");
    }

    #[test]
    fn a_life_without_end_stands_out() {
        let mut lost = life(1, 1);
        lost.summary.ended = false;
        assert!(render(&[lost], 80).contains("lines 0..=0, NO END"));
        let nothing = render(&[], 80);
        let ends: Vec<_> = nothing.lines().filter_map(|line| line.find("  0.0x").or(line.find(" ratio"))).collect();
        assert!(ends.len() == 2 && ends[0] == ends[1], "{nothing}");
    }
}
