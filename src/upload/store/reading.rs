//! Reading back what was stored: pages of a listing, pieces of an object. For people; the extension itself never reads a store.

/// The longest piece of an object: several readers at a time still fit into a small machine, and few objects take more than one.
pub const PIECE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What S3 calls it when nothing lies under a key; a directory that is read says the same.
pub const NO_SUCH_KEY: &str = "NoSuchKey";

/// How far down a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What lies directly in a folder, and the names of folders in it.
    Folder,
    /// Everything below it. A directory is asked folder by folder all the same.
    All,
}

/// A page of a listing, in the order of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Objects.
    pub objects: Vec<Listed>,
    /// Folders that have to be listed themselves, with a slash at the end.
    pub folders: Vec<String>,
    /// What asks for the next page, if there is one.
    pub next: Option<String>,
}

/// An object as a listing tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key below the prefix.
    pub key: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was stored, in milliseconds since 1970 UTC.
    pub modified_ms: i64,
}
