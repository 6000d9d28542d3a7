//! A destination that is a directory.

use std::fs;
use std::io;
use std::path::Path;

use super::LIMIT;
use super::disk::{self, Missing};
use super::probe_object::{FOLDER, ProbeObject};
use super::report::{Check, Report};
use crate::upload::store::file::FileStore;
use crate::upload::store::{AttemptError, ObjectStore as _, PutOutcome};

/// Looks at a directory.
pub(super) async fn check(root: &Path, report: &mut Report<'_>) -> io::Result<()> {
    let (store, object, missing) = (FileStore::new(root, LIMIT), ProbeObject::new(), Missing::of(&root.join(FOLDER)));
    let first = store.put(&object.object()).await;
    let is_stored = first == Ok(PutOutcome::Stored);
    report.add(stored(&first, &object))?;
    if !is_stored {
        missing.remove_again();
        return Ok(());
    }
    let second = store.put(&object.object()).await;
    report.add(again(&second))?;
    let removed = fs::remove_file(root.join(object.key()));
    missing.remove_again();
    report.add(Check::ok(
        "  clean up",
        match removed {
            Ok(()) => "the probe is removed".to_owned(),
            Err(error) => format!("{} stays ({error})", object.key()),
        },
    ))
}

fn stored(outcome: &Result<PutOutcome, AttemptError>, object: &ProbeObject) -> Check {
    match outcome {
        Ok(_) => Check::ok("  put", format!("stored {}", object.key())),
        Err(error) => Check::bad("  put", error.to_string(), disk::remedy_of_text(&error.to_string())),
    }
}

fn again(outcome: &Result<PutOutcome, AttemptError>) -> Check {
    const NAME: &str = "  conditional put";
    match outcome {
        Ok(PutOutcome::AlreadyThere) => Check::ok(NAME, "the same name again: it is there already"),
        Ok(_) => Check::note(
            NAME,
            "the file was written again",
            "The file system does not tell what is there: is it a local one?",
        ),
        Err(error) => Check::bad(NAME, error.to_string(), disk::remedy_of_text(&error.to_string())),
    }
}
