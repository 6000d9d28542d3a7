//! What heals an attempt at once, without a wait: pure.
//!
//! Each remedy is used once an attempt at most, so an attempt is a few requests at worst, and one when all is well.

use super::super::AttemptErrorKind;
use super::super::meaning::Meaning;
use super::settings::{IfNoneMatch, is_region};

/// A request that failed, as far as it decides what may be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed<'a> {
    pub meaning: Meaning,
    /// The store's code.
    pub code: Option<&'a str>,
    /// A kept connection broke before it gave an answer.
    pub was_stale: bool,
    /// The region that the request was signed for, and where the store says that the bucket is.
    pub region: &'a str,
    pub told_region: Option<&'a str>,
}

/// What heals it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same once more, on a new connection.
    AnotherConnection,
    /// The credentials in use are dropped, and others are fetched.
    FreshCredentials,
    /// The same, signed anew: the clock was wrong or the request old, as after a freeze.
    SignAnew,
    /// Signed for the region that the store told.
    Region(String),
    /// Without the condition.
    WithoutCondition,
}

/// Remedies that were used in an attempt.
#[derive(Debug, Default)]
pub(super) struct Used {
    connection: bool,
    signature: bool,
    region: bool,
    condition: bool,
}

impl Used {
    /// The remedy for a failure, if there is one that was not used yet. `has_fresh` tells whether the source of credentials may
    /// have others than those in use.
    pub(super) fn remedy(
        &mut self,
        failed: &Failed<'_>,
        if_none_match: IfNoneMatch,
        has_fresh: bool,
    ) -> Option<Remedy> {
        if failed.was_stale {
            return once(&mut self.connection, Remedy::AnotherConnection);
        }
        match failed.meaning {
            Meaning::AlreadyThere => None,
            Meaning::ConditionRefused if if_none_match == IfNoneMatch::Auto => {
                once(&mut self.condition, Remedy::WithoutCondition)
            }
            Meaning::ConditionRefused => None,
            Meaning::Failed(AttemptErrorKind::Credentials) if has_fresh => {
                once(&mut self.signature, Remedy::FreshCredentials)
            }
            Meaning::Failed(AttemptErrorKind::Credentials) => {
                let is_of_time = matches!(failed.code, Some("RequestExpired" | "RequestTimeTooSkewed"));
                if is_of_time { once(&mut self.signature, Remedy::SignAnew) } else { None }
            }
            Meaning::Failed(AttemptErrorKind::WrongRegion) => {
                let told = failed.told_region.filter(|told| is_region(told) && *told != failed.region)?;
                once(&mut self.region, Remedy::Region(told.to_owned()))
            }
            Meaning::Failed(AttemptErrorKind::Retry | AttemptErrorKind::Configuration | AttemptErrorKind::Body) => None,
        }
    }
}

fn once(used: &mut bool, remedy: Remedy) -> Option<Remedy> {
    (!std::mem::replace(used, true)).then_some(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(meaning: Meaning) -> Failed<'static> {
        Failed { meaning, code: None, was_stale: false, region: "eu-west-1", told_region: None }
    }

    fn of(kind: AttemptErrorKind) -> Failed<'static> {
        failed(Meaning::Failed(kind))
    }

    #[test]
    fn each_failure_has_its_remedy_and_each_remedy_is_used_once() {
        use AttemptErrorKind::{Body, Configuration, Credentials, Retry, WrongRegion};
        let skewed = Failed { code: Some("RequestTimeTooSkewed"), ..of(Credentials) };
        let told = |told_region| Failed { told_region: Some(told_region), ..of(WrongRegion) };
        let auto = IfNoneMatch::Auto;
        let table = [
            (Failed { was_stale: true, ..of(Retry) }, auto, false, Some(Remedy::AnotherConnection)),
            (of(Retry), auto, true, None),
            (of(Configuration), auto, true, None),
            (of(Body), auto, true, None),
            (of(Credentials), auto, true, Some(Remedy::FreshCredentials)),
            (skewed, auto, true, Some(Remedy::FreshCredentials)),
            (of(Credentials), auto, false, None),
            (skewed, auto, false, Some(Remedy::SignAnew)),
            (of(WrongRegion), auto, true, None),
            (told("us-east-2"), auto, true, Some(Remedy::Region("us-east-2".to_owned()))),
            (told("eu-west-1"), auto, true, None),
            (told("evil.example.com/"), auto, true, None),
            (failed(Meaning::ConditionRefused), auto, true, Some(Remedy::WithoutCondition)),
            (failed(Meaning::ConditionRefused), IfNoneMatch::Always, true, None),
            (failed(Meaning::AlreadyThere), auto, true, None),
        ];
        for (failed, if_none_match, has_fresh, expected) in table {
            let mut used = Used::default();
            assert_eq!(used.remedy(&failed, if_none_match, has_fresh), expected, "{failed:?}");
            assert_eq!(used.remedy(&failed, if_none_match, has_fresh), None, "once: {failed:?}");
        }
    }

    #[test]
    fn an_attempt_may_need_one_remedy_after_the_other() {
        let mut used = Used::default();
        let region = Failed { told_region: Some("us-east-2"), ..of(AttemptErrorKind::WrongRegion) };
        let mut remedy = |failed: &Failed<'_>| used.remedy(failed, IfNoneMatch::Auto, true);
        assert!(remedy(&Failed { was_stale: true, ..region }).is_some());
        assert!(remedy(&region).is_some());
        assert!(remedy(&of(AttemptErrorKind::Credentials)).is_some());
        assert!(remedy(&failed(Meaning::ConditionRefused)).is_some());
        assert!(remedy(&region).is_none() && remedy(&of(AttemptErrorKind::Credentials)).is_none());
    }
}
