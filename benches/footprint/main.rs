//! What having the extension costs before it has done anything, beside empty ones that are built the same way:
//! `cargo bench --bench footprint`. Prints a table; needs no network and leaves nothing. Builds the layer first, some minutes
//! when it is not built yet.
//!
//! * Counts (instructions, system calls, files, relocations, threads, bytes) are the same on every machine of a kind; it fails
//!   when one has grown by more than 5 % over `budgets.json`, or misses what is promised.
//! * `LOGSPOOL_BENCH_BLESS=1` writes what was counted into `budgets.json`: for a change that is worth its weight.
//! * `-- --markdown` prints the table of the README.

mod budgets;
mod built;
mod figures;
mod memory;
mod platform;
mod start;
mod trace;

use std::process::ExitCode;

use budgets::Budgets;
use built::Built;
use figures::{Figure, Unit};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let markdown = std::env::args().any(|argument| argument == "--markdown");
    let built = match built::all() {
        Ok(built) => built,
        Err(why) => {
            eprintln!("footprint: {why}");
            return ExitCode::FAILURE;
        }
    };
    let figures = measure(&built).await;
    figures::print(&figures, markdown);
    if std::env::var_os("LOGSPOOL_BENCH_BLESS").is_some() {
        budgets::write(&figures);
    }
    let over = Budgets::read().exceeded_by(&figures);
    for complaint in &over {
        println!("OVER: {complaint}");
    }
    let counted = figures.iter().filter(|figure| figure.ours.is_some()).count();
    println!("{} within budget, {} over, {} skipped", counted - over.len(), over.len(), figures.len() - counted);
    if over.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure(built: &[Built; 3]) -> Vec<Figure> {
    let mut figures = vec![
        Figure::new("zip", Unit::Bytes, built.each_ref().map(|built| Some(built.zip_bytes))).at_most(3_500_000.0),
        Figure::new("binary", Unit::Bytes, built.each_ref().map(|built| Some(built.bytes()))),
        Figure::new("relocations", Unit::Count, built.each_ref().map(start::relocations)),
    ];
    eprintln!("from exec to the first next…");
    figures.extend(start::compared(built).await);
    eprintln!("memory…");
    figures.extend(memory::compared(built).await);
    figures
}
