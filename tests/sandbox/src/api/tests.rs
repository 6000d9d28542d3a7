//! Answers of the APIs, told by their routes: no socket, no process.

use hyper::header::HeaderValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::course::Course;
use crate::environment::state::{NextEvent, RuntimeEvent, State};
use crate::settings::{SandboxBuilder, WithoutTelemetry};
use crate::telemetry::SchemaVersion;

const NAME: &str = "logspool";
const REGISTER: (&str, &str) = ("POST", "/2020-01-01/extension/register");
const NEXT: (&str, &str) = ("GET", "/2020-01-01/extension/event/next");
const INIT_ERROR: (&str, &str) = ("POST", "/2020-01-01/extension/init/error");
const EXIT_ERROR: (&str, &str) = ("POST", "/2020-01-01/extension/exit/error");
const TELEMETRY: (&str, &str) = ("PUT", "/2022-07-01/telemetry");
const BOTH: &str = r#"{"events":["INVOKE","SHUTDOWN"]}"#;

fn api() -> Api {
    api_of(SandboxBuilder::default().extension("/opt/extensions/logspool").function_name("orders"))
}

fn api_of(builder: SandboxBuilder) -> Api {
    let settings = Arc::new(builder.into_settings());
    Api {
        telemetry: Telemetry::new(settings.delivery, Course::default()),
        board: Board::new(State::new(&settings)),
        settings,
        journal: Journal::default(),
        vitals: Vitals::new(Course::default()),
    }
}

fn call((method, path): (&str, &str), headers: &[(&'static str, &str)], body: &str) -> Call {
    Call {
        method: method.parse().expect("a method"),
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")))
            .collect(),
        body: Ok(Bytes::copy_from_slice(body.as_bytes())),
    }
}

/// Status and JSON of an answer, be it an error or not.
async fn answer(api: &Api, call: Call) -> (u16, Value) {
    let answer = api.route(call).await.unwrap_or_else(|error| Answer::json(error.status, error.json()));
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
}

async fn error(api: &Api, call: Call) -> (u16, String) {
    let (status, json) = answer(api, call).await;
    (status, json["errorType"].as_str().unwrap_or_default().to_owned())
}

async fn register(api: &Api) -> String {
    let answer = api.route(call(REGISTER, &[("lambda-extension-name", NAME)], BOTH)).await.expect("registered");
    let id = answer.headers.iter().find(|(name, _)| *name == "lambda-extension-identifier");
    id.expect("an identifier").1.clone()
}

fn forbidden(error_type: &str) -> (u16, String) {
    (403, error_type.to_owned())
}

#[tokio::test]
async fn registration_tells_of_the_function_and_of_the_account_only_if_asked() {
    let function = json!({"functionName": "orders", "functionVersion": "$LATEST", "handler": "app.handler"});
    let (status, json) = answer(&api(), call(REGISTER, &[("lambda-extension-name", NAME)], BOTH)).await;
    assert_eq!((status, &json), (200, &function));

    let headers = [("lambda-extension-name", NAME), ("lambda-extension-accept-feature", "other, accountId")];
    let (_, json) = answer(&api(), call(REGISTER, &headers, BOTH)).await;
    assert_eq!(json["accountId"], "123456789012");
}

#[tokio::test]
async fn a_bad_registration_has_the_documented_error() {
    let shutdown = r#"{"events":["SHUTDOWN"]}"#;
    let cases = [
        ("", BOTH, "Extension.InvalidExtensionName"),
        (NAME, "no json", "InvalidRequestFormat"),
        (NAME, r#"{"events":[],"configurationKeys":["a"]}"#, "InvalidRequestFormat"),
        (NAME, r#"{"events":["WAKEUP"]}"#, "Extension.InvalidEventType"),
        ("internal", shutdown, "Extension.InvalidEventType"),
        ("internal", r#"{"events":["INVOKE"]}"#, "Extension.TooManyExtensions"),
    ];
    for (name, body, error_type) in cases {
        let headers = [("lambda-extension-name", name)];
        assert_eq!(error(&api(), call(REGISTER, &headers, body)).await, forbidden(error_type), "{name} {body}");
    }
    assert_eq!(error(&api(), call(REGISTER, &[], BOTH)).await, forbidden("Extension.InvalidExtensionName"));
}

#[tokio::test]
async fn a_second_registration_and_one_after_init_are_refused() {
    let api = api();
    register(&api).await;
    let again = call(REGISTER, &[("lambda-extension-name", NAME)], BOTH);
    assert_eq!(error(&api, again).await, forbidden("Extension.InvalidExtensionState"));

    api.board.change(|state| state.registration_open = false);
    let late = call(REGISTER, &[("lambda-extension-name", "internal")], r#"{"events":[]}"#);
    assert_eq!(error(&api, late).await, forbidden("Extension.RegistrationClosed"));
}

#[tokio::test]
async fn where_invoke_does_not_exist_it_cannot_be_registered() {
    let api = api_of(SandboxBuilder::default().extension(NAME).refuse_invoke(true));
    let headers = [("lambda-extension-name", NAME)];
    assert_eq!(error(&api, call(REGISTER, &headers, BOTH)).await, forbidden("Extension.InvalidEventType"));
    assert_eq!(answer(&api, call(REGISTER, &headers, r#"{"events":["SHUTDOWN"]}"#)).await.0, 200);
}

#[tokio::test]
async fn calls_without_a_known_identifier_are_refused() {
    let other = Uuid::new_v4().to_string();
    let cases = [
        (None, "Extension.MissingExtensionIdentifier"),
        (Some("no uuid"), "Extension.InvalidExtensionIdentifier"),
        (Some(other.as_str()), "Extension.UnknownExtensionIdentifier"),
    ];
    for route in [NEXT, INIT_ERROR, EXIT_ERROR, TELEMETRY, ("PUT", "/2020-08-15/logs")] {
        for (id, error_type) in &cases {
            let headers: Vec<_> = id.iter().map(|id| ("lambda-extension-identifier", *id)).collect();
            assert_eq!(error(&api(), call(route, &headers, "{}")).await, forbidden(error_type), "{route:?} {id:?}");
        }
    }
}

#[tokio::test]
async fn error_reports_need_their_type_and_are_accepted_in_their_states() {
    let api = api();
    let id = register(&api).await;
    let id = [("lambda-extension-identifier", id.as_str())];
    let typed = [id[0], ("lambda-extension-function-error-type", "Extension.Bad")];
    assert_eq!(error(&api, call(INIT_ERROR, &id, "")).await, forbidden("Extension.MissingHeader"));
    assert_eq!(answer(&api, call(INIT_ERROR, &typed, "")).await, (202, json!({"status": "OK"})));
    assert_eq!(error(&api, call(EXIT_ERROR, &typed, "")).await, forbidden("Extension.InvalidExtensionState"));
    let fault = api.board.read(|state| state.fault.clone());
    assert_eq!(fault.map(|fault| fault.error_type().to_owned()).as_deref(), Some("Extension.InitError"));
}

#[tokio::test]
async fn next_waits_for_its_event_and_a_second_next_is_refused() {
    let api = api();
    let id = register(&api).await;
    let headers = [("lambda-extension-identifier", id.as_str())];
    let waiting = tokio::spawn({
        let (api, call) = (api.clone(), call(NEXT, &headers, ""));
        async move { answer(&api, call).await }
    });
    api.board.reached(State::extension_is_done).await.expect("no fault");
    assert_eq!(error(&api, call(NEXT, &headers, "")).await, forbidden("Extension.InvalidExtensionState"));

    api.board.change(|state| state.tell_extension(NextEvent::Shutdown { deadline_ms: 7, shutdown_reason: "spindown" }));
    let (status, event) = waiting.await.expect("answered");
    assert_eq!((status, event), (200, json!({"eventType": "SHUTDOWN", "deadlineMs": 7, "shutdownReason": "spindown"})));
}

#[tokio::test]
async fn subscriptions_are_accepted_until_init_is_over() {
    let api = api();
    let id = register(&api).await;
    let headers = [("lambda-extension-identifier", id.as_str())];
    let body = r#"{"schemaVersion":"2025-01-29","types":["platform"],"destination":{"protocol":"HTTP","URI":"http://sandbox:80"}}"#;
    assert_eq!(answer(&api, call(TELEMETRY, &headers, body)).await, (200, json!("OK")));
    assert_eq!(error(&api, call(TELEMETRY, &headers, "{}")).await, (400, "ValidationError".to_owned()));

    api.board.change(|state| state.subscription_open = false);
    assert_eq!(error(&api, call(TELEMETRY, &headers, body)).await, forbidden("Telemetry.SubscriptionClosed"));
}

#[tokio::test]
async fn a_schema_date_in_the_path_and_other_paths_are_not_found() {
    for route in [("PUT", "/2025-01-29/telemetry"), ("GET", "/"), ("DELETE", "/2022-07-01/telemetry")] {
        assert_eq!(answer(&api(), call(route, &[], "")).await.0, 404, "{route:?}");
    }
}

#[tokio::test]
async fn the_logs_api_and_an_emulators_telemetry_api_answer_202() {
    let api = api_of(SandboxBuilder::default().extension(NAME).telemetry_unsupported(true));
    let id = register(&api).await;
    let headers = [("lambda-extension-identifier", id.as_str())];
    for (route, error_type) in
        [(TELEMETRY, "Telemetry.NotSupported"), (("PUT", "/2020-08-15/logs"), "Logs.NotSupported")]
    {
        assert_eq!(error(&api, call(route, &headers, "{}")).await, (202, error_type.to_owned()));
    }
}

#[tokio::test]
async fn an_emulator_may_not_know_the_telemetry_api_and_registers_without_a_body() {
    let api = api_of(SandboxBuilder::default().extension(NAME).emulator(WithoutTelemetry::NotFound));
    let answer_to = |call| async { api.route(call).await.expect("no error") };
    let registered = answer_to(call(REGISTER, &[("lambda-extension-name", NAME)], BOTH)).await;
    assert_eq!((registered.status.as_u16(), registered.body.len()), (200, 0));
    let (_, id) = registered.headers.iter().find(|(name, _)| *name == "lambda-extension-identifier").expect("an id");
    let subscribed = answer_to(call(TELEMETRY, &[("lambda-extension-identifier", id)], "{}")).await;
    assert_eq!(subscribed.status.as_u16(), 404);
}

#[tokio::test]
async fn a_platform_refuses_schema_versions_that_it_does_not_know() {
    let known = [SchemaVersion::V2022_07_01, SchemaVersion::V2022_12_13];
    let api = api_of(SandboxBuilder::default().extension(NAME).known_schemas(&known));
    let id = register(&api).await;
    let headers = [("lambda-extension-identifier", id.as_str())];
    for (version, status) in [("2025-01-29", 400), ("2022-12-13", 200), ("2022-07-01", 200)] {
        let destination = json!({"protocol": "HTTP", "URI": "http://sandbox:80"});
        let body = json!({"schemaVersion": version, "types": ["platform"], "destination": destination}).to_string();
        assert_eq!(answer(&api, call(TELEMETRY, &headers, &body)).await.0, status, "{version}");
    }
}

#[tokio::test]
async fn where_the_address_has_a_path_the_extension_is_answered_below_it_only() {
    let api = api_of(SandboxBuilder::default().extension(NAME).runtime_api("http://", "/.rt/"));
    let headers = [("lambda-extension-name", NAME)];
    assert_eq!(answer(&api, call(REGISTER, &headers, BOTH)).await.0, 404);
    assert_eq!(answer(&api, call(("POST", "/.rt/2020-01-01/extension/register"), &headers, BOTH)).await.0, 200);
}

#[tokio::test]
async fn the_runtime_gets_its_event_with_headers_and_answers_it() {
    let api = api();
    let next = tokio::spawn({
        let api = api.clone();
        async move { api.route(call(("GET", "/2018-06-01/runtime/invocation/next"), &[], "")).await }
    });
    api.board.reached(|state| state.runtime.is_ready()).await.expect("no fault");
    let event = RuntimeEvent {
        request_id: "r-1".to_owned(),
        deadline_ms: 7,
        invoked_function_arn: "arn".to_owned(),
        trace: "Root=1".to_owned(),
        payload: Bytes::from_static(b"{}"),
    };
    api.board.change(|state| state.tell_runtime(event)).expect("it waits");
    let event = next.await.expect("answered").expect("no error");
    assert_eq!(
        event.headers,
        [
            ("lambda-runtime-aws-request-id", "r-1"),
            ("lambda-runtime-deadline-ms", "7"),
            ("lambda-runtime-invoked-function-arn", "arn"),
            ("lambda-runtime-trace-id", "Root=1"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    );

    let respond = |id: &str| call(("POST", &format!("/2018-06-01/runtime/invocation/{id}/response")), &[], "1");
    assert_eq!(error(&api, respond("other")).await, (400, "InvalidRequestID".to_owned()));
    assert_eq!(answer(&api, respond("r-1")).await.0, 202);
    assert_eq!(error(&api, respond("r-1")).await, forbidden("InvalidStateTransition"));
}

#[tokio::test]
async fn a_response_that_is_too_large_is_refused_and_fails_the_invocation() {
    let api = api();
    api.board.change(|state| {
        let _event = state.runtime_next(tokio::time::Instant::now()).expect("allowed");
        state.runtime.invoke("r-1").expect("allowed");
    });
    let mut call = call(("POST", "/2018-06-01/runtime/invocation/r-1/response"), &[], "");
    call.body = Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "too large"));
    assert_eq!(error(&api, call).await, (413, "RequestEntityTooLarge".to_owned()));
    let result = api.board.read(|state| state.runtime.result().cloned()).expect("responded");
    assert_eq!(result.expect_err("an error").error_type, "Function.ResponseSizeTooLarge");
}
