//! A store that is looked at, not used: the same requests over the same way, with everything noted that they met.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::Config;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};

use super::super::credentials::{CredentialFacts, CredentialSource};
use super::super::meaning::kind_of_failure;
use super::super::witness::{Seen, Witness};
use super::super::{Object, ObjectStore as _, PutError, PutErrorKind, PutOutcome, chain, one_line};
use super::{S3Settings, S3Store, StoreError};

/// A store that is looked at.
#[derive(Debug)]
pub struct Probe {
    store: S3Store,
    witness: Arc<Witness>,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub struct Probed {
    /// As the uploader would hear it.
    pub outcome: Result<PutOutcome, PutError>,
    /// What the last request of it met.
    pub seen: Seen,
}

/// What became of an object that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// The bucket keeps versions: it is hidden behind a mark.
    Hidden,
}

impl Probe {
    /// Checks the settings; touches neither network nor files.
    ///
    /// # Errors
    /// As [`S3Store::new`].
    pub fn new(settings: S3Settings, credentials: CredentialSource) -> Result<Self, StoreError> {
        let witness = Arc::new(Witness::default());
        let mut store = S3Store::new(settings, credentials)?;
        store.connector = store.connector.witnessed(Arc::clone(&witness));
        Ok(Self { store, witness })
    }

    /// What is put, and how.
    #[must_use]
    pub fn settings(&self) -> &S3Settings {
        &self.store.settings
    }

    /// As log lines call it.
    #[must_use]
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// Fetches keys as an upload would, and tells where they come from. They stay inside.
    ///
    /// # Errors
    /// There are none to be had.
    pub async fn credentials(&self) -> (CredentialFacts, Result<(), PutError>) {
        let outcome = self.within(self.store.credentials.keys()).await;
        (self.store.credentials.facts(), outcome.map(|_| ()))
    }

    /// Makes one attempt, as an uploader does.
    pub async fn put(&self, object: &Object<'_>) -> Probed {
        self.witness.take();
        let outcome = self.store.put(object).await;
        Probed { outcome, seen: self.witness.take() }
    }

    /// What the last request met; for an attempt whose future was dropped.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.witness.take()
    }

    /// The region that requests are signed for by now.
    #[must_use]
    pub fn region(&self) -> String {
        self.store.learned().region.clone()
    }

    /// Whether puts are conditional by now.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.store.learned().is_conditional
    }

    /// Removes an object that this probe has stored.
    ///
    /// # Errors
    /// It stays.
    pub async fn remove(&self, key: &str) -> Result<Removed, PutError> {
        self.within(self.send_removal(key)).await
    }

    async fn send_removal(&self, key: &str) -> Result<Removed, PutError> {
        let settings = &self.store.settings;
        let keys = self.store.credentials.keys().await?;
        let (client, _, _) = self.store.prepared();
        let removal = client
            .delete_object()
            .bucket(settings.bucket.name())
            .key(settings.prefix.join(key))
            .set_expected_bucket_owner(settings.bucket_owner.clone());
        let signing = Config::builder().credentials_provider(keys.to_sdk());
        match removal.customize().config_override(signing).send().await {
            Ok(answer) if answer.delete_marker() == Some(true) => Ok(Removed::Hidden),
            Ok(_) => Ok(Removed::Gone),
            Err(error) => {
                let (code, status) = (error.code(), error.raw_response().map(|raw| raw.status().as_u16()));
                let was_sent = !matches!(error, SdkError::ConstructionFailure(_));
                let message = error.message().map_or_else(|| chain(&error), one_line);
                Err(PutError {
                    kind: kind_of_failure(code, status, was_sent),
                    code: code.map(one_line),
                    status,
                    message: self.store.credentials.redact(message),
                })
            }
        }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, PutError>>) -> Result<T, PutError> {
        let limit: Duration = self.store.settings.request_timeout;
        let late = |_| Err(PutError::new(PutErrorKind::Retry, format!("no answer within {limit:?}")));
        tokio::time::timeout(limit, work).await.unwrap_or_else(late)
    }
}
