//! A role, most often of the account that owns the bucket, taken on with the credentials of the function.
//!
//! * One request to AWS STS for an hour of uploads, over the store's own connector: no retries and no cache of the SDK.
//! * A build without the feature `assume-role` has no STS client and says so when a role is asked for:
//!   [`CAN_ASSUME_ROLES`].

/// Whether this build can.
pub const CAN_ASSUME_ROLES: bool = cfg!(feature = "assume-role");

/// What STS allows for the name of a session (AWS STS API Reference, "AssumeRole").
const SESSION_NAME_CHARS_MAX: usize = 64;

/// The role, and how it is taken on.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleSettings {
    /// `arn:aws:iam::<account>:role/<name>`
    pub role_arn: String,
    /// What the role's owner wants to be told, if anything.
    pub external_id: Option<String>,
    /// Who takes it on, for the owner's audit log: see [`session_name`].
    pub session_name: String,
    /// Whose endpoint of STS is asked; part of the signature.
    pub region: String,
    /// Another endpoint than that of the region.
    pub endpoint: Option<String>,
}

/// Nothing of the external id: it is no secret to AWS, but whoever knows it comes a step closer.
impl std::fmt::Debug for RoleSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleSettings").field("role_arn", &self.role_arn).finish_non_exhaustive()
    }
}

/// The name of a function's session: what STS does not allow becomes `-`, and a long name loses its end.
#[must_use]
pub fn session_name(function: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "+=,.@-".contains(c) { c } else { '-' };
    "logspool-".chars().chain(function.chars().map(allowed)).take(SESSION_NAME_CHARS_MAX).collect()
}

#[cfg(feature = "assume-role")]
pub(super) use with_sts::Role;
#[cfg(not(feature = "assume-role"))]
pub(super) use without_sts::Role;

#[cfg(any(test, not(feature = "assume-role")))]
mod without_sts {
    use super::super::super::connector::Connector;
    use super::super::super::{AttemptError, AttemptErrorKind};
    use super::super::AccessKeys;
    use super::super::cache::Fetched;
    use super::RoleSettings;

    /// A role that stays out of reach.
    pub(in super::super) struct Role;

    impl Role {
        pub(in super::super) fn new(_settings: &RoleSettings, _connector: &Connector) -> Self {
            Self
        }

        #[allow(clippy::unused_async, reason = "the one that can is async")]
        pub(in super::super) async fn fetch(&self, _source: &AccessKeys) -> Result<Fetched, AttemptError> {
            let message = "this build cannot assume a role: it was made without the feature assume-role";
            Err(AttemptError::new(AttemptErrorKind::Configuration, message))
        }
    }
}

#[cfg(feature = "assume-role")]
mod with_sts;

#[cfg(test)]
mod tests;
