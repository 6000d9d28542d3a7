//! The operations of S3 that a log sink and its reader use, over files.
//!
//! Signatures, routes and the wire are `s3s`'s; what is not implemented here it answers with 501. A part of a request
//! that would change the result and is not implemented is refused too, never ignored.

use super::checksums::{Checksums, Declared, Digester};
use super::demands;
use super::disk::{BucketOptions, CommitError, Disk, IfExists, ObjectFacts};
use super::listing::{PAGE_KEYS_MAX, page};
use super::tags::tags;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt as _;
use hyper::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, StdError, path, s3_error};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;

/// S3's own limit of one PUT.
const OBJECT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// What a listing with `encoding-type=url` leaves as it is.
const LISTING_ESCAPES: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*').remove(b'/');

pub(super) struct Backend {
    disk: Arc<Disk>,
    region: String,
    refuses_conditions: bool,
}

impl Backend {
    pub(super) fn new(disk: Arc<Disk>, region: &str, refuses_conditions: bool) -> Self {
        Self { disk, region: region.to_owned(), refuses_conditions }
    }

    fn require_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.disk.has_bucket(bucket) {
            return Ok(());
        }
        Err(s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    fn require_facts(&self, bucket: &str, key: &str) -> S3Result<ObjectFacts> {
        self.require_bucket(bucket)?;
        self.disk.facts(bucket, key).map_err(disk_failed)?.ok_or_else(no_such_key)
    }

    /// Reads the body into a file of its own. The file vanishes if this fails or is cancelled.
    async fn receive(&self, body: Option<StreamingBlob>, digester: &mut Digester) -> S3Result<(NamedTempFile, u64)> {
        let mut upload = self.disk.begin_upload().map_err(disk_failed)?;
        let mut received_bytes = 0;
        if let Some(mut chunks) = body {
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| body_failed(&error))?;
                digester.update(&chunk);
                upload.write_all(&chunk).map_err(disk_failed)?;
                received_bytes += chunk.len() as u64;
            }
        }
        Ok((upload, received_bytes))
    }
}

#[async_trait]
impl S3 for Backend {
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        if !path::check_bucket_name(&bucket) {
            return Err(s3_error!(InvalidBucketName));
        }
        if !self.disk.create_bucket(&bucket, &BucketOptions::default()).map_err(disk_failed)? {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{bucket}")) }))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.require_bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(self.region.clone()), ..Default::default() }))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let trailer = request.headers.contains_key("x-amz-trailer");
        let mut input = request.input;
        self.require_bucket(&input.bucket)?;
        let options = self.disk.bucket_options(&input.bucket).map_err(disk_failed)?;
        demands::check(&options, &input)?;
        if self.refuses_conditions && input.if_none_match.is_some() {
            return Err(conditions_refused());
        }
        let if_exists = check_supported(&input, trailer)?;
        let declared = Declared::of(&input)?;

        let mut digester = Digester::new(&declared);
        let (upload, size_bytes) = self.receive(input.body.take(), &mut digester).await?;
        check_length(input.content_length, size_bytes)?;
        let digests = digester.finish();
        declared.verify(&digests)?;

        let etag = digests.etag();
        let facts = facts_of(&input, size_bytes, etag.clone(), digests.checksums.clone())?;
        self.disk.commit(&input.bucket, &facts, upload, if_exists).map_err(commit_failed)?;
        let checksums = digests.checksums;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
            server_side_encryption: input.server_side_encryption,
            ssekms_key_id: input.ssekms_key_id,
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let facts = self.require_facts(&input.bucket, &input.key)?;
        let checksums = shown_checksums(&facts, input.checksum_mode.as_ref());
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(facts.size_bytes).ok(),
            content_type: facts.content_type.clone(),
            content_encoding: facts.content_encoding.clone(),
            e_tag: Some(ETag::Strong(facts.etag.clone())),
            last_modified: Some(stored_at(&facts)),
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
            metadata: Some(facts.metadata.into_iter().collect()),
            ..Default::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        self.require_bucket(&input.bucket)?;
        let (facts, mut bytes) =
            self.disk.read(&input.bucket, &input.key).map_err(disk_failed)?.ok_or_else(no_such_key)?;
        let range = input.range.map(|range| range.check(facts.size_bytes)).transpose()?;
        if let Some(range) = &range {
            let [start, end] = [range.start, range.end].map(|place| usize::try_from(place).expect("it is in memory"));
            bytes = bytes[start..end].to_vec();
        }
        let checksums = shown_checksums(&facts, input.checksum_mode.as_ref());
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            content_range: range.map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, facts.size_bytes)),
            body: Some(StreamingBlob::from(Body::from(Bytes::from(bytes)))),
            content_type: facts.content_type.clone(),
            content_encoding: facts.content_encoding.clone(),
            e_tag: Some(ETag::Strong(facts.etag.clone())),
            last_modified: Some(stored_at(&facts)),
            checksum_crc64nvme: checksums.crc64nvme,
            checksum_crc32: checksums.crc32,
            checksum_crc32c: checksums.crc32c,
            checksum_sha1: checksums.sha1,
            checksum_sha256: checksums.sha256,
            metadata: Some(facts.metadata.into_iter().collect()),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        self.require_bucket(&input.bucket)?;
        self.disk.remove(&input.bucket, &input.key).map_err(disk_failed)?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        self.require_bucket(&input.bucket)?;
        let keys_max = keys_max(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => key_of_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let objects = self.disk.list(&input.bucket).map_err(disk_failed)?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|it| !it.is_empty());
        let page = page(objects, prefix, delimiter, &after, keys_max);

        let url_encoded = input.encoding_type.as_ref().map(EncodingType::as_str) == Some(EncodingType::URL);
        let show = |text: String| {
            if url_encoded { utf8_percent_encode(&text, LISTING_ESCAPES).to_string() } else { text }
        };
        let common = |prefix| CommonPrefix { prefix: Some(show(prefix)) };
        let common_prefixes: Vec<_> = page.common_prefixes.into_iter().map(common).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            key_count: i32::try_from(page.objects.len() + common_prefixes.len()).ok(),
            max_keys: i32::try_from(keys_max).ok(),
            is_truncated: Some(page.next_after.is_some()),
            next_continuation_token: page.next_after.map(|key| URL_SAFE_NO_PAD.encode(key)),
            contents: Some(page.objects.into_iter().map(|facts| listed(facts, show)).collect()),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter,
            continuation_token: input.continuation_token,
            prefix: Some(show(input.prefix.unwrap_or_default())),
            start_after: input.start_after.map(&show),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }
}

/// Refuses what would store something else than the sender means.
fn check_supported(input: &PutObjectInput, trailer: bool) -> S3Result<IfExists> {
    if trailer {
        return Err(not_implemented("x-amz-trailer"));
    }
    if input.if_match.is_some() {
        return Err(not_implemented("If-Match"));
    }
    if input
        .content_length
        .and_then(|length| u64::try_from(length).ok())
        .is_some_and(|length| length > OBJECT_BYTES_MAX)
    {
        return Err(s3_error!(EntityTooLarge));
    }
    match input.if_none_match {
        None => Ok(IfExists::Replace),
        Some(ETagCondition::Any) => Ok(IfExists::Refuse),
        // S3 knows no other condition than `*` for a PUT either.
        Some(ETagCondition::ETag(_)) => Err(not_implemented("If-None-Match with an ETag")),
    }
}

fn check_length(declared: Option<ContentLength>, received_bytes: u64) -> S3Result<()> {
    match declared.map(u64::try_from) {
        Some(Ok(declared_bytes)) if declared_bytes == received_bytes => Ok(()),
        Some(_) => Err(incomplete_body()),
        None => Err(s3_error!(MissingContentLength)),
    }
}

fn facts_of(input: &PutObjectInput, size_bytes: u64, etag: String, checksums: Checksums) -> S3Result<ObjectFacts> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(ObjectFacts {
        key: input.key.clone(),
        size_bytes,
        etag,
        stored_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        content_type: input.content_type.clone(),
        content_encoding: input.content_encoding.clone(),
        metadata: input.metadata.clone().unwrap_or_default().into_iter().collect(),
        checksums,
        sse: input.server_side_encryption.as_ref().map(|sse| sse.as_str().to_owned()),
        kms_key_id: input.ssekms_key_id.clone(),
        storage_class: input.storage_class.as_ref().map(|class| class.as_str().to_owned()),
        tags: input.tagging.as_deref().map(tags).transpose()?.unwrap_or_default(),
    })
}

fn listed(facts: ObjectFacts, show: impl Fn(String) -> String) -> Object {
    Object {
        last_modified: Some(stored_at(&facts)),
        key: Some(show(facts.key)),
        size: i64::try_from(facts.size_bytes).ok(),
        e_tag: Some(ETag::Strong(facts.etag)),
        ..Default::default()
    }
}

fn stored_at(facts: &ObjectFacts) -> Timestamp {
    (UNIX_EPOCH + Duration::from_millis(facts.stored_ms)).into()
}

/// S3 tells checksums only to those who ask for them.
fn shown_checksums(facts: &ObjectFacts, mode: Option<&ChecksumMode>) -> Checksums {
    if mode.map(ChecksumMode::as_str) == Some(ChecksumMode::ENABLED) {
        facts.checksums.clone()
    } else {
        Checksums::default()
    }
}

fn keys_max(asked: Option<MaxKeys>) -> S3Result<usize> {
    let Some(asked) = asked else {
        return Ok(PAGE_KEYS_MAX);
    };
    let asked = usize::try_from(asked).map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative"))?;
    Ok(asked.min(PAGE_KEYS_MAX))
}

fn key_of_token(token: &str) -> S3Result<String> {
    URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|key| String::from_utf8(key).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

fn incomplete_body() -> S3Error {
    s3_error!(IncompleteBody, "The request body terminated unexpectedly")
}

fn not_implemented(what: &str) -> S3Error {
    s3_error!(NotImplemented, "{what} is not implemented by this test server")
}

fn conditions_refused() -> S3Error {
    s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")
}

/// `s3s` checks the payload hash while the body passes and keeps the type of its error to itself: the text is all
/// there is to tell a wrong hash from a sender that went away. (The version of `s3s` is pinned; a test looks.)
fn body_failed(error: &StdError) -> S3Error {
    if !error.to_string().contains("Sha256Mismatch") {
        return incomplete_body();
    }
    let mut mismatch = S3Error::with_message(
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
    mismatch.set_status_code(StatusCode::BAD_REQUEST);
    mismatch
}

fn commit_failed(error: CommitError) -> S3Error {
    match error {
        CommitError::Exists => {
            s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
        }
        CommitError::Nested => not_implemented("a key that is also the directory of another key"),
        CommitError::Io(error) => disk_failed(error),
    }
}

fn disk_failed(error: io::Error) -> S3Error {
    S3Error::internal_error(error)
}
