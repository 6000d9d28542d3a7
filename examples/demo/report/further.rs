//! Where to go from here: the objects that were kept, and the options that were not used.

use std::path::{Path, PathBuf};

use super::text::hanging;
use crate::arguments::Arguments;

/// A run of so many invocations is a long one already.
const LONG_RUN: u32 = 200;
/// As wide as the longest option.
const OPTION_WIDTH: usize = 22;

/// What can be done next.
#[derive(Debug)]
pub struct Further {
    options: Vec<(&'static str, &'static str)>,
    kept: Option<PathBuf>,
}

impl Further {
    /// What these arguments leave to try.
    pub fn new(arguments: &Arguments) -> Self {
        Self { options: unused(arguments), kept: arguments.keep.clone() }
    }

    /// Commands to copy, so they are not wrapped.
    pub fn render(&self, width: usize) -> String {
        let mut text = self.kept.as_deref().map(read_command).unwrap_or_default();
        if !self.options.is_empty() {
            text += "Try next: cargo run --release --example demo --\n";
        }
        for (option, meaning) in &self.options {
            text += &hanging(&format!("  {option:OPTION_WIDTH$}"), meaning, width);
        }
        text
    }
}

fn read_command(directory: &Path) -> String {
    let directory = directory.display();
    format!("The objects are in {directory}. To read them:\n  zstd -dcq $(find {directory} -name '*.zst' | sort)\n")
}

fn unused(arguments: &Arguments) -> Vec<(&'static str, &'static str)> {
    let both_faults = arguments.outage && arguments.kill;
    let options = [
        (!both_faults, "--outage --kill", "S3 down for the middle third, SIGKILL in the middle of it"),
        (
            arguments.function.is_none(),
            "--function 'CMD …'",
            "your own function, such as 'python3 examples/demo/function.py'",
        ),
        (arguments.invocations < LONG_RUN, "--invocations 200", "a longer run"),
        (arguments.report.is_none(), "--report run.html", "a page with a picture of the run over time"),
        (arguments.keep.is_none(), "--keep DIR", "keep the objects and look into them"),
    ];
    let unused = options.into_iter().filter(|(is_unused, ..)| *is_unused);
    unused.map(|(_, option, meaning)| (option, meaning)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_used_is_offered() {
        let text =
            Further::new(&Arguments { kill: true, keep: Some("/kept".into()), ..Arguments::default() }).render(80);
        assert!(text.contains("--outage --kill") && text.contains("--function") && !text.contains("--keep"), "{text}");
        assert!(text.contains("find /kept -name"), "{text}");
    }

    #[test]
    fn who_has_used_everything_is_left_alone() {
        let function = Some("x".into());
        let (keep, report) = (Some("/kept".into()), Some("run.html".into()));
        let all = Arguments { invocations: 200, function, outage: true, kill: true, keep, report };
        assert!(!Further::new(&all).render(80).contains("Try next"));
    }
}
