//! What was counted, as values and as tables.

use indicatif::HumanCount;

/// How a figure reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Count,
}

/// One line of the table: ours beside the two empty extensions'. What could not be counted here is `None`.
#[derive(Debug, Clone)]
pub struct Figure {
    pub name: &'static str,
    pub unit: Unit,
    pub ours: Option<u64>,
    /// The one that is written with AWS's crate.
    pub empty: Option<u64>,
    /// The one that is written by hand, with nothing to spare.
    pub least: Option<u64>,
    /// What is promised: of ours in bytes, of counts as a ratio.
    pub at_most: Option<f64>,
}

impl Figure {
    pub fn new(name: &'static str, unit: Unit, [ours, empty, least]: [Option<u64>; 3]) -> Self {
        Self { name, unit, ours, empty, least, at_most: None }
    }

    /// With a promise.
    pub fn at_most(self, at_most: f64) -> Self {
        Self { at_most: Some(at_most), ..self }
    }

    /// Ours by the empty one's.
    #[expect(clippy::cast_precision_loss, reason = "a number to read")]
    pub fn ratio(&self) -> Option<f64> {
        Some(self.ours? as f64 / self.empty.filter(|&empty| empty > 0)? as f64)
    }

    /// What the promise is about.
    #[expect(clippy::cast_precision_loss, reason = "a number to read")]
    fn promised(&self) -> Option<f64> {
        match self.unit {
            Unit::Bytes => self.ours.map(|ours| ours as f64),
            Unit::Count => self.ratio(),
        }
    }

    /// Whether the promise is kept; `None` if there is none, or nothing was counted.
    pub fn is_kept(&self) -> Option<bool> {
        Some(self.promised()? <= self.at_most?)
    }

    /// How a promise that is not kept is told.
    pub fn broken_promise(&self) -> String {
        match self.unit {
            Unit::Bytes => {
                format!("{}: {} are more than the {} that are promised", self.name, self.shown(self.ours), self.limit())
            }
            Unit::Count => {
                format!(
                    "{}: {:.2} times the empty one are more than the {} that are promised",
                    self.name,
                    self.ratio().unwrap_or(f64::NAN),
                    self.limit()
                )
            }
        }
    }

    fn limit(&self) -> String {
        let at_most = self.at_most.unwrap_or(f64::INFINITY);
        match self.unit {
            Unit::Bytes => format!("{:.1} MB", at_most / 1e6),
            Unit::Count => format!("{at_most:.1}"),
        }
    }

    fn shown(&self, number: Option<u64>) -> String {
        number.map_or("-".into(), |number| HumanCount(number).to_string())
    }

    fn target(&self) -> String {
        if self.at_most.is_none() {
            return String::new();
        }
        let verdict = match self.is_kept() {
            Some(true) => "ok",
            Some(false) => "MISSED",
            None => "skipped",
        };
        format!("<= {} {verdict}", self.limit())
    }
}

/// For people, or for the README.
pub fn print(figures: &[Figure], markdown: bool) {
    let rows = figures.iter().map(|figure| {
        let ratio = figure.ratio().map_or("-".into(), |ratio| format!("{ratio:.2}"));
        [
            figure.name.to_owned(),
            figure.shown(figure.ours),
            figure.shown(figure.empty),
            ratio,
            figure.shown(figure.least),
            figure.target(),
        ]
    });
    let head = ["", "ours", "empty", "ratio", "least", "to reach"].map(str::to_owned);
    if markdown {
        println!("| {} |\n|---|---:|---:|---:|---:|---|", head.join(" | "));
        rows.for_each(|row| println!("| {} |", row.join(" | ")));
        return;
    }
    println!(
        "\nempty: an extension that registers, subscribes, answers 200 and loops, written with AWS's crate lambda-extension;\n\
         least: the same by hand, with nothing to spare. All three are built the same way: static, profile dist.\n"
    );
    for [name, ours, empty, ratio, least, target] in std::iter::once(head).chain(rows) {
        println!("{name:<34} {ours:>12} {empty:>12} {ratio:>7} {least:>12}  {target}");
    }
}
