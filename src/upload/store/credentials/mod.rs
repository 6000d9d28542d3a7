//! Whose right to store objects is used.
//!
//! * Lambda gives the function's role to the extension in three variables (AWS Lambda Developer Guide, "Defined runtime
//!   environment variables"), or, in an environment restored from a snapshot, by an endpoint on the same machine that two
//!   other variables name. All values are passed in; this module reads no environment.
//! * Nothing is fetched before the first upload: a snapshot must not contain credentials that were fetched for it.
//! * Credentials are never printed: their `Debug` is empty, no error holds them, and they are taken out of text that came
//!   from outside.
//!
//! What is here is a description, which can be cloned and printed; `living` makes keys of it, and `cache` says for how long
//! they are good. The SDK's own cache is switched off.

pub mod assume_role;
mod cache;
mod container;
mod facts;
mod living;

use std::fmt;
use std::sync::Arc;

use assume_role::RoleSettings;
use container::ContainerEndpoint;
pub use facts::{CredentialFacts, NOWHERE};
pub(super) use living::Credentials;

/// Name of the variable with the id of the access key.
pub const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Name of the variable with the secret of the access key.
pub const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// Name of the variable with the token of the session, absent for a user's own keys.
pub const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";
/// Name of the variable with the URL that gives credentials.
pub const CONTAINER_FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// Name of the variable with the path that gives credentials, at the address that all containers know.
pub const CONTAINER_RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
/// Name of the variable with what that endpoint wants to see in `Authorization`.
pub const CONTAINER_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
/// Name of the variable with the file that holds it instead.
pub const CONTAINER_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// The values of the variables above; an empty one counts as none.
#[derive(Clone, Default)]
pub struct CredentialValues {
    /// [`ACCESS_KEY_ID`]
    pub access_key_id: Option<String>,
    /// [`SECRET_ACCESS_KEY`]
    pub secret_access_key: Option<String>,
    /// [`SESSION_TOKEN`]
    pub session_token: Option<String>,
    /// [`CONTAINER_FULL_URI`]
    pub container_full_uri: Option<String>,
    /// [`CONTAINER_RELATIVE_URI`]
    pub container_relative_uri: Option<String>,
    /// [`CONTAINER_TOKEN`]
    pub container_token: Option<String>,
    /// [`CONTAINER_TOKEN_FILE`]
    pub container_token_file: Option<String>,
}

/// Nothing of the values.
impl fmt::Debug for CredentialValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialValues").finish_non_exhaustive()
    }
}

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// From the environment; they never change in the life of a process.
    Environment(Arc<AccessKeys>),
    /// From the environment until the store refuses them as old, and from then on from an endpoint: a process may live longer than
    /// what it was started with.
    Outlived(Arc<AccessKeys>, ContainerEndpoint),
    /// From an endpoint on this machine or its link, which renews them.
    Container(ContainerEndpoint),
    /// A role, taken on with the credentials of another source.
    Role(Box<RoleSettings>, Box<CredentialSource>),
    /// From nowhere: every upload fails with a line that says so, and everything else works.
    Missing {
        /// The variables of the pair that have no value.
        variables: Vec<&'static str>,
    },
}

/// An access key, and the token of the session that it belongs to.
#[derive(Clone)]
pub struct AccessKeys {
    id: String,
    secret: String,
    session_token: Option<String>,
}

impl CredentialSource {
    /// The pair of the environment if it is complete, else the endpoint for containers, as the AWS SDKs choose. Where there are
    /// both the endpoint has the keys that come after the pair.
    #[must_use]
    pub fn choose(values: CredentialValues) -> Self {
        let filled = |value: Option<String>| value.filter(|value| !value.is_empty());
        let (id, secret) = (filled(values.access_key_id), filled(values.secret_access_key));
        let (token, token_file) = (filled(values.container_token), filled(values.container_token_file));
        let endpoint = match (filled(values.container_full_uri), filled(values.container_relative_uri)) {
            (Some(uri), _) => Some(ContainerEndpoint::at(uri, token, token_file)),
            (None, Some(path)) => Some(ContainerEndpoint::at_known_address(&path, token, token_file)),
            (None, None) => None,
        };
        match (id, secret, endpoint) {
            (Some(id), Some(secret), endpoint) => {
                let keys = Arc::new(AccessKeys { id, secret, session_token: filled(values.session_token) });
                match endpoint {
                    Some(endpoint) => Self::Outlived(keys, endpoint),
                    None => Self::Environment(keys),
                }
            }
            (_, _, Some(endpoint)) => Self::Container(endpoint),
            (id, secret, None) => Self::Missing {
                variables: [(id, ACCESS_KEY_ID), (secret, SECRET_ACCESS_KEY)]
                    .into_iter()
                    .filter_map(|(value, name)| value.is_none().then_some(name))
                    .collect(),
            },
        }
    }

    /// [`choose`](Self::choose) where there is no container.
    #[must_use]
    pub fn from_values(
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        session_token: Option<String>,
    ) -> Self {
        Self::choose(CredentialValues {
            access_key_id,
            secret_access_key,
            session_token,
            ..CredentialValues::default()
        })
    }

    /// The role, taken on with these credentials.
    #[must_use]
    pub fn with_role(self, role: RoleSettings) -> Self {
        Self::Role(Box::new(role), Box::new(self))
    }

    /// Secrets that the description itself holds.
    fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Environment(keys) => keys.secrets().collect(),
            Self::Outlived(keys, endpoint) => keys.secrets().chain(endpoint.secrets()).collect(),
            Self::Container(endpoint) => endpoint.secrets().collect(),
            Self::Role(..) | Self::Missing { .. } => Vec::new(),
        }
    }
}

impl AccessKeys {
    pub(super) fn to_sdk(&self) -> aws_credential_types::Credentials {
        aws_credential_types::Credentials::new(
            self.id.as_str(),
            self.secret.as_str(),
            self.session_token.clone(),
            None,
            "logspool",
        )
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(self.secret.as_str()), self.session_token.as_deref()].into_iter().flatten()
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
