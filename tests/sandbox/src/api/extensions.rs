//! Extensions API `2020-01-01`.

use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Answer, Api, ApiError, Call};
use crate::environment::extension::{Extension, Lifecycle};
use crate::environment::fault::Fault;
use crate::environment::state::NextEvent;

const NAME: &str = "lambda-extension-name";
const FEATURES: &str = "lambda-extension-accept-feature";
const IDENTIFIER: &str = "lambda-extension-identifier";
const EVENT_IDENTIFIER: &str = "lambda-extension-event-identifier";
const ERROR_TYPE: &str = "lambda-extension-function-error-type";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RegisterRequest {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    configuration_keys: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegisterResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    function_name: &'a str,
    function_version: &'a str,
    handler: &'a str,
}

impl Api {
    pub(super) fn register(&self, call: &Call) -> Result<Answer, ApiError> {
        let name = call
            .header(NAME)
            .ok_or_else(|| ApiError::forbidden("Extension.InvalidExtensionName", "Empty extension name"))?;
        let request = parse_register(call)?;
        if self.settings.extension_name() != Some(name) {
            return Err(self.refuse_internal(name, &request));
        }
        let events = request.events.iter().map(|event| self.external_event(event)).collect::<Result<_, _>>()?;
        let id = self.board.change(|state| {
            let extension = state.extension.as_mut().ok_or_else(closed)?;
            extension.register(events).map_err(|refused| ApiError::extension_state(refused, name))
        })?;
        let body = if self.settings.empty_registration { Vec::new() } else { self.register_response(call) };
        Ok(Answer::json(StatusCode::OK, body).header(IDENTIFIER, id.to_string()))
    }

    fn register_response(&self, call: &Call) -> Vec<u8> {
        let features = call.header(FEATURES).unwrap_or_default();
        let asks_for_account = features.split(',').any(|feature| feature.trim() == "accountId");
        let response = RegisterResponse {
            account_id: asks_for_account.then_some(self.settings.account_id.as_str()),
            function_name: &self.settings.function_name,
            function_version: &self.settings.function_version,
            handler: &self.settings.handler,
        };
        serde_json::to_vec(&response).expect("four strings can be serialized")
    }

    fn external_event(&self, event: &str) -> Result<Lifecycle, ApiError> {
        match event {
            "INVOKE" if !self.settings.refuse_invoke => Ok(Lifecycle::Invoke),
            "SHUTDOWN" => Ok(Lifecycle::Shutdown),
            other => Err(ApiError::forbidden("Extension.InvalidEventType", format!("{other}: ErrorInvalidEventType"))),
        }
    }

    /// A name that is no file in `/opt/extensions` is an internal extension: AWS has them, this sandbox does not.
    fn refuse_internal(&self, name: &str, request: &RegisterRequest) -> ApiError {
        if request.events.iter().any(|event| event == "SHUTDOWN") {
            let message = "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension";
            return ApiError::forbidden("Extension.InvalidEventType", message);
        }
        if !self.board.read(|state| state.registration_open) {
            return closed();
        }
        let message = format!("This sandbox plays one external extension; {name} is not its file name");
        ApiError::forbidden("Extension.TooManyExtensions", message)
    }

    pub(super) async fn extension_next(&self, call: &Call) -> Result<Answer, ApiError> {
        let id = self.identify(call)?;
        let event = self.board.change(|state| {
            state.extension_next(Instant::now()).map_err(|refused| ApiError::extension_state(refused, &id.to_string()))
        })?;
        let event = event.await.map_err(|_| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal Server Error")
        })?;
        let answer = Answer::json(StatusCode::OK, serde_json::to_vec(&event).expect("events are plain structs"));
        Ok(match event {
            NextEvent::Invoke { .. } => answer.header(EVENT_IDENTIFIER, Uuid::new_v4().to_string()),
            NextEvent::Shutdown { .. } => answer,
        })
    }

    pub(super) fn extension_init_error(&self, call: &Call) -> Result<Answer, ApiError> {
        self.extension_error(call, Extension::init_error, Fault::ExtensionInit)
    }

    pub(super) fn extension_exit_error(&self, call: &Call) -> Result<Answer, ApiError> {
        self.extension_error(call, Extension::exit_error, Fault::ExtensionExit)
    }

    fn extension_error(
        &self,
        call: &Call,
        report: fn(&mut Extension, &str) -> Result<(), crate::environment::extension::NotAllowed>,
        fault: fn(String) -> Fault,
    ) -> Result<Answer, ApiError> {
        let id = self.identify(call)?;
        let error_type = call.header(ERROR_TYPE).ok_or_else(|| {
            ApiError::forbidden("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
        })?;
        self.board.change(|state| {
            let extension = state.extension.as_mut().expect("identified above");
            report(extension, error_type).map_err(|refused| ApiError::extension_state(refused, &id.to_string()))?;
            if !state.shutting_down {
                state.fail(fault(error_type.to_owned()));
            }
            Ok(Answer::accepted())
        })
    }

    /// The registered extension that calls.
    pub(super) fn identify(&self, call: &Call) -> Result<Uuid, ApiError> {
        let id = call.header(IDENTIFIER).ok_or_else(|| {
            let message = "Missing Lambda-Extension-Identifier header";
            ApiError::forbidden("Extension.MissingExtensionIdentifier", message)
        })?;
        let id: Uuid = id.parse().map_err(|_| {
            ApiError::forbidden("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
        })?;
        let known = self.board.read(|state| {
            state.extension.as_ref().is_some_and(|extension| extension.has_registered() && extension.id() == id)
        });
        if known {
            return Ok(id);
        }
        Err(ApiError::forbidden("Extension.UnknownExtensionIdentifier", format!("Unknown extension {id}")))
    }
}

fn closed() -> ApiError {
    ApiError::forbidden("Extension.RegistrationClosed", "Extension registration closed already")
}

fn parse_register(call: &Call) -> Result<RegisterRequest, ApiError> {
    let invalid = |message: String| ApiError::forbidden("InvalidRequestFormat", message);
    let body: Bytes = call.body.clone()?;
    let request: RegisterRequest = serde_json::from_slice(&body).map_err(|error| invalid(error.to_string()))?;
    if !request.configuration_keys.is_empty() {
        return Err(invalid("configurationKeys are deprecated; use environment variables instead".to_owned()));
    }
    Ok(request)
}
