//! From an object's key to the path of its file.
//!
//! - Two keys never share a path, and a path never leaves the directory it is joined to: the key says nothing that
//!   the file system understands, except `/`.
//! - A name is plain where it can be, so that a person finds `function=orders/hour=04/….ndjson.zst` and opens it.
//! - The way back is not needed: the key itself is kept beside the object.
//!
//! The one thing that a tree of files cannot hold is a key that is also the directory of another (`a` and `a/b`).

use std::fmt::Write as _;
use std::path::PathBuf;

/// The longest name of one level, in bytes: file systems end at 255, and a mark must still fit.
const NAME_BYTES_MAX: usize = 240;

/// Stands for the empty segment of `a//b`. Never the name of another one: behind an escaping `%` come two hex digits.
const EMPTY_SEGMENT: &str = "%-";

/// The path, relative to the bucket's directory, at which the object `key` is kept.
pub(super) fn relative_path(key: &str) -> PathBuf {
    key.split('/').flat_map(levels).collect()
}

/// One segment as one name, or as several levels if it is too long; all but the last then end with a bare `%`.
fn levels(segment: &str) -> Vec<String> {
    let mut rest = escape(segment);
    let mut levels = Vec::new();
    while rest.len() > NAME_BYTES_MAX {
        let tail = rest.split_off(NAME_BYTES_MAX); // ASCII: every index is a boundary
        levels.push(rest + "%");
        rest = tail;
    }
    levels.push(rest);
    levels
}

/// ASCII, and neither empty, `.`, `..` nor hidden.
fn escape(segment: &str) -> String {
    if segment.is_empty() {
        return EMPTY_SEGMENT.to_owned();
    }
    let mut name = String::with_capacity(segment.len());
    for (at, byte) in segment.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-_=+,@".contains(&byte);
        if plain || (byte == b'.' && at > 0) {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::path::Component;

    #[test]
    fn an_ordinary_key_is_its_own_path() {
        let key = "logs/function=orders/dt=2026-11-23/hour=04/01ABC-000000000000-7.ndjson.zst";
        assert_eq!(relative_path(key), PathBuf::from(key));
    }

    #[test]
    fn what_the_file_system_would_understand_is_escaped() {
        for (key, path) in [
            ("..", "%2E."),
            ("../../etc/passwd", "%2E./%2E./etc/passwd"),
            ("/absolute", "%-/absolute"),
            ("a//b/", "a/%-/b/%-"),
            (".hidden", "%2Ehidden"),
            ("a%20b c+d=e", "a%2520b%20c+d=e"),
            ("nul\0é\\", "nul%00%C3%A9%5C"),
        ] {
            assert_eq!(relative_path(key), PathBuf::from(path), "key {key:?}");
        }
    }

    #[test]
    fn a_name_too_long_for_one_level_does_not_meet_the_key_with_a_slash_there() {
        let (head, tail) = ("x".repeat(NAME_BYTES_MAX), "y");
        let long = relative_path(&format!("{head}{tail}"));
        assert_eq!(long, PathBuf::from(format!("{head}%/{tail}")));
        assert_ne!(long, relative_path(&format!("{head}/{tail}")));
    }

    #[test]
    fn random_keys_never_share_a_path_and_never_leave_the_root() {
        let seed = fastrand::u64(..);
        let mut rng = fastrand::Rng::with_seed(seed);
        let alphabet = ['a', '.', '/', '%', '2', 'E', '-', ' ', 'é'];
        let mut seen: HashMap<PathBuf, String> = HashMap::new();
        for _ in 0..20_000 {
            let length = if rng.u8(..) == 0 { 900 } else { rng.usize(1..7) };
            let key: String = (0..length).filter_map(|_| rng.choice(alphabet.iter())).collect();
            let path = relative_path(&key);
            for component in path.components() {
                let Component::Normal(name) = component else {
                    panic!("seed {seed}: key {key:?} leaves the root by {component:?}");
                };
                assert!(name.len() <= 255, "seed {seed}: key {key:?} is too long");
            }
            let other = seen.entry(path).or_insert_with(|| key.clone());
            assert_eq!(*other, key, "seed {seed}: two keys share a path");
        }
    }
}
