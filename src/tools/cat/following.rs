//! Which objects are new since the last look: pure.

use std::collections::HashMap;

use crate::archive::located::base_name;
use crate::upload::store::reading::Listed;

/// An object comes within two hours of its folder's one, unless its store could not be reached for longer.
const WINDOW_MS: i64 = 2 * 3_600_000;

/// Since when folders get something new, and objects are remembered.
pub(super) fn window_ms(now_ms: i64) -> i64 {
    now_ms.saturating_sub(WINDOW_MS)
}

/// What has been shown, as far as it could be met again: bounded by what is stored within the window.
#[derive(Default)]
pub(super) struct Followed {
    /// When it was stored, by name.
    shown: HashMap<String, i64>,
    window_ms: i64,
}

impl Followed {
    /// Begins a look.
    pub(super) fn look(&mut self, now_ms: i64) {
        self.window_ms = window_ms(now_ms);
        // What was stored before is behind us, and needs no memory.
        self.shown.retain(|_, stored_ms| *stored_ms >= self.window_ms);
    }

    /// Whether an object has come since the last look.
    pub(super) fn is_new(&mut self, object: &Listed) -> bool {
        object.modified_ms >= self.window_ms
            && self.shown.insert(base_name(&object.key).to_owned(), object.modified_ms).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, modified_ms: i64) -> Listed {
        Listed { key: format!("a/{name}"), bytes: 1, modified_ms }
    }

    #[test]
    fn an_object_is_new_once_and_forgotten_when_it_is_old() {
        let (now, mut followed) = (10 * WINDOW_MS, Followed::default());
        followed.look(now);
        assert!(!followed.is_new(&object("old", now - WINDOW_MS - 1)), "it was there at the first look");
        assert!(followed.is_new(&object("first", now - 5)));
        followed.look(now + 1);
        assert!(!followed.is_new(&object("first", now - 5)));
        assert!(followed.is_new(&object("second", now)) && !followed.is_new(&object("second", now)));
        // The window moves on.
        followed.look(now + WINDOW_MS - 4);
        assert!(!followed.is_new(&object("first", now - 5)) && followed.is_new(&object("third", now + 9)));
        assert!(!followed.is_new(&object("second", now)));
        assert_eq!(followed.shown.len(), 2);
    }
}
