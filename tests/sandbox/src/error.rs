//! Errors at the sandbox's own boundary.

use std::fmt;
use std::io;

use crate::environment::fault::Fault;
use crate::ledger::Ledger;

/// Why a sandbox did not start.
#[derive(Debug)]
pub enum StartError {
    /// The machine did not give what the environment needs: a port, a directory.
    Setup(io::Error),
    /// Init failed. The environment is gone; this is what it leaves.
    Init {
        /// What went wrong.
        fault: Fault,
        /// Everything that the extension printed.
        extension_output: Vec<String>,
        /// Everything that the platform said.
        ledger: Ledger,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => write!(f, "the sandbox could not be set up: {error}"),
            Self::Init { fault, extension_output, .. } => {
                write!(f, "Init failed: {fault}")?;
                for line in extension_output {
                    write!(f, "\n  extension: {line}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setup(error) => Some(error),
            Self::Init { fault, .. } => Some(fault),
        }
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Setup(error)
    }
}
