//! What a person can do about a failure of S3: pure.
//!
//! The store's code first, then what the connection met, then the HTTP status: as `upload::store::meaning` reads an
//! answer.

use crate::upload::store::AttemptError;
use crate::upload::store::credentials::{CredentialFacts, NOWHERE};
use crate::upload::store::s3::{Encryption, IfNoneMatch, S3Settings};
use crate::upload::store::witness::{Seen, Stage, Trouble};

/// How fresh credentials come into a shell.
const FRESH: &str = "On a laptop: eval \"$(aws configure export-credentials --format env)\".";

/// A request that failed.
pub(super) struct Failed<'a> {
    pub(super) error: &'a AttemptError,
    pub(super) seen: &'a Seen,
    pub(super) settings: &'a S3Settings,
}

impl Failed<'_> {
    /// What to do about it.
    pub(super) fn remedy(&self) -> String {
        if let Some(code) = self.error.code.as_deref()
            && let Some(remedy) = self.of_code(code)
        {
            return remedy;
        }
        if let Some(trouble) = self.seen.trouble {
            return self.of_trouble(trouble);
        }
        match self.error.status {
            Some(status) => self.of_status(status),
            None => self.of_silence(),
        }
    }

    fn of_code(&self, code: &str) -> Option<String> {
        let bucket = self.settings.bucket.name();
        Some(match code {
            "AccessDenied" | "AccessDeniedException" | "Forbidden" => self.of_denial(),
            "NoSuchBucket" => format!(
                "There is no bucket {bucket} there. Check its name; or make it: aws s3 mb s3://{bucket} --region {}",
                self.settings.first_region()
            ),
            "NoSuchAccessPoint" => format!("There is no access point {bucket}. Check its ARN."),
            "InvalidAccessKeyId" => format!("{UNKNOWN_KEY} {FRESH}"),
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => format!("{ENDED} {FRESH}"),
            "InvalidToken" => format!("{OTHER_TOKEN} {FRESH}"),
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "Redirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "IncorrectEndpoint" => self.of_region(),
            "NotImplemented" | "InvalidRequest" | "InvalidArgument" | "UnsupportedOperation" => self.of_refusal(),
            code => match of_code_alone(code) {
                Some(remedy) => remedy.to_owned(),
                None if code.starts_with("KMS.") => format!(
                    "The KMS key cannot be used: allow kms:GenerateDataKey on {} in the role and in the key's policy.",
                    self.kms_key()
                ),
                None => return None,
            },
        })
    }

    fn of_denial(&self) -> String {
        let mut actions = vec!["s3:PutObject"];
        if !self.settings.tags.is_empty() {
            actions.push("s3:PutObjectTagging");
        }
        let mut text = format!(
            "Allow {} on {} to the function's role, and deny it nowhere (bucket policy, VPC endpoint policy).",
            actions.join(" and "),
            objects_arn(self.settings)
        );
        if let Some(Encryption::Kms { .. } | Encryption::KmsTwice { .. }) = self.settings.encryption {
            text.push_str(&format!(" Allow kms:GenerateDataKey on {}.", self.kms_key()));
        }
        if let Some(owner) = &self.settings.bucket_owner {
            text.push_str(&format!(" The bucket must belong to account {owner} (LOGSPOOL_S3_BUCKET_OWNER)."));
        }
        if self.settings.if_none_match == IfNoneMatch::Never {
            text.push_str(" A bucket policy may ask for conditional puts: LOGSPOOL_S3_IF_NONE_MATCH is false.");
        }
        text
    }

    fn kms_key(&self) -> &str {
        match &self.settings.encryption {
            Some(Encryption::Kms { key_id: Some(key), .. } | Encryption::KmsTwice { key_id: Some(key) }) => key,
            _ => "the bucket's default key",
        }
    }

    fn of_region(&self) -> String {
        match self.seen.answer.as_ref().and_then(|answer| answer.header("x-amz-bucket-region")) {
            Some(region) => format!("The bucket is in {region}: set LOGSPOOL_S3_REGION={region}."),
            None => {
                "The bucket is in another region: set LOGSPOOL_S3_REGION to it (aws s3api get-bucket-location tells)."
                    .into()
            }
        }
    }

    /// The store does not know something that was asked for.
    fn of_refusal(&self) -> String {
        let mut hints = Vec::new();
        if self.settings.if_none_match == IfNoneMatch::Always {
            hints.push("LOGSPOOL_S3_IF_NONE_MATCH=auto (it may not know conditional puts)");
        }
        hints.push("LOGSPOOL_S3_CHECKSUM=md5 or crc32 (it may not know CRC-64/NVME; with Object Lock it needs one)");
        if self.settings.encryption.is_some() {
            hints.push("LOGSPOOL_S3_SSE unset (it may not know this encryption)");
        }
        format!("The store does not take what was asked for. Try {}.", hints.join("; "))
    }

    fn of_trouble(&self, trouble: Trouble) -> String {
        let place = self.where_to();
        match trouble {
            Trouble::Name => {
                format!("The name has no address. Check {place}; in a VPC, enable DNS support and DNS host names.")
            }
            Trouble::Refused => format!("Nobody listens there. Check {place} and the proxy, if one is set."),
            Trouble::Unreachable => NO_WAY.to_owned(),
            Trouble::UnknownAuthority => UNKNOWN_AUTHORITY.to_owned(),
            Trouble::Certificate => format!(
                "The certificate is of another name or out of its time. Check {place}, and the clock of this machine."
            ),
            Trouble::Tls => format!(
                "Whoever answers speaks no TLS, or not 1.2 or later. Check {place}: is it http:// and another port?"
            ),
            Trouble::Proxy => PROXY.to_owned(),
            Trouble::CaFile => {
                "Correct LOGSPOOL_S3_CA_FILE: it must be a readable PEM file with certificates.".to_owned()
            }
            Trouble::Lost => format!(
                "The connection broke off. Once is bad luck; if it stays, check {place} and what stands in between."
            ),
            Trouble::Nonsense => format!("That is no answer of S3. Check {place}."),
        }
    }

    fn of_status(&self, status: u16) -> String {
        match status {
            300..=399 => self.of_region(),
            401 | 403 => self.of_denial(),
            408 | 425 | 429 | 500.. => PASSES.into(),
            _ => format!("Whoever answers does not speak as S3 does. Check {}.", self.where_to()),
        }
    }

    fn of_silence(&self) -> String {
        let remedy = match self.seen.stage {
            Some(Stage::Connecting) => NO_WAY,
            Some(Stage::Sent) => NO_ANSWER,
            Some(Stage::Answered) | None => "See the message; the README lists the settings LOGSPOOL_S3_….",
        };
        remedy.to_owned()
    }

    fn where_to(&self) -> &'static str {
        match self.settings.endpoint {
            Some(_) => "LOGSPOOL_S3_ENDPOINT (or AWS_ENDPOINT_URL_S3)",
            None => "LOGSPOOL_S3_REGION (or AWS_REGION)",
        }
    }
}

/// Codes whose remedy depends on nothing else.
fn of_code_alone(code: &str) -> Option<&'static str> {
    Some(match code {
        "AllAccessDisabled" | "AccountProblem" | "NotSignedUp" => {
            "The account behind the bucket is not in order; AWS Support can tell why."
        }
        "InvalidBucketName" => "Check the name of the bucket in LOGSPOOL_DESTINATION.",
        "SignatureDoesNotMatch" => OTHER_SECRET,
        "RequestTimeTooSkewed" | "RequestExpired" => {
            "Set the clock of this machine (NTP): S3 refuses requests from 15 minutes on."
        }
        "KMS.NotFoundException" => NO_KMS_KEY,
        "KMS.DisabledException" => "The KMS key is disabled: enable it, or name another one in LOGSPOOL_S3_KMS_KEY_ID.",
        "KMS.InvalidStateException" | "KMS.KMSInvalidStateException" => {
            "The KMS key cannot be used, most likely because it is to be deleted: cancel that, or name another one."
        }
        "InvalidStorageClass" => "The store does not know LOGSPOOL_S3_STORAGE_CLASS: unset it.",
        "InvalidTag" => "The store does not take LOGSPOOL_S3_TAGS: see its rules for tags.",
        "MetadataTooLarge" => "LOGSPOOL_S3_METADATA is too long: shorten it.",
        "BadDigest" | "XAmzContentChecksumMismatch" => {
            "The bytes that arrived are not those that were sent: something on the way changes them (a proxy?)."
        }
        "MethodNotAllowed" => "Whoever answers takes no PUT: is LOGSPOOL_S3_ENDPOINT the address of an S3 API?",
        "SlowDown" | "ServiceUnavailable" | "InternalError" => PASSES,
        throttled if throttled.contains("Throttl") => PASSES,
        _ => return None,
    })
}

const UNKNOWN_KEY: &str =
    "The store does not know AWS_ACCESS_KEY_ID: it was deleted, or is of another store (LOGSPOOL_S3_ENDPOINT).";
const ENDED: &str =
    "The credentials have come to their end: get fresh ones; Lambda gives each new environment its own.";
const OTHER_TOKEN: &str = "AWS_SESSION_TOKEN is not the one of this access key: set all three variables together.";
const OTHER_SECRET: &str = "AWS_SECRET_ACCESS_KEY is not the one of this access key (a blank at its end?), or \
    something on the way changes requests: look at LOGSPOOL_S3_ENDPOINT, LOGSPOOL_S3_PATH_STYLE and proxies.";
const NO_KMS_KEY: &str = "There is no such key in the region of the bucket: LOGSPOOL_S3_KMS_KEY_ID, or the bucket's \
    default encryption, names it.";
const UNKNOWN_AUTHORITY: &str = "Name the authority's certificate (PEM) in LOGSPOOL_S3_CA_FILE: that of a store of \
    your own, or of whoever inspects TLS on the way.";
const PROXY: &str = "Check LOGSPOOL_S3_PROXY or HTTPS_PROXY, its user and password, and what it lets through; NO_PROXY \
    names hosts that need none.";
const PASSES: &str = "This passes by itself as a rule: the extension keeps logs in the spool and tries again. Look \
    again in a minute.";
const NO_WAY: &str = "No connection could be made. A function in a VPC needs a gateway endpoint for S3 or a NAT, and a \
    security group that lets HTTPS out; elsewhere a proxy may be needed (LOGSPOOL_S3_PROXY).";
const NO_ANSWER: &str = "There was a connection and no answer in time. Try again; raise LOGSPOOL_REQUEST_TIMEOUT if \
    the store is slow.";
const NO_ROLE: &str =
    "STS does not give the role. In a VPC it needs an interface endpoint for STS or a NAT; see the message.";
const NO_CONTAINER: &str = "The endpoint that gives credentials does not. It is there in restored (SnapStart) and \
    container environments only: unset AWS_CONTAINER_CREDENTIALS_FULL_URI elsewhere.";
const MISSING: &str = "Lambda sets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; profiles and ~/.aws \
    are not read.";
const MISSING_TOKEN: &str =
    "Keys that begin with ASIA are good only with AWS_SESSION_TOKEN: set all three variables together.";

/// Why there are no credentials, and what to do.
pub(super) fn of_credentials(facts: &CredentialFacts, error: &AttemptError) -> String {
    match (&facts.role_arn, error.code.as_deref()) {
        (Some(role), Some("AccessDenied" | "AccessDeniedException")) => format!(
            "Allow sts:AssumeRole on {role} to the function's role, and let the trust policy of {role} name that role; \
             check LOGSPOOL_S3_EXTERNAL_ID."
        ),
        _ if facts.source.ends_with(NOWHERE) => format!("{MISSING} {FRESH}"),
        (Some(_), _) => NO_ROLE.to_owned(),
        (None, _) => NO_CONTAINER.to_owned(),
    }
}

/// Temporary keys without their token.
pub(super) fn of_missing_token() -> String {
    format!("{MISSING_TOKEN} {FRESH}")
}

/// All objects below the prefix, as a policy names them.
fn objects_arn(settings: &S3Settings) -> String {
    let (bucket, region) = (settings.bucket.name(), settings.first_region());
    let below = settings.prefix.join("*");
    if bucket.starts_with("arn:") {
        return format!("{bucket}/object/{below}");
    }
    let partition = match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:s3:::{bucket}/{below}")
}

#[cfg(test)]
mod tests;
