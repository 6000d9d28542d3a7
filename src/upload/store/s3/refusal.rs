//! A request that did not end with success: what the SDK makes of it, as plain values.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId as _;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_xml::decode::{Document, try_data};

use super::super::connector::TransportError;
use super::super::meaning::{Answer, Meaning, meaning};
use super::super::{AttemptError, AttemptErrorKind, chain, one_line};

/// A request that did not end with success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: AttemptError,
    pub(super) meaning: Meaning,
    pub(super) was_stale: bool,
    /// Where the bucket is, in the store's words.
    pub(super) told_region: Option<String>,
}

impl Refusal {
    /// Our own bytes are at fault.
    pub(super) fn own_bytes(why: &str) -> Self {
        let (error, kind) = (AttemptError::new(AttemptErrorKind::Body, why), AttemptErrorKind::Body);
        Self { error, meaning: Meaning::Failed(kind), was_stale: false, told_region: None }
    }

    /// The answer is none that can be used.
    pub(super) fn unusable(why: &str) -> Self {
        let (error, kind) = (AttemptError::new(AttemptErrorKind::Retry, why), AttemptErrorKind::Retry);
        Self { error, meaning: Meaning::Failed(kind), was_stale: false, told_region: None }
    }

    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, was_conditional: bool) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let transport = transport_error(error);
        let (code, status) = (error.code(), error.raw_response().map(|raw| raw.status().as_u16()));
        let meaning = meaning(Answer { code, status, was_sent: was_sent(error), was_conditional });
        let kind = match meaning {
            Meaning::Failed(kind) => kind,
            Meaning::ConditionRefused | Meaning::AlreadyThere => AttemptErrorKind::Configuration,
        };
        let told_region = told_region(error);
        let message = match transport {
            Some(transport) => one_line(&transport.to_string()),
            None => message(error, told_region.as_deref()),
        };
        Self {
            error: AttemptError { kind, code: code.map(one_line), status, message },
            meaning,
            was_stale: transport.is_some_and(TransportError::is_stale),
            told_region,
        }
    }
}

fn transport_error<E>(error: &SdkError<E, HttpResponse>) -> Option<&TransportError> {
    let SdkError::DispatchFailure(failure) = error else {
        return None;
    };
    std::error::Error::source(failure.as_connector_error()?)?.downcast_ref()
}

fn was_sent<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::TimeoutError(_) => true,
        _ => false,
    }
}

/// Where the bucket is: a header of redirects, or an element of the error document.
fn told_region<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
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
fn message<E>(error: &SdkError<E, HttpResponse>, told_region: Option<&str>) -> String
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
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
}
