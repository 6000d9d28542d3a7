//! Real functions: Python and Node.js with AWS's own runtime clients, and a bootstrap in bash. Whatever they write, in whatever
//! way, arrives once, byte for byte, in order, with the id of the invocation that wrote it.
//!
//! `tests/real_functions/prepare` makes ready what they need; what is not ready is skipped and says so.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

mod prepared;
mod world;

#[path = "real_functions/delivered.rs"]
mod delivered;
#[path = "real_functions/ready.rs"]
mod ready;

use std::path::Path;
use std::time::Duration;

use delivered::{Delivered, Said, delivered};
use ready::{ready, sources};
use sandbox::{Function, Invocation, LogFormat, Outcome, Sandbox, SandboxBuilder};
use serde_json::{Value, json};
use world::World;

const FORMATS: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];
/// In a text: the id of the invocation, which the function puts there.
const REQUEST_ID: &str = "REQUEST_ID";
/// In a text that is written to stderr: it keeps no order with what is written to stdout.
const STDERR: &str = "(stderr)";
const LONG: usize = 300_000;
const MANY: usize = 2_000;

/// Something to say, and how: `print`, `stderr`, `log`, or `latin1`, which is no UTF-8.
type Say = (&'static str, String);

#[tokio::test]
async fn python_is_delivered_whole_in_text_and_in_json() {
    let Some(directory) = ready("python") else { return };
    for format in FORMATS {
        everything_said_is_delivered(python(&directory), format).await;
    }
}

#[tokio::test]
async fn node_is_delivered_whole_in_text_and_in_json() {
    let Some(directory) = ready("node") else { return };
    for format in FORMATS {
        everything_said_is_delivered(node(&directory), format).await;
    }
}

#[tokio::test]
async fn an_exception_in_python_is_reported_and_sealed_as_a_failure() {
    let Some(directory) = ready("python") else { return };
    for format in FORMATS {
        an_exception_is_sealed_as_a_failure(python(&directory), "ValueError", format).await;
    }
}

#[tokio::test]
async fn an_exception_in_node_is_reported_and_sealed_as_a_failure() {
    let Some(directory) = ready("node") else { return };
    for format in FORMATS {
        an_exception_is_sealed_as_a_failure(node(&directory), "RangeError", format).await;
    }
}

#[tokio::test]
async fn a_bootstrap_in_bash_is_delivered_whole_and_its_failure_sealed() {
    let Some(_) = ready("bash") else { return };
    let function = Function::command([sources().join("bootstrap.sh")]);
    let world = World::new().await;
    let sandbox = settings(&world).function(function).freeze(false).start().await.unwrap();
    let mut invocations = Vec::new();
    for lines in [20, 0, MANY] {
        invocations.push((lines, sandbox.invoke(json!(lines)).await));
        if lines == 0 {
            until_shipped_as_failure(&world).await;
        }
    }
    world.end(&sandbox).await;

    let lines = delivered(&world);
    assert_eq!(of_invocation(&lines, "init"), [raw("the bootstrap runs")]);
    let mut expected_lines = 1;
    for (count, invocation) in &invocations {
        let id = &invocation.request_id;
        let mut expected: Vec<_> = (0..*count)
            .map(|number| raw(&format!("{id} line {number} of {count}: größer, 日本語 \"🚀\" \\ <&>")))
            .collect();
        expected.push(raw(&format!("{id} {}7", "0".repeat(LONG - 1))));
        if *count == 0 {
            expected.push(Said::Error(format!("[ERROR] Bash.NothingToDo: {id} has nothing to do")));
            assert_eq!(invocation.result.as_ref().unwrap_err().error_type, "Bash.NothingToDo");
        } else {
            assert!(invocation.result.is_ok(), "{:?}", invocation.result);
        }
        let stderr = raw(&format!("{id} {STDERR}"));
        assert_same(&lines, id, &expected, &[stderr]);
        expected_lines += expected.len() + 1;
    }
    assert_eq!(lines.len(), expected_lines, "and nothing else");
    assert_sealed_as_failure(&world, &lines, &invocations[1].1, &invocations[2].1);
}

/// The story of a function that takes what it says from its event.
async fn everything_said_is_delivered(function: Function, format: LogFormat) {
    let world = World::new().await;
    let sandbox = settings(&world).function(function).log_format(format).start().await.unwrap();
    let many = (0..MANY).map(|number| ("print", format!("{REQUEST_ID} line {number}")));
    let stories = [odd_lines(), Vec::new(), many.collect(), logged_and_printed()];
    let mut expected_lines = 0;
    let mut told = Vec::new();
    for says in &stories {
        let invocation = invoke(&sandbox, says, None).await;
        assert!(invocation.result.is_ok(), "{format:?}: {:?}", invocation.result);
        expected_lines += says.len();
        told.push((invocation.request_id, says));
    }
    world.end(&sandbox).await;

    let lines = delivered(&world);
    // The client for Node.js says first what it executes.
    let init = of_invocation(&lines, "init");
    assert_eq!(init.last(), Some(&raw("the function is loaded")), "{format:?}: {init:?}");
    for (id, says) in told {
        let (stderr, stdout): (Vec<_>, Vec<_>) = says.iter().partition(|(how, _)| *how == "stderr");
        let expected = |says: &[&Say]| says.iter().map(|(how, text)| expected(how, text, &id)).collect::<Vec<_>>();
        assert_same(&lines, &id, &expected(&stdout), &expected(&stderr));
    }
    assert_eq!(lines.len(), init.len() + expected_lines, "{format:?}: and nothing else");
}

/// A handler that throws answers with an error and is a success for the platform: only the function's own report tells.
async fn an_exception_is_sealed_as_a_failure(function: Function, error_type: &str, format: LogFormat) {
    let world = World::new().await;
    let sandbox = settings(&world).function(function).log_format(format).freeze(false).start().await.unwrap();
    let before = invoke(&sandbox, &[("print", format!("{REQUEST_ID} works"))], None).await;
    let says = [("print", format!("{REQUEST_ID} tries"))];
    let failed = invoke(&sandbox, &says, Some("no order größer than REQUEST_ID")).await;
    until_shipped_as_failure(&world).await;
    let after = invoke(&sandbox, &[("log", format!("{REQUEST_ID} works again"))], None).await;
    world.end(&sandbox).await;

    assert!(before.result.is_ok() && after.result.is_ok());
    assert_eq!(failed.outcome, Outcome::Success, "{format:?}");
    let error = failed.result.as_ref().unwrap_err();
    let id = &failed.request_id;
    let message = format!("no order größer than {id}");
    assert_eq!((error.error_type.as_str(), error.message.as_str()), (error_type, message.as_str()));

    let lines = delivered(&world);
    let said = of_invocation(&lines, id);
    let [Said::Raw(tries), Said::Error(report)] = &said[..] else { panic!("{format:?}: {said:?}") };
    assert_eq!(*tries, format!("{id} tries"));
    for part in [error_type, id, "handler"] {
        assert!(report.contains(part), "{format:?}: {part:?} in {report}");
    }
    assert_sealed_as_failure(&world, &lines, &failed, &after);
    assert_eq!(exception_told(&world, id), json!({ "type": error_type, "message": message }), "{format:?}");
}

/// Every way to say something, and what is odd about lines.
fn odd_lines() -> Vec<Say> {
    let texts = [
        "REQUEST_ID plain",
        "",
        "REQUEST_ID größer, 日本語, 🚀, e\u{301}, \u{2028}, \u{feff}",
        "REQUEST_ID \ttabs, \"quotes\", back\\slash, \u{1b}[31mred\u{1b}[0m, nul \u{0}, delete \u{7f}, <&>",
        "REQUEST_ID 10 %\rREQUEST_ID 100 %",
        r#"{"b":1e2, "a":"<x> & größer \u00fc","requestId":"REQUEST_ID"}"#,
        r#"{"level":"debug", "deep":{"a":[1,2.50,null,{}]},"message":"no id"}"#,
        "{REQUEST_ID is no object",
        "[1,2,3]",
    ];
    let mut says: Vec<Say> = texts.map(|text| ("print", text.to_owned())).into();
    says.push(("print", format!("{REQUEST_ID} {}", "x".repeat(LONG))));
    says.push(("stderr", format!("{REQUEST_ID} {STDERR} größer")));
    says.push(("print", format!("{REQUEST_ID} {}", "ü日".repeat(LONG / 5))));
    says.push(("stderr", format!("{REQUEST_ID} {STDERR} {}", "y".repeat(LONG))));
    says.push(("latin1", format!("{REQUEST_ID} café")));
    says
}

fn logged_and_printed() -> Vec<Say> {
    vec![
        ("log", format!("{REQUEST_ID} plain")),
        ("print", format!("{REQUEST_ID} between")),
        ("log", format!("{REQUEST_ID} größer, 日本語 \"🚀\" \\ 100 %s <&>")),
        ("log", format!("{REQUEST_ID} {}", "ü日".repeat(LONG / 5))),
        ("print", format!("{REQUEST_ID} the last")),
    ]
}

/// What a reader finds of something that was said.
fn expected(how: &str, text: &str, id: &str) -> Said {
    let text = text.replace(REQUEST_ID, id);
    match how {
        "log" => Said::Logged { level: "INFO".to_owned(), request_id: id.to_owned(), message: text },
        // The platform replaces what is no UTF-8.
        "latin1" => raw(&text.replace('é', "\u{fffd}")),
        _ => raw(&text),
    }
}

fn raw(text: &str) -> Said {
    Said::Raw(text.to_owned())
}

fn python(directory: &Path) -> Function {
    Function::command([directory.join("bin/python3"), "-m".into(), "awslambdaric".into(), "app.handler".into()])
        .current_dir(sources())
        .env("PYTHONDONTWRITEBYTECODE", "1")
}

fn node(directory: &Path) -> Function {
    let client = directory.join("node_modules/aws-lambda-ric/bin/index.mjs");
    Function::command(["node".into(), client, "app.handler".into()])
        .current_dir(sources())
        .env("LAMBDA_TASK_ROOT", sources().display().to_string())
}

/// Objects that can be read as they lie there, and no reason to seal but a failure and the end. Long limits: an interpreter
/// that starts slowly on a busy machine is no reason to fail.
fn settings(world: &World) -> SandboxBuilder {
    world
        .sandbox()
        .init_timeout(Duration::from_secs(60))
        .function_timeout(Duration::from_secs(60))
        .extension_env("LOGSPOOL_COMPRESSION", "none")
        .extension_env("LOGSPOOL_INVOCATIONS", "true")
        .extension_env("LOGSPOOL_DRAIN", "end")
        .extension_env("LOGSPOOL_SEAL_INVOCATIONS", "100")
        .extension_env("LOGSPOOL_SEAL_AGE", "1h")
}

async fn invoke(sandbox: &Sandbox, says: &[Say], fails: Option<&str>) -> Invocation {
    sandbox.invoke(json!({ "says": says, "fails": fails })).await
}

fn of_invocation(lines: &[Delivered], id: &str) -> Vec<Said> {
    lines.iter().filter(|line| line.request_id == id).map(|line| line.said.clone()).collect()
}

/// Of an invocation exactly this was delivered, in the order of each stream.
#[track_caller]
fn assert_same(lines: &[Delivered], id: &str, stdout: &[Said], stderr: &[Said]) {
    let is_stderr = |said: &Said| matches!(said, Said::Raw(text) if text.contains(STDERR));
    let (found_stderr, found_stdout): (Vec<_>, Vec<_>) = of_invocation(lines, id).into_iter().partition(is_stderr);
    for (found, expected) in [(&found_stdout[..], stdout), (&found_stderr[..], stderr)] {
        for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(found == expected, "line {number} is {}, not {}", shown(found), shown(expected));
        }
        assert_eq!(found.len(), expected.len(), "lines of {id}");
    }
}

/// The beginning: lines of 300 KB would bury the message.
fn shown(said: &Said) -> String {
    format!("{said:?}").chars().take(300).collect()
}

/// A failure is shipped when its invocation ends: nothing else has to happen. In a frozen environment the platform would
/// hand over the end with the next invocation only.
async fn until_shipped_as_failure(world: &World) {
    let shipped = world.s3.requests_until(|_| world.seals().iter().any(|seal| seal == "error"));
    let shipped = tokio::time::timeout(Duration::from_secs(60), shipped).await;
    assert!(shipped.is_ok(), "nothing was sealed for the error, but {:?}", world.seals());
}

/// The object that holds the report of the error was sealed for it, before the next invocation.
#[track_caller]
fn assert_sealed_as_failure(world: &World, lines: &[Delivered], failed: &Invocation, after: &Invocation) {
    let is_report = |line: &&Delivered| line.request_id == failed.request_id && matches!(line.said, Said::Error(_));
    let report = lines.iter().find(is_report).expect("the error's report is delivered");
    let object = world.objects().into_iter().find(|object| world::file_name(&object.key) == report.object).unwrap();
    assert_eq!(object.metadata["logspool-seal"], "error");
    let later =
        lines.iter().find(|line| line.request_id == after.request_id).expect("the next invocation has said something");
    assert_ne!(later.object, report.object);
}

/// The exception in the line about an invocation.
fn exception_told(world: &World, id: &str) -> Value {
    let objects = world.objects();
    let lines = objects.iter().flat_map(|object| object.bytes.split(|byte| *byte == b'\n'));
    let lines = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut told = lines.filter(|line| line["type"] == "logspool.invocation" && line["requestId"] == id);
    told.find_map(|line| line["record"].get("exception").cloned()).unwrap_or_default()
}
