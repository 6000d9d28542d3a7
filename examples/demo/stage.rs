//! What a run takes place on: directories, the S3 server, and the Lambda environment with extension and function.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use sandbox::s3::{S3Server, StoredObject};
use sandbox::{Function, Sandbox};
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::run::RunError;

/// The bucket.
pub const BUCKET: &str = "logs";
/// The least that a subscription may ask for, so that a record is cut that is not too long to be looked at.
pub const BUFFER_BYTES: usize = 256 * 1024;
const FUNCTION_NAME: &str = "demo";
/// Room for a runtime that starts slowly: after a kill its start is part of the invocation.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(15);

/// What a run takes place on. The environment goes first when it is dropped, the directory last.
pub struct Stage {
    /// The environment.
    pub sandbox: Sandbox,
    /// The store, and the switch that makes it fail.
    pub s3: S3Server,
    directory: TempDir,
}

impl Stage {
    /// Sets the stage; when this returns, Init is over.
    ///
    /// # Errors
    /// If the machine does not give what it takes, or Init fails.
    pub async fn set(arguments: &Arguments, extension: &Path) -> Result<Self, RunError> {
        let directory = tempfile::Builder::new().prefix("logspool-demo-").tempdir()?;
        fs::create_dir(tmp(&directory))?;
        let s3 = S3Server::start(bucket_root(&directory)).await?;
        s3.create_bucket(BUCKET)?;
        let function = arguments.function.as_ref().map_or_else(Function::built_in, shell);
        let sandbox = Sandbox::builder()
            .extension(extension)
            .function(function)
            .function_name(FUNCTION_NAME)
            .function_timeout(FUNCTION_TIMEOUT)
            .region(s3.region())
            .tmp(tmp(&directory))
            .extension_env("LOGSPOOL_DESTINATION", format!("s3://{BUCKET}"))
            .extension_env("LOGSPOOL_DIR", spool_root(&directory).display().to_string())
            .extension_env("LOGSPOOL_INVOCATIONS", "true")
            .extension_env("LOGSPOOL_BUFFER_BYTES", BUFFER_BYTES.to_string())
            .extension_env("LOGSPOOL_LOG", log_level(arguments))
            .extension_env("AWS_ENDPOINT_URL_S3", s3.endpoint())
            .extension_env("AWS_ACCESS_KEY_ID", s3.access_key_id())
            .extension_env("AWS_SECRET_ACCESS_KEY", s3.secret_access_key())
            .start()
            .await?;
        Ok(Self { sandbox, s3, directory })
    }

    /// Where the spools lie.
    pub fn spool_root(&self) -> PathBuf {
        spool_root(&self.directory)
    }

    /// Spool directories in what plays `/tmp`.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn spools_left(&self) -> io::Result<usize> {
        match spool_root(&self.directory).read_dir() {
            Ok(spools) => Ok(spools.count()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Copies the objects to a directory of their own, in the folders of their keys.
    ///
    /// # Errors
    /// If that cannot be written to.
    pub fn keep_objects(&self, objects: &[StoredObject], directory: &Path) -> io::Result<()> {
        let bucket = bucket_root(&self.directory).join(BUCKET);
        fs::create_dir_all(directory)?;
        for object in objects {
            let place = directory.join(object.path.strip_prefix(&bucket).map_err(io::Error::other)?);
            fs::create_dir_all(place.parent().unwrap_or(directory))?;
            fs::copy(&object.path, place)?;
        }
        Ok(())
    }
}

/// Of attempts that reach no store only the extension can tell, and of most of them it does so to developers only.
fn log_level(arguments: &Arguments) -> &'static str {
    if arguments.report.is_some() { "debug" } else { "info" }
}

fn tmp(directory: &TempDir) -> PathBuf {
    directory.path().join("tmp")
}

fn spool_root(directory: &TempDir) -> PathBuf {
    tmp(directory).join(".logspool")
}

fn bucket_root(directory: &TempDir) -> PathBuf {
    directory.path().join("s3")
}

/// A shell, so that quotes and variables mean what they do everywhere.
fn shell(command: &OsString) -> Function {
    Function::command([OsString::from("sh"), OsString::from("-c"), command.clone()])
}
