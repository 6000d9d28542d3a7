//! Why what was delivered cannot be looked at.

use std::io;

use crate::archive::source::ReadError;

#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("temporary files: {0}")]
    Sort(#[from] io::Error),
    #[error("{0}")]
    Unusable(String),
    #[error("--grep: {0}")]
    Pattern(String),
    /// Whoever reads, or prints, knows why.
    #[error("the objects cannot be read")]
    Stopped,
    #[error("no object of logspool lies there")]
    Nothing,
}
