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
        let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let settings =
            named.filter(|(name, _)| name.starts_with(settings::PREFIX)).map(|(name, value)| (name, text(value)));
        Self { settings: settings.collect() }
    }
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
