//! The extension process.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use logspool::app::{self, Exit};
use logspool::config::{Config, Env};
use logspool::{logging, supervision, tools};

fn main() -> ExitCode {
    // The platform starts an extension without an argument; whoever gives one is a person.
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !arguments.is_empty() {
        return tools::run(&arguments).into();
    }
    supervision::watch_panics();
    let (config, errors) = Config::read(&Env::read());
    logging::set_level(config.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(app::run(config, errors, &executable_name()));
            // A file system that hangs must not keep the process: what it holds is delivered by the next life.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            logspool::warn!("error={error:?} There is no async runtime to be had; no logs are collected.");
            loop {
                std::thread::park();
            }
        }
    };
    match exit {
        Exit::Ok => ExitCode::SUCCESS,
        Exit::BadSettings => ExitCode::FAILURE,
    }
}

/// An extension must register under the name of its file.
fn executable_name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "logspool".into())
}
