//! Uploads that the owner of a bucket does not want.

use super::disk::BucketOptions;
use s3s::dto::PutObjectInput;
use s3s::{S3Error, S3Result, s3_error};

/// # Errors
/// What S3 says to the first demand that is not met.
pub(super) fn check(options: &BucketOptions, input: &PutObjectInput) -> S3Result<()> {
    let is_expected = |owner: &String| input.expected_bucket_owner.as_ref().is_none_or(|expected| expected == owner);
    if !options.owner.as_ref().is_none_or(is_expected) {
        return Err(access_denied());
    }
    if options.demands_condition && input.if_none_match.is_none() {
        return Err(access_denied());
    }
    if options.object_lock && !has_digest(input) {
        return Err(s3_error!(
            InvalidRequest,
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
        ));
    }
    Ok(())
}

fn has_digest(input: &PutObjectInput) -> bool {
    let digests = [
        &input.content_md5,
        &input.checksum_crc64nvme,
        &input.checksum_crc32,
        &input.checksum_crc32c,
        &input.checksum_sha1,
        &input.checksum_sha256,
    ];
    digests.into_iter().any(Option::is_some)
}

fn access_denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}
