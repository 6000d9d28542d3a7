//! The switch in the test's hand.

use super::fault::{Fault, FaultPlan, RandomFaults, Requests, assert_countable};
use super::gate::Gate;
use std::collections::VecDeque;
use std::iter::repeat_n;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says what goes wrong, while the server runs. Clones switch the same server.
///
/// Each call replaces what was planned before. A fault strikes **uploads of objects only**; other requests neither
/// suffer nor use one up, unless the plan was made through [`Faults::of`] with [`Requests::All`]. The one exception is
/// [`Fault::RefuseConnections`], which closes the port for everybody.
#[derive(Clone)]
pub struct Faults {
    requests: Requests,
    shared: Arc<Shared>,
}

struct Shared {
    gate: Arc<Gate>,
    current: Mutex<Current>,
}

struct Current {
    requests: Requests,
    plan: FaultPlan,
    seed: Option<u64>,
}

impl Faults {
    pub(super) fn none(gate: Arc<Gate>) -> Self {
        let current = Mutex::new(Current { requests: Requests::Puts, plan: FaultPlan::Healthy, seed: None });
        Self { requests: Requests::Puts, shared: Arc::new(Shared { gate, current }) }
    }

    /// The same switch, for plans that strike these requests.
    #[must_use]
    pub fn of(&self, requests: Requests) -> Self {
        Self { requests, shared: Arc::clone(&self.shared) }
    }

    /// This fault for every request until the next call.
    ///
    /// When this returns with [`Fault::RefuseConnections`], `connect()` fails and no request is served any more.
    pub fn set(&self, fault: Fault) {
        self.plan(FaultPlan::Always(fault), None);
    }

    /// This fault for the next `count` requests; then S3 works again.
    ///
    /// # Panics
    /// With [`Fault::RefuseConnections`]: a refused connection is never seen, so it cannot be counted.
    pub fn next(&self, count: usize, fault: Fault) {
        self.script(repeat_n(fault, count));
    }

    /// One entry for each request to come, `None` for one that works; then S3 works again.
    ///
    /// # Panics
    /// With [`Fault::RefuseConnections`]: a refused connection is never seen, so it cannot be counted.
    pub fn script<I>(&self, entries: I)
    where
        I: IntoIterator,
        I::Item: Into<Option<Fault>>,
    {
        let entries: VecDeque<Option<Fault>> = entries.into_iter().map(Into::into).collect();
        assert_countable(entries.iter().flatten());
        self.plan(FaultPlan::Script(entries), None);
    }

    /// A random fault of `kinds` for `per_mille` of 1,000 requests, until the next call.
    ///
    /// The sequence is [`RandomFaults`] of the same arguments: print [`Faults::seed`] when a test fails, and start from
    /// it to see the same again.
    ///
    /// # Panics
    /// As [`RandomFaults::new`].
    pub fn random(&self, seed: u64, per_mille: u32, kinds: &[Fault]) {
        let draws = RandomFaults::new(seed, per_mille, kinds);
        self.plan(FaultPlan::Random(draws), Some(seed));
    }

    /// The seed of the random faults in force, if there are any.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.current().seed
    }

    /// S3 works again, and so does the port. Requests that hang go on hanging.
    pub fn clear(&self) {
        self.plan(FaultPlan::Healthy, None);
    }

    /// The fate of a request that has just arrived.
    pub(super) fn take(&self, is_put: bool) -> Option<Fault> {
        let mut current = self.current();
        let concerned = is_put || current.requests == Requests::All || current.plan.refuses();
        if concerned { current.plan.take() } else { None }
    }

    /// Plan and port change under one lock: two callers leave them in agreement.
    fn plan(&self, plan: FaultPlan, seed: Option<u64>) {
        let mut current = self.current();
        let refuses = plan.refuses();
        *current = Current { requests: self.requests, plan, seed };
        if refuses {
            self.shared.gate.refuse();
        } else {
            self.shared.gate.admit();
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.shared.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
