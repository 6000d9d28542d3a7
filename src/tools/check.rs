//! Whether a spool directory can be believed.

use std::io::Write;
use std::path::Path;

use spool::{Finding, Inspection, Liveness};

use super::{Failure, Outcome, ls};

/// A living spool changes under our eyes: what is really wrong with it is so at every look.
const LOOKS_MAX: usize = 3;

pub(super) fn run(dir: &Path, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let mut checked = look(dir)?;
    for _ in 1..LOOKS_MAX {
        if !checked.iter().any(|(spool, findings)| spool.liveness == Liveness::Alive && !findings.is_empty()) {
            break;
        }
        checked = look(dir)?;
    }
    if checked.is_empty() {
        writeln!(out, "no spools")?;
    }
    let mut outcome = Outcome::Clean;
    for (spool, findings) in &checked {
        let verdict = if findings.is_empty() { "ok" } else { "DAMAGED" };
        writeln!(out, "{}: {verdict}", ls::title(spool))?;
        for finding in findings {
            outcome = Outcome::Findings;
            writeln!(out, "  {finding}")?;
        }
    }
    Ok(outcome)
}

fn look(dir: &Path) -> Result<Vec<(Inspection, Vec<Finding>)>, Failure> {
    let spools = spool::inspect(dir)?;
    Ok(spools.into_iter().map(|spool| (spool.verify(), spool)).map(|(findings, spool)| (spool, findings)).collect())
}
