//! `sandbox`: runs an extension and a function through one life of an environment, and prints what became of it.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use sandbox::{Function, Sandbox, ShutdownReason, Work};

const USAGE: &str = "\
usage: sandbox --extension PATH [options]

  --extension PATH    the extension's program
  --function 'CMD …'  a command that speaks the Runtime API; the built-in function by default
  --name NAME         what the function is called
  --invocations N     invocations to run (default 5)
  --request-id ID     of the first invocation; made up by default
  --work JSON         what the built-in function does in each of them: members of `Work`
  --env K=V           a variable of the extension; may be repeated
  --tmp DIR           the directory that plays /tmp
  --keep              keep /tmp and print where it is";

#[derive(Debug)]
struct Arguments {
    extension: PathBuf,
    function: Function,
    name: Option<String>,
    invocations: u32,
    request_id: Option<String>,
    work: Work,
    variables: Vec<(String, String)>,
    tmp: Option<PathBuf>,
    keep: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut extension = None;
        let (mut function, mut invocations) = (Function::built_in(), 5);
        let (mut name, mut request_id, mut work) = (None, None, Work::default());
        let (mut variables, mut tmp, mut keep) = (Vec::new(), None, false);
        while let Some(option) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{option} needs a value"));
            match option.as_str() {
                "--extension" => extension = Some(value()?.into()),
                "--function" => function = command(&value()?)?,
                "--name" => name = Some(value()?),
                "--request-id" => request_id = Some(value()?),
                "--work" => work = serde_json::from_str(&value()?).map_err(|error| format!("--work: {error}"))?,
                "--invocations" => invocations = value()?.parse().map_err(|_| "--invocations needs a number")?,
                "--env" => variables.push(variable(&value()?)?),
                "--tmp" => tmp = Some(value()?.into()),
                "--keep" => keep = true,
                other => return Err(format!("unknown option {other}")),
            }
        }
        let extension = extension.ok_or("--extension is missing")?;
        Ok(Self { extension, function, name, invocations, request_id, work, variables, tmp, keep })
    }
}

fn command(words: &str) -> Result<Function, String> {
    if words.trim().is_empty() {
        return Err("--function needs a command".to_owned());
    }
    Ok(Function::command(words.split_whitespace()))
}

fn variable(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once('=').ok_or_else(|| format!("--env {pair}: not of the form K=V"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    // An interrupted session drops its sandbox, and nothing is left behind.
    let result = tokio::select! {
        result = run(arguments) => result,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let mut builder = Sandbox::builder().extension(arguments.extension).function(arguments.function);
    if let Some(name) = arguments.name {
        builder = builder.function_name(name);
    }
    for (name, value) in arguments.variables {
        builder = builder.extension_env(name, value);
    }
    if let Some(tmp) = tmp_directory(arguments.tmp, arguments.keep)? {
        println!("/tmp is {}", tmp.display());
        builder = builder.tmp(tmp);
    }
    let sandbox = builder.start().await?;
    println!("Init took {:.1?}, the extension {:.1?}", sandbox.init_duration(), sandbox.extension_init_duration());
    let mut request_id = arguments.request_id;
    for number in 1..=arguments.invocations {
        let handle = match request_id.take() {
            Some(request_id) => sandbox.invoke_start_as(request_id, arguments.work.clone()),
            None => sandbox.invoke_start(arguments.work.clone()),
        };
        let invocation = handle.finished().await;
        let result = match &invocation.result {
            Ok(response) => format!("{} bytes", response.body.len()),
            Err(error) => error.to_string(),
        };
        println!(
            "invocation {number}: {result}; {:.1?}, then held for {:.1?}",
            invocation.duration, invocation.extension_held
        );
    }
    let shutdown = sandbox.shutdown(ShutdownReason::Spindown).await;
    println!("shutdown took {:.1?}: {shutdown:?}", shutdown.took);
    for line in sandbox.extension_output() {
        println!("extension: {line}");
    }
    println!("{}; peak memory {} KiB", sandbox.ledger(), sandbox.peak_rss_kib());
    Ok(())
}

/// A kept directory is one of our own that nobody removes, unless one is named.
fn tmp_directory(named: Option<PathBuf>, keep: bool) -> std::io::Result<Option<PathBuf>> {
    match named {
        None if keep => Ok(Some(tempfile::Builder::new().prefix("sandbox-").tempdir()?.keep())),
        named => Ok(named),
    }
}
