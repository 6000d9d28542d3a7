//! The faults: what each does, as a value, and in which order they come, as a pure plan.
//!
//! Nothing here touches a socket: [`FaultPlan::take`] says what happens to the next request, `layer` makes it happen.

use std::collections::VecDeque;

/// One way in which S3, or the network before it, fails a request.
///
/// Each fault replaces the answer that the request would have had, whatever that was: also that of a request with a
/// wrong signature. All but [`Fault::RefuseConnections`] and [`Fault::ResetMidBody`] read the whole body first, so that
/// a sender sees the fault and not a broken pipe. Nothing is stored unless the name says so.
///
/// Statuses, codes and messages are those of the Amazon S3 API Reference, "Error responses".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// `connect()` fails with ECONNREFUSED and the connections that exist are reset. The port stays ours.
    ///
    /// This is a state of the port and not the fate of one request: it can be set, but not counted.
    RefuseConnections,
    /// The connection is reset (RST) after the server took half of the body.
    ResetMidBody,
    /// The request is read, then the connection is reset in place of an answer.
    ResetBeforeAnswer,
    /// The request was carried out, then the connection is reset in place of an answer.
    ResetAfterStoring,
    /// The request is read and never answered; the connection stays open.
    Hang,
    /// 503 `SlowDown`.
    SlowDown,
    /// 503 `ServiceUnavailable`.
    ServiceUnavailable,
    /// 500 `InternalError`.
    InternalError,
    /// 500 `InternalError`, but the request was carried out: the object exists.
    InternalErrorAfterStoring,
    /// 400 `RequestTimeout`: the body came too slowly.
    RequestTimeout,
    /// 409 `OperationAborted`.
    OperationAborted,
    /// 409 `ConditionalRequestConflict`.
    ConditionalRequestConflict,
    /// 429 `TooManyRequests`.
    TooManyRequests,
    /// 503 `ThrottlingException`.
    Throttling,
    /// 400 `KMS.ThrottlingException`.
    KmsThrottling,
    /// 400 `IncompleteBody`.
    IncompleteBody,
    /// 502 of something in between: a page for people in place of an error document.
    BadGateway,
    /// 400 `ExpiredToken`.
    ExpiredToken,
    /// 403 `RequestExpired`.
    RequestExpired,
    /// 403 `RequestTimeTooSkewed`.
    RequestTimeTooSkewed,
    /// 403 `InvalidAccessKeyId`: new credentials that S3 does not know yet.
    InvalidAccessKeyId,
    /// 403 `AccessDenied`.
    AccessDenied,
    /// 403 `SignatureDoesNotMatch`.
    SignatureDoesNotMatch,
    /// 403 `AllAccessDisabled`.
    AllAccessDisabled,
    /// 404 `NoSuchBucket`.
    NoSuchBucket,
    /// 400 `KMS.DisabledException`.
    KmsDisabled,
    /// 301 `PermanentRedirect`; the server's own region stands in a header.
    PermanentRedirect,
    /// 307 `TemporaryRedirect`; the server's own region stands in a header.
    TemporaryRedirect,
    /// 400 `AuthorizationHeaderMalformed`; the server's own region stands in the error document only.
    AuthorizationHeaderMalformed,
    /// 501 `NotImplemented`, also to an upload without a condition.
    NotImplemented,
}

impl Fault {
    /// What passes by itself.
    pub const TRANSIENT: [Fault; 16] = [
        Fault::ResetMidBody,
        Fault::ResetBeforeAnswer,
        Fault::ResetAfterStoring,
        Fault::Hang,
        Fault::SlowDown,
        Fault::ServiceUnavailable,
        Fault::InternalError,
        Fault::InternalErrorAfterStoring,
        Fault::RequestTimeout,
        Fault::OperationAborted,
        Fault::ConditionalRequestConflict,
        Fault::TooManyRequests,
        Fault::Throttling,
        Fault::KmsThrottling,
        Fault::IncompleteBody,
        Fault::BadGateway,
    ];

    /// What other credentials, or another signature, may heal.
    pub const CREDENTIALS: [Fault; 4] =
        [Fault::ExpiredToken, Fault::RequestExpired, Fault::RequestTimeTooSkewed, Fault::InvalidAccessKeyId];

    /// What only a person can mend.
    pub const CONFIGURATION: [Fault; 5] = [
        Fault::AccessDenied,
        Fault::SignatureDoesNotMatch,
        Fault::AllAccessDisabled,
        Fault::NoSuchBucket,
        Fault::KmsDisabled,
    ];

    /// A bucket that is elsewhere.
    pub const REGION: [Fault; 3] =
        [Fault::PermanentRedirect, Fault::TemporaryRedirect, Fault::AuthorizationHeaderMalformed];

    /// Every fault that is the fate of one request, and so can be counted, scripted and drawn at random.
    pub const ALL: [Fault; 29] = all();

    /// Some of each group but [`Fault::REGION`], for stories that want variety and not every code there is.
    pub const COUNTABLE: [Fault; 9] = [
        Fault::ResetMidBody,
        Fault::Hang,
        Fault::SlowDown,
        Fault::ServiceUnavailable,
        Fault::InternalError,
        Fault::InternalErrorAfterStoring,
        Fault::ResetAfterStoring,
        Fault::AccessDenied,
        Fault::ExpiredToken,
    ];
}

const fn all() -> [Fault; 29] {
    let groups: [&[Fault]; 4] = [&Fault::TRANSIENT, &Fault::CREDENTIALS, &Fault::CONFIGURATION, &Fault::REGION];
    let mut all = [Fault::NotImplemented; 29];
    let (mut filled, mut group) = (0, 0);
    while group < groups.len() {
        let (_, rest) = all.split_at_mut(filled);
        let (places, _) = rest.split_at_mut(groups[group].len());
        places.copy_from_slice(groups[group]);
        filled += groups[group].len();
        group += 1;
    }
    assert!(filled + 1 == all.len(), "the last one is in no group");
    all
}

/// Which requests a plan speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// Uploads of objects only: a HEAD, GET or listing by the test itself neither suffers nor uses up a fault.
    Puts,
    /// Every request.
    All,
}

/// What happens to the requests to come.
#[derive(Clone, Debug, Default)]
pub(super) enum FaultPlan {
    /// S3 works.
    #[default]
    Healthy,
    /// The same fault until somebody says otherwise.
    Always(Fault),
    /// One entry a request; healthy when they are used up.
    Script(VecDeque<Option<Fault>>),
    /// Drawn for ever.
    Random(RandomFaults),
}

impl FaultPlan {
    /// The fate of the next request; `None` is a healthy one.
    pub(super) fn take(&mut self) -> Option<Fault> {
        match self {
            Self::Healthy => None,
            Self::Always(fault) => Some(*fault),
            Self::Script(entries) => entries.pop_front().flatten(),
            Self::Random(draws) => draws.next().flatten(),
        }
    }

    /// Whether the port is closed under this plan.
    pub(super) fn refuses(&self) -> bool {
        matches!(self, Self::Always(Fault::RefuseConnections))
    }
}

/// The sequence of faults that a seed stands for: the same arguments give the same sequence, on every machine.
///
/// A server in random mode takes one item for each request, in the order in which requests arrive.
#[derive(Clone, Debug)]
pub struct RandomFaults {
    rng: fastrand::Rng,
    per_mille: u32,
    kinds: Vec<Fault>,
}

impl RandomFaults {
    /// Faults drawn evenly from `kinds` for `per_mille` of 1,000 requests.
    ///
    /// # Panics
    /// If `per_mille` is above 1,000, or `kinds` is empty or holds [`Fault::RefuseConnections`].
    #[must_use]
    pub fn new(seed: u64, per_mille: u32, kinds: &[Fault]) -> Self {
        assert!(per_mille <= 1_000, "{per_mille} of 1,000 requests cannot fail");
        assert!(!kinds.is_empty(), "random faults need at least one kind");
        assert_countable(kinds.iter());
        Self { rng: fastrand::Rng::with_seed(seed), per_mille, kinds: kinds.to_vec() }
    }
}

impl Iterator for RandomFaults {
    type Item = Option<Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let fails = self.rng.u32(0..1_000) < self.per_mille;
        Some(if fails { self.rng.choice(&self.kinds).copied() } else { None })
    }
}

/// A refused connection is never seen by the server, so there is nothing that could be counted.
pub(super) fn assert_countable<'a>(mut faults: impl Iterator<Item = &'a Fault>) {
    assert!(
        !faults.any(|fault| *fault == Fault::RefuseConnections),
        "RefuseConnections can be set, but not counted: the server never sees a refused connection"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(plan: &mut FaultPlan, requests: usize) -> Vec<Option<Fault>> {
        (0..requests).map(|_| plan.take()).collect()
    }

    #[test]
    fn a_script_is_followed_entry_by_entry_and_ends_healthy() {
        let script = [Some(Fault::Hang), None, Some(Fault::SlowDown)];
        let mut plan = FaultPlan::Script(script.into());
        assert_eq!(taken(&mut plan, 5), [Some(Fault::Hang), None, Some(Fault::SlowDown), None, None]);
    }

    #[test]
    fn a_fault_that_was_set_stays() {
        let mut plan = FaultPlan::Always(Fault::AccessDenied);
        assert_eq!(taken(&mut plan, 3), [Some(Fault::AccessDenied); 3]);
        assert_eq!(FaultPlan::default().take(), None);
    }

    #[test]
    fn a_seed_replays_its_faults_and_another_seed_draws_others() {
        let draw = |seed| -> Vec<_> { RandomFaults::new(seed, 300, &Fault::COUNTABLE).take(200).collect() };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_fault_of_a_request_is_listed_once() {
        let listed: std::collections::HashSet<_> = Fault::ALL.into_iter().collect();
        assert_eq!(listed.len(), Fault::ALL.len());
        assert!(Fault::COUNTABLE.iter().all(|fault| listed.contains(fault)));
        assert!(!listed.contains(&Fault::RefuseConnections));
        assert_eq!(Fault::NotImplemented as usize, Fault::ALL.len(), "the last variant, and one that is not listed");
    }

    #[test]
    fn random_faults_come_as_often_as_asked_and_in_every_kind() {
        let drawn: Vec<_> = RandomFaults::new(1, 300, &Fault::COUNTABLE).take(10_000).collect();
        let failed = drawn.iter().flatten().count();
        assert!((2_700..3_300).contains(&failed), "{failed} of 10,000");
        assert!(Fault::COUNTABLE.iter().all(|kind| drawn.contains(&Some(*kind))));

        let count = |per_mille| RandomFaults::new(1, per_mille, &[Fault::Hang]).take(1_000).flatten().count();
        assert_eq!((count(0), count(1_000)), (0, 1_000));
    }

    #[test]
    #[should_panic(expected = "can be set, but not counted")]
    fn refused_connections_cannot_be_drawn_at_random() {
        let _ = RandomFaults::new(1, 10, &[Fault::SlowDown, Fault::RefuseConnections]);
    }
}
