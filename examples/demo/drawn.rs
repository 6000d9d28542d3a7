//! Where the picture of a run goes: a file whose name says what it is to be.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use crate::picture::Picture;

/// Whether the picture can be written there: told before the run, not behind it.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn must_be_writable(path: &Path) -> Result<(), String> {
    if path.as_os_str().is_empty() {
        return Err("--report needs the name of a file".to_owned());
    }
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("--report {shown}: it is a directory, not a file"));
    }
    if form(path).is_none() {
        return Err(format!("--report {shown}: the name must end with .html or .svg"));
    }
    let existed = path.symlink_metadata().is_ok();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(|error| format!("--report {shown}: cannot be written: {error}"))?;
    if !existed {
        // Nothing is there before the run is over.
        fs::remove_file(path).map_err(|error| format!("--report {shown}: cannot be written: {error}"))?;
    }
    Ok(())
}

/// Writes the page, or the drawing alone.
///
/// # Errors
/// If the file cannot be written any more.
pub fn write(path: &Path, picture: &Picture) -> io::Result<()> {
    let text = match form(path) {
        Some(Form::Drawing) => picture.drawing(),
        Some(Form::Page) | None => picture.page(),
    };
    fs::write(path, text).map_err(|error| io::Error::new(error.kind(), format!("--report {}: {error}", path.display())))
}

enum Form {
    Page,
    Drawing,
}

fn form(path: &Path) -> Option<Form> {
    match path.extension().and_then(OsStr::to_str)? {
        "html" => Some(Form::Page),
        "svg" => Some(Form::Drawing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Ending;

    fn nothing() -> Picture {
        let (title, objects, events) = ("A run".to_owned(), Vec::new(), Vec::new());
        Picture { title, ending: Ending::Interrupted, lines: None, objects, events }
    }

    #[test]
    fn what_cannot_be_written_is_told_with_its_name_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("folder.html")).unwrap();
        fs::write(at("old.html"), "an older run").unwrap();
        let told = |name: &str| must_be_writable(&at(name)).unwrap_err();
        assert!(told("").ends_with("/: it is a directory, not a file"));
        assert!(told("folder.html").ends_with("folder.html: it is a directory, not a file"));
        assert!(told("old.html/run.html").contains("old.html/run.html: cannot be written: "));
        assert!(told("run").ends_with("run: the name must end with .html or .svg"));

        assert_eq!((must_be_writable(&at("new.html")), must_be_writable(&at("old.html"))), (Ok(()), Ok(())));
        assert!(!at("new.html").exists(), "there is nothing before there is a picture");
        assert_eq!(
            fs::read_to_string(at("old.html")).unwrap(),
            "an older run",
            "the old one stays until there is a new one"
        );
    }

    #[test]
    fn the_ending_of_the_name_says_what_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let written = |name: &str| {
            let path = directory.path().join(name);
            write(&path, &nothing()).unwrap();
            fs::read_to_string(path).unwrap()
        };
        assert!(written("run.html").starts_with("<!doctype html>"));
        assert!(written("run.svg").starts_with("<svg xmlns="));
    }
}
