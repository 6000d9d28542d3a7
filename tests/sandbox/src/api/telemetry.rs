//! Telemetry API `2022-07-01`, and the refusal of the older Logs API.

use hyper::StatusCode;

use super::{Answer, Api, ApiError, Call};
use crate::telemetry::{SchemaVersion, Subscription};

impl Api {
    pub(super) fn subscribe(&self, call: &Call) -> Result<Answer, ApiError> {
        self.identify(call)?;
        if self.settings.telemetry_unsupported {
            return Ok(not_supported("Telemetry"));
        }
        if !self.board.read(|state| state.subscription_open) {
            return Err(ApiError::forbidden("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed"));
        }
        let body = call.body.clone()?;
        let subscription = Subscription::parse(&body)
            .map_err(|message| ApiError::new(StatusCode::BAD_REQUEST, "ValidationError", message))?;
        let is_too_old = self.settings.managed.is_some() && subscription.schema < SchemaVersion::V2025_01_29;
        if is_too_old || self.settings.refuse_subscriptions {
            let message = "schema validation error: schemaVersion: not supported here";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "ValidationError", message));
        }
        let name = self.settings.extension_name().expect("only the extension has an identifier");
        self.board.change(|state| state.subscribed = true);
        self.vitals.subscribed(subscription.clone());
        self.telemetry.subscribe(name, subscription);
        Ok(Answer::json(StatusCode::OK, "\"OK\""))
    }

    pub(super) fn subscribe_logs(&self, call: &Call) -> Result<Answer, ApiError> {
        self.identify(call)?;
        Ok(not_supported("Logs"))
    }
}

/// The emulators' answer: a success that is none.
fn not_supported(api: &str) -> Answer {
    let body = format!(r#"{{"errorMessage":"{api} API is not supported","errorType":"{api}.NotSupported"}}"#);
    Answer::json(StatusCode::ACCEPTED, body)
}
