//! How far a long look has come, on stderr: a bar on a terminal, else nothing.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// Objects that are listed, and of those so many that are read.
pub(super) struct Progress {
    bar: ProgressBar,
    reads: bool,
}

impl Progress {
    /// `reads`: objects are not only listed.
    pub(super) fn new(reads: bool) -> Self {
        let template = if reads {
            "{spinner:.cyan} {bar:24.cyan/dim} {msg}  {elapsed}"
        } else {
            "{spinner:.cyan} {msg}  {elapsed}"
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("━╸─");
        let bar = ProgressBar::new(0).with_style(style);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        Self { bar, reads }
    }

    /// So many objects are listed, and so many of them, of so many bytes, were read.
    pub(super) fn at(&self, listed: u64, read: u64, bytes: u64) {
        if self.bar.is_hidden() {
            return;
        }
        if self.reads {
            self.bar.set_length(listed);
            self.bar.set_position(read);
            let (listed, read, bytes) = (HumanCount(listed), HumanCount(read), HumanBytes(bytes));
            self.bar.set_message(format!("{read} of {listed} objects read, {bytes}"));
        } else {
            self.bar.set_message(format!("{} objects listed", HumanCount(listed)));
        }
    }

    /// Says something on stderr while the bar is out of its way.
    pub(super) fn aside(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
