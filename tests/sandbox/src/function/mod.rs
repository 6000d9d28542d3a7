//! The function: any command that speaks the Runtime API, or the built-in one.

mod built_in;
mod lines;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) use built_in::run as run_built_in;
pub use built_in::{Fail, Work};

use crate::process::Program;
use crate::roles;

/// How the function's process is started.
#[derive(Debug, Clone)]
pub struct Function {
    command: Command,
    current_dir: Option<PathBuf>,
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
enum Command {
    BuiltIn,
    Command { program: PathBuf, arguments: Vec<OsString> },
}

impl Function {
    /// The function that comes with the sandbox; its payload, [`Work`], tells it what to do.
    ///
    /// The process is the running executable once more, with a variable set that the sandbox sees before `main`: it
    /// works from any test, bench or example without a further build.
    #[must_use]
    pub fn built_in() -> Self {
        Self { command: Command::BuiltIn, current_dir: None, variables: BTreeMap::new() }
    }

    /// A command, such as `["python3", "-m", "awslambdaric", "app.handler"]`.
    ///
    /// # Panics
    /// Without a program, that is with nothing at all.
    pub fn command<T: Into<OsString>>(command: impl IntoIterator<Item = T>) -> Self {
        let mut words = command.into_iter().map(Into::into);
        let program = words.next().expect("a command names its program").into();
        let command = Command::Command { program, arguments: words.collect() };
        Self { command, current_dir: None, variables: BTreeMap::new() }
    }

    /// The directory that it runs in; that of the caller by default.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// A variable of the function. It gets these and those of Lambda, and inherits `PATH` only.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.variables.clone();
        if matches!(self.command, Command::BuiltIn) {
            variables.insert(roles::ROLE.to_owned(), roles::FUNCTION.to_owned());
        }
        variables
    }

    pub(crate) fn program(&self, variables: BTreeMap<String, String>) -> Program {
        let (path, arguments) = match &self.command {
            Command::BuiltIn => (PathBuf::from(roles::PROGRAM), Vec::new()),
            Command::Command { program, arguments } => (program.clone(), arguments.clone()),
        };
        Program { path, arguments, variables, current_dir: self.current_dir.clone(), user: None }
    }
}
