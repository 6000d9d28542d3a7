//! The one request of a put, through the SDK: what is sent, and what came back.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Builder as ConfigBuilder, Config, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use aws_smithy_async::rt::sleep::TokioSleep;

use super::super::body::{BodyFailure, RequestBody};
use super::super::connector::Connector;
use super::super::credentials::AccessKeys;
use super::super::meaning::Meaning;
use super::super::{Object, PutOutcome};
use super::refusal::Refusal;
use super::settings::{Encryption, S3Settings};
use super::{Operation, checksum};

/// A client for one region. Keys change in its life, so each request brings them. Time limits, retries, credentials' cache and checksums of the SDK are off
/// because each has its owner here.
pub(super) fn client(settings: &S3Settings, region: &str, connector: &Connector) -> Client {
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .identity_cache(IdentityCache::no_cache())
        .http_client(connector.clone())
        .sleep_impl(TokioSleep::new())
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.path_style)
        .use_fips(settings.fips)
        .use_dual_stack(settings.dual_stack)
        .app_name(AppName::new("logspool").expect("the name has letters only"));
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// An object to store.
pub(super) struct Put<'a> {
    pub(super) settings: &'a S3Settings,
    pub(super) object: &'a Object<'a>,
}

impl Operation for Put<'_> {
    type Answer = PutOutcome;

    async fn send(&self, client: &Client, keys: &AccessKeys, is_conditional: bool) -> Result<PutOutcome, Refusal> {
        match put(client, keys, self.settings, self.object, is_conditional).await {
            Ok(()) => Ok(PutOutcome::Stored),
            Err(Refusal { meaning: Meaning::AlreadyThere, .. }) => Ok(PutOutcome::AlreadyThere),
            Err(refusal) => Err(refusal),
        }
    }
}

/// What signs one request.
pub(super) fn signing(keys: &AccessKeys) -> ConfigBuilder {
    Config::builder().credentials_provider(keys.to_sdk())
}

async fn put(
    client: &Client,
    keys: &AccessKeys,
    settings: &S3Settings,
    object: &Object<'_>,
    is_conditional: bool,
) -> Result<(), Refusal> {
    let length = i64::try_from(object.bytes).map_err(|_| Refusal::own_bytes("the object is too long"))?;
    let checksum =
        checksum::header(settings.checksum, object).await.map_err(|error| Refusal::own_bytes(&error.to_string()))?;
    let body_failure = BodyFailure::default();
    let body = RequestBody::new(object.body.chunks(), object.bytes, body_failure.clone());
    let mut put = with_options(client.put_object(), settings)
        .bucket(settings.bucket.name())
        .key(settings.prefix.join(object.key))
        .content_length(length)
        .content_type(object.content_type)
        .body(ByteStream::from_body_1_x(body));
    put = match checksum {
        Some(checksum::Header::Crc64Nvme(value)) => put.checksum_crc64_nvme(value),
        Some(checksum::Header::Crc32(value)) => put.checksum_crc32(value),
        Some(checksum::Header::ContentMd5(value)) => put.content_md5(value),
        None => put,
    };
    if is_conditional {
        put = put.if_none_match("*");
    }
    for (name, value) in object.metadata {
        put = put.metadata(*name, value);
    }
    match put.customize().config_override(signing(keys)).send().await {
        Ok(_) => Ok(()),
        // Our own bytes first: what the network made of a body that broke off says nothing.
        Err(error) => {
            Err(body_failure.get().map_or_else(|| Refusal::of(&error, is_conditional), |why| Refusal::own_bytes(why)))
        }
    }
}

/// What is the same for every object.
fn with_options(mut put: PutObjectFluentBuilder, settings: &S3Settings) -> PutObjectFluentBuilder {
    for (name, value) in &settings.metadata {
        put = put.metadata(name, value);
    }
    if !settings.tags.is_empty() {
        put = put.tagging(tagging(&settings.tags));
    }
    put = match &settings.encryption {
        None => put,
        Some(Encryption::S3) => put.server_side_encryption(ServerSideEncryption::Aes256),
        Some(Encryption::Kms { key_id, bucket_key }) => put
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .set_ssekms_key_id(key_id.clone())
            .set_bucket_key_enabled(*bucket_key),
        Some(Encryption::KmsTwice { key_id }) => {
            put.server_side_encryption(ServerSideEncryption::AwsKmsDsse).set_ssekms_key_id(key_id.clone())
        }
    };
    put.set_storage_class(settings.storage_class.as_deref().map(StorageClass::from))
        .set_expected_bucket_owner(settings.bucket_owner.clone())
}

/// Tags as the header has them: the query part of a URL.
fn tagging(tags: &[(String, String)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<_> = tags.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_a_query() {
        let tags = [("team", "payments"), ("cost center", "a&b=ü")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(tagging(&tags), "team=payments&cost%20center=a%26b%3D%C3%BC");
    }
}
