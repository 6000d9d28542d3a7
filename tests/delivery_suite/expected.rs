//! What is to come of a put that meets a fault, on a new connection, with keys that never change: all of it in one place.

use logspool::upload::store::AttemptErrorKind;
use sandbox::s3::Fault;

/// How the attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Well: what the fault was is healed within the attempt, by a second request.
    Healed,
    /// As this kind, after one request.
    With(AttemptErrorKind),
}

/// Of a put to a store whose region is the right one.
pub fn ends(fault: Fault) -> Ends {
    use AttemptErrorKind::{Configuration, Credentials, Retry, WrongRegion};
    match fault {
        Fault::RefuseConnections
        | Fault::ResetMidBody
        | Fault::ResetBeforeAnswer
        | Fault::ResetAfterStoring
        | Fault::Hang
        | Fault::SlowDown
        | Fault::ServiceUnavailable
        | Fault::InternalError
        | Fault::InternalErrorAfterStoring
        | Fault::RequestTimeout
        | Fault::OperationAborted
        | Fault::ConditionalRequestConflict
        | Fault::TooManyRequests
        | Fault::Throttling
        | Fault::KmsThrottling
        | Fault::IncompleteBody
        | Fault::BadGateway => Ends::With(Retry),

        Fault::ExpiredToken | Fault::InvalidAccessKeyId => Ends::With(Credentials),
        // Signed anew: the signature may have come late, as after a freeze.
        Fault::RequestExpired | Fault::RequestTimeTooSkewed => Ends::Healed,

        Fault::AccessDenied
        | Fault::SignatureDoesNotMatch
        | Fault::AllAccessDisabled
        | Fault::NoSuchBucket
        | Fault::KmsDisabled => Ends::With(Configuration),

        // It was signed for the region that is told: there is nothing to learn.
        Fault::PermanentRedirect | Fault::TemporaryRedirect | Fault::AuthorizationHeaderMalformed => {
            Ends::With(WrongRegion)
        }

        // A plain put in place of a conditional one.
        Fault::NotImplemented => Ends::Healed,
    }
}

/// Whether the object is there although the request was not answered with success.
pub fn stores(fault: Fault) -> bool {
    matches!(fault, Fault::InternalErrorAfterStoring | Fault::ResetAfterStoring)
}
