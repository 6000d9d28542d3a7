//! What a listing says of one spool, in an order that one pass can judge: pure.
//!
//! Names are sorted by spool, then by their first number, the longest range first; behind the names of a spool stands what was found
//! in its objects.

use crate::archive::located::{Located, base_name};
use crate::archive::sorter::Entry;
use crate::upload::object_key::{SPOOL_ID_LEN, parse_file_name, spool_id_time_ms};

/// Something that is known of a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// An object is in a listing.
    Object(Located),
    /// An object does not hold what its name says.
    Finding(String),
    /// The end line says that nobody knows the tail.
    UnknownTail,
}

const OBJECT: u8 = 0;
const FINDING: u8 = 1;
const UNKNOWN_TAIL: u8 = 2;

impl Known {
    /// How it is sorted, and what belongs to it.
    pub(super) fn entry(&self, spool: &str) -> (Vec<u8>, Vec<u8>) {
        let mut key = spool.as_bytes().to_vec();
        match self {
            Self::Object(located) => {
                let base_name = base_name(&located.object.key);
                let (first, last) = parse_file_name(base_name).map_or((0, 0), |name| (name.first, name.last));
                key.push(OBJECT);
                key.extend(first.to_be_bytes());
                key.extend((u64::MAX - last).to_be_bytes());
                key.extend(base_name.as_bytes());
                (key, located.to_bytes())
            }
            Self::Finding(text) => {
                key.push(FINDING);
                (key, text.as_bytes().to_vec())
            }
            Self::UnknownTail => {
                key.push(UNKNOWN_TAIL);
                (key, Vec::new())
            }
        }
    }

    /// The spool, and what is known of it: the inverse of [`Self::entry`].
    pub(super) fn of_entry(entry: &Entry) -> Option<(String, Self)> {
        let (spool, rest) = entry.key.split_at_checked(SPOOL_ID_LEN)?;
        let spool = String::from_utf8(spool.to_vec()).ok()?;
        let known = match *rest.first()? {
            OBJECT => Self::Object(Located::of_bytes(&entry.value)?),
            FINDING => Self::Finding(String::from_utf8_lossy(&entry.value).into_owned()),
            _ => Self::UnknownTail,
        };
        Some((spool, known))
    }
}

/// Whether a name that is none of ours looks as if it was one once: it begins with the id of a spool.
pub(super) fn looks_like_ours(key: &str) -> bool {
    base_name(key).split_once('-').is_some_and(|(id, _)| spool_id_time_ms(id).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::store::reading::Listed;

    const SPOOL: &str = "01JZ8K4M3N5P6Q7R8S9T0V1W2X";

    #[test]
    fn what_is_sorted_comes_back_and_the_longest_range_comes_first() {
        let located = |name: &str| {
            let key = format!("dt=2026-11-26/{SPOOL}-{name}");
            Known::Object(Located { place: 3, object: Listed { key, bytes: 7, modified_ms: -1 } })
        };
        let sorted = [
            located("000000000000-000000000009-00000000000000ff.ndjson.zst"),
            located("000000000000-000000000004-00000000000000ff-cut.ndjson.zst"),
            located("000000000007-000000000009-quota.dropped"),
            located("1000000000000-1000000000000-00000000000000ff-end.ndjson"),
            Known::Finding("text".to_owned()),
            Known::UnknownTail,
        ];
        let mut entries: Vec<_> = sorted.iter().map(|known| known.entry(SPOOL)).collect();
        entries.reverse();
        entries.sort();
        let back = entries.into_iter().map(|(key, value)| Entry { key: key.into(), value: value.into() });
        let back: Vec<_> = back.map(|entry| Known::of_entry(&entry).expect("ours")).collect();
        assert_eq!(back, sorted.map(|known| (SPOOL.to_owned(), known)));
    }

    #[test]
    fn names_that_were_changed_are_told_from_those_of_others() {
        for name in ["0-1-ff.ndjson.zst", "000000000000-000000000004-00000000000000fg.ndjson", "0-9-Quota.dropped"] {
            assert!(looks_like_ours(&format!("a/{SPOOL}-{name}")), "{name}");
        }
        for name in ["README.md", "a-b.ndjson", "_SUCCESS", SPOOL] {
            assert!(!looks_like_ours(name), "{name}");
        }
    }
}
