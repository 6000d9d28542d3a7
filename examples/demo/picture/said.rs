//! What the extension says in its log about what cannot be seen from outside.

/// A line that is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A segment was sealed.
    Sealed {
        /// Why.
        reason: String,
        /// How many records it holds.
        records: u64,
        /// Length of its object.
        bytes: u64,
        /// Number of the first record behind it.
        next: u64,
    },
    /// An upload failed, for the first time or again.
    UploadFailed {
        /// Why.
        error: String,
    },
    /// A spool of an earlier life was taken over.
    Adopted {
        /// Its id.
        spool: String,
        /// Objects in it.
        objects: u64,
        /// Records in them.
        records: u64,
    },
}

/// Reads a line; most of them are not drawn.
pub fn read(line: &str) -> Option<Said> {
    let line = line.strip_prefix("logspool ")?;
    if line.ends_with(" A segment was sealed.") {
        let (records, bytes, next) = (number(line, "records")?, number(line, "bytes")?, number(line, "next")?);
        return Some(Said::Sealed { reason: field(line, "reason")?.to_owned(), records, bytes, next });
    }
    if line.ends_with(" An upload failed and is tried again later.") || line.ends_with(" An upload failed again.") {
        let (error, _) = line.split_once("error=\"")?.1.rsplit_once("\" An upload failed")?;
        return Some(Said::UploadFailed { error: error.to_owned() });
    }
    if line.ends_with(" A spool of an earlier life was adopted.") {
        let (objects, records) = (number(line, "objects")?, number(line, "records")?);
        return Some(Said::Adopted { spool: field(line, "spool")?.to_owned(), objects, records });
    }
    None
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn number(line: &str, name: &str) -> Option<u64> {
    field(line, name)?.parse().ok()
}
