//! Builds the extension, with the cargo, the profile and the target directory that built this program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{env, fmt, io};

/// Cargo sets these for the program that it runs. Handed on to another cargo they look like changes to build scripts
/// that watch them, which would build half of the dependencies again.
const OF_CARGO_RUN: [&str; 5] =
    ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_MANIFEST_LINKS", "CARGO_CRATE_NAME", "CARGO_BIN_NAME"];
const OF_CARGO_RUN_PREFIX: &str = "CARGO_PKG_";

/// Why there is no extension.
#[derive(Debug)]
pub enum BuildError {
    /// This program does not lie where cargo puts examples.
    Place(PathBuf),
    /// Cargo could not be started, or this program's own path not be read.
    Start(io::Error),
    /// Cargo has said why.
    Failed(ExitStatus),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(path) => {
                write!(f, "{} is not where cargo puts examples; start it with cargo run", path.display())
            }
            Self::Start(error) => write!(f, "cargo could not be started: {error}"),
            Self::Failed(status) => write!(f, "the extension could not be built: {status}"),
        }
    }
}

impl std::error::Error for BuildError {}

impl From<io::Error> for BuildError {
    fn from(error: io::Error) -> Self {
        Self::Start(error)
    }
}

/// Builds the extension if need be and returns where its program lies.
///
/// # Errors
/// If cargo cannot be started or fails; it has then told why on stderr.
pub fn build_extension() -> Result<PathBuf, BuildError> {
    let executable = env::current_exe()?;
    let place = Place::of(&executable, is_target_directory).ok_or(BuildError::Place(executable))?;
    let arguments = place.build_arguments();
    eprintln!("Building the extension as this demo was built: cargo {}", Shown(&arguments));
    let status = cargo().args(arguments).args(place.target_directory_arguments()).status()?;
    if status.success() { Ok(place.artifacts.join("logspool")) } else { Err(BuildError::Failed(status)) }
}

fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with(OF_CARGO_RUN_PREFIX) || OF_CARGO_RUN.contains(&&*text) {
            cargo.env_remove(&name);
        }
    }
    cargo
}

/// Where cargo has put an example: `<target directory>[/<triple>]/<profile>/examples/<name>`.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Where the programs of the package lie.
    artifacts: PathBuf,
    profile: OsString,
    triple: Option<OsString>,
    target_directory: Option<PathBuf>,
}

impl Place {
    fn of(executable: &Path, is_target_directory: impl Fn(&Path) -> bool) -> Option<Self> {
        let examples = executable.parent()?;
        let artifacts = examples.parent().filter(|_| examples.ends_with("examples"))?;
        let above = artifacts.parent()?;
        let (target_directory, triple) = match above.parent() {
            _ if is_target_directory(above) => (Some(above), None),
            Some(further) if is_target_directory(further) => (Some(further), above.file_name()),
            _ => (None, None),
        };
        let profile = artifacts.file_name()?;
        Some(Self {
            artifacts: artifacts.to_owned(),
            profile: if profile == "debug" { "dev".into() } else { profile.to_owned() },
            triple: triple.map(ToOwned::to_owned),
            target_directory: target_directory.map(ToOwned::to_owned),
        })
    }

    /// Extension and demo in one call: both get the same features of what they share, so nothing is built twice.
    fn build_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["build".into()];
        if self.profile == "release" {
            arguments.push("--release".into());
        } else {
            arguments.extend(["--profile".into(), self.profile.clone()]);
        }
        arguments.extend(["--bin", "logspool", "--example", "demo"].map(OsString::from));
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".into(), triple.clone()]);
        }
        arguments
    }

    fn target_directory_arguments(&self) -> impl Iterator<Item = OsString> {
        let directory = self.target_directory.iter();
        directory.flat_map(|directory| ["--target-dir".into(), directory.clone().into_os_string()])
    }
}

/// Cargo marks its target directories for backup programs.
fn is_target_directory(directory: &Path) -> bool {
    directory.join("CACHEDIR.TAG").exists() || directory.join(".rustc_info.json").exists()
}

struct Shown<'a>(&'a [OsString]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|word| word.to_string_lossy()).collect();
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(executable: &str, target_directory: &str) -> Option<Place> {
        Place::of(Path::new(executable), |directory| directory == Path::new(target_directory))
    }

    #[test]
    fn the_second_call_of_cargo_is_like_the_first() {
        let cases = [
            ("/t/release/examples/demo", "/t", "build --release --bin logspool --example demo"),
            ("/t/debug/examples/demo", "/t", "build --profile dev --bin logspool --example demo"),
            (
                "/t/x86_64-unknown-linux-musl/dist/examples/demo",
                "/t",
                "build --profile dist --bin logspool --example demo --target x86_64-unknown-linux-musl",
            ),
            ("/t/release/examples/demo", "/elsewhere", "build --release --bin logspool --example demo"),
        ];
        for (executable, target_directory, arguments) in cases {
            let place = place(executable, target_directory).expect(executable);
            assert_eq!(Shown(&place.build_arguments()).to_string(), arguments, "{executable}");
        }
    }

    #[test]
    fn the_extension_lies_beside_the_demo_in_any_target_directory() {
        let place = place("/else/where/release/examples/demo", "/else/where").unwrap();
        assert_eq!(place.artifacts, Path::new("/else/where/release"));
        let directory: Vec<_> = place.target_directory_arguments().collect();
        assert_eq!(directory, ["--target-dir", "/else/where"]);
    }

    #[test]
    fn a_copy_of_the_demo_knows_that_it_is_one() {
        assert_eq!(place("/usr/bin/demo", "/usr"), None);
    }
}
