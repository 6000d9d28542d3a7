//! What `deploy/` gives to people who read the objects: every recipe is run as it is shipped, over real output, and must see
//! what the sandbox's decoders see. `tests/readers/prepare` makes the readers ready; what is not ready is skipped and says so.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

#[path = "readers/expected.rs"]
mod expected;
#[path = "readers/output.rs"]
mod output;

use std::path::{Path, PathBuf};
use std::process::Command;

use expected::{Overview, compare};
use output::{Kind, Output, REQUEST};
use prepared::{prepared, say_skipped};

/// A shipped recipe, and what it needs.
struct Recipe {
    file: &'static str,
    needs: &'static str,
    script: &'static str,
}

const RECIPES: [Recipe; 4] = [
    Recipe { file: "with_duckdb.py", needs: "readers", script: "tests/readers/prepare" },
    Recipe { file: "with_pandas.py", needs: "readers", script: "tests/readers/prepare" },
    Recipe { file: "with_polars.py", needs: "readers", script: "tests/readers/prepare" },
    Recipe { file: "with_spark.py", needs: "spark", script: "tests/readers/prepare spark" },
];

impl Recipe {
    fn run(&self, tools: &Path, directory: &Path) -> Result<Overview, String> {
        let recipe = shipped("readers").join(self.file);
        let mut command = Command::new(tools.join("bin/python3"));
        command.arg(recipe).arg(directory).arg(REQUEST);
        // Spark would otherwise look for a name of this machine.
        let output = command.env("SPARK_LOCAL_IP", "127.0.0.1").current_dir(tools).output().unwrap();
        let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(format!("{}: {errors}", output.status));
        }
        serde_json::from_str(&said).map_err(|error| format!("{error} in {said:.200}\n{errors}"))
    }
}

fn shipped(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder)
}

async fn every_recipe_reads(kind: Kind) {
    let output = Output::new(kind).await;
    println!("{kind:?}: {} lines", output.lines.len());
    for recipe in RECIPES {
        let tools = match prepared(recipe.needs, recipe.script) {
            Ok(tools) => tools,
            Err(why) => {
                say_skipped(&format!("{}: {why}", recipe.file));
                continue;
            }
        };
        let printed = recipe.run(&tools, output.directory.path());
        let differs = printed.and_then(|printed| compare(&printed, &output.lines));
        if let Err(why) = differs {
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
