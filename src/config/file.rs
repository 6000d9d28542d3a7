//! A file of settings: TOML with the names of the variables without their prefix, under whatever the environment says.
//!
//! It becomes texts like those of variables, so that one set of rules and messages holds for both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::filter::PATTERN_SEPARATOR;
use super::value::Rule;
use super::vars::Vars;
use super::{absolute_path, settings};

/// The longest file. All variables of a function share 4 KiB; this is ten times that, and is read and parsed in a moment, since
/// the function's init waits for it.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct SettingsFile {
    path: PathBuf,
    /// By variable: the name as the file has it, and the value.
    values: BTreeMap<String, (String, String)>,
    /// What could not become a value: the name as the file has it, and why.
    pub(super) refused: Vec<(String, Rule)>,
}

impl SettingsFile {
    /// Reads the file of that name. None of it is in force unless all of it is TOML.
    pub(super) fn read(path: &str) -> Result<Self, Rule> {
        let path = absolute_path(path)?;
        let text =
            read_text(&path).map_err(|error| format!("it cannot be read ({error}); nothing in it is in force"))?;
        Self::parse(path, &text).map_err(|why| format!("it is no TOML ({why}); nothing in it is in force"))
    }

    fn parse(path: PathBuf, text: &str) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let mut file = Self { path, ..Self::default() };
        for (key, value) in table.get_ref() {
            file.add(key.get_ref(), value.get_ref());
        }
        Ok(file)
    }

    fn add(&mut self, key: &str, value: &DeValue<'_>) {
        let variable = variable(key);
        if variable == settings::CONFIG.variable {
            self.refuse(key, "a settings file names no other one");
        } else if let Some((first, _)) = self.values.get(&variable) {
            let rule = format!("it is the same setting as {first}, which is used");
            self.refuse(key, &rule);
        } else if let Some(text) = text_of(value, separator(&variable)) {
            self.values.insert(variable, (key.to_owned(), text));
        } else {
            self.refuse(key, "a text, a number, true, false or a list of those is expected");
        }
    }

    fn refuse(&mut self, key: &str, rule: &str) {
        let shown = self.shown(key);
        self.refused.push((shown, rule.to_owned()));
    }

    /// A name as a message has it.
    fn shown(&self, key: &str) -> String {
        format!("{}: {}", self.path.display(), key.escape_debug())
    }
}

/// `seal_age`, `SEAL_AGE`, `seal-age`: the variable `LOGSPOOL_SEAL_AGE`.
fn variable(key: &str) -> String {
    format!("{}{}", settings::PREFIX, key.to_ascii_uppercase().replace('-', "_"))
}

/// How a variable holds several values.
fn separator(variable: &str) -> &'static str {
    let of_patterns = [&settings::DROP, &settings::REDACT];
    if of_patterns.iter().any(|setting| setting.variable == variable) { PATTERN_SEPARATOR } else { "," }
}

/// A value as a variable would have it; `None` for what none could be: a table, a date, a list of lists.
fn text_of(value: &DeValue<'_>, separator: &str) -> Option<String> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    };
    match value {
        DeValue::Array(values) => {
            let texts: Option<Vec<_>> = values.iter().map(|value| one(value.get_ref())).collect();
            texts.map(|texts| texts.join(separator))
        }
        value => one(value),
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    // Asked before it is opened: the opening of a pipe waits for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {} KiB", FILE_BYTES_MAX >> 10)));
    }
    Ok(text)
}

/// The environment, and a file under it.
pub(super) struct Layers<'a> {
    pub(super) over: &'a dyn Vars,
    pub(super) under: &'a SettingsFile,
}

impl Layers<'_> {
    fn over(&self, name: &str) -> Option<String> {
        self.over.get(name).filter(|value| !value.trim().is_empty())
    }
}

impl Vars for Layers<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.over(name).or_else(|| self.under.values.get(name).map(|(_, value)| value.clone()))
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.over.names();
        let more = self.under.values.keys().filter(|name| !names.contains(name)).cloned();
        let more: Vec<_> = more.collect();
        names.extend(more);
        names
    }

    fn shown(&self, name: &str) -> String {
        match self.under.values.get(name) {
            Some((key, _)) if self.over(name).is_none() => self.under.shown(key),
            _ => self.over.shown(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::super::{Config, ConfigErrors};
    use super::*;
    use crate::intake::filter::Level;

    /// Reads a file of settings under some variables. Of the file's path in messages `FILE` is left.
    fn read_file(contents: &[u8], variables: &[(&str, &str)]) -> (Config, String) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), contents).expect("written");
        let path = file.path().to_str().expect("UTF-8");
        let (config, errors) = read(&[variables, &[("LOGSPOOL_CONFIG", path)]].concat());
        (config, errors.to_string().replace(path, "FILE"))
    }

    fn error(contents: &str) -> String {
        read_file(contents.as_bytes(), &[]).1
    }

    #[test]
    fn every_kind_of_value_is_read_by_the_rules_of_variables() {
        let contents = r#"
            # a comment
            destination = "file:///mnt/logs"
            seal_age = "5m"
            SEAL_INVOCATIONS = 1_000
            Seal-Size = 65536
            sample = 0.5
            s3_path_style = false
            types = ["function", "extension"]
            level = ""
            redact = ['token=\S+', "a{1,2}b"]
        "#;
        let (config, errors) = read_file(contents.as_bytes(), &[]);
        assert_eq!(errors, "");
        assert!(config.delivery.is_some());
        assert_eq!(config.seal.age.as_secs(), 300);
        assert_eq!(config.seal.invocations.map(u32::from), Some(1_000));
        assert_eq!(config.seal.size_bytes, 65_536);
        assert!(config.filter.sample.is_some());
        assert!(config.types.function && config.types.extension && !config.types.platform);
        assert_eq!(config.filter.redacted_json(r#""token=x aab""#), r#""*** ***""#);
    }

    #[test]
    fn the_example_of_the_readme_is_a_settings_file() {
        let readme = include_str!("../../README.md");
        let example =
            readme.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).expect("an example").0;
        let (config, errors) = read_file(example.as_bytes(), &[]);
        assert_eq!(errors, "");
        assert_eq!(config.filter.level, Some(Level::Info));
        assert_eq!(config.filter.redacted_json(r#""token: x 4111111111111111""#), r#""*** ***""#);
    }

    #[test]
    fn variables_win_unless_they_are_empty() {
        let contents = b"level = 'warn'\nseal_age = 'soon'\ndrain_budget = '3s'";
        let variables = [("LOGSPOOL_LEVEL", "debug"), ("LOGSPOOL_SEAL_AGE", "30s"), ("LOGSPOOL_DRAIN_BUDGET", " ")];
        let (config, errors) = read_file(contents, &variables);
        assert_eq!(errors, "", "what is not in force cannot be wrong");
        assert_eq!(config.filter.level, Some(Level::Debug));
        assert_eq!(config.seal.age.as_secs(), 30);
        assert_eq!(config.drain.budget.as_secs(), 3);
    }

    #[test]
    fn bad_values_are_named_with_file_key_value_and_rule_and_cost_themselves() {
        let contents = b"seal-age = 60\nenabled = 'perhaps'\nseal_ages = '5s'\nlevel = 'warn'\ndrop = ['(', 'x']\nretry_max = '1ms'";
        let (config, errors) = read_file(contents, &[("LOGSPOOL_DESTINATION", "ftp://x")]);
        let expected = [
            "FILE: enabled=\"perhaps\": true or false is expected; using true",
            "LOGSPOOL_RETRY_BASE and FILE: retry_max: ",
            "LOGSPOOL_DESTINATION=\"ftp://x\": s3://",
            "FILE: drop=\"(\": unclosed group; using the others",
            "FILE: seal-age=\"60\": a duration like 250ms, 30s or 5m is expected; using 60s",
            "FILE: seal_ages: there is no such setting in this version",
        ];
        for part in expected {
            assert!(errors.contains(part), "{part} is not in {errors}");
        }
        assert_eq!(errors.split(" | ").count(), expected.len(), "{errors}");
        assert_eq!(config.filter.level, Some(Level::Warn));
    }

    #[test]
    fn what_no_variable_could_hold_is_refused_by_name() {
        let kinds = "a text, a number, true, false or a list of those is expected";
        assert_eq!(error("[drop]\nx = 1"), format!("FILE: drop: {kinds}"));
        assert_eq!(error("level = 2026-01-10"), format!("FILE: level: {kinds}"));
        assert_eq!(error("types = [['platform']]"), format!("FILE: types: {kinds}"));
        assert_eq!(error("config = '/etc/x'"), "FILE: config: a settings file names no other one");
        assert_eq!(
            error("LEVEL = 'warn'\nlevel = 'info'"),
            "FILE: level: it is the same setting as LEVEL, which is used"
        );
        assert_eq!(error("\"a\\nb\" = 1"), "FILE: a\\nb: there is no such setting in this version");
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_in_one_line_and_costs_itself() {
        let (config, errors) = read_file(b"level = 'warn'\n\nlevel 'info'\n", &[("LOGSPOOL_SEAL_AGE", "5s")]);
        assert!(errors.starts_with("LOGSPOOL_CONFIG=\"FILE\": it is no TOML (line 3: "), "{errors}");
        assert!(errors.ends_with("); nothing in it is in force") && !errors.contains('\n'), "{errors}");
        assert_eq!((config.filter.level, config.seal.age.as_secs()), (None, 5));
        assert!(error("level = 'warn'\nlevel = 'info'").contains("line 2: "));
        assert!(error(&"a=[".repeat(1_000)).contains("it is no TOML"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_in_one_line() {
        let of = |path: &str| -> (Config, ConfigErrors) { read(&[("LOGSPOOL_CONFIG", path)]) };
        for (path, why) in [
            ("/no/such/file.toml", "it cannot be read (No such file or directory"),
            ("/tmp", "it cannot be read (it is no file)"),
            ("/dev/zero", "it cannot be read (it is no file)"),
            ("logspool.toml", "an absolute path is expected"),
        ] {
            let errors = of(path).1.to_string();
            assert!(errors.starts_with(&format!("LOGSPOOL_CONFIG=\"{path}\": {why}")), "{errors}");
        }
        let (_, errors) = read_file(b"level = '\xff'", &[]);
        assert!(errors.contains("it cannot be read (stream did not contain valid UTF-8)"), "{errors}");
    }

    #[test]
    fn a_file_has_a_longest_length() {
        let length = usize::try_from(FILE_BYTES_MAX).expect("small");
        let mut contents = b"level = 'warn'\n#".to_vec();
        contents.resize(length, b'x');
        assert_eq!(read_file(&contents, &[]).0.filter.level, Some(Level::Warn));
        contents.push(b'x');
        let (config, errors) = read_file(&contents, &[]);
        assert!(errors.contains("it cannot be read (it is longer than 64 KiB)"), "{errors}");
        assert_eq!(config.filter.level, None);
    }
}
