//! Init that fails, and seams that play other platforms.

mod scripted;

use std::time::Duration;

use sandbox::{Fate, Fault, Function, Sandbox, ShutdownReason, StartError, Work};
use scripted::{Script, received};
use serde_json::{Value, json};

async fn fault(builder: sandbox::SandboxBuilder) -> Fault {
    match builder.start().await {
        Ok(_) => panic!("Init succeeds"),
        Err(StartError::Init { fault, .. }) => fault,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_missing_extension_is_a_launch_error() {
    let fault = fault(Sandbox::builder().extension("/nonexistent/extension")).await;
    assert_eq!(fault.error_type(), "Extension.LaunchError");
}

#[tokio::test]
async fn a_missing_function_is_an_invalid_entrypoint() {
    let fault = fault(Sandbox::builder().function(Function::command(["/nonexistent/function"]))).await;
    assert_eq!(fault.error_type(), "Runtime.InvalidEntrypoint");
}

#[tokio::test]
async fn a_function_that_exits_during_init_fails_init() {
    assert_eq!(
        fault(Sandbox::builder().function(Function::command(["false"]))).await.error_type(),
        "Runtime.ExitError"
    );
}

#[tokio::test]
async fn an_init_that_takes_too_long_says_what_is_missing() {
    let function = Function::command(["sleep", "3600"]);
    let fault = fault(Sandbox::builder().function(function).init_timeout(Duration::from_millis(100))).await;
    assert_eq!(fault, Fault::InitTimeout("the runtime did not call next".to_owned()));
}

#[tokio::test]
async fn an_extension_that_exits_before_it_registers_is_a_crash() {
    let (builder, _directory) = scripted::sandbox(&Script { exit_at_once: true, ..Script::default() });
    assert_eq!(fault(builder).await.error_type(), "Extension.Crash");
}

#[tokio::test]
async fn an_extension_that_reports_an_init_error_fails_init_with_its_output_kept() {
    let (builder, _directory) = scripted::sandbox(&Script { init_error: true, ..Script::default() });
    match builder.start().await {
        Err(StartError::Init { fault: Fault::ExtensionInit(error_type), extension_output, .. }) => {
            assert_eq!(error_type, "Extension.Bad");
            assert!(extension_output.iter().any(|line| line.starts_with("register: 200")), "{extension_output:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_extension_under_a_false_name_is_refused() {
    let (builder, _directory) = scripted::sandbox(&Script { register_as: "other".to_owned(), ..Script::default() });
    let Err(StartError::Init { extension_output, .. }) = builder.start().await else { panic!("Init succeeds") };
    assert!(extension_output.iter().any(|line| line.contains("Extension.InvalidEventType")), "{extension_output:?}");
}

#[tokio::test]
async fn invoke_is_refused_where_the_platform_has_no_invoke_event() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let Err(StartError::Init { extension_output, .. }) = builder.refuse_invoke(true).start().await else {
        panic!("Init succeeds")
    };
    assert!(extension_output.iter().any(|line| line.contains("INVOKE: ErrorInvalidEventType")), "{extension_output:?}");
}

#[tokio::test]
async fn where_telemetry_is_not_supported_the_subscription_is_answered_202_and_nothing_comes() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder.telemetry_unsupported(true).start().await.expect("Init succeeds");
    assert!(sandbox.extension_output().iter().any(|line| line.starts_with("subscribe: 202")));
    assert!(sandbox.invoke(Work::default()).await.result.is_ok());
    sandbox.shutdown(ShutdownReason::Spindown).await;
    assert_eq!(received(sandbox.tmp()), [Value::Null; 0]);
    assert_eq!(sandbox.subscriptions(), []);
    assert_eq!(sandbox.ledger().with_fate(Fate::NeverHandedOver).count(), 0);
}

#[tokio::test]
async fn a_subscription_with_a_wrong_value_is_refused_and_named() {
    let mut subscription = scripted::subscription();
    subscription["buffering"]["timeoutMs"] = json!(5);
    let (builder, _directory) = scripted::sandbox(&Script { subscription, ..Script::default() });
    let sandbox = builder.start().await.expect("Init succeeds");
    let output = sandbox.extension_output();
    assert!(output.iter().any(|line| line.starts_with("subscribe: 400") && line.contains("timeoutMs")), "{output:?}");
}

#[tokio::test]
async fn the_extension_sees_lambdas_variables_and_its_own_and_no_others() {
    let (builder, _directory) = scripted::sandbox(&Script::default());
    let sandbox = builder
        .extension_env("LOGSPOOL_DESTINATION", "file:///x")
        .extension_env("_PRIVATE", "filtered out")
        .function(Function::built_in().env("SECRET_OF_THE_FUNCTION", "1"))
        .start()
        .await
        .expect("Init succeeds");
    let pid = sandbox.extension_pid().expect("it runs");
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).expect("readable");
    let mut names: Vec<&str> = environment.split('\0').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_DEFAULT_REGION",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
            "AWS_LAMBDA_INITIALIZATION_TYPE",
            "AWS_LAMBDA_RUNTIME_API",
            "AWS_REGION",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "LOGSPOOL_DESTINATION",
            "PATH",
            "SCRIPTED_EXTENSION",
            "TMPDIR",
            "TZ",
        ]
    );
}
