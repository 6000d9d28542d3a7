//! Error answers that do not come from the backend.

use super::fault::Fault;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use s3s::{Body, HttpResponse};

/// The response header in which S3 tells where a bucket really is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// What stands between a sender and S3, and knows nothing of S3.
const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n\
     <body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n";

/// Status, code and message of an error, as S3 words them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorAnswer {
    status: StatusCode,
    /// None of an answer that is no error document.
    code: Option<&'static str>,
    message: String,
    /// Further elements of the error document: names and values.
    elements: Vec<(&'static str, String)>,
    /// The right region, where a header says so.
    bucket_region: Option<String>,
}

impl ErrorAnswer {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        let message = message.to_owned();
        Self { status, code: Some(code), message, elements: Vec::new(), bucket_region: None }
    }

    /// The answer to a request that was signed for another region.
    pub(super) fn wrong_region(signed: &str, right: &str) -> Self {
        let bucket_region = Some(right.to_owned());
        Self { bucket_region, ..Self::authorization_malformed(signed, right) }
    }

    fn authorization_malformed(signed: &str, right: &str) -> Self {
        let message =
            format!("The authorization header is malformed; the region '{signed}' is wrong; expecting '{right}'");
        let elements = vec![("Region", right.to_owned())];
        Self { elements, ..Self::new(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", &message) }
    }

    fn redirect(status: StatusCode, code: &'static str, message: &str, region: &str) -> Self {
        Self {
            elements: vec![("Endpoint", format!("s3.{region}.amazonaws.com"))],
            bucket_region: Some(region.to_owned()),
            ..Self::new(status, code, message)
        }
    }

    /// The page of a gateway that got no answer from behind it.
    pub(super) fn bad_gateway() -> Self {
        Self { code: None, ..Self::new(StatusCode::BAD_GATEWAY, "", GATEWAY_PAGE) }
    }

    pub(super) fn incomplete_body() -> Self {
        let message = "You did not provide the number of bytes specified by the Content-Length HTTP header";
        Self::new(StatusCode::BAD_REQUEST, "IncompleteBody", message)
    }

    pub(super) fn too_large() -> Self {
        let message = "Your proposed upload exceeds the maximum allowed size";
        Self::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
    }

    /// What S3 says for a fault, where `region` is the right one; `None` for those that say nothing.
    pub(super) fn of(fault: Fault, region: &str) -> Option<Self> {
        let (status, code, message) = match fault {
            Fault::RefuseConnections
            | Fault::ResetMidBody
            | Fault::ResetBeforeAnswer
            | Fault::ResetAfterStoring
            | Fault::Hang => return None,
            Fault::BadGateway => return Some(Self::bad_gateway()),
            Fault::IncompleteBody => return Some(Self::incomplete_body()),
            Fault::PermanentRedirect => {
                let message = "The bucket you are attempting to access must be addressed using the specified endpoint. \
                               Please send all future requests to this endpoint.";
                return Some(Self::redirect(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect", message, region));
            }
            Fault::TemporaryRedirect => {
                let message = "Please re-send this request to the specified temporary endpoint. \
                               Continue to use the original request endpoint for future requests.";
                return Some(Self::redirect(StatusCode::TEMPORARY_REDIRECT, "TemporaryRedirect", message, region));
            }
            // Of a fault nobody knows what the request was signed for: any other region will do.
            Fault::AuthorizationHeaderMalformed => return Some(Self::authorization_malformed("aws-global", region)),

            Fault::SlowDown => (503, "SlowDown", "Please reduce your request rate."),
            Fault::ServiceUnavailable => (503, "ServiceUnavailable", "Service is unable to handle request."),
            Fault::InternalError | Fault::InternalErrorAfterStoring => {
                (500, "InternalError", "We encountered an internal error. Please try again.")
            }
            Fault::RequestTimeout => {
                let message =
                    "Your socket connection to the server was not read from or written to within the timeout period.";
                (400, "RequestTimeout", message)
            }
            Fault::OperationAborted => {
                let message = "A conflicting conditional operation is currently in progress against this resource. \
                               Please try again.";
                (409, "OperationAborted", message)
            }
            Fault::ConditionalRequestConflict => {
                let message =
                    "The conditional request cannot succeed due to a conflicting operation against this resource.";
                (409, "ConditionalRequestConflict", message)
            }
            Fault::TooManyRequests => (429, "TooManyRequests", "Please reduce your request rate."),
            Fault::Throttling => (503, "ThrottlingException", "Rate exceeded"),
            Fault::KmsThrottling => (
                400,
                "KMS.ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            ),
            Fault::ExpiredToken => (400, "ExpiredToken", "The provided token has expired."),
            Fault::RequestExpired => (403, "RequestExpired", "Request has expired"),
            Fault::RequestTimeTooSkewed => (
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            Fault::InvalidAccessKeyId => {
                (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
            }
            Fault::AccessDenied => (403, "AccessDenied", "Access Denied"),
            Fault::SignatureDoesNotMatch => (
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            ),
            Fault::AllAccessDisabled => (403, "AllAccessDisabled", "All access to this object has been disabled"),
            Fault::NoSuchBucket => (404, "NoSuchBucket", "The specified bucket does not exist"),
            Fault::KmsDisabled => (400, "KMS.DisabledException", "The key is disabled."),
            Fault::NotImplemented => {
                (501, "NotImplemented", "A header you provided implies functionality that is not implemented")
            }
        };
        let status = StatusCode::from_u16(status).expect("a status of this table");
        Some(Self::new(status, code, message))
    }

    pub(super) fn into_response(self) -> HttpResponse {
        let (content_type, text) = match self.code {
            Some(code) => ("application/xml", self.document(code)),
            None => ("text/html", self.message),
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(Ok(region)) = self.bucket_region.map(HeaderValue::try_from) {
            headers.insert(BUCKET_REGION, region);
        }
        response
    }

    fn document(&self, code: &str) -> String {
        let elements: String =
            self.elements.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escaped(value))).collect();
        let message = escaped(&self.message);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>{message}</Message>{elements}</Error>"
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
