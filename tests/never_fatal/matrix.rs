//! Every cause in every mode, some at a time, each in a world of its own; and the table of what came of it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::causes::{Cause, Logs, ROWS, Row, Stage};
use crate::modes::Mode;
use crate::own_namespace;
use crate::world::{World, assert_whole, undisturbed};

/// Most cells wait for the platform most of the time.
const AT_A_TIME: usize = 4;

/// What came of a cell.
pub enum Cell {
    /// The function noticed nothing, and this was said.
    Undisturbed(Vec<String>),
    /// It was not tried, for this reason.
    Pointless(String),
    /// What was promised and did not come true.
    Failed(String),
}

/// By row and column.
pub type Table = BTreeMap<(usize, usize), Cell>;

/// Tries all of them.
pub fn run() -> Table {
    let unshare = own_namespace::unshare();
    let all = (0..ROWS.len()).flat_map(|row| (0..Mode::ALL.len()).map(move |column| (row, column)));
    let (todo, table) = (Mutex::new(all), Mutex::new(Table::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some((row, column)) = todo.lock().unwrap().next() else { return };
                    let (row_of, mode) = (&ROWS[row], Mode::ALL[column]);
                    let cell = match row_of.cause.pointless(mode, &unshare) {
                        Some(why) => Cell::Pointless(why),
                        None => try_cell(row_of, mode),
                    };
                    table.lock().unwrap().insert((row, column), cell);
                }
            });
        }
    });
    table.into_inner().unwrap()
}

fn try_cell(row: &Row, mode: Mode) -> Cell {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match catch_unwind(AssertUnwindSafe(|| runtime.block_on(story(row, mode)))) {
        Ok(said) => Cell::Undisturbed(said),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Cell::Failed(
                text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default(),
            )
        }
    }
}

/// Three invocations, an orderly end, the one line, and what became of the logs. Returns what was said.
async fn story(row: &Row, mode: Mode) -> Vec<String> {
    let mut stage = Stage { world: World::new().await, held: Vec::new(), earlier: Vec::new() };
    let sandbox = mode.sandbox(&stage.world);
    let sandbox = row.cause.arrange(&mut stage, sandbox).await.start().await.unwrap_or_else(|error| panic!("{error}"));
    undisturbed(&sandbox).await;
    let output = sandbox.extension_output();
    assert_said(&output, row, mode);

    row.cause.mend(&mut stage);
    let mut ledgers = stage.earlier;
    ledgers.push(sandbox.ledger());
    ledgers.extend(stage.world.heal().await);
    let verdict = stage.world.verdict(&ledgers);
    match row.logs {
        _ if mode == Mode::Emulator => verdict.holds().unwrap(),
        Logs::Arrive => assert_whole(&verdict),
        Logs::AreCounted => {
            verdict.holds().unwrap();
            assert!(verdict.delivered + verdict.declared > 0, "{verdict}");
        }
        Logs::AreNotCollected => assert_eq!(stage.world.puts(), 0),
    }
    output
}

/// Each line is one that is expected, and the one is said once.
fn assert_said(output: &[String], row: &Row, mode: Mode) {
    let own = mode.own_line().filter(|_| row.cause.gets_an_answer_to_its_subscription());
    for expected in row.said.iter().chain(&own) {
        let times = output.iter().filter(|line| line.contains(expected)).count();
        assert_eq!(times, 1, "{expected:?} must be said once, in {output:#?}");
    }
    let known: Vec<_> = row.said.iter().chain(row.also).chain(&own).collect();
    let unknown: Vec<_> = output.iter().filter(|line| !known.iter().any(|part| line.contains(**part))).collect();
    assert!(unknown.is_empty(), "nobody expects {unknown:#?}");
    if let Some(at) = output.iter().position(|line| line.contains("Uploads work again.")) {
        let is_told = output[..at].iter().any(|line| line.contains("An upload failed"));
        assert!(is_told, "an all-clear without a failure before it, in {output:#?}");
    }
}

#[test]
#[should_panic(expected = "an all-clear without a failure before it")]
fn an_all_clear_says_what_it_is_of() {
    let short = ROWS.iter().find(|row| row.cause == Cause::Descriptors16).unwrap();
    assert_said(&["logspool WARN Uploads work again.".to_owned()], short, Mode::OnDemand);
}

/// Prints the table: a word a cell, and below each row what was said.
pub fn print(table: &Table) {
    let width = ROWS.iter().map(|row| row.name.len()).max().unwrap_or(0);
    print!("{:width$}", "");
    Mode::ALL.iter().for_each(|mode| print!("  {:24}", mode.name()));
    println!();
    for (index, row) in ROWS.iter().enumerate() {
        print!("{:width$}", row.name);
        let cells: Vec<_> = (0..Mode::ALL.len()).map(|column| &table[&(index, column)]).collect();
        for cell in &cells {
            let word = match cell {
                Cell::Undisturbed(_) => "undisturbed",
                Cell::Pointless(_) => "-",
                Cell::Failed(_) => "FAILED",
            };
            print!("  {word:24}");
        }
        println!();
        let mut told = Vec::new();
        for (mode, cell) in Mode::ALL.iter().zip(&cells) {
            let lines = match cell {
                Cell::Undisturbed(said) => said.clone(),
                Cell::Pointless(why) => vec![format!("- {why}")],
                Cell::Failed(why) => vec![format!("FAILED {}: {why}", mode.name())],
            };
            for line in lines {
                let words = words(&line);
                if !told.contains(&words) {
                    println!("    {line}");
                    told.push(words);
                }
            }
        }
    }
}

/// What does not differ from life to life: no fields, no numbers, no paths.
fn words(line: &str) -> String {
    let words = line.split(' ').filter(|word| !word.contains(['=', '/', ':']) && !word.contains(char::is_numeric));
    words.collect::<Vec<_>>().join(" ")
}
