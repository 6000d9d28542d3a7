//! What is wrong with the words of a person.

/// Words that make no sense.
#[derive(Debug, thiserror::Error)]
pub(super) enum Usage {
    #[error("{0}")]
    Words(#[from] lexopt::Error),
    #[error("{0}")]
    Value(String),
    #[error("{0}: `logspool --help` tells what there is")]
    Command(String),
    #[error(
        "the binary of a layer does without this command; `cargo install --path .` in its sources makes one that has it"
    )]
    NotInALayer,
}
