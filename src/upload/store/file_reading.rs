//! `file://`, read back: a directory in the place of a listing. It blocks: only people wait for it.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use super::file::path_below;
use super::reading::{Listed, NO_SUCH_KEY, Page};
use super::{AttemptError, AttemptErrorKind};

/// What lies directly in `folder` (empty, or with a slash at its end) below `root`, in the order of names. What is being written (its
/// name begins with a dot) is no object, and links to directories are not followed: they may lead in a circle.
///
/// # Errors
/// When the directory cannot be read.
pub fn list(root: &Path, folder: &str) -> Result<Page, AttemptError> {
    let directory = match folder.strip_suffix('/') {
        Some(folder) => path_below(root, folder)?,
        None => root.to_owned(),
    };
    let failed = |error: &io::Error| refused(&directory.display().to_string(), error);
    let mut page = Page::default();
    for entry in fs::read_dir(&directory).map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        // Keys are text; what is not was not written by us.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(|error| failed(&error))?;
        if kind.is_dir() {
            page.folders.push(format!("{folder}{name}/"));
        } else if let Ok(facts) = entry.path().metadata()
            && facts.is_file()
        {
            let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let modified_ms = modified.and_then(|age| i64::try_from(age.as_millis()).ok()).unwrap_or(0);
            page.objects.push(Listed { key: format!("{folder}{name}"), bytes: facts.len(), modified_ms });
        }
    }
    page.folders.sort_unstable();
    page.objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(page)
}

/// A piece of an object.
///
/// # Errors
/// When it cannot be read, or is shorter than was asked for.
pub fn read(root: &Path, key: &str, range: Range<u64>) -> Result<Bytes, AttemptError> {
    let path = path_below(root, key)?;
    let read = || {
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok::<_, io::Error>(Bytes::from(bytes))
    };
    read().map_err(|error| refused(&path.display().to_string(), &error))
}

fn refused(place: &str, error: &io::Error) -> AttemptError {
    let mut refused = AttemptError::new(AttemptErrorKind::Configuration, format!("{place}: {error}"));
    if error.kind() == io::ErrorKind::NotFound {
        refused.code = Some(NO_SUCH_KEY.to_owned());
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_listed_folder_by_folder_and_read_in_pieces() {
        let root = tempfile::tempdir().expect("tempdir");
        fs::create_dir_all(root.path().join("a/b")).expect("made");
        std::os::unix::fs::symlink("a", root.path().join("circle")).expect("linked");
        for (name, text) in [("a/2", "two"), ("a/1", "one"), ("a/.part", "half"), ("top", "")] {
            fs::write(root.path().join(name), text).expect("written");
        }
        let page = list(root.path(), "").expect("listed");
        assert_eq!(page.folders, ["a/"]);
        assert_eq!(page.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["top"]);
        let page = list(root.path(), "a/").expect("listed");
        assert_eq!(page.folders, ["a/b/"]);
        assert_eq!(
            page.objects.iter().map(|it| (it.key.as_str(), it.bytes)).collect::<Vec<_>>(),
            [("a/1", 3), ("a/2", 3)]
        );
        assert!(page.objects.iter().all(|object| object.modified_ms > 0) && page.next.is_none());

        assert_eq!(read(root.path(), "a/1", 1..3).expect("read"), "ne");
        let shorter = read(root.path(), "a/1", 1..4).expect_err("shorter than was asked for");
        let gone = read(root.path(), "a/3", 0..1).expect_err("gone");
        assert_eq!((shorter.code, gone.code.as_deref()), (None, Some(NO_SUCH_KEY)));
        assert!(read(root.path(), "../etc", 0..1).is_err());
        assert!(list(root.path(), "none/").is_err());
    }
}
