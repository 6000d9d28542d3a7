//! Credentials of an environment that is restored from a snapshot: none are in its variables (AWS Lambda Developer
//! Guide, "Improving startup performance with Lambda SnapStart").

use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use serde_json::json;

use super::{Answer, Api, ApiError, Call};
use crate::telemetry::wire;
use crate::variables;

/// How long they are good.
const LIFE: Duration = Duration::from_secs(6 * 60 * 60);

impl Api {
    pub(super) fn credentials(&self, call: &Call) -> Result<Answer, ApiError> {
        if !self.settings.snap_start || call.header("authorization") != Some(variables::CREDENTIALS_TOKEN) {
            return Ok(Answer::json(StatusCode::NOT_FOUND, "404 page not found\n"));
        }
        let [id, secret, token] = variables::credentials(&self.settings);
        let expiration = wire::timestamp(SystemTime::now() + LIFE);
        let body = json!({ "AccessKeyId": id, "SecretAccessKey": secret, "Token": token, "Expiration": expiration });
        Ok(Answer::json(StatusCode::OK, body.to_string()))
    }
}
