//! `AssumeRole` of AWS STS.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_sts::Client;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::config::{AppName, BehaviorVersion, Config, IdentityCache, Region, StalledStreamProtectionConfig};
use aws_sdk_sts::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sts::operation::RequestId as _;
use aws_sdk_sts::operation::assume_role::{AssumeRoleError, AssumeRoleOutput};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::super::super::connector::{Connector, TransportError};
use super::super::super::meaning::kind_of_failure;
use super::super::super::{AttemptError, AttemptErrorKind, chain, one_line};
use super::super::AccessKeys;
use super::super::cache::Fetched;
use super::RoleSettings;

/// The whole request. STS of a region answers in some 50 ms; an upload waits for it no longer than for the store itself.
const LIMIT: Duration = Duration::from_secs(5);

/// A role, and the way to STS.
pub(in super::super) struct Role {
    settings: RoleSettings,
    connector: Connector,
    pub(super) limit: Duration,
}

impl Role {
    pub(in super::super) fn new(settings: &RoleSettings, connector: &Connector) -> Self {
        Self { settings: settings.clone(), connector: connector.for_single_requests(), limit: LIMIT }
    }

    /// Asks once.
    pub(in super::super) async fn fetch(&self, source: &AccessKeys) -> Result<Fetched, AttemptError> {
        let RoleSettings { role_arn, external_id, session_name, .. } = &self.settings;
        let request = Client::from_conf(self.sdk_config(source))
            .assume_role()
            .role_arn(role_arn)
            .role_session_name(session_name)
            .set_external_id(external_id.clone());
        // Boxed: it is large, and there once an hour.
        match tokio::time::timeout(self.limit, Box::pin(request.send())).await {
            Ok(Ok(output)) => read(&output).ok_or_else(|| {
                self.failed(AttemptError::new(AttemptErrorKind::Retry, "the answer of STS has no usable credentials"))
            }),
            Ok(Err(error)) => Err(self.failed(failure(&error))),
            Err(_elapsed) => {
                let message = format!("no answer of STS within {:?}", self.limit);
                Err(self.failed(AttemptError::new(AttemptErrorKind::Retry, message)))
            }
        }
    }

    fn sdk_config(&self, source: &AccessKeys) -> Config {
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.settings.region.clone()))
            .credentials_provider(source.to_sdk())
            .identity_cache(IdentityCache::no_cache())
            .http_client(self.connector.clone())
            .sleep_impl(TokioSleep::new())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .app_name(AppName::new("logspool").expect("the name has letters only"));
        if let Some(endpoint) = &self.settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        config.build()
    }

    fn failed(&self, error: AttemptError) -> AttemptError {
        let message = one_line(&format!("cannot assume the role {}: {}", self.settings.role_arn, error.message));
        AttemptError { message, ..error }
    }
}

fn read(output: &AssumeRoleOutput) -> Option<Fetched> {
    let credentials = output.credentials()?;
    let ends = SystemTime::try_from(*credentials.expiration()).ok()?;
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    if id.is_empty() || secret.is_empty() {
        return None;
    }
    let token = Some(credentials.session_token().to_owned()).filter(|token| !token.is_empty());
    let keys = AccessKeys { id: id.to_owned(), secret: secret.to_owned(), session_token: token };
    Some(Fetched { keys: Arc::new(keys), ends: Some(ends) })
}

fn failure(error: &SdkError<AssumeRoleError, HttpResponse>) -> AttemptError {
    let code = error.code();
    let raw = error.raw_response();
    let status = raw.map(|raw| raw.status().as_u16());
    let (is_transport, transport) = match error {
        SdkError::DispatchFailure(failure) => {
            let source = failure.as_connector_error().and_then(std::error::Error::source);
            (failure.is_io() || failure.is_timeout(), source.and_then(|source| source.downcast_ref::<TransportError>()))
        }
        SdkError::TimeoutError(_) => (true, None),
        _ => (false, None),
    };
    let message = match (raw, transport) {
        (None, Some(transport)) => transport.to_string(),
        (None, None) => chain(error),
        (Some(_), _) => {
            let text = error.message().unwrap_or("no error document");
            error.request_id().map_or_else(|| text.to_owned(), |id| format!("{text} [request {id}]"))
        }
    };
    let kind = code.and_then(kind_of_code).unwrap_or_else(|| kind_of_failure(code, status, is_transport));
    AttemptError { kind, code: code.map(one_line), status, message: one_line(&message) }
}

/// Codes that STS has for what S3 calls otherwise (AWS STS API Reference, "Common Error Types").
fn kind_of_code(code: &str) -> Option<AttemptErrorKind> {
    match code {
        "ExpiredTokenException" | "InvalidClientTokenId" => Some(AttemptErrorKind::Credentials),
        "IDPCommunicationError" => Some(AttemptErrorKind::Retry),
        _ => None,
    }
}
