//! What an answer of S3 to a put means: pure, and complete.
//!
//! The code of the error document first, the HTTP status second, whether there was an answer at all last (Amazon S3 API
//! Reference, "Error responses": new codes may appear, and the same code comes with different statuses).

use super::AttemptErrorKind;

/// What is known of a put that did not end with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The code of the error document.
    pub code: Option<&'a str>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The request left for the network, whatever came of it. One that never did is a matter of configuration.
    pub was_sent: bool,
    /// It carried `If-None-Match: *`.
    pub was_conditional: bool,
}

/// What it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// An object of this key is there. The key contains the digest of the bytes: it is the same object, so this is success.
    AlreadyThere,
    /// Whoever answered cannot do conditional puts. A plain one writes the same bytes under the same key.
    ConditionRefused,
    /// It failed, and this is to be done.
    Failed(AttemptErrorKind),
}

/// Every answer has one meaning.
#[must_use]
pub fn meaning(answer: Answer<'_>) -> Meaning {
    if answer.was_conditional {
        let is_code = |codes: &[&str]| answer.code.is_some_and(|code| codes.contains(&code));
        match answer.status {
            Some(412) => return Meaning::AlreadyThere,
            Some(501) => return Meaning::ConditionRefused,
            // Words of stores that do not know the header for "the request makes no sense".
            Some(400) if is_code(&["NotImplemented", "InvalidArgument", "InvalidRequest", "UnsupportedOperation"]) => {
                return Meaning::ConditionRefused;
            }
            _ => {}
        }
    }
    Meaning::Failed(kind_of_failure(answer.code, answer.status, answer.was_sent))
}

/// What to do about a failed request of whatever kind to AWS.
pub(super) fn kind_of_failure(code: Option<&str>, status: Option<u16>, was_sent: bool) -> AttemptErrorKind {
    let of_nothing = if was_sent { AttemptErrorKind::Retry } else { AttemptErrorKind::Configuration };
    code.and_then(kind_of_code).or_else(|| status.map(kind_of_status)).unwrap_or(of_nothing)
}

fn kind_of_code(code: &str) -> Option<AttemptErrorKind> {
    Some(match code {
        "InternalError"
        | "SlowDown"
        | "ServiceUnavailable"
        | "RequestTimeout"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "IncompleteBody"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "BandwidthLimitExceeded"
        | "LimitExceededException" => AttemptErrorKind::Retry,
        // `Throttling`, `ThrottlingException`, `RequestThrottled`, `KMS.ThrottlingException`
        throttled if throttled.contains("Throttl") => AttemptErrorKind::Retry,
        // What KMS says of itself, not of the key
        "KMS.DependencyTimeoutException" | "KMS.InternalException" | "KMS.KeyUnavailableException" => {
            AttemptErrorKind::Retry
        }

        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "InvalidAccessKeyId" => AttemptErrorKind::Credentials,

        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException"
        | "IncorrectEndpoint" => AttemptErrorKind::WrongRegion,

        "BadDigest" | "XAmzContentChecksumMismatch" => AttemptErrorKind::Body,

        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "NotSignedUp"
        | "SignatureDoesNotMatch"
        | "NoSuchBucket"
        | "NoSuchAccessPoint"
        | "InvalidBucketName"
        | "InvalidStorageClass"
        | "InvalidTag"
        | "InvalidRequest"
        | "InvalidArgument"
        | "EntityTooLarge"
        | "KeyTooLongError"
        | "MetadataTooLarge"
        | "MethodNotAllowed"
        | "NotImplemented" => AttemptErrorKind::Configuration,
        // The key: disabled, not found, pending deletion, not ours to use
        kms if kms.starts_with("KMS.") => AttemptErrorKind::Configuration,

        _ => return None,
    })
}

/// Answers without a code that we know: 4xx says that the request is wrong and will stay wrong, 5xx that the store is in
/// trouble, but for a store that says it cannot do what we ask.
fn kind_of_status(status: u16) -> AttemptErrorKind {
    match status {
        300..=399 => AttemptErrorKind::WrongRegion,
        408 | 409 | 425 | 429 => AttemptErrorKind::Retry,
        400..=499 | 501 | 505 => AttemptErrorKind::Configuration,
        // 5xx, and answers that make no sense, such as 200 with an error in it
        _ => AttemptErrorKind::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AttemptErrorKind::{Body, Configuration, Credentials, Retry, WrongRegion};

    fn answers(code: Option<&str>, status: Option<u16>) -> impl Iterator<Item = Answer<'_>> {
        let both = [false, true];
        both.into_iter()
            .flat_map(move |was_sent| both.map(|was_conditional| Answer { code, status, was_sent, was_conditional }))
    }

    #[test]
    fn every_code_has_its_meaning_whatever_the_status() {
        let table = [
            ("InternalError", Retry),
            ("SlowDown", Retry),
            ("ServiceUnavailable", Retry),
            ("RequestTimeout", Retry),
            ("OperationAborted", Retry),
            ("ConditionalRequestConflict", Retry),
            ("IncompleteBody", Retry),
            ("Throttling", Retry),
            ("ThrottlingException", Retry),
            ("RequestThrottled", Retry),
            ("RequestLimitExceeded", Retry),
            ("TooManyRequests", Retry),
            ("TooManyRequestsException", Retry),
            ("BandwidthLimitExceeded", Retry),
            ("LimitExceededException", Retry),
            ("KMS.ThrottlingException", Retry),
            ("KMS.InternalException", Retry),
            ("KMS.KeyUnavailableException", Retry),
            ("KMS.DependencyTimeoutException", Retry),
            ("ExpiredToken", Credentials),
            ("ExpiredTokenException", Credentials),
            ("InvalidToken", Credentials),
            ("TokenRefreshRequired", Credentials),
            ("RequestExpired", Credentials),
            ("RequestTimeTooSkewed", Credentials),
            ("InvalidAccessKeyId", Credentials),
            ("AccessDenied", Configuration),
            ("AccountProblem", Configuration),
            ("NotSignedUp", Configuration),
            ("SignatureDoesNotMatch", Configuration),
            ("AllAccessDisabled", Configuration),
            ("NoSuchBucket", Configuration),
            ("NoSuchAccessPoint", Configuration),
            ("InvalidBucketName", Configuration),
            ("InvalidStorageClass", Configuration),
            ("InvalidTag", Configuration),
            ("EntityTooLarge", Configuration),
            ("KeyTooLongError", Configuration),
            ("MetadataTooLarge", Configuration),
            ("MethodNotAllowed", Configuration),
            ("KMS.DisabledException", Configuration),
            ("KMS.NotFoundException", Configuration),
            ("KMS.KMSInvalidStateException", Configuration),
            ("PermanentRedirect", WrongRegion),
            ("TemporaryRedirect", WrongRegion),
            ("Redirect", WrongRegion),
            ("AuthorizationHeaderMalformed", WrongRegion),
            ("IllegalLocationConstraintException", WrongRegion),
            ("IncorrectEndpoint", WrongRegion),
            ("BadDigest", Body),
            ("XAmzContentChecksumMismatch", Body),
        ];
        for (code, kind) in table {
            for status in [None, Some(200), Some(307), Some(400), Some(403), Some(404), Some(409), Some(500), Some(503)]
            {
                for answer in answers(Some(code), status) {
                    assert_eq!(meaning(answer), Meaning::Failed(kind), "{answer:?}");
                }
            }
        }
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        let table = [
            (200, Retry),
            (204, Retry),
            (301, WrongRegion),
            (302, WrongRegion),
            (307, WrongRegion),
            (308, WrongRegion),
            (400, Configuration),
            (401, Configuration),
            (403, Configuration),
            (404, Configuration),
            (405, Configuration),
            (408, Retry),
            (409, Retry),
            (411, Configuration),
            (413, Configuration),
            (425, Retry),
            (429, Retry),
            (500, Retry),
            (502, Retry),
            (503, Retry),
            (504, Retry),
            (505, Configuration),
            (599, Retry),
            (999, Retry),
        ];
        for (status, kind) in table {
            for code in [None, Some("SomethingNew"), Some("")] {
                for answer in answers(code, Some(status)) {
                    assert_eq!(meaning(answer), Meaning::Failed(kind), "{answer:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_condition_is_answered_means_something_else_without_one() {
        let table = [
            (Some("PreconditionFailed"), 412, Meaning::AlreadyThere),
            (None, 412, Meaning::AlreadyThere),
            (Some("NotImplemented"), 501, Meaning::ConditionRefused),
            (None, 501, Meaning::ConditionRefused),
            (Some("InvalidArgument"), 400, Meaning::ConditionRefused),
            (Some("InvalidRequest"), 400, Meaning::ConditionRefused),
            (Some("UnsupportedOperation"), 400, Meaning::ConditionRefused),
        ];
        for (code, status, expected) in table {
            for answer in answers(code, Some(status)) {
                let plain = Meaning::Failed(Configuration);
                assert_eq!(meaning(answer), if answer.was_conditional { expected } else { plain }, "{answer:?}");
            }
        }
    }

    #[test]
    fn without_an_answer_the_network_may_recover_and_a_request_never_sent_will_not() {
        for answer in answers(None, None) {
            let kind = if answer.was_sent { Retry } else { Configuration };
            assert_eq!(meaning(answer), Meaning::Failed(kind));
        }
    }
}
