//! Error bodies of the three APIs, in AWS's words.

use hyper::StatusCode;
use serde::Serialize;

use crate::environment::extension::NotAllowed;
use crate::environment::runtime::Refused;

/// An answer that is an error: `{"errorMessage":…,"errorType":…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    error_message: &'a str,
    error_type: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, error_type: &'static str, message: impl Into<String>) -> Self {
        Self { status, error_type, message: message.into() }
    }

    pub(crate) fn forbidden(error_type: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error_type, message)
    }

    /// A call that the extension's state does not allow.
    pub(crate) fn extension_state(refused: NotAllowed, extension: &str) -> Self {
        let (from, to) = (refused.from.name(), refused.to.name());
        Self::forbidden(
            "Extension.InvalidExtensionState",
            format!(
                "State transition from {from} to {to} failed for extension {extension}. Error: State transition is not allowed"
            ),
        )
    }

    /// A call that the runtime's state does not allow.
    pub(crate) fn runtime(refused: Refused) -> Self {
        match refused {
            Refused::NotAllowed { from, to } => Self::forbidden(
                "InvalidStateTransition",
                format!(
                    "State transition from {from:?} to {to:?} failed for runtime. Error: State transition is not allowed"
                ),
            ),
            Refused::InvalidRequestId => Self::new(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        }
    }

    pub(crate) fn json(&self) -> Vec<u8> {
        let wire = Wire { error_message: &self.message, error_type: self.error_type };
        serde_json::to_vec(&wire).expect("two strings can be serialized")
    }
}
