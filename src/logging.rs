//! Own log lines: stderr, one line each, fields first, then a sentence.
//!
//! * ERROR: data was lost. WARN: something unexpected, nothing lost. INFO: start, adoption, seal, upload, stop. DEBUG: for
//!   developers.
//! * Nothing per record, never payload or credentials.
//! * Lambda captures these lines as `extension` telemetry; every one begins with [`PREFIX`], so that they can be told from
//!   the customer's.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

/// How every own line begins.
pub const PREFIX: &str = "logspool ";

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Data was lost.
    Error = 0,
    /// Something unexpected; nothing was lost.
    Warn = 1,
    /// The course of a life: start, adoption, seal, upload, stop.
    Info = 2,
    /// For developers.
    Debug = 3,
}

impl Level {
    /// Every level and the word for it in settings.
    pub const ALL: [(&'static str, Self); 4] =
        [("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)];

    fn label(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        }
    }
}

static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Warn as u8);

/// Sets the least important level that is written.
pub fn set_level(level: Level) {
    THRESHOLD.store(level as u8, Ordering::Relaxed);
}

/// Writes one line. Line breaks inside the message become spaces: one cause, one line. A stderr that is gone is ignored.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    if level as u8 > THRESHOLD.load(Ordering::Relaxed) {
        return;
    }
    let message = message.to_string().replace(['\n', '\r'], " ");
    // One write a line, so that lines of several threads do not mix.
    let line = format!("{PREFIX}{} {message}\n", level.label());
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Writes a line at ERROR: data was lost.
#[macro_export]
macro_rules! error {
    ($($part:tt)+) => { $crate::logging::write($crate::logging::Level::Error, format_args!($($part)+)) };
}

/// Writes a line at WARN: something unexpected, nothing lost.
#[macro_export]
macro_rules! warn {
    ($($part:tt)+) => { $crate::logging::write($crate::logging::Level::Warn, format_args!($($part)+)) };
}

/// Writes a line at INFO: the course of a life.
#[macro_export]
macro_rules! info {
    ($($part:tt)+) => { $crate::logging::write($crate::logging::Level::Info, format_args!($($part)+)) };
}

/// Writes a line at DEBUG: for developers.
#[macro_export]
macro_rules! debug {
    ($($part:tt)+) => { $crate::logging::write($crate::logging::Level::Debug, format_args!($($part)+)) };
}
