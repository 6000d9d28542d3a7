//! The one request of a put, through the SDK: what is sent, and what came back.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Config, IdentityCache, Region, RequestChecksumCalculation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_xml::decode::{Document, try_data};

use super::super::body::{BodyFailure, RequestBody};
use super::super::connector::{Connector, TransportError};
use super::super::credentials::AccessKeys;
use super::super::meaning::{Answer, Meaning, meaning};
use super::super::{Object, PutError, PutErrorKind, chain, one_line};
use super::checksum;
use super::settings::{Encryption, S3Settings};

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
        .force_path_style(settings.path_style)
        .use_fips(settings.fips)
        .use_dual_stack(settings.dual_stack)
        .app_name(AppName::new("logspool").expect("the name has letters only"));
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// A request that did not end with success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: PutError,
    pub(super) meaning: Meaning,
    pub(super) was_stale: bool,
    /// Where the bucket is, in the store's words.
    pub(super) told_region: Option<String>,
}

/// Sends the request once.
pub(super) async fn put(
    client: &Client,
    keys: &AccessKeys,
    settings: &S3Settings,
    object: &Object<'_>,
    is_conditional: bool,
) -> Result<(), Refusal> {
    let length = i64::try_from(object.bytes).map_err(|_| own_bytes("the object is too long"))?;
    let checksum = checksum::header(settings.checksum, object).await.map_err(|error| own_bytes(&error.to_string()))?;
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
    let signing = Config::builder().credentials_provider(keys.to_sdk());
    match put.customize().config_override(signing).send().await {
        Ok(_) => Ok(()),
        // Our own bytes first: what the network made of a body that broke off says nothing.
        Err(error) => Err(body_failure.get().map_or_else(|| refusal(&error, is_conditional), |why| own_bytes(why))),
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

fn own_bytes(why: &str) -> Refusal {
    let (error, kind) = (PutError::new(PutErrorKind::Body, why), PutErrorKind::Body);
    Refusal { error, meaning: Meaning::Failed(kind), was_stale: false, told_region: None }
}

type PutSdkError = SdkError<PutObjectError, HttpResponse>;

fn refusal(error: &PutSdkError, was_conditional: bool) -> Refusal {
    let transport = transport_error(error);
    let (code, status) = (error.code(), error.raw_response().map(|raw| raw.status().as_u16()));
    let meaning = meaning(Answer { code, status, was_sent: was_sent(error), was_conditional });
    let kind = match meaning {
        Meaning::Failed(kind) => kind,
        Meaning::ConditionRefused | Meaning::AlreadyThere => PutErrorKind::Configuration,
    };
    let told_region = told_region(error);
    let message = match transport {
        Some(transport) => one_line(&transport.to_string()),
        None => message(error, told_region.as_deref()),
    };
    Refusal {
        error: PutError { kind, code: code.map(one_line), status, message },
        meaning,
        was_stale: transport.is_some_and(TransportError::is_stale),
        told_region,
    }
}

fn transport_error(error: &PutSdkError) -> Option<&TransportError> {
    let SdkError::DispatchFailure(failure) = error else {
        return None;
    };
    std::error::Error::source(failure.as_connector_error()?)?.downcast_ref()
}

fn was_sent(error: &PutSdkError) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::TimeoutError(_) => true,
        _ => false,
    }
}

/// Where the bucket is: a header of redirects, or an element of the error document.
fn told_region(error: &PutSdkError) -> Option<String> {
    let raw = error.raw_response()?;
    let of_header = raw.headers().get("x-amz-bucket-region").map(str::to_owned);
    of_header.or_else(|| region_of(std::str::from_utf8(raw.body().bytes()?).ok()?))
}

/// `<Error>…<Region>eu-west-1</Region>…</Error>`
fn region_of(document: &str) -> Option<String> {
    let mut document = Document::new(document);
    let mut root = document.root_element().ok()?;
    while let Some(mut element) = root.next_tag() {
        if element.start_el().local() == "Region" {
            return try_data(&mut element).ok().map(|region| region.trim().to_owned());
        }
    }
    None
}

/// What the store said, where the bucket is if it told, and the request id that its operators will ask for.
fn message(error: &PutSdkError, told_region: Option<&str>) -> String {
    if error.raw_response().is_none() {
        return chain(error);
    }
    let mut text = error.message().unwrap_or("no error document").to_owned();
    if let Some(region) = told_region {
        text.push_str(&format!(" (the bucket is in {region})"));
    }
    if let Some(request_id) = error.request_id() {
        text.push_str(&format!(" [request {request_id}]"));
    }
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_an_error_document() {
        let table = [
            ("<?xml version=\"1.0\"?><Error><Code>A</Code><Region>us-east-2</Region></Error>", Some("us-east-2")),
            ("<Error><Region> us-east-2\n</Region></Error>", Some("us-east-2")),
            ("<Error><Code>A</Code></Error>", None),
            ("<Error><Message>Region</Message></Error>", None),
            ("<html><body>502</body>", None),
            ("", None),
        ];
        for (document, region) in table {
            assert_eq!(region_of(document).as_deref(), region, "{document}");
        }
    }

    #[test]
    fn tags_are_written_as_a_query() {
        let tags = [("team", "payments"), ("cost center", "a&b=ü")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(tagging(&tags), "team=payments&cost%20center=a%26b%3D%C3%BC");
    }
}
