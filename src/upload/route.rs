//! Where objects can go: the destination, then its fallbacks in their order. Pure.
//!
//! At SHUTDOWN everything is tried at one place after the other. Each store gets half of the time that is left, the last one all
//! of it; the log of the function, which takes what it is given at once, the last 100 ms.

/// What the log of the function gets of the time.
const LOG_MS: i64 = 100;

/// One of the places that objects can go to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u8);

impl Place {
    /// The first one.
    pub const DESTINATION: Self = Self(0);

    /// Its position in the route.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// All places in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Route {
    fallback_stores: u8,
    has_log: bool,
}

impl Route {
    /// A destination with so many stores behind it, and behind those the log of the function if `has_log`.
    #[must_use]
    pub fn new(fallback_stores: u8, has_log: bool) -> Self {
        Self { fallback_stores, has_log }
    }

    /// The stores, which can be tried at any time.
    pub fn stores(self) -> impl Iterator<Item = Place> {
        (0..=self.fallback_stores).map(Place)
    }

    /// The store behind a place.
    #[must_use]
    pub fn next_store(self, place: Place) -> Option<Place> {
        place.0.checked_add(1).filter(|next| *next <= self.fallback_stores).map(Place)
    }

    /// What is behind a place at SHUTDOWN.
    #[must_use]
    pub fn next(self, place: Place) -> Option<Place> {
        self.next_store(place).or_else(|| (self.has_log && place.0 <= self.fallback_stores).then(|| self.log()))
    }

    /// Whether a place is the log of the function: one line after the other, and nobody says whether it arrived.
    #[must_use]
    pub fn is_log(self, place: Place) -> bool {
        self.has_log && place == self.log()
    }

    fn log(self) -> Place {
        Place(self.fallback_stores + 1)
    }

    /// Until when a place is tried at SHUTDOWN if its turn comes at `now_ms`.
    #[must_use]
    pub fn until_ms(self, place: Place, now_ms: i64, deadline_ms: i64) -> i64 {
        if self.is_log(place) {
            return deadline_ms;
        }
        let stores_until_ms = if self.has_log { deadline_ms.saturating_sub(LOG_MS) } else { deadline_ms };
        match self.next_store(place) {
            None => stores_until_ms,
            Some(_) => now_ms.saturating_add(stores_until_ms.saturating_sub(now_ms) / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(route: Route) -> Vec<Place> {
        std::iter::successors(Some(Place::DESTINATION), |place| route.next(*place)).collect()
    }

    #[test]
    fn places_come_in_their_order_and_the_log_is_the_last() {
        for (stores, has_log, places) in [(0, false, 1), (2, false, 3), (0, true, 2), (2, true, 4)] {
            let route = Route::new(stores, has_log);
            let walked = walk(route);
            assert_eq!(walked, (0..places).map(Place).collect::<Vec<_>>());
            assert_eq!(route.stores().count(), usize::from(stores) + 1);
            let logs: Vec<_> = walked.iter().filter(|place| route.is_log(**place)).collect();
            assert_eq!(logs, walked.last().filter(|_| has_log).into_iter().collect::<Vec<_>>());
            assert!(route.stores().all(|store| !route.is_log(store)));
        }
    }

    #[test]
    fn each_store_gets_half_of_the_rest_the_last_one_all_of_it_and_the_log_the_end() {
        let shares = |route: Route| {
            let mut now_ms = 0;
            let until = walk(route).into_iter().map(|place| {
                now_ms = route.until_ms(place, now_ms, 1_300);
                now_ms
            });
            until.collect::<Vec<_>>()
        };
        assert_eq!(shares(Route::new(0, false)), [1_300]);
        assert_eq!(shares(Route::new(0, true)), [1_200, 1_300]);
        assert_eq!(shares(Route::new(1, false)), [650, 1_300]);
        assert_eq!(shares(Route::new(2, true)), [600, 900, 1_200, 1_300]);
        assert_eq!(Route::new(1, true).until_ms(Place::DESTINATION, 2_000, 1_300), 1_600, "too late is too late");
    }
}
