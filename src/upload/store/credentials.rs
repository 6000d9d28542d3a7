//! Whose right to store objects is used.
//!
//! * Lambda gives the function's role to the extension in three variables (AWS Lambda Developer Guide, "Defined runtime
//!   environment variables"). Their values are passed in; this module reads no environment.
//! * Nothing is resolved before the first upload: a snapshot must not contain credentials that were fetched for it.
//! * Credentials are never printed: their `Debug` is empty, and their secrets are taken out of text that came from
//!   outside.
//!
//! A further source (the container endpoint, which replaces the variables in restored snapshots) is a further variant of
//! [`CredentialSource`]; its cache and expiry belong here, since the SDK's own cache is switched off.

use std::fmt;

use super::{PutError, PutErrorKind};

/// Name of the variable with the id of the access key.
pub const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
/// Name of the variable with the secret of the access key.
pub const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
/// Name of the variable with the token of the session, absent for a user's own keys.
pub const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

/// Where credentials come from.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// From the environment; they never change in the life of a process.
    Environment(AccessKeys),
    /// From nowhere: every upload fails with a line that says so, and everything else works.
    Missing {
        /// The variables that have no value.
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
    /// The values of [`ACCESS_KEY_ID`], [`SECRET_ACCESS_KEY`] and [`SESSION_TOKEN`]; an empty one counts as none.
    #[must_use]
    pub fn from_values(
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
        session_token: Option<String>,
    ) -> Self {
        let filled = |value: Option<String>| value.filter(|value| !value.is_empty());
        match (filled(access_key_id), filled(secret_access_key)) {
            (Some(id), Some(secret)) => {
                Self::Environment(AccessKeys { id, secret, session_token: filled(session_token) })
            }
            (id, secret) => Self::Missing {
                variables: [(id, ACCESS_KEY_ID), (secret, SECRET_ACCESS_KEY)]
                    .into_iter()
                    .filter_map(|(value, name)| value.is_none().then_some(name))
                    .collect(),
            },
        }
    }

    /// The keys to sign with now.
    pub(super) fn keys(&self) -> Result<&AccessKeys, PutError> {
        match self {
            Self::Environment(keys) => Ok(keys),
            Self::Missing { variables } => Err(PutError::new(
                PutErrorKind::Configuration,
                format!("no credentials: {} not set", variables.join(" and ")),
            )),
        }
    }

    /// `text` without our secrets, whoever may have put them there.
    pub(super) fn redact(&self, text: String) -> String {
        let Self::Environment(keys) = self else {
            return text;
        };
        [Some(&keys.secret), keys.session_token.as_ref()]
            .into_iter()
            .flatten()
            .fold(text, |text, secret| text.replace(secret, "[redacted]"))
    }
}

impl AccessKeys {
    pub(super) fn to_sdk(&self) -> aws_credential_types::Credentials {
        aws_credential_types::Credentials::new(
            self.id.as_str(),
            self.secret.as_str(),
            self.session_token.clone(),
            None,
            "environment",
        )
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(id: &str, secret: &str, token: Option<&str>) -> CredentialSource {
        CredentialSource::from_values(Some(id.to_owned()), Some(secret.to_owned()), token.map(str::to_owned))
    }

    #[test]
    fn an_empty_session_token_counts_as_none() {
        for token in [None, Some("")] {
            let source = source("id", "secret", token);
            let keys = source.keys().expect("a full pair").to_sdk();
            assert_eq!(keys.session_token(), None);
        }
        let source = source("id", "secret", Some("token"));
        let keys = source.keys().expect("a full triple").to_sdk();
        assert_eq!(
            (keys.access_key_id(), keys.secret_access_key(), keys.session_token()),
            ("id", "secret", Some("token"))
        );
    }

    #[test]
    fn missing_credentials_name_their_variables() {
        let table = [
            ("", "", "no credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY not set"),
            ("id", "", "no credentials: AWS_SECRET_ACCESS_KEY not set"),
            ("", "secret", "no credentials: AWS_ACCESS_KEY_ID not set"),
        ];
        for (id, secret, message) in table {
            let error = source(id, secret, Some("token")).keys().expect_err(message);
            assert_eq!(error.kind, PutErrorKind::Configuration);
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn secrets_are_neither_printed_nor_let_through() {
        let source = source("AKIDEXAMPLE", "s3cr3t", Some("t0k3n"));
        let printed = format!("{source:?}");
        assert!(!printed.contains("s3cr3t") && !printed.contains("t0k3n"), "{printed}");
        assert_eq!(
            source.redact("t0k3n for s3cr3t, s3cr3t again".to_owned()),
            "[redacted] for [redacted], [redacted] again"
        );
        assert_eq!(source.redact("nothing".to_owned()), "nothing");
    }
}
