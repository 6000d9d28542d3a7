//! A store that is looked at, not used: the same requests over the same way, with everything noted that they met.

use std::sync::Arc;

use aws_sdk_s3::Client;

use super::super::credentials::{AccessKeys, CredentialFacts, CredentialSource};
use super::super::witness::{Seen, Witness};
use super::super::{AttemptError, Object, ObjectStore as _, PutOutcome};
use super::refusal::Refusal;
use super::request::signing;
use super::{Operation, S3Settings, S3Store, StoreError};

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
    pub outcome: Result<PutOutcome, AttemptError>,
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
    pub async fn credentials(&self) -> (CredentialFacts, Result<(), AttemptError>) {
        let outcome = self.store.in_time(self.store.credentials.keys()).await;
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
    pub async fn remove(&self, key: &str) -> Result<Removed, AttemptError> {
        self.store.in_time(self.store.attempt(&Remove { settings: &self.store.settings, key })).await
    }
}

/// An object to remove.
struct Remove<'a> {
    settings: &'a S3Settings,
    key: &'a str,
}

impl Operation for Remove<'_> {
    type Answer = Removed;

    async fn send(&self, client: &Client, keys: &AccessKeys, _is_conditional: bool) -> Result<Removed, Refusal> {
        let removal = client
            .delete_object()
            .bucket(self.settings.bucket.name())
            .key(self.settings.prefix.join(self.key))
            .set_expected_bucket_owner(self.settings.bucket_owner.clone());
        match removal.customize().config_override(signing(keys)).send().await {
            Ok(answer) if answer.delete_marker() == Some(true) => Ok(Removed::Hidden),
            Ok(_) => Ok(Removed::Gone),
            Err(error) => Err(Refusal::of(&error, false)),
        }
    }
}
