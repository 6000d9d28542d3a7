//! Why a segment was sealed.

/// Why a segment was closed. The word goes into log lines and the metadata of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SealReason {
    /// It reached its size.
    Size = 1,
    /// It reached its age.
    Age = 2,
    /// A record of a later UTC hour came, or the hour was over.
    Hour = 3,
    /// So many units of the caller's work are over.
    InvocationEnd = 4,
    /// The caller's work failed.
    Error = 5,
    /// A limit of the spool.
    Limit = 6,
    /// The process is about to be copied.
    Snapshot = 7,
    /// The process is about to end in order.
    Shutdown = 8,
    /// It was found without an end by a later life.
    Adoption = 9,
}

impl SealReason {
    const ALL: [Self; 9] = [
        Self::Size,
        Self::Age,
        Self::Hour,
        Self::InvocationEnd,
        Self::Error,
        Self::Limit,
        Self::Snapshot,
        Self::Shutdown,
        Self::Adoption,
    ];

    /// The word that stands in lines and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Age => "age",
            Self::Hour => "hour",
            Self::InvocationEnd => "invocation_end",
            Self::Error => "error",
            Self::Limit => "limit",
            Self::Snapshot => "snapshot",
            Self::Shutdown => "shutdown",
            Self::Adoption => "adoption",
        }
    }

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for reason in SealReason::ALL {
            assert_eq!(SealReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(SealReason::from_code(0), None);
    }
}
