//! Where settings come from: the process, a file under it, or a map in a test. No test changes the real environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::settings;

/// Looks variables up.
pub trait Vars {
    /// The value of a variable. One that is not Unicode counts as given, with its odd bytes replaced: a rule will name it.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables that begin as the settings do.
    fn names(&self) -> Vec<String>;

    /// How a message names a variable, so that whoever reads it finds the place.
    fn shown(&self, name: &str) -> String {
        name.to_owned()
    }
}

/// Some variables over others.
pub struct Over<'a> {
    /// Those on top.
    pub over: &'a [(String, String)],
    /// Those below.
    pub under: &'a dyn Vars,
    /// How a message names one of those on top.
    pub shown: &'a dyn Fn(&str) -> String,
}

impl Over<'_> {
    fn over(&self, name: &str) -> Option<&String> {
        self.over.iter().find(|(variable, _)| variable == name).map(|(_, value)| value)
    }
}

impl Vars for Over<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.over(name).cloned().or_else(|| self.under.get(name))
    }

    fn names(&self) -> Vec<String> {
        self.under.names()
    }

    fn shown(&self, name: &str) -> String {
        if self.over(name).is_some() { (self.shown)(name) } else { self.under.shown(name) }
    }
}

/// The environment of the process.
///
/// What begins as the settings do is read once: some seventy of them are looked up before the first `next`, and each look into
/// the environment itself goes through all of it.
#[derive(Debug)]
pub struct Env {
    settings: BTreeMap<String, String>,
}

impl Env {
    /// As it is now.
    pub fn read() -> Self {
        Self { settings: named_as_settings(std::env::vars_os()) }
    }
}

fn named_as_settings(all: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let named = all.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    named.filter(|(name, _)| name.starts_with(settings::PREFIX)).map(|(name, value)| (name, text(value))).collect()
}

fn text(value: OsString) -> String {
    value.into_string().unwrap_or_else(|odd| odd.to_string_lossy().into_owned())
}

impl Vars for Env {
    fn get(&self, name: &str) -> Option<String> {
        if name.starts_with(settings::PREFIX) {
            return self.settings.get(name).cloned();
        }
        std::env::var_os(name).map(text)
    }

    fn names(&self) -> Vec<String> {
        self.settings.keys().cloned().collect()
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().filter(|name| name.starts_with(settings::PREFIX)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn of_the_environment_the_settings_are_kept_and_odd_bytes_stay_visible() {
        let odd = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let all = [
            ("LOGSPOOL_SEAL_AGE".into(), odd(b"5\xffs")),
            ("LOGSPOOL_LOG".into(), "debug".into()),
            ("AWS_REGION".into(), "eu-central-1".into()),
            ("MY_LOGSPOOL_LOG".into(), "warn".into()),
            (odd(b"LOGSPOOL_\xff"), "1".into()),
        ];
        let kept = named_as_settings(all.into_iter());
        let told = [("LOGSPOOL_LOG", "debug"), ("LOGSPOOL_SEAL_AGE", "5\u{fffd}s")];
        assert_eq!(kept, told.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_is_no_setting_is_asked_of_the_process() {
        let env = Env { settings: named_as_settings([("LOGSPOOL_PATH".into(), "mine".into())].into_iter()) };
        assert_eq!(env.get("LOGSPOOL_PATH").as_deref(), Some("mine"));
        assert_eq!(env.get("PATH"), std::env::var("PATH").ok());
        assert_eq!(env.get("LOGSPOOL_NOT_GIVEN"), None);
        assert_eq!(env.names(), ["LOGSPOOL_PATH"]);
    }
}
