//! Which objects are read, and in which order.
//!
//! An object lies in the folder of its first line's hour and is sealed when that hour is over, so the folder bounds the time of its
//! lines but for some slack: lines that come late, and a body that was held back while the environment was frozen.

use super::super::look_error::LookError;
use crate::archive::located::{Located, base_name};
use crate::archive::partition::Span;
use crate::archive::sorter::{MEMORY_BYTES_DEFAULT, Sorter};
use crate::archive::source::Source;
use crate::config::StoreSettings;
use crate::upload::object_key::{parse_file_name, spool_id_time_ms};
use crate::upload::store::reading::Listed;

/// An object that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) located: Located,
    /// The hours that its folder is for.
    pub(super) folder: Span,
    /// When its spool began.
    pub(super) began_ms: i64,
}

impl Chosen {
    fn new(located: Located, root: &str) -> Self {
        let folder = located.span(root);
        let began_ms = spool_id_time_ms(located.name().spool_id).unwrap_or_default();
        Self { located, folder, began_ms }
    }

    /// No line of it is from before, but for slack: the hour of its folder, or the beginning of its spool if the folder says nothing.
    pub(super) fn begins_ms(&self) -> i64 {
        if self.folder == Span::ALL { self.began_ms } else { self.folder.from_ms }
    }

    /// Where a line stands that has no time, and none before it: where losses and the ends of adopters are filed, too.
    pub(super) fn standing_ms(&self) -> i64 {
        if self.folder.holds(self.began_ms) { self.began_ms } else { self.folder.from_ms }
    }

    /// Whether it may hold a line of that time, as far as a listing tells.
    fn may_hold(&self, span: Span, slack_ms: i64) -> bool {
        let stored_ms = self.located.object.modified_ms;
        // An object holds nothing from after it was stored. (A copy of it is younger, which is no harm.)
        let until_ms = if stored_ms > 0 { stored_ms.saturating_add(1) } else { i64::MAX };
        let lines = Span { from_ms: self.begins_ms().min(until_ms - 1), until_ms };
        [self.folder, lines].iter().all(|may_be| may_be.widened(slack_ms).meets(span))
    }
}

/// Takes objects in the order of listings, and gives them in the order in which they are read.
pub(super) struct Selection {
    /// What places say before a folder.
    roots: Vec<String>,
    /// The same name is the same object, wherever it lies.
    by_name: Sorter,
    /// Objects of logspool that were listed.
    pub(super) listed: u64,
    /// Whether there is anything at all in any of the places.
    pub(super) is_something_there: bool,
}

impl Selection {
    /// Lists what lies in folders of that time and `wants` to be read. `look` is told how much is listed.
    pub(super) fn list(
        places: &[StoreSettings],
        span: Span,
        slack_ms: i64,
        mut wants: impl FnMut(&Listed) -> bool,
        look: impl Fn(u64),
    ) -> Result<Self, LookError> {
        let by_name = Sorter::new(MEMORY_BYTES_DEFAULT);
        let mut selection = Self { roots: Vec::new(), by_name, listed: 0, is_something_there: false };
        for (place, settings) in places.iter().enumerate() {
            let place = u16::try_from(place).map_err(|_| LookError::Unusable("too many places".to_owned()))?;
            let mut source = Source::open(settings).map_err(|error| LookError::Unusable(error.to_string()))?;
            let root = source.within("");
            let is_something_there = source.walk(span.widened(slack_ms), |object| {
                if parse_file_name(base_name(&object.key)).is_none() {
                    return Ok(());
                }
                selection.listed += 1;
                look(selection.listed);
                let is_wanted = wants(&object);
                selection.take(Chosen::new(Located { place, object }, &root), span, slack_ms, is_wanted)
            })?;
            selection.is_something_there |= is_something_there;
            selection.roots.push(root);
        }
        Ok(selection)
    }

    fn take(&mut self, chosen: Chosen, span: Span, slack_ms: i64, is_wanted: bool) -> Result<(), LookError> {
        if !is_wanted || !chosen.may_hold(span, slack_ms) {
            return Ok(());
        }
        let located = &chosen.located;
        Ok(self.by_name.push(base_name(&located.object.key).as_bytes(), &located.to_bytes())?)
    }

    /// Everything is listed: in the order of their times, and of spools and numbers within; each name once.
    pub(super) fn in_order(mut self) -> Result<InOrder, LookError> {
        let mut by_time = Sorter::new(MEMORY_BYTES_DEFAULT);
        let mut last = None;
        while let Some(entry) = self.by_name.pop()? {
            if last.as_ref() != Some(&entry.key)
                && let Some(chosen) = chosen_of(&entry.value, &self.roots)
            {
                let mut key = ordered(chosen.begins_ms()).to_vec();
                key.extend(&*entry.key);
                by_time.push(&key, &entry.value)?;
            }
            last = Some(entry.key);
        }
        Ok(InOrder { roots: self.roots, by_time })
    }
}

/// Objects in the order in which they are read.
pub(super) struct InOrder {
    roots: Vec<String>,
    by_time: Sorter,
}

impl InOrder {
    pub(super) fn next(&mut self) -> Result<Option<Chosen>, LookError> {
        let entry = self.by_time.pop()?;
        Ok(entry.and_then(|entry| chosen_of(&entry.value, &self.roots)))
    }

    pub(super) fn len(&self) -> u64 {
        self.by_time.len()
    }
}

fn chosen_of(located: &[u8], roots: &[String]) -> Option<Chosen> {
    let located = Located::of_bytes(located)?;
    let root = roots.get(usize::from(located.place))?;
    Some(Chosen::new(located, root))
}

/// Bytes that compare as the number does.
pub(super) fn ordered(ms: i64) -> [u8; 8] {
    // The order of two's complement is that of the unsigned numbers but for the sign.
    (ms ^ i64::MIN).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const NOON_MS: i64 = 1_795_694_400_000; // 2026-11-26T12:00:00Z
    /// Began half an hour later.
    const SPOOL: &str = "01M8BXB2A0P6Q7R8S9T0V1W2X3";

    fn chosen(folder: &str, modified_ms: i64) -> Chosen {
        let key = format!("{folder}{SPOOL}-000000000000-000000000009-00000000000000ff.ndjson.zst");
        Chosen::new(Located { place: 0, object: Listed { key, bytes: 1, modified_ms } }, "root/")
    }

    #[test]
    fn numbers_keep_their_order_as_bytes() {
        let numbers = [i64::MIN, -NOON_MS, -1, 0, 1, 255, 256, NOON_MS, i64::MAX];
        assert!(numbers.is_sorted() && numbers.map(ordered).is_sorted());
    }

    #[test]
    fn an_object_stands_in_the_hour_of_its_folder_or_where_its_spool_began() {
        let began = NOON_MS + HOUR_MS / 2;
        let table = [
            ("dt=2026-11-26/hour=12/", NOON_MS, began),
            ("dt=2026-11-26/hour=13/", NOON_MS + HOUR_MS, NOON_MS + HOUR_MS),
            ("dt=2026-11-26/", NOON_MS - 12 * HOUR_MS, began),
            ("flat/", began, began),
            ("", began, began),
        ];
        for (folder, from_ms, standing_ms) in table {
            let chosen = chosen(folder, 0);
            assert_eq!((chosen.begins_ms(), chosen.standing_ms()), (from_ms, standing_ms), "{folder}");
        }
    }

    #[test]
    fn what_an_object_may_hold_is_asked_of_folder_beginning_and_storing() {
        let span =
            |from: i64, until: i64| Span { from_ms: NOON_MS + from * HOUR_MS, until_ms: NOON_MS + until * HOUR_MS };
        let stored = |hours: i64| NOON_MS + hours * HOUR_MS;
        // Folder, when it was stored, span, hours of slack; whether it is read.
        let table = [
            ("dt=2026-11-26/hour=12/", 0, span(0, 1), 0, true),
            ("dt=2026-11-26/hour=12/", 0, span(1, 2), 0, false),
            ("dt=2026-11-26/hour=12/", 0, span(2, 3), 1, false),
            ("dt=2026-11-26/hour=12/", 0, span(1, 2), 1, true),
            ("dt=2026-11-26/hour=12/", 0, span(-1, 0), 1, true),
            // It was stored before.
            ("dt=2026-11-26/", stored(2), span(3, 4), 0, false),
            ("dt=2026-11-26/", stored(3), span(3, 4), 0, true),
            ("dt=2026-11-26/", stored(2), span(3, 4), 1, true),
            ("", stored(2), span(3, 4), 0, false),
            // Its spool began later.
            ("", 0, span(-2, 0), 0, false),
            ("", 0, span(-2, 0), 1, true),
            ("", 0, span(5, 6), 0, true),
            ("", 0, Span::ALL, 0, true),
            // A copy whose time was set to long ago.
            ("", 1, Span::ALL, 0, true),
        ];
        for (folder, modified_ms, span, hours, may_hold) in table {
            let chosen = chosen(folder, modified_ms);
            assert_eq!(chosen.may_hold(span, hours * HOUR_MS), may_hold, "{folder} {modified_ms} {span:?} {hours}");
        }
    }
}
