//! What the recipes must print, computed from the lines as the sandbox's decoders see them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::output::{Line, REQUEST};

/// What a recipe prints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Overview {
    pub columns: BTreeSet<String>,
    pub lines: usize,
    pub types: BTreeMap<String, usize>,
    pub seq: u64,
    pub requests: usize,
    pub duration_ms: f64,
    /// The records of one request, in their order: texts as they are, others as JSON.
    pub request: Vec<Option<String>>,
}

/// # Errors
/// Where the recipe and the lines differ.
pub fn compare(printed: &Overview, lines: &[Line]) -> Result<(), String> {
    let mut types: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        *types.entry(line.kind().to_owned()).or_default() += 1;
    }
    let seq = lines.iter().map(Line::seq).sum::<u64>();
    let requests = lines.iter().filter_map(|line| line.text("requestId")).collect::<BTreeSet<_>>().len();
    let reports = lines.iter().filter(|line| line.kind() == "platform.report");
    let duration_ms: f64 = reports.map(|line| line.recorded("/metrics/durationMs").unwrap().as_f64().unwrap()).sum();
    let mut columns: BTreeSet<_> = lines.iter().flat_map(|line| line.members.keys().cloned()).collect();
    columns.extend(["function", "dt", "hour", "spool"].map(str::to_owned));
    same("columns", &printed.columns, &columns)?;
    same("lines", &printed.lines, &lines.len())?;
    same("types", &printed.types, &types)?;
    same("sum of seq", &printed.seq, &seq)?;
    same("requests", &printed.requests, &requests)?;
    // Floating point numbers are added in any order; the platform tells microseconds.
    same("milliseconds", &format!("{:.3}", printed.duration_ms), &format!("{duration_ms:.3}"))?;

    let mut mine: Vec<_> = lines.iter().filter(|line| line.text("requestId") == Some(REQUEST)).collect();
    mine.sort_by_key(|line| (line.text("time"), line.seq()));
    same("lines of the request", &printed.request.len(), &mine.len())?;
    for (printed, line) in printed.request.iter().zip(mine) {
        let record = ["message", "record", "value"].iter().find_map(|member| line.members.get(*member)).unwrap();
        same(&format!("line {}", line.seq()), &read(printed.as_deref(), record)?, record)?;
    }
    Ok(())
}

/// What was printed as the value that it stands for. `null` is no value for most readers.
fn read(printed: Option<&str>, record: &Value) -> Result<Value, String> {
    match (printed, record) {
        (None, _) => Ok(Value::Null),
        (Some(text), Value::String(_)) => Ok(text.into()),
        (Some(text), _) => serde_json::from_str(text).map_err(|error| format!("{text:.80} is no JSON: {error}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, printed: &T, told: &T) -> Result<(), String> {
    if printed == told {
        return Ok(());
    }
    Err(format!("{what}: {:.900} instead of {:.900}", format!("{printed:?}"), format!("{told:?}")))
}
