//! How an object is called: pure, and the same from every process that computes it.
//!
//! * **A key is a function of the sealed segment and of facts that no process of an environment sees differently.** Nothing
//!   of it depends on the clock, the process or the attempt, so every retry, restart and cloned snapshot writes the same
//!   bytes under the same name, with or without a manifest.
//! * **The file name says what is inside.** Spool, first and last sequence number, digest and mark are in it: a
//!   listing alone proves completeness, wherever the objects were moved to.
//! * **Names sort as numbers do.** Numbers are padded to [`SEQ_DIGITS`]; a spool id (ULID) sorts by time.
//! * **Every key fits.** [`Prefix`] and folder are bounded when they are made, hence computing a key cannot fail and stays
//!   within S3's 1,024 bytes, and each of its parts within a file system's 255.
//!
//! ```text
//! <prefix>/function=<name>/dt=<YYYY-MM-DD>/hour=<HH>/<file name>
//! --------                                                        of the destination: each has its own
//!          -----------------------------------------              of the template
//!
//! segment   <spool id>-<first>-<last>-<crc64>[-end|-cut].(ndjson|log)[.zst|.gz]
//! tombstone <spool id>-<first>-<last>-<cause>.dropped
//! ```

mod file_name;
mod folder;
mod prefix;
pub mod template;

pub use file_name::{
    CAUSE_BYTES_MAX, Compression, Content, DroppedFacts, FileName, LineFormat, Mark, SEQ_DIGITS, SPOOL_ID_LEN,
    SegmentFacts, dropped_file_name, parse_file_name, segment_file_name, spool_id_time_ms,
};
use folder::Folder;
pub use folder::KeyFacts;
pub use prefix::{Prefix, PrefixError};
use template::{KeyTemplate, TemplateError};

/// Longest key that S3 takes, in bytes of UTF-8 (Amazon S3 User Guide, "Naming Amazon S3 objects").
pub const KEY_BYTES_MAX: usize = 1024;

/// How the objects of one function are called, below the prefix of wherever they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKeys {
    folder: Folder,
}

impl ObjectKeys {
    /// Keys of a template, for the function with these facts.
    ///
    /// # Errors
    /// Facts that make a folder too long for a key, or a part of it too long for a file system.
    pub fn try_new(template: &KeyTemplate, facts: &KeyFacts<'_>) -> Result<Self, TemplateError> {
        Ok(Self { folder: Folder::new(template, facts)? })
    }

    /// Keys of the default template, for a function of a plain name: what is not known else is not in them.
    ///
    /// # Panics
    /// If the name is longer than Lambda allows.
    #[must_use]
    pub fn for_function(function: &str) -> Self {
        let facts = KeyFacts { function, ..KeyFacts::default() };
        Self::try_new(&KeyTemplate::default(), &facts).expect("names of functions have at most 64 characters")
    }

    /// The key of a segment's object.
    #[must_use]
    pub fn segment(&self, facts: &SegmentFacts<'_>) -> String {
        self.key(facts.partition_ms, facts.spool_id, &segment_file_name(facts))
    }

    /// The key of a tombstone: it lies under the hour in which its spool began, which every process that finds the spool
    /// knows alike.
    #[must_use]
    pub fn dropped(&self, facts: &DroppedFacts<'_>) -> String {
        let began_ms = spool_id_time_ms(facts.spool_id).unwrap_or_default();
        self.key(began_ms, facts.spool_id, &dropped_file_name(facts))
    }

    fn key(&self, ms: i64, spool_id: &str, file_name: &str) -> String {
        let mut key = self.folder.of(ms, spool_id);
        key.push('/');
        key.push_str(file_name);
        key
    }
}

#[cfg(test)]
mod tests;
