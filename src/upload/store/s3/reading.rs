//! The two requests of a reader: a page of a listing, a piece of an object.

use std::ops::Range;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use bytes::Bytes;
use percent_encoding::percent_decode_str;

use super::super::chain;
use super::super::credentials::AccessKeys;
use super::super::reading::{Depth, Listed, PIECE_BYTES_MAX, Page};
use super::Operation;
use super::refusal::Refusal;
use super::request::signing;
use super::settings::S3Settings;

/// A page has a thousand keys of at most 1,024 bytes, three times that if each needs an escape, and some 300 bytes beside each.
pub(super) const RESPONSE_BYTES_MAX: usize = 2 * PIECE_BYTES_MAX;

/// A page of a listing.
pub(super) struct List<'a> {
    pub(super) settings: &'a S3Settings,
    pub(super) folder: &'a str,
    pub(super) depth: Depth,
    pub(super) after: Option<&'a str>,
}

impl Operation for List<'_> {
    type Answer = Page;

    async fn send(&self, client: &Client, keys: &AccessKeys, _is_conditional: bool) -> Result<Page, Refusal> {
        // A folder ends where its slash is: `team` is not `team-b`.
        let root = self.settings.prefix.join("");
        let list = client
            .list_objects_v2()
            .bucket(self.settings.bucket.name())
            .prefix(format!("{root}{}", self.folder))
            .set_delimiter((self.depth == Depth::Folder).then(|| "/".to_owned()))
            .set_continuation_token(self.after.map(str::to_owned))
            // What XML cannot say is escaped.
            .encoding_type(EncodingType::Url)
            .set_expected_bucket_owner(self.settings.bucket_owner.clone());
        match list.customize().config_override(signing(keys)).send().await {
            Ok(output) => Ok(page(&output, &root)),
            Err(error) => Err(Refusal::of(&error, false)),
        }
    }
}

fn page(output: &ListObjectsV2Output, root: &str) -> Page {
    let below = |key: &str| unescaped(key).strip_prefix(root).map(str::to_owned);
    let listed = output.contents().iter().filter_map(|object| {
        let modified = object.last_modified().and_then(|time| time.to_millis().ok());
        Some(Listed {
            key: below(object.key()?)?,
            bytes: object.size().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            modified_ms: modified.unwrap_or(0),
        })
    });
    let folders = output.common_prefixes().iter().filter_map(|folder| below(folder.prefix()?));
    let next = output.next_continuation_token().filter(|_| output.is_truncated() == Some(true));
    Page { objects: listed.collect(), folders: folders.collect(), next: next.map(str::to_owned) }
}

/// A key as a form has it: `+` is a space.
fn unescaped(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A piece of an object.
pub(super) struct Get<'a> {
    pub(super) settings: &'a S3Settings,
    pub(super) key: &'a str,
    pub(super) range: Range<u64>,
}

impl Operation for Get<'_> {
    type Answer = Bytes;

    async fn send(&self, client: &Client, keys: &AccessKeys, _is_conditional: bool) -> Result<Bytes, Refusal> {
        let length = self.range.end.saturating_sub(self.range.start);
        let get = client
            .get_object()
            .bucket(self.settings.bucket.name())
            .key(self.settings.prefix.join(self.key))
            .range(format!("bytes={}-{}", self.range.start, self.range.end.saturating_sub(1)))
            .set_expected_bucket_owner(self.settings.bucket_owner.clone());
        let output = match get.customize().config_override(signing(keys)).send().await {
            Ok(output) => output,
            Err(error) => return Err(Refusal::of(&error, false)),
        };
        let body = output.body.collect().await.map_err(|error| Refusal::unusable(&chain(&error)))?.into_bytes();
        if body.len() as u64 == length {
            return Ok(body);
        }
        Err(Refusal::unusable(&format!("{} bytes came where {length} were asked for", body.len())))
    }
}
