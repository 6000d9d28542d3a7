//! Writes lines to the standard output, which is the log of the function, without ever waiting for it.
//!
//! A pipe that nobody reads blocks whoever writes to it, so that is done on tokio's blocking pool, one line at a time. Where the output
//! is closed, lines are gone: there is nobody to tell.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::intake::lock;

/// Where lines go.
pub type Output = Box<dyn Write + Send>;

/// The writer.
pub struct Writer {
    output: Arc<Mutex<Output>>,
    writing: Option<JoinHandle<()>>,
}

impl Writer {
    /// To the standard output of the process.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(Box::new(io::stdout()))
    }

    /// To any other output.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self { output: Arc::new(Mutex::new(output)), writing: None }
    }

    /// Begins to write a line. Returns whether it did: not while the one before is being written.
    pub fn begin(&mut self, mut line: String) -> bool {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return false;
        }
        line.push('\n');
        let output = Arc::clone(&self.output);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            let mut output = lock(&output);
            // One write a line, so that lines of others do not come between.
            if let Err(error) = output.write_all(line.as_bytes()).and_then(|()| output.flush()) {
                crate::debug!("error={error:?} Metrics could not be written.");
            }
        }));
        true
    }

    /// Waits until what was begun is written, but no longer than this.
    pub async fn settle(&mut self, patience: Duration) {
        if let Some(writing) = self.writing.as_mut().filter(|writing| !writing.is_finished())
            && tokio::time::timeout(patience, writing).await.is_ok()
        {
            self.writing = None;
        }
    }
}
