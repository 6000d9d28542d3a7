//! What the repository promises of itself: who may know what, and that the README tells the truth about settings.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expects by failing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use logspool::config::settings;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust sources below a folder.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
                found.push((relative(&path), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// Modules that are compiled for tests only.
fn is_test(path: &Path) -> bool {
    let names = ["tests.rs", "test_body.rs", "test_proxy.rs", "recording_server.rs"];
    names.iter().any(|name| path.ends_with(name))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Code without comments and without inline tests: what is said about a thing is no use of it.
fn code(source: &str) -> String {
    let begins = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(super) mod tests {"];
    let code = begins.iter().fold(source, |code, begin| code.split(begin).next().unwrap_or_default());
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// `word` stands in the code of these files only; a name that ends with `/` means a folder.
#[track_caller]
fn only(folder: &str, word: &str, allowed: &[&str]) {
    let mut seen = false;
    for (path, source) in sources(folder) {
        if !code(&source).contains(word) {
            continue;
        }
        seen = true;
        let is_allowed =
            allowed.iter().any(|allowed| path == *allowed || (allowed.ends_with('/') && path.starts_with(allowed)));
        assert!(is_allowed, "{path} must not use {word:?}; only {allowed:?} may");
    }
    assert!(seen || allowed.is_empty(), "{word:?} is used nowhere: the rule is out of date");
}

#[test]
fn each_dependency_is_known_to_one_place() {
    only("src", "aws_sdk_s3", &["src/upload/store/"]);
    only("src", "aws_sdk_sts", &["src/upload/store/credentials/assume_role/"]);
    only("src", "hyper_util::client::proxy", &["src/upload/store/proxy.rs"]);
    only("src", "aws_smithy", &["src/upload/store/"]);
    only("src", "backoff::", &["src/upload/retry.rs"]);
    let regex = ["src/intake/filter/patterns.rs", "src/fuzzing/redaction.rs", "src/tools/cat/filter.rs"];
    only("src", "regex::", &regex);
    only("src", "toml::", &["src/config/file.rs"]);
    only("spool/src", "sled::", &["spool/src/manifest/mod.rs"]);
    only("spool/src", "bincode::", &["spool/src/manifest/row.rs"]);
    only("spool/src", "zstd::", &["spool/src/codec/"]);
}

#[test]
fn the_spool_knows_nothing_of_lambda_s3_or_tokio() {
    for word in ["tokio", "lambda", "Lambda", "s3", "hyper", "SystemTime", "Instant::now"] {
        only("spool/src", word, &[]);
    }
}

#[test]
fn the_outside_is_touched_in_one_place_each() {
    only("src", "env::var", &["src/config/vars.rs"]);
    only("src", "process::exit", &[]);
    only("src", "spawn_blocking", &["src/metrics/writer.rs", "src/upload/store/file.rs", "src/upload/store/log.rs"]);
    only("src", "eprintln!", &[]);
    only("src", "println!", &[]);
    only("src", "SystemTime::now", &["src/deadline.rs", "src/upload/store/"]);
}

#[test]
fn pure_modules_have_no_clock_no_socket_and_no_task() {
    let pure = [
        "src/intake/attribution.rs",
        "src/intake/encode.rs",
        "src/intake/half.rs",
        "src/intake/line.rs",
        "src/intake/repetition.rs",
        "src/metrics/line.rs",
        "src/metrics/list.rs",
        "src/metrics/teller.rs",
        "src/runtime_api/next_policy.rs",
        "src/telemetry/body.rs",
        "src/telemetry/event.rs",
        "src/telemetry/stitch.rs",
        "src/tools/doctor/advice.rs",
        "src/tools/doctor/clock.rs",
        "src/tools/doctor/remedy.rs",
        "src/tools/doctor/veil.rs",
        "src/tools/plan/advice.rs",
        "src/tools/plan/arguments.rs",
        "src/tools/plan/model.rs",
        "src/tools/plan/prices.rs",
        "src/tools/plan/report.rs",
        "src/tools/plan/scenario.rs",
        "src/tools/plan/words.rs",
        "src/upload/retry.rs",
        "src/upload/store/meaning.rs",
        "src/upload/store/s3/bucket.rs",
        "src/upload/store/s3/remedy.rs",
        "src/upload/store/s3/settings.rs",
    ];
    let folders = [
        "src/lifecycle/machine",
        "src/intake/filter",
        "src/intake/line",
        "src/intake/summary",
        "src/upload/object_key",
        "examples/demo/picture",
    ];
    let folders = folders.into_iter().flat_map(sources).map(|(path, _)| path);
    for path in pure.into_iter().map(str::to_owned).chain(folders) {
        let source = code(&fs::read_to_string(root().join(&path)).unwrap());
        for word in ["async ", "tokio", "now_ms()", "std::fs", "std::net", "SystemTime::now", "Instant::now"] {
            assert!(!source.contains(word), "{path} is pure and must not use {word:?}");
        }
    }
}

const TABLE_BEGINS: &str = "<!-- settings: made from src/config/settings.rs -->\n";
const TABLE_ENDS: &str = "<!-- end of settings -->\n";

fn settings_table() -> String {
    let mut table = String::from("| Variable | Default | Meaning |\n|---|---|---|\n");
    for (setting, meaning) in settings::ALL.iter().zip(settings::MEANINGS) {
        let default = setting.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        table.push_str(&format!("| `{}` | {default} | {meaning} |\n", setting.variable));
    }
    table
}

/// `LOGSPOOL_TEST_BLESS=1` writes the table.
#[test]
fn the_readme_has_the_table_of_settings() {
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(TABLE_BEGINS).expect("the README marks its table");
    let (table, after) = rest.split_once(TABLE_ENDS).expect("the README marks its table's end");
    if std::env::var_os("LOGSPOOL_TEST_BLESS").is_some() {
        fs::write(&path, [before, TABLE_BEGINS, &settings_table(), TABLE_ENDS, after].concat()).unwrap();
    } else {
        assert!(
            table == settings_table(),
            "the README's table is out of date: run this test with LOGSPOOL_TEST_BLESS=1"
        );
    }
}

/// Every Markdown file of the repository, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_ours = !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str());
            if path.is_dir() && is_ours {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() >= 9, "{found:?}");
    found
}

#[test]
fn every_file_that_is_named_in_the_documents_exists() {
    for (document, text) in documents() {
        let document = relative(&document);
        for word in text.split(|c: char| c.is_whitespace() || "`()[]|,;\"".contains(c)) {
            let looks_like_a_path =
                ["src/", "spool/", "tests/", "examples/"].iter().any(|folder| word.starts_with(folder));
            let path = PathBuf::from(word.trim_end_matches(['.', ':']));
            if looks_like_a_path && !word.contains(['*', '<', '{']) {
                assert!(root().join(&path).exists(), "{document} names {word}, which is not there");
            }
        }
    }
}

/// A text without its blocks of code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The anchors of a text's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text).lines().filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(numbered).find(|anchor| !anchors.contains(anchor));
        anchors.extend(free);
    }
    anchors
}

#[test]
fn every_link_within_the_documents_leads_somewhere() {
    let documents = documents();
    let mut seen = 0;
    for (document, text) in &documents {
        for link in prose(text).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            let of = relative(document);
            assert!(target.exists(), "{of} links to {link}, which is not there");
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(anchor), "{of} links to {link}, which has no such heading");
            }
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

/// A literal up to its closing quote, as it is printed: `…` stands for what is put into it.
fn as_printed(literal: &str) -> String {
    let (mut printed, mut rest) = (String::new(), literal.chars());
    while let Some(character) = rest.next() {
        match character {
            '"' => break,
            '\\' => match rest.next() {
                // The literal goes on behind the indentation of the next line.
                Some('\n') => rest = rest.as_str().trim_start().chars(),
                escaped => printed.extend(escaped),
            },
            '{' => {
                let _ = rest.find(|&end| end == '}');
                if !printed.ends_with('…') {
                    printed.push('…');
                }
            }
            other => printed.push(other),
        }
    }
    printed
}

/// The literals that stand right behind each `begin`, as they are printed.
fn literals_behind(begin: &str, code: &str) -> Vec<String> {
    code.split(begin).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')).map(as_printed).collect()
}

const LEVELS: [&str; 3] = ["ERROR", "WARN", "INFO"];
/// This line is nothing but an error's words, which stand with the error.
const WORDS_OF_ERRORS: (&str, &str) = ("WARN ….", "spool/src/adopt/orphan.rs");

/// Level and text of every own log line that is no developer's.
fn lines_that_we_log() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for (path, source) in sources("src") {
        let code = code(&source);
        for level in LEVELS {
            let call = format!("::{}!(", level.to_lowercase());
            let literals = literals_behind(&call, &code);
            assert_eq!(literals.len(), code.matches(&call).count(), "{path}: a log line does not begin with its text");
            lines.extend(literals.into_iter().map(|literal| format!("{level} {literal}")));
        }
    }
    let (bare, errors) = WORDS_OF_ERRORS;
    assert!(lines.remove(bare), "no line is {bare:?} any more");
    let errors = code(&fs::read_to_string(root().join(errors)).unwrap());
    lines.extend(literals_behind("#[error(", &errors).into_iter().map(|words| format!("WARN {words}.")));
    lines
}

/// The same of the tables: a row begins with the level and the text.
fn lines_that_are_explained() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let mut lines = BTreeSet::new();
    for row in text.lines() {
        let mut cells = row.trim_start_matches("| ").split(" | ");
        if let (Some(level), Some(line)) = (cells.next(), cells.next())
            && LEVELS.contains(&level)
        {
            lines.insert(format!("{level} {}", line.trim_matches('`').trim()));
        }
    }
    lines
}

#[test]
fn every_line_that_we_log_is_explained() {
    let (logged, explained) = (lines_that_we_log(), lines_that_are_explained());
    let missing: Vec<_> = logged.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md does not explain {missing:#?}");
    let stale: Vec<_> = explained.difference(&logged).collect();
    assert!(stale.is_empty(), "docs/troubleshooting.md explains what is not logged: {stale:#?}");
}
