//! Runtime API `2018-06-01`.

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Answer, Api, ApiError, Call};
use crate::environment::fault::Fault;
use crate::environment::runtime::{FunctionError, Response};
use crate::environment::state::State;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// An error as runtimes report it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ErrorReport {
    error_message: Option<String>,
    error_type: Option<String>,
}

impl Api {
    pub(super) async fn runtime_next(&self) -> Result<Answer, ApiError> {
        let event = self.board.change(|state| state.runtime_next(Instant::now())).map_err(ApiError::runtime)?;
        let event = event.await.map_err(|_| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", "Internal Server Error")
        })?;
        Ok(Answer::json(StatusCode::OK, event.payload)
            .header("lambda-runtime-aws-request-id", event.request_id)
            .header("lambda-runtime-deadline-ms", event.deadline_ms.to_string())
            .header("lambda-runtime-invoked-function-arn", event.invoked_function_arn)
            .header("lambda-runtime-trace-id", event.trace))
    }

    /// Answered when the environment comes out of a snapshot, if it is one that goes into one.
    pub(super) async fn runtime_restore_next(&self) -> Result<Answer, ApiError> {
        if !self.settings.snap_start {
            return Ok(Answer::json(StatusCode::NOT_FOUND, "404 page not found\n"));
        }
        let restored = self.board.change(State::runtime_restore_next);
        match restored.await {
            Ok(()) => Ok(Answer::json(StatusCode::OK, "")),
            Err(_) => Ok(Answer::json(StatusCode::INTERNAL_SERVER_ERROR, "")),
        }
    }

    pub(super) fn runtime_response(&self, call: &Call, request_id: &str) -> Result<Answer, ApiError> {
        let content_type = call.header(CONTENT_TYPE.as_str()).unwrap_or("application/octet-stream").to_owned();
        match call.body.clone() {
            Ok(body) => self.respond(request_id, Ok(Response { content_type, body })),
            Err(too_large) => {
                let error_type = "Function.ResponseSizeTooLarge".to_owned();
                let error = FunctionError { error_type, message: too_large.message.clone(), body: Default::default() };
                self.respond(request_id, Err(error))?;
                Err(too_large)
            }
        }
    }

    pub(super) fn runtime_error(&self, call: &Call, request_id: &str) -> Result<Answer, ApiError> {
        self.respond(request_id, Err(function_error(call)?))
    }

    pub(super) fn runtime_init_error(&self, call: &Call) -> Result<Answer, ApiError> {
        let error = function_error(call)?;
        self.board.change(|state| {
            state.runtime.init_error().map_err(ApiError::runtime)?;
            state.fail(Fault::RuntimeInit(error.error_type));
            Ok(Answer::accepted())
        })
    }

    fn respond(&self, request_id: &str, result: Result<Response, FunctionError>) -> Result<Answer, ApiError> {
        self.board
            .change(|state| state.runtime_responds(request_id, result, Instant::now()))
            .map_err(ApiError::runtime)?;
        Ok(Answer::accepted())
    }
}

fn function_error(call: &Call) -> Result<FunctionError, ApiError> {
    let body = call.body.clone()?;
    // Runtimes may report anything; what is no JSON has no type of its own.
    let report: ErrorReport = serde_json::from_slice(&body).unwrap_or_default();
    let error_type = report.error_type.or_else(|| call.header(ERROR_TYPE).map(str::to_owned));
    Ok(FunctionError {
        error_type: error_type.unwrap_or_else(|| "Function.Unknown".to_owned()),
        message: report.error_message.unwrap_or_default(),
        body,
    })
}
