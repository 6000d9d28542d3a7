//! What the figures were when they were last agreed on, in `budgets.json`: by how much ours exceeds the empty extension. They may
//! not grow by more than 5 %.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::figures::{Figure, Unit};

/// Growth that a change may have without being asked about.
const GROWTH_MAX: f64 = 1.05;

pub struct Budgets(BTreeMap<String, f64>);

impl Budgets {
    pub fn read() -> Self {
        fs::read(path()).map_or_else(|_| Self(BTreeMap::new()), |text| Self::parse(&text))
    }

    pub fn parse(text: &[u8]) -> Self {
        Self(serde_json::from_slice(text).expect("budgets.json holds numbers by name"))
    }

    /// What has grown too much, what has no budget, and promises that are not kept.
    pub fn exceeded_by(&self, figures: &[Figure]) -> Vec<String> {
        figures.iter().filter_map(|figure| self.complaint(figure)).collect()
    }

    fn complaint(&self, figure: &Figure) -> Option<String> {
        let measured = measured(figure)?;
        if figure.is_kept() == Some(false) {
            return Some(figure.broken_promise());
        }
        let Some(&budget) = self.0.get(&key(figure)) else {
            return Some(format!("{}: has no budget; LOGSPOOL_BENCH_BLESS=1 writes one", figure.name));
        };
        let limit = budget * GROWTH_MAX;
        (measured > limit).then(|| {
            let name = figure.name;
            format!("{name}: {measured:.3} times the empty one, {budget:.3} were agreed on and {limit:.3} are allowed")
        })
    }
}

/// Writes what was counted; what was not counted keeps its budget.
pub fn write(figures: &[Figure]) {
    let mut all = Budgets::read().0;
    let counted = figures.iter().filter_map(|figure| Some((key(figure), (measured(figure)? * 1e3).round() / 1e3)));
    all.extend(counted);
    let text = serde_json::to_string_pretty(&all).expect("numbers by name") + "\n";
    fs::write(path(), text).expect("budgets.json can be written");
}

fn measured(figure: &Figure) -> Option<f64> {
    figure.ratio()
}

fn key(figure: &Figure) -> String {
    let unit = if figure.unit == Unit::Bytes { "_bytes" } else { "" };
    figure.name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_") + unit
}

fn path() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/benches/footprint/budgets.json").into()
}
