//! The linters of others, each with all that it finds as its error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// What a command prints.
///
/// # Errors
/// All that it has printed, when it fails.
pub fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    if !output.status.success() {
        return Err(format!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(said)
}

pub fn cfn_lint(lint: &Path, template: &Path, ignored: &[&str]) -> Result<(), String> {
    let mut command = Command::new(lint.join("bin/cfn-lint"));
    command.args(["--regions", "eu-central-1"]);
    command.args(ignored.iter().flat_map(|check| ["--ignore-checks", check])).arg("--").arg(template);
    said(&mut command).map(drop).map_err(|found| format!("{}: {found}", template.display()))
}

pub fn terraform_in(directory: &Path) -> Command {
    let mut command = Command::new("terraform");
    command.current_dir(directory).env("CHECKPOINT_DISABLE", "1");
    command
}

pub fn formatted(directory: &Path) -> Result<(), String> {
    said(terraform_in(directory).args(["fmt", "-check", "-recursive", "-diff", "-no-color"])).map(drop)
}

/// Each module, in the copy that `prepare` has initialised.
pub fn valid(copy: &Path, modules: &Path) -> Result<(), String> {
    for module in fs::read_dir(modules).unwrap().map(|module| module.unwrap().path()) {
        for file in fs::read_dir(&module).unwrap().map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
            fs::copy(&file, copy.join(module.file_name().unwrap()).join(file.file_name().unwrap())).unwrap();
        }
    }
    // It calls the two others, so they are validated with it.
    said(terraform_in(&copy.join("example")).args(["validate", "-no-color"])).map(drop)
}

/// The example of CDK, compiled.
pub struct Built(TempDir);

impl Built {
    /// # Errors
    /// What the type checker finds.
    pub fn new(cdk: &Path) -> Result<Self, String> {
        // Below the packages, where it finds them.
        let built = Self(tempfile::tempdir_in(cdk).unwrap());
        let sources = super::shipped("cdk");
        fs::copy(sources.join("tsconfig.json"), built.0.path().join("tsconfig.json")).unwrap();
        for (folder, file) in [("bin", "app.ts"), ("lib", "logspool.ts")] {
            fs::create_dir(built.0.path().join(folder)).unwrap();
            fs::copy(sources.join(folder).join(file), built.0.path().join(folder).join(file)).unwrap();
        }
        built.compile(&[])?;
        Ok(built)
    }

    fn compile(&self, options: &[&str]) -> Result<(), String> {
        let mut command = Command::new("node");
        command.arg("../node_modules/typescript/bin/tsc").args(options).current_dir(self.0.path());
        said(&mut command).map(drop)
    }

    /// The check over changed constructs.
    pub fn check_with(&self, right: &str, wrong: &str) -> Result<(), String> {
        let file = self.0.path().join("lib/logspool.ts");
        let constructs = fs::read_to_string(&file).unwrap();
        assert!(constructs.contains(right), "{right} is there");
        fs::write(&file, constructs.replace(right, wrong)).unwrap();
        self.compile(&["--noEmit"])
    }

    /// The template that it makes.
    ///
    /// # Errors
    /// What it complains about.
    pub fn template(&self, context: &Value) -> Result<PathBuf, String> {
        let made = self.0.path().join("made");
        let mut command = Command::new("node");
        command.arg("built/bin/app.js").current_dir(self.0.path());
        said(command.env("CDK_CONTEXT_JSON", context.to_string()).env("CDK_OUTDIR", &made))?;
        Ok(made.join("Shop.template.json"))
    }
}
