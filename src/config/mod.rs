//! All settings, read once, validated together. The only module that knows where they come from.
//!
//! A bad value never stops anything by itself: it falls back to its default, and one message names every variable, its
//! value and the rule it breaks. `STRICT` turns that message into a failed init.

mod delivery;
mod destination;
mod file;
mod filter;
mod lines;
mod s3;
pub mod settings;
pub(crate) mod value;
mod vars;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

pub use delivery::{Delivery, StoreSettings};
use file::{Layers, SettingsFile};
use settings::Setting;
use spool::{Codec, Compression, SpoolLimits, WhenFull};
use value::Rule;
pub use vars::{Env, Over, Vars};

use crate::intake::filter::Filter;
use crate::intake::{Concurrency, LineSettings};
use crate::lifecycle::machine::drain_policy::{DrainPolicy, DrainStrategy};
use crate::lifecycle::machine::seal_policy::SealPolicy;
use crate::logging::Level;
use crate::runtime_api::event::{Buffering, StreamTypes};
use crate::telemetry::listener::{BODIES_IN_MEMORY_BYTES, ListenerSettings};

/// Tells the kind of the environment (Lambda Developer Guide, "Defined runtime environment variables").
const INITIALIZATION_TYPE: &str = "AWS_LAMBDA_INITIALIZATION_TYPE";

/// What Lambda says of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFacts {
    /// Its name.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Its memory, in MB; `None` outside Lambda.
    pub memory_mb: Option<u64>,
    /// The region that it runs in; `None` outside Lambda.
    pub region: Option<String>,
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Off switch.
    pub enabled: bool,
    /// Bad settings fail the init.
    pub strict: bool,
    /// Where objects go; `None` if no destination is set, or none that can be used.
    pub delivery: Option<Delivery>,
    /// Streams that are shipped.
    pub types: StreamTypes,
    /// Each invocation gets a line that says what it did.
    pub invocations: bool,
    /// What never reaches the disk.
    pub filter: Filter,
    /// How lines are written.
    pub lines: LineSettings,
    /// When a segment is sealed.
    pub seal: SealPolicy,
    /// When segments are uploaded.
    pub drain: DrainPolicy,
    /// How lines are compressed.
    pub compression: Compression,
    /// Where the spool lives.
    pub spool_root: PathBuf,
    /// What it may take.
    pub spool_limits: SpoolLimits,
    /// How the platform batches telemetry.
    pub buffering: Buffering,
    /// The telemetry listener.
    pub listener: ListenerSettings,
    /// The shortest time between two lines of metrics; `None` if there are none.
    pub emf: Option<Duration>,
    /// Least important own log line.
    pub log: Level,
    /// What Lambda says of the function.
    pub function: FunctionFacts,
    /// The environment is copied after Init, any number of times (SnapStart).
    pub is_copied: bool,
    /// How many invocations the environment runs at the same time.
    pub concurrency: Concurrency,
    /// `host:port` of the platform's APIs; an emulator may put a scheme before and a path behind it.
    pub runtime_api: Option<String>,
}

/// A setting that could not be used, with the value in force instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    variable: String,
    value: Option<String>,
    rule: Rule,
    instead: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.variable)?;
        if let Some(value) = &self.value {
            write!(f, "={value:?}")?;
        }
        write!(f, ": {}", self.rule)?;
        if let Some(instead) = &self.instead {
            write!(f, "; using {instead}")?;
        }
        Ok(())
    }
}

/// All bad settings, told in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Whether every setting was usable.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&errors.join(" | "))
    }
}

impl Config {
    /// Reads every setting, then tells all errors at once.
    pub fn read(vars: &dyn Vars) -> (Self, ConfigErrors) {
        let mut reader = Reader { vars, errors: Vec::new() };
        let file = reader.optional(&settings::CONFIG, SettingsFile::read).unwrap_or_default();
        let layers = Layers { over: vars, under: &file };
        let mut reader = Reader { vars: &layers, errors: reader.errors };
        file.refused.iter().for_each(|(name, rule)| reader.refuse(name, rule.clone()));
        let config = reader.config();
        reader.name_unknown();
        (config, ConfigErrors(reader.errors))
    }
}

/// A place that a person names on the command line, with the settings of it that the environment has: `S3_…`, region, credentials.
///
/// # Errors
/// Everything that keeps it from being used, in one line.
pub fn place(text: &str, vars: &dyn Vars) -> Result<StoreSettings, String> {
    let over = [(settings::DESTINATION.variable.to_owned(), text.to_owned())];
    let (config, errors) = Config::read(&Over { over: &over, under: vars, shown: &|_| text.to_owned() });
    config.delivery.map(|delivery| delivery.destination).ok_or_else(|| errors.to_string())
}

struct Reader<'a> {
    vars: &'a dyn Vars,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn config(&mut self) -> Config {
        let function = self.function();
        Config {
            enabled: self.required(&settings::ENABLED, value::switch),
            strict: self.required(&settings::STRICT, value::switch),
            delivery: self.delivery(&function),
            types: self.required(&settings::TYPES, stream_types),
            invocations: self.required(&settings::INVOCATIONS, value::switch),
            filter: self.filter(),
            lines: self.lines(),
            seal: self.seal(),
            drain: self.drain(&function),
            compression: self.compression(),
            spool_root: self.required(&settings::DIR, absolute_path),
            spool_limits: self.spool_limits(),
            buffering: self.buffering(),
            listener: self.listener(),
            emf: self.emf(),
            log: self.required(&settings::LOG, |text| value::word(&Level::ALL, text)),
            concurrency: self.concurrency(),
            is_copied: self.given(INITIALIZATION_TYPE).as_deref() == Some("snap-start"),
            runtime_api: self.given("AWS_LAMBDA_RUNTIME_API"),
            function,
        }
    }

    fn function(&self) -> FunctionFacts {
        FunctionFacts {
            name: self.given("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "unknown".into()),
            version: self.given("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_else(|| "unknown".into()),
            memory_mb: self.given("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|text| text.parse().ok()),
            region: self.given("AWS_REGION"),
        }
    }

    /// Lambda Managed Instances are the only environments that run many.
    fn concurrency(&self) -> Concurrency {
        match self.given(INITIALIZATION_TYPE).as_deref() {
            Some("lambda-managed-instances") => Concurrency::Many,
            _ => Concurrency::One,
        }
    }

    fn seal(&mut self) -> SealPolicy {
        let invocations = self.required(&settings::SEAL_INVOCATIONS, |text| {
            unless("off", text, |text| {
                let number = value::within(value::number(text)?, 1, 1_000_000, |bound| bound.to_string())?;
                u32::try_from(number).ok().and_then(NonZeroU32::new).ok_or_else(|| "it must be at least 1".into())
            })
        });
        let age = self.required(&settings::SEAL_AGE, |text| {
            let (least, most) = (Duration::from_millis(100), Duration::from_secs(24 * 60 * 60));
            value::within(value::duration(text)?, least, most, value::show_duration)
        });
        let size_bytes = self.required(&settings::SEAL_SIZE, |text| {
            value::within(value::size(text)?, 1 << 10, 64 << 20, value::show_size)
        });
        SealPolicy { invocations, age, size_bytes }
    }

    fn drain(&mut self, function: &FunctionFacts) -> DrainPolicy {
        let words = [
            ("adaptive", DrainStrategy::Adaptive),
            ("end", DrainStrategy::End),
            ("background", DrainStrategy::Background),
        ];
        let strategy = self.required(&settings::DRAIN, |text| value::word(&words, text));
        let budget = self.required(&settings::DRAIN_BUDGET, |text| {
            value::within(value::duration(text)?, Duration::ZERO, Duration::from_secs(60), value::show_duration)
        });
        DrainPolicy { strategy, budget, memory_mb: function.memory_mb }
    }

    fn compression(&mut self) -> Compression {
        let codecs = [("zstd", Codec::Zstd), ("gzip", Codec::Gzip), ("none", Codec::None)];
        let codec = self.required(&settings::COMPRESSION, |text| value::word(&codecs, text));
        let level = self.required(&settings::COMPRESSION_LEVEL, |text| {
            let Some(levels) = codec.levels() else { return Ok(1) };
            let level = i32::try_from(value::number(text)?).map_err(|error| error.to_string())?;
            value::within(level, *levels.start(), *levels.end(), |bound| bound.to_string())
        });
        let frame_bytes_max = self.required(&settings::FRAME_SIZE, |text| {
            unless("off", text, |text| value::within(value::size(text)?, 64 << 10, 64 << 20, value::show_size))
        });
        Compression { codec, level, frame_bytes_max }
    }

    fn spool_limits(&mut self) -> SpoolLimits {
        let bytes_max = self.required(&settings::SPOOL_MAX, |text| {
            unless("auto", text, |text| value::within(value::size(text)?, 64 << 10, 10 << 30, value::show_size))
        });
        let keep_free_bytes = self.required(&settings::KEEP_FREE, value::size);
        let words = [("drop-oldest", WhenFull::DropOldest), ("drop-newest", WhenFull::DropNewest)];
        let when_full = self.required(&settings::WHEN_FULL, |text| value::word(&words, text));
        SpoolLimits { bytes_max, keep_free_bytes, when_full, ..SpoolLimits::default() }
    }

    /// The limits are those of the Telemetry API reference ("Buffering").
    fn buffering(&mut self) -> Buffering {
        let plain = |bound: u64| bound.to_string();
        Buffering {
            max_items: self
                .required(&settings::BUFFER_ITEMS, |text| value::within(value::number(text)?, 1_000, 10_000, plain)),
            max_bytes: self.required(&settings::BUFFER_BYTES, |text| {
                value::within(value::size(text)?, 256 << 10, 1 << 20, value::show_size)
            }),
            timeout_ms: self
                .required(&settings::BUFFER_MS, |text| value::within(value::number(text)?, 25, 30_000, plain)),
        }
    }

    fn listener(&mut self) -> ListenerSettings {
        let port = self.required(&settings::PORT, |text| {
            unless("free", text, |text| {
                let port = u16::try_from(value::number(text)?).map_err(|_| "a port is at most 65535".to_owned())?;
                // Reserved for the platform (Telemetry API reference).
                if port == 0 || port == 9001 { Err("ports 0 and 9001 cannot be used".into()) } else { Ok(port) }
            })
        });
        let body_bytes_max = self.required(&settings::BODY_MAX, |text| {
            value::within(value::size(text)?, 1 << 20, BODIES_IN_MEMORY_BYTES as u64, value::show_size)
        });
        ListenerSettings { port, body_bytes_max: usize::try_from(body_bytes_max).unwrap_or(usize::MAX) }
    }

    fn emf(&mut self) -> Option<Duration> {
        let interval = self.required(&settings::EMF_INTERVAL, |text| {
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(60 * 60));
            value::within(value::duration(text)?, least, most, value::show_duration)
        });
        self.required(&settings::EMF, value::switch).then_some(interval)
    }

    /// A setting with a default: a bad value is noted and the default taken.
    fn required<T>(&mut self, setting: &Setting, read: impl Fn(&str) -> Result<T, Rule>) -> T {
        let default = setting.default.expect("a required setting has a default");
        self.read(setting, Some(default), &read).unwrap_or_else(|| read(default).expect("a default obeys its own rule"))
    }

    /// A setting without a default.
    fn optional<T>(&mut self, setting: &Setting, read: impl Fn(&str) -> Result<T, Rule>) -> Option<T> {
        self.read(setting, None, &read)
    }

    fn read<T>(
        &mut self,
        setting: &Setting,
        instead: Option<&str>,
        read: &impl Fn(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        let value = self.given(setting.variable)?;
        match read(value.trim()) {
            Ok(value) => Some(value),
            Err(rule) => {
                let (variable, instead) = (self.shown(setting), instead.map(str::to_owned));
                self.note(ConfigError { variable, value: Some(value), rule, instead });
                None
            }
        }
    }

    /// An empty variable counts as none: deployment tools write those for values that are not set.
    fn given(&self, name: &str) -> Option<String> {
        self.vars.get(name).filter(|value| !value.trim().is_empty())
    }

    /// Where a setting comes from, as a message has it.
    fn shown(&self, setting: &Setting) -> String {
        self.vars.shown(setting.variable)
    }

    fn refuse(&mut self, variable: &str, rule: Rule) {
        self.errors.push(ConfigError { variable: variable.into(), value: None, rule, instead: None });
    }

    /// A misspelt setting would otherwise be a setting that silently does nothing.
    fn name_unknown(&mut self) {
        let mut names = self.vars.names();
        names.sort_unstable();
        for name in names {
            if !settings::ALL.iter().any(|setting| setting.variable == name) {
                self.refuse(&self.vars.shown(&name), "there is no such setting in this version".into());
            }
        }
    }
}

/// `None` for one word, else the value.
fn unless<T>(word: &str, text: &str, read: impl Fn(&str) -> Result<T, Rule>) -> Result<Option<T>, Rule> {
    if text.eq_ignore_ascii_case(word) {
        return Ok(None);
    }
    read(text).map(Some).map_err(|rule| format!("{rule} (or {word})"))
}

fn absolute_path(text: &str) -> Result<PathBuf, Rule> {
    if text.starts_with('/') { Ok(PathBuf::from(text)) } else { Err("an absolute path is expected".into()) }
}

fn stream_types(text: &str) -> Result<StreamTypes, Rule> {
    let mut types = StreamTypes { platform: false, function: false, extension: false };
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "platform" => types.platform = true,
            "function" => types.function = true,
            "extension" => types.extension = true,
            _ => return Err("a list of platform, function and extension is expected".into()),
        }
    }
    if types.platform || types.function || types.extension {
        Ok(types)
    } else {
        Err("at least one of platform, function and extension is expected".into())
    }
}

#[cfg(test)]
mod tests;
