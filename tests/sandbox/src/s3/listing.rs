//! Which objects one page of a listing holds: pure.

use super::disk::ObjectFacts;

/// As many keys as S3 puts into one page, and its default.
pub(super) const PAGE_KEYS_MAX: usize = 1_000;

/// One page, and where the next begins.
#[derive(Default)]
pub(super) struct Page {
    pub(super) objects: Vec<ObjectFacts>,
    /// What keys have in common up to the delimiter behind the prefix.
    pub(super) common_prefixes: Vec<String>,
    /// The last key or common prefix of this page, if there is a further one.
    pub(super) next_after: Option<String>,
}

/// The first `keys_max` of `objects` (sorted by key) that begin with `prefix` and come behind `after`. Keys that have the delimiter
/// behind the prefix count as one, by what they have in common.
pub(super) fn page(
    objects: Vec<ObjectFacts>,
    prefix: &str,
    delimiter: Option<&str>,
    after: &str,
    keys_max: usize,
) -> Page {
    let (mut page, mut last) = (Page::default(), None);
    for object in objects.into_iter().filter(|object| object.key.starts_with(prefix)) {
        let common = delimiter.and_then(|delimiter| {
            let end = object.key[prefix.len()..].find(delimiter)? + prefix.len() + delimiter.len();
            Some(object.key[..end].to_owned())
        });
        let name = common.as_ref().unwrap_or(&object.key);
        if name.as_str() <= after || last.as_ref() == Some(name) {
            continue;
        }
        if page.objects.len() + page.common_prefixes.len() == keys_max {
            // A page of no keys says nothing about the next one; S3 calls it complete.
            page.next_after = last;
            break;
        }
        last = Some(name.clone());
        match common {
            Some(common) => page.common_prefixes.push(common),
            None => page.objects.push(object),
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(prefix: &str, delimiter: Option<&str>, after: &str, keys_max: usize) -> (Vec<String>, Option<String>) {
        let objects = ["a/1", "a/2", "a/3", "b/1", "c"].map(ObjectFacts::of_key).into();
        let page = page(objects, prefix, delimiter, after, keys_max);
        let keys = page.objects.into_iter().map(|object| object.key);
        (page.common_prefixes.into_iter().chain(keys).collect(), page.next_after)
    }

    #[test]
    fn a_page_ends_where_the_next_begins() {
        for (prefix, after, keys_max, expected, next) in [
            ("", "", 9, vec!["a/1", "a/2", "a/3", "b/1", "c"], None),
            ("a/", "", 9, vec!["a/1", "a/2", "a/3"], None),
            ("", "", 2, vec!["a/1", "a/2"], Some("a/2")),
            ("", "a/2", 2, vec!["a/3", "b/1"], Some("b/1")),
            ("", "a/2", 3, vec!["a/3", "b/1", "c"], None),
            ("a/", "a/1", 1, vec!["a/2"], Some("a/2")),
            ("a/", "a/2", 1, vec!["a/3"], None),
            ("d", "", 9, vec![], None),
            ("", "", 0, vec![], None),
        ] {
            let (found, found_next) = keys(prefix, None, after, keys_max);
            let case = format!("prefix {prefix:?} after {after:?} max {keys_max}");
            assert_eq!(found, expected, "{case}");
            assert_eq!(found_next.as_deref(), next, "{case}");
        }
    }

    #[test]
    fn what_keys_have_in_common_is_one_name_of_the_page() {
        for (prefix, after, keys_max, expected, next) in [
            ("", "", 9, vec!["a/", "b/", "c"], None),
            ("", "", 1, vec!["a/"], Some("a/")),
            ("", "a/", 1, vec!["b/"], Some("b/")),
            ("", "b/", 1, vec!["c"], None),
            ("a/", "", 9, vec!["a/1", "a/2", "a/3"], None),
            ("a", "", 9, vec!["a/"], None),
        ] {
            let (found, found_next) = keys(prefix, Some("/"), after, keys_max);
            let case = format!("prefix {prefix:?} after {after:?} max {keys_max}");
            assert_eq!(found, expected, "{case}");
            assert_eq!(found_next.as_deref(), next, "{case}");
        }
    }
}
