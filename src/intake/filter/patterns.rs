//! Regular expressions of an engine whose time for one search grows with the text and the pattern, and with nothing else: no text
//! makes it explode. The price are look-around and back-references, which it refuses.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

/// Patterns of one setting. Each is searched for in every record, before the platform is told "received".
pub const PATTERNS_MAX: usize = 32;
/// Bytes that a pattern takes when it is compiled, and again for what its searches remember: an e-mail address in any
/// script takes 150 KiB. So the patterns of two settings stay below 32 MiB whatever they are, a quarter of the smallest function.
pub const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// Patterns, each of which is searched for.
#[derive(Debug, Clone, Default)]
pub struct Patterns(Vec<Regex>);

/// A pattern that is not searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPattern {
    /// As it was written.
    pub pattern: String,
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl Patterns {
    /// Compiles patterns. Those that cannot be used cost themselves only.
    pub fn compile<'a>(patterns: impl IntoIterator<Item = &'a str>) -> (Self, Vec<RefusedPattern>) {
        let (mut compiled, mut refused) = (Vec::new(), Vec::new());
        for pattern in patterns {
            let result = if compiled.len() < PATTERNS_MAX {
                compile(pattern)
            } else {
                Err(format!("at most {PATTERNS_MAX} patterns are searched for"))
            };
            match result {
                Ok(regex) => compiled.push(regex),
                Err(reason) => refused.push(RefusedPattern { pattern: pattern.to_owned(), reason }),
            }
        }
        (Self(compiled), refused)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is found.
    pub(super) fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|regex| regex.is_match(text))
    }

    /// Where they are found, in no order. An empty place is none: there is nothing to see.
    pub(super) fn places<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        self.0
            .iter()
            .flat_map(move |regex| regex.find_iter(text))
            .map(|found| found.range())
            .filter(|at| !at.is_empty())
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX);
    builder.build().map_err(|error| reason(&error))
}

/// The engine draws the pattern and points into it; its last line says what is wrong.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!("compiled it takes more than {} KiB", COMPILED_BYTES_MAX >> 10),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pattern: &str) -> String {
        let (patterns, refused) = Patterns::compile(["a", pattern, "b"]);
        assert!(patterns.are_in("a") && patterns.are_in("b"), "the others work");
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].pattern, pattern);
        refused[0].reason.clone()
    }

    #[test]
    fn what_people_redact_compiles_within_the_bounds() {
        let patterns = [
            r"(?i)\b(password|token|secret)\b\W+\S+",
            r"[\w.+-]+@[\w-]+\.[\w.]+",
            r"\b\d{13,16}\b",
            r"AKIA[0-9A-Z]{16}",
            r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
            r"(?i)größe=\d+",
        ];
        let (compiled, refused) = Patterns::compile(patterns);
        assert_eq!(refused, []);
        for text in ["Token: x", "größer@beispiel.de", "4111111111111111", "GRÖSSE GRÖßE=5"] {
            assert!(compiled.are_in(text), "{text}");
        }
        assert!(!compiled.are_in("order 4711 accepted"));
    }

    #[test]
    fn what_does_not_compile_is_told_in_one_line_and_costs_itself() {
        assert_eq!(refused("(a"), "unclosed group");
        assert_eq!(refused("a\n(b"), "unclosed group");
        assert!(refused("(?=a)").contains("look-around"));
        assert!(refused(r"(a)\1").contains("backreferences"));
        assert_eq!(refused(r"\w{10}"), "compiled it takes more than 256 KiB");
        assert_eq!(refused("((a{1000}){1000}){1000}"), "compiled it takes more than 256 KiB");
    }

    #[test]
    fn more_patterns_than_the_limit_are_refused_by_name() {
        let texts: Vec<_> = (0..=PATTERNS_MAX).map(|number| format!("x{number}x")).collect();
        let (patterns, refused) = Patterns::compile(texts.iter().map(String::as_str));
        assert!(patterns.are_in("x31x") && !patterns.are_in("x32x"));
        assert_eq!(
            refused,
            [RefusedPattern { pattern: "x32x".into(), reason: "at most 32 patterns are searched for".into() }]
        );
    }

    #[test]
    fn empty_places_are_none() {
        let (patterns, _) = Patterns::compile(["a*", "b"]);
        assert_eq!(patterns.places("xaab").collect::<Vec<_>>(), [1..3, 3..4]);
    }
}
