//! The tags of an object, as `x-amz-tagging` writes them: like the query of a URL.

use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3Result, s3_error};
use std::collections::BTreeMap;

/// S3's own limit.
const TAGS_MAX: usize = 10;

/// # Errors
/// 400 for what S3 would not take: no text, other characters than it knows, a name twice, too many.
pub(super) fn tags(header: &str) -> S3Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for pair in header.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if tags.insert(decoded(name)?, decoded(value)?).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(s3_error!(InvalidTag, "Object tags cannot be greater than 10"));
    }
    Ok(tags)
}

fn decoded(text: &str) -> S3Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let text = decoded.map_err(|_| malformed())?;
    if !text.chars().all(is_tag_character) {
        return Err(s3_error!(InvalidTag, "The TagKey or TagValue you have provided is invalid"));
    }
    Ok(text.into_owned())
}

/// Letters and digits of any script, spaces, and a few more (Amazon S3 User Guide, "Categorizing your storage using tags").
fn is_tag_character(character: char) -> bool {
    character.is_alphanumeric() || character == ' ' || "+-=._:/@".contains(character)
}

fn malformed() -> S3Error {
    s3_error!(
        InvalidArgument,
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_read_as_those_of_a_query() {
        let read = |header| tags(header).expect("tags").into_iter().collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read("a=b&c+d=e%20f%3D"), [pair("a", "b"), pair("c d", "e f=")]);
        assert_eq!(read("alone&empty="), [pair("alone", ""), pair("empty", "")]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn what_s3_would_not_take_is_refused() {
        let many: Vec<String> = (0..11).map(|number| format!("{number}=x")).collect();
        for header in ["a=1&a=2", "a=%FF", "a=%26", "%0A=a", &many.join("&")] {
            assert!(tags(header).is_err(), "{header}");
        }
        assert_eq!(tags(&many[..10].join("&")).expect("tags").len(), 10);
    }
}
