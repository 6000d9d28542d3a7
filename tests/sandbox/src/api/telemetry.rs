//! Telemetry API `2022-07-01`, and the refusal of the older Logs API.

use hyper::StatusCode;

use super::{Answer, Api, ApiError, Call};
use crate::settings::WithoutTelemetry;
use crate::telemetry::Subscription;

impl Api {
    pub(super) fn subscribe(&self, call: &Call) -> Result<Answer, ApiError> {
        self.identify(call)?;
        match self.settings.without_telemetry {
            Some(WithoutTelemetry::Accepted) => return Ok(not_supported("Telemetry")),
            Some(WithoutTelemetry::NotFound) => return Ok(Answer::not_found()),
            None => {}
        }
        if !self.board.read(|state| state.subscription_open) {
            return Err(ApiError::forbidden("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed"));
        }
        let body = call.body.clone()?;
        let subscription = Subscription::parse(&body)
            .and_then(|subscription| self.known(subscription))
            .map_err(|message| ApiError::new(StatusCode::BAD_REQUEST, "ValidationError", message))?;
        let name = self.settings.extension_name().expect("only the extension has an identifier");
        self.board.change(|state| state.subscribed = true);
        self.vitals.subscribed(subscription.clone());
        self.telemetry.subscribe(name, subscription);
        Ok(Answer::json(StatusCode::OK, "\"OK\""))
    }

    /// An older platform refuses what it does not know as it refuses any other nonsense.
    fn known(&self, subscription: Subscription) -> Result<Subscription, String> {
        if self.settings.known_schemas.contains(&subscription.schema) {
            return Ok(subscription);
        }
        Err(format!("schema validation error: schemaVersion: {:?} is unknown", subscription.schema))
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
