//! What `deploy/` gives to people who read the objects: every recipe is run as it is shipped, over real output, and must
//! see what the sandbox's decoders see. `tests/readers/prepare` makes the readers ready; what is not ready is skipped and
//! says so.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

#[path = "readers/athena.rs"]
mod athena;
#[path = "readers/expected.rs"]
mod expected;
#[path = "readers/output.rs"]
mod output;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use athena::Athena;
use expected::{Overview, compare};
use output::{Kind, Output, REQUEST};
use prepared::{prepared, say_skipped};
use serde_json::{Value, json};

/// A shipped recipe, and what it needs.
struct Recipe {
    file: &'static str,
    needs: &'static str,
    script: &'static str,
    kinds: &'static [Kind],
}

const SMALL_SPARK: &str = "--master local[1] --conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=1 \
                           --driver-java-options -XX:TieredStopAtLevel=1 pyspark-shell";

const RECIPES: [Recipe; 4] = [
    Recipe { file: "with_duckdb.py", needs: "readers", script: "tests/readers/prepare", kinds: &Kind::ALL },
    Recipe { file: "with_pandas.py", needs: "readers", script: "tests/readers/prepare", kinds: &Kind::ALL },
    Recipe { file: "with_polars.py", needs: "readers", script: "tests/readers/prepare", kinds: &Kind::ALL },
    // It takes long to start.
    Recipe {
        file: "with_spark.py",
        needs: "spark",
        script: "tests/readers/prepare spark",
        kinds: &[Kind::ZstdFrames, Kind::Gzip],
    },
];

impl Recipe {
    /// The tools that it needs; that there are none is said.
    fn tools(&self) -> Option<PathBuf> {
        let tools = prepared(self.needs, self.script);
        tools.map_err(|why| say_skipped(&format!("{}: {why}", self.file))).ok()
    }

    fn run(&self, tools: &Path, directory: &Path) -> Result<Overview, String> {
        let recipe = shipped("readers").join(self.file);
        let mut command = Command::new(tools.join("bin/python3"));
        command.arg(recipe).arg(directory).arg(REQUEST);
        // Spark would otherwise look for a name of this machine.
        // A small Spark: most of what it does here is to start. It would otherwise look for a name of this machine.
        command.env("SPARK_LOCAL_IP", "127.0.0.1").env("PYSPARK_SUBMIT_ARGS", SMALL_SPARK).current_dir(tools);
        let said = said(&mut command)?;
        serde_json::from_str(&said).map_err(|error| format!("{error} in {said:.200}"))
    }
}

/// What a command prints.
///
/// # Errors
/// What it complains about when it fails.
fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8(output.stdout).unwrap())
}

fn shipped(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder)
}

async fn every_recipe_reads(kind: Kind) {
    let output = Output::new(kind).await;
    println!("{kind:?}: {} lines", output.lines.len());
    for recipe in RECIPES.iter().filter(|recipe| recipe.kinds.contains(&kind)) {
        let Some(tools) = recipe.tools() else { continue };
        let printed = recipe.run(&tools, output.directory.path());
        if let Err(why) = printed.and_then(|printed| compare(&printed, &output.lines)) {
            panic!("{}, {kind:?}: {why}", recipe.file);
        }
    }
}

#[tokio::test]
async fn every_recipe_reads_zstd() {
    every_recipe_reads(Kind::Zstd).await;
}

#[tokio::test]
async fn every_recipe_reads_zstd_in_many_frames() {
    every_recipe_reads(Kind::ZstdFrames).await;
}

#[tokio::test]
async fn every_recipe_reads_gzip() {
    every_recipe_reads(Kind::Gzip).await;
}

/// One recipe is enough: it is the comparison that must notice, and each recipe is held against the same one.
#[tokio::test]
async fn a_changed_number_a_missing_object_and_a_foreign_line_are_noticed() {
    let Some(tools) = RECIPES[0].tools() else { return };
    let mut output = Output::new(Kind::Zstd).await;
    let told = |output: &Output| {
        let printed = RECIPES[0].run(&tools, output.directory.path()).unwrap();
        compare(&printed, &output.lines).map_err(|why| why.split(':').next().unwrap().to_owned())
    };
    output.unpack();
    assert_eq!(told(&output), Ok(()), "what is not compressed is read, too");
    output.replace("693.92", "693.93");
    assert_eq!(told(&output), Err("milliseconds".to_owned()));
    output.replace("693.93", "693.92");
    output.replace("größer", "kleiner");
    assert!(told(&output).unwrap_err().starts_with("line "));
    output.replace("kleiner", "größer");
    let foreign = output.lines.pop().unwrap();
    assert_eq!(told(&output), Err("lines".to_owned()));
    output.lines.push(foreign);
    std::fs::remove_file(output.files().find(|path| path.extension().unwrap() == "dropped").unwrap()).unwrap();
    assert_eq!(told(&output), Err("lines".to_owned()));
}

/// The command that stands at the head of the recipe, word for word but for the directory.
#[tokio::test]
async fn the_recipe_for_duckdb_finds_one_request_as_it_says() {
    let Some(tools) = RECIPES[0].tools() else { return };
    let output = Output::new(Kind::Zstd).await;
    let recipe = std::fs::read_to_string(shipped("readers").join("with_duckdb.sql")).unwrap();
    let command = recipe.lines().find_map(|line| line.strip_prefix("--     ")).unwrap();
    let place = format!("logs('{}')", output.directory.path().display());
    let command = command.replace("duckdb ", "duckdb -json ").replace("logs('logs')", &place);
    let path = format!("{}:{}", tools.join("bin").display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).env("PATH", path).current_dir(shipped("readers"));
    let rows: Vec<Value> = serde_json::from_str(&said(&mut shell).unwrap()).unwrap();
    let expected = athena::expected(&output.lines);
    assert_eq!(rows.len(), expected["one_request"].len(), "{command}");
    assert!(rows.iter().all(|row| row["function"] == "orders" && row["requestId"] == REQUEST), "{command}");
}

#[tokio::test]
async fn athenas_table_has_the_members_of_lines_and_its_queries_mean_what_they_say() {
    let Some(tools) = RECIPES[0].tools() else { return };
    let mut output = Output::new(Kind::Zstd).await;
    output.add_what_is_rare();
    let athena = ask_athena(&tools, &output);

    let members: BTreeSet<_> = output.lines.iter().flat_map(|line| line.members.keys().cloned()).collect();
    let mut columns = athena.members.clone();
    assert!(columns.insert("function".to_owned()), "a member that is the partition");
    assert_eq!(columns, members);
    assert_eq!(athena.partitions, ["function", "dt", "hour"].map(str::to_owned).into());
    for line in &output.lines {
        assert_eq!(looked_into(&athena, line), output::folder(&line.key));
    }

    let expected = athena::expected(&output.lines);
    assert_eq!(athena.answers.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, rows) in &expected {
        assert!(!rows.is_empty(), "{name} has nothing to show");
        let answers = &athena.answers[name];
        let differs = answers.iter().zip(rows).find(|(answer, row)| !athena::same(answer, row));
        assert!(differs.is_none() && answers.len() == rows.len(), "{name}: {differs:#?} of {} rows", rows.len());
    }
}

/// The folder that Athena looks into for a line, by the properties of the table.
fn looked_into(athena: &Athena, line: &output::Line) -> String {
    let property = |name: &str| athena.properties[name].as_str();
    let digits: usize = property("projection.hour.digits").parse().unwrap();
    let hour: usize = line.hour.parse().unwrap();
    assert_eq!((property("projection.dt.format"), line.dt.len()), ("yyyy-MM-dd", 10));
    let template = property("storage.location.template").strip_prefix(property("LOCATION")).unwrap();
    let template = template.replace("${function}", &line.function).replace("${dt}", &line.dt);
    let template = template.replace("${hour}", &format!("{hour:0digits$}"));
    format!("it/{}", template.strip_suffix('/').unwrap())
}

fn ask_athena(tools: &Path, output: &Output) -> Athena {
    let days = || output.lines.iter().map(|line| line.dt.as_str());
    let (first, last) = (days().min().unwrap(), days().max().unwrap());
    // The days of the examples become those of the output.
    let replaced = json!({
        "dt = '2026-11-23'": "dt BETWEEN '2026-11-23' AND '2026-11-24'",
        "'2026-11-23'": format!("'{first}'"),
        "'2026-11-24'": format!("'{last}'"),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/athena.py");
    let mut command = Command::new(tools.join("bin/python3"));
    command.arg(script).arg(shipped("athena")).arg(output.directory.path());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is ready");
    write!(child.stdin.take().unwrap(), "{replaced}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
