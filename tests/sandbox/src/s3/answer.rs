//! Error answers that do not come from the backend.

use super::fault::Fault;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use s3s::{Body, HttpResponse};

/// The response header in which S3 tells where a bucket really is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// Status, code and message of an error, as S3 words them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorAnswer {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The right region, for the error that says so.
    region: Option<String>,
}

impl ErrorAnswer {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned(), region: None }
    }

    /// The answer to a request that was signed for another region.
    pub(super) fn wrong_region(signed: &str, right: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "AuthorizationHeaderMalformed",
            message: format!(
                "The authorization header is malformed; the region '{signed}' is wrong; expecting '{right}'"
            ),
            region: Some(right.to_owned()),
        }
    }

    /// What S3 says for a fault; `None` for those that say nothing.
    pub(super) fn of(fault: Fault) -> Option<Self> {
        match fault {
            Fault::SlowDown => {
                Some(Self::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate."))
            }
            Fault::ServiceUnavailable => Some(Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                "Service is unable to handle request.",
            )),
            Fault::InternalError | Fault::InternalErrorAfterStoring => Some(Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "We encountered an internal error. Please try again.",
            )),
            Fault::AccessDenied => Some(Self::new(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied")),
            Fault::ExpiredToken => {
                Some(Self::new(StatusCode::BAD_REQUEST, "ExpiredToken", "The provided token has expired."))
            }
            Fault::RefuseConnections | Fault::ResetMidBody | Fault::Hang | Fault::ResetAfterStoring => None,
        }
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let region =
            self.region.as_ref().map(|region| format!("<Region>{}</Region>", escaped(region))).unwrap_or_default();
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{region}</Error>",
            self.code,
            escaped(&self.message),
        );
        let mut response = Response::new(Body::from(xml));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if let Some(Ok(region)) = self.region.map(HeaderValue::try_from) {
            headers.insert(BUCKET_REGION, region);
        }
        response
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
