//! What may be told of credentials: everything but themselves.

use std::time::SystemTime;

use super::{ACCESS_KEY_ID, AccessKeys, CONTAINER_FULL_URI, CredentialSource, SECRET_ACCESS_KEY, SESSION_TOKEN};

/// How the ids of keys begin that are of use only together with a session token (IAM User Guide, "Unique identifiers").
const TEMPORARY: &str = "ASIA";
/// The source of credentials that are missing.
pub const NOWHERE: &str = "nowhere";

/// Where keys come from and for how long they are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFacts {
    /// In words.
    pub source: String,
    /// When the fetched ones end; `None` if nobody told, or they never do.
    pub ends: Option<SystemTime>,
    /// They are temporary, and the token that belongs to them is missing.
    pub lacks_token: bool,
    /// The role that is assumed.
    pub role_arn: Option<String>,
}

impl CredentialFacts {
    pub(super) fn new(source: &CredentialSource, ends: Option<SystemTime>) -> Self {
        let role_arn = match source {
            CredentialSource::Role(role, _) => Some(role.role_arn.clone()),
            _ => None,
        };
        Self { source: words(source), ends, lacks_token: lacks_token(source), role_arn }
    }
}

fn words(source: &CredentialSource) -> String {
    let pair = |keys: &AccessKeys| {
        let token = if keys.session_token.is_some() { format!(" with {SESSION_TOKEN}") } else { String::new() };
        format!("{ACCESS_KEY_ID} and {SECRET_ACCESS_KEY}{token}")
    };
    match source {
        CredentialSource::Environment(keys) => pair(keys),
        CredentialSource::Outlived(keys, _) => format!("{}, later the container endpoint", pair(keys)),
        CredentialSource::Container(_) => {
            format!("the container endpoint ({})", CONTAINER_FULL_URI.replace("FULL", "…"))
        }
        CredentialSource::Role(role, source) => format!("{}, assumed with {}", role.role_arn, words(source)),
        CredentialSource::Missing { .. } => NOWHERE.to_owned(),
    }
}

fn lacks_token(source: &CredentialSource) -> bool {
    match source {
        CredentialSource::Environment(keys) | CredentialSource::Outlived(keys, _) => {
            keys.id.starts_with(TEMPORARY) && keys.session_token.is_none()
        }
        CredentialSource::Role(_, source) => lacks_token(source),
        CredentialSource::Container(_) | CredentialSource::Missing { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::CredentialValues;
    use super::super::assume_role::RoleSettings;
    use super::*;

    fn source(id: &str, token: Option<&str>, uri: Option<&str>) -> CredentialSource {
        CredentialSource::choose(CredentialValues {
            access_key_id: Some(id.to_owned()),
            secret_access_key: Some("the secret".to_owned()),
            session_token: token.map(str::to_owned),
            container_full_uri: uri.map(str::to_owned),
            ..CredentialValues::default()
        })
    }

    #[test]
    fn a_source_is_told_in_words_and_never_by_its_values() {
        let role = RoleSettings {
            role_arn: "arn:aws:iam::123456789012:role/logs".to_owned(),
            external_id: Some("the secret".to_owned()),
            session_name: "logspool".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: None,
        };
        let uri = Some("http://127.0.0.1/the-secret");
        let pair = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
        let table = [
            (source("AKIA1", None, None), pair.to_owned(), false),
            (source("ASIA1", None, None), pair.to_owned(), true),
            (source("ASIA1", Some("the secret"), None), format!("{pair} with AWS_SESSION_TOKEN"), false),
            (source("AKIA1", None, uri), format!("{pair}, later the container endpoint"), false),
            (source("", None, uri), "the container endpoint (AWS_CONTAINER_CREDENTIALS_…_URI)".to_owned(), false),
            (source("", None, None), "nowhere".to_owned(), false),
            (
                source("ASIA1", None, None).with_role(role),
                format!("arn:aws:iam::123456789012:role/logs, assumed with {pair}"),
                true,
            ),
        ];
        for (source, words, lacks_token) in table {
            let facts = CredentialFacts::new(&source, None);
            assert_eq!((facts.source.as_str(), facts.lacks_token), (words.as_str(), lacks_token));
            for secret in ["secret", "ASIA1", "AKIA1"] {
                assert!(!format!("{facts:?}").contains(secret), "{facts:?}");
            }
        }
    }
}
