//! Why nothing can be said.

use std::io;

use crate::archive::source::ReadError;

#[derive(Debug, thiserror::Error)]
pub(in crate::tools) enum VerifyError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("temporary files: {0}")]
    Sort(#[from] io::Error),
    #[error("{0}")]
    Unusable(String),
    /// Whoever reads knows why.
    #[error("the objects cannot be read")]
    Stopped,
    #[error("no object of logspool lies there: nothing was checked")]
    Nothing,
}
