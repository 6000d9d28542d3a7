//! Which objects one page of a listing holds: pure.

use super::disk::ObjectFacts;

/// As many keys as S3 puts into one page, and its default.
pub(super) const PAGE_KEYS_MAX: usize = 1_000;

/// One page, and where the next begins.
pub(super) struct Page {
    pub(super) objects: Vec<ObjectFacts>,
    /// The last key of this page, if there is a further one.
    pub(super) next_after: Option<String>,
}

/// The first `keys_max` of `objects` (sorted by key) that begin with `prefix` and come behind `after`.
pub(super) fn page(objects: Vec<ObjectFacts>, prefix: &str, after: &str, keys_max: usize) -> Page {
    let mut objects: Vec<_> =
        objects.into_iter().filter(|object| object.key.starts_with(prefix) && object.key.as_str() > after).collect();
    let truncated = objects.len() > keys_max;
    objects.truncate(keys_max);
    // A page of no keys says nothing about the next one; S3 calls it complete.
    let next_after = objects.last().filter(|_| truncated).map(|last| last.key.clone());
    Page { objects, next_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(prefix: &str, after: &str, keys_max: usize) -> (Vec<String>, Option<String>) {
        let objects = ["a/1", "a/2", "a/3", "b/1"].map(ObjectFacts::of_key).into();
        let page = page(objects, prefix, after, keys_max);
        let keys = page.objects.into_iter().map(|object| object.key).collect();
        (keys, page.next_after)
    }

    #[test]
    fn a_page_ends_where_the_next_begins() {
        for (prefix, after, keys_max, expected, next) in [
            ("", "", 9, vec!["a/1", "a/2", "a/3", "b/1"], None),
            ("a/", "", 9, vec!["a/1", "a/2", "a/3"], None),
            ("", "", 2, vec!["a/1", "a/2"], Some("a/2")),
            ("", "a/2", 2, vec!["a/3", "b/1"], None),
            ("a/", "a/1", 1, vec!["a/2"], Some("a/2")),
            ("a/", "a/2", 1, vec!["a/3"], None),
            ("c", "", 9, vec![], None),
            ("", "", 0, vec![], None),
        ] {
            let (found, found_next) = keys(prefix, after, keys_max);
            let case = format!("prefix {prefix:?} after {after:?} max {keys_max}");
            assert_eq!(found, expected, "{case}");
            assert_eq!(found_next.as_deref(), next, "{case}");
        }
    }
}
