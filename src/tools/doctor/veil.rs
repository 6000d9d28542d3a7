//! What must not be printed, whoever put it there: everything that the doctor says passes through here.

use std::borrow::Cow;

use crate::config::Vars;
use crate::upload::store::credentials;

/// What stands where a secret was.
const VEILED: &str = "***";
/// Variables whose values are secrets.
const SECRETS: [&str; 4] = [
    credentials::SECRET_ACCESS_KEY,
    credentials::SESSION_TOKEN,
    credentials::CONTAINER_TOKEN,
    "LOGSPOOL_S3_EXTERNAL_ID",
];

/// The secrets that are known.
pub(super) struct Veil(Vec<String>);

impl Veil {
    pub(super) fn new(vars: &dyn Vars) -> Self {
        let value = |name: &&str| vars.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        Self(SECRETS.iter().filter_map(value).collect())
    }

    /// `text` without secrets: those that are known, and what stands in URLs where passwords and signatures do.
    pub(super) fn over(&self, text: &str) -> String {
        let known = self.0.iter().fold(Cow::Borrowed(text), |text, secret| Cow::Owned(text.replace(secret, VEILED)));
        let is_end = |c: char| c.is_whitespace() || "\"'`<>,;".contains(c);
        known.split_inclusive(is_end).map(without_url_secrets).collect()
    }
}

/// A word; one that is a URL loses what stands before `@` and behind `?`.
fn without_url_secrets(word: &str) -> Cow<'_, str> {
    let Some(begin) = word.find("://").map(|at| at + "://".len()) else { return Cow::Borrowed(word) };
    let (scheme, rest) = word.split_at(begin);
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (user, rest) = match rest[..authority_end].rfind('@') {
        Some(at) => (VEILED, &rest[at..]),
        None => ("", rest),
    };
    match rest.find('?') {
        // Whatever ends the word stays.
        Some(at) => {
            let end = rest.trim_end_matches(|c: char| c.is_whitespace() || "\"'`<>,;:.".contains(c)).len().max(at);
            Cow::Owned(format!("{scheme}{user}{}?…{}", &rest[..at], &rest[end..]))
        }
        None => Cow::Owned(format!("{scheme}{user}{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn secrets_are_veiled_and_everything_else_is_left() {
        let vars: BTreeMap<String, String> = [
            ("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn"),
            ("AWS_SESSION_TOKEN", " token== "),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let table = [
            ("signed with wJalr/XUtn and token==.", "signed with *** and ***."),
            ("s3://logs/it, region eu-west-1", "s3://logs/it, region eu-west-1"),
            ("via http://me:pa@ss@proxy:3128/x \"https://u@h\"", "via http://***@proxy:3128/x \"https://***@h\""),
            ("X=\"https://h/a?X-Amz-Signature=1\": no", "X=\"https://h/a?…\": no"),
            ("s3://b?endpoint=https://me:secret@x", "s3://b?…"),
            ("https://h/?a@b, then", "https://h/?…, then"),
            ("is it there? a@b.c", "is it there? a@b.c"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(Veil::new(&vars).over(text), expected);
        }
    }
}
