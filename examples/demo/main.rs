//! The whole life of a function's logs, to look at.
//!
//! ```sh
//! cargo run --release --example demo -- --outage --kill
//! ```
//!
//! * Everything is real but the cloud: the extension's own program, a function on the official runtime, SIGKILL. Lambda
//!   and S3 are played by the crate `sandbox`, on loopback.
//! * It judges by what lies in the bucket, read with decoders that are not the product's, and ends with 0 only if every
//!   acknowledged line is there exactly once.
//! * It needs a Rust toolchain and a C compiler, and leaves nothing behind but what `--keep` asks for.

mod arguments;
mod cargo;
mod drawn;
mod picture;
#[cfg(test)]
mod picture_tests;
mod plan;
mod progress;
mod report;
mod run;
mod samples;
mod session;
mod stage;
mod stop;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use arguments::{Arguments, Asked, USAGE};
use picture::Picture;
use report::Report;
use run::Run;

/// As the shell has it for a program that was interrupted.
const INTERRUPTED: u8 = 130;
/// The words on the command line make no sense.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    match Arguments::read(lexopt::Parser::from_env()) {
        Ok(Asked::Run(arguments)) => demonstrate(&arguments),
        Ok(Asked::Help) => print(USAGE).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("demo: {error}\nTry --help.");
            ExitCode::from(MISUSED)
        }
    }
}

fn demonstrate(arguments: &Arguments) -> ExitCode {
    let extension = match cargo::build_extension() {
        Ok(extension) => extension,
        Err(error) => return fail(&error),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let report = match runtime.block_on(run::run(arguments, &extension, stop::asked())) {
        Ok(Run::Finished(session)) => Report::new(arguments, *session),
        Ok(Run::Interrupted(seen)) => {
            eprintln!("demo: interrupted; everything it started is gone.");
            let picture = seen.map(|seen| report::interrupted(&seen));
            return draw(arguments, picture.as_ref())
                .map_or_else(|error| fail(&error), |()| ExitCode::from(INTERRUPTED));
        }
        Err(error) => return fail(&error),
    };
    let shown = print(&report.render(report::width()));
    match shown.and_then(|()| draw(arguments, report.picture())) {
        Ok(()) if report.is_clean() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

/// Writes the picture where it is asked for, if there is something to draw.
fn draw(arguments: &Arguments, picture: Option<&Picture>) -> io::Result<()> {
    let (Some(path), Some(picture)) = (&arguments.report, picture) else { return Ok(()) };
    drawn::write(path, picture)?;
    eprintln!("A picture of the run is in {}.", path.display());
    Ok(())
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("demo: {error}");
    ExitCode::FAILURE
}

/// Writes to stdout. A reader that has gone away, such as `head`, has seen what it wanted.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
