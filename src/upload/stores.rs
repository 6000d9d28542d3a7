//! All places that objects can go to, and how they fare, as far as the log tells it.

use std::sync::Arc;

use super::route::{Place, Route};
use super::store::{AttemptError, AttemptErrorKind, ObjectStore};

/// A store for each place of a route.
#[derive(Clone)]
pub struct Stores {
    stores: Vec<Arc<dyn ObjectStore>>,
    route: Route,
    trusts_log: bool,
}

impl From<Arc<dyn ObjectStore>> for Stores {
    fn from(destination: Arc<dyn ObjectStore>) -> Self {
        Self::new(destination, Vec::new(), None, false)
    }
}

impl Stores {
    /// A destination, its fallbacks, and the log of the function behind those. What is written there counts as delivered if
    /// `trusts_log`.
    #[must_use]
    pub fn new(
        destination: Arc<dyn ObjectStore>,
        fallbacks: Vec<Arc<dyn ObjectStore>>,
        log: Option<Arc<dyn ObjectStore>>,
        trusts_log: bool,
    ) -> Self {
        let route = Route::new(u8::try_from(fallbacks.len()).expect("few fallbacks"), log.is_some());
        let stores = [destination].into_iter().chain(fallbacks).chain(log).collect();
        Self { stores, route, trusts_log }
    }

    /// The places.
    #[must_use]
    pub fn route(&self) -> Route {
        self.route
    }

    /// The store of a place.
    #[must_use]
    pub fn at(&self, place: Place) -> &Arc<dyn ObjectStore> {
        &self.stores[place.index()]
    }

    /// Whether what nobody confirms counts as delivered.
    #[must_use]
    pub fn trusts_log(&self) -> bool {
        self.trusts_log
    }

    /// Lets go of what would not survive a freeze.
    pub fn close_idle(&self) {
        self.stores.iter().for_each(|store| store.close_idle());
    }

    /// How each of them fares, before anything is known.
    #[must_use]
    pub(super) fn fares(&self) -> Vec<Fares> {
        vec![Fares::default(); self.stores.len()]
    }
}

/// What was told of a store: each trouble once, and its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Fares {
    told_configuration: bool,
    in_outage: bool,
}

impl Fares {
    pub(super) fn well(&mut self, store: &str, waiting: usize) {
        if std::mem::take(&mut self.in_outage) {
            crate::warn!("store={store} waiting={waiting} Uploads work again.");
        }
        self.told_configuration = false;
    }

    pub(super) fn badly(&mut self, error: &AttemptError, store: &str, waiting: usize) {
        match error.kind {
            AttemptErrorKind::Configuration | AttemptErrorKind::WrongRegion => {
                if !std::mem::replace(&mut self.told_configuration, true) {
                    crate::warn!(
                        "store={store} waiting={waiting} error=\"{error}\" Uploads need a person; logs stay in the spool meanwhile."
                    );
                }
            }
            _ => {
                if !std::mem::replace(&mut self.in_outage, true) {
                    crate::warn!(
                        "store={store} waiting={waiting} error=\"{error}\" An upload failed and is tried again later."
                    );
                } else {
                    crate::debug!("store={store} waiting={waiting} error=\"{error}\" An upload failed again.");
                }
            }
        }
    }
}
