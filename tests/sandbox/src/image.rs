//! An extension in a root file system of its own, as in a function that is a container image: the root is read-only, `/tmp` is
//! the environment's, and there is nothing else that the image does not bring.
//!
//! Commands enter it (`unshare`, `mount`, `chroot`), one after the other in the same process, so that whatever is signalled or
//! measured is the extension itself. Its mount table is gone with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Program;

/// The image's directory, what plays `/tmp`, the program's path in the image.
const ENTER: &str = "mount --bind \"$1\" \"$1\" && mount --bind \"$2\" \"$1/tmp\" && mount -o remount,bind,ro \"$1\" && \
                     exec chroot \"$1\" \"$3\"";

/// How a mount table of one's own is had: as root, or as the root of a user namespace.
const UNSHARE: [&str; 2] = ["-m", "-rm"];

/// The options of `unshare` that work here.
///
/// # Errors
/// Why no extension can be run in an image here.
pub fn images_can_be_entered() -> Result<&'static str, String> {
    let mut why = String::new();
    for options in UNSHARE {
        let tried = Command::new("unshare")
            .args([options, "--propagation", "private", "sh", "-c", "mount --bind /tmp /tmp && chroot / true"])
            .output()
            .map_err(|error| format!("unshare cannot be started: {error}"))?;
        if tried.status.success() {
            return Ok(options);
        }
        why = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    }
    Err(format!("no root file system of its own can be entered: {why}"))
}

/// The program, in the image.
pub(crate) fn enter(
    image: &Path,
    tmp: &Path,
    program: &Path,
    mut variables: BTreeMap<String, String>,
) -> std::io::Result<Program> {
    let options = images_can_be_entered().map_err(std::io::Error::other)?;
    variables.insert("TMPDIR".to_owned(), "/tmp".to_owned());
    let words: [OsString; 6] = [options, "--propagation", "private", "sh", "-c", ENTER].map(Into::into);
    let paths = ["enter".into(), image.into(), tmp.into(), program.into()];
    Ok(Program {
        path: PathBuf::from("unshare"),
        arguments: words.into_iter().chain(paths).collect(),
        variables,
        current_dir: Some(tmp.to_owned()),
        user: None,
    })
}
