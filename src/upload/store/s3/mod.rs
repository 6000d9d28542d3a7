//! `s3://`: one PUT per object, through the AWS SDK over our own `connector`; and for people who read them back, listings and
//! pieces of objects.
//!
//! * **One request per attempt, when all is well.** The SDK's retries are off (it could not repeat a streamed body anyway); when
//!   to try again is decided elsewhere. Within an attempt the request is sent again only for a `remedy` that needs no wait,
//!   each once: a kept connection that breaks before it gave an answer is replaced; credentials that are refused as old are
//!   fetched anew; the region that the store tells is signed for; a store that cannot do conditional puts is sent a plain
//!   one. The first request may have been carried out all the same; the second then writes the same bytes under the same
//!   key, or is told `412`, which means done.
//! * **What was learned is kept**: region and kind of put hold for the life of the process.
//! * **The whole attempt is bounded** by [`S3Settings::request_timeout`]: credentials, name, connection, TLS, body and answer.
//! * `If-None-Match: *`: an object under our key is the same object, `412` is success.
//! * The digest of the sealed object is sent as `x-amz-checksum-crc64nvme`: S3 itself refuses bytes that do not match their
//!   key. The body is streamed as it is, with `content-length` and `UNSIGNED-PAYLOAD`; `aws-chunked` framing, which stores
//!   other than S3 may keep in the object's `content-encoding`, is never used.
//! * Everything that costs (SDK client, roots, connection, credentials) is made at the first put. Nothing is read from the
//!   environment.

mod bucket;
mod checksum;
mod probe;
mod reading;
mod refusal;
mod remedy;
mod request;
mod settings;

use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::Client;
pub use bucket::{Bucket, BucketError};
use bytes::Bytes;
pub use probe::{Probe, Probed, Removed};
use reading::{Get, List};
use refusal::Refusal;
use remedy::{Failed, Remedy, Used};
use request::Put;
pub use settings::{
    CONNECTION_IDLE_MAX_DEFAULT, Checksum, Encryption, IfNoneMatch, REQUEST_TIMEOUT_DEFAULT, S3Settings, StoreError,
    is_open_to_others,
};

use super::connector::Connector;
use super::credentials::{AccessKeys, CredentialSource, Credentials};
use super::meaning::Meaning;
use super::reading::{Depth, Page};
use super::tls::Tls;
use super::{AttemptError, AttemptErrorKind, Object, ObjectStore, PutFuture};

/// A bucket.
pub struct S3Store {
    settings: S3Settings,
    credentials: Credentials,
    connector: Connector,
    learned: Mutex<Learned>,
}

/// A request to S3 that may be sent more than once within an attempt.
trait Operation: Sync {
    type Answer: Send;

    /// Sends it once.
    fn send(
        &self,
        client: &Client,
        keys: &AccessKeys,
        is_conditional: bool,
    ) -> impl Future<Output = Result<Self::Answer, Refusal>> + Send;
}

/// What the store has told about itself, and the client that follows from it.
struct Learned {
    region: String,
    is_conditional: bool,
    client: Option<Client>,
}

impl S3Store {
    /// Checks the settings; touches neither network nor files.
    ///
    /// # Errors
    /// Settings of which no request can be made.
    pub fn new(settings: S3Settings, credentials: CredentialSource) -> Result<Self, StoreError> {
        settings.check()?;
        let learned = Learned {
            region: settings.first_region().to_owned(),
            is_conditional: settings.if_none_match != IfNoneMatch::Never,
            client: None,
        };
        let tls = Tls::new(settings.ca_file.clone());
        let connector = Connector::new(tls, settings.proxies.clone(), settings.connection_idle_max);
        let credentials = Credentials::new(credentials, &connector);
        Ok(Self { connector, learned: Mutex::new(learned), settings, credentials })
    }

    /// One to read with: answers may be as long as a page of a listing, or a piece of an object.
    ///
    /// # Errors
    /// Settings of which no request can be made.
    pub fn for_reading(settings: S3Settings, credentials: CredentialSource) -> Result<Self, StoreError> {
        let mut store = Self::new(settings, credentials)?;
        store.connector = store.connector.reading(reading::RESPONSE_BYTES_MAX);
        Ok(store)
    }

    /// A page of what lies under the keys that begin with `folder`, below the prefix.
    ///
    /// # Errors
    /// As of a put; after [`AttemptErrorKind::Retry`] it may be asked for again.
    pub async fn list(&self, folder: &str, depth: Depth, after: Option<&str>) -> Result<Page, AttemptError> {
        self.in_time(self.attempt(&List { settings: &self.settings, folder, depth, after })).await
    }

    /// A piece of an object.
    ///
    /// # Errors
    /// As of a put; after [`AttemptErrorKind::Retry`] it may be asked for again.
    pub async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, AttemptError> {
        self.in_time(self.attempt(&Get { settings: &self.settings, key, range })).await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, AttemptError>>) -> Result<T, AttemptError> {
        let limit = self.settings.request_timeout;
        let late = |_| Err(AttemptError::new(AttemptErrorKind::Retry, format!("no answer within {limit:?}")));
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }

    async fn attempt<O: Operation>(&self, operation: &O) -> Result<O::Answer, AttemptError> {
        let (mut used, mut plain_is_tried) = (Used::default(), false);
        loop {
            let keys = self.credentials.keys().await?;
            let (client, region, is_conditional) = self.prepared();
            let is_conditional = is_conditional && !plain_is_tried;
            let refusal = match operation.send(&client, &keys, is_conditional).await {
                Ok(answer) => {
                    if plain_is_tried {
                        self.conditions_are_refused();
                    }
                    return Ok(answer);
                }
                Err(refusal) => refusal,
            };
            // What was refused is dropped at once, whoever needs keys next.
            let is_of_keys = refusal.meaning == Meaning::Failed(AttemptErrorKind::Credentials);
            let has_fresh = is_of_keys && self.credentials.refused(&keys);
            match used.remedy(&failed(&refusal, &region), self.settings.if_none_match, has_fresh) {
                Some(Remedy::AnotherConnection | Remedy::SignAnew | Remedy::FreshCredentials) => {}
                Some(Remedy::Region(told)) => self.bucket_is_in(told),
                Some(Remedy::WithoutCondition) => plain_is_tried = true,
                None => {
                    let message = self.credentials.redact(refusal.error.message);
                    return Err(AttemptError { message, ..refusal.error });
                }
            }
        }
    }

    /// The client to send with now, the region that it signs for, and whether puts are conditional.
    fn prepared(&self) -> (Client, String, bool) {
        let mut learned = self.learned();
        let region = learned.region.clone();
        let new = || request::client(&self.settings, &region, &self.connector);
        let client = learned.client.get_or_insert_with(new).clone();
        (client, region, learned.is_conditional)
    }

    fn bucket_is_in(&self, region: String) {
        crate::info!("bucket={} region={region} The bucket is in another region.", self.settings.bucket);
        let mut learned = self.learned();
        learned.region = region;
        learned.client = None;
    }

    fn conditions_are_refused(&self) {
        if std::mem::take(&mut self.learned().is_conditional) {
            crate::warn!("store={} The store refuses conditional puts; plain ones are used.", self.describe());
        }
    }

    /// Each value is whole at any time, so a panic elsewhere leaves nothing half done.
    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed<'a>(refusal: &'a Refusal, region: &'a str) -> Failed<'a> {
    Failed {
        meaning: refusal.meaning,
        code: refusal.error.code.as_deref(),
        was_stale: refusal.was_stale,
        region,
        told_region: refusal.told_region.as_deref(),
    }
}

impl ObjectStore for S3Store {
    fn put<'a>(&'a self, object: &'a Object<'a>) -> PutFuture<'a> {
        Box::pin(async move { self.in_time(self.attempt(&Put { settings: &self.settings, object })).await })
    }

    fn describe(&self) -> String {
        format!("s3://{}", self.settings.prefix.below(self.settings.bucket.name()))
    }

    fn close_idle(&self) {
        self.connector.close_idle();
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
