//! `s3://`: one PUT per object, through the AWS SDK over our own `connector`.
//!
//! * **One request per attempt.** The SDK's retries are off (it could not repeat a streamed body anyway); when to try again
//!   is decided elsewhere. One exception: when a kept connection breaks before it gave an answer, the same attempt sends
//!   the request once more over a new one. The first may have been carried out all the same; the second then writes the
//!   same bytes under the same key, or is told `412`, which means done.
//! * **The whole attempt is bounded** by [`S3Settings::request_timeout`]: name, connection, TLS, body and answer.
//! * `If-None-Match: *`: an object under our key is the same object, `412` is success.
//! * The digest of the sealed object is sent as `x-amz-checksum-crc64nvme`: S3 itself refuses bytes that do not match their
//!   key. The body is streamed as it is, with `content-length` and `UNSIGNED-PAYLOAD`; `aws-chunked` framing, which stores
//!   other than S3 may keep in the object's `content-encoding`, is never used.
//! * Everything that costs (SDK client, roots, connection) is made at the first put. Nothing is read from the environment.
//!
//! Time limits, retries, credentials' cache and checksums of the SDK are off because each has its owner here.

use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Config, IdentityCache, Region, RequestChecksumCalculation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::body::{BodyFailure, RequestBody};
use super::connector::{Connector, TransportError};
use super::credentials::{AccessKeys, CredentialSource, Credentials};
use super::proxy::ProxySettings;
use super::tls::Tls;
use super::{Object, ObjectStore, PutError, PutErrorKind, PutFuture, PutOutcome, chain, classify, one_line};

/// A whole attempt: S3 answers a PUT of a few MB in well below a second, and a function's shutdown lasts two.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// S3 closes connections that idle for some 20 seconds; what idled as long was frozen or is about to be closed.
pub const CONNECTION_IDLE_MAX_DEFAULT: Duration = Duration::from_secs(20);

/// Where objects go and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with: for log lines only, keys are complete when they arrive.
    pub prefix: String,
    /// The region of the bucket: part of every signature.
    pub region: String,
    /// `http://…` or `https://…` of another store than S3, or of S3 by another way.
    pub endpoint: Option<String>,
    /// The bucket's name is in the path instead of the host name.
    pub path_style: bool,
    /// Certificates that are trusted besides Mozilla's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Proxies between us and the store.
    pub proxies: ProxySettings,
    /// The longest an attempt may take.
    pub request_timeout: Duration,
    /// The longest a connection may idle, by the wall clock, and still be used.
    pub connection_idle_max: Duration,
    /// Send the digest, for the store to check.
    pub checksum: bool,
    /// Send `If-None-Match: *`.
    pub if_none_match: bool,
}

impl S3Settings {
    /// A bucket of S3, with every other setting at its default.
    #[must_use]
    pub fn new(bucket: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: region.into(),
            endpoint: None,
            path_style: false,
            ca_file: None,
            proxies: ProxySettings::default(),
            request_timeout: REQUEST_TIMEOUT_DEFAULT,
            connection_idle_max: CONNECTION_IDLE_MAX_DEFAULT,
            checksum: true,
            if_none_match: true,
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.bucket.is_empty() || self.bucket.contains(|c: char| c == '/' || !c.is_ascii_graphic()) {
            return Err(StoreError::Bucket(self.bucket.clone()));
        }
        if self.region.is_empty() || !self.region.bytes().all(is_region_byte) {
            return Err(StoreError::Region(self.region.clone()));
        }
        if self.request_timeout.is_zero() {
            return Err(StoreError::RequestTimeout);
        }
        match &self.endpoint {
            Some(endpoint) if !is_endpoint(endpoint) => Err(StoreError::Endpoint(endpoint.clone())),
            _ => Ok(()),
        }
    }
}

/// Names of regions become part of host names.
fn is_region_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_endpoint(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<hyper::Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.query().is_none()
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

/// Why there can be no store of these settings. What only the store itself can know is told by the first put.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The bucket's name is empty or has characters that no bucket has.
    Bucket(String),
    /// The region's name is empty or has characters that no region has.
    Region(String),
    /// The endpoint is not `http://host[:port][/path]` or `https://…`.
    Endpoint(String),
    /// Attempts may take no time at all.
    RequestTimeout,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(bucket) => write!(f, "`{}` is no name of a bucket", one_line(bucket)),
            Self::Region(region) => write!(f, "`{}` is no name of a region", one_line(region)),
            // It may hold a password: only the rule is told.
            Self::Endpoint(_) => {
                write!(f, "the endpoint is not of the form http://host[:port][/path] or https://host[:port][/path]")
            }
            Self::RequestTimeout => write!(f, "the request timeout is 0: it must be longer"),
        }
    }
}

impl std::error::Error for StoreError {}

/// A bucket.
pub struct S3Store {
    settings: S3Settings,
    credentials: Credentials,
    connector: Connector,
    client: OnceLock<Client>,
}

impl S3Store {
    /// Checks the settings; touches neither network nor files.
    ///
    /// # Errors
    /// Settings of which no request can be made.
    pub fn new(settings: S3Settings, credentials: CredentialSource) -> Result<Self, StoreError> {
        settings.check()?;
        let tls = Tls::new(settings.ca_file.clone());
        let connector = Connector::new(tls, settings.proxies.clone(), settings.connection_idle_max);
        Ok(Self {
            credentials: Credentials::new(credentials, &connector),
            connector,
            settings,
            client: OnceLock::new(),
        })
    }

    async fn attempt(&self, object: &Object<'_>) -> Result<PutOutcome, PutError> {
        let keys = self.credentials.keys().await?;
        let client = self.client.get_or_init(|| Client::from_conf(sdk_config(&self.settings, &self.connector)));
        let error = match self.request(client, &keys, object).await {
            Err(Failure::StaleConnection(_)) => match self.request(client, &keys, object).await {
                Ok(outcome) => return Ok(outcome),
                Err(Failure::StaleConnection(error) | Failure::Final(error)) => error,
            },
            Ok(outcome) => return Ok(outcome),
            Err(Failure::Final(error)) => error,
        };
        if error.kind == PutErrorKind::Credentials {
            self.credentials.refused(&keys);
        }
        Err(PutError { message: self.credentials.redact(error.message), ..error })
    }

    async fn request(&self, client: &Client, keys: &AccessKeys, object: &Object<'_>) -> Result<PutOutcome, Failure> {
        let length = i64::try_from(object.bytes)
            .map_err(|_| Failure::Final(PutError::new(PutErrorKind::Body, "the object is too long")))?;
        let body_failure = BodyFailure::default();
        let body = RequestBody::new(object.body.chunks(), object.bytes, body_failure.clone());
        let mut put = client
            .put_object()
            .bucket(&self.settings.bucket)
            .key(object.key)
            .content_length(length)
            .content_type(object.content_type)
            .body(ByteStream::from_body_1_x(body));
        if self.settings.checksum {
            put = put.checksum_crc64_nvme(BASE64.encode(object.crc64_nvme.to_be_bytes()));
        }
        if self.settings.if_none_match {
            put = put.if_none_match("*");
        }
        for (name, value) in object.metadata {
            put = put.metadata(*name, value);
        }
        // Keys change in the life of a client.
        let signing = Config::builder().credentials_provider(keys.to_sdk());
        match put.customize().config_override(signing).send().await {
            Ok(_) => Ok(PutOutcome::Stored),
            Err(error) if self.settings.if_none_match && status(&error) == Some(412) => Ok(PutOutcome::AlreadyThere),
            Err(error) => Err(failure(&error, body_failure.get())),
        }
    }
}

impl ObjectStore for S3Store {
    fn put<'a>(&'a self, object: &'a Object<'a>) -> PutFuture<'a> {
        Box::pin(async move {
            let limit = self.settings.request_timeout;
            tokio::time::timeout(limit, self.attempt(object)).await.unwrap_or_else(|_elapsed| {
                Err(PutError::new(PutErrorKind::Retry, format!("no answer within {limit:?}")))
            })
        })
    }

    fn describe(&self) -> String {
        let S3Settings { bucket, prefix, .. } = &self.settings;
        let separator = if prefix.is_empty() { "" } else { "/" };
        format!("s3://{bucket}{separator}{prefix}")
    }

    fn close_idle(&self) {
        self.connector.close_idle();
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn sdk_config(settings: &S3Settings, connector: &Connector) -> Config {
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(settings.region.clone()))
        .identity_cache(IdentityCache::no_cache())
        .http_client(connector.clone())
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .force_path_style(settings.path_style)
        .app_name(AppName::new("logspool").expect("the name has letters only"));
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    config.build()
}

/// Why a request failed, and whether it may be sent once more at once.
enum Failure {
    StaleConnection(PutError),
    Final(PutError),
}

type PutSdkError = SdkError<PutObjectError, HttpResponse>;

/// Our own bytes first: what the network made of a body that broke off says nothing.
fn failure(error: &PutSdkError, body_failure: Option<&String>) -> Failure {
    if let Some(message) = body_failure {
        return Failure::Final(PutError::new(PutErrorKind::Body, message));
    }
    let transport = transport_error(error);
    let code = error.code();
    let status = status(error);
    let put_error = PutError {
        kind: classify(code, status, is_transport(error)),
        code: code.map(one_line),
        status,
        message: match transport {
            Some(transport) => one_line(&transport.to_string()),
            None => message(error),
        },
    };
    if transport.is_some_and(TransportError::is_stale) {
        Failure::StaleConnection(put_error)
    } else {
        Failure::Final(put_error)
    }
}

fn status(error: &PutSdkError) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

fn transport_error(error: &PutSdkError) -> Option<&TransportError> {
    let SdkError::DispatchFailure(failure) = error else {
        return None;
    };
    std::error::Error::source(failure.as_connector_error()?)?.downcast_ref()
}

fn is_transport(error: &PutSdkError) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::TimeoutError(_) => true,
        _ => false,
    }
}

/// What the store said, where the bucket is if it told, and the request id that its operators will ask for.
fn message(error: &PutSdkError) -> String {
    let Some(raw) = error.raw_response() else {
        return chain(error);
    };
    let mut text = error.message().unwrap_or("no error document").to_owned();
    if let Some(region) = raw.headers().get("x-amz-bucket-region") {
        text.push_str(&format!(" (the bucket is in {region})"));
    }
    if let Some(request_id) = error.request_id() {
        text.push_str(&format!(" [request {request_id}]"));
    }
    one_line(&text)
}

#[cfg(test)]
mod tests;
