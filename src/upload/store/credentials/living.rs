//! Keys to sign with, made from their description when the first upload needs them.
//!
//! * **Fetched once for all who wait**: whoever waits for a fetch that is under way takes what came of it, good or bad.
//! * Renewed some time before they end. If that fails the old ones are used as long as they are good.
//! * What the store refuses is dropped at once, and so is what may stem from a snapshot: see `cache`.
//! * Dropping the future of [`Credentials::keys`] leaves nothing half done; the next caller fetches.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::connector::Connector;
use super::super::{AttemptError, AttemptErrorKind};
use super::cache::{Entry, Fetched, Moment, Use};
use super::container::ContainerEndpoint;
use super::{AccessKeys, CONTAINER_FULL_URI, CONTAINER_RELATIVE_URI, CredentialFacts, CredentialSource, assume_role};

/// Uploads that run have been signed with the keys of this fetch or of the one before.
const KEYS_REMEMBERED: usize = 2;

/// The keys of one store.
pub(in super::super) struct Credentials {
    source: CredentialSource,
    origin: Origin,
    state: Mutex<State>,
    /// Held during a fetch.
    fetching: tokio::sync::Mutex<()>,
}

/// Where keys are fetched.
enum Origin {
    /// They need not be.
    Nowhere,
    Container(ContainerEndpoint, Connector),
    Role(assume_role::Role, Box<Credentials>),
}

#[derive(Default)]
struct State {
    /// The keys that the process was started with have come to their end.
    has_outlived: bool,
    entry: Option<Entry>,
    /// Fetches that came to an end.
    fetches: u64,
    /// Why the last one failed.
    failure: Option<AttemptError>,
    /// Keys that text from outside may speak of.
    remembered: Vec<Arc<AccessKeys>>,
}

impl Credentials {
    /// Fetches nothing. `connector` is the store's own: what it trusts and its proxies hold for the role's endpoint, too.
    pub(in super::super) fn new(source: CredentialSource, connector: &Connector) -> Self {
        let origin = match &source {
            CredentialSource::Environment(_) | CredentialSource::Missing { .. } => Origin::Nowhere,
            CredentialSource::Container(endpoint) | CredentialSource::Outlived(_, endpoint) => {
                Origin::Container(endpoint.clone(), connector.for_single_requests_nearby())
            }
            CredentialSource::Role(role, source) => Origin::Role(
                assume_role::Role::new(role, connector),
                Box::new(Self::new(CredentialSource::clone(source), connector)),
            ),
        };
        Self { source, origin, state: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The keys to sign with now.
    pub(in super::super) async fn keys(&self) -> Result<Arc<AccessKeys>, AttemptError> {
        self.keys_at(Moment::now()).await.map_err(|error| AttemptError { message: self.redact(error.message), ..error })
    }

    async fn keys_at(&self, now: Moment) -> Result<Arc<AccessKeys>, AttemptError> {
        match &self.source {
            CredentialSource::Environment(keys) => Ok(Arc::clone(keys)),
            CredentialSource::Outlived(keys, _) if !self.state().has_outlived => Ok(Arc::clone(keys)),
            CredentialSource::Missing { variables } => Err(missing(variables)),
            CredentialSource::Container(_) | CredentialSource::Outlived(..) | CredentialSource::Role(..) => {
                self.fetched_keys(now).await
            }
        }
    }

    async fn fetched_keys(&self, now: Moment) -> Result<Arc<AccessKeys>, AttemptError> {
        let fetches = {
            let state = self.state();
            match state.usable(now) {
                (Use::Good, Some(keys)) => return Ok(keys),
                _ => state.fetches,
            }
        };
        let _fetching = self.fetching.lock().await;
        if let Some(outcome) = self.state().outcome_since(fetches, now) {
            return outcome;
        }
        let outcome = self.fetch(now).await;
        self.state().take(outcome, now)
    }

    async fn fetch(&self, now: Moment) -> Result<Fetched, AttemptError> {
        match &self.origin {
            Origin::Container(endpoint, connector) => endpoint.fetch(connector).await,
            // The two are one inside the other, and so are their futures.
            Origin::Role(role, source) => Box::pin(fetch_role(role, source, now)).await,
            Origin::Nowhere => Err(missing(&[])),
        }
    }

    /// The store refused these keys as old or unknown: nobody gets them any more, unless newer ones took their place already.
    /// Whether fresh ones can be had.
    pub(in super::super) fn refused(&self, keys: &Arc<AccessKeys>) -> bool {
        if matches!(self.origin, Origin::Nowhere) {
            return false;
        }
        let mut state = self.state();
        if let CredentialSource::Outlived(first, _) = &self.source {
            state.has_outlived |= Arc::ptr_eq(first, keys);
        }
        state.entry.take_if(|entry| Arc::ptr_eq(&entry.keys, keys));
        true
    }

    /// What may be told of them.
    pub(in super::super) fn facts(&self) -> CredentialFacts {
        CredentialFacts::new(&self.source, self.state().entry.as_ref().and_then(|entry| entry.ends))
    }

    /// `text` without our secrets, whoever may have put them there.
    pub(in super::super) fn redact(&self, text: String) -> String {
        let inner = match &self.origin {
            Origin::Role(_, source) => source.redact(text),
            Origin::Container(..) | Origin::Nowhere => text,
        };
        let state = self.state();
        let fetched = state.remembered.iter().flat_map(|keys| keys.secrets());
        let secrets = self.source.secrets().into_iter().chain(fetched).filter(|secret| !secret.is_empty());
        secrets.fold(inner, |text, secret| text.replace(secret, "[redacted]"))
    }

    /// Each change of the state is a whole one, so a panic elsewhere leaves nothing half done in it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys of the source that are refused as old are renewed and tried once more: else the role would be lost for as long as
/// they stay in the cache.
async fn fetch_role(role: &assume_role::Role, source: &Credentials, now: Moment) -> Result<Fetched, AttemptError> {
    let keys = source.keys_at(now).await?;
    match role.fetch(&keys).await {
        Err(error) if error.kind == AttemptErrorKind::Credentials && source.refused(&keys) => {
            let keys = source.keys_at(now).await?;
            role.fetch(&keys).await
        }
        outcome => outcome,
    }
}

fn missing(variables: &[&str]) -> AttemptError {
    AttemptError::new(
        AttemptErrorKind::Configuration,
        format!(
            "no credentials: {} not set, nor {CONTAINER_FULL_URI} or {CONTAINER_RELATIVE_URI}",
            variables.join(" and ")
        ),
    )
}

impl State {
    fn usable(&self, now: Moment) -> (Use, Option<Arc<AccessKeys>>) {
        match &self.entry {
            Some(entry) => (entry.usable(now), Some(Arc::clone(&entry.keys))),
            None => (Use::Gone, None),
        }
    }

    /// What came of a fetch that ended after the count was `fetches`.
    fn outcome_since(&self, fetches: u64, now: Moment) -> Option<Result<Arc<AccessKeys>, AttemptError>> {
        if self.fetches == fetches {
            return None;
        }
        match (&self.failure, self.usable(now)) {
            (_, (Use::Good, Some(keys))) | (None, (_, Some(keys))) => Some(Ok(keys)),
            (Some(failure), _) => Some(Err(failure.clone())),
            // They were fetched, and refused since.
            (None, (_, None)) => None,
        }
    }

    /// Keys that were just fetched are used whatever our clock says of their end: it may be the one that is wrong.
    fn take(&mut self, outcome: Result<Fetched, AttemptError>, now: Moment) -> Result<Arc<AccessKeys>, AttemptError> {
        self.fetches += 1;
        self.failure = outcome.as_ref().err().cloned();
        match outcome {
            Ok(fetched) => {
                let keys = Arc::clone(&fetched.keys);
                self.remembered.truncate(KEYS_REMEMBERED - 1);
                self.remembered.insert(0, Arc::clone(&keys));
                self.entry = Some(Entry::new(fetched, now));
                Ok(keys)
            }
            Err(error) => match self.usable(now) {
                (Use::Good | Use::Renew, Some(keys)) => {
                    self.entry.iter_mut().for_each(|entry| entry.asked = now);
                    Ok(keys)
                }
                _ => {
                    self.entry = None;
                    Err(error)
                }
            },
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
